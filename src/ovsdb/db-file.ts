// A database in a file: its first record is the schema, each further one a transaction.
//
// A transaction is acknowledged only after its record was appended, and a record that is not whole
// is ignored when the file is opened, so a crash at any byte loses nothing that was acknowledged.
// References: ovsdb(5); ovs: ovsdb/file.c, ovsdb/ovsdb-server.c (what it does with a damaged file).

import type { Clock, FileSystem, Rng } from "../lib/env.ts";
import { concatBytes } from "../lib/bytes.ts";
import { Database, type RowChange } from "./database.ts";
import { isDefaultDatum } from "./datum.ts";
import { catchDbError, DbError } from "./db-error.ts";
import { CLUSTERED_MAGIC, DbLogReader, encodeRecord, fileMagic } from "./db-log.ts";
import { applyRecord, changesToJson, contentToJson, type SharedDatums } from "./db-record.ts";
import { type DbSchema, schemaFromJson, schemaToJson } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

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
  return { schema: schemaFromJson(first.whole()), reader };
}

/** The schema of a database file; throws DbError if it is none. */
export function schemaOfFile(bytes: Uint8Array, name: string): DbSchema {
  return readSchema(bytes, name).schema;
}

/** Reads a database file; throws DbError if it is none. A damaged end is a `problem`, no error. */
export function loadDatabase(bytes: Uint8Array, name: string, rng: Rng): LoadedDatabase {
  const { schema, reader } = readSchema(bytes, name);
  const db = new Database(schema, rng);
  const shared: SharedDatums = new Map();
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
    const applied = catchDbError(() => applyRecord(db, record, shared));
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
