// Conditions: which rows a database operation or a monitor means.
//
// Reference: RFC 7047 §5.1 <condition>; ovs: ovsdb/condition.c, ovsdb/ovsdb-util.c.

import { compareAtoms, type SymbolTable } from "./atom.ts";
import type { Row } from "./database.ts";
import { type Datum, datumEquals, datumFromJson, excludesAll, includesAll } from "./datum.ts";
import { DbError, syntaxError } from "./db-error.ts";
import { isJsonArray, type Json } from "./json.ts";
import { type ColumnSchema, findColumn, type TableSchema } from "./schema.ts";
import { type ColumnType, isScalar, typeToEnglish } from "./types.ts";

const FUNCTIONS = ["<", "<=", "==", "!=", ">", ">=", "includes", "excludes"] as const;
type FunctionName = (typeof FUNCTIONS)[number];

/** A clause that compares a column, or one that is always true or false. */
type Clause =
  | boolean
  | { readonly column: ColumnSchema; readonly fn: FunctionName; readonly arg: Datum };

export interface Condition {
  readonly clauses: readonly Clause[];
}

function columnOf(table: TableSchema, name: string, json: Json): ColumnSchema {
  const column = findColumn(table, name);
  if (column === undefined) {
    const text = `No column ${name} in table ${table.name}.`;
    throw syntaxError(json, text, "unknown column");
  }
  return column;
}

/** The type that the argument of a function must have. */
function argumentType(fn: FunctionName, c: ColumnSchema, json: Json): ColumnType {
  const { type } = c;
  switch (fn) {
    case "<":
    case "<=":
    case ">":
    case ">=": {
      const single = type.value === undefined && type.max === 1;
      const numeric = type.key.type === "integer" || type.key.type === "real";
      if (!single || !numeric) {
        throw syntaxError(
          json,
          `Type mismatch: "${fn}" operator may not be applied to column ${c.name} ` +
            `of type ${typeToEnglish(type)}.`,
        );
      }
      return { ...type, min: 1 };
    }
    case "excludes":
      return isScalar(type) ? type : { ...type, min: 0, max: Number.POSITIVE_INFINITY };
    case "includes":
      return isScalar(type) ? type : { ...type, min: 0 };
    default:
      return type;
  }
}

function clauseFromJson(table: TableSchema, json: Json, symbols?: SymbolTable): Clause {
  if (typeof json === "boolean") {
    return json;
  }
  if (!isJsonArray(json) || json.length !== 3) {
    throw syntaxError(json, "Parse error in condition.");
  }
  const [name, fnName, arg = null] = json;
  if (typeof name !== "string" || typeof fnName !== "string") {
    throw syntaxError(json, "Parse error in condition.");
  }
  const column = columnOf(table, name, json);
  const fn = FUNCTIONS.find((f) => f === fnName);
  if (fn === undefined) {
    throw new DbError("unknown function", `No function named ${fnName}.`);
  }
  return { column, fn, arg: datumFromJson(arg, argumentType(fn, column, json), symbols) };
}

/** Throws DbError. */
export function conditionFromJson(
  table: TableSchema,
  json: Json,
  symbols?: SymbolTable,
): Condition {
  if (!isJsonArray(json)) {
    throw syntaxError(json, "array expected");
  }
  return { clauses: json.map((c) => clauseFromJson(table, c, symbols)) };
}

function holds(row: Row, c: Clause): boolean {
  if (typeof c === "boolean") {
    return c;
  }
  const have = row.at(c.column);
  const [a] = have.keys;
  const [b] = c.arg.keys;
  const order = a === undefined || b === undefined ? undefined : compareAtoms(a, b);
  switch (c.fn) {
    case "<":
      return order !== undefined && order < 0;
    case "<=":
      return order !== undefined && order <= 0;
    case ">":
      return order !== undefined && order > 0;
    case ">=":
      return order !== undefined && order >= 0;
    case "==":
      return datumEquals(have, c.arg);
    case "!=":
      return !datumEquals(have, c.arg);
    case "includes":
      return includesAll(c.arg, have);
    case "excludes":
      return excludesAll(c.arg, have);
  }
}

/** All clauses hold, as in an operation's "where". */
export function matchesAll(row: Row, condition: Condition): boolean {
  return condition.clauses.every((c) => holds(row, c));
}

/** At least one clause holds, as in a monitor's "where"; no clause means every row. */
export function matchesAny(row: Row, condition: Condition): boolean {
  return condition.clauses.length === 0 || condition.clauses.some((c) => holds(row, c));
}
