// Bytes: big-endian access to Uint8Array, bounded reading and writing, hex and UTF-8.
//
// Network byte order is the rule here; the few little-endian readers say so in their names. The
// plain get/put functions do not check bounds (callers have compared lengths: a read past the end
// gives 0 as typed arrays do, a write is ignored); Cursor and Writer do.

import { assert } from "./errors.ts";

// `as number` below: an index past the end gives undefined, which `|` and `<<` turn into 0.

export function getU16(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 8) | (b[o + 1] as number);
}

export function getU32(b: Uint8Array, o: number): number {
  return (
    (((b[o] as number) << 24) |
      ((b[o + 1] as number) << 16) |
      ((b[o + 2] as number) << 8) |
      (b[o + 3] as number)) >>>
    0
  );
}

/** 64 bits as an unsigned bigint. Not for hot paths. */
export function getU64(b: Uint8Array, o: number): bigint {
  return (BigInt(getU32(b, o)) << 32n) | BigInt(getU32(b, o + 4));
}

export function getU32le(b: Uint8Array, o: number): number {
  return (
    ((b[o] as number) |
      ((b[o + 1] as number) << 8) |
      ((b[o + 2] as number) << 16) |
      ((b[o + 3] as number) << 24)) >>>
    0
  );
}

export function putU16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 8;
  b[o + 1] = v;
}

export function putU32(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 24;
  b[o + 1] = v >>> 16;
  b[o + 2] = v >>> 8;
  b[o + 3] = v;
}

export function putU64(b: Uint8Array, o: number, v: bigint): void {
  putU32(b, o, Number((v >> 32n) & 0xffffffffn));
  putU32(b, o + 4, Number(v & 0xffffffffn));
}

export function putU16le(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >>> 8;
}

export function putU32le(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >>> 8;
  b[o + 2] = v >>> 16;
  b[o + 3] = v >>> 24;
}

/** Reverses the bytes of a 32-bit word: what a little-endian machine sees of a network word. */
export function bswap32(v: number): number {
  return bswap32Int(v) >>> 0;
}

/** The same as a signed number, which V8 keeps without allocating. */
export function bswap32Int(v: number): number {
  return (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
}

/** Reverses the bytes of a 16-bit word. */
export function bswap16(v: number): number {
  return ((v << 8) & 0xff00) | ((v >>> 8) & 0xff);
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) {
    return false;
  }
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let n = 0;
  for (const p of parts) {
    n += p.length;
  }
  const out = new Uint8Array(n);
  n = 0;
  for (const p of parts) {
    out.set(p, n);
    n += p.length;
  }
  return out;
}

/** Value of a hex digit given by its character code, or -1. */
export function hexValue(code: number): number {
  if (code >= 48 && code <= 57) {
    return code - 48;
  }
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, "0"),
);

/** Two lower case digits. */
export function hex2(v: number): string {
  return HEX_PAIRS[v & 0xff] as string;
}

/** Lower case digits without separators. */
export function formatHex(b: Uint8Array, start = 0, end = b.length): string {
  let s = "";
  for (let i = start; i < end; i++) {
    s += HEX_PAIRS[b[i] as number];
  }
  return s;
}

/**
 * Reads pairs of hex digits, with white space allowed between pairs, until something else comes
 * (ovs: lib/dp-packet.c dp_packet_put_hex). `rest` is the offset of what follows.
 */
export function parseHexPrefix(text: string): { bytes: Uint8Array; rest: number } {
  const out = new Uint8Array(text.length >> 1);
  let n = 0;
  let i = 0;
  for (;;) {
    while (isSpaceCode(text.charCodeAt(i))) {
      i++;
    }
    const hi = hexValue(text.charCodeAt(i));
    const lo = hi < 0 ? -1 : hexValue(text.charCodeAt(i + 1));
    if (lo < 0) {
      return { bytes: out.slice(0, n), rest: i };
    }
    out[n++] = (hi << 4) | lo;
    i += 2;
  }
}

/** The bytes of a text that is hex digits and white space only, or undefined. */
export function parseHex(text: string): Uint8Array | undefined {
  const { bytes, rest } = parseHexPrefix(text);
  return rest === text.length ? bytes : undefined;
}

