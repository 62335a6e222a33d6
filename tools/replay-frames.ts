// Frames for recorded captures: Ethernet, IPv4, and TCP, UDP or an ICMP error, with checksums.

import { parseIpv4 } from "../src/lib/address.ts";
import { concatBytes, parseHex, putU16, putU32 } from "../src/lib/bytes.ts";
import { csum } from "../src/lib/checksum.ts";

interface PacketSpec {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly sport?: number;
  readonly dport?: number;
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly data?: Uint8Array;
  /** ICMP port unreachable about this packet. */
  readonly unreachable?: PacketSpec;
}

export interface FrameSpec extends PacketSpec {
  readonly ethSrc: string;
  readonly ethDst: string;
}

const mac = (text: string) => parseHex(text.replaceAll(":", "")) ?? new Uint8Array(6);

function sum(bytes: Uint8Array): number {
  return csum(bytes, 0, bytes.length);
}

function pseudoHeader({ src, dst, proto }: PacketSpec, bytes: number): Uint8Array {
  const b = new Uint8Array(12);
  putU32(b, 0, parseIpv4(src) ?? 0);
  putU32(b, 4, parseIpv4(dst) ?? 0);
  putU16(b, 8, proto);
  putU16(b, 10, bytes);
  return b;
}

function transport(p: PacketSpec): Uint8Array {
  const data = p.data ?? new Uint8Array(0);
  if (p.unreachable !== undefined) {
    const inner = packet(p.unreachable);
    const b = concatBytes([Uint8Array.of(3, 3, 0, 0, 0, 0, 0, 0), inner]);
    putU16(b, 2, sum(b));
    return b;
  }
  const isTcp = p.proto === 6;
  const head = new Uint8Array(isTcp ? 20 : 8);
  putU16(head, 0, p.sport ?? 0);
  putU16(head, 2, p.dport ?? 0);
  if (isTcp) {
    putU32(head, 4, p.seq ?? 0);
    putU32(head, 8, p.ack ?? 0);
    head[12] = 0x50;
    head[13] = p.flags ?? 0;
    putU16(head, 14, 64240);
  } else {
    putU16(head, 4, 8 + data.length);
  }
  const all = concatBytes([head, data]);
  putU16(all, isTcp ? 16 : 6, sum(concatBytes([pseudoHeader(p, all.length), all])));
  return all;
}

function packet(p: PacketSpec): Uint8Array {
  const l4 = transport(p);
  const ip = new Uint8Array(20);
  ip[0] = 0x45;
  putU16(ip, 2, 20 + l4.length);
  putU16(ip, 4, 1);
  putU16(ip, 6, 0x4000);
  ip[8] = 64;
  ip[9] = p.proto;
  putU32(ip, 12, parseIpv4(p.src) ?? 0);
  putU32(ip, 16, parseIpv4(p.dst) ?? 0);
  putU16(ip, 10, sum(ip));
  return concatBytes([ip, l4]);
}

/** A whole frame. */
export function frame(p: FrameSpec): Uint8Array {
  return concatBytes([mac(p.ethDst), mac(p.ethSrc), Uint8Array.of(8, 0), packet(p)]);
}
