// ICMP, ICMPv6, neighbour discovery and IGMP: setting fields and composing messages.
//
// References: RFC 4861 §4.3 to §4.6, RFC 3376 §4.1; ovs: lib/packets.c packet_set_icmp,
// packet_set_nd, packet_set_nd_ext, packet_set_igmp3_query, compose_nd_ns, compose_nd_na.

import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { csumContinue, csumFinish, recalcCsum16, recalcCsum48 } from "../lib/checksum.ts";
import { ETH_TYPE, type EthAddrs, ethCompose, putMac } from "./ethernet.ts";
import { ICMP, ICMP6_TYPE, ND, ND_OPT } from "./icmp-header.ts";
import { IP_PROTO, IPV6, ipv6PseudoCsum, sameWords, setIpv6, setIpv6Addr } from "./ip.ts";
import { NO_OFS, type PacketBuf } from "./packet.ts";

export function setIcmp(p: PacketBuf, type: number, code: number): void {
  const b = p.bytes;
  const at = p.l4();
  const old = getU16(b, at + ICMP.TYPE);
  const now = (type << 8) | code;
  if (old !== now) {
    putU16(b, at + ICMP.TYPE, now);
    putU16(b, at + ICMP.CSUM, recalcCsum16(getU16(b, at + ICMP.CSUM), old, now));
  }
  p.md.conn = null;
}

export interface NdFields {
  readonly target: ArrayLike<number>;
  readonly sllHi: number;
  readonly sllLo: number;
  readonly tllHi: number;
  readonly tllLo: number;
}

/** Sets target and the first link-layer address option (ovs: packet_set_nd). */
export function setNd(p: PacketBuf, f: NdFields): void {
  const b = p.bytes;
  let left = p.l4Bytes();
  if (left < ND.MSG_BYTES) {
    return;
  }
  const at = p.l4();
  let opt = at + ND.OPTIONS;
  left -= ND.MSG_BYTES;
  if (!sameWords(b, at + ND.TARGET, f.target, 0)) {
    const addr = { words: f.target, from: 0, keepCsum: false };
    setIpv6Addr(p, IP_PROTO.ICMPV6, at + ND.TARGET, addr);
  }
  while (left >= ND_OPT.LLA_BYTES && b[opt + ND_OPT.LEN] !== 0) {
    const units = b[opt + ND_OPT.LEN] as number;
    const type = b[opt + ND_OPT.TYPE];
    if (units === 1 && type === ND_OPT.SOURCE_LLA) {
      setNdMac(b, at + ICMP.CSUM, opt + ND_OPT.MAC, f.sllHi, f.sllLo);
      return;
    }
    if (units === 1 && type === ND_OPT.TARGET_LLA) {
      setNdMac(b, at + ICMP.CSUM, opt + ND_OPT.MAC, f.tllHi, f.tllLo);
      return;
    }
    opt += units * ND_OPT.UNIT_BYTES;
    left -= units * ND_OPT.UNIT_BYTES;
  }
}

function setNdMac(b: Uint8Array, csumAt: number, at: number, hi: number, lo: number): void {
  const oldHi = getU16(b, at);
  const oldLo = getU32(b, at + 2);
  if (oldHi !== hi || oldLo !== lo >>> 0) {
    putU16(b, csumAt, recalcCsum48(getU16(b, csumAt), oldHi, oldLo, hi, lo));
    putMac(b, at, hi, lo);
  }
}

/** Sets the reserved word and the type of the first option (ovs: packet_set_nd_ext). */
export function setNdExt(p: PacketBuf, rsoFlags: number, optType: number): void {
  const b = p.bytes;
  const l4Bytes = p.l4Bytes();
  if (l4Bytes < ND.MSG_BYTES) {
    return;
  }
  const pseudo = p.l3Ofs === NO_OFS ? 0 : ipv6PseudoCsum(b, p.l3());
  const at = p.l4();
  putU32(b, at + ND.RSO, rsoFlags);
  if (l4Bytes > ND.OPTIONS) {
    b[at + ND.OPTIONS + ND_OPT.TYPE] = optType;
  }
  putU16(b, at + ICMP.CSUM, 0);
  putU16(b, at + ICMP.CSUM, csumFinish(csumContinue(pseudo, b, at, at + l4Bytes)));
}

