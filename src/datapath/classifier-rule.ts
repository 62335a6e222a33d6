// ClsRule: what a classifier keeps of a rule, and the view that lookups have of it.
//
// A rule is visible in the versions from `addVersion` up to, not including, `removeVersion`. A table
// is changed for all packets at once by preparing rules that become visible in the next version and
// then moving lookups to it. (ovs: lib/classifier.h, "Versioning".)

import type { MiniMatch } from "../flow/minimatch.ts";

/** A table's state at one point: a whole number that only grows. */
export type Version = number;
/** The version in which rules are first visible. */
export const VERSION_MIN: Version = 0;
/** `removeVersion` of a rule that nobody has removed. */
export const VERSION_NOT_REMOVED: Version = Number.MAX_SAFE_INTEGER;

/** A clause of a conjunctive match: `conjunction(id, (clause + 1)/nClauses)`. */
export interface ClsConjunction {
  readonly id: number;
  /** From 0. */
  readonly clause: number;
  /** 2 to 64. */
  readonly nClauses: number;
}

/** A rule as the classifier sees it; `data` is its owner's. Made by `newClsRule`. */
export interface ClsRule<T = unknown> {
  match: MiniMatch;
  readonly priority: number;
  readonly data: T;
  /** Null for a rule that is no part of a conjunction. */
  conjs: readonly ClsConjunction[] | null;
  addVersion: Version;
  removeVersion: Version;
  // Below here: the classifier's own links, null and -1 outside of one.
  /** The subtable that holds the rule. */
  subtable: object | null;
  /** Row of the subtable's table. */
  row: number;
  /** Next rule of the same match, of lower or equal priority. */
  lower: ClsRule<T> | null;
  prevInOrder: ClsRule<T> | null;
  nextInOrder: ClsRule<T> | null;
}

export function newClsRule<T>(match: MiniMatch, priority: number, data: T): ClsRule<T> {
  return {
    match,
    priority,
    data,
    conjs: null,
    addVersion: VERSION_MIN,
    removeVersion: VERSION_NOT_REMOVED,
    subtable: null,
    row: -1,
    lower: null,
    prevInOrder: null,
    nextInOrder: null,
  };
}

export function isVisible(rule: ClsRule, version: Version): boolean {
  return rule.addVersion <= version && version < rule.removeVersion;
}

/** True if the rule is to vanish in some version. */
export function isEventuallyInvisible(rule: ClsRule): boolean {
  return rule.removeVersion < VERSION_NOT_REMOVED;
}
