// The operations of RFC 7047 §5.2 on a database, as a "transact" request brings them.
//
// A request is executed whole or not at all. Its results are JSON; errors, of the request, of an
// operation or of the commit, stand among the results as the RFC says. Reference: ovs:
// ovsdb/execution.c.

import type { SymbolTable } from "./atom.ts";
import { type Condition, conditionFromJson, matchesAll } from "./condition.ts";
import { type Database, type Row, rowKey } from "./database.ts";
import { checkDatum, compareDatums, type Datum, datumFromJson, datumToJson } from "./datum.ts";
import { catchDbError, DbError, syntaxError } from "./db-error.ts";
import { isJsonArray, isJsonObject, type Json, type JsonObject } from "./json.ts";
import {
  isArray,
  isBoolean,
  isId,
  isInteger,
  isObject,
  isString,
  memberNames,
  Members,
} from "./members.ts";
import { mutate, mutationFromJson } from "./mutation.ts";
import {
  type ColumnSchema,
  findColumn,
  type TableSchema,
  UUID_COLUMN,
  VERSION_COLUMN,
} from "./schema.ts";
import { Transaction } from "./transaction.ts";
import { parseUuid, type Uuid, type UuidMaker } from "./uuid.ts";

/** Names that "insert" operations give to their rows. */
class NamedUuids implements SymbolTable {
  readonly created = new Set<string>();
  private readonly uuids = new Map<string, Uuid>();
  private readonly maker: UuidMaker;

  constructor(maker: UuidMaker) {
    this.maker = maker;
  }

  reference(name: string): Uuid {
    let uuid = this.uuids.get(name);
    if (uuid === undefined) {
      uuid = this.maker.next();
      this.uuids.set(name, uuid);
    }
    return uuid;
  }

  define(name: string, uuid: Uuid): void {
    this.uuids.set(name, uuid);
  }
}

interface Execution {
  readonly db: Database;
  readonly txn: Transaction;
  readonly symbols: NamedUuids;
  /** Names of locks that the requester owns. */
  readonly locks: ReadonlySet<string>;
}

type Executor = (x: Execution, m: Members) => JsonObject;

function tableOf(x: Execution, m: Members): TableSchema {
  const name = m.required("table", isId);
  return x.db.schema.tables.get(name) ?? failWith(m.fail(`No table named ${name}.`));
}

function failWith(e: DbError): never {
  throw e;
}

/** Values of the columns that a JSON row names. */
function rowFromJson(
  table: TableSchema,
  json: JsonObject,
  symbols: SymbolTable,
): Map<ColumnSchema, Datum> {
  const values = new Map<ColumnSchema, Datum>();
  for (const name of memberNames(json)) {
    const column = findColumn(table, name);
    if (column === undefined) {
      const text = `No column ${name} in table ${table.name}.`;
      throw syntaxError(json, text, "unknown column");
    }
    values.set(column, datumFromJson(json[name] ?? null, column.type, symbols));
  }
  return values;
}

/** The columns that an array names; all of them without one. */
function columnsFromJson(table: TableSchema, json: Json | undefined): readonly ColumnSchema[] {
  if (json === undefined) {
    return [UUID_COLUMN, VERSION_COLUMN, ...table.columnList];
  }
  const wrong = () => syntaxError(json, "array of distinct column names expected");
  if (!isJsonArray(json)) {
    throw wrong();
  }
  const columns: ColumnSchema[] = [];
  for (const name of json) {
    const column = typeof name === "string" ? findColumn(table, name) : undefined;
    if (column === undefined && typeof name === "string") {
      throw syntaxError(json, `${name} is not a valid column name`);
    }
    if (column === undefined || columns.includes(column)) {
      throw wrong();
    }
    columns.push(column);
  }
  return columns;
}

function insertUuid(x: Execution, m: Members, table: TableSchema): Uuid {
  const given = m.optional("uuid", isString);
  const name = m.optional("uuid-name", isId);
  let uuid: Uuid | undefined;
  if (given !== undefined) {
    uuid = parseUuid(given) ?? failWith(syntaxError(given, "bad uuid"));
    if (!x.txn.mayInsert(table.name, uuid)) {
      throw syntaxError(
        given,
        "This UUID would duplicate a UUID already present within the table or deleted within " +
          "the same transaction.",
        "duplicate uuid",
      );
    }
  }
  if (name === undefined) {
    return uuid ?? x.db.uuids.next();
  }
  if (x.symbols.created.has(name)) {
    const text = 'This "uuid-name" appeared on an earlier "insert" operation.';
    throw syntaxError(name, text, "duplicate uuid-name");
  }
  if (uuid !== undefined) {
    x.symbols.define(name, uuid);
  }
  x.symbols.created.add(name);
  return x.symbols.reference(name);
}

