// What tests of `tablewalk replay` share: the command in this process, and captures to feed it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, vi } from "vitest";
import { replayMain } from "../../src/cli/replay.ts";
import { PcapReader, PcapWriter } from "../../src/io/pcap-file.ts";
import { formatHex, parseHex } from "../../src/lib/bytes.ts";
import type { FullReport } from "../../src/vswitch/replay/replay-text.ts";
import { problems, type Schema } from "../json-schema.ts";

export const dir = mkdtempSync(join(tmpdir(), "tablewalk-replay-"));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

export const NAT = "examples/replay";
export const NAT_IN = ["lan", "wan", "dmz"].flatMap((p) => ["--in", `${p}=${NAT}/${p}.pcap`]);
const SCHEMA = JSON.parse(readFileSync("docs/replay.schema.json", "utf8")) as Schema;
export const T0 = 1_700_000_000;

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const replay = (...args: string[]) => run(replayMain, args);

/** A class as `trace --pcap` shows it. */
export interface TracedClass {
  readonly path: string;
  readonly packets: number;
  readonly bytes: number;
  readonly first_packet: number;
}

export async function run(
  main: (args: readonly string[]) => Promise<number>,
  args: readonly string[],
): Promise<Ran> {
  const out = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      out[name] += String(text);
      return true;
    }),
  );
  try {
    return { status: await main(args), ...out };
  } finally {
    for (const spy of spies) {
      spy.mockRestore();
    }
  }
}

export async function report(...args: string[]): Promise<FullReport> {
  const r = await replay("--json", "--quiet", ...args);
  const data = JSON.parse(r.stdout) as FullReport;
  expect(problems(SCHEMA, JSON.parse(r.stdout) as Schema)).toEqual([]);
  return data;
}

let files = 0;
export function file(content: string | Uint8Array, ext = "pcap"): string {
  const path = join(dir, `f${++files}.${ext}`);
  writeFileSync(path, content);
  return path;
}

/** A UDP frame whose ports tell frames apart; dst 10.0.0.`host`. */
export function udp(port: number, host = 2, src = 1): Uint8Array {
  const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0");
  const mac = `0200000000${hex(host, 2)}0200000000${hex(src, 2)}0800`;
  const ip = `45000024000100004011${"66c7"}0a0000${hex(src, 2)}0a0000${hex(host, 2)}`;
  return parseHex(`${mac}${ip}${hex(port, 4)}003500100000${"61".repeat(8)}`) as Uint8Array;
}

/** A capture of frames, each with its time in milliseconds. */
export function pcap(
  frames: readonly (readonly [ms: number, frame: Uint8Array])[],
  nanos = false,
): string {
  const path = join(dir, `c${++files}.pcap`);
  const w = new PcapWriter(path, nanos);
  for (const [ms, frame] of frames) {
    w.write(frame, T0 + Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6));
  }
  w.close();
  return path;
}

/** `time:port` of each packet of a capture, time in microseconds since T0. */
export function packetsIn(path: string): string[] {
  const reader = new PcapReader(path);
  const out: string[] = [];
  for (let r = reader.next(); r !== null; r = reader.next()) {
    const port = Number.parseInt(formatHex(r.data.subarray(34, 36)), 16);
    out.push(`${(r.sec - T0) * 1e6 + r.nsec / 1000}:${port}`);
  }
  reader.close();
  return out;
}

export const flowsFile = (flows: readonly string[]) =>
  file(
    `${flows.map((f) => ` cookie=0x0, duration=1s, n_packets=0, n_bytes=0, ${f}`).join("\n")}\n`,
    "txt",
  );
export const FORWARD = flowsFile([
  "table=0, priority=1,in_port=1 actions=output:2",
  "table=0, in_port=3 actions=output:2",
]);
