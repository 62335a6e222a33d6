// A device around another one that loses, doubles, cuts, damages and swaps packets, so that tests can
// see what becomes of a switch on a bad line.
//
// Which packets are hit follows from the random numbers that are given: the same numbers, the same
// faults. Both directions have faults of their own.

import type { Rng } from "../lib/env.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Netdev, NetdevStats, SendError } from "./port.ts";

/** What may happen to a packet. */
export const FAULTS = ["drop", "duplicate", "truncate", "corrupt", "reorder"] as const;
export type Fault = (typeof FAULTS)[number];

/** One in so many packets is hit by a fault; 0 or nothing: none is. */
export type FaultRates = Partial<Record<Fault, number>>;

/** How many packets were hit. */
export type FaultCounts = Record<Fault, number>;

/** One direction. */
class Line {
  readonly counts: FaultCounts = { drop: 0, duplicate: 0, truncate: 0, corrupt: 0, reorder: 0 };
  /** A packet that the next one overtakes. */
  held: PacketBuf | null = null;
  private readonly rng: Rng;
  private readonly rates: FaultRates;

  constructor(rng: Rng, rates: FaultRates) {
    this.rng = rng;
    this.rates = rates;
  }

  private hit(fault: Fault): boolean {
    const oneIn = this.rates[fault] ?? 0;
    const isHit = oneIn > 0 && this.rng.u32() % oneIn === 0;
    this.counts[fault] += isHit ? 1 : 0;
    return isHit;
  }

  /** What comes out for a packet that goes in, which may be changed. */
  pass(p: PacketBuf): PacketBuf[] {
    if (this.hit("drop")) {
      return [];
    }
    if (this.hit("truncate")) {
      p.end = p.start + (this.rng.u32() % (p.size + 1));
    }
    if (this.hit("corrupt") && p.size > 0) {
      const at = p.start + (this.rng.u32() % p.size);
      p.bytes[at] = (p.bytes[at] as number) ^ (1 << (this.rng.u32() & 7));
    }
    const out = this.hit("duplicate") ? [p, p.clone()] : [p];
    if (this.held !== null) {
      out.push(this.held);
      this.held = null;
    } else if (this.hit("reorder")) {
      this.held = out.pop() ?? null;
    }
    return out;
  }

  /** The packet that is held back although none follows. */
  release(): PacketBuf | null {
    const p = this.held;
    this.held = null;
    return p;
  }
}

export class FaultyNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly stats: NetdevStats;
  readonly inner: Netdev;
  private readonly rx: Line;
  private readonly tx: Line;
  /** Received packets that came out of the line and have not been asked for. */
  private readonly ready: PacketBuf[] = [];

  constructor(
    inner: Netdev,
    rng: Rng,
    rates: { readonly rx?: FaultRates; readonly tx?: FaultRates },
  ) {
    ({ name: this.name, type: this.type, stats: this.stats } = inner);
    this.inner = inner;
    this.rx = new Line(rng, rates.rx ?? {});
    this.tx = new Line(rng, rates.tx ?? {});
  }

  /** Packets hit so far. */
  get faults(): { readonly rx: FaultCounts; readonly tx: FaultCounts } {
    return { rx: this.rx.counts, tx: this.tx.counts };
  }

  get waiting(): number {
    return this.inner.waiting + this.ready.length + (this.rx.held === null ? 0 : 1);
  }

  /** A line that loses a packet does not tell its sender. */
  send(p: PacketBuf): SendError | null {
    let error: SendError | null = null;
    for (const out of this.tx.pass(p.clone())) {
      error = this.inner.send(out) ?? error;
    }
    return error;
  }

  /** Sends a packet that waits to be overtaken. */
  flush(): void {
    const p = this.tx.release();
    if (p !== null) {
      this.inner.send(p);
    }
  }

  receive(): PacketBuf | null {
    for (;;) {
      const ready = this.ready.shift();
      if (ready !== undefined) {
        return ready;
      }
      const p = this.inner.receive();
      if (p === null) {
        return this.rx.release();
      }
      this.ready.push(...this.rx.pass(p));
    }
  }
}
