// Translating the actions that change headers: VLAN, Ethernet, IP, ports, TTL and the fields of
// set_field, move, push and pop.
//
// They only change `ctx.flow`; the datapath actions come out of the difference at the next commit.
// Bits that decide whether an action does anything are un-wildcarded.
// ovs: ofproto/ofproto-dpif-xlate.c do_xlate_actions; lib/nx-match.c nxm_execute_stack_*.

import {
  fieldMaskBits,
  fieldPrereqsOk,
  fieldSetMasked,
  isL3OrHigher,
} from "../flow/field-value.ts";
import { isIpAny } from "../flow/flow-is.ts";
import { type Field, F } from "../flow/fields.ts";
import { isArp } from "../flow/flow-is.ts";
import { type FlowKey, fill, get, K, orBits, type Slot, set } from "../flow/flow-key.ts";
import {
  copySubfield,
  maskSubfield,
  readSubfield,
  type Subfield,
  writeSubfield,
} from "../flow/subfield.ts";
import {
  ETH_TYPE,
  popVlan,
  pushVlanUninit,
  VLAN_CFI,
  VLAN_PCP_MASK,
  VLAN_PCP_SHIFT,
  VLAN_VID_MASK,
} from "../flow/vlan-mpls.ts";
import type { ActionOf } from "./actions/types.ts";
import { OFPR } from "./packet-in-reason.ts";
import { controllerAction, METER_UNSET } from "./xlate-controller.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";
import { reportSubfield } from "./xlate-report.ts";
import { plain, row, type XlateTable } from "./xlate-row.ts";

const IP_DSCP_MASK = 0xfc;
const IP_ECN_MASK = 0x03;
const NW_FRAG_LATER = 2;
/** Packets that dec_ttl sends to a controller are sent whole. */
const WHOLE_PACKET = 0xffff;

function setTci(ctx: XlateCtx, bits: number, mask: number, pushIfNeeded: boolean): void {
  orBits(ctx.wc, K.vlan_tci, mask | VLAN_CFI);
  const tci = get(ctx.flow, K.vlan_tci);
  if ((tci & VLAN_CFI) === 0 && !pushIfNeeded) {
    return;
  }
  if (get(ctx.flow, K.vlan_tpid) === 0) {
    set(ctx.flow, K.vlan_tpid, ETH_TYPE.VLAN_8021Q);
  }
  set(ctx.flow, K.vlan_tci, (tci & ~mask) | bits | VLAN_CFI);
}

function setMac(ctx: XlateCtx, slot: Slot, mac: Uint32Array): void {
  fill(ctx.wc, slot);
  ctx.flow[slot.word] = mac[0] as number;
  ctx.flow[slot.word + 1] = mac[1] as number;
}

function setIpv4(ctx: XlateCtx, slot: Slot, ip: number): void {
  if (get(ctx.flow, K.dl_type) === ETH_TYPE.IP) {
    fill(ctx.wc, slot);
    fill(ctx.wc, K.nw_proto);
    set(ctx.flow, slot, ip);
  }
}

function setTos(ctx: XlateCtx, bits: number, mask: number): void {
  if (isIpAny(ctx.flow)) {
    orBits(ctx.wc, K.nw_tos, mask);
    fill(ctx.wc, K.nw_proto);
    set(ctx.flow, K.nw_tos, (get(ctx.flow, K.nw_tos) & ~mask) | bits);
  }
}

function setPort(ctx: XlateCtx, slot: Slot, port: number): void {
  if (isIpAny(ctx.flow) && (get(ctx.flow, K.nw_frag) & NW_FRAG_LATER) === 0) {
    fill(ctx.wc, K.nw_proto);
    fill(ctx.wc, slot);
    set(ctx.flow, slot, port);
  }
}

