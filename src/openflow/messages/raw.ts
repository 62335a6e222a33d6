// A message's headers: which row of the message table bytes are, where their body begins, and how
// messages are begun and ended.
//
// Lengths that do not fit the row are refused before anything else looks at a message.
// References: ovs: lib/ofp-msgs.c ofphdrs_decode, ofpraw_decode, ofpraw_alloc ff.

import { OFP } from "../../flow/of-version.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import { getU16, getU32, putU16, putU32, Writer } from "../../lib/bytes.ts";
import { type Decoded, type OfpErr, VENDOR } from "./errors.ts";
import { type RawName, type MsgType, type RawInfo, RAW_MESSAGES, rawInfo } from "./raw-table.ts";

/** The module that the log names. */
const LOG = "ofp_msgs";

/** The header that every message begins with. */
export const OFP_HEADER = { VERSION: 0, TYPE: 1, LENGTH: 2, XID: 4, BYTES: 8 } as const;
/** A message's length field has 16 bits. */
export const OFP_MSG_BYTES_MAX = 0xffff;

const OFPT_VENDOR = 4;
const OFPT10_STATS_REQUEST = 16;
const OFPT10_STATS_REPLY = 17;
const OFPT11_STATS_REQUEST = 18;
const OFPT11_STATS_REPLY = 19;
const OFPST_VENDOR = 0xffff;
/** Flag of a multipart message that others follow. */
export const OFPSF_REPLY_MORE = 1;

/** What the headers of a message say. */
interface Headers {
  version: number;
  type: number;
  stat: number;
  vendor: number;
  subtype: number;
}

const BY_HEADERS = new Map<string, RawInfo>();

function headersKey(h: Headers): string {
  return `${h.version}/${h.type}/${h.stat}/${h.vendor}/${h.subtype}`;
}

function statType(version: number, stat: "request" | "reply"): number {
  if (version === OFP.v10) {
    return stat === "request" ? OFPT10_STATS_REQUEST : OFPT10_STATS_REPLY;
  }
  return stat === "request" ? OFPT11_STATS_REQUEST : OFPT11_STATS_REPLY;
}

function headersOf(r: RawInfo, version: number): Headers {
  const own = r.vendor === VENDOR.OF;
  const subtype = own ? 0 : r.number;
  if (r.stat === "") {
    const type = own ? r.number : OFPT_VENDOR;
    return { version, type, stat: 0, vendor: r.vendor, subtype };
  }
  const type = statType(version, r.stat);
  return { version, type, stat: own ? r.number : OFPST_VENDOR, vendor: r.vendor, subtype };
}

for (const r of RAW_MESSAGES) {
  for (let version = r.minVersion; version <= r.maxVersion; version++) {
    BY_HEADERS.set(headersKey(headersOf(r, version)), r);
  }
}

function isKnownVersion(version: number): boolean {
  return version >= OFP.v10 && version <= OFP.v15;
}

/** True for multipart messages, which are called statistics in OpenFlow 1.0. */
export function isStatRequest(version: number, type: number): boolean {
  return isKnownVersion(version) && type === statType(version, "request");
}

export function isStatReply(version: number, type: number): boolean {
  return isKnownVersion(version) && type === statType(version, "reply");
}

function isStat(h: Headers): boolean {
  return isStatRequest(h.version, h.type) || isStatReply(h.version, h.type);
}

/** Bytes before the body. */
function headersBytes(h: Headers): number {
  if (h.type === OFPT_VENDOR) {
    return 16;
  }
  if (!isStat(h)) {
    return OFP_HEADER.BYTES;
  }
  if (h.stat === OFPST_VENDOR) {
    return 24;
  }
  return h.version === OFP.v10 ? 12 : 16;
}

