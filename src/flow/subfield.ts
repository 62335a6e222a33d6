// A run of bits of a field: `NXM_NX_REG0[0..15]`.
//
// `ofs` counts from the field's least significant bit. A subfield's value is a FieldValue of
// ceil(bits / 32) words, right-aligned.
// (ovs: lib/nx-match.c mf_parse_subfield__, mf_format_subfield; lib/meta-flow.c mf_read_subfield,
// mf_write_subfield_flow, mf_subfield_copy)

import { fail, ok, type Result } from "../lib/errors.ts";
import {
  type FieldValue,
  fieldGet,
  fieldMaskBits,
  fieldPrereqsOk,
  fieldSet,
  newValue,
} from "./field-value.ts";
import { type Field, fieldByName, fieldByOxmName, type OxmHeader } from "./fields.ts";
import type { FlowKey } from "./flow-key.ts";
import type { Match } from "./match.ts";
import type { OfVersion } from "./of-version.ts";
import type { LogSink } from "./ofp-port.ts";
import type { TunTable } from "./tun-metadata.ts";

export interface Subfield {
  readonly field: Field;
  readonly ofs: number;
  readonly bits: number;
}

/**
 * The header that stands for a field in a version's OXM; version 0 prefers the oldest name. Fields
 * without a number have none. (ovs: nxm_field_by_mf_id)
 */
function preferredHeader(field: Field, version: OfVersion | 0): OxmHeader | undefined {
  let best = field.oxm[0];
  for (const h of field.oxm) {
    if (version >= h.version) {
      best = h;
    }
  }
  return best;
}

/** A field by its own or a header's name, also with "_W" (ovs: mf_parse_subfield_name). */
function fieldByAnyName(name: string): Field | undefined {
  const plain = name.length > 2 && name.endsWith("_W") ? name.slice(0, -2) : name;
  return fieldByOxmName(plain)?.field ?? fieldByName(name);
}

/** A field by a header's or its own name, as actions take it (ovs: mf_parse_field). */
export function parseField(text: string): Result<Field> {
  const field = fieldByOxmName(text)?.field ?? fieldByName(text);
  return field === undefined ? fail(`unknown field \`${text}'`, text) : ok(field);
}

