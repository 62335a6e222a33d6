// The megaflow cache: all megaflows in one flat hash table, looked up mask by mask.
//
// The flows of one mask are a subtable, but subtables hold no flows: these lie in one table with
// open addressing, under a hash of their masked words that begins with the subtable's own number. A
// lookup goes through the subtables, those with many hits first, and takes the first flow that
// agrees. The hash is a sum with one summand per masked word (mask-words.ts), and masks have most of
// their words in common: behind the first few subtables all different summands are computed once,
// those that all masks have are added up once, and a further subtable costs the additions in which
// it differs and one probe.
//
// Invariants: 0 in `hashes` marks a free slot, and no hash is 0; at most a quarter of the slots is used;
// a cluster has no gaps (removal moves back what was displaced). Hashes are signed 32-bit numbers;
// a lookup allocates nothing. ovs: lib/dpif-netdev.c dpcls_lookup, dpcls_sort_subtable_vector.

import type { FlowKey } from "../flow/flow-key.ts";
import { type MiniMask, miniMaskOf } from "../flow/minimatch.ts";
import { hashWord, MaskWords, multiplierOf } from "./mask-words.ts";
import type { MaskSubtable, Megaflow } from "./megaflow.ts";
import { isSimpleMask } from "./simple-match.ts";

/** Look-ups that hit between two sorts of the subtables by hits. */
const SORT_EVERY = 4096;
/** Subtables that hash their words themselves before all summands are computed. */
const ALONE = 3;
/** So many subtables are sorted in place; more of them at the price of some memory. */
const IN_PLACE_MAX = 256;
const FIRST_SLOTS = 64;
/** Few collisions, since most probes are of subtables that have no such flow. */
const SLOTS_PER_FLOW = 4;
/** An odd number near 2**32 divided by the golden ratio. */
const SEED_FACTOR = 0x9e3779b1;

export class MegaflowTable {
  /** In the order in which they are asked. */
  private readonly subtables: MaskSubtable[] = [];
  /** The subtables by a hash of their masks. */
  private readonly byMask = new Map<number, MaskSubtable[]>();
  private readonly words = new MaskWords();
  private hashes = new Int32Array(FIRST_SLOTS);
  private flows = new Array<Megaflow | null>(FIRST_SLOTS).fill(null);
  private used = 0;
  private nextSeed = 1;
  private untilSort = SORT_EVERY;
  // Seeds of the subtables in order, and the ids of their words one after the other, without those
  // that all have in common; the words of subtable i end before ends[i].
  private seeds = new Int32Array(0);
  private ends = new Int32Array(0);
  private program = new Uint32Array(0);
  private common = new Uint32Array(0);
  /** Subtables that the last look-up went through. */
  lookups = 0;

  get maskCount(): number {
    return this.subtables.length;
  }

  lookup(key: FlowKey): Megaflow | null {
    const n = this.subtables.length;
    const alone = Math.min(n, ALONE);
    for (let i = 0; i < alone; i++) {
      const f = this.find(i, hashAlone(this.subtables[i] as MaskSubtable, key), key);
      if (f !== null) {
        return this.hit(i, f);
      }
    }
    this.lookups = n;
    return n > alone ? this.lookupRest(key) : null;
  }

  private lookupRest(key: FlowKey): Megaflow | null {
    const { words, hashes, seeds, ends, program, common } = this;
    words.compute(key);
    const { values } = words;
    let base = 0;
    for (let i = 0; i < common.length; i++) {
      base = (base + (values[common[i] as number] as number)) | 0;
    }
    const slots = hashes.length - 1;
    const n = seeds.length;
    let p = ends[ALONE - 1] as number;
    for (let i = ALONE; i < n; i++) {
      let sum = (base + (seeds[i] as number)) | 0;
      for (const end = ends[i] as number; p < end; p++) {
        sum = (sum + (values[program[p] as number] as number)) | 0;
      }
      const hash = finish(sum);
      let at = hash & slots;
      let there = hashes[at] as number;
      while (there !== 0 && there !== hash) {
        at = (at + 1) & slots;
        there = hashes[at] as number;
      }
      const f = there === 0 ? null : this.find(i, hash, key);
      if (f !== null) {
        return this.hit(i, f);
      }
    }
    return null;
  }

