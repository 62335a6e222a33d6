// What bridges learn: the MAC table against a naive one, the heap under it, multicast groups.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HeapNode, MaxHeap } from "../../src/lib/max-heap.ts";
import { MacLearning } from "../../src/openflow/mac-learning.ts";
import { mappedIpv4, McastSnooping } from "../../src/openflow/mcast-snooping.ts";
import { type Bundle, bundle } from "./bundles.ts";

const BUNDLES = ["a", "b", "c"].map((name) => bundle({ name }));
const IDLE_S = 300;

/** Entries in order of use, each looked for one by one. */
class NaiveTable {
  entries: { mac: number; vlan: number; bundle: Bundle; seenS: number }[] = [];

  update(mac: number, vlan: number, b: Bundle, nowS: number): boolean {
    const old = this.entries.find((e) => e.mac === mac && e.vlan === vlan);
    if (old?.bundle === b && old.seenS === nowS) {
      return false;
    }
    const fresh = { mac, vlan, bundle: b, seenS: nowS };
    this.entries = [...this.entries.filter((e) => e !== old), fresh];
    return old?.bundle !== b;
  }

  run(nowS: number): void {
    this.entries = this.entries.filter((e) => nowS < e.seenS + IDLE_S);
  }
}

type MacStep =
  | { op: "see"; mac: number; vlan: number; at: number }
  | { op: "wait"; s: number }
  | { op: "flush"; at: number };

const macStep: fc.Arbitrary<MacStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("see" as const),
      mac: fc.integer({ min: 1, max: 6 }),
      vlan: fc.constantFrom(0, 10),
      at: fc.nat(BUNDLES.length - 1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("wait" as const),
      s: fc.constantFrom(0, 1, 100, 299, 301),
    }),
  },
  fc.record({ op: fc.constant("flush" as const), at: fc.nat(BUNDLES.length - 1) }),
);

describe("the MAC table", () => {
  it("answers as a naive one does", () => {
    fc.assert(
      fc.property(fc.array(macStep, { maxLength: 60 }), (steps) => {
        const ml = new MacLearning(IDLE_S);
        const naive = new NaiveTable();
        let nowS = 10;
        for (const step of steps) {
          if (step.op === "see") {
            const b = BUNDLES[step.at] as Bundle;
            const { mac: lo, vlan } = step;
            const sighting = { hi: 0x5054, lo, vlan, gratuitousArp: false, isBond: false };
            const changed = ml.update({ ...sighting, bundle: b }, nowS * 1000);
            expect(changed).toBe(naive.update(lo, vlan, b, nowS));
          } else if (step.op === "wait") {
            nowS += step.s;
            ml.run(nowS * 1000);
            naive.run(nowS);
          } else {
            const b = BUNDLES[step.at] as Bundle;
            ml.flushBundle(b, []);
            naive.entries = naive.entries.filter((e) => e.bundle !== b);
          }
          const entries = [...ml.entries()].map((e) => ({
            mac: e.lo,
            vlan: e.vlan,
            bundle: e.bundle?.name,
            age: ml.age(e, nowS * 1000),
          }));
          const wanted = naive.entries.map((e) => ({
            mac: e.mac,
            vlan: e.vlan,
            bundle: e.bundle.name,
            age: nowS - e.seenS,
          }));
          expect(entries).toEqual(wanted);
        }
      }),
    );
  });

  it("never grows over its limit, and lets the bundle with the most entries pay", () => {
    const ml = new MacLearning();
    ml.setMaxEntries(10);
    const [many, few] = BUNDLES as [Bundle, Bundle];
    const see = (lo: number, b: Bundle) =>
      ml.update({ hi: 2, lo, vlan: 0, gratuitousArp: false, isBond: false, bundle: b }, 1000);
    see(1, few);
    for (let lo = 100; lo < 150; lo++) {
      see(lo, many);
      expect(ml.size).toBeLessThanOrEqual(10);
    }
    expect(ml.lookup(2, 1, 0)?.bundle).toBe(few);
    expect(ml.totalEvicted).toBe(41);
  });

  it("keeps static entries from moving, aging and flushing", () => {
    const ml = new MacLearning();
    const [a, b] = BUNDLES as [Bundle, Bundle];
    ml.addStatic(2, 1, 0, a, 0);
    ml.update({ hi: 2, lo: 1, vlan: 0, gratuitousArp: false, isBond: false, bundle: b }, 5000);
    ml.run(1e9);
    ml.flush();
    expect(ml.lookup(2, 1, 0)?.bundle).toBe(a);
    expect(ml.deleteStatic(2, 1, 0)).toBe(true);
    expect(ml.size).toBe(0);
  });

  it("learns no multicast address", () => {
    const ml = new MacLearning();
    const b = BUNDLES[0] as Bundle;
    const sighting = { lo: 1, vlan: 0, gratuitousArp: false, isBond: false, bundle: b };
    expect(ml.update({ hi: 0x0100, ...sighting }, 0)).toBe(false);
    expect(ml.size).toBe(0);
  });
});

