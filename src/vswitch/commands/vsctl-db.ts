// The database commands of ovs-vsctl: list, find, get, set, add, remove, clear, create, destroy,
// wait-until. They work on any table.
//
// Reference: ovs: lib/db-ctl-base.c.

import { ANY_ARGS } from "../command.ts";
import { type Atom, atomFromText, atomToJson, formatAtom } from "../../ovsdb/atom.ts";
import type { Row } from "../../ovsdb/database.ts";
import {
  datumFromJson,
  compareDatums,
  type Datum,
  emptyDatum,
  excludesAll,
  findKey,
  includesAll,
  mapDatum,
  setDatum,
  subtractDatum,
  unionDatums,
} from "../../ovsdb/datum.ts";
import { datumFromText, formatDatum } from "../../ovsdb/datum-text.ts";
import type { ColumnSchema, TableSchema } from "../../ovsdb/schema.ts";
import type { Cell, TextTable } from "../../ovsdb/text-table.ts";
import type { BaseType, ColumnType } from "../../ovsdb/types.ts";
import { checkCount } from "../../ovsdb/mutation.ts";
import { parseUuid } from "../../ovsdb/uuid.ts";
import {
  type CtlCommand,
  type CtlContext,
  checkColumnArg,
  checkMutable,
  columnsByName,
  die,
  getColumn,
  getRowUnless,
  findRow,
  getTable,
  orDie,
  parseColumnArg,
} from "./vsctl-core.ts";

/** A column with as many values as one likes. */
const MANY = Number.POSITIVE_INFINITY;

const UUID_TYPE: ColumnType = { key: { type: "uuid" }, value: undefined, min: 1, max: 1 };

/** One atom from its text. */
function parseAtom(ctx: CtlContext, text: string, base: BaseType) {
  const parsed = orDie(() => atomFromText(text, base, ctx.symbols));
  return typeof parsed === "string" ? die(parsed) : parsed.atom;
}

function arg(ctx: CtlContext, i: number): string {
  return ctx.argv[i] ?? "";
}

const RELOPS: Readonly<Record<string, (a: Datum, b: Datum) => boolean>> = {
  "=": (a, b) => compareDatums(a, b) === 0,
  "!=": (a, b) => compareDatums(a, b) !== 0,
  "<": (a, b) => compareDatums(a, b) < 0,
  ">": (a, b) => compareDatums(a, b) > 0,
  "<=": (a, b) => compareDatums(a, b) <= 0,
  ">=": (a, b) => compareDatums(a, b) >= 0,
  "{=}": (a, b) => compareDatums(a, b) === 0,
  "{!=}": (a, b) => compareDatums(a, b) !== 0,
  "{<}": (a, b) => b.keys.length > a.keys.length && includesAll(a, b),
  "{>}": (a, b) => a.keys.length > b.keys.length && includesAll(b, a),
  "{<=}": includesAll,
  "{>=}": (a, b) => includesAll(b, a),
  "{in}": includesAll,
  "{not-in}": excludesAll,
};
const OPERATORS = Object.keys(RELOPS);

/** True if a row satisfies "COLUMN[:KEY] OPERATOR VALUE". */
function satisfies(ctx: CtlContext, table: TableSchema, row: Row, text: string): boolean {
  const { column, key, operator, value } = parseColumnArg(table, text, OPERATORS);
  const relop = RELOPS[operator] ?? (() => false);
  const have = row.at(column);
  if (key === undefined) {
    return relop(
      have,
      orDie(() => datumFromText(value, column.type, ctx.symbols)),
    );
  }
  if (column.type.value === undefined) {
    die(`cannot specify key to check for non-map column ${column.name}`);
  }
  const wantedKey = parseAtom(ctx, key, column.type.key);
  const type: ColumnType = {
    ...column.type,
    key: column.type.value,
    value: undefined,
    max: MANY,
  };
  const wanted = orDie(() => datumFromText(value, type, ctx.symbols));
  const i = findKey(have, wantedKey);
  if (i < 0 && !operator.startsWith("{")) {
    return false;
  }
  const found = i < 0 ? undefined : have.values?.[i];
  return relop(setDatum(found === undefined ? [] : [found]), wanted);
}

/** Columns to list; undefined stands for the row's UUID. */
function listedColumns(ctx: CtlContext, table: TableSchema): (ColumnSchema | undefined)[] {
  const names = ctx.options.get("--columns");
  if (names === undefined) {
    return [undefined, ...columnsByName(table)];
  }
  const columns = names
    .split(/[, ]+/)
    .filter((n) => n !== "")
    .map((n) => (n.toLowerCase() === "_uuid" ? undefined : getColumn(table, n)));
  return columns.length === 0 ? die("must specify at least one column name") : columns;
}