/** True if the packet ends here because its time to live is over. */
function decTtl(ctx: XlateCtx, cntIds: readonly number[]): boolean {
  fill(ctx.wc, K.nw_ttl);
  fill(ctx.wc, K.nw_proto);
  if (!isIpAny(ctx.flow)) {
    return false;
  }
  const ttl = get(ctx.flow, K.nw_ttl);
  if (ttl > 1) {
    set(ctx.flow, K.nw_ttl, ttl - 1);
    return false;
  }
  for (const controllerId of cntIds) {
    sendInvalidTtl(ctx, controllerId);
  }
  const v = get(ctx.flow, K.dl_type) === ETH_TYPE.IP ? 4 : 6;
  report(ctx, "warn", `IPv${v} decrement TTL exception`);
  return true;
}

/** Tells a controller about a packet whose time to live is over. */
export function sendInvalidTtl(ctx: XlateCtx, controllerId: number): void {
  controllerAction(ctx, {
    maxLen: WHOLE_PACKET,
    reason: OFPR.INVALID_TTL,
    controllerId,
    meterId: METER_UNSET,
    userdata: null,
  });
}

const IP_FIELDS: ReadonlySet<Field> = new Set([
  F.ip_src,
  F.ip_dst,
  F.ipv6_src,
  F.ipv6_dst,
  F.ipv6_label,
  F.nw_tos,
  F.nw_ecn,
  F.nw_ttl,
]);
const ARP_FIELDS: ReadonlySet<Field> = new Set([
  F.arp_op,
  F.arp_sha,
  F.arp_tha,
  F.arp_spa,
  F.arp_tpa,
]);

/** A network layer that is changed is matched with its protocol (ovs: CVE-2023-1668). */
function maskL3Prereqs(ctx: XlateCtx, field: Field): void {
  const fields = isIpAny(ctx.flow) ? IP_FIELDS : ARP_FIELDS;
  if (fields.has(field) && (fields === IP_FIELDS || isArp(ctx.flow))) {
    fill(ctx.wc, K.nw_proto);
  }
}

function setField(ctx: XlateCtx, a: ActionOf<"set_field">): void {
  const tab = ctx.xbridge.tunTable;
  if (fieldPrereqsOk(a.field, ctx.flow, ctx.wc)) {
    maskL3Prereqs(ctx, a.field);
    fieldMaskBits(a.field, a.mask, ctx.wc, tab);
    if (a.field === F.tun_flags) {
      // An unmasked set_field looks at both bytes, though one bit of them is the field.
      orBits(ctx.wc, K.tun_flags, a.mask[0] as number);
    }
    fieldSetMasked(a.field, a.value, a.mask, ctx.flow, tab);
  } else if (ctx.rec.on) {
    report(ctx, "warn", `unmet prerequisites for ${a.field.name}, set_field ignored`);
  }
}

function stackPush(ctx: XlateCtx, sf: Subfield): void {
  const tab = ctx.xbridge.tunTable;
  maskSubfield(sf, ctx.wc, tab);
  ctx.stack.push(readSubfield(sf, ctx.flow, tab));
  ctx.stackBytes += stackBytesOf(sf);
}

/** What OVS keeps for a pushed value: its bytes and one that counts them. */
function stackBytesOf(sf: Subfield): number {
  return Math.ceil(sf.bits / 8) + 1;
}

function stackPop(ctx: XlateCtx, sf: Subfield): void {
  const value = ctx.stack.pop();
  if (value === undefined) {
    report(ctx, "error", "stack underflow");
    return;
  }
  ctx.stackBytes -= value.length * 4 + 1;
  const tab = ctx.xbridge.tunTable;
  maskSubfield(sf, ctx.wc, tab);
  writeSubfield(sf, value, ctx.flow, tab);
  reportSubfield(ctx, sf);
}

/** Copies a value of one or two words into a slot. */
export function setWords(key: FlowKey, slot: Slot, value: Uint32Array): void {
  key.set(value, slot.word + slot.words - value.length);
}

