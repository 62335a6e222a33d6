// Values of fields as text: "10.0.0.0/8", "0x800", "+trk-new", "LOCAL".
//
// How a field is written follows from the `format` column of the field table. Errors carry the texts
// of Open vSwitch. Integers are read as its parse_int_string() does, which is more lenient than it
// looks: hex digits may be spaced, decimals may be signed or octal.
// (ovs: lib/meta-flow.c mf_parse, mf_format; lib/util.c parse_int_string; lib/flow.c parse_flags)

import {
  formatIpv4Masked,
  formatIpv6,
  formatIpv6Masked,
  formatMac,
  formatMacMasked,
} from "../lib/address.ts";
import { hexValue } from "../lib/bytes.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import { scanInteger } from "../lib/number.ts";
import { parseIpv4Masked, parseIpv6Masked, TextScan } from "../lib/scan.ts";
import {
  allOnes,
  type FieldValue,
  fieldIsMaskValid,
  isAllOnes,
  isAllZero,
  newValue,
} from "./field-value.ts";
import type { Field } from "./fields.ts";
import {
  TCP_FLAG_NAMES,
  CT_STATE_NAMES,
  TUN_FLAG_NAMES,
  TUN_FLAGS,
  TCP_FLAGS_MASK,
  CT_STATE_MASK,
  parseFlags,
  formatFlagsMasked,
  FRAGS,
  formatFrag,
} from "./flag-text.ts";
import {
  formatPort,
  type LogSink,
  type NameMap,
  portFromOfp11,
  portFromString,
  portToOfp11,
} from "./ofp-port.ts";

export interface ValueAndMask {
  readonly value: FieldValue;
  readonly mask: FieldValue;
}

/** What parseIntString() found. */
export interface ParsedInt {
  readonly error: "" | "EINVAL" | "ERANGE";
  /** Where the integer ends. */
  readonly end: number;
}

const U64 = 2n ** 64n;

/** Reads an integer of up to `bytes` bytes into `out`, right-aligned (ovs: parse_int_string). */
export function parseIntString(
  text: string,
  start: number,
  bytes: number,
  out: FieldValue,
): ParsedInt {
  out.fill(0);
  if (text[start] === "0" && (text[start + 1] === "x" || text[start + 1] === "X")) {
    return parseHexInt(text, start + 2, bytes, out);
  }
  const { value, end } = scanInteger(text, start, 0);
  if (end === start) {
    return { error: "EINVAL", end };
  }
  if (value >= U64 || value <= -U64) {
    return { error: "ERANGE", end };
  }
  const v = value < 0n ? value + U64 : value;
  if (bytes < 8 && v >> BigInt(8 * bytes) !== 0n) {
    return { error: "ERANGE", end };
  }
  out[out.length - 1] = Number(v & 0xffffffffn);
  if (out.length > 1) {
    out[out.length - 2] = Number(v >> 32n);
  }
  return { error: "", end };
}

function parseHexInt(text: string, start: number, bytes: number, out: FieldValue): ParsedInt {
  const last = out.length - 1;
  let digits = 0;
  let i = start;
  for (;;) {
    while (i < text.length && " \t\r\n".includes(text.charAt(i))) {
      i++;
    }
    const d = hexValue(text.charCodeAt(i));
    if (d < 0) {
      return { error: "", end: i };
    }
    if (d !== 0 || digits > 0) {
      if (digits + 1 > 2 * bytes) {
        return { error: "ERANGE", end: i };
      }
      digits++;
      for (let w = 0; w < last; w++) {
        out[w] = ((out[w] as number) << 4) | ((out[w + 1] as number) >>> 28);
      }
      out[last] = ((out[last] as number) << 4) | d;
    }
    i++;
  }
}

/** Hex digits without leading zeros after "0x", or "0" (ovs: ds_put_hex). */
export function formatHexWords(v: FieldValue): string {
  let s = "";
  for (const w of v) {
    if (s !== "") {
      s += w.toString(16).padStart(8, "0");
    } else if (w !== 0) {
      s = `0x${w.toString(16)}`;
    }
  }
  return s === "" ? "0" : s;
}

/** A value of one word with a mask of one word. */
function narrow(value: number, mask: number): Result<ValueAndMask> {
  return ok({ value: Uint32Array.of(value), mask: Uint32Array.of(mask) });
}

