// Records what the real Open vSwitch answers to bad files and command lines, for
// test/golden/bad-input.json: `node tools/run.mjs tools/golden-bad-input.ts`.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BAD_CASES, BAD_SETUP, neutralBad } from "../test/arbitraries/bad-files.ts";
import { RealOvs } from "./oracle/real-ovs.ts";

const real = new RealOvs();
const rows: Record<string, { exit: number; out: string }> = {};
try {
  await real.start();
  for (const argv of BAD_SETUP) {
    await real.run(argv);
  }
  for (const { name, argv, file } of BAD_CASES) {
    if (file !== undefined) {
      writeFileSync(join(real.dir, "FILE"), Buffer.from(file, "latin1"));
    }
    const { exit, stdout, stderr } = await real.run(argv);
    rows[name] = { exit, out: neutralBad(stderr + stdout) };
  }
} finally {
  await real.stop();
}
writeFileSync("test/golden/bad-input.json", `${JSON.stringify(rows, null, 1)}\n`);
