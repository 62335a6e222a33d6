// SubtableGuide: leads a lookup past the subtables that cannot match, without touching them.
//
// A table with many masks (access lists, firewalls) has hundreds of subtables, and a lookup that asks
// each of them spends its time on cache misses. What decides nearly all of them fits into a few flat
// arrays in visiting order:
//
// - Without un-wildcarding: for each prefix field (the classifier's, and both L4 ports) and each
//   prefix length, a bit vector of the subtables whose mask has that length. A lookup asks the field's
//   trie which lengths can match, joins their vectors (and that of length 0, "the field does not
//   matter"), and intersects the fields. Only subtables that are left are looked into.
// - With un-wildcarding, every subtable passed over leaves its bits in the mask, as Open vSwitch's
//   would. So subtables are still taken one by one, but the first stage (when it has one value, as
//   "IPv4" usually is) and the trie checks are answered from the arrays.
//
// The guide is rebuilt when subtables come, go or change order, but only after STALE_LOOKUPS lookups,
// so that alternating changes and lookups do not rebuild each time; until then it steps aside. With
// fewer than GUIDE_SUBTABLES_MIN subtables it is not worth having.
//
// Laws: a guided lookup equals an unguided one, and leaves the same mask.

import type { FlowKey } from "../flow/flow-key.ts";
import { K } from "../flow/slots.ts";
import { hashWord, multiplierOf } from "./mask-words.ts";
import type { PriorityVector } from "./priority-vector.ts";
import { CLS_TRIES_MAX, hashFinish, type Subtable } from "./subtable.ts";
import { PrefixTrie } from "./trie.ts";

/** Below this number of subtables the plain walk is as fast. */
export const GUIDE_SUBTABLES_MIN = 32;
/** Lookups after a change before the guide is built again. */
export const STALE_LOOKUPS = 16;

/** How a subtable's first steps can be answered from the arrays. */
export const START = {
  /** They cannot: look into the subtable. */
  unknown: 0,
  /** The tries are checked at once. */
  tries: 1,
  /** One stage with one value comes first, then the tries. */
  stageThenTries: 2,
} as const;

/** A first stage that several subtables have in common: mask words and bits. */
export interface StageMask {
  readonly words: readonly number[];
  readonly bits: readonly number[];
}

const TP_SRC_BITS = 16;

/** The L4 ports as prefix fields: bits 31..16 and 15..0 of one word of the key. */
const PORT_FIELDS = [
  { shift: 0, mask: 0xffff0000 },
  { shift: 16, mask: 0x0000ffff },
] as const;

export class SubtableGuide<T> {
  /** The generation of the order that the arrays describe; -1 for none. */
  private generation = -1;
  /** The generation that lookups last saw, and how many saw it. */
  private seen = -1;
  /** Visiting order. */
  priorities = new Int32Array(0);
  starts = new Uint8Array(0);
  /** Prefix length of each subtable in prefix field t at [t][i]. */
  triePlens: Uint8Array[] = [];
  /** For START.stageThenTries: which of `stageMasks`, and the one hash that passes. */
  stageIds = new Uint8Array(0);
  stageHashes = new Int32Array(0);
  stageMasks: StageMask[] = [];
  private lookups = 0;
  private vectorWords = 0;
  // lengths[d] are the prefix lengths that occur in dimension d, vectors[d] the subtables of each.
  private lengths: number[][] = [];
  private vectors: Int32Array[][] = [];
  private readonly portTries = PORT_FIELDS.map(() => new PrefixTrie(TP_SRC_BITS));
  private readonly value = new Uint32Array(1);
  private readonly lens = new Uint32Array(1);
  // The vectors that take part in the present lookup, flat: those of dimension d end at chosenEnds[d].
  private readonly chosen: Int32Array[] = [];
  private readonly chosenEnds = new Uint16Array(CLS_TRIES_MAX + PORT_FIELDS.length);
  private dimensions = 0;

