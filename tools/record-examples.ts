// Records what the real Open vSwitch prints for the scripts in examples/ and test/golden/stories/,
// beside each of them:
// `node tools/run.mjs tools/record-examples.ts [NAME...]`. Needs Open vSwitch, as the oracle does.
//
// Each script runs in a real shell with the real tools and a switch of its own. Recorded texts are
// what test/examples.test.ts compares with.

import { readdirSync, writeFileSync } from "node:fs";
import { RealOvs } from "./oracle/real-ovs.ts";

const DIRS = ["examples", "test/golden/stories"];

const wanted = process.argv.slice(2);
const names = DIRS.flatMap((dir) => readdirSync(dir).map((f) => `${dir}/${f}`)).filter((f) =>
  f.endsWith(".sh"),
);
for (const name of names.filter((n) => wanted.length === 0 || wanted.some((w) => n.includes(w)))) {
  const ovs = new RealOvs();
  try {
    await ovs.start();
    const { exit, stdout } = await ovs.script(name);
    writeFileSync(name.replace(/\.sh$/, ".txt"), stdout);
    console.log(`${name}: ${stdout.split("\n").length - 1} lines, exit status ${exit}`);
  } finally {
    ovs.stop();
  }
}
