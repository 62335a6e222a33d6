// `npm run fuzz -- [--runs N] [--seed S] [--only NAME]`: damaged input to all that reads what others
// wrote (test/arbitraries/fuzz-targets.ts). Nothing may throw or take long.
//
// `npm run fuzz -- --frames N [--seed S]`: frames, a part of them damaged, through whole switches with
// the laws on (test/laws/frame-fuzz.ts). Meant for a night: N is 10000000 then.
//
// The input of each run follows from the seed and the number of the run, so a failure is shown again
// with `--seed S --from RUN --runs 1`, or `--seed S --from WORLD --frames 4000`. The first failure of
// each target is printed; if there is one, the status is 1.

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import {
  FUZZ_TARGETS,
  type FuzzTarget,
  showInput,
  tryInput,
} from "../test/arbitraries/fuzz-targets.ts";
import { seeded } from "../test/arbitraries/matches.ts";
import { fuzzWorld, WORLD_FRAMES } from "../test/laws/frame-fuzz.ts";
import type { Notes } from "../test/laws/switch-laws.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10000" },
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    only: { type: "string" },
    frames: { type: "string" },
  },
});

const SEED_MAX = 2 ** 31;
const SHOWN_CHARS_MAX = 4000;
/** Worlds that may fail before a run ends. */
const FAILURES_MAX = 5;
const PROGRESS_FRAMES = 100_000;
/** Runs between two lines of progress. */
const PROGRESS_RUNS = 50_000;

const seed = values.seed === undefined ? randomInt(SEED_MAX) : Number(values.seed);
const from = Number(values.from);
const runs = Number(values.runs);
if (values.frames !== undefined) {
  process.exit(fuzzFrames(seed, from, Number(values.frames)) ? 0 : 1);
}
const targets = FUZZ_TARGETS.filter((t) => values.only === undefined || t.name === values.only);
if (targets.length === 0) {
  console.error(
    `no target ${values.only}; there are: ${FUZZ_TARGETS.map((t) => t.name).join(", ")}`,
  );
  process.exit(2);
}

const turns: readonly FuzzTarget[] = targets.flatMap((t) => Array(t.share).fill(t) as FuzzTarget[]);
const failed = new Set<string>();
console.log(`seed ${seed}, ${runs} runs, ${targets.length} targets`);
for (let run = from; run < from + runs; run++) {
  const r = seeded(Math.imul(seed ^ run, 0x9e3779b1));
  const target = turns[run % turns.length] as FuzzTarget;
  const input = target.make(r);
  const problem = await tryInput(target, input);
  if (problem !== null && !failed.has(target.name)) {
    failed.add(target.name);
    console.log(`\n${target.name}: --seed ${seed} --from ${run} --runs 1`);
    console.log(`${showInput(input).slice(0, SHOWN_CHARS_MAX)}\n${problem}`);
  }
  if ((run + 1) % PROGRESS_RUNS === 0) {
    console.log(`${run + 1 - from} runs`);
  }
}
console.log(failed.size === 0 ? "no failure" : `${failed.size} targets failed`);
process.exit(failed.size === 0 ? 0 : 1);

/** Worlds from number `first` on until `frames` frames have passed; false if some law did not hold. */
function fuzzFrames(base: number, first: number, frames: number): boolean {
  const notes: Notes = new Map();
  const start = performance.now();
  const rate = (n: number) => Math.round((1000 * n) / (performance.now() - start));
  let failures = 0;
  console.log(`seed ${base}, ${frames} frames in worlds of ${WORLD_FRAMES}`);
  for (let n = 0, world = first; n < frames && failures < FAILURES_MAX; world++) {
    const some = Math.min(WORLD_FRAMES, frames - n);
    const wrong = fuzzWorld((base + world) % SEED_MAX, some, notes);
    if (wrong !== null) {
      failures++;
      console.log(`\n--seed ${base} --from ${world} --frames ${some}`);
      console.log(wrong.slice(0, SHOWN_CHARS_MAX));
    }
    if (Math.floor((n + some) / PROGRESS_FRAMES) > Math.floor(n / PROGRESS_FRAMES)) {
      console.log(`${n + some} frames, ${rate(n + some)}/s`);
    }
    n += some;
  }
  for (const [what, count] of [...notes].sort()) {
    console.log(`${String(count).padStart(12)} ${what}`);
  }
  console.log(failures === 0 ? "no failure" : `${failures} worlds failed`);
  return failures === 0;
}
