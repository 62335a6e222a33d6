// The Open_vSwitch schema as a DbSchema, parsed once from the generated data.

import type { Json } from "./json.ts";
import { type DbSchema, schemaFromJson } from "./schema.ts";
import { VSWITCH_SCHEMA } from "./schemas/vswitch.gen.ts";

/** Plain data, whose whole numbers are integers, as Json. */
export function jsonOfData(data: unknown): Json {
  if (typeof data === "number") {
    return Number.isInteger(data) ? BigInt(data) : data;
  }
  if (Array.isArray(data)) {
    return data.map(jsonOfData);
  }
  if (typeof data === "object" && data !== null) {
    return Object.fromEntries(Object.entries(data).map(([k, v]) => [k, jsonOfData(v)]));
  }
  return typeof data === "string" || typeof data === "boolean" ? data : null;
}

let parsed: DbSchema | undefined;

/** The schema; a constant, so every database may share it. */
export function vswitchSchema(): DbSchema {
  parsed ??= schemaFromJson(jsonOfData(VSWITCH_SCHEMA));
  return parsed;
}