function makeTable(
  columns: readonly (ColumnSchema | undefined)[],
  rows: readonly Row[],
): TextTable {
  return {
    headings: columns.map((c) => c?.name ?? "_uuid"),
    rows: rows.map((r) =>
      columns.map(
        (c): Cell =>
          c === undefined
            ? { datum: setDatum([r.uuid]), type: UUID_TYPE }
            : { datum: r.at(c), type: c.type },
      ),
    ),
  };
}

function list(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  const columns = listedColumns(ctx, table);
  const wanted = ctx.argv.slice(2);
  const rows =
    wanted.length === 0
      ? ctx.txn.rows(table.name)
      : wanted.map((id) => getRowUnless(ctx, table, id)).filter((r) => r !== undefined);
  ctx.table = makeTable(columns, rows);
}

function find(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  const columns = listedColumns(ctx, table);
  const conditions = ctx.argv.slice(2);
  const rows = ctx.txn
    .rows(table.name)
    .filter((r) => conditions.every((c) => satisfies(ctx, table, r, c)));
  ctx.table = makeTable(columns, rows);
}

const isUuidName = (s: string) => /^[_-]uuid$/i.test(s);

function getOne(ctx: CtlContext, table: TableSchema, row: Row, text: string): string {
  if (isUuidName(text)) {
    return row.uuid;
  }
  const { column, key } = parseColumnArg(table, text, []);
  const datum = row.at(column);
  if (key === undefined) {
    return formatDatum(datum, column.type);
  }
  if (column.type.value === undefined) {
    die(`cannot specify key to get for non-map column ${column.name}`);
  }
  const i = findKey(datum, parseAtom(ctx, key, column.type.key));
  const value = i < 0 ? undefined : datum.values?.[i];
  if (value === undefined) {
    return ctx.options.has("--if-exists")
      ? ""
      : die(`no key "${key}" in ${table.name} record "${arg(ctx, 2)}" column ${column.name}`);
  }
  return formatAtom(value, column.type.value.type);
}

function get(ctx: CtlContext): void {
  const id = ctx.options.get("--id");
  if (id !== undefined && ctx.options.has("--if-exists")) {
    die("--if-exists and --id may not be specified together");
  }
  const table = getTable(ctx, arg(ctx, 1));
  const row = getRowUnless(ctx, table, arg(ctx, 2));
  if (row === undefined) {
    return;
  }
  if (id !== undefined) {
    const { entry, fresh } = ctx.symbols.create(id);
    if (!fresh) {
      die(`row id "${id}" specified on "get" command was used before it was defined`);
    }
    entry.uuid = row.uuid;
    entry.strong = true;
  }
  for (const text of ctx.argv.slice(3)) {
    ctx.output += `${getOne(ctx, table, row, text)}\n`;
  }
}

/** Applies "COLUMN[:KEY]=VALUE" to a row. */
export function setColumn(ctx: CtlContext, row: Row, text: string): void {
  const table = row.schema;
  const { column, key, value } = parseColumnArg(table, text, ["="]);
  checkMutable(ctx, row, column);
  const write = (d: Datum) => ctx.txn.set(table.name, row.uuid, column.name, d);
  if (key === undefined) {
    write(orDie(() => datumFromText(value, column.type, ctx.symbols)));
    return;
  }
  const valueType =
    column.type.value ?? die(`cannot specify key to set for non-map column ${column.name}`);
  const pair = mapDatum([[parseAtom(ctx, key, column.type.key), parseAtom(ctx, value, valueType)]]);
  const now = ctx.txn.row(table.name, row.uuid)?.at(column) ?? emptyDatum(column.type);
  write(unionDatums(now, pair, true));
}

function set(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  const row = getRowUnless(ctx, table, arg(ctx, 2));
  if (row !== undefined) {
    for (const text of ctx.argv.slice(3)) {
      setColumn(ctx, row, text);
    }
  }
}

/** Table, column and row of `CMD TABLE RECORD COLUMN …`; undefined if there is no such row. */
function target(ctx: CtlContext) {
  const table = getTable(ctx, arg(ctx, 1));
  const column = getColumn(table, arg(ctx, 3));
  const row = getRowUnless(ctx, table, arg(ctx, 2));
  if (row === undefined) {
    return undefined;
  }
  checkMutable(ctx, row, column);
  return { table, column, row };
}

