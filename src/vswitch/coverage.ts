// Coverage counters: how often something happened, with average rates.
//
// Every five seconds the counts since the last time are filed into a window of one minute, and each
// minute into one of an hour. References: ovs: lib/coverage.c.

import type { Counters } from "../lib/counters.ts";
import { hashInt, hashString } from "../lib/hash.ts";
import { COVERAGE_NAMES, type CoverageName } from "./coverage-names.ts";

/** A slot of the minute window. */
export const COVERAGE_RUN_MS = 5000;
const MINUTE_SLOTS = 12;
const HOUR_SLOTS = 60;

interface Counter {
  /** What inc() counted; sets of counters elsewhere come on top. */
  own: number;
  /** Total when the current slot began. */
  atSlot: number;
  readonly minute: number[];
  readonly hour: number[];
}

const sum = (a: readonly number[]) => a.reduce((x, y) => x + y, 0);

export class Coverage {
  private readonly counters = new Map<string, Counter>();
  /** Sets that datapaths and the like count in themselves. */
  private readonly sets: Counters<string>[] = [];
  private readonly derived: (readonly [CoverageName, () => number])[] = [];
  private slots = 0;
  private nextSlotMs: number | undefined;

  private counter(name: string): Counter {
    let c = this.counters.get(name);
    if (c === undefined) {
      const zeros = (n: number) => new Array<number>(n).fill(0);
      c = { own: 0, atSlot: 0, minute: zeros(MINUTE_SLOTS), hour: zeros(HOUR_SLOTS) };
      this.counters.set(name, c);
    }
    return c;
  }

  inc(name: CoverageName, by = 1): void {
    this.counter(name).own += by;
  }

  /** What somebody else knows the count of is asked for when it is shown. */
  derive(name: CoverageName, count: () => number): void {
    this.derived.push([name, count]);
  }

  /** Counters that somebody else keeps are shown as well, those of one name as their sum. */
  include(set: Counters<string>): void {
    this.sets.push(set);
  }

  private names(): string[] {
    return [...new Set([...COVERAGE_NAMES, ...this.sets.flatMap((s) => s.table.names)])];
  }

  private total(name: string): number {
    const elsewhere = this.sets.map((s) => (name in s.table.index ? s.get(name) : 0));
    const asked = this.derived.map(([n, count]) => (n === name ? count() : 0));
    return (this.counters.get(name)?.own ?? 0) + sum(elsewhere) + sum(asked);
  }

  /** The count of a counter that exists. */
  read(name: string): number | undefined {
    return this.names().includes(name) ? this.total(name) : undefined;
  }

  /** Closes the slots that have ended. */
  run(nowMs: number): void {
    this.nextSlotMs ??= nowMs + COVERAGE_RUN_MS;
    if (nowMs >= this.nextSlotMs) {
      const names = this.names();
      for (let n = 0; nowMs >= this.nextSlotMs && n < MINUTE_SLOTS * HOUR_SLOTS; n++) {
        // Whatever was counted lies in the first of them.
        this.closeSlot(names, n === 0);
        this.nextSlotMs += COVERAGE_RUN_MS;
      }
    }
    // After a jump of more than an hour nothing of the windows is left.
    this.nextSlotMs = Math.max(this.nextSlotMs, nowMs - (nowMs % COVERAGE_RUN_MS));
  }

  private closeSlot(names: readonly string[], isFresh: boolean): void {
    for (const name of names) {
      const c = this.counter(name);
      const total = isFresh ? this.total(name) : c.atSlot;
      c.minute[this.slots % MINUTE_SLOTS] = total - c.atSlot;
      c.atSlot = total;
      if (this.slots % MINUTE_SLOTS === MINUTE_SLOTS - 1) {
        c.hour[Math.floor(this.slots / MINUTE_SLOTS) % HOUR_SLOTS] = sum(c.minute);
      }
    }
    this.slots++;
  }

  /** Names in groups of equal totals, folded into one number, so that like runs are known. */
  private hash(): number {
    const hit = this.names()
      .map((name) => ({ name, total: this.total(name) }))
      .filter((c) => c.total > 0)
      .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
    let hash = 0;
    let groups = 0;
    for (const [i, c] of hit.entries()) {
      if (i === 0 || hit[i - 1]?.total !== c.total) {
        groups++;
        hash = hashInt(i, hash);
      }
      hash = hashString(c.name, hash);
    }
    return hashInt(groups, hash) >>> 0;
  }

  /** What coverage/show prints. */
  format(): string {
    const hash = this.hash().toString(16).padStart(8, "0");
    const head = `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${hash}:`;
    const last = (this.slots + MINUTE_SLOTS - 1) % MINUTE_SLOTS;
    const names = this.names();
    const lines = names.flatMap((name) => {
      const c = this.counter(name);
      const total = this.total(name);
      if (total === 0) {
        return [];
      }
      const slot = (((c.minute[last] ?? 0) * 1000) / COVERAGE_RUN_MS).toFixed(1).padStart(5);
      const minute = (sum(c.minute) / 60).toFixed(3).padStart(9);
      const hour = (sum(c.hour) / 3600).toFixed(4).padStart(13);
      const rates = `${slot}/sec ${minute}/sec ${hour}/sec`;
      return [`${name.padEnd(24)} ${rates}   total: ${total}`];
    });
    const never = names.length - lines.length;
    return [head, ...lines, `${never} events never hit`].map((l) => `${l}\n`).join("");
  }
}
