// The examples answer as the real switch did when their output was recorded:
// `sh examples/NAME.sh > examples/NAME.txt` beside a private ovs-vswitchd --enable-dummy=system.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readInputs } from "../src/io/inputs.ts";
import { decodeUtf8 } from "../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../src/lib/env.ts";
import { runCommandLine } from "../src/vswitch/commands.ts";
import { isOfUse, sortHostDump } from "../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../src/vswitch/host-dump/open.ts";
import { Script } from "../src/vswitch/script.ts";
import { VSwitch } from "../src/vswitch/vswitch.ts";

/** Recirculation ids count up over the life of a daemon. */
const neutral = (text: string) => text.replace(/\b(recirc\(|recirc_id=)(0x[0-9a-f]+|\d+)/g, "$1*");
const read = (name: string) => readFileSync(`examples/${name}`, "utf8");

function newSwitch(): VSwitch {
  const clock = new ManualClock(1_000_000);
  return new VSwitch({ clock, rng: new SeededRng(1), fs: new MemoryFileSystem() });
}

describe("scripts", () => {
  const names = readdirSync("examples").filter((f) => f.endsWith(".sh"));
  test("there are some", () => expect(names.length).toBeGreaterThanOrEqual(4));
  test.each(names)("%s", (name) => {
    let printed = "";
    const print = (text: string) => {
      printed += text;
    };
    new Script(newSwitch(), { stdout: print, stderr: print }).runText(read(name));
    expect(neutral(printed)).toBe(neutral(read(name.replace(".sh", ".txt"))));
  });
});

test("a chassis whose br-int OVN has made", async () => {
  const { files } = await readInputs(["examples/ovn-br-int/sosreport"], (_, head) =>
    isOfUse(decodeUtf8(head)),
  );
  const vs = newSwitch();
  const notes = openHostDump(vs, sortHostDump(files), null);
  expect(notes.filter((n) => n.kind !== "used")).toEqual([]);
  const flow = read("ovn-br-int/flow.txt").trim();
  const { stdout } = runCommandLine(vs, ["ovs-appctl", "ofproto/trace", "br-int", flow]);
  expect(neutral(stdout)).toBe(neutral(read("ovn-br-int/trace.txt")));
});
