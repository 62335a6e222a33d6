// A database: tables of rows, changed by transactions only.
//
// A Row is a snapshot that never changes; an update replaces it, so whoever holds one sees the
// values of its time. The database counts, for each row, the strong references to it (garbage
// collection) and remembers who refers to it weakly. References: RFC 7047 §3.1, §3.2; ovs:
// ovsdb/table.c, ovsdb/row.c.

import { assert, defined } from "../lib/errors.ts";
import type { Atom } from "./atom.ts";
import { type Datum, setDatum } from "./datum.ts";
import { formatDatum } from "./datum-text.ts";
import { type ColumnSchema, type DbSchema, type TableSchema, UUID_COLUMN } from "./schema.ts";
import { isScalar } from "./types.ts";
import { UuidMaker, type Uuid } from "./uuid.ts";
import type { Rng } from "../lib/env.ts";

export class Row {
  readonly schema: TableSchema;
  readonly uuid: Uuid;
  /** Values by column index. */
  readonly data: readonly Datum[];
  /** For Transaction only: strong references to the row, kept in its newest snapshot. */
  strongRefs = 0;
  /** Made when somebody asks: of most rows nobody wants to know it. */
  private madeVersion: Uuid | UuidMaker;

  constructor(schema: TableSchema, uuid: Uuid, version: Uuid | UuidMaker, data: readonly Datum[]) {
    this.schema = schema;
    this.uuid = uuid;
    this.madeVersion = version;
    this.data = data;
  }

  get version(): Uuid {
    if (typeof this.madeVersion !== "string") {
      this.madeVersion = this.madeVersion.version();
    }
    return this.madeVersion;
  }

  /** The value of a column, which must exist. */
  get(column: string): Datum {
    const c = defined(this.schema.columns.get(column), `${this.schema.name} has no ${column}`);
    return this.at(c);
  }

  at(column: ColumnSchema): Datum {
    if (column.index < 0) {
      return setDatum([column === UUID_COLUMN ? this.uuid : this.version]);
    }
    return defined(this.data[column.index]);
  }

  /** The same row with another value in a column. */
  with(column: ColumnSchema, value: Datum): Row {
    return new Row(this.schema, this.uuid, this.madeVersion, this.data.with(column.index, value));
  }

  /** The same data as a new version. */
  renewed(uuids: UuidMaker): Row {
    return new Row(this.schema, this.uuid, uuids, this.data);
  }

  /** The only or first member of a column, or undefined if it is empty. */
  atom(column: string): Atom | undefined {
    return this.get(column).keys[0];
  }

  /** A string (or uuid) column; undefined if it is an empty set. */
  text(column: string): string | undefined {
    const a = this.atom(column);
    return a === undefined ? undefined : String(a);
  }

  /** A scalar string column such as a name. */
  name(column = "name"): string {
    return this.text(column) ?? "";
  }

  /** An integer column as a number; undefined if it is an empty set. */
  int(column: string): number | undefined {
    const a = this.atom(column);
    return a === undefined ? undefined : Number(a);
  }

  /** A boolean column; undefined if it is an empty set. */
  bool(column: string): boolean | undefined {
    const a = this.atom(column);
    return a === undefined ? undefined : a === true;
  }

  /** UUIDs (or strings) in a set column. */
  texts(column: string): readonly string[] {
    return this.get(column).keys.map(String);
  }

  /** A map from strings to strings. */
  map(column: string): ReadonlyMap<string, string> {
    const d = this.get(column);
    return new Map(d.keys.map((k, i) => [String(k), String(d.values?.[i] ?? "")]));
  }
}

export class Table {
  readonly schema: TableSchema;
  readonly uuids: UuidMaker;
  readonly rows = new Map<Uuid, Row>();
  /** For each index of the schema, the row that has some values in its columns. */
  readonly indexes: readonly Map<string, Uuid>[];
  /** Rows that refer weakly to a row of this table: row -> referring rows with their tables. */
  readonly weakRefs = new Map<Uuid, Map<Uuid, string>>();

  constructor(schema: TableSchema, uuids: UuidMaker) {
    this.schema = schema;
    this.uuids = uuids;
    this.indexes = schema.indexes.map(() => new Map<string, Uuid>());
  }
}

/** Text that is equal for rows with equal values in some columns. */
export function rowKey(row: Row, columns: readonly ColumnSchema[]): string {
  const [only] = columns;
  if (columns.length === 1 && only !== undefined && isScalar(only.type)) {
    // As most indexes are: no text need be made.
    return String(row.at(only).keys[0]);
  }
  return columns.map((c) => formatDatum(row.at(c), c.type)).join("\0");
}

/** What a transaction did to one row. */
export interface RowChange {
  readonly table: TableSchema;
  /** Undefined if the row was inserted. */
  readonly old: Row | undefined;
  /** Undefined if the row was deleted. */
  readonly new: Row | undefined;
}

export type CommitListener = (changes: readonly RowChange[], comment: string) => void;

export class Database {
  readonly schema: DbSchema;
  readonly tables: ReadonlyMap<string, Table>;
  readonly uuids: UuidMaker;
  private readonly listeners: CommitListener[] = [];

  constructor(schema: DbSchema, rng: Rng) {
    this.schema = schema;
    this.uuids = new UuidMaker(rng, (uuid) => this.hasRow(uuid));
    const tables = new Map<string, Table>();
    for (const t of schema.tables.values()) {
      tables.set(t.name, new Table(t, this.uuids));
    }
    this.tables = tables;
  }

  private hasRow(uuid: Uuid): boolean {
    for (const t of this.tables.values()) {
      if (t.rows.has(uuid)) {
        return true;
      }
    }
    return false;
  }

  /** A table of the schema; asking for another is a defect. */
  table(name: string): Table {
    return defined(this.tables.get(name), `no table ${name}`);
  }

  row(table: string, uuid: Uuid): Row | undefined {
    return this.table(table).rows.get(uuid);
  }

  /** Rows of a table in order of insertion. */
  rows(table: string): Iterable<Row> {
    return this.table(table).rows.values();
  }

  newRow(schema: TableSchema, uuid: Uuid): Row {
    return new Row(schema, uuid, this.uuids, schema.defaults);
  }

  /** Calls `listener` after each commit that changed something. */
  onCommit(listener: CommitListener): () => void {
    this.listeners.push(listener);
    return () => {
      const i = this.listeners.indexOf(listener);
      assert(i >= 0);
      this.listeners.splice(i, 1);
    };
  }

  /** For Transaction only: tells the listeners. */
  announce(changes: readonly RowChange[], comment: string): void {
    for (const l of [...this.listeners]) {
      l(changes, comment);
    }
  }
}
