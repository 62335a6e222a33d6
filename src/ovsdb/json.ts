// JSON as the database uses it: integers of 64 bits kept exact, text in the form that OVS writes.
//
// An integer is a bigint and a real a number, because RFC 7047 treats them as different types and
// integers go beyond 2^53. Objects keep the order of their members. Nesting is limited, so hostile
// input cannot exhaust the stack. References: RFC 8259; ovs: lib/json.c.

export type Json = null | boolean | bigint | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Deeper nesting is an error (ovs: JSON_MAX_HEIGHT). */
export const JSON_DEPTH_MAX = 1000;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export function isJsonObject(j: Json | undefined): j is JsonObject {
  return typeof j === "object" && j !== null && !Array.isArray(j);
}

export function isJsonArray(j: Json | undefined): j is readonly Json[] {
  return Array.isArray(j);
}

/** Name of a value's type as OVS's messages spell it. */
export function jsonTypeName(j: Json): string {
  if (j === null) {
    return "null";
  }
  switch (typeof j) {
    case "boolean":
      return j ? "true" : "false";
    case "bigint":
      return "number";
    case "number":
      return "number";
    case "string":
      return "string";
    default:
      return Array.isArray(j) ? "array" : "object";
  }
}

export class JsonSyntaxError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

const WHITE = /[ \t\n\r]/;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;

class Parser {
  private readonly text: string;
  private pos = 0;

  constructor(text: string) {
    this.text = text;
  }

  document(): Json {
    const value = this.value(0);
    this.space();
    if (this.pos < this.text.length) {
      throw this.error("trailing garbage at end of input");
    }
    return value;
  }

  private error(message: string): JsonSyntaxError {
    return new JsonSyntaxError(message, this.pos);
  }

  private space(): void {
    while (this.pos < this.text.length && WHITE.test(this.text[this.pos] ?? "")) {
      this.pos++;
    }
  }

  private value(depth: number): Json {
    if (depth > JSON_DEPTH_MAX) {
      throw this.error("input exceeds maximum nesting depth 1000");
    }
    this.space();
    switch (this.text[this.pos]) {
      case undefined:
        throw this.error("unexpected end of input");
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.keyword("true", true);
      case "f":
        return this.keyword("false", false);
      case "n":
        return this.keyword("null", null);
      default:
        return this.number();
    }
  }

  private keyword(word: string, value: Json): Json {
    if (!this.text.startsWith(word, this.pos)) {
      throw this.error("invalid keyword");
    }
    this.pos += word.length;
    return value;
  }

  private number(): Json {
    NUMBER.lastIndex = this.pos;
    const m = NUMBER.exec(this.text);
    if (m === null) {
      throw this.error("syntax error beginning of token");
    }
    this.pos += m[0].length;
    return jsonNumber(m[0]);
  }

  private string(): string {
    const start = this.pos + 1;
    let end = start;
    while (end < this.text.length && this.text[end] !== '"') {
      const c = this.text[end] ?? "";
      if (c < " ") {
        throw this.error(`U+${hex4(c)} must be escaped in quoted string`);
      }
      end += this.text[end] === "\\" ? 2 : 1;
    }
    if (end >= this.text.length) {
      throw this.error("unexpected end of input in quoted string");
    }
    const body = unescapeJsonString(this.text.slice(start, end));
    if ("error" in body) {
      throw this.error(body.error);
    }
    this.pos = end + 1;
    return body.value;
  }

  private array(depth: number): Json {
    const items: Json[] = [];
    this.pos++;
    this.space();
    if (this.text[this.pos] === "]") {
      this.pos++;
      return items;
    }
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      const c = this.text[this.pos];
      if (c !== "," && c !== "]") {
        throw this.error("syntax error expecting ',' or ']'");
      }
      this.pos++;
      if (c === "]") {
        return items;
      }
    }
  }

  private object(depth: number): Json {
    const members: [string, Json][] = [];
    this.pos++;
    this.space();
    if (this.text[this.pos] === "}") {
      this.pos++;
      return {};
    }
    for (;;) {
      this.space();
      if (this.text[this.pos] !== '"') {
        throw this.error("syntax error parsing object expecting string");
      }
      const key = this.string();
      this.space();
      if (this.text[this.pos] !== ":") {
        throw this.error("syntax error parsing object expecting ':'");
      }
      this.pos++;
      members.push([key, this.value(depth + 1)]);
      this.space();
      const c = this.text[this.pos];
      if (c !== "," && c !== "}") {
        throw this.error("syntax error expecting '}' or ','");
      }
      this.pos++;
      if (c === "}") {
        // Object.fromEntries() makes even "__proto__" an ordinary member.
        return Object.fromEntries(members);
      }
    }
  }
}

/** An integer if the number is one within 64 bits, else a real (ovs: json_lex_number). */
export function jsonNumber(text: string): Json {
  if (/^-?\d+$/.test(text)) {
    const n = BigInt(text);
    if (n >= INT64_MIN && n <= INT64_MAX) {
      return n;
    }
  }
  const real = Number(text);
  if (Number.isInteger(real) && Math.abs(real) < 2 ** 63) {
    return BigInt(real);
  }
  return real === 0 ? 0 : real;
}

