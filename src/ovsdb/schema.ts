// Schemas: tables and their columns.
//
// Each table has two columns that no schema lists: `_uuid` and `_version`; they are properties of
// a row here, not columns. References: RFC 7047 §3.2; ovs: ovsdb/ovsdb.c, ovsdb/table.c,
// ovsdb/column.c.

import { type Datum, defaultDatum } from "./datum.ts";
import { syntaxError } from "./db-error.ts";
import { isJsonArray, type Json, type JsonObject } from "./json.ts";
import { isArray, isBoolean, isId, isInteger, isObject, isString, Members } from "./members.ts";
import { columnTypeFromJson, columnTypeToJson } from "./type-json.ts";
import type { BaseType, ColumnType } from "./types.ts";

export interface ColumnSchema {
  readonly name: string;
  readonly type: ColumnType;
  readonly mutable: boolean;
  /** False for columns that are not written to disk. */
  readonly persistent: boolean;
  /** Position in a row's data. */
  readonly index: number;
  /** What a new row has. */
  readonly initial: Datum;
}

export interface TableSchema {
  readonly name: string;
  readonly columns: ReadonlyMap<string, ColumnSchema>;
  /** The same in order of their positions. */
  readonly columnList: readonly ColumnSchema[];
  /** The data of a new row. */
  readonly defaults: readonly Datum[];
  /** Columns that refer to rows, strongly and weakly. */
  readonly strongColumns: readonly ColumnSchema[];
  readonly weakColumns: readonly ColumnSchema[];
  readonly mutable: boolean;
  /** Infinity if unlimited. */
  readonly maxRows: number;
  /** Rows of other tables live only while something refers to them. */
  readonly isRoot: boolean;
  /** Sets of columns that must differ between rows. */
  readonly indexes: readonly (readonly ColumnSchema[])[];
}

export interface DbSchema {
  readonly name: string;
  readonly version: string;
  readonly cksum: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}

const UUID_TYPE: ColumnType = { key: { type: "uuid" }, value: undefined, min: 1, max: 1 };

/** The columns that every table has; negative positions, as they are not among a row's data. */
export const UUID_COLUMN: ColumnSchema = {
  name: "_uuid",
  type: UUID_TYPE,
  mutable: false,
  persistent: true,
  index: -1,
  initial: defaultDatum(UUID_TYPE),
};
export const VERSION_COLUMN: ColumnSchema = { ...UUID_COLUMN, name: "_version", index: -2 };

/** A column by name, `_uuid` and `_version` included. */
export function findColumn(
  { columns }: Pick<TableSchema, "columns">,
  name: string,
): ColumnSchema | undefined {
  return name === "_uuid" ? UUID_COLUMN : name === "_version" ? VERSION_COLUMN : columns.get(name);
}

/** The table to which a base type refers strongly, or undefined. */
function strongRefTable(b: BaseType | undefined): string | undefined {
  return b?.refType === "strong" ? b.refTable : undefined;
}

export function weakRefTable(b: BaseType | undefined): string | undefined {
  return b?.refType === "weak" ? b.refTable : undefined;
}

function columnFromJson(name: string, json: Json, index: number): ColumnSchema {
  const m = new Members(json, `schema for column ${name}`);
  const mutable = m.optional("mutable", isBoolean) ?? true;
  const ephemeral = m.optional("ephemeral", isBoolean) ?? false;
  const type = m.required("type", (j): j is string | JsonObject => isString(j) || isObject(j));
  m.finish();
  const parsed = columnTypeFromJson(type);
  // Weak references must be able to vanish with the rows to which they refer.
  const weak = parsed.key.refType === "weak" || parsed.value?.refType === "weak";
  const initial = defaultDatum(parsed);
  return { name, type: parsed, mutable: mutable || weak, persistent: !ephemeral, index, initial };
}

function checkName(json: Json, name: string): void {
  if (name.startsWith("_")) {
    throw syntaxError(json, 'names beginning with "_" are reserved');
  }
  if (!isId(name)) {
    throw syntaxError(json, "name must be a valid id");
  }
}

/** The columns that an array of names selects, in the order of the array. */
function columnSet(
  json: Json,
  columns: ReadonlyMap<string, ColumnSchema>,
): readonly ColumnSchema[] {
  const wrong = () => syntaxError(json, "array of distinct column names expected");
  if (!isJsonArray(json)) {
    throw wrong();
  }
  const set: ColumnSchema[] = [];
  for (const name of json) {
    const column = typeof name === "string" ? findColumn({ columns }, name) : undefined;
    if (column === undefined && typeof name === "string") {
      throw syntaxError(json, `${name} is not a valid column name`);
    }
    if (column === undefined || set.includes(column)) {
      throw wrong();
    }
    set.push(column);
  }
  return set;
}

/** What a table knows of its columns. */
function columnLists(columnList: readonly ColumnSchema[]) {
  const refers = (target: typeof strongRefTable) =>
    columnList.filter(
      ({ type }) => target(type.key) !== undefined || target(type.value) !== undefined,
    );
  return {
    columns: new Map(columnList.map((c) => [c.name, c])),
    columnList,
    defaults: columnList.map((c) => c.initial),
    strongColumns: refers(strongRefTable),
    weakColumns: refers(weakRefTable),
  };
}

