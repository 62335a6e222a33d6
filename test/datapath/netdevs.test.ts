// Devices around devices: recordings, faults, pairs, and what hangs at a dummy device's cable.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DummyNetdev } from "../../src/datapath/dummy-netdev.ts";
import { FAULTS, type FaultRates, FaultyNetdev } from "../../src/datapath/faulty-netdev.ts";
import {
  type Netdev,
  newNetdevStats,
  PairNetdev,
  RecordingNetdev,
} from "../../src/datapath/port.ts";
import { formatHex } from "../../src/lib/bytes.ts";
import { ManualClock, SeededRng } from "../../src/lib/env.ts";
import { PacketBuf } from "../../src/packet/packet.ts";

/** Has packets of 20 bytes that begin with 0, 1, 2…, and remembers those that it sends. */
class Counting implements Netdev {
  readonly name = "counting";
  readonly type = "test";
  readonly stats = newNetdevStats();
  readonly sent: Uint8Array[] = [];
  private next = 0;
  private readonly n: number;
  constructor(n: number) {
    this.n = n;
  }
  get waiting(): number {
    return this.n - this.next;
  }
  receive(): PacketBuf | null {
    return this.next < this.n ? numbered(this.next++) : null;
  }
  send(p: PacketBuf): null {
    this.sent.push(p.data().slice());
    return null;
  }
}

const numbered = (n: number) =>
  PacketBuf.of(Uint8Array.from({ length: 20 }, (_, i) => (i === 0 ? n : i)));

function drain(dev: Netdev): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let p = dev.receive(); p !== null; p = dev.receive()) {
    out.push(p.data().slice());
  }
  return out;
}

/** What arrives of 100 packets in either direction. */
function through(rates: FaultRates, seed: number) {
  const inner = new Counting(100);
  const dev = new FaultyNetdev(inner, new SeededRng(seed), { rx: rates, tx: rates });
  const received = drain(dev);
  for (let i = 0; i < 100; i++) {
    dev.send(numbered(i));
  }
  dev.flush();
  return { received, sent: inner.sent, faults: dev.faults, waiting: dev.waiting };
}

describe("faults", () => {
  it("a line without faults passes everything as it is", () => {
    const { received, sent } = through({}, 1);
    expect(received.map((f) => f[0])).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(sent.map((f) => formatHex(f))).toEqual(received.map((f) => formatHex(f)));
  });

  it.each(FAULTS)("%s does what it says, and counts", (fault) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1 << 30 }),
        fc.integer({ min: 1, max: 9 }),
        (seed, oneIn) => {
          const { received, sent, faults, waiting } = through({ [fault]: oneIn }, seed);
          expect(waiting).toBe(0);
          for (const [frames, counts] of [
            [received, faults.rx],
            [sent, faults.tx],
          ] as const) {
            const n = counts[fault];
            const firsts = frames.map((f) => f[0] as number);
            const whole = frames.filter((f) => f.length === 20);
            const distinct = new Set(firsts).size;
            expect(FAULTS.filter((f) => f !== fault && counts[f] > 0)).toEqual([]);
            switch (fault) {
              case "drop":
                expect([frames.length, distinct]).toEqual([100 - n, 100 - n]);
                break;
              case "duplicate":
                expect([frames.length, distinct]).toEqual([100 + n, 100]);
                break;
              case "truncate":
                expect([frames.length, frames.length - whole.length <= n]).toEqual([100, true]);
                break;
              case "corrupt": {
                const bad = frames.filter((f, i) => formatHex(f) !== formatHex(numbered(i).data()));
                expect([frames.length, bad.length]).toEqual([100, n]);
                break;
              }
              case "reorder": {
                expect([...firsts].sort((a, b) => a - b)).toEqual(
                  Array.from({ length: 100 }, (_, i) => i),
                );
                const swaps = firsts.filter(
                  (f, i) => i > 0 && f < (firsts[i - 1] as number),
                ).length;
                expect(n - swaps === 0 || n - swaps === 1).toBe(true);
                break;
              }
            }
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it("the same numbers make the same faults", () => {
    const rates = { drop: 5, duplicate: 4, truncate: 6, corrupt: 3, reorder: 2 };
    expect(through(rates, 7)).toEqual(through(rates, 7));
  });

  it("what is sent is not changed for its sender", () => {
    const dev = new FaultyNetdev(new Counting(0), new SeededRng(1), {
      tx: { corrupt: 1, truncate: 1 },
    });
    const p = numbered(3);
    dev.send(p);
    expect(formatHex(p.data())).toBe(formatHex(numbered(3).data()));
  });
});

it("a recording keeps both directions, up to its limit", () => {
  const dev = new RecordingNetdev(new Counting(5), 3);
  drain(dev);
  dev.send(numbered(9));
  expect(dev.received.map((f) => f[0])).toEqual([0, 1, 2]);
  expect([dev.sent.length, dev.beyond]).toEqual([1, 2]);
});

it("at a dummy device's cable hangs any device", () => {
  const clock = new ManualClock(0);
  const [a, b] = [new DummyNetdev("a", "dummy", 1, clock), new DummyNetdev("b", "dummy", 2, clock)];
  const wire = [new PairNetdev("wa"), new PairNetdev("wb")] as const;
  PairNetdev.connect(wire[0], wire[1]);
  a.cable = wire[0];
  b.cable = wire[1];
  expect(a.send(numbered(7))).toBeNull();
  expect(b.waiting).toBe(1);
  expect(b.receive()?.data()[0]).toBe(7);
  expect([b.waiting, b.receive(), b.stats.rxPackets]).toEqual([0, null, 1]);
});
