// Reading JSON objects member by member, with the complaints of ovsdb-server.
//
// Reference: ovs: lib/ovsdb-parser.c.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { type DbError, syntaxError } from "./db-error.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";

/** Names of an object's members in the order of OVS's hash map: which error comes first shows it. */
export function memberNames(json: JsonObject): string[] {
  const names = new OvsMap<string, string>((k) => hashString(k));
  for (const k of Object.keys(json)) {
    names.set(k, k);
  }
  return [...names.values()];
}

/** Takes members of an object one by one and complains about those nobody asked for. */
export class Members {
  private readonly json: JsonObject;
  private readonly what: string;
  private readonly used = new Set<string>();
  private complained = false;

  constructor(json: Json, what: string) {
    this.what = what;
    if (!isJsonObject(json)) {
      throw syntaxError(undefined, `Parsing ${what} failed: Object expected.`);
    }
    this.json = json;
  }

  /** The object itself. */
  get source(): JsonObject {
    return this.json;
  }

  fail(message: string): DbError {
    this.complained = true;
    return syntaxError(this.json, `Parsing ${this.what} failed: ${message}`);
  }

  /** The member if it is there; `accept` decides whether its type is right. */
  optional<T extends Json>(name: string, accept: (j: Json) => j is T): T | undefined {
    const value = Object.hasOwn(this.json, name) ? this.json[name] : undefined;
    if (value === undefined) {
      return undefined;
    }
    if (!accept(value)) {
      throw this.fail(`Type mismatch for member '${name}'.`);
    }
    this.used.add(name);
    return value;
  }

  required<T extends Json>(name: string, accept: (j: Json) => j is T): T {
    const value = this.optional(name, accept);
    if (value === undefined) {
      throw this.fail(`Required '${name}' member is missing.`);
    }
    return value;
  }

  /**
   * Complains about members other than `known` ones, which outweighs any error but an earlier
   * complaint of this reader.
   */
  finishWith(known: readonly string[]): void {
    if (!this.complained) {
      for (const name of known) {
        this.used.add(name);
      }
      this.finish();
    }
  }

  /** Complains about members that nobody asked for. */
  finish(): void {
    if (Object.keys(this.json).every((k) => this.used.has(k))) {
      return;
    }
    const extra = memberNames(this.json).filter((k) => !this.used.has(k));
    const n = extra.length;
    if (n > 1) {
      throw this.fail(
        `Member '${extra[0]}' and ${n - 1} other member${n > 2 ? "s" : ""} ` +
          "are present but not allowed here.",
      );
    }
    if (n === 1) {
      throw this.fail(`Member '${extra[0]}' is present but not allowed here.`);
    }
  }
}

export const isString = (j: Json): j is string => typeof j === "string";
export const isInteger = (j: Json): j is bigint => typeof j === "bigint";
export const isBoolean = (j: Json): j is boolean => typeof j === "boolean";
export const isNumber = (j: Json): j is bigint | number =>
  typeof j === "bigint" || typeof j === "number";
export const isAny = (j: Json): j is Json => j !== undefined;
export const isObject = (j: Json): j is JsonObject => isJsonObject(j);
export const isArray = (j: Json): j is readonly Json[] => Array.isArray(j);
/** RFC 7047 <id>. */
export const isId = (j: Json): j is string => typeof j === "string" && /^[A-Za-z_]\w*$/.test(j);
