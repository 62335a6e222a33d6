// Classifier: the rules of one flow table, and the highest-priority one that matches a packet.
//
// What. A rule is a match (value and mask of any fields), a priority, and versions in which it is
// visible. Rules of the same mask form a subtable, a hash table over the masked words (tuple space
// search). A lookup visits the subtables from the highest priority down and stops when no later one
// can beat the match it has. `NaiveClassifier` is the same in the obvious way; a law compares them.
//
// Un-wildcarding. Given a `wc` mask, a lookup sets in it all bits that the answer depended on, the
// failed subtables included: every packet that agrees in those bits gets the same rule. A bit set
// without need only makes a megaflow narrower; a bit missing would be a wrong answer. Three devices
// keep the mask wide, and all three have to act exactly as in Open vSwitch, whose megaflow we print:
// - staged lookup: a subtable is left after the first stage in which no rule agrees (subtable.ts);
// - prefix tries: a subtable whose prefix length cannot match costs only the address bits that told
//   so, and none at all if they were looked at before (trie.ts);
// - port tries: a miss in the last stage costs a prefix of the L4 ports instead of all of them.
//
// Conjunctive matches. Rules with `conjs` are clauses. When the best clauses found beat the best
// plain rule, their conjunctions are tried: one that has all its clauses sets `conj_id` and looks up
// once more; otherwise the search falls back to lower priorities (classifier-conj.ts).
//
// Lookups allocate nothing. Reference: ovs-fields(7) "conj_id"; ovs: lib/classifier.{h,c}.

import type { FlowKey } from "../flow/flow-key.ts";
import {
  isLooseMatch,
  type MiniMask,
  type MiniMatch,
  miniMaskEqual,
  miniMaskHasExtra,
  miniMatchesOverlap,
} from "../flow/minimatch.ts";
import { SoftMatches } from "./classifier-conj.ts";
import { ClassifierLookup } from "./classifier-lookup.ts";
import {
  type ClsRule,
  isEventuallyInvisible,
  isVisible,
  VERSION_NOT_REMOVED,
  type Version,
} from "./classifier-rule.ts";
import { multiplierOf } from "./mask-words.ts";
import { PriorityVector } from "./priority-vector.ts";
import type { Subtable } from "./subtable.ts";
import {
  CLS_TRIES_MAX,
  PLENS,
  STAGES_WITH_TRIES,
  SubtableIndex,
  TRIE_STAGES,
} from "./subtable-index.ts";
import { PrefixTrie } from "./trie.ts";
import { type FieldTrie, type PrefixField, prefixLength } from "./trie-answers.ts";

export { CLS_TRIES_MAX } from "./subtable-index.ts";
export type { PrefixField } from "./trie-answers.ts";

export class Classifier<T> {
  private readonly subtables = new PriorityVector<Subtable<T>>();
  private readonly byMask = new Map<number, Subtable<T>[]>();
  private count = 0;
  private deferred = false;
  private readonly soft = new SoftMatches<T>();
  private readonly index = new SubtableIndex<T>();
  private readonly walk = new ClassifierLookup<T>(this.index);

  /** Number of rules, whatever their version. */
  get size(): number {
    return this.count;
  }

  get subtableCount(): number {
    return this.subtables.length;
  }

  /** Bytes of the index: hash tables and tries, without the rules themselves. */
  get bytes(): number {
    const tries = this.tries.reduce((sum, { trie }) => sum + trie.bytes, 0);
    return this.index.bytes + this.walk.guide.bytes + tries;
  }

  /** Names of the fields that have a trie. */
  get prefixFields(): readonly PrefixField[] {
    return this.tries.map((t) => t.field);
  }

  /** Sets the fields that get a trie, CLS_TRIES_MAX at most; further ones are ignored. */
  setPrefixFields(fields: readonly PrefixField[]): void {
    const distinct = fields.filter((f, i) => fields.findIndex((g) => g.name === f.name) === i);
    const old = this.tries;
    this.walk.guide.invalidate();
    this.walk.answers.tries = distinct.slice(0, CLS_TRIES_MAX).map((field, i) => {
      const kept = old[i];
      return kept !== undefined && kept.field.name === field.name
        ? kept
        : { field, trie: new PrefixTrie(field.bits) };
    });
    for (const subtable of this.subtables.elements) {
      this.configureTries(subtable);
      this.forTries(subtable, (trie, index, plen, i) => {
        for (let rule = subtable.first; trie !== old[i]?.trie && rule !== null; ) {
          if (this.index.heads[rule.row] === rule) {
            trie.insert(rule.match.values, index, plen);
          }
          rule = rule.nextInOrder;
        }
      });
    }
  }

  private get tries(): readonly FieldTrie[] {
    return this.walk.answers.tries;
  }

  /** Inserts a rule that has no equal in `version`. */
  insert(rule: ClsRule<T>, version: Version): void {
    this.replace(rule, version);
  }

