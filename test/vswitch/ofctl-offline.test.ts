// Commands of ovs-ofctl that need no switch, against what the real one answered.
// Recorded by `node tools/run.mjs tools/golden-ofctl.ts` with Open vSwitch 3.1.0.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { encodeUtf8 } from "../../src/lib/bytes.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

interface Row {
  readonly argv: readonly string[];
  readonly stdin: string;
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

const ROWS = JSON.parse(readFileSync("test/golden/ofctl-offline.json", "utf8")) as readonly Row[];

const fs = new MemoryFileSystem();
const vs = new VSwitch({ clock: new ManualClock(), rng: new SeededRng(1), fs });

function run(argv: readonly string[], stdin = ""): Omit<Row, "argv" | "stdin"> {
  const reply = runCommandLine(vs, ["ovs-ofctl", ...argv], stdin);
  const neutral = (t: string) =>
    t.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|/gm, "<time>|").replace(/xid=0x[0-9a-f]+/g, "xid=*");
  return { exit: reply.exit, stdout: neutral(reply.stdout), stderr: neutral(reply.stderr) };
}

describe("offline commands of ovs-ofctl", () => {
  for (const name of new Set(ROWS.map((r) => r.argv.find((a) => !a.startsWith("-")) ?? ""))) {
    it(`${name} answers as recorded`, () => {
      for (const { argv, stdin, ...expected } of ROWS.filter((r) => r.argv.includes(name))) {
        expect(run(argv, stdin), `${argv.join(" ")} < ${stdin}`).toEqual(expected);
      }
    });
  }

  it("ofp-parse reads messages from a file", () => {
    fs.writeFile("two", Uint8Array.from([1, 0, 0, 8, 0, 0, 0, 1, 4, 2, 0, 8, 0, 0, 0, 2]));
    expect(run(["ofp-parse", "two"]).stdout).toBe(
      "OFPT_HELLO (xid=*):\n version bitmap: 0x01\n" +
        "OFPT_ECHO_REQUEST (OF1.3) (xid=*): 0 bytes of payload\n",
    );
    fs.writeFile("cut", Uint8Array.from([1, 0, 0, 9, 0, 0, 0, 1]));
    expect(run(["ofp-parse", "cut"])).toEqual({
      exit: 1,
      stdout: "",
      stderr: "ovs-ofctl: cut: unexpected end of file mid-message\n",
    });
  });

  it("parse-pcap tells of a file that is missing or no capture", () => {
    fs.writeFile("text", encodeUtf8("not a capture, but long enough to be looked at\n"));
    expect(run(["parse-pcap", "none"])).toEqual({
      exit: 2,
      stdout: "",
      stderr: "ovs-ofctl: none: open failed (No such file or directory)\n",
    });
    expect(run(["parse-pcap", "text"]).exit).not.toBe(0);
  });
});
