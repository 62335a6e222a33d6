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
const FILTER_BITS = 8;
/** An odd number near 2**32 divided by the golden ratio. */
const OWNER_FACTOR = 0x9e3779b1;

/** A sum as its owner keeps it. */
export function seeded(sum: number, owner: number): number {
  return (sum + Math.imul(owner, OWNER_FACTOR)) | 0;
}

/** False if the filter of a table says that there is no entry with a seeded sum. */
export function mayHave(filter: Int32Array, shift: number, sum: number): boolean {
  const bit = sum >>> shift;
  return ((filter[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
}

export class RowTable {
  /** Bit `sum >>> shift` is set if there may be an entry with the seeded sum. */
  filter = new Int32Array((FIRST_PLACES * FILTER_BITS) / 32);
  shift = 32 - Math.log2(FIRST_PLACES * FILTER_BITS);
  numbers = new Int32Array(FIRST_PLACES);
  private sums = new Int32Array(FIRST_PLACES);
  private owners = new Int32Array(FIRST_PLACES);
  private used = 0;
  /** Entries removed whose bits may still be in the filter. */
  private gone = 0;

  get bytes(): number {
    return this.filter.byteLength + this.numbers.byteLength * 3;
  }

  /** The place of an entry with a seeded sum and an owner, or -1. */
  find(sum: number, owner: number): number {
    return this.findFrom(mix(sum), sum, owner);
  }

  /** The next such entry: there are more only for rows, whose sums are the same by chance. */
  findNext(place: number, sum: number, owner: number): number {
    return this.findFrom(place + 1, sum, owner);
  }

  /** Adds an entry. */
  insert(sum: number, owner: number, number: number): void {
    if (2 * (this.used + 1) > this.owners.length) {
      this.remake(2 * this.owners.length);
    }
    this.put(sum, owner, number);
  }

  /** Removes the entry with this number. */
  remove(sum: number, owner: number, number: number): void {
    let at = this.find(sum, owner);
    while (at >= 0 && this.numbers[at] !== number) {
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
    this.numbers[at] = (this.numbers[at] as number) + 1;
    return false;
  }

  /** Takes back one `count`; true if it was the last. */
  uncount(sum: number, owner: number): boolean {
    const at = this.find(sum, owner);
    const left = at < 0 ? -1 : (this.numbers[at] as number) - 1;
    if (left > 0) {
      this.numbers[at] = left;
    } else if (left === 0) {
      this.close(at);
    }
    return left === 0;
  }

  private findFrom(from: number, sum: number, owner: number): number {
    const { owners, sums } = this;
    const mask = owners.length - 1;
    for (let at = from & mask; owners[at] !== 0; at = (at + 1) & mask) {
      if (sums[at] === sum && owners[at] === owner) {
        return at;
      }
    }
    return -1;
  }

  private put(sum: number, owner: number, number: number): void {
    const mask = this.owners.length - 1;
    let at = mix(sum) & mask;
    while (this.owners[at] !== 0) {
      at = (at + 1) & mask;
    }
    this.sums[at] = sum;
    this.owners[at] = owner;
    this.numbers[at] = number;
    const bit = sum >>> this.shift;
    this.filter[bit >>> 5] = (this.filter[bit >>> 5] as number) | (1 << (bit & 31));
    this.used++;
  }

  /** Frees a place and moves back what was displaced past it. */
  private close(place: number): void {
    const { sums, owners, numbers } = this;
    const mask = owners.length - 1;
    let hole = place;
    for (let at = (hole + 1) & mask; owners[at] !== 0; at = (at + 1) & mask) {
      const home = mix(sums[at] as number) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        sums[hole] = sums[at] as number;
        owners[hole] = owners[at] as number;
        numbers[hole] = numbers[at] as number;
        hole = at;
      }
    }
    owners[hole] = 0;
    this.used--;
    if (++this.gone > this.used + FIRST_PLACES) {
      this.remake(this.owners.length);
    }
  }

  private remake(places: number): void {
    const { sums, owners, numbers } = this;
    this.sums = new Int32Array(places);
    this.owners = new Int32Array(places);
    this.numbers = new Int32Array(places);
    this.filter = new Int32Array((places * FILTER_BITS) / 32);
    this.shift = 32 - Math.log2(places * FILTER_BITS);
    this.used = 0;
    this.gone = 0;
    for (let at = 0; at < owners.length; at++) {
      if (owners[at] !== 0) {
        this.put(sums[at] as number, owners[at] as number, numbers[at] as number);
      }
    }
  }
}

/** Mixes the upper bits of a sum, which are the good ones, into the lower that choose a place. */
function mix(sum: number): number {
  const mixed = Math.imul(sum ^ (sum >>> 15), 0x85ebca6b);
  return mixed ^ (mixed >>> 16);
}
