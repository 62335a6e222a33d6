// References between rows, as a commit settles them.
//
// Strong references are counted: a row to which one points may not be deleted, and one outside of
// the root tables to which none points any more goes. Weak references to rows that are not there
// are taken out of the rows that hold them; each table remembers who refers to its rows weakly.
// References: RFC 7047 §3.2 <base-type>; ovs: ovsdb/transaction.c (update_ref_counts,
// collect_garbage, assess_weak_refs).

import { type Atom, compareAtoms } from "./atom.ts";
import type { Row, RowChange, Table } from "./database.ts";
import { type Datum, findKey } from "./datum.ts";
import { constraintViolation, DbError } from "./db-error.ts";
import type { Overlay, TouchedRow } from "./overlay.ts";
import { type ColumnSchema, weakRefTable } from "./schema.ts";
import { type Uuid, ZERO_UUID } from "./uuid.ts";

type Strength = "strong" | "weak";
type Visit = (table: string, uuid: Uuid, column: ColumnSchema) => void;

/** Visits the references of one strength in a row, with repetitions. */
function forReferences(row: Row, strength: Strength, visit: Visit): void {
  for (const column of row.schema[strength === "strong" ? "strongColumns" : "weakColumns"]) {
    forMembers(row.at(column), column, strength, visit);
  }
}

/** Keys first, then values, as errors show. */
function forMembers(
  { keys, values = [] }: Datum,
  column: ColumnSchema,
  strength: Strength,
  visit: Visit,
): void {
  const { key, value } = column.type;
  if (key.refTable !== undefined && key.refType === strength) {
    for (const atom of keys) {
      visit(key.refTable, String(atom), column);
    }
  }
  if (value?.refTable !== undefined && value.refType === strength) {
    for (const atom of values) {
      visit(value.refTable, String(atom), column);
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
function countChange(o: Overlay, { old, new: now, table, uuid: own }: TouchedRow): void {
  for (const column of table.schema.strongColumns) {
    const before = old?.at(column);
    const after = now?.at(column);
    if (before === after) {
      continue;
    }
    // Most of a large set stays.
    const isSet = before !== undefined && after !== undefined && after.values === undefined;
    if (before !== undefined) {
      forMembers(isSet ? without(before, after) : before, column, "strong", (target, uuid) => {
        drop(o, own, target, uuid);
      });
    }
    if (now !== undefined && after !== undefined) {
      forMembers(isSet ? without(after, before) : after, column, "strong", (target, uuid) => {
        add(o, now, column, target, uuid);
      });
    }
  }
}

/** References of a row to itself do not count. */
function add(o: Overlay, row: Row, column: ColumnSchema, table: string, uuid: Uuid): void {
  if (uuid === row.uuid) {
    return;
  }
  // That of a deleted row is counted, and will be told of.
  const t = o.touch(o.db.table(table), uuid);
  if (t === undefined) {
    throw new DbError(
      "referential integrity violation",
      `Table ${row.schema.name} column ${column.name} row ${row.uuid} ` +
        `references nonexistent row ${uuid} in table ${table}.`,
    );
  }
  t.strongRefs++;
}

function drop(o: Overlay, own: Uuid, table: string, uuid: Uuid): TouchedRow | undefined {
  const t = uuid === own ? undefined : o.touch(o.db.table(table), uuid);
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
      const next = drop(o, row.uuid, table, uuid);
      if (next !== undefined) {
        queue.push(next);
      }
    });
  }
}

/**
 * Takes weak references to rows that are not there out of the rows that hold them. Each row is
 * looked at once: as in ovsdb-server, one that comes before a row that is deleted keeps its
 * reference to that until the database is read again.
 */
export function pruneWeakReferences(o: Overlay): void {
  for (let more = true; more; ) {
    more = false;
    for (const t of o.all()) {
      if (!t.assessed) {
        t.assessed = true;
        more = true;
        assess(o, t);
      }
    }
  }
}

function assess(o: Overlay, t: TouchedRow): void {
  if (t.new === undefined) {
    for (const [source, table] of t.table.weakRefs.get(t.uuid) ?? []) {
      const holder = o.touch(o.db.table(table), source);
      if (holder !== undefined) {
        holder.lost ??= new Set();
        holder.lost.add(t.uuid);
      }
    }
  }
  for (const column of t.table.schema.weakColumns) {
    pruneColumn(o, t, column);
  }
}

function pruneColumn(o: Overlay, t: TouchedRow, column: ColumnSchema): void {
  const row = t.new;
  if (row === undefined) {
    return;
  }
  const keyTable = weakRefTable(column.type.key);
  const valueTable = weakRefTable(column.type.value);
  const isLost = (table: string | undefined, a: Atom | undefined) =>
    table !== undefined && t.lost?.has(String(a)) === true;
  const isGone = (table: string | undefined, a: Atom | undefined) =>
    table !== undefined && o.row(o.db.table(table), String(a)) === undefined;
  // What a set or map had before is there, or lost.
  const before = column.type.max === 1 ? undefined : t.old?.at(column);
  const d = row.at(column);
  const kept = d.keys.map((k, i) => {
    const value = d.values?.[i];
    const at = before === undefined ? -1 : findKey(before, k);
    const isNew = at < 0 || before?.values?.[at] !== value;
    return !(
      isLost(keyTable, k) ||
      isLost(valueTable, value) ||
      (isNew && (isGone(keyTable, k) || isGone(valueTable, value)))
    );
  });
  const nKept = kept.filter((k) => k).length;
  if (nKept === d.keys.length) {
    return;
  }
  if (nKept < column.type.min) {
    const zero = d.keys.includes(ZERO_UUID) || d.values?.includes(ZERO_UUID) === true;
    throw emptiedColumn(row, column, d.keys.length - nKept, t.old === undefined, zero);
  }
  t.changed = true;
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
