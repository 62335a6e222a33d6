// Whether two lists of datapath actions are the same, member by member.
//
// Actions are plain data: numbers, strings, nulls, typed arrays and lists of actions. Nesting is
// bounded by what translation can build.

import type { OdpAction } from "../datapath/odp-action.ts";

export function sameActions(a: readonly OdpAction[], b: readonly OdpAction[]): boolean {
  return same(a, b);
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return false;
  }
  if (isList(a) || isList(b)) {
    return isList(a) && isList(b) && a.length === b.length && sameList(a, b);
  }
  return sameMembers(a, b);
}

function sameMembers(a: object, b: object): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) {
    return false;
  }
  for (const name of names) {
    if (!Object.hasOwn(b, name) || !same(Reflect.get(a, name), Reflect.get(b, name))) {
      return false;
    }
  }
  return true;
}

function isList(x: object): x is ArrayLike<unknown> {
  return Array.isArray(x) || ArrayBuffer.isView(x);
}

function sameList(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  for (let i = 0; i < a.length; i++) {
    if (!same(a[i], b[i])) {
      return false;
    }
  }
  return true;
}
