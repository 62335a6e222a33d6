// The records of a database file.
//
// Each record is a line `OVSDB MAGIC LENGTH SHA1`, then LENGTH bytes of one JSON object and usually
// an end of line. MAGIC is JSON for a standalone database, CLUSTER for a Raft log. A file that was
// being written when the machine stopped ends in a torn record: the records before it count, and
// what is wrong with the tail is told. References: ovsdb(5); ovs: ovsdb/log.c.

import { decodeUtf8 } from "../lib/bytes.ts";
import { isJsonObject, type Json, type JsonObject, parseJson } from "./json.ts";
import { sha1Hex } from "./sha1.ts";

/** A header line is shorter than this. */
export const LOG_HEADER_BYTES_MAX = 128;
/** Records of one file. */
export const LOG_RECORDS_MAX = 10_000_000;

export interface LogFile {
  readonly magic: string;
  readonly records: readonly JsonObject[];
  /** Bytes from the start that are good records. */
  readonly goodBytes: number;
  /** What is wrong with the bytes after them; null if there are none. */
  readonly tailError: string | null;
}

const HEADER = /^OVSDB (\S+) (\d+) ([0-9a-fA-F]{40})$/;
const LF = 10;

/** A header line: its end, and what it announces; null if it is none. */
function readHeader(bytes: Uint8Array, at: number) {
  const lf = bytes.subarray(at, at + LOG_HEADER_BYTES_MAX).indexOf(LF);
  const line = decodeUtf8(bytes.subarray(at, at + (lf < 0 ? LOG_HEADER_BYTES_MAX : lf)));
  const m = lf < 0 ? null : HEADER.exec(line);
  const length = Number(m?.[2] ?? 0);
  return m === null || length === 0 || !Number.isSafeInteger(length)
    ? { line, body: -1, magic: "", length: 0, sha1: "" }
    : { line, body: at + lf + 1, magic: m[1] ?? "", length, sha1: (m[3] ?? "").toLowerCase() };
}

/** Reads a file; `name` is what errors call it. The error is one that leaves nothing to use. */
export function readLogFile(bytes: Uint8Array, name: string): LogFile | { error: string } {
  const first = readHeader(bytes, 0);
  if (first.body < 0) {
    return { error: `${name}: unexpected file format` };
  }
  const { magic } = first;
  const records: JsonObject[] = [];
  let at = 0;
  while (at < bytes.length && records.length < LOG_RECORDS_MAX) {
    const record = readRecord(bytes, at, magic, name);
    if ("error" in record) {
      return { magic, records, goodBytes: at, tailError: record.error };
    }
    records.push(record.json);
    at = record.end;
  }
  return { magic, records, goodBytes: at, tailError: null };
}

/** One record and the offset after it. */
function readRecord(
  bytes: Uint8Array,
  at: number,
  magic: string,
  name: string,
): { json: JsonObject; end: number } | { error: string } {
  const h = readHeader(bytes, at);
  if (h.body < 0 || h.magic !== magic) {
    return {
      error: `syntax error: ${name}: parse error at offset ${at} in header line "${h.line}"`,
    };
  }
  const end = h.body + h.length;
  const where = `${h.length} bytes starting at offset ${h.body}`;
  if (end > bytes.length) {
    return { error: `I/O error: ${name}: error reading ${where} (End of file)` };
  }
  const body = bytes.subarray(h.body, end);
  const sha1 = sha1Hex(body);
  if (sha1 !== h.sha1) {
    return {
      error:
        `syntax error: ${name}: ${where} have SHA-1 hash ${sha1}` +
        ` but should have hash ${h.sha1}`,
    };
  }
  const json = tryParse(decodeUtf8(body));
  if (typeof json === "string") {
    return { error: `syntax error: ${name}: ${where} are not valid JSON (${json})` };
  }
  if (!isJsonObject(json)) {
    return { error: `syntax error: ${name}: ${where} are not a JSON object` };
  }
  // The end of line after the object is part of the length as ovsdb-server writes it.
  return { json, end };
}

/** The value, or as a string what is wrong (a record is never a JSON string). */
function tryParse(text: string): Json {
  try {
    return parseJson(text.trimEnd());
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}
