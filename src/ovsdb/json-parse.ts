// JSON from bytes: whole values, or a walk over members that keeps nothing.
//
// Files of databases are larger than what their JSON would take as objects, so a JsonReader works
// on bytes and can step over a value (`skip`) or visit the members of an object one by one. Either
// way the same code reads, so both find the same errors, with OVS's words and places. A byte that
// is no part of UTF-8 becomes a lone surrogate (INVALID_BYTE), which strings of the database refuse.
// References: RFC 8259; ovs: lib/json.c (json_parser_feed, json_parser_input).

import { decodeAscii, decodeUtf8, encodeUtf8 } from "../lib/bytes.ts";
import { JSON_DEPTH_MAX, type Json, jsonNumber, unescapeJsonString } from "./json.ts";

export class JsonSyntaxError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Where in an input a value is. */
export interface JsonPlace {
  readonly offset: number;
  readonly level: number;
}

/** Lone surrogate that stands for the byte 0 of a sequence that is not UTF-8; no escape makes it. */
export const INVALID_BYTE = 0xd800;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LOWER_A = 0x61;
const LOWER_Z = 0x7a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** 1 for the bytes that a number token is made of; NUL is one of them to strchr(). */
const NUMBER_BYTES = new Uint8Array(256);
for (const c of "\0.0123456789eE-+") {
  NUMBER_BYTES[c.charCodeAt(0)] = 1;
}

/** As many digits are exact as a number. */
const EXACT_DIGITS = 15;
/** Strings up to this length are looked for among those seen. */
const POOLED_BYTES_MAX = 24;
/** A power of two. */
const POOL_SIZE = 4096;

function isAlpha(c: number): boolean {
  const lower = c | 0x20;
  return lower >= LOWER_A && lower <= LOWER_Z;
}

export class JsonReader {
  private readonly bytes: Uint8Array;
  private readonly start: number;
  private readonly end: number;
  private pos: number;
  /** How deep in the input the value is that comes next. */
  private level = 0;
  /** 1 if the input ends in a number or keyword: that OVS notices one byte too late. */
  private late = 0;
  private readonly pool: string[];

