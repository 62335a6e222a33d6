// `npm run bench [-- NAME…] [--rival PROGRAM] [--sets DIR]`: runs the benches, all or those named,
// and prints their tables. Figures are medians of paired rounds; only the ratios carry over to
// another machine.

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { classifierBench } from "./classifier.ts";
import { databaseBench } from "./database.ts";
import { datapathBench } from "./datapath.ts";
import { loadingBench } from "./loading.ts";
import { replayBench } from "./replay.ts";
import { startBench } from "./start.ts";
import { markdown, type Table } from "./table.ts";
import { traceBench } from "./trace.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rival: { type: "string" }, sets: { type: "string" } },
});

const BENCHES: Readonly<Record<string, () => Promise<Table>>> = {
  classifier: () =>
    classifierBench({ sets: values.sets ?? "../shared/bench/classbench", rival: values.rival }),
  loading: loadingBench,
  database: databaseBench,
  datapath: datapathBench,
  replay: replayBench,
  start: startBench,
  trace: traceBench,
};

const unknown = positionals.filter((n) => !(n in BENCHES));
if (unknown.length > 0) {
  console.error(
    `no bench named ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}`,
  );
  process.exit(2);
}
console.log(`Node ${process.version}, ${cpus()[0]?.model ?? "?"}, ${cpus().length} cores\n`);
for (const [name, run] of Object.entries(BENCHES)) {
  if (positionals.length === 0 || positionals.includes(name)) {
    console.log(markdown(await run()));
  }
}
