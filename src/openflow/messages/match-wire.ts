// The fixed-size matches of OpenFlow 1.0 and 1.1, and the match of any version from 1.1 on.
//
// OpenFlow 1.0's match has 40 bytes with a bitmap of wildcards; IPv4 addresses have a count of
// wildcarded low bits in it. OpenFlow 1.1's has 88 bytes with a mask for most fields. Later versions
// use a list of OXM fields (openflow/oxm.ts). In memory the VLAN TCI has its CFI bit set where a
// header is there. "No Ethernet type" has the same number on the wire and in memory (ovs:
// lib/ofp-match.c).

import { type FlowKey, get, getU, isZero, K, set, type Slot } from "../../flow/flow-key.ts";
import {
  type Match,
  matchSlot,
  newMatch,
  setDefaultPacketType,
  zeroWildcarded,
} from "../../flow/match.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { type LogSink, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import { countCidrBits, prefixMask32 } from "../../lib/address.ts";
import { Cursor, getU16, type Writer } from "../../lib/bytes.ts";
import { ETH_TYPE } from "../../packet/ethernet.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import { oxmPullMatch, type OxmPullOptions } from "../oxm.ts";
import { oxmPutMatch } from "../oxm-put.ts";
import type { Decoded } from "./errors.ts";

/** Wildcard bits of OpenFlow 1.0. */
export const OFPFW10 = {
  IN_PORT: 1 << 0,
  DL_VLAN: 1 << 1,
  DL_SRC: 1 << 2,
  DL_DST: 1 << 3,
  DL_TYPE: 1 << 4,
  NW_PROTO: 1 << 5,
  TP_SRC: 1 << 6,
  TP_DST: 1 << 7,
  NW_SRC_SHIFT: 8,
  NW_DST_SHIFT: 14,
  NW_BITS: 0x3f,
  DL_VLAN_PCP: 1 << 20,
  NW_TOS: 1 << 21,
  ALL: (1 << 22) - 1,
} as const;
/** What a match has if it names anything but the input port. */
const DATA_BITS10 =
  OFPFW10.NW_TOS |
  OFPFW10.NW_PROTO |
  OFPFW10.TP_SRC |
  OFPFW10.TP_DST |
  OFPFW10.DL_SRC |
  OFPFW10.DL_DST |
  OFPFW10.DL_TYPE |
  OFPFW10.DL_VLAN |
  OFPFW10.DL_VLAN_PCP;
export const OFP10_MATCH_BYTES = 40;

const OFPFW11 = {
  IN_PORT: 1 << 0,
  DL_VLAN: 1 << 1,
  DL_VLAN_PCP: 1 << 2,
  DL_TYPE: 1 << 3,
  NW_TOS: 1 << 4,
  NW_PROTO: 1 << 5,
  TP_SRC: 1 << 6,
  TP_DST: 1 << 7,
  MPLS_LABEL: 1 << 8,
  MPLS_TC: 1 << 9,
} as const;
export const OFP11_MATCH_BYTES = 88;
const OFPMT_STANDARD = 0;
const OFPMT_OXM = 1;

const VLAN_NONE10 = 0xffff;
const VID11_NONE = 0xffff;
const VID11_ANY = 0xfffe;
const VLAN_CFI = 0x1000;
const VLAN_VID_MASK = 0x0fff;
const VLAN_PCP_MASK = 0xe000;
const VLAN_PCP_SHIFT = 13;
const DSCP_MASK = 0xfc;
const MPLS_LABEL_SHIFT = 12;
const MPLS_LABEL_MASK = 0xfffff000;
const MPLS_TC_SHIFT = 9;
const MPLS_TC_MASK = 0x00000e00;

/** The fields of an OpenFlow 1.0 match as they stand on the wire. */
export interface Ofp10Match {
  wildcards: number;
  inPort: number;
  dlSrc: readonly [number, number];
  dlDst: readonly [number, number];
  dlVlan: number;
  dlVlanPcp: number;
  dlType: number;
  nwTos: number;
  nwProto: number;
  nwSrc: number;
  nwDst: number;
  tpSrc: number;
  tpDst: number;
}

