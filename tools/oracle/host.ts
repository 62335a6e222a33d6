// The host run: a live switch with thousands of flows is dumped as a sosreport would, and the dump,
// opened as `tablewalk trace --from` opens it, has to answer as the live switch does.

import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { MACHINE_CLOCK } from "../../src/cli/machine.ts";
import { NodeFiles } from "../../src/cli/node-files.ts";
import { readInputs } from "../../src/io/inputs.ts";
import { decodeUtf8 } from "../../src/lib/bytes.ts";
import { MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { isOfUse, sortHostDump } from "../../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../../src/vswitch/host-dump/open.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { scenario } from "../../test/arbitraries/scenario.ts";
import type { RealOvs } from "./real-ovs.ts";
import { neutral } from "./side.ts";

/** Flows on the dumped bridge, at least. */
export const HOST_FLOWS_MIN = 2000;
export const HOST_PACKETS = 200;

/** Fills br0 of a switch that has been set up, dumps it, compares; answers the first difference. */
export async function compareHost(real: RealOvs, seed: number): Promise<string | null> {
  const scenarios = fc.sample(scenario, { seed, numRuns: 450 });
  const drawn = scenarios
    .flatMap((s) => s.flows)
    .filter(goesOnlyUp)
    .filter(taker());
  const flows = await fill(real, drawn.slice(0, 2 * HOST_FLOWS_MIN), scenarios[0]?.groups ?? []);
  if (flows < HOST_FLOWS_MIN) {
    return `only ${flows} flows could be added`;
  }
  const dir = await dump(real);
  const { files } = await readInputs([dir], (_, head) => isOfUse(decodeUtf8(head)));
  const vs = new VSwitch({
    clock: MACHINE_CLOCK,
    rng: new SeededRng(1),
    fs: new NodeFiles(dir),
  });
  const notes = openHostDump(vs, sortHostDump(files), "br0");
  const wrong = notes.find((n) => n.kind !== "used");
  if (wrong !== undefined) {
    return `${wrong.kind}: ${wrong.text}`;
  }
  const packets = scenarios.flatMap((s) => s.packets).slice(0, HOST_PACKETS);
  for (const packet of packets) {
    const argv = ["ovs-appctl", "ofproto/trace", "br0", packet];
    const [a, b] = [await real.run(argv), runCommandLine(vs, argv)];
    const [want, got] = [neutral(a.stdout + a.stderr), neutral(b.stdout + b.stderr)];
    if (want !== got) {
      return `${argv.join(" ")}\n--- Open vSwitch\n${want}\n--- tablewalk, from ${dir}\n${got}`;
    }
  }
  console.log(`oracle: a dumped host with ${flows} flows, ${packets.length} traces, no difference`);
  return null;
}

/**
 * True for a flow that leads only to higher tables. With thousands of flows that lead back, one
 * packet takes thousands of paths, and the live switch runs out of memory tracing them.
 */
function goesOnlyUp(flow: string): boolean {
  const own = Number(/^table=(\d+)/.exec(flow)?.[1] ?? 0);
  const to = [...flow.matchAll(/resubmit\(\d*,(\d+)\)|\btable=(\d+)/g)].slice(1);
  return to.every((m) => Number(m[1] ?? m[2]) > own);
}

/** Tells which flows a switch takes, by trying them on one of ours: that is quick. */
function taker(): (flow: string) => boolean {
  const env = { clock: MACHINE_CLOCK, rng: new SeededRng(1), fs: new MemoryFileSystem() };
  const vs = new VSwitch(env);
  const run = (...argv: string[]) => runCommandLine(vs, argv).exit === 0;
  run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure");
  for (const id of [1, 2, 3, 4]) {
    run("ovs-ofctl", "-O", "OpenFlow15", "add-group", "br0", `group_id=${id},type=all`);
  }
  return (flow) => run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br0", flow);
}

/** Adds what the switch takes; flows that it refuses are left out. */
async function fill(
  real: RealOvs,
  flows: readonly string[],
  groups: readonly string[],
): Promise<number> {
  const of = ["ovs-ofctl", "-O", "OpenFlow15"];
  await real.run([...of, "del-flows", "br0"]);
  await real.run([...of, "del-groups", "br0"]);
  await real.run([...of, "add-groups", "br0", "-"], groups.map((g) => `${g}\n`).join(""));
  // Priorities spread, so that few flows replace each other.
  const spread = flows.map((f, i) => f.replace(/priority=\d+/, `priority=${i % 1000}`));
  for (let at = 0; at < spread.length; ) {
    const some = spread.slice(at, at + 50);
    const stdin = some.map((f) => `${f}\n`).join("");
    const answer = await real.run([...of, "--bundle", "add-flows", "br0", "-"], stdin);
    if (answer.exit !== 0) {
      for (const f of some) {
        await real.run([...of, "add-flow", "br0", f]);
      }
    }
    at += 50;
  }
  const { stdout } = await real.run(["ovs-ofctl", "dump-aggregate", "br0"]);
  return Number(/flow_count=(\d+)/.exec(stdout)?.[1] ?? 0);
}

/** The files of a sosreport. */
async function dump(real: RealOvs): Promise<string> {
  const dir = join(real.dir, "sosreport");
  mkdirSync(join(dir, "sos_commands/openvswitch"), { recursive: true });
  mkdirSync(join(dir, "etc/openvswitch"), { recursive: true });
  const commands = [
    "ovs-appctl dpif/show",
    ...["br0", "br1"].flatMap((br) => [
      `ovs-ofctl -O OpenFlow15 dump-flows ${br}`,
      `ovs-ofctl -O OpenFlow15 dump-groups ${br}`,
      `ovs-ofctl -O OpenFlow15 dump-ports-desc ${br}`,
      `ovs-ofctl -O OpenFlow15 dump-meters ${br}`,
      `ovs-ofctl -O OpenFlow15 dump-tlv-map ${br}`,
      `ovs-appctl fdb/show ${br}`,
    ]),
  ];
  for (const command of commands) {
    const { stdout } = await real.run(command.split(" "));
    const name = command.replaceAll(" ", "_").replaceAll("/", "_");
    writeFileSync(join(dir, "sos_commands/openvswitch", name), stdout);
  }
  copyFileSync(join(real.dir, "conf.db"), join(dir, "etc/openvswitch/conf.db"));
  return dir;
}
