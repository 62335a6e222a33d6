// SubtableIndex: what lookups read of all subtables of a classifier, in a few flat arrays.
//
// A lookup visits dozens of subtables and finds its rule in one. Were each an object with tables of
// its own, the lookup would spend its time on getting from one object to the next. So:
// - a subtable is a record of a few numbers, among the cells of the tree of stages (stage-tree.ts);
// - what its stages hash is a path in that tree, shared with other subtables;
// - its rows and the sums of its stages are entries in the one table (row-table.ts), owned by the
//   stage: the cell where the record begins + the number of the stage.
//
// A row is the rules of equal matches: `heads[row]` is the first of a list in falling priority. The
// values of a row are those of its rule; they are not copied.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import { K } from "../flow/slots.ts";
import type { ClsRule } from "./classifier-rule.ts";
import { RowTable, seeded } from "./row-table.ts";
import { StageTree } from "./stage-tree.ts";
import { Subtable } from "./subtable.ts";
import { PrefixTrie } from "./trie.ts";

/** Prefix fields of a classifier. (ovs: CLS_MAX_TRIES.) */
export const CLS_TRIES_MAX = 4;

// The cells of a record: the number of the last stage,
/** a node for each of up to four stages, */
export const NODES = 1;
/** the prefix length that the mask has in each prefix field, 0 where the field does not serve, */
export const PLENS = 5;
/** the stage in which each of them is checked, */
export const TRIE_STAGES = 9;
/** a bit for each stage in which one is, */
export const STAGES_WITH_TRIES = 13;
/** the mask bits of the word with both L4 ports, and the number of the trie for their prefixes. */
export const PORTS = 14;
const PORTS_TRIE = 15;
const RECORD = 16;

export class SubtableIndex<T> {
  readonly tree = new StageTree();
  readonly table = new RowTable();
  readonly heads: (ClsRule<T> | null)[] = [];
  private readonly portsTries: (PrefixTrie | null)[] = [];
  private readonly freeTries: number[] = [];
  private readonly freeRows: number[] = [];

  constructor() {
    this.tree.take(RECORD); // No record begins at 0, which is no owner.
  }

  get bytes(): number {
    let bytes = this.tree.bytes + this.table.bytes + 8 * this.heads.length;
    for (const trie of this.portsTries) {
      bytes += trie?.bytes ?? 0;
    }
    return bytes;
  }

  /** Makes a subtable; its prefix fields are still to be set. */
  add(mask: MiniMask): Subtable<T> {
    const path = this.tree.add(mask);
    const at = this.tree.take(RECORD);
    const portsIndex = mask.words.indexOf(K.tp_src.word);
    const ports = portsIndex < 0 ? 0 : (mask.bits[portsIndex] as number);
    this.tree.cells[at] = path.length - 1;
    this.tree.cells.set(path, at + NODES);
    this.tree.cells[at + PORTS] = ports;
    if (ports !== 0) {
      const id = this.freeTries.pop() ?? this.portsTries.length;
      this.portsTries[id] = new PrefixTrie(32);
      this.tree.cells[at + PORTS_TRIE] = id;
    }
    return new Subtable<T>(mask, path, at);
  }

  /** Takes out a subtable without rules. */
  drop({ at, path }: Subtable<T>): void {
    const { cells } = this.tree;
    if (cells[at + PORTS] !== 0) {
      const id = cells[at + PORTS_TRIE] as number;
      this.portsTries[id] = null;
      this.freeTries.push(id);
    }
    this.tree.remove(path);
    this.tree.giveBack(at, RECORD);
  }

  /** The first rule of the row that a packet falls into, given its seeded sum, or null. */
  find(at: number, sum: number, owner: number, key: FlowKey): ClsRule<T> | null {
    const { table } = this;
    let place = table.find(sum, owner);
    while (place >= 0) {
      const head = this.heads[table.numberAt(place)] as ClsRule<T>;
      if (this.agrees(at, owner, head.match.values, key)) {
        return head;
      }
      place = table.findNext(place, sum, owner);
    }
    return null;
  }

