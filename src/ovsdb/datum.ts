// Datums: the values of columns, which are sets of atoms or maps from atoms to atoms.
//
// `keys` is sorted and without duplicates; `values`, present in maps only, runs beside it. A datum
// never changes: operations answer new ones. References: RFC 7047 §5.1 <value>; ovs:
// lib/ovsdb-data.c.

import {
  type Atom,
  atomFromJson,
  atomToJson,
  checkAtom,
  compareAtoms,
  defaultAtom,
  type SymbolTable,
  unwrapPair,
} from "./atom.ts";
import { DbError, syntaxError } from "./db-error.ts";
import { isJsonArray, type Json } from "./json.ts";
import type { ColumnType } from "./types.ts";

export interface Datum {
  readonly keys: readonly Atom[];
  readonly values: readonly Atom[] | undefined;
}

const EMPTY: readonly Atom[] = [];

const EMPTY_SET: Datum = { keys: EMPTY, values: undefined };
const EMPTY_MAP: Datum = { keys: EMPTY, values: EMPTY };

export function emptyDatum(type: ColumnType): Datum {
  return type.value === undefined ? EMPTY_SET : EMPTY_MAP;
}

export function defaultDatum(type: ColumnType): Datum {
  if (type.min === 0) {
    return emptyDatum(type);
  }
  const values = type.value === undefined ? undefined : [defaultAtom(type.value.type)];
  return { keys: [defaultAtom(type.key.type)], values };
}

/** A set of the given atoms, which need not be sorted but must differ. */
export function setDatum(atoms: readonly Atom[]): Datum {
  return { keys: atoms.toSorted(compareAtoms), values: undefined };
}

/** A map of the given pairs, whose keys must differ. */
export function mapDatum(pairs: Iterable<readonly [Atom, Atom]>): Datum {
  const sorted = [...pairs].sort((a, b) => compareAtoms(a[0], b[0]));
  return { keys: sorted.map((p) => p[0]), values: sorted.map((p) => p[1]) };
}

export function datumEquals(a: Datum, b: Datum): boolean {
  return a === b || (sameAtoms(a.keys, b.keys) && sameAtoms(a.values, b.values));
}

function sameAtoms(x: readonly Atom[] = EMPTY, y: readonly Atom[] = EMPTY): boolean {
  if (x.length !== y.length) {
    return false;
  }
  for (let i = 0; i < x.length; i++) {
    if (x[i] !== y[i]) {
      return false;
    }
  }
  return true;
}

export function isDefaultDatum(d: Datum, type: ColumnType): boolean {
  if (type.min === 0) {
    return d.keys.length === 0;
  }
  const value = type.value === undefined ? undefined : defaultAtom(type.value.type);
  return d.keys.length === 1 && d.keys[0] === defaultAtom(type.key.type) && d.values?.[0] === value;
}

/** Order of two datums of one type: by number of members, then members (ovs: compare_3way). */
export function compareDatums(a: Datum, b: Datum): number {
  if (a.keys.length !== b.keys.length) {
    return a.keys.length - b.keys.length;
  }
  for (const which of ["keys", "values"] as const) {
    const x = a[which] ?? EMPTY;
    const y = b[which] ?? EMPTY;
    for (let i = 0; i < x.length; i++) {
      const order = compareAtoms(x[i] ?? 0n, y[i] ?? 0n);
      if (order !== 0) {
        return order;
      }
    }
  }
  return 0;
}

