// Which bonds a datapath spreads itself, as Open vSwitch 3.1.0 answered: one that becomes
// active-backup is never forgotten, one that gives lb_output up or goes is.
import { expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

it("keeps the buckets of a bond that changed its mode", () => {
  const fs = new MemoryFileSystem();
  const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
  const run = (line: string) => runCommandLine(vs, line.split(" ")).stdout;
  const bonds = (line: string) => {
    run(line);
    return [...run("ovs-appctl dpif-netdev/bond-show").matchAll(/bond-id (\d+)/g)].map((m) => m[1]);
  };
  run("ovs-vsctl add-br br0");
  const lb = "other_config:lb-output-action=true";
  const add = `ovs-vsctl add-bond br0 b0 x1 x2 bond_mode=balance-tcp lacp=active ${lb}`;
  expect(bonds(add)).toEqual(["1"]);
  expect(bonds("ovs-vsctl set port b0 bond_mode=active-backup")).toEqual(["1"]);
  expect(bonds("ovs-vsctl set port b0 bond_mode=balance-tcp")).toEqual(["1", "2"]);
  expect(bonds("ovs-vsctl set port b0 other_config:lb-output-action=false")).toEqual(["1"]);
  expect(bonds(`ovs-vsctl set port b0 ${lb}`)).toEqual(["1", "2"]);
  expect(bonds("ovs-vsctl del-port b0")).toEqual(["1"]);
});
