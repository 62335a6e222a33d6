// A database in a file: its first record is the schema, each further one a transaction.
//
// Transactions are stored as differences: of a column that can hold several members, only those
// that came or went; of pairs with a new value, the new value. A transaction is acknowledged only
// after its record was appended, and a record that is not whole is ignored when the file is opened,
// so a crash at any byte loses nothing that was acknowledged. References: ovsdb(5); ovs:
// ovsdb/file.c, ovsdb/ovsdb-server.c (what it does with a damaged file).

import type { Clock, FileSystem, Rng } from "../lib/env.ts";
import { concatBytes } from "../lib/bytes.ts";
import type { Atom } from "./atom.ts";
import { Database, type Row, type RowChange } from "./database.ts";
import {
  type Datum,
  datumEquals,
  datumFromJson,
  datumToJson,
  findKey,
  isDefaultDatum,
  mapDatum,
  relaxedType,
  setDatum,
} from "./datum.ts";
import { catchDbError, DbError, syntaxError } from "./db-error.ts";
import { CLUSTERED_MAGIC, DbLogReader, encodeRecord, fileMagic } from "./db-log.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { type DbSchema, schemaFromJson, schemaToJson, type TableSchema } from "./schema.ts";
import { Transaction } from "./transaction.ts";
import type { ColumnType } from "./types.ts";
import { parseUuid } from "./uuid.ts";

/** What turns `old` into `now`, as the file stores it (ovs: ovsdb_datum_diff). */
export function datumDiff(old: Datum, now: Datum, type: ColumnType): Datum {
  if (type.max === 1) {
    return now;
  }
  if (type.value === undefined) {
    const gone = old.keys.filter((k) => findKey(now, k) < 0);
    const added = now.keys.filter((k) => findKey(old, k) < 0);
    return setDatum([...gone, ...added]);
  }
  const pairs: (readonly [Atom, Atom])[] = [];
  for (const [i, k] of old.keys.entries()) {
    if (findKey(now, k) < 0) {
      pairs.push([k, old.values?.[i] ?? ""]);
    }
  }
  for (const [i, k] of now.keys.entries()) {
    const before = old.values?.[findKey(old, k)];
    const value = now.values?.[i] ?? "";
    if (before !== value) {
      pairs.push([k, value]);
    }
  }
  return mapDatum(pairs);
}

/** Undoes datumDiff: what `old` becomes by a stored difference. */
export function applyDatumDiff(old: Datum, diff: Datum, type: ColumnType): Datum {
  if (type.max === 1) {
    return diff;
  }
  if (type.value === undefined) {
    return datumDiff(old, diff, type);
  }
  const pairs = new Map(old.keys.map((k, i) => [k, old.values?.[i] ?? ""] as const));
  for (const [i, k] of diff.keys.entries()) {
    const value = diff.values?.[i] ?? "";
    if (pairs.get(k) === value) {
      pairs.delete(k);
    } else {
      pairs.set(k, value);
    }
  }
  return mapDatum(pairs);
}

function rowToJson(old: Row | undefined, now: Row): JsonObject | undefined {
  const members: Record<string, Json> = {};
  for (const column of now.schema.columnList) {
    const value = now.at(column);
    const { type } = column;
    if (!column.persistent) {
      continue;
    }
    if (old === undefined) {
      if (!isDefaultDatum(value, type)) {
        members[column.name] = datumToJson(value, type);
      }
    } else if (!datumEquals(old.at(column), value)) {
      members[column.name] = datumToJson(datumDiff(old.at(column), value, type), type);
    }
  }
  return old !== undefined && Object.keys(members).length === 0 ? undefined : members;
}

/** A record of changes; undefined if nothing of them is to be stored. */
export function changesToJson(
  changes: readonly RowChange[],
  comment: string,
  dateMs: number,
): JsonObject | undefined {
  const tables: Record<string, Record<string, Json>> = {};
  for (const { table, old, new: now } of changes) {
    const row = now === undefined ? null : rowToJson(old, now);
    const uuid = now?.uuid ?? old?.uuid;
    if (row !== undefined && uuid !== undefined) {
      const rows = tables[table.name] ?? {};
      rows[uuid] = row;
      tables[table.name] = rows;
    }
  }
  if (Object.keys(tables).length === 0 && comment === "") {
    return undefined;
  }
  return {
    ...tables,
    ...(comment === "" ? {} : { _comment: comment }),
    _is_diff: true,
    _date: BigInt(Math.floor(dateMs)),
  };
}

/** The whole database as one record. */
function contentToJson(db: Database, comment: string, dateMs: number): JsonObject {
  const changes: RowChange[] = [];
  for (const t of db.tables.values()) {
    for (const row of t.rows.values()) {
      changes.push({ table: t.schema, old: undefined, new: row });
    }
  }
  return changesToJson(changes, comment, dateMs) ?? { _date: BigInt(Math.floor(dateMs)) };
}