  get bytes(): number {
    let bytes = this.priorities.byteLength * 3;
    for (const byLength of this.vectors) {
      for (const vector of byLength) {
        bytes += vector.byteLength;
      }
    }
    return this.portTries.reduce((sum, t) => sum + t.bytes, bytes);
  }

  /** Says that the arrays are out of date for a reason that the order does not show. */
  invalidate(): void {
    this.generation = -1;
    this.seen = -1;
  }

  /** Follows a row that comes or goes, while the guide is in use. */
  rowChanged(subtable: Subtable<T>, values: Uint32Array, added: boolean): void {
    if (this.generation >= 0) {
      this.changePorts(subtable, values, 0, added);
    }
  }

  /** Counts a lookup; true if the guide serves it, building it when it is time. */
  use(order: PriorityVector<Subtable<T>>, tries: number): boolean {
    if (order.generation === this.generation) {
      return true;
    }
    this.generation = -1;
    if (order.generation !== this.seen) {
      this.seen = order.generation;
      this.lookups = 0;
    }
    if (order.length < GUIDE_SUBTABLES_MIN || ++this.lookups <= STALE_LOOKUPS) {
      return false;
    }
    this.build(order, tries);
    this.generation = order.generation;
    return true;
  }

  /**
   * Prepares `candidates` for a packet. `trieLens` says, four words a prefix field, which prefix
   * lengths can match (bit n - 1 from the top for length n).
   */
  choose(key: FlowKey, trieLens: Uint32Array): void {
    const tries = this.triePlens.length;
    let end = 0;
    for (let d = 0; d < this.dimensions; d++) {
      const lengths = this.lengths[d] as number[];
      const vectors = this.vectors[d] as Int32Array[];
      let lensAt = d * 4;
      let lens = trieLens;
      if (d >= tries) {
        const { shift } = PORT_FIELDS[d - tries] as { shift: number };
        this.value[0] = (key[K.tp_src.word] as number) << shift;
        this.lens[0] = 0;
        (this.portTries[d - tries] as PrefixTrie).lookup(this.value, 0, this.lens, 0);
        lens = this.lens;
        lensAt = 0;
      }
      for (let i = 0; i < lengths.length; i++) {
        const bit = (lengths[i] as number) - 1;
        if (
          bit < 0 ||
          ((lens[lensAt + (bit >>> 5)] as number) & (0x80000000 >>> (bit & 31))) !== 0
        ) {
          this.chosen[end++] = vectors[i] as Int32Array;
        }
      }
      this.chosenEnds[d] = end;
    }
  }

  get candidateWords(): number {
    return this.vectorWords;
  }

  /** Subtables 32 * w ... 32 * w + 31 that can match, the first in the most significant bit. */
  candidates(w: number): number {
    let all = -1;
    let at = 0;
    for (let d = 0; d < this.dimensions; d++) {
      const end = this.chosenEnds[d] as number;
      let any = 0;
      while (at < end) {
        any |= (this.chosen[at++] as Int32Array)[w] as number;
      }
      all &= any;
    }
    return all;
  }

  private build(order: PriorityVector<Subtable<T>>, tries: number): void {
    const count = order.length;
    this.priorities = new Int32Array(count);
    this.starts = new Uint8Array(count);
    this.stageIds = new Uint8Array(count);
    this.stageHashes = new Int32Array(count);
    this.stageMasks = [];
    this.triePlens = Array.from({ length: tries }, () => new Uint8Array(count));
    this.dimensions = tries + PORT_FIELDS.length;
    this.vectorWords = (count + 31) >>> 5;
    this.lengths = Array.from({ length: this.dimensions }, () => []);
    this.vectors = Array.from({ length: this.dimensions }, () => []);
    for (const [p] of PORT_FIELDS.entries()) {
      this.portTries[p] = new PrefixTrie(TP_SRC_BITS);
    }
    for (const [i, subtable] of order.elements.entries()) {
      this.priorities[i] = order.priorityAt(i);
      for (let t = 0; t < tries; t++) {
        const plen = subtable.triePlens[t] as number;
        (this.triePlens[t] as Uint8Array)[i] = plen;
        this.mark(t, plen, i);
      }
      for (const [p] of PORT_FIELDS.entries()) {
        this.mark(tries + p, portPrefix(subtable, p), i);
      }
      this.describeStart(subtable, i, tries);
      for (let row = 0; row < subtable.heads.length; row++) {
        if (subtable.heads[row] !== null) {
          this.changePorts(subtable, subtable.values, row * subtable.n, true);
        }
      }
    }
  }

