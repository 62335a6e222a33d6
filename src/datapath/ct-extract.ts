// From a packet to the key of its connection.
//
// Headers are checked as strictly as Open vSwitch does: lengths, checksums, no fragments. An ICMP
// error names the connection of the packet that it quotes. (ovs: lib/conntrack.c conn_key_extract)

import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { csum, csumContinue, csumFinish } from "../lib/checksum.ts";
import { ICMP4_TYPE, ICMP6_TYPE } from "../packet/icmp-header.ts";
import {
  IP_PROTO,
  IPV4,
  IPV4_FRAG,
  IPV6,
  IPV6_FRAG,
  ipv4PseudoCsum,
  ipv6ExtBytes,
  isIpv6Ext,
} from "../packet/ip.ts";
import { TCP, tcpHeaderBytes, UDP, wholeTcpHeader } from "../packet/l4.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import { csumAdd16 } from "../lib/checksum.ts";
import type { CtCounters } from "./ct-counters.ts";
import { type ConnKey, DST, SRC } from "./ct-key.ts";

const NO_BYTES = new Uint8Array(0);
const ICMP_HEADER_BYTES = 8;
/** What an ICMP error must quote of the transport header. */
const ICMP_ERROR_L4_BYTES = 8;
/** Longest chain of IPv6 extension headers that is followed; each takes 8 bytes at least. */
const IPV6_EXT_MAX = 8192;

/** The transport header and what surrounds it. */
export class L4View {
  b: Uint8Array = NO_BYTES;
  at = 0;
  end = 0;
  /** Index of the IP header. */
  l3 = 0;

  set(b: Uint8Array, at: number, end: number, l3: number): this {
    this.b = b;
    this.at = at;
    this.end = end;
    this.l3 = l3;
    return this;
  }
}

/** What is known of a packet when its connection is looked up. */
export interface LookupCtx {
  readonly key: ConnKey;
  /** Where the packet itself is looked at. */
  readonly l4: L4View;
  /** The packet is an ICMP error about the connection. */
  icmpRelated: boolean;
}

/** Where the IPv6 extension headers lead to. */
export interface Ipv6Payload {
  readonly proto: number;
  /** Index of the payload. */
  readonly at: number;
  readonly fragment: boolean;
  /** Index of the fragment header, or -1. */
  readonly fragAt: number;
}

/** Follows extension headers up to `end`; null if one is cut off (ovs: parse_ipv6_ext_hdrs). */
export function parseIpv6Ext(
  b: Uint8Array,
  start: number,
  end: number,
  first: number,
): Ipv6Payload | null {
  let proto = first;
  let at = start;
  let fragAt = -1;
  let fragment = false;
  for (let i = 0; i < IPV6_EXT_MAX && isIpv6Ext(proto); i++) {
    if (end - at < 8) {
      return null;
    }
    const bytes = ipv6ExtBytes(proto, b, at);
    const isFrag = proto === IP_PROTO.FRAGMENT;
    proto = b[at] ?? 0;
    if (isFrag) {
      fragAt = at;
      const offlg = getU16(b, at + IPV6_FRAG.OFFLG);
      fragment ||= offlg !== 0;
      if ((offlg & IPV6_FRAG.OFS_MASK) !== 0) {
        return { proto: IP_PROTO.FRAGMENT, at: at + bytes, fragment, fragAt };
      }
    }
    if (end - at < bytes) {
      return null;
    }
    at += bytes;
  }
  return { proto, at, fragment, fragAt };
}

/** Addresses and protocol of an IPv4 header; the index of its payload, or -1. */
function extractIpv4(
  key: ConnKey,
  b: Uint8Array,
  at: number,
  end: number,
  counters: CtCounters | null,
): number {
  if (end - at < IPV4.HEADER_BYTES) {
    return -1;
  }
  const headerBytes = ((b[at + IPV4.VER_IHL] ?? 0) & 15) * 4;
  if (headerBytes < IPV4.HEADER_BYTES || end - at < headerBytes) {
    return -1;
  }
  const frag = getU16(b, at + IPV4.FRAG_OFF);
  if ((frag & (IPV4_FRAG.MF | IPV4_FRAG.OFS_MASK)) !== 0) {
    return -1;
  }
  if (counters !== null && csum(b, at, at + headerBytes) !== 0) {
    counters.inc("conntrack_l3csum_err");
    return -1;
  }
  key.setIpv4(getU32(b, at + IPV4.SRC), getU32(b, at + IPV4.DST));
  key.proto = b[at + IPV4.PROTO] ?? 0;
  return at + headerBytes;
}

