// Floods beyond each limit, and each way to lose a packet, in the words of the tools:
// test/golden/floods/*.txt.
//
// `?` stands before a line whose answer is compared with what Open vSwitch said
// (test/golden/floods.json), `@N` before one that is run N times, with {i} its number, {h} the number
// as two hex digits and {d} as the last byte of an address.

import { readdirSync, readFileSync } from "node:fs";
import { splitWords } from "../../src/vswitch/words.ts";

export interface FloodCommand {
  readonly argv: readonly string[];
  /** The answer counts. */
  readonly asked: boolean;
}

const DIR = "test/golden/floods";

export function floodNames(): string[] {
  return readdirSync(DIR).map((f) => f.replace(/\.txt$/, ""));
}

/** The command lines of a flood. */
export function* floodCommands(name: string): Generator<FloodCommand> {
  for (const line of readFileSync(`${DIR}/${name}.txt`, "utf8").split("\n")) {
    const [, count, command = ""] = /^(?:@(\d+) |\?)?(.*)$/.exec(line) ?? [];
    if (command === "" || command.startsWith("#")) {
      continue;
    }
    for (let i = 0; i < Number(count ?? 1); i++) {
      const text = command
        .replaceAll("{i}", `${i}`)
        .replaceAll("{h}", i.toString(16).padStart(2, "0"))
        .replaceAll("{d}", `${i + 1}`);
      yield { argv: splitWords(text), asked: line.startsWith("?") };
    }
  }
}

/** An answer whose order and times say nothing. */
export function neutralFlood(text: string): string {
  return text
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|/gm, "<time>|")
    .replace(/duration=[0-9.]+s/g, "duration=*")
    .replace(/xid=0x[0-9a-f]+/g, "xid=*")
    .split("\n")
    .sort()
    .join("\n");
}
