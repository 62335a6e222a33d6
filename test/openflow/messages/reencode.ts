// Decodes a message and encodes what was understood, for each type of message of the table.

import { OFP, P } from "../../../src/flow/of-version.ts";
import { OFPP } from "../../../src/flow/ofp-port.ts";
import { Cursor } from "../../../src/lib/bytes.ts";
import * as bundle from "../../../src/openflow/messages/bundle.ts";
import * as conn from "../../../src/openflow/messages/connection.ts";
import * as ct from "../../../src/openflow/messages/ct.ts";
import { isErr } from "../../../src/openflow/messages/errors.ts";
import { decodeFlowMod, encodeFlowMod } from "../../../src/openflow/messages/flow-mod.ts";
import {
  decodeFlowRemoved,
  encodeFlowRemoved,
} from "../../../src/openflow/messages/flow-removed.ts";
import * as flows from "../../../src/openflow/messages/flow-stats.ts";
import * as groups from "../../../src/openflow/messages/group.ts";
import * as hello from "../../../src/openflow/messages/hello.ts";
import * as ipfix from "../../../src/openflow/messages/ipfix.ts";
import * as meters from "../../../src/openflow/messages/meter.ts";
import * as monitors from "../../../src/openflow/messages/monitor.ts";
import { Multipart } from "../../../src/openflow/messages/multipart.ts";
import {
  decodePacketIn,
  decodePacketInPublic,
  encodePacketIn,
  encodeResume,
} from "../../../src/openflow/messages/packet-in.ts";
import { decodePacketOut, encodePacketOut } from "../../../src/openflow/messages/packet-out.ts";
import * as ports from "../../../src/openflow/messages/port.ts";
import * as portStats from "../../../src/openflow/messages/port-stats.ts";
import * as queues from "../../../src/openflow/messages/queue.ts";
import { type Msg, setXid } from "../../../src/openflow/messages/raw.ts";
import type { MsgType } from "../../../src/openflow/messages/raw-table.ts";
import {
  decodeRequestForward,
  encodeRequestForward,
} from "../../../src/openflow/messages/requestforward.ts";
import * as sw from "../../../src/openflow/messages/switch.ts";
import * as tables from "../../../src/openflow/messages/table.ts";
import { decodeTableFeatures } from "../../../src/openflow/messages/table-features.ts";
import { appendTableFeatures } from "../../../src/openflow/messages/table-features-put.ts";
import { appendTableStats, pullTableStats } from "../../../src/openflow/messages/table-stats.ts";
import * as tlv from "../../../src/openflow/messages/tlv-table.ts";
import { OFPFME, PACKET_IN_FORMAT } from "../../../src/openflow/messages/types-flow.ts";
import {
  knownVersion,
  protocolFromVersion,
  protocolSetTid,
} from "../../../src/openflow/messages/version.ts";

type Reencode = (msg: Msg) => Uint8Array | string | null;

const NO_TUN = { tab: null, vlMff: null };

/** The protocol that a message of this form is encoded for. */
function protocolOf(msg: Msg): number {
  const nicira = msg.raw.startsWith("NX");
  return msg.version === 1 && nicira ? P.OF10_NXM : protocolFromVersion(msg.version);
}

/** A request that such a reply would answer. */
function requestOf(msg: Msg): Msg {
  return msg.version === OFP.v15 ? { ...msg, raw: "OFPST15_AGGREGATE_REQUEST" } : msg;
}

/** A message that is one value. */
function one<T>(
  decode: (msg: Msg) => T | string | null,
  encode: (v: T, msg: Msg) => Uint8Array | null,
): Reencode {
  return (msg) => {
    const v = decode(msg);
    return typeof v === "string" || v === null ? (v as string | null) : encode(v as T, msg);
  };
}