  /**
   * Inserts a rule, visible from `version` on. An equal rule (match and priority) that is not about
   * to vanish is displaced and returned; it is no longer in the classifier.
   */
  replace(rule: ClsRule<T>, version: Version): ClsRule<T> | null {
    rule.addVersion = version;
    rule.removeVersion = VERSION_NOT_REMOVED;
    const subtable = this.findSubtable(rule.match.mask) ?? this.addSubtable(rule.match.mask);
    // Rules of a subtable share its mask.
    if (rule.match.mask !== subtable.mask) {
      rule.match = { mask: subtable.mask, values: rule.match.values };
    }
    rule.subtable = subtable;
    const row = this.index.rowOf(subtable, rule.match.values);
    const displaced = row < 0 ? this.addRow(subtable, rule) : this.addToRow(subtable, rule, row);
    if (displaced === null) {
      subtable.appendInOrder(rule);
      subtable.countPriority(rule.priority);
      this.count++;
      if (subtable.maxPriority < 0) {
        subtable.maxPriority = rule.priority;
        this.subtables.insert(subtable, rule.priority);
      } else if (rule.priority > subtable.maxPriority) {
        subtable.maxPriority = rule.priority;
        this.subtables.changePriority(subtable, rule.priority);
      }
      this.publishUnlessDeferred();
    }
    return displaced;
  }

  /** Removes a rule; false if it is in no classifier. */
  remove(rule: ClsRule<T>): boolean {
    if (rule.subtable === null) {
      return false;
    }
    const subtable = this.findSubtable(rule.match.mask);
    if (subtable === undefined || subtable !== rule.subtable) {
      return false;
    }
    subtable.removeFromOrder(rule);
    subtable.uncountPriority(rule.priority);
    const head = this.index.heads[rule.row] as ClsRule<T>;
    if (rule !== head) {
      let prev = head;
      while (prev.lower !== null && prev.lower !== rule) {
        prev = prev.lower;
      }
      prev.lower = rule.lower;
    } else if (rule.lower !== null) {
      this.index.heads[rule.row] = rule.lower;
    } else {
      this.forTries(subtable, (trie, index, plen) => {
        trie.remove(rule.match.values, index, plen);
      });
      this.changeRow(subtable, rule, false);
    }
    detach(rule);
    this.count--;
    if (subtable.isEmpty) {
      this.dropSubtable(subtable);
    } else {
      const highest = subtable.highestPriority();
      if (highest !== subtable.maxPriority) {
        subtable.maxPriority = highest;
        this.subtables.changePriority(subtable, highest);
      }
    }
    this.publishUnlessDeferred();
    return true;
  }

  /** Holds back changes in the order of subtables until `publish`, for many changes at once. */
  defer(): void {
    this.deferred = true;
  }

  publish(): void {
    this.deferred = false;
    this.subtables.publish();
  }

  /**
   * The highest-priority rule that is visible in `version` and matches, or null. Sets in `wc` (if
   * any) the bits of the key that the answer depends on. `key.conj_id` changes during the call.
   */
  lookup(version: Version, key: FlowKey, wc: FlowKey | null): ClsRule<T> | null {
    const { walk, subtables } = this;
    const hard = walk.search(subtables, version, key, wc, this.soft);
    if (this.soft.isEmpty || (hard !== null && hard.priority >= this.soft.priority)) {
      this.soft.clear();
      return hard;
    }
    return this.resolve(version, hard, key, wc);
  }

  /** Puts clauses together. (A function of its own: its closure would cost each lookup something.) */
  private resolve(
    version: Version,
    hard: ClsRule<T> | null,
    key: FlowKey,
    wc: FlowKey | null,
  ): ClsRule<T> | null {
    const search = () => this.walk.search(this.subtables, version, key, wc, null);
    return this.soft.resolve(version, hard, key, search);
  }

  /** The rule with exactly this match and priority that is visible in `version`, or null. */
  findExactly(match: MiniMatch, priority: number, version: Version): ClsRule<T> | null {
    const subtable = this.findSubtable(match.mask);
    const row = subtable === undefined ? -1 : this.index.rowOf(subtable, match.values);
    let rule = row < 0 ? null : (this.index.heads[row] ?? null);
    for (; rule !== null && rule.priority >= priority; rule = rule.lower) {
      if (rule.priority === priority && isVisible(rule, version)) {
        return rule;
      }
    }
    return null;
  }

  /** True if a rule of the same priority is visible in `version` and shares packets with `match`. */
  overlaps(match: MiniMatch, priority: number, version: Version): boolean {
    for (const subtable of this.subtables.elements) {
      if (subtable.maxPriority < priority) {
        break;
      }
      for (let rule = subtable.first; rule !== null; rule = rule.nextInOrder) {
        if (
          rule.priority === priority &&
          isVisible(rule, version) &&
          miniMatchesOverlap(match, rule.match)
        ) {
          return true;
        }
      }
    }
    return false;
  }

