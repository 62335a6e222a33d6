// Sequences of frames that once went otherwise than through Open vSwitch: what it showed (recorded).

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OurSwitch } from "../../tools/oracle/ours.ts";
import { observe } from "../../tools/oracle/sequences.ts";
import { SEQUENCE_KINDS } from "../arbitraries/sequences/kinds.ts";
import type { Sequence } from "../arbitraries/sequences/step.ts";

interface GoldenSequence extends Sequence {
  readonly kind: string;
  readonly why: string;
  readonly seen: readonly string[];
}

const cases: GoldenSequence[] = JSON.parse(readFileSync("test/golden/sequences.json", "utf8"));

describe("sequences as Open vSwitch took them", () => {
  it.each(cases)("$kind: $why", async ({ kind, steps, seen }) => {
    const k = SEQUENCE_KINDS.find((x) => x.name === kind);
    expect(k && (await observe(k, { steps }, new OurSwitch()))).toEqual(seen);
  });
});
