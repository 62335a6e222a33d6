// Pieces that datapath texts are read with: numbers, addresses and flags, each perhaps with a mask.
//
// A scanner returns null, and may leave the position anywhere, if the text is something else.
// ovs: lib/odp-util.c scan_u8, scan_ipv4, scan_be16...

import { parseIntString } from "../flow/field-text.ts";
import { type FlagNames, parseFlags } from "../flow/flag-text.ts";
import type { TextScan } from "../lib/scan.ts";
import { fieldOnes } from "./odp-key.ts";

export const ODP_DELIMITERS = ", \t\r\n";

/** Port names to datapath port numbers; null if only numbers are allowed. */
export type PortNumbers = ReadonlyMap<string, number> | null;

export interface OdpParse {
  readonly s: TextScan;
  readonly names: PortNumbers;
  /** A mask is wanted; otherwise "/" is a mistake. */
  readonly masked: boolean;
  depth: number;
}

/** A value and its mask, in the words of one field. */
export interface Words {
  readonly value: Uint32Array;
  readonly mask: Uint32Array;
}

/** The mask of an exact match. */
export function ones(bits: number): Uint32Array {
  const m = new Uint32Array(Math.ceil(bits / 32)).fill(0xffffffff);
  m[0] = fieldOnes(bits);
  return m;
}

/** An integer in C's notation and perhaps its mask. */
export function scanInt(p: OdpParse, bits: number): Words | null {
  const { s } = p;
  const max = fieldOnes(bits);
  if (!s.int(0)) {
    return null;
  }
  const value = Uint32Array.of(Number(BigInt(s.value) & BigInt(max)));
  const at = s.pos;
  if (p.masked && s.lit("/") && s.int(0)) {
    return { value, mask: Uint32Array.of(Number(BigInt(s.value) & BigInt(max))) };
  }
  s.pos = at;
  return { value, mask: Uint32Array.of(max) };
}

export function scanIpv4(p: OdpParse): Words | null {
  const { s } = p;
  if (!s.ipv4()) {
    return null;
  }
  const value = Uint32Array.of(s.value);
  const at = s.pos;
  if (p.masked && s.lit("/") && s.ipv4()) {
    return { value, mask: Uint32Array.of(s.value) };
  }
  s.pos = at;
  return { value, mask: ones(32) };
}

export function scanIpv6(p: OdpParse): Words | null {
  const { s } = p;
  const value = new Uint32Array(4);
  if (!s.ipv6(value)) {
    return null;
  }
  const at = s.pos;
  const mask = new Uint32Array(4);
  if (p.masked && s.lit("/") && s.ipv6(mask)) {
    return { value, mask };
  }
  s.pos = at;
  return { value, mask: ones(128) };
}

/** Flags up to the closing parenthesis. */
export function scanFlags(p: OdpParse, names: FlagNames, allowed: number): Words | null {
  const { s } = p;
  const end = s.text.indexOf(")", s.pos);
  if (end < 0) {
    return null;
  }
  const text = s.text.slice(s.pos, end);
  if (!p.masked && (text.includes("/") || text.startsWith("+") || text.startsWith("-"))) {
    return null;
  }
  const r = parseFlags(text, names, "", allowed);
  if (!r.ok) {
    return null;
  }
  s.pos = end;
  return { value: Uint32Array.of(r.value.flags), mask: Uint32Array.of(r.value.mask) };
}

/** A number of 128 bits, hexadecimal if it is longer than 64. */
export function scanU128(s: TextScan): Words | null {
  const read = (): Uint32Array | null => {
    const out = new Uint32Array(4);
    const r = parseIntString(s.text, s.pos, 16, out);
    if (r.error !== "") {
      return null;
    }
    s.pos = r.end;
    return out;
  };
  const value = read();
  if (value === null) {
    return null;
  }
  if (!s.lit("/")) {
    return { value, mask: ones(128) };
  }
  const mask = read();
  return mask === null ? null : { value, mask };
}

/** Runs `one` for each comma-separated piece up to the closing parenthesis. */
export function scanPieces(s: TextScan, one: () => boolean | null): boolean {
  for (;;) {
    const found = one();
    if (found === null) {
      return false;
    }
    if (found && s.lit(",")) {
      continue;
    }
    return s.lit(")");
  }
}