/** Index of the first of sorted keys that is not below one. */
export function lowerBound(keys: readonly Atom[], key: Atom): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (compareAtoms(keys[mid] ?? 0n, key) < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

/** Index of a key, or -1. */
export function findKey(d: Datum, key: Atom): number {
  const i = lowerBound(d.keys, key);
  return i < d.keys.length && d.keys[i] === key ? i : -1;
}

/** Pairs of a map; members of a set come with undefined. */
function pairsOf(d: Datum): (readonly [Atom, Atom | undefined])[] {
  return d.keys.map((k, i) => [k, d.values?.[i]] as const);
}

export function fromPairs(
  pairs: readonly (readonly [Atom, Atom | undefined])[],
  isMap: boolean,
): Datum {
  return {
    keys: pairs.map((p) => p[0]),
    values: isMap ? pairs.map((p) => p[1] ?? "") : undefined,
  };
}

/** Members of both; of keys in both, `a` keeps its value unless `replace`. */
export function unionDatums(a: Datum, b: Datum, replace = false): Datum {
  const merged = new Map<Atom, Atom | undefined>(pairsOf(a));
  for (const [k, v] of pairsOf(b)) {
    if (replace || !merged.has(k)) {
      merged.set(k, v);
    }
  }
  const pairs = [...merged].sort((x, y) => compareAtoms(x[0], y[0]));
  return fromPairs(pairs, a.values !== undefined);
}

/** Members of `a` that are not in `b`; in maps, where `b` has values, a pair must agree. */
export function subtractDatum(a: Datum, b: Datum): Datum {
  const kept = pairsOf(a).filter(([k, v]) => {
    const i = findKey(b, k);
    return i < 0 || (b.values !== undefined && b.values[i] !== v);
  });
  return fromPairs(kept, a.values !== undefined);
}

/** True if every member of `a` is in `b`; pairs must agree in value. */
export function includesAll(a: Datum, b: Datum): boolean {
  return pairsOf(a).every(([k, v]) => {
    const i = findKey(b, k);
    return i >= 0 && (a.values === undefined || b.values?.[i] === v);
  });
}

/** True if no member of `a` is in `b`. */
export function excludesAll(a: Datum, b: Datum): boolean {
  return pairsOf(a).every(([k, v]) => {
    const i = findKey(b, k);
    return i < 0 || (a.values !== undefined && b.values?.[i] !== v);
  });
}

/** True if each atom is greater than the one before. */
function isAscending(keys: readonly Atom[]): boolean {
  for (let i = 1; i < keys.length; i++) {
    if (compareAtoms(keys[i - 1] ?? 0n, keys[i] ?? 0n) >= 0) {
      return false;
    }
  }
  return true;
}

/** A datum of keys in any order; a duplicate one is an error with a text of its own. */
export function sortedDatum(
  keys: readonly Atom[],
  values: readonly Atom[] | undefined,
): Datum | string {
  if (isAscending(keys)) {
    return { keys, values };
  }
  const pairs = pairsOf({ keys, values }).sort((a, b) => compareAtoms(a[0], b[0]));
  const isMap = values !== undefined;
  const sorted = fromPairs(pairs, isMap);
  if (isAscending(sorted.keys)) {
    return sorted;
  }
  return isMap ? "map contains duplicate key" : "set contains duplicate";
}

/** Members of a set or map in JSON; undefined if the JSON is a single atom. */
function membersOf(json: Json, type: ColumnType): readonly Json[] | undefined {
  const isMap = type.value !== undefined;
  const looksLikeSet = isJsonArray(json) && json[0] === "set";
  if (!isMap && !looksLikeSet) {
    return undefined;
  }
  const kind = isMap ? "map" : "set";
  const inner = unwrapPair(json, kind);
  if (!isJsonArray(inner)) {
    throw syntaxError(json, `expected ["${kind}", <array>]`);
  }
  const n = inner.length;
  if (n < type.min || n > type.max) {
    throw syntaxError(
      json,
      type.min === 1 && type.max === 1
        ? `${kind} must have exactly one member but ${n} are present`
        : `${kind} must have ${type.min} to ${maxText(type.max)} members but ${n} are present`,
    );
  }
  return inner;
}

function maxText(max: number): string {
  return String(max === Number.POSITIVE_INFINITY ? 0xffffffff : max);
}

/** Throws DbError if the JSON is no value of the type. */
export function datumFromJson(json: Json, type: ColumnType, symbols?: SymbolTable): Datum {
  const members = membersOf(json, type);
  if (members === undefined) {
    return { keys: [atomFromJson(json, type.key, symbols)], values: undefined };
  }
  const { key, value } = type;
  const keys = new Array<Atom>(members.length);
  const values = value === undefined ? undefined : new Array<Atom>(members.length);
  for (let i = 0; i < keys.length; i++) {
    const m = members[i] ?? null;
    if (value === undefined || values === undefined) {
      keys[i] = atomFromJson(m, key, symbols);
      continue;
    }
    if (!isJsonArray(m) || m.length !== 2) {
      throw syntaxError(m, "expected 2-element array");
    }
    keys[i] = atomFromJson(m[0] ?? null, key, symbols);
    values[i] = atomFromJson(m[1] ?? null, value, symbols);
  }
  const datum = keys.length === 0 ? emptyDatum(type) : sortedDatum(keys, values);
  if (typeof datum === "string") {
    throw new DbError("ovsdb error", datum);
  }
  return datum;
}

/** The same type without limits on the number of members. */
export function relaxedType(type: ColumnType): ColumnType {
  return { ...type, min: 0, max: Number.POSITIVE_INFINITY };
}

export function datumToJson(d: Datum, type: ColumnType): Json {
  const { key, value } = type;
  if (value !== undefined) {
    const pairs = d.keys.map((k, i) => [
      atomToJson(k, key.type),
      atomToJson(d.values?.[i] ?? "", value.type),
    ]);
    return ["map", pairs];
  }
  const only = d.keys[0];
  return d.keys.length === 1 && only !== undefined
    ? atomToJson(only, key.type)
    : ["set", d.keys.map((k) => atomToJson(k, key.type))];
}

/** Throws DbError if a member breaks a constraint of the type. */
export function checkDatum(d: Datum, type: ColumnType): void {
  for (const k of d.keys) {
    checkAtom(k, type.key);
  }
  if (type.value !== undefined) {
    for (const v of d.values ?? EMPTY) {
      checkAtom(v, type.value);
    }
  }
}
