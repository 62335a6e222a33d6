// Whole switches that forward by NORMAL, through bonds and through tunnels, command by command as Open
// vSwitch answered (recorded).
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { neutralStep, type SwitchStep } from "../../tools/oracle/switch-step.ts";

const cases: SwitchStep[][] = JSON.parse(readFileSync("test/golden/switches.json", "utf8"));

describe("switches as Open vSwitch ran them", () => {
  it.each(cases.map((steps, i) => ({ steps, i })))("switch $i", ({ steps }) => {
    const vs = new VSwitch({
      clock: new ManualClock(1000),
      rng: new SeededRng(1),
      fs: new MemoryFileSystem(),
    });
    for (const wanted of steps) {
      const { exit, stdout, stderr } = runCommandLine(vs, wanted.run);
      expect(neutralStep({ run: wanted.run, exit, out: stdout, err: stderr })).toEqual(wanted);
    }
  });
});
