// Numbers, addresses and flags as datapath texts write them, each with its mask behind "/".
//
// A field that its mask hides is "" unless `verbose`; one that is shown ends with a comma, which
// the caller cuts off after the last.
// ovs: lib/odp-util.c format_u8x, format_be16, format_ipv4..., lib/flow.c format_flags.

import { formatIpv4, formatIpv6 } from "../lib/address.ts";
import { formatAltHex } from "../lib/number.ts";

/** Datapath port number -> name; null prints numbers. */
export type PortNames = ReadonlyMap<number, string> | null;

/** Flags as text: the bits in ascending order, null for bits without a name. */
export type FlagNames = readonly (string | null)[];

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
export const TCP_FLAGS_MAX = 0xfff;

export function formatPort(port: number, names: PortNames): string {
  return names?.get(port) ?? String(port >>> 0);
}

/** The set bits with `delim` between; bits without a name as one hex number. */
export function formatFlags(names: FlagNames, flags: number, delim: string): string {
  if (flags === 0) {
    return "0";
  }
  const out: string[] = [];
  let bad = 0;
  for (let bit = 0; bit < 32; bit++) {
    if (((flags >>> bit) & 1) === 0) {
      continue;
    }
    const name = names[bit] ?? null;
    if (name === null) {
      bad |= 1 << bit;
    } else {
      out.push(name);
    }
  }
  if (bad !== 0) {
    out.push(`0x${(bad >>> 0).toString(16)}`);
  }
  return out.join(delim);
}

/** +set-clear of the bits in the mask; the plain form if the mask is `max`. */
export function formatFlagsMasked(
  names: FlagNames,
  flags: number,
  mask: number,
  max: number,
): string {
  if (mask >>> 0 === max >>> 0) {
    return formatFlags(names, flags, "|");
  }
  if (mask === 0) {
    return "0/0";
  }
  let s = "";
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >>> bit) & 1) !== 0) {
      s += `${((flags >>> bit) & 1) !== 0 ? "+" : "-"}${names[bit] ?? "[Unknown]"}`;
    }
  }
  return s;
}

/** Bytes as one hex number without leading zeros. */
export function formatHexNumber(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) {
    if (s !== "") {
      s += b.toString(16).padStart(2, "0");
    } else if (b !== 0) {
      s = `0x${b.toString(16)}`;
    }
  }
  return s === "" ? "0" : s;
}

/** Words as one hex number without leading zeros. */
export function formatWordsHex(words: ArrayLike<number>): string {
  let s = "";
  for (let i = 0; i < words.length; i++) {
    const w = (words[i] as number) >>> 0;
    if (s !== "") {
      s += w.toString(16).padStart(8, "0");
    } else if (w !== 0) {
      s = `0x${w.toString(16)}`;
    }
  }
  return s === "" ? "0" : s;
}

/** How one number is written, and its mask behind "/". */
export function formatNumber(
  name: string,
  hex: boolean,
  key: number,
  mask: number | null,
  ones: number,
  verbose: boolean,
): string {
  if (mask === 0 && !verbose) {
    return "";
  }
  const k = key >>> 0;
  const value = hex ? formatAltHex(k) : String(k);
  const m = mask === null || mask >>> 0 === ones ? "" : `/${formatAltHex(mask)}`;
  return `${name}=${value}${m},`;
}

export function formatIpv6Field(
  name: string,
  key: ArrayLike<number>,
  mask: Uint32Array | null,
  verbose: boolean,
): string {
  const empty = mask?.every((w) => w === 0) ?? false;
  if (empty && !verbose) {
    return "";
  }
  const full = mask?.every((w) => w === 0xffffffff) ?? true;
  return `${name}=${formatIpv6(key)}${full || mask === null ? "" : `/${formatIpv6(mask)}`},`;
}

export function formatIpv4Field(
  name: string,
  key: number,
  mask: number | null,
  verbose: boolean,
): string {
  if (mask === 0 && !verbose) {
    return "";
  }
  const m = mask === null || mask >>> 0 === 0xffffffff ? "" : `/${formatIpv4(mask)}`;
  return `${name}=${formatIpv4(key)}${m},`;
}
