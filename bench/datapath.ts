// Datapath bench: packets a second through a whole switch by each way that a packet can take, the
// bytes that a hit allocates, and the real ovs-vswitchd beside it.
//
// Frames are 64-byte UDP packets of 1,000 flows, from port 1 to port 2. Both sides get the same
// configuration, flows and frames. Ours come from a fixed set of buffers and are copied into the
// packet that the datapath gets, the daemon's come by its ports' stream sockets. All figures are
// processor time, so that other programs on the machine do not count.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { flowCompose } from "../src/flow/compose.ts";
import { K, newKey, set } from "../src/flow/flow-key.ts";
import { formatHex } from "../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../src/lib/env.ts";
import { PacketBuf } from "../src/packet/packet.ts";
import { runCommandLine } from "../src/vswitch/commands.ts";
import { Packets } from "../src/vswitch/packets.ts";
import { VSwitch } from "../src/vswitch/vswitch.ts";
import { haveRealOvs } from "../tools/oracle/real-ovs.ts";
import { RivalDaemon } from "./rival-daemon.ts";
import { median, type Table } from "./table.ts";

const ROUNDS = 7;
const PACKETS = 300_000;
const FLOWS = 1000;
const MASKS = 50;
const FRAME_L7_BYTES = 22;
/** Times that all flows are sent to the daemon. */
const RIVAL_TIMES = 5;
const TRACES = 1000;
const WARM_UP_TRACES = 10_000;
const ALLOCATION_PACKETS = 400_000;

interface Case {
  readonly name: string;
  readonly flows: readonly string[];
  /** One packet in so many enters the exact-match cache. */
  readonly emc: number;
  /** Packets a second. */
  readonly wanted: number | null;
  /** The datapath's flows are taken away each time that all frames have passed. */
  readonly purge?: true;
}

const addressOf = (i: number) => `10.0.${i >> 8}.${i & 255}`;
const eachFlow = (f: (i: number) => string) => Array.from({ length: FLOWS }, (_, i) => f(i));

const ROUTER: readonly string[] = [
  "table=0,in_port=1,actions=load:1->NXM_NX_REG0[],resubmit(,1)",
  ...eachFlow((i) => `table=1,udp,nw_src=${addressOf(i)},actions=dec_ttl,resubmit(,2)`),
  "table=2,actions=mod_dl_src:02:00:00:00:00:01,output:2",
];

const CASES: readonly Case[] = [
  {
    name: "exact-match hits",
    flows: ["table=0,in_port=1,udp,nw_src=10.0.0.0/16,actions=output:2"],
    emc: 1,
    wanted: 1e6,
  },
  {
    name: `megaflow hits, ${MASKS} masks`,
    // Each address leads to one of 50 tables, each of which looks at other bits of a port.
    flows: [
      ...eachFlow(
        (i) => `table=0,udp,nw_src=${addressOf(i)},actions=resubmit(,${1 + (i % MASKS)})`,
      ),
      ...Array.from({ length: MASKS }, (_, i) => {
        const mask = i + 1;
        return `table=${mask},udp,tp_dst=${53 & mask}/${mask},actions=output:2`;
      }),
    ],
    emc: 0,
    wanted: 4e5,
  },
  {
    name: "conntrack, established",
    flows: [
      "table=0,ip,ct_state=-trk,actions=ct(table=1)",
      "table=1,in_port=1,ip,ct_state=+trk+new,actions=ct(commit),output:2",
      "table=1,in_port=1,ip,ct_state=+trk+est,actions=output:2",
      "table=1,in_port=2,ip,ct_state=+trk+est,actions=output:1",
    ],
    emc: 100,
    wanted: 2.5e5,
  },
  { name: "upcalls: miss, translate, install", flows: ROUTER, emc: 0, wanted: null, purge: true },
];

/** One frame of each flow, or of its replies. */
function frames(replies: boolean): Uint8Array[] {
  return Array.from({ length: FLOWS }, (_, i) => {
    const key = newKey();
    const [here, there] = replies ? [K.dl_dst, K.dl_src] : [K.dl_src, K.dl_dst];
    key.set([0x5054, 0x20000 + i], here.word);
    key.set([0x5054, 1], there.word);
    set(key, K.dl_type, 0x0800);
    set(key, replies ? K.nw_dst : K.nw_src, 0x0a000000 + i);
    set(key, replies ? K.nw_src : K.nw_dst, 0x0a010001);
    set(key, K.nw_ttl, 64);
    set(key, K.nw_proto, 17);
    set(key, replies ? K.tp_dst : K.tp_src, 1000 + i);
    set(key, replies ? K.tp_src : K.tp_dst, 53);
    const p = new PacketBuf();
    flowCompose(p, key, FRAME_L7_BYTES);
    return p.data().slice();
  });
}

const FORWARD = frames(false);
const REPLIES = frames(true);

/** What both sides are asked before the frames. */
function setup(c: Case): { readonly argv: readonly string[]; readonly stdin: string }[] {
  const vsctl = (text: string) => ({ argv: ["ovs-vsctl", ...text.split(" ")], stdin: "" });
  return [
    vsctl("add-br br0 -- set bridge br0 fail_mode=secure"),
    vsctl("add-port br0 p1 -- set interface p1 type=dummy ofport_request=1"),
    vsctl("add-port br0 p2 -- set interface p2 type=dummy ofport_request=2"),
    vsctl(`set Open_vSwitch . other_config:emc-insert-inv-prob=${c.emc}`),
    { argv: ["ovs-ofctl", "add-flows", "br0", "-"], stdin: `${c.flows.join("\n")}\n` },
  ];
}

