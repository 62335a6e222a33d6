// The datapath as a whole: caches against a list, meters against their promise, tunnels there and
// back, recirculation that ends, devices that lose packets.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Datapath, exactNoVlan, RECIRC_DEPTH_MAX } from "../../src/datapath/datapath.ts";
import type { UserspaceAction } from "../../src/datapath/execute.ts";
import { FlowCache } from "../../src/datapath/flow-cache.ts";
import type { Megaflow } from "../../src/datapath/megaflow.ts";
import { DpMeter, type MeterConfig } from "../../src/datapath/meter.ts";
import type { OdpAction } from "../../src/datapath/odp-action.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { PacketBatch } from "../../src/datapath/packet-batch.ts";
import { PairNetdev, RecordingNetdev } from "../../src/datapath/port.ts";
import { popTunnelHeader, pushTunnelHeader } from "../../src/datapath/tunnel.ts";
import type { MissResult } from "../../src/datapath/upcall-handler.ts";
import { extract } from "../../src/flow/extract.ts";
import { type FlowKey, get, K, newKey, set } from "../../src/flow/flow-key.ts";
import { SLOT_LIST } from "../../src/flow/slots.ts";
import { formatHex, parseHex, putU16 } from "../../src/lib/bytes.ts";
import { csum } from "../../src/lib/checksum.ts";
import { ManualClock, SeededRng } from "../../src/lib/env.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { anyFrame, goodFrame } from "../arbitraries/frames.ts";
import { testKey } from "../arbitraries/rules.ts";

const covers = (f: Megaflow, key: FlowKey) =>
  key.every((w, i) => ((w ^ (f.key[i] as number)) & (f.mask[i] as number)) >>> 0 === 0);

describe("megaflow cache", () => {
  const SLOTS = [K.in_port, K.nw_src, K.nw_dst, K.tp_dst] as const;
  const maskOf = (bits: number): FlowKey => {
    const mask = newKey();
    SLOTS.forEach((s, i) => {
      if ((bits >> i) & 1) {
        set(mask, s, s.bits === 32 ? 0xffffff00 : s.max);
      }
    });
    return mask;
  };
  const step = fc.record({ key: testKey, mask: fc.nat(15), what: fc.nat(3), at: fc.nat(40) });

  it("finds what a list finds", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(testKey), (steps, probes) => {
        const cache = new FlowCache();
        const list: Megaflow[] = [];
        for (const s of steps) {
          if (s.what === 0 && list.length > 0) {
            const [gone] = list.splice(s.at % list.length, 1);
            cache.remove(gone as Megaflow);
          } else if (!list.some((f) => covers(f, s.key))) {
            const f = cache.insert(s.key, maskOf(s.mask), [], null);
            expect(f).not.toBeNull();
            list.push(f as Megaflow);
          }
        }
        expect(cache.size).toBe(list.length);
        expect([...cache.values()].map((f) => f.id)).toEqual(
          list.map((f) => f.id).sort((a, b) => a - b),
        );
        for (const key of probes) {
          const found = cache.lookup(key);
          const all = list.filter((f) => covers(f, key));
          expect(found === null ? all.length === 0 : all.includes(found)).toBe(true);
        }
      }),
    );
  });

  it("remembers exact matches until the flow goes", () => {
    const cache = new FlowCache();
    const key = newKey();
    set(key, K.nw_src, 1);
    const f = cache.insert(key, maskOf(1), [], null) as Megaflow;
    expect(cache.exact.lookup(key, 5)).toBeNull();
    cache.exact.insert(key, 5, f);
    expect(cache.exact.lookup(key.slice(), 5)).toBe(f);
    expect(cache.exact.lookup(key, 6)).toBeNull();
    const other = key.slice();
    set(other, K.tp_dst, 9);
    expect(cache.exact.lookup(other, 5)).toBeNull();
    cache.remove(f);
    expect(cache.exact.lookup(key, 5)).toBeNull();
    expect(cache.maskCount).toBe(0);
  });

  it("compares every word that a packet of its kind can have", () => {
    const notOfPackets = /^(metadata|reg|conj_id|actset_output)/;
    for (const [dlType, foreign] of [
      [0x0800, /^(ipv6|ct_ipv6|nd_|arp_|nsh|mpls)/],
      [0x86dd, /^$/],
    ] as const) {
      for (const tunnelled of [false, true]) {
        const key = newKey();
        set(key, K.dl_type, dlType);
        set(key, K.ct_state, 0x20);
        set(key, K.tun_dst, tunnelled ? 1 : 0);
        const cache = new FlowCache();
        const f = cache.insert(key, maskOf(1), [], null) as Megaflow;
        cache.exact.insert(key, 5, f);
        for (const slot of SLOT_LIST) {
          const skipped =
            notOfPackets.test(slot.name) || foreign.test(slot.name) || slot.name === "dl_type";
          if (skipped || (slot.name.startsWith("tun_") && !tunnelled)) {
            continue;
          }
          const other = key.slice();
          other[slot.word] = (other[slot.word] as number) ^ (1 << slot.shift);
          expect([slot.name, cache.exact.lookup(other, 5)]).toEqual([slot.name, null]);
        }
        expect(cache.exact.lookup(key.slice(), 5)).toBe(f);
      }
    }
  });
});

