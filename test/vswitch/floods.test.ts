// Floods beyond each limit end as with Open vSwitch: what is refused, what is evicted, what is
// counted; and each way to lose a packet increments one counter by its name.
// Recorded by `node tools/run.mjs tools/golden-floods.ts` with Open vSwitch 3.1.0.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { floodCommands, floodNames, neutralFlood } from "../arbitraries/floods.ts";

const ANSWERS = JSON.parse(readFileSync("test/golden/floods.json", "utf8")) as Readonly<
  Record<string, readonly string[]>
>;

describe("floods as Open vSwitch took them", () => {
  it.each(floodNames())("%s", (name) => {
    const fs = new MemoryFileSystem();
    const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
    const wanted = [...(ANSWERS[name] ?? [])];
    for (const { argv, asked } of floodCommands(name)) {
      const { exit, stdout, stderr } = runCommandLine(vs, argv);
      if (asked) {
        const got = `${exit} ${neutralFlood(stdout + stderr)}`;
        expect(got, argv.join(" ")).toBe(wanted.shift());
      }
    }
    expect(wanted).toEqual([]);
  });
});
