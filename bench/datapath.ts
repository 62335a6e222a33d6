// Datapath bench: packets a second through the exact-match cache, the megaflow cache, connection
// tracking and upcalls, and the bytes that a hit allocates.
//
// Frames are 64-byte UDP packets of many flows. They come from a fixed set of packet buffers and
// go to a device that only counts, so that the figures are the datapath's own.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Conntrack } from "../src/datapath/conntrack.ts";
import { Datapath, type MissResult } from "../src/datapath/datapath.ts";
import type { OdpAction } from "../src/datapath/odp-action.ts";
import { type Netdev, newNetdevStats } from "../src/datapath/port.ts";
import { flowCompose } from "../src/flow/compose.ts";
import { type FlowKey, fill, get, K, newKey, set } from "../src/flow/flow-key.ts";
import { formatHex } from "../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../src/lib/env.ts";
import { PacketBuf } from "../src/packet/packet.ts";
import { runCommandLine } from "../src/vswitch/commands.ts";
import { Packets } from "../src/vswitch/packets.ts";
import { VSwitch } from "../src/vswitch/vswitch.ts";
import { median, type Table } from "./table.ts";

const ROUNDS = 5;
const PACKETS = 400_000;
const MISSES = 20_000;
const FLOWS = 1000;
const MASKS = 50;
const FRAME_L7_BYTES = 22;

/** Takes every packet and keeps none. */
class Sink implements Netdev {
  readonly name = "sink";
  readonly type = "dummy";
  readonly stats = newNetdevStats();
  send(p: PacketBuf): null {
    this.stats.txPackets++;
    this.stats.txBytes += p.size;
    return null;
  }
  receive(): null {
    return null;
  }
}

function packets(): PacketBuf[] {
  return Array.from({ length: FLOWS }, (_, i) => {
    const key = newKey();
    key.set([0x5054, 0x20000 + i], K.dl_src.word);
    key.set([0x5054, 1], K.dl_dst.word);
    set(key, K.dl_type, 0x0800);
    set(key, K.nw_src, 0x0a000000 + i);
    set(key, K.nw_dst, 0x0a010001);
    set(key, K.nw_ttl, 64);
    set(key, K.nw_proto, 17);
    set(key, K.tp_src, 1000 + i);
    set(key, K.tp_dst, 53);
    const p = new PacketBuf();
    flowCompose(p, key, FRAME_L7_BYTES);
    return p;
  });
}

const OUTPUT: readonly OdpAction[] = [{ kind: "output", port: 2 }];

function baseMask(): FlowKey {
  const mask = newKey();
  for (const slot of [K.in_port, K.recirc_id, K.packet_type, K.dl_type]) {
    fill(mask, slot);
  }
  set(mask, K.nw_frag, 3);
  set(mask, K.nw_proto, 0xff);
  return mask;
}

function datapath(answer: (key: FlowKey) => MissResult): Datapath {
  const dp = new Datapath({
    name: "bench",
    type: "netdev",
    clock: new ManualClock(1000),
    rng: new SeededRng(1),
  });
  dp.addPort("p1", null, null, 1);
  dp.addPort("p2", new Sink(), null, 2);
  dp.upcalls = { miss: (_p, key) => answer(key), userspace: () => null, installed: () => {} };
  return dp;
}

/** All flows in the exact-match cache. */
function exact(): Datapath {
  const dp = datapath(() => {
    const mask = baseMask();
    fill(mask, K.nw_src);
    return { actions: OUTPUT, install: { mask, actions: OUTPUT, owner: null } };
  });
  dp.emcInsertInvProb = 1;
  return dp;
}

/** No exact-match cache; flows spread over 50 masks, which all have to be gone through. */
function masked(): Datapath {
  const dp = datapath((key) => {
    const mask = baseMask();
    fill(mask, K.nw_src);
    const n = get(key, K.nw_src) % MASKS;
    set(mask, K.tp_src, 0xffff & ~(n & 7));
    set(mask, K.tp_dst, 0xffff & ~(n >> 3));
    return { actions: OUTPUT, install: { mask, actions: OUTPUT, owner: null } };
  });
  dp.emcInsertInvProb = 0;
  return dp;
}

