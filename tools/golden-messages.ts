// Refreshes test/golden/messages*.txt: what the real `ovs-ofctl ofp-print` says about each message.
//
// The messages stay as they are in the files; another one is added by writing its line of hex
// digits. Those of messages.txt were taken from between a real ovs-ofctl and a real ovs-vswitchd in
// all versions, those of messages-damaged.txt are such messages with damage. A message is a line
// `> HEX`, the lines that it prints follow, each behind two blanks, and those that it logs, behind
// `! `.
//
// Run with `node tools/run.mjs tools/golden-messages.ts`; needs the tools of Open vSwitch 3.1.0.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const HEADER = [
  "# Made by `node tools/run.mjs tools/golden-messages.ts` with Open vSwitch 3.1.0.",
  "# A message, then the output of `ovs-ofctl ofp-print HEX 2` and its log without time and number.",
];

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function entry(hex: string): string[] {
  const r = spawnSync("ovs-ofctl", ["ofp-print", hex, "2"], { encoding: "utf8" });
  if (r.error !== undefined) {
    throw r.error;
  }
  const log = linesOf(r.stderr)
    .filter((l) => l !== "")
    .map((l) => `! ${l.replace(/^\d{4}-[^|]*\|\d+\|/, "")}`);
  return [`> ${hex}`, ...linesOf(r.stdout).map((l) => `  ${l}`), ...log];
}

for (const file of ["test/golden/messages.txt", "test/golden/messages-damaged.txt"]) {
  const messages = linesOf(readFileSync(file, "utf8")).filter((l) => l.startsWith("> "));
  const lines = [...HEADER, ...messages.flatMap((l) => entry(l.slice(2)))];
  writeFileSync(file, `${lines.join("\n")}\n`);
}