  /** True if a packet has these values under the mask of a record, whose last stage is `owner`. */
  private agrees(at: number, owner: number, values: Uint32Array, key: FlowKey): boolean {
    const { cells } = this.tree;
    let i = 0;
    for (let stage = at; stage <= owner; stage++) {
      const node = cells[stage + 1] as number;
      const end = cells[node + 4] as number;
      for (let p = node + 5; p < end; p += 3) {
        const diff = (key[cells[p] as number] as number) ^ (values[i++] as number);
        if ((diff & (cells[p + 1] as number)) !== 0) {
          return false;
        }
      }
    }
    return true;
  }

  /** The prefixes that the rows of the record at `at` have in the word of L4 ports. */
  portsTrie(at: number): PrefixTrie {
    return this.portsTries[this.tree.cells[at + PORTS_TRIE] as number] as PrefixTrie;
  }

  /** The row that has exactly these values, or -1. */
  rowOf(subtable: Subtable<T>, values: Uint32Array): number {
    const { table } = this;
    const stage = subtable.path.length - 1;
    const owner = subtable.at + stage;
    const sum = seeded(this.sumOf(subtable, values, stage), owner);
    let place = table.find(sum, owner);
    while (place >= 0) {
      const row = table.numberAt(place);
      if (sameValues((this.heads[row] as ClsRule<T>).match.values, values)) {
        return row;
      }
      place = table.findNext(place, sum, owner);
    }
    return -1;
  }

  /** Makes a row for a rule with new values. */
  insertRow(subtable: Subtable<T>, rule: ClsRule<T>): void {
    const { table } = this;
    const { values } = rule.match;
    const row = this.freeRows.pop() ?? this.heads.length;
    this.heads[row] = rule;
    rule.row = row;
    const last = subtable.path.length - 1;
    for (let stage = 0; stage < last; stage++) {
      const sum = this.sumOf(subtable, values, stage);
      const owner = subtable.at + stage;
      if (table.count(seeded(sum, owner), owner) && stage === 0) {
        subtable.firstSums++;
        subtable.firstSumsXor ^= sum;
      }
    }
    const owner = subtable.at + last;
    table.insert(seeded(this.sumOf(subtable, values, last), owner), owner, row);
    const ports = this.tree.cells[subtable.at + PORTS] as number;
    if (ports !== 0) {
      this.portsTrie(subtable.at).insert(values, portsIndex(subtable), prefixWith(ports));
    }
  }

  /** Removes a row whose last rule goes. */
  removeRow(subtable: Subtable<T>, rule: ClsRule<T>): void {
    const { table } = this;
    const { values } = rule.match;
    const last = subtable.path.length - 1;
    for (let stage = 0; stage < last; stage++) {
      const sum = this.sumOf(subtable, values, stage);
      const owner = subtable.at + stage;
      if (table.uncount(seeded(sum, owner), owner) && stage === 0) {
        subtable.firstSums--;
        subtable.firstSumsXor ^= sum;
      }
    }
    const owner = subtable.at + last;
    table.remove(seeded(this.sumOf(subtable, values, last), owner), owner, rule.row);
    this.heads[rule.row] = null;
    this.freeRows.push(rule.row);
    const ports = this.tree.cells[subtable.at + PORTS] as number;
    if (ports !== 0) {
      this.portsTrie(subtable.at).remove(values, portsIndex(subtable), prefixWith(ports));
    }
  }

  /** Sum of a rule's values up to the end of a stage. */
  private sumOf({ path }: Subtable<T>, values: Uint32Array, stage: number): number {
    let sum = 0;
    let from = 0;
    for (let i = 0; i <= stage; i++) {
      const node = path[i] as number;
      sum = this.tree.addValues(node, sum, values, from);
      from += this.tree.wordsOf(node);
    }
    return sum;
  }
}

/** Index of the word with both L4 ports among the words of a subtable's mask, or -1. */
export function portsIndex<T>({ mask }: Subtable<T>): number {
  return mask.words.indexOf(K.tp_src.word);
}

/** Length of the shortest prefix of a word that has all these bits. */
function prefixWith(bits: number): number {
  return 32 - (31 - Math.clz32(bits & -bits));
}

function sameValues(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}
