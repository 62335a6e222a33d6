// HashCounts: how often each 32-bit hash was added. Tells a lookup that no rule of a subtable agrees
// with the packet up to some stage. (ovs: lib/ccmap.h.)
//
// Open addressing with linear probing over two typed arrays; removal shifts the cluster back, so
// there are no tombstones. A count of 0 marks a free place.

const FIRST_CAPACITY = 4;

export class HashCounts {
  private keys = new Uint32Array(FIRST_CAPACITY);
  private counts = new Uint32Array(FIRST_CAPACITY);
  private distinct = 0;

  /** Bytes held by the arrays. */
  get bytes(): number {
    return this.keys.byteLength + this.counts.byteLength;
  }

  /** Number of different hashes. */
  get size(): number {
    return this.distinct;
  }

  /** The hash, if there is just one, else -1. */
  only(): number {
    return this.distinct === 1 ? (this.keys[this.counts.findIndex((c) => c !== 0)] as number) : -1;
  }

  has(hash: number): boolean {
    return this.counts[this.place(hash)] !== 0;
  }

  add(hash: number): void {
    const at = this.place(hash);
    if (this.counts[at] === 0) {
      if (2 * (this.distinct + 1) > this.keys.length) {
        this.grow();
        this.add(hash);
        return;
      }
      this.keys[at] = hash;
      this.distinct++;
    }
    this.counts[at] = (this.counts[at] as number) + 1;
  }

  /** Takes back one `add` of the same hash. */
  remove(hash: number): void {
    const at = this.place(hash);
    const count = this.counts[at] as number;
    if (count > 1) {
      this.counts[at] = count - 1;
    } else if (count === 1) {
      this.distinct--;
      this.close(at);
    }
  }

  /** Where the hash is, or the free place where it would go. */
  private place(hash: number): number {
    const mask = this.keys.length - 1;
    let at = spread(hash) & mask;
    while (this.counts[at] !== 0 && this.keys[at] !== hash) {
      at = (at + 1) & mask;
    }
    return at;
  }

  /** Frees a place and moves back what was displaced past it. */
  private close(free: number): void {
    const mask = this.keys.length - 1;
    let hole = free;
    let at = (hole + 1) & mask;
    while (this.counts[at] !== 0) {
      const home = spread(this.keys[at] as number) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        this.keys[hole] = this.keys[at] as number;
        this.counts[hole] = this.counts[at] as number;
        hole = at;
      }
      at = (at + 1) & mask;
    }
    this.counts[hole] = 0;
  }

  private grow(): void {
    const { keys, counts } = this;
    this.keys = new Uint32Array(keys.length * 2);
    this.counts = new Uint32Array(keys.length * 2);
    for (let i = 0; i < keys.length; i++) {
      if (counts[i] !== 0) {
        const at = this.place(keys[i] as number);
        this.keys[at] = keys[i] as number;
        this.counts[at] = counts[i] as number;
      }
    }
  }
}

/** Folds the well mixed upper half of a hash into the lower, which indexes the table. */
function spread(hash: number): number {
  return hash ^ (hash >>> 16);
}
