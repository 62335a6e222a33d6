// Atoms: the single values that columns are made of.
//
// An integer is a bigint, a real a number, a uuid a string of 36 characters; which of the two a
// string is, the type of its column tells. References: RFC 7047 §5.1 <atom>; ovs: lib/ovsdb-data.c.

import { constraintViolation, syntaxError } from "./db-error.ts";
import { formatReal, isJsonArray, type Json, quoteJson, unescapeJsonString } from "./json.ts";
import type { BaseType } from "./types.ts";
import { utf8Fault } from "./utf8-fault.ts";
import { parseUuid, type Uuid, ZERO_UUID } from "./uuid.ts";

export type AtomicType = "integer" | "real" | "boolean" | "string" | "uuid";
export type Atom = bigint | number | boolean | string;

/** Names that stand for rows which do not exist yet ("@x" of a command, named-uuid of JSON). */
export interface SymbolTable {
  /** The UUID of a name, made on first use; `refType` tells how the name was used. */
  reference(name: string, refType: "strong" | "weak" | undefined): Uuid;
}

const DEFAULTS: Readonly<Record<AtomicType, Atom>> = {
  integer: 0n,
  real: 0,
  boolean: false,
  string: "",
  uuid: ZERO_UUID,
};

export function defaultAtom(type: AtomicType): Atom {
  return DEFAULTS[type];
}

/** Order of two atoms of one type: numbers by value, texts by code point, false before true. */
export function compareAtoms(a: Atom, b: Atom): number {
  if (typeof a === "string" && typeof b === "string") {
    return compareText(a, b);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** strcmp() of the UTF-8 forms, which is the order of code points. */
export function compareText(a: string, b: string): number {
  if (a === b) {
    return 0;
  }
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      // Surrogates sort above the rest of the basic plane although their numbers are lower.
      const high = (u: number) => (u >= 0xd800 && u <= 0xdfff ? 0x10000 + u : u);
      return high(x) - high(y);
    }
  }
  return a.length - b.length;
}

function expected(json: Json, type: AtomicType): Error {
  return syntaxError(json, `expected ${type}`);
}

/** The value of `[name, value]`, or undefined if the JSON is no such pair. */
export function unwrapPair(json: Json, name: string): Json | undefined {
  return isJsonArray(json) && json.length === 2 && json[0] === name ? json[1] : undefined;
}

function uuidFromJson(json: Json, base: BaseType, symbols: SymbolTable | undefined): Uuid {
  const text = unwrapPair(json, "uuid");
  if (typeof text === "string") {
    const uuid = parseUuid(text);
    if (uuid === undefined) {
      throw syntaxError(json, `"${text}" is not a valid UUID`);
    }
    return uuid;
  }
  const name = unwrapPair(json, "named-uuid");
  if (symbols !== undefined && typeof name === "string") {
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw syntaxError(json, "named-uuid string is not a valid <id>");
    }
    return symbols.reference(name, base.refTable === undefined ? undefined : base.refType);
  }
  throw syntaxError(json, 'expected ["uuid", <string>]');
}

function rawAtomFromJson(json: Json, base: BaseType, symbols: SymbolTable | undefined): Atom {
  switch (base.type) {
    case "integer":
      if (typeof json === "bigint") {
        return json;
      }
      break;
    case "real":
      if (typeof json === "bigint" || typeof json === "number") {
        return Number(json);
      }
      break;
    case "boolean":
      if (typeof json === "boolean") {
        return json;
      }
      break;
    case "string":
      if (typeof json === "string") {
        return json;
      }
      break;
    case "uuid":
      return uuidFromJson(json, base, symbols);
  }
  throw expected(json, base.type);
}

/** Throws DbError if the JSON is no atom of the type or breaks a constraint. */
export function atomFromJson(json: Json, base: BaseType, symbols?: SymbolTable): Atom {
  const atom = rawAtomFromJson(json, base, symbols);
  checkAtom(atom, base);
  return atom;
}

export function atomToJson(atom: Atom, type: AtomicType): Json {
  return type === "uuid" ? ["uuid", String(atom)] : atom;
}

function needsQuotes(s: string): boolean {
  return (
    !/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(s) ||
    s === "true" ||
    s === "false" ||
    parseUuid(s) !== undefined
  );
}

/** Text that parses back to the atom. */
export function formatAtom(atom: Atom, type: AtomicType): string {
  if (typeof atom === "number") {
    return formatReal(atom);
  }
  if (type === "string" && typeof atom === "string" && needsQuotes(atom)) {
    return quoteJson(atom);
  }
  return String(atom);
}

/** Text without quotes, for scripts. */
export function formatAtomBare(atom: Atom, type: AtomicType): string {
  return type === "string" ? String(atom) : formatAtom(atom, type);
}

/** A range such as "10-20" means all the integers in it; longer ones are an error. */
export const RANGE_MAX = 4096n;

export interface AtomText {
  readonly atom: Atom;
  /** Last integer of a range. */
  readonly end?: bigint;
}

function int64(text: string): bigint | undefined {
  const t = text.trim();
  if (!/^[+-]?\d+$/.test(t)) {
    return undefined;
  }
  const n = BigInt(t.replace(/^\+/, ""));
  return n >= -(2n ** 63n) && n < 2n ** 63n ? n : undefined;
}

