// Indexes: sets of columns in which the rows of a table must differ.
//
// A table maps the values of each index to the row that has them; a commit compares the rows it
// touched with those and with each other. The error tells the story of both rows. Reference: ovs:
// ovsdb/transaction.c check_index_uniqueness, duplicate_index_row.

import { defined } from "../lib/errors.ts";
import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { compareText } from "./atom.ts";
import { type Row, type RowChange, rowKey, type Table } from "./database.ts";
import { compareDatums } from "./datum.ts";
import { formatDatum } from "./datum-text.ts";
import { constraintViolation, type DbError } from "./db-error.ts";
import { englishList } from "./english.ts";
import { differs, type Overlay } from "./overlay.ts";
import type { ColumnSchema } from "./schema.ts";
import type { Uuid } from "./uuid.ts";

/** Throws DbError if two rows are equal in an index. */
export function checkIndexes(o: Overlay): void {
  for (const table of o.tables()) {
    for (const [i, columns] of table.schema.indexes.entries()) {
      checkIndex(o, table, columns, defined(table.indexes[i]));
    }
  }
}

function checkIndex(
  o: Overlay,
  table: Table,
  columns: readonly ColumnSchema[],
  stored: ReadonlyMap<string, Uuid>,
): void {
  // Rows that changed; the others are in the table's index.
  const seen = new Map<string, Row>();
  for (const row of o.changedRows(table)) {
    const key = rowKey(row, columns);
    const uuid = stored.get(key);
    const holder = uuid === undefined || uuid === row.uuid ? undefined : o.row(table, uuid);
    const holds = holder !== undefined && rowKey(holder, columns) === key;
    const twin = seen.get(key) ?? (holds ? holder : undefined);
    if (twin !== undefined) {
      throw duplicate(o, table, columns, twin, row);
    }
    seen.set(key, row);
  }
}

/** Brings the indexes of tables up to date with changes that are made. */
export function storeIndexes(
  changes: readonly RowChange[],
  tableOf: (name: string) => Table,
): void {
  for (const which of ["old", "new"] as const) {
    for (const change of changes) {
      const row = change[which];
      for (let i = 0; row !== undefined && i < change.table.indexes.length; i++) {
        const map = defined(tableOf(change.table.name).indexes[i]);
        const key = rowKey(row, defined(change.table.indexes[i]));
        if (which === "old") {
          map.delete(key);
        } else {
          map.set(key, row.uuid);
        }
      }
    }
  }
}

function duplicate(
  o: Overlay,
  table: Table,
  index: readonly ColumnSchema[],
  x: Row,
  y: Row,
): DbError {
  const [a, b] = compareRows(x, y) < 0 ? [y, x] : [x, y];
  const names = englishList(index.map((c) => `"${c.name}"`));
  return constraintViolation(
    `Transaction causes multiple rows in "${a.schema.name}" table to have identical values ` +
      `(${columnsText(a, index)}) for index on column${index.length > 1 ? "s" : ""} ${names}.  ` +
      `${story(o, table, "First", a, index)}  ${story(o, table, "Second", b, index)}`,
  );
}

function story(
  o: Overlay,
  table: Table,
  title: string,
  row: Row,
  index: readonly ColumnSchema[],
): string {
  const t = o.touched(table, row.uuid);
  const head = `${title} row, with UUID ${row.uuid}, `;
  if (t === undefined || !t.changed) {
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
