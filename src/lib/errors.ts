// Errors: bad input is a value, bad code is an exception.
//
// A parser returns `Result`. Its error carries the text that the user should read (Open vSwitch's
// own words where it has any), where in the input it stands, and perhaps a near match. An
// assertion that fails is a defect of this program and throws.

/** What is wrong with an input. */
export interface ParseError {
  /** What a person reads; the whole line without a prefix such as a program's name. */
  readonly message: string;
  /** The input or the part of it that is wrong. */
  readonly text: string;
  /** Offset in the input, in UTF-16 units for texts and in bytes for binary inputs. */
  readonly offset: number;
  /** A near match or advice. */
  readonly hint?: string;
}

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

export interface Fail {
  readonly ok: false;
  readonly error: ParseError;
}

export type Result<T> = Ok<T> | Fail;

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function fail(message: string, text = "", offset = 0, hint?: string): Fail {
  const error = hint === undefined ? { message, text, offset } : { message, text, offset, hint };
  return { ok: false, error };
}

/** Thrown when the program, not its input, is wrong. */
export class AssertionError extends Error {}

export function assert(condition: boolean, message = "assertion failed"): asserts condition {
  if (!condition) {
    throw new AssertionError(message);
  }
}

/** Marks what the type checker knows to be impossible. */
export function unreachable(value: never, message = "unreachable"): never {
  throw new AssertionError(`${message}: ${String(value)}`);
}

/** The value, which the caller knows to be there. */
export function defined<T>(value: T | undefined | null, message = "value is missing"): T {
  if (value === undefined || value === null) {
    throw new AssertionError(message);
  }
  return value;
}
