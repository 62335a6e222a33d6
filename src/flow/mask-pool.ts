// MaskPool: equal masks as one object.
//
// The rules of a table have few different masks. A rule that shares its mask costs little more than
// its values: a million rules of ten words stay far below a gigabyte.

import type { Match } from "./match.ts";
import { type MiniMask, type MiniMatch, miniMaskEqual, miniMatchOf } from "./minimatch.ts";

/** Masks shared by the rules that have them, so that a rule costs little more than its values. */
export class MaskPool {
  readonly #byHash = new Map<number, MiniMask[]>();

  /** The pooled twin of a mask. */
  intern(mask: MiniMask): MiniMask {
    let h = 0;
    for (let i = 0; i < mask.words.length; i++) {
      h = Math.imul(h ^ (mask.words[i] as number), 0x9e3779b1) ^ (mask.bits[i] as number);
    }
    const list = this.#byHash.get(h);
    if (list === undefined) {
      this.#byHash.set(h, [mask]);
      return mask;
    }
    const twin = list.find((o) => miniMaskEqual(o, mask));
    if (twin === undefined) {
      list.push(mask);
    }
    return twin ?? mask;
  }

  /** The sparse form of a match, with a pooled mask. */
  pack(m: Match): MiniMatch {
    const mini = miniMatchOf(m.flow, m.wc);
    return { mask: this.intern(mini.mask), values: mini.values };
  }
}
