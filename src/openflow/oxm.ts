// Matches on the wire as NXM and OXM: lists of (header, value[, mask]) entries.
//
// NXM is what OpenFlow 1.0 with Nicira's extensions uses; OXM is its descendant in OpenFlow 1.2 and
// later, behind a header of its own. Here they are read; oxm-put.ts writes them. A decoder is strict
// (unknown fields and missing prerequisites are errors) or loose (unknown fields are skipped), as the
// message says. (ovs: lib/nx-match.c nx_pull_raw; OpenFlow 1.5.1, 7.2.3)

import {
  type FieldValue,
  fieldIsMaskValid,
  fieldIsValueValid,
  isPipelineField,
} from "../flow/field-value.ts";
import { F, type Field } from "../flow/fields.ts";
import {
  addEthernetPrereq,
  isFieldWild,
  type Match,
  matchPrereqsOk,
  matchSetField,
  newMatch,
} from "../flow/match.ts";
import { type LogSink, portFromOfp11 } from "../flow/ofp-port.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { isUnmappedField, mappedField, type VlMffMap } from "../flow/vl-mff-map.ts";
import type { Cursor } from "../lib/bytes.ts";
import { type Decoded, isErr, type OfpErr } from "./messages/errors.ts";
import { onesOf, readOxmHeader, rejectedText, valueFromBytes } from "./oxm-field.ts";
import { NXM_NX_COOKIE, NXM_NX_COOKIE_W, OFPMT_OXM, OXM_MATCH_HEADER_BYTES } from "./oxm-put.ts";

/** How a match is read. */
export interface OxmPullOptions {
  /** Skip unknown fields and do not check prerequisites. */
  readonly loose?: boolean;
  /** The bridge's TLV map, for the placing of tunnel options. */
  readonly tab?: TunTable | null;
  /** The bridge's widths of tunnel options. */
  readonly tun?: VlMffMap | null;
  /** Accept the pseudo field that stands for a flow's cookie. */
  readonly cookie?: boolean;
  /** Refuse fields of the packet. */
  readonly pipelineOnly?: boolean;
  /** Told of entries that contradict themselves. */
  readonly log?: LogSink | null;
}

export interface PulledMatch {
  readonly match: Match;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
}

/** One entry as it stands on the wire. */
interface RawEntry {
  /** Null for the cookie pseudo field and for unknown fields. */
  readonly field: Field | null;
  readonly isCookie: boolean;
  readonly value: FieldValue;
  readonly mask: FieldValue;
  readonly end: number;
}

function readEntry(
  bytes: Uint8Array,
  pos: number,
  opts: OxmPullOptions,
): RawEntry | { readonly error: OfpErr; readonly end: number } {
  const h = readOxmHeader(bytes, pos);
  const stop = (error: OfpErr, end = bytes.length) => ({ error, end });
  if (h === null) {
    return stop("OFPBMC_BAD_LEN");
  }
  const word = (bytes[pos + 2] as number) * 256 + (bytes[pos + 3] as number);
  const isCookie =
    h.class === 1 &&
    ((NXM_NX_COOKIE & 0xffff) === word || (NXM_NX_COOKIE_W & 0xffff) === word) &&
    opts.cookie === true;
  const field = h.field === null ? null : mappedField(h.field, opts.tun ?? null);
  if (field !== null && isUnmappedField(field, opts.tun ?? null)) {
    return stop("NXFMFC_INVALID_TLV_FIELD");
  }
  const end = h.end + h.payloadBytes;
  if (end > bytes.length) {
    return stop("OFPBMC_BAD_LEN");
  }
  const width = h.hasMask ? h.payloadBytes >> 1 : h.payloadBytes;
  for (let i = 0; h.hasMask && i < width; i++) {
    if (((bytes[h.end + i] as number) & ~(bytes[h.end + width + i] as number)) !== 0) {
      opts.log?.("WARN", "nx_match", rejectedText(bytes, pos, h.vendor));
      return stop("OFPBMC_BAD_WILDCARDS");
    }
  }
  if (field === null && !isCookie) {
    return stop("OFPBMC_BAD_FIELD", end);
  }
  const size = field?.bytes ?? 8;
  const words = field?.words ?? 2;
  // An option that is longer than its field keeps its first bytes.
  const used = Math.min(width, size);
  const value = valueFromBytes(bytes, h.end, used, words);
  const mask = h.hasMask ? valueFromBytes(bytes, h.end + width, used, words) : onesOf(size, words);
  return { field, isCookie, value, mask, end };
}

