// The log of records that a standalone database file is.
//
// A record is a header line "OVSDB JSON <bytes> <SHA-1 of the data>" and that many bytes of JSON,
// the last of them an end of line. A file that was cut or damaged is good up to the last whole
// record before: `offset` says where that is, and writing goes on there. Files of clustered
// databases have another magic word. Reference: ovsdb(5) "File Formats"; ovs: ovsdb/log.c.

import { concatBytes, decodeLatin1, encodeUtf8 } from "../lib/bytes.ts";
import { defined } from "../lib/errors.ts";
import { DbError } from "./db-error.ts";
import { formatJson, type Json, type JsonObject } from "./json.ts";
import { type JsonPlace, JsonReader, JsonSyntaxError } from "./json-parse.ts";
import { sha1Hex } from "./sha1.ts";

export const STANDALONE_MAGIC = "JSON";
export const CLUSTERED_MAGIC = "CLUSTER";
/** A longer header line is an error (ovs: sizeof header in ovsdb_log_read). */
export const HEADER_BYTES_MAX = 127;

interface Header {
  readonly magic: string;
  readonly length: number;
  readonly sha1: string;
}

// As strtoul() reads it, the length may begin with blanks and a plus.
const HEADER = /^OVSDB ([^ \n]*) \s*\+?(\d+) ([0-9a-fA-F]{40})\n$/;
const NEWLINE = 0x0a;
/** Data is read in pieces of this size; an error names what is left (ovs: BUFSIZ). */
const READ_BYTES = 8192;

/** The header line at an offset, with its end of line if it has one. */
function headerLine(bytes: Uint8Array, offset: number): string {
  const limit = Math.min(bytes.length, offset + HEADER_BYTES_MAX);
  let end = offset;
  while (end < limit && bytes[end] !== NEWLINE) {
    end++;
  }
  return decodeLatin1(bytes, offset, Math.min(end + 1, limit));
}

function parseHeader(line: string): Header | undefined {
  const m = HEADER.exec(line);
  const length = Number(m?.[2] ?? 0);
  if (m === null || length === 0 || !Number.isSafeInteger(length)) {
    return undefined;
  }
  return { magic: m[1] ?? "", length, sha1: (m[3] ?? "").toLowerCase() };
}

/** What an error shows of a header line: that it ends after the magic word if it has one. */
function shownHeader(line: string): string {
  const [text = ""] = line.split("\0");
  return /^OVSDB [^ \n]*(?= )/.exec(text)?.[0] ?? text.replace(/\n$/, "");
}

/** The magic word of the first record; undefined if the file does not start with one. */
export function fileMagic(bytes: Uint8Array): string | undefined {
  return parseHeader(headerLine(bytes, 0))?.magic;
}

/** A record whose members were found but not yet read; of equal names the last counts. */
export class LogRecord {
  readonly reader: JsonReader;
  private readonly start: JsonPlace;
  private readonly places: ReadonlyMap<string, JsonPlace>;

  /** The reader stands at an object; throws JsonSyntaxError if that and what follows is none. */
  constructor(reader: JsonReader) {
    this.reader = reader;
    this.start = reader.place;
    const places = new Map<string, JsonPlace>();
    reader.members((name) => {
      places.set(name, reader.place);
      reader.skip();
    });
    reader.finish();
    this.places = places;
  }

  names(): Iterable<string> {
    return this.places.keys();
  }

  /** Puts the reader before the value of a member, which must exist. */
  at(name: string): void {
    this.reader.seek(defined(this.places.get(name)));
  }

  /** The value of a member, null if there is none. */
  get(name: string): Json {
    if (!this.places.has(name)) {
      return null;
    }
    this.at(name);
    return this.reader.next();
  }

  whole(): Json {
    this.reader.seek(this.start);
    return this.reader.next();
  }
}

/** Reads one record after another; throws DbError at the first that is not whole and right. */
export class DbLogReader {
  private readonly bytes: Uint8Array;
  private readonly name: string;
  /** Where the next record starts: everything before it is good. */
  offset = 0;
  private previous = 0;
  /** Short strings that all records share. */
  private readonly pool: string[] = [];

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = name;
  }

  /** The next record, or undefined at the end. */
  read(): LogRecord | undefined {
    if (this.offset >= this.bytes.length) {
      return undefined;
    }
    const { name, offset } = this;
    const line = headerLine(this.bytes, offset);
    const header = parseHeader(line);
    if (header === undefined || header.magic !== STANDALONE_MAGIC) {
      throw new DbError(
        "syntax error",
        `${name}: parse error at offset ${offset} in header line "${shownHeader(line)}"`,
      );
    }
    const start = offset + line.length;
    const end = start + header.length;
    if (end > this.bytes.length) {
      const whole = Math.floor((this.bytes.length - start) / READ_BYTES);
      const left = header.length - whole * READ_BYTES;
      throw new DbError(
        "I/O error",
        `${name}: error reading ${left} bytes starting at offset ${start} (End of file)`,
      );
    }
    const where = `${name}: ${header.length} bytes starting at offset ${start}`;
    const actual = sha1Hex(this.bytes, start, end);
    if (actual !== header.sha1) {
      throw new DbError(
        "syntax error",
        `${where} have SHA-1 hash ${actual} but should have hash ${header.sha1}`,
      );
    }
    const record = readRecord(new JsonReader(this.bytes, start, end, this.pool), where);
    this.previous = offset;
    this.offset = end;
    return record;
  }

  /** Takes the record just read out of the good part of the file. */
  unread(): void {
    this.offset = this.previous;
  }
}

function readRecord(reader: JsonReader, where: string): LogRecord {
  try {
    if (reader.atObject()) {
      return new LogRecord(reader);
    }
    reader.document();
  } catch (e) {
    if (e instanceof JsonSyntaxError) {
      throw new DbError("syntax error", `${where} are not valid JSON (${e.message})`);
    }
    throw e;
  }
  throw new DbError("syntax error", `${where} are not a JSON object`);
}

/** The bytes of a record. */
export function encodeRecord(json: JsonObject): Uint8Array {
  const data = encodeUtf8(`${formatJson(json)}\n`);
  const header = `OVSDB ${STANDALONE_MAGIC} ${data.length} ${sha1Hex(data)}\n`;
  return concatBytes([encodeUtf8(header), data]);
}
