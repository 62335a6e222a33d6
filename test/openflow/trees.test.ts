// Laws of spanning trees: any connected topology of bridges ends as a tree that reaches all of them,
// with STP and with RSTP; no BPDU, however short or odd, throws or makes a loop of machines.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/lib/env.ts";
import { Vlog } from "../../src/lib/vlog.ts";
import { Rstp } from "../../src/openflow/rstp.ts";
import type { RstpPort } from "../../src/openflow/rstp-port.ts";
import { Stp } from "../../src/openflow/stp.ts";
import type { StpPort } from "../../src/openflow/stp-port.ts";

const log = new Vlog(new ManualClock(0));

interface Link {
  readonly a: number;
  readonly b: number;
  readonly costA: number;
  readonly costB: number;
}

interface Topology {
  readonly bridges: number;
  readonly priorities: readonly number[];
  readonly links: readonly Link[];
}

/** A connected graph: each bridge hangs from an earlier one, then any further links. */
const topology: fc.Arbitrary<Topology> = fc.integer({ min: 1, max: 6 }).chain((bridges) => {
  const cost = fc.integer({ min: 1, max: 200 });
  const link = (a: fc.Arbitrary<number>, b: fc.Arbitrary<number>) =>
    fc.record({ a, b, costA: cost, costB: cost });
  const any = fc.nat({ max: bridges - 1 });
  const trunk = Array.from({ length: bridges - 1 }, (_, i) =>
    link(fc.constant(i + 1), fc.nat({ max: i })),
  );
  return fc
    .record({
      priorities: fc.array(fc.constantFrom(0, 4096, 32768, 61440), {
        minLength: bridges,
        maxLength: bridges,
      }),
      trunk: fc.tuple(...trunk),
      more: fc.array(link(any, any), { maxLength: 4 }),
    })
    .map((t) => ({ bridges, priorities: t.priorities, links: [...t.trunk, ...t.more] }));
});

/** A world of bridges and wires, of either protocol. */
interface World {
  /** Lets so many seconds pass. */
  run(seconds: number): void;
  forwards(end: End): boolean;
  readonly roots: readonly bigint[];
}

/** One end of a link. */
interface End {
  readonly bridge: number;
  readonly link: number;
  readonly side: "a" | "b";
}

const keyOf = (e: End): string => `${e.link}${e.side}`;
const peerOf = (e: End, links: readonly Link[]): End => {
  const side = e.side === "a" ? "b" : "a";
  const link = links[e.link] as Link;
  return { bridge: link[side], link: e.link, side };
};
const endsOf = (links: readonly Link[]): End[] =>
  links.flatMap((l, link) => [
    { bridge: l.a, link, side: "a" as const },
    { bridge: l.b, link, side: "b" as const },
  ]);

function stpWorld(t: Topology): World {
  const ports = new Map<string, StpPort<End>>();
  const bridges = t.priorities.map(
    (_, i) =>
      new Stp<End>({
        name: `br${i}`,
        bridgeId: BigInt(i + 1),
        log,
        changed: () => {},
        send: (p, bpdu) => {
          const peer = p.owner === null ? undefined : ports.get(keyOf(peerOf(p.owner, t.links)));
          if (peer !== undefined) {
            bridges[peer.owner?.bridge ?? 0]?.received(peer, bpdu);
          }
        },
      }),
  );
  bridges.forEach((b, i) => {
    b.setPriority(t.priorities[i] as number);
  });
  const used = t.priorities.map(() => 0);
  for (const end of endsOf(t.links)) {
    const stp = bridges[end.bridge] as Stp<End>;
    const n = used[end.bridge] as number;
    used[end.bridge] = n + 1;
    const port = stp.ports[n] as StpPort<End>;
    stp.enablePort(port);
    port.owner = end;
    const link = t.links[end.link] as Link;
    stp.setPathCost(port, end.side === "a" ? link.costA : link.costB);
    ports.set(keyOf(end), port);
  }
  return {
    run: (seconds) => {
      for (let s = 0; s < seconds; s++) {
        for (const b of bridges) {
          b.tick(1000);
        }
      }
    },
    forwards: (end) => ports.get(keyOf(end))?.forward === true,
    get roots() {
      return bridges.map((b) => b.designatedRoot);
    },
  };
}

