// What all commands of ovs-vsctl share: the context of a command, its errors, and how tables, rows
// and columns are found by what a user writes.
//
// A command line is one transaction over the database of the switch; each command of it runs with
// a context. A user's mistake ends the whole line: it is thrown as VsctlFatal and caught where the
// line started. References: ovs: lib/db-ctl-base.c, utilities/ovs-vsctl.c.

import type { LogModule } from "../../lib/vlog.ts";
import type { Atom, SymbolTable } from "../../ovsdb/atom.ts";
import { compareText } from "../../ovsdb/atom.ts";
import type { Row } from "../../ovsdb/database.ts";
import { DbError } from "../../ovsdb/db-error.ts";
import { TokenError, TokenReader } from "../../ovsdb/datum-text.ts";
import type { ColumnSchema, TableSchema } from "../../ovsdb/schema.ts";
import type { TextTable } from "../../ovsdb/text-table.ts";
import type { Transaction } from "../../ovsdb/transaction.ts";
import { parseUuid, partialUuidLength, type Uuid, type UuidMaker } from "../../ovsdb/uuid.ts";
import type { VSwitch } from "../vswitch.ts";

/** Ends the command line with a message and a status. */
export class VsctlFatal extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** Shorthand for `throw new VsctlFatal(...)` in expressions. */
export function die(message: string): never {
  throw new VsctlFatal(message);
}

/** Runs `f`; a text or a value that cannot be understood ends the command line with OVS's words. */
export function orDie<T>(f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (e instanceof TokenError) {
      die(e.message);
    }
    if (e instanceof DbError) {
      die(e.toString());
    }
    throw e;
  }
}

interface SymbolEntry {
  uuid: Uuid;
  created: boolean;
  strong: boolean;
  weak: boolean;
}

/** Names such as "@x" of one command line. */
export class Symbols implements SymbolTable {
  readonly entries = new Map<string, SymbolEntry>();
  private readonly uuids: UuidMaker;

  constructor(uuids: UuidMaker) {
    this.uuids = uuids;
  }

  private entry(name: string): SymbolEntry {
    let e = this.entries.get(name);
    if (e === undefined) {
      e = { uuid: this.uuids.next(), created: false, strong: false, weak: false };
      this.entries.set(name, e);
    }
    return e;
  }

  reference(name: string, refType: "strong" | "weak" | undefined): Uuid {
    const e = this.entry(name);
    e.strong ||= refType === "strong";
    e.weak ||= refType === "weak";
    return e.uuid;
  }

  /** Defines a name, which may happen once; `fresh` tells whether it was unknown until now. */
  create(name: string): { entry: SymbolEntry; fresh: boolean } {
    if (!name.startsWith("@")) {
      die(`row id "${name}" does not begin with "@"`);
    }
    const fresh = !this.entries.has(name);
    const entry = this.entry(name);
    if (entry.created) {
      die(`row id "${name}" may only be specified on one --id option`);
    }
    entry.created = true;
    return { entry, fresh };
  }
}

/** One line on standard error like those of the log. */
export type Warn = (module: LogModule, text: string) => void;

/** What a command has at hand. */
export interface CtlContext {
  readonly vs: VSwitch;
  readonly txn: Transaction;
  readonly symbols: Symbols;
  /** UUID of the only row of table Open_vSwitch. */
  readonly root: Uuid;
  readonly warn: Warn;
  /** Interfaces added by this command line, to be checked once the switch has them. */
  readonly newIfaces: Uuid[];
  /** `argv[0]` is the command's name. */
  readonly argv: readonly string[];
  readonly options: ReadonlyMap<string, string | undefined>;
  /** Text of the command's answer. */
  output: string;
  /** The answer if it is a table. */
  table: TextTable | undefined;
  /** Set if a condition does not hold yet. */
  tryAgain: boolean;
  /** True for the last command of the line. */
  readonly last: boolean;
}

export interface CtlCommand {
  readonly name: string;
  readonly args: readonly [min: number, max: number];
  readonly usage: string;
  /** "--may-exist,--id=": names of options, with "=" if they take a value. */
  readonly options: string;
  /** True if it may change the database. */
  readonly writes: boolean;
  readonly doc: string;
  /** Checks that happen for all commands of a line before the first one runs. */
  prepare?(ctx: CtlContext): void;
  run?(ctx: CtlContext): void;
}

/** A command without checks of its own, as a row of a table. */
export type CtlRow = readonly [
  name: string,
  min: number,
  max: number,
  usage: string,
  options: string,
  writes: boolean,
  run: (ctx: CtlContext) => void,
  doc: string,
];

export function ctlCommands(rows: readonly CtlRow[]): CtlCommand[] {
  return rows.map(([name, min, max, usage, options, writes, run, doc]) => ({
    name,
    args: [min, max],
    usage,
    options,
    writes,
    run,
    doc,
  }));
}

