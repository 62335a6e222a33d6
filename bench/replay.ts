// Replay bench: captures through `tablewalk replay`, from the files that are read to those that are
// written and the report, packets a second of processor time; and what a packet leaves in memory.
//
// Packets are 60-byte UDP frames of 1,000 flows, a microsecond apart, from one port to another. What
// it costs to open the host is measured with captures of one packet, and taken off.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replayMain } from "../src/cli/replay.ts";
import { PcapWriter } from "../src/io/pcap-file.ts";
import { frame } from "../tools/replay-frames.ts";
import { median, type Table } from "./table.ts";

const ROUNDS = 3;
const PACKETS = 1_000_000;
const FLOWS = 1000;
const START_SEC = 1_700_000_000;
const US_PER_SEC = 1_000_000;
const WANTED = 500_000;

const FORWARD = [
  "table=0, priority=1,in_port=1 actions=output:2",
  "table=0, priority=1,in_port=2 actions=output:1",
];
const PIPELINE = [
  "table=0, priority=1,in_port=1,ip actions=set_field:1->reg0,resubmit(,1)",
  "table=0, priority=1,in_port=2,ip actions=set_field:2->reg0,resubmit(,1)",
  "table=1, priority=5,udp,tp_dst=53 actions=resubmit(,2)",
  "table=1, priority=5,udp,tp_src=53 actions=resubmit(,2)",
  "table=2, priority=1,reg0=0x1 actions=dec_ttl,set_field:02:00:00:00:00:02->eth_dst,output:2",
  "table=2, priority=1,reg0=0x2 actions=dec_ttl,set_field:02:00:00:00:00:01->eth_dst,output:1",
];
const TRACKED = [
  "table=0, priority=1,ip actions=ct(table=1,zone=1)",
  "table=1, priority=5,ct_state=+new+trk,ip,in_port=1 actions=ct(commit,zone=1),output:2",
  "table=1, priority=5,ct_state=+est+trk,ip,in_port=1 actions=output:2",
  "table=1, priority=5,ct_state=+est+trk,ip,in_port=2 actions=output:1",
];

/** A capture of one direction: client to server, or back. */
function capture(path: string, packets: number, back: boolean): void {
  const frames = Array.from({ length: FLOWS }, (_, i) => {
    const client = { mac: "02:00:00:00:00:01", ip: `10.0.${i >> 8}.${i & 255}`, port: 1024 + i };
    const server = { mac: "02:00:00:00:00:02", ip: "198.51.100.53", port: 53 };
    const [from, to] = back ? [server, client] : [client, server];
    return frame({
      ethSrc: from.mac,
      ethDst: to.mac,
      src: from.ip,
      dst: to.ip,
      proto: 17,
      sport: from.port,
      dport: to.port,
      data: new Uint8Array(18),
    });
  });
  const w = new PcapWriter(path);
  for (let i = 0; i < packets; i++) {
    const us = 2 * i + (back ? 1 : 0);
    const sec = START_SEC + Math.floor(us / US_PER_SEC);
    w.write(frames[i % FLOWS] as Uint8Array, sec, (us % US_PER_SEC) * 1000);
  }
  w.close();
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Runs the command without its text; answers seconds of processor time. */
async function seconds(args: readonly string[]): Promise<number> {
  const write = process.stdout.write;
  process.stdout.write = () => true;
  const begin = cpuSeconds();
  try {
    await replayMain(["--quiet", ...args]);
  } finally {
    process.stdout.write = write;
  }
  return cpuSeconds() - begin;
}

export async function replayBench(): Promise<Table> {
  const dir = mkdtempSync(join(tmpdir(), "tablewalk-bench-"));
  const path = (name: string) => join(dir, name);
  try {
    for (const [n, size] of [
      [1, "one"],
      [PACKETS / 2, "half"],
      [PACKETS, "all"],
    ] as const) {
      capture(path(`to-${size}.pcap`), n, false);
      capture(path(`back-${size}.pcap`), n, true);
    }
    const rows: string[][] = [];
    for (const [name, flows, both] of [
      ["one table, one direction", FORWARD, false],
      ["three tables, fields set, both directions", PIPELINE, true],
      ["conntrack, both directions", TRACKED, true],
    ] as const) {
      writeFileSync(path("flows"), `${flows.map((f) => ` cookie=0x0, ${f}`).join("\n")}\n`);
      const args = (size: string) => [
        ...["--from", path("flows"), "--out-dir", path("out")],
        ...["--in", `1=${path(`to-${size}.pcap`)}`],
        ...(both ? ["--in", `2=${path(`back-${size}.pcap`)}`] : []),
      ];
      await seconds(args(both ? "half" : "all"));
      const rates: number[] = [];
      for (let i = 0; i < ROUNDS; i++) {
        const start = await seconds(args("one"));
        const all = await seconds(args(both ? "half" : "all"));
        rates.push(PACKETS / (all - start));
      }
      const rate = `${Math.round(median(rates) / 1000)} k/s`;
      rows.push([name, rate, `${WANTED / 1000} k/s`]);
    }
    return {
      title: `Replay of ${PACKETS / 1e6} M packets, resident in the end ${Math.round(process.memoryUsage().rss / 1e6)} MB`,
      header: ["captures", "packets a second", "wanted"],
      rows,
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
