// Checksums: the Internet checksum, its incremental update, and CRC32c for SCTP.
//
// Sums are kept as numbers of at most 32 bits before they are folded. All values are host-order
// numbers of big-endian data, which gives the same bytes as summing in the machine's own order
// (RFC 1071 §2). The incremental update follows RFC 1624 eqn. 3, as ovs: lib/csum.c does, so that
// a zero checksum comes out in the same of its two forms.

/** Adds the bytes [start, end) to a partial sum. An odd last byte counts as the upper half. */
export function csumContinue(partial: number, b: Uint8Array, start: number, end: number): number {
  // Bytes in even and in odd places by themselves: less work than putting words together.
  let even = 0;
  let odd = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    even += (b[i] as number) + (b[i + 2] as number);
    odd += (b[i + 1] as number) + (b[i + 3] as number);
  }
  for (; i + 1 < end; i += 2) {
    even += b[i] as number;
    odd += b[i + 1] as number;
  }
  if (i < end) {
    even += b[i] as number;
  }
  const sum = partial + even * 256 + odd;
  // A frame has at most 2^16 words, so a fold per call keeps the sum far below 2^53.
  return sum > 0xffffffff ? fold(sum) : sum;
}

export function csumAdd16(partial: number, v: number): number {
  return partial + (v & 0xffff);
}

export function csumAdd32(partial: number, v: number): number {
  return partial + (v >>> 16) + (v & 0xffff);
}

function fold(sum: number): number {
  let s = sum > 0xffffffff ? (sum % 0x10000) + Math.floor(sum / 0x10000) : sum;
  while (s > 0xffff) {
    s = (s & 0xffff) + (s >>> 16);
  }
  return s;
}

/** Folds and complements a partial sum. */
export function csumFinish(partial: number): number {
  return ~fold(partial) & 0xffff;
}

/** The Internet checksum of the bytes [start, end). */
export function csum(b: Uint8Array, start = 0, end = b.length): number {
  return csumFinish(csumContinue(0, b, start, end));
}

/** The checksum after a 16-bit word that it covers changed (RFC 1624 eqn. 3). */
export function recalcCsum16(old: number, oldWord: number, newWord: number): number {
  let s = (~old & 0xffff) + (~oldWord & 0xffff) + (newWord & 0xffff);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/** The checksum after a 32-bit word changed. */
export function recalcCsum32(old: number, oldWord: number, newWord: number): number {
  const c = recalcCsum16(old, oldWord, newWord);
  return recalcCsum16(c, oldWord >>> 16, newWord >>> 16);
}

/** The checksum after a MAC, [upper 16, lower 32 bits], changed. */
export function recalcCsum48(
  old: number,
  oldHi: number,
  oldLo: number,
  newHi: number,
  newLo: number,
): number {
  return recalcCsum32(recalcCsum16(old, oldHi, newHi), oldLo, newLo);
}

// Reflected polynomial 0x1edc6f41 (RFC 3309, RFC 9260 appendix A).
const CRC32C_TABLE = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let k = 0; k < 8; k++) {
    c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  }
  CRC32C_TABLE[i] = c;
}

/** CRC32c of the bytes [start, end), as a number whose bytes SCTP sends lowest first. */
export function crc32c(b: Uint8Array, start = 0, end = b.length): number {
  let c = 0xffffffff;
  for (let i = start; i < end; i++) {
    c = (CRC32C_TABLE[(c ^ (b[i] as number)) & 0xff] as number) ^ (c >>> 8);
  }
  return ~c >>> 0;
}
