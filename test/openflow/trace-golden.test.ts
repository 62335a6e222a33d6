// Traces, whole, as the real Open vSwitch printed them (test/golden/traces.txt).

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { neutral } from "../../tools/oracle/side.ts";
import { parseGolden } from "../golden-script.ts";

const golden = parseGolden(readFileSync("test/golden/traces.txt", "utf8"));

describe("a session of traces prints what Open vSwitch prints", () => {
  for (const session of golden.sessions) {
    it(session.title, () => {
      const vs = new VSwitch({
        clock: new ManualClock(1_000_000),
        rng: new SeededRng(1),
        fs: new MemoryFileSystem(),
      });
      for (const c of session.commands) {
        const { exit, stdout, stderr } = runCommandLine(vs, c.argv, c.stdin);
        const got = { line: c.line, exit, output: neutral(stdout + stderr) };
        expect(got).toEqual({ line: c.line, exit: c.exit, output: c.output });
      }
    });
  }

  it("and there are some", () => {
    const traces = golden.sessions.flatMap((s) => s.commands).filter((c) => /trace/.test(c.line));
    expect(traces.length).toBeGreaterThan(100);
  });
});
