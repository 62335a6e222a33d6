// Packets of the protocols that hosts speak most, part by part, joined by who sends them.
//
// Lengths and ports are right; checksums are 0 until mendSums() (layers.ts) has made them.

import { put16, u16 } from "./layers.ts";
import type { Pick } from "./matches.ts";

/** First byte of a host's address. */
export const HOST_OUI = 0x50;

export function put32(b: Uint8Array, at: number, v: number): void {
  put16(b, at, v >>> 16);
  put16(b, at + 2, v & 0xffff);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));

export interface Host {
  readonly mac: Uint8Array;
  readonly ip4: Uint8Array;
  readonly ip6: Uint8Array;
}

export function hostOf(n: number): Host {
  return {
    mac: Uint8Array.of(HOST_OUI, 0x54, 0, 0, 0, n),
    ip4: Uint8Array.of(10, 0, 0, n),
    ip6: Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n),
  };
}

export function ethernet(src: Host, dst: Host, tags: readonly number[], type: number): Uint8Array {
  const b = new Uint8Array(14 + 4 * tags.length);
  b.set(dst.mac, 0);
  b.set(src.mac, 6);
  tags.forEach((tci, i) => {
    put16(b, 12 + 4 * i, i === 0 && tags.length > 1 ? 0x88a8 : 0x8100);
    put16(b, 14 + 4 * i, tci);
  });
  put16(b, b.length - 2, type);
  return b;
}

export function ip4(
  src: Host,
  dst: Host,
  proto: number,
  body: Uint8Array,
  more: readonly number[] = [],
) {
  const [tos = 0, ttl = 64, id = 0, frag = 0] = more;
  const b = new Uint8Array(20);
  b[0] = 0x45;
  b[1] = tos;
  put16(b, 2, 20 + body.length);
  put16(b, 4, id);
  put16(b, 6, frag);
  b[8] = ttl;
  b[9] = proto;
  b.set(src.ip4, 12);
  b.set(dst.ip4, 16);
  return join(b, body);
}

export function ip6(src: Host, dst: Host, proto: number, body: Uint8Array): Uint8Array {
  const b = new Uint8Array(40);
  b[0] = 0x60;
  put16(b, 4, body.length);
  b[6] = proto;
  b[7] = 64;
  b.set(src.ip6, 8);
  b.set(dst.ip6, 24);
  return join(b, body);
}

export function udp(sport: number, dport: number, payload: Uint8Array): Uint8Array {
  const b = new Uint8Array(8);
  put16(b, 0, sport);
  put16(b, 2, dport);
  put16(b, 4, 8 + payload.length);
  put16(b, 6, 1); // to be mended
  return join(b, payload);
}

export interface Segment {
  readonly sport: number;
  readonly dport: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
}

export function tcp(s: Segment, payload: Uint8Array): Uint8Array {
  const b = new Uint8Array(20);
  put16(b, 0, s.sport);
  put16(b, 2, s.dport);
  put32(b, 4, s.seq);
  put32(b, 8, s.ack);
  b[12] = 0x50;
  b[13] = s.flags;
  put16(b, 14, 0x4000);
  return join(b, payload);
}

export function sctp(sport: number, dport: number, payload: Uint8Array): Uint8Array {
  const b = new Uint8Array(12);
  put16(b, 0, sport);
  put16(b, 2, dport);
  return join(b, payload);
}

export function echo(v6: boolean, reply: boolean, id: number): Uint8Array {
  const b = new Uint8Array(16);
  b[0] = v6 ? (reply ? 129 : 128) : reply ? 0 : 8;
  put16(b, 4, id);
  return b;
}

export function arp(src: Host, dst: Host, op: number): Uint8Array {
  const b = new Uint8Array(28);
  b.set([0, 1, 8, 0, 6, 4, 0, op]);
  b.set(src.mac, 8);
  b.set(src.ip4, 14);
  if (op === 2) {
    b.set(dst.mac, 18);
  }
  b.set(dst.ip4, 24);
  return b;
}

export function multicastMac(r: Pick): Uint8Array {
  return Uint8Array.of(1, 0, 0x5e, 0, 0, 1 + r(3));
}

export function igmp(src: Host, r: Pick): Uint8Array {
  const group = Uint8Array.of(224, 1, 1, 1 + r(3));
  const b = join(Uint8Array.of([0x11, 0x16, 0x17, 0x12][r(4)] ?? 0x16, 0, 0, 0), group);
  let sum = 0;
  for (let i = 0; i < b.length; i += 2) {
    sum += u16(b, i);
  }
  put16(b, 2, 0xffff ^ ((sum & 0xffff) + (sum >>> 16)));
  return ip4(src, { ...src, ip4: group }, 2, b);
}
