// What the switch logs, against what the real ovs-vswitchd logged
// (`node tools/run.mjs tools/golden-log.ts`).
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeUtf8 } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { commandsOf, neutralLog } from "../log-text.ts";

const DIR = "test/golden/log";
const LOG = "/run/ovs/ovs-vswitchd.log";

function newSwitch() {
  const fs = new MemoryFileSystem();
  const clock = new ManualClock(1_000_000, 1.7e12);
  const env = { clock, rng: new SeededRng(1), fs, rundir: "/run/ovs", logFile: LOG };
  const vs = new VSwitch(env);
  const log = () => decodeUtf8(fs.files.get(LOG) ?? new Uint8Array(0));
  return { vs, log, fs, clock };
}

describe("the log", () => {
  for (const file of readdirSync(DIR)) {
    it(`is the real one's: ${file}`, () => {
      const golden = readFileSync(`${DIR}/${file}`, "utf8");
      const { vs, log } = newSwitch();
      let at = log().length;
      let text = "";
      for (const line of commandsOf(golden)) {
        runCommandLine(vs, line.split(" "));
        text += `$ ${line}\n${neutralLog(log().slice(at), "/run/ovs")}`;
        at = log().length;
      }
      expect(text).toBe(golden);
    });
  }

  it("begins as that of a daemon", () => {
    expect(neutralLog(newSwitch().log(), "/run/ovs")).toBe(
      "vlog|INFO|opened log file RUNDIR/ovs-vswitchd.log\n" +
        "ovs_numa|INFO|Discovered 2 CPU cores on NUMA node 0\n" +
        "ovs_numa|INFO|Discovered 1 NUMA nodes and 2 CPU cores\n" +
        "reconnect|INFO|unix:RUNDIR/db.sock: connecting...\n" +
        "reconnect|INFO|unix:RUNDIR/db.sock: connected\n" +
        "bridge|INFO|ovs-vswitchd (Open vSwitch) 3.1.0\n",
    );
  });

  it("has lines of the file destination's pattern, or of another", () => {
    const { vs, log } = newSwitch();
    expect(log()).toMatch(/^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|\d{5}\|\w+\|INFO\|.*\n)+$/);
    const before = log().length;
    runCommandLine(vs, ["ovs-appctl", "vlog/set", "PATTERN:file:%p-%c-%m-%A"]);
    runCommandLine(vs, ["ovs-vsctl", "add-br", "br0"]);
    expect(log().slice(before).split("\n").at(-2)).toBe(
      'INFO-connmgr-br0: added service controller "punix:/run/ovs/br0.mgmt"-ovs-vswitchd',
    );
  });

  it("is reopened when its file was moved away", () => {
    const { vs, log, fs } = newSwitch();
    runCommandLine(vs, ["ovs-appctl", "vlog/reopen"]);
    expect(log()).not.toMatch(/opened.*opened/s);
    fs.files.delete(LOG);
    runCommandLine(vs, ["ovs-appctl", "vlog/reopen"]);
    expect(neutralLog(log(), "/run/ovs")).toContain("vlog|INFO|opened log file");
  });
});
