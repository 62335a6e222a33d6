// Files and command lines as nobody should write them get Open vSwitch's answers, and soon.
// Recorded by `node tools/run.mjs tools/golden-bad-input.ts` with Open vSwitch 3.1.0.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeUtf8 } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { loadConnections } from "../../src/vswitch/host-dump/conntrack.ts";
import type { Note } from "../../src/vswitch/host-dump/note.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { BAD_CASES, BAD_SETUP, neutralBad } from "../arbitraries/bad-files.ts";

const ROWS = JSON.parse(readFileSync("test/golden/bad-input.json", "utf8")) as Readonly<
  Record<string, { readonly exit: number; readonly out: string }>
>;
/** Milliseconds of the processor for a line, so that it does not matter what else runs. */
const ANSWER_MS_MAX = 5000;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function newBed() {
  const fs = new MemoryFileSystem();
  const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
  for (const argv of BAD_SETUP) {
    runCommandLine(vs, argv);
  }
  return { fs, vs };
}

describe("bad input", () => {
  it("is answered as Open vSwitch answers", () => {
    const { fs, vs } = newBed();
    for (const { name, argv, file } of BAD_CASES) {
      if (file !== undefined) {
        fs.writeFile(
          "FILE",
          Uint8Array.from(file, (c) => c.charCodeAt(0)),
        );
      }
      const start = cpuMs();
      const { exit, stdout, stderr } = runCommandLine(vs, argv);
      expect({ exit, out: neutralBad(stderr + stdout) }, name).toEqual(ROWS[name]);
      expect(cpuMs() - start, name).toBeLessThan(ANSWER_MS_MAX);
    }
  });

  it("that the kernel's own tool prints is no dump of conntrack", () => {
    const { vs } = newBed();
    const text =
      "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=5 dport=80 src=10.0.0.2 " +
      "dst=10.0.0.1 sport=80 dport=5 [ASSURED] mark=0 use=1\n";
    const notes: Note[] = [];
    loadConnections(vs, { name: "ct.txt", text, version: 0 }, notes);
    expect(notes.map((n) => `${n.kind} ${n.text}`)).toEqual([
      "error ct.txt: this is what conntrack -L prints; the output of " +
        "ovs-appctl dpctl/dump-conntrack is wanted",
    ]);
  });

  it("in the last of many lines is found, and nothing of the file is taken", () => {
    const { fs, vs } = newBed();
    const lines = Array.from(
      { length: 8000 },
      (_, i) => `table=${i % 8},dl_vlan=${i % 4000},actions=1`,
    );
    fs.writeFile("FILE", encodeUtf8(`${lines.join("\n")}\nin_port=1,actions=outptu:1\n`));
    const { exit, stderr } = runCommandLine(vs, ["ovs-ofctl", "add-flows", "br0", "FILE"]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^ovs-ofctl: FILE:8001: /);
    const { stdout } = runCommandLine(vs, ["ovs-ofctl", "dump-aggregate", "br0"]);
    expect(stdout).toContain("flow_count=0");
  });
});
