// Requests for a neighbour's Ethernet address, as a native tunnel sends them: ARP (RFC 826) and
// neighbour solicitation (RFC 4861 §4.3).
// ovs: lib/packets.c compose_arp, compose_nd_ns.

import { putU16, putU32 } from "../lib/bytes.ts";
import { csumAdd32, csumContinue, csumFinish } from "../lib/checksum.ts";
import { PacketBuf } from "../packet/packet.ts";

const ETH_BYTES = 14;
const ARP_BYTES = 28;
const IPV6_BYTES = 40;
const ND_BYTES = 24;
const ND_OPTION_BYTES = 8;
const ETH_TYPE_ARP = 0x0806;
const ETH_TYPE_IPV6 = 0x86dd;
const ARP_REQUEST = 1;
const ICMPV6 = 58;
const ND_SOLICIT = 135;
const ND_OPT_SOURCE_LL = 1;
const ND_HOP_LIMIT = 255;

type Mac = readonly [hi: number, lo: number];

function putMac(b: Uint8Array, o: number, mac: Mac): void {
  putU16(b, o, mac[0]);
  putU32(b, o + 2, mac[1]);
}

function putIpv6(b: Uint8Array, o: number, w: Uint32Array): void {
  for (let i = 0; i < 4; i++) {
    putU32(b, o + 4 * i, w[i] as number);
  }
}

/** Broadcasts the question who has `target`. */
export function composeArpRequest(smac: Mac, src: number, target: number): PacketBuf {
  const b = new Uint8Array(ETH_BYTES + ARP_BYTES);
  putMac(b, 0, [0xffff, 0xffffffff]);
  putMac(b, 6, smac);
  putU16(b, 12, ETH_TYPE_ARP);
  const o = ETH_BYTES;
  putU16(b, o, 1);
  putU16(b, o + 2, 0x0800);
  b[o + 4] = 6;
  b[o + 5] = 4;
  putU16(b, o + 6, ARP_REQUEST);
  putMac(b, o + 8, smac);
  putU32(b, o + 14, src);
  putU32(b, o + 24, target);
  return PacketBuf.of(b);
}

/** Sends the same question to the solicited-node multicast address of `target`. */
export function composeNdSolicit(smac: Mac, src: Uint32Array, target: Uint32Array): PacketBuf {
  const last = target[3] as number;
  const dst = Uint32Array.of(0xff020000, 0, 1, (0xff000000 | (last & 0xffffff)) >>> 0);
  const b = new Uint8Array(ETH_BYTES + IPV6_BYTES + ND_BYTES + ND_OPTION_BYTES);
  putMac(b, 0, [0x3333, dst[3] as number]);
  putMac(b, 6, smac);
  putU16(b, 12, ETH_TYPE_IPV6);
  const o = ETH_BYTES;
  putU32(b, o, 0x60000000);
  putU16(b, o + 4, ND_BYTES + ND_OPTION_BYTES);
  b[o + 6] = ICMPV6;
  b[o + 7] = ND_HOP_LIMIT;
  putIpv6(b, o + 8, src);
  putIpv6(b, o + 24, dst);
  const nd = o + IPV6_BYTES;
  b[nd] = ND_SOLICIT;
  putIpv6(b, nd + 8, target);
  b[nd + ND_BYTES] = ND_OPT_SOURCE_LL;
  b[nd + ND_BYTES + 1] = 1;
  putMac(b, nd + ND_BYTES + 2, smac);
  let sum = csumContinue(0, b, o + 8, o + IPV6_BYTES);
  sum = csumAdd32(csumAdd32(sum, ND_BYTES + ND_OPTION_BYTES), ICMPV6);
  putU16(b, nd + 2, csumFinish(csumContinue(sum, b, nd, b.length)));
  return PacketBuf.of(b);
}
