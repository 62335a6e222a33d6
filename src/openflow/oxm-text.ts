// NXM and OXM matches as text: "NXM_OF_IN_PORT(0001), NXM_OF_ETH_SRC_W(0100…/0100…)".
//
// The form in which the wire is shown to people and tests. It knows names, lengths and masks but not
// what values mean. (ovs: lib/nx-match.c nx_match_to_string, nx_match_from_string)

import { type Field, fieldByOxm, fieldByOxmName, OXM_EXPERIMENTER_CLASS } from "../flow/fields.ts";
import { hexValue, putU16, Writer } from "../lib/bytes.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import type { LogSink } from "../flow/ofp-port.ts";
import { rejectedText } from "./oxm-field.ts";
import { NXM_NX_COOKIE, NXM_NX_COOKIE_W, OFPMT_OXM, OXM_MATCH_HEADER_BYTES } from "./oxm-put.ts";

/** Bytes that a value of any field has room for (ovs: sizeof(union mf_value)). */
const VALUE_BYTES_MAX = 128;

/** A header's first 32 bits, and the experimenter id if the class calls for one. */
interface Header {
  readonly word: number;
  readonly vendor: number;
}

function isExperimenter(h: Header): boolean {
  return h.word >>> 16 === OXM_EXPERIMENTER_CLASS;
}

function hasMask(h: Header): boolean {
  return (h.word & 0x100) !== 0;
}

/** Payload bytes of value and mask. */
function payloadBytes(h: Header): number {
  return (h.word & 0xff) - (isExperimenter(h) ? 4 : 0);
}

/** Bytes of the value alone. */
function valueBytes(h: Header): number {
  return hasMask(h) ? payloadBytes(h) >> 1 : payloadBytes(h);
}

/** The field with this header, if it also has its length. */
function fieldOf(h: Header): { readonly field: Field; readonly name: string } | undefined {
  const found = fieldByOxm(h.vendor, h.word >>> 16, (h.word >>> 9) & 0x7f);
  if (found === undefined) {
    return undefined;
  }
  const length = valueBytes(h) + (isExperimenter(h) ? 4 : 0);
  const fits = found.field.tunMetadata >= 0 || length === found.header.length;
  return fits ? { field: found.field, name: found.header.name } : undefined;
}

function headerName(h: Header): string {
  const found = fieldOf(h);
  if (found !== undefined) {
    return `${found.name}${hasMask(h) ? "_W" : ""}`;
  }
  if (h.word === NXM_NX_COOKIE) {
    return "NXM_NX_COOKIE";
  }
  return h.word === NXM_NX_COOKIE_W
    ? "NXM_NX_COOKIE_W"
    : `${h.word >>> 16}:${(h.word >>> 9) & 0x7f}`;
}

/** Where a value stands in the room for it: at its start, or, of variable width, at its end. */
function shownValue(field: Field | undefined, payload: Uint8Array): string {
  const room = new Uint8Array(VALUE_BYTES_MAX);
  if (field === undefined) {
    room.set(payload.subarray(0, VALUE_BYTES_MAX));
  } else {
    const used = Math.min(payload.length, field.bytes);
    room.set(payload.subarray(0, used), field.tunMetadata >= 0 ? field.bytes - used : 0);
  }
  // As many bytes as the entry has are shown from the start of the room: Open vSwitch shows the
  // leading zeros of short tunnel options rather than what is in them.
  const shown = room.subarray(0, Math.min(VALUE_BYTES_MAX, payload.length));
  return Array.from(shown, (b) => b.toString(16).padStart(2, "0")).join("");
}

function u32(b: Uint8Array, at: number): number {
  return (
    (((b[at] ?? 0) << 24) |
      ((b[at + 1] ?? 0) << 16) |
      ((b[at + 2] ?? 0) << 8) |
      (b[at + 3] ?? 0)) >>>
    0
  );
}

/** The text of a list of entries. */
export function formatNxMatch(bytes: Uint8Array, log: LogSink | null = null): string {
  if (bytes.length === 0) {
    return "<any>";
  }
  const out: string[] = [];
  let pos = 0;
  while (pos < bytes.length) {
    if (bytes.length - pos < 4) {
      break;
    }
    const start = pos;
    const word = u32(bytes, pos);
    const long = word >>> 16 === OXM_EXPERIMENTER_CLASS;
    if ((long && bytes.length - pos < 8) || (long && (word & 0xff) < 4)) {
      break;
    }
    const h: Header = { word, vendor: long ? u32(bytes, pos + 4) : 0 };
    pos += long ? 8 : 4;
    if (payloadBytes(h) > bytes.length - pos) {
      break;
    }
    const payload = bytes.subarray(pos, pos + payloadBytes(h));
    pos += payload.length;
    const width = valueBytes(h);
    const value = payload.subarray(0, width);
    const mask = payload.subarray(width, 2 * width);
    if (hasMask(h) && value.some((b, i) => (b & ~(mask[i] ?? 0)) !== 0)) {
      log?.("WARN", "nx_match", rejectedText(bytes, start, h.vendor));
      break;
    }
    const field = fieldOf(h)?.field;
    const tail = hasMask(h) ? `/${shownValue(field, mask)}` : "";
    out.push(`${headerName(h)}(${shownValue(field, value)}${tail})`);
  }
  if (pos < bytes.length) {
    out.push(`<${bytes.length - pos} invalid bytes>`);
  }
  return out.join(", ");
}

