// NaiveClassifier: the classifier as one would explain it on a blackboard, for laws and for teaching.
//
// All rules stand in one list, highest priority first. A packet is held against each in turn. Clauses
// of conjunctions are collected per priority; when those of one id are complete, the packet is looked
// up again with that conj_id, clauses aside. Says nothing of un-wildcarding.

import { type FlowKey, set } from "../flow/flow-key.ts";
import { miniMatchCovers } from "../flow/minimatch.ts";
import { K } from "../flow/slots.ts";
import { type ClsRule, isVisible, type Version } from "./classifier-rule.ts";

export class NaiveClassifier<T> {
  private readonly list: ClsRule<T>[] = [];

  /** Inserts after all rules of the same or a higher priority. */
  insert(rule: ClsRule<T>): void {
    const at = this.list.findIndex((r) => r.priority < rule.priority);
    this.list.splice(at < 0 ? this.list.length : at, 0, rule);
  }

  remove(rule: ClsRule<T>): void {
    const at = this.list.indexOf(rule);
    if (at >= 0) {
      this.list.splice(at, 1);
    }
  }

  lookup(version: Version, key: FlowKey): ClsRule<T> | null {
    const matching = this.list.filter(
      (r) => isVisible(r, version) && miniMatchCovers(r.match, key),
    );
    const plain = matching.filter((r) => r.conjs === null);
    for (const priority of new Set(matching.map((r) => r.priority))) {
      const hard = plain.find((r) => r.priority === priority);
      if (hard !== undefined) {
        return hard;
      }
      const clauses = matching.filter((r) => r.priority === priority).flatMap((r) => r.conjs ?? []);
      for (const id of new Set(clauses.map((c) => c.id))) {
        const mine = clauses.filter((c) => c.id === id);
        const complete = new Set(mine.map((c) => c.clause)).size === mine[0]?.nClauses;
        const found = complete ? this.lookupConjunction(version, key, id) : undefined;
        if (found !== undefined) {
          return found;
        }
      }
    }
    return null;
  }

  private lookupConjunction(version: Version, key: FlowKey, id: number): ClsRule<T> | undefined {
    const withId = key.slice();
    set(withId, K.conj_id, id);
    return this.list.find(
      (r) => r.conjs === null && isVisible(r, version) && miniMatchCovers(r.match, withId),
    );
  }
}
