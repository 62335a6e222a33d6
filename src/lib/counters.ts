// Declared counters: a set has a name and, for each counter, a name and what it counts.
//
// A module declares its set once as a table and makes one instance per owner, so that no state
// hangs from the module. Increments are an index into a Float64Array: exact to 2^53.

export interface CounterRow {
  readonly name: string;
  readonly text: string;
  readonly count: number;
}

/** A set of counters as a module declares it. */
export interface CounterTable<N extends string> {
  readonly set: string;
  readonly names: readonly N[];
  readonly texts: Readonly<Record<N, string>>;
  readonly index: Readonly<Record<N, number>>;
}

export function counterTable<N extends string>(
  set: string,
  texts: Readonly<Record<N, string>>,
): CounterTable<N> {
  // The keys of a record of N are N's.
  const names = Object.keys(texts) as N[];
  const index = Object.fromEntries(names.map((n, i) => [n, i])) as Record<N, number>;
  return Object.freeze({ set, names, texts, index });
}

export class Counters<N extends string> {
  readonly table: CounterTable<N>;
  readonly counts: Float64Array;
  /** Increments of all counters together, so that a change is seen at a glance. */
  total = 0;

  constructor(table: CounterTable<N>) {
    this.table = table;
    this.counts = new Float64Array(table.names.length);
  }

  inc(name: N, by = 1): void {
    const i = this.table.index[name];
    this.counts[i] = (this.counts[i] as number) + by;
    this.total += by;
  }

  get(name: N): number {
    return this.counts[this.table.index[name]] as number;
  }

  snapshot(): CounterRow[] {
    return this.table.names.map((name, i) => ({
      name,
      text: this.table.texts[name],
      count: this.counts[i] as number,
    }));
  }

  reset(): void {
    this.counts.fill(0);
    this.total = 0;
  }
}

/** The rows of several sets, those of one name as their sum. */
export function sumCounters(sets: readonly Counters<string>[]): CounterRow[] {
  const rows = new Map<string, CounterRow>();
  for (const row of sets.flatMap((s) => s.snapshot())) {
    const there = rows.get(row.name);
    rows.set(row.name, { ...row, count: row.count + (there?.count ?? 0) });
  }
  return [...rows.values()];
}
