// Hashes of flows, with Open vSwitch's own values: they choose the bucket of a select group, the
// member of a bond, the path of multipath() and bundle(), and the source port of a tunnel.
//
// OVS hashes its big-endian fields as a little-endian machine reads them, hence the byte swaps of
// our host-order words. jhash works on a structure's bytes; its layout is repeated here.
// ovs: lib/flow.c flow_hash_5tuple, flow_hash_symmetric_*, flow_hash_fields, flow_mask_hash_fields.

import { bswap16, bswap32, bswap32Int, putU16, putU32 } from "../lib/bytes.ts";
import { hashAdd, hashAdd64, hashFinish, hashFinishInt, jhashBytes } from "../lib/hash.ts";
import { IPV6 } from "../packet/ip.ts";
import { UDP, wholeTcpHeader } from "../packet/l4.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import { ETH_TYPE, isIpAny } from "./flow-is.ts";
import { type FlowKey, fill, get, getU, K, orBits } from "./flow-key.ts";
import { IP_PROTO, NW_FRAG, PT } from "./flow-is.ts";
import { VLAN_CFI, VLAN_VID_MASK } from "./vlan-mpls.ts";

/** The field sets that users name, in the order of their numbers (ovs: enum nx_hash_fields). */
export const HASH_FIELDS = [
  "eth_src",
  "symmetric_l4",
  "symmetric_l3l4",
  "symmetric_l3l4+udp",
  "nw_src",
  "nw_dst",
  "symmetric_l3",
] as const;
export type HashFields = (typeof HASH_FIELDS)[number];

/** Finisher of the 5-tuple hash; an arbitrary number of OVS's. */
const FIVE_TUPLE_FINAL = 42;

const W_SRC6 = K.ipv6_src.word;
const W_DST6 = K.ipv6_dst.word;

function raw(key: FlowKey, word: number): number {
  return bswap32Int(key[word] as number);
}

/** Source and destination, protocol and ports. `null` hashes nothing. */
export function flowHash5tuple(key: FlowKey | null, basis: number): number {
  return (key === null ? hashFinish(basis, FIVE_TUPLE_FINAL) : hash5tuple(key, basis)) >>> 0;
}

/**
 * What a packet's receive queue would say of it: its 5-tuple hash, as a signed number. `key` is what
 * was read from the packet, whose offsets are those of that reading.
 */
export function flowRss(key: FlowKey, p: PacketBuf): number {
  return hash5tuple(key, 0, rssProto(key, p));
}

/**
 * Reading TCP or UDP already hashes the packet, with the protocol that the IPv6 header itself
 * names, which may be an extension header (ovs: dp_packet_update_rss_hash_ipv6_tcp_udp).
 */
function rssProto(key: FlowKey, p: PacketBuf): number {
  const proto = get(key, K.nw_proto);
  const isPorted = proto === IP_PROTO.TCP || proto === IP_PROTO.UDP;
  if (get(key, K.dl_type) !== ETH_TYPE.IPV6 || !isPorted || p.l4Ofs === NO_OFS) {
    return proto;
  }
  const first = p.bytes[p.start + p.l3Ofs + IPV6.NEXT] as number;
  return first !== proto && hasL4Header(key, p, proto) ? first : proto;
}

/** True if the header of TCP or UDP is whole. */
function hasL4Header(key: FlowKey, p: PacketBuf, proto: number): boolean {
  if ((get(key, K.nw_frag) & NW_FRAG.LATER) !== 0) {
    return false;
  }
  const bytes = p.l4Bytes();
  if (proto === IP_PROTO.UDP) {
    return bytes >= UDP.HEADER_BYTES;
  }
  return wholeTcpHeader(p.bytes, p.l4(), bytes) > 0;
}

function hash5tuple(key: FlowKey, basis: number, proto = get(key, K.nw_proto)): number {
  let h = basis;
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.IPV6) {
    for (let i = 0; i < 4; i++) {
      h = hashAdd(h, raw(key, W_SRC6 + i));
    }
    for (let i = 0; i < 4; i++) {
      h = hashAdd(h, raw(key, W_DST6 + i));
    }
  } else if (dlType === ETH_TYPE.IP || dlType === ETH_TYPE.ARP) {
    h = hashAdd(h, raw(key, K.nw_src.word));
    h = hashAdd(h, raw(key, K.nw_dst.word));
  } else {
    return hashFinishInt(h, FIVE_TUPLE_FINAL);
  }
  h = hashAdd(h, proto);
  const last = get(key, K.nw_proto);
  if (
    last === IP_PROTO.TCP ||
    last === IP_PROTO.UDP ||
    last === IP_PROTO.SCTP ||
    last === IP_PROTO.ICMP ||
    last === IP_PROTO.ICMPV6
  ) {
    h = hashAdd(h, raw(key, K.tp_src.word));
  }
  return hashFinishInt(h, FIVE_TUPLE_FINAL);
}