  /**
   * The rules that are visible in `version` and lie within `criteria` (all for null), in the order of
   * a dump. The classifier must not change meanwhile, save for the removal of the rule just given.
   */
  *rules(criteria: MiniMatch | null, version: Version): Generator<ClsRule<T>> {
    for (const subtable of this.subtables.elements) {
      if (criteria !== null && miniMaskHasExtra(subtable.mask, criteria.mask)) {
        continue;
      }
      let next: ClsRule<T> | null;
      for (let rule = subtable.first; rule !== null; rule = next) {
        next = rule.nextInOrder;
        if (isVisible(rule, version) && (criteria === null || isLooseMatch(rule.match, criteria))) {
          yield rule;
        }
      }
    }
  }

  private addRow(subtable: Subtable<T>, rule: ClsRule<T>): null {
    this.forTries(subtable, (trie, index, plen) => {
      trie.insert(rule.match.values, index, plen);
    });
    this.changeRow(subtable, rule, true);
    return null;
  }

  /**
   * Adds a rule to a row that has rules of the same match. Returns the rule whose place it takes:
   * the one of the same priority, unless that is about to vanish.
   */
  private addToRow(subtable: Subtable<T>, rule: ClsRule<T>, row: number): ClsRule<T> | null {
    const { heads } = this.index;
    let prev: ClsRule<T> | null = null;
    let at = heads[row] ?? null;
    while (
      at !== null &&
      !(
        rule.priority > at.priority ||
        (rule.priority === at.priority && !isEventuallyInvisible(at))
      )
    ) {
      prev = at;
      at = at.lower;
    }
    const displaced = at !== null && at.priority === rule.priority ? at : null;
    rule.row = row;
    rule.lower = displaced === null ? at : displaced.lower;
    if (prev === null) {
      heads[row] = rule;
    } else {
      prev.lower = rule;
    }
    if (displaced !== null) {
      subtable.replaceInOrder(displaced, rule);
      detach(displaced);
    }
    return displaced;
  }

  /** Adds or removes the row of a rule, and keeps the guide true. */
  private changeRow(subtable: Subtable<T>, rule: ClsRule<T>, added: boolean): void {
    const { guide } = this.walk;
    const before = subtable.onlyFirstSum;
    if (added) {
      this.index.insertRow(subtable, rule);
    } else {
      this.index.removeRow(subtable, rule);
    }
    if (before !== subtable.onlyFirstSum) {
      guide.invalidate(); // It knew the one value of the first stage, or could know it now.
    }
    guide.rowChanged(subtable, rule.match.values, added);
  }

  private forTries(
    subtable: Subtable<T>,
    act: (trie: PrefixTrie, index: number, plen: number, i: number) => void,
  ): void {
    for (const [i, t] of this.tries.entries()) {
      const plen = this.index.tree.cells[subtable.at + PLENS + i] as number;
      if (plen > 0) {
        act(t.trie, subtable.mask.words.indexOf(t.field.word), plen, i);
      }
    }
  }

  private findSubtable(mask: MiniMask): Subtable<T> | undefined {
    return this.byMask.get(maskHash(mask))?.find((s) => miniMaskEqual(s.mask, mask));
  }

  private addSubtable(mask: MiniMask): Subtable<T> {
    const subtable = this.index.add(mask);
    this.configureTries(subtable);
    const hash = maskHash(mask);
    const chain = this.byMask.get(hash);
    if (chain === undefined) {
      this.byMask.set(hash, [subtable]);
    } else {
      chain.push(subtable);
    }
    return subtable;
  }

  private dropSubtable(subtable: Subtable<T>): void {
    this.subtables.remove(subtable);
    this.index.drop(subtable);
    const hash = maskHash(subtable.mask);
    const chain = (this.byMask.get(hash) ?? []).filter((s) => s !== subtable);
    if (chain.length === 0) {
      this.byMask.delete(hash);
    } else {
      this.byMask.set(hash, chain);
    }
  }

  private configureTries({ at, mask, path }: Subtable<T>): void {
    const { tree } = this.index;
    const { cells } = tree;
    cells[at + STAGES_WITH_TRIES] = 0;
    for (let i = 0; i < CLS_TRIES_MAX; i++) {
      const field = this.tries[i]?.field;
      const plen = field === undefined ? 0 : prefixLength(mask, field);
      cells[at + PLENS + i] = plen;
      if (field !== undefined && plen > 0) {
        const stage = tree.stageOf(path, mask.words.indexOf(field.word));
        cells[at + TRIE_STAGES + i] = stage;
        cells[at + STAGES_WITH_TRIES] = (cells[at + STAGES_WITH_TRIES] as number) | (1 << stage);
      }
    }
  }

  private publishUnlessDeferred(): void {
    if (!this.deferred) {
      this.subtables.publish();
    }
  }
}

function detach(rule: ClsRule): void {
  rule.subtable = null;
  rule.row = -1;
  rule.lower = null;
}

function maskHash(mask: MiniMask): number {
  let h = 0;
  for (let i = 0; i < mask.words.length; i++) {
    h = (h + multiplierOf(mask.words[i] as number, mask.bits[i] as number)) | 0;
  }
  return h;
}