const insert: Executor = (x, m) => {
  const table = tableOf(x, m);
  const uuid = insertUuid(x, m, table);
  const values = rowFromJson(table, m.required("row", isObject), x.symbols);
  const row = x.txn.insert(table.name, uuid);
  for (const column of table.columnList) {
    const value = values.get(column);
    if (value !== undefined) {
      x.txn.set(table.name, uuid, column.name, value);
    } else if (row.at(column).keys.length === 1) {
      // Even a default value may break a constraint.
      checkDatum(row.at(column), column.type);
    }
  }
  return { uuid: ["uuid", uuid] };
};

function selectRows(x: Execution, table: TableSchema, condition: Condition): Row[] {
  return x.txn.rows(table.name).filter((r) => matchesAll(r, condition));
}

function conditionOf(x: Execution, m: Members, table: TableSchema): Condition {
  return conditionFromJson(table, m.required("where", isArray), x.symbols);
}

const select: Executor = (x, m) => {
  const table = tableOf(x, m);
  const condition = conditionOf(x, m, table);
  const columns = columnsFromJson(table, m.optional("columns", isArray));
  const sortJson = m.optional("sort", isArray);
  const sort = sortJson === undefined ? [] : columnsFromJson(table, sortJson);
  const distinct = new Map<string, Row>();
  for (const row of selectRows(x, table, condition)) {
    const key = columns.includes(UUID_COLUMN) ? row.uuid : rowKey(row, columns);
    if (!distinct.has(key)) {
      distinct.set(key, row);
    }
  }
  const rows = [...distinct.values()].sort((a, b) => {
    for (const c of sort) {
      const order = compareDatums(a.at(c), b.at(c));
      if (order !== 0) {
        return order;
      }
    }
    return 0;
  });
  return {
    rows: rows.map((r) =>
      Object.fromEntries(columns.map((c) => [c.name, datumToJson(r.at(c), c.type)])),
    ),
  };
};

const update: Executor = (x, m) => {
  const table = tableOf(x, m);
  const where = m.required("where", isArray);
  const json = m.required("row", isObject);
  const values = rowFromJson(table, json, x.symbols);
  for (const column of values.keys()) {
    if (!column.mutable) {
      const text = `Cannot update immutable column ${column.name} in table ${table.name}.`;
      throw syntaxError(m.source, text, "constraint violation");
    }
  }
  // What is to be done is read before the condition, as errors show.
  const rows = selectRows(x, table, conditionFromJson(table, where, x.symbols));
  for (const row of rows) {
    for (const [column, value] of values) {
      x.txn.set(table.name, row.uuid, column.name, value);
    }
  }
  return { count: BigInt(rows.length) };
};

const mutateOp: Executor = (x, m) => {
  const table = tableOf(x, m);
  const where = m.required("where", isArray);
  const mutations = m
    .required("mutations", isArray)
    .map((j) => mutationFromJson(table, j, x.symbols));
  const rows = selectRows(x, table, conditionFromJson(table, where, x.symbols));
  for (const row of rows) {
    for (const mutation of mutations) {
      const { column } = mutation;
      const now = x.txn.row(table.name, row.uuid)?.at(column);
      if (now !== undefined) {
        x.txn.set(table.name, row.uuid, column.name, mutate(now, mutation));
      }
    }
  }
  return { count: BigInt(rows.length) };
};

const deleteOp: Executor = (x, m) => {
  const table = tableOf(x, m);
  const rows = selectRows(x, table, conditionOf(x, m, table));
  for (const row of rows) {
    x.txn.delete(table.name, row.uuid);
  }
  return { count: BigInt(rows.length) };
};

/** Rows of a "wait" as texts of the columns it looks at. */
function expectedKeys(
  table: TableSchema,
  columns: readonly ColumnSchema[],
  rows: readonly Json[],
  x: Execution,
): Set<string> {
  return new Set(
    rows.map((json) => {
      if (!isJsonObject(json)) {
        throw syntaxError(json, "row must be JSON object");
      }
      let row = x.db.newRow(table, x.db.uuids.next());
      for (const [column, value] of rowFromJson(table, json, x.symbols)) {
        row = column.index < 0 ? row : row.with(column, value);
      }
      return rowKey(row, columns);
    }),
  );
}

