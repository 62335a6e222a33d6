// Scores the build against the recorded corpus and compares with the committed floor.
//
// `node tools/run.mjs tools/corpus-floor.ts CORPUS [--raise]`. The floor (tools/corpus-floor.json)
// holds, per area, the steps that pass among those that tell something. A run below it fails; with
// `--raise` a better run is written back. The floor only rises.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface StepResult {
  readonly status: string;
  readonly telling: boolean;
}
interface CaseResult {
  readonly area: string;
  readonly steps: readonly StepResult[];
}
type Score = Record<string, { passed: number; of: number }>;

const FLOOR_FILE = "tools/corpus-floor.json";
const [corpus, ...flags] = process.argv.slice(2);
if (corpus === undefined) {
  console.error("usage: corpus-floor.ts CORPUS [--raise]");
  process.exit(2);
}

const score = replay(corpus);
const floor = JSON.parse(readFileSync(FLOOR_FILE, "utf8")) as Record<string, number>;
let below = 0;
for (const [area, { passed, of }] of Object.entries(score)) {
  const want = floor[area] ?? 0;
  const mark = passed < want ? `BELOW the floor of ${want}` : "";
  below += passed < want ? 1 : 0;
  console.log(`${area.padEnd(12)} ${passed}/${of} ${((100 * passed) / of).toFixed(1)} % ${mark}`);
}
for (const area of Object.keys(floor).filter((a) => !(a in score))) {
  console.log(`${area}: not in the corpus`);
}
if (flags.includes("--raise")) {
  const raised = { ...floor };
  for (const [area, { passed }] of Object.entries(score)) {
    raised[area] = Math.max(passed, floor[area] ?? 0);
  }
  writeFileSync(FLOOR_FILE, `${JSON.stringify(raised, null, 2)}\n`);
}
process.exit(below === 0 ? 0 : 1);

/** Runs the corpus' own replayer with our shell as the driver. */
function replay(dir: string): Score {
  const work = mkdtempSync(join(tmpdir(), "tablewalk-corpus-"));
  const out = join(work, "result.json");
  try {
    const args = [
      join(dir, "ovs/tools/replay.py"),
      join(dir, "ovs/dev"),
      "--driver",
      "node dist/bin/tablewalk.mjs shell --json",
      "-j",
      "2",
      "-q",
      "--json",
      out,
    ];
    const run = spawnSync("python3", args, { stdio: ["ignore", "inherit", "inherit"] });
    if (run.error !== undefined) {
      throw run.error;
    }
    return tally(JSON.parse(readFileSync(out, "utf8")) as readonly CaseResult[]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function tally(results: readonly CaseResult[]): Score {
  const sum: Score = {};
  for (const { area, steps } of results) {
    sum[area] ??= { passed: 0, of: 0 };
    for (const step of steps.filter((s) => s.telling)) {
      sum[area].of++;
      sum[area].passed += step.status === "PASS" ? 1 : 0;
    }
  }
  return sum;
}