export const HEADER_ROWS = {
  set_vlan_vid: plain<"set_vlan_vid">(
    (ctx, a) => {
      setTci(ctx, a.vid, VLAN_VID_MASK, a.pushIfNeeded);
    },
    { afterMplsPop: true },
  ),
  set_vlan_pcp: plain<"set_vlan_pcp">(
    (ctx, a) => {
      setTci(ctx, a.pcp << VLAN_PCP_SHIFT, VLAN_PCP_MASK, a.pushIfNeeded);
    },
    { afterMplsPop: true },
  ),
  strip_vlan: plain<"strip_vlan">((ctx) => {
    popVlan(ctx.flow, ctx.wc);
  }),
  push_vlan: plain<"push_vlan">((ctx, a) => {
    pushVlanUninit(ctx.flow, ctx.wc);
    set(ctx.flow, K.vlan_tpid, a.ethertype);
    set(ctx.flow, K.vlan_tci, VLAN_CFI);
  }),
  set_eth_src: plain<"set_eth_src">(
    (ctx, a) => {
      setMac(ctx, K.dl_src, a.mac);
    },
    { afterMplsPop: true },
  ),
  set_eth_dst: plain<"set_eth_dst">(
    (ctx, a) => {
      setMac(ctx, K.dl_dst, a.mac);
    },
    { afterMplsPop: true },
  ),
  set_ipv4_src: plain<"set_ipv4_src">((ctx, a) => {
    setIpv4(ctx, K.nw_src, a.ipv4);
  }),
  set_ipv4_dst: plain<"set_ipv4_dst">((ctx, a) => {
    setIpv4(ctx, K.nw_dst, a.ipv4);
  }),
  set_ip_dscp: plain<"set_ip_dscp">((ctx, a) => {
    setTos(ctx, a.dscp, IP_DSCP_MASK);
  }),
  set_ip_ecn: plain<"set_ip_ecn">((ctx, a) => {
    setTos(ctx, a.ecn, IP_ECN_MASK);
  }),
  set_ip_ttl: plain<"set_ip_ttl">((ctx, a) => {
    if (isIpAny(ctx.flow)) {
      fill(ctx.wc, K.nw_ttl);
      fill(ctx.wc, K.nw_proto);
      set(ctx.flow, K.nw_ttl, a.ttl);
    }
  }),
  set_l4_src_port: plain<"set_l4_src_port">((ctx, a) => {
    setPort(ctx, K.tp_src, a.port);
  }),
  set_l4_dst_port: plain<"set_l4_dst_port">((ctx, a) => {
    setPort(ctx, K.tp_dst, a.port);
  }),
  dec_ttl: row<"dec_ttl">((ctx, a) => (decTtl(ctx, a.cntIds) ? "stop" : "next"), {
    freeze: "unroll",
  }),
  set_tunnel: plain<"set_tunnel">(
    (ctx, a) => {
      setWords(ctx.flow, K.tun_id, a.tunId);
    },
    { afterMplsPop: true },
  ),
  set_field: plain<"set_field">(
    (ctx, a) => {
      setField(ctx, a);
    },
    { afterMplsPop: (a) => !isL3OrHigher(a.field) },
  ),
  reg_move: plain<"reg_move">((ctx, a) => {
    copySubfield(a.src, a.dst, ctx.flow, ctx.wc, ctx.xbridge.tunTable);
    reportSubfield(ctx, a.dst);
  }),
  stack_push: plain<"stack_push">((ctx, a) => {
    stackPush(ctx, a.subfield);
  }),
  stack_pop: plain<"stack_pop">((ctx, a) => {
    stackPop(ctx, a.subfield);
  }),
  delete_field: plain<"delete_field">((ctx, a) => {
    const i = a.field.tunMetadata;
    if (i >= 0) {
      const w = K.tun_md_present.word + (i >= 32 ? 0 : 1);
      ctx.flow[w] = (ctx.flow[w] as number) & ~(1 << (i & 31));
    }
    if (ctx.rec.on) {
      report(ctx, "detail", `delete ${a.field.name}`);
    }
  }),
} satisfies Partial<XlateTable>;
