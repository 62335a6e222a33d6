// The tables as a transaction sees them: those of the database, with its own changes over them.
//
// A row is *touched* when it was changed or may have to change; a touched row has its old and its
// new snapshot (either may be missing) and the number of strong references that it will have.

import { assert } from "../lib/errors.ts";
import type { Database, Row, Table } from "./database.ts";
import { datumEquals } from "./datum.ts";
import type { ColumnSchema } from "./schema.ts";
import type { Uuid } from "./uuid.ts";

export interface TouchedRow {
  readonly table: Table;
  readonly uuid: Uuid;
  readonly old: Row | undefined;
  new: Row | undefined;
  strongRefs: number;
  /** True if the transaction changed it, even if commit has changed it back. */
  changed: boolean;
  /** For pruneWeakReferences: looked at already; deleted rows to which it referred weakly. */
  assessed: boolean;
  lost: Set<Uuid> | undefined;
}

function touchedRow(table: Table, uuid: Uuid, old: Row | undefined, now: Row): TouchedRow {
  const strongRefs = old?.strongRefs ?? 0;
  const fresh = { changed: false, assessed: false, lost: undefined };
  return { table, uuid, old, new: now, strongRefs, ...fresh };
}

export class Overlay {
  readonly db: Database;
  private readonly byTable = new Map<Table, Map<Uuid, TouchedRow>>();
  /** Rows that are hidden although they are left to garbage collection. */
  private readonly hidden = new Set<Row>();

  constructor(db: Database) {
    this.db = db;
  }

  /** A row that was touched, or undefined. */
  touched(table: Table, uuid: Uuid): TouchedRow | undefined {
    return this.byTable.get(table)?.get(uuid);
  }

  /** Touched rows, table by table, in order of first touch; more may be touched meanwhile. */
  *all(): Generator<TouchedRow> {
    for (const rows of this.byTable.values()) {
      yield* rows.values();
    }
  }

  tables(): Iterable<Table> {
    return this.byTable.keys();
  }

  /** A row as it will be. */
  row(table: Table, uuid: Uuid): Row | undefined {
    const t = this.touched(table, uuid);
    const row = t === undefined ? table.rows.get(uuid) : t.new;
    return row !== undefined && t !== undefined && t.old !== undefined && this.hidden.has(t.old)
      ? undefined
      : row;
  }

  /** Rows of a table as they will be, in order of insertion. */
  rows(table: Table): Row[] {
    const touched = this.byTable.get(table);
    if (touched === undefined) {
      return [...table.rows.values()];
    }
    const out: Row[] = [];
    for (const uuid of table.rows.keys()) {
      const now = this.row(table, uuid);
      if (now !== undefined) {
        out.push(now);
      }
    }
    for (const t of touched.values()) {
      if (t.old === undefined && t.new !== undefined) {
        out.push(t.new);
      }
    }
    return out;
  }

  /** New snapshots of the rows of a table that have one that is not the old one. */
  *changedRows(table: Table): Generator<Row> {
    for (const t of this.byTable.get(table)?.values() ?? []) {
      if (t.new !== undefined && t.new !== t.old) {
        yield t.new;
      }
    }
  }

  private add(t: TouchedRow): TouchedRow {
    const rows = this.byTable.get(t.table) ?? new Map<Uuid, TouchedRow>();
    this.byTable.set(t.table, rows.set(t.uuid, t));
    return t;
  }

  /** Touches a row; undefined if there is none. */
  touch(table: Table, uuid: Uuid): TouchedRow | undefined {
    const there = this.touched(table, uuid);
    if (there !== undefined) {
      return there;
    }
    const old = table.rows.get(uuid);
    return old === undefined ? undefined : this.add(touchedRow(table, uuid, old, old));
  }

  /** Adds a row whose UUID must be free. */
  insert(table: Table, row: Row): void {
    const { uuid } = row;
    assert(!table.rows.has(uuid) && this.touched(table, uuid) === undefined, `row ${uuid} exists`);
    this.add(touchedRow(table, uuid, undefined, row));
  }

  /** Takes all changes of a row back. */
  forget(table: Table, uuid: Uuid): void {
    this.byTable.get(table)?.delete(uuid);
  }

  /** Hides a row that is in the database, until `showHidden`. */
  hide(t: TouchedRow): void {
    if (t.old !== undefined) {
      this.hidden.add(t.old);
    }
  }

  showHidden(): void {
    this.hidden.clear();
  }

  /** Forgets rows that are as they were; the others are marked as changed. */
  dropUnchanged(): void {
    for (const [table, rows] of this.byTable) {
      for (const t of rows.values()) {
        t.changed = isChanged(t);
        if (!t.changed) {
          rows.delete(t.uuid);
        }
      }
      if (rows.size === 0) {
        this.byTable.delete(table);
      }
    }
  }
}

export function isChanged({ old, new: now }: TouchedRow): boolean {
  return old === undefined || now === undefined ? old !== now : !sameData(old, now);
}

export function differs(a: Row, b: Row, column: ColumnSchema): boolean {
  return a !== b && !datumEquals(a.at(column), b.at(column));
}

function sameData(a: Row, b: Row): boolean {
  return a === b || a.schema.columnList.every((c) => datumEquals(a.at(c), b.at(c)));
}
