// Translating MPLS, NSH and generic encapsulation.
//
// MPLS: pushing and popping change the label stack in the flow; after the last pop the headers
// behind are unknown (`ctx.wasMpls`) until the packet recirculates. NSH and encap()/decap(): what
// was pending is committed first, then the flow is rewritten to the new outermost header, and the
// datapath action comes out of the next commit (`ctx.pendingEncap`, `ctx.pendingDecap`).
//
// ovs: ofproto/ofproto-dpif-xlate.c compose_mpls_*_action, compose_dec_nsh_ttl_action,
// xlate_generic_encap_action, xlate_generic_decap_action.

import { SLOW } from "../datapath/odp-action.ts";
import { clear, fill, get, getU, K, KEY_WORDS, orBits, set } from "../flow/flow-key.ts";
import { PT, PT_NS_ETHERTYPE } from "../flow/flow-is.ts";
import { MPLS_LSE_COUNT } from "../flow/slots.ts";
import {
  countMplsLabels,
  ETH_TYPE,
  isEthTypeMpls,
  MPLS,
  mplsLse,
  popMpls,
  pushMpls,
  setMplsLse,
  VLAN_CFI,
} from "../flow/vlan-mpls.ts";
import type { ActionOf } from "./actions/types.ts";
import { report, reportDebug, type XlateCtx } from "./xlate-ctx.ts";
import { triggerFreeze } from "./xlate-freeze.ts";
import { sendInvalidTtl } from "./xlate-headers.ts";
import { plain, row, type XlateTable } from "./xlate-row.ts";

/** Next protocols of NSH (RFC 8300 §2.2). */
const NSH_NP = { IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4 } as const;
const NSH_MD_TYPE1 = 1;
const NSH_MD_TYPE2 = 2;
const NSH_DEFAULT_TTL = 63;
/** Service path 0, service index 255. */
const NSH_DEFAULT_PATH_HDR = 255;
/** Bytes of context headers that an NSH header can hold (ovs: NSH_CTX_HDRS_MAX_LEN). */
export const NSH_CTX_BYTES_MAX = 244;

function tooManyLabels(ctx: XlateCtx, what: string, how: string): void {
  if (ctx.packet !== null) {
    report(
      ctx,
      "error",
      `dropping packet on which ${what} can't be performed as it ${how} MPLS LSEs than the ` +
        `${MPLS_LSE_COUNT} supported.`,
    );
  }
  ctx.error = "too_many_mpls_labels";
}

function pushMplsAction(ctx: XlateCtx, ethertype: number): void {
  const n = countMplsLabels(ctx.flow, ctx.wc);
  if (n === 0) {
    ctx.ops.commit(ctx);
  } else if (n >= MPLS_LSE_COUNT) {
    tooManyLabels(ctx, "an MPLS push action", "would have more");
    return;
  }
  pushMpls(ctx.flow, n, ethertype, ctx.wc, true);
}

function popMplsAction(ctx: XlateCtx, ethertype: number): void {
  const n = countMplsLabels(ctx.flow, ctx.wc);
  if (popMpls(ctx.flow, n, ethertype, ctx.wc)) {
    if (!isEthTypeMpls(ethertype) && ctx.xbridge.support.recirc) {
      ctx.wasMpls = true;
    }
  } else if (n >= MPLS_LSE_COUNT) {
    tooManyLabels(ctx, "an MPLS pop action", "has more");
    ctx.odp.length = 0;
  }
}

/** Replaces bits of the outermost label stack entry, if there is one. */
function setLse(ctx: XlateCtx, bits: number, mask: number): void {
  if (isEthTypeMpls(get(ctx.flow, K.dl_type))) {
    orBits(ctx.wc, K.mpls_lse, mask);
    setMplsLse(ctx.flow, 0, (mplsLse(ctx.flow, 0) & ~mask) | bits);
  }
}

/** True if the list of actions ends here. */
function decMplsTtl(ctx: XlateCtx): boolean {
  if (isEthTypeMpls(get(ctx.flow, K.dl_type))) {
    orBits(ctx.wc, K.mpls_lse, MPLS.TTL_MASK);
    const lse = mplsLse(ctx.flow, 0);
    const ttl = lse & MPLS.TTL_MASK;
    if (ttl > 1) {
      setMplsLse(ctx.flow, 0, lse - 1);
      return false;
    }
    sendInvalidTtl(ctx, 0);
  }
  report(ctx, "warn", "MPLS decrement TTL exception");
  return true;
}

