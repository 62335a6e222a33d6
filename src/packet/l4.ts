// TCP, UDP and SCTP headers: offsets, and setting ports with their checksums kept right.
//
// References: RFC 9293 §3.1, RFC 768, RFC 9260 §3.1; ovs: lib/packets.c packet_set_tcp_port,
// packet_set_udp_port, packet_set_sctp_port. `p` must hold the header whole, at l4Ofs.

import { getU16, getU32le, putU16, putU32, putU32le } from "../lib/bytes.ts";
import { crc32c, recalcCsum16 } from "../lib/checksum.ts";
import type { PacketBuf } from "./packet.ts";

export const TCP = {
  SRC: 0,
  DST: 2,
  SEQ: 4,
  ACK: 8,
  CTL: 12,
  WINDOW: 14,
  CSUM: 16,
  URGENT: 18,
  HEADER_BYTES: 20,
} as const;

/** Bits of the lower half of CTL. */
export const TCP_FLAG = {
  FIN: 0x001,
  SYN: 0x002,
  RST: 0x004,
  PSH: 0x008,
  ACK: 0x010,
  URG: 0x020,
  ECE: 0x040,
  CWR: 0x080,
  NS: 0x100,
  MASK: 0xfff,
} as const;

export const UDP = { SRC: 0, DST: 2, LEN: 4, CSUM: 6, HEADER_BYTES: 8 } as const;
export const SCTP = { SRC: 0, DST: 2, VTAG: 4, CSUM: 8, HEADER_BYTES: 12 } as const;

/** Bytes of a TCP header, from its CTL field. */
export function tcpHeaderBytes(ctl: number): number {
  return (ctl >>> 12) * 4;
}

/** Bytes of the TCP header at `at` if it is whole within `size` bytes, 0 if not. */
export function wholeTcpHeader(b: Uint8Array, at: number, size: number): number {
  const bytes = size < TCP.HEADER_BYTES ? 0 : tcpHeaderBytes(getU16(b, at + TCP.CTL));
  return bytes >= TCP.HEADER_BYTES && bytes <= size ? bytes : 0;
}

/** Changes a 16-bit word and the Internet checksum that covers it. */
function setWord16(b: Uint8Array, at: number, value: number, csumAt: number): void {
  const old = getU16(b, at);
  if (old !== value) {
    putU16(b, csumAt, recalcCsum16(getU16(b, csumAt), old, value));
    putU16(b, at, value);
  }
}

export function setTcpPorts(p: PacketBuf, src: number, dst: number): void {
  const at = p.l4();
  setWord16(p.bytes, at + TCP.SRC, src, at + TCP.CSUM);
  setWord16(p.bytes, at + TCP.DST, dst, at + TCP.CSUM);
  p.md.conn = null;
}

export function setUdpPorts(p: PacketBuf, src: number, dst: number): void {
  const b = p.bytes;
  const at = p.l4();
  if (getU16(b, at + UDP.CSUM) !== 0) {
    setWord16(b, at + UDP.SRC, src, at + UDP.CSUM);
    setWord16(b, at + UDP.DST, dst, at + UDP.CSUM);
    fixZeroUdpCsum(b, at);
  } else {
    putU16(b, at + UDP.SRC, src);
    putU16(b, at + UDP.DST, dst);
  }
  p.md.conn = null;
}

/** A computed UDP checksum of 0 is sent as all ones, since 0 says "none". */
export function fixZeroUdpCsum(b: Uint8Array, udpAt: number): void {
  if (getU16(b, udpAt + UDP.CSUM) === 0) {
    putU16(b, udpAt + UDP.CSUM, 0xffff);
  }
}

/** Keeps a wrong checksum as wrong as it was: only the difference is applied. */
export function setSctpPorts(p: PacketBuf, src: number, dst: number): void {
  const b = p.bytes;
  const at = p.l4();
  const end = at + p.l4Bytes();
  const oldCsum = getU32le(b, at + SCTP.CSUM);
  putU32(b, at + SCTP.CSUM, 0);
  const oldRight = crc32c(b, at, end);
  putU16(b, at + SCTP.SRC, src);
  putU16(b, at + SCTP.DST, dst);
  const newRight = crc32c(b, at, end);
  putU32le(b, at + SCTP.CSUM, oldCsum ^ oldRight ^ newRight);
  p.md.conn = null;
}

/** Letters of tcpdump, "none" without any flag (ovs: packet_format_tcp_flags). */
export function formatTcpFlags(flags: number): string {
  if (flags === 0) {
    return "none";
  }
  let s = "";
  for (const [bit, text] of TCP_FLAG_LETTERS) {
    s += (flags & bit) !== 0 ? text : "";
  }
  return s;
}

const TCP_FLAG_LETTERS: readonly (readonly [number, string])[] = [
  [TCP_FLAG.SYN, "S"],
  [TCP_FLAG.FIN, "F"],
  [TCP_FLAG.PSH, "P"],
  [TCP_FLAG.RST, "R"],
  [TCP_FLAG.URG, "U"],
  [TCP_FLAG.ACK, "."],
  [TCP_FLAG.ECE, "E"],
  [TCP_FLAG.CWR, "C"],
  [TCP_FLAG.NS, "N"],
  [0x200, "[200]"],
  [0x400, "[400]"],
  [0x800, "[800]"],
];
