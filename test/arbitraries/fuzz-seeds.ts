// Good inputs for fuzzing, which damage.ts spoils: fuzz-seeds.txt and the recordings of test/golden.

import { readFileSync } from "node:fs";
import { parseHex } from "../../src/lib/bytes.ts";

const GOLDEN = "test/golden";
const SEEDS = "test/arbitraries/fuzz-seeds.txt";

function goldenLines(file: string): string[] {
  return readFileSync(`${GOLDEN}/${file}`, "utf8").split("\n");
}

/** The good inputs for one parser. */
export function seedTexts(section: string): string[] {
  const sections = readFileSync(SEEDS, "utf8").split(/^== /m);
  const found = sections.find((s) => s.startsWith(`${section}\n`));
  const lines = found?.split("\n").slice(1) ?? [];
  return lines
    .filter((l) => l !== "")
    .map((l) => l.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)));
}

/** Command lines; JSON keeps its escapes. */
export function seedCommands(section: "setup" | "command"): string[][] {
  return seedTexts(section).map((l) => JSON.parse(l) as string[]);
}

/** Flows with all actions, as `ovs-ofctl add-flow` takes them. */
export function flowSeeds(): string[] {
  const golden = goldenLines("actions.txt").filter((l) => l.startsWith("actions="));
  return [...golden, ...seedTexts("flow")];
}

/** OpenFlow messages of all versions. */
export function messageSeeds(): Uint8Array[] {
  return goldenLines("messages.txt")
    .filter((l) => l.startsWith("> "))
    .map((l) => parseHex(l.slice(2)) ?? new Uint8Array(0));
}

/** The JSON of the records of a database. */
export function recordSeeds(): string[] {
  return readFileSync(`${GOLDEN}/ovsdb/zoo.db`, "utf8")
    .split(/^OVSDB JSON .*\n/m)
    .filter((text) => text !== "");
}
