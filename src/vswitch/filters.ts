// The few text tools that scripts put behind a "|": dumps come in an order that means nothing, or
// hold more than a reader wants. As POSIX has them in the C locale; options that nobody needs here
// are refused. Basic regular expressions become those of JavaScript.

export interface FilterResult {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Flags and other arguments of a filter. */
interface FilterArgs {
  readonly flags: ReadonlySet<string>;
  readonly rest: readonly string[];
}

interface Filter {
  /** Letters of flags that are understood. */
  readonly flags: string;
  run(lines: readonly string[], args: FilterArgs): FilterResult | string;
}

function lines(of: readonly string[], exit = 0): FilterResult {
  return { exit, stdout: of.map((l) => `${l}\n`).join(""), stderr: "" };
}

/** In a basic expression, a backslash gives ( ) { } + ? | the meaning that they have here without. */
function basicToJs(pattern: string): string {
  return pattern.replace(/\\?[(){}+?|]|\[\^?\]?[^\]]*\]|\\./g, (m) => {
    if (m.length === 1) {
      return `\\${m}`;
    }
    return /^\\[(){}+?|]$/.test(m) ? m.slice(1) : m;
  });
}

function expression(pattern: string, extended: boolean, flags: string): RegExp | null {
  try {
    return new RegExp(extended ? pattern : basicToJs(pattern), flags);
  } catch {
    return null;
  }
}

const grep: Filter = {
  flags: "cEFivo",
  run: (input, { flags, rest: [pattern, ...more] }) => {
    if (pattern === undefined || more.length > 0) {
      return "exactly one pattern is needed";
    }
    const source = flags.has("F") ? pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : pattern;
    const re = expression(source, flags.has("E") || flags.has("F"), flags.has("i") ? "gi" : "g");
    if (re === null) {
      return `${pattern}: this expression is not understood`;
    }
    const found = input.filter((l) => l.search(re) >= 0 !== flags.has("v"));
    const exit = found.length === 0 ? 1 : 0;
    if (flags.has("c")) {
      return lines([String(found.length)], exit);
    }
    return lines(flags.has("o") ? found.flatMap((l) => l.match(re) ?? []) : found, exit);
  },
};

const sed: Filter = {
  flags: "E",
  run: (input, { flags, rest: [script = "", ...more] }) => {
    const parts = script.slice(2).split(script[1] ?? "/");
    const [pattern = "", replacement = "", how = "", ...others] = parts;
    const plain = script[0] === "s" && parts.length === 3 && /^g?$/.test(how);
    const re = plain ? expression(pattern, flags.has("E"), how) : null;
    if (re === null || more.length > 0 || others.length > 0) {
      return "only s/EXPRESSION/TEXT/ and s/EXPRESSION/TEXT/g are understood";
    }
    const text = (match: readonly string[]) =>
      replacement.replace(/\\(.)|&/g, (m, escaped?: string) => {
        const group = m === "&" ? "0" : (escaped ?? "");
        return /\d/.test(group) ? (match[Number(group)] ?? "") : group;
      });
    return lines(input.map((l) => l.replace(re, (...match: string[]) => text(match))));
  },
};

/** Number of lines that `head` and `tail` keep: -n N, -nN or -N. */
function lineCount(rest: readonly string[]): number | null {
  const m = /^(?:-n? *(\d+))?$/.exec(rest.join(" "));
  return m === null ? null : Number(m[1] ?? 10);
}

const FILTERS: Readonly<Record<string, Filter>> = {
  sort: {
    flags: "ru",
    run: (input, { flags, rest }) => {
      if (rest.length > 0) {
        return "it sorts what comes through the pipe only";
      }
      const sorted = input.toSorted();
      const kept = flags.has("u") ? sorted.filter((l, i) => l !== sorted[i - 1]) : sorted;
      return lines(flags.has("r") ? kept.toReversed() : kept);
    },
  },
  uniq: { flags: "", run: (input) => lines(input.filter((l, i) => l !== input[i - 1])) },
  wc: {
    flags: "l",
    run: (input, { flags }) =>
      flags.has("l") ? lines([String(input.length)]) : "only -l is understood",
  },
  head: {
    flags: "",
    run: (input, { rest }) => {
      const n = lineCount(rest);
      return n === null ? "only -n N is understood" : lines(input.slice(0, n));
    },
  },
  tail: {
    flags: "",
    run: (input, { rest }) => {
      const n = lineCount(rest);
      return n === null ? "only -n N is understood" : lines(n === 0 ? [] : input.slice(-n));
    },
  },
  grep,
  sed,
};

export const FILTER_NAMES: readonly string[] = Object.keys(FILTERS);

/** Flags are letters that the filter knows; what starts otherwise belongs to the rest. */
function splitArgs(known: string, args: readonly string[]): FilterArgs | string {
  const flags = new Set<string>();
  const rest: string[] = [];
  for (const [i, arg] of args.entries()) {
    const isFlags = known !== "" && /^-./.test(arg) && rest.length === 0;
    if (isFlags && arg === "-e") {
      return { flags, rest: args.slice(i + 1) };
    }
    const odd = isFlags ? [...arg.slice(1)].find((f) => !known.includes(f)) : undefined;
    if (odd !== undefined) {
      return `option -${odd} is not understood`;
    }
    if (isFlags) {
      for (const f of arg.slice(1)) {
        flags.add(f);
      }
    } else {
      rest.push(arg);
    }
  }
  return { flags, rest };
}

/** What a command behind a pipe makes of the text; null if there is no such command. */
export function runFilter(argv: readonly string[], text: string): FilterResult | null {
  const [name = "", ...args] = argv;
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (filter === undefined) {
    return null;
  }
  const input = text.split("\n");
  if (input.at(-1) === "") {
    input.pop();
  }
  const split = splitArgs(filter.flags, args);
  const result = typeof split === "string" ? split : filter.run(input, split);
  return typeof result === "string"
    ? { exit: 2, stdout: "", stderr: `${name}: ${result}\n` }
    : result;
}
