// Subtable: the rules of one mask, in a hash table over the masked words.
//
// Storage. Rules with the same values share a row: `heads[row]` is the first of a list in falling
// priority, `values[row * n ...]` the n masked words. `slots` is an open-addressing table of row + 1
// (0 is free) with linear probing; removal shifts clusters back.
//
// Stages. The words of the mask are cut into up to four ranges at the stage boundaries of the key.
// For each range but the last that has mask bits, `stageSets` counts the hashes of the values up to
// the end of that range: a packet whose hash is not there cannot match, and has been looked at only
// so far. The hash runs on from stage to stage. (ovs: lib/classifier.c find_match_wc.)
//
// Order. Rules are also linked in the order in which they came, which is the order of a dump.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import { K, STAGE_END } from "../flow/slots.ts";
import type { ClsRule } from "./classifier-rule.ts";
import { HashCounts } from "./hash-set.ts";
import { hashWord, multiplierOf } from "./mask-words.ts";
import { PrefixTrie } from "./trie.ts";

const FIRST_CAPACITY = 4;
/** Prefix fields of a classifier. (ovs: CLS_MAX_TRIES.) */
export const CLS_TRIES_MAX = 4;

/** The final mix of a sum of words: a signed number, which V8 keeps without allocating. */
export function hashFinish(sum: number): number {
  const h = Math.imul(sum ^ (sum >>> 15), 0x85ebca6b);
  return h ^ (h >>> 16);
}

/** Words of `program` per mask word. */
const STEP = 3;

export class Subtable<T> {
  readonly mask: MiniMask;
  readonly wordIds: Uint32Array;
  /** Masked words per row. */
  readonly n: number;
  /** The mask once more, as lookups read it: word index, bits and hash multiplier in turn. */
  private readonly program: Int32Array;
  /** Mask words up to the end of each stage that has an index, and at last all: `n`. */
  readonly stageEnds: Uint8Array;
  readonly stageSets: readonly HashCounts[];
  /** Prefix length of the mask in each prefix field, 0 where the field does not serve. */
  readonly triePlens = new Uint8Array(CLS_TRIES_MAX);
  /** The stage in which each prefix field is checked. */
  readonly trieStages = new Uint8Array(CLS_TRIES_MAX);
  /** Bit i is set if a prefix field is checked in stage i. */
  stagesWithTries = 0;
  /** Index among the mask words of the word with both L4 ports, or -1. */
  readonly portsIndex: number;
  /** Length of the shortest prefix that holds all mask bits of that word. */
  readonly portsLen: number;
  readonly portsTrie: PrefixTrie | null;
  readonly heads: (ClsRule<T> | null)[] = [];
  values: Int32Array;
  first: ClsRule<T> | null = null;
  maxPriority = -1;
  private last: ClsRule<T> | null = null;
  private slots = new Int32Array(2 * FIRST_CAPACITY);
  private rows = 0;
  private freeRows: number[] = [];
  /** Rules at each priority, and the distinct priorities in rising order. */
  private readonly priorityCounts = new Map<number, number>();
  private readonly priorities: number[] = [];

  /** `wordIds` are what the classifier's MaskWords calls the words of the mask. */
  constructor(mask: MiniMask, wordIds: Uint32Array) {
    this.mask = mask;
    this.wordIds = wordIds;
    this.n = mask.words.length;
    this.values = new Int32Array(FIRST_CAPACITY * this.n);
    this.program = new Int32Array(STEP * this.n);
    for (let i = 0; i < this.n; i++) {
      const [word, bits] = [mask.words[i] as number, mask.bits[i] as number];
      this.program.set([word, bits, multiplierOf(word, bits)], STEP * i);
    }
    this.stageEnds = cutIntoStages(mask);
    this.stageSets = Array.from({ length: this.stageEnds.length - 1 }, () => new HashCounts());
    this.portsIndex = mask.words.indexOf(K.tp_src.word);
    const ports = this.portsIndex < 0 ? 0 : (mask.bits[this.portsIndex] as number);
    this.portsLen = ports === 0 ? 0 : 32 - trailingZeros(ports);
    this.portsTrie = this.portsLen > 0 ? new PrefixTrie(32) : null;
  }

  get isEmpty(): boolean {
    return this.first === null;
  }

  /** Bytes of the index: everything but the rules themselves. */
  get bytes(): number {
    let bytes = this.values.byteLength + this.slots.byteLength + 8 * this.heads.length;
    for (const set of this.stageSets) {
      bytes += set.bytes;
    }
    return bytes + (this.portsTrie?.bytes ?? 0);
  }

  /** Hash of the masked words from..to of a key, running on from `basis`. */
  hashKey(key: FlowKey, basis: number, from: number, to: number): number {
    const { program } = this;
    let h = basis;
    for (let i = STEP * from; i < STEP * to; i += STEP) {
      const word = (key[program[i] as number] as number) & (program[i + 1] as number);
      h = (h + Math.imul(word ^ (word >>> 16), program[i + 2] as number)) | 0;
    }
    return h;
  }