  /** The flow of a subtable that agrees with a key. */
  private find(i: number, hash: number, key: FlowKey): Megaflow | null {
    const { hashes } = this;
    const slots = hashes.length - 1;
    for (let at = hash & slots; hashes[at] !== 0; at = (at + 1) & slots) {
      if (hashes[at] === hash) {
        const t = this.subtables[i] as MaskSubtable;
        const f = this.flows[at] as Megaflow;
        if (f.subtable === t && agrees(t.mini, f.key, key)) {
          return f;
        }
      }
    }
    return null;
  }

  private hit(i: number, f: Megaflow): Megaflow {
    (this.subtables[i] as MaskSubtable).hits++;
    this.lookups = i + 1;
    if (--this.untilSort <= 0) {
      this.sort();
    }
    return f;
  }

  /** Subtables with many hits come first; equals stay in their order. */
  private sort(): void {
    this.untilSort = SORT_EVERY;
    const { subtables } = this;
    const n = subtables.length;
    if (n > IN_PLACE_MAX) {
      subtables.sort((a, b) => b.hits - a.hits);
    }
    for (let i = 1; i < n && n <= IN_PLACE_MAX; i++) {
      const t = subtables[i] as MaskSubtable;
      let at = i;
      for (; at > 0 && (subtables[at - 1] as MaskSubtable).hits < t.hits; at--) {
        subtables[at] = subtables[at - 1] as MaskSubtable;
      }
      subtables[at] = t;
    }
    for (let i = 0; i < n; i++) {
      (subtables[i] as MaskSubtable).hits >>>= 1;
    }
    this.flatten();
  }

  /** Makes the arrays anew for other subtables than before. */
  private reserve(): void {
    const { subtables, words } = this;
    const isCommon = (id: number) => words.usersOf(id) === subtables.length;
    this.common = subtables[0]?.ids.filter(isCommon) ?? this.common;
    const all = subtables.reduce((n, t) => n + t.ids.length - this.common.length, 0);
    this.seeds = new Int32Array(subtables.length);
    this.ends = new Int32Array(subtables.length);
    this.program = new Uint32Array(all);
    this.flatten();
  }

  /** Writes the arrays in the order of the subtables, without allocating. */
  private flatten(): void {
    const { subtables, words, program } = this;
    const n = subtables.length;
    let end = 0;
    for (let i = 0; i < n; i++) {
      const { ids, seed } = subtables[i] as MaskSubtable;
      for (let k = 0; k < ids.length; k++) {
        const id = ids[k] as number;
        if (words.usersOf(id) !== n) {
          program[end++] = id;
        }
      }
      this.seeds[i] = seed;
      this.ends[i] = end;
    }
  }

  /** What the flows of a mask have in common; made if it is not there, and then owns the mask. */
  subtable(mask: FlowKey): MaskSubtable {
    const there = this.byMask.get(hashMask(mask))?.find((t) => sameMask(t.mask, mask));
    return there ?? this.addSubtable(mask);
  }

  insert(f: Megaflow): void {
    if (SLOTS_PER_FLOW * (this.used + 1) > this.hashes.length) {
      this.grow();
    }
    f.subtable.count++;
    this.put(hashAlone(f.subtable, f.key), f);
  }

  private put(hash: number, f: Megaflow): void {
    const slots = this.hashes.length - 1;
    let at = hash & slots;
    while (this.hashes[at] !== 0) {
      at = (at + 1) & slots;
    }
    this.hashes[at] = hash;
    this.flows[at] = f;
    this.used++;
  }

