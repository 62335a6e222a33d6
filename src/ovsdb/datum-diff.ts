// Differences of datums, as the database file and the compact form of monitors tell changes.
//
// Reference: ovs: lib/ovsdb-data.c ovsdb_datum_diff, ovsdb_datum_apply_diff.

import { type Atom, compareAtoms } from "./atom.ts";
import { type Datum, findKey, lowerBound, mapDatum } from "./datum.ts";
import type { ColumnType } from "./types.ts";

/** Up to so many members are better moved one by one. */
const FEW_MEMBERS = 16;

/** What is in just one of two sorted lists. */
function symmetricDifference(a: readonly Atom[], b: readonly Atom[]): Atom[] {
  const out: Atom[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const x = a[i];
    const y = b[j];
    const order = x === undefined ? 1 : y === undefined ? -1 : compareAtoms(x, y);
    if (order < 0 && x !== undefined) {
      out.push(x);
    } else if (order > 0 && y !== undefined) {
      out.push(y);
    }
    i += order <= 0 ? 1 : 0;
    j += order >= 0 ? 1 : 0;
  }
  return out;
}

/** What turns `old` into `now`: members that came or went, pairs with their new value. */
export function datumDiff(old: Datum, now: Datum, type: ColumnType): Datum {
  if (type.max === 1) {
    return now;
  }
  if (type.value === undefined) {
    return { keys: symmetricDifference(old.keys, now.keys), values: undefined };
  }
  const pairs: (readonly [Atom, Atom])[] = [];
  for (const [i, k] of old.keys.entries()) {
    if (findKey(now, k) < 0) {
      pairs.push([k, old.values?.[i] ?? ""]);
    }
  }
  for (const [i, k] of now.keys.entries()) {
    const before = old.values?.[findKey(old, k)];
    const value = now.values?.[i] ?? "";
    if (before !== value) {
      pairs.push([k, value]);
    }
  }
  return mapDatum(pairs);
}

/** The members of one set but those of another, and those that only the other one has. */
function toggleMembers(old: Datum, diff: Datum): Datum {
  if (diff.keys.length > FEW_MEMBERS) {
    return { keys: symmetricDifference(old.keys, diff.keys), values: undefined };
  }
  const keys = old.keys.slice();
  for (const k of diff.keys) {
    const i = lowerBound(keys, k);
    if (keys[i] === k) {
      keys.splice(i, 1);
    } else {
      keys.splice(i, 0, k);
    }
  }
  return { keys, values: undefined };
}

/** Undoes datumDiff: what `old` becomes by a stored difference. */
export function applyDatumDiff(old: Datum, diff: Datum, type: ColumnType): Datum {
  if (type.max === 1) {
    return diff;
  }
  if (type.value === undefined) {
    return toggleMembers(old, diff);
  }
  const pairs = new Map(old.keys.map((k, i) => [k, old.values?.[i] ?? ""] as const));
  for (const [i, k] of diff.keys.entries()) {
    const value = diff.values?.[i] ?? "";
    if (pairs.get(k) === value) {
      pairs.delete(k);
    } else {
      pairs.set(k, value);
    }
  }
  return mapDatum(pairs);
}