export function pullOfp10Match(c: Cursor): Ofp10Match {
  const wildcards = c.u32();
  const inPort = c.u16();
  const dlSrc = [c.u16(), c.u32()] as const;
  const dlDst = [c.u16(), c.u32()] as const;
  const [dlVlan, dlVlanPcp] = [c.u16(), c.u8()];
  c.skip(1);
  const [dlType, nwTos, nwProto] = [c.u16(), c.u8(), c.u8()];
  c.skip(2);
  const [nwSrc, nwDst, tpSrc, tpDst] = [c.u32(), c.u32(), c.u16(), c.u16()];
  const l2 = { wildcards, inPort, dlSrc, dlDst, dlVlan, dlVlanPcp, dlType };
  return { ...l2, nwTos, nwProto, nwSrc, nwDst, tpSrc, tpDst };
}

function wcBitsToMask(bits: number): number {
  const n = bits & OFPFW10.NW_BITS;
  return n < 32 ? prefixMask32(32 - n) : 0;
}

function setWords(key: FlowKey, slot: Slot, words: readonly number[]): void {
  for (const [i, w] of words.entries()) {
    key[slot.word + i] = w;
  }
}

const MAC_ONES = [0xffff, 0xffffffff] as const;

/** The mask of an OpenFlow 1.0 wildcard bitmap. */
function wildcardsFromOfp10(wildcards: number, wc: FlowKey): void {
  const exact = (bit: number, slot: Slot, mask: number): void => {
    if ((wildcards & bit) === 0) {
      set(wc, slot, get(wc, slot) | mask);
    }
  };
  exact(OFPFW10.IN_PORT, K.in_port, 0xffff);
  exact(OFPFW10.NW_TOS, K.nw_tos, DSCP_MASK);
  exact(OFPFW10.NW_PROTO, K.nw_proto, 0xff);
  set(wc, K.nw_src, wcBitsToMask(wildcards >>> OFPFW10.NW_SRC_SHIFT));
  set(wc, K.nw_dst, wcBitsToMask(wildcards >>> OFPFW10.NW_DST_SHIFT));
  exact(OFPFW10.TP_SRC, K.tp_src, 0xffff);
  exact(OFPFW10.TP_DST, K.tp_dst, 0xffff);
  if ((wildcards & OFPFW10.DL_SRC) === 0) {
    setWords(wc, K.dl_src, MAC_ONES);
  }
  if ((wildcards & OFPFW10.DL_DST) === 0) {
    setWords(wc, K.dl_dst, MAC_ONES);
  }
  exact(OFPFW10.DL_TYPE, K.dl_type, 0xffff);
  exact(OFPFW10.DL_VLAN_PCP, K.vlan_tci, VLAN_PCP_MASK | VLAN_CFI);
  exact(OFPFW10.DL_VLAN, K.vlan_tci, VLAN_VID_MASK | VLAN_CFI);
}

export function matchFromOfp10(om: Ofp10Match): Match {
  const m = newMatch();
  const w = om.wildcards & OFPFW10.ALL;
  wildcardsFromOfp10(w, m.wc);
  const addresses = getU(m.wc, K.nw_src) !== 0 || getU(m.wc, K.nw_dst) !== 0;
  if ((w & DATA_BITS10) !== DATA_BITS10 || addresses) {
    setDefaultPacketType(m);
  }
  set(m.flow, K.nw_src, om.nwSrc);
  set(m.flow, K.nw_dst, om.nwDst);
  set(m.flow, K.in_port, om.inPort);
  set(m.flow, K.dl_type, om.dlType);
  set(m.flow, K.tp_src, om.tpSrc);
  set(m.flow, K.tp_dst, om.tpDst);
  setWords(m.flow, K.dl_src, om.dlSrc);
  setWords(m.flow, K.dl_dst, om.dlDst);
  set(m.flow, K.nw_tos, om.nwTos & DSCP_MASK);
  set(m.flow, K.nw_proto, om.nwProto);
  if ((w & OFPFW10.DL_VLAN) === 0 && om.dlVlan === VLAN_NONE10) {
    set(m.flow, K.vlan_tci, 0);
    set(m.wc, K.vlan_tci, 0xffff);
  } else {
    const pcp = (om.dlVlanPcp << VLAN_PCP_SHIFT) & VLAN_PCP_MASK;
    set(m.flow, K.vlan_tci, (om.dlVlan & VLAN_VID_MASK) | pcp | VLAN_CFI);
  }
  zeroWildcarded(m);
  return m;
}

