// `npm run oracle -- [--runs N] [--seed S]`: random scenarios through the live Open vSwitch and
// through ours; every text that either prints has to be the same.
//
// Each run draws a seed of its own unless told one, and prints it. A difference is shrunk, saved
// under oracle-failures/ as a case (JSON) and as a shell script that shows it on a real Open vSwitch,
// and ends the run with status 1.

import { randomInt } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { NodeFiles } from "../src/cli/node-files.ts";
import { type Scenario, scenario } from "../test/arbitraries/scenario.ts";
import { compareHost } from "./oracle/host.ts";
import { OurSwitch } from "./oracle/ours.ts";
import { haveRealOvs, RealOvs } from "./oracle/real-ovs.ts";
import { type Answer, neutral, type Side } from "./oracle/side.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "200" },
    seed: { type: "string" },
    path: { type: "string" },
    /** Compares Open vSwitch with itself, to see that a scenario has one answer. */
    self: { type: "boolean", default: false },
    /** Compares a dump of a live switch with thousands of flows, opened here, with that switch. */
    host: { type: "boolean", default: false },
  },
});

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
function commands(s: Scenario, singly: boolean): CommandLine[] {
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
async function compare(s: Scenario, real: Side, ours: Side): Promise<string | null> {
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

function shellScript(s: Scenario): string {
  const quote = (w: string) => (/^[\w.,:=/+-]+$/.test(w) ? w : `'${w.replaceAll("'", "'\\''")}'`);
  const lines = [...SETUP.map((argv) => ({ argv, stdin: "" })), ...commands(s, true)];
  const text = lines.map(({ argv, stdin }) => {
    const line = argv.map(quote).join(" ");
    return stdin === "" ? line : `${line} <<'END'\n${stdin}END`;
  });
  return `#!/bin/sh
# Run where an ovs-vswitchd with --enable-dummy=system answers.
${text.join("\n")}
`;
}

async function main(): Promise<number> {
  if (!haveRealOvs()) {
    console.error("oracle: Open vSwitch is not installed here (package openvswitch-switch)");
    return 2;
  }
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const numRuns = Number(values.runs);
  console.log(`oracle: ${numRuns} runs, seed ${seed}`);
  const real = new RealOvs();
  const other = values.self ? new RealOvs() : new OurSwitch(new NodeFiles(real.dir));
  try {
    await real.start();
    if (other instanceof RealOvs) {
      await other.start();
    }
    for (const argv of SETUP) {
      for (const side of [real, other]) {
        const answer = await side.run(argv);
        if (answer.exit !== 0) {
          throw new Error(`${argv.join(" ")}: ${answer.stderr}`);
        }
      }
    }
    if (values.host) {
      const difference = await compareHost(real, seed);
      if (difference !== null) {
        console.error(difference);
      }
      return difference === null ? 0 : 1;
    }
    const property = fc.asyncProperty(scenario, async (s) => {
      const difference = await compare(s, real, other);
      if (difference !== null) {
        throw new Error(difference);
      }
    });
    const result = await fc.check(property, {
      seed,
      numRuns,
      ...(values.path === undefined ? {} : { path: values.path }),
    });
    if (!result.failed) {
      console.log(`oracle: ${result.numRuns} runs, no difference`);
      return 0;
    }
    const failing = result.counterexample?.[0] as Scenario;
    mkdirSync("oracle-failures", { recursive: true });
    const name = `oracle-failures/seed-${seed}-run-${result.numRuns}`;
    writeFileSync(`${name}.json`, `${JSON.stringify(failing, null, 2)}\n`);
    writeFileSync(`${name}.sh`, shellScript(failing), { mode: 0o755 });
    console.error(`${result.errorInstance instanceof Error ? result.errorInstance.message : ""}`);
    console.error(`oracle: differs after ${result.numRuns} runs (seed ${seed}); ${name}.{json,sh}`);
    return 1;
  } finally {
    real.stop();
    other.stop();
  }
}

process.exitCode = await main();