/** How well a name matches what a user wrote: prefixes count, "-" is "_", case does not matter. */
function score(name: string, wanted: string): number {
  if (name === wanted) {
    return Number.POSITIVE_INFINITY;
  }
  const fold = (s: string) => s.toLowerCase().replaceAll("-", "_");
  const a = fold(name);
  const b = fold(wanted);
  if (a === b) {
    return Number.MAX_SAFE_INTEGER;
  }
  return a.startsWith(b) ? b.length : 0;
}

/** The best match, or several equally good ones, or none. */
function bestMatches<T extends { readonly name: string }>(
  items: readonly T[],
  wanted: string,
): T[] {
  let best = 1;
  let found: T[] = [];
  for (const item of items) {
    const s = score(item.name, wanted);
    if (s > best) {
      found = [];
      best = s;
    }
    if (s >= best) {
      found.push(item);
    }
  }
  return found;
}

const byName = (a: { readonly name: string }, b: { readonly name: string }) =>
  compareText(a.name, b.name);

function tablesByName(ctx: CtlContext): TableSchema[] {
  return [...ctx.vs.db.schema.tables.values()].sort(byName);
}

export function columnsByName(table: TableSchema): ColumnSchema[] {
  return table.columnList.toSorted(byName);
}

/** The table that a user means. */
export function getTable(ctx: CtlContext, name: string): TableSchema {
  const found = bestMatches(tablesByName(ctx), name);
  const [only] = found;
  if (only === undefined) {
    die(`unknown table "${name}"`);
  }
  if (found.length > 1) {
    die(`"${name}" matches multiple table names: ${found.map((t) => t.name).join(", ")}`);
  }
  return only;
}

/** The column that a user means. */
export function getColumn(table: TableSchema, name: string): ColumnSchema {
  const found = bestMatches(columnsByName(table), name);
  const [only] = found;
  if (only === undefined) {
    die(`${table.name} does not contain a column whose name matches "${name}"`);
  }
  if (found.length > 1) {
    die(
      `${table.name} contains more than one column whose name matches "${name}": ` +
        found.map((c) => c.name).join(", "),
    );
  }
  return only;
}

/** Ways to name a row: a column (or key of a map) of some table, and what it points to. */
interface RowId {
  readonly table: string;
  readonly column: string;
  readonly via?: string;
}

const ROW_IDS: Readonly<Record<string, RowId>> = {
  Bridge: { table: "Bridge", column: "name" },
  Controller: { table: "Bridge", column: "name", via: "controller" },
  Interface: { table: "Interface", column: "name" },
  Mirror: { table: "Mirror", column: "name" },
  Manager: { table: "Manager", column: "target" },
  NetFlow: { table: "Bridge", column: "name", via: "netflow" },
  Port: { table: "Port", column: "name" },
  QoS: { table: "Port", column: "name", via: "qos" },
  sFlow: { table: "Bridge", column: "name", via: "sflow" },
  Flow_Table: { table: "Flow_Table", column: "name" },
  IPFIX: { table: "Bridge", column: "name", via: "ipfix" },
  AutoAttach: { table: "Bridge", column: "name", via: "auto_attach" },
  Flow_Sample_Collector_Set: { table: "Flow_Sample_Collector_Set", column: "id" },
};

/** Sentences about ROW_IDS for the help text: table and the way to name a row. */
export function rowIdHelp(table: string): string | undefined {
  const id = ROW_IDS[table];
  if (id === undefined) {
    return undefined;
  }
  return id.via === undefined
    ? `by "${id.column}"`
    : `via "${id.via}" of ${id.table} with matching "${id.column}"`;
}

function idEquals(name: Atom, wanted: string): boolean {
  if (typeof name === "bigint") {
    return name === BigInt(wanted);
  }
  const text = String(name);
  return (
    text === wanted ||
    (wanted.length >= 4 && parseUuid(text) !== undefined && text.startsWith(wanted))
  );
}

function rowById(ctx: CtlContext, table: TableSchema, wanted: string): Row | undefined {
  const id = ROW_IDS[table.name];
  if (id === undefined) {
    return undefined;
  }
  const integer =
    ctx.vs.db.table(id.table).schema.columns.get(id.column)?.type.key.type === "integer";
  if (integer && !/^\d+$/.test(wanted)) {
    return undefined;
  }
  const found = ctx.txn.rows(id.table).filter((r) => {
    const { keys } = r.get(id.column);
    const [name] = keys;
    return keys.length === 1 && name !== undefined && idEquals(name, wanted);
  });
  if (found.length > 1) {
    die(`multiple rows in ${id.table} match "${wanted}"`);
  }
  const [referrer] = found;
  if (referrer === undefined || id.via === undefined) {
    return referrer;
  }
  const { keys } = referrer.get(id.via);
  return keys.length === 1 ? ctx.txn.row(table.name, String(keys[0])) : undefined;
}