/** The VLAN ids of all headers, mixed; 0 without headers. */
function vlanXor(key: FlowKey): number {
  return (get(key, K.vlan_tci) ^ get(key, K.vlan_tci1)) & VLAN_VID_MASK;
}

function putMacXor(b: Uint8Array, at: number, key: FlowKey): void {
  const s = K.dl_src.word;
  const d = K.dl_dst.word;
  putU16(b, at, (key[s] as number) ^ (key[d] as number));
  putU32(b, at + 2, (key[s + 1] as number) ^ (key[d + 1] as number));
}

/** Writes the network addresses' difference; IPv4 in the first four bytes. */
function putAddrXor(b: Uint8Array, key: FlowKey): void {
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.IP) {
    putU32(b, 0, getU(key, K.nw_src) ^ getU(key, K.nw_dst));
  } else if (dlType === ETH_TYPE.IPV6) {
    for (let i = 0; i < 4; i++) {
      putU32(b, 4 * i, (key[W_SRC6 + i] as number) ^ (key[W_DST6 + i] as number));
    }
  }
}

/** L2 to L4; ports of TCP and SCTP only. */
export function flowHashSymmetricL4(key: FlowKey, basis: number): number {
  // Addresses (16 bytes), Ethertype, VLAN, ports (2 each), MACs (6), protocol, 3 bytes of padding.
  const b = new Uint8Array(32);
  putAddrXor(b, key);
  const dlType = get(key, K.dl_type);
  putU16(b, 16, dlType);
  putU16(b, 18, vlanXor(key));
  if (dlType === ETH_TYPE.IP || dlType === ETH_TYPE.IPV6) {
    const proto = get(key, K.nw_proto);
    if (proto === IP_PROTO.TCP || proto === IP_PROTO.SCTP) {
      putU16(b, 20, get(key, K.tp_src) ^ get(key, K.tp_dst));
    }
    b[28] = proto;
  }
  putMacXor(b, 22, key);
  return jhashBytes(b, basis);
}

/** MACs, VLAN and Ethertype; 0 for packets without an Ethernet header. */
function flowHashSymmetricL2(key: FlowKey, basis: number): number {
  if (getU(key, K.packet_type) !== PT.ETH) {
    return 0;
  }
  const s = K.dl_src.word;
  const d = K.dl_dst.word;
  const hi = (key[s] as number) ^ (key[d] as number);
  const lo = (key[s + 1] as number) ^ (key[d + 1] as number);
  let h = hashAdd(basis, bswap32((get(key, K.dl_type) << 16) | vlanXor(key)));
  h = hashAdd(h, bswap32((hi << 16) | (lo >>> 16)));
  h = hashAdd(h, bswap32(lo << 16));
  return hashFinish(h, basis);
}

/** Network addresses, protocol and ports; falls back to L2 for what is not IP. */
export function flowHashSymmetricL3l4(key: FlowKey, basis: number, incUdpPorts: boolean): number {
  let h = basis;
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.IP) {
    h = hashAdd(h, bswap32(getU(key, K.nw_src) ^ getU(key, K.nw_dst)));
  } else if (dlType === ETH_TYPE.IPV6) {
    for (let i = 0; i < 4; i += 2) {
      const first = bswap32((key[W_SRC6 + i] as number) ^ (key[W_DST6 + i] as number));
      const second = bswap32((key[W_SRC6 + i + 1] as number) ^ (key[W_DST6 + i + 1] as number));
      h = hashAdd64(h, second, first);
    }
  } else {
    return flowHashSymmetricL2(key, basis);
  }
  const proto = get(key, K.nw_proto);
  h = hashAdd(h, proto);
  if (
    (get(key, K.nw_frag) & NW_FRAG.MASK) === 0 &&
    (proto === IP_PROTO.TCP || proto === IP_PROTO.SCTP || (incUdpPorts && proto === IP_PROTO.UDP))
  ) {
    h = hashAdd(h, bswap16(get(key, K.tp_src) ^ get(key, K.tp_dst)));
  }
  return hashFinish(h, basis);
}

/** Network addresses only. */
function flowHashSymmetricL3(key: FlowKey, basis: number): number {
  const b = new Uint8Array(20);
  putAddrXor(b, key);
  putU16(b, 16, get(key, K.dl_type));
  return jhashBytes(b, basis);
}

