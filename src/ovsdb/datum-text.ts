// Datums as text: what users of ovs-vsctl type and what its tables show.
//
// References: ovs-vsctl(8) "Database Values"; ovs: lib/ovsdb-data.c ovsdb_datum_from_string,
// ovsdb_datum_to_string; lib/ovsdb-data.c ovsdb_token_parse.

import {
  type Atom,
  type AtomText,
  atomFromText,
  formatAtom,
  formatAtomBare,
  type SymbolTable,
} from "./atom.ts";
import { type Datum, fromPairs, sortedDatum } from "./datum.ts";
import { type ColumnType, typeToEnglish } from "./types.ts";

/** True for the characters that end an unquoted word. */
function isTokenDelimiter(c: string): boolean {
  return c === "" || ":=, []{}!<>".includes(c);
}

/** Reads a text word by word: quoted parts, backslashes, delimiters (ovs: ovsdb_token_parse). */
export class TokenReader {
  readonly text: string;
  pos: number;

  constructor(text: string, pos = 0) {
    this.text = text;
    this.pos = pos;
  }

  /** The character at the position, "" at the end. */
  peek(): string {
    return this.text[this.pos] ?? "";
  }

  skipSpaces(): void {
    while (/[ \t\n\v\f\r]/.test(this.peek())) {
      this.pos++;
    }
  }

  /** The next word, its quotes and their escapes still in it; throws TokenError. */
  token(): string {
    const start = this.text.slice(this.pos);
    let out = "";
    let quoted = false;
    while (this.pos < this.text.length) {
      const c = this.peek();
      if (c === "\\") {
        this.pos++;
        if (this.pos >= this.text.length) {
          throw new TokenError(`${start}: backslash at end of argument`);
        }
        out += (quoted ? "\\" : "") + this.peek();
        this.pos++;
        continue;
      }
      if (!quoted && isTokenDelimiter(c)) {
        break;
      }
      quoted = c === '"' ? !quoted : quoted;
      out += c;
      this.pos++;
    }
    if (quoted) {
      throw new TokenError(`${start}: quoted string extends past end of argument`);
    }
    return out;
  }
}

/** A text that cannot be parsed; the message is for the user. */
export class TokenError extends Error {}

function parsed(x: AtomText | string): AtomText {
  if (typeof x === "string") {
    throw new TokenError(x);
  }
  return x;
}

/** One member of a set or map in a text; a range of integers gives several. */
function textMember(
  r: TokenReader,
  type: ColumnType,
  symbols: SymbolTable | undefined,
  allowRange: boolean,
): (readonly [Atom, Atom | undefined])[] {
  const start = r.text.slice(r.pos);
  const key = parsed(atomFromText(r.token(), type.key, symbols, allowRange));
  let value: Atom | undefined;
  if (type.value !== undefined) {
    r.skipSpaces();
    if (r.peek() !== "=") {
      // At the end of the text, ovs-vsctl prints a NUL character, which ends its message.
      const c = r.peek();
      throw new TokenError(`${start}: syntax error at "${c === "" ? "" : `${c}" expecting "="`}`);
    }
    r.pos++;
    r.skipSpaces();
    value = parsed(atomFromText(r.token(), type.value, symbols)).atom;
  }
  const out: (readonly [Atom, Atom | undefined])[] = [];
  const end = key.end ?? key.atom;
  if (typeof key.atom === "bigint" && typeof end === "bigint") {
    for (let i = key.atom; i <= end; i++) {
      out.push([i, value]);
    }
  } else {
    out.push([key.atom, value]);
  }
  return out;
}

/** The members up to the closing delimiter, which must be there if there was an opening one. */
function textMembers(r: TokenReader, type: ColumnType, symbols: SymbolTable | undefined) {
  const s = r.text;
  const isMap = type.value !== undefined;
  let end = "";
  r.skipSpaces();
  if (r.peek() === (isMap ? "{" : "[")) {
    end = isMap ? "}" : "]";
    r.pos++;
    r.skipSpaces();
  } else if (r.peek() === "") {
    const kind = isMap ? '"{}" to specify the empty map' : '"[]" to specify the empty set';
    throw new TokenError(`use ${kind}`);
  }
  const pairs: (readonly [Atom, Atom | undefined])[] = [];
  while (r.peek() !== "" && r.peek() !== end) {
    if (isTokenDelimiter(r.peek())) {
      throw new TokenError(`${s}: unexpected "${r.peek()}" parsing ${typeToEnglish(type)}`);
    }
    pairs.push(...textMember(r, type, symbols, true));
    r.skipSpaces();
    if (r.peek() === ",") {
      r.pos++;
      r.skipSpaces();
    }
  }
  if (r.peek() !== end) {
    throw new TokenError(`${s}: missing "${end}" at end of data`);
  }
  if (end !== "") {
    r.pos++;
    r.skipSpaces();
    if (r.peek() !== "") {
      throw new TokenError(`${s}: trailing garbage after "${end}"`);
    }
  }
  return pairs;
}

/** Parses the text of a value; throws TokenError or DbError with the text for the user. */
export function datumFromText(s: string, type: ColumnType, symbols?: SymbolTable): Datum {
  const isMap = type.value !== undefined;
  const pairs = textMembers(new TokenReader(s), type, symbols);
  const n = pairs.length;
  const unit = isMap ? "pair(s)" : "value(s)";
  if (n < type.min) {
    throw new TokenError(`${s}: ${n} ${unit} specified but the minimum number is ${type.min}`);
  }
  if (n > type.max) {
    throw new TokenError(`${s}: ${n} ${unit} specified but the maximum number is ${type.max}`);
  }
  const { keys, values } = fromPairs(pairs, isMap);
  const datum = sortedDatum(keys, values);
  if (typeof datum === "string") {
    throw new TokenError(
      `${s}: ${isMap ? "map contains duplicate key" : "set contains duplicate value"}`,
    );
  }
  return datum;
}

/** Text that parses back: brackets unless the type allows just one member. */
export function formatDatum(d: Datum, type: ColumnType): string {
  const { key, value } = type;
  const members = d.keys.map((k, i) => {
    const text = formatAtom(k, key.type);
    return value === undefined ? text : `${text}=${formatAtom(d.values?.[i] ?? "", value.type)}`;
  });
  const body = members.join(", ");
  if (type.max === 1 && d.keys.length > 0) {
    return body;
  }
  return value === undefined ? `[${body}]` : `{${body}}`;
}

/** Text without brackets and quotes, for scripts. */
export function formatDatumBare(d: Datum, type: ColumnType): string {
  const { key, value } = type;
  return d.keys
    .map((k, i) => {
      const text = formatAtomBare(k, key.type);
      return value === undefined
        ? text
        : `${text}=${formatAtomBare(d.values?.[i] ?? "", value.type)}`;
    })
    .join(" ");
}
