// Multipart messages: replies that are cut into messages of at most 64 kB, and requests that are
// put together again.
//
// A reply is a list of writers, each one message of which all but the last have "more" set. Parts
// that belong together (a flow, a group) are never cut: a part that overflows the last message moves
// to a new one (ovs: lib/ofp-msgs.c ofpmp_*).

import { OFP } from "../../flow/of-version.ts";

import { getU32, Writer } from "../../lib/bytes.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import {
  decodeRawPartial,
  finishMsg,
  headerBytesOf,
  isStatRequest,
  type Msg,
  multipartFlags,
  OFP_HEADER,
  OFP_MSG_BYTES_MAX,
  OFPSF_REPLY_MORE,
  pullMsg,
  replyRaw,
  setMultipartFlags,
  startMsg,
} from "./raw.ts";
import type { RawName } from "./raw-table.ts";

/** How long parts of a request wait for the next part. */
export const MULTIPART_TIMEOUT_MS = 1000;
/** How many bytes of one request may wait. */
export const MULTIPART_BYTES_MAX = 4 * 1024 * 1024;

/** Messages under construction that make up one multipart reply. */
export class Multipart {
  readonly version: number;
  readonly raw: RawName;
  readonly #parts: Writer[] = [];
  #last: Writer;

  constructor(raw: RawName, version: number, xid: number) {
    this.raw = raw;
    this.version = version;
    this.#last = startMsg(raw, version, xid);
    this.#parts.push(this.#last);
  }

  /** The reply to a request. */
  static replyTo(request: Msg): Multipart {
    return new Multipart(replyRaw(request), request.version, request.xid);
  }

  /** The message that parts are appended to; `postAppend` must follow. */
  get writer(): Writer {
    return this.#last;
  }

  /** The writer after making sure that `bytes` more fit into the last message. */
  reserve(bytes: number): Writer {
    if (this.#last.length + bytes > OFP_MSG_BYTES_MAX) {
      this.#next();
    }
    return this.#last;
  }

  /** Moves what was appended from `start` on to a new message if it does not fit. */
  postAppend(start: number): void {
    if (this.#last.length > OFP_MSG_BYTES_MAX) {
      const part = this.#last.view(start).slice();
      this.#last.truncate(start);
      this.#next().put(part);
    }
  }

  #next(): Writer {
    const view = this.#last.view();
    const next = new Writer(1024);
    next.put(view.subarray(0, headerBytesOf(view)));
    setMultipartFlags(view, OFPSF_REPLY_MORE);
    setMultipartFlags(next.view(), 0);
    this.#last = next;
    this.#parts.push(next);
    return next;
  }

  /** The messages, finished. */
  messages(): Uint8Array[] {
    return this.#parts.map(finishMsg);
  }
}

interface Partial {
  readonly raw: RawName;
  readonly msgs: Uint8Array[];
  timeoutMs: number;
  bytes: number;
  hasBody: boolean;
}

/** True if another part of a multipart message follows. */
export function multipartMore(bytes: Uint8Array): boolean {
  return (multipartFlags(bytes) & OFPSF_REPLY_MORE) !== 0;
}

/** Puts requests together that came in parts; other messages pass. */
export class MultipartAssembler {
  readonly #waiting = new Map<number, Partial>();

  /** Whatever is complete with this message: nothing, the message itself, or all its parts. */
  execute(bytes: Uint8Array, nowMs: number): Decoded<Uint8Array[]> {
    const version = bytes[OFP_HEADER.VERSION] ?? 0;
    if (!isStatRequest(version, bytes[OFP_HEADER.TYPE] ?? 0)) {
      return [bytes];
    }
    const info = decodeRawPartial(bytes);
    if (isErr(info)) {
      return info;
    }
    const headers = headerBytesOf(bytes);
    const hasBody = bytes.length > headers;
    const error = hasBody ? lengthError(bytes) : null;
    if (error !== null) {
      return error;
    }
    const xid = getU32(bytes, OFP_HEADER.XID);
    const fresh: Partial = { raw: info.raw, msgs: [], timeoutMs: 0, bytes: 0, hasBody: false };
    const p = this.#waiting.get(xid) ?? fresh;
    p.timeoutMs = nowMs + MULTIPART_TIMEOUT_MS;
    p.bytes += bytes.length;
    p.hasBody ||= hasBody;
    const more = version >= OFP.v13 && multipartMore(bytes);
    const bad = partialError(p, info.raw, !more && !p.hasBody && info.minBody > 0);
    if (bad !== null) {
      this.#waiting.delete(xid);
      return bad;
    }
    p.msgs.push(bytes);
    if (more) {
      this.#waiting.set(xid, p);
      return [];
    }
    this.#waiting.delete(xid);
    const full = p.msgs.filter((m) => m.length > headers);
    return full.length > 0 ? full : p.msgs.slice(-1);
  }

  /** Requests whose next part did not come in time: the last part of each, to be refused. */
  expire(nowMs: number): Uint8Array[] {
    const late = [...this.#waiting].filter(([, p]) => nowMs >= p.timeoutMs);
    for (const [xid] of late) {
      this.#waiting.delete(xid);
    }
    return late.flatMap(([, p]) => p.msgs.slice(-1));
  }
}

function lengthError(bytes: Uint8Array): OfpErr | null {
  const msg = pullMsg(bytes);
  return isErr(msg) ? msg : null;
}

function partialError(p: Partial, raw: RawName, lacksBody: boolean): OfpErr | null {
  if (p.raw !== raw) {
    return "OFPBRC_BAD_STAT";
  }
  if (p.bytes > MULTIPART_BYTES_MAX) {
    return "OFPBRC_MULTIPART_BUFFER_OVERFLOW";
  }
  return lacksBody ? "OFPBRC_BAD_LEN" : null;
}
