// Reading and writing fields of a key, driven by the field table.
//
// A FieldValue holds one field right-aligned in ceil(bytes / 4) words, most significant first: the
// shape that slots have in a key, so that most of this is a copy or a shift. The exceptions are the
// VLAN fields, whose CFI bit stands for "there is a tag", 32-bit port numbers, and tunnel options,
// which need the bridge's TLV map (`tab`).
// (ovs: lib/meta-flow.c mf_get_value, mf_set_flow_value, mf_are_prereqs_ok, mf_is_value_valid)

import { F, FIELDS, type Field } from "./fields.ts";
import {
  ETH_TYPE,
  getDlType,
  IP_PROTO,
  isCtValid,
  isEthernet,
  isIcmpv4,
  isIcmpv6,
  isIpAny,
  isIpProto,
  isNd,
  isVlan,
  ND_NEIGHBOR_ADVERT,
  ND_NEIGHBOR_SOLICIT,
  NW_FRAG,
  VLAN,
} from "./flow-is.ts";
import { type FlowKey, get, K, set } from "./flow-key.ts";
import { portFromOfp11, portToOfp11 } from "./ofp-port.ts";
import {
  putTunMdTail,
  readTunMd,
  type TunTable,
  tunMdPresent,
  tunMdTail,
  writeTunMd,
} from "./tun-metadata.ts";

/** The value or the mask of one field. */
export type FieldValue = Uint32Array;

/** dl_vlan of a packet without tag. */
export const OFP10_VLAN_NONE = 0xffff;
const ETH_TYPE_VLAN_8021Q = 0x8100;
const IPV6_LABEL_MASK = 0xfffff;

/** How a field of at most 32 bits looks at its slot. */
interface View {
  /** Position in the word. */
  readonly shift: number;
  /** Bits of the value that the field shows. */
  readonly mask: number;
  /** Whether the field is a part of the slot, so that writing it leaves the rest alone. */
  readonly part: boolean;
}

const PARTS = new Set(["vlan_tci", "mpls_lse", "nw_tos", "nsh_path_hdr", "tun_flags"]);

function viewOf(f: Field): View {
  const part = PARTS.has(f.slot.name);
  const width = Math.min(part ? f.bits : f.bytes * 8, f.slot.bits - f.lsb);
  let mask = width >= 32 ? 0xffffffff : 2 ** width - 1;
  if (f.name === "nw_tos") {
    mask = 0xfc;
  } else if (f.name === "vlan_vid") {
    mask = VLAN.VID_MASK | VLAN.CFI;
  }
  return { shift: f.slot.shift + f.lsb, mask, part };
}

const VIEWS: readonly View[] = FIELDS.map(viewOf);

function view(field: Field): View {
  return VIEWS[field.id] as View;
}

export function newValue(field: Field): FieldValue {
  return new Uint32Array(field.words);
}

/** The bits of a value's first word that lie within the field's bytes. */
export function topWordMask(field: Field): number {
  const bits = (field.bytes * 8) % 32;
  return bits === 0 ? 0xffffffff : 2 ** bits - 1;
}

/** All ones in the field's bytes. */
export function allOnes(field: Field): FieldValue {
  const v = new Uint32Array(field.words).fill(0xffffffff);
  v[0] = topWordMask(field);
  return v;
}

export function isAllZero(v: FieldValue): boolean {
  for (let i = 0; i < v.length; i++) {
    if (v[i] !== 0) {
      return false;
    }
  }
  return true;
}

/** Whether all bits of the field's bytes are set. */
export function isAllOnes(field: Field, v: FieldValue): boolean {
  if (v[0] !== topWordMask(field)) {
    return false;
  }
  for (let i = 1; i < field.words; i++) {
    if (v[i] !== 0xffffffff) {
      return false;
    }
  }
  return true;
}

/** Reads a field into `out`. The caller has checked the prerequisites. (ovs: mf_get_value) */
export function fieldGetInto(
  field: Field,
  key: FlowKey,
  out: FieldValue,
  tab: TunTable | null = null,
): void {
  if (field.tunMetadata >= 0) {
    const loc = tab?.loc(field.tunMetadata);
    out.fill(0);
    if (loc !== undefined) {
      putTunMdTail(out, readTunMd(key, loc));
    }
    return;
  }
  if (field.words === 1) {
    const v = view(field);
    const n = ((key[field.slot.word] as number) >>> v.shift) & v.mask;
    out[0] = field.format === "port32" ? portToOfp11(n & 0xffff) : n;
    return;
  }
  for (let i = 0; i < field.words; i++) {
    out[i] = key[field.slot.word + i] as number;
  }
}

/** The value of a field as a new FieldValue. */
export function fieldGet(field: Field, key: FlowKey, tab: TunTable | null = null): FieldValue {
  const out = newValue(field);
  fieldGetInto(field, key, out, tab);
  return out;
}

