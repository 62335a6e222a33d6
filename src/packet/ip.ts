// IPv4 and IPv6: offsets, checks, extension headers, fragments, and setting fields with all
// checksums that depend on them.
//
// References: RFC 791 §3.1, RFC 8200 §3 and §4; ovs: lib/packets.c packet_set_ipv4,
// packet_set_ipv6, packet_rh_present; lib/flow.c ipv4_sanity_check, parse_ipv6_ext_hdrs.

import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { csumAdd16, csumContinue, recalcCsum16, recalcCsum32 } from "../lib/checksum.ts";
import { ICMP } from "./icmp-header.ts";
import { fixZeroUdpCsum, TCP, UDP } from "./l4.ts";
import type { PacketBuf } from "./packet.ts";

/** Byte offsets from the start of the header. */
export const IPV4 = {
  VER_IHL: 0,
  TOS: 1,
  TOT_LEN: 2,
  ID: 4,
  FRAG_OFF: 6,
  TTL: 8,
  PROTO: 9,
  CSUM: 10,
  SRC: 12,
  DST: 16,
  HEADER_BYTES: 20,
} as const;

/** Bits of FRAG_OFF. */
export const IPV4_FRAG = { DF: 0x4000, MF: 0x2000, OFS_MASK: 0x1fff } as const;

export const IPV6 = {
  VER_TC_FL: 0,
  PLEN: 4,
  NEXT: 6,
  HLIM: 7,
  SRC: 8,
  DST: 24,
  HEADER_BYTES: 40,
  LABEL_MASK: 0x000fffff,
} as const;

/** The fragment extension header. */
export const IPV6_FRAG = {
  NEXT: 0,
  OFFLG: 2,
  ID: 4,
  BYTES: 8,
  OFS_MASK: 0xfff8,
  MORE: 1,
} as const;

export const IP_PROTO = {
  HOPOPTS: 0,
  ICMP: 1,
  IGMP: 2,
  IPIP: 4,
  TCP: 6,
  UDP: 17,
  ROUTING: 43,
  FRAGMENT: 44,
  GRE: 47,
  AH: 51,
  ICMPV6: 58,
  DSTOPTS: 60,
  SCTP: 132,
} as const;

/** Bits of `nw_frag` (ovs: FLOW_NW_FRAG_*). */
export const NW_FRAG = { ANY: 1, LATER: 2, MASK: 3 } as const;

export const IP_DSCP_MASK = 0xfc;
export const IP_ECN_MASK = 0x03;
export const IP_ECN_CE = 0x03;

/** Smallest extension header; fields beyond these bytes are not looked at. */
const EXT_BYTES_MIN = 8;

export function isIpv6Ext(proto: number): boolean {
  return (
    proto === IP_PROTO.HOPOPTS ||
    proto === IP_PROTO.ROUTING ||
    proto === IP_PROTO.DSTOPTS ||
    proto === IP_PROTO.AH ||
    proto === IP_PROTO.FRAGMENT
  );
}

/** Bytes of the extension header at `at`, from its length field. */
export function ipv6ExtBytes(proto: number, b: Uint8Array, at: number): number {
  const len = b[at + 1] as number;
  if (proto === IP_PROTO.AH) {
    return (len + 2) * 4;
  }
  return proto === IP_PROTO.FRAGMENT ? IPV6_FRAG.BYTES : (len + 1) * 8;
}

/** Bits of NW_FRAG for the FRAG_OFF field of an IPv4 header. */
export function ipv4NwFrag(fragOff: number): number {
  if ((fragOff & (IPV4_FRAG.MF | IPV4_FRAG.OFS_MASK)) === 0) {
    return 0;
  }
  return (fragOff & IPV4_FRAG.OFS_MASK) !== 0 ? NW_FRAG.ANY | NW_FRAG.LATER : NW_FRAG.ANY;
}

/** Partial sum of the pseudo header of an IPv4 packet whose header is at `at`. */
export function ipv4PseudoCsum(b: Uint8Array, at: number): number {
  const headerBytes = ((b[at + IPV4.VER_IHL] as number) & 15) * 4;
  let sum = csumContinue(0, b, at + IPV4.SRC, at + IPV4.HEADER_BYTES);
  sum = csumAdd16(sum, b[at + IPV4.PROTO] as number);
  return csumAdd16(sum, getU16(b, at + IPV4.TOT_LEN) - headerBytes);
}

