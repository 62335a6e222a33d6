// Properties: the type-length-value records of OpenFlow 1.3 and later and of its extensions.
//
// A property has a type, a length without padding, and a value; it is padded to 8 bytes. Types from
// `minExp` on are experimenter types: the property then has an experimenter id and its type, which
// are combined here into one key, so that a `switch` over known types needs no second level. Tables
// of features use the same records without padding (ovs: lib/ofp-prop.c).

import { type Cursor, getU16, getU32, getU64, type Writer } from "../../lib/bytes.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import type { Decoded, OfpErr } from "./errors.ts";

/** Key of a type of property: the plain type, or `exp(vendor, type)`. */
export type PropType = number | string;

/** Types from here on belong to experimenters, except in a few old messages. */
export const PROP_EXPERIMENTER = 0xffff;

export interface Property {
  readonly type: PropType;
  /** Header and value, without padding. */
  readonly bytes: Uint8Array;
  /** Where the value starts in `bytes`. */
  readonly valueOfs: number;
}

/** Key of an experimenter's property. */
export function expProp(vendor: number, type: number): PropType {
  return `${vendor}/${type}`;
}

interface PullOptions {
  /** Bytes that a property is padded to. */
  readonly align: number;
  readonly minExp: number;
}

const DEFAULTS: PullOptions = { align: 8, minExp: PROP_EXPERIMENTER };

/** Takes the next property. */
export function pullProp(c: Cursor, opts: PullOptions = DEFAULTS): Decoded<Property> {
  if (c.left < 4) {
    return "OFPBPC_BAD_LEN";
  }
  const len = getU16(c.bytes, c.pos + 2);
  const padded = Math.ceil(len / opts.align) * opts.align;
  if (len < 4 || padded > c.left) {
    return "OFPBPC_BAD_LEN";
  }
  const bytes = c.bytes.subarray(c.pos, c.pos + len);
  const type = getU16(bytes, 0);
  if (type < opts.minExp) {
    c.skip(padded);
    return { type, bytes, valueOfs: 4 };
  }
  if (len < 12) {
    return "OFPBPC_BAD_LEN";
  }
  const vendor = getU32(bytes, 4);
  if (vendor === 0) {
    return "OFPBPC_BAD_EXPERIMENTER";
  }
  c.skip(padded);
  return { type: expProp(vendor, getU32(bytes, 8)), bytes, valueOfs: 12 };
}

function typeText(type: PropType): string {
  if (typeof type === "number") {
    return ` ${type}`;
  }
  const [vendor, sub] = type.split("/").map(Number);
  return ` for exp_id 0x${(vendor ?? 0).toString(16)}, exp_type ${(sub ?? 0) | 0}`;
}

/** What a property of an unknown type deserves; a loose reader skips it. */
export function unknownProp(
  loose: boolean,
  type: PropType,
  log: LogSink | null = null,
  module = "",
  what = "",
): OfpErr | null {
  if (loose) {
    return null;
  }
  log?.("WARN", module, `unknown ${what} property type${typeText(type)}`);
  return typeof type === "string" ? "OFPBPC_BAD_EXP_TYPE" : "OFPBPC_BAD_TYPE";
}

/** The value's bytes. */
export function propValue(p: Property): Uint8Array {
  return p.bytes.subarray(p.valueOfs);
}

export function propU8(p: Property): Decoded<number> {
  return p.bytes.length < p.valueOfs + 1 ? "OFPBPC_BAD_LEN" : (p.bytes[p.valueOfs] ?? 0);
}

export function propU16(p: Property): Decoded<number> {
  return p.bytes.length < p.valueOfs + 2 ? "OFPBPC_BAD_LEN" : getU16(p.bytes, p.valueOfs);
}

export function propU32(p: Property): Decoded<number> {
  return p.bytes.length !== p.valueOfs + 4 ? "OFPBPC_BAD_LEN" : getU32(p.bytes, p.valueOfs);
}

/** A 64-bit value is aligned to 8 bytes within the property. */
export function propU64(p: Property): Decoded<bigint> {
  const ofs = Math.ceil(p.valueOfs / 8) * 8;
  return p.bytes.length !== ofs + 8 ? "OFPBPC_BAD_LEN" : getU64(p.bytes, ofs);
}

/** Properties within a property, aligned to 8 bytes. */
export function propNested(p: Property): Decoded<Uint8Array> {
  const ofs = Math.ceil(p.valueOfs / 8) * 8;
  return p.bytes.length < ofs ? "OFPBPC_BAD_LEN" : p.bytes.subarray(ofs);
}

/** Begins a property; `endProp` must follow with what this returns. */
export function startProp(w: Writer, type: PropType): number {
  const at = w.length;
  if (typeof type === "number") {
    w.u16(type).u16(0);
    return at;
  }
  const [vendor, sub] = type.split("/").map(Number);
  w.u16(PROP_EXPERIMENTER)
    .u16(0)
    .u32(vendor ?? 0)
    .u32(sub ?? 0);
  return at;
}

/** Begins a property that holds properties. */
export function startNestedProp(w: Writer, type: PropType): number {
  const at = startProp(w, type);
  w.pad(8);
  return at;
}

/** Fills in the length and pads. The padding is counted from the start of the message. */
export function endProp(w: Writer, start: number): void {
  w.patchU16(start + 2, w.length - start);
  w.pad(8);
}

export function putProp(w: Writer, type: PropType, value: Uint8Array): void {
  const at = startProp(w, type);
  w.put(value);
  endProp(w, at);
}

export function putPropU8(w: Writer, type: PropType, value: number): void {
  const at = startProp(w, type);
  w.u8(value);
  endProp(w, at);
}

/** A plain property pads its 16-bit value inside, an experimenter's does not. */
export function putPropU16(w: Writer, type: PropType, value: number): void {
  const at = startProp(w, type);
  w.u16(value);
  if (typeof type === "number") {
    w.zeros(2);
  }
  endProp(w, at);
}

export function putPropU32(w: Writer, type: PropType, value: number): void {
  const at = startProp(w, type);
  w.u32(value);
  endProp(w, at);
}

export function putPropU64(w: Writer, type: PropType, value: bigint): void {
  const at = startProp(w, type);
  w.zeros(4).u64(value);
  endProp(w, at);
}

/** A property without a value. */
export function putPropFlag(w: Writer, type: PropType): void {
  endProp(w, startProp(w, type));
}