/** The multicast MAC of an IPv6 multicast address (RFC 2464 §7): [hi16, lo32]. */
function ipv6MulticastMac(addr: ArrayLike<number>): readonly [number, number] {
  return [0x3333, (addr[3] as number) >>> 0];
}

/** The solicited-node multicast address (RFC 4291 §2.7.1). */
function solicitedNode(addr: ArrayLike<number>): Uint32Array {
  return Uint32Array.of(0xff020000, 0, 1, 0xff000000 | ((addr[3] as number) & 0xffffff));
}

interface NdMessage {
  readonly type: number;
  readonly eth: EthAddrs;
  readonly src: ArrayLike<number>;
  readonly dst: ArrayLike<number>;
  readonly rsoFlags: number;
  readonly target: ArrayLike<number>;
  readonly optType: number;
}

/** A neighbour solicitation for `dst` (ovs: compose_nd_ns). */
export function composeNdNs(
  p: PacketBuf,
  srcMac: readonly [number, number],
  src: ArrayLike<number>,
  dst: ArrayLike<number>,
): void {
  const group = solicitedNode(dst);
  const [dstHi, dstLo] = ipv6MulticastMac(group);
  const eth = { dstHi, dstLo, srcHi: srcMac[0], srcLo: srcMac[1] };
  const type = ICMP6_TYPE.ND_NEIGHBOR_SOLICIT;
  const optType = ND_OPT.SOURCE_LLA;
  composeNd(p, { type, eth, src, dst: group, rsoFlags: 0, target: dst, optType });
}

/** A neighbour advertisement of `src` (ovs: compose_nd_na). */
export function composeNdNa(
  p: PacketBuf,
  eth: EthAddrs,
  src: ArrayLike<number>,
  dst: ArrayLike<number>,
  rsoFlags: number,
): void {
  const type = ICMP6_TYPE.ND_NEIGHBOR_ADVERT;
  composeNd(p, { type, eth, src, dst, rsoFlags, target: src, optType: ND_OPT.TARGET_LLA });
}

function composeNd(p: PacketBuf, m: NdMessage): void {
  const bytes = ND.MSG_BYTES + ND_OPT.LLA_BYTES;
  ethCompose(p, m.eth, ETH_TYPE.IPV6, IPV6.HEADER_BYTES + bytes);
  p.l4Ofs = p.l3Ofs + IPV6.HEADER_BYTES;
  const b = p.bytes;
  const ip = p.l3();
  b[ip] = 0x60;
  b[ip + IPV6.NEXT] = IP_PROTO.ICMPV6;
  putU16(b, ip + IPV6.PLEN, bytes);
  const addrs = new Uint32Array(8);
  for (let i = 0; i < 4; i++) {
    addrs[i] = m.src[i] as number;
    addrs[i + 4] = m.dst[i] as number;
  }
  setIpv6(p, { addrs, tc: 0, label: 0, hlim: 255 });
  const at = p.l4();
  b[at + ICMP.TYPE] = m.type;
  putU32(b, at + ND.RSO, m.rsoFlags);
  for (let i = 0; i < 4; i++) {
    putU32(b, at + ND.TARGET + 4 * i, m.target[i] as number);
  }
  const opt = at + ND.OPTIONS;
  b[opt + ND_OPT.TYPE] = m.optType;
  b[opt + ND_OPT.LEN] = 1;
  putMac(b, opt + ND_OPT.MAC, m.eth.srcHi, m.eth.srcLo);
  putU16(b, at + ICMP.CSUM, 0);
  const sum = csumContinue(ipv6PseudoCsum(b, ip), b, at, at + bytes);
  putU16(b, at + ICMP.CSUM, csumFinish(sum));
}
