// Opens a database file and asks for one row, as `ovsdb-tool query` does; for bench/database.ts,
// which measures it as a process of its own.

import { readFileSync } from "node:fs";
import { SeededRng } from "../src/lib/env.ts";
import { executeTransaction, formatJson, loadDatabase, parseJson } from "../src/ovsdb/index.ts";

const [path = "", query = "[]"] = process.argv.slice(2);
const { db, problem } = loadDatabase(readFileSync(path), path, new SeededRng(1));
if (problem !== undefined) {
  throw new Error(problem);
}
console.log(formatJson(executeTransaction(db, parseJson(query))));
