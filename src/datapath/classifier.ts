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
import {
  ClassifierLookup,
  type FieldTrie,
  type LookupParts,
  type PrefixField,
  prefixMask,
} from "./classifier-lookup.ts";
import {
  type ClsRule,
  isEventuallyInvisible,
  isVisible,
  VERSION_NOT_REMOVED,
  type Version,
} from "./classifier-rule.ts";
import { MaskWords, multiplierOf } from "./mask-words.ts";
import { PriorityVector } from "./priority-vector.ts";
import { CLS_TRIES_MAX, hashFinish, Subtable } from "./subtable.ts";
import { SubtableGuide } from "./subtable-guide.ts";
import { PrefixTrie } from "./trie.ts";

export type { PrefixField } from "./classifier-lookup.ts";
export { CLS_TRIES_MAX } from "./subtable.ts";

export class Classifier<T> {
  private readonly subtables = new PriorityVector<Subtable<T>>();
  private readonly byMask = new Map<number, Subtable<T>[]>();
  private count = 0;
  private deferred = false;
  private readonly soft = new SoftMatches<T>();
  private readonly walk = new ClassifierLookup<T>();
  private readonly parts: LookupParts<T> = {
    order: this.subtables,
    tries: [],
    guide: new SubtableGuide<T>(),
    words: new MaskWords(),
  };

  /** Number of rules, whatever their version. */
  get size(): number {
    return this.count;
  }

  get subtableCount(): number {
    return this.subtables.length;
  }

  /** Bytes of the index: hash tables and tries, without the rules themselves. */
  get bytes(): number {
    let bytes = 0;
    for (const subtable of this.subtables.elements) {
      bytes += subtable.bytes;
    }
    for (const { trie } of this.parts.tries) {
      bytes += trie.bytes;
    }
    return bytes + this.parts.guide.bytes;
  }

  /** Names of the fields that have a trie. */
  get prefixFields(): readonly PrefixField[] {
    return this.parts.tries.map((t) => t.field);
  }