/** Makes the outer tag 802.1Q if a tag has appeared without type (ovs: flow_fix_vlan_tpid). */
export function fixVlanTpid(key: FlowKey): void {
  if (get(key, K.vlan_tpid) === 0 && get(key, K.vlan_tci) !== 0) {
    set(key, K.vlan_tpid, ETH_TYPE_VLAN_8021Q);
  }
}

/** Sets the VID in OpenFlow 1.0's sense (ovs: flow_set_dl_vlan). */
export function setDlVlan(key: FlowKey, vid: number): void {
  const tci = get(key, K.vlan_tci);
  const tagged = (tci & ~VLAN.VID_MASK) | VLAN.CFI | (vid & VLAN.VID_MASK);
  set(key, K.vlan_tci, vid === OFP10_VLAN_NONE ? 0 : tagged);
}

/** Sets VID and CFI bit (ovs: flow_set_vlan_vid). */
export function setVlanVid(key: FlowKey, vid: number): void {
  const mask = VLAN.VID_MASK | VLAN.CFI;
  set(key, K.vlan_tci, (get(key, K.vlan_tci) & ~mask) | (vid & mask));
}

/** Sets the priority, which implies a tag (ovs: flow_set_vlan_pcp). */
export function setVlanPcp(key: FlowKey, pcp: number): void {
  const tci = get(key, K.vlan_tci) & ~VLAN.PCP_MASK;
  set(key, K.vlan_tci, tci | ((pcp & 7) << VLAN.PCP_SHIFT) | VLAN.CFI);
}

/** Writes a field. The caller has checked the prerequisites. (ovs: mf_set_flow_value) */
export function fieldSet(
  field: Field,
  value: FieldValue,
  key: FlowKey,
  tab: TunTable | null = null,
): void {
  if (field.tunMetadata >= 0) {
    const loc = tab?.loc(field.tunMetadata);
    if (loc !== undefined) {
      writeTunMd(key, loc, field.tunMetadata, tunMdTail(value, loc.bytes));
    }
    return;
  }
  if (field.words === 1) {
    setNarrow(field, value[0] as number, key);
    return;
  }
  for (let i = 0; i < field.words; i++) {
    key[field.slot.word + i] = value[i] as number;
  }
}

function setNarrow(field: Field, n: number, key: FlowKey): void {
  switch (field.name) {
    case "vlan_tci":
      set(key, K.vlan_tci, n);
      fixVlanTpid(key);
      return;
    case "dl_vlan":
      setDlVlan(key, n);
      fixVlanTpid(key);
      return;
    case "vlan_vid":
      setVlanVid(key, n);
      fixVlanTpid(key);
      return;
    case "dl_vlan_pcp":
    case "vlan_pcp":
      setVlanPcp(key, n);
      fixVlanTpid(key);
      return;
    case "in_port_oxm":
    case "actset_output": {
      set(key, field.slot, portFromOfp11(n) ?? 0xffff);
      return;
    }
    case "ipv6_label":
      set(key, field.slot, n & IPV6_LABEL_MASK);
      return;
    default: {
      const v = view(field);
      if (v.part) {
        const bits = v.mask << v.shift;
        const w = field.slot.word;
        key[w] = ((key[w] as number) & ~bits) | ((n << v.shift) & bits);
      } else {
        set(key, field.slot, n);
      }
    }
  }
}

/** Scratch space for the functions below, which do not call each other. */
const SCRATCH = FIELDS.map((f) => (f.tunMetadata >= 0 ? new Uint32Array(0) : newValue(f)));

function scratch(field: Field): FieldValue {
  return field.tunMetadata >= 0 ? newValue(field) : (SCRATCH[field.id] as FieldValue);
}

/** Writes the bits of a field that the mask has (ovs: mf_set_flow_value_masked). */
export function fieldSetMasked(
  field: Field,
  value: FieldValue,
  mask: FieldValue,
  key: FlowKey,
  tab: TunTable | null = null,
): void {
  const tmp = scratch(field);
  fieldGetInto(field, key, tmp, tab);
  for (let i = 0; i < tmp.length; i++) {
    const m = mask[i] as number;
    tmp[i] = ((value[i] as number) & m) | ((tmp[i] as number) & ~m);
  }
  fieldSet(field, tmp, key, tab);
}

/** Un-wildcards some bits of a field in `wc` (ovs: mf_mask_field_masked). */
export function fieldMaskBits(
  field: Field,
  mask: FieldValue,
  wc: FlowKey,
  tab: TunTable | null = null,
): void {
  const tmp = scratch(field);
  fieldGetInto(field, wc, tmp, tab);
  for (let i = 0; i < tmp.length; i++) {
    tmp[i] = (tmp[i] as number) | (mask[i] as number);
  }
  if (field === F.dl_vlan) {
    // All ones would mean "no tag".
    tmp[0] = (tmp[0] as number) & VLAN.VID_MASK;
  }
  fieldSet(field, tmp, wc, tab);
}

/** Un-wildcards a whole field (ovs: mf_mask_field). */
export function fieldMask(field: Field, wc: FlowKey, tab: TunTable | null = null): void {
  fieldMaskBits(field, allOnes(field), wc, tab);
}

