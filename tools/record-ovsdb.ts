// Records what the real database tools answer: `node tools/run.mjs tools/record-ovsdb.ts`.
//
// Each request of test/golden/ovsdb/requests.txt is given to `ovsdb-tool transact`, in order, on a
// database made by `ovsdb-tool create` from schema.json. Answers go to replies.txt and the file
// that results to zoo.db. What it says to files with the schemas of bad-schemas.txt, and with what
// follows the schema in bad-records.txt, goes to the files beside them. Needs Open vSwitch 3.1.0's
// ovsdb-tool.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes, encodeLatin1, encodeUtf8 } from "../src/lib/bytes.ts";
import { sha1Hex } from "../src/ovsdb/sha1.ts";

/** A record of a database file with a text in it. */
function record(text: string): Uint8Array {
  const data = encodeUtf8(`${text}\n`);
  return concatBytes([encodeUtf8(`OVSDB JSON ${data.length} ${sha1Hex(data)}\n`), data]);
}

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

/** The complaint of ovsdb-tool about a file, empty if there is none. */
function complaint(bytes: Uint8Array): string {
  const path = join(dir, "f.db");
  writeFileSync(path, bytes);
  const { stderr } = spawnSync("ovsdb-tool", ["query", path, '["zoo"]'], { cwd: dir });
  return stderr.toString().trim().replace("ovsdb-tool: ", "").replaceAll(`${dir}/`, "");
}

const lines = (name: string) =>
  readFileSync(`${GOLDEN}/${name}`, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
const schemas = lines("bad-schemas.txt").map((s) => complaint(record(s)));
writeFileSync(`${GOLDEN}/bad-schemas.out`, `${schemas.join("\n")}\n`);
const head = record(readFileSync(`${GOLDEN}/schema.json`, "utf8").trimEnd());
const records = lines("bad-records.txt").map((r) =>
  complaint(concatBytes([head, encodeLatin1(JSON.parse(r))])),
);
writeFileSync(`${GOLDEN}/bad-records.out`, `${records.join("\n")}\n`);
rmSync(dir, { recursive: true });
console.log(`${replies.length + schemas.length + records.length} replies recorded`);
