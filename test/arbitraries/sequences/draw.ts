// Imperative drawing on top of fast-check: a sequence of frames is easier to tell as a story than
// as a tree of arbitraries. What is drawn is reproduced by the seed; counterexamples are made
// smaller afterwards by leaving out steps (tools/oracle/smaller.ts), so nothing here shrinks.

import fc from "fast-check";

export class Draw {
  private readonly gen: fc.GeneratorValue;

  constructor(gen: fc.GeneratorValue) {
    this.gen = gen;
  }

  /** An integer of [0, max]. */
  int(max: number): number {
    return this.gen(fc.integer, { min: 0, max });
  }

  range(min: number, max: number): number {
    return this.gen(fc.integer, { min, max });
  }

  /** True in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.int(99) < percent;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(values.length - 1)] as T;
  }

  /** Some of the values, in their order. */
  some<T>(values: readonly T[], percent: number): T[] {
    return values.filter(() => this.chance(percent));
  }

  /** `min` to `max` results of `f`. */
  many<T>(min: number, max: number, f: (i: number) => T): T[] {
    return Array.from({ length: this.range(min, max) }, (_, i) => f(i));
  }

  /** One of the alternatives, drawn by weight and then run. */
  one<T>(alternatives: readonly (readonly [number, () => T])[]): T {
    const total = alternatives.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.int(total - 1);
    for (const [weight, f] of alternatives) {
      if (at < weight) {
        return f();
      }
      at -= weight;
    }
    return (alternatives[0] as readonly [number, () => T])[1]();
  }
}

/**
 * An arbitrary from a story told with draws. Left alone, fast-check prefers the ends of ranges in
 * the first runs, and each sequence is a first run.
 */
export function story<T>(tell: (d: Draw) => T): fc.Arbitrary<T> {
  return fc.noBias(fc.gen().map((gen) => tell(new Draw(gen))));
}
