// Keys that nobody needs at the moment.
//
// Making a key costs more than filling it: an array of its length lives outside of the heap. A
// translation takes what it needs for a while from here and gives it back. A key that is not given
// back is no harm, only garbage.

import { type FlowKey, KEY_WORDS, newKey } from "./flow-key.ts";

/** Keys that wait; nested translations take some each. */
export const KEY_POOL_MAX = 64;

export class KeyPool {
  private readonly spare: FlowKey[] = [];

  /** A key that is all 0. */
  zero(): FlowKey {
    const key = this.spare.pop();
    return key === undefined ? newKey() : key.fill(0);
  }

  copyOf(key: FlowKey): FlowKey {
    const copy = this.spare.pop();
    if (copy === undefined) {
      return key.slice();
    }
    copy.set(key);
    return copy;
  }

  /** Takes back a key to which nobody else has a reference. */
  give(key: FlowKey): void {
    if (this.spare.length < KEY_POOL_MAX) {
      this.spare.push(key);
    }
  }
}

/** Keys that are cut from one array at a time; it stays as long as one of them is in use. */
const SLAB_KEYS = 32;

/** Makes copies that are kept: cheaper than arrays of their own. */
export class KeySlab {
  private slab = new Uint32Array(0);
  private at = 0;

  copyOf(key: FlowKey): FlowKey {
    if (this.at === this.slab.length) {
      this.slab = new Uint32Array(SLAB_KEYS * KEY_WORDS);
      this.at = 0;
    }
    const copy = this.slab.subarray(this.at, this.at + KEY_WORDS);
    this.at += KEY_WORDS;
    copy.set(key);
    return copy;
  }
}
