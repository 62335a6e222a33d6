// SHA-1, which the database's file format uses to find damaged records. Not for security.
//
// Reference: FIPS 180-4 §6.1.

import { putU32 } from "../lib/bytes.ts";

const BLOCK_BYTES = 64;

/** One block of 64 bytes, its words in `w`, into the state. */
function compress(h: Int32Array, w: Int32Array): void {
  for (let t = 16; t < 80; t++) {
    const x =
      (w[t - 3] as number) ^ (w[t - 8] as number) ^ (w[t - 14] as number) ^ (w[t - 16] as number);
    w[t] = (x << 1) | (x >>> 31);
  }
  let a = h[0] as number;
  let b = h[1] as number;
  let c = h[2] as number;
  let d = h[3] as number;
  let e = h[4] as number;
  for (let t = 0; t < 80; t++) {
    let f: number;
    let k: number;
    if (t < 20) {
      f = (b & c) | (~b & d);
      k = 0x5a827999;
    } else if (t < 40) {
      f = b ^ c ^ d;
      k = 0x6ed9eba1;
    } else if (t < 60) {
      f = (b & c) | (b & d) | (c & d);
      k = 0x8f1bbcdc;
    } else {
      f = b ^ c ^ d;
      k = 0xca62c1d6;
    }
    const next = (((a << 5) | (a >>> 27)) + f + e + k + (w[t] as number)) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  h[0] = (h[0] as number) + a;
  h[1] = (h[1] as number) + b;
  h[2] = (h[2] as number) + c;
  h[3] = (h[3] as number) + d;
  h[4] = (h[4] as number) + e;
}

/** Puts 64 bytes at an offset into words. */
function load(w: Int32Array, bytes: Uint8Array, offset: number): void {
  for (let t = 0, at = offset; t < 16; t++, at += 4) {
    w[t] =
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number);
  }
}

/** The digest of `bytes[start, end)` in hex. */
export function sha1Hex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const h = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const w = new Int32Array(80);
  const n = end - start;
  let at = start;
  for (; at + BLOCK_BYTES <= end; at += BLOCK_BYTES) {
    load(w, bytes, at);
    compress(h, w);
  }
  // The rest, a 1 bit, zeros, and the length in bits as 64 bits, in one block or two.
  const rest = end - at;
  const tail = new Uint8Array(rest + 9 > BLOCK_BYTES ? 2 * BLOCK_BYTES : BLOCK_BYTES);
  tail.set(bytes.subarray(at, end));
  tail[rest] = 0x80;
  putU32(tail, tail.length - 8, Math.floor(n / 2 ** 29));
  putU32(tail, tail.length - 4, (n << 3) >>> 0);
  for (let i = 0; i < tail.length; i += BLOCK_BYTES) {
    load(w, tail, i);
    compress(h, w);
  }
  return Array.from(h, (x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
}
