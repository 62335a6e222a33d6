// getopt_long() of the GNU C library: long options with unambiguous prefixes, short options that
// may be joined, options and arguments in any order unless `stopAtFirst`.
//
// The error texts are the C library's, because users see them from the real tools.

export type OptArg = "none" | "required" | "optional";

export interface OptSpec {
  /** Name without dashes. */
  readonly name: string;
  readonly arg: OptArg;
  /** One letter alias. */
  readonly short?: string;
}

export interface ParsedOpt {
  readonly name: string;
  readonly arg: string | undefined;
}

export interface GetoptResult {
  readonly opts: readonly ParsedOpt[];
  /** Non-option arguments. */
  readonly rest: readonly string[];
}

type Outcome = { readonly error: string } | { readonly opt: ParsedOpt; readonly used: number };

function takeLong(word: string, next: string | undefined, specs: readonly OptSpec[]): Outcome {
  const eq = word.indexOf("=");
  const name = word.slice(2, eq < 0 ? undefined : eq);
  const value = eq < 0 ? undefined : word.slice(eq + 1);
  let spec = specs.find((s) => s.name === name);
  if (spec === undefined) {
    const near = specs.filter((s) => s.name.startsWith(name));
    if (near.length > 1) {
      const list = near.map((s) => ` '--${s.name}'`).join("");
      return { error: `option '${word}' is ambiguous; possibilities:${list}` };
    }
    spec = near[0];
  }
  if (spec === undefined) {
    return { error: `unrecognized option '--${name}'` };
  }
  if (spec.arg === "none" && value !== undefined) {
    return { error: `option '--${spec.name}' doesn't allow an argument` };
  }
  if (spec.arg === "required" && value === undefined) {
    return next === undefined
      ? { error: `option '--${spec.name}' requires an argument` }
      : { opt: { name: spec.name, arg: next }, used: 2 };
  }
  return { opt: { name: spec.name, arg: value }, used: 1 };
}

/** Takes all the letters of one word such as "-mO"; `next` is the word after it. */
function takeShort(
  word: string,
  next: string | undefined,
  specs: readonly OptSpec[],
  opts: ParsedOpt[],
): { readonly error: string } | { readonly used: number } {
  for (let i = 1; i < word.length; i++) {
    const letter = word[i];
    const spec = specs.find((s) => s.short === letter);
    if (spec === undefined) {
      return { error: `invalid option -- '${letter}'` };
    }
    if (spec.arg === "none") {
      opts.push({ name: spec.name, arg: undefined });
      continue;
    }
    const tail = word.slice(i + 1);
    if (tail !== "" || spec.arg === "optional") {
      opts.push({ name: spec.name, arg: tail === "" ? undefined : tail });
      return { used: 1 };
    }
    if (next === undefined) {
      return { error: `option requires an argument -- '${letter}'` };
    }
    opts.push({ name: spec.name, arg: next });
    return { used: 2 };
  }
  return { used: 1 };
}

/**
 * Splits `argv` (without the program's name) into options and the rest. Each option is shown to
 * `refuse` as soon as it is read, as programs act on them; its text ends the reading.
 */
export function getoptLong(
  argv: readonly string[],
  specs: readonly OptSpec[],
  stopAtFirst: boolean,
  refuse: (opt: ParsedOpt) => string | undefined = () => undefined,
): GetoptResult | { readonly error: string } {
  const opts: ParsedOpt[] = [];
  const rest: string[] = [];
  let checked = 0;
  for (let i = 0; i < argv.length; ) {
    const word = argv[i] ?? "";
    if (word === "--") {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      if (stopAtFirst) {
        rest.push(...argv.slice(i));
        break;
      }
      rest.push(word);
      i++;
      continue;
    }
    if (word.startsWith("--")) {
      const taken = takeLong(word, argv[i + 1], specs);
      if ("error" in taken) {
        return taken;
      }
      opts.push(taken.opt);
      i += taken.used;
    } else {
      const taken = takeShort(word, argv[i + 1], specs, opts);
      if ("error" in taken) {
        return taken;
      }
      i += taken.used;
    }
    for (; checked < opts.length; checked++) {
      const error = refuse(opts[checked] as ParsedOpt);
      if (error !== undefined) {
        return { error };
      }
    }
  }
  return { opts, rest };
}