function integerFromText(s: string, allowRange: boolean): AtomText | string {
  const range = allowRange ? /^\s*([+-]?\d+)-([+-]?\d+)$/.exec(s) : null;
  const start = range === null ? undefined : int64(range[1] ?? "");
  const end = range === null ? undefined : int64(range[2] ?? "");
  if (start !== undefined && end !== undefined) {
    return end < start
      ? `"${s}" is not a valid range. Range end cannot be before start.`
      : { atom: start, end };
  }
  const n = int64(s);
  return n === undefined ? `"${s}" is not a valid integer or range` : { atom: n };
}

function stringFromText(s: string): AtomText | string {
  if (s === "") {
    return 'An empty string is not valid as input; use "" to represent the empty string';
  }
  if (!s.startsWith('"')) {
    return { atom: s };
  }
  if (s.length < 2 || !s.endsWith('"')) {
    return `${s}: missing quote at end of quoted string`;
  }
  const body = unescapeJsonString(s.slice(1, -1));
  return "error" in body ? `${s}: ${body.error}` : { atom: body.value };
}

const TRUE = ["true", "yes", "on", "1"];
const FALSE = ["false", "no", "off", "0"];

function rawAtomFromText(
  s: string,
  base: BaseType,
  symbols: SymbolTable | undefined,
  allowRange: boolean,
): AtomText | string {
  switch (base.type) {
    case "integer":
      return integerFromText(s, allowRange);
    case "real": {
      const x = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(s) ? Number(s) : Number.NaN;
      return Number.isFinite(x) ? { atom: x === 0 ? 0 : x } : `"${s}" is not a valid real number`;
    }
    case "boolean":
      if (TRUE.includes(s) || FALSE.includes(s)) {
        return { atom: TRUE.includes(s) };
      }
      return `"${s}" is not a valid boolean (use "true" or "false")`;
    case "string":
      return stringFromText(s);
    case "uuid": {
      if (s.startsWith("@") && symbols !== undefined) {
        const refType = base.refTable === undefined ? undefined : base.refType;
        return { atom: symbols.reference(s, refType) };
      }
      const uuid = parseUuid(s);
      return uuid === undefined ? `"${s}" is not a valid UUID` : { atom: uuid };
    }
  }
}

/**
 * Parses the text of one atom; an error text is returned. Constraints throw DbError, as its text
 * (`String(error)`) is what OVS shows.
 */
export function atomFromText(
  s: string,
  base: BaseType,
  symbols?: SymbolTable,
  allowRange = false,
): AtomText | string {
  const parsed = rawAtomFromText(s, base, symbols, allowRange);
  if (typeof parsed === "string") {
    return parsed;
  }
  checkAtom(parsed.atom, base);
  if (parsed.end !== undefined && typeof parsed.atom === "bigint") {
    checkRange(parsed.atom, parsed.end, base);
  }
  return parsed;
}

/** Checks what follows the first integer of a range, then how long the range is. */
function checkRange(start: bigint, end: bigint, base: BaseType): void {
  // Without an enum, the integers between are valid if both ends are. With one, the first of them
  // that is not listed ends this soon.
  for (let i = start + 1n; base.enum !== undefined && i < end; i++) {
    checkAtom(i, base);
  }
  checkAtom(end, base);
  if (end - start >= RANGE_MAX) {
    throw constraintViolation(
      `Range "${start}-${end}" is too big. Maximum allowed size is ${RANGE_MAX}.`,
    );
  }
}

function checkInteger(n: bigint, b: BaseType): void {
  const { minInteger: min, maxInteger: max } = b;
  if (n >= (min ?? n) && n <= (max ?? n)) {
    return;
  }
  throw constraintViolation(rangeText(String(n), min, max));
}

function rangeText(n: string, min: bigint | string | undefined, max: bigint | string | undefined) {
  if (min === undefined) {
    return `${n} is greater than maximum allowed value ${max}`;
  }
  return max === undefined
    ? `${n} is less than minimum allowed value ${min}`
    : `${n} is not in the valid range ${min} to ${max} (inclusive)`;
}

function checkReal(x: number, b: BaseType): void {
  const { minReal: min, maxReal: max } = b;
  if (x >= (min ?? x) && x <= (max ?? x)) {
    return;
  }
  const text = (v: number | undefined) => (v === undefined ? undefined : formatReal(v));
  throw constraintViolation(rangeText(formatReal(x), text(min), text(max)));
}

/** What stands for bytes that are not UTF-8, and halves of pairs that were written as escapes. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function checkString(s: string, b: BaseType): void {
  if (LONE_SURROGATE.test(s)) {
    throw constraintViolation(`not a valid UTF-8 string: ${utf8Fault(s)}`);
  }
  if (b.minLength === undefined && b.maxLength === undefined) {
    return;
  }
  const n = [...s].length;
  if (n < (b.minLength ?? 0)) {
    throw constraintViolation(
      `"${s}" length ${n} is less than minimum allowed length ${b.minLength}`,
    );
  }
  if (n > (b.maxLength ?? n)) {
    throw constraintViolation(
      `"${s}" length ${n} is greater than maximum allowed length ${b.maxLength}`,
    );
  }
}

/** Throws DbError if an atom breaks a constraint. References are checked at commit. */
export function checkAtom(atom: Atom, base: BaseType): void {
  if (base.enum !== undefined && !base.enum.includes(atom)) {
    const valid = base.enum.map((a) => formatAtom(a, base.type)).join(", ");
    throw constraintViolation(
      `${formatAtom(atom, base.type)} is not one of the allowed values ([${valid}])`,
    );
  }
  if (typeof atom === "bigint") {
    checkInteger(atom, base);
  } else if (typeof atom === "number") {
    checkReal(atom, base);
  } else if (typeof atom === "string" && base.type === "string") {
    checkString(atom, base);
  }
}