  private mark(dimension: number, plen: number, i: number): void {
    const lengths = this.lengths[dimension] as number[];
    const vectors = this.vectors[dimension] as Int32Array[];
    let at = lengths.indexOf(plen);
    if (at < 0) {
      at = lengths.push(plen) - 1;
      vectors.push(new Int32Array(this.vectorWords));
    }
    const vector = vectors[at] as Int32Array;
    vector[i >>> 5] = (vector[i >>> 5] as number) | (0x80000000 >>> (i & 31));
  }

  private changePorts(
    subtable: Subtable<T>,
    values: Uint32Array | Int32Array,
    at: number,
    added: boolean,
  ): void {
    for (const [p, { shift }] of PORT_FIELDS.entries()) {
      const plen = portPrefix(subtable, p);
      if (plen > 0) {
        this.value[0] = (values[at + subtable.portsIndex] as number) << shift;
        const trie = this.portTries[p] as PrefixTrie;
        if (added) {
          trie.insert(this.value, 0, plen);
        } else {
          trie.remove(this.value, 0, plen);
        }
      }
    }
  }

  private describeStart(subtable: Subtable<T>, i: number, tries: number): void {
    let stage = -1;
    for (let t = 0; t < tries; t++) {
      if ((subtable.triePlens[t] as number) > 0) {
        const s = subtable.trieStages[t] as number;
        stage = stage === -1 || stage === s ? s : -2;
      }
    }
    if (stage === 0) {
      this.starts[i] = START.tries;
    }
    const first = subtable.stageSets[0];
    const only = first?.only() ?? null;
    if (stage !== 1 || only === null) {
      return;
    }
    const end = subtable.stageEnds[0] as number;
    const words = [...subtable.mask.words.subarray(0, end)];
    const bits = [...subtable.mask.bits.subarray(0, end)];
    let id = this.stageMasks.findIndex(
      (m) => String(m.words) === String(words) && String(m.bits) === String(bits),
    );
    if (id < 0) {
      if (this.stageMasks.length > 255) {
        return;
      }
      id = this.stageMasks.push({ words, bits }) - 1;
    }
    this.starts[i] = START.stageThenTries;
    this.stageIds[i] = id;
    this.stageHashes[i] = only;
  }
}

/** Length of the prefix that a subtable's mask has on L4 port `p`; 0 if it is none. */
function portPrefix<T>(subtable: Subtable<T>, p: number): number {
  if (subtable.portsIndex < 0) {
    return 0;
  }
  const { shift, mask } = PORT_FIELDS[p] as { shift: number; mask: number };
  const bits = ((subtable.mask.bits[subtable.portsIndex] as number) & mask) << shift;
  const ones = Math.clz32(~bits);
  return bits === (ones === 0 ? 0 : -1 << (32 - ones)) ? ones : 0;
}

/** Hash of a packet under a common first stage, as the subtables' own. */
export function stageHash(m: StageMask, key: FlowKey): number {
  let h = 0;
  for (let i = 0; i < m.words.length; i++) {
    const [word, bits] = [m.words[i] as number, m.bits[i] as number];
    h = (h + hashWord((key[word] as number) & bits, multiplierOf(word, bits))) | 0;
  }
  return hashFinish(h);
}
