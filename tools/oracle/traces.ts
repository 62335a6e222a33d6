// Traces and texts: random tables, groups and packets to trace; every answer has to be the same.

import { type Scenario as Tables, scenario } from "../../test/arbitraries/scenario.ts";
import { type Kind, onBoth, shellLine } from "./kind.ts";
import { type Answer, neutral, type Side } from "./side.ts";

/** What both sides are configured with before any scenario. */
const SETUP: readonly (readonly string[])[] = [
  "add-br br0 -- set bridge br0 fail_mode=secure other_config:datapath-id=0000000000000010" +
    " other_config:hwaddr=aa:66:aa:66:00:00",
  "add-br br1 -- set bridge br1 fail_mode=secure other_config:datapath-id=0000000000000011" +
    " other_config:hwaddr=aa:66:aa:66:00:01",
  "add-port br0 p1 -- set interface p1 type=dummy ofport_request=1",
  "add-port br0 p2 -- set interface p2 type=dummy ofport_request=2",
  "add-port br0 p3 -- set interface p3 type=dummy ofport_request=3",
  "add-port br0 p4 tag=10 -- set interface p4 type=dummy ofport_request=4",
  "add-port br0 patch0 -- set interface patch0 type=patch options:peer=patch1 ofport_request=5",
  "add-port br1 patch1 -- set interface patch1 type=patch options:peer=patch0 ofport_request=1",
  "add-port br1 q2 -- set interface q2 type=dummy ofport_request=2",
].map((line) => ["ovs-vsctl", ...line.split(" ")]);

interface CommandLine {
  readonly argv: readonly string[];
  readonly stdin: string;
}

/**
 * The command lines of a scenario, with what goes to their standard input. All flows go in one
 * command, which is fast; `singly`, one in each, so that a bad flow does not keep out the others.
 */
function commands(s: Tables, singly: boolean): CommandLine[] {
  const of = ["ovs-ofctl", "-O", "OpenFlow15"];
  const list: CommandLine[] = [];
  const add = (argv: readonly string[], stdin = "") => list.push({ argv, stdin });
  const addFlows = (bridge: string, flows: readonly string[]) => {
    if (!singly) {
      add(
        ["ovs-ofctl", "-O", s.version, "add-flows", bridge, "-"],
        flows.map((f) => `${f}\n`).join(""),
      );
      return;
    }
    for (const f of flows) {
      add(["ovs-ofctl", "-O", s.version, "add-flow", bridge, f]);
    }
  };
  add([...of, "del-flows", "br0"]);
  add([...of, "del-flows", "br1"]);
  add([...of, "del-groups", "br0"]);
  add([...of, "add-groups", "br0", "-"], s.groups.map((g) => `${g}\n`).join(""));
  addFlows("br0", s.flows);
  if (s.flows1.length > 0) {
    addFlows("br1", s.flows1);
  }
  add(["ovs-ofctl", "--no-stats", "dump-flows", "br0"]);
  add([...of, "--no-stats", "dump-flows", "br0"]);
  for (const p of s.packets) {
    add(["ovs-appctl", "ofproto/trace", "br0", p]);
  }
  return list;
}

/** The first answer that differs, or null. */
async function compare(s: Tables, real: Side, ours: Side): Promise<string | null> {
  const together = await compareCommands(commands(s, false), real, ours);
  return together.difference !== null || !together.refused
    ? together.difference
    : (await compareCommands(commands(s, true), real, ours)).difference;
}

/** All of an answer, what differs from run to run made neutral. */
function whole({ exit, stdout, stderr }: Answer): string {
  return neutral(`exit status ${exit}\n${stdout}${stderr}`);
}

async function compareCommands(
  lines: readonly CommandLine[],
  real: Side,
  ours: Side,
): Promise<{ difference: string | null; refused: boolean }> {
  let refused = false;
  for (const { argv, stdin } of lines) {
    const [a, b] = [await real.run(argv, stdin), await ours.run(argv, stdin)];
    refused ||= a.exit !== 0 && argv.includes("add-flows");
    const [want, got] = [whole(a), whole(b)];
    if (want !== got) {
      const asked = `${argv.join(" ")}\n${stdin}`;
      const difference = `${asked}--- Open vSwitch\n${want}\n--- tablewalk\n${got}`;
      return { difference, refused };
    }
  }
  return { difference: null, refused };
}

export const TRACES: Kind = {
  name: "trace",
  arbitrary: scenario,
  async setUp(real, ours) {
    for (const argv of SETUP) {
      await onBoth(argv, real, ours);
    }
  },
  compare: (s, real, ours) => compare(s as Tables, real, ours),
  script: (s) => [
    ...SETUP.map((argv) => shellLine(argv, "")),
    ...commands(s as Tables, true).map(({ argv, stdin }) => shellLine(argv, stdin)),
  ],
};
