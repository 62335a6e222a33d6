// Spanning trees: random topologies under STP; after each command, the trees and the states of all
// ports have to be the same.
//
// Loops of bridges that answer each other at once end Open vSwitch; the oracle counts that apart.

import { type TreeSession, treeSession } from "../../test/arbitraries/trees.ts";
import { type Kind, shellLine } from "./kind.ts";
import type { Answer, Side } from "./side.ts";

/** The daemon takes a moment to write what it knows into the database. */
const SETTLES_MS = 60;

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function clean(side: Side): Promise<void> {
  const bridges = [0, 1, 2, 3].map((i) => `--if-exists del-br br${i}`).join(" -- ");
  await side.run(["ovs-vsctl", ...bridges.split(" ")]);
  await side.run(["ovs-appctl", "time/stop"]);
}

/** Addresses of patch ports are random; how long a port is in a state is seen too late at times. */
function whole({ exit, stdout, stderr }: Answer): string {
  const text = `${stdout}${stderr}`
    .replace(/addr:\S+/g, "addr:*")
    .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid=*)")
    .replace(/stp_sec_in_state="?\d+"?/g, "stp_sec_in_state=*");
  return `exit status ${exit}\n${text}`;
}

let turns = 0;

/** time/warp answers before the main loop has turned; a change of the database waits for that. */
async function turn(real: Side, ours: Side): Promise<void> {
  turns++;
  const argv = `ovs-vsctl --timeout=10 set Open_vSwitch . external_ids:turn=${turns}`.split(" ");
  await Promise.all([real.run(argv), ours.run(argv)]);
}

async function compareLine(argv: readonly string[], real: Side, ours: Side) {
  // A daemon that is gone would be waited for.
  const [tool = "", ...rest] = argv;
  const line = tool === "ovs-vsctl" ? [tool, "--timeout=10", ...rest] : argv;
  const [want, got] = [whole(await real.run(line)), whole(await ours.run(line))];
  return want === got
    ? null
    : `${shellLine(argv, "")}\n--- Open vSwitch\n${want}\n--- tablewalk\n${got}`;
}

async function compare(s: TreeSession, real: Side, ours: Side): Promise<string | null> {
  await clean(real);
  await clean(ours);
  const shows = Array.from({ length: s.bridges }, (_, i) => ["ovs-ofctl", "show", `br${i}`]);
  // What makes a case smaller may have taken the name of the tool away.
  for (const line of s.lines.filter(([tool]) => tool?.startsWith("ovs-") === true)) {
    for (const argv of [line, ["ovs-appctl", "stp/show"], ...shows]) {
      const difference = await compareLine(argv, real, ours);
      if (argv === line && line[0] === "ovs-appctl") {
        await turn(real, ours);
      }
      if (difference !== null) {
        return `after ${shellLine(line, "")}:\n${difference}`;
      }
    }
  }
  await pause(SETTLES_MS);
  for (const port of s.ports) {
    const difference = await compareLine(["ovs-vsctl", "get", "port", port, "status"], real, ours);
    if (difference !== null) {
      return difference;
    }
  }
  return null;
}

export const TREES: Kind = {
  name: "trees",
  arbitrary: treeSession,
  async setUp() {
    // Each session makes its own bridges.
  },
  compare: (s, real, ours) => compare(s as TreeSession, real, ours),
  script: (s) => (s as TreeSession).lines.map((argv) => shellLine(argv, "")),
};
