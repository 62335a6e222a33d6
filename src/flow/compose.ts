// Flow key to frame: a packet that extract() turns into the same key, with right checksums.
//
// What no key holds is 0, as Open vSwitch leaves it (sequence numbers, windows, identifiers).
// Fields that the flow's protocols do not have are ignored.
// ovs: lib/flow.c flow_compose, flow_compose_l4, packet_expand.

import { putU16, putU32 } from "../lib/bytes.ts";
import { csum, csumContinue, csumFinish } from "../lib/checksum.ts";
import {
  ARP,
  ARP_OP,
  ETH,
  ETH_TYPE,
  ethCompose,
  isEthTypeMpls,
  putArp,
} from "../packet/ethernet.ts";
import { ICMP, ICMP4_TYPE, ICMP6_TYPE, IGMP, ND, ND_OPT } from "../packet/icmp-header.ts";
import {
  IP_PROTO,
  IPV4,
  IPV4_FRAG,
  IPV6,
  ipv4PseudoCsum,
  ipv6PseudoCsum,
  NW_FRAG,
} from "../packet/ip.ts";
import { fixZeroUdpCsum, SCTP, TCP, TCP_FLAG, UDP } from "../packet/l4.ts";
import { MPLS, pushMpls } from "../packet/mpls.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { ethPushVlan, VLAN_CFI } from "../packet/vlan.ts";
import { type FlowKey, get, getU, isZero, K } from "./flow-key.ts";
import { MPLS_LSE_COUNT, type Slot, VLAN_HEADER_COUNT } from "./slots.ts";

/** The fragment offset, in units of 8 bytes, of a "later" fragment. */
const LATER_FRAG_OFS = 100;

/**
 * The payload of protocols that have one: bytes, or a number of bytes that count up from 0.
 * Open vSwitch's default is 64 of them.
 */
export type Payload = Uint8Array | number;

/** Makes `p` the frame of a flow. */
export function flowCompose(p: PacketBuf, key: FlowKey, l7: Payload = 0): void {
  const dlType = get(key, K.dl_type);
  const addrs = {
    dstHi: key[K.dl_dst.word] as number,
    dstLo: key[K.dl_dst.word + 1] as number,
    srcHi: key[K.dl_src.word] as number,
    srcLo: key[K.dl_src.word + 1] as number,
  };
  ethCompose(p, addrs, dlType, 0);
  if (dlType === ETH_TYPE.NONE) {
    putU16(p.bytes, p.start + ETH.TYPE, p.size);
    return;
  }
  for (let i = VLAN_HEADER_COUNT - 1; i >= 0; i--) {
    const qtag = key[K.vlan_tpid.word + i] as number;
    if ((qtag & VLAN_CFI) !== 0) {
      ethPushVlan(p, qtag >>> 16, qtag & 0xffff);
    }
  }
  if (dlType === ETH_TYPE.IP) {
    composeIpv4(p, key, l7);
  } else if (dlType === ETH_TYPE.IPV6) {
    composeIpv6(p, key, l7);
  } else if (dlType === ETH_TYPE.ARP || dlType === ETH_TYPE.RARP) {
    composeArpBody(p, key);
  }
  if (isEthTypeMpls(dlType)) {
    composeMpls(p, key, dlType);
  }
}

function composeIpv4(p: PacketBuf, key: FlowKey, l7: Payload): void {
  const ip = p.putZeros(IPV4.HEADER_BYTES);
  const b = p.bytes;
  b[ip] = 0x45;
  b[ip + IPV4.TOS] = get(key, K.nw_tos);
  b[ip + IPV4.TTL] = get(key, K.nw_ttl);
  b[ip + IPV4.PROTO] = get(key, K.nw_proto);
  putU32(b, ip + IPV4.SRC, getU(key, K.nw_src));
  putU32(b, ip + IPV4.DST, getU(key, K.nw_dst));
  const frag = get(key, K.nw_frag);
  if ((frag & NW_FRAG.ANY) !== 0) {
    const ofs = (frag & NW_FRAG.LATER) !== 0 ? LATER_FRAG_OFS : 0;
    putU16(b, ip + IPV4.FRAG_OFF, IPV4_FRAG.MF | ofs);
  }
  p.l4Ofs = p.size;
  composeL4(p, key, l7);
  fixIpv4(p);
  composeL4Csum(p, key, ipv4PseudoCsum(p.bytes, p.l3()));
}

/** Length and checksum of the IPv4 header from what follows it. */
function fixIpv4(p: PacketBuf): void {
  const ip = p.l3();
  putU16(p.bytes, ip + IPV4.TOT_LEN, p.size - p.l3Ofs);
  putU16(p.bytes, ip + IPV4.CSUM, 0);
  putU16(p.bytes, ip + IPV4.CSUM, csum(p.bytes, ip, ip + IPV4.HEADER_BYTES));
}

