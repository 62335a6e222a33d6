// Numbers and addresses as datapath texts write them, each with its mask behind "/".
//
// A field that its mask hides is "" unless `verbose`; one that is shown ends with a comma, which
// the caller cuts off after the last.
// ovs: lib/odp-util.c format_u8x, format_be16, format_ipv4....

import { formatIpv4, formatIpv6 } from "../lib/address.ts";
import { formatAltHex } from "../lib/number.ts";

/** Datapath port number -> name; null prints numbers. */
export type PortNames = ReadonlyMap<number, string> | null;

export function formatPort(port: number, names: PortNames): string {
  return names?.get(port) ?? String(port >>> 0);
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
