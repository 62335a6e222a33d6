// RowTable: one hash table for the stages and rows of all subtables of a classifier.
//
// An entry has a sum of masked words (stage-tree.ts), an owner (a stage of a subtable) and a number.
// For a stage but the last the number counts the rows with that sum: a packet whose sum is not there
// can match none, and has been looked at only so far. For the last stage it is the number of the row,
// under which the classifier has the rules. (ovs: lib/ccmap.h, lib/cmap.h.)
//
// Most questions are answered "no", and nearly all of these by a filter: a bit that is not set says
// that there is no such entry. It has FILTER_BITS bits for each place of the table, so that the words
// in use stay in the processor's cache. Removal leaves bits behind; when as many entries have gone as
// are left, the table is made anew.
//
// Each owner adds a number of its own to its sums (`seeded`), for the small values that many masks
// have in common would crowd otherwise.
//
// Invariants: owner 0 marks a free place and is no owner; probing is linear and a cluster has no gaps
// (removal moves back what was displaced).

const FIRST_PLACES = 8;
/** Bits of the filter for each place. */
const FILTER_BITS = 16;

/** A sum as its owner keeps it. The factor is near 2**32 divided by the golden ratio. */
export function seeded(sum: number, owner: number): number {
  return (sum + Math.imul(owner, 0x9e3779b1)) | 0;
}

/** False if the filter of a table says that there is no entry with a seeded sum. */
export function mayHave(filter: Int32Array, shift: number, sum: number): boolean {
  const bit = sum >>> shift;
  return ((filter[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
}

// A place: the owner, the seeded sum, the number.
const SUM = 1;
const NUMBER = 2;
const PLACE = 3;

export class RowTable {
  /** Bit `sum >>> shift` is set if there may be an entry with the seeded sum. */
  filter = new Int32Array((FIRST_PLACES * FILTER_BITS) / 32);
  shift = 32 - Math.log2(FIRST_PLACES * FILTER_BITS);
  private places = new Int32Array(FIRST_PLACES * PLACE);
  /** The number of places less one. */
  private mask = FIRST_PLACES - 1;
  private used = 0;
  /** Entries removed whose bits may still be in the filter. */
  private gone = 0;

  get bytes(): number {
    return this.filter.byteLength + this.places.byteLength;
  }

  /** The place of an entry with a seeded sum and an owner, or -1. */
  find(sum: number, owner: number): number {
    return this.findFrom(mix(sum), sum, owner);
  }

  /** The next such entry: there are more only for rows, whose sums are the same by chance. */
  findNext(place: number, sum: number, owner: number): number {
    return this.findFrom(place + 1, sum, owner);
  }

  /** The number of the entry at a place. */
  numberAt(place: number): number {
    return this.places[place * PLACE + NUMBER] as number;
  }

  /** Adds an entry. */
  insert(sum: number, owner: number, number: number): void {
    if (4 * (this.used + 1) > 3 * (this.mask + 1)) {
      this.remake(2 * (this.mask + 1));
    }
    this.put(sum, owner, number);
  }

  /** Removes the entry with this number. */
  remove(sum: number, owner: number, number: number): void {
    let at = this.find(sum, owner);
    while (at >= 0 && this.numberAt(at) !== number) {
      at = this.findNext(at, sum, owner);
    }
    if (at >= 0) {
      this.close(at);
    }
  }

  /** Counts one more of a sum; true if it is the first. */
  count(sum: number, owner: number): boolean {
    const at = this.find(sum, owner);
    if (at < 0) {
      this.insert(sum, owner, 1);
      return true;
    }
    this.places[at * PLACE + NUMBER] = this.numberAt(at) + 1;
    return false;
  }

  /** Takes back one `count`; true if it was the last. */
  uncount(sum: number, owner: number): boolean {
    const at = this.find(sum, owner);
    const left = at < 0 ? -1 : this.numberAt(at) - 1;
    if (left > 0) {
      this.places[at * PLACE + NUMBER] = left;
    } else if (left === 0) {
      this.close(at);
    }
    return left === 0;
  }

  private findFrom(from: number, sum: number, owner: number): number {
    const { places, mask } = this;
    for (let at = from & mask; ; at = (at + 1) & mask) {
      const there = places[at * 3] as number;
      if (there === 0) {
        return -1;
      }
      if (there === owner && places[at * 3 + 1] === sum) {
        return at;
      }
    }
  }

  private put(sum: number, owner: number, number: number): void {
    const { places, mask } = this;
    let at = mix(sum) & mask;
    while (places[at * PLACE] !== 0) {
      at = (at + 1) & mask;
    }
    places[at * PLACE] = owner;
    places[at * PLACE + SUM] = sum;
    places[at * PLACE + NUMBER] = number;
    const bit = sum >>> this.shift;
    this.filter[bit >>> 5] = (this.filter[bit >>> 5] as number) | (1 << (bit & 31));
    this.used++;
  }

  /** Frees a place and moves back what was displaced past it. */
  private close(place: number): void {
    const { places, mask } = this;
    let hole = place;
    for (let at = (hole + 1) & mask; places[at * PLACE] !== 0; at = (at + 1) & mask) {
      const home = mix(places[at * PLACE + SUM] as number) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        places.copyWithin(hole * PLACE, at * PLACE, (at + 1) * PLACE);
        hole = at;
      }
    }
    places[hole * PLACE] = 0;
    this.used--;
    if (++this.gone > this.used + FIRST_PLACES) {
      this.remake(mask + 1);
    }
  }

  private remake(count: number): void {
    const old = this.places;
    this.places = new Int32Array(count * PLACE);
    this.mask = count - 1;
    this.filter = new Int32Array((count * FILTER_BITS) / 32);
    this.shift = 32 - Math.log2(count * FILTER_BITS);
    this.used = 0;
    this.gone = 0;
    for (let p = 0; p < old.length; p += PLACE) {
      if (old[p] !== 0) {
        this.put(old[p + SUM] as number, old[p] as number, old[p + NUMBER] as number);
      }
    }
  }
}

/** Mixes the upper bits of a sum, which are the good ones, into the lower that choose a place. */
function mix(sum: number): number {
  const mixed = Math.imul(sum ^ (sum >>> 15), 0x85ebca6b);
  return mixed ^ (mixed >>> 16);
}
