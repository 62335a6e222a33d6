// Writing a match as NXM or OXM, the list of entries that oxm.ts reads.
//
// The order of the entries is Open vSwitch's, which controllers and recorded messages show: packet
// type, metadata, then the headers from the outside in. "Version 0" stands for NXM.
// (ovs: lib/nx-match.c nx_put_raw)

import type { FieldValue } from "../flow/field-value.ts";
import { getDlType, isIcmpv4, isIcmpv6, isIpAny, isNd, VLAN } from "../flow/flow-is.ts";
import { F, FIELDS, type Field } from "../flow/fields.ts";
import { type FlowKey, get, K, type Slot } from "../flow/flow-key.ts";
import { hasDefaultPacketType, type Match, tunMdLocOf } from "../flow/match.ts";
import { portToOfp11 } from "../flow/ofp-port.ts";
import { OFP } from "../flow/of-version.ts";
import { REG_COUNT } from "../flow/slots.ts";
import { readTunMd, tunMdPresent } from "../flow/tun-metadata.ts";
import { Writer } from "../lib/bytes.ts";
import { type OxmVersion, putOxmEntry, putRawOxmEntry } from "./oxm-field.ts";

/** Type of a match in an OpenFlow 1.1+ message: OXM (1.2 and later). */
export const OFPMT_OXM = 1;
/** Bytes of the header in front of an OXM match. */
export const OXM_MATCH_HEADER_BYTES = 4;
/** Header word of NXM_NX_COOKIE, and of its form with mask. */
export const NXM_NX_COOKIE = ((1 << 16) | (30 << 9) | 8) >>> 0;
export const NXM_NX_COOKIE_W = ((1 << 16) | (30 << 9) | 0x100 | 16) >>> 0;

const U64_MAX = 0xffff_ffff_ffff_ffffn;
const ETH_MPLS = 0x8847;
const ETH_MPLS_MCAST = 0x8848;
const ETH_ARP = 0x0806;
const ETH_RARP = 0x8035;
const ETH_IP = 0x0800;
const PROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
const ND_SOLICIT = 135;
const ND_ADVERT = 136;
const IP_DSCP_MASK = 0xfc;
const IP_ECN_MASK = 0x03;

/** Writes the entries of one match. */
class Putter {
  readonly out: Writer;
  readonly version: OxmVersion;
  readonly flow: FlowKey;
  readonly wc: FlowKey;
  impliedEthernet = false;

  constructor(out: Writer, version: OxmVersion, m: Match) {
    this.out = out;
    this.version = version;
    this.flow = m.flow;
    this.wc = m.wc;
  }

  /** An entry with this value; the mask is dropped if it is all ones. */
  entry(field: Field, value: FieldValue, mask: FieldValue | null): void {
    putOxmEntry(this.out, field, this.version, value, mask);
    this.impliedEthernet ||= field.prereq !== "none";
  }

  exact(field: Field, value: number): void {
    this.entry(field, Uint32Array.of(value), null);
  }

  /** An entry unless the mask is 0. */
  masked(field: Field, value: number, mask: number): void {
    if (mask !== 0) {
      this.entry(field, Uint32Array.of(value), Uint32Array.of(mask));
    }
  }

  /** An entry of a slot that has the field's width, unless its mask is 0. */
  slot(field: Field, slot: Slot = field.slot): void {
    if (slot.words === 1) {
      this.masked(field, get(this.flow, slot) >>> 0, get(this.wc, slot) >>> 0);
      return;
    }
    const end = slot.word + field.words;
    const mask = this.wc.subarray(slot.word, end);
    if (mask.some((w) => w !== 0)) {
      this.entry(field, this.flow.subarray(slot.word, end), mask);
    }
  }
}