const unit = (type: ColumnType) => (type.value === undefined ? "values" : "pairs");

function add(ctx: CtlContext): void {
  const t = target(ctx);
  if (t === undefined) {
    return;
  }
  const { type } = t.column;
  const addType: ColumnType = { ...type, min: 1, max: MANY };
  let datum = t.row.at(t.column);
  const atoms = new Set<Atom>();
  for (const text of ctx.argv.slice(4)) {
    const added = orDie(() => datumFromText(text, addType, ctx.symbols));
    for (const key of added.keys) {
      atoms.add(key);
    }
    // As the last command of a line, "add" travels as a mutation, in which new pairs win.
    datum = unionDatums(datum, added, ctx.last);
  }
  const n = datum.keys.length;
  if (ctx.last) {
    checkMutationSize([...atoms], type);
    checkCount(datum, t.column);
  } else if (n > type.max) {
    die(
      `"add" operation would put ${n} ${unit(type)} in column ${t.column.name} of ` +
        `table ${t.table.name} but the maximum number is ${type.max}`,
    );
  }
  ctx.txn.set(t.table.name, t.row.uuid, t.column.name, datum);
}

/** The argument of a mutation may itself not have more members than the column. */
function checkMutationSize(atoms: readonly Atom[], type: ColumnType): void {
  if (type.value === undefined && atoms.length > type.max) {
    const members = atoms.map((a) => atomToJson(a, type.key.type));
    datumFromJson(["set", members], { ...type, min: 0 });
  }
}

/** What to remove: pairs if the text has them, else keys. */
function removal(ctx: CtlContext, type: ColumnType, text: string): Datum {
  const whole: ColumnType = { ...type, min: 1, max: MANY };
  if (type.value !== undefined) {
    try {
      return datumFromText(text, whole, ctx.symbols);
    } catch {
      // Not pairs: then the text must be keys, and only the error about keys is shown.
    }
  }
  return orDie(() => datumFromText(text, { ...whole, value: undefined }, ctx.symbols));
}

function remove(ctx: CtlContext): void {
  const t = target(ctx);
  if (t === undefined) {
    return;
  }
  const { type } = t.column;
  let datum = t.row.at(t.column);
  for (const text of ctx.argv.slice(4)) {
    datum = subtractDatum(datum, removal(ctx, type, text));
  }
  const n = datum.keys.length;
  if (n < type.min) {
    die(
      `"remove" operation would put ${n} ${unit(type)} in column ${t.column.name} of ` +
        `table ${t.table.name} but the minimum number is ${type.min}`,
    );
  }
  ctx.txn.set(t.table.name, t.row.uuid, t.column.name, datum);
}

function clear(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  const row = getRowUnless(ctx, table, arg(ctx, 2));
  if (row === undefined) {
    return;
  }
  for (const name of ctx.argv.slice(3)) {
    const column = getColumn(table, name);
    checkMutable(ctx, row, column);
    if (column.type.min > 0) {
      die(
        `"clear" operation cannot be applied to column ${column.name} of table ${table.name}, ` +
          "which is not allowed to be empty",
      );
    }
    ctx.txn.set(table.name, row.uuid, column.name, emptyDatum(column.type));
  }
}

function prepareCreate(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  if (!ctx.options.has("--id") && !table.isRoot) {
    ctx.warn(
      "db_ctl_base",
      `applying "create" command to table ${table.name} without --id option will have no effect`,
    );
  }
}

function create(ctx: CtlContext): void {
  const id = ctx.options.get("--id");
  const table = getTable(ctx, arg(ctx, 1));
  let uuid = id === undefined ? undefined : parseUuid(id);
  if (id !== undefined && uuid === undefined) {
    const { entry } = ctx.symbols.create(id);
    entry.strong ||= table.isRoot;
    uuid = entry.uuid;
  }
  const row = ctx.txn.insert(table.name, uuid);
  for (const text of ctx.argv.slice(2)) {
    setColumn(ctx, row, text);
  }
  ctx.output += `${row.uuid}\n`;
}

function destroy(ctx: CtlContext): void {
  const all = ctx.options.has("--all");
  const table = getTable(ctx, arg(ctx, 1));
  const wanted = ctx.argv.slice(2);
  if (all && wanted.length > 0) {
    die("--all and records argument should not be specified together");
  }
  if (all && ctx.options.has("--if-exists")) {
    die("--all and --if-exists should not be specified together");
  }
  if (!all && wanted.length === 0) {
    ctx.warn("db_ctl_base", "either --all or records argument should be specified");
    return;
  }
  const rows = all ? ctx.txn.rows(table.name) : wanted.map((id) => getRowUnless(ctx, table, id));
  for (const row of rows) {
    if (row !== undefined) {
      ctx.txn.release(table.name, row.uuid);
    }
  }
}

