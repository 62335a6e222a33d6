// ClassifierLookup: the walk over a classifier's subtables for one packet.
//
// Two walks give the same rule. `scan` only wants the rule; `scanWc` also collects in `wc` what was
// looked at, as Open vSwitch's walk does (ovs: lib/classifier.c find_match_wc). Both go through the
// stages of a subtable until one tells that no row agrees. Where the guide knows better, `scan` only
// gets the subtables that it leaves, and `scanWc` each that it cannot exclude at a known price.
//
// Invariant: subtables are accounted for in visiting order, since what is in `wc` already decides
// whether tries may exclude a further one (trie-answers.ts). A lookup allocates nothing.

import type { FlowKey } from "../flow/flow-key.ts";
import { K } from "../flow/slots.ts";
import type { SoftMatches } from "./classifier-conj.ts";
import { type ClsRule, isVisible, type Version } from "./classifier-rule.ts";
import type { PriorityVector } from "./priority-vector.ts";
import { mayHave, seeded } from "./row-table.ts";
import { sumAt } from "./stage-tree.ts";
import type { Subtable } from "./subtable.ts";
import { SubtableGuide } from "./subtable-guide.ts";
import {
  NODES,
  PLENS,
  PORTS,
  STAGES_WITH_TRIES,
  type SubtableIndex,
  TRIE_STAGES,
} from "./subtable-index.ts";
import { prefixMask, TrieAnswers } from "./trie-answers.ts";

/** Subtables that `scan` asks before the guide takes the trouble to look at the ports. */
const PORTS_AFTER = 6;

export class ClassifierLookup<T> {
  readonly answers = new TrieAnswers();
  readonly guide: SubtableGuide<T>;
  private readonly index: SubtableIndex<T>;
  // The subtables in visiting order: records and priorities, of one generation of the order.
  private records = new Int32Array(0);
  private priorities = new Int32Array(0);
  private generation = -1;
  private count = 0;
  // The best plain rule so far, and where clauses go.
  private hard: ClsRule<T> | null = null;
  private hardPriority = -1;
  private soft: SoftMatches<T> | null = null;
  // What the guide leaves of 32 subtables.
  private readonly list = new Int32Array(32);
  private readonly listPriorities = new Int32Array(32);

  constructor(index: SubtableIndex<T>) {
    this.index = index;
    this.guide = new SubtableGuide<T>(index, this.answers);
  }

  /** The best plain rule; clauses go to `soft`, or are passed over without it. */
  search(
    order: PriorityVector<Subtable<T>>,
    version: Version,
    key: FlowKey,
    wc: FlowKey | null,
    soft: SoftMatches<T> | null,
  ): ClsRule<T> | null {
    if (order.generation !== this.generation) {
      this.flatten(order);
    }
    this.hard = null;
    this.hardPriority = -1;
    this.soft = soft;
    this.index.tree.begin();
    this.answers.begin();
    const guided = this.guide.use(order);
    if (guided) {
      this.answers.askAll(key);
      this.guide.begin(key);
    }
    if (wc === null) {
      if (guided) {
        this.scanGuided(version, key);
      } else {
        this.scan(this.records, this.priorities, this.count, version, key);
      }
    } else if (guided) {
      this.scanGuidedWc(version, key, wc);
    } else {
      this.scanWc(0, this.count, version, key, wc);
    }
    return this.hard;
  }

  private flatten(order: PriorityVector<Subtable<T>>): void {
    this.count = order.length;
    if (this.count > this.records.length) {
      this.records = new Int32Array(2 * this.count);
      this.priorities = new Int32Array(2 * this.count);
    }
    for (let i = 0; i < this.count; i++) {
      this.records[i] = (order.elements[i] as Subtable<T>).at;
      this.priorities[i] = order.priorityAt(i);
    }
    this.generation = order.generation;
  }

  /** Asks the subtables that the guide leaves; the ports only if asking some has not helped. */
  private scanGuided(version: Version, key: FlowKey): void {
    const { records, priorities, guide, list, listPriorities } = this;
    let asked = 0;
    for (let w = 0; w < guide.vectorWords; w++) {
      if ((priorities[w * 32] as number) <= this.hardPriority) {
        return;
      }
      if (asked >= PORTS_AFTER && !guide.portsIn) {
        guide.beginPorts(key);
      }
      let left = guide.candidates(w);
      let n = 0;
      while (left !== 0) {
        const bit = Math.clz32(left);
        left &= ~(0x80000000 >>> bit);
        list[n] = records[w * 32 + bit] as number;
        listPriorities[n++] = priorities[w * 32 + bit] as number;
      }
      this.scan(list, listPriorities, n, version, key);
      asked += n;
    }
  }

