// Records what the real Open vSwitch answers when it is flooded (test/golden/floods/*.txt), for
// test/golden/floods.json: `node tools/run.mjs tools/golden-floods.ts`.

import { writeFileSync } from "node:fs";
import { floodCommands, floodNames, neutralFlood } from "../test/arbitraries/floods.ts";
import { RealOvs } from "./oracle/real-ovs.ts";

const answers: Record<string, string[]> = {};
for (const name of floodNames()) {
  const real = new RealOvs();
  try {
    await real.start();
    answers[name] = [];
    for (const { argv, asked } of floodCommands(name)) {
      if (asked) {
        // What a port was handed is through a round of the main loop later.
        await real.run(["ovs-appctl", "version"]);
        await real.run(["ovs-appctl", "version"]);
      }
      const { exit, stdout, stderr } = await real.run(argv);
      if (asked) {
        answers[name].push(`${exit} ${neutralFlood(stdout + stderr)}`);
      }
    }
  } finally {
    await real.stop();
  }
}
writeFileSync("test/golden/floods.json", `${JSON.stringify(answers, null, 1)}\n`);