/** `length` is how much of the message is there, or claimed to be. */
function decodeHeaders(
  b: Uint8Array,
  length: number,
  log: LogSink | null = null,
): Decoded<Headers> {
  if (length < OFP_HEADER.BYTES) {
    return "OFPBRC_BAD_LEN";
  }
  const version = b[OFP_HEADER.VERSION] ?? 0;
  const type = b[OFP_HEADER.TYPE] ?? 0;
  const h: Headers = { version, type, stat: 0, vendor: 0, subtype: 0 };
  if (type === OFPT_VENDOR) {
    return decodeVendor(b, length, h, OFP_HEADER.BYTES, log);
  }
  const stats10 = type === OFPT10_STATS_REQUEST || type === OFPT10_STATS_REPLY;
  const stats11 = type === OFPT11_STATS_REQUEST || type === OFPT11_STATS_REPLY;
  if (version === OFP.v10 ? !stats10 : !stats11) {
    return h;
  }
  const statBytes = version === OFP.v10 ? 12 : 16;
  if (length < statBytes) {
    return "OFPBRC_BAD_LEN";
  }
  h.stat = getU16(b, OFP_HEADER.BYTES);
  return h.stat === OFPST_VENDOR ? decodeVendor(b, length, h, statBytes, log) : h;
}

function decodeVendor(
  b: Uint8Array,
  length: number,
  h: Headers,
  ofs: number,
  log: LogSink | null,
): Decoded<Headers> {
  // OpenFlow 1.0's multipart messages have the vendor first and say only then how long they must be.
  const onf = h.type === OFPT_VENDOR || h.version !== OFP.v10;
  const atLeast = onf ? ofs + 8 : ofs + 4;
  if (length < atLeast) {
    return "OFPBRC_BAD_LEN";
  }
  h.vendor = getU32(b, ofs);
  if (h.vendor !== VENDOR.NX && !(onf && h.vendor === VENDOR.ONF)) {
    log?.("WARN", LOG, `OpenFlow message has unknown vendor 0x${h.vendor.toString(16)}`);
    return "OFPBRC_BAD_VENDOR";
  }
  if (length < headersBytes(h)) {
    return "OFPBRC_BAD_LEN";
  }
  h.subtype = getU32(b, ofs + 4);
  return h;
}

/** A message whose form is known and whose length fits it. */
export interface Msg {
  /** The whole message and nothing behind it. */
  readonly bytes: Uint8Array;
  readonly version: number;
  readonly xid: number;
  readonly raw: RawName;
  readonly type: MsgType;
  readonly info: RawInfo;
  readonly bodyOfs: number;
  /** Takes what decoders find wrong with the message. */
  readonly log: LogSink | null;
  /** Whether the debug actions may be in it, as a switch in dummy mode lets them. */
  readonly debug: boolean;
}

function infoOf(h: Headers): Decoded<RawInfo> {
  const info = BY_HEADERS.get(headersKey(h));
  if (info !== undefined) {
    return info;
  }
  if (h.vendor !== 0) {
    return "OFPBRC_BAD_SUBTYPE";
  }
  return isStat(h) ? "OFPBRC_BAD_STAT" : "OFPBRC_BAD_TYPE";
}

function unknownText(h: Headers): string {
  const stat = isStat(h) ? `, stat ${h.stat}` : "";
  const vendor = h.vendor !== 0 ? `, vendor 0x${h.vendor.toString(16)}, subtype ${h.subtype}` : "";
  return `unknown OpenFlow message (version ${h.version}, type ${h.type}${stat}${vendor})`;
}

/** The form of a message of which perhaps only the beginning is there (ovs: ofpraw_decode_partial). */
export function decodeRawPartial(b: Uint8Array, length = b.length): Decoded<RawInfo> {
  const h = decodeHeaders(b, length);
  return typeof h === "string" ? h : infoOf(h);
}