function extractIpv6(key: ConnKey, b: Uint8Array, at: number, end: number): number {
  if (end - at < IPV6.HEADER_BYTES) {
    return -1;
  }
  const first = b[at + IPV6.NEXT] ?? 0;
  const payload = parseIpv6Ext(b, at + IPV6.HEADER_BYTES, end, first);
  if (payload === null || payload.fragment) {
    return -1;
  }
  for (let i = 0; i < 4; i++) {
    key.addr[SRC + i] = getU32(b, at + IPV6.SRC + 4 * i);
    key.addr[DST + i] = getU32(b, at + IPV6.DST + 4 * i);
  }
  key.proto = payload.proto;
  return payload.at;
}

/** Sum over IPv6 pseudo header and payload (ovs: packet_csum_upperlayer6). */
export function csumUpperLayer6(
  b: Uint8Array,
  l3: number,
  at: number,
  end: number,
  proto: number,
): number {
  let sum = csumContinue(0, b, l3 + IPV6.SRC, l3 + IPV6.HEADER_BYTES);
  sum = csumAdd16(sum, proto);
  sum = csumAdd16(sum, end - at);
  return csumFinish(csumContinue(sum, b, at, end));
}

function checksumOk(key: ConnKey, l4: L4View, counters: CtCounters): boolean {
  const { b, at, end, l3 } = l4;
  let ok = false;
  if (key.dlType === ETH_TYPE.IP) {
    ok = csumFinish(csumContinue(ipv4PseudoCsum(b, l3), b, at, end)) === 0;
  } else if (key.dlType === ETH_TYPE.IPV6) {
    ok = csumUpperLayer6(b, l3, at, end, key.proto) === 0;
  }
  if (!ok) {
    counters.inc("conntrack_l4csum_err");
  }
  return ok;
}

/** Checks the header of a whole packet; quoted ones are not checked. */
function checkL4(key: ConnKey, l4: L4View, counters: CtCounters): boolean {
  const { b, at, end } = l4;
  const size = end - at;
  switch (key.proto) {
    case IP_PROTO.TCP:
      return wholeTcpHeader(b, at, size) > 0 && checksumOk(key, l4, counters);
    case IP_PROTO.UDP: {
      const bytes = size < UDP.HEADER_BYTES ? 0 : getU16(b, at + UDP.LEN);
      if (bytes < UDP.HEADER_BYTES || bytes > size) {
        return false;
      }
      const none = getU16(b, at + UDP.CSUM) === 0 && key.dlType === ETH_TYPE.IP;
      return none || checksumOk(key, l4, counters);
    }
    case IP_PROTO.ICMP:
      if (key.dlType === ETH_TYPE.IP && csum(b, at, end) !== 0) {
        counters.inc("conntrack_l4csum_err");
        return false;
      }
      return true;
    case IP_PROTO.ICMPV6:
      return key.dlType !== ETH_TYPE.IPV6 || checksumOk(key, l4, counters);
    default:
      return true;
  }
}

/** Ports, or what stands for them. `ctx` is null for a quoted packet. */
function extractL4(
  key: ConnKey,
  l4: L4View,
  ctx: LookupCtx | null,
  minBytes: number | null,
): boolean {
  const { b, at, end } = l4;
  const size = end - at;
  const isPorts = key.proto === IP_PROTO.TCP || key.proto === IP_PROTO.UDP;
  if (isPorts) {
    const need = minBytes ?? (key.proto === IP_PROTO.TCP ? TCP.HEADER_BYTES : UDP.HEADER_BYTES);
    if (size < need) {
      return false;
    }
    key.srcPort = getU16(b, at);
    key.dstPort = getU16(b, at + 2);
    return key.srcPort !== 0 && key.dstPort !== 0;
  }
  if (key.dlType === ETH_TYPE.IP && key.proto === IP_PROTO.ICMP) {
    return size >= (minBytes ?? ICMP_HEADER_BYTES) && extractIcmp(key, l4, ctx, REVERSE4);
  }
  if (key.dlType === ETH_TYPE.IPV6 && key.proto === IP_PROTO.ICMPV6) {
    return size >= ICMP_HEADER_BYTES && extractIcmp(key, l4, ctx, REVERSE6);
  }
  return true;
}