/** Whether a field has another value than its default (ovs: mf_is_set). */
export function fieldIsSet(field: Field, key: FlowKey): boolean {
  if (field.tunMetadata >= 0) {
    return tunMdPresent(key, field.tunMetadata);
  }
  const tmp = scratch(field);
  fieldGetInto(field, key, tmp);
  return !isAllZero(tmp);
}

/**
 * Whether a key meets a field's prerequisites; the bits looked at are un-wildcarded in `wc`.
 * For a match pass its mask as `mask` and no `wc`. (ovs: mf_are_prereqs_ok__)
 */
export function fieldPrereqsOk(
  field: Field,
  key: FlowKey,
  wc: FlowKey | null = null,
  mask: FlowKey | null = null,
): boolean {
  const dlType = getDlType(key);
  const notLater = (get(key, K.nw_frag) & NW_FRAG.LATER) === 0;
  switch (field.prereq) {
    case "none":
      return true;
    case "ethernet":
      return isEthernet(key, wc);
    case "arp":
      return dlType === ETH_TYPE.ARP || dlType === ETH_TYPE.RARP;
    case "ipv4":
      return dlType === ETH_TYPE.IP;
    case "ipv6":
      return dlType === ETH_TYPE.IPV6;
    case "vlan_vid":
      return isVlan(key, wc);
    case "mpls":
      return dlType === ETH_TYPE.MPLS || dlType === ETH_TYPE.MPLS_MCAST;
    case "ip_any":
      return isIpAny(key);
    case "nsh":
      return dlType === ETH_TYPE.NSH;
    case "ct_valid":
      return isCtValid(key, mask, wc);
    case "tcp":
      return isIpProto(key, IP_PROTO.TCP, wc) && notLater;
    case "udp":
      return isIpProto(key, IP_PROTO.UDP, wc) && notLater;
    case "sctp":
      return isIpProto(key, IP_PROTO.SCTP, wc) && notLater;
    case "icmpv4":
      return isIcmpv4(key, wc);
    case "icmpv6":
      return isIcmpv6(key, wc);
    case "nd":
      return isNd(key, wc);
    case "nd_solicit":
      return isNd(key, wc) && get(key, K.tp_src) === ND_NEIGHBOR_SOLICIT;
    case "nd_advert":
      return isNd(key, wc) && get(key, K.tp_src) === ND_NEIGHBOR_ADVERT;
  }
}

/** Largest good value of the fields that do not take all values of their bytes. */
const LIMITS = new Map<Field, number>([
  [F.nw_tos, 0xff],
  [F.ip_dscp, 0x3f],
  [F.nw_ecn, 0x03],
  [F.ip_frag, 0x03],
  [F.tcp_flags, 0x0fff],
  [F.arp_op, 0x00ff],
  [F.dl_vlan, 0x0fff],
  [F.vlan_vid, 0x1fff],
  [F.dl_vlan_pcp, 7],
  [F.vlan_pcp, 7],
  [F.ipv6_label, IPV6_LABEL_MASK],
  [F.mpls_label, 0xfffff],
  [F.mpls_tc, 7],
  [F.mpls_bos, 1],
  [F.tun_flags, 1],
  [F.ct_state, 0xff],
  [F.nsh_ttl, 63],
  [F.nsh_spi, 0xffffff],
]);

/** Whether a value can stand in a match at all (ovs: mf_is_value_valid). */
export function fieldIsValueValid(field: Field, value: FieldValue): boolean {
  const n = value[0] as number;
  if (field.format === "port32") {
    return portFromOfp11(n) !== null;
  }
  if (field === F.nw_tos) {
    return (n & 3) === 0;
  }
  if (field === F.nsh_mdtype) {
    return n === 1 || n === 2;
  }
  const limit = LIMITS.get(field);
  return limit === undefined || n <= limit;
}

/** Whether a mask is one that the field takes (ovs: mf_is_mask_valid). */
export function fieldIsMaskValid(field: Field, mask: FieldValue): boolean {
  return field.maskable || isAllZero(mask) || isAllOnes(field, mask);
}

/** Fields that a frozen packet carries with it (ovs: mf_is_frozen_metadata). */
export function isFrozenMetadata(field: Field): boolean {
  return (
    (field.id >= F.tun_id.id && field.id <= F.in_port_oxm.id) ||
    (field.id >= F.reg0.id && field.id < F.eth_src.id)
  );
}

/** Fields that OpenFlow counts as belonging to the pipeline (ovs: mf_is_pipeline_field). */
export function isPipelineField(field: Field): boolean {
  if (field === F.tun_ttl || field === F.tun_tos) {
    return false;
  }
  return isFrozenMetadata(field) || field === F.packet_type;
}

/** Whether the field lies in the network header or above (ovs: mf_is_l3_or_higher). */
export function isL3OrHigher(field: Field): boolean {
  return field.id >= F.ip_src.id;
}