describe("meters", () => {
  const sizes = fc.array(fc.tuple(fc.integer({ min: 14, max: 1500 }), fc.nat(300)), {
    maxLength: 80,
  });
  const through = (config: MeterConfig, packets: readonly (readonly [number, number])[]) => {
    const meter = new DpMeter(config, 0);
    let now = 0;
    let passed = 0;
    let bits = 0;
    for (const [bytes, wait] of packets) {
      now += wait;
      const batch = PacketBatch.of(PacketBuf.of(new Uint8Array(bytes)));
      meter.run(batch, now);
      passed += batch.packets.length;
      bits += batch.packets.length * bytes * 8;
    }
    return { meter, now, passed, bits };
  };
  it("let no more through than the burst and the rate allow, and count everything", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 50 }), fc.nat(40), (list, rate, burst) => {
        const bands = [{ rate, burst }];
        const a = through({ inPackets: true, bands }, list);
        const full = burst === 0 ? rate : burst;
        expect(a.passed).toBeLessThanOrEqual(full + (rate * a.now) / 1000);
        const b = through({ inPackets: false, bands }, list);
        expect(b.bits).toBeLessThanOrEqual((full + (rate * b.now) / 1000) * 1000);
        for (const r of [a, b]) {
          expect(r.meter.packets).toBe(list.length);
          expect((r.meter.bands[0]?.packets ?? 0) + r.passed).toBe(list.length);
        }
      }),
    );
  });
  it("charge the exceeded band with the highest rate", () => {
    const bands = [
      { rate: 1, burst: 1 },
      { rate: 2, burst: 2 },
    ];
    const { meter, passed } = through({ inPackets: true, bands }, [
      [60, 0],
      [60, 0],
      [60, 0],
    ]);
    expect(passed).toBe(1);
    expect(meter.bands.map((b) => b.packets)).toEqual([1, 1]);
  });
});

const ETH_TEXT = "eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800)";
const ip4 = (proto: number) =>
  `ipv4(src=1.1.2.88,dst=1.1.2.92,proto=${proto},tos=0,ttl=64,frag=0x4000)`;
const ETH6_TEXT = ETH_TEXT.replace("0x0800", "0x86dd");
const ip6 = (proto: number) =>
  `ipv6(src=2001:cafe::88,dst=2001:cafe::92,label=0,proto=${proto},tclass=0x0,hlimit=64)`;