/** The text of an OXM match with its header; `length` is what the caller says it has. */
export function formatOxmMatch(
  bytes: Uint8Array,
  length: number,
  log: LogSink | null = null,
): string {
  if (length < OXM_MATCH_HEADER_BYTES) {
    return `<match too short: ${length}>`;
  }
  const type = u32(bytes, 0) >>> 16;
  const inner = u32(bytes, 0) & 0xffff;
  if (type !== OFPMT_OXM) {
    return `<bad match type field: ${type}>`;
  }
  if (inner < OXM_MATCH_HEADER_BYTES) {
    return `<match length field too short: ${inner}>`;
  }
  if (inner !== length) {
    return `<match length field incorrect: ${inner} != ${length}>`;
  }
  return formatNxMatch(bytes.subarray(OXM_MATCH_HEADER_BYTES, length), log);
}

/** Hex digit pairs with blanks and dots between them; tells where they end (ofpbuf_put_hex). */
export function scanHex(text: string, start = 0): { bytes: Uint8Array; end: number } {
  const out: number[] = [];
  let i = start;
  for (;;) {
    while (i < text.length && " .\t\r\n".includes(text.charAt(i))) {
      i++;
    }
    const hi = hexValue(text.charCodeAt(i));
    const lo = hi < 0 ? -1 : hexValue(text.charCodeAt(i + 1));
    if (lo < 0) {
      return { bytes: Uint8Array.from(out), end: i };
    }
    out.push((hi << 4) | lo);
    i += 2;
  }
}

/** A header by name, or by the hex digits of its number. */
function headerByName(name: string): Header | undefined {
  const wild = name.length > 2 && name.endsWith("_W");
  const found = fieldByOxmName(wild ? name.slice(0, -2) : name);
  if (found !== undefined && (!wild || found.field.maskable)) {
    const { header } = found;
    const experimenter = header.vendor === 0 ? 0 : 4;
    const bytes = wild ? experimenter + 2 * (header.length - experimenter) : header.length;
    const word = (header.class << 16) | (header.field << 9) | (wild ? 0x100 : 0) | bytes;
    return { word: word >>> 0, vendor: header.vendor };
  }
  if (name === "NXM_NX_COOKIE" || name === "NXM_NX_COOKIE_W") {
    return { word: wild ? NXM_NX_COOKIE_W : NXM_NX_COOKIE, vendor: 0 };
  }
  if (/^[0-9a-fA-F]{8}$/.test(name)) {
    const word = Number.parseInt(name, 16);
    return word === 0 ? undefined : { word, vendor: 0 };
  }
  if (/^ffff[0-9a-f]{12}$/i.test(name)) {
    return {
      word: Number.parseInt(name.slice(0, 8), 16),
      vendor: Number.parseInt(name.slice(8), 16),
    };
  }
  return undefined;
}

/** Reads one "NAME(hex[/hex])" at `start`; the result says where it ends. */
function parseEntry(text: string, start: number, out: Writer): Result<number> {
  const paren = text.indexOf("(", start);
  if (paren < 0) {
    return fail(`${text}: missing ( at end of nx_match`, text, start);
  }
  const name = text.slice(start, paren);
  let h = headerByName(name);
  if (h === undefined) {
    return fail(`${text}: unknown field \`${name}'`, name, start);
  }
  const value = scanHex(text, paren + 1);
  const n = value.bytes.length;
  if (n !== valueBytes(h)) {
    const field = fieldOf(h)?.field;
    if (field === undefined || field.tunMetadata < 0) {
      return fail(`expected to read ${valueBytes(h)} bytes but got ${n}`, text, paren);
    }
    if (n > field.bytes) {
      return fail(`expected to read at most ${field.bytes} bytes but got ${n}`, text, paren);
    }
    // The header of a field of variable width says how wide it is here.
    const bytes = (hasMask(h) ? 2 * n : n) + (isExperimenter(h) ? 4 : 0);
    h = { word: ((h.word & ~0xff) | bytes) >>> 0, vendor: h.vendor };
  }
  out.u32(h.word);
  if (isExperimenter(h)) {
    out.u32(h.vendor);
  }
  out.put(value.bytes);
  let at = value.end;
  const skip = () => {
    while (text[at] === " ") {
      at++;
    }
  };
  if (hasMask(h)) {
    skip();
    if (text[at] !== "/") {
      return fail(`${text}: missing / in masked field ${name}`, text, at);
    }
    const mask = scanHex(text, at + 1);
    at = mask.end;
    if (mask.bytes.length !== valueBytes(h)) {
      return fail(`${text.slice(at, at + 2)}: hex digits expected`, text, at);
    }
    out.put(mask.bytes);
  }
  skip();
  return text[at] === ")"
    ? ok(at + 1)
    : fail(`${text}: missing ) following field ${name}`, text, at);
}

/** Reads a list of entries into bytes, without header and padding. */
export function parseNxMatch(text: string): Result<Uint8Array> {
  const out = new Writer();
  let at = 0;
  const skip = () => {
    while (text[at] === "," || text[at] === " ") {
      at++;
    }
  };
  if (text === "<any>") {
    return ok(out.bytes());
  }
  for (skip(); at < text.length; skip()) {
    const r = parseEntry(text, at, out);
    if (!r.ok) {
      return r;
    }
    at = r.value;
  }
  return ok(out.bytes());
}

/** Puts the header of an OXM match in front of entries, and zeros up to 8 bytes behind. */
export function wrapOxm(entries: Uint8Array): Uint8Array {
  const length = entries.length + OXM_MATCH_HEADER_BYTES;
  const out = padTo8(length);
  putU16(out, 0, OFPMT_OXM);
  putU16(out, 2, length);
  out.set(entries, OXM_MATCH_HEADER_BYTES);
  return out;
}

/** Zeros in a multiple of 8 that holds `n` bytes. */
export function padTo8(n: number): Uint8Array {
  return new Uint8Array(Math.ceil(n / 8) * 8);
}