  /** `pool` shares short strings among readers. */
  constructor(bytes: Uint8Array, start = 0, end = bytes.length, pool: string[] = []) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.pos = start;
    this.pool = pool;
  }

  /** The whole input, which must be an object or an array; throws JsonSyntaxError. */
  document(): Json {
    this.space();
    const c = this.bytes[this.pos];
    if (this.pos >= this.end) {
      throw this.error("empty input stream");
    }
    if (c !== OPEN_OBJECT && c !== OPEN_ARRAY) {
      this.unexpected("syntax error at beginning of input");
    }
    return this.onlyValue();
  }

  /** The whole input, which may be any value. */
  onlyValue(): Json {
    const json = this.value(0, true);
    this.finish();
    return json;
  }

  /** Throws unless nothing but white space follows. */
  finish(): void {
    this.space();
    if (this.pos < this.end) {
      this.unexpected("trailing garbage at end of input");
    }
  }

  /** True if an object comes next. */
  atObject(): boolean {
    this.space();
    return this.pos < this.end && this.bytes[this.pos] === OPEN_OBJECT;
  }

  /** Where the next value is, to come back to with `seek`. */
  get place(): JsonPlace {
    return { offset: this.pos, level: this.level };
  }

  seek(place: JsonPlace): void {
    this.pos = place.offset;
    this.level = place.level;
  }

  /** The next value. */
  next(): Json {
    return this.value(this.level, true);
  }

  /** Steps over the next value; throws if it is none. */
  skip(): void {
    this.value(this.level, false);
  }

  /**
   * Visits the members of the object that comes next, in their order, repetitions included. The
   * visitor has to read or skip the value.
   */
  members(visit: (name: string) => void): void {
    const { level } = this;
    this.level++;
    this.object(true, visit);
    this.level = level;
  }

  private error(message: string, at = this.pos): JsonSyntaxError {
    let line = 0;
    let column = 0;
    for (let i = this.start; i < Math.min(at, this.end); i++) {
      column = this.bytes[i] === LF ? 0 : column + 1;
      line += this.bytes[i] === LF ? 1 : 0;
    }
    const late = at >= this.end ? this.late : 0;
    const byte = at - this.start + late;
    const place = `line ${line}, column ${column + late}, byte ${byte}`;
    return new JsonSyntaxError(`${place}: ${message}`, at - this.start);
  }

  private space(): void {
    while (this.pos < this.end) {
      const c = this.bytes[this.pos];
      if (c !== SPACE && c !== LF && c !== TAB && c !== CR) {
        return;
      }
      this.pos++;
    }
  }

  /** Complains about the token that comes next, or about what is wrong in it. */
  private unexpected(message: string): never {
    if (this.pos >= this.end) {
      throw this.error("unexpected end of input");
    }
    const c = this.bytes[this.pos] as number;
    if (c === QUOTE) {
      this.string(false);
      throw this.error(message, this.pos - 1);
    }
    if (c === MINUS || (c >= DIGIT_0 && c <= DIGIT_9)) {
      this.number(false);
    } else if (c >= LOWER_A && c <= LOWER_Z) {
      this.keyword();
    } else if (!"[]{}:,".includes(String.fromCharCode(c))) {
      const printable = c >= SPACE && c < 0x7f;
      const shown = printable ? `'${String.fromCharCode(c)}'` : `U+${hex4(c).toLowerCase()}`;
      throw this.error(`invalid character ${shown}`);
    }
    throw this.error(message);
  }

  private value(depth: number, keep: boolean): Json {
    this.space();
    const c = this.pos < this.end ? (this.bytes[this.pos] as number) : 0;
    if (c === QUOTE) {
      return this.string(keep);
    }
    if (c === OPEN_ARRAY) {
      this.checkDepth(depth);
      return this.array(depth, keep);
    }
    if (c === OPEN_OBJECT) {
      this.checkDepth(depth);
      return keep
        ? this.objectValue(depth)
        : this.object(false, () => this.value(depth + 1, false));
    }
    if (c === MINUS || (c >= DIGIT_0 && c <= DIGIT_9)) {
      return this.number(keep);
    }
    if (c >= LOWER_A && c <= LOWER_Z) {
      return this.keyword();
    }
    return this.unexpected("syntax error expecting value");
  }

  private checkDepth(depth: number): void {
    if (depth >= JSON_DEPTH_MAX) {
      throw this.error(`input exceeds maximum nesting depth ${JSON_DEPTH_MAX}`);
    }
  }

  private keyword(): Json {
    const from = this.pos;
    while (this.pos < this.end && isAlpha(this.bytes[this.pos] as number)) {
      this.pos++;
    }
    const word = decodeUtf8(this.bytes, from, this.pos);
    const value = word === "true" ? true : word === "false" ? false : null;
    if (value === null && word !== "null") {
      throw this.error(`invalid keyword '${word}'`);
    }
    this.late = this.pos >= this.end ? 1 : 0;
    return value;
  }

  private number(keep: boolean): Json {
    const { bytes } = this;
    const from = this.pos;
    const negative = bytes[from] === MINUS;
    let at = negative ? from + 1 : from;
    let n = 0;
    let c = 0;
    for (; at < this.end; at++) {
      c = bytes[at] as number;
      if (c < DIGIT_0 || c > DIGIT_9) {
        break;
      }
      n = n * 10 + (c - DIGIT_0);
    }
    const digits = at - from - (negative ? 1 : 0);
    const more = at < this.end && NUMBER_BYTES[c] === 1;
    const zero = digits > 1 && bytes[at - digits] === DIGIT_0;
    this.pos = at;
    if (more || zero || digits === 0 || digits > EXACT_DIGITS) {
      return this.oddNumber(from);
    }
    this.late = at >= this.end ? 1 : 0;
    return keep ? BigInt(negative ? -n : n) : null;
  }

  /** A number that is no short integer. */
  private oddNumber(from: number): Json {
    while (this.pos < this.end && NUMBER_BYTES[this.bytes[this.pos] as number] === 1) {
      this.pos++;
    }
    const [text = ""] = decodeUtf8(this.bytes, from, this.pos).split("\0");
    const value = jsonNumber(text);
    if (typeof value === "string") {
      throw this.error(value);
    }
    this.late = this.pos >= this.end ? 1 : 0;
    return value;
  }

  private string(keep: boolean): string {
    const { bytes, end } = this;
    const from = this.pos + 1;
    let at = from;
    let or = 0;
    let hash = 0;
    let escaped = false;
    for (; at < end; at++) {
      const c = bytes[at] as number;
      if (c === QUOTE) {
        break;
      }
      if (c === BACKSLASH) {
        escaped = true;
        at++;
      } else if (c < SPACE) {
        throw this.error(`U+${hex4(c)} must be escaped in quoted string`, at);
      }
      or |= c;
      hash = (Math.imul(hash, 31) + c) | 0;
    }
    if (at >= end) {
      throw this.error("unexpected end of input in quoted string", end);
    }
    this.pos = at + 1;
    if (escaped) {
      return this.unescaped(from, at);
    }
    if (!keep) {
      return "";
    }
    if (or >= 0x80) {
      return decodeUtf8(bytes, from, at, (byte) => INVALID_BYTE + byte);
    }
    return at - from <= POOLED_BYTES_MAX
      ? this.pooled(from, at, hash)
      : decodeAscii(bytes, from, at);
  }

  private unescaped(from: number, to: number): string {
    const raw = decodeUtf8(this.bytes, from, to, (byte) => INVALID_BYTE + byte);
    const body = unescapeJsonString(raw);
    if ("error" in body) {
      throw this.error(body.error, to);
    }
    return body.value;
  }

  /** A short string; the same one if it was met a while ago. */
  private pooled(from: number, to: number, hash: number): string {
    const slot = (hash ^ (hash >>> 12)) & (POOL_SIZE - 1);
    const seen = this.pool[slot];
    if (seen !== undefined && seen.length === to - from) {
      let i = 0;
      while (i < seen.length && seen.charCodeAt(i) === this.bytes[from + i]) {
        i++;
      }
      if (i === seen.length) {
        return seen;
      }
    }
    const made = decodeAscii(this.bytes, from, to);
    this.pool[slot] = made;
    return made;
  }

  private array(depth: number, keep: boolean): readonly Json[] {
    const items: Json[] = [];
    this.pos++;
    this.space();
    if (this.bytes[this.pos] === CLOSE_ARRAY && this.pos < this.end) {
      this.pos++;
      return items;
    }
    for (;;) {
      const item = this.value(depth + 1, keep);
      if (keep) {
        items.push(item);
      }
      this.space();
      const c = this.pos < this.end ? this.bytes[this.pos] : 0;
      if (c !== COMMA && c !== CLOSE_ARRAY) {
        this.unexpected("syntax error expecting ']' or ','");
      }
      this.pos++;
      if (c === CLOSE_ARRAY) {
        return items;
      }
    }
  }

  private objectValue(depth: number): Json {
    const out: Record<string, Json> = {};
    this.object(true, (name) => {
      const value = this.value(depth + 1, true);
      if (name === "__proto__") {
        Object.defineProperty(out, name, { value, enumerable: true, configurable: true });
      } else {
        out[name] = value;
      }
    });
    return out;
  }

  private object(keep: boolean, visit: (name: string) => void): null {
    this.pos++;
    this.space();
    if (this.bytes[this.pos] === CLOSE_OBJECT && this.pos < this.end) {
      this.pos++;
      return null;
    }
    for (;;) {
      this.space();
      if (this.pos >= this.end || this.bytes[this.pos] !== QUOTE) {
        this.unexpected("syntax error parsing object expecting string");
      }
      const name = this.string(keep);
      this.space();
      if (this.pos >= this.end || this.bytes[this.pos] !== COLON) {
        this.unexpected("syntax error parsing object expecting ':'");
      }
      this.pos++;
      visit(name);
      this.space();
      const c = this.pos < this.end ? this.bytes[this.pos] : 0;
      if (c !== COMMA && c !== CLOSE_OBJECT) {
        this.unexpected("syntax error expecting '}' or ','");
      }
      this.pos++;
      if (c === CLOSE_OBJECT) {
        return null;
      }
    }
  }
}

function hex4(c: number): string {
  return c.toString(16).toUpperCase().padStart(4, "0");
}

/** Parses a text that is any JSON value; throws JsonSyntaxError. */
export function parseJson(text: string): Json {
  return new JsonReader(encodeUtf8(text)).onlyValue();
}
