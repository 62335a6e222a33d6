// Start bench: what a trace of one packet costs from the shell's prompt, beside Node's own start.
//
// The installed program (dist/bin, made by `npm run build`) opens the dumped host of examples/ and
// traces a packet; `node -e 0` is what no program can undercut. Pairs alternate; processor time of
// the children as the kernel counts it.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { Table } from "./table.ts";

const PROGRAM = "dist/bin/tablewalk.mjs";
const PAIRS = 15;
/** Units of /proc/self/stat a second, and where it has the time of children. */
const TICKS = 100;
const CUTIME_FIELD = 13;
/** The aim: so many times Node's own start and so many milliseconds. */
const WANTED = { times: 1.5, ms: 60 };

function childrenMs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  const ticks = Number(fields[CUTIME_FIELD]) + Number(fields[CUTIME_FIELD + 1]);
  return (ticks * 1000) / TICKS;
}

interface Start {
  readonly args: readonly string[];
  cpuMs: number;
  wallMs: number;
}

export async function startBench(): Promise<Table> {
  if (!existsSync(PROGRAM)) {
    throw new Error(`${PROGRAM} is not there: npm run build`);
  }
  const trace = [PROGRAM, "trace", "--from", "examples/host-dump", "in_port=1,tcp"];
  const node: Start = { args: ["-e", "0"], cpuMs: 0, wallMs: Number.POSITIVE_INFINITY };
  const ours: Start = { args: trace, cpuMs: 0, wallMs: Number.POSITIVE_INFINITY };
  for (let i = 0; i < PAIRS; i++) {
    for (const start of [node, ours]) {
      const cpu = childrenMs();
      const begin = performance.now();
      spawnSync(process.execPath, start.args, { stdio: "ignore" });
      start.wallMs = Math.min(start.wallMs, performance.now() - begin);
      start.cpuMs += (childrenMs() - cpu) / PAIRS;
    }
  }
  const ms = (n: number) => `${Math.round(n)} ms`;
  return {
    title: "Start",
    header: ["program", "processor time, mean", "wanted", "best time on the clock"],
    rows: [
      ["`node -e 0`", ms(node.cpuMs), "", ms(node.wallMs)],
      [
        "`tablewalk trace` of a dumped host",
        ms(ours.cpuMs),
        ms(WANTED.times * node.cpuMs + WANTED.ms),
        ms(ours.wallMs),
      ],
    ],
  };
}
