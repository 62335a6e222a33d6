// SubtableGuide: leads a lookup past the subtables that cannot match, 32 of them at a time.
//
// A table with many masks (access lists, firewalls) has hundreds of subtables. Nearly all are ruled
// out by what they have in common with others, so the guide has sets of subtables as bit vectors over
// the visiting order:
// - for each prefix field (the classifier's, and both L4 ports) and each prefix length, those whose
//   mask has that length. The field's trie tells a lookup which lengths can match; the vectors of
//   these, and that of length 0 ("the field does not matter"), are joined: `matching`;
// - classes: those whose rows have one and the same value in the first stage ("IPv4"). One sum tells
//   a lookup whether all of a class can be left.
//
// With un-wildcarding, a subtable that is left leaves in `wc` what Open vSwitch's lookup would have
// looked at, so it is not enough that it cannot match: `excluded` are those of which also the price is
// known. Members of a class that fails cost their first stage. Tries may exclude those whose trie
// checks come at once or behind a first stage that made a class, if the trie is settled
// (trie-answers.ts); a trie before it that would exclude too, but is not settled, comes first.
//
// The guide is rebuilt when subtables come, go or change order, but only after STALE_LOOKUPS lookups,
// so that alternating changes and lookups do not rebuild each time; until then it steps aside. It does
// so too where it is not worth having: with fewer than GUIDE_SUBTABLES_MIN subtables, or where tries
// may exclude less than half of them, as most have a first stage that tells more (a register).
//
// Laws: a guided lookup equals an unguided one, and leaves the same mask.

import type { FlowKey } from "../flow/flow-key.ts";
import { K } from "../flow/slots.ts";
import type { PriorityVector } from "./priority-vector.ts";
import { fitting, sumAt } from "./stage-tree.ts";
import type { Subtable } from "./subtable.ts";
import { PLENS, portsIndex, STAGES_WITH_TRIES, type SubtableIndex } from "./subtable-index.ts";
import { PLEN_WORDS, type TrieAnswers } from "./trie-answers.ts";
import { PrefixTrie, TRIE_BITS_MAX } from "./trie.ts";

/** Below this number of subtables the plain walk is as fast. */
export const GUIDE_SUBTABLES_MIN = 32;
/** Lookups after a change before the guide is built again. */
export const STALE_LOOKUPS = 16;
/** Classes of subtables; those beyond are in none. */
export const GUIDE_CLASSES_MAX = 16;

const TP_BITS = 16;
/** The L4 ports as prefix fields: bits 31..16 and 15..0 of one word of the key. */
const PORT_FIELDS = [
  { shift: 0, mask: 0xffff0000 },
  { shift: 16, mask: 0x0000ffff },
] as const;
/** Prefix lengths, 0 included. */
const LENGTHS = TRIE_BITS_MAX + 1;
// What STAGES_WITH_TRIES is if all trie checks are in one stage.
const TRIES_IN_FIRST = 1;
const TRIES_IN_SECOND = 2;

/** Subtables of which all rows have the sum `sum` at node `node` of the tree of stages. */
interface StageClass {
  readonly node: number;
  readonly sum: number;
  /** Where its vector begins. */
  readonly at: number;
}

export class SubtableGuide<T> {
  /** Words of a vector. The first subtable of a word is its most significant bit. */
  vectorWords = 0;
  /** True once the ports are taken into account in the present lookup. */
  portsIn = false;
  private readonly index: SubtableIndex<T>;
  private readonly answers: TrieAnswers;
  /** The generation of the order that the vectors describe; -1 for none. */
  private generation = -1;
  /** The generation that lookups last saw, and how many saw it. */
  private seen = -1;
  private lookups = 0;
  /** All vectors, one after the other; the first are those that tries may exclude. */
  private vectors = new Int32Array(0);
  private vectorsEnd = 0;
  /** Where the vector of dimension d and length n begins, at [d * LENGTHS + n]; 0 if there is none. */
  private starts = new Int32Array(0);
  /** The lengths that occur in dimension d, in the form of a trie's answer. */
  private lengths = new Uint32Array(0);
  private classes: StageClass[] = [];
  /** How many subtables tries may exclude. */
  private excludable = 0;
  /** Bit c is set if class c has failed in the present lookup. */
  private failed = 0;
  // The vectors that take part in the present lookup: those of dimension d from d * LENGTHS on.
  private chosen = new Int32Array(0);
  private chosenEnds = new Int32Array(0);
  /** Prefixes that the rules have in the ports; followed from the first build on. */
  private portTries: PrefixTrie[] | null = null;
  private readonly port = new Uint32Array(1);
  private readonly portLens = new Uint32Array(PLEN_WORDS);

