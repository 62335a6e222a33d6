// HashCounts: how often each 32-bit hash was added. Tells a lookup that no rule of a subtable agrees
// with the packet up to some stage. (ovs: lib/ccmap.h.)
//
// Open addressing with linear probing over one typed array, each place being a hash and its count;
// removal shifts the cluster back, so there are no tombstones. A count of 0 marks a free place.
// Hashes are signed numbers.

const FIRST_CAPACITY = 4;
/** Words of a place: the hash, then the count. */
const COUNT = 1;
const PLACE_WORDS = 2;

export class HashCounts {
  private places = new Int32Array(FIRST_CAPACITY * PLACE_WORDS);
  private distinct = 0;

  /** Bytes held by the array. */
  get bytes(): number {
    return this.places.byteLength;
  }

  /** Number of different hashes. */
  get size(): number {
    return this.distinct;
  }

  /** The hash, if there is just one, else null. */
  only(): number | null {
    for (let at = 0; this.distinct === 1 && at < this.places.length; at += PLACE_WORDS) {
      if (this.places[at + COUNT] !== 0) {
        return this.places[at] as number;
      }
    }
    return null;
  }

  has(hash: number): boolean {
    return this.places[this.place(hash) + COUNT] !== 0;
  }

  add(hash: number): void {
    const at = this.place(hash);
    const count = this.places[at + COUNT] as number;
    if (count === 0) {
      if (2 * PLACE_WORDS * (this.distinct + 1) > this.places.length) {
        this.grow();
        this.add(hash);
        return;
      }
      this.places[at] = hash;
      this.distinct++;
    }
    this.places[at + COUNT] = count + 1;
  }

  /** Takes back one `add` of the same hash. */
  remove(hash: number): void {
    const at = this.place(hash);
    const count = this.places[at + COUNT] as number;
    if (count > 1) {
      this.places[at + COUNT] = count - 1;
    } else if (count === 1) {
      this.distinct--;
      this.close(at);
    }
  }

  /** Where the hash is, or the free place where it would go. */
  private place(hash: number): number {
    const { places } = this;
    const mask = places.length - 1;
    let at = (spread(hash) << 1) & mask;
    while (places[at + COUNT] !== 0 && places[at] !== hash) {
      at = (at + PLACE_WORDS) & mask;
    }
    return at;
  }

  /** Frees a place and moves back what was displaced past it. */
  private close(free: number): void {
    const { places } = this;
    const mask = places.length - 1;
    let hole = free;
    let at = (hole + PLACE_WORDS) & mask;
    while (places[at + COUNT] !== 0) {
      const home = (spread(places[at] as number) << 1) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        places[hole] = places[at] as number;
        places[hole + COUNT] = places[at + COUNT] as number;
        hole = at;
      }
      at = (at + PLACE_WORDS) & mask;
    }
    places[hole + COUNT] = 0;
  }

  private grow(): void {
    const old = this.places;
    this.places = new Int32Array(old.length * 2);
    for (let i = 0; i < old.length; i += PLACE_WORDS) {
      if (old[i + COUNT] !== 0) {
        const at = this.place(old[i] as number);
        this.places[at] = old[i] as number;
        this.places[at + COUNT] = old[i + COUNT] as number;
      }
    }
  }
}

/** Folds the well mixed upper half of a hash into the lower, which indexes the table. */
function spread(hash: number): number {
  return hash ^ (hash >>> 16);
}
