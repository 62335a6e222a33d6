// A kind of differential run: how switches are set up for it, what is drawn, how it is compared.

import type { Arbitrary } from "fast-check";
import type { Side } from "./side.ts";

/** What a run is made of; it can be written as JSON. */
export type Scenario = object;

export interface Kind {
  readonly name: string;
  readonly arbitrary: Arbitrary<Scenario>;
  /** Prepares a fresh pair of switches. */
  setUp(real: Side, ours: Side): Promise<void>;
  /** The first difference as text, or null. */
  compare(scenario: Scenario, real: Side, ours: Side): Promise<string | null>;
  /** Lines of a shell script that shows it on a real Open vSwitch. */
  script(scenario: Scenario): readonly string[];
}

/** A word as a shell needs it. */
export function quote(word: string): string {
  return /^[\w.,:=/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function shellLine(argv: readonly string[], stdin: string): string {
  const line = argv.map(quote).join(" ");
  return stdin === "" ? line : `${line} <<'END'\n${stdin}END`;
}

/** Runs a command on both sides, which have to take it. */
export async function onBoth(argv: readonly string[], real: Side, ours: Side): Promise<void> {
  for (const side of [real, ours]) {
    const answer = await side.run(argv);
    if (answer.exit !== 0) {
      throw new Error(`${argv.join(" ")}: ${answer.stderr}`);
    }
  }
}