/** C's isspace() in the "C" locale. NaN (end of text) is none. */
export function isSpaceCode(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/** One byte per character; characters beyond U+00FF lose their upper bits. */
export function encodeLatin1(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    out[i] = text.charCodeAt(i);
  }
  return out;
}

export function decodeLatin1(b: Uint8Array, start = 0, end = b.length): string {
  let s = "";
  for (let i = start; i < end; i++) {
    s += String.fromCharCode(b[i] as number);
  }
  return s;
}

/** The characters before the first NUL of a fixed-size field. */
export function decodeCString(b: Uint8Array, start = 0, end = b.length): string {
  let stop = start;
  while (stop < end && b[stop] !== 0) {
    stop++;
  }
  return decodeUtf8(b, start, stop);
}

/** UTF-8 (RFC 3629). A lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 3);
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i);
    if (c < 0x80) {
      out[n++] = c;
      continue;
    }
    if (c >= 0xd800 && c < 0xe000) {
      const low = text.charCodeAt(i + 1);
      if (c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else {
        c = 0xfffd;
      }
    }
    n = putUtf8(out, n, c);
  }
  return out.slice(0, n);
}

function putUtf8(out: Uint8Array, at: number, c: number): number {
  let n = at;
  if (c < 0x800) {
    out[n++] = 0xc0 | (c >> 6);
  } else {
    if (c < 0x10000) {
      out[n++] = 0xe0 | (c >> 12);
    } else {
      out[n++] = 0xf0 | (c >> 18);
      out[n++] = 0x80 | ((c >> 12) & 0x3f);
    }
    out[n++] = 0x80 | ((c >> 6) & 0x3f);
  }
  out[n++] = 0x80 | (c & 0x3f);
  return n;
}

/** Characters per call of String.fromCharCode, well below the engines' limits on arguments. */
const DECODE_CHUNK = 4096;

/** Arrays of each length below this one, used again and again by decodeAscii. */
const SHORT_UNITS: readonly number[][] = Array.from({ length: 65 }, (_, n) => new Array(n).fill(0));

/** Characters of bytes that are all below 0x80: the quickest way to short strings. */
export function decodeAscii(b: Uint8Array, start: number, end: number): string {
  const units = SHORT_UNITS[end - start];
  if (units === undefined) {
    return decodeUtf8(b, start, end);
  }
  for (let i = start; i < end; i++) {
    units[i - start] = b[i] as number;
  }
  return String.fromCharCode.apply(null, units);
}

/** What a byte that is not part of a valid sequence becomes, by its value. */
export type InvalidByte = (byte: number) => number;

/** Decodes UTF-8; each byte that is not part of a valid sequence becomes U+FFFD. */
export function decodeUtf8(
  b: Uint8Array,
  start = 0,
  end = b.length,
  invalid: InvalidByte = () => 0xfffd,
): string {
  let s = "";
  let i = start;
  const units: number[] = [];
  while (i < end) {
    const c = b[i] as number;
    if (c < 0x80) {
      units.push(c);
      i++;
    } else {
      const need = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
      const code = decodeSequence(b, i, end, need);
      if (code < 0) {
        units.push(invalid(c));
        i++;
      } else {
        if (code >= 0x10000) {
          units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
          units.push(code);
        }
        i += need + 1;
      }
    }
    if (units.length >= DECODE_CHUNK) {
      s += String.fromCharCode(...units);
      units.length = 0;
    }
  }
  return s + String.fromCharCode(...units);
}

/** Smallest code that needs 2, 3 or 4 bytes: shorter codes in longer forms are not UTF-8. */
const UTF8_MIN = [0, 0x80, 0x800, 0x10000] as const;

function decodeSequence(b: Uint8Array, at: number, end: number, need: number): number {
  const lead = b[at] as number;
  if (lead < 0xc2 || lead > 0xf4 || at + need >= end) {
    return -1;
  }
  let code = lead & (0x3f >> need);
  for (let k = 1; k <= need; k++) {
    const c = b[at + k] as number;
    if ((c & 0xc0) !== 0x80) {
      return -1;
    }
    code = (code << 6) | (c & 0x3f);
  }
  const surrogate = code >= 0xd800 && code < 0xe000;
  return code < (UTF8_MIN[need] as number) || code > 0x10ffff || surrogate ? -1 : code;
}

