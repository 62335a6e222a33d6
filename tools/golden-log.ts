// Records what the real ovs-vswitchd logs: `node tools/run.mjs tools/golden-log.ts [NAME...]`
// runs the command lines ("$ ...") of test/golden/log/*.txt and writes below each the lines that
// it added to the log, as far as they do not differ from run to run.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { commandsOf, neutralLog } from "../test/log-text.ts";
import { RealOvs } from "./oracle/real-ovs.ts";

const DIR = "test/golden/log";
/** The daemon writes its log from several threads; after this it has. */
const SETTLE_MS = 100;

const wanted = process.argv.slice(2);
for (const file of readdirSync(DIR)) {
  const name = file.replace(/\.txt$/, "");
  if (wanted.length > 0 && !wanted.includes(name)) {
    continue;
  }
  const real = new RealOvs();
  try {
    await real.start();
    const log = `${real.dir}/ovs-vswitchd.log`;
    let at = readFileSync(log).length;
    let text = "";
    for (const line of commandsOf(readFileSync(`${DIR}/${file}`, "utf8"))) {
      await real.run(line.split(" "));
      await new Promise((done) => setTimeout(done, SETTLE_MS));
      const all = readFileSync(log);
      text += `$ ${line}\n${neutralLog(all.subarray(at).toString("utf8"), real.dir)}`;
      at = all.length;
    }
    writeFileSync(`${DIR}/${file}`, text);
    console.log(`${file}: recorded`);
  } finally {
    real.stop();
  }
}
