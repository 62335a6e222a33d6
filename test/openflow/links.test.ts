// Laws of LACP, CFM and BFD as machines: two ends that hear each other come to terms whatever their
// settings, silence is noticed in time, and no frame, however damaged, does more than count.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newKey } from "../../src/flow/flow-key.ts";
import { SeededRng } from "../../src/lib/env.ts";
import { Heap } from "../../src/lib/heap.ts";
import { Bfd, type BfdSettings } from "../../src/openflow/bfd.ts";
import { BFD_DEFAULT_DST, BFD_DEFAULT_SRC } from "../../src/openflow/bfd.ts";
import { BFD_STATE, BFD_TTL } from "../../src/openflow/bfd-packet.ts";
import { Cfm, type CfmSettings } from "../../src/openflow/cfm.ts";
import { Lacp, type LacpSettings } from "../../src/openflow/lacp.ts";
import {
  LACP_PDU_BYTES,
  type LacpPdu,
  parseLacpPdu,
  putLacpPdu,
} from "../../src/openflow/lacp-pdu.ts";
import type { XPort } from "../../src/openflow/xbridge.ts";
import { formatHex } from "../../src/lib/bytes.ts";

const NO_LOG = (): void => {};
const RUNS = { numRuns: 60 };
const STEP_MS = 100;

const port = (name: string): XPort => ({ name }) as unknown as XPort;
const u16 = fc.integer({ min: 1, max: 0xffff });

function bytesOf(pdu: LacpPdu): Uint8Array {
  const b = new Uint8Array(LACP_PDU_BYTES);
  putLacpPdu(b, 0, pdu);
  return b;
}

/** A bond end with two links, of which each sends into `out`. */
class LacpEnd {
  readonly ports = [port("0"), port("1")];
  readonly lacp: Lacp;
  out: [number, Uint8Array][] = [];

  constructor(s: LacpSettings, priorities: readonly number[]) {
    this.lacp = new Lacp(s, NO_LOG);
    for (const [i, p] of this.ports.entries()) {
      const priority = priorities[i] ?? 1;
      this.lacp.registerMember(p, { name: p.name, portId: i + 1, priority, key: 7 }, 0);
    }
  }

  run(nowMs: number): void {
    for (const p of this.ports) {
      this.lacp.mayEnable(p);
    }
    this.lacp.run((p, pdu) => this.out.push([this.ports.indexOf(p), bytesOf(pdu)]), nowMs);
  }

  take(frames: readonly [number, Uint8Array][], nowMs: number): void {
    for (const [i, bytes] of frames) {
      this.lacp.receive(this.ports[i] as XPort, bytes, nowMs);
    }
  }

  get states(): string[] {
    return this.lacp.members.map((m) => `${m.status} ${m.attached} ${this.lacp.mayUse(m)}`);
  }
}

function exchange(a: LacpEnd, b: LacpEnd, fromMs: number, toMs: number): void {
  for (let ms = fromMs; ms <= toMs; ms += STEP_MS) {
    a.run(ms);
    b.run(ms);
    const [fromA, fromB] = [a.out, b.out];
    a.out = [];
    b.out = [];
    a.take(fromB, ms);
    b.take(fromA, ms);
  }
}

const lacpSettings = (lo: number, active: fc.Arbitrary<boolean>): fc.Arbitrary<LacpSettings> =>
  fc.record({
    name: fc.constant("bond"),
    sysId: fc.constant([0x0200, lo] as const),
    priority: u16,
    active,
    fast: fc.boolean(),
    fallbackAb: fc.boolean(),
  });

