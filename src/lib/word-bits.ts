// Bits of long numbers: values of several 32-bit words, most significant word first.
//
// Bit 0 is the least significant one, so bit `i` stands in word `length - 1 - i / 32`. All loops are
// bounded by the number of bits asked for. (ovs: lib/util.c bitwise_copy, bitwise_scan...)

/** Bit `i` of a value: 0 or 1; 0 beyond its end. */
export function bitAt(v: Uint32Array, i: number): 0 | 1 {
  return (((v[v.length - 1 - (i >>> 5)] ?? 0) >>> (i & 31)) & 1) as 0 | 1;
}

/** Up to 32 bits from bit `ofs` on, as an unsigned number. */
function bitsAt(v: Uint32Array, ofs: number, count: number): number {
  const w = v.length - 1 - (ofs >>> 5);
  const shift = ofs & 31;
  let n = (v[w] ?? 0) >>> shift;
  if (shift > 0) {
    n |= (v[w - 1] ?? 0) << (32 - shift);
  }
  return count >= 32 ? n >>> 0 : n & (2 ** count - 1);
}

/** Sets up to 32 bits from bit `ofs` on. */
function putBitsAt(v: Uint32Array, ofs: number, count: number, bits: number): void {
  const mask = count >= 32 ? 0xffffffff : 2 ** count - 1;
  const w = v.length - 1 - (ofs >>> 5);
  const shift = ofs & 31;
  if (w >= 0) {
    v[w] = ((v[w] ?? 0) & ~(mask << shift)) | ((bits & mask) << shift);
  }
  if (shift + count > 32 && w >= 1) {
    const up = 32 - shift;
    v[w - 1] = ((v[w - 1] ?? 0) & ~(mask >>> up)) | ((bits & mask) >>> up);
  }
}

/** Copies `count` bits. The values must not be the same array. */
export function copyBits(
  from: Uint32Array,
  fromOfs: number,
  to: Uint32Array,
  toOfs: number,
  count: number,
): void {
  for (let done = 0; done < count; done += 32) {
    const n = Math.min(32, count - done);
    putBitsAt(to, toOfs + done, n, bitsAt(from, fromOfs + done, n));
  }
}

/** Sets `count` bits to 1. */
export function fillBits(v: Uint32Array, ofs: number, count: number): void {
  for (let done = 0; done < count; done += 32) {
    putBitsAt(v, ofs + done, Math.min(32, count - done), 0xffffffff);
  }
}

/** True if the `count` bits from `ofs` on are all 0. */
export function zeroBits(v: Uint32Array, ofs: number, count: number): boolean {
  for (let done = 0; done < count; done += 32) {
    if (bitsAt(v, ofs + done, Math.min(32, count - done)) !== 0) {
      return false;
    }
  }
  return true;
}

/** The first bit with this value in [from, to), or `to`. */
export function scanBits(v: Uint32Array, target: 0 | 1, from: number, to: number): number {
  for (let i = from; i < to; i++) {
    if (bitAt(v, i) === target) {
      return i;
    }
  }
  return to;
}

/** The low words of a value as a value of `words` words; higher words are 0 or lost. */
export function resizeWords(v: Uint32Array, words: number): Uint32Array {
  const out = new Uint32Array(words);
  for (let i = 1; i <= words && i <= v.length; i++) {
    out[words - i] = v[v.length - i] ?? 0;
  }
  return out;
}
