// Messages that hold in every version: hello, error, echo; and barriers.
//
// Hello says which versions a peer speaks: those up to its header's version, or those of a bitmap.
// An error names what is wrong by numbers that depend on the version and carries the beginning of
// the message that it answers (ovs: lib/ofp-util.c, lib/ofp-errors.c).

import type { LogSink } from "../../flow/ofp-port.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { Cursor, decodeLatin1, getU32 } from "../../lib/bytes.ts";
import {
  errCode,
  errFromCode,
  hasErrDomain,
  type OfpErr,
  type OfpErrCode,
  VENDOR,
} from "./errors.ts";
import { finishMsg, type Msg, OFP_HEADER, OFP_MSG_BYTES_MAX, startMsg } from "./raw.ts";
import { hexDump, type Text } from "./text.ts";
import { formatVersionBitmap, type VersionBitmap } from "./version.ts";

const OFPHET_VERSIONBITMAP = 1;
/** Type and code of an error message that holds a Nicira error, before OpenFlow 1.2. */
const NXET_VENDOR = 0xb0c2;
const NXVC_VENDOR_ERROR = 0;
/** Type of an experimenter error from OpenFlow 1.2 on. */
const OFPET12_EXPERIMENTER = 0xffff;

export interface Hello {
  /** Bit n: version n. */
  versions: VersionBitmap;
  /** False if some of the message was not understood. */
  ok: boolean;
}

/** A bitmap is only sent if the header's version does not say as much. */
function needsBitmap(versions: VersionBitmap): boolean {
  const n = (versions >>> 1) + 1;
  return (n & (n - 1)) !== 0;
}

export function encodeHello(versions: VersionBitmap, xid: number): Uint8Array {
  const w = startMsg("OFPT_HELLO", 31 - Math.clz32(versions), xid);
  if (needsBitmap(versions)) {
    w.u16(OFPHET_VERSIONBITMAP).u16(8).u32(versions);
  }
  return finishMsg(w);
}

export function decodeHello(bytes: Uint8Array, log: LogSink | null = null): Hello {
  const version = bytes[OFP_HEADER.VERSION] ?? 0;
  const upTo = version < 32 ? ((2 ** version - 1) * 2) >>> 0 : 0xfffffffe;
  const h: Hello = { versions: upTo, ok: true };
  const c = new Cursor(bytes, Math.min(OFP_HEADER.BYTES, bytes.length));
  while (c.left > 0) {
    if (c.left < 4) {
      return { ...h, ok: false };
    }
    const at = c.pos;
    const type = c.u16();
    const len = c.u16();
    c.pos = at;
    if (len < 4 || !c.skip(Math.ceil(len / 8) * 8)) {
      return { ...h, ok: false };
    }
    const versions = type === OFPHET_VERSIONBITMAP ? bitmapElement(bytes, at + 4, len - 4, log) : 0;
    h.ok &&= versions !== 0;
    h.versions = versions === 0 ? h.versions : versions;
  }
  return h;
}

function bitmapElement(
  bytes: Uint8Array,
  ofs: number,
  len: number,
  log: LogSink | null,
): VersionBitmap {
  if (len === 0 || len % 4 !== 0) {
    return 0;
  }
  const bitmap = getU32(bytes, ofs);
  if ((bitmap & 1) !== 0) {
    log?.("WARN", "ofp_util", "peer claims to support invalid OpenFlow version 0x00");
  }
  const versions = (bitmap & ~1) >>> 0;
  if (versions === 0) {
    const none = "does not support any OpenFlow version (between 0x01 and 0x1f)";
    log?.("WARN", "ofp_util", `peer ${none}`);
  }
  return versions;
}

export function printHello(out: Text, msg: Msg): void {
  const { bytes } = msg;
  const h = decodeHello(bytes, msg.log);
  out.put(`\n version bitmap: ${formatVersionBitmap(h.versions)}`);
  if (!h.ok) {
    out.put(`\n unknown data in hello:\n${hexDump(bytes, true)}`);
  }
}