function waitUntil(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  const row = findRow(ctx, table, arg(ctx, 2));
  ctx.tryAgain =
    row === undefined || !ctx.argv.slice(3).every((c) => satisfies(ctx, table, row, c));
}

/** Checks the table and the columns named from argument `from` on. */
function prepareColumns(from: number) {
  return (ctx: CtlContext): void => {
    const table = getTable(ctx, arg(ctx, 1));
    if (ctx.options.has("--columns")) {
      listedColumns(ctx, table);
    }
    for (const text of ctx.argv.slice(from)) {
      if (!isUuidName(text) || ctx.argv[0] !== "get") {
        checkColumnArg(table, text);
      }
    }
  };
}

function prepareOneColumn(ctx: CtlContext): void {
  getColumn(getTable(ctx, arg(ctx, 1)), arg(ctx, 3));
}

function prepareClear(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  for (const name of ctx.argv.slice(3)) {
    getColumn(table, name);
  }
}

function prepareTable(ctx: CtlContext): void {
  const table = getTable(ctx, arg(ctx, 1));
  if (ctx.argv[0] === "list") {
    listedColumns(ctx, table);
  }
}

export const DB_CTL_COMMANDS: readonly CtlCommand[] = [
  {
    name: "comment",
    args: [0, ANY_ARGS],
    usage: "[ARG]...",
    options: "",
    writes: false,
    doc: "Does nothing; its arguments go into the log of the database.",
  },
  {
    name: "get",
    args: [2, ANY_ARGS],
    usage: "TABLE RECORD [COLUMN[:KEY]]...",
    options: "--if-exists,--id=",
    writes: false,
    doc: "Prints values of columns of a record.",
    prepare: prepareColumns(3),
    run: get,
  },
  {
    name: "list",
    args: [1, ANY_ARGS],
    usage: "TABLE [RECORD]...",
    options: "--if-exists,--columns=",
    writes: false,
    doc: "Lists records of a table.",
    prepare: prepareTable,
    run: list,
  },
  {
    name: "find",
    args: [1, ANY_ARGS],
    usage: "TABLE [COLUMN[:KEY]=VALUE]...",
    options: "--columns=",
    writes: false,
    doc: "Lists the records that satisfy all conditions.",
    prepare: prepareColumns(2),
    run: find,
  },
  {
    name: "set",
    args: [3, ANY_ARGS],
    usage: "TABLE RECORD COLUMN[:KEY]=VALUE...",
    options: "--if-exists",
    writes: true,
    doc: "Sets columns, or keys of map columns, of a record.",
    prepare: prepareColumns(3),
    run: set,
  },
  {
    name: "add",
    args: [4, ANY_ARGS],
    usage: "TABLE RECORD COLUMN [KEY=]VALUE...",
    options: "--if-exists",
    writes: true,
    doc: "Adds values to a set or pairs to a map.",
    prepare: prepareOneColumn,
    run: add,
  },
  {
    name: "remove",
    args: [4, ANY_ARGS],
    usage: "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...",
    options: "--if-exists",
    writes: true,
    doc: "Removes values from a set, or keys or pairs from a map.",
    prepare: prepareOneColumn,
    run: remove,
  },
  {
    name: "clear",
    args: [3, ANY_ARGS],
    usage: "TABLE RECORD COLUMN...",
    options: "--if-exists",
    writes: true,
    doc: "Empties columns of a record.",
    prepare: prepareClear,
    run: clear,
  },
  {
    name: "create",
    args: [2, ANY_ARGS],
    usage: "TABLE COLUMN[:KEY]=VALUE...",
    options: "--id=",
    writes: true,
    doc: "Creates a record and prints its UUID.",
    prepare: prepareCreate,
    run: create,
  },
  {
    name: "destroy",
    args: [1, ANY_ARGS],
    usage: "TABLE [RECORD]...",
    options: "--if-exists,--all",
    writes: true,
    doc: "Deletes records.",
    prepare: prepareTable,
    run: destroy,
  },
  {
    name: "wait-until",
    args: [2, ANY_ARGS],
    usage: "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
    options: "",
    writes: false,
    doc: "Waits until a record exists and satisfies all conditions.",
    prepare: prepareColumns(3),
    run: waitUntil,
  },
];