/** True if the list of actions ends here. */
function decNshTtl(ctx: XlateCtx): boolean {
  if (getU(ctx.flow, K.packet_type) === PT.NSH || get(ctx.flow, K.dl_type) === ETH_TYPE.NSH) {
    fill(ctx.wc, K.nsh_ttl);
    const ttl = get(ctx.flow, K.nsh_ttl);
    if (ttl > 1) {
      set(ctx.flow, K.nsh_ttl, ttl - 1);
      return false;
    }
    sendInvalidTtl(ctx, 0);
  }
  report(ctx, "warn", "NSH decrement TTL exception");
  return true;
}

function clearMacs(ctx: XlateCtx): void {
  clear(ctx.flow, K.dl_src);
  clear(ctx.flow, K.dl_dst);
}

/** Records why an encapsulation cannot be, and fails (ovs: xlate_report_debug). */
function unsupported(ctx: XlateCtx, text: string): void {
  reportDebug(ctx, "note", text);
  ctx.error = "unsupported_packet_type";
}

function packetTypeText(packetType: number): string {
  return `(${packetType >>> 16},0x${(packetType & 0xffff).toString(16)})`;
}

function encapEthernet(ctx: XlateCtx): void {
  fill(ctx.wc, K.packet_type);
  const pt = getU(ctx.flow, K.packet_type);
  if (pt >>> 16 !== PT_NS_ETHERTYPE) {
    unsupported(
      ctx,
      "Dropping packet as encap(ethernet) is not supported for packet type ethernet.",
    );
    return;
  }
  set(ctx.flow, K.packet_type, PT.ETH);
  clearMacs(ctx);
  set(ctx.flow, K.dl_type, pt & 0xffff);
}

function encapMpls(ctx: XlateCtx, newPktType: number): void {
  const { flow, wc } = ctx;
  const n = countMplsLabels(flow, wc);
  if (n >= MPLS_LSE_COUNT) {
    tooManyLabels(ctx, "an encap MPLS action", "would have more");
    return;
  }
  fill(wc, K.packet_type);
  if (getU(flow, K.packet_type) === PT.ETH && get(flow, K.dl_type) === ETH_TYPE.MPLS) {
    // The labels behind an Ethernet header belong to the inner packet.
    for (const key of [wc, flow, ctx.baseFlow]) {
      key.fill(0, K.mpls_lse.word, K.mpls_lse.word + MPLS_LSE_COUNT);
    }
  }
  set(flow, K.packet_type, newPktType);
  pushMpls(flow, n, newPktType & 0xffff, wc, true);
  clearMacs(ctx);
}

/** The metadata type 2 options among the properties, each padded to 4 bytes; null if none. */
function encodeMd2(a: ActionOf<"encap">): Uint8Array | null {
  const bytes: number[] = [];
  for (const p of a.props) {
    if (p.kind === "nsh_tlv") {
      const cls = p.tlvClass;
      bytes.push(cls >>> 8, cls & 0xff, p.tlvType, p.data.length, ...p.data);
      while (bytes.length % 4 !== 0) {
        bytes.push(0);
      }
    }
  }
  return bytes.length === 0 || bytes.length > NSH_CTX_BYTES_MAX ? null : Uint8Array.from(bytes);
}

function nshNextProtocol(packetType: number): number {
  switch (packetType) {
    case PT.ETH:
      return NSH_NP.ETHERNET;
    case PT.IPV4:
      return NSH_NP.IPV4;
    case PT.IPV6:
      return NSH_NP.IPV6;
    case PT.NSH:
      return NSH_NP.NSH;
    default:
      return 0;
  }
}

function encapNsh(ctx: XlateCtx, a: ActionOf<"encap">): Uint8Array | null {
  const { flow, wc } = ctx;
  let mdType = NSH_MD_TYPE1;
  for (const p of a.props) {
    if (p.kind === "nsh_mdtype") {
      mdType = p.mdtype;
    }
  }
  const pt = getU(flow, K.packet_type);
  const np = nshNextProtocol(pt);
  if (np === 0) {
    const what = packetTypeText(pt);
    unsupported(ctx, `Dropping packet as encap(nsh) is not supported for packet type ${what}`);
    return null;
  }
  fill(wc, K.packet_type);
  flow.fill(0, K.dl_dst.word, KEY_WORDS);
  set(flow, K.packet_type, PT.NSH);
  set(flow, K.dl_type, ETH_TYPE.NSH);
  set(flow, K.nsh_ttl, NSH_DEFAULT_TTL);
  set(flow, K.nsh_np, np);
  set(flow, K.nsh_path_hdr, NSH_DEFAULT_PATH_HDR);
  if (mdType === NSH_MD_TYPE1 || mdType === NSH_MD_TYPE2) {
    set(flow, K.nsh_mdtype, mdType);
  }
  return mdType === NSH_MD_TYPE1 ? null : encodeMd2(a);
}

