// SHA-1, which the database's file format uses to find damaged records. Not for security.
//
// Reference: FIPS 180-4 §6.1.

const BLOCK_BYTES = 64;

function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

/** One block of 64 bytes into the state. */
function compress(h: Int32Array, w: Int32Array): void {
  for (let t = 16; t < 80; t++) {
    const x =
      (w[t - 3] as number) ^ (w[t - 8] as number) ^ (w[t - 14] as number) ^ (w[t - 16] as number);
    w[t] = rotl(x, 1);
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
    const next = (rotl(a, 5) + f + e + k + (w[t] as number)) | 0;
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = next;
  }
  h[0] = (h[0] as number) + a;
  h[1] = (h[1] as number) + b;
  h[2] = (h[2] as number) + c;
  h[3] = (h[3] as number) + d;
  h[4] = (h[4] as number) + e;
}

/** The digest of `bytes[start, end)` in hex. */
export function sha1Hex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const h = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const w = new Int32Array(80);
  const n = end - start;
  // The message, a 1 bit, zeros, and the length in bits as 64 bits, in whole blocks.
  const blocks = Math.floor((n + 8) / BLOCK_BYTES) + 1;
  for (let block = 0; block < blocks; block++) {
    for (let t = 0; t < 16; t++) {
      let word = 0;
      for (let i = 0; i < 4; i++) {
        const at = block * BLOCK_BYTES + t * 4 + i;
        const byte = at < n ? (bytes[start + at] as number) : at === n ? 0x80 : 0;
        word = (word << 8) | byte;
      }
      w[t] = word;
    }
    if (block === blocks - 1) {
      w[14] = Math.floor(n / 2 ** 29);
      w[15] = (n << 3) | 0;
    }
    compress(h, w);
  }
  return Array.from(h, (x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
}
