// References between rows, as a commit settles them.
//
// Strong references are counted: a row to which one points may not be deleted, and one outside of
// the root tables to which none points any more goes. Weak references to rows that are not there
// are taken out of the rows that hold them; each table remembers who refers to its rows weakly.
// References: RFC 7047 §3.2 <base-type>; ovs: ovsdb/transaction.c (update_ref_counts,
// collect_garbage, assess_weak_refs).

import { type Atom, compareAtoms } from "./atom.ts";
import type { Row, RowChange, Table } from "./database.ts";
import type { Datum } from "./datum.ts";
import { constraintViolation, DbError } from "./db-error.ts";
import type { Overlay, TouchedRow } from "./overlay.ts";
import { type ColumnSchema, weakRefTable } from "./schema.ts";
import { type Uuid, ZERO_UUID } from "./uuid.ts";

type Visit = (table: string, uuid: Uuid, column: ColumnSchema) => void;

/** Visits the references of one strength in a row, with repetitions. */
function forReferences(row: Row, strength: "strong" | "weak", visit: Visit): void {
  for (const column of row.schema[strength === "strong" ? "strongColumns" : "weakColumns"]) {
    forMembers(row.at(column), column, visit);
  }
}

function forMembers({ keys, values }: Datum, column: ColumnSchema, visit: Visit): void {
  const keyTable = column.type.key.refTable;
  const valueTable = column.type.value?.refTable;
  for (let i = 0; i < keys.length; i++) {
    if (keyTable !== undefined) {
      visit(keyTable, String(keys[i]), column);
    }
    if (valueTable !== undefined) {
      visit(valueTable, String(values?.[i]), column);
    }
  }
}

/** Members of a sorted set that are not in another one. */
function without({ keys: a }: Datum, { keys: b }: Datum): Datum {
  const left: Atom[] = [];
  let j = 0;
  for (const k of a) {
    while (j < b.length && b[j] !== k && compareAtoms(b[j] ?? 0n, k) < 0) {
      j++;
    }
    if (b[j] === k) {
      j++;
    } else {
      left.push(k);
    }
  }
  return { keys: left, values: undefined };
}

/** Counts what a change of a row does to the rows to which it refers. */
function countChange(o: Overlay, { old, new: now, table }: TouchedRow): void {
  for (const column of table.schema.strongColumns) {
    const before = old?.at(column);
    const after = now?.at(column);
    if (before === after) {
      continue;
    }
    // Most of a large set stays.
    const isSet = before !== undefined && after !== undefined && after.values === undefined;
    if (before !== undefined) {
      forMembers(isSet ? without(before, after) : before, column, (target, uuid) => {
        drop(o, target, uuid);
      });
    }
    if (now !== undefined && after !== undefined) {
      forMembers(isSet ? without(after, before) : after, column, (target, uuid) => {
        add(o, now, column, target, uuid);
      });
    }
  }
}

function add(o: Overlay, row: Row, column: ColumnSchema, table: string, uuid: Uuid): void {
  const t = o.touch(o.db.table(table), uuid);
  if (t?.new === undefined) {
    throw new DbError(
      "referential integrity violation",
      `Table ${row.schema.name} column ${column.name} row ${row.uuid} ` +
        `references nonexistent row ${uuid} in table ${table}.`,
    );
  }
  t.strongRefs++;
}

function drop(o: Overlay, table: string, uuid: Uuid): TouchedRow | undefined {
  const t = o.touch(o.db.table(table), uuid);
  if (t !== undefined) {
    t.strongRefs--;
  }
  return t;
}

/** Throws DbError if a reference has no row, or a deleted row has one. */
export function countReferences(o: Overlay): void {
  for (const t of o.all()) {
    // Rows that are only touched here keep their references.
    if (t.old !== t.new) {
      countChange(o, t);
    }
  }
  for (const { table, uuid, new: now, strongRefs: n } of o.all()) {
    if (now === undefined && n > 0) {
      throw new DbError(
        "referential integrity violation",
        `cannot delete ${table.schema.name} row ${uuid} because of ${n} remaining reference(s)`,
      );
    }
  }
}

/** Deletes rows outside of the root tables to which nothing refers. */
export function collectGarbage(o: Overlay): void {
  const queue = [...o.all()];
  for (let t = queue.pop(); t !== undefined; t = queue.pop()) {
    const row = t.new;
    if (row === undefined || t.table.schema.isRoot || t.strongRefs > 0) {
      continue;
    }
    t.new = undefined;
    forReferences(row, "strong", (table, uuid) => {
      const next = drop(o, table, uuid);
      if (next !== undefined) {
        queue.push(next);
      }
    });
  }
}

/** Takes weak references to rows that are not there out of the rows that hold them. */
export function pruneWeakReferences(o: Overlay): void {
  for (const t of o.all()) {
    if (t.old !== undefined && t.new === undefined) {
      for (const [source, table] of t.table.weakRefs.get(t.uuid) ?? []) {
        o.touch(o.db.table(table), source);
      }
    }
  }
  for (const t of o.all()) {
    for (const column of t.table.schema.weakColumns) {
      pruneColumn(o, t, column);
    }
  }
}

function pruneColumn(o: Overlay, t: TouchedRow, column: ColumnSchema): void {
  const row = t.new;
  if (row === undefined) {
    return;
  }
  const keyTable = weakRefTable(column.type.key);
  const valueTable = weakRefTable(column.type.value);
  const gone = (table: string | undefined, a: Atom | undefined) =>
    table !== undefined && o.row(o.db.table(table), String(a)) === undefined;
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

/** Notes in the tables who refers weakly to whom after changes that are made. */
export function storeWeakReferences(
  changes: readonly RowChange[],
  tableOf: (name: string) => Table,
): void {
  for (const { old } of changes) {
    if (old !== undefined) {
      forReferences(old, "weak", (table, uuid) => {
        tableOf(table).weakRefs.get(uuid)?.delete(old.uuid);
      });
    }
  }
  // Only after that, as references may point to any of the rows.
  for (const { table: schema, new: now } of changes) {
    if (now !== undefined) {
      forReferences(now, "weak", (table, uuid) => {
        const { weakRefs } = tableOf(table);
        const sources = weakRefs.get(uuid) ?? new Map<Uuid, string>();
        weakRefs.set(uuid, sources.set(now.uuid, schema.name));
      });
    }
  }
  for (const { table: schema, old, new: now } of changes) {
    if (now === undefined && old !== undefined) {
      tableOf(schema.name).weakRefs.delete(old.uuid);
    }
  }
}