describe("the heap", () => {
  it("has the greatest first, whatever is put in, changed and taken out", () => {
    const step = fc.tuple(fc.constantFrom("insert", "change", "remove"), fc.nat(9), fc.nat(20));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const heap = new MaxHeap<HeapNode>();
        const nodes: HeapNode[] = [];
        for (const [op, at, priority] of steps) {
          const node = nodes[at % Math.max(1, nodes.length)];
          if (op === "insert" || node === undefined) {
            const fresh = { heapIndex: 0, priority: 0 };
            nodes.push(fresh);
            heap.insert(fresh, priority);
          } else if (op === "change") {
            heap.change(node, priority);
          } else {
            heap.remove(node);
            nodes.splice(nodes.indexOf(node), 1);
          }
          expect(heap.size).toBe(nodes.length);
          const max = Math.max(...nodes.map((n) => n.priority));
          expect(heap.max()?.priority ?? Number.NEGATIVE_INFINITY).toBe(max);
        }
      }),
    );
  });
});

describe("multicast snooping", () => {
  const group = mappedIpv4(0xef010101);
  const [a, b] = BUNDLES as [Bundle, Bundle];

  it("forgets a group with its last listener", () => {
    const ms = new McastSnooping();
    expect(ms.addGroup(group, { vlan: 0, bundle: a, nowMs: 0 })).toBe(true);
    expect(ms.addGroup(group, { vlan: 0, bundle: b, nowMs: 100_000 })).toBe(false);
    expect([...(ms.lookup(group, 0)?.bundles.keys() ?? [])]).toEqual([a, b]);
    ms.run(300_000);
    expect([...(ms.lookup(group, 0)?.bundles.keys() ?? [])]).toEqual([b]);
    ms.run(400_000);
    expect(ms.lookup(group, 0)).toBe(null);
  });

  it("keeps VLANs apart", () => {
    const ms = new McastSnooping();
    ms.addGroup(group, { vlan: 10, bundle: a, nowMs: 0 });
    expect(ms.lookup(group, 0)).toBe(null);
    expect(ms.leaveGroup(group, { vlan: 0, bundle: a, nowMs: 0 })).toBe(false);
    expect(ms.leaveGroup(group, { vlan: 10, bundle: a, nowMs: 0 })).toBe(true);
  });

  it("needs no groups on a bundle that gets everything", () => {
    const ms = new McastSnooping();
    ms.setPortFlood(a, true);
    ms.addRouter({ vlan: 0, bundle: b, nowMs: 0 });
    expect(ms.addGroup(group, { vlan: 0, bundle: a, nowMs: 0 })).toBe(false);
    expect(ms.addGroup(group, { vlan: 0, bundle: b, nowMs: 0 })).toBe(false);
  });

  it("reads any bytes as a report without growing over its limit", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 20 }), (reports) => {
        const ms = new McastSnooping();
        ms.setMaxEntries(10);
        for (const bytes of reports) {
          ms.addReport(bytes, { vlan: 0, bundle: a, nowMs: 0 });
          const mld = Uint8Array.from(bytes);
          mld.set([143].slice(0, mld.length));
          ms.addMld(mld, { vlan: 0, bundle: a, nowMs: 0 });
          expect([...ms.groups()].length).toBeLessThanOrEqual(10);
        }
      }),
    );
  });
});
