// A standalone database file: its schema, and the rows that its transactions leave.
//
// The first record is the schema, each further one a transaction: an object of tables, of rows by
// UUID, of the columns that changed; null deletes a row. With `_is_diff` a set or map column holds
// what to flip instead of the whole value. References: ovsdb(5) "Standalone Format"; ovs:
// ovsdb/file.c ovsdb_file_txn_from_json, lib/ovsdb-data.c ovsdb_datum_apply_diff.

import type { Atom } from "./atom.ts";
import type { Database } from "./database.ts";
import { type Datum, datumFromJson, findKey, mapDatum, relaxedType, setDatum } from "./datum.ts";
import { catchDbError } from "./db-error.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { readLogFile } from "./log-file.ts";
import { type DbSchema, schemaFromJson, type TableSchema } from "./schema.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnType } from "./types.ts";

/** Rows by UUID, each with the columns that were ever set. */
export type TableRows = ReadonlyMap<string, ReadonlyMap<string, Datum>>;

export interface StandaloneFile {
  readonly schema: DbSchema;
  readonly tables: ReadonlyMap<string, TableRows>;
  /** Bytes from the start that hold. */
  readonly goodBytes: number;
  /** Why the rest does not, or null. */
  readonly tailError: string | null;
}

type MutableTables = Map<string, Map<string, Map<string, Datum>>>;

/** Reads a file; a torn or damaged tail is told, all before it counts. */
export function readStandalone(
  bytes: Uint8Array,
  name: string,
): StandaloneFile | { error: string } {
  const log = readLogFile(bytes, name);
  if ("error" in log) {
    return log;
  }
  if (log.magic !== "JSON") {
    return {
      error:
        log.magic === "CLUSTER"
          ? `${name}: a clustered database; convert it with "ovsdb-tool cluster-to-standalone"`
          : `${name}: cannot identify file type`,
    };
  }
  const [schemaJson, ...transactions] = log.records;
  const parsed = catchDbError(() => schemaFromJson(schemaJson ?? null));
  if ("error" in parsed) {
    return { error: log.tailError ?? `${name}: ${parsed.error.message}` };
  }
  const schema = parsed.value;
  const tables: MutableTables = new Map([...schema.tables.keys()].map((t) => [t, new Map()]));
  for (const [i, txn] of transactions.entries()) {
    const applied = catchDbError(() => applyTransaction(schema, tables, txn));
    if ("error" in applied) {
      const tailError = `${name}: transaction ${i + 1}: ${applied.error.message}`;
      return { schema, tables, goodBytes: log.goodBytes, tailError };
    }
  }
  return { schema, tables, goodBytes: log.goodBytes, tailError: log.tailError };
}

function applyTransaction(schema: DbSchema, tables: MutableTables, txn: JsonObject): void {
  const isDiff = txn._is_diff === true;
  for (const [tableName, rows] of Object.entries(txn)) {
    const table = schema.tables.get(tableName);
    const into = tables.get(tableName);
    if (table === undefined || into === undefined || !isJsonObject(rows)) {
      continue; // _date, _comment, _is_diff
    }
    for (const [uuid, columns] of Object.entries(rows)) {
      if (isJsonObject(columns)) {
        const row = into.get(uuid) ?? new Map<string, Datum>();
        into.set(uuid, row);
        setColumns(table, row, columns, isDiff);
      } else {
        into.delete(uuid);
      }
    }
  }
}

function setColumns(
  table: TableSchema,
  row: Map<string, Datum>,
  columns: Readonly<Record<string, Json>>,
  isDiff: boolean,
): void {
  for (const [name, json] of Object.entries(columns)) {
    const column = table.columns.get(name);
    if (column === undefined) {
      continue;
    }
    const { type } = column;
    const old = row.get(name);
    row.set(
      name,
      isDiff && type.max > 1 && old !== undefined
        ? flip(old, datumFromJson(json, relaxedType(type)), type)
        : datumFromJson(json, type),
    );
  }
}

/** Members only in one of both; a key whose value differs takes the new value. */
function flip(old: Datum, diff: Datum, type: ColumnType): Datum {
  if (type.value === undefined) {
    return setDatum([
      ...old.keys.filter((k) => findKey(diff, k) < 0),
      ...diff.keys.filter((k) => findKey(old, k) < 0),
    ]);
  }
  const pairs = new Map<Atom, Atom>(
    old.keys.map((k, i): [Atom, Atom] => [k, old.values?.[i] ?? ""]),
  );
  for (const [i, key] of diff.keys.entries()) {
    const value = diff.values?.[i] ?? "";
    if (pairs.get(key) === value) {
      pairs.delete(key);
    } else {
      pairs.set(key, value);
    }
  }
  return mapDatum(pairs);
}

/**
 * Inserts the rows of a file into a database of another version of the same schema. Answers the
 * columns that this database does not have, as `Table.column`.
 */
export function insertRows(file: StandaloneFile, txn: Transaction, db: Database): string[] {
  const unknown = new Set<string>();
  for (const [tableName, rows] of file.tables) {
    const table = db.tables.get(tableName);
    if (table === undefined) {
      unknown.add(tableName);
      continue;
    }
    for (const [uuid, columns] of rows) {
      txn.insert(tableName, uuid);
      for (const [name, value] of columns) {
        if (table.schema.columns.has(name)) {
          txn.set(tableName, uuid, name, value);
        } else {
          unknown.add(`${tableName}.${name}`);
        }
      }
    }
  }
  return [...unknown];
}
