// `npm run fuzz -- [--runs N] [--seed S] [--only NAME]`: damaged input to all that reads what others
// wrote (test/arbitraries/fuzz-targets.ts). Nothing may throw or take long.
//
// `npm run fuzz -- --frames N [--seed S] [--jobs J]`: frames, a part of them damaged, through whole
// switches with the laws on, in J threads. Meant for a night: N is 10000000 then. What is asked of each
// frame, of each burst, of a sample, and at the end of a world, is listed in test/laws/frame-fuzz.ts.
//
// The input of each run follows from the seed and the number of the run, so a failure is shown again
// with `--seed S --from RUN --runs 1`, or `--seed S --from WORLD --frames N`, as it is printed. The
// first failure of each target is printed; if there is one, the status is 1.

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import {
  FUZZ_TARGETS,
  type FuzzTarget,
  showInput,
  tryInput,
} from "../test/arbitraries/fuzz-targets.ts";
import { seeded } from "../test/arbitraries/matches.ts";
import { fuzzFrames, SEED_MAX, servesTasks } from "./fuzz-frames.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10000" },
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    only: { type: "string" },
    frames: { type: "string" },
    jobs: { type: "string", default: "1" },
  },
});

const SHOWN_CHARS_MAX = 4000;
/** Runs between two lines of progress. */
const PROGRESS_RUNS = 50_000;

const seed = values.seed === undefined ? randomInt(SEED_MAX) : Number(values.seed);
const from = Number(values.from);
if (!servesTasks()) {
  process.exit((await main()) ? 0 : 1);
}

/** False if something failed. */
function main(): Promise<boolean> {
  const { frames, jobs, runs } = values;
  return frames !== undefined
    ? fuzzFrames({ seed, from, frames: Number(frames), jobs: Number(jobs) })
    : fuzzParsers(Number(runs));
}

async function fuzzParsers(runs: number): Promise<boolean> {
  const targets = FUZZ_TARGETS.filter((t) => values.only === undefined || t.name === values.only);
  if (targets.length === 0) {
    const names = FUZZ_TARGETS.map((t) => t.name).join(", ");
    console.error(`no target ${values.only}; there are: ${names}`);
    return false;
  }
  const turns = targets.flatMap((t) => Array<FuzzTarget>(t.share).fill(t));
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
  return failed.size === 0;
}