/** Types of queries and answers by each other. */
const REVERSE4: Readonly<Record<number, number>> = {
  [ICMP4_TYPE.ECHO_REQUEST]: ICMP4_TYPE.ECHO_REPLY,
  [ICMP4_TYPE.ECHO_REPLY]: ICMP4_TYPE.ECHO_REQUEST,
  13: 14,
  14: 13,
  15: 16,
  16: 15,
};
const REVERSE6: Readonly<Record<number, number>> = {
  [ICMP6_TYPE.ECHO_REQUEST]: ICMP6_TYPE.ECHO_REPLY,
  [ICMP6_TYPE.ECHO_REPLY]: ICMP6_TYPE.ECHO_REQUEST,
};
/** Unreachable, source quench, redirect, time exceeded, parameter problem. */
const ERRORS4: readonly number[] = [3, 4, 5, 11, 12];
/** Unreachable, too big, time exceeded, parameter problem. */
const ERRORS6: readonly number[] = [1, 2, 3, 4];

/** The type that answers an ICMP type, or the type itself if it has no answer. */
export function reverseIcmpType(type: number, v6: boolean): number {
  return (v6 ? REVERSE6 : REVERSE4)[type] ?? type;
}

function extractIcmp(
  key: ConnKey,
  l4: L4View,
  ctx: LookupCtx | null,
  reverse: Readonly<Record<number, number>>,
): boolean {
  const { b, at } = l4;
  const type = b[at] ?? 0;
  const answer = reverse[type];
  if (answer !== undefined) {
    if (b[at + 1] !== 0) {
      return false;
    }
    key.srcPort = getU16(b, at + 4);
    key.dstPort = key.srcPort;
    key.srcIcmp = type << 8;
    key.dstIcmp = answer << 8;
    return true;
  }
  const v6 = reverse === REVERSE6;
  return ctx !== null && (v6 ? ERRORS6 : ERRORS4).includes(type) && extractQuoted(key, l4, ctx, v6);
}

/** The connection of the packet that an ICMP error quotes, seen from the error's receiver. */
function extractQuoted(key: ConnKey, l4: L4View, ctx: LookupCtx, v6: boolean): boolean {
  const { b, end } = l4;
  const l3 = l4.at + ICMP_HEADER_BYTES;
  const outerDst = key.addr.slice(DST, DST + 4);
  const at = v6 ? extractIpv6(key, b, l3, end) : extractIpv4(key, b, l3, end, null);
  if (at < 0) {
    return false;
  }
  for (let i = 0; i < 4; i++) {
    if (key.addr[SRC + i] !== outerDst[i]) {
      return false;
    }
  }
  key.srcPort = 0;
  key.dstPort = 0;
  const quoted = new L4View().set(b, at, end, l3);
  if (!extractL4(key, quoted, null, v6 ? null : ICMP_ERROR_L4_BYTES)) {
    return false;
  }
  key.reverse();
  ctx.icmpRelated = true;
  return true;
}

/** False if the packet cannot belong to a connection: it is invalid then. */
export function extractConnKey(
  p: PacketBuf,
  dlType: number,
  zone: number,
  ctx: LookupCtx,
  counters: CtCounters,
): boolean {
  const { key } = ctx;
  key.clear();
  ctx.icmpRelated = false;
  if (!p.isEth() || p.l3Ofs === NO_OFS || p.l4Ofs === NO_OFS) {
    return false;
  }
  key.zone = zone;
  key.dlType = dlType;
  const b = p.bytes;
  const l3 = p.l3();
  const end = p.end - p.l2PadBytes;
  let at = -1;
  if (dlType === ETH_TYPE.IP) {
    at = extractIpv4(key, b, l3, end, counters);
  } else if (dlType === ETH_TYPE.IPV6) {
    at = extractIpv6(key, b, l3, end);
  }
  if (at < 0) {
    return false;
  }
  const l4 = ctx.l4.set(b, p.l4(), end, l3);
  return checkL4(key, l4, counters) && extractL4(key, l4, ctx, null);
}

/** Bytes behind the TCP header (ovs: dp_packet_get_tcp_payload_length). */
export function tcpPayloadBytes(p: PacketBuf): number {
  const headerBytes = tcpHeaderBytes(getU16(p.bytes, p.l4() + TCP.CTL));
  const l4Bytes = p.l4Bytes();
  return headerBytes >= TCP.HEADER_BYTES && l4Bytes >= headerBytes ? l4Bytes - headerBytes : 0;
}