function composeIpv6(p: PacketBuf, key: FlowKey, l7: Payload): void {
  const ip = p.putZeros(IPV6.HEADER_BYTES);
  const b = p.bytes;
  putU32(b, ip, (6 << 28) | (get(key, K.nw_tos) << 20) | getU(key, K.ipv6_label));
  b[ip + IPV6.HLIM] = get(key, K.nw_ttl);
  b[ip + IPV6.NEXT] = get(key, K.nw_proto);
  putWords(b, ip + IPV6.SRC, key, K.ipv6_src);
  putWords(b, ip + IPV6.DST, key, K.ipv6_dst);
  p.l4Ofs = p.size;
  composeL4(p, key, l7);
  putU16(p.bytes, p.l3() + IPV6.PLEN, p.size - p.l4Ofs);
  composeL4Csum(p, key, ipv6PseudoCsum(p.bytes, p.l3()));
}

function putWords(b: Uint8Array, at: number, key: FlowKey, slot: Slot): void {
  for (let i = 0; i < slot.words; i++) {
    putU32(b, at + 4 * i, key[slot.word + i] as number);
  }
}

function composeArpBody(p: PacketBuf, key: FlowKey): void {
  const at = p.putZeros(ARP.BYTES);
  p.l3Ofs = at - p.start;
  const op = get(key, K.nw_proto);
  const known = op === ARP_OP.REQUEST || op === ARP_OP.REPLY;
  putArp(p.bytes, at, {
    op,
    shaHi: known ? (key[K.arp_sha.word] as number) : 0,
    shaLo: known ? (key[K.arp_sha.word + 1] as number) : 0,
    thaHi: known ? (key[K.arp_tha.word] as number) : 0,
    thaLo: known ? (key[K.arp_tha.word + 1] as number) : 0,
    spa: known ? getU(key, K.nw_src) : 0,
    tpa: known ? getU(key, K.nw_dst) : 0,
  });
}

function composeMpls(p: PacketBuf, key: FlowKey, dlType: number): void {
  p.l25Ofs = p.l3Ofs;
  let n = 1;
  while (n < MPLS_LSE_COUNT && ((key[K.mpls_lse.word + n - 1] as number) & MPLS.BOS_MASK) === 0) {
    n++;
  }
  while (n > 0) {
    n--;
    pushMpls(p, dlType, key[K.mpls_lse.word + n] as number);
  }
}

function payloadBytes(l7: Payload): number {
  return typeof l7 === "number" ? l7 : l7.length;
}

function composeL7(p: PacketBuf, l7: Payload): void {
  if (typeof l7 !== "number") {
    p.putBytes(l7);
    return;
  }
  const at = p.put(l7);
  for (let i = 0; i < l7; i++) {
    p.bytes[at + i] = i;
  }
}

function isLaterFrag(key: FlowKey): boolean {
  const both = NW_FRAG.ANY | NW_FRAG.LATER;
  return (get(key, K.nw_frag) & both) === both;
}

function composeL4(p: PacketBuf, key: FlowKey, l7: Payload): void {
  if (isLaterFrag(key)) {
    return;
  }
  const src = get(key, K.tp_src);
  const dst = get(key, K.tp_dst);
  switch (get(key, K.nw_proto)) {
    case IP_PROTO.TCP: {
      putPorts(p, TCP.HEADER_BYTES, src, dst);
      const flags = get(key, K.tcp_flags);
      putU16(p.bytes, p.l4() + TCP.CTL, (5 << 12) | (flags & TCP_FLAG.MASK));
      if ((flags & (TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST)) === 0) {
        composeL7(p, l7);
      }
      return;
    }
    case IP_PROTO.UDP:
      putPorts(p, UDP.HEADER_BYTES, src, dst);
      putU16(p.bytes, p.l4() + UDP.LEN, UDP.HEADER_BYTES + payloadBytes(l7));
      composeL7(p, l7);
      return;
    case IP_PROTO.SCTP:
      putPorts(p, SCTP.HEADER_BYTES, src, dst);
      return;
    case IP_PROTO.ICMP: {
      putTypeCode(p, ICMP.V4_BYTES, src, dst);
      const type = src & 0xff;
      const echo = type === ICMP4_TYPE.ECHO_REQUEST || type === ICMP4_TYPE.ECHO_REPLY;
      if (echo && (dst & 0xff) === 0) {
        composeL7(p, l7);
      }
      return;
    }
    case IP_PROTO.IGMP:
      putTypeCode(p, IGMP.HEADER_BYTES, src, dst);
      putU32(p.bytes, p.l4() + IGMP.GROUP, getU(key, K.igmp_group_ip4));
      return;
    case IP_PROTO.ICMPV6:
      composeIcmpv6(p, key, l7);
      return;
    default:
      return;
  }
}