function rowByPartialUuid(ctx: CtlContext, table: TableSchema, wanted: string): Row | undefined {
  const found = ctx.txn.rows(table.name).filter((r) => r.uuid.startsWith(wanted));
  const [a, b] = found;
  if (a !== undefined && b !== undefined) {
    die(
      `${table.name} contains 2 or more rows whose UUIDs begin with ${wanted}: ` +
        `at least ${a.uuid} and ${b.uuid}`,
    );
  }
  return a;
}

/** The row that a user means, or undefined if there is none. */
export function findRow(ctx: CtlContext, table: TableSchema, wanted: string): Row | undefined {
  const uuid = parseUuid(wanted);
  let row = uuid === undefined ? undefined : ctx.txn.row(table.name, uuid);
  if (row === undefined && wanted === ".") {
    const rows = ctx.txn.rows(table.name);
    row = rows.length === 1 ? rows[0] : undefined;
  }
  row ??= rowById(ctx, table, wanted);
  if (row === undefined && partialUuidLength(wanted) >= 4) {
    row = rowByPartialUuid(ctx, table, wanted);
  }
  return row;
}

function getRow(ctx: CtlContext, table: TableSchema, wanted: string): Row {
  return findRow(ctx, table, wanted) ?? die(`no row "${wanted}" in table ${table.name}`);
}

/** The row, or undefined under --if-exists. */
export function getRowUnless(ctx: CtlContext, table: TableSchema, wanted: string): Row | undefined {
  return ctx.options.has("--if-exists") ? findRow(ctx, table, wanted) : getRow(ctx, table, wanted);
}

/** "COLUMN[:KEY]" or "COLUMN[:KEY]OPERATOR VALUE". */
export interface ColumnArg {
  readonly column: ColumnSchema;
  readonly key: string | undefined;
  /** Set if operators were allowed. */
  readonly operator: string;
  readonly value: string;
}

function missingOperator(arg: string, operators: readonly string[]): never {
  const quoted = operators.map((o) => `"${o}"`);
  const n = quoted.length;
  const list =
    n <= 2 ? quoted.join(" or ") : `${quoted.slice(0, -1).join(", ")}, or ${quoted[n - 1]}`;
  return die(`${arg}: argument does not end in ${list} followed by a value.`);
}

/** Parses an argument; without operators it must end after the key. */
export function parseColumnArg(
  table: TableSchema,
  arg: string,
  operators: readonly string[],
): ColumnArg {
  return orDie(() => {
    const r = new TokenReader(arg);
    const name = r.token();
    if (name === "") {
      die(`${arg}: missing column name`);
    }
    const column = getColumn(table, name);
    let key: string | undefined;
    if (r.peek() === ":") {
      r.pos++;
      key = r.token();
    }
    const rest = arg.slice(r.pos);
    if (operators.length === 0) {
      if (rest !== "") {
        die(`${arg}: trailing garbage "${rest}" in argument`);
      }
      return { column, key, operator: "", value: "" };
    }
    let operator = "";
    for (const o of operators) {
      if (o.length > operator.length && rest.startsWith(o) && rest.length > o.length) {
        operator = o;
      }
    }
    if (operator === "") {
      missingOperator(arg, operators);
    }
    return { column, key, operator, value: rest.slice(operator.length) };
  });
}

/** Checks the name of the column at the start of an argument. */
export function checkColumnArg(table: TableSchema, arg: string): void {
  const name = orDie(() => new TokenReader(arg).token());
  if (name === "") {
    die(`${arg}: missing column name`);
  }
  getColumn(table, name);
}

/** Ends the line if a column of a row must not change. */
export function checkMutable(ctx: CtlContext, row: Row, column: ColumnSchema): void {
  const isNew = ctx.vs.db.row(row.schema.name, row.uuid) === undefined;
  if (!column.mutable && !isNew) {
    die(`cannot modify read-only column ${column.name} in table ${row.schema.name}`);
  }
}

/** The row of table Open_vSwitch. */
export function rootRow(ctx: CtlContext): Row {
  return ctx.txn.row("Open_vSwitch", ctx.root) ?? die("no Open_vSwitch row");
}

/** Words as a shell would need them (ovs: process_escape_args). */
export function escapeArgs(words: readonly string[]): string {
  return words
    .map((w) => (/[ \t\r\n\v\\'"]/.test(w) ? `"${w.replace(/[\\"]/g, (c) => `\\${c}`)}"` : w))
    .join(" ");
}

/** Lines in order of their bytes. */
export function sortedLines(names: readonly string[]): string {
  return names
    .toSorted(compareText)
    .map((n) => `${n}\n`)
    .join("");
}
