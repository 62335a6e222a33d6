// The widths of tun_metadata fields in one bridge.
//
// In the field table every tun_metadata field has the greatest width that an option may have. A
// bridge's TLV map gives a number the width of its option; from then on messages to that bridge that
// name the field get a Field of that width: a "mapped" field. Rules that use a mapped field hold a
// reference, and a mapping that is referred to cannot be removed.
// (ovs: struct vl_mff_map, lib/meta-flow.c mf_vl_mff_*)

import { FIELDS, type Field, TUN_METADATA_COUNT } from "./fields.ts";

/** Bit i of word i / 32 says that tun_metadata<i> is used. */
export type TlvBitmap = Uint32Array;

export function newTlvBitmap(): TlvBitmap {
  return new Uint32Array(TUN_METADATA_COUNT / 32);
}

/** True for a field that a VlMffMap made. */
export function isMappedField(field: Field): boolean {
  return FIELDS[field.id] !== field;
}

/** Notes the use of a mapped field. */
export function noteTlvField(field: Field, bitmap: TlvBitmap): void {
  if (isMappedField(field)) {
    const i = field.tunMetadata;
    bitmap[i >>> 5] = (bitmap[i >>> 5] ?? 0) | (1 << (i & 31));
  }
}

interface Mapping {
  readonly field: Field;
  references: number;
}

export class VlMffMap {
  private readonly map = new Map<number, Mapping>();

  /** Gives tun_metadata<index> a width of `bytes`. */
  add(index: number, bytes: number): void {
    const base = FIELDS.find((f) => f.tunMetadata === index);
    if (base !== undefined) {
      const words = Math.ceil(bytes / 4);
      const field = Object.freeze({ ...base, bytes, bits: bytes * 8, words });
      this.map.set(index, { field, references: 0 });
    }
  }

  /** False, and nothing changes, if a rule refers to one of the mappings. */
  delete(indexes: readonly number[]): boolean {
    if (indexes.some((i) => (this.map.get(i)?.references ?? 0) > 0)) {
      return false;
    }
    for (const i of indexes) {
      this.map.delete(i);
    }
    return true;
  }

  /** Removes all mappings; false, and nothing changes, if a rule refers to one. */
  clear(): boolean {
    return this.delete([...this.map.keys()]);
  }

  /** The field as the bridge knows it; null if no option is mapped to it. */
  mapped(field: Field): Field | null {
    return this.map.get(field.tunMetadata)?.field ?? null;
  }

  /** Counts the fields of `bitmap` as referred to once more (delta 1) or less (delta -1). */
  reference(bitmap: TlvBitmap, delta: 1 | -1): void {
    for (const [i, mapping] of this.map) {
      if ((((bitmap[i >>> 5] ?? 0) >>> (i & 31)) & 1) !== 0) {
        mapping.references += delta;
      }
    }
  }
}

/** The mapped twin of a field of variable width where there is one, else the field itself. */
export function mappedField(field: Field, map: VlMffMap | null): Field {
  return map !== null && field.tunMetadata >= 0 ? (map.mapped(field) ?? field) : field;
}

/** True if the bridge has no width for the field, so that messages must not use it. */
export function isUnmappedField(field: Field, map: VlMffMap | null): boolean {
  return map !== null && field.tunMetadata >= 0 && !isMappedField(field);
}