/** Partial sum of the pseudo header of an IPv6 packet without extension headers. */
export function ipv6PseudoCsum(b: Uint8Array, at: number): number {
  let sum = csumContinue(0, b, at + IPV6.SRC, at + IPV6.HEADER_BYTES);
  sum = csumAdd16(sum, b[at + IPV6.NEXT] as number);
  return csumAdd16(sum, getU16(b, at + IPV6.PLEN));
}

/** Sets one of the two addresses, `ofs` from the start of the IPv4 header. */
export function setIpv4Addr(p: PacketBuf, ofs: number, addr: number): void {
  const b = p.bytes;
  const ip = p.l3();
  const old = getU32(b, ip + ofs);
  const l4Bytes = p.l4Bytes();
  const proto = b[ip + IPV4.PROTO] as number;
  p.md.conn = null;
  if (proto === IP_PROTO.TCP && l4Bytes >= TCP.HEADER_BYTES) {
    const at = p.l4() + TCP.CSUM;
    putU16(b, at, recalcCsum32(getU16(b, at), old, addr));
  } else if (proto === IP_PROTO.UDP && l4Bytes >= UDP.HEADER_BYTES) {
    const at = p.l4() + UDP.CSUM;
    if (getU16(b, at) !== 0) {
      putU16(b, at, recalcCsum32(getU16(b, at), old, addr));
      fixZeroUdpCsum(b, p.l4());
    }
  }
  putU16(b, ip + IPV4.CSUM, recalcCsum32(getU16(b, ip + IPV4.CSUM), old, addr));
  putU32(b, ip + ofs, addr);
}

export interface Ipv4Fields {
  readonly src: number;
  readonly dst: number;
  readonly tos: number;
  readonly ttl: number;
}

export function setIpv4(p: PacketBuf, f: Ipv4Fields): void {
  const b = p.bytes;
  const ip = p.l3();
  if (getU32(b, ip + IPV4.SRC) !== f.src >>> 0) {
    setIpv4Addr(p, IPV4.SRC, f.src);
  }
  if (getU32(b, ip + IPV4.DST) !== f.dst >>> 0) {
    setIpv4Addr(p, IPV4.DST, f.dst);
  }
  const csumAt = ip + IPV4.CSUM;
  const tos = b[ip + IPV4.TOS] as number;
  if (tos !== f.tos) {
    putU16(b, csumAt, recalcCsum16(getU16(b, csumAt), tos, f.tos));
    b[ip + IPV4.TOS] = f.tos;
  }
  const ttl = b[ip + IPV4.TTL] as number;
  if (ttl !== f.ttl) {
    putU16(b, csumAt, recalcCsum16(getU16(b, csumAt), ttl << 8, f.ttl << 8));
    b[ip + IPV4.TTL] = f.ttl;
  }
}

/** What walking the extension headers of an IPv6 packet found. */
export interface Ipv6ExtWalk {
  /** The protocol behind the headers walked. */
  proto: number;
  /** A routing header with segments left. */
  routing: boolean;
  /** As ovs has it: true without a fragment header, else first fragment with more to come. */
  firstFrag: boolean;
}

/** ovs: packet_rh_present. Both l3Ofs and l4Ofs must be set. */
function walkIpv6Ext(p: PacketBuf): Ipv6ExtWalk {
  const b = p.bytes;
  const w: Ipv6ExtWalk = { proto: 0, routing: false, firstFrag: true };
  let left = p.l4Ofs - p.l3Ofs - IPV6.HEADER_BYTES;
  if (left < 0) {
    return w;
  }
  let at = p.l3() + IPV6.HEADER_BYTES;
  w.proto = b[p.l3() + IPV6.NEXT] as number;
  // Each header takes at least 8 of the bytes that are left.
  while (isIpv6Ext(w.proto) && left >= EXT_BYTES_MIN) {
    const bytes = ipv6ExtBytes(w.proto, b, at);
    if (w.proto === IP_PROTO.FRAGMENT) {
      const offlg = getU16(b, at + IPV6_FRAG.OFFLG);
      w.firstFrag = (offlg & IPV6_FRAG.OFS_MASK) === 0 && (offlg & IPV6_FRAG.MORE) !== 0;
    } else if (w.proto === IP_PROTO.ROUTING && (b[at + 3] as number) > 0) {
      w.routing = true;
      return w;
    }
    w.proto = b[at] as number;
    if (left < bytes) {
      return w;
    }
    left -= bytes;
    at += bytes;
  }
  return w;
}