  private addSubtable(mask: FlowKey): MaskSubtable {
    const mini = miniMaskOf(mask);
    const multipliers = Int32Array.from(mini.words, (w, i) =>
      multiplierOf(w, mini.bits[i] as number),
    );
    const ids = this.words.add(mini);
    const seed = Math.imul(this.nextSeed++, SEED_FACTOR);
    const simple = isSimpleMask(mask);
    const t: MaskSubtable = { mask, mini, multipliers, ids, seed, simple, count: 0, hits: 0 };
    this.subtables.push(t);
    const hash = hashMask(mask);
    const same = this.byMask.get(hash);
    if (same === undefined) {
      this.byMask.set(hash, [t]);
    } else {
      same.push(t);
    }
    this.reserve();
    return t;
  }

  remove(f: Megaflow): void {
    const t = f.subtable;
    if (!this.takeOut(hashAlone(t, f.key), f) || --t.count > 0) {
      return;
    }
    this.subtables.splice(this.subtables.indexOf(t), 1);
    this.words.remove(t.mini, t.ids);
    const hash = hashMask(t.mask);
    const rest = (this.byMask.get(hash) ?? []).filter((other) => other !== t);
    if (rest.length === 0) {
      this.byMask.delete(hash);
    } else {
      this.byMask.set(hash, rest);
    }
    this.reserve();
  }

  /** Frees the slot of a flow and moves back what was displaced past it. */
  private takeOut(hash: number, f: Megaflow): boolean {
    const { hashes, flows } = this;
    const slots = hashes.length - 1;
    let hole = hash & slots;
    while (flows[hole] !== f) {
      if (hashes[hole] === 0) {
        return false;
      }
      hole = (hole + 1) & slots;
    }
    for (let at = (hole + 1) & slots; hashes[at] !== 0; at = (at + 1) & slots) {
      const home = (hashes[at] as number) & slots;
      if (((at - home) & slots) >= ((at - hole) & slots)) {
        hashes[hole] = hashes[at] as number;
        flows[hole] = flows[at] as Megaflow;
        hole = at;
      }
    }
    hashes[hole] = 0;
    flows[hole] = null;
    this.used--;
    return true;
  }

  private grow(): void {
    const { hashes, flows } = this;
    this.hashes = new Int32Array(hashes.length * 2);
    this.flows = new Array<Megaflow | null>(hashes.length * 2).fill(null);
    this.used = 0;
    flows.forEach((f, i) => {
      if (f !== null) {
        this.put(hashes[i] as number, f);
      }
    });
  }
}

/** The hash of a key under the mask of a subtable, without the shared summands. */
function hashAlone(t: MaskSubtable, key: FlowKey): number {
  const { words, bits } = t.mini;
  let sum = t.seed;
  for (let i = 0; i < words.length; i++) {
    const value = (key[words[i] as number] as number) & (bits[i] as number);
    sum = (sum + hashWord(value, t.multipliers[i] as number)) | 0;
  }
  return finish(sum);
}

/** Mixes a sum, whose upper bits are the good ones, into the lower that choose the slot. */
function finish(sum: number): number {
  const hash = sum ^ (sum >>> 16) ^ (sum >>> 8);
  return hash === 0 ? 1 : hash;
}

function agrees({ words, bits }: MiniMask, a: FlowKey, b: FlowKey): boolean {
  for (let i = 0; i < words.length; i++) {
    const w = words[i] as number;
    if ((((a[w] as number) ^ (b[w] as number)) & (bits[i] as number)) !== 0) {
      return false;
    }
  }
  return true;
}

function sameMask(a: FlowKey, b: FlowKey): boolean {
  if (a === b) {
    return true;
  }
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

function hashMask(mask: FlowKey): number {
  let h = 0;
  for (let i = 0; i < mask.length; i++) {
    const bits = mask[i] as number;
    if (bits !== 0) {
      h = Math.imul(h ^ bits ^ i, SEED_FACTOR);
      h ^= h >>> 15;
    }
  }
  return h;
}
