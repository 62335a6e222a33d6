// MaskPool: equal masks as one object.
//
// The rules of a table have few different masks. A rule that shares its mask costs little more than
// its values: a million rules of ten words stay far below a gigabyte. Packing a match whose mask is
// known allocates nothing but the values, and those of many matches share one buffer.

import { KEY_WORDS } from "./flow-key.ts";
import type { Match } from "./match.ts";
import type { MiniMask, MiniMatch } from "./minimatch.ts";

/** Some thousand matches: a match that stays alone keeps no more than this from being freed. */
const SLAB_WORDS = 1 << 12;

export class MaskPool {
  readonly #byHash = new Map<number, MiniMask[]>();
  readonly #words = new Uint16Array(KEY_WORDS);
  /** Where values are put, and how much of it is taken; a full one is left to its matches. */
  #slab = new Uint32Array(0);
  #taken = 0;

  /** The pooled twin of a mask. */
  intern(mask: MiniMask): MiniMask {
    let h = 0;
    for (let i = 0; i < mask.words.length; i++) {
      h = mix(h, mask.words[i] as number, mask.bits[i] as number);
    }
    const list = this.#list(h);
    const twin = list.find(
      (o) =>
        o.words.length === mask.words.length &&
        o.words.every((w, i) => w === mask.words[i] && o.bits[i] === mask.bits[i]),
    );
    if (twin === undefined) {
      list.push(mask);
    }
    return twin ?? mask;
  }

  /** The sparse form of a match, with a pooled mask. */
  pack(m: Pick<Match, "flow" | "wc">): MiniMatch {
    const words = this.#words;
    let n = 0;
    let h = 0;
    for (let w = 0; w < KEY_WORDS; w++) {
      const bits = m.wc[w] as number;
      if (bits !== 0) {
        words[n++] = w;
        h = mix(h, w, bits);
      }
    }
    const mask = this.#find(h, n, m.wc);
    const values = this.#newValues(n);
    for (let i = 0; i < n; i++) {
      const w = words[i] as number;
      values[i] = (m.flow[w] as number) & (m.wc[w] as number);
    }
    return { mask, values };
  }

  #newValues(n: number): Uint32Array {
    const from = this.#taken;
    if (from + n > this.#slab.length) {
      this.#slab = new Uint32Array(SLAB_WORDS);
      this.#taken = n;
      return this.#slab.subarray(0, n);
    }
    this.#taken += n;
    return this.#slab.subarray(from, from + n);
  }

  /** The mask of the first `n` of #words, made if it is new. */
  #find(hash: number, n: number, wc: Uint32Array): MiniMask {
    const list = this.#list(hash);
    for (const mask of list) {
      if (this.#same(mask, n, wc)) {
        return mask;
      }
    }
    const words = this.#words.slice(0, n);
    const bits = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      bits[i] = wc[words[i] as number] as number;
    }
    const mask = { words, bits };
    list.push(mask);
    return mask;
  }

  #same(mask: MiniMask, n: number, wc: Uint32Array): boolean {
    if (mask.words.length !== n) {
      return false;
    }
    for (let i = 0; i < n; i++) {
      const w = this.#words[i] as number;
      if (mask.words[i] !== w || mask.bits[i] !== wc[w]) {
        return false;
      }
    }
    return true;
  }

  #list(hash: number): MiniMask[] {
    let list = this.#byHash.get(hash);
    if (list === undefined) {
      list = [];
      this.#byHash.set(hash, list);
    }
    return list;
  }
}

function mix(h: number, word: number, bits: number): number {
  return Math.imul(h ^ word, 0x9e3779b1) ^ bits;
}
