// Small pieces of action text: numbers with Open vSwitch's error texts, hex bytes, addresses.
//
// A function here answers either what it read or the text of the error. Numbers come back as such;
// 64-bit ones as two words.

import type { FieldValue } from "../../flow/field-value.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import { parseIpv4 } from "../../lib/address.ts";
import { hex2 } from "../../lib/bytes.ts";
import type { Result } from "../../lib/errors.ts";
import {
  formatAltHex64,
  strToU8,
  strToU16,
  strToU32,
  strToU64,
  u64Words,
} from "../../lib/number.ts";
import { TextScan } from "../../lib/scan.ts";

function valueOrText<T>(r: Result<T>): T | string {
  return r.ok ? r.value : r.error.message;
}

export function readU8(text: string, name: string): number | string {
  return valueOrText(strToU8(text, name));
}

export function readU16(text: string, name: string): number | string {
  return valueOrText(strToU16(text, name));
}

export function readU32(text: string): number | string {
  return valueOrText(strToU32(text));
}

export function readU64(text: string): FieldValue | string {
  const r = strToU64(text);
  return r.ok ? Uint32Array.from(u64Words(r.value)) : r.error.message;
}

/** A MAC address at the start of a text; what follows it is ignored (ovs: str_to_mac). */
export function readMac(text: string): FieldValue | string {
  const s = new TextScan(text);
  return s.mac() ? Uint32Array.of(s.hi, s.lo) : `invalid mac address ${text}`;
}

/** An IPv4 address in its usual form (ovs: str_to_ip). */
export function readIpv4(text: string, log: LogSink | null): number | string {
  const ip = parseIpv4(text);
  if (ip === undefined) {
    log?.("ERR", "socket_util", `"${text}" is not a valid IP address`);
    return `${text}: could not convert to IP address`;
  }
  return ip;
}

/** "0a.1b.ff" */
export function formatHexDots(data: Uint8Array): string {
  let s = "";
  for (let i = 0; i < data.length; i++) {
    s += (i > 0 ? "." : "") + hex2(data[i] ?? 0);
  }
  return s;
}

/** 64 bits as "%#x" prints them: no prefix for 0. */
export function formatHex64(v: FieldValue): string {
  return formatAltHex64(v[0] ?? 0, v[1] ?? 0);
}

/** A number of any width in hex: "0x" and digits without leading zeros; 0 is "0" (ovs: ds_put_hex). */
export function formatHexNumber(v: FieldValue): string {
  let digits = "";
  for (const w of v) {
    digits += w.toString(16).padStart(8, "0");
  }
  const short = digits.replace(/^0+/, "");
  return short === "" ? "0" : `0x${short}`;
}

/** A text without its last comma, as options are listed. */
export function chompComma(text: string): string {
  return text.endsWith(",") ? text.slice(0, -1) : text;
}
