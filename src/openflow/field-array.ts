// Lists of fields with a value each, as groups name the fields that select a bucket, and sets of
// fields as bitmaps of OXM numbers, as table features report them.
//
// A field array is kept in the order of the field table. The value of each field is a mask; all ones
// is not written out. (ovs: lib/nx-match.c oxm_put_field_array, oxm_pull_field_array,
// oxm_format_field_array, oxm_bitmap_from_mf_bitmap)

import { mfFormat } from "../flow/field-text.ts";
import { type FieldValue, fieldIsMaskValid, isAllOnes } from "../flow/field-value.ts";
import { FIELDS, type Field } from "../flow/fields.ts";
import type { Writer } from "../lib/bytes.ts";
import type { Decoded } from "./messages/errors.ts";
import {
  type OxmVersion,
  oxmHeader,
  putOxmEntry,
  readOxmHeader,
  valueFromBytes,
} from "./oxm-field.ts";

/** A field and the bits of it that count. */
export interface FieldAndMask {
  readonly field: Field;
  readonly value: FieldValue;
}

/** Class of the fields that OpenFlow itself defines. */
const OPENFLOW_BASIC = 0x8000;
/** OXM numbers that fit into a bitmap. */
const BITMAP_BITS = 64;

/** Sorts by field number; of two entries for one field the later one counts. */
export function fieldArray(entries: Iterable<FieldAndMask>): FieldAndMask[] {
  const byId = new Map<number, FieldAndMask>();
  for (const e of entries) {
    byId.set(e.field.id, e);
  }
  return [...byId.values()].sort((a, b) => a.field.id - b.field.id);
}

export function putFieldArray(
  out: Writer,
  fields: readonly FieldAndMask[],
  version: OxmVersion,
): void {
  for (const { field, value } of fields) {
    putOxmEntry(out, field, version, value, null);
  }
}

export function pullFieldArray(bytes: Uint8Array): Decoded<FieldAndMask[]> {
  const out: FieldAndMask[] = [];
  for (let pos = 0; pos < bytes.length; ) {
    const h = readOxmHeader(bytes, pos);
    if (h === null || h.end + h.payloadBytes > bytes.length) {
      return "OFPBMC_BAD_LEN";
    }
    const { field } = h;
    if (h.hasMask) {
      return "OFPBMC_BAD_MASK";
    }
    if (field === null) {
      return "OFPBMC_BAD_FIELD";
    }
    const value = valueFromBytes(bytes, h.end, h.payloadBytes, field.words);
    if (out.some((e) => e.field === field)) {
      return "OFPBMC_DUP_FIELD";
    }
    if (!fieldIsMaskValid(field, value)) {
      return "OFPBMC_BAD_MASK";
    }
    out.push({ field, value });
    pos = h.end + h.payloadBytes;
  }
  return fieldArray(out);
}

/** "ip_src,ip_dst=255.255.0.0" */
export function formatFieldArray(fields: readonly FieldAndMask[]): string {
  return fields
    .map(({ field, value }) =>
      isAllOnes(field, value) ? field.name : `${field.name}=${mfFormat(field, value)}`,
    )
    .join(",");
}

/** The OXM numbers of a set of fields in a version; other classes are left out. */
export function oxmBitmapFromFields(fields: Iterable<Field>, version: OxmVersion): bigint {
  let bitmap = 0n;
  for (const f of fields) {
    const h = oxmHeader(f, version);
    if (h !== null && h.class === OPENFLOW_BASIC) {
      bitmap |= 1n << BigInt(h.field);
    }
  }
  return bitmap;
}

/** The fields of a bitmap of OXM numbers that a version has, in the order of the field table. */
export function oxmBitmapToFields(bitmap: bigint, version: OxmVersion): Field[] {
  return FIELDS.filter((f) => {
    const h = oxmHeader(f, version);
    return (
      h !== null &&
      version >= h.version &&
      h.class === OPENFLOW_BASIC &&
      h.field < BITMAP_BITS &&
      ((bitmap >> BigInt(h.field)) & 1n) !== 0n
    );
  });
}
