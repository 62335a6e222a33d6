// Types of columns: atoms with constraints, sets and maps of them.
//
// References: RFC 7047 §3.2 <type>, <base-type>; ovs: lib/ovsdb-types.c.

import type { Atom, AtomicType } from "./atom.ts";

/** What one atom may be. Absent constraints do not restrict. */
export interface BaseType {
  readonly type: AtomicType;
  /** Allowed values, sorted. */
  readonly enum?: readonly Atom[];
  readonly minInteger?: bigint;
  readonly maxInteger?: bigint;
  readonly minReal?: number;
  readonly maxReal?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  /** Name of the table whose rows a uuid refers to. */
  readonly refTable?: string;
  readonly refType?: "strong" | "weak";
}

/** A set of `min` to `max` keys, or of pairs if there is a value type. */
export interface ColumnType {
  readonly key: BaseType;
  readonly value: BaseType | undefined;
  readonly min: 0 | 1;
  /** Infinity if unlimited. */
  readonly max: number;
}

export function isMap(t: ColumnType): boolean {
  return t.value !== undefined;
}

export function isScalar(t: ColumnType): boolean {
  return t.value === undefined && t.min === 1 && t.max === 1;
}

export function isSet(t: ColumnType): boolean {
  return t.value === undefined && (t.min !== 1 || t.max !== 1);
}

/** A set of at least one value of an atomic type, as enum constraints are written. */
export function enumType(type: AtomicType): ColumnType {
  return { key: { type }, value: undefined, min: 1, max: Number.POSITIVE_INFINITY };
}

/** "set of up to 4096 integers" (ovs: ovsdb_type_to_english). */
export function typeToEnglish(t: ColumnType): string {
  if (isScalar(t)) {
    return t.key.type;
  }
  let s = t.value === undefined ? "set" : "map";
  if (t.max === Number.POSITIVE_INFINITY) {
    s += t.min > 0 ? ` of ${t.min} or more` : " of";
  } else {
    s += t.min > 0 ? ` of ${t.min} to ${t.max}` : ` of up to ${t.max}`;
  }
  return t.value === undefined
    ? `${s} ${t.key.type}s`
    : `${s} (${t.key.type}, ${t.value.type}) pairs`;
}