const PUSHES = [
  [
    "vxlan",
    `size=50,type=4,${ETH_TEXT},${ip4(17)},udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x1c7)`,
  ],
  [
    "vxlan",
    `size=70,type=4,${ETH6_TEXT},${ip6(17)},udp(src=0,dst=4789,csum=0xffff),vxlan(flags=0x8000000,vni=0x1c7)`,
  ],
  [
    "geneve",
    `size=50,type=5,${ETH_TEXT},${ip4(17)},udp(src=0,dst=6081,csum=0xffff),geneve(vni=0x1c7)`,
  ],
  [
    "geneve",
    `size=58,type=5,${ETH_TEXT},${ip4(17)},udp(src=0,dst=6081,csum=0x0),geneve(crit,vni=0x1c7,options({class=0xffff,type=0x80,len=4,0xa}))`,
  ],
  ["gre", `size=42,type=3,${ETH_TEXT},${ip4(47)},gre((flags=0x2000,proto=0x6558),key=0x1e241)`],
  [
    "gre",
    `size=46,type=3,${ETH_TEXT},${ip4(47)},gre((flags=0xa000,proto=0x6558),csum=0x0,key=0x1e241)`,
  ],
  // Without text that could be read back: the headers behind IPv4, and its protocol.
  ["erspan", { type: 107, proto: 47, rest: "1000 88be 00000000 1000 0007 00000003" }],
  ["erspan", { type: 107, proto: 47, rest: "1000 22eb 00000000 2000 0007 00000000 0008 0000" }],
  ["gtpu", { type: 110, proto: 17, rest: "0000 0868 0000 0000 30 ff 0000 0000007b" }],
] as const;

type Header = (typeof PUSHES)[number][1];

function pushAction(header: Header): OdpAction[] {
  if (typeof header === "string") {
    const text = `tnl_push(tnl_port(4),header(${header}),out_port(2))`;
    return parseOdpActions(text, null) ?? [];
  }
  const { type, proto, rest } = header;
  const ip = `4500 0000 0000 4000 40 ${proto.toString(16)} 0000 01010258 0101025c`;
  const text = `f8bc124434b6 f8bc124658e0 0800 ${ip} ${rest}`;
  const bytes = parseHex(text.replaceAll(" ", "")) ?? new Uint8Array(0);
  putU16(bytes, 24, csum(bytes, 14, 34)); // of a length that is still to come
  return [{ kind: "tnl_push", tnlPort: 4, outPort: 2, tnlType: type, header: bytes }];
}

/** A datapath with two devices and a tunnel port 4, whose misses are answered by a function. */
function bed(
  answer: (key: FlowKey) => MissResult | null,
  tunnel: "vxlan" | "geneve" | "gre" | "erspan" | "gtpu" = "vxlan",
) {
  const dp = new Datapath({
    name: "ovs-netdev",
    type: "netdev",
    clock: new ManualClock(),
    rng: new SeededRng(7),
  });
  const a = new PairNetdev("a");
  const b = new PairNetdev("b");
  const far = [new PairNetdev("fa"), new PairNetdev("fb")] as const;
  PairNetdev.connect(a, far[0]);
  PairNetdev.connect(b, far[1]);
  const sent = [new RecordingNetdev(a), new RecordingNetdev(b)] as const;
  dp.addPort("a", sent[0], null, 1);
  dp.addPort("b", sent[1], null, 2);
  dp.addPort("tnl", null, { kind: tunnel, state: { seq: 0, setSeq: false } }, 4);
  const seen: FlowKey[] = [];
  dp.upcalls = {
    miss: (_p, key) => {
      seen.push(key);
      return answer(key);
    },
    userspace: (_p: PacketBuf, _key: FlowKey, _a: UserspaceAction) => null,
    installed: () => {},
  };
  return { dp, sent, far, seen };
}

function fullMask(): FlowKey {
  return newKey().fill(0xffffffff);
}

