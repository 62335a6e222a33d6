// Whatever stands in a file or a message: every parser comes back, soon, with an answer or an error.
import { describe, expect, it } from "vitest";
import { FUZZ_TARGETS, showInput, tryInput } from "../arbitraries/fuzz-targets.ts";
import { seeded } from "../arbitraries/matches.ts";

/** Runs of a target with a share of 1. */
const RUNS = 30;

describe("parsers take anything", () => {
  for (const target of FUZZ_TARGETS) {
    it(target.name, { timeout: 120_000 }, async () => {
      const r = seeded(target.name.length);
      for (let i = 0; i < RUNS * target.share; i++) {
        const input = target.make(r);
        expect(await tryInput(target, input), showInput(input)).toBeNull();
      }
    });
  }
});