  /**
   * Asks the first `n` subtables of a list in turn. A stage of a subtable is named by its owner: the
   * cell of the record + its number. The numbers in the cells are described in subtable-index.ts.
   */
  private scan(
    list: Int32Array,
    priorities: Int32Array,
    n: number,
    version: Version,
    key: FlowKey,
  ): void {
    const { index } = this;
    const { cells, stamp } = index.tree;
    const { filter, shift } = index.table;
    const nodes = NODES;
    let best = this.hardPriority;
    for (let i = 0; i < n && (priorities[i] as number) > best; i++) {
      const at = list[i] as number;
      const last = at + (cells[at] as number);
      let sum = 0;
      for (let stage = at; ; stage++) {
        sum = sumAt(cells, stamp, cells[stage + nodes] as number, sum, key);
        const own = seeded(sum, stage);
        if (!mayHave(filter, shift, own)) {
          break;
        }
        if (stage === last) {
          this.take(firstVisible(index.find(at, own, stage, key), version));
          best = this.hardPriority;
          break;
        }
      }
    }
  }

  /** Passes over what the guide excludes, for its price, and looks into what is left. */
  private scanGuidedWc(version: Version, key: FlowKey, wc: FlowKey): void {
    const { guide, answers } = this;
    for (let w = 0; w < guide.vectorWords; w++) {
      let left = this.visitable(w);
      if (left === 0) {
        return;
      }
      let { settled } = answers;
      let excluded = guide.excluded(w, settled);
      for (;;) {
        const next = Math.clz32(left & ~excluded); // 32 if there is none
        const passed = left & ~(next === 32 ? 0 : -1 >>> next);
        if (passed !== 0) {
          guide.foldFirstStages(w, passed, wc);
        }
        if (next === 32) {
          break;
        }
        left &= 0x7fffffff >>> next;
        const before = this.hardPriority;
        this.scanWc(w * 32 + next, w * 32 + next + 1, version, key, wc);
        if (before !== this.hardPriority) {
          left &= this.visitable(w);
        }
        if (answers.settled !== settled) {
          settled = answers.settled;
          excluded = guide.excluded(w, settled);
        }
      }
    }
  }

  /** Looks into the subtables from..to in turn, adding to `wc` what was looked at. */
  private scanWc(from: number, to: number, version: Version, key: FlowKey, wc: FlowKey): void {
    const { index, records, priorities } = this;
    const { tree, table } = index;
    const { cells, stamp } = tree;
    const { filter, shift } = table;
    const nodes = NODES;
    for (let i = from; i < to && (priorities[i] as number) > this.hardPriority; i++) {
      const at = records[i] as number;
      const last = at + (cells[at] as number);
      const withTries = cells[at + STAGES_WITH_TRIES] as number;
      let sum = 0;
      for (let stage = at; ; stage++) {
        if (((withTries >> (stage - at)) & 1) !== 0 && this.triesExclude(at, stage - at, key, wc)) {
          if (stage > at) {
            tree.fold(cells[stage - 1 + nodes] as number, wc);
          }
          break;
        }
        const node = cells[stage + nodes] as number;
        sum = sumAt(cells, stamp, node, sum, key);
        const own = seeded(sum, stage);
        const may = mayHave(filter, shift, own);
        if (stage === last) {
          const rule = may ? firstVisible(index.find(at, own, stage, key), version) : null;
          if (rule === null && cells[at + PORTS] !== 0) {
            this.foldMissedPorts(at, node, key, wc);
            break;
          }
          this.take(rule);
        } else if (may && table.find(own, stage) >= 0) {
          continue;
        }
        tree.fold(node, wc);
        break;
      }
    }
  }

  /** Subtables of a word that can hold a better rule than the one found: the first ones. */
  private visitable(w: number): number {
    const { priorities, hardPriority } = this;
    const end = Math.min(this.count - w * 32, 32);
    let n = end;
    while (n > 0 && (priorities[w * 32 + n - 1] as number) <= hardPriority) {
      n--;
    }
    return prefixMask(n);
  }

  /** Takes note of a rule that matches. */
  private take(rule: ClsRule<T> | null): void {
    if (rule === null || rule.priority <= this.hardPriority) {
      return;
    }
    if (rule.conjs !== null) {
      this.soft?.push(rule);
    } else {
      this.hard = rule;
      this.hardPriority = rule.priority;
    }
  }

  /** Adds a whole mask to `wc`, but of the L4 ports only the bits that tell that nothing matches. */
  private foldMissedPorts(at: number, leaf: number, key: FlowKey, wc: FlowKey): void {
    const { tree } = this.index;
    const ports = tree.cells[at + PORTS] as number;
    const trie = this.index.portsTrie(at);
    trie.lookupWord((key[K.tp_src.word] as number) & ports);
    tree.foldPartly(leaf, wc, K.tp_src.word, ports & prefixMask(trie.known));
  }

  private triesExclude(at: number, stage: number, key: FlowKey, wc: FlowKey): boolean {
    const { cells } = this.index.tree;
    for (let t = 0; t < this.answers.tries.length; t++) {
      const plen = cells[at + PLENS + t] as number;
      if (
        plen !== 0 &&
        cells[at + TRIE_STAGES + t] === stage &&
        this.answers.excludes(t, plen, key, wc)
      ) {
        return true;
      }
    }
    return false;
  }
}

function firstVisible<T>(head: ClsRule<T> | null, version: Version): ClsRule<T> | null {
  let rule = head;
  while (rule !== null && !isVisible(rule, version)) {
    rule = rule.lower;
  }
  return rule;
}
