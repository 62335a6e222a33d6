// Records what the real Open vSwitch shows of the sequences in test/golden/sequences.json: each of
// them once showed a difference.
//
// `node tools/run.mjs tools/golden-sequences.ts [--add KIND FILE WHY]` needs Open vSwitch 3.1.0. FILE
// is a case that `npm run oracle` saved; it is added before everything is recorded again.

import { readFileSync, writeFileSync } from "node:fs";
import { SEQUENCE_KINDS } from "../test/arbitraries/sequences/kinds.ts";
import type { Sequence } from "../test/arbitraries/sequences/step.ts";
import { RealOvs } from "./oracle/real-ovs.ts";
import { observe } from "./oracle/sequences.ts";

const GOLDEN = "test/golden/sequences.json";

interface GoldenSequence extends Sequence {
  readonly kind: string;
  readonly why: string;
  /** What is seen in each look. */
  readonly seen: readonly string[];
}

const cases: GoldenSequence[] = JSON.parse(readFileSync(GOLDEN, "utf8"));
const [option, kind = "", file = "", why = ""] = process.argv.slice(2);
if (option === "--add") {
  const { steps } = JSON.parse(readFileSync(file, "utf8")) as Sequence;
  cases.push({ kind, why, steps, seen: [] });
}
const recorded: GoldenSequence[] = [];
for (const c of cases) {
  const k = SEQUENCE_KINDS.find((x) => x.name === c.kind);
  if (k === undefined) {
    throw new Error(`no kind ${c.kind}`);
  }
  const real = new RealOvs();
  try {
    await real.start();
    recorded.push({ ...c, seen: await observe(k, c, real) });
  } finally {
    real.stop();
  }
}
writeFileSync(GOLDEN, `${JSON.stringify(recorded, null, 1)}\n`);
