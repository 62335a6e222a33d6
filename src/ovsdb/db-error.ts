// Errors of the database, as ovsdb-server reports them: a tag, details and the JSON at fault.
//
// Inside this layer a bad input is thrown as a DbError, because parsers of nested data would pass
// results up through many levels; each public entry point says that it throws it or turns it into
// a value. References: ovs: lib/ovsdb-error.c, RFC 7047 §3.1 <error>.

import { formatJson, type Json, type JsonObject } from "./json.ts";

export class DbError extends Error {
  /** "constraint violation", "syntax error", … */
  readonly tag: string;
  readonly details: string | undefined;
  /** Text of the JSON that is wrong. */
  readonly syntax: string | undefined;

  constructor(tag: string, details?: string, syntax?: string) {
    super(details === undefined ? tag : `${tag}: ${details}`);
    this.tag = tag;
    this.details = details;
    this.syntax = syntax;
  }

  /** One line for people (ovs: ovsdb_error_to_string). */
  override toString(): string {
    const where = this.syntax === undefined ? "" : `syntax "${this.syntax}": `;
    return `${where}${this.tag}${this.details === undefined ? "" : `: ${this.details}`}`;
  }

  /** RFC 7047 <error>. */
  toJson(): JsonObject {
    return {
      error: this.tag,
      ...(this.details === undefined ? {} : { details: this.details }),
      ...(this.syntax === undefined ? {} : { syntax: this.syntax }),
    };
  }
}

/** The error for JSON that does not mean what it should; undefined stands for none to show. */
export function syntaxError(
  json: Json | undefined,
  details: string,
  tag = "syntax error",
): DbError {
  const syntax = json === undefined ? undefined : formatJson(json, { sort: true });
  return new DbError(tag, details, syntax);
}

/** The error for a value that its column does not allow. */
export function constraintViolation(details: string): DbError {
  return new DbError("constraint violation", details);
}

/** Runs `f`; a DbError becomes a value. Any other exception is a defect and goes on. */
export function catchDbError<T>(f: () => T): { value: T } | { error: DbError } {
  try {
    return { value: f() };
  } catch (e) {
    if (e instanceof DbError) {
      return { error: e };
    }
    throw e;
  }
}
