// Transactions: changes that happen together or not at all.
//
// A transaction is an overlay over the tables. `commit` first settles what the changes imply:
// references are counted, rows that nothing refers to any more are deleted, weak references to
// deleted rows vanish, indexes and row limits are checked. Only then the tables change and the
// listeners hear of it. References: RFC 7047 §4.1.3, §5.2; ovs: ovsdb/transaction.c.

import { assert, defined } from "../lib/errors.ts";
import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { type Atom, compareText } from "./atom.ts";
import { type Database, type Row, type RowChange, rowKey, type Table } from "./database.ts";
import { checkDatum, compareDatums, type Datum, datumEquals, formatDatum } from "./datum.ts";
import { constraintViolation, DbError } from "./db-error.ts";
import { englishList } from "./english.ts";
import { type ColumnSchema, strongRefTable, weakRefTable } from "./schema.ts";
import { type Uuid, ZERO_UUID } from "./uuid.ts";

interface TxnRow {
  readonly table: Table;
  readonly old: Row | undefined;
  new: Row | undefined;
}

/** A reference held by a row. */
interface Reference {
  readonly column: ColumnSchema;
  readonly table: string;
  readonly uuid: Uuid;
}

/** References of one strength in a row, with repetitions. */
function referencesOf(row: Row, strength: "strong" | "weak"): Reference[] {
  const target = strength === "strong" ? strongRefTable : weakRefTable;
  const out: Reference[] = [];
  for (const column of row.schema.columnList) {
    const { key, value } = column.type;
    const keyTable = target(key);
    const valueTable = target(value);
    if (keyTable === undefined && valueTable === undefined) {
      continue;
    }
    const d = row.at(column);
    for (let i = 0; i < d.keys.length; i++) {
      if (keyTable !== undefined) {
        out.push({ column, table: keyTable, uuid: String(d.keys[i]) });
      }
      if (valueTable !== undefined) {
        out.push({ column, table: valueTable, uuid: String(d.values?.[i]) });
      }
    }
  }
  return out;
}

export class Transaction {
  private readonly db: Database;
  /** Rows touched, in order of first touch. */
  private readonly touched = new Map<Uuid, TxnRow>();
  private readonly comments: string[] = [];
  /** Rows that this transaction no longer sees although it leaves them to garbage collection. */
  private readonly released = new Set<Uuid>();
  /** Strong references as they will be, for rows whose number changes. */
  private readonly refCounts = new Map<Uuid, number>();

  constructor(db: Database) {
    this.db = db;
  }

  addComment(text: string): void {
    this.comments.push(text);
  }

  get comment(): string {
    return this.comments.join("\n");
  }

  /** A row as this transaction sees it. */
  row(table: string, uuid: Uuid): Row | undefined {
    if (this.released.has(uuid)) {
      return undefined;
    }
    const t = this.touched.get(uuid);
    return t !== undefined && t.table.schema.name === table ? t.new : this.db.row(table, uuid);
  }

  /** Rows of a table as this transaction sees them. */
  rows(table: string): Row[] {
    const out: Row[] = [];
    for (const row of this.db.rows(table)) {
      const now = this.row(table, row.uuid);
      if (now !== undefined) {
        out.push(now);
      }
    }
    for (const t of this.touched.values()) {
      const { old, new: row } = t;
      if (old === undefined && row !== undefined && row.schema.name === table) {
        if (!this.released.has(row.uuid)) {
          out.push(row);
        }
      }
    }
    return out;
  }

  private touch(table: string, uuid: Uuid): TxnRow | undefined {
    const there = this.touched.get(uuid);
    if (there !== undefined) {
      return there;
    }
    const t = this.db.table(table);
    const old = t.rows.get(uuid);
    if (old === undefined) {
      return undefined;
    }
    const made: TxnRow = { table: t, old, new: old };
    this.touched.set(uuid, made);
    return made;
  }

  /** True if a row may be given this UUID: none has it, and none had it in this transaction. */
  mayInsert(table: string, uuid: Uuid): boolean {
    return !this.touched.has(uuid) && this.db.row(table, uuid) === undefined;
  }

  /** Adds a row with default values; with a UUID of its own unless one is given. */
  insert(table: string, uuid: Uuid = this.db.uuids.next()): Row {
    const t = this.db.table(table);
    assert(!t.rows.has(uuid) && !this.touched.has(uuid), `row ${uuid} exists`);
    const row = this.db.newRow(t.schema, uuid);
    this.touched.set(uuid, { table: t, old: undefined, new: row });
    return row;
  }

