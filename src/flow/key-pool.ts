// Keys that nobody needs at the moment.
//
// Making a key costs more than filling it: an array of its length lives outside of the heap. A
// translation takes what it needs for a while from here and gives it back. A key that is not given
// back is no harm, only garbage.

import { type FlowKey, KEY_WORDS } from "./flow-key.ts";

/** Keys that wait; nested translations take some each. */
export const KEY_POOL_MAX = 64;

/** Keys that are cut from one array at a time; it stays as long as one of them is in use. */
const SLAB_KEYS = 32;
/** The same for keys of a pool: few of them stay, and those should not keep many others. */
const POOL_SLAB_KEYS = 8;

/** Makes keys that are kept: cheaper than arrays of their own. */
export class KeySlab {
  private readonly keys: number;
  private slab = new Uint32Array(0);
  private at = 0;

  constructor(keys = SLAB_KEYS) {
    this.keys = keys;
  }

  /** A key that is all 0. */
  zero(): FlowKey {
    if (this.at === this.slab.length) {
      this.slab = new Uint32Array(this.keys * KEY_WORDS);
      this.at = 0;
    }
    const key = this.slab.subarray(this.at, this.at + KEY_WORDS);
    this.at += KEY_WORDS;
    return key;
  }

  copyOf(key: FlowKey): FlowKey {
    const copy = this.zero();
    copy.set(key);
    return copy;
  }
}

export class KeyPool {
  private readonly spare: FlowKey[] = [];
  private readonly slab = new KeySlab(POOL_SLAB_KEYS);

  /** A key that is all 0. */
  zero(): FlowKey {
    const key = this.spare.pop();
    return key === undefined ? this.slab.zero() : key.fill(0);
  }

  copyOf(key: FlowKey): FlowKey {
    const copy = this.spare.pop();
    if (copy === undefined) {
      return this.slab.copyOf(key);
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