  constructor(index: SubtableIndex<T>, answers: TrieAnswers) {
    this.index = index;
    this.answers = answers;
  }

  get bytes(): number {
    const flat = this.vectors.byteLength + this.starts.byteLength + this.chosen.byteLength;
    return (this.portTries ?? []).reduce((sum, t) => sum + t.bytes, flat);
  }

  /** Says that the vectors are out of date for a reason that the order does not show. */
  invalidate(): void {
    this.generation = -1;
    this.seen = -1;
  }

  /** Follows a row that comes or goes. */
  rowChanged(subtable: Subtable<T>, values: Uint32Array, added: boolean): void {
    if (this.portTries === null) {
      return;
    }
    for (const [p, { shift }] of PORT_FIELDS.entries()) {
      const plen = portPrefix(subtable, p);
      if (plen > 0) {
        this.port[0] = (values[portsIndex(subtable)] as number) << shift;
        const trie = this.portTries[p] as PrefixTrie;
        if (added) {
          trie.insert(this.port, 0, plen);
        } else {
          trie.remove(this.port, 0, plen);
        }
      }
    }
  }

  /** Counts a lookup; true if the guide serves it, building it when it is time. */
  use(order: PriorityVector<Subtable<T>>): boolean {
    if (order.length < GUIDE_SUBTABLES_MIN) {
      return false;
    }
    if (order.generation === this.generation) {
      return 2 * this.excludable >= order.length;
    }
    this.generation = -1;
    if (order.generation !== this.seen) {
      this.seen = order.generation;
      this.lookups = 0;
    }
    if (++this.lookups <= STALE_LOOKUPS) {
      return false;
    }
    this.build(order.elements);
    this.generation = order.generation;
    return 2 * this.excludable >= order.length;
  }

  /** Begins a lookup whose tries have been asked. */
  begin(key: FlowKey): void {
    const { cells, stamp } = this.index.tree;
    for (let t = 0; t < this.answers.tries.length; t++) {
      this.choose(t, this.answers.plens, t * PLEN_WORDS);
    }
    this.portsIn = false;
    this.failed = 0;
    for (let c = 0; c < this.classes.length; c++) {
      const { node, sum } = this.classes[c] as StageClass;
      if (sumAt(cells, stamp, node, 0, key) !== sum) {
        this.failed |= 1 << c;
      }
    }
  }

  /** Takes the ports into account as well. */
  beginPorts(key: FlowKey): void {
    this.portsIn = true;
    const tries = this.answers.tries.length;
    const portTries = this.portTries ?? [];
    for (let p = 0; p < portTries.length; p++) {
      const port = (key[K.tp_src.word] as number) << (p * TP_BITS);
      this.portLens[0] = (portTries[p] as PrefixTrie).lookupWord(port);
      this.choose(tries + p, this.portLens, 0);
    }
  }

  /** Subtables 32 * w ... 32 * w + 31 that can match as far as the guide can tell. */
  candidates(w: number): number {
    const dimensions = this.answers.tries.length + (this.portsIn ? PORT_FIELDS.length : 0);
    let left = ~this.failing(w);
    for (let d = 0; d < dimensions && left !== 0; d++) {
      left &= this.matching(d, w);
    }
    return left;
  }

  /** Subtables that can be left for the price that `foldFirstStages` pays. */
  excluded(w: number, settled: number): number {
    const fails = this.failing(w);
    let out = fails;
    let rest = (this.vectors[w] as number) & ~fails;
    for (let t = 0; t < this.answers.tries.length && rest !== 0; t++) {
      const left = rest & this.matching(t, w);
      if (((settled >>> t) & 1) !== 0) {
        out |= rest & ~left;
      }
      rest = left;
    }
    return out;
  }

  /** Adds to `wc` the first stages of those subtables of a word that are in classes. */
  foldFirstStages(w: number, subtables: number, wc: FlowKey): void {
    for (let c = 0; c < this.classes.length; c++) {
      const { node, at } = this.classes[c] as StageClass;
      if (((this.vectors[at + w] as number) & subtables) !== 0) {
        this.index.tree.fold(node, wc);
      }
    }
  }

  private failing(w: number): number {
    let any = 0;
    for (let c = 0; this.failed >>> c !== 0; c++) {
      if (((this.failed >>> c) & 1) !== 0) {
        any |= this.vectors[(this.classes[c] as StageClass).at + w] as number;
      }
    }
    return any;
  }

  /** Subtables of a word that the packet's prefixes in a dimension leave. */
  private matching(d: number, w: number): number {
    const { chosen, vectors } = this;
    const end = this.chosenEnds[d] as number;
    let any = 0;
    for (let i = d * LENGTHS; i < end; i++) {
      any |= vectors[(chosen[i] as number) + w] as number;
    }
    return any;
  }

