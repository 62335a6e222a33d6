// `npm run oracle -- [--runs N] [--minutes M] [--seed S] [--kind NAME[,NAME]]`: random scenarios
// through the live Open vSwitch and through ours; everything that either prints or sends has to be
// the same.
//
// The kinds take turns; each has its own pair of switches, started when it is first drawn. Each run
// draws a seed of its own unless told one, and prints it. A difference has to show again on fresh
// switches; it is made smaller there, saved under oracle-failures/ as a case (JSON) and as a shell
// script for a real Open vSwitch, and ends the run with status 1.

import { randomInt } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { SEQUENCE_KINDS } from "../test/arbitraries/sequences/kinds.ts";
import { compareHost } from "./oracle/host.ts";
import type { Kind, Scenario } from "./oracle/kind.ts";
import { OurSwitch } from "./oracle/ours.ts";
import { haveRealOvs, RealOvs } from "./oracle/real-ovs.ts";
import { sequenceKind } from "./oracle/sequences.ts";
import type { Side } from "./oracle/side.ts";
import { SHRINK_TRIES_MAX, smaller } from "./oracle/smaller.ts";
import { TRACES } from "./oracle/traces.ts";
import { TREES } from "./oracle/trees.ts";
import { VSCTL } from "./oracle/vsctl.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "200" },
    seed: { type: "string" },
    kind: { type: "string" },
    /** Ends after so many minutes, whatever `runs` is. */
    minutes: { type: "string" },
    /** Runs one saved case (JSON) instead; --kind tells of which kind it is. */
    case: { type: "string" },
    /** With --case: if the case differs, makes it smaller and saves what is left beside it. */
    smaller: { type: "boolean", default: false },
    /** Compares Open vSwitch with itself, to see that a scenario has one answer. */
    self: { type: "boolean", default: false },
    /** Compares a dump of a live switch with thousands of flows, opened here, with that switch. */
    host: { type: "boolean", default: false },
    /** Goes on after a difference, and does not make it smaller. */
    all: { type: "boolean", default: false },
  },
});

/** Lines that are told of what came before a crash. */
const CRASH_LINES = 20;

const KINDS: readonly Kind[] = [TRACES, VSCTL, TREES, ...SEQUENCE_KINDS.map(sequenceKind)];

/** The two switches of a kind. */
class Pair {
  private sides: { real: RealOvs; ours: Side } | null = null;
  private readonly kind: Kind;
  crashes = 0;

  constructor(kind: Kind) {
    this.kind = kind;
  }

  async get(): Promise<{ real: RealOvs; ours: Side }> {
    if (this.sides === null) {
      const real = new RealOvs();
      const ours = values.self ? new RealOvs() : new OurSwitch();
      this.sides = { real, ours };
      await Promise.all([real.start(), ours.start()]);
      await this.kind.setUp(real, ours);
    }
    return this.sides;
  }

  /** A crash of Open vSwitch is no difference; it is told and counted. */
  async compare(s: Scenario): Promise<string | null> {
    const { real, ours } = await this.get();
    const difference = await this.kind.compare(s, real, ours);
    if (difference !== null && (await real.hasCrashed())) {
      this.crashes += 1;
      console.error(`oracle: ${this.kind.name}: Open vSwitch crashed: ${lastLines(difference)}`);
      this.stop();
      return null;
    }
    return difference;
  }

  /** The next comparison starts with fresh switches. */
  stop(): void {
    this.sides?.real.stop();
    this.sides?.ours.stop();
    this.sides = null;
  }
}

/** The commands before a crash. */
function lastLines(difference: string): string {
  const told = difference.split("\n--- Open vSwitch")[0] ?? "";
  return told.split("\n").slice(-CRASH_LINES).join("\n");
}

/** The difference if it shows again on fresh switches. */
async function confirmed(pair: Pair, s: Scenario): Promise<string | null> {
  pair.stop();
  return pair.compare(s);
}

/** Makes a failing scenario smaller, saves it and tells the difference. */
async function reportFailure(
  kind: Kind,
  pair: Pair,
  { scenario: s, difference: first, name }: Failure,
): Promise<void> {
  let difference = first;
  const tries = values.all ? 0 : SHRINK_TRIES_MAX;
  const least = await smaller(s, tries, async (c) => {
    const found = await confirmed(pair, c);
    difference = found ?? difference;
    return found !== null;
  });
  mkdirSync("oracle-failures", { recursive: true });
  writeFileSync(`${name}.json`, `${JSON.stringify(least, null, 2)}\n`);
  const head = "#!/bin/sh\n# Run where an ovs-vswitchd with --enable-dummy=system answers.\n";
  const script = `${head}${kind.script(least).join("\n")}\n`;
  writeFileSync(`${name}.sh`, script, { mode: 0o755 });
  console.error(difference);
}