/** Appends the entries of a match; returns their length. (ovs: nx_put_raw) */
function putRaw(
  out: Writer,
  version: OxmVersion,
  m: Match,
  cookie: { readonly value: bigint; readonly mask: bigint },
): number {
  // The packet type stands first, and whether it is needed shows only at the end.
  const body = new Writer();
  const p = new Putter(body, version, m);
  const typeMask = m.wc[K.packet_type.word] as number;
  if (typeMask !== 0 && !hasDefaultPacketType(m)) {
    p.masked(F.packet_type, m.flow[K.packet_type.word] as number, typeMask);
  }
  putMetadata(p);
  p.slot(F.eth_src);
  p.slot(F.eth_dst);
  p.slot(F.eth_type);
  putVlan(p);
  putMpls(p);
  putL3(p);
  putTunnel(p, m);
  putNsh(p);
  putRegs(p);
  putConntrack(p);
  p.slot(F.metadata);
  putCookie(body, cookie);
  const start = out.length;
  if (hasDefaultPacketType(m) && !p.impliedEthernet) {
    putOxmEntry(out, F.packet_type, version, Uint32Array.of(0), null);
  }
  out.put(body.view());
  return out.length - start;
}

function putMetadata(p: Putter): void {
  p.slot(F.dp_hash);
  for (const field of [F.recirc_id, F.conj_id]) {
    if (p.wc[field.slot.word] !== 0) {
      p.exact(field, p.flow[field.slot.word] as number);
    }
  }
  if (get(p.wc, K.in_port) !== 0) {
    const port = get(p.flow, K.in_port);
    if (p.version === 0) {
      p.exact(F.in_port, port & 0xffff);
    } else {
      p.exact(F.in_port_oxm, portToOfp11(port & 0xffff));
    }
  }
  if (get(p.wc, K.actset_output) !== 0) {
    p.exact(F.actset_output, portToOfp11(get(p.flow, K.actset_output) & 0xffff));
  }
}

function putVlan(p: Putter): void {
  const tci = get(p.flow, K.vlan_tci);
  const mask = get(p.wc, K.vlan_tci);
  if (p.version === 0) {
    p.masked(F.vlan_tci, tci, mask);
    return;
  }
  const vidCfi = VLAN.VID_MASK | VLAN.CFI;
  const vid = tci & vidCfi;
  const vidMask = mask & vidCfi;
  if (vidMask === vidCfi) {
    p.exact(F.vlan_vid, vid);
  } else {
    p.masked(F.vlan_vid, vid, vidMask);
  }
  if (vid !== 0 && mask >>> VLAN.PCP_SHIFT !== 0) {
    p.exact(F.vlan_pcp, tci >>> VLAN.PCP_SHIFT);
  }
}

function putMpls(p: Putter): void {
  const dlType = getDlType(p.flow);
  if (dlType !== ETH_MPLS && dlType !== ETH_MPLS_MCAST) {
    return;
  }
  const lse = p.flow[K.mpls_lse.word] as number;
  const mask = p.wc[K.mpls_lse.word] as number;
  const put = (field: Field) => {
    const bits = 2 ** field.bits - 1;
    if (((mask >>> field.lsb) & bits) !== 0) {
      p.exact(field, (lse >>> field.lsb) & bits);
    }
  };
  put(F.mpls_tc);
  put(F.mpls_bos);
  put(F.mpls_ttl);
  put(F.mpls_label);
}

function putL3(p: Putter): void {
  const dlType = getDlType(p.flow);
  if (isIpAny(p.flow)) {
    putIp(p, dlType);
  } else if (dlType === ETH_ARP || dlType === ETH_RARP) {
    if (get(p.wc, K.nw_proto) !== 0) {
      p.exact(F.arp_op, get(p.flow, K.nw_proto));
    }
    p.slot(F.arp_spa);
    p.slot(F.arp_tpa);
    p.slot(F.arp_sha);
    p.slot(F.arp_tha);
  }
}

