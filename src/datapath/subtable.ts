// Subtable: the rules of one mask, as changes see them. What lookups read of a subtable lies in the
// flat arrays of subtable-index.ts, at the record `at`.
//
// Rules are linked in the order in which they came, which is the order of a dump. Priorities are
// counted, since the highest decides when the subtable is visited.

import type { MiniMask } from "../flow/minimatch.ts";
import type { ClsRule } from "./classifier-rule.ts";

export class Subtable<T> {
  readonly mask: MiniMask;
  /** Its stages in the tree of stages. */
  readonly path: readonly number[];
  /** Where its record begins. */
  readonly at: number;
  first: ClsRule<T> | null = null;
  maxPriority = -1;
  /** How many sums the rows have in the first stage, if it is not the last, and all these xored. */
  firstSums = 0;
  firstSumsXor = 0;
  private last: ClsRule<T> | null = null;
  /** Rules at each priority, and the distinct priorities in rising order. */
  private readonly priorityCounts = new Map<number, number>();
  private readonly priorities: number[] = [];

  constructor(mask: MiniMask, path: readonly number[], at: number) {
    this.mask = mask;
    this.path = path;
    this.at = at;
  }

  get isEmpty(): boolean {
    return this.first === null;
  }

  /** The one sum that all rows have in a first stage that is not the last, if it is one. */
  get onlyFirstSum(): number | null {
    return this.firstSums === 1 ? this.firstSumsXor : null;
  }

  appendInOrder(rule: ClsRule<T>): void {
    rule.prevInOrder = this.last;
    if (this.last === null) {
      this.first = rule;
    } else {
      this.last.nextInOrder = rule;
    }
    this.last = rule;
  }

  removeFromOrder(rule: ClsRule<T>): void {
    const { prevInOrder: prev, nextInOrder: next } = rule;
    if (prev === null) {
      this.first = next;
    } else {
      prev.nextInOrder = next;
    }
    if (next === null) {
      this.last = prev;
    } else {
      next.prevInOrder = prev;
    }
    rule.prevInOrder = null;
    rule.nextInOrder = null;
  }

  /** Puts `rule` where `old` stands. */
  replaceInOrder(old: ClsRule<T>, rule: ClsRule<T>): void {
    rule.prevInOrder = old.prevInOrder;
    rule.nextInOrder = old.nextInOrder;
    if (old.prevInOrder === null) {
      this.first = rule;
    } else {
      old.prevInOrder.nextInOrder = rule;
    }
    if (old.nextInOrder === null) {
      this.last = rule;
    } else {
      old.nextInOrder.prevInOrder = rule;
    }
    old.prevInOrder = null;
    old.nextInOrder = null;
  }

  countPriority(priority: number): void {
    const count = this.priorityCounts.get(priority) ?? 0;
    this.priorityCounts.set(priority, count + 1);
    if (count === 0) {
      this.priorities.splice(lowerBound(this.priorities, priority), 0, priority);
    }
  }

  uncountPriority(priority: number): void {
    const count = this.priorityCounts.get(priority) ?? 0;
    if (count > 1) {
      this.priorityCounts.set(priority, count - 1);
      return;
    }
    this.priorityCounts.delete(priority);
    this.priorities.splice(lowerBound(this.priorities, priority), 1);
  }

  /** The highest priority of a rule here, or -1. */
  highestPriority(): number {
    return this.priorities.at(-1) ?? -1;
  }
}

function lowerBound(sorted: readonly number[], value: number): number {
  let lo = 0;
  let hi = sorted.length;
  while (lo < hi) {
    const mid = (lo + hi) >>> 1;
    if ((sorted[mid] as number) < value) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}