/**
 * An error message with any data. A version without errors falls back to OpenFlow 1.0, an error
 * that the version does not have to one that says so.
 */
export function encodeError(
  err: OfpErr,
  version: number,
  xid: number,
  data: Uint8Array,
  log: LogSink | null = null,
): Uint8Array {
  const v: OfVersion = hasErrDomain(version) ? version : OFP.v10;
  let known = errCode(err, v);
  if (known === undefined) {
    log?.("ERR", "ofp_errors", `cannot encode ${err} for OpenFlow 1.${v - OFP.v10}`);
    known = errCode("NXBRC_UNENCODABLE_ERROR", v);
  }
  const code: OfpErrCode = known ?? { vendor: VENDOR.OF, type: 0, code: 0 };
  const w = startMsg("OFPT_ERROR", v, xid);
  if (code.vendor === VENDOR.OF) {
    w.u16(code.type).u16(code.code);
  } else if (v <= OFP.v11) {
    w.u16(NXET_VENDOR).u16(NXVC_VENDOR_ERROR).u32(code.vendor).u16(code.type).u16(code.code);
  } else {
    w.u16(OFPET12_EXPERIMENTER).u16(code.type).u32(code.vendor);
  }
  w.put(data.subarray(0, OFP_MSG_BYTES_MAX - w.length));
  return finishMsg(w);
}

/** The error that answers a message, with as much of it as fits. */
export function encodeErrorReply(
  err: OfpErr,
  request: Uint8Array,
  log: LogSink | null = null,
): Uint8Array {
  const version = request[OFP_HEADER.VERSION] ?? 0;
  const length = ((request[2] ?? 0) << 8) | (request[3] ?? 0);
  return encodeError(
    err,
    version,
    getU32(request, OFP_HEADER.XID),
    request.subarray(0, Math.min(length, request.length)),
    log,
  );
}

export interface ErrorMsg {
  readonly err: OfpErr;
  readonly payload: Uint8Array;
}

/** Null if the numbers mean no known error. */
export function decodeError(msg: Msg): ErrorMsg | null {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  let [type, code, vendor] = [c.u16(), c.u16(), VENDOR.OF as number];
  if (type === NXET_VENDOR && code === NXVC_VENDOR_ERROR) {
    [vendor, type, code] = [c.u32(), c.u16(), c.u16()];
  } else if (type === OFPET12_EXPERIMENTER) {
    [vendor, type, code] = [c.u32(), code, 0];
  }
  const err = c.failed ? undefined : errFromCode(msg.version, { vendor, type, code });
  return err === undefined ? null : { err, payload: c.view(c.left) };
}

/** True for errors whose payload is a text. */
export function hasTextPayload(err: OfpErr): boolean {
  return err === "OFPHFC_INCOMPATIBLE" || err === "OFPHFC_EPERM";
}

/** Printable characters as they are, everything else in octal (ovs: ds_put_printable). */
export function printable(b: Uint8Array): string {
  return decodeLatin1(b).replace(/[^\x20-\x7e]|[\\"]/g, (c) => {
    return `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
}

export function encodeEchoRequest(version: number, data: Uint8Array, xid = 0): Uint8Array {
  return finishMsg(startMsg("OFPT_ECHO_REQUEST", version, xid).put(data));
}

export function encodeEchoReply(request: Msg): Uint8Array {
  const w = startMsg("OFPT_ECHO_REPLY", request.version, request.xid);
  return finishMsg(w.put(request.bytes.subarray(request.bodyOfs)));
}

export function encodeBarrierRequest(version: number, xid: number): Uint8Array {
  const raw = version === OFP.v10 ? "OFPT10_BARRIER_REQUEST" : "OFPT11_BARRIER_REQUEST";
  return finishMsg(startMsg(raw, version, xid));
}

export function encodeBarrierReply(request: Msg): Uint8Array {
  const raw = request.version === OFP.v10 ? "OFPT10_BARRIER_REPLY" : "OFPT11_BARRIER_REPLY";
  return finishMsg(startMsg(raw, request.version, request.xid));
}