  /** Sets a column of a row that exists; answers the new snapshot. */
  set(table: string, uuid: Uuid, column: string, value: Datum): Row {
    const t = this.touch(table, uuid);
    const row = defined(t?.new, `no row ${uuid} in ${table}`);
    const next = row.with(defined(row.schema.columns.get(column), column), value);
    if (t !== undefined) {
      t.new = next;
    }
    return next;
  }

  /** Deletes a row if it exists. */
  delete(table: string, uuid: Uuid): void {
    const t = this.touch(table, uuid);
    if (t === undefined) {
      return;
    }
    t.new = undefined;
    if (t.old === undefined) {
      this.touched.delete(uuid);
    }
  }

  /** True if committing would change something. */
  isChanged(): boolean {
    return [...this.touched.values()].some(
      ({ old, new: now }) => old === undefined || now === undefined || !sameData(old, now),
    );
  }

  /**
   * Hides a row from the rest of this transaction. In a root table it is deleted; in others it
   * goes only if nothing refers to it at commit (ovs: ovsdb_idl_txn_delete).
   */
  release(table: string, uuid: Uuid): void {
    const isNew = this.touched.get(uuid)?.old === undefined && this.touched.has(uuid);
    // A row of this transaction is not even sent: what refers to it refers to nothing.
    if (isNew || this.db.table(table).schema.isRoot) {
      this.delete(table, uuid);
    } else {
      this.touch(table, uuid);
      this.released.add(uuid);
    }
  }

  /** Forgets rows that are as they were. */
  private dropUnchanged(): void {
    for (const [uuid, t] of this.touched) {
      const { old, new: now } = t;
      if (old !== undefined && now !== undefined && sameData(old, now)) {
        this.touched.delete(uuid);
      }
    }
  }

  /** Values that were put together without a parser may break constraints. */
  private checkValues(): void {
    for (const { old, new: row } of this.touched.values()) {
      for (const column of row === undefined || row === old ? [] : row.schema.columnList) {
        if (row !== undefined && (old === undefined || differs(old, row, column))) {
          checkDatum(row.at(column), column.type);
        }
      }
    }
  }

  private refs(table: Table, uuid: Uuid): number {
    return this.refCounts.get(uuid) ?? table.strongRefs.get(uuid) ?? 0;
  }

  private addRefs(row: Row, delta: 1 | -1): void {
    for (const ref of referencesOf(row, "strong")) {
      if (delta > 0 && this.row(ref.table, ref.uuid) === undefined) {
        throw new DbError(
          "referential integrity violation",
          `Table ${row.schema.name} column ${ref.column.name} row ${row.uuid} ` +
            `references nonexistent row ${ref.uuid} in table ${ref.table}.`,
        );
      }
      const table = this.db.table(ref.table);
      this.refCounts.set(ref.uuid, this.refs(table, ref.uuid) + delta);
      // A row that loses a reference may have to go.
      if (delta < 0) {
        this.touch(ref.table, ref.uuid);
      }
    }
  }

  private countReferences(): void {
    for (const t of [...this.touched.values()]) {
      if (t.old !== undefined) {
        this.addRefs(t.old, -1);
      }
      if (t.new !== undefined) {
        this.addRefs(t.new, 1);
      }
    }
    for (const [uuid, t] of this.touched) {
      const n = this.refs(t.table, uuid);
      if (t.new === undefined && n > 0) {
        throw new DbError(
          "referential integrity violation",
          `cannot delete ${t.table.schema.name} row ${uuid} because of ${n} remaining reference(s)`,
        );
      }
    }
  }

  /** Deletes rows outside of the root tables to which nothing refers. */
  private collectGarbage(): void {
    const queue = [...this.touched.values()];
    for (let t = queue.pop(); t !== undefined; t = queue.pop()) {
      const row = t.new;
      if (row === undefined || t.table.schema.isRoot || this.refs(t.table, row.uuid) > 0) {
        continue;
      }
      t.new = undefined;
      for (const ref of referencesOf(row, "strong")) {
        const table = this.db.table(ref.table);
        this.refCounts.set(ref.uuid, this.refs(table, ref.uuid) - 1);
        const next = this.touch(ref.table, ref.uuid);
        if (next !== undefined) {
          queue.push(next);
        }
      }
    }
  }

  private checkMaxRows(): void {
    for (const table of new Set([...this.touched.values()].map((t) => t.table))) {
      const { maxRows, name } = table.schema;
      const n = maxRows === Number.POSITIVE_INFINITY ? 0 : this.rows(name).length;
      if (n > maxRows) {
        throw constraintViolation(
          `transaction causes "${name}" table to contain ${n} rows, ` +
            `greater than the schema-defined limit of ${maxRows} row(s)`,
        );
      }
    }
  }

