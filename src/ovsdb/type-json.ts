// Column types from and to the JSON of a schema.
//
// References: RFC 7047 §3.2 <type>, <base-type>; ovs: lib/ovsdb-types.c.

import { type AtomicType, compareAtoms } from "./atom.ts";
import { datumFromJson, datumToJson } from "./datum.ts";
import { syntaxError } from "./db-error.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { isAny, isId, isInteger, isNumber, isString, Members } from "./members.ts";
import { type BaseType, type ColumnType, enumType, isScalar } from "./types.ts";

const ATOMIC_TYPES: readonly AtomicType[] = ["integer", "real", "boolean", "string", "uuid"];

function atomicTypeFromJson(json: Json): AtomicType {
  const found = ATOMIC_TYPES.find((t) => t === json);
  if (found === undefined) {
    throw syntaxError(
      json,
      typeof json === "string" ? `"${json}" is not an atomic-type` : "atomic-type expected",
    );
  }
  return found;
}

function lengthMember(m: Members, name: string): number | undefined {
  const v = m.optional(name, isInteger);
  if (v !== undefined && (v < 0n || v > 0xffffffffn)) {
    throw syntaxError(v, `${name} out of valid range 0 to ${0xffffffff}`);
  }
  return v === undefined ? undefined : Number(v);
}

/** Leaves out members whose value is undefined. */
function compact<T extends object>(o: { [K in keyof T]: T[K] | undefined }): Partial<T> {
  const entries = Object.entries(o).filter(([, v]) => v !== undefined);
  // Object.fromEntries() forgets the types of the members, which the filter has not changed.
  return Object.fromEntries(entries) as Partial<T>;
}

function constraintsFromJson(m: Members, json: Json, type: AtomicType): Partial<BaseType> {
  switch (type) {
    case "integer": {
      const minInteger = m.optional("minInteger", isInteger);
      const maxInteger = m.optional("maxInteger", isInteger);
      if (minInteger !== undefined && maxInteger !== undefined && minInteger > maxInteger) {
        throw syntaxError(json, "minInteger exceeds maxInteger");
      }
      return compact<BaseType>({ type, minInteger, maxInteger });
    }
    case "real": {
      const min = m.optional("minReal", isNumber);
      const max = m.optional("maxReal", isNumber);
      if (min !== undefined && max !== undefined && Number(min) > Number(max)) {
        throw syntaxError(json, "minReal exceeds maxReal");
      }
      const minReal = min === undefined ? undefined : Number(min);
      const maxReal = max === undefined ? undefined : Number(max);
      return compact<BaseType>({ type, minReal, maxReal });
    }
    case "string": {
      const minLength = lengthMember(m, "minLength");
      const maxLength = lengthMember(m, "maxLength");
      if ((minLength ?? 0) > (maxLength ?? 0xffffffff)) {
        throw syntaxError(json, "minLength exceeds maxLength");
      }
      return compact<BaseType>({ type, minLength, maxLength });
    }
    case "uuid": {
      const refTable = m.optional("refTable", isId);
      if (refTable === undefined) {
        return {};
      }
      const refType = m.optional("refType", isId) ?? "strong";
      if (refType !== "strong" && refType !== "weak") {
        throw syntaxError(json, `refType must be "strong" or "weak" (not "${refType}")`);
      }
      return { refTable, refType };
    }
    case "boolean":
      return {};
  }
}

/** Throws DbError. */
function baseTypeFromJson(json: Json): BaseType {
  if (typeof json === "string") {
    return { type: atomicTypeFromJson(json) };
  }
  const m = new Members(json, "ovsdb type");
  const type = atomicTypeFromJson(m.required("type", isString));
  const allowed = m.optional("enum", isAny);
  const rest: Partial<BaseType> =
    allowed !== undefined
      ? { enum: datumFromJson(allowed, enumType(type), undefined).keys }
      : constraintsFromJson(m, json, type);
  m.finish();
  return { ...rest, type };
}

function countFromJson(json: Json | undefined, fallback: number): number {
  if (json === undefined) {
    return fallback;
  }
  if (typeof json === "bigint" && json >= 0n && json < 0xffffffffn) {
    return Number(json);
  }
  throw syntaxError(json, "bad min or max value");
}

/** Throws DbError. */
export function columnTypeFromJson(json: Json): ColumnType {
  if (typeof json === "string") {
    return { key: baseTypeFromJson(json), value: undefined, min: 1, max: 1 };
  }
  if (!isJsonObject(json)) {
    throw syntaxError(json, "ovsdb type expected");
  }
  const m = new Members(json, "ovsdb type");
  const typed = (j: Json): j is string | JsonObject => isString(j) || isJsonObject(j);
  const key = m.required("key", typed);
  const value = m.optional("value", typed);
  const min = m.optional("min", isInteger);
  const max = m.optional("max", (j): j is bigint | string => isInteger(j) || isString(j));
  m.finish();
  const type = {
    key: baseTypeFromJson(key),
    value: value === undefined ? undefined : baseTypeFromJson(value),
    min: countFromJson(min, 1),
    max: max === "unlimited" ? Number.POSITIVE_INFINITY : countFromJson(max, 1),
  };
  if ((type.min !== 0 && type.min !== 1) || type.max < 1) {
    throw syntaxError(json, "ovsdb type fails constraint checks");
  }
  return { ...type, min: type.min };
}

/** RFC 7047 <base-type>. */
function baseTypeToJson(b: BaseType): Json {
  const { type, enum: allowed, refType, ...constraints } = b;
  const members: Record<string, Json> = { type };
  if (allowed !== undefined) {
    const keys = allowed.toSorted(compareAtoms);
    members.enum = datumToJson({ keys, values: undefined }, enumType(type));
  }
  for (const [name, value] of Object.entries(constraints)) {
    const whole = typeof value === "number" && name !== "minReal" && name !== "maxReal";
    members[name] = whole ? BigInt(value) : value;
  }
  if (refType === "weak") {
    members.refType = "weak";
  }
  return Object.keys(members).length === 1 ? type : members;
}

/** RFC 7047 <type>. */
export function columnTypeToJson(t: ColumnType): Json {
  const key = baseTypeToJson(t.key);
  if (isScalar(t) && typeof key === "string") {
    return key;
  }
  return {
    key,
    ...(t.value === undefined ? {} : { value: baseTypeToJson(t.value) }),
    ...(t.min === 1 ? {} : { min: BigInt(t.min) }),
    ...(t.max === 1
      ? {}
      : { max: t.max === Number.POSITIVE_INFINITY ? "unlimited" : BigInt(t.max) }),
  };
}
