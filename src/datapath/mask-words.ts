// MaskWords: the different (word, bits) pairs among the masks of the megaflow cache, hashed once a
// lookup. (Those of a classifier are cut into stages instead: stage-tree.ts.)
//
// Megaflows of one switch have most of their mask words in common: the port a packet came in by, the
// ethertype. A subtable's hash is a sum of one summand per mask word, and a
// summand depends on nothing but the word, the bits and the packet. So a lookup computes each
// different summand once, and the subtables only add them up.
//
// Invariant: values[id] after `compute` is what hashWord gives for that pair; freed pairs count 0.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";

const STEP = 3;
const FIRST_CAPACITY = 8;

/**
 * An odd multiplier for a mask word. Those of different words must have nothing to do with each
 * other: were one a small multiple of another, small numbers in both words would collide.
 */
export function multiplierOf(word: number, bits: number): number {
  let m = Math.imul(word + 1, 0x9e3779b1) ^ Math.imul(bits, 0x27d4eb2f);
  m = Math.imul(m ^ (m >>> 15), 0x85ebca6b);
  m = Math.imul(m ^ (m >>> 13), 0xc2b2ae35);
  return (m ^ (m >>> 16)) | 1;
}

/**
 * What a masked word adds to a hash. Folding the upper half down first keeps the bits of short
 * prefixes, which the multiplication alone would shift out.
 */
export function hashWord(value: number, multiplier: number): number {
  return Math.imul(value ^ (value >>> 16), multiplier);
}

export class MaskWords {
  /** Summand of each pair for the packet last given to `compute`. */
  values = new Int32Array(FIRST_CAPACITY);
  // Word index, bits, multiplier of each pair.
  private program = new Int32Array(FIRST_CAPACITY * STEP);
  private readonly users: number[] = [];
  private readonly free: number[] = [];
  private readonly ids = new Map<number, number>();
  private used = 0;
  private uses = 0;

  /** True if adding up shared summands is less work than hashing every word of every mask. */
  get worthwhile(): boolean {
    return this.uses > 2 * this.used;
  }

  /** Takes in the words of a mask; answers their ids. */
  add(mask: MiniMask): Uint32Array {
    this.uses += mask.words.length;
    return Uint32Array.from(mask.words, (word, i) => this.idOf(word, mask.bits[i] as number));
  }

  /** Takes out the words of a mask that has been added. */
  remove(mask: MiniMask, ids: Uint32Array): void {
    this.uses -= ids.length;
    for (const [i, id] of ids.entries()) {
      const users = (this.users[id] as number) - 1;
      this.users[id] = users;
      if (users === 0) {
        this.ids.delete(keyOf(mask.words[i] as number, mask.bits[i] as number));
        this.program[id * STEP + 1] = 0;
        this.free.push(id);
      }
    }
  }

  /** How many of the masks added have a pair. */
  usersOf(id: number): number {
    return this.users[id] as number;
  }

  /** Computes all summands for a packet. */
  compute(key: FlowKey): void {
    const { program, values } = this;
    const end = this.used * STEP;
    for (let p = 0, id = 0; p < end; p += STEP, id++) {
      const value = (key[program[p] as number] as number) & (program[p + 1] as number);
      values[id] = Math.imul(value ^ (value >>> 16), program[p + 2] as number);
    }
  }

  private idOf(word: number, bits: number): number {
    const pair = keyOf(word, bits);
    const there = this.ids.get(pair);
    if (there !== undefined) {
      this.users[there] = (this.users[there] as number) + 1;
      return there;
    }
    const id = this.free.pop() ?? this.used++;
    if (id >= this.values.length) {
      const program = new Int32Array(this.program.length * 2);
      program.set(this.program);
      this.program = program;
      this.values = new Int32Array(this.values.length * 2);
    }
    this.program.set([word, bits, multiplierOf(word, bits)], id * STEP);
    this.users[id] = 1;
    this.ids.set(pair, id);
    return id;
  }
}

function keyOf(word: number, bits: number): number {
  return word * 0x100000000 + bits;
}