function encap(ctx: XlateCtx, a: ActionOf<"encap">): void {
  ctx.ops.commit(ctx);
  let data: Uint8Array | null = null;
  switch (a.newPktType) {
    case PT.ETH:
      encapEthernet(ctx);
      break;
    case PT.NSH:
      data = encapNsh(ctx, a);
      break;
    default:
      encapMpls(ctx, a.newPktType);
      if (!ctx.xbridge.support.add_mpls) {
        ctx.slow |= SLOW.ACTION;
      }
  }
  if (ctx.error === "ok") {
    ctx.pendingEncap = true;
    ctx.encapData = data;
  }
}

function decapEthernet(ctx: XlateCtx): void {
  const { flow } = ctx;
  if ((get(flow, K.vlan_tci) & VLAN_CFI) !== 0) {
    unsupported(ctx, "Dropping packet, cannot decap Ethernet if VLAN is present.");
    return;
  }
  set(flow, K.packet_type, (PT_NS_ETHERTYPE << 16) | get(flow, K.dl_type));
  clearMacs(ctx);
  fill(ctx.wc, K.dl_type);
}

const NSH_NP_PACKET_TYPE = new Map<number, number>([
  [NSH_NP.ETHERNET, PT.ETH],
  [NSH_NP.IPV4, PT.IPV4],
  [NSH_NP.IPV6, PT.IPV6],
  [NSH_NP.NSH, PT.NSH],
]);

function decapNsh(ctx: XlateCtx): boolean {
  const np = get(ctx.flow, K.nsh_np);
  const pt = NSH_NP_PACKET_TYPE.get(np);
  if (pt === undefined) {
    unsupported(ctx, `Dropping packet as NSH next protocol ${np} is not supported`);
    return false;
  }
  set(ctx.flow, K.packet_type, pt);
  fill(ctx.wc, K.nsh_np);
  ctx.pendingDecap = true;
  return true;
}

function decapMpls(ctx: XlateCtx, newPktType: number): boolean {
  const { flow, wc } = ctx;
  set(flow, K.packet_type, newPktType);
  const n = countMplsLabels(flow, wc);
  const ethertype = (newPktType & 0xffff) === 0 ? ETH_TYPE.TEB : newPktType & 0xffff;
  if (popMpls(flow, n, ethertype, wc)) {
    if (!ctx.xbridge.support.add_mpls) {
      ctx.slow |= SLOW.ACTION;
    }
    ctx.pendingDecap = true;
    return n === 1;
  }
  if (n >= MPLS_LSE_COUNT) {
    tooManyLabels(ctx, "an MPLS decap", "has more");
    ctx.odp.length = 0;
  }
  return false;
}

/** True if the packet must recirculate so that its inner headers become known. */
function decap(ctx: XlateCtx, a: ActionOf<"decap">): boolean {
  ctx.ops.commit(ctx);
  const pt = getU(ctx.flow, K.packet_type);
  switch (pt) {
    case PT.ETH:
      decapEthernet(ctx);
      return false;
    case PT.NSH:
      return decapNsh(ctx);
    case PT.MPLS:
    case PT.MPLS_MC:
      return decapMpls(ctx, a.newPktType);
    default:
      unsupported(
        ctx,
        `Dropping packet as the decap() does not support packet type ${packetTypeText(pt)}`,
      );
      return false;
  }
}

export const ENCAP_ROWS = {
  push_mpls: plain<"push_mpls">((ctx, a) => pushMplsAction(ctx, a.ethertype)),
  pop_mpls: plain<"pop_mpls">((ctx, a) => popMplsAction(ctx, a.ethertype)),
  set_mpls_label: plain<"set_mpls_label">((ctx, a) =>
    setLse(ctx, a.label << MPLS.LABEL_SHIFT, MPLS.LABEL_MASK),
  ),
  set_mpls_tc: plain<"set_mpls_tc">((ctx, a) => setLse(ctx, a.tc << MPLS.TC_SHIFT, MPLS.TC_MASK)),
  set_mpls_ttl: plain<"set_mpls_ttl">((ctx, a) => setLse(ctx, a.ttl, MPLS.TTL_MASK)),
  dec_mpls_ttl: row<"dec_mpls_ttl">((ctx) => (decMplsTtl(ctx) ? "stop" : "next"), {
    freeze: "unroll",
  }),
  dec_nsh_ttl: row<"dec_nsh_ttl">((ctx) => (decNshTtl(ctx) ? "stop" : "next"), {
    freeze: "unroll",
    reversible: false,
  }),
  encap: plain<"encap">(encap, { reversible: false }),
  decap: row<"decap">(
    (ctx, a) => {
      if (decap(ctx, a) && ctx.error === "ok") {
        triggerFreeze(ctx);
        return "behind";
      }
      return "next";
    },
    { reversible: false },
  ),
} satisfies Partial<XlateTable>;