  /** The same from the summands of the classifier's MaskWords. */
  hashShared(summands: Int32Array, basis: number, from: number, to: number): number {
    const { wordIds } = this;
    let h = basis;
    for (let i = from; i < to; i++) {
      h = (h + (summands[wordIds[i] as number] as number)) | 0;
    }
    return h;
  }

  /** The row that a key falls into, or -1; `hash` is the finished hash of all its masked words. */
  findRow(key: FlowKey, hash: number): number {
    const { slots, values, program, n } = this;
    const mask = slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = (slots[at] as number) - 1;
      if (row < 0) {
        return -1;
      }
      const base = row * n;
      let i = 0;
      let p = 0;
      while (
        i < n &&
        ((key[program[p] as number] as number) & (program[p + 1] as number)) === values[base + i]
      ) {
        i++;
        p += STEP;
      }
      if (i === n) {
        return row;
      }
    }
  }

  /** The row that has exactly these values, or -1. */
  findValues(wanted: Uint32Array): number {
    const { slots, values, n } = this;
    const mask = slots.length - 1;
    for (let at = hashFinish(this.hashValues(wanted, n)) & mask; ; at = (at + 1) & mask) {
      const row = (slots[at] as number) - 1;
      if (row < 0) {
        return -1;
      }
      let i = 0;
      while (i < n && values[row * n + i] === ((wanted[i] as number) | 0)) {
        i++;
      }
      if (i === n) {
        return row;
      }
    }
  }

  /** Makes a row for a rule with new values. */
  insertRow(rule: ClsRule<T>): void {
    const { values } = rule.match;
    const row = this.freeRows.pop() ?? this.rows++;
    if ((row + 1) * this.n > this.values.length) {
      const grown = new Int32Array(Math.max(1, this.values.length) * 2);
      grown.set(this.values);
      this.values = grown;
    }
    this.values.set(values, row * this.n);
    this.heads[row] = rule;
    rule.row = row;
    if (2 * (this.rows + 1) > this.slots.length) {
      this.rehash();
    } else {
      this.link(row, hashFinish(this.hashValues(values, this.n)));
    }
    this.eachStageHash(values, (set, hash) => set.add(hash));
    this.portsTrie?.insert(values, this.portsIndex, this.portsLen);
  }

  /** Removes a row whose last rule goes. */
  removeRow(rule: ClsRule<T>): void {
    const { values } = rule.match;
    this.unlink(rule.row, hashFinish(this.hashValues(values, this.n)));
    this.heads[rule.row] = null;
    this.freeRows.push(rule.row);
    this.eachStageHash(values, (set, hash) => set.remove(hash));
    this.portsTrie?.remove(values, this.portsIndex, this.portsLen);
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

  private hashValues(values: Uint32Array, to: number): number {
    let h = 0;
    for (let i = 0; i < to; i++) {
      h = (h + hashWord(values[i] as number, this.program[STEP * i + 2] as number)) | 0;
    }
    return h;
  }

  private eachStageHash(values: Uint32Array, act: (set: HashCounts, hash: number) => void): void {
    for (const [stage, set] of this.stageSets.entries()) {
      act(set, hashFinish(this.hashValues(values, this.stageEnds[stage] as number)));
    }
  }

  private link(row: number, hash: number): void {
    const mask = this.slots.length - 1;
    let at = hash & mask;
    while (this.slots[at] !== 0) {
      at = (at + 1) & mask;
    }
    this.slots[at] = row + 1;
  }

  private unlink(row: number, hash: number): void {
    const { slots } = this;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== row + 1) {
      hole = (hole + 1) & mask;
    }
    let at = (hole + 1) & mask;
    while (slots[at] !== 0) {
      const home = this.rowHash((slots[at] as number) - 1) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = slots[at] as number;
        hole = at;
      }
      at = (at + 1) & mask;
    }
    slots[hole] = 0;
  }

  private rowHash(row: number): number {
    let h = 0;
    for (let i = 0; i < this.n; i++) {
      h =
        (h +
          hashWord(this.values[row * this.n + i] as number, this.program[STEP * i + 2] as number)) |
        0;
    }
    return hashFinish(h);
  }

  private rehash(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    for (let row = 0; row < this.rows; row++) {
      if (this.heads[row] != null) {
        this.link(row, this.rowHash(row));
      }
    }
  }
}

/**
 * Ends of the stages that have mask bits, as counts of mask words. The last one is the final lookup
 * and always ends at all words. A mask without bits has the one stage [0].
 */
function cutIntoStages(mask: MiniMask): Uint8Array {
  const ends: number[] = [];
  let i = 0;
  for (const stageEnd of STAGE_END) {
    const start = i;
    while (i < mask.words.length && (mask.words[i] as number) < stageEnd) {
      i++;
    }
    if (i > start) {
      ends.push(i);
    }
  }
  return Uint8Array.from(ends.length === 0 ? [0] : ends);
}

function trailingZeros(v: number): number {
  return 31 - Math.clz32(v & -v);
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