function loadRow(
  txn: Transaction,
  table: TableSchema,
  rows: JsonObject,
  uuidText: string,
  isDiff: boolean,
): void {
  const json = rows[uuidText] ?? null;
  const uuid = parseUuid(uuidText);
  if (uuid === undefined) {
    throw syntaxError(rows, `"${uuidText}" is not a valid UUID`);
  }
  let row = txn.row(table.name, uuid);
  if (json === null) {
    if (row === undefined) {
      throw new DbError("syntax error", `transaction deletes row ${uuid} that does not exist`);
    }
    txn.delete(table.name, uuid);
    return;
  }
  if (!isJsonObject(json)) {
    throw syntaxError(json, "row must be JSON object");
  }
  row ??= txn.insert(table.name, uuid);
  for (const [name, value] of Object.entries(json)) {
    const column = table.columns.get(name);
    if (column === undefined) {
      throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
    }
    const old = row.at(column);
    // The difference of two sets may be smaller than a set may be.
    const type = isDiff ? relaxedType(column.type) : column.type;
    const datum = datumFromJson(value, type);
    const isChange = isDiff && !isDefaultDatum(old, column.type);
    const next = isChange ? applyDatumDiff(old, datum, column.type) : datum;
    if (isChange && (next.keys.length < column.type.min || next.keys.length > column.type.max)) {
      throw new DbError("ovsdb error", "Datum crated by diff has size error");
    }
    txn.set(table.name, uuid, name, next);
  }
}

/** What a record says about itself (ovs: ovsdb_file_txn_from_json). */
function isAnnotation(name: string, value: Json): boolean {
  return (
    name === "_comment" ||
    (name === "_date" && typeof value === "bigint") ||
    (name === "_is_diff" && typeof value === "boolean")
  );
}

/** Applies one record; throws DbError and changes nothing if it cannot be applied. */
export function applyRecord(db: Database, json: JsonObject): void {
  const txn = new Transaction(db);
  const isDiff = json._is_diff === true;
  for (const [name, rows] of Object.entries(json)) {
    const table = db.schema.tables.get(name);
    if (table === undefined) {
      if (isAnnotation(name, rows)) {
        continue;
      }
      throw syntaxError(json, `No table named ${name}.`, "unknown table");
    }
    if (!isJsonObject(rows)) {
      throw syntaxError(rows, "object expected");
    }
    for (const uuid of Object.keys(rows)) {
      loadRow(txn, table, rows, uuid, isDiff);
    }
  }
  txn.commit();
}

export interface LoadedDatabase {
  readonly db: Database;
  /** Bytes of the file that are good; what follows is to be overwritten. */
  readonly goodBytes: number;
  /** Number of transactions read. */
  readonly transactions: number;
  /** Why the rest of the file was not read, if there is a rest. */
  readonly problem: string | undefined;
}

/** Starts reading a file: its schema, and the reader behind it. Throws DbError if it is none. */
function readSchema(bytes: Uint8Array, name: string): { schema: DbSchema; reader: DbLogReader } {
  const magic = fileMagic(bytes);
  if (magic === CLUSTERED_MAGIC) {
    throw new DbError(
      "ovsdb error",
      `${name}: cannot identify file type (this is a clustered database: convert a copy of it ` +
        'with "ovsdb-tool cluster-to-standalone")',
    );
  }
  if (magic === undefined) {
    throw new DbError("ovsdb error", `${name}: unexpected file format`);
  }
  const reader = new DbLogReader(bytes, name);
  const first = reader.read();
  if (first === undefined) {
    throw new DbError("I/O error", `${name}: database file contains no schema`);
  }
  return { schema: schemaFromJson(first), reader };
}

/** The schema of a database file; throws DbError if it is none. */
export function schemaOfFile(bytes: Uint8Array, name: string): DbSchema {
  return readSchema(bytes, name).schema;
}

/** Reads a database file; throws DbError if it is none. A damaged end is a `problem`, no error. */
export function loadDatabase(bytes: Uint8Array, name: string, rng: Rng): LoadedDatabase {
  const { schema, reader } = readSchema(bytes, name);
  const db = new Database(schema, rng);
  let transactions = 0;
  for (;;) {
    const next = catchDbError(() => reader.read());
    if ("error" in next) {
      const problem = next.error.toString();
      return { db, goodBytes: reader.offset, transactions, problem };
    }
    const record = next.value;
    if (record === undefined) {
      return { db, goodBytes: reader.offset, transactions, problem: undefined };
    }
    const applied = catchDbError(() => applyRecord(db, record));
    if ("error" in applied) {
      reader.unread();
      const problem = applied.error.toString();
      return { db, goodBytes: reader.offset, transactions, problem };
    }
    transactions++;
  }
}

