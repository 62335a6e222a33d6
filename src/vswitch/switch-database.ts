// The database of a switch in a file: opened or made, with the schema of this program.
//
// A file of another version of the schema is kept under another name, as the scripts that upgrade
// Open vSwitch do, and converted. Whoever gives the file sees to it that nobody else writes it.
// References: ovsdb-tool(1) convert; ovs: utilities/ovs-lib.in upgrade_db.

import type { FileSystem } from "../lib/env.ts";
import { Database } from "../ovsdb/database.ts";
import {
  copyRows,
  DatabaseFile,
  encodeDatabase,
  type FileEnv,
  loadDatabase,
  schemaOfFile,
} from "../ovsdb/db-file.ts";
import { DbError } from "../ovsdb/db-error.ts";
import { isJsonObject, type Json } from "../ovsdb/json.ts";
import { schemaToJson } from "../ovsdb/schema.ts";
import { transact } from "../ovsdb/transaction.ts";
import { vswitchSchema } from "../ovsdb/vswitch-schema.ts";

export interface SwitchDatabase {
  readonly file: DatabaseFile;
  /** What the user should know: a damaged end, a conversion. */
  readonly notes: readonly string[];
}

/** Opens or makes the file; throws DbError if it cannot be used. */
export function openSwitchDatabase(env: FileEnv, path: string): SwitchDatabase {
  const notes = env.fs.exists(path) ? convert(env, path) : [];
  const file = DatabaseFile.open(env, path, vswitchSchema());
  if (file.problem !== undefined) {
    notes.push(`${file.problem}; what follows was dropped`);
  }
  if ([...file.db.rows("Open_vSwitch")].length === 0) {
    transact(file.db, (txn) => txn.insert("Open_vSwitch"));
  }
  return { file, notes };
}

/** Gives a file the schema of this program; tells what it did. */
function convert(env: FileEnv, path: string): string[] {
  const bytes = bytesOf(env.fs, path);
  const schema = schemaOfFile(bytes, path);
  const { name, version, cksum } = schema;
  const target = vswitchSchema();
  if (name !== target.name) {
    throw new DbError("ovsdb error", `${path}: holds database ${name}, not ${target.name}`);
  }
  if (sameJson(schemaToJson(schema), schemaToJson(target))) {
    return [];
  }
  const { db, problem } = loadDatabase(bytes, path, env.rng);
  const made = new Database(target, env.rng);
  let unknown: string[] = [];
  transact(made, (txn) => {
    unknown = copyRows(db, txn, made);
  });
  const backup = `${path}.backup${version}-${cksum.replaceAll(" ", "-")}`;
  keep(env.fs, backup, bytes);
  keep(env.fs, path, encodeDatabase(made, "converted", env.clock.wallMs()));
  const lost = unknown.length === 0 ? "" : `, without ${unknown.join(", ")}`;
  const damage = problem === undefined ? [] : [`${problem}; what follows was dropped`];
  return [...damage, `${path}: converted from schema ${version}${lost}; kept as ${backup}`];
}

/** Equality whatever the order of members. */
function sameJson(a: Json, b: Json): boolean {
  if (isJsonObject(a) && isJsonObject(b)) {
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length &&
      keys.every((k) => {
        const [x, y] = [a[k], b[k]];
        return x !== undefined && y !== undefined && sameJson(x, y);
      })
    );
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((x, i) => sameJson(x, b[i] ?? null));
  }
  return a === b;
}

function bytesOf(fs: FileSystem, path: string): Uint8Array {
  const read = fs.readFile(path);
  if (!read.ok) {
    throw new DbError("I/O error", `${path}: open failed (${read.message})`);
  }
  return read.value;
}

function keep(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const done = fs.replaceFile(path, bytes);
  if (!done.ok) {
    throw new DbError("I/O error", `${path}: write failed (${done.message})`);
  }
}
