// Records anew what the real Open vSwitch answers to the commands of test/golden/traces.txt.
//
// `node tools/run.mjs tools/golden-traces.ts` needs Open vSwitch 3.1.0. The file holds commands and
// answers; the commands stay, the answers are replaced. See test/golden-script.ts for its form.

import { readFileSync, writeFileSync } from "node:fs";
import { formatGolden, parseGolden } from "../test/golden-script.ts";
import { RealOvs } from "./oracle/real-ovs.ts";
import { neutral } from "./oracle/side.ts";

const FILE = "test/golden/traces.txt";

const golden = parseGolden(readFileSync(FILE, "utf8"));
for (const session of golden.sessions) {
  const real = new RealOvs();
  try {
    await real.start();
    for (const c of session.commands) {
      const { exit, stdout, stderr } = await real.run(c.argv, c.stdin);
      c.exit = exit;
      c.output = neutral(stdout + stderr);
    }
  } finally {
    real.stop();
  }
  console.log(`${session.title}: ${session.commands.length} commands`);
}
writeFileSync(FILE, formatGolden(golden));
