// CFM, BFD, LACP, bonds, spanning trees, controllers and ports made by hand, as the real Open vSwitch answered.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { formatHex } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { PcapDecoder } from "../../src/packet/pcap-format.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { parseGolden } from "../golden-script.ts";
import { neutralLinks } from "./links-neutral.ts";

const sessions = [
  "links",
  "trees",
  "auto-attach",
  "controllers",
  "datapath-ports",
  "sampling",
].flatMap((name) => parseGolden(readFileSync(`test/golden/${name}.txt`, "utf8")).sessions);

function captured(fs: MemoryFileSystem, name: string): string {
  const file = fs.readFile(name);
  const d = new PcapDecoder();
  d.push(file.ok ? file.value : new Uint8Array(0));
  let out = "";
  while (d.next() === "record") {
    out += `${formatHex(d.record.data)}\n`;
  }
  return out;
}

describe("links as Open vSwitch runs them", () => {
  for (const { title, commands } of sessions) {
    it(title, () => {
      const fs = new MemoryFileSystem();
      const vs = new VSwitch({ clock: new ManualClock(1_000_000), rng: new SeededRng(1), fs });
      for (const c of commands) {
        const [tool, name = ""] = c.argv;
        const reply =
          tool === "ovs-pcap"
            ? { exit: 0, stdout: captured(fs, name), stderr: "" }
            : runCommandLine(vs, c.argv);
        const output = neutralLinks(c.argv, reply.stdout + reply.stderr);
        const lines = output === "" || output.endsWith("\n") ? output : `${output}\n`;
        expect(`${lines}${reply.exit}`, c.line).toBe(`${c.output}${c.exit}`);
      }
    });
  }
});

describe("time that passes by itself", () => {
  it("is caught up with, timer by timer, while warped time is passed over", () => {
    const fs = new MemoryFileSystem();
    const clock = new ManualClock(1_000_000);
    const vs = new VSwitch({ clock, rng: new SeededRng(1), fs });
    const run = (line: string) => runCommandLine(vs, line.split(" ")).stdout;
    run("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy");
    run(
      "ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy cfm_mpid=1 options:tx_pcap=p1.pcap",
    );
    const sent = () => captured(fs, "p1.pcap").split("\n").length - 1;
    expect(sent()).toBe(1);
    clock.advance(10_000);
    expect(run("ovs-appctl cfm/show")).toContain("next CCM tx: 0ms\n");
    expect(sent()).toBe(11);
    run("ovs-appctl time/warp 10000");
    expect(sent()).toBe(12);
    clock.advance(1500);
    expect(run("ovs-appctl cfm/show")).toContain("next CCM tx: 500ms\n");
    expect(sent()).toBe(13);
  });

  it("makes a bridge without its controller fail open", () => {
    const fs = new MemoryFileSystem();
    const clock = new ManualClock(1_000_000);
    const vs = new VSwitch({ clock, rng: new SeededRng(1), fs });
    const run = (line: string) => runCommandLine(vs, line.split(" ")).stdout;
    run("ovs-vsctl add-br br0 -- set bridge br0 other_config:disable-in-band=true");
    run("ovs-vsctl set-controller br0 tcp:127.0.0.1:6653");
    const failsOpen = () => run("ovs-appctl bridge/dump-flows br0").includes("priority=15790320,");
    clock.advance(14_999);
    expect(failsOpen()).toBe(false);
    clock.advance(5000);
    expect(failsOpen()).toBe(true);
    expect(run("ovs-appctl bridge/dump-flows br0")).toMatch(/^duration=4s,.*priority=15790320,/);
  });
});
