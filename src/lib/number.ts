// Numbers as C reads and prints them: strtol() and friends, which the texts of Open vSwitch's
// commands go through, with their bases, signs, white space and ranges.
//
// ovs: lib/util.c str_to_int, str_to_uint, str_to_llong; lib/ofp-parse.c str_to_u8 … str_to_u64.

import { hexValue, isSpaceCode } from "./bytes.ts";
import { fail, ok, type Result } from "./errors.ts";

/** What strtoull() found at the start of a text. */
export interface ScannedInteger {
  /** Signed, of any size. */
  readonly value: bigint;
  /** Offset of the first character that does not belong to it; 0 if there was no number. */
  readonly end: number;
}

const I64_MAX = 0x7fffffffffffffffn;
const I64_MIN = -0x8000000000000000n;
const U64_MAX = 0xffffffffffffffffn;
/** Digits that always fit a double exactly in base 16. */
const SAFE_DIGITS = 12;

/**
 * Reads an optional sign, prefix and digits as strtol() does: base 0 takes 0x for 16 and a
 * leading 0 for 8. "0x" without a digit is the number 0 followed by "x".
 */
export function scanInteger(text: string, start = 0, base = 0): ScannedInteger {
  let i = start;
  while (isSpaceCode(text.charCodeAt(i))) {
    i++;
  }
  const negative = text.charCodeAt(i) === 45;
  if (negative || text.charCodeAt(i) === 43) {
    i++;
  }
  let radix = base;
  if (text.charCodeAt(i) === 48 && (base === 0 || base === 16)) {
    const x = text.charCodeAt(i + 1) | 32;
    if (x === 120 && hexValue(text.charCodeAt(i + 2)) >= 0) {
      radix = 16;
      i += 2;
    } else if (base === 0) {
      radix = 8;
    }
  }
  radix = radix === 0 ? 10 : radix;
  const first = i;
  let small = 0;
  for (;;) {
    const d = hexValue(text.charCodeAt(i));
    if (d < 0 || d >= radix) {
      break;
    }
    small = small * radix + d;
    i++;
  }
  if (i === first) {
    return { value: 0n, end: start };
  }
  const value =
    i - first <= SAFE_DIGITS ? BigInt(small) : bigDigits(text.slice(first, i), BigInt(radix));
  return { value: negative ? -value : value, end: i };
}

function bigDigits(digits: string, radix: bigint): bigint {
  let v = 0n;
  for (let i = 0; i < digits.length; i++) {
    v = v * radix + BigInt(hexValue(digits.charCodeAt(i)));
    if (v > U64_MAX * 2n) {
      return v; // Out of every range already; more digits would only cost time.
    }
  }
  return v;
}

/** A whole text as a signed 64-bit number, or undefined (ovs: str_to_llong). */
export function strToLlong(text: string, base = 0): bigint | undefined {
  const { value, end } = scanInteger(text, 0, base);
  const good = end === text.length && end > 0 && value <= I64_MAX && value >= I64_MIN;
  return good ? value : undefined;
}

/** A whole text as an unsigned 64-bit number; "-1" wraps around as in C (ovs: str_to_ullong). */
export function strToUllong(text: string, base = 0): bigint | undefined {
  const { value, end } = scanInteger(text, 0, base);
  if (end !== text.length || end === 0 || value > U64_MAX || value < -U64_MAX) {
    return undefined;
  }
  return BigInt.asUintN(64, value);
}

/** A whole text as a number within [min, max], or undefined. */
export function strToRange(text: string, min: number, max: number, base = 0): number | undefined {
  const v = strToLlong(text, base);
  return v === undefined || v < BigInt(min) || v > BigInt(max) ? undefined : Number(v);
}

/** ovs: str_to_int. */
export function strToInt(text: string, base = 0): number | undefined {
  return strToRange(text, -0x80000000, 0x7fffffff, base);
}

/** ovs: str_to_uint. */
export function strToUint(text: string, base = 0): number | undefined {
  return strToRange(text, 0, 0xffffffff, base);
}

/** ovs: str_to_u8; `name` says in the error what the number is. */
export function strToU8(text: string, name: string): Result<number> {
  const v = strToRange(text, 0, 0xff);
  return v === undefined ? fail(`invalid ${name} "${text}"`, text) : ok(v);
}

/** ovs: str_to_u16. */
export function strToU16(text: string, name: string): Result<number> {
  const v = strToRange(text, 0, 0xffff);
  return v === undefined ? fail(`invalid ${name} "${text}"`, text) : ok(v);
}

/** ovs: str_to_u32, which keeps the low 32 bits of whatever strtoul() accepts. */
export function strToU32(text: string): Result<number> {
  const r = strToU64(text);
  return r.ok ? ok(Number(r.value & 0xffffffffn)) : r;
}

/** ovs: str_to_u64. */
export function strToU64(text: string): Result<bigint> {
  if (text === "") {
    return fail("missing required numeric argument", text);
  }
  const { value, end } = scanInteger(text);
  // A text without any digit is only wrong if something is left of it, as strtoull() has it.
  if (end !== text.length || value > U64_MAX || value < -U64_MAX) {
    return fail(`invalid numeric format ${text}`, text, end);
  }
  return ok(BigInt.asUintN(64, value));
}

/** The high and low words of a 64-bit value. */
export function u64Words(v: bigint): readonly [number, number] {
  return [Number((v >> 32n) & 0xffffffffn), Number(v & 0xffffffffn)];
}

/** The 64-bit value of two words. */
export function u64FromWords(hi: number, lo: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** 0x and the hex digits of a 64-bit value given as words: what "%#"PRIx64 prints, but 0 is 0x0. */
export function formatHex64(hi: number, lo: number): string {
  const low = (lo >>> 0).toString(16);
  return hi === 0 ? `0x${low}` : `0x${(hi >>> 0).toString(16)}${low.padStart(8, "0")}`;
}

/** What "%#x" prints: no prefix for 0. */
export function formatAltHex(v: number): string {
  return v === 0 ? "0" : `0x${(v >>> 0).toString(16)}`;
}

/** What "%#"PRIx64 prints of two words: no prefix for 0. */
export function formatAltHex64(hi: number, lo: number): string {
  return hi === 0 && lo === 0 ? "0" : formatHex64(hi, lo);
}

/** What "0x%0*x" prints. */
export function formatHexPadded(v: number, digits: number): string {
  return `0x${(v >>> 0).toString(16).padStart(digits, "0")}`;
}

/**
 * `%.Nf`: a value that is just in the middle is rounded to the even digit, where `toFixed` takes the
 * larger one.
 */
export function formatFixed(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  const low = Math.floor(scaled);
  // A double in the middle has one binary digit behind the point more than decimal ones wanted.
  const isMiddle = scaled - low === 0.5 && Number.isInteger(value * 2 ** (digits + 1));
  return (isMiddle ? (low + (low % 2 === 0 ? 0 : 1)) / 10 ** digits : value).toFixed(digits);
}
