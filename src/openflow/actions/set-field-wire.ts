// How "set a field" travels: as set_field from OpenFlow 1.2 on, as one or more reg_load before.

import type { Field } from "../../flow/fields.ts";
import type { FieldValue } from "../../flow/field-value.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import type { Subfield } from "../../flow/subfield.ts";
import type { Writer } from "../../lib/bytes.ts";
import { nxmHeader, putOxmEntry } from "../oxm-field.ts";
import { packOfsBits } from "./output.ts";
import { padAction, putRaw } from "./wire.ts";

/** Bytes before the OXM entry: type and length. */
const SET_FIELD_HEADER_BYTES = 4;
/** Bytes before the OXM entry of a reg_load2: the vendor header. */
const REG_LOAD2_HEADER_BYTES = 10;
/** Layout of reg_load: byte offsets. */
export const NARL = { OFS_NBITS: 10, DST: 12, VALUE: 16 } as const;

/** Appends a set_field, for OpenFlow 1.2 and later. */
export function putSetField(
  out: Writer,
  version: OfVersion,
  field: Field,
  value: FieldValue,
  mask: FieldValue | null = null,
): void {
  const start = putRaw(out, version >= OFP.v15 ? "of15_set_field" : "of12_set_field", version);
  out.truncate(start + SET_FIELD_HEADER_BYTES);
  putOxmEntry(out, field, version, value, mask);
  padAction(out, start);
}

/** Appends a reg_load of at most 64 bits: two words. */
export function putRegLoad(
  out: Writer,
  version: OfVersion,
  dst: Subfield,
  value: FieldValue,
): void {
  const at = putRaw(out, "nx_reg_load", version);
  out.patchU16(at + NARL.OFS_NBITS, packOfsBits(dst.ofs, dst.bits));
  out.patchU32(at + NARL.DST, nxmHeader(dst.field));
  out.patchU32(at + NARL.VALUE, value[0] ?? 0);
  out.patchU32(at + NARL.VALUE + 4, value[1] ?? 0);
}

/** Appends a reg_load2, which takes any header and a mask. */
export function putRegLoad2(
  out: Writer,
  version: OfVersion,
  field: Field,
  value: FieldValue,
  mask: FieldValue,
): void {
  const start = putRaw(out, "nx_reg_load2", version);
  out.truncate(start + REG_LOAD2_HEADER_BYTES);
  putOxmEntry(out, field, 0, value, mask);
  padAction(out, start);
}
