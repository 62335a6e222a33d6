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

/** A double this small is none that strtod() accepts without complaint. */
const REAL_MIN = 2.2250738585072014e-308;
const UINT64_MAX = 2n ** 64n - 1n;
const EXPONENT_MAX = 2 ** 31 - 1;

/** Why a text of the characters of numbers is none; undefined if it is one. */
function numberFault(text: string): string | undefined {
  const m = /^-?(0(?!\d)|[1-9]\d*)?(\.\d*)?([eE][+-]?\d*)?/.exec(text);
  const [all = "", whole, fraction, exponent] = m ?? [];
  if (whole === undefined) {
    return /^-?0/.test(text) ? "leading zeros not allowed" : "'-' must be followed by digit";
  }
  if (fraction === ".") {
    return "decimal point must be followed by digit";
  }
  if (exponent !== undefined && !/\d/.test(exponent)) {
    return "exponent must contain at least one digit";
  }
  if (Math.abs(Number(exponent?.slice(1) ?? 0)) > EXPONENT_MAX) {
    return "exponent outside valid range";
  }
  return all.length < text.length ? "syntax error in number" : undefined;
}

/** The integer that a number is, if it is one that 64 bits hold. */
function integerOf(text: string): bigint | undefined {
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  let significand = 0n;
  let pow10 = Number(exponent);
  for (const [i, digit] of [...whole, ...fraction].entries()) {
    const inFraction = i >= whole.length;
    if (significand <= UINT64_MAX / 10n) {
      // The last digit may be one too many: then OVS keeps what is left in 64 bits.
      significand = BigInt.asUintN(64, significand * 10n + BigInt(digit));
      pow10 -= inFraction ? 1 : 0;
    } else if (digit !== "0") {
      return undefined;
    } else {
      pow10 += inFraction ? 0 : 1;
    }
  }
  if (significand === 0n) {
    return 0n;
  }
  for (; pow10 > 0 && significand < UINT64_MAX / 10n; pow10--) {
    significand *= 10n;
  }
  for (; pow10 < 0 && significand % 10n === 0n; pow10++) {
    significand /= 10n;
  }
  const n = sign === "-" ? -significand : significand;
  return pow10 === 0 && n >= INT64_MIN && n <= INT64_MAX ? n : undefined;
}

/** An integer if the number is one within 64 bits, else a real; a string tells what is wrong. */
export function jsonNumber(text: string): bigint | number | string {
  const fault = numberFault(text);
  if (fault !== undefined) {
    return fault;
  }
  const n = integerOf(text);
  if (n !== undefined) {
    return n;
  }
  const real = Number(text);
  const tiny = real !== 0 && Math.abs(real) < REAL_MIN;
  return !Number.isFinite(real) || tiny ? "number outside valid range" : real === 0 ? 0 : real;
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

/** The number that four hex digits are, or what is wrong with them. */
function fourHex(s: string, i: number): number | string {
  const hex = s.slice(i, i + 4);
  if (hex.length < 4) {
    return "quoted string ends within \\u escape";
  }
  if (!/^[0-9a-fA-F]{4}$/.test(hex)) {
    return "malformed \\u escape";
  }
  return Number.parseInt(hex, 16) || "null bytes not supported in quoted strings";
}

/** What a `\u` escape at `i` (after the backslash) stands for and how many characters it takes. */
function unicodeEscape(s: string, i: number): { char: string; used: number } | { error: string } {
  const unit = fourHex(s, i + 1);
  if (typeof unit === "string") {
    return { error: unit };
  }
  if (unit < 0xd800 || unit > 0xdbff) {
    return { char: String.fromCharCode(unit), used: 5 };
  }
  if (s.slice(i + 5, i + 7) !== "\\u") {
    return { error: "malformed escaped surrogate pair" };
  }
  const low = fourHex(s, i + 7);
  if (typeof low === "string") {
    return { error: low };
  }
  const second = low;
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