  /** Takes weak references to rows that are not there out of the rows that hold them. */
  private pruneWeakRefs(): void {
    for (const [uuid, t] of [...this.touched]) {
      if (t.old !== undefined && t.new === undefined) {
        for (const [source, table] of t.table.weakRefs.get(uuid) ?? []) {
          this.touch(table, source);
        }
      }
    }
    for (const t of this.touched.values()) {
      if (t.new !== undefined && referencesOf(t.new, "weak").length > 0) {
        for (const column of t.new.schema.columnList) {
          this.pruneColumn(t, column);
        }
      }
    }
  }

  private pruneColumn(t: TxnRow, column: ColumnSchema): void {
    const row = t.new;
    const keyTable = weakRefTable(column.type.key);
    const valueTable = weakRefTable(column.type.value);
    if (row === undefined || (keyTable === undefined && valueTable === undefined)) {
      return;
    }
    const gone = (table: string | undefined, a: Atom | undefined) =>
      table !== undefined && this.row(table, String(a)) === undefined;
    const d = row.at(column);
    const kept = d.keys.map((k, i) => !gone(keyTable, k) && !gone(valueTable, d.values?.[i]));
    const nKept = kept.filter((k) => k).length;
    if (nKept === d.keys.length) {
      return;
    }
    if (nKept < column.type.min) {
      const zero = d.keys.includes(ZERO_UUID) || d.values?.includes(ZERO_UUID) === true;
      throw emptiedColumn(row, column, d.keys.length - nKept, t.old === undefined, zero);
    }
    t.new = row.with(column, {
      keys: d.keys.filter((_k, i) => kept[i]),
      values: d.values?.filter((_v, i) => kept[i]),
    });
  }

  private checkIndexes(): void {
    // Keys of rows in this transaction, by index; rows outside of it are in the tables' indexes.
    const seen = new Map<Map<string, Uuid>, Map<string, Row>>();
    for (const t of this.touched.values()) {
      if (t.new === undefined) {
        continue;
      }
      for (const [i, index] of t.table.schema.indexes.entries()) {
        const stored = defined(t.table.indexes[i]);
        const here = seen.get(stored) ?? new Map<string, Row>();
        seen.set(stored, here);
        this.checkIndex(t.new, index, stored, here);
      }
    }
  }

  private checkIndex(
    row: Row,
    index: readonly ColumnSchema[],
    stored: ReadonlyMap<string, Uuid>,
    here: Map<string, Row>,
  ): void {
    const key = rowKey(row, index);
    const other = stored.get(key);
    const outside =
      other === undefined || this.touched.has(other)
        ? undefined
        : this.db.row(row.schema.name, other);
    const twin = here.get(key) ?? outside;
    if (twin !== undefined) {
      throw this.duplicateIndex(index, twin, row);
    }
    here.set(key, row);
  }

  private duplicateIndex(index: readonly ColumnSchema[], x: Row, y: Row): DbError {
    const [a, b] = compareRows(x, y) < 0 ? [y, x] : [x, y];
    return constraintViolation(
      `Transaction causes multiple rows in "${a.schema.name}" table to have identical values ` +
        `(${columnsText(a, index)}) for index on ${columnNames(index)}.  ` +
        `${this.rowStory("First", a, index)}  ${this.rowStory("Second", b, index)}`,
    );
  }

  private rowStory(title: string, row: Row, index: readonly ColumnSchema[]): string {
    const t = this.touched.get(row.uuid);
    const head = `${title} row, with UUID ${row.uuid}, `;
    if (t === undefined || (t.old !== undefined && sameData(t.old, row))) {
      return (
        `${head}existed in the database before this transaction ` +
        "and was not modified by the transaction."
      );
    }
    const { old } = t;
    if (old === undefined) {
      return `${head}was inserted by this transaction.`;
    }
    if (!index.some((c) => differs(old, row, c))) {
      return (
        `${head}existed in the database before this transaction, which modified some of the ` +
        "row's columns but not any columns in this index."
      );
    }
    return `${head}had the following index values before the transaction: ${columnsText(old, index)}.`;
  }

  /** Makes the changes; answers them, or throws DbError and changes nothing. */
  commit(): readonly RowChange[] {
    this.released.clear();
    this.checkValues();
    this.dropUnchanged();
    if (this.touched.size === 0) {
      return [];
    }
    this.countReferences();
    this.collectGarbage();
    this.checkMaxRows();
    this.pruneWeakRefs();
    this.checkIndexes();
    const changes: RowChange[] = [];
    for (const t of this.touched.values()) {
      const { old, new: now } = t;
      if (old === now || (old !== undefined && now !== undefined && sameData(old, now))) {
        continue;
      }
      const next = old !== undefined ? now?.withVersion(this.db.uuids.version()) : now;
      changes.push({ table: t.table.schema, old, new: next });
    }
    this.apply(changes);
    this.db.announce(changes, this.comment);
    return changes;
  }