/**
 * Changes the 16 bytes at `at` to the words `addr[from…]`, and the transport checksum with them
 * unless `keepCsum`.
 */
export function setIpv6Addr(
  p: PacketBuf,
  proto: number,
  at: number,
  addr: { readonly words: ArrayLike<number>; readonly from: number; readonly keepCsum: boolean },
): void {
  const b = p.bytes;
  if (!addr.keepCsum) {
    const csumAt = l4CsumIndex(p, proto);
    if (csumAt >= 0) {
      let sum = getU16(b, csumAt);
      for (let i = 0; i < 4; i++) {
        sum = recalcCsum32(sum, getU32(b, at + 4 * i), addr.words[addr.from + i] as number);
      }
      putU16(b, csumAt, proto === IP_PROTO.UDP && sum === 0 ? 0xffff : sum);
    }
  }
  for (let i = 0; i < 4; i++) {
    putU32(b, at + 4 * i, addr.words[addr.from + i] as number);
  }
  p.md.conn = null;
}

/** Index of the checksum that covers the IPv6 addresses, or -1. */
function l4CsumIndex(p: PacketBuf, proto: number): number {
  const l4Bytes = p.l4Bytes();
  if (proto === IP_PROTO.TCP && l4Bytes >= TCP.HEADER_BYTES) {
    return p.l4() + TCP.CSUM;
  }
  if (proto === IP_PROTO.UDP && l4Bytes >= UDP.HEADER_BYTES) {
    return getU16(p.bytes, p.l4() + UDP.CSUM) !== 0 ? p.l4() + UDP.CSUM : -1;
  }
  if (proto === IP_PROTO.ICMPV6 && l4Bytes >= ICMP.V6_BASE_BYTES) {
    return p.l4() + ICMP.CSUM;
  }
  return -1;
}

export interface Ipv6Fields {
  /** Source words 0 to 3, destination words 4 to 7. */
  readonly addrs: ArrayLike<number>;
  readonly tc: number;
  readonly label: number;
  readonly hlim: number;
}

export function setIpv6(p: PacketBuf, f: Ipv6Fields): void {
  const b = p.bytes;
  const ip = p.l3();
  const walk = walkIpv6Ext(p);
  if (!sameWords(b, ip + IPV6.SRC, f.addrs, 0)) {
    const addr = { words: f.addrs, from: 0, keepCsum: !walk.firstFrag };
    setIpv6Addr(p, walk.proto, ip + IPV6.SRC, addr);
  }
  if (!sameWords(b, ip + IPV6.DST, f.addrs, 4)) {
    const addr = { words: f.addrs, from: 4, keepCsum: walk.routing || !walk.firstFrag };
    setIpv6Addr(p, walk.proto, ip + IPV6.DST, addr);
  }
  const version = getU32(b, ip) & 0xf0000000;
  putU32(b, ip, version | (f.tc << 20) | (f.label & IPV6.LABEL_MASK));
  b[ip + IPV6.HLIM] = f.hlim;
}

/** True if the 16 bytes at `at` are the words `w[from…]`. */
export function sameWords(b: Uint8Array, at: number, w: ArrayLike<number>, from: number): boolean {
  for (let i = 0; i < 4; i++) {
    if (getU32(b, at + 4 * i) !== (w[from + i] as number) >>> 0) {
      return false;
    }
  }
  return true;
}

/** Marks congestion in the network header (ovs: IP_ECN_set_ce). */
export function setEcnCe(p: PacketBuf, isIpv6: boolean): void {
  const b = p.bytes;
  const ip = p.l3();
  if (isIpv6) {
    putU32(b, ip, getU32(b, ip) | (IP_ECN_CE << 20));
    return;
  }
  const old = b[ip + IPV4.TOS] as number;
  const tos = old | IP_ECN_CE;
  if (tos !== old) {
    putU16(b, ip + IPV4.CSUM, recalcCsum16(getU16(b, ip + IPV4.CSUM), old, tos));
    b[ip + IPV4.TOS] = tos;
  }
}
