// StageTree: the masks of a classifier's subtables, cut into stages, as a tree.
//
// The words of a mask are cut at the stage boundaries of the key (slots.ts). A node stands for what a
// mask has up to the end of a stage: the node holds the words of that stage, its parent stands for
// the stages before. Masks that begin alike share nodes: in a logical pipeline nearly all begin with
// the datapath's number, in an access list with "IPv4".
//
// So two things are worked out once per node and lookup, however many subtables are asked:
// - the sum over the packet's masked words, from which subtables derive their hashes. It is the
//   parent's sum and one summand for each word of the node;
// - that the `wc` mask has the node's bits, and hence those of all its parents.
// What was noted in an earlier lookup is known by its stamp; nothing is ever cleared.
//
// Nodes lie in one array, `cells`, and are named by where they begin. It also has room for the records
// of subtables (subtable-index.ts), so that lookups find all that they need to tell a miss in it.
//
// Invariant: a node lives while a mask uses it or a node below it.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import { STAGE_END } from "../flow/slots.ts";
import { hashWord, multiplierOf } from "./mask-words.ts";

/** The parent of the nodes of first stages; negative. */
const ROOT = -1;
const FIRST_CELLS = 64;
// The cells of a node: stamp of the lookup that noted the sum, the sum, stamp of the lookup that noted
// that its bits are in `wc`, its parent, the end of its cells; then three for each word: its index in
// the key, its mask bits, its multiplier. (The loops of lookups have these numbers written out: V8
// makes a constant of the module a load and a check each time.)
const FOLDED = 2;
const END = 4;
const WORDS = 5;
const WORD = 3;

export class StageTree {
  cells = new Int32Array(FIRST_CELLS);
  /** The number of the lookup. */
  stamp = 0;
  private used = 0;
  /** Cells to be used again, by their number. */
  private readonly free: number[][] = [];
  // For changes: what nodes are called, and how often they are used.
  private readonly byName = new Map<string, number>();
  private readonly nodes = new Map<number, { readonly name: string; users: number }>();

  get bytes(): number {
    return this.cells.byteLength;
  }

  /** Takes some cells, which are zero. */
  take(count: number): number {
    const again = this.free[count]?.pop();
    if (again !== undefined) {
      this.cells.fill(0, again, again + count);
      return again;
    }
    const at = this.used;
    this.used += count;
    this.cells = fitting(this.cells, this.used);
    return at;
  }

  /** Gives back cells that were taken together. */
  giveBack(at: number, count: number): void {
    const free = this.free[count] ?? [];
    free.push(at);
    this.free[count] = free;
  }

  /** Takes in a mask; answers a node for each stage that it has words in, at least one. */
  add(mask: MiniMask): number[] {
    const path: number[] = [];
    let parent = ROOT;
    let i = 0;
    for (const stageEnd of STAGE_END) {
      const from = i;
      while (i < mask.words.length && (mask.words[i] as number) < stageEnd) {
        i++;
      }
      if (i > from) {
        parent = this.use(parent, mask.words.subarray(from, i), mask.bits.subarray(from, i));
        path.push(parent);
      }
    }
    return path.length > 0 ? path : [this.use(ROOT, mask.words, mask.bits)];
  }

  /** Takes out a mask that was taken in. */
  remove(path: readonly number[]): void {
    for (const at of path) {
      const node = this.nodes.get(at);
      if (node !== undefined && --node.users === 0) {
        this.nodes.delete(at);
        this.byName.delete(node.name);
        this.giveBack(at, (this.cells[at + END] as number) - at);
      }
    }
  }

  /** Begins a lookup: what was noted for another packet or mask counts no more. */
  begin(): void {
    this.stamp = (this.stamp + 1) | 0;
  }

  /** The sum of a rule's values, of which values[from] is the first of the node. */
  addValues(node: number, basis: number, values: Uint32Array, from: number): number {
    const { cells } = this;
    const end = cells[node + END] as number;
    let sum = basis;
    let i = from;
    for (let p = node + WORDS; p < end; p += WORD) {
      sum = (sum + hashWord(values[i++] as number, cells[p + 2] as number)) | 0;
    }
    return sum;
  }

  /** The stage of a path that has word `index` of its mask. */
  stageOf(path: readonly number[], index: number): number {
    let end = 0;
    return path.findIndex((node) => {
      end += this.wordsOf(node);
      return index < end;
    });
  }

  /** Number of words of a node. */
  wordsOf(node: number): number {
    return ((this.cells[node + END] as number) - node - WORDS) / WORD;
  }

  /** Adds the bits of a node and of those above it to `wc`. */
  fold(leaf: number, wc: FlowKey): void {
    const { cells, stamp } = this;
    for (let node = leaf; node >= 0 && cells[node + 2] !== stamp; ) {
      cells[node + 2] = stamp;
      const end = cells[node + 4] as number;
      for (let p = node + 5; p < end; p += 3) {
        const word = cells[p] as number;
        wc[word] = (wc[word] as number) | (cells[p + 1] as number);
      }
      node = cells[node + 3] as number;
    }
  }

  /** The same, but of key word `without` only `bits`. */
  foldPartly(leaf: number, wc: FlowKey, without: number, bits: number): void {
    const { cells } = this;
    if (cells[leaf + FOLDED] !== this.stamp) {
      const kept = (wc[without] as number) | bits;
      this.fold(leaf, wc);
      wc[without] = kept;
      cells[leaf + FOLDED] = this.stamp - 1; // Not all of it.
    }
  }

  private use(parent: number, words: Uint16Array, bits: Uint32Array): number {
    const name = `${parent}:${words.join()}:${bits.join()}`;
    const there = this.byName.get(name);
    if (there !== undefined) {
      (this.nodes.get(there) as { users: number }).users++;
      return there;
    }
    const count = WORDS + WORD * words.length;
    const at = this.take(count);
    this.byName.set(name, at);
    this.nodes.set(at, { name, users: 1 });
    const before = this.stamp - 1;
    this.cells.set([before, 0, before, parent, at + count], at);
    for (const [i, word] of words.entries()) {
      const b = bits[i] as number;
      this.cells.set([word, b, multiplierOf(word, b)], at + WORDS + WORD * i);
    }
    return at;
  }
}

/**
 * The sum of a packet at a node whose parent has the sum `basis`; worked out once in the lookup with a
 * stamp. (A function of the cells, which loops hold in a variable.)
 */
export function sumAt(
  cells: Int32Array,
  stamp: number,
  node: number,
  basis: number,
  key: FlowKey,
): number {
  if (cells[node] === stamp) {
    return cells[node + 1] as number;
  }
  const end = cells[node + 4] as number;
  let sum = basis;
  for (let p = node + 5; p < end; p += 3) {
    const value = (key[cells[p] as number] as number) & (cells[p + 1] as number);
    sum = (sum + Math.imul(value ^ (value >>> 16), cells[p + 2] as number)) | 0;
  }
  cells[node] = stamp;
  cells[node + 1] = sum;
  return sum;
}

/** The array, or one with its contents and room for `length` elements. */
export function fitting(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  if (length <= array.length) {
    return array;
  }
  const grown = new Int32Array(Math.max(length, 2 * array.length));
  grown.set(array);
  return grown;
}