/** A condition that does not hold is an error at once: nothing else could make it true. */
const wait: Executor = (x, m) => {
  const timeout = m.optional("timeout", isInteger);
  const table = tableOf(x, m);
  const condition = conditionOf(x, m, table);
  const columns = columnsFromJson(table, m.optional("columns", isArray));
  const until = m.required("until", isString);
  const rows = m.required("rows", isArray);
  if (timeout !== undefined && timeout < 0n) {
    throw syntaxError(timeout, "timeout must be nonnegative");
  }
  if (until !== "==" && until !== "!=") {
    throw syntaxError(until, '"until" must be "==" or "!="');
  }
  const expected = expectedKeys(table, columns, rows, x);
  const actual = new Set(selectRows(x, table, condition).map((r) => rowKey(r, columns)));
  const equal = actual.size === expected.size && [...actual].every((k) => expected.has(k));
  if ((until === "==") !== equal) {
    throw timeout === undefined
      ? new DbError("not supported", "triggers not supported")
      : new DbError("timed out", '"where" clause test failed');
  }
  return {};
};

const commit: Executor = (_x, m) => {
  m.required("durable", isBoolean);
  return {};
};

const abort: Executor = () => {
  throw new DbError("aborted", "aborted by request");
};

const comment: Executor = (x, m) => {
  x.txn.addComment(m.required("comment", isString));
  return {};
};

const assertLock: Executor = (x, m) => {
  const lock = m.required("lock", isId);
  if (!x.locks.has(lock)) {
    throw new DbError("not owner", `Asserted lock ${lock} not held.`);
  }
  return {};
};

interface Operation {
  readonly run: Executor;
  /** Members that it may have, besides "op". */
  readonly members: readonly string[];
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  insert: { run: insert, members: ["table", "uuid", "uuid-name", "row"] },
  select: { run: select, members: ["table", "where", "columns", "sort"] },
  update: { run: update, members: ["table", "where", "row"] },
  mutate: { run: mutateOp, members: ["table", "where", "mutations"] },
  delete: { run: deleteOp, members: ["table", "where"] },
  wait: { run: wait, members: ["timeout", "table", "where", "columns", "until", "rows"] },
  commit: { run: commit, members: ["durable"] },
  abort: { run: abort, members: [] },
  comment: { run: comment, members: ["comment"] },
  assert: { run: assertLock, members: ["lock"] },
};

/** One operation; throws DbError. */
function execute(x: Execution, operation: Json, i: number, n: number): JsonObject {
  const m = new Members(operation, `ovsdb operation ${i} of ${n}`);
  const name = m.required("op", isId);
  const found = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (found === undefined) {
    throw m.fail(`No operation "${name}"`);
  }
  const outcome = catchDbError(() => found.run(x, m));
  // A member that does not belong there outweighs other errors.
  m.finishWith(found.members);
  if ("error" in outcome) {
    throw outcome.error;
  }
  return outcome.value;
}

/**
 * Executes the parameters of a "transact" request: the database's name and the operations. Answers
 * one result per operation, and one more if the commit failed.
 */
export function executeTransaction(
  db: Database,
  params: Json,
  locks: ReadonlySet<string> = new Set(),
): Json {
  if (!isJsonArray(params)) {
    return syntaxError(params, "array expected").toJson();
  }
  if (params[0] !== db.schema.name) {
    return syntaxError(params, "database name expected as first parameter").toJson();
  }
  const operations = params.slice(1);
  const txn = new Transaction(db);
  const x: Execution = { db, txn, symbols: new NamedUuids(db.uuids), locks };
  const results: Json[] = [];
  for (const [i, operation] of operations.entries()) {
    const outcome = catchDbError(() => execute(x, operation, i + 1, operations.length));
    if ("error" in outcome) {
      results.push(outcome.error.toJson());
      while (results.length < operations.length) {
        results.push(null);
      }
      return results;
    }
    results.push(outcome.value);
  }
  const committed = catchDbError(() => txn.commit());
  if ("error" in committed) {
    results.push(committed.error.toJson());
  }
  return results;
}