describe("LACP", () => {
  const end = (lo: number, active: fc.Arbitrary<boolean>): fc.Arbitrary<LacpEnd> =>
    fc
      .tuple(lacpSettings(lo, active), fc.tuple(u16, u16))
      .map(([s, priorities]) => new LacpEnd(s, priorities));

  it("two ends agree, whatever their settings, if one of them is active", () => {
    fc.assert(
      fc.property(end(1, fc.constant(true)), end(2, fc.boolean()), (a, b) => {
        exchange(a, b, 0, 3000);
        expect([...a.states, ...b.states]).toEqual(Array(4).fill("current true true"));
        expect([a.lacp.negotiated, b.lacp.negotiated]).toEqual([true, true]);
      }),
      RUNS,
    );
  });

  it("an end that falls silent is nobody after three periods and three seconds", () => {
    fc.assert(
      fc.property(end(1, fc.constant(true)), end(2, fc.boolean()), (a, b) => {
        exchange(a, b, 0, 3000);
        const silentMs = 3000 + (a.lacp.settings.fast ? 3000 : 90_000) + 3000;
        for (let ms = 3000; ms <= silentMs; ms += STEP_MS) {
          a.run(ms);
        }
        const usable = a.lacp.settings.fallbackAb;
        expect(a.states).toEqual(Array(2).fill(`defaulted ${usable} ${usable}`));
        expect(a.lacp.negotiated).toBe(false);
      }),
      RUNS,
    );
  });

  it("counts each frame once, and reads what it wrote", () => {
    const info = fc.record({
      sysPriority: u16,
      sysId: fc.tuple(u16, fc.nat(0xffffffff)),
      key: u16,
      portPriority: u16,
      portId: u16,
      state: fc.nat(255),
    });
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 130 }),
      fc
        .tuple(info, info, fc.nat(LACP_PDU_BYTES), fc.nat(255))
        .map(([actor, partner, at, byte]) => bytesOf({ actor, partner }).fill(byte, at, at + 1)),
    );
    fc.assert(
      fc.property(info, info, fc.array(damaged, { maxLength: 8 }), (actor, partner, frames) => {
        expect(parseLacpPdu(bytesOf({ actor, partner }))).toEqual({ actor, partner });
        const e = new LacpEnd(
          {
            name: "bond",
            sysId: [1, 1],
            priority: 1,
            active: true,
            fast: true,
            fallbackAb: false,
          },
          [1, 1],
        );
        e.run(0);
        frames.forEach((f, i) => {
          e.lacp.receive(e.ports[0] as XPort, f, i);
          e.run(i);
        });
        const [m] = e.lacp.members;
        const bad = frames.filter((f) => parseLacpPdu(f) === "bad").length;
        const markers = frames.filter((f) => parseLacpPdu(f) === "marker").length;
        expect(m?.counts).toMatchObject({ rx: frames.length, rxBad: bad, rxMarker: markers });
      }),
      RUNS,
    );
  });
});

const cfmEnv = (name: string) => ({ name, rng: new SeededRng(3), rxPackets: () => 0, log: NO_LOG });

function cfmOf(s: CfmSettings): Cfm {
  const cfm = new Cfm(cfmEnv(`p${s.mpid}`));
  expect(cfm.configure(s, 0)).toBe(true);
  return cfm;
}

/** Lets two ends talk; `toB` loses everything if it is false. */
function talk(a: Cfm, b: Cfm, span: readonly [number, number], toB = true): void {
  for (let ms = span[0]; ms <= span[1]; ms += STEP_MS) {
    const fromA = a.transmit([2, 1], ms);
    const fromB = b.transmit([2, 2], ms);
    if (fromA !== null && toB) {
      b.receive(fromA.data().subarray(fromA.l3Ofs), "", ms);
    }
    if (fromB !== null) {
      a.receive(fromB.data().subarray(fromB.l3Ofs), "", ms);
    }
    a.run(ms);
    b.run(ms);
  }
}

describe("CFM", () => {
  const both = fc.record({
    intervalMs: fc.constantFrom(100, 300, 1000, 2500),
    extended: fc.boolean(),
    vlan: fc.constantFrom(0, 5, 0xffff),
    pcp: fc.nat(7),
  });
  const settings = (
    mpid: bigint,
    s: { extended: boolean; intervalMs: number; vlan: number; pcp: number },
  ) => cfmOf({ ...s, mpid, demand: false, opUp: true, checkTunnelKey: false });

  it("two ends hear each other, and notice when one of them does not", () => {
    fc.assert(
      fc.property(both, (s) => {
        const a = settings(1n, s);
        const b = settings(2n, s);
        talk(a, b, [0, 40_000]);
        expect([a.fault, b.fault]).toEqual([0, 0]);
        expect([a.remoteMpids, b.remoteMpids]).toEqual([[2n], [1n]]);
        talk(a, b, [40_000, 80_000], false);
        expect(b.remoteMpids).toEqual([]);
        // The end that still hears is told (RDI).
        expect([a.fault, b.fault]).toEqual([2, 1]);
      }),
      RUNS,
    );
  });

  it("takes any frame", () => {
    fc.assert(
      fc.property(both, fc.array(fc.uint8Array({ maxLength: 100 })), (s, frames) => {
        const a = settings(1n, s);
        frames.forEach((f, i) => {
          a.receive(f, "", i);
        });
        a.run(1e6);
        expect(a.remotes.size).toBeLessThanOrEqual(frames.length);
        expect(a.shouldProcess(newKey(), newKey())).toBe(false);
      }),
      RUNS,
    );
  });
});

class Clocked {
  nowMs = 1000;
}