  private apply(changes: readonly RowChange[]): void {
    for (const { table: schema, old, new: now } of changes) {
      const table = this.db.table(schema.name);
      if (old !== undefined) {
        for (const ref of referencesOf(old, "weak")) {
          this.db.table(ref.table).weakRefs.get(ref.uuid)?.delete(old.uuid);
        }
      }
      if (now === undefined) {
        table.rows.delete(old?.uuid ?? "");
      } else {
        table.rows.set(now.uuid, now);
      }
    }
    this.storeIndexes(changes);
    // Only after all rows are in place, as references may point to any of them.
    for (const { table: schema, new: now } of changes) {
      for (const ref of now === undefined ? [] : referencesOf(now, "weak")) {
        const { weakRefs } = this.db.table(ref.table);
        const sources = weakRefs.get(ref.uuid) ?? new Map<Uuid, string>();
        weakRefs.set(ref.uuid, sources.set(now?.uuid ?? "", schema.name));
      }
    }
    for (const { table: schema, old, new: now } of changes) {
      if (now === undefined && old !== undefined) {
        this.db.table(schema.name).weakRefs.delete(old.uuid);
      }
    }
    this.storeRefCounts();
  }

  private storeIndexes(changes: readonly RowChange[]): void {
    const each = (row: Row | undefined, what: (map: Map<string, Uuid>, key: string) => void) => {
      for (const [i, index] of row?.schema.indexes.entries() ?? []) {
        if (row !== undefined) {
          what(defined(this.db.table(row.schema.name).indexes[i]), rowKey(row, index));
        }
      }
    };
    for (const change of changes) {
      each(change.old, (map, key) => map.delete(key));
    }
    for (const { new: now } of changes) {
      each(now, (map, key) => map.set(key, defined(now).uuid));
    }
  }

  private storeRefCounts(): void {
    for (const [uuid, n] of this.refCounts) {
      for (const table of this.db.tables.values()) {
        if (n > 0 && table.rows.has(uuid)) {
          table.strongRefs.set(uuid, n);
        } else {
          table.strongRefs.delete(uuid);
        }
      }
    }
  }
}

function differs(a: Row | undefined, b: Row, column: ColumnSchema): boolean {
  return a !== undefined && !datumEquals(a.at(column), b.at(column));
}

function sameData(a: Row, b: Row): boolean {
  return a.schema.columnList.every((c) => datumEquals(a.at(c), b.at(c)));
}

/**
 * Order of two rows by all their columns; which column counts first, OVS's hash map of columns
 * tells.
 */
function compareRows(a: Row, b: Row): number {
  const columns = new OvsMap<string, [string, ColumnSchema?]>((name) => hashString(name));
  for (const name of ["_uuid", "_version"]) {
    columns.set(name, [name]);
  }
  for (const c of a.schema.columnList) {
    columns.set(c.name, [c.name, c]);
  }
  for (const [name, c] of columns.values()) {
    const order =
      c !== undefined
        ? compareDatums(a.at(c), b.at(c))
        : name === "_uuid"
          ? compareText(a.uuid, b.uuid)
          : compareText(a.version, b.version);
    if (order !== 0) {
      return order;
    }
  }
  return 0;
}

function columnsText(row: Row, columns: readonly ColumnSchema[]): string {
  return englishList(columns.map((c) => formatDatum(row.at(c), c.type)));
}

function columnNames(columns: readonly ColumnSchema[]): string {
  const names = englishList(columns.map((c) => `"${c.name}"`));
  return `column${columns.length > 1 ? "s" : ""} ${names}`;
}

function emptiedColumn(
  row: Row,
  column: ColumnSchema,
  n: number,
  inserted: boolean,
  zero: boolean,
): DbError {
  const place = `column "${column.name}" in "${row.schema.name}" row ${row.uuid}`;
  if (zero && inserted) {
    return constraintViolation(
      `Weak reference ${place} (inserted within this transaction) contained all-zeros UUID ` +
        "(probably as the default value for this column) but deleting this value caused a " +
        "constraint volation because this column is not allowed to be empty.",
    );
  }
  return constraintViolation(
    `Deletion of ${n} weak reference(s) to deleted (or never-existing) rows from ${place} ` +
      `${inserted ? "(inserted within this transaction) " : ""}caused this column to become ` +
      "empty, but constraints on this column disallow an empty column.",
  );
}

/** Runs `f` on a new transaction and commits it; throws DbError. */
export function transact<T>(db: Database, f: (txn: Transaction) => T): T {
  const txn = new Transaction(db);
  const result = f(txn);
  txn.commit();
  return result;
}
