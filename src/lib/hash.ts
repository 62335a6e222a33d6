// Hash functions with the exact values of Open vSwitch on a little-endian machine, whose hashes
// choose buckets of select groups, members of bonds and source ports of tunnels.
//
// A 32-bit word that OVS reads from memory in network byte order reaches its hash with its bytes
// reversed: callers wrap such host-order values in `bswap32`. The generic variant (MurmurHash3
// mixing) is the one of distributions' x86-64 packages, which are not compiled for SSE4.2.
//
// ovs: lib/hash.h, lib/hash.c, lib/jhash.c.

import { getU32le } from "./bytes.ts";
import { encodeUtf8 } from "./bytes.ts";

/** Mixes one word in (ovs: mhash_add, hash_add). */
export function hashAdd(hash: number, data: number): number {
  let h = hash;
  if (data !== 0) {
    let d = Math.imul(data, 0xcc9e2d51);
    d = (d << 15) | (d >>> 17);
    h ^= Math.imul(d, 0x1b873593);
  }
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** Mixes a 64-bit value in, its lower word first. */
export function hashAdd64(hash: number, hi: number, lo: number): number {
  return hashAdd(hashAdd(hash, lo), hi);
}

/** ovs: mhash_finish. */
function mhashFinish(hash: number): number {
  return hashFinishInt(hash, 0) >>> 0;
}

/** Like hashFinish(), but signed: V8 keeps such numbers without allocating. */
export function hashFinishInt(hash: number, final: number): number {
  let h = hash ^ final;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** `final` is the number of bytes hashed. The result is unsigned. */
export function hashFinish(hash: number, final: number): number {
  return mhashFinish(hash ^ final);
}

export function hash2words(x: number, y: number): number {
  return hashFinish(hashAdd(hashAdd(x, 0), y), 8);
}

export function hashInt(x: number, basis: number): number {
  return hash2words(x, basis);
}

export function hashUint64(hi: number, lo: number, basis = 0): number {
  return hashFinish(hashAdd64(basis, hi, lo), 8);
}

export function hashBoolean(x: boolean, basis: number): number {
  return ((x ? 0xc2b73583 : 0xe90f1258) ^ ((basis << 1) | (basis >>> 31))) >>> 0;
}

/** The words [start, end) as they are; the caller has them in the machine's order. */
export function hashWords(p: Uint32Array, start: number, end: number, basis: number): number {
  let h = basis;
  for (let i = start; i < end; i++) {
    h = hashAdd(h, p[i] as number);
  }
  return hashFinish(h, (end - start) * 4);
}

export function hashBytes(b: Uint8Array, basis: number, start = 0, end = b.length): number {
  let h = basis;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    h = hashAdd(h, getU32le(b, i));
  }
  if (i < end) {
    h = hashAdd(h, tailLe(b, i, end));
  }
  return hashFinish(h, end - start);
}

/** Up to four bytes as a little-endian word, zero-filled. */
function tailLe(b: Uint8Array, start: number, end: number): number {
  let v = 0;
  for (let i = start; i < end && i < start + 4; i++) {
    v |= (b[i] as number) << (8 * (i - start));
  }
  return v;
}

export function hashString(s: string, basis = 0): number {
  return hashBytes(encodeUtf8(s), basis);
}

const rot = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** Bob Jenkins' lookup3 over bytes (ovs: jhash_bytes). */
export function jhashBytes(
  bytes: Uint8Array,
  basis: number,
  start = 0,
  end = bytes.length,
): number {
  let n = end - start;
  let i = start;
  let a = (0xdeadbeef + n + basis) | 0;
  let b = a;
  let c = a;
  for (; n >= 12; n -= 12, i += 12) {
    a = (a + getU32le(bytes, i)) | 0;
    b = (b + getU32le(bytes, i + 4)) | 0;
    c = (c + getU32le(bytes, i + 8)) | 0;
    a = (a - c) ^ rot(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rot(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rot(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rot(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rot(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rot(b, 4);
    b = (b + a) | 0;
  }
  if (n > 0) {
    a = (a + tailLe(bytes, i, end)) | 0;
    b = (b + tailLe(bytes, Math.min(i + 4, end), end)) | 0;
    c = (c + tailLe(bytes, Math.min(i + 8, end), end)) | 0;
    c = (c ^ b) - rot(b, 14);
    a = (a ^ c) - rot(c, 11);
    b = (b ^ a) - rot(a, 25);
    c = (c ^ b) - rot(b, 16);
    a = (a ^ c) - rot(c, 4);
    b = (b ^ a) - rot(a, 14);
    c = (c ^ b) - rot(b, 24);
  }
  return c >>> 0;
}