/** Our side of a case. */
class Ours {
  readonly vs = new VSwitch({
    clock: new ManualClock(1000),
    rng: new SeededRng(1),
    fs: new MemoryFileSystem(),
  });
  private readonly c: Case;
  private readonly pair: ReturnType<Packets["all"]>[number];
  private readonly packet = new PacketBuf();
  private next = 0;

  constructor(c: Case) {
    this.c = c;
    for (const { argv, stdin } of setup(c)) {
      const reply = runCommandLine(this.vs, argv, stdin);
      if (reply.exit !== 0) {
        throw new Error(`${argv.join(" ")}: ${reply.stderr}`);
      }
    }
    const pair = this.vs.packets instanceof Packets ? this.vs.packets.all()[0] : undefined;
    if (pair === undefined) {
      throw new Error("no datapath");
    }
    this.pair = pair;
    this.receive("p1", FORWARD, FLOWS);
    this.receive("p2", REPLIES, FLOWS);
    this.pass(PACKETS);
  }

  private receive(port: string, list: readonly Uint8Array[], n: number): void {
    const { dp, udpif } = this.pair;
    const portNo = dp.portByName(port)?.portNo ?? 0;
    for (let i = 0; i < n; i++) {
      this.packet.setData(list[this.next] as Uint8Array);
      dp.receive(portNo, this.packet);
      this.next = this.next + 1 < FLOWS ? this.next + 1 : 0;
      if (this.next === 0 && this.c.purge === true) {
        udpif.purge();
      }
    }
  }

  /** Packets a second. */
  pass(n: number): number {
    const begin = cpuSeconds();
    this.receive("p1", FORWARD, n);
    return n / (cpuSeconds() - begin);
  }

  /** Bytes of heap that a packet leaves behind, while nothing is collected. */
  allocated(): number {
    gc();
    this.pass(1000);
    const before = process.memoryUsage().heapUsed;
    this.pass(ALLOCATION_PACKETS);
    return Math.max(0, process.memoryUsage().heapUsed - before) / ALLOCATION_PACKETS;
  }

  /** Traces a second of packets of this case. */
  traces(n: number): number {
    const begin = cpuSeconds();
    for (let i = 0; i < n; i++) {
      runCommandLine(this.vs, traceArgv(i));
    }
    return n / (cpuSeconds() - begin);
  }
}

function traceArgv(i: number): readonly string[] {
  const hex = formatHex(FORWARD[i % FLOWS] as Uint8Array);
  return ["ovs-appctl", "ofproto/trace", "br0", "in_port=1", hex];
}

interface RivalFigures {
  /** Packets a second. */
  readonly rate: number;
  readonly traces: number;
}

/** The daemon's side of a case. */
async function rivalFigures(c: Case): Promise<RivalFigures> {
  const rival = new RivalDaemon();
  try {
    await rival.start();
    for (const { argv, stdin } of setup(c)) {
      await rival.ovs.run(argv, stdin);
    }
    await rival.plug("p1");
    await rival.plug("p2");
    await rival.send("p1", "p2", FORWARD, 1);
    if (c.flows.some((f) => f.includes("ct("))) {
      await rival.send("p2", "p1", REPLIES, 1);
    }
    await rival.send("p1", "p2", FORWARD, 2);
    let cpu = 0;
    for (let i = 0; i < RIVAL_TIMES; i++) {
      if (c.purge === true) {
        await rival.run("ovs-appctl", "dpctl/del-flows");
      }
      const begin = rival.cpuSeconds();
      await rival.send("p1", "p2", FORWARD, 1);
      cpu += rival.cpuSeconds() - begin;
    }
    const begin = rival.cpuSeconds();
    for (let i = 0; i < TRACES; i++) {
      await rival.run(...traceArgv(i));
    }
    const traces = TRACES / (rival.cpuSeconds() - begin);
    return { rate: (RIVAL_TIMES * FLOWS) / cpu, traces };
  } finally {
    rival.stop();
  }
}

/** Processor time, so that other programs on the machine do not count. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

const perSecond = (n: number) => `${Math.round(n / 1000).toLocaleString("en")} k/s`;

export async function datapathBench(): Promise<Table> {
  const sides = CASES.map((c) => new Ours(c));
  const rates: number[][] = CASES.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    sides.forEach((side, i) => {
      rates[i]?.push(side.pass(PACKETS));
    });
  }
  const rows: string[][] = [];
  let last: RivalFigures | null = null;
  for (const [i, c] of CASES.entries()) {
    last = haveRealOvs() ? await rivalFigures(c) : null;
    const ours = rates[i] ?? [];
    rows.push([
      c.name,
      perSecond(median(ours)),
      perSecond(Math.max(...ours)),
      c.wanted === null ? "" : perSecond(c.wanted),
      c.purge === true ? "" : `${(sides[i] as Ours).allocated().toFixed(1)} B`,
      last === null ? "not installed" : perSecond(last.rate),
    ]);
  }
  const upcalls = sides[CASES.length - 1] as Ours;
  upcalls.traces(WARM_UP_TRACES);
  rows.push([
    "ofproto/trace of the same packets",
    perSecond(upcalls.traces(TRACES)),
    "",
    "",
    "",
    last === null ? "" : perSecond(last.traces),
  ]);
  return {
    title: "Datapath",
    header: [
      "packets",
      "tablewalk, median",
      "best round",
      "wanted",
      "allocated per packet",
      "ovs-vswitchd by its sockets",
    ],
    rows,
  };
}
