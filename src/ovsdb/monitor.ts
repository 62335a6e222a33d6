// Monitors: what a client that watches tables is told, at the start and after each commit.
//
// A monitor names tables, columns and kinds of change, and perhaps conditions of which a row must
// meet one. Two forms of update exist: that of RFC 7047 ("monitor": whole old and new values) and
// the compact one ("monitor_cond": differences, defaults left out). With conditions, a row that
// begins to meet them is an insertion for the client, one that ceases to is a deletion. References:
// RFC 7047 §4.1.5, §4.1.6; ovsdb-server(7) "monitor_cond"; ovs: ovsdb/monitor.c.

import { type Condition, conditionFromJson, matchesAny } from "./condition.ts";
import type { Database, Row, RowChange } from "./database.ts";
import { datumEquals, datumToJson, isDefaultDatum } from "./datum.ts";
import { datumDiff } from "./datum-diff.ts";
import { syntaxError } from "./db-error.ts";
import { isJsonArray, isJsonObject, type Json, type JsonObject } from "./json.ts";
import { isArray, isBoolean, isObject, memberNames, Members } from "./members.ts";
import { type ColumnSchema, findColumn, type TableSchema, VERSION_COLUMN } from "./schema.ts";

const KINDS = ["initial", "insert", "delete", "modify"] as const;
type Kind = (typeof KINDS)[number];

/** "plain" is RFC 7047's form of updates, "compact" that of monitor_cond. */
export type MonitorForm = "plain" | "compact";

interface Watched {
  readonly column: ColumnSchema;
  readonly kinds: ReadonlySet<Kind>;
}

interface MonitoredTable {
  readonly schema: TableSchema;
  readonly columns: Watched[];
  /** Kinds that some request of the table asked for. */
  readonly kinds: Set<Kind>;
  condition: Condition | undefined;
  /** Columns that conditions look at, or did: a change of them is told of, if only as such. */
  readonly watched: Set<ColumnSchema>;
}

function kindsFromJson(table: TableSchema, json: JsonObject | undefined): Set<Kind> {
  if (json === undefined) {
    return new Set(KINDS);
  }
  const m = new Members(json, `table ${table.name} select`);
  const kinds = KINDS.filter((k) => m.optional(k, isBoolean) ?? true);
  m.finish();
  return new Set(kinds);
}

function columnsFromJson(
  table: TableSchema,
  json: readonly Json[] | undefined,
): readonly ColumnSchema[] {
  if (json === undefined) {
    return [VERSION_COLUMN, ...table.columnList];
  }
  return json.map((name) => {
    if (typeof name !== "string") {
      throw syntaxError(json, "array of column names expected");
    }
    return findColumn(table, name) ?? fail(json, `${name} is not a valid column name`);
  });
}

function fail(json: Json, text: string): never {
  throw syntaxError(json, text);
}

/** Adds one monitor request of a table. */
function addRequest(t: MonitoredTable, json: Json, conditional: boolean): void {
  const m = new Members(json, `table ${t.schema.name}`);
  const where = conditional ? m.optional("where", isArray) : undefined;
  const columns = m.optional("columns", isArray);
  const select = m.optional("select", isObject);
  m.finish();
  const kinds = kindsFromJson(t.schema, select);
  for (const column of columnsFromJson(t.schema, columns)) {
    if (t.columns.some((w) => w.column === column)) {
      throw syntaxError(columns, `column ${column.name} mentioned more than once`);
    }
    t.columns.push({ column, kinds });
  }
  for (const k of kinds) {
    t.kinds.add(k);
  }
  if (where !== undefined) {
    setCondition(t, conditionFromJson(t.schema, where));
  }
}

function setCondition(t: MonitoredTable, condition: Condition): void {
  t.condition = condition;
  for (const clause of condition.clauses) {
    if (typeof clause !== "boolean") {
      t.watched.add(clause.column);
    }
  }
}

function meets(row: Row | undefined, condition: Condition | undefined): boolean {
  return row !== undefined && (condition === undefined || matchesAny(row, condition));
}

export class Monitor {
  private readonly db: Database;
  private readonly form: MonitorForm;
  private readonly tables = new Map<string, MonitoredTable>();

  /** `requests` is the object of monitor requests by table; throws DbError. */
  constructor(db: Database, requests: Json, form: MonitorForm) {
    this.db = db;
    this.form = form;
    if (!isJsonObject(requests)) {
      throw syntaxError(requests, "monitor-requests must be object");
    }
    for (const name of memberNames(requests)) {
      const request = requests[name] ?? null;
      const schema = db.schema.tables.get(name);
      if (schema === undefined) {
        throw syntaxError(undefined, `no table named ${name}`);
      }
      const t: MonitoredTable = {
        schema,
        columns: [],
        kinds: new Set(),
        condition: undefined,
        watched: new Set(),
      };
      for (const one of isJsonArray(request) ? request : [request]) {
        addRequest(t, one, form === "compact");
      }
      this.tables.set(name, t);
    }
  }

  /** What the reply to the request holds: rows that are there now. */
  initial(): JsonObject {
    return this.collect((t) =>
      t.kinds.has("initial")
        ? [...this.db.rows(t.schema.name)].map((row) =>
            this.rowUpdate(t, "initial", undefined, row),
          )
        : [],
    );
  }