describe("tunnels", () => {
  it.each(PUSHES.filter(([kind]) => kind !== "gtpu"))(
    "what %s pushes it pops: %s",
    (kind, header) => {
      const push = pushAction(header);
      expect(push).toHaveLength(1);
      fc.assert(
        fc.property(goodFrame, (frame) => {
          const { dp, seen } = bed((key) => {
            const inPort = get(key, K.in_port);
            return {
              actions:
                inPort === 1
                  ? [...push, { kind: "tnl_pop", port: 4 } as OdpAction]
                  : [{ kind: "output", port: 2 }],
              install: null,
            };
          }, kind);
          const net = dp.ports.get(2)?.netdev as RecordingNetdev;
          dp.receive(1, PacketBuf.of(frame));
          expect(seen.length).toBe(2);
          expect(dp.counters.get("datapath_drop_tunnel_pop_error")).toBe(0);
          const inner = seen[1] as FlowKey;
          expect(get(inner, K.in_port)).toBe(4);
          expect(net.sent.map((f) => formatHex(f))).toEqual([formatHex(frame)]);
        }),
        { numRuns: 40 },
      );
    },
  );

  it("GTP-U has the checksum of a packet whose length was not there yet, as OVS has it", () => {
    const [push] = pushAction(PUSHES[PUSHES.length - 1]?.[1] as Header);
    const inner =
      "4500002800000000400666cf0a0000010a000001000100010000000000000000501200009bcf0000";
    const p = PacketBuf.of(parseHex(inner) ?? new Uint8Array(0), 0x10800);
    const env = { state: { seq: 0, setSeq: false }, ports: { min: 0x98b8, max: 0x98b8 }, nowMs: 0 };
    pushTunnelHeader(p, (push as { header: Uint8Array }).header, 110, env);
    expect(formatHex(p.data()).slice(68)).toBe(`98b8086800383a4a30ff00280000007b${inner}`);
    expect(popTunnelHeader(p.clone(), "gtpu")).toBe(false);
    putU16(p.bytes, p.l4() + 6, 0);
    expect(popTunnelHeader(p, "gtpu")).toBe(true);
    expect(formatHex(p.data())).toBe(inner);
    expect([p.packetType, p.md.tnl[K.tun_id.word + 1]]).toEqual([0x10800, 0x7b]);
  });

  it.each(PUSHES)("damaged packets of %s are refused, never thrown: %s", (kind, header) => {
    const push = pushAction(header);
    const { dp, sent } = bed(
      () => ({ actions: [...push, { kind: "output", port: 2 }], install: null }),
      kind,
    );
    dp.receive(1, PacketBuf.of(new Uint8Array(64)));
    const outer = sent[1].sent[0] as Uint8Array;
    const other = bed(
      (key) => ({
        actions: get(key, K.in_port) === 2 ? [{ kind: "tnl_pop", port: 4 }] : [],
        install: null,
      }),
      kind,
    );
    for (let n = 0; n <= outer.length; n++) {
      other.dp.receive(2, PacketBuf.of(outer.slice(0, n)));
    }
    const change = fc.array(fc.tuple(fc.integer({ min: 12, max: 80 }), fc.nat(255)), {
      minLength: 1,
    });
    fc.assert(
      fc.property(change, (changes) => {
        const f = outer.slice();
        for (const [at, v] of changes) {
          f[at % f.length] = v;
        }
        other.dp.receive(2, PacketBuf.of(f));
      }),
      { numRuns: 300 },
    );
    const { misses, lost } = other.dp.stats;
    expect(misses).toBe(0);
    expect(lost).toBeGreaterThan(outer.length - 14);
  });
});

