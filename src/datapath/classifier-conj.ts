// SoftMatches: the clauses of conjunctive matches that a lookup came across, and what they amount to.
//
// A clause alone is no match. The clauses of the highest priority are put together first: as soon as
// one conjunction id has all its clauses, the packet is looked up again with that `conj_id`, and what
// that finds is the answer. If it finds nothing, or no conjunction is complete, each clause gives way
// to the rule of the same match with the next lower priority, which may be a clause again or a plain
// rule. (ovs-fields(7) "conj_id"; ovs: lib/classifier.c classifier_lookup__.)

import { type FlowKey, set } from "../flow/flow-key.ts";
import { K } from "../flow/slots.ts";
import { type ClsConjunction, type ClsRule, isVisible, type Version } from "./classifier-rule.ts";

export class SoftMatches<T> {
  private readonly rules: (ClsRule<T> | null)[] = [];
  private count = 0;
  private best = -1;
  // Conjunctions seen at the priority under trial: id, and a bit for each clause present or absent
  // from the conjunction, so that a complete one has all 64 bits set.
  private ids: number[] = [];
  private low: number[] = [];
  private high: number[] = [];
  private idCount = 0;

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** The highest priority of a clause, -1 if there is none. */
  get priority(): number {
    return this.best;
  }

  push(rule: ClsRule<T>): void {
    this.rules[this.count++] = rule;
    this.best = Math.max(this.best, rule.priority);
  }

  clear(): void {
    this.rules.fill(null, 0, this.count);
    this.count = 0;
    this.best = -1;
  }

  /**
   * The rule for the packet, given the best plain rule and a search that ignores clauses. Empties
   * the collection.
   */
  resolve(
    version: Version,
    hardRule: ClsRule<T> | null,
    key: FlowKey,
    search: () => ClsRule<T> | null,
  ): ClsRule<T> | null {
    let hard = hardRule;
    for (;;) {
      this.dropUpTo(hard === null ? -1 : hard.priority);
      if (this.count === 0) {
        this.clear();
        return hard;
      }
      const clauses = this.countBest();
      const found = this.tryBest(clauses, key, search);
      if (found !== null) {
        this.clear();
        return found;
      }
      hard = this.giveWay(version, hard);
    }
  }

  /** Drops clauses that a plain rule of this priority beats. */
  private dropUpTo(priority: number): void {
    for (let i = 0; i < this.count; ) {
      const rule = this.rules[i] ?? null;
      if (rule === null || rule.priority <= priority) {
        this.rules[i] = this.rules[--this.count] ?? null;
        this.rules[this.count] = null;
      } else {
        i++;
      }
    }
  }

  /** Finds the highest priority and counts its clauses. */
  private countBest(): number {
    this.best = -1;
    let clauses = 0;
    for (let i = 0; i < this.count; i++) {
      const { priority } = this.rules[i] as ClsRule<T>;
      if (priority > this.best) {
        this.best = priority;
        clauses = 1;
      } else if (priority === this.best) {
        clauses++;
      }
    }
    return clauses;
  }

  private tryBest(
    clauses: number,
    key: FlowKey,
    search: () => ClsRule<T> | null,
  ): ClsRule<T> | null {
    this.idCount = 0;
    for (let i = 0; i < this.count; i++) {
      const rule = this.rules[i] as ClsRule<T>;
      const id =
        rule.priority === this.best && rule.conjs !== null
          ? this.complete(rule.conjs, clauses)
          : -1;
      if (id >= 0) {
        const saved = key[K.conj_id.word] as number;
        set(key, K.conj_id, id);
        const found = search();
        key[K.conj_id.word] = saved;
        if (found !== null) {
          return found;
        }
      }
    }
    return null;
  }

  /** Marks a rule's clauses as present; the id of the first conjunction that they complete, or -1. */
  private complete(conjs: readonly ClsConjunction[], clauses: number): number {
    for (const c of conjs) {
      if (c.nClauses > clauses) {
        continue;
      }
      const at = this.indexOf(c);
      if (c.clause < 32) {
        this.low[at] = (this.low[at] as number) | (1 << c.clause);
      } else {
        this.high[at] = (this.high[at] as number) | (1 << (c.clause - 32));
      }
      if (this.low[at] === -1 && this.high[at] === -1) {
        return c.id;
      }
    }
    return -1;
  }

  private indexOf(c: ClsConjunction): number {
    for (let i = 0; i < this.idCount; i++) {
      if (this.ids[i] === c.id) {
        return i;
      }
    }
    const at = this.idCount++;
    // Clauses beyond the number of this conjunction count as present. (A conjunction of 64 clauses
    // shifts by 64 & 63 = 0 in Open vSwitch, which makes it complete at once.)
    const shift = c.nClauses & 63;
    this.ids[at] = c.id;
    this.low[at] = shift >= 32 ? 0 : -1 << shift;
    this.high[at] = shift > 32 ? -1 << (shift - 32) : -1;
    return at;
  }

  /** Replaces each clause of the highest priority by the next lower rule of the same match. */
  private giveWay(version: Version, hardRule: ClsRule<T> | null): ClsRule<T> | null {
    let hard = hardRule;
    const best = this.best;
    for (let i = 0; i < this.count; i++) {
      const rule = this.rules[i] ?? null;
      if (rule === null || rule.priority !== best) {
        continue;
      }
      let lower = rule.lower;
      while (lower !== null && !isVisible(lower, version)) {
        lower = lower.lower;
      }
      if (lower !== null && lower.conjs === null) {
        if (hard === null || lower.priority > hard.priority) {
          hard = lower;
        }
        lower = null;
      }
      this.rules[i] = lower;
    }
    return hard;
  }
}