/** A multipart message that is a list of parts. */
function many<T>(
  pull: (c: Cursor, msg: Msg) => T | string | null,
  append: (m: Multipart, v: T) => void,
): Reencode {
  return (msg) => {
    const m = new Multipart(msg.raw, msg.version, msg.xid);
    const c = new Cursor(msg.bytes, msg.bodyOfs);
    for (;;) {
      const v = pull(c, msg);
      if (v === null || typeof v === "string") {
        return (v as string | null) ?? m.messages()[0] ?? null;
      }
      append(m, v as T);
    }
  };
}

function bare(msg: Msg): Uint8Array {
  return sw.encodeEmpty(msg.raw, msg.version, msg.xid);
}

function queueConfigs(msg: Msg): Uint8Array | string | null {
  const c = queues.queueConfigCursor(msg);
  const v14 = msg.raw === "OFPST14_QUEUE_DESC_REPLY";
  const head = queues.pullQueueConfig(queues.queueConfigCursor(msg), msg);
  if (head === null || typeof head === "string") {
    return head;
  }
  const raw = v14
    ? "OFPST14_QUEUE_DESC_REQUEST"
    : msg.version === 1
      ? "OFPT10_QUEUE_GET_CONFIG_REQUEST"
      : "OFPT11_QUEUE_GET_CONFIG_REQUEST";
  const m = queues.startQueueConfigReply({ ...msg, raw }, head.port);
  for (;;) {
    const q = queues.pullQueueConfig(c, msg);
    if (q === null || typeof q === "string") {
      return q ?? m.messages()[0] ?? null;
    }
    queues.appendQueueConfig(m, q);
  }
}

function tableFeatures(msg: Msg): Uint8Array | string | null {
  const list = decodeTableFeatures(msg);
  if (isErr(list)) {
    return list;
  }
  const m = new Multipart(msg.raw, msg.version, msg.xid);
  for (const tf of list) {
    appendTableFeatures(m, tf);
  }
  return m.messages()[0] ?? null;
}

function packetIn(msg: Msg): Uint8Array | string | null {
  const d = decodePacketIn(msg, { ...NO_TUN, loose: false });
  if (isErr(d)) {
    return d;
  }
  const nx = { NXT_PACKET_IN: PACKET_IN_FORMAT.NXT, NXT_PACKET_IN2: PACKET_IN_FORMAT.NXT2 };
  const format = msg.raw in nx ? nx[msg.raw as keyof typeof nx] : PACKET_IN_FORMAT.STANDARD;
  return encodePacketIn(d.pin, protocolFromVersion(msg.version), format);
}

function flowUpdates(msg: Msg): Uint8Array | string | null {
  const m = new Multipart(msg.raw, msg.version, msg.xid);
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  for (;;) {
    const fu = monitors.pullFlowUpdate(c, msg);
    if (fu === null || typeof fu === "string") {
      return fu ?? m.messages()[0] ?? null;
    }
    if (fu.event >= OFPFME.PAUSED) {
      return monitors.encodeFlowMonitorPause(fu.event, protocolFromVersion(msg.version));
    }
    monitors.appendFlowUpdate(m, fu);
  }
}

function flowMonitor(msg: Msg): Uint8Array | string | null {
  const list = monitors.decodeFlowMonitorRequests(msg);
  if (isErr(list)) {
    return list;
  }
  const [rq] = list;
  const protocol = protocolFromVersion(msg.version);
  if (rq === undefined || list.length > 1) {
    return null;
  }
  return rq.command === 0
    ? monitors.encodeFlowMonitorRequest(rq, protocol, msg.xid)
    : monitors.encodeFlowMonitorCancel(rq.id, protocol, msg.xid);
}

function ipfixStats(msg: Msg): Uint8Array | null {
  const m = new Multipart(msg.raw, msg.version, msg.xid);
  for (const s of ipfix.decodeIpfixStats(msg)) {
    ipfix.appendIpfixStats(m, s);
  }
  return m.messages()[0] ?? null;
}

const setAsync = one(
  (msg) => conn.decodeAsync(msg, false, conn.defaultAsync(msg.version)),
  (ac, msg) => conn.encodeSetAsync(ac, -1, msg.version, msg.xid),
);
const flowRequest = one(
  (msg) => flows.decodeFlowStatsRequest(msg, NO_TUN),
  (r, msg) => flows.encodeFlowStatsRequest(r, protocolOf(msg), msg.xid),
);