  /** Sets the fields that get a trie, CLS_TRIES_MAX at most; further ones are ignored. */
  setPrefixFields(fields: readonly PrefixField[]): void {
    const distinct = fields.filter((f, i) => fields.findIndex((g) => g.name === f.name) === i);
    const old = this.parts.tries;
    this.parts.guide.invalidate();
    this.parts.tries = distinct.slice(0, CLS_TRIES_MAX).map((field, i) => {
      const kept = old[i];
      return kept !== undefined && kept.field.name === field.name
        ? kept
        : { field, trie: new PrefixTrie(field.bits) };
    });
    for (const subtable of this.subtables.elements) {
      this.configureTries(subtable);
      for (const [i, { trie }] of this.parts.tries.entries()) {
        const plen = subtable.triePlens[i] as number;
        if (trie !== old[i]?.trie && plen > 0) {
          for (const head of subtable.heads) {
            if (head !== null) {
              trie.insert(head.match.values, trieIndex(subtable, this.parts.tries[i]), plen);
            }
          }
        }
      }
    }
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
    const row = subtable.findValues(rule.match.values);
    const displaced = row < 0 ? this.addRow(subtable, rule) : addToRow(subtable, rule, row);
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
    const head = subtable.heads[rule.row] as ClsRule<T>;
    if (rule !== head) {
      let prev = head;
      while (prev.lower !== null && prev.lower !== rule) {
        prev = prev.lower;
      }
      prev.lower = rule.lower;
    } else if (rule.lower !== null) {
      subtable.heads[rule.row] = rule.lower;
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
    const { parts } = this;
    const hard = this.walk.search(parts, version, key, wc, this.soft);
    if (this.soft.isEmpty || (hard !== null && hard.priority >= this.soft.priority)) {
      this.soft.clear();
      return hard;
    }
    return this.soft.resolve(version, hard, key, () =>
      this.walk.search(parts, version, key, wc, null),
    );
  }

  /** The rule with exactly this match and priority that is visible in `version`, or null. */
  findExactly(match: MiniMatch, priority: number, version: Version): ClsRule<T> | null {
    const subtable = this.findSubtable(match.mask);
    const row = subtable === undefined ? -1 : subtable.findValues(match.values);
    let rule = row < 0 ? null : ((subtable as Subtable<T>).heads[row] ?? null);
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

  /** Adds or removes the row of a rule, and keeps the guide true. */
  private changeRow(subtable: Subtable<T>, rule: ClsRule<T>, added: boolean): void {
    const { guide } = this.parts;
    const first = subtable.stageSets[0];
    const before = first?.size ?? 0;
    if (added) {
      subtable.insertRow(rule);
    } else {
      subtable.removeRow(rule);
    }
    const after = first?.size ?? 0;
    if (before !== after && (before === 1 || after === 1)) {
      guide.invalidate(); // It knew the one value of the first stage, or could know it now.
    } else {
      guide.rowChanged(subtable, rule.match.values, added);
    }
  }

  private forTries(
    subtable: Subtable<T>,
    act: (trie: PrefixTrie, index: number, plen: number) => void,
  ): void {
    for (const [i, t] of this.parts.tries.entries()) {
      const plen = subtable.triePlens[i] as number;
      if (plen > 0) {
        act(t.trie, trieIndex(subtable, t), plen);
      }
    }
  }

  private findSubtable(mask: MiniMask): Subtable<T> | undefined {
    return this.byMask.get(maskHash(mask))?.find((s) => miniMaskEqual(s.mask, mask));
  }

  private addSubtable(mask: MiniMask): Subtable<T> {
    const subtable = new Subtable<T>(mask, this.parts.words.add(mask));
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
    this.parts.words.remove(subtable.mask, subtable.wordIds);
    const hash = maskHash(subtable.mask);
    const chain = (this.byMask.get(hash) ?? []).filter((s) => s !== subtable);
    if (chain.length === 0) {
      this.byMask.delete(hash);
    } else {
      this.byMask.set(hash, chain);
    }
  }

  private configureTries(subtable: Subtable<T>): void {
    subtable.triePlens.fill(0);
    subtable.stagesWithTries = 0;
    for (const [i, t] of this.parts.tries.entries()) {
      const plen = prefixLength(subtable.mask, t.field);
      subtable.triePlens[i] = plen;
      if (plen > 0) {
        const index = trieIndex(subtable, t);
        const stage = subtable.stageEnds.findIndex((end) => index < end);
        subtable.trieStages[i] = stage;
        subtable.stagesWithTries |= 1 << stage;
      }
    }
  }

  private publishUnlessDeferred(): void {
    if (!this.deferred) {
      this.subtables.publish();
    }
  }
}

/**
 * Adds a rule to a row that has rules of the same match. Returns the rule whose place it takes: the
 * one of the same priority, unless that is about to vanish.
 */
function addToRow<T>(subtable: Subtable<T>, rule: ClsRule<T>, row: number): ClsRule<T> | null {
  let prev: ClsRule<T> | null = null;
  let at = subtable.heads[row] ?? null;
  while (
    at !== null &&
    !(rule.priority > at.priority || (rule.priority === at.priority && !isEventuallyInvisible(at)))
  ) {
    prev = at;
    at = at.lower;
  }
  const displaced = at !== null && at.priority === rule.priority ? at : null;
  rule.row = row;
  rule.lower = displaced === null ? at : displaced.lower;
  if (prev === null) {
    subtable.heads[row] = rule;
  } else {
    prev.lower = rule;
  }
  if (displaced !== null) {
    subtable.replaceInOrder(displaced, rule);
    detach(displaced);
  }
  return displaced;
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
  return hashFinish(h);
}

/** Index of a prefix field's first word among the words of a mask. */
function trieIndex<T>(subtable: Subtable<T>, t: FieldTrie | undefined): number {
  return t === undefined ? -1 : subtable.mask.words.indexOf(t.field.word);
}

/** Length of the prefix that a mask has on a field; 0 if its bits form no prefix. */
function prefixLength(mask: MiniMask, field: PrefixField): number {
  let plen = 0;
  let ended = false;
  for (let w = 0; w < field.bits / 32; w++) {
    const index = mask.words.indexOf(field.word + w);
    const bits = index < 0 ? 0 : (mask.bits[index] as number);
    if (ended && bits !== 0) {
      return 0;
    }
    const ones = Math.clz32(~bits);
    if (bits !== prefixMask(ones) >>> 0) {
      return 0;
    }
    plen += ones;
    ended = ones < 32;
  }
  return plen;
}