function putIp(p: Putter, dlType: number): void {
  const v4 = dlType === ETH_IP;
  p.slot(v4 ? F.ip_src : F.ipv6_src);
  p.slot(v4 ? F.ip_dst : F.ipv6_dst);
  const fragMask = get(p.wc, K.nw_frag) & 3;
  p.masked(F.ip_frag, get(p.flow, K.nw_frag) & 3, fragMask === 3 ? 0xff : fragMask);
  const tos = get(p.flow, K.nw_tos);
  const tosMask = get(p.wc, K.nw_tos);
  if ((tosMask & IP_DSCP_MASK) !== 0) {
    if (p.version === 0) {
      p.exact(F.nw_tos, tos & IP_DSCP_MASK);
    } else {
      p.exact(F.ip_dscp, tos >>> 2);
    }
  }
  if ((tosMask & IP_ECN_MASK) !== 0) {
    p.exact(F.nw_ecn, tos & IP_ECN_MASK);
  }
  if (get(p.wc, K.nw_ttl) !== 0) {
    p.exact(F.nw_ttl, get(p.flow, K.nw_ttl));
  }
  p.slot(F.ipv6_label);
  if (get(p.wc, K.nw_proto) !== 0) {
    p.exact(F.nw_proto, get(p.flow, K.nw_proto));
    putL4(p);
  }
}

function putL4(p: Putter): void {
  switch (get(p.flow, K.nw_proto)) {
    case PROTO.tcp:
      p.slot(F.tcp_src);
      p.slot(F.tcp_dst);
      p.slot(F.tcp_flags);
      return;
    case PROTO.udp:
      p.slot(F.udp_src);
      p.slot(F.udp_dst);
      return;
    case PROTO.sctp:
      p.slot(F.sctp_src);
      p.slot(F.sctp_dst);
      return;
    default:
      if (isIcmpv4(p.flow, null)) {
        putIcmp(p, F.icmp_type, F.icmp_code);
      } else if (isIcmpv6(p.flow, null)) {
        putIcmp(p, F.icmpv6_type, F.icmpv6_code);
        putNd(p);
      }
  }
}

function putIcmp(p: Putter, type: Field, code: Field): void {
  if (get(p.wc, K.tp_src) !== 0) {
    p.exact(type, get(p.flow, K.tp_src) & 0xff);
  }
  if (get(p.wc, K.tp_dst) !== 0) {
    p.exact(code, get(p.flow, K.tp_dst) & 0xff);
  }
}

function putNd(p: Putter): void {
  if (!isNd(p.flow, null)) {
    return;
  }
  if (get(p.wc, K.igmp_group_ip4) !== 0) {
    p.exact(F.nd_reserved, p.flow[K.igmp_group_ip4.word] as number);
  }
  p.slot(F.nd_target);
  if (get(p.wc, K.tcp_flags) !== 0) {
    p.exact(F.nd_options_type, get(p.flow, K.tcp_flags) & 0xff);
  }
  const type = get(p.flow, K.tp_src);
  if (type === ND_SOLICIT) {
    p.slot(F.nd_sll);
  } else if (type === ND_ADVERT) {
    p.slot(F.nd_tll);
  }
}

function putTunnel(p: Putter, m: Match): void {
  for (const field of [
    F.tun_id,
    F.tun_flags,
    F.tun_src,
    F.tun_dst,
    F.tun_ipv6_src,
    F.tun_ipv6_dst,
    F.tun_gbp_id,
    F.tun_gbp_flags,
  ]) {
    p.slot(field);
  }
  putTunMetadata(p, m);
  for (const field of [
    F.tun_erspan_idx,
    F.tun_erspan_ver,
    F.tun_erspan_dir,
    F.tun_erspan_hwid,
    F.tun_gtpu_flags,
    F.tun_gtpu_msgtype,
  ]) {
    p.slot(field);
  }
}