/**
 * Reads the text of a field's value with an optional mask; "*" matches everything.
 * (ovs: mf_parse)
 */
export function mfParse(
  field: Field,
  text: string,
  ports: NameMap | null = null,
  log: LogSink | null = null,
): Result<ValueAndMask> {
  if (text === "*") {
    return ok({ value: newValue(field), mask: newValue(field) });
  }
  const r = parseByFormat(field, text, ports, log);
  if (r.ok && !fieldIsMaskValid(field, r.value.mask)) {
    return fail(`${text}: invalid mask for field ${field.name}`, text);
  }
  return r;
}

function parseByFormat(
  field: Field,
  text: string,
  ports: NameMap | null,
  log: LogSink | null,
): Result<ValueAndMask> {
  switch (field.format) {
    case "decimal":
    case "hex":
      return parseInteger(field, text);
    case "ct_state":
      return flagsValue(parseFlags(text, CT_STATE_NAMES, "ct_state", CT_STATE_MASK), 0xffffffff);
    case "tnl_flags":
      return flagsValue(parseFlags(text, TUN_FLAG_NAMES, "tunnel", TUN_FLAGS.PUB_MASK), 0xffff);
    case "tcp_flags":
      return flagsValue(parseFlags(text, TCP_FLAG_NAMES, "TCP", TCP_FLAGS_MASK), 0xffff);
    case "ethernet":
      return parseEthernet(text);
    case "ipv4": {
      const r = parseIpv4Masked(text);
      return r.ok ? narrow(r.value.ip, r.value.mask) : r;
    }
    case "ipv6": {
      const value = newValue(field);
      const mask = newValue(field);
      const r = parseIpv6Masked(text, value, mask);
      return r.ok ? ok({ value, mask }) : r;
    }
    case "port": {
      const port = portFromString(text, ports, log);
      return port === null
        ? fail(`${text}: invalid or unknown port for ${field.name}`, text)
        : narrow(port, 0xffff);
    }
    case "port32": {
      const port = portFromString(text, ports, log);
      return port === null
        ? fail(`${text}: port value out of range for ${field.name}`, text)
        : narrow(portToOfp11(port), 0xffffffff);
    }
    case "frag": {
      const frag = FRAGS.find((f) => f.name === text.toLowerCase());
      // The mask covers the whole byte, so that an exact match can be told.
      return frag === undefined
        ? fail(
            `${text}: unknown fragment type (valid types are "no", ` +
              `"yes", "first", "later", "not_later"`,
            text,
          )
        : narrow(frag.value, frag.mask | 0xfc);
    }
    case "packet_type":
      return parsePacketType(text);
  }
}

function flagsValue(
  r: Result<{ readonly flags: number; readonly mask: number }>,
  all: number,
): Result<ValueAndMask> {
  return r.ok ? narrow(r.value.flags & all, r.value.mask & all) : r;
}

function parseInteger(field: Field, text: string): Result<ValueAndMask> {
  const value = newValue(field);
  const v = parseIntString(text, 0, field.bytes, value);
  if (v.error !== "" || (v.end < text.length && text[v.end] !== "/")) {
    return integerError(field, text, v.error, "value");
  }
  if (v.end === text.length) {
    return ok({ value, mask: allOnes(field) });
  }
  const mask = newValue(field);
  const m = parseIntString(text, v.end + 1, field.bytes, mask);
  if (m.error !== "" || m.end < text.length) {
    return integerError(field, text, m.error, "mask");
  }
  return ok({ value, mask });
}

function integerError(field: Field, text: string, error: string, what: string) {
  return error === "ERANGE"
    ? fail(`${text}: ${what} too large for ${field.bytes}-byte field ${field.name}`, text)
    : fail(`${text}: bad syntax for ${field.name} ${what}`, text);
}

function parseEthernet(text: string): Result<ValueAndMask> {
  const scan = new TextScan(text);
  if (scan.mac()) {
    const value = Uint32Array.of(scan.hi, scan.lo);
    if (scan.atEnd()) {
      return ok({ value, mask: Uint32Array.of(0xffff, 0xffffffff) });
    }
    if (scan.lit("/") && scan.mac() && scan.atEnd()) {
      return ok({ value, mask: Uint32Array.of(scan.hi, scan.lo) });
    }
  }
  return fail(`${text}: invalid Ethernet address`, text);
}

