// Loading bench: how fast dump-flows text is read, and what a million flows cost in memory.
//
// The text is made like a large OVN host's: many tables, many ports and addresses, few shapes of
// matches and actions. Memory is what is alive after a collection, and what the process has.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MaskPool } from "../src/flow/mask-pool.ts";
import { DumpReader } from "../src/openflow/dump-reader.ts";
import { FlowLoader } from "../src/openflow/flow-loader.ts";
import { NO_CONTEXT } from "../src/openflow/match-parse.ts";
import type { Ofproto } from "../src/openflow/ofproto.ts";
import { testBridge } from "../test/openflow/ofproto-harness.ts";
import { median, type Table } from "./table.ts";

const ROUNDS = 5;
const READ_LINES = 200_000;
const LOAD_FLOWS = 1_000_000;
/** Lines made at a time, so that the text itself hardly counts. */
const CHUNK_LINES = 10_000;
/** What the issue asks for. */
const LINES_PER_S_MIN = 150_000;
const LOAD_BYTES_MAX = 1.5e9;

type Shape = (i: number) => string;

const hex = (n: number) => `0x${n.toString(16)}`;
const ip = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
const mac = (i: number) => {
  const digits = (i & 0xffffff).toString(16).padStart(6, "0");
  return `fa:16:3e:${digits.replace(/(..)(?!$)/g, "$1:")}`;
};

const SHAPES: readonly Shape[] = [
  (i) =>
    `priority=100,in_port=${i % 60_000},metadata=${hex(i)} actions=set_field:${hex(i)}->reg14,resubmit(,8)`,
  (i) => `priority=50,reg14=${hex(i)},metadata=0x5,dl_src=${mac(i)} actions=resubmit(,9)`,
  (i) => `priority=90,ip,reg14=${hex(i)},metadata=0x5,nw_src=${ip(i)} actions=resubmit(,10)`,
  (i) =>
    `priority=100,arp,metadata=0x7,arp_tpa=${ip(i)},arp_op=1 actions=` +
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:2->arp_op," +
    `set_field:${mac(i % 4000)}->arp_sha,resubmit(,32)`,
  (i) =>
    `priority=50,metadata=0x5,dl_dst=${mac(i)} actions=set_field:${hex(i)}->reg15,resubmit(,32)`,
  (i) =>
    `priority=2002,ct_state=+new-est+trk,tcp,reg15=${hex(i % 500)},nw_src=${ip(i)},` +
    `tp_dst=${i % 65_536} actions=set_field:0x2/0x2->xreg4,resubmit(,44)`,
  (i) =>
    `priority=120,ct_state=+new+trk,tcp,metadata=0x3,nw_dst=${ip(i)},tp_dst=80 ` +
    `actions=ct(commit,table=20,zone=NXM_NX_REG11[0..15],nat(dst=${ip(i % 900)}))`,
  (i) => `priority=400,ip,metadata=0x9,nw_dst=${ip(i)}/31 actions=dec_ttl(),resubmit(,21)`,
];

function dumpLine(i: number): string {
  const shape = SHAPES[i % SHAPES.length] as Shape;
  const counters = `duration=${i % 9999}.123s, table=${i % 40}, n_packets=${i}, n_bytes=${60 * i}`;
  return ` cookie=${hex(Math.imul(i, 0x9e3779b1) >>> 0)}, ${counters}, idle_age=3, ${shape(i)}\n`;
}

function chunk(from: number, lines: number): string {
  const parts: string[] = [];
  for (let i = from; i < from + lines; i++) {
    parts.push(dumpLine(i));
  }
  return parts.join("");
}

/** Hands each flow of a text to `take`. */
function readAll(reader: DumpReader, text: string, take: () => void): void {
  for (let at = 0; at < text.length; ) {
    const lf = text.indexOf("\n", at);
    if (reader.read(text, at, lf) !== "flow") {
      throw new Error(reader.error?.message ?? "not a flow");
    }
    take();
    at = lf + 1;
  }
}

/** CPU milliseconds of this process so far: they depend less on what else the machine does. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Lines a second from text to packed match, actions and counters. */
function readRate(): number {
  const text = chunk(0, READ_LINES);
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const reader = new DumpReader(NO_CONTEXT);
    const masks = new MaskPool();
    const start = cpuMs();
    readAll(reader, text, () => reader.pack(masks));
    rates.push((READ_LINES / (cpuMs() - start)) * 1000);
  }
  return median(rates);
}

function liveBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const m = process.memoryUsage();
  return m.heapUsed + m.external;
}

function flowCount(p: Ofproto): number {
  return p.tables.reduce((n, t) => n + t.nFlows, 0);
}

/** Loads a million flows into the tables of a bridge. */
function load(): { perSecond: number; bytes: number; rss: number } {
  const before = liveBytes();
  const { p } = testBridge();
  const hidden = flowCount(p);
  const reader = new DumpReader(NO_CONTEXT);
  const masks = new MaskPool();
  const loader = new FlowLoader(p);
  let ms = 0;
  for (let from = 0; from < LOAD_FLOWS; from += CHUNK_LINES) {
    const text = chunk(from, CHUNK_LINES);
    const start = cpuMs();
    readAll(reader, text, () => {
      const error = loader.add(reader.fm, reader.pack(masks));
      if (error !== null) {
        throw new Error(error);
      }
    });
    ms += cpuMs() - start;
  }
  const start = cpuMs();
  loader.finish();
  ms += cpuMs() - start;
  const { rss } = process.memoryUsage();
  const bytes = liveBytes() - before;
  const count = flowCount(p) - hidden;
  if (count !== LOAD_FLOWS) {
    throw new Error(`only ${count} flows are there`);
  }
  return { perSecond: (LOAD_FLOWS / ms) * 1000, bytes, rss };
}

export function loadingBench(): Promise<Table> {
  const rate = readRate();
  const loaded = load();
  const k = (n: number) => `${Math.round(n / 1000)} k`;
  const mb = (n: number) => `${Math.round(n / 1e6)} MB`;
  return Promise.resolve({
    title: "Loading dump-flows text",
    header: ["what", "measured", "wanted"],
    rows: [
      [`lines read a CPU second, of ${k(READ_LINES)}`, k(rate), `≥ ${k(LINES_PER_S_MIN)}`],
      [`flows a CPU second into tables, of ${k(LOAD_FLOWS)}`, k(loaded.perSecond), ""],
      [`alive with ${k(LOAD_FLOWS)} flows`, mb(loaded.bytes), `< ${mb(LOAD_BYTES_MAX)}`],
      ["resident", mb(loaded.rss), `< ${mb(LOAD_BYTES_MAX)}`],
    ],
  });
}
