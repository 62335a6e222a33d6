// SHA-1 (FIPS 180-4 §6.1.2), which guards the records of a database file. No cryptographic use.

const BLOCK_BYTES = 64;
const ROUNDS = 80;

/** The digest of some bytes as 40 hexadecimal digits. */
export function sha1Hex(bytes: Uint8Array): string {
  const h = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const w = new Int32Array(ROUNDS);
  const whole = bytes.length - (bytes.length % BLOCK_BYTES);
  for (let at = 0; at < whole; at += BLOCK_BYTES) {
    addBlock(h, w, bytes, at);
  }
  // The rest, a one bit, zeros, and the length in bits in the last eight bytes.
  const rest = bytes.length - whole;
  const tail = new Uint8Array(rest + 9 > BLOCK_BYTES ? 2 * BLOCK_BYTES : BLOCK_BYTES);
  tail.set(bytes.subarray(whole));
  tail[rest] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(tail.length - 4, bytes.length << 3);
  for (let at = 0; at < tail.length; at += BLOCK_BYTES) {
    addBlock(h, w, tail, at);
  }
  return [...h].map((word) => word.toString(16).padStart(8, "0")).join("");
}

function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

function addBlock(h: Uint32Array, w: Int32Array, bytes: Uint8Array, at: number): void {
  for (let t = 0; t < ROUNDS; t++) {
    const o = at + 4 * t;
    w[t] =
      t < 16
        ? ((bytes[o] as number) << 24) |
          ((bytes[o + 1] as number) << 16) |
          ((bytes[o + 2] as number) << 8) |
          (bytes[o + 3] as number)
        : rotl(
            (w[t - 3] as number) ^
              (w[t - 8] as number) ^
              (w[t - 14] as number) ^
              (w[t - 16] as number),
            1,
          );
  }
  let [a, b, c, d, e] = h as unknown as [number, number, number, number, number];
  for (let t = 0; t < ROUNDS; t++) {
    const next = (rotl(a, 5) + mix(t, b, c, d) + e + (w[t] as number)) | 0;
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = next;
  }
  for (const [i, v] of [a, b, c, d, e].entries()) {
    h[i] = ((h[i] as number) + v) >>> 0;
  }
}

/** The function and constant of a round. */
function mix(t: number, b: number, c: number, d: number): number {
  if (t < 20) {
    return ((b & c) | (~b & d)) + 0x5a827999;
  }
  if (t < 40) {
    return (b ^ c ^ d) + 0x6ed9eba1;
  }
  if (t < 60) {
    return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  }
  return (b ^ c ^ d) + 0xca62c1d6;
}
