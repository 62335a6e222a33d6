// Mutations: changes of a column that depend on its value.
//
// Reference: RFC 7047 §5.1 <mutation>; ovs: ovsdb/mutation.c.

import type { Atom, SymbolTable } from "./atom.ts";
import {
  checkDatum,
  type Datum,
  datumFromJson,
  setDatum,
  subtractDatum,
  unionDatums,
} from "./datum.ts";
import { catchDbError, constraintViolation, DbError, syntaxError } from "./db-error.ts";
import { isJsonArray, type Json } from "./json.ts";
import { type ColumnSchema, findColumn, type TableSchema } from "./schema.ts";
import { type ColumnType, isScalar, isSet, typeToEnglish } from "./types.ts";

const ARITHMETIC = ["+=", "-=", "*=", "/=", "%="] as const;
type Arithmetic = (typeof ARITHMETIC)[number];
const SET_MUTATORS = ["insert", "delete"] as const;

export interface Mutation {
  readonly column: ColumnSchema;
  readonly mutator: Arithmetic | "insert" | "delete";
  readonly arg: Datum;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

function typeMismatch(json: Json, mutator: string, c: ColumnSchema): DbError {
  return syntaxError(
    json,
    `Type mismatch: "${mutator}" operator may not be applied to column ${c.name} ` +
      `of type ${typeToEnglish(c.type)}.`,
  );
}

function arithmeticArg(json: Json, m: Arithmetic, c: ColumnSchema, arg: Json): Datum {
  const { type } = c;
  const base = type.key.type;
  const numeric = base === "integer" || base === "real";
  if ((!isScalar(type) && !isSet(type)) || !numeric || (m === "%=" && base === "real")) {
    throw typeMismatch(json, m, c);
  }
  return datumFromJson(arg, { key: { type: base }, value: undefined, min: 1, max: 1 });
}

function setArg(
  json: Json,
  m: "insert" | "delete",
  c: ColumnSchema,
  arg: Json,
  symbols: SymbolTable | undefined,
): Datum {
  const { type } = c;
  if (isScalar(type)) {
    throw typeMismatch(json, m, c);
  }
  const max = m === "delete" ? Number.POSITIVE_INFINITY : type.max;
  const relaxed: ColumnType = { ...type, min: 0, max };
  if (m === "insert" || type.value === undefined) {
    return datumFromJson(arg, relaxed, symbols);
  }
  // Pairs are deleted by pairs or, if that does not parse, by keys alone.
  const pairs = catchDbError(() => datumFromJson(arg, relaxed, symbols));
  return "value" in pairs
    ? pairs.value
    : datumFromJson(arg, { ...relaxed, value: undefined }, symbols);
}

/** Throws DbError. */
export function mutationFromJson(table: TableSchema, json: Json, symbols?: SymbolTable): Mutation {
  if (!isJsonArray(json) || json.length !== 3) {
    throw syntaxError(json, "Parse error in mutation.");
  }
  const [name, mutator, arg = null] = json;
  if (typeof name !== "string" || typeof mutator !== "string") {
    throw syntaxError(json, "Parse error in mutation.");
  }
  const column = findColumn(table, name);
  if (column === undefined) {
    throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
  }
  if (!column.mutable) {
    const text = `Cannot mutate immutable column ${name} in table ${table.name}.`;
    throw syntaxError(json, text, "constraint violation");
  }
  const arithmetic = ARITHMETIC.find((m) => m === mutator);
  if (arithmetic !== undefined) {
    return { column, mutator: arithmetic, arg: arithmeticArg(json, arithmetic, column, arg) };
  }
  const set = SET_MUTATORS.find((m) => m === mutator);
  if (set === undefined) {
    throw new DbError("unknown mutator", `No mutator named ${mutator}.`);
  }
  return { column, mutator: set, arg: setArg(json, set, column, arg, symbols) };
}

function mutateInteger(x: bigint, m: Arithmetic, y: bigint): bigint {
  if ((m === "/=" || m === "%=") && y === 0n) {
    throw new DbError("domain error", "Division by zero.");
  }
  const r =
    m === "+=" ? x + y : m === "-=" ? x - y : m === "*=" ? x * y : m === "/=" ? x / y : x % y;
  if (r < INT64_MIN || r > INT64_MAX) {
    throw new DbError("range error", `Result of "${m}" operation is out of range.`);
  }
  return r;
}

function mutateReal(x: number, m: Arithmetic, y: number): number {
  if (m === "/=" && y === 0) {
    throw new DbError("domain error", "Division by zero.");
  }
  const r = m === "+=" ? x + y : m === "-=" ? x - y : m === "*=" ? x * y : x / y;
  if (!Number.isFinite(r)) {
    throw new DbError("range error", `Result of "${m}" operation is out of range.`);
  }
  return r;
}

function mutateAtom(x: Atom, m: Arithmetic, y: Atom | undefined): Atom {
  if (typeof x === "bigint" && typeof y === "bigint") {
    return mutateInteger(x, m, y);
  }
  return mutateReal(Number(x), m, Number(y));
}

function mutateSet(d: Datum, m: Mutation, op: Arithmetic): Datum {
  const atoms = d.keys.map((x) => mutateAtom(x, op, m.arg.keys[0]));
  if (new Set(atoms).size < atoms.length) {
    const text = `Result of "${op}" operation contains duplicates.`;
    throw constraintViolation(text);
  }
  return setDatum(atoms);
}

/** Throws DbError if a column cannot hold as many elements. */
export function checkCount(d: Datum, c: ColumnSchema): void {
  const { type } = c;
  const n = d.keys.length;
  if (n < type.min || n > type.max) {
    throw constraintViolation(`Attempted to store ${n} elements in ${typeToEnglish(type)}.`);
  }
}

/** The value of a column after a mutation; throws DbError. */
export function mutate(d: Datum, m: Mutation): Datum {
  const { mutator, column } = m;
  let next: Datum;
  if (mutator === "insert") {
    next = unionDatums(d, m.arg);
  } else if (mutator === "delete") {
    next = subtractDatum(d, m.arg);
  } else {
    next = mutateSet(d, m, mutator);
    checkDatum(next, column.type);
  }
  checkCount(next, column);
  return next;
}