/**
 * Reads forward within [pos, end). A read that does not fit sets `failed`, returns zeros and
 * leaves the position, so that a decoder may check once at the end of a record.
 */
export class Cursor {
  readonly bytes: Uint8Array;
  pos: number;
  readonly end: number;
  failed = false;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    assert(start >= 0 && start <= end && end <= bytes.length, "cursor out of range");
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
  }

  get left(): number {
    return this.end - this.pos;
  }

  /** Moves `n` bytes forward and returns where they started, or -1. */
  take(n: number): number {
    if (n < 0 || n > this.end - this.pos) {
      this.failed = true;
      return -1;
    }
    const at = this.pos;
    this.pos += n;
    return at;
  }

  u8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : (this.bytes[at] as number);
  }

  u16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : getU16(this.bytes, at);
  }

  u32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : getU32(this.bytes, at);
  }

  u64(): bigint {
    const at = this.take(8);
    return at < 0 ? 0n : getU64(this.bytes, at);
  }

  skip(n: number): boolean {
    return this.take(n) >= 0;
  }

  /** A view, not a copy; empty if it does not fit. */
  view(n: number): Uint8Array {
    const at = this.take(n);
    return at < 0 ? this.bytes.subarray(0, 0) : this.bytes.subarray(at, at + n);
  }

  /** A cursor over the next `n` bytes, which this one skips. */
  sub(n: number): Cursor {
    const at = this.take(n);
    const c = at < 0 ? new Cursor(this.bytes, 0, 0) : new Cursor(this.bytes, at, at + n);
    c.failed = at < 0;
    return c;
  }
}

/** Appends to a growing buffer. */
export class Writer {
  private buf: Uint8Array;
  private n = 0;

  constructor(capacity = 256) {
    this.buf = new Uint8Array(Math.max(16, capacity));
  }

  get length(): number {
    return this.n;
  }

  /** Makes room for `n` zero bytes and returns their offset. */
  reserve(n: number): number {
    const need = this.n + n;
    if (need > this.buf.length) {
      const bigger = new Uint8Array(Math.max(need, this.buf.length * 2));
      bigger.set(this.buf.subarray(0, this.n));
      this.buf = bigger;
    }
    const at = this.n;
    this.buf.fill(0, at, need);
    this.n = need;
    return at;
  }

  u8(v: number): this {
    const at = this.reserve(1);
    this.buf[at] = v;
    return this;
  }

  u16(v: number): this {
    const at = this.reserve(2);
    putU16(this.buf, at, v);
    return this;
  }

  u32(v: number): this {
    const at = this.reserve(4);
    putU32(this.buf, at, v);
    return this;
  }

  u64(v: bigint): this {
    const at = this.reserve(8);
    putU64(this.buf, at, v);
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.reserve(bytes.length);
    this.buf.set(bytes, at);
    return this;
  }

  zeros(n: number): this {
    this.reserve(n);
    return this;
  }

  /** Zeros up to a multiple of `unit`, counted from `from`. */
  pad(unit: number, from = 0): this {
    return this.zeros((unit - ((this.n - from) % unit)) % unit);
  }

  /** Text in a field of `size` bytes, zero-filled and cut so that it ends with a zero. */
  fixedString(text: string, size: number): this {
    const at = this.reserve(size);
    this.buf.set(encodeUtf8(text).subarray(0, size - 1), at);
    return this;
  }

  patchU8(at: number, v: number): void {
    this.buf[at] = v;
  }

  patchU16(at: number, v: number): void {
    putU16(this.buf, at, v);
  }

  patchU32(at: number, v: number): void {
    putU32(this.buf, at, v);
  }

  /** Drops everything from `length` on. */
  truncate(length: number): void {
    assert(length <= this.n, "truncate beyond the end");
    this.n = length;
  }

  /** A view on what has been written; the next write may invalidate it. */
  view(from = 0): Uint8Array {
    return this.buf.subarray(from, this.n);
  }

  /** A copy of what has been written. */
  bytes(): Uint8Array {
    return this.buf.slice(0, this.n);
  }
}