/** Reads a list of entries that fills `bytes` (ovs: nx_pull_raw). */
function pullEntries(bytes: Uint8Array, opts: OxmPullOptions): Decoded<PulledMatch> {
  const match = newMatch(opts.tab ?? null);
  let cookie = 0n;
  let cookieMask = 0n;
  for (let pos = 0; pos < bytes.length; ) {
    const e = readEntry(bytes, pos, opts);
    pos = e.end;
    let error: OfpErr | null = null;
    if ("error" in e) {
      if (e.error === "OFPBMC_BAD_FIELD" && opts.loose === true) {
        continue;
      }
      error = e.error;
    } else if (e.field !== null) {
      error = addEntry(match, e.field, e, opts);
    } else if (cookieMask !== 0n) {
      error = "OFPBMC_DUP_FIELD";
    } else {
      cookie = joined(e.value);
      cookieMask = joined(e.mask);
    }
    if (error !== null) {
      return error;
    }
  }
  return { match, cookie, cookieMask };
}

function joined(v: FieldValue): bigint {
  return (BigInt(v[0] as number) << 32n) | BigInt(v[1] as number);
}

function addEntry(
  m: Match,
  field: Field,
  e: { readonly value: FieldValue; readonly mask: FieldValue },
  opts: OxmPullOptions,
): OfpErr | null {
  if (!fieldIsMaskValid(field, e.mask)) {
    return "OFPBMC_BAD_MASK";
  }
  if (!fieldIsValueValid(field, e.value)) {
    if (field === F.in_port_oxm) {
      portFromOfp11(e.value[0] ?? 0, opts.log);
    }
    return "OFPBMC_BAD_VALUE";
  }
  if (opts.loose !== true && !matchPrereqsOk(field, m)) {
    return "OFPBMC_BAD_PREREQ";
  }
  if (!isFieldWild(field, m)) {
    return "OFPBMC_DUP_FIELD";
  }
  if (opts.pipelineOnly === true && !isPipelineField(field)) {
    return "OFPBRC_PIPELINE_FIELDS_ONLY";
  }
  const { error } = matchSetField(field, e.value, e.mask, m);
  if (error !== undefined) {
    return "OFPBMC_BAD_VALUE";
  }
  addEthernetPrereq(m, field);
  return null;
}

/** Reads an NXM match of `length` bytes and its padding (ovs: nx_pull_match). */
export function nxPullMatch(
  cursor: Cursor,
  length: number,
  opts: OxmPullOptions = {},
): Decoded<PulledMatch> {
  if (cursor.left < Math.ceil(length / 8) * 8) {
    return "OFPBMC_BAD_LEN";
  }
  const bytes = cursor.view(Math.ceil(length / 8) * 8).subarray(0, length);
  return pullEntries(bytes, opts);
}

/** Reads an OXM match with header and padding (ovs: oxm_pull_match). */
export function oxmPullMatch(cursor: Cursor, opts: OxmPullOptions = {}): Decoded<Match> {
  if (cursor.left < OXM_MATCH_HEADER_BYTES) {
    return "OFPBMC_BAD_LEN";
  }
  const at = cursor.pos;
  const b = cursor.bytes;
  const type = ((b[at] as number) << 8) | (b[at + 1] as number);
  const length = ((b[at + 2] as number) << 8) | (b[at + 3] as number);
  if (length < OXM_MATCH_HEADER_BYTES) {
    return "OFPBMC_BAD_LEN";
  }
  if (type !== OFPMT_OXM) {
    return "OFPBMC_BAD_TYPE";
  }
  const padded = Math.ceil(length / 8) * 8;
  if (cursor.left < padded) {
    return "OFPBMC_BAD_LEN";
  }
  const bytes = cursor.view(padded).subarray(OXM_MATCH_HEADER_BYTES, length);
  const r = pullEntries(bytes, opts);
  return isErr(r) ? r : r.match;
}

/** Reads entries without header (ovs: oxm_decode_match). */
export function oxmDecodeMatch(bytes: Uint8Array, opts: OxmPullOptions = {}): Decoded<Match> {
  const r = pullEntries(bytes, opts);
  return isErr(r) ? r : r.match;
}