function tableFromJson(name: string, json: Json): TableSchema {
  const m = new Members(json, `table schema for table ${name}`);
  const columnsJson = m.required("columns", isObject);
  const mutable = m.optional("mutable", isBoolean) ?? true;
  const maxRows = m.optional("maxRows", isInteger);
  const isRoot = m.optional("isRoot", isBoolean) ?? false;
  const indexesJson = m.optional("indexes", isArray) ?? [];
  m.finish();
  if (maxRows !== undefined && maxRows <= 0n) {
    throw syntaxError(json, "maxRows must be at least 1");
  }
  const names = Object.keys(columnsJson);
  if (names.length === 0) {
    throw syntaxError(json, "table must have at least one column");
  }
  const columns = new Map<string, ColumnSchema>();
  for (const column of names) {
    checkName(json, column);
    columns.set(column, columnFromJson(column, columnsJson[column] ?? null, columns.size));
  }
  const indexes = indexesJson.map((i) => {
    const set = columnSet(i, columns);
    if (set.length === 0) {
      throw syntaxError(json, "index must have at least one column");
    }
    const volatile = set.find((c) => !c.persistent);
    if (volatile !== undefined) {
      throw syntaxError(json, `ephemeral columns (such as ${volatile.name}) may not be indexed`);
    }
    return set;
  });
  return {
    name,
    ...columnLists([...columns.values()]),
    mutable,
    maxRows: maxRows === undefined ? Number.POSITIVE_INFINITY : Number(maxRows),
    isRoot,
    indexes,
  };
}

/** Checks that references point to tables; answers columns that must be persistent after all. */
function checkReferences(tables: ReadonlyMap<string, TableSchema>): Set<ColumnSchema> {
  const keep = new Set<ColumnSchema>();
  for (const table of tables.values()) {
    for (const column of table.columnList) {
      for (const [base, kind] of [
        [column.type.key, "key"],
        [column.type.value, "value"],
      ] as const) {
        if (base?.refTable === undefined) {
          continue;
        }
        const target = tables.get(base.refTable);
        if (target === undefined) {
          throw syntaxError(
            undefined,
            `column ${column.name} ${kind} refers to undefined table ${base.refTable}`,
          );
        }
        // Otherwise replaying the log would lose rows that only such a column refers to.
        if (base.refType === "strong" && !target.isRoot) {
          keep.add(column);
        }
      }
    }
  }
  return keep;
}

function withPersistent(table: TableSchema, keep: ReadonlySet<ColumnSchema>): TableSchema {
  if (!table.columnList.some((c) => keep.has(c) && !c.persistent)) {
    return table;
  }
  const columnList = table.columnList.map((c) => (keep.has(c) ? { ...c, persistent: true } : c));
  return { ...table, ...columnLists(columnList) };
}

/** Throws DbError. */
export function schemaFromJson(json: Json): DbSchema {
  const m = new Members(json, "database schema");
  const name = m.required("name", isId);
  const version = m.optional("version", isString) ?? "";
  const cksum = m.optional("cksum", isString) ?? "";
  const tablesJson = m.required("tables", isObject);
  m.finish();
  if (version !== "" && !/^\d+\.\d+\.\d+$/.test(version)) {
    throw syntaxError(json, `schema version "${version}" not in format x.y.z`);
  }
  let list = Object.keys(tablesJson).map((table) => {
    checkName(json, table);
    return tableFromJson(table, tablesJson[table] ?? null);
  });
  // Schemas from before garbage collection have no root tables: then all of them are.
  if (!list.some((t) => t.isRoot)) {
    list = list.map((t) => ({ ...t, isRoot: true }));
  }
  const keep = checkReferences(new Map(list.map((t) => [t.name, t])));
  const tables = new Map(list.map((t) => [t.name, withPersistent(t, keep)]));
  return { name, version, cksum, tables };
}

/** RFC 7047 <database-schema>. */
export function schemaToJson(s: DbSchema): JsonObject {
  const tables = [...s.tables.values()];
  const allRoot = tables.every((t) => t.isRoot);
  return {
    name: s.name,
    ...(s.version === "" ? {} : { version: s.version }),
    ...(s.cksum === "" ? {} : { cksum: s.cksum }),
    tables: Object.fromEntries(tables.map((t) => [t.name, tableToJson(t, allRoot)])),
  };
}

function tableToJson(t: TableSchema, allRoot: boolean): JsonObject {
  return {
    columns: Object.fromEntries(t.columnList.map((c) => [c.name, columnToJson(c)])),
    ...(t.mutable ? {} : { mutable: false }),
    ...(t.maxRows === Number.POSITIVE_INFINITY ? {} : { maxRows: BigInt(t.maxRows) }),
    ...(t.isRoot && !allRoot ? { isRoot: true } : {}),
    ...(t.indexes.length === 0 ? {} : { indexes: t.indexes.map((i) => i.map((c) => c.name)) }),
  };
}

function columnToJson(c: ColumnSchema): JsonObject {
  return {
    type: columnTypeToJson(c.type),
    ...(c.mutable ? {} : { mutable: false }),
    ...(c.persistent ? {} : { ephemeral: true }),
  };
}