  /** Chooses the vectors of dimension d whose lengths are in the answer at lens[at...]. */
  private choose(d: number, lens: Uint32Array, at: number): void {
    const { starts, lengths, chosen } = this;
    const first = d * LENGTHS;
    let end = first;
    const none = starts[first] as number;
    if (none !== 0) {
      chosen[end++] = none;
    }
    for (let i = 0; i < PLEN_WORDS; i++) {
      let left = (lens[at + i] as number) & (lengths[d * PLEN_WORDS + i] as number);
      while (left !== 0) {
        const bit = Math.clz32(left);
        left &= ~(0x80000000 >>> bit);
        chosen[end++] = starts[first + 32 * i + bit + 1] as number;
      }
    }
    this.chosenEnds[d] = end;
  }

  private build(subtables: readonly Subtable<T>[]): void {
    const { index } = this;
    const tries = this.answers.tries.length;
    const dimensions = tries + PORT_FIELDS.length;
    this.vectorWords = (subtables.length + 31) >>> 5;
    this.vectorsEnd = 0;
    this.vectors.fill(0);
    this.newVector(); // of those that tries may exclude
    this.starts = new Int32Array(dimensions * LENGTHS);
    this.lengths = new Uint32Array(dimensions * PLEN_WORDS);
    this.chosen = new Int32Array(dimensions * LENGTHS);
    this.chosenEnds = new Int32Array(dimensions);
    this.classes = [];
    this.excludable = 0;
    for (const [i, subtable] of subtables.entries()) {
      for (let t = 0; t < tries; t++) {
        this.addLength(t, index.tree.cells[subtable.at + PLENS + t] as number, i);
      }
      for (const [p] of PORT_FIELDS.entries()) {
        this.addLength(tries + p, portPrefix(subtable, p), i);
      }
      this.classify(subtable, i);
    }
    if (this.portTries === null) {
      this.portTries = PORT_FIELDS.map(() => new PrefixTrie(TP_BITS));
      for (const subtable of subtables) {
        for (let rule = subtable.first; rule !== null; rule = rule.nextInOrder) {
          if (index.heads[rule.row] === rule) {
            this.rowChanged(subtable, rule.match.values, true);
          }
        }
      }
    }
  }

  private newVector(): number {
    const at = this.vectorsEnd;
    this.vectorsEnd += this.vectorWords;
    this.vectors = fitting(this.vectors, this.vectorsEnd);
    return at;
  }

  private mark(at: number, i: number): void {
    const w = at + (i >>> 5);
    this.vectors[w] = (this.vectors[w] as number) | (0x80000000 >>> (i & 31));
  }

  private addLength(d: number, plen: number, i: number): void {
    const start = d * LENGTHS + plen;
    if (this.starts[start] === 0) {
      this.starts[start] = this.newVector();
      if (plen > 0) {
        const w = d * PLEN_WORDS + ((plen - 1) >>> 5);
        this.lengths[w] = (this.lengths[w] as number) | (0x80000000 >>> ((plen - 1) & 31));
      }
    }
    this.mark(this.starts[start] as number, i);
  }

  /** Says whether a subtable has a class, and whether tries may exclude it. */
  private classify(subtable: Subtable<T>, i: number): void {
    const stagesWithTries = this.index.tree.cells[subtable.at + STAGES_WITH_TRIES] as number;
    const triesFirst = (stagesWithTries & 1) !== 0;
    const sum = triesFirst ? null : subtable.onlyFirstSum;
    const its = sum === null ? null : this.classOf(subtable.path[0] as number, sum);
    if (its !== null) {
      this.mark(its.at, i);
    }
    if (
      stagesWithTries === TRIES_IN_FIRST ||
      (its !== null && stagesWithTries === TRIES_IN_SECOND)
    ) {
      this.mark(0, i);
      this.excludable++;
    }
  }

  private classOf(node: number, sum: number): StageClass | null {
    const there = this.classes.find((c) => c.node === node && c.sum === sum);
    if (there !== undefined || this.classes.length === GUIDE_CLASSES_MAX) {
      return there ?? null;
    }
    const made = { node, sum, at: this.newVector() };
    this.classes.push(made);
    return made;
  }
}

/** Length of the prefix that a subtable's mask has on L4 port `p`; 0 if it is none. */
function portPrefix<T>(subtable: Subtable<T>, p: number): number {
  const at = portsIndex(subtable);
  if (at < 0) {
    return 0;
  }
  const { shift, mask } = PORT_FIELDS[p] as { shift: number; mask: number };
  const bits = ((subtable.mask.bits[at] as number) & mask) << shift;
  const ones = Math.clz32(~bits);
  return bits === (ones === 0 ? 0 : -1 << (32 - ones)) ? ones : 0;
}