function bfdOf(name: string, disc: number, clock: Clocked, s: Partial<BfdSettings>): Bfd {
  const env = {
    name,
    rng: new SeededRng(disc),
    nowMs: () => clock.nowMs,
    rxPackets: () => 0,
    log: NO_LOG,
  };
  const bfd = new Bfd(env, disc, 49152);
  bfd.configure({
    mult: 3,
    minTxMs: 100,
    minRxMs: 1000,
    decayMinRxMs: 0,
    cpathDown: false,
    forwardingIfRx: false,
    checkTunnelKey: false,
    oam: false,
    localSrcMac: null,
    localDstMac: null,
    remoteDstMac: null,
    srcIp: BFD_DEFAULT_SRC,
    dstIp: BFD_DEFAULT_DST,
    ...s,
  });
  return bfd;
}

function runBfd(from: Bfd, to: Bfd | null): void {
  for (let i = 0; i < 4 && from.mustSend; i++) {
    const p = from.transmit([2, 3]);
    expect(p.size).toBe(66);
    to?.receive(p.data().subarray(42), BFD_TTL);
  }
  from.run();
}

describe("BFD", () => {
  const some = fc.record({
    mult: fc.integer({ min: 1, max: 10 }),
    minTxMs: fc.integer({ min: 1, max: 3000 }),
    minRxMs: fc.integer({ min: 1, max: 3000 }),
    decayMinRxMs: fc.constantFrom(0, 4000),
  });

  it("two ends come up, agree on intervals, and go down when one is silent", () => {
    fc.assert(
      fc.property(some, some, (sa, sb) => {
        const clock = new Clocked();
        const a = bfdOf("a", 11, clock, { ...sa, decayMinRxMs: 0 });
        const b = bfdOf("b", 12, clock, { ...sb, decayMinRxMs: 0 });
        for (const end = clock.nowMs + 30_000; clock.nowMs < end; clock.nowMs += 10) {
          runBfd(a, b);
          runBfd(b, a);
        }
        // With a multiplier of 1, and steps of the clock as long as the interval, a packet that
        // comes a step late is one too late.
        if (sa.mult > 1 && sb.mult > 1 && Math.min(sa.minRxMs, sb.minRxMs) > 20) {
          expect([a.state, b.state]).toEqual([BFD_STATE.UP, BFD_STATE.UP]);
          expect([a.forwarding(), b.forwarding()]).toEqual([true, true]);
          expect([a.remote.minRxMs, b.remote.minRxMs]).toEqual([sb.minRxMs, sa.minRxMs]);
          expect([a.minTxMs, b.minTxMs]).toEqual([sa.minTxMs, sb.minTxMs]);
        }
        for (const end = clock.nowMs + 60_000; clock.nowMs < end; clock.nowMs += 100) {
          runBfd(a, null);
        }
        expect([a.state, a.forwarding()]).toEqual([BFD_STATE.DOWN, false]);
      }),
      RUNS,
    );
  });

  it("takes any packet with any TTL", () => {
    fc.assert(
      fc.property(
        some,
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(255))),
        (s, ps) => {
          const a = bfdOf("a", 11, new Clocked(), s);
          for (const [bytes, ttl] of ps) {
            a.receive(bytes, ttl);
            a.run();
          }
          expect(a.flags & 0x30).not.toBe(0x30);
        },
      ),
      RUNS,
    );
  });
});

describe("the heap", () => {
  it("gives the least key first", () => {
    const ops = fc.array(fc.tuple(fc.nat(20), fc.nat(50)), { maxLength: 60 });
    fc.assert(
      fc.property(ops, (list) => {
        const heap = new Heap<number>();
        const nodes = list.map(([, key], i) => heap.insert(i, key));
        for (const [i, key] of list) {
          const node = nodes[i];
          if (node !== undefined) {
            heap.change(node, key);
          }
        }
        const keys: number[] = [];
        for (let first = heap.first(); first !== null; first = heap.first()) {
          keys.push(first.key);
          heap.remove(first);
        }
        expect(keys).toEqual([...keys].sort((x, y) => x - y));
        expect(keys.length).toBe(list.length);
      }),
      RUNS,
    );
  });
});

describe("frames", () => {
  it("have the bytes that other implementations expect", () => {
    const b = bytesOf({
      actor: { sysPriority: 1, sysId: [0x0a0b, 1], key: 2, portPriority: 3, portId: 4, state: 5 },
      partner: { sysPriority: 6, sysId: [0, 7], key: 8, portPriority: 9, portId: 10, state: 11 },
    });
    expect(formatHex(b, 0, 46)).toBe(
      "010101140001" +
        "0a0b00000001" +
        "000200030004" +
        "05000000" +
        "02140006" +
        "000000000007" +
        "00080009000a" +
        "0b000000" +
        "03100000",
    );
  });
});
