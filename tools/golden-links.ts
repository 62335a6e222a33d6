// Asks the real Open vSwitch the sessions of golden files anew and writes its answers there.
//
// `node tools/run.mjs tools/golden-links.ts [NAME...]`, all unless told otherwise, needs Open vSwitch 3.1.0 and a machine that has little
// else to do: CFM and BFD run in a thread of their own there, which misses steps of time/warp if it
// does not get the processor in time.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { formatGolden, parseGolden } from "../test/golden-script.ts";
import { neutralLinks } from "../test/vswitch/links-neutral.ts";
import { RealOvs } from "./oracle/real-ovs.ts";

/** Threads of the daemon get so long after each command; they look at new settings every 100 ms. */
const PAUSE_MS = 60;
const SETTINGS_PAUSE_MS = 250;

const names = process.argv.slice(2);
for (const name of names.length > 0
  ? names
  : ["links", "trees", "auto-attach", "controllers", "datapath-ports", "sampling"]) {
  const file = `test/golden/${name}.txt`;
  const golden = parseGolden(readFileSync(file, "utf8"));
  for (const session of golden.sessions) {
    const real = new RealOvs();
    await real.start();
    for (const c of session.commands) {
      const a = await real.run(c.argv, c.stdin);
      await pause(c.argv[0] === "ovs-vsctl" ? SETTINGS_PAUSE_MS : PAUSE_MS);
      c.output = neutralLinks(c.argv, a.stdout + a.stderr);
      c.exit = a.exit;
    }
    real.stop();
    console.log(session.title);
  }
  writeFileSync(file, formatGolden(golden));
}