function rstpWorld(t: Topology): World {
  const ports = new Map<string, RstpPort<End>>();
  const bridges: Rstp<End>[] = t.priorities.map((priority, i) => {
    const rstp = new Rstp<End>({
      name: `br${i}`,
      address: BigInt(i + 1),
      log,
      changed: () => {},
      send: (p, bpdu) => {
        const peer = p.owner === null ? undefined : ports.get(keyOf(peerOf(p.owner, t.links)));
        if (peer !== undefined) {
          bridges[peer.owner?.bridge ?? 0]?.received(peer, bpdu);
        }
      },
    });
    const times = { maxAgeS: 20, forwardDelayS: 15, transmitHoldCount: 6 };
    rstp.configure({ address: BigInt(i + 1), priority, forceVersion: 2, ...times });
    return rstp;
  });
  for (const end of endsOf(t.links)) {
    const rstp = bridges[end.bridge] as Rstp<End>;
    const port = rstp.addPort();
    const link = t.links[end.link] as Link;
    ports.set(keyOf(end), port);
    rstp.configurePort(port, end, {
      number: 0,
      name: keyOf(end),
      priority: 128,
      pathCost: end.side === "a" ? link.costA : link.costB,
      adminEdge: false,
      autoEdge: true,
      adminPointToPoint: 1,
      adminEnabled: true,
      mcheck: false,
    });
    rstp.setMacOperational(port, true);
  }
  return {
    run: (seconds) => {
      for (let s = 0; s < seconds; s++) {
        for (const b of bridges) {
          b.tick();
        }
      }
    },
    forwards: (end) => ports.get(keyOf(end))?.forward === true,
    get roots() {
      return bridges.map((b) => b.rootPriority.rootId);
    },
  };
}

/** Links that carry frames: both ends forward. A link of a bridge with itself never may. */
function activeLinks(t: Topology, w: World): Link[] {
  return t.links.filter((_, link) =>
    endsOf(t.links)
      .filter((e) => e.link === link)
      .every((e) => w.forwards(e)),
  );
}

/** Joins bridges by links; null as soon as a link joins what is joined already: a loop. */
function components(t: Topology, links: readonly Link[]): number | null {
  const of = t.priorities.map((_, i) => i);
  const find = (i: number): number => (of[i] === i ? i : find(of[i] as number));
  let n = t.bridges;
  for (const { a, b } of links) {
    const [x, y] = [find(a), find(b)];
    if (x === y) {
      return null;
    }
    of[x] = y;
    n--;
  }
  return n;
}

const WORLDS = { STP: stpWorld, RSTP: rstpWorld } as const;
/** Long enough for old news to die and ports to go through all their states. */
const SETTLE_S = 120;

describe("spanning trees", () => {
  for (const [name, world] of Object.entries(WORLDS)) {
    it(`${name}: what forwards is one tree over all bridges, with the least bridge as its root`, () => {
      fc.assert(
        fc.property(topology, (t) => {
          const w = world(t);
          w.run(SETTLE_S);
          expect(components(t, activeLinks(t, w))).toBe(1);
          const ids = t.priorities.map((p, i) => (BigInt(p) << 48n) | BigInt(i + 1));
          const [least] = ids.toSorted((x, y) => (x < y ? -1 : 1));
          expect(w.roots).toEqual(ids.map(() => least));
        }),
        { numRuns: 30 },
      );
    });

    it(`${name}: never a loop on the way there`, () => {
      fc.assert(
        fc.property(topology, (t) => {
          const w = world(t);
          for (let s = 0; s < 60; s++) {
            w.run(1);
            expect(components(t, activeLinks(t, w))).not.toBe(null);
          }
        }),
        { numRuns: 15 },
      );
    });
  }

  it("BPDUs of any length and content are counted, never thrown", () => {
    const head = fc.constantFrom(
      [0, 0, 0, 0],
      [0, 0, 2, 2],
      [0, 0, 0, 0x80],
      [0, 0, 0, 1],
      [0, 1, 0, 0],
    );
    const bpdu = fc
      .tuple(head, fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 44 }))
      .map(([h, rest, n]) => Uint8Array.from([...h, ...rest].slice(0, n)));
    fc.assert(
      fc.property(fc.array(bpdu, { maxLength: 20 }), (list) => {
        let sent = 0;
        const env = { name: "br0", log, changed: () => {}, send: () => sent++ };
        const stp = new Stp<null>({ ...env, bridgeId: 5n });
        const rstp = new Rstp<null>({ ...env, address: 5n });
        const port = stp.ports[3] as StpPort<null>;
        stp.enablePort(port);
        const rapid = rstp.addPort();
        rstp.setMacOperational(rapid, true);
        for (const b of list) {
          stp.received(port, b);
          rstp.received(rapid, b);
          stp.tick(1000);
          rstp.tick();
        }
        expect(port.rxCount + port.errorCount).toBe(list.length);
        expect(rapid.v.rxCount + rapid.v.errorCount).toBe(list.length);
      }),
      { numRuns: 100 },
    );
  });
});