/**
 * Inserts the rows of a database into another one of a similar schema. Answers what the other one
 * does not have, as `Table` or `Table.column`.
 */
export function copyRows(from: Database, txn: Transaction, to: Database): string[] {
  const unknown = new Set<string>();
  for (const { schema, rows } of from.tables.values()) {
    const target = to.schema.tables.get(schema.name);
    if (target === undefined && rows.size > 0) {
      unknown.add(schema.name);
    }
    for (const row of target === undefined ? [] : rows.values()) {
      txn.insert(schema.name, row.uuid);
      for (const column of schema.columnList) {
        const value = row.at(column);
        if (target?.columns.has(column.name)) {
          txn.set(schema.name, row.uuid, column.name, value);
        } else if (!isDefaultDatum(value, column.type)) {
          unknown.add(`${schema.name}.${column.name}`);
        }
      }
    }
  }
  return [...unknown];
}

/** Bytes of a file with a schema and, if there is any, content. */
export function encodeDatabase(db: Database, comment: string, dateMs: number): Uint8Array {
  const parts = [encodeRecord(schemaToJson(db.schema))];
  if ([...db.tables.values()].some((t) => t.rows.size > 0)) {
    parts.push(encodeRecord(contentToJson(db, comment, dateMs)));
  }
  return concatBytes(parts);
}

/** A file is compacted after this many transactions if it has doubled as well. */
export const COMPACT_TRANSACTIONS_MIN = 100;

export interface FileEnv {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** A database that is kept in a file. */
export class DatabaseFile {
  readonly db: Database;
  /** Why the end of the file was given up when it was opened, if it was. */
  readonly problem: string | undefined;
  /** Why the last change could not be written, if it could not. */
  writeError: string | undefined;
  private readonly env: FileEnv;
  private readonly path: string;
  private bytes: number;
  private snapshotBytes: number;
  private transactions: number;
  private readonly close: () => void;

  private constructor(env: FileEnv, path: string, loaded: LoadedDatabase, fileBytes: Uint8Array) {
    this.env = env;
    this.path = path;
    this.db = loaded.db;
    this.problem = loaded.problem;
    this.bytes = loaded.goodBytes;
    this.snapshotBytes = loaded.goodBytes;
    this.transactions = loaded.transactions;
    if (loaded.goodBytes < fileBytes.length) {
      this.note(env.fs.replaceFile(path, fileBytes.subarray(0, loaded.goodBytes)));
    }
    this.close = this.db.onCommit((changes, comment) => this.append(changes, comment));
  }

  /** Opens a file, or makes one with a schema if there is none; throws DbError. */
  static open(env: FileEnv, path: string, schema?: DbSchema): DatabaseFile {
    if (!env.fs.exists(path) && schema !== undefined) {
      const bytes = encodeRecord(schemaToJson(schema));
      const made = env.fs.writeFile(path, bytes);
      if (!made.ok) {
        throw new DbError("I/O error", `${path}: create failed (${made.message})`);
      }
    }
    const read = env.fs.readFile(path);
    if (!read.ok) {
      throw new DbError("I/O error", `${path}: open failed (${read.message})`);
    }
    return new DatabaseFile(env, path, loadDatabase(read.value, path, env.rng), read.value);
  }

  private note(result: { readonly ok: true } | { readonly ok: false; readonly message: string }) {
    this.writeError = result.ok ? undefined : `${this.path}: ${result.message}`;
  }

  private append(changes: readonly RowChange[], comment: string): void {
    const json = changesToJson(changes, comment, this.env.clock.wallMs());
    if (json === undefined) {
      return;
    }
    if (this.writeError !== undefined) {
      // The file misses a change, or has a part of one: only the whole content puts it right.
      this.compact("writing again after an error");
      return;
    }
    const record = encodeRecord(json);
    this.note(this.env.fs.appendFile(this.path, record));
    this.bytes += record.length;
    this.transactions++;
    const grown = this.bytes >= 2 * this.snapshotBytes;
    if (this.transactions >= COMPACT_TRANSACTIONS_MIN && grown) {
      this.compact();
    }
  }

  /** Replaces the file by one that holds just the present content. */
  compact(comment = "compacting database online"): void {
    const bytes = encodeDatabase(this.db, comment, this.env.clock.wallMs());
    this.note(this.env.fs.replaceFile(this.path, bytes));
    if (this.writeError === undefined) {
      this.bytes = bytes.length;
      this.snapshotBytes = bytes.length;
      this.transactions = 1;
    }
  }

  /** Stops following the database. */
  dispose(): void {
    this.close();
  }
}
