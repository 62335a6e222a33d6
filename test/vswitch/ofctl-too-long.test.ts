// A group mod that is longer than the length in its header can say, as Open vSwitch took it: the
// switch reads as many bytes as the header names, and hangs up at what follows.
import { expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

/** Bytes of the message: 16, and 32 for each bucket. */
const BUCKETS = 2500;
const BUCKETS_READ = (((16 + 32 * BUCKETS) & 0xffff) - 16) / 32;

it("is cut, and the connection ends", () => {
  const fs = new MemoryFileSystem();
  const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
  const run = (line: string) => runCommandLine(vs, line.split(" "));
  run("ovs-vsctl add-br br0");
  const group = `group_id=2,type=all${",bucket=actions=output:1".repeat(BUCKETS)}`;
  const reply = run(`ovs-ofctl -O OpenFlow13 add-group br0 ${group}`);
  expect(reply).toMatchObject({ exit: 1, stdout: "" });
  expect(reply.stderr).toMatch(/^ovs-ofctl: talking to unix:.*br0\.mgmt \(Broken pipe\)\n$/);
  const shown = run("ovs-ofctl -O OpenFlow13 dump-groups br0").stdout;
  expect(shown.match(/bucket=/g)).toHaveLength(BUCKETS_READ);
});