/** Parses a whole text; throws JsonSyntaxError. */
export function parseJson(text: string): Json {
  return new Parser(text).document();
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** What a `\u` escape at `i` (after the backslash) stands for and how many characters it takes. */
function unicodeEscape(s: string, i: number): { char: string; used: number } | { error: string } {
  const hex = s.slice(i + 1, i + 5);
  if (hex.length < 4) {
    return { error: "quoted string ends within \\u escape" };
  }
  if (!/^[0-9a-fA-F]{4}$/.test(hex)) {
    return { error: "malformed \\u escape" };
  }
  const unit = Number.parseInt(hex, 16);
  if (unit === 0) {
    return { error: "null bytes not supported in quoted strings" };
  }
  if (unit < 0xd800 || unit > 0xdfff) {
    return { char: String.fromCharCode(unit), used: 5 };
  }
  const low = /^\\u([0-9a-fA-F]{4})/.exec(s.slice(i + 5));
  if (unit > 0xdbff || low === null) {
    return { error: "malformed escaped surrogate pair" };
  }
  const second = Number.parseInt(low[1] ?? "", 16);
  if (second < 0xdc00 || second > 0xdfff) {
    return { error: "second half of escaped surrogate pair is not trailing surrogate" };
  }
  return { char: String.fromCharCode(unit, second), used: 11 };
}

/** The text between the quotes of a JSON string; an error has OVS's words. */
export function unescapeJsonString(s: string): { value: string } | { error: string } {
  let out = "";
  for (let i = 0; i < s.length; ) {
    const c = s[i] ?? "";
    if (c === '"') {
      return { error: 'quoted string may not include unescaped "' };
    }
    if (c !== "\\") {
      out += c;
      i++;
      continue;
    }
    const e = s[i + 1];
    if (e === undefined) {
      return { error: "quoted string may not end with backslash" };
    }
    if (e === "u") {
      const u = unicodeEscape(s, i + 1);
      if ("error" in u) {
        return u;
      }
      out += u.char;
      i += 1 + u.used;
      continue;
    }
    const simple = ESCAPES[e];
    if (simple === undefined) {
      return { error: `bad escape \\${e}` };
    }
    out += simple;
    i += 2;
  }
  return { value: out };
}

function hex4(c: string): string {
  return c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
}

/** A string in quotes, escaped as OVS does. */
export function quoteJson(s: string): string {
  let out = '"';
  for (const c of s) {
    switch (c) {
      case '"':
        out += '\\"';
        break;
      case "\\":
        out += "\\\\";
        break;
      case "\b":
        out += "\\b";
        break;
      case "\f":
        out += "\\f";
        break;
      case "\n":
        out += "\\n";
        break;
      case "\r":
        out += "\\r";
        break;
      case "\t":
        out += "\\t";
        break;
      default:
        out += c < " " ? `\\u${hex4(c).toLowerCase()}` : c;
    }
  }
  return `${out}"`;
}

/** A real with up to 15 significant digits, as C's "%.15g" prints it. */
export function formatReal(x: number): string {
  if (!Number.isFinite(x)) {
    return Number.isNaN(x) ? "nan" : x < 0 ? "-inf" : "inf";
  }
  if (x === 0) {
    return Object.is(x, -0) ? "-0" : "0";
  }
  const [mantissa = "", exp = "0"] = x.toExponential(14).split("e");
  const e = Number(exp);
  if (e < -5 || e >= 15) {
    const short = mantissa.replace(/\.?0+$/, "");
    return `${short}e${e < 0 ? "-" : "+"}${String(Math.abs(e)).padStart(2, "0")}`;
  }
  const fixed = x.toFixed(Math.min(100, Math.max(0, 14 - e)));
  return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
}

export interface JsonFormat {
  /** Members of objects in the order of their names. */
  readonly sort?: boolean;
  /** Line breaks and two blanks a level. */
  readonly pretty?: boolean;
}

/** Text of a value, without spaces unless pretty. */
export function formatJson(json: Json, format: JsonFormat = {}): string {
  const out: string[] = [];
  write(json, format, 0, out);
  return out.join("");
}

function write(json: Json, format: JsonFormat, level: number, out: string[]): void {
  if (json === null || typeof json === "boolean" || typeof json === "bigint") {
    out.push(String(json));
  } else if (typeof json === "number") {
    out.push(formatReal(json));
  } else if (typeof json === "string") {
    out.push(quoteJson(json));
  } else if (isJsonArray(json)) {
    writeItems("[", "]", json.length, format, level, out, (i) => {
      write(json[i] ?? null, format, level + 1, out);
    });
  } else {
    const keys = Object.keys(json);
    if (format.sort === true) {
      keys.sort();
    }
    writeItems("{", "}", keys.length, format, level, out, (i) => {
      const key = keys[i] ?? "";
      out.push(quoteJson(key), format.pretty === true ? ": " : ":");
      write(json[key] ?? null, format, level + 1, out);
    });
  }
}

function writeItems(
  open: string,
  close: string,
  n: number,
  format: JsonFormat,
  level: number,
  out: string[],
  item: (i: number) => void,
): void {
  const pretty = format.pretty === true;
  const lineBreak = `\n${"  ".repeat(level + 1)}`;
  out.push(open);
  // As OVS prints it: the closing bracket stays on the last line.
  if (pretty && (n > 0 || open === "{")) {
    out.push(lineBreak);
  }
  for (let i = 0; i < n; i++) {
    if (i > 0) {
      out.push(pretty ? `,${lineBreak}` : ",");
    }
    item(i);
  }
  out.push(close);
}
