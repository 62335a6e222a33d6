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
  type ClsRule,
  isEventuallyInvisible,
  isVisible,
  VERSION_NOT_REMOVED,
  type Version,
} from "./classifier-rule.ts";
import { PriorityVector } from "./priority-vector.ts";
import { CLS_TRIES_MAX, hashAdd, hashFinish, Subtable } from "./subtable.ts";
import { PrefixTrie } from "./trie.ts";

export { CLS_TRIES_MAX } from "./subtable.ts";

/** A field that a classifier keeps a trie for. */
export interface PrefixField {
  readonly name: string;
  /** First word in the key. */
  readonly word: number;
  /** A multiple of 32, up to TRIE_BITS_MAX. */
  readonly bits: number;
  /** True if the field means something in this packet (an IPv4 address only in an IPv4 packet). */
  readonly prereqsOk: (key: FlowKey) => boolean;
}

interface FieldTrie {
  readonly field: PrefixField;
  readonly trie: PrefixTrie;
}

const PLEN_WORDS = 4;

export class Classifier<T> {
  private readonly subtables = new PriorityVector<Subtable<T>>();
  private readonly byMask = new Map<number, Subtable<T>[]>();
  private tries: readonly FieldTrie[] = [];
  private count = 0;
  private deferred = false;
  private readonly soft = new SoftMatches<T>();
  // What the tries said in the current lookup; filled when first asked for.
  private readonly trieDone = new Uint8Array(CLS_TRIES_MAX);
  private readonly trieMaskBits = new Uint8Array(CLS_TRIES_MAX);
  private readonly triePlens = new Uint32Array(CLS_TRIES_MAX * PLEN_WORDS);
  private readonly portLens = new Uint32Array(1);
  private readonly portWord = new Uint32Array(1);

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
    for (const { trie } of this.tries) {
      bytes += trie.bytes;
    }
    return bytes;
  }

  /** Names of the fields that have a trie. */
  get prefixFields(): readonly PrefixField[] {
    return this.tries.map((t) => t.field);
  }

  /** Sets the fields that get a trie, CLS_TRIES_MAX at most; further ones are ignored. */
  setPrefixFields(fields: readonly PrefixField[]): void {
    const distinct = fields.filter((f, i) => fields.findIndex((g) => g.name === f.name) === i);
    const old = this.tries;
    this.tries = distinct.slice(0, CLS_TRIES_MAX).map((field, i) => {
      const kept = old[i];
      return kept !== undefined && kept.field.name === field.name
        ? kept
        : { field, trie: new PrefixTrie(field.bits) };
    });
    for (const subtable of this.subtables.elements) {
      this.configureTries(subtable);
      for (const [i, { trie }] of this.tries.entries()) {
        const plen = subtable.triePlens[i] as number;
        if (trie !== old[i]?.trie && plen > 0) {
          for (const head of subtable.heads) {
            if (head !== null) {
              trie.insert(head.match.values, trieIndex(subtable, this.tries[i]), plen);
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
    rule.match = { mask: subtable.mask, values: rule.match.values };
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
      subtable.removeRow(rule);
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
    this.trieDone.fill(0);
    const hard = this.search(version, key, wc, this.soft);
    if (this.soft.isEmpty || (hard !== null && hard.priority >= this.soft.priority)) {
      this.soft.clear();
      return hard;
    }
    return this.soft.resolve(version, hard, key, () => {
      this.trieDone.fill(0);
      return this.search(version, key, wc, null);
    });
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

  /** One pass over the subtables; clauses go to `soft`, or are passed over without it. */
  private search(
    version: Version,
    key: FlowKey,
    wc: FlowKey | null,
    soft: SoftMatches<T> | null,
  ): ClsRule<T> | null {
    const order = this.subtables;
    const { elements } = order;
    let hard: ClsRule<T> | null = null;
    let hardPriority = -1;
    for (let i = 0; i < elements.length && order.priorityAt(i) > hardPriority; i++) {
      const subtable = elements[i] as Subtable<T>;
      const row = wc === null ? findRow(subtable, key) : this.findRowWc(subtable, key, wc, version);
      let rule = row < 0 ? null : (subtable.heads[row] ?? null);
      while (rule !== null && !isVisible(rule, version)) {
        rule = rule.lower;
      }
      if (rule === null || rule.priority <= hardPriority) {
        continue;
      }
      if (rule.conjs === null) {
        hard = rule;
        hardPriority = rule.priority;
      } else if (soft !== null) {
        soft.push(rule);
      }
    }
    return hard;
  }

  /** Looks into one subtable, adding to `wc` what was looked at. */
  private findRowWc(subtable: Subtable<T>, key: FlowKey, wc: FlowKey, version: Version): number {
    const { stageEnds, stageSets } = subtable;
    const final = stageEnds.length - 1;
    let from = 0;
    let hash = 0;
    for (let stage = 0; stage < final; stage++) {
      if (this.triesExclude(subtable, stage, key, wc)) {
        foldMask(wc, subtable.mask, from);
        return -1;
      }
      const to = stageEnds[stage] as number;
      hash = subtable.hashKey(key, hash, from, to);
      from = to;
      if (!(stageSets[stage] as { has(h: number): boolean }).has(hashFinish(hash))) {
        foldMask(wc, subtable.mask, from);
        return -1;
      }
    }
    if (this.triesExclude(subtable, final, key, wc)) {
      foldMask(wc, subtable.mask, from);
      return -1;
    }
    hash = subtable.hashKey(key, hash, from, subtable.n);
    const row = subtable.findRow(key, hashFinish(hash));
    if (subtable.portsTrie !== null && (row < 0 || !anyVisible(subtable.heads[row], version))) {
      this.foldPorts(subtable, subtable.portsTrie, key, wc);
      foldMask(wc, subtable.mask, from);
      return -1;
    }
    foldMask(wc, subtable.mask, subtable.n);
    return row;
  }

  /** After a miss in the last stage: un-wildcards as many port bits as tell that nothing matches. */
  private foldPorts(subtable: Subtable<T>, trie: PrefixTrie, key: FlowKey, wc: FlowKey): void {
    const word = subtable.mask.words[subtable.portsIndex] as number;
    const bits = subtable.mask.bits[subtable.portsIndex] as number;
    this.portWord[0] = (key[word] as number) & bits;
    const known = trie.lookup(this.portWord, 0, this.portLens, 0);
    wc[word] = (wc[word] as number) | (bits & prefixMask(known));
  }

  /** True if a trie tells, at the price of `wc` bits that it sets, that no rule here matches. */
  private triesExclude(subtable: Subtable<T>, stage: number, key: FlowKey, wc: FlowKey): boolean {
    const { tries } = this;
    for (let t = 0; t < tries.length; t++) {
      const plen = subtable.triePlens[t] as number;
      if (plen === 0 || subtable.trieStages[t] !== stage) {
        continue;
      }
      const { field, trie } = tries[t] as FieldTrie;
      if (this.trieDone[t] === 0) {
        this.lookUpTrie(t, field, trie, key);
      }
      const bit = plen - 1;
      const lens = this.triePlens[t * PLEN_WORDS + (bit >>> 5)] as number;
      if ((lens & (0x80000000 >>> (bit & 31))) !== 0) {
        continue;
      }
      const known = this.trieMaskBits[t] as number;
      if (known <= plen) {
        setPrefix(wc, field.word, known);
        return true;
      }
      if (prefixIsSet(wc, field.word, known)) {
        return true;
      }
    }
    return false;
  }

  private lookUpTrie(t: number, field: PrefixField, trie: PrefixTrie, key: FlowKey): void {
    const at = t * PLEN_WORDS;
    this.trieDone[t] = 1;
    if (field.prereqsOk(key)) {
      this.triePlens.fill(0, at, at + PLEN_WORDS);
      this.trieMaskBits[t] = trie.lookup(key, field.word, this.triePlens, at);
    } else {
      // The field is not of this packet: nothing can be excluded by it.
      this.triePlens.fill(0xffffffff, at, at + PLEN_WORDS);
      this.trieMaskBits[t] = 0;
    }
  }

  private addRow(subtable: Subtable<T>, rule: ClsRule<T>): null {
    this.forTries(subtable, (trie, index, plen) => {
      trie.insert(rule.match.values, index, plen);
    });
    subtable.insertRow(rule);
    return null;
  }

  private forTries(
    subtable: Subtable<T>,
    act: (trie: PrefixTrie, index: number, plen: number) => void,
  ): void {
    for (const [i, t] of this.tries.entries()) {
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
    const subtable = new Subtable<T>(mask);
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
    for (const [i, t] of this.tries.entries()) {
      const plen = prefixLength(subtable.mask, t.field);
      subtable.triePlens[i] = plen;
      if (plen > 0) {
        const index = trieIndex(subtable, t);
        subtable.trieStages[i] = subtable.stageEnds.findIndex((end) => index < end);
      }
    }
  }

  private publishUnlessDeferred(): void {
    if (!this.deferred) {
      this.subtables.publish();
    }
  }
}

/** Without un-wildcarding, one hash over all masked words does. */
function findRow<T>(subtable: Subtable<T>, key: FlowKey): number {
  return subtable.findRow(key, hashFinish(subtable.hashKey(key, 0, 0, subtable.n)));
}

function anyVisible<T>(head: ClsRule<T> | null | undefined, version: Version): boolean {
  for (let rule = head ?? null; rule !== null; rule = rule.lower) {
    if (isVisible(rule, version)) {
      return true;
    }
  }
  return false;
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
    h = hashAdd(hashAdd(h, mask.words[i] as number), mask.bits[i] as number);
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

/** The `n` (0 to 32) most significant bits. */
function prefixMask(n: number): number {
  return n === 0 ? 0 : -1 << (32 - n);
}

/** Adds the first `to` words of a mask to `wc`. */
function foldMask(wc: FlowKey, mask: MiniMask, to: number): void {
  for (let i = 0; i < to; i++) {
    const w = mask.words[i] as number;
    wc[w] = (wc[w] as number) | (mask.bits[i] as number);
  }
}

function setPrefix(wc: FlowKey, word: number, bits: number): void {
  let w = word;
  let left = bits;
  for (; left >= 32; left -= 32) {
    wc[w++] = 0xffffffff;
  }
  if (left > 0) {
    wc[w] = (wc[w] as number) | prefixMask(left);
  }
}

function prefixIsSet(wc: FlowKey, word: number, bits: number): boolean {
  let w = word;
  let left = bits;
  for (; left >= 32; left -= 32) {
    if (wc[w++] !== 0xffffffff) {
      return false;
    }
  }
  return left === 0 || (~(wc[w] as number) & prefixMask(left)) === 0;
}
