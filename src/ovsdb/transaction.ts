// Transactions: changes that happen together or not at all.
//
// A transaction is an overlay over the tables. `commit` first settles what the changes imply:
// references are counted, rows that nothing refers to any more are deleted, weak references to
// deleted rows vanish, indexes and row limits are checked. Only then the tables change and the
// listeners hear of it. References: RFC 7047 §4.1.3, §5.2; ovs: ovsdb/transaction.c.

import { defined } from "../lib/errors.ts";
import type { Database, Row, RowChange, Table } from "./database.ts";
import { checkDatum, type Datum } from "./datum.ts";
import { constraintViolation } from "./db-error.ts";
import { differs, isChanged, Overlay } from "./overlay.ts";
import {
  collectGarbage,
  countReferences,
  pruneWeakReferences,
  storeWeakReferences,
} from "./references.ts";
import { checkIndexes, storeIndexes } from "./row-index.ts";
import type { Uuid } from "./uuid.ts";

export interface TransactionOptions {
  /** False if all values come from a parser, which has checked their constraints. */
  readonly checkValues?: boolean;
}

export class Transaction {
  private readonly db: Database;
  private readonly overlay: Overlay;
  private readonly checksValues: boolean;
  private readonly comments: string[] = [];

  constructor(db: Database, options: TransactionOptions = {}) {
    this.db = db;
    this.overlay = new Overlay(db);
    this.checksValues = options.checkValues ?? true;
  }

  addComment(text: string): void {
    this.comments.push(text);
  }

  get comment(): string {
    return this.comments.join("\n");
  }

  /** A row as this transaction sees it. */
  row(table: string, uuid: Uuid): Row | undefined {
    return this.overlay.row(this.db.table(table), uuid);
  }

  /** Rows of a table as this transaction sees them. */
  rows(table: string): Row[] {
    return this.overlay.rows(this.db.table(table));
  }

  /** True if a row may be given this UUID: none has it, and none had it in this transaction. */
  mayInsert(table: string, uuid: Uuid): boolean {
    const t = this.db.table(table);
    return this.overlay.touched(t, uuid) === undefined && !t.rows.has(uuid);
  }

  /** Adds a row with default values; with a UUID of its own unless one is given. */
  insert(table: string, uuid: Uuid = this.db.uuids.next()): Row {
    const t = this.db.table(table);
    const row = this.db.newRow(t.schema, uuid);
    this.overlay.insert(t, row);
    return row;
  }

  /** Sets a column of a row that exists; answers the new snapshot. */
  set(table: string, uuid: Uuid, column: string, value: Datum): Row {
    const t = this.overlay.touch(this.db.table(table), uuid);
    const row = defined(t?.new, `no row ${uuid} in ${table}`);
    const next = row.with(defined(row.schema.columns.get(column), column), value);
    if (t !== undefined) {
      t.new = next;
    }
    return next;
  }

  /** Puts a snapshot in the place of a row, or adds it. */
  store(table: Table, row: Row): void {
    const t = this.overlay.touch(table, row.uuid);
    if (t === undefined) {
      this.overlay.insert(table, row);
    } else {
      t.new = row;
    }
  }

  /** Takes back what this transaction did to a row. */
  forget(table: Table, uuid: Uuid): void {
    this.overlay.forget(table, uuid);
  }

  /** Deletes a row if it exists. */
  delete(table: string, uuid: Uuid): void {
    const t = this.overlay.touch(this.db.table(table), uuid);
    if (t?.old === undefined) {
      this.overlay.forget(this.db.table(table), uuid);
    } else {
      t.new = undefined;
    }
  }

  /** True if committing would change something. */
  isChanged(): boolean {
    return [...this.overlay.all()].some(isChanged);
  }

  /**
   * Hides a row from the rest of this transaction. In a root table it is deleted; in others it
   * goes only if nothing refers to it at commit (ovs: ovsdb_idl_txn_delete).
   */
  release(table: string, uuid: Uuid): void {
    const t = this.overlay.touch(this.db.table(table), uuid);
    // A row of this transaction is not even sent: what refers to it refers to nothing.
    if (t?.old === undefined || t.table.schema.isRoot) {
      this.delete(table, uuid);
    } else {
      this.overlay.hide(t);
    }
  }

  /** Values that were put together without a parser may break constraints. */
  private checkValues(): void {
    for (const { old, new: row } of this.overlay.all()) {
      for (const column of row === undefined || row === old ? [] : row.schema.columnList) {
        if (row !== undefined && (old === undefined || differs(old, row, column))) {
          checkDatum(row.at(column), column.type);
        }
      }
    }
  }

  private checkMaxRows(): void {
    for (const table of this.overlay.tables()) {
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

  /** Makes the changes; answers them, or throws DbError and changes nothing. */
  commit(): readonly RowChange[] {
    const { overlay } = this;
    overlay.showHidden();
    if (this.checksValues) {
      this.checkValues();
    }
    overlay.dropUnchanged();
    countReferences(overlay);
    collectGarbage(overlay);
    this.checkMaxRows();
    pruneWeakReferences(overlay);
    checkIndexes(overlay);
    const changes = this.apply();
    if (changes.length > 0) {
      this.db.announce(changes, this.comment);
    }
    return changes;
  }

  private apply(): readonly RowChange[] {
    const changes: RowChange[] = [];
    for (const t of this.overlay.all()) {
      const { table, old } = t;
      if (!isChanged(t)) {
        if (old !== undefined) {
          old.strongRefs = t.strongRefs;
        }
        continue;
      }
      const now = old !== undefined ? t.new?.renewed(this.db.uuids) : t.new;
      if (now === undefined) {
        table.rows.delete(t.uuid);
      } else {
        now.strongRefs = t.strongRefs;
        table.rows.set(t.uuid, now);
      }
      changes.push({ table: table.schema, old, new: now });
    }
    const tableOf = (name: string) => this.db.table(name);
    storeIndexes(changes, tableOf);
    storeWeakReferences(changes, tableOf);
    return changes;
  }
}

/** Runs `f` on a new transaction and commits it; throws DbError. */
export function transact<T>(db: Database, f: (txn: Transaction) => T): T {
  const txn = new Transaction(db);
  const result = f(txn);
  txn.commit();
  return result;
}