describe("the way of a packet", () => {
  it("recirculation ends", () => {
    const { dp } = bed(() => ({ actions: [{ kind: "recirc", recircId: 1 }], install: null }));
    const warnings: string[] = [];
    dp.onWarning = (t) => warnings.push(t);
    dp.receive(1, PacketBuf.of(new Uint8Array(60)));
    expect(dp.stats.recirculations).toBe(RECIRC_DEPTH_MAX);
    expect(dp.counters.get("datapath_drop_recirc_error")).toBe(1);
    expect(warnings).toEqual(["Packet dropped. Max recirculation depth exceeded."]);
  });

  it("gives the same packets with and without its caches", () => {
    const answer = (install: boolean) => (key: FlowKey) => {
      const mask = newKey();
      for (const s of [K.in_port, K.recirc_id, K.dl_type, K.packet_type]) {
        set(mask, s, s.max);
      }
      set(mask, K.nw_dst, 0xff);
      set(mask, K.vlan_tci, 0x1fff);
      const odd = (get(key, K.nw_dst) & 1) === 1;
      const actions: OdpAction[] = odd ? [{ kind: "output", port: 2 }] : [];
      if (get(key, K.dl_type) === 0x0800 && get(key, K.recirc_id) === 0) {
        actions.push({ kind: "recirc", recircId: 5 });
      } else if (get(key, K.vlan_tci) !== 0) {
        actions.push({ kind: "pop_vlan" }, { kind: "output", port: 1 });
      }
      return { actions, install: install ? { mask, actions, owner: null } : null };
    };
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(1, 2), anyFrame)), fc.nat(2), (list, emc) => {
        const cached = bed(answer(true));
        cached.dp.emcInsertInvProb = emc;
        const plain = bed(answer(false));
        for (const [port, frame] of [...list, ...list]) {
          cached.dp.receive(port, PacketBuf.of(frame));
          plain.dp.receive(port, PacketBuf.of(frame));
        }
        const out = (b: typeof cached) => b.sent.map((d) => d.sent.map((f) => formatHex(f)));
        expect(out(cached)).toEqual(out(plain));
        const { hits, misses } = cached.dp.stats;
        expect(hits + misses).toBe(plain.dp.stats.lost); // nothing was installed
        for (const key of plain.seen) {
          expect(cached.dp.flows.lookup(key)).not.toBeNull();
        }
      }),
    );
  });

  it("counts what it loses", () => {
    const { dp } = bed(() => null);
    dp.receive(1, PacketBuf.of(new Uint8Array(13)));
    dp.receive(1, PacketBuf.of(new Uint8Array(14)));
    expect(dp.counters.get("datapath_drop_rx_invalid_packet")).toBe(1);
    expect(dp.counters.get("datapath_drop_upcall_error")).toBe(1);
    expect(dp.stats).toMatchObject({ lost: 1, misses: 0, hits: 0 });
    const bad = bed(() => ({
      actions: [
        { kind: "output", port: 99 },
        { kind: "tnl_push", tnlPort: 98, outPort: 1, tnlType: 4, header: new Uint8Array(50) },
        { kind: "output", port: 1 },
      ],
      install: null,
    }));
    bad.dp.receive(1, PacketBuf.of(new Uint8Array(60)));
    expect(bad.dp.counters.get("datapath_drop_invalid_port")).toBe(1);
    expect(bad.dp.counters.get("datapath_drop_tunnel_push_error")).toBe(1);
    expect(bad.sent[0].sent).toEqual([]);
  });

  it("gives out port numbers as asked, by name, or the next", () => {
    const { dp } = bed(() => null);
    expect(dp.addPort("eth7", null)?.portNo).toBe(7);
    expect(dp.addPort("eth7x", null)?.portNo).toBe(3);
    expect(dp.addPort("br1", null)?.portNo).toBe(101);
    expect(dp.addPort("x", null, null, 1)).toBeNull();
    expect(dp.portByName("br1")?.portNo).toBe(101);
    dp.removePort(7);
    expect(dp.addPort("p7", null)?.portNo).toBe(7);
  });

  it("takes waiting packets port by port", () => {
    const { dp, far, sent } = bed((key) => ({
      actions: [{ kind: "output", port: 3 - get(key, K.in_port) }],
      install: { mask: fullMask(), actions: [], owner: null },
    }));
    for (let i = 0; i < 10; i++) {
      far[0].send(PacketBuf.of(new Uint8Array(60).fill(i)));
      far[1].send(PacketBuf.of(new Uint8Array(60).fill(100 + i)));
    }
    expect(dp.run()).toBe(20);
    expect(sent[1].sent.map((f) => f[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(sent[0].sent).toHaveLength(10);
  });
});

it("a mask without interest in VLANs becomes one for their absence", () => {
  const mask = newKey();
  exactNoVlan(mask);
  expect(get(mask, K.vlan_tci)).toBe(0x1fff);
  const p = PacketBuf.of(new Uint8Array(14));
  const key = newKey();
  extract(p, key);
  expect(get(key, K.vlan_tci)).toBe(0);
});