function parsePacketType(text: string): Result<ValueAndMask> {
  const wrong = (at: number, what: string) => {
    const rest = text.slice(at);
    return fail(`${rest}: bad syntax for packet type ${what}`, rest, at);
  };
  const part = new Uint32Array(1);
  if (text[0] !== "(") {
    return wrong(0, "missing '('");
  }
  const ns = parseIntString(text, 1, 2, part);
  const nsValue = part[0] as number;
  if (ns.error !== "") {
    return wrong(1, "ns");
  }
  if (text[ns.end] !== ",") {
    return wrong(1, "missing ','");
  }
  const type = parseIntString(text, ns.end + 1, 2, part);
  if (type.error !== "") {
    return wrong(ns.end + 1, "ns_type");
  }
  if (text[type.end] !== ")") {
    return wrong(ns.end + 1, "missing ')'");
  }
  return narrow(((nsValue << 16) | (part[0] as number)) >>> 0, 0xffffffff);
}

/** Reads a value without wildcards (ovs: mf_parse_value). */
export function mfParseValue(
  field: Field,
  text: string,
  ports: NameMap | null = null,
  log: LogSink | null = null,
): Result<FieldValue> {
  const r = mfParse(field, text, ports, log);
  if (!r.ok) {
    return r;
  }
  return isAllOnes(field, r.value.mask)
    ? ok(r.value.value)
    : fail(`${text}: wildcards not allowed here`, text);
}

/** Writes a value with its mask; null is an exact match (ovs: mf_format). */
export function mfFormat(
  field: Field,
  value: FieldValue,
  mask: FieldValue | null = null,
  ports: NameMap | null = null,
): string {
  if (mask !== null && isAllZero(mask)) {
    return "ANY";
  }
  const m = mask === null || isAllOnes(field, mask) ? null : mask;
  const n = value[0] as number;
  const bits = m === null ? 0xffffffff : (m[0] as number);
  switch (field.format) {
    case "port32":
      return m === null
        ? formatPort(portFromOfp11(n) ?? 0xffff, ports)
        : formatInteger(field, value, m);
    case "port":
      return m === null ? formatPort(n, ports) : formatInteger(field, value, m);
    case "decimal":
    case "hex":
      return formatInteger(field, value, m);
    case "ct_state":
      return formatFlagsMasked(CT_STATE_NAMES, n, bits, 0xffff);
    case "ethernet":
      return m === null
        ? formatMac(n, value[1] as number)
        : formatMacMasked(n, value[1] as number, bits, m[1] as number);
    case "ipv4":
      return formatIpv4Masked(n, bits);
    case "ipv6":
      return m === null ? formatIpv6(value) : formatIpv6Masked(value, m);
    case "frag":
      return formatFrag(n, bits);
    case "tnl_flags":
      return formatFlagsMasked(TUN_FLAG_NAMES, n, bits & 1, TUN_FLAGS.PUB_MASK);
    case "tcp_flags":
      return formatFlagsMasked(TCP_FLAG_NAMES, n, bits & TCP_FLAGS_MASK, TCP_FLAGS_MASK);
    case "packet_type":
      return formatPacketType(n, bits >>> 0);
  }
}

function formatInteger(field: Field, value: FieldValue, mask: FieldValue | null): string {
  const text = field.format === "hex" ? formatHexWords(value) : String(value[0]);
  return mask === null ? text : `${text}/${formatHexWords(mask)}`;
}

/** "eth" or "packet_type=(1,0x800)" (ovs: format_packet_type_masked). */
export function formatPacketType(value: number, mask: number): string {
  if (value === 0 && mask === 0xffffffff) {
    return "eth";
  }
  const half = (v: number, m: number) => {
    if (m === 0) {
      return "*";
    }
    const text = v > 9 ? `0x${v.toString(16)}` : String(v);
    return m === 0xffff ? text : `${text}/0x${m.toString(16)}`;
  };
  const ns = half(value >>> 16, mask >>> 16);
  return `packet_type=(${ns},${half(value & 0xffff, mask & 0xffff)})`;
}