function jhashWords(key: FlowKey, word: number, words: number, basis: number): number {
  const b = new Uint8Array(4 * words);
  for (let i = 0; i < words; i++) {
    putU32(b, 4 * i, key[word + i] as number);
  }
  return jhashBytes(b, basis);
}

/** One network address, or the basis of what is not IP. */
function hashAddr(key: FlowKey, v4: number, v6: number, basis: number): number {
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.IP) {
    return jhashWords(key, v4, 1, basis);
  }
  return dlType === ETH_TYPE.IPV6 ? jhashWords(key, v6, 4, basis) : basis;
}

export function flowHashFields(key: FlowKey, fields: HashFields, basis: number): number {
  switch (fields) {
    case "eth_src": {
      const b = new Uint8Array(6);
      putU16(b, 0, key[K.dl_src.word] as number);
      putU32(b, 2, key[K.dl_src.word + 1] as number);
      return jhashBytes(b, basis);
    }
    case "symmetric_l4":
      return flowHashSymmetricL4(key, basis);
    case "symmetric_l3l4":
      return flowHashSymmetricL3l4(key, basis, false);
    case "symmetric_l3l4+udp":
      return flowHashSymmetricL3l4(key, basis, true);
    case "nw_src":
      return hashAddr(key, K.nw_src.word, W_SRC6, basis);
    case "nw_dst":
      return hashAddr(key, K.nw_dst.word, W_DST6, basis);
    case "symmetric_l3":
      return flowHashSymmetricL3(key, basis);
  }
}

/** Un-wildcards both network addresses of an IP flow. */
function maskAddrs(key: FlowKey, wc: FlowKey, src: boolean, dst: boolean): void {
  const dlType = get(key, K.dl_type);
  if (dlType !== ETH_TYPE.IP && dlType !== ETH_TYPE.IPV6) {
    return;
  }
  const v4 = dlType === ETH_TYPE.IP;
  if (src) {
    fill(wc, v4 ? K.nw_src : K.ipv6_src);
  }
  if (dst) {
    fill(wc, v4 ? K.nw_dst : K.ipv6_dst);
  }
}

function maskPorts(wc: FlowKey): void {
  fill(wc, K.tp_src);
  fill(wc, K.tp_dst);
}

/** Un-wildcards the ports, of ICMP only the bytes that type and code have. */
function flowUnwildcardTpPorts(key: FlowKey, wc: FlowKey): void {
  if (get(key, K.nw_proto) !== IP_PROTO.ICMP) {
    maskPorts(wc);
  } else {
    // As OVS has it, this replaces what was there.
    wc[K.tp_src.word] = 0x00ff00ff;
  }
}

/** Sets in `wc` what flowHashFields() looks at. */
export function flowMaskHashFields(key: FlowKey, wc: FlowKey, fields: HashFields): void {
  switch (fields) {
    case "eth_src":
      fill(wc, K.dl_src);
      return;
    case "symmetric_l4":
      fill(wc, K.dl_src);
      fill(wc, K.dl_dst);
      maskAddrs(key, wc, true, true);
      if (isIpAny(key)) {
        fill(wc, K.nw_proto);
        if (get(key, K.nw_proto) !== IP_PROTO.UDP) {
          flowUnwildcardTpPorts(key, wc);
        }
      }
      orBits(wc, K.vlan_tci, VLAN_VID_MASK | VLAN_CFI);
      orBits(wc, K.vlan_tci1, VLAN_VID_MASK | VLAN_CFI);
      return;
    case "symmetric_l3l4":
      maskL3l4(key, wc);
      return;
    case "symmetric_l3l4+udp":
      if (
        isIpAny(key) &&
        get(key, K.nw_proto) === IP_PROTO.UDP &&
        (get(key, K.nw_frag) & NW_FRAG.MASK) === 0
      ) {
        maskPorts(wc);
      }
      maskL3l4(key, wc);
      return;
    case "nw_src":
      maskAddrs(key, wc, true, false);
      return;
    case "nw_dst":
      maskAddrs(key, wc, false, true);
      return;
    case "symmetric_l3":
      maskAddrs(key, wc, true, true);
      return;
  }
}

function maskL3l4(key: FlowKey, wc: FlowKey): void {
  const dlType = get(key, K.dl_type);
  if (dlType !== ETH_TYPE.IP && dlType !== ETH_TYPE.IPV6) {
    return;
  }
  maskAddrs(key, wc, true, true);
  fill(wc, K.nw_proto);
  const proto = get(key, K.nw_proto);
  if (
    (proto === IP_PROTO.TCP || proto === IP_PROTO.SCTP) &&
    (get(key, K.nw_frag) & NW_FRAG.MASK) === 0
  ) {
    maskPorts(wc);
  }
}