/** Tunnel options do not count as implying Ethernet (ovs: tun_metadata_to_nx_match). */
function putTunMetadata(p: Putter, m: Match): void {
  const w = K.tun_md_present.word;
  if (p.wc[w] === 0 && p.wc[w + 1] === 0) {
    return;
  }
  for (const field of FIELDS) {
    if (field.tunMetadata < 0 || !tunMdPresent(p.wc, field.tunMetadata)) {
      continue;
    }
    const place = tunMdLocOf(m, field.tunMetadata);
    if (place !== null) {
      const mask = place.masked ? readTunMd(p.wc, place.loc) : null;
      putRawOxmEntry(p.out, field, p.version, readTunMd(p.flow, place.loc), mask);
    }
  }
}

function putNsh(p: Putter): void {
  p.slot(F.nsh_flags);
  p.slot(F.nsh_ttl);
  p.slot(F.nsh_mdtype);
  p.slot(F.nsh_np);
  const path = p.flow[K.nsh_path_hdr.word] as number;
  const mask = p.wc[K.nsh_path_hdr.word] as number;
  p.masked(F.nsh_spi, path >>> 8, mask >>> 8 === 0xffffff ? 0xffffffff : mask >>> 8);
  p.masked(F.nsh_si, path & 0xff, mask & 0xff);
  p.slot(F.nsh_c1);
  p.slot(F.nsh_c2);
  p.slot(F.nsh_c3);
  p.slot(F.nsh_c4);
}

const REG_FIELDS = FIELDS.slice(F.reg0.id, F.reg0.id + REG_COUNT);
const XREG_FIELDS = FIELDS.slice(F.xreg0.id, F.xreg0.id + REG_COUNT / 2);

function putRegs(p: Putter): void {
  if (p.version < OFP.v15) {
    for (const field of REG_FIELDS) {
      p.slot(field);
    }
    return;
  }
  for (const field of XREG_FIELDS) {
    const w = field.slot.word;
    const mask = p.wc.subarray(w, w + 2);
    if (((mask[0] as number) | (mask[1] as number)) !== 0) {
      p.entry(field, p.flow.subarray(w, w + 2), mask);
    }
  }
}

function putConntrack(p: Putter): void {
  p.slot(F.pkt_mark);
  p.slot(F.ct_state);
  p.slot(F.ct_zone);
  p.slot(F.ct_mark);
  p.slot(F.ct_label);
  p.slot(F.ct_nw_src);
  p.slot(F.ct_ipv6_src);
  p.slot(F.ct_nw_dst);
  p.slot(F.ct_ipv6_dst);
  if (get(p.flow, K.ct_nw_proto) !== 0) {
    p.slot(F.ct_nw_proto);
    p.slot(F.ct_tp_src);
    p.slot(F.ct_tp_dst);
  }
}

function putCookie(out: Writer, c: { readonly value: bigint; readonly mask: bigint }): void {
  if (c.mask === 0n) {
    return;
  }
  const masked = c.mask !== U64_MAX;
  out.u32(masked ? NXM_NX_COOKIE_W : NXM_NX_COOKIE);
  out.u64(c.value & c.mask);
  if (masked) {
    out.u64(c.mask);
  }
}

const NO_COOKIE = { value: 0n, mask: 0n } as const;

/** Appends an NXM match, padded to 8 bytes; returns its length without padding (nx_put_match). */
export function nxPutMatch(out: Writer, m: Match, cookie = 0n, cookieMask = 0n): number {
  const n = putRaw(out, 0, m, { value: cookie, mask: cookieMask });
  out.zeros(-n & 7);
  return n;
}

/** Appends an OXM match with header and padding; returns its length without padding. */
export function oxmPutMatch(out: Writer, m: Match, version: OxmVersion): number {
  const start = out.reserve(OXM_MATCH_HEADER_BYTES);
  const n = putRaw(out, version, m, NO_COOKIE) + OXM_MATCH_HEADER_BYTES;
  out.patchU16(start, OFPMT_OXM);
  out.patchU16(start + 2, n);
  out.zeros(-n & 7);
  return n;
}

/** Appends only the entries (ovs: oxm_put_raw). */
export function oxmPutRaw(out: Writer, m: Match, version: OxmVersion): void {
  putRaw(out, version, m, NO_COOKIE);
}