/** Through ct() and recirculation, connections established. */
function tracked(): Datapath {
  const ct = (commit: boolean): OdpAction => ({
    kind: "ct",
    commit,
    force: false,
    zone: 1,
    mark: null,
    label: null,
    helper: null,
    timeout: null,
    nat: null,
  });
  const dp = datapath((key) => {
    const first = get(key, K.recirc_id) === 0;
    const fresh = (get(key, K.ct_state) & 1) !== 0;
    const mask = baseMask();
    if (!first) {
      fill(mask, K.ct_state);
    }
    const actions: readonly OdpAction[] = first
      ? [ct(false), { kind: "recirc", recircId: 1 }]
      : fresh
        ? [ct(true), ...OUTPUT]
        : OUTPUT;
    return { actions, install: { mask, actions, owner: null } };
  });
  dp.ct = new Conntrack({ rng: new SeededRng(2), policies: () => undefined, warn: () => {} });
  return dp;
}

/** Processor time, so that other programs on the machine do not count. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function pass(dp: Datapath, list: readonly PacketBuf[], n: number): number {
  const begin = cpuSeconds();
  for (let i = 0; i < n; i++) {
    dp.receive(1, list[i % list.length] as PacketBuf);
  }
  return n / (cpuSeconds() - begin);
}

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** Bytes of heap that a packet leaves behind, while nothing is collected. */
function allocated(dp: Datapath, list: readonly PacketBuf[]): number {
  const n = 20_000;
  gc();
  const before = process.memoryUsage().heapUsed;
  pass(dp, list, n);
  return (process.memoryUsage().heapUsed - before) / n;
}

/** Misses of a whole switch that has a table of rules: translated and installed, each one. */
function upcalls(list: readonly PacketBuf[]): { readonly miss: number; readonly trace: number } {
  const vs = new VSwitch({
    clock: new ManualClock(1000),
    rng: new SeededRng(1),
    fs: new MemoryFileSystem(),
  });
  const run = (...argv: readonly string[]) => runCommandLine(vs, argv);
  run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure");
  for (const p of ["p1", "p2"]) {
    run("ovs-vsctl", "add-port", "br0", p, "--", "set", "interface", p, "type=dummy");
  }
  run(
    "ovs-ofctl",
    "add-flow",
    "br0",
    "table=0,in_port=1,actions=load:1->NXM_NX_REG0[],resubmit(,1)",
  );
  for (let i = 0; i < FLOWS; i++) {
    const flow = `table=1,udp,nw_src=10.0.${i >> 8}.${i & 255},actions=dec_ttl,resubmit(,2)`;
    run("ovs-ofctl", "add-flow", "br0", flow);
  }
  run("ovs-ofctl", "add-flow", "br0", "table=2,actions=mod_dl_src:02:00:00:00:00:01,output:2");
  const pair = vs.packets instanceof Packets ? vs.packets.all()[0] : undefined;
  if (pair === undefined) {
    throw new Error("no datapath");
  }
  const { dp, udpif } = pair;
  const port = dp.portByName("p1")?.portNo ?? 1;
  const frames = list.map((p) => p.clone());
  let misses = 0;
  const begin = cpuSeconds();
  for (let i = 0; i < MISSES; i++) {
    if (i % FLOWS === 0) {
      misses += dp.flows.size;
      udpif.purge();
    }
    dp.receive(port, (frames[i % FLOWS] as PacketBuf).clone());
  }
  misses += dp.flows.size;
  const seconds = cpuSeconds() - begin;
  const hex = formatHex((list[0] as PacketBuf).data());
  const traces = 2000;
  const start = cpuSeconds();
  for (let i = 0; i < traces; i++) {
    run("ovs-appctl", "ofproto/trace", "br0", "in_port=1", hex);
  }
  return { miss: misses / seconds, trace: traces / (cpuSeconds() - start) };
}

const perSecond = (n: number) => `${Math.round(n / 1000).toLocaleString("en")} k/s`;

export async function datapathBench(): Promise<Table> {
  const list = packets();
  const cases = [
    ["exact-match hits", exact(), 1e6],
    [`megaflow hits, ${MASKS} masks`, masked(), 4e5],
    ["conntrack, established", tracked(), 2.5e5],
  ] as const;
  for (const [, dp] of cases) {
    pass(dp, list, PACKETS);
  }
  const rates: number[][] = cases.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    cases.forEach(([, dp], i) => {
      rates[i]?.push(pass(dp, list, PACKETS));
    });
  }
  const rows = cases.map(([name, dp, wanted], i) => [
    name,
    perSecond(median(rates[i] ?? [])),
    perSecond(wanted),
    `${Math.max(0, allocated(dp, list)).toFixed(1)} B`,
  ]);
  const { miss, trace } = upcalls(list);
  rows.push(["upcalls: miss, translate, install", perSecond(miss), "", ""]);
  rows.push(["ofproto/trace of the same packet", perSecond(trace), "", ""]);
  return {
    title: "Datapath",
    header: ["packets", "median rate", "wanted", "allocated per packet"],
    rows,
  };
}