function checkLength(
  info: RawInfo,
  headers: number,
  length: number,
  log: LogSink | null,
): OfpErr | null {
  const min = headers + info.minBody;
  const rest = length - min;
  if (info.unit === 0 ? rest === 0 : rest >= 0 && rest % info.unit === 0) {
    return null;
  }
  const units = `bytes or longer by an integer multiple of ${info.unit} bytes`;
  const wanted = [`expected length ${min}`, `expected length at least ${min} bytes`];
  const want = wanted[info.unit] ?? `must be exactly ${min} ${units}`;
  log?.("WARN", LOG, `received ${info.name} with incorrect length ${length} (${want})`);
  return "OFPBRC_BAD_LEN";
}

/** Checks headers and length (ovs: ofpraw_pull). The length is the one in the header. */
export function pullMsg(
  bytes: Uint8Array,
  log: LogSink | null = null,
  debug = false,
): Decoded<Msg> {
  const claimed = bytes.length >= OFP_HEADER.BYTES ? getU16(bytes, OFP_HEADER.LENGTH) : 0;
  const length = Math.min(claimed, bytes.length);
  const h = decodeHeaders(bytes, length, log);
  if (typeof h === "string") {
    return h;
  }
  const info = infoOf(h);
  if (typeof info === "string") {
    log?.("WARN", LOG, unknownText(h));
    return info;
  }
  const bodyOfs = headersBytes(h);
  return (
    checkLength(info, bodyOfs, length, log) ?? {
      bytes: bytes.subarray(0, length),
      version: h.version,
      xid: getU32(bytes, OFP_HEADER.XID),
      raw: info.raw,
      type: info.type,
      info,
      bodyOfs,
      log,
      debug,
    }
  );
}

/** True if a multipart message says that others follow. */
export function multipartFlags(bytes: Uint8Array): number {
  return getU16(bytes, OFP_HEADER.BYTES + 2);
}

/** Bytes of the headers of a message that is known to be well-formed. */
export function headerBytesOf(bytes: Uint8Array): number {
  const h = decodeHeaders(bytes, bytes.length);
  return typeof h === "string" ? OFP_HEADER.BYTES : headersBytes(h);
}

/** Begins a message: its headers, of which `finishMsg` fills in the length. */
export function startMsg(raw: RawName, version: number, xid: number): Writer {
  const w = new Writer(128);
  putMsg(raw, version, xid, w);
  return w;
}

/** Appends the headers of a message. */
function putMsg(raw: RawName, version: number, xid: number, w: Writer): void {
  const info = rawInfo(raw);
  const h = headersOf(info, version);
  const at = w.reserve(headersBytes(h));
  w.patchU8(at + OFP_HEADER.VERSION, version);
  w.patchU8(at + OFP_HEADER.TYPE, h.type);
  w.patchU32(at + OFP_HEADER.XID, xid);
  let ofs = at + OFP_HEADER.BYTES;
  if (info.stat !== "") {
    w.patchU16(ofs, h.stat);
    ofs += version === OFP.v10 ? 4 : 8;
  }
  if (h.vendor !== 0) {
    w.patchU32(ofs, h.vendor);
    w.patchU32(ofs + 4, h.subtype);
  }
}

/** The finished message. A message that is too long keeps the low bits of its length. */
export function finishMsg(w: Writer): Uint8Array {
  w.patchU16(OFP_HEADER.LENGTH, w.length & OFP_MSG_BYTES_MAX);
  return w.bytes();
}

/** The form of the reply to a multipart request. */
export function replyRaw(request: Msg): RawName {
  const h = decodeHeaders(request.bytes, request.bytes.length);
  const info =
    typeof h === "string" ? h : infoOf({ ...h, type: statType(request.version, "reply") });
  if (typeof info === "string") {
    throw new Error(`no reply to ${request.raw}`);
  }
  return info.raw;
}

/** Changes a finished message's xid. */
export function setXid(bytes: Uint8Array, xid: number): void {
  putU32(bytes, OFP_HEADER.XID, xid);
}

/** Sets flags of a multipart message. */
export function setMultipartFlags(bytes: Uint8Array, flags: number): void {
  putU16(bytes, OFP_HEADER.BYTES + 2, flags);
}
