// How a subcommand ends on a mistake of its user: one line on standard error that names the place,
// and exit status 2. A defect of this program is thrown on, with its stack.

import { isSystemError, reasonOf } from "../io/system-error.ts";

/** The exit status of every subcommand that could not do what it was asked for. */
export const EXIT_ERROR = 2;

/** A mistake of the user, or of a file, that ends the subcommand. */
class Refusal extends Error {}

export function refuse(text: string): never {
  throw new Refusal(text);
}

/** The value; where a text stands for it, that is what is wrong. */
export function okOr<T>(value: T | string): T {
  return typeof value === "string" ? refuse(value) : value;
}

/** What `f` answers; what the system refuses to it is said of `what`, such as `--out FILE`. */
export function orRefuse<T>(what: string, f: () => T): T {
  try {
    return f();
  } catch (e) {
    return refuse(`${what}: ${reasonOf(e)}`);
  }
}

/** A line on standard error. */
export function say(subcommand: string, text: string): void {
  process.stderr.write(`tablewalk ${subcommand}: ${text}\n`);
}

/** Runs a subcommand; answers its exit status. */
export async function runSubcommand(name: string, body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (e) {
    if (e instanceof Refusal || isSystemError(e)) {
      say(name, e.message);
    } else if (isOptionError(e)) {
      say(name, `${firstSentence(e.message)}; \`tablewalk ${name} --help\` tells what there is`);
    } else {
      throw e;
    }
    return EXIT_ERROR;
  }
}

/** What parseArgs of node:util throws. */
function isOptionError(e: unknown): e is Error {
  return e instanceof Error && "code" in e && String(e.code).startsWith("ERR_PARSE_ARGS_");
}

/** parseArgs explains at length how arguments that begin with a dash are written. */
function firstSentence(text: string): string {
  return text.split(/\.? (?:To|This|Did) /)[0] ?? text;
}
