// Flags as text: "fin|syn", "+trk-new", "first". One table of names for each kind of flags.
//
// ovs: lib/flow.c parse_flags, format_flags, format_flags_masked.

import { fail, ok, type Result } from "../lib/errors.ts";
import { TextScan } from "../lib/scan.ts";
import { NW_FRAG } from "./flow-is.ts";

/** Names of flag bits by position; an empty name is none. */
export type FlagNames = readonly string[];

export const TCP_FLAG_NAMES: FlagNames = [
  "fin",
  "syn",
  "rst",
  "psh",
  "ack",
  "urg",
  "ece",
  "cwr",
  "ns",
  "[200]",
  "[400]",
  "[800]",
];
export const CT_STATE_NAMES: FlagNames = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
export const TUN_FLAG_NAMES: FlagNames = ["oam", "df", "csum", "key"];
/** Tunnel flags that OpenFlow shows, and all that a key can hold. */
export const TUN_FLAGS = { PUB_MASK: 0x1, MASK: 0xf } as const;
export const TCP_FLAGS_MASK = 0x0fff;
export const CT_STATE_MASK = 0xff;
/**
 * Reads flags: "+a-b" or "value/mask" if a mask is wanted, else "a|b|0x8". The mask of the last
 * form is all ones. Text behind "value/mask" is ignored, as Open vSwitch does. (ovs: parse_flags)
 */
export function parseFlags(
  text: string,
  names: FlagNames,
  what: string,
  allowed: number,
): Result<{ readonly flags: number; readonly mask: number }> {
  const scan = new TextScan(text);
  if (scan.int(0)) {
    const flags = scan.value >>> 0;
    if (scan.lit("/") && scan.int(0)) {
      const mask = scan.value >>> 0;
      return ((flags | mask) & ~allowed) !== 0 ? unknownFlags(text, 0, what) : ok({ flags, mask });
    }
  }
  return text[0] === "+" || text[0] === "-"
    ? parseSignedFlags(text, names, what, allowed)
    : parsePlainFlags(text, names, what, allowed);
}

function unknownFlags(text: string, at: number, what: string) {
  const rest = text.slice(at);
  return fail(`${rest}: unknown ${what} flag(s)`, rest, at);
}

function parseSignedFlags(
  text: string,
  names: FlagNames,
  what: string,
  allowed: number,
): Result<{ readonly flags: number; readonly mask: number }> {
  let flags = 0;
  let mask = 0;
  for (let i = 0; i < text.length; ) {
    const sign = text[i];
    if (sign !== "+" && sign !== "-") {
      const rest = text.slice(i);
      const rule = "must be preceded by '+' (for SET) or '-' (NOT SET)";
      return fail(`${rest}: ${what} ${rule}`, rest, i);
    }
    i++;
    const bit = names.findIndex(
      (n) => n !== "" && text.startsWith(n, i) && "+-".includes(text.charAt(i + n.length)),
    );
    const name = names[bit];
    if (name === undefined) {
      return unknownFlags(text, i, what);
    }
    if ((mask & (1 << bit)) !== 0) {
      const rest = text.slice(i);
      return fail(`${rest}: Each ${what} flag can be specified only once`, rest, i);
    }
    if (((1 << bit) & ~allowed) !== 0) {
      return unknownFlags(text, i, what);
    }
    flags |= sign === "+" ? 1 << bit : 0;
    mask |= 1 << bit;
    i += name.length;
  }
  return ok({ flags, mask });
}

function parsePlainFlags(
  text: string,
  names: FlagNames,
  what: string,
  allowed: number,
): Result<{ readonly flags: number; readonly mask: number }> {
  let flags = 0;
  for (let i = 0; i < text.length; ) {
    const scan = new TextScan(text, i);
    if (scan.int(0)) {
      const n = Number(BigInt.asUintN(32, BigInt(scan.value)));
      if ((n & ~allowed) !== 0) {
        return unknownFlags(text, 0, what);
      }
      flags |= n;
      i = scan.pos + (text[scan.pos] === "|" ? 1 : 0);
      continue;
    }
    const bit = names.findIndex(
      (n) =>
        n !== "" &&
        text.startsWith(n, i) &&
        (i + n.length === text.length || text[i + n.length] === "|"),
    );
    const name = names[bit];
    if (name === undefined || ((1 << bit) & ~allowed) !== 0) {
      return unknownFlags(text, 0, what);
    }
    flags |= 1 << bit;
    i += name.length + (text[i + name.length] === "|" ? 1 : 0);
  }
  return ok({ flags, mask: 0xffffffff });
}

/** "a|b", bits without name as hex at the end, "0" for none (ovs: format_flags). */
export function formatFlags(names: FlagNames, flags: number, separator = "|"): string {
  if (flags === 0) {
    return "0";
  }
  const words: string[] = [];
  let bad = 0;
  for (let bit = 0; bit < 32; bit++) {
    if (((flags >>> bit) & 1) !== 0) {
      const name = names[bit] ?? "";
      if (name === "") {
        bad |= 1 << bit;
      } else {
        words.push(name);
      }
    }
  }
  if (bad !== 0) {
    words.push(`0x${(bad >>> 0).toString(16)}`);
  }
  return words.join(separator);
}

/** "a|b" if all of `maxMask` is matched, else "+a-b" (ovs: format_flags_masked without name). */
export function formatFlagsMasked(
  names: FlagNames,
  flags: number,
  mask: number,
  maxMask: number,
): string {
  if (mask === maxMask) {
    return formatFlags(names, flags);
  }
  if (mask === 0) {
    return "0/0";
  }
  let s = "";
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >>> bit) & 1) !== 0) {
      const name = names[bit] ?? "";
      s += `${((flags >>> bit) & 1) !== 0 ? "+" : "-"}${name === "" ? "[Unknown]" : name}`;
    }
  }
  return s;
}

export const FRAGS = [
  { name: "no", mask: 3, value: 0 },
  { name: "first", mask: 3, value: NW_FRAG.ANY },
  { name: "later", mask: 3, value: NW_FRAG.ANY | NW_FRAG.LATER },
  { name: "no", mask: NW_FRAG.ANY, value: 0 },
  { name: "yes", mask: NW_FRAG.ANY, value: NW_FRAG.ANY },
  { name: "not_later", mask: NW_FRAG.LATER, value: 0 },
  { name: "later", mask: NW_FRAG.LATER, value: NW_FRAG.LATER },
] as const;

/** "no", "yes", "first", "later", "not_later". */
export function formatFrag(value: number, mask: number): string {
  const m = mask & NW_FRAG.MASK;
  return FRAGS.find((f) => f.mask === m && f.value === (value & m))?.name ?? "<error>";
}