  /** What a commit means to the client; undefined if nothing. */
  update(changes: readonly RowChange[]): JsonObject | undefined {
    const json = this.collect((t) =>
      changes
        .filter((c) => c.table === t.schema)
        .map((c) => this.rowUpdate(t, kindOf(c), c.old, c.new)),
    );
    return Object.keys(json).length === 0 ? undefined : json;
  }

  /**
   * Replaces the condition of a table by that of a request (monitor_cond_change); answers the rows
   * that come into view or leave it, or undefined. Throws DbError.
   */
  changeCondition(table: string, request: Json): JsonObject | undefined {
    const t = this.tables.get(table);
    if (t === undefined) {
      const known = this.db.schema.tables.has(table);
      const text = `no table named ${table}${known ? " in monitor session" : ""}`;
      throw syntaxError(undefined, text);
    }
    const m = new Members(request, `table ${table}`);
    const columns = m.optional("columns", isArray);
    const where = m.optional("where", isArray);
    m.finish();
    if (columns !== undefined) {
      throw syntaxError(request, "changing columns is unsupported");
    }
    const old = t.condition;
    const next = conditionFromJson(t.schema, where ?? []);
    setCondition(t, next);
    const rows: Record<string, Json> = {};
    for (const row of this.db.rows(table)) {
      const before = meets(row, old);
      const after = meets(row, next);
      if (before !== after && t.kinds.has(after ? "insert" : "delete")) {
        rows[row.uuid] = this.compact(t, after ? "insert" : "delete", row, row);
      }
    }
    return Object.keys(rows).length === 0 ? undefined : { [table]: rows };
  }

  private collect(
    updates: (t: MonitoredTable) => readonly ({ uuid: string; json: Json } | undefined)[],
  ): JsonObject {
    const out: Record<string, Json> = {};
    for (const [name, t] of this.tables) {
      const rows: Record<string, Json> = {};
      for (const u of updates(t)) {
        if (u !== undefined) {
          rows[u.uuid] = u.json;
        }
      }
      if (Object.keys(rows).length > 0) {
        out[name] = rows;
      }
    }
    return out;
  }

  /** The update of one row, or undefined if the client does not care. */
  private rowUpdate(
    t: MonitoredTable,
    change: Kind,
    old: Row | undefined,
    now: Row | undefined,
  ): { uuid: string; json: Json } | undefined {
    const before = meets(old, t.condition);
    const after = meets(now, t.condition);
    if (!before && !after) {
      return undefined;
    }
    const kind: Kind =
      change !== "modify" ? change : !before ? "insert" : !after ? "delete" : "modify";
    if (!t.kinds.has(kind)) {
      return undefined;
    }
    const row = now ?? old;
    if (row === undefined || (kind === "modify" && !anyChanged(t, old, now))) {
      return undefined;
    }
    const json =
      this.form === "plain" ? this.plain(t, kind, old, now) : this.compact(t, kind, old, now);
    return { uuid: row.uuid, json };
  }

  /** RFC 7047 <row-update>. */
  private plain(
    t: MonitoredTable,
    kind: Kind,
    old: Row | undefined,
    now: Row | undefined,
  ): JsonObject {
    const before: Record<string, Json> = {};
    const after: Record<string, Json> = {};
    for (const { column, kinds } of t.columns) {
      if (!kinds.has(kind)) {
        continue;
      }
      if (old !== undefined && (kind === "delete" || changed(column, old, now))) {
        before[column.name] = datumToJson(old.at(column), column.type);
      }
      if (now !== undefined && kind !== "delete") {
        after[column.name] = datumToJson(now.at(column), column.type);
      }
    }
    return {
      ...(kind === "delete" || kind === "modify" ? { old: before } : {}),
      ...(kind === "delete" ? {} : { new: after }),
    };
  }

  /** <row-update2> of monitor_cond. */
  private compact(
    t: MonitoredTable,
    kind: Kind,
    old: Row | undefined,
    now: Row | undefined,
  ): JsonObject {
    if (kind === "delete") {
      return { delete: null };
    }
    const values: Record<string, Json> = {};
    for (const { column, kinds } of t.columns) {
      if (!kinds.has(kind) || now === undefined) {
        continue;
      }
      const value = now.at(column);
      const { type } = column;
      if (kind === "modify") {
        if (old !== undefined && changed(column, old, now)) {
          values[column.name] = datumToJson(datumDiff(old.at(column), value, type), type);
        }
      } else if (!isDefaultDatum(value, type)) {
        values[column.name] = datumToJson(value, type);
      }
    }
    return { [kind]: values };
  }
}

function kindOf(c: RowChange): Kind {
  return c.old === undefined ? "insert" : c.new === undefined ? "delete" : "modify";
}

function changed(column: ColumnSchema, old: Row, now: Row | undefined): boolean {
  return now !== undefined && !datumEquals(old.at(column), now.at(column));
}

/** True if a column changed that the monitor looks at, whatever it wants to hear of it. */
function anyChanged(t: MonitoredTable, old: Row | undefined, now: Row | undefined): boolean {
  if (old === undefined) {
    return false;
  }
  const columns = [...t.columns.map((w) => w.column), ...t.watched];
  return columns.some((c) => changed(c, old, now));
}
