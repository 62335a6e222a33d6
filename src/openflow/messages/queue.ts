// Messages about queues: their configuration and statistics (ovs: lib/ofp-queue.c).

import { OFP } from "../../flow/of-version.ts";
import { formatPort, type NameMap, OFPP, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import { Cursor, type Writer } from "../../lib/bytes.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { Multipart } from "./multipart.ts";
import { formatQueue, OFPQ_ALL } from "./names.ts";
import { propU16, pullProp, putPropU16, unknownProp } from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { counter, formatDuration, type Text } from "./text.ts";
import { U32_MAX } from "./types-flow.ts";
import type { QueueConfig, QueueRequest, QueueStats } from "./types-group.ts";

/** Numbers of the properties of a queue, the same in every version. */
const MIN_RATE = 1;
const MAX_RATE = 2;
const RATE_PROP_BYTES = 16;
/** A rate that is not given. */
export const NO_RATE = 0xffff;
/** The greatest rate that means something, in tenths of a percent. */
const RATE_MAX = 1000;

export function encodeQueueConfigRequest(
  version: number,
  rq: QueueRequest,
  xid: number,
): Uint8Array {
  if (version === OFP.v10) {
    const w = startMsg("OFPT10_QUEUE_GET_CONFIG_REQUEST", version, xid);
    return finishMsg(w.u16(rq.port).zeros(2));
  }
  if (version < OFP.v14) {
    const w = startMsg("OFPT11_QUEUE_GET_CONFIG_REQUEST", version, xid);
    return finishMsg(w.u32(portToOfp11(rq.port)).zeros(4));
  }
  const w = startMsg("OFPST14_QUEUE_DESC_REQUEST", version, xid);
  return finishMsg(w.u32(portToOfp11(rq.port)).u32(rq.queue));
}

export function decodeQueueConfigRequest(msg: Msg): Decoded<QueueRequest> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const v10 = msg.raw === "OFPT10_QUEUE_GET_CONFIG_REQUEST";
  const port = v10 ? c.u16() : portFromOfp11(c.u32(), msg.log);
  if (port === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  if (msg.raw === "OFPST14_QUEUE_DESC_REQUEST") {
    return { port, queue: c.u32() };
  }
  const ok = port < OFPP.MAX || (!v10 && port === OFPP.ANY);
  return ok ? { port, queue: OFPQ_ALL } : "OFPQOFC_BAD_PORT";
}

export function formatQueueConfigRequest(rq: QueueRequest, ports: NameMap | null): string {
  const queue = rq.queue === OFPQ_ALL ? "" : ` queue=${formatQueue(rq.queue)}`;
  return ` port=${formatPort(rq.port, ports)}${queue}`;
}

/** Begins the reply to a request for the configuration of queues. */
export function startQueueConfigReply(request: Msg, port: number): Multipart {
  if (request.raw === "OFPST14_QUEUE_DESC_REQUEST") {
    return Multipart.replyTo(request);
  }
  const v10 = request.raw === "OFPT10_QUEUE_GET_CONFIG_REQUEST";
  const raw = v10 ? "OFPT10_QUEUE_GET_CONFIG_REPLY" : "OFPT11_QUEUE_GET_CONFIG_REPLY";
  const m = new Multipart(raw, request.version, request.xid);
  if (v10) {
    m.writer.u16(port).zeros(6);
  } else {
    m.writer.u32(portToOfp11(port)).zeros(4);
  }
  return m;
}

function putRate(w: Writer, version: number, type: number, rate: number): void {
  if (rate === NO_RATE) {
    return;
  }
  if (version >= OFP.v14) {
    putPropU16(w, type, rate);
  } else {
    w.u16(type).u16(RATE_PROP_BYTES).zeros(4).u16(rate).zeros(6);
  }
}

export function appendQueueConfig(m: Multipart, qc: QueueConfig): void {
  const w = m.writer;
  const start = w.length;
  let lenOfs = start + 8;
  if (m.version >= OFP.v14) {
    w.u32(portToOfp11(qc.port)).u32(qc.queue).zeros(8);
  } else if (m.version >= OFP.v12) {
    w.u32(qc.queue).u32(portToOfp11(qc.port)).zeros(8);
  } else {
    lenOfs = start + 4;
    w.u32(qc.queue).zeros(4);
  }
  putRate(w, m.version, MIN_RATE, qc.minRate);
  putRate(w, m.version, MAX_RATE, qc.maxRate);
  w.patchU16(lenOfs, w.length - start);
  if (m.version >= OFP.v14) {
    m.postAppend(start);
  }
}

/** Reads properties of OpenFlow 1.0 to 1.3, which have a longer header. */
function pullOldRates(c: Cursor, len: number, qc: QueueConfig): OfpErr | null {
  const sub = c.sub(len);
  while (sub.left > 0) {
    const start = sub.pos;
    const [type, propLen] = [sub.u16(), sub.u16()];
    if (propLen < 8 || propLen > sub.end - start || propLen % 8 !== 0) {
      return "OFPBRC_BAD_LEN";
    }
    const known = type === MIN_RATE || type === MAX_RATE;
    if (known && propLen !== RATE_PROP_BYTES) {
      return "OFPBRC_BAD_LEN";
    }
    sub.skip(4);
    const rate = known ? sub.u16() : 0;
    if (type === MIN_RATE) {
      qc.minRate = rate;
    } else if (type === MAX_RATE) {
      qc.maxRate = rate;
    }
    sub.pos = start + propLen;
  }
  return null;
}

function pullRates(c: Cursor, len: number, qc: QueueConfig): OfpErr | null {
  const sub = c.sub(len);
  while (sub.left > 0) {
    const p = pullProp(sub);
    if (isErr(p)) {
      return p;
    }
    if (p.type !== MIN_RATE && p.type !== MAX_RATE) {
      const err = unknownProp(true, p.type);
      if (err !== null) {
        return err;
      }
      continue;
    }
    const rate = propU16(p);
    if (isErr(rate)) {
      return rate;
    }
    if (p.type === MIN_RATE) {
      qc.minRate = rate;
    } else {
      qc.maxRate = rate;
    }
  }
  return null;
}

/** A cursor on the queues of a reply. */
export function queueConfigCursor(msg: Msg): Cursor {
  const skip = msg.raw === "OFPST14_QUEUE_DESC_REPLY" ? 0 : 8;
  return new Cursor(msg.bytes, msg.bodyOfs + skip);
}

function replyPort(msg: Msg): number | null {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  return msg.version === OFP.v10 ? c.u16() : portFromOfp11(c.u32(), msg.log);
}

/** Takes one queue's configuration; null at the end. */
export function pullQueueConfig(c: Cursor, msg: Msg): Decoded<QueueConfig> | null {
  if (c.left === 0) {
    return null;
  }
  const v14 = msg.raw === "OFPST14_QUEUE_DESC_REPLY";
  const headBytes = v14 || msg.version >= OFP.v12 ? 16 : 8;
  const at = c.pos;
  if (!v14 && replyPort(msg) === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  if (c.left < headBytes) {
    return "OFPBRC_BAD_LEN";
  }
  const first = c.u32();
  const second = headBytes === 16 ? c.u32() : 0;
  const len = c.u16();
  c.pos = at + headBytes;
  const port = v14 ? portFromOfp11(first, msg.log) : replyPort(msg);
  if (port === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const qc = { port, queue: v14 ? second : first, minRate: NO_RATE, maxRate: NO_RATE };
  if (len < headBytes || len > c.left + headBytes || len % 8 !== 0) {
    return "OFPBRC_BAD_LEN";
  }
  const err = v14 ? pullRates(c, len - headBytes, qc) : pullOldRates(c, len - headBytes, qc);
  return err ?? qc;
}

function rateText(name: string, rate: number): string {
  if (rate <= RATE_MAX) {
    return ` ${name}:${Math.floor(rate / 10)}.${rate % 10}%`;
  }
  return rate < NO_RATE ? ` ${name}:(disabled)` : "";
}

/** Prints a reply's queues, sorted by port and number. */
export function printQueueConfigs(out: Text, msg: Msg, ports: NameMap | null): OfpErr | null {
  const queues: QueueConfig[] = [];
  const c = queueConfigCursor(msg);
  let qc = pullQueueConfig(c, msg);
  while (qc !== null && !isErr(qc)) {
    queues.push(qc);
    qc = pullQueueConfig(c, msg);
  }
  queues.sort((a, b) => a.port - b.port || a.queue - b.queue);
  out.put(" ");
  let port = 0;
  for (const q of queues) {
    if (q.port !== port) {
      port = q.port;
      out.put(`port=${formatPort(port, ports)}\n`);
    }
    out.put(`queue ${q.queue}:${rateText("min_rate", q.minRate)}`);
    out.put(`${rateText("max_rate", q.maxRate)}\n`);
  }
  out.chomp(" ");
  return qc;
}

export function encodeQueueStatsRequest(
  version: number,
  rq: QueueRequest,
  xid: number,
): Uint8Array {
  if (version === OFP.v10) {
    const w = startMsg("OFPST10_QUEUE_REQUEST", version, xid);
    return finishMsg(
      w
        .u16(rq.port === OFPP.ANY ? OFPP.ALL : rq.port)
        .zeros(2)
        .u32(rq.queue),
    );
  }
  const w = startMsg("OFPST11_QUEUE_REQUEST", version, xid);
  return finishMsg(w.u32(portToOfp11(rq.port)).u32(rq.queue));
}

export function decodeQueueStatsRequest(msg: Msg): Decoded<QueueRequest> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  if (msg.version === OFP.v10) {
    const port = c.u16();
    c.skip(2);
    return { port: port === OFPP.ALL ? OFPP.ANY : port, queue: c.u32() };
  }
  const port = portFromOfp11(c.u32(), msg.log);
  return port === null ? "OFPBAC_BAD_OUT_PORT" : { port, queue: c.u32() };
}

export function formatQueueStatsRequest(rq: QueueRequest, ports: NameMap | null): string {
  return ` port=${formatPort(rq.port, ports)} queue=${formatQueue(rq.queue)}`;
}

export function appendQueueStats(m: Multipart, qs: QueueStats): void {
  const timed = m.version >= OFP.v13;
  const bytes = m.version >= OFP.v14 ? 48 : timed ? 40 : 32;
  const w = m.reserve(bytes);
  if (m.version >= OFP.v14) {
    w.u16(bytes).zeros(6);
  }
  if (m.version === OFP.v10) {
    w.u16(qs.port).zeros(2);
  } else {
    w.u32(portToOfp11(qs.port));
  }
  w.u32(qs.queue).u64(qs.txBytes).u64(qs.txPackets).u64(qs.txErrors);
  if (timed) {
    w.u32(qs.durationS).u32(qs.durationS === U32_MAX ? U32_MAX : qs.durationNs);
  }
}

function leftover(msg: Msg, c: Cursor): OfpErr {
  msg.log?.("WARN", "ofp_queue", `OFPST_QUEUE reply has ${c.left} leftover bytes at end`);
  return "OFPBRC_BAD_LEN";
}

/** Takes one queue's statistics; null at the end. */
export function pullQueueStats(c: Cursor, msg: Msg): Decoded<QueueStats> | null {
  if (c.left === 0) {
    return null;
  }
  const v14 = msg.raw === "OFPST14_QUEUE_REPLY";
  const timed = v14 || msg.raw === "OFPST13_QUEUE_REPLY";
  const bytes = v14 ? 48 : timed ? 40 : 32;
  if (c.left < bytes) {
    return v14 ? "OFPBRC_BAD_LEN" : leftover(msg, c);
  }
  const start = c.pos;
  const len = v14 ? c.u16() : bytes;
  if (len < bytes || len > c.end - start) {
    return "OFPBRC_BAD_LEN";
  }
  c.skip(v14 ? 6 : 0);
  const port = msg.version === OFP.v10 ? c.u16() : portFromOfp11(c.u32(), msg.log);
  c.skip(msg.version === OFP.v10 ? 2 : 0);
  const queue = c.u32();
  const [txBytes, txPackets, txErrors] = [c.u64(), c.u64(), c.u64()];
  const durationS = timed ? c.u32() : U32_MAX;
  const durationNs = timed ? c.u32() : U32_MAX;
  c.pos = start + len;
  return port === null
    ? "OFPBAC_BAD_OUT_PORT"
    : { port, queue, txBytes, txPackets, txErrors, durationS, durationNs };
}

export function formatQueueStats(qs: QueueStats, ports: NameMap | null): string {
  const unknown = qs.durationS === U32_MAX;
  return (
    `  port ${formatPort(qs.port, ports)} queue ${formatQueue(qs.queue)}: ` +
    `bytes=${counter(qs.txBytes)}, pkts=${counter(qs.txPackets)}, ` +
    `errors=${counter(qs.txErrors)}, ` +
    `duration=${unknown ? "?" : formatDuration(qs.durationS, qs.durationNs)}\n`
  );
}
