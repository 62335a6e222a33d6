// Records what the real database tools answer: `node tools/run.mjs tools/record-ovsdb.ts`.
//
// Each request of test/golden/ovsdb/requests.txt is given to `ovsdb-tool transact`, in order, on a
// database made by `ovsdb-tool create` from schema.json. Answers go to replies.txt and the file
// that results to zoo.db. Needs Open vSwitch 3.1.0's ovsdb-tool.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const GOLDEN = "test/golden/ovsdb";
const dir = mkdtempSync(join(tmpdir(), "ovsdb-"));
const db = join(dir, "zoo.db");
execFileSync("ovsdb-tool", ["create", db, `${GOLDEN}/schema.json`]);

const replies = readFileSync(`${GOLDEN}/requests.txt`, "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((request) => {
    try {
      return execFileSync("ovsdb-tool", ["transact", db, request], { stdio: "pipe" }).toString();
    } catch (e) {
      const text = e instanceof Error && "stderr" in e ? String(e.stderr) : String(e);
      return `${text.trim()}\n`;
    }
  });
writeFileSync(`${GOLDEN}/replies.txt`, replies.join(""));
writeFileSync(`${GOLDEN}/zoo.db`, readFileSync(db));
rmSync(dir, { recursive: true });
console.log(`${replies.length} replies recorded`);