const NAME = /[^[-]*/y;
const RANGE = /\[[ \t\n]*([+-]?\d+)\.\.[ \t\n]*([+-]?\d+)\]/y;
const BIT = /\[[ \t\n]*([+-]?\d+)\]/y;

function matchAt(re: RegExp, text: string, at: number): RegExpExecArray | null {
  re.lastIndex = at;
  return re.exec(text);
}

/** A number as an int of C keeps it: its low 32 bits. */
function int32(digits: string | undefined): number {
  return Number(BigInt.asIntN(32, BigInt((digits ?? "0").replace(/^\+/, ""))));
}

/** Reads a subfield at `start`; the result says where it ends. */
export function parseSubfieldAt(
  text: string,
  start = 0,
): Result<{ readonly sf: Subfield; readonly end: number }> {
  const name = matchAt(NAME, text, start)?.[0] ?? "";
  const whole = text.slice(start);
  const field = fieldByAnyName(name);
  if (field === undefined) {
    return fail(`${whole}: unknown field \`${name}'`, name, start);
  }
  let at = start + name.length;
  let from = 0;
  let to = field.bits - 1;
  if (text[at] === "[") {
    const range = matchAt(RANGE, text, at);
    const bit = matchAt(BIT, text, at);
    if (text.startsWith("[]", at)) {
      at += 2;
    } else if (range !== null) {
      from = int32(range[1]);
      to = int32(range[2]);
      at += range[0].length;
    } else if (bit !== null) {
      from = int32(bit[1]);
      to = from;
      at += bit[0].length;
    } else {
      const what = "syntax error expecting [] or [<bit>] or [<start>..<end>]";
      return fail(`${whole}: ${what}`, whole, at);
    }
  }
  const wide = `because field is only ${field.bits} bits wide`;
  if (from > to) {
    return fail(`${whole}: starting bit ${from} is after ending bit ${to}`, whole, start);
  }
  // Compared as unsigned numbers, so that a negative bit is beyond the end.
  if (from >>> 0 >= field.bits) {
    return fail(`${whole}: starting bit ${from} is not valid ${wide}`, whole, start);
  }
  if (to >>> 0 >= field.bits) {
    return fail(`${whole}: ending bit ${to} is not valid ${wide}`, whole, start);
  }
  return ok({ sf: { field, ofs: from, bits: to - from + 1 }, end: at });
}

/** Reads a subfield that is the whole text (ovs: mf_parse_subfield). */
export function parseSubfield(text: string): Result<Subfield> {
  const r = parseSubfieldAt(text);
  if (!r.ok) {
    return r;
  }
  if (r.value.end !== text.length) {
    const rest = text.slice(r.value.end);
    return fail("unexpected input following field syntax", rest, r.value.end);
  }
  return ok(r.value.sf);
}

export function formatSubfield(sf: Subfield): string {
  const name = preferredHeader(sf.field, 0)?.name ?? sf.field.name;
  if (sf.ofs === 0 && sf.bits === sf.field.bits) {
    return `${name}[]`;
  }
  return sf.bits === 1 ? `${name}[${sf.ofs}]` : `${name}[${sf.ofs}..${sf.ofs + sf.bits - 1}]`;
}

/** Why a subfield cannot be used in an action, as the name of an OpenFlow error. */
export type SubfieldError =
  | "OFPBAC_BAD_SET_TYPE"
  | "OFPBAC_BAD_SET_LEN"
  | "OFPBAC_BAD_SET_ARGUMENT"
  | "OFPBAC_MATCH_INCONSISTENT";

function check(
  sf: Subfield,
  match: Match | null,
  type: string,
  log: LogSink | null,
): SubfieldError | null {
  const { field, ofs, bits } = sf;
  const width = `${field.bits}-bit width of ${type} field ${field.name}`;
  if (bits === 0) {
    log?.("WARN", "meta_flow", `zero bit ${type} field ${field.name}`);
    return "OFPBAC_BAD_SET_LEN";
  }
  if (ofs >= field.bits) {
    log?.("WARN", "meta_flow", `bit offset ${ofs} exceeds ${width}`);
    return "OFPBAC_BAD_SET_LEN";
  }
  if (ofs + bits > field.bits) {
    log?.("WARN", "meta_flow", `bit offset ${ofs} and width ${bits} exceeds ${width}`);
    return "OFPBAC_BAD_SET_LEN";
  }
  if (match !== null && !fieldPrereqsOk(field, match.flow, null, match.wc)) {
    const text = `${type} field ${field.name} lacks correct prerequisites`;
    log?.("WARN", "meta_flow", text);
    return "OFPBAC_MATCH_INCONSISTENT";
  }
  return null;
}

/** Whether a subfield can be read in packets of this match (ovs: mf_check_src). */
export function checkSrc(
  sf: Subfield,
  match: Match | null,
  log: LogSink | null = null,
): SubfieldError | null {
  return check(sf, match, "source", log);
}

/** Whether a subfield can be written in packets of this match (ovs: mf_check_dst). */
export function checkDst(
  sf: Subfield,
  match: Match | null,
  log: LogSink | null = null,
): SubfieldError | null {
  const error = check(sf, match, "destination", log);
  if (error === null && !sf.field.writable) {
    log?.("WARN", "meta_flow", `destination field ${sf.field.name} is not writable`);
    return "OFPBAC_BAD_SET_ARGUMENT";
  }
  return error;
}

/** Bit `i` (from the least significant) of a right-aligned value; 0 beyond its words. */
export function valueBit(v: FieldValue, i: number): number {
  const w = v.length - 1 - (i >> 5);
  return w < 0 ? 0 : ((v[w] as number) >>> (i & 31)) & 1;
}

function setValueBit(v: FieldValue, i: number, bit: number): void {
  const w = v.length - 1 - (i >> 5);
  const m = 1 << (i & 31);
  v[w] = bit !== 0 ? (v[w] as number) | m : (v[w] as number) & ~m;
}

/** Copies `n` bits between right-aligned values (ovs: bitwise_copy). */
export function copyBits(
  src: { readonly v: FieldValue; readonly ofs: number },
  dst: { readonly v: FieldValue; readonly ofs: number },
  n: number,
): void {
  for (let i = 0; i < n; i++) {
    setValueBit(dst.v, dst.ofs + i, valueBit(src.v, src.ofs + i));
  }
}

/** Sets `n` bits of a right-aligned value to 1 (ovs: bitwise_one). */
export function setBits(v: FieldValue, ofs: number, n: number): void {
  for (let i = 0; i < n; i++) {
    setValueBit(v, ofs + i, 1);
  }
}

/** The bits of a subfield in a key (ovs: mf_read_subfield). */
export function readSubfield(sf: Subfield, key: FlowKey, tab: TunTable | null = null): FieldValue {
  const whole = fieldGet(sf.field, key, tab);
  if (sf.ofs === 0 && sf.bits === sf.field.bytes * 8) {
    return whole;
  }
  const out = new Uint32Array(Math.ceil(sf.bits / 32));
  copyBits({ v: whole, ofs: sf.ofs }, { v: out, ofs: 0 }, sf.bits);
  return out;
}

/** The bits of a subfield of at most 32 bits as a number. */
export function readSubfieldNumber(
  sf: Subfield,
  key: FlowKey,
  tab: TunTable | null = null,
): number {
  return readSubfield(sf, key, tab)[0] as number;
}

/** Puts the low bits of `x` into a subfield of a key (ovs: mf_write_subfield_flow). */
export function writeSubfield(
  sf: Subfield,
  x: FieldValue,
  key: FlowKey,
  tab: TunTable | null = null,
): void {
  const whole = fieldGet(sf.field, key, tab);
  copyBits({ v: x, ofs: 0 }, { v: whole, ofs: sf.ofs }, sf.bits);
  fieldSet(sf.field, whole, key, tab);
}

/** Ones in the bits of a subfield, in the shape of its field. */
export function subfieldMask(sf: Subfield): FieldValue {
  const mask = newValue(sf.field);
  setBits(mask, sf.ofs, sf.bits);
  return mask;
}

/** Un-wildcards a subfield (ovs: unwildcard_subfield). */
export function maskSubfield(sf: Subfield, wc: FlowKey, tab: TunTable | null = null): void {
  fieldMaskBits(sf.field, subfieldMask(sf), wc, tab);
}

/**
 * Copies a subfield to another of the same width within a key, if both fields' prerequisites hold,
 * and un-wildcards both (ovs: mf_subfield_copy).
 */
export function copySubfield(
  src: Subfield,
  dst: Subfield,
  key: FlowKey,
  wc: FlowKey | null,
  tab: TunTable | null = null,
): void {
  if (!fieldPrereqsOk(dst.field, key, wc) || !fieldPrereqsOk(src.field, key, wc)) {
    return;
  }
  if (wc !== null) {
    maskSubfield(src, wc, tab);
    maskSubfield(dst, wc, tab);
  }
  writeSubfield(dst, readSubfield(src, key, tab), key, tab);
}

/** Swaps two subfields of the same width, under the same conditions (ovs: mf_subfield_swap). */
export function swapSubfields(
  a: Subfield,
  b: Subfield,
  key: FlowKey,
  wc: FlowKey | null,
  tab: TunTable | null = null,
): void {
  if (!fieldPrereqsOk(a.field, key, wc) || !fieldPrereqsOk(b.field, key, wc)) {
    return;
  }
  if (wc !== null) {
    maskSubfield(a, wc, tab);
    maskSubfield(b, wc, tab);
  }
  const va = readSubfield(a, key, tab);
  const vb = readSubfield(b, key, tab);
  writeSubfield(b, va, key, tab);
  writeSubfield(a, vb, key, tab);
}
