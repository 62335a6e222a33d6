// The examples answer as the real switch did when their output was recorded: scripts by
// `node tools/run.mjs tools/record-examples.ts`, which runs them in a shell beside a private
// ovs-vswitchd; the chassis of OVN by loading its dump there and handing in the captures' frames.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readInputs } from "../src/io/inputs.ts";
import { decodeUtf8 } from "../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../src/lib/env.ts";
import { runCommandLine } from "../src/vswitch/commands.ts";
import { isOfUse, sortHostDump } from "../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../src/vswitch/host-dump/open.ts";
import { Script } from "../src/vswitch/script.ts";
import { printPcap } from "../src/vswitch/commands/pcap.ts";
import { VSwitch } from "../src/vswitch/vswitch.ts";

/** Recirculation ids count up over the life of a daemon. */
const neutral = (text: string) =>
  text.replace(/\b(recirc\(|recirc_id[=(])(0x[0-9a-f]+|\d+)/g, "$1*");
const read = (name: string) => readFileSync(`examples/${name}`, "utf8");
/** Scripts that are only tests stand apart. */
const SCRIPT_DIRS = ["examples", "test/golden/stories"];

function newSwitch(): VSwitch {
  const clock = new ManualClock(1_000_000);
  return new VSwitch({ clock, rng: new SeededRng(1), fs: new MemoryFileSystem() });
}

describe("scripts", () => {
  const names = SCRIPT_DIRS.flatMap((dir) => readdirSync(dir).map((f) => join(dir, f))).filter(
    (f) => f.endsWith(".sh"),
  );
  test("there are some", () => expect(names.length).toBeGreaterThanOrEqual(4));
  test.each(names)("%s", (name) => {
    let printed = "";
    const print = (text: string) => {
      printed += text;
    };
    new Script(newSwitch(), { stdout: print, stderr: print }).runText(readFileSync(name, "utf8"));
    const recorded = readFileSync(name.replace(".sh", ".txt"), "utf8");
    expect(neutral(printed)).toBe(neutral(recorded));
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

test("captures through that chassis: frames that leave, tunnels and all, and connections", () => {
  const dir = mkdtempSync(join(tmpdir(), "tablewalk-test-"));
  const [phys, under] = ["patch-br-int-to-breth0_kube-node3", "eth0"];
  const from = ["--from", "examples/ovn-br-int/sosreport", "--out-dir", dir, "--json", "--quiet"];
  const ins = [
    `${phys}=examples/ovn-br-int/in/breth0.pcap`,
    `${under}=examples/ovn-br-int/in/eth0.pcap`,
  ];
  const args = [...from, ...ins.flatMap((i) => ["--in", i])];
  const cli = ["tools/run.mjs", "src/cli/main.ts", "replay", ...args];
  const run = spawnSync(process.execPath, cli, { encoding: "utf8" });
  expect(run).toMatchObject({ status: 0, stderr: "" });
  const sent = (port: string) => printPcap(readFileSync(join(dir, `${port}.pcap`))).stdout;
  const report = JSON.parse(run.stdout);
  const said = (title: string) => `== ${title}\n`;
  const connections = report.connections.list
    .map((c: string) => `${c}\n`)
    .toSorted()
    .join("");
  expect(
    `${said("eth0 sent")}${sent(under)}${said(`${phys} sent`)}${sent(phys)}` +
      `${said("connections")}${connections}`,
  ).toBe(read("ovn-br-int/replayed.txt"));
  rmSync(dir, { recursive: true });
});