function putPorts(p: PacketBuf, bytes: number, src: number, dst: number): void {
  const at = p.putZeros(bytes);
  putU16(p.bytes, at, src);
  putU16(p.bytes, at + 2, dst);
}

function putTypeCode(p: PacketBuf, bytes: number, type: number, code: number): void {
  const at = p.putZeros(bytes);
  p.bytes[at] = type;
  p.bytes[at + 1] = code;
}

function composeIcmpv6(p: PacketBuf, key: FlowKey, l7: Payload): void {
  const type = get(key, K.tp_src) & 0xff;
  const code = get(key, K.tp_dst) & 0xff;
  putTypeCode(p, ICMP.V6_DATA_BYTES, type, code);
  putU32(p.bytes, p.l4() + ND.RSO, getU(key, K.igmp_group_ip4));
  if (code !== 0) {
    return;
  }
  if (type === ICMP6_TYPE.ECHO_REQUEST || type === ICMP6_TYPE.ECHO_REPLY) {
    composeL7(p, l7);
  }
  if (type !== ICMP6_TYPE.ND_NEIGHBOR_SOLICIT && type !== ICMP6_TYPE.ND_NEIGHBOR_ADVERT) {
    return;
  }
  const target = p.put(ND.MSG_BYTES - ND.TARGET);
  putWords(p.bytes, target, key, K.nd_target);
  putLlaOption(p, key, ND_OPT.SOURCE_LLA, K.arp_sha);
  putLlaOption(p, key, ND_OPT.TARGET_LLA, K.arp_tha);
}

function putLlaOption(p: PacketBuf, key: FlowKey, type: number, slot: Slot): void {
  if (isZero(key, slot)) {
    return;
  }
  const at = p.putZeros(ND_OPT.LLA_BYTES);
  p.bytes[at + ND_OPT.TYPE] = type;
  p.bytes[at + ND_OPT.LEN] = 1;
  putU16(p.bytes, at + ND_OPT.MAC, key[slot.word] as number);
  putU32(p.bytes, at + ND_OPT.MAC + 2, key[slot.word + 1] as number);
}

/** Fills in the transport checksum over everything up to the end of the packet. */
function composeL4Csum(p: PacketBuf, key: FlowKey, pseudo: number): void {
  if (isLaterFrag(key)) {
    return;
  }
  const at = p.l4();
  switch (get(key, K.nw_proto)) {
    case IP_PROTO.TCP:
      putCsum(p, at + TCP.CSUM, pseudo);
      return;
    case IP_PROTO.UDP:
      putCsum(p, at + UDP.CSUM, pseudo);
      fixZeroUdpCsum(p.bytes, at);
      return;
    case IP_PROTO.ICMP:
    case IP_PROTO.IGMP:
      putCsum(p, at + ICMP.CSUM, 0);
      return;
    case IP_PROTO.ICMPV6:
      putCsum(p, at + ICMP.CSUM, pseudo);
      return;
    default:
      return;
  }
}

function putCsum(p: PacketBuf, csumAt: number, partial: number): void {
  putU16(p.bytes, csumAt, 0);
  putU16(p.bytes, csumAt, csumFinish(csumContinue(partial, p.bytes, p.l4(), p.end)));
}

/** Pads a composed packet with zeros to `size` bytes, mending lengths and checksums. */
export function packetExpand(p: PacketBuf, key: FlowKey, size: number): void {
  const extra = size - p.size;
  if (extra <= 0) {
    return;
  }
  p.putZeros(extra);
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.NONE) {
    putU16(p.bytes, p.start + ETH.TYPE, p.size);
    return;
  }
  if (dlType !== ETH_TYPE.IP && dlType !== ETH_TYPE.IPV6) {
    return;
  }
  const l4Bytes = p.size - p.l4Ofs;
  let pseudo: number;
  if (dlType === ETH_TYPE.IP) {
    fixIpv4(p);
    pseudo = ipv4PseudoCsum(p.bytes, p.l3());
  } else {
    putU16(p.bytes, p.l3() + IPV6.PLEN, l4Bytes);
    pseudo = ipv6PseudoCsum(p.bytes, p.l3());
  }
  if (!isLaterFrag(key) && get(key, K.nw_proto) === IP_PROTO.UDP) {
    // Open vSwitch counts the padding twice here.
    putU16(p.bytes, p.l4() + UDP.LEN, l4Bytes + extra);
  }
  composeL4Csum(p, key, pseudo);
}