interface Failure {
  readonly scenario: Scenario;
  /** What fresh switches showed. */
  readonly difference: string;
  /** Of the files in which it is saved. */
  readonly name: string;
}

interface Tally {
  runs: number;
  differing: number;
  /** Differences that did not show again on fresh switches. */
  passing: number;
}

async function runAll(kinds: readonly Kind[], seed: number, runs: number): Promise<boolean> {
  const pairs = new Map(kinds.map((k) => [k, new Pair(k)]));
  const endMs =
    values.minutes === undefined
      ? Number.POSITIVE_INFINITY
      : Date.now() + Number(values.minutes) * 60_000;
  const tallies = new Map(kinds.map((k): [Kind, Tally] => [k, emptyTally()]));
  // No daemon outlives the run.
  const end = () => {
    for (const pair of pairs.values()) {
      pair.stop();
    }
    process.exit(1);
  };
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    for (let i = 0; i < runs && Date.now() < endMs; i++) {
      const kind = kinds[i % kinds.length] as Kind;
      const [pair, tally] = [pairs.get(kind) as Pair, tallies.get(kind) as Tally];
      const s = drawn(kind, seed, i);
      tally.runs += 1;
      const first = await pair.compare(s);
      if (first === null) {
        continue;
      }
      const name = `oracle-failures/${kind.name}-${seed}-${i}`;
      const again = await confirmed(pair, s);
      if (again === null) {
        tally.passing += 1;
        console.error(
          `${first}\noracle: ${kind.name}: run ${i} differed, on fresh switches it does not`,
        );
        continue;
      }
      tally.differing += 1;
      await reportFailure(kind, pair, { scenario: s, difference: again, name });
      console.error(`oracle: ${kind.name}: run ${i} of seed ${seed} differs; ${name}.{json,sh}`);
      if (!values.all) {
        return false;
      }
    }
  } finally {
    for (const pair of pairs.values()) {
      pair.stop();
    }
    for (const [kind, t] of tallies) {
      const crashes = pairs.get(kind)?.crashes ?? 0;
      const crashed = crashes > 0 ? `, Open vSwitch crashed ${crashes} times` : "";
      console.log(`oracle: ${kind.name}: ${t.runs} runs, ${t.differing} differ${crashed}`);
    }
  }
  return [...tallies.values()].every((t) => t.differing === 0);
}

const emptyTally = (): Tally => ({ runs: 0, differing: 0, passing: 0 });

/** The scenario of a run, by seed and number alone. */
function drawn(kind: Kind, seed: number, run: number): Scenario {
  return fc.sample(kind.arbitrary, { seed: (seed + run * 7919) | 0, numRuns: 1 })[0] as Scenario;
}

async function runCase(kind: Kind, file: string): Promise<boolean> {
  const pair = new Pair(kind);
  const s = JSON.parse(readFileSync(file, "utf8")) as Scenario;
  try {
    const difference = await pair.compare(s);
    if (difference !== null && values.smaller) {
      const name = `${file.replace(/\.json$/, "")}-smaller`;
      await reportFailure(kind, pair, { scenario: s, difference, name });
    } else {
      console.log(difference ?? "oracle: no difference");
    }
    return difference === null;
  } finally {
    pair.stop();
  }
}

async function runHost(seed: number): Promise<boolean> {
  const pair = new Pair(TRACES);
  try {
    const difference = await compareHost((await pair.get()).real, seed);
    if (difference !== null) {
      console.error(difference);
    }
    return difference === null;
  } finally {
    pair.stop();
  }
}

async function main(): Promise<number> {
  if (!haveRealOvs()) {
    console.error("oracle: Open vSwitch is not installed here (package openvswitch-switch)");
    return 2;
  }
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const names = values.kind?.split(",") ?? KINDS.map((k) => k.name);
  const kinds = KINDS.filter((k) => names.includes(k.name));
  if (kinds.length === 0) {
    console.error(`oracle: kinds are ${KINDS.map((k) => k.name).join(", ")}`);
    return 2;
  }
  if (values.host) {
    return (await runHost(seed)) ? 0 : 1;
  }
  if (values.case !== undefined) {
    return (await runCase(kinds[0] as Kind, values.case)) ? 0 : 1;
  }
  const runs = Number(values.runs);
  console.log(`oracle: ${runs} runs of ${kinds.map((k) => k.name).join(", ")}, seed ${seed}`);
  const start = Date.now();
  const good = await runAll(kinds, seed, runs);
  console.log(`oracle: ${good ? "no difference" : "differences"}, ${seconds(start)} s`);
  return good ? 0 : 1;
}

const seconds = (start: number): string => ((Date.now() - start) / 1000).toFixed(1);

process.exitCode = await main();
