// What is wrong with a string that is not UTF-8, in the words of ovsdb-server.
//
// Such a string has lone surrogates: for a byte that does not belong (JsonReader), or written as an
// escape. Reference: ovs: lib/unicode.c utf8_validate.

import { encodeUtf8, hex2 } from "../lib/bytes.ts";
import { INVALID_BYTE } from "./json-parse.ts";

/** Ranges of the bytes that may follow a first byte up to `last`. */
interface Sequence {
  readonly last: number;
  readonly more: readonly (readonly [number, number])[];
}

const TAIL: readonly [number, number] = [0x80, 0xbf];
const SEQUENCES: readonly Sequence[] = [
  { last: 0x7f, more: [] },
  { last: 0xdf, more: [TAIL] },
  { last: 0xe0, more: [[0xa0, 0xbf], TAIL] },
  { last: 0xec, more: [TAIL, TAIL] },
  { last: 0xed, more: [[0x80, 0x9f], TAIL] },
  { last: 0xef, more: [TAIL, TAIL] },
  { last: 0xf0, more: [[0x90, 0xbf], TAIL, TAIL] },
  { last: 0xf3, more: [TAIL, TAIL, TAIL] },
  { last: 0xf4, more: [[0x80, 0x8f], TAIL, TAIL] },
];
const FIRST_MIN = 0xc2;
const FIRST_MAX = 0xf4;

/** The bytes that a string came from. */
function rawBytes(s: string): number[] {
  return [...s].flatMap((c) => {
    const code = c.codePointAt(0) ?? 0;
    if (code < 0xd800 || code > 0xdfff) {
      return [...encodeUtf8(c)];
    }
    return code >= INVALID_BYTE + 0x80 && code <= INVALID_BYTE + 0xff
      ? [code - INVALID_BYTE]
      : [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
  });
}

/** How many bytes at an offset form a character; negative if the last of as many does not fit. */
function sequenceLength(bytes: readonly number[], at: number): number {
  const first = bytes[at] ?? 0;
  const sequence = SEQUENCES.find((s) => first <= s.last);
  if (sequence === undefined || first > FIRST_MAX || (first >= 0x80 && first < FIRST_MIN)) {
    return -1;
  }
  for (const [i, [low, high]] of sequence.more.entries()) {
    const c = bytes[at + i + 1] ?? 0;
    if (c < low || c > high) {
      return -(i + 2);
    }
  }
  return sequence.more.length + 1;
}

/** "invalid UTF-8 sequence 0xff", or undefined if the string is UTF-8. */
export function utf8Fault(s: string): string | undefined {
  const bytes = rawBytes(s);
  for (let at = 0; at < bytes.length; ) {
    const n = sequenceLength(bytes, at);
    if (n < 0) {
      // A string that ends too early shows the NUL behind it.
      const shown = Array.from({ length: -n }, (_, i) => ` 0x${hex2(bytes[at + i] ?? 0)}`);
      return `invalid UTF-8 sequence${shown.join("")}`;
    }
    at += n;
  }
  return undefined;
}
