// Records of a database file: what a transaction is as JSON, and back.
//
// Transactions are stored as differences: of a column that can hold several members, only those
// that came or went; of pairs with a new value, the new value. A record is read row by row, so that
// one of a million rows takes no more memory than they do. References: ovsdb(5); ovs: ovsdb/file.c.

import type { Atom } from "./atom.ts";
import { type Database, Row, type RowChange, type Table } from "./database.ts";
import {
  type Datum,
  datumEquals,
  datumFromJson,
  datumToJson,
  isDefaultDatum,
  relaxedType,
} from "./datum.ts";
import { applyDatumDiff, datumDiff } from "./datum-diff.ts";
import { DbError, syntaxError } from "./db-error.ts";
import type { LogRecord } from "./db-log.ts";
import type { JsonReader } from "./json-parse.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { type ColumnSchema, findColumn } from "./schema.ts";
import { Transaction } from "./transaction.ts";
import { parseUuid, type Uuid } from "./uuid.ts";

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
export function contentToJson(db: Database, comment: string, dateMs: number): JsonObject {
  const changes: RowChange[] = [];
  for (const t of db.tables.values()) {
    for (const row of t.rows.values()) {
      changes.push({ table: t.schema, old: undefined, new: row });
    }
  }
  return changesToJson(changes, comment, dateMs) ?? { _date: BigInt(Math.floor(dateMs)) };
}

/** A record that is being applied. */
interface Load {
  readonly txn: Transaction;
  readonly isDiff: boolean;
  readonly shared: SharedDatums;
}

/** Numbers that rows repeat, such as VLANs and ports, so that they share a datum. */
export type SharedDatums = Map<Atom, Datum>;
/** Numbers beyond this many get datums of their own. */
export const SHARED_DATUMS_MAX = 65_536;

function share(datum: Datum, shared: SharedDatums): Datum {
  const [atom] = datum.keys;
  if (typeof atom !== "bigint" || datum.keys.length > 1 || datum.values !== undefined) {
    return datum;
  }
  const known = shared.get(atom);
  if (known === undefined && shared.size < SHARED_DATUMS_MAX) {
    shared.set(atom, datum);
  }
  return known ?? datum;
}

/** The value of a column in a record; throws DbError. */
function loadDatum(load: Load, old: Datum, column: ColumnSchema, json: Json): Datum {
  const { type } = column;
  const { isDiff } = load;
  // The difference of two sets may be smaller or larger than a set may be. ovsdb-server 3.1.0
  // writes such differences too, but does not read them back.
  const datum = share(datumFromJson(json, isDiff ? relaxedType(type) : type), load.shared);
  if (!isDiff || isDefaultDatum(old, type)) {
    return datum;
  }
  const next = applyDatumDiff(old, datum, type);
  if (next.keys.length < type.min || next.keys.length > type.max) {
    throw new DbError("ovsdb error", "Datum crated by diff has size error");
  }
  return next;
}

/** Applies what a record says about one row; throws DbError. */
function loadRow(load: Load, t: Table, uuid: Uuid, json: Json): void {
  const table = t.schema;
  const { txn } = load;
  // Of a member that is there twice, the last counts.
  txn.forget(t, uuid);
  const row = t.rows.get(uuid);
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
  const data = (row?.data ?? table.defaults).slice();
  for (const name of Object.keys(json)) {
    const column = findColumn(table, name);
    if (column === undefined) {
      throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
    }
    const i = column.index;
    const datum = loadDatum(load, data[i] ?? column.initial, column, json[name] ?? null);
    // A row's UUID is where it stands, not what it says.
    if (i >= 0) {
      data[i] = datum;
    }
  }
  txn.store(t, new Row(table, uuid, t.uuids, data));
}

/** What a record says about itself (ovs: ovsdb_file_txn_from_json). */
function isAnnotation(name: string, value: Json): boolean {
  return (
    name === "_comment" ||
    (name === "_date" && typeof value === "bigint") ||
    (name === "_is_diff" && typeof value === "boolean")
  );
}

function loadTable(load: Load, table: Table, reader: JsonReader): void {
  const start = reader.place;
  const whole = () => {
    reader.seek(start);
    return reader.next();
  };
  if (!reader.atObject()) {
    throw syntaxError(reader.next(), "object expected");
  }
  reader.members((uuidText) => {
    const json = reader.next();
    const uuid = parseUuid(uuidText);
    if (uuid === undefined) {
      throw syntaxError(whole(), `"${uuidText}" is not a valid UUID`);
    }
    loadRow(load, table, uuid, json);
  });
}

/** Applies one record; throws DbError and changes nothing if it cannot be applied. */
export function applyRecord(
  db: Database,
  record: LogRecord,
  shared: SharedDatums = new Map(),
): void {
  // What a file holds has been checked value by value; defaults may be what a column forbids.
  const txn = new Transaction(db, { checkValues: false });
  const load = { txn, isDiff: record.get("_is_diff") === true, shared };
  for (const name of record.names()) {
    const table = db.tables.get(name);
    if (table !== undefined) {
      record.at(name);
      loadTable(load, table, record.reader);
    } else if (!isAnnotation(name, record.get(name))) {
      throw syntaxError(record.whole(), `No table named ${name}.`, "unknown table");
    }
  }
  txn.commit();
}