/** One row for each type. */
export const REENCODE: Readonly<Record<MsgType, Reencode>> = {
  HELLO: one(
    (msg) => hello.decodeHello(msg.bytes),
    (h, msg) => (h.ok ? hello.encodeHello(h.versions, msg.xid) : null),
  ),
  ERROR: one(hello.decodeError, (e, msg) =>
    hello.encodeError(e.err, msg.version, msg.xid, e.payload),
  ),
  ECHO_REQUEST: (msg) =>
    hello.encodeEchoRequest(msg.version, msg.bytes.subarray(msg.bodyOfs), msg.xid),
  ECHO_REPLY: (msg) => hello.encodeEchoReply(msg),
  FEATURES_REQUEST: bare,
  FEATURES_REPLY: one(sw.decodeFeaturesAndPorts, (f, msg) =>
    sw.encodeFeatures(f, msg.version, msg.xid),
  ),
  GET_CONFIG_REQUEST: bare,
  GET_CONFIG_REPLY: one(sw.decodeGetConfigReply, (c, msg) => sw.encodeGetConfigReply(msg, c)),
  SET_CONFIG: one(sw.decodeSetConfig, (c, msg) => sw.encodeSetConfig(c, msg.version, msg.xid)),
  PACKET_IN: packetIn,
  FLOW_REMOVED: one(decodeFlowRemoved, (fr, msg) => encodeFlowRemoved(fr, protocolOf(msg))),
  PORT_STATUS: one(ports.decodePortStatus, (ps, msg) => ports.encodePortStatus(ps, msg.version)),
  PACKET_OUT: one(
    (msg) => decodePacketOut(msg, NO_TUN),
    (po, msg) => encodePacketOut(po, protocolFromVersion(msg.version), msg.xid),
  ),
  FLOW_MOD: one(
    (msg) => {
      const protocol = protocolSetTid(protocolFromVersion(msg.version), true);
      return decodeFlowMod(msg, { ...NO_TUN, protocol, maxPorts: OFPP.MAX, nTables: 255 });
    },
    (fm, msg) => encodeFlowMod(fm, protocolSetTid(protocolOf(msg), true), msg.xid),
  ),
  GROUP_MOD: one(groups.decodeGroupMod, (gm, msg) =>
    groups.encodeGroupMod(gm, knownVersion(msg.version), msg.xid),
  ),
  PORT_MOD: one(
    (msg) => ports.decodePortMod(msg, false),
    (pm, msg) => ports.encodePortMod(pm, msg.version, msg.xid),
  ),
  TABLE_MOD: one(tables.decodeTableMod, (tm, msg) =>
    tables.encodeTableMod(tm, msg.version, msg.xid),
  ),
  BARRIER_REQUEST: (msg) => hello.encodeBarrierRequest(msg.version, msg.xid),
  BARRIER_REPLY: (msg) => hello.encodeBarrierReply(msg),
  QUEUE_GET_CONFIG_REQUEST: one(queues.decodeQueueConfigRequest, (rq, msg) =>
    queues.encodeQueueConfigRequest(msg.version, rq, msg.xid),
  ),
  QUEUE_GET_CONFIG_REPLY: queueConfigs,
  ROLE_REQUEST: one(conn.decodeRole, (r, msg) => conn.encodeRoleRequest(r, msg.version, msg.xid)),
  ROLE_REPLY: one(conn.decodeRole, (r, msg) => {
    const nx = msg.raw === "NXT_ROLE_REPLY";
    return conn.encodeRoleReply(nx ? msg : { ...msg, raw: "OFPT12_ROLE_REQUEST" }, r);
  }),
  GET_ASYNC_REQUEST: bare,
  GET_ASYNC_REPLY: one(
    (msg) => conn.decodeAsync(msg, true, conn.defaultAsync(msg.version)),
    (ac, msg) => conn.encodeGetAsyncReply(msg, ac),
  ),
  SET_ASYNC_CONFIG: setAsync,
  METER_MOD: one(meters.decodeMeterMod, (mm, msg) =>
    meters.encodeMeterMod(mm, msg.version, msg.xid),
  ),
  ROLE_STATUS: one(conn.decodeRoleStatus, (rs, msg) => conn.encodeRoleStatus(rs, msg.version)),
  REQUESTFORWARD: one(decodeRequestForward, (rf, msg) =>
    encodeRequestForward(rf, knownVersion(msg.version)),
  ),
  TABLE_STATUS: one(tables.decodeTableStatus, (ts, msg) =>
    tables.encodeTableStatus(ts, msg.version),
  ),
  BUNDLE_CONTROL: one(bundle.decodeBundleCtrl, (bc, msg) =>
    bundle.encodeBundleCtrl(bc, msg.version, msg.xid),
  ),
  BUNDLE_ADD_MESSAGE: one(bundle.decodeBundleAdd, (add, msg) =>
    bundle.encodeBundleAdd(add, msg.version, msg.xid),
  ),
  DESC_STATS_REQUEST: bare,
  DESC_STATS_REPLY: one(sw.decodeDescReply, (d, msg) => sw.encodeDescReply(msg, d)),
  FLOW_STATS_REQUEST: flowRequest,
  FLOW_STATS_REPLY: many(flows.pullFlowStats, flows.appendFlowStats),
  AGGREGATE_STATS_REQUEST: flowRequest,
  AGGREGATE_STATS_REPLY: one(flows.decodeAggregateReply, (as, msg) =>
    flows.encodeAggregateReply(requestOf(msg), as),
  ),
  TABLE_STATS_REQUEST: bare,
  TABLE_STATS_REPLY: many(pullTableStats, (m, t) => appendTableStats(m, t.stats, t.features)),
  PORT_STATS_REQUEST: one(portStats.decodePortStatsRequest, ({ port }, msg) =>
    portStats.encodePortStatsRequest(msg.version, port, msg.xid),
  ),
  PORT_STATS_REPLY: many(portStats.pullPortStats, portStats.appendPortStats),
  QUEUE_STATS_REQUEST: one(queues.decodeQueueStatsRequest, (rq, msg) =>
    queues.encodeQueueStatsRequest(msg.version, rq, msg.xid),
  ),
  QUEUE_STATS_REPLY: many(queues.pullQueueStats, queues.appendQueueStats),
  GROUP_STATS_REQUEST: one(groups.decodeGroupStatsRequest, (id, msg) =>
    groups.encodeGroupStatsRequest(msg.version, id, msg.xid),
  ),
  GROUP_STATS_REPLY: many(groups.pullGroupStats, groups.appendGroupStats),
  GROUP_DESC_STATS_REQUEST: one(groups.decodeGroupDescRequest, (id, msg) =>
    groups.encodeGroupDescRequest(msg.version, id, msg.xid),
  ),
  GROUP_DESC_STATS_REPLY: many(groups.pullGroupDesc, groups.appendGroupDesc),
  GROUP_FEATURES_STATS_REQUEST: (msg) => groups.encodeGroupFeaturesRequest(msg.version, msg.xid),
  GROUP_FEATURES_STATS_REPLY: one(groups.decodeGroupFeatures, (f, msg) =>
    groups.encodeGroupFeaturesReply(msg, f),
  ),
  METER_STATS_REQUEST: one(meters.decodeMeterRequest, (id, msg) =>
    meters.encodeMeterRequest("stats", id, msg.version, msg.xid),
  ),
  METER_STATS_REPLY: many(meters.pullMeterStats, meters.appendMeterStats),
  METER_CONFIG_STATS_REQUEST: one(meters.decodeMeterRequest, (id, msg) =>
    meters.encodeMeterRequest("config", id, msg.version, msg.xid),
  ),
  METER_CONFIG_STATS_REPLY: many(meters.pullMeterConfig, meters.appendMeterConfig),
  METER_FEATURES_STATS_REQUEST: (msg) =>
    meters.encodeMeterRequest("features", 0, msg.version, msg.xid),
  METER_FEATURES_STATS_REPLY: one(meters.decodeMeterFeatures, (f, msg) =>
    meters.encodeMeterFeaturesReply(msg, f),
  ),
  TABLE_FEATURES_STATS_REQUEST: tableFeatures,
  TABLE_FEATURES_STATS_REPLY: tableFeatures,
  TABLE_DESC_REPLY: many((c, msg) => tables.pullTableDesc(c, msg.version), tables.appendTableDesc),
  PORT_DESC_STATS_REQUEST: one(ports.decodePortDescRequest, ({ port }, msg) =>
    ports.encodePortDescRequest(msg.version, port, msg.xid),
  ),
  PORT_DESC_STATS_REPLY: many((c, msg) => ports.pullPhyPort(c, msg.version), ports.appendPortDesc),
  FLOW_MONITOR_STATS_REQUEST: flowMonitor,
  FLOW_MONITOR_STATS_REPLY: flowUpdates,
  SET_FLOW_FORMAT: one(conn.decodeSetFlowFormat, (p, msg) => conn.encodeSetFlowFormat(p, msg.xid)),
  FLOW_MOD_TABLE_ID: (msg) => conn.encodeFlowModTableId(conn.decodeFlowModTableId(msg), msg.xid),
  SET_PACKET_IN_FORMAT: one(conn.decodeSetPacketInFormat, ({ format }, msg) =>
    conn.encodeSetPacketInFormat(msg.version, format, msg.xid),
  ),
  SET_CONTROLLER_ID: one(conn.decodeSetControllerId, ({ id }, msg) =>
    conn.encodeSetControllerId(id, msg.version, msg.xid),
  ),
  FLOW_MONITOR_PAUSED: bare,
  FLOW_MONITOR_RESUMED: bare,
  FLOW_AGE: bare,
  NXT_RESUME: one(
    (msg) => decodePacketInPublic(msg, { ...NO_TUN, loose: false }),
    (d, msg) => encodeResume(d.pin, d.continuation, protocolOf(msg)),
  ),
  FLOW_MONITOR_CANCEL: (msg) =>
    monitors.encodeFlowMonitorCancel(
      monitors.decodeFlowMonitorCancel(msg),
      protocolFromVersion(msg.version),
      msg.xid,
    ),
  NXT_TLV_TABLE_MOD: one(tlv.decodeTlvTableMod, (tm, msg) =>
    tlv.encodeTlvTableMod(tm, msg.version, msg.xid),
  ),
  NXT_TLV_TABLE_REQUEST: (msg) => tlv.encodeTlvTableRequest(msg.version, msg.xid),
  NXT_TLV_TABLE_REPLY: one(tlv.decodeTlvTableReply, (r, msg) => tlv.encodeTlvTableReply(msg, r)),
  CT_FLUSH_ZONE: one(ct.decodeCtFlushZone, ({ zone }, msg) =>
    ct.encodeCtFlushZone(zone, msg.version, msg.xid),
  ),
  CT_FLUSH: one(ct.decodeCtFlush, (f, msg) =>
    ct.encodeCtFlush(f.match, f.zone, msg.version, msg.xid),
  ),
  TABLE_DESC_REQUEST: bare,
  IPFIX_BRIDGE_STATS_REQUEST: bare,
  IPFIX_FLOW_STATS_REQUEST: bare,
  IPFIX_BRIDGE_STATS_REPLY: ipfixStats,
  IPFIX_FLOW_STATS_REPLY: ipfixStats,
};

/** The message again from what was decoded; an error's name, or null if nothing can be said. */
export function reencode(msg: Msg): Uint8Array | string | null {
  const bytes = REENCODE[msg.type](msg);
  if (bytes instanceof Uint8Array) {
    // Messages that a switch sends on its own have no xid.
    setXid(bytes, msg.xid);
  }
  return bytes;
}