function maskToWcBits(mask: number): number {
  return 32 - countCidrBits(mask);
}

/** VLAN id, priority and the wildcard bits of a TCI, in the way of OpenFlow 1.0. */
function vlanToOfp10(m: Match): { vid: number; pcp: number; wildcards: number } {
  const mask = get(m.wc, K.vlan_tci);
  const tci = get(m.flow, K.vlan_tci);
  if (mask === 0) {
    return { vid: 0, pcp: 0, wildcards: OFPFW10.DL_VLAN | OFPFW10.DL_VLAN_PCP };
  }
  if ((mask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    return { vid: VLAN_NONE10, pcp: 0, wildcards: 0 };
  }
  const noVid = (mask & VLAN_VID_MASK) === 0;
  const noPcp = (mask & VLAN_PCP_MASK) === 0;
  return {
    vid: noVid ? 0 : tci & VLAN_VID_MASK,
    pcp: noPcp ? 0 : tci >> VLAN_PCP_SHIFT,
    wildcards: (noVid ? OFPFW10.DL_VLAN : 0) | (noPcp ? OFPFW10.DL_VLAN_PCP : 0),
  };
}

function words2(key: FlowKey, slot: Slot): readonly [number, number] {
  return [key[slot.word] ?? 0, key[slot.word + 1] ?? 0];
}

/** What OpenFlow 1.0 can say of a match; the rest is lost. */
function matchToOfp10(m: Match): Ofp10Match {
  const { flow, wc } = m;
  const vlan = vlanToOfp10(m);
  const bit = (b: number, wild: boolean): number => (wild ? b : 0);
  const wildcards =
    vlan.wildcards |
    bit(OFPFW10.IN_PORT, isZero(wc, K.in_port)) |
    bit(OFPFW10.DL_TYPE, isZero(wc, K.dl_type)) |
    bit(OFPFW10.NW_PROTO, isZero(wc, K.nw_proto)) |
    (maskToWcBits(getU(wc, K.nw_src)) << OFPFW10.NW_SRC_SHIFT) |
    (maskToWcBits(getU(wc, K.nw_dst)) << OFPFW10.NW_DST_SHIFT) |
    bit(OFPFW10.NW_TOS, (get(wc, K.nw_tos) & DSCP_MASK) === 0) |
    bit(OFPFW10.TP_SRC, isZero(wc, K.tp_src)) |
    bit(OFPFW10.TP_DST, isZero(wc, K.tp_dst)) |
    bit(OFPFW10.DL_SRC, isZero(wc, K.dl_src)) |
    bit(OFPFW10.DL_DST, isZero(wc, K.dl_dst));
  return {
    wildcards,
    inPort: get(flow, K.in_port) & 0xffff,
    dlSrc: words2(flow, K.dl_src),
    dlDst: words2(flow, K.dl_dst),
    dlVlan: vlan.vid,
    dlVlanPcp: vlan.pcp,
    dlType: get(flow, K.dl_type),
    nwTos: get(flow, K.nw_tos) & DSCP_MASK,
    nwProto: get(flow, K.nw_proto),
    nwSrc: getU(flow, K.nw_src),
    nwDst: getU(flow, K.nw_dst),
    tpSrc: get(flow, K.tp_src),
    tpDst: get(flow, K.tp_dst),
  };
}

export function putOfp10Match(w: Writer, m: Match): void {
  const om = matchToOfp10(m);
  w.u32(om.wildcards).u16(om.inPort);
  w.u16(om.dlSrc[0]).u32(om.dlSrc[1]).u16(om.dlDst[0]).u32(om.dlDst[1]);
  w.u16(om.dlVlan).u8(om.dlVlanPcp).zeros(1).u16(om.dlType).u8(om.nwTos).u8(om.nwProto).zeros(2);
  w.u32(om.nwSrc).u32(om.nwDst).u16(om.tpSrc).u16(om.tpDst);
}

/** The parts of an OpenFlow 1.1 match behind its header, in their order. */
interface Ofp11Match {
  readonly inPort: number;
  readonly wildcards: number;
  readonly macs: readonly number[];
  readonly dlVlan: number;
  readonly dlVlanPcp: number;
  readonly dlType: number;
  readonly nwTos: number;
  readonly nwProto: number;
  readonly nw: readonly number[];
  readonly tpSrc: number;
  readonly tpDst: number;
  readonly mplsLabel: number;
  readonly mplsTc: number;
  readonly metadata: readonly number[];
}

function pullOfp11(c: Cursor): Ofp11Match {
  c.skip(4);
  const [inPort, wildcards] = [c.u32(), c.u32()];
  const macs = Array.from({ length: 4 }, () => [c.u16(), c.u32()]).flat();
  const [dlVlan, dlVlanPcp] = [c.u16(), c.u8()];
  c.skip(1);
  const [dlType, nwTos, nwProto] = [c.u16(), c.u8(), c.u8()];
  const nw = Array.from({ length: 4 }, () => c.u32());
  const [tpSrc, tpDst, mplsLabel, mplsTc] = [c.u16(), c.u16(), c.u32(), c.u8()];
  c.skip(3);
  const metadata = Array.from({ length: 4 }, () => c.u32());
  const l2 = { inPort, wildcards, macs, dlVlan, dlVlanPcp, dlType };
  return { ...l2, nwTos, nwProto, nw, tpSrc, tpDst, mplsLabel, mplsTc, metadata };
}

/** Sets a masked slot of several words; the wire's masks have ones where bits do not count. */
function setInverted(
  m: Match,
  slot: Slot,
  value: readonly number[],
  wild: readonly number[],
): void {
  for (const [i, v] of value.entries()) {
    const full = slot.bits % 32 !== 0 && i === 0 ? 0xffff : 0xffffffff;
    const mask = (~(wild[i] ?? 0) & full) >>> 0;
    m.wc[slot.word + i] = mask;
    m.flow[slot.word + i] = (v & mask) >>> 0;
  }
}

/** Ethernet part of an OpenFlow 1.1 match; an error's name if it is bad. */
function ethFromOfp11(om: Ofp11Match, m: Match): Decoded<Match> {
  const wild = (bit: number): boolean => (om.wildcards & bit) !== 0;
  const [sHi = 0, sLo = 0, swHi = 0, swLo = 0, dHi = 0, dLo = 0, dwHi = 0, dwLo = 0] = om.macs;
  if (swHi !== 0xffff || swLo !== 0xffffffff || dwHi !== 0xffff || dwLo !== 0xffffffff) {
    setInverted(m, K.dl_src, [sHi, sLo], [swHi, swLo]);
    setInverted(m, K.dl_dst, [dHi, dLo], [dwHi, dwLo]);
    setDefaultPacketType(m);
  }
  if (!wild(OFPFW11.DL_VLAN)) {
    if (om.dlVlan === VID11_NONE) {
      matchSlot(m, K.vlan_tci, 0, 0xffff);
    } else {
      const any = om.dlVlan === VID11_ANY;
      const pcp = !wild(OFPFW11.DL_VLAN_PCP);
      if ((!any && om.dlVlan > VLAN_VID_MASK) || (pcp && om.dlVlanPcp > 7)) {
        return "OFPBMC_BAD_VALUE";
      }
      const value = VLAN_CFI | (any ? 0 : om.dlVlan) | (pcp ? om.dlVlanPcp << VLAN_PCP_SHIFT : 0);
      const mask = VLAN_CFI | (any ? 0 : VLAN_VID_MASK) | (pcp ? VLAN_PCP_MASK : 0);
      matchSlot(m, K.vlan_tci, value, mask);
    }
    setDefaultPacketType(m);
  }
  if (!wild(OFPFW11.DL_TYPE)) {
    matchSlot(m, K.dl_type, om.dlType);
    setDefaultPacketType(m);
  }
  return m;
}

function ipFromOfp11(om: Ofp11Match, m: Match): Decoded<Match> {
  const wild = (bit: number): boolean => (om.wildcards & bit) !== 0;
  const dlType = get(m.flow, K.dl_type);
  const ipv4 = dlType === ETH_TYPE.IP;
  if (ipv4 && !wild(OFPFW11.NW_TOS)) {
    if ((om.nwTos & ~DSCP_MASK) !== 0) {
      return "OFPBMC_BAD_VALUE";
    }
    matchSlot(m, K.nw_tos, om.nwTos, DSCP_MASK);
  }
  if (ipv4 || dlType === ETH_TYPE.ARP || dlType === ETH_TYPE.RARP) {
    if (!wild(OFPFW11.NW_PROTO)) {
      matchSlot(m, K.nw_proto, om.nwProto);
    }
    const [src = 0, srcWild = 0, dst = 0, dstWild = 0] = om.nw;
    matchSlot(m, K.nw_src, src, ~srcWild);
    matchSlot(m, K.nw_dst, dst, ~dstWild);
  }
  return ipv4 ? l4FromOfp11(om, m) : m;
}

function l4FromOfp11(om: Ofp11Match, m: Match): Decoded<Match> {
  const proto = get(m.flow, K.nw_proto);
  const icmp = proto === IP_PROTO.ICMP;
  if (!icmp && proto !== IP_PROTO.TCP && proto !== IP_PROTO.UDP && proto !== IP_PROTO.SCTP) {
    return m;
  }
  for (const [bit, slot, value] of [
    [OFPFW11.TP_SRC, K.tp_src, om.tpSrc],
    [OFPFW11.TP_DST, K.tp_dst, om.tpDst],
  ] as const) {
    if ((om.wildcards & bit) === 0) {
      if (icmp && value > 0xff) {
        return "OFPBMC_BAD_FIELD";
      }
      matchSlot(m, slot, value);
    }
  }
  return m;
}

function matchFromOfp11(om: Ofp11Match, log: LogSink | null): Decoded<Match> {
  const m = newMatch();
  const wild = (bit: number): boolean => (om.wildcards & bit) !== 0;
  if (!wild(OFPFW11.IN_PORT)) {
    const port = portFromOfp11(om.inPort, log);
    if (port === null) {
      return "OFPBMC_BAD_VALUE";
    }
    matchSlot(m, K.in_port, port, 0xffff);
  }
  const eth = ethFromOfp11(om, m);
  const ip = typeof eth === "string" ? eth : ipFromOfp11(om, m);
  if (typeof ip === "string") {
    return ip;
  }
  const dlType = get(m.flow, K.dl_type);
  if (dlType === ETH_TYPE.MPLS || dlType === ETH_TYPE.MPLS_MCAST) {
    const label = wild(OFPFW11.MPLS_LABEL) ? 0 : MPLS_LABEL_MASK;
    const tc = wild(OFPFW11.MPLS_TC) ? 0 : MPLS_TC_MASK;
    const lse = (om.mplsLabel << MPLS_LABEL_SHIFT) | ((om.mplsTc & 7) << MPLS_TC_SHIFT);
    matchSlot(m, K.mpls_lse, lse & (label | tc), label | tc);
  }
  const [hi = 0, lo = 0, wildHi = 0, wildLo = 0] = om.metadata;
  setInverted(m, K.metadata, [hi, lo], [wildHi, wildLo]);
  return m;
}

function inverted(key: FlowKey, slot: Slot): readonly [number, number] {
  const [hi, lo] = words2(key, slot);
  return [(~hi & (slot.bits % 32 !== 0 ? 0xffff : 0xffffffff)) >>> 0, ~lo >>> 0];
}

/** What OpenFlow 1.1 can say of a match; the rest is lost. */
export function putOfp11StandardMatch(w: Writer, m: Match): void {
  const { flow, wc } = m;
  let wildcards = 0;
  const exact = (bit: number, mask: number, value: number): number => {
    wildcards |= mask === 0 ? bit : 0;
    return mask === 0 ? 0 : value;
  };
  const inPort = exact(OFPFW11.IN_PORT, get(wc, K.in_port), portToOfp11(get(flow, K.in_port)));
  const vlan = vlanToOfp11(m);
  wildcards |= vlan.wildcards;
  const dlType = exact(OFPFW11.DL_TYPE, get(wc, K.dl_type), get(flow, K.dl_type));
  const tos = get(flow, K.nw_tos) & DSCP_MASK;
  const nwTos = exact(OFPFW11.NW_TOS, get(wc, K.nw_tos) & DSCP_MASK, tos);
  const nwProto = exact(OFPFW11.NW_PROTO, get(wc, K.nw_proto), get(flow, K.nw_proto));
  const tpSrc = exact(OFPFW11.TP_SRC, get(wc, K.tp_src), get(flow, K.tp_src));
  const tpDst = exact(OFPFW11.TP_DST, get(wc, K.tp_dst), get(flow, K.tp_dst));
  const lse = getU(flow, K.mpls_lse);
  const lseMask = getU(wc, K.mpls_lse);
  const label = exact(OFPFW11.MPLS_LABEL, lseMask & MPLS_LABEL_MASK, lse >>> MPLS_LABEL_SHIFT);
  const tc = exact(OFPFW11.MPLS_TC, lseMask & MPLS_TC_MASK, (lse >>> MPLS_TC_SHIFT) & 7);
  w.u16(OFPMT_STANDARD).u16(OFP11_MATCH_BYTES).u32(inPort).u32(wildcards);
  for (const slot of [K.dl_src, K.dl_dst]) {
    const [hi, lo] = words2(flow, slot);
    const [wildHi, wildLo] = inverted(wc, slot);
    w.u16(hi).u32(lo).u16(wildHi).u32(wildLo);
  }
  w.u16(vlan.vid).u8(vlan.pcp).zeros(1).u16(dlType).u8(nwTos).u8(nwProto);
  w.u32(getU(flow, K.nw_src)).u32(~getU(wc, K.nw_src));
  w.u32(getU(flow, K.nw_dst)).u32(~getU(wc, K.nw_dst));
  w.u16(tpSrc).u16(tpDst).u32(label).u8(tc).zeros(3);
  for (const v of [...words2(flow, K.metadata), ...inverted(wc, K.metadata)]) {
    w.u32(v);
  }
}

function vlanToOfp11(m: Match): { vid: number; pcp: number; wildcards: number } {
  const mask = get(m.wc, K.vlan_tci);
  const tci = get(m.flow, K.vlan_tci);
  if (mask === 0) {
    return { vid: 0, pcp: 0, wildcards: OFPFW11.DL_VLAN | OFPFW11.DL_VLAN_PCP };
  }
  if ((mask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    return { vid: VID11_NONE, pcp: 0, wildcards: OFPFW11.DL_VLAN_PCP };
  }
  const noPcp = (mask & VLAN_PCP_MASK) === 0;
  return {
    vid: (mask & VLAN_VID_MASK) === 0 ? VID11_ANY : tci & VLAN_VID_MASK,
    pcp: noPcp ? 0 : tci >> VLAN_PCP_SHIFT,
    wildcards: noPcp ? OFPFW11.DL_VLAN_PCP : 0,
  };
}

/** The match in a message of OpenFlow 1.1 or later (ovs: ofputil_put_ofp11_match). */
export function putOfp11Match(w: Writer, m: Match, version: OfVersion): void {
  if (version === OFP.v11) {
    putOfp11StandardMatch(w, m);
  } else {
    oxmPutMatch(w, m, version);
  }
}

/** Takes a standard or an OXM match, whichever the message has (ovs: ofputil_pull_ofp11_match). */
export function pullOfp11Match(
  c: Cursor,
  opts: OxmPullOptions = {},
  log: LogSink | null = null,
): Decoded<Match> {
  if (c.left < 4) {
    return "OFPBMC_BAD_LEN";
  }
  const type = getU16(c.bytes, c.pos);
  if (type === OFPMT_OXM) {
    return oxmPullMatch(c, { log, ...opts });
  }
  if (type !== OFPMT_STANDARD) {
    return "OFPBMC_BAD_TYPE";
  }
  if (getU16(c.bytes, c.pos + 2) !== OFP11_MATCH_BYTES || c.left < OFP11_MATCH_BYTES) {
    return "OFPBMC_BAD_LEN";
  }
  const bytes = new Cursor(c.bytes, c.take(OFP11_MATCH_BYTES), c.pos);
  return matchFromOfp11(pullOfp11(bytes), log);
}
