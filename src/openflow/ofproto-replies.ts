// Answers to requests for statistics, descriptions and features
// (ovs: ofproto/ofproto.c handle_*_request).

import { OFPP } from "../flow/ofp-port.ts";
import type { Ofconn } from "./connmgr.ts";
import { type Group, GROUPS_MAX } from "./group.ts";
import { isErr, type OfpErr } from "./messages/errors.ts";
import {
  appendFlowStats,
  decodeFlowStatsRequest,
  encodeAggregateReply,
} from "./messages/flow-stats.ts";
import {
  appendGroupDesc,
  appendGroupStats,
  decodeGroupDescRequest,
  decodeGroupStatsRequest,
  encodeGroupFeaturesReply,
} from "./messages/group.ts";
import { appendIpfixStats } from "./messages/ipfix.ts";
import {
  appendMeterConfig,
  appendMeterStats,
  decodeMeterRequest,
  encodeMeterFeaturesReply,
} from "./messages/meter.ts";
import { decodeFlowMonitorRequests } from "./messages/monitor.ts";
import { Multipart } from "./messages/multipart.ts";
import { OFPG, OFPQ_ALL } from "./messages/names.ts";
import { appendPortDesc, decodePortDescRequest } from "./messages/port.ts";
import { appendPortStats, decodePortStatsRequest } from "./messages/port-stats.ts";
import {
  appendQueueConfig,
  appendQueueStats,
  decodeQueueConfigRequest,
  decodeQueueStatsRequest,
  startQueueConfigReply,
} from "./messages/queue.ts";
import type { Msg } from "./messages/raw.ts";
import type { MsgType } from "./messages/raw-table.ts";
import { encodeDescReply, encodeFeatures, encodeGetConfigReply } from "./messages/switch.ts";
import { appendTableDesc } from "./messages/table.ts";
import { decodeTableFeatures } from "./messages/table-features.ts";
import { appendTableFeatures } from "./messages/table-features-put.ts";
import { appendTableStats } from "./messages/table-stats.ts";
import type { FlowMonitorRequest } from "./messages/types-flow.ts";
import { OFPM13 } from "./messages/types-group.ts";
import { protocolToVersion } from "./messages/version.ts";
import { CAPABILITY, FRAG_NAMES, type TableFeatures } from "./messages/types-switch.ts";
import type { OfPort } from "./ofport.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Handler } from "./ofproto-handle.ts";
import {
  aggregateOf,
  flowStatsOf,
  groupStatsOf,
  meterStatsOf,
  portStatsOf,
  requestedRules,
} from "./ofproto-stats.ts";
import {
  ALL_KINDS,
  changeTableFeatures,
  tableDesc,
  tableFeatures,
  tableStats,
} from "./ofproto-tables.ts";
import { VERSION_MAX } from "./rule-criteria.ts";

/** Capabilities of groups: chaining, liveness and weights of select groups (OFPGFC_*). */
const GROUP_CAPABILITIES = 0b0111;
const QUEUE_RATE_NONE = 0xffff;

export const STATS_HANDLERS: Partial<Record<MsgType, Handler>> = {
  FEATURES_REQUEST: handleFeatures,
  GET_CONFIG_REQUEST: (conn, msg) => {
    const frag = FRAG_NAMES.indexOf(conn.ofproto.fragHandling);
    const invalidTtlToController = conn.invalidTtlToController ? 1 : 0;
    const { missSendLen } = conn;
    conn.send(encodeGetConfigReply(msg, { frag, invalidTtlToController, missSendLen }));
    return null;
  },
  DESC_STATS_REQUEST: (conn, msg) => {
    const desc = {
      mfrDesc: "Nicira, Inc.",
      hwDesc: "Open vSwitch",
      swDesc: conn.ofproto.swVersion,
      serialNum: "None",
      dpDesc: "None",
      ...conn.ofproto.desc,
    };
    conn.send(encodeDescReply(msg, desc));
    return null;
  },
  FLOW_STATS_REQUEST: handleFlowStats,
  AGGREGATE_STATS_REQUEST: (conn, msg) => {
    const p = conn.ofproto;
    const r = decodeFlowStatsRequest(msg, { tab: p.tunTable, vlMff: p.vlMff });
    const rules = isErr(r) ? r : requestedRules(p, r);
    if (isErr(rules)) {
      return rules;
    }
    p.provider.syncStats();
    conn.send(encodeAggregateReply(msg, aggregateOf(rules)));
    return null;
  },
  TABLE_STATS_REQUEST: (conn, msg) => {
    const p = conn.ofproto;
    p.provider.syncStats();
    const m = Multipart.replyTo(msg);
    const features = tableFeatures(p);
    for (const table of p.tables.filter((t) => !t.hidden)) {
      appendTableStats(m, tableStats(p, table), features[table.id] as TableFeatures);
    }
    return sendAll(conn, m);
  },
  TABLE_DESC_REQUEST: (conn, msg) => {
    const m = Multipart.replyTo(msg);
    for (const table of conn.ofproto.tables.filter((t) => !t.hidden)) {
      appendTableDesc(m, tableDesc(table));
    }
    return sendAll(conn, m);
  },
  PORT_STATS_REQUEST: (conn, msg) => {
    const d = decodePortStatsRequest(msg);
    if (isErr(d)) {
      return d;
    }
    const p = conn.ofproto;
    p.provider.syncStats();
    const m = Multipart.replyTo(msg);
    for (const port of portsOf(p, d.port)) {
      appendPortStats(m, portStatsOf(p, port));
    }
    return sendAll(conn, m);
  },
  PORT_DESC_STATS_REQUEST: (conn, msg) => {
    const d = decodePortDescRequest(msg);
    if (isErr(d)) {
      return d;
    }
    const m = Multipart.replyTo(msg);
    for (const port of portsOf(conn.ofproto, d.port)) {
      appendPortDesc(m, port.pp);
    }
    return sendAll(conn, m);
  },
  QUEUE_STATS_REQUEST: handleQueueStats,
  QUEUE_GET_CONFIG_REQUEST: handleQueueConfig,
  METER_STATS_REQUEST: handleMeters,
  METER_CONFIG_STATS_REQUEST: handleMeters,
  METER_FEATURES_STATS_REQUEST: (conn, msg) => {
    conn.send(encodeMeterFeaturesReply(msg, conn.ofproto.provider.meterFeatures()));
    return null;
  },
  GROUP_STATS_REQUEST: (conn, msg) => {
    const p = conn.ofproto;
    p.provider.syncStats();
    const m = Multipart.replyTo(msg);
    for (const group of groupsOf(p, decodeGroupStatsRequest(msg))) {
      appendGroupStats(m, groupStatsOf(p, group));
    }
    return sendAll(conn, m);
  },
  GROUP_DESC_STATS_REQUEST: (conn, msg) => {
    const m = Multipart.replyTo(msg);
    for (const { groupId, type, buckets, props } of groupsOf(
      conn.ofproto,
      decodeGroupDescRequest(msg),
    )) {
      appendGroupDesc(m, { groupId, type, buckets, props });
    }
    return sendAll(conn, m);
  },
  IPFIX_BRIDGE_STATS_REQUEST: (conn, msg) => handleIpfix(conn, msg, true),
  IPFIX_FLOW_STATS_REQUEST: (conn, msg) => handleIpfix(conn, msg, false),
  GROUP_FEATURES_STATS_REQUEST: (conn, msg) => {
    const features = {
      types: 0xf,
      capabilities: GROUP_CAPABILITIES,
      maxGroups: [GROUPS_MAX, GROUPS_MAX, GROUPS_MAX, GROUPS_MAX],
      actions: [ALL_KINDS, ALL_KINDS, ALL_KINDS, ALL_KINDS],
    };
    conn.send(encodeGroupFeaturesReply(msg, features));
    return null;
  },
};

function handleIpfix(conn: Ofconn, msg: Msg, ofBridge: boolean): OfpErr | null {
  const stats = conn.ofproto.provider.ipfixStats(ofBridge);
  if (stats === null) {
    return "NXST_NOT_CONFIGURED";
  }
  const m = Multipart.replyTo(msg);
  for (const s of stats) {
    appendIpfixStats(m, s);
  }
  return sendAll(conn, m);
}

function sendAll(conn: Ofconn, m: Multipart): null {
  for (const bytes of m.messages()) {
    conn.send(bytes);
  }
  return null;
}

function portsOf(p: Ofproto, portNo: number): OfPort[] {
  if (portNo === OFPP.ANY) {
    return p.ports.all();
  }
  const port = p.ports.get(portNo);
  return port === null ? [] : [port];
}

function groupsOf(p: Ofproto, groupId: number): Group[] {
  if (groupId === OFPG.ALL) {
    return [...p.groups.visible(VERSION_MAX)];
  }
  const group = p.groups.lookup(groupId, VERSION_MAX);
  return group === null ? [] : [group];
}

function handleFeatures(conn: Ofconn, msg: Msg): OfpErr | null {
  const p = conn.ofproto;
  const features = {
    datapathId: p.datapathId,
    nBuffers: 0,
    nTables: p.tables.filter((t) => !t.hidden).length,
    auxiliaryId: 0,
    capabilities:
      CAPABILITY.FLOW_STATS |
      CAPABILITY.TABLE_STATS |
      CAPABILITY.PORT_STATS |
      CAPABILITY.QUEUE_STATS |
      CAPABILITY.GROUP_STATS |
      CAPABILITY.BUNDLES |
      CAPABILITY.ARP_MATCH_IP,
    actions: ALL_KINDS,
    ports: p.ports.all().map((port) => port.pp),
  };
  conn.send(encodeFeatures(features, protocolToVersion(conn.protocol), msg.xid));
  return null;
}

function handleFlowStats(conn: Ofconn, msg: Msg): OfpErr | null {
  const p = conn.ofproto;
  const r = decodeFlowStatsRequest(msg, { tab: p.tunTable, vlMff: p.vlMff });
  const rules = isErr(r) ? r : requestedRules(p, r);
  if (isErr(rules)) {
    return rules;
  }
  p.provider.syncStats();
  const nowMs = p.clock.nowMs();
  const m = Multipart.replyTo(msg);
  for (const rule of rules) {
    appendFlowStats(m, flowStatsOf(p, rule, nowMs));
  }
  return sendAll(conn, m);
}

function handleQueueStats(conn: Ofconn, msg: Msg): OfpErr | null {
  const rq = decodeQueueStatsRequest(msg);
  if (isErr(rq)) {
    return rq;
  }
  const p = conn.ofproto;
  const m = Multipart.replyTo(msg);
  const queue = rq.queue === OFPQ_ALL ? null : rq.queue;
  const error = eachQueuePort(p, rq.port, (port) => {
    const stats = p.provider.queueStats(port, queue);
    for (const qs of isErr(stats) ? [] : stats) {
      appendQueueStats(m, qs);
    }
    return isErr(stats) ? stats : null;
  });
  return error ?? sendAll(conn, m);
}

function handleQueueConfig(conn: Ofconn, msg: Msg): OfpErr | null {
  const rq = decodeQueueConfigRequest(msg);
  if (isErr(rq)) {
    return rq;
  }
  const p = conn.ofproto;
  const m = startQueueConfigReply(msg, rq.port);
  const wanted = rq.queue === OFPQ_ALL ? null : rq.queue;
  const error = eachQueuePort(p, rq.port, (port) => {
    const queues = p.provider.queues(port, wanted);
    for (const queue of isErr(queues) ? [] : queues) {
      const rates = { minRate: QUEUE_RATE_NONE, maxRate: QUEUE_RATE_NONE };
      appendQueueConfig(m, { port: port.portNo, queue, ...rates });
    }
    return isErr(queues) ? queues : null;
  });
  return error ?? sendAll(conn, m);
}

/** For all ports it is enough that one of them has the queue. */
function eachQueuePort(
  p: Ofproto,
  portNo: number,
  act: (port: OfPort) => OfpErr | null,
): OfpErr | null {
  if (portNo !== OFPP.ANY) {
    const port = p.ports.get(portNo);
    return port === null ? "OFPQOFC_BAD_PORT" : act(port);
  }
  let error: OfpErr | null = "OFPQOFC_BAD_QUEUE";
  for (const port of p.ports.all()) {
    if (act(port) === null) {
      error = null;
    }
  }
  return error;
}

function handleMeters(conn: Ofconn, msg: Msg): OfpErr | null {
  const p = conn.ofproto;
  const meterId = decodeMeterRequest(msg);
  const one = p.meters.get(meterId);
  if (meterId !== OFPM13.ALL && one === null) {
    return "OFPMMFC_UNKNOWN_METER";
  }
  const m = Multipart.replyTo(msg);
  for (const meter of one === null ? p.meters.all() : [one]) {
    if (msg.type === "METER_STATS_REQUEST") {
      const stats = meterStatsOf(p, meter);
      if (stats !== null) {
        appendMeterStats(m, stats);
      }
    } else {
      appendMeterConfig(m, meter.config);
    }
  }
  return sendAll(conn, m);
}

/** Reads the tables' features, and changes them first if the request holds any. */
export function handleTableFeatures(conn: Ofconn, msgs: readonly Msg[]): void {
  const p = conn.ofproto;
  const last = msgs.at(-1) as Msg;
  const wanted: TableFeatures[] = [];
  for (const msg of msgs) {
    const list = decodeTableFeatures(msg);
    const error = isErr(list) ? list : duplicate([...wanted, ...list], p);
    if (isErr(list) || error !== null) {
      conn.sendError(msg.bytes, error as OfpErr);
      return;
    }
    wanted.push(...list);
  }
  if (wanted.length > 0) {
    const refused = changeTableFeatures(p, wanted);
    if (refused !== null) {
      if (refused.log !== "") {
        p.log.logRl("ofproto", "info", { name: "ofproto", rate: 1, burst: 5 }, refused.log);
      }
      conn.sendError(last.bytes, refused.error);
      return;
    }
  }
  const m = Multipart.replyTo(last);
  for (const tf of tableFeatures(p)) {
    if (!p.table(tf.tableId).hidden) {
      appendTableFeatures(m, tf, null);
    }
  }
  sendAll(conn, m);
}

function duplicate(list: readonly TableFeatures[], p: Ofproto): OfpErr | null {
  const ids = list.map((tf) => tf.tableId);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice === undefined) {
    return null;
  }
  p.log.logRl(
    "ofproto",
    "info",
    { name: "ofproto", rate: 1, burst: 5 },
    `duplicate table ${twice}`,
  );
  return "NXTFFC_DUP_TABLE";
}

/** Answers with the flows that the new monitors watch. */
export function handleFlowMonitorRequest(conn: Ofconn, msgs: readonly Msg[]): void {
  const p = conn.ofproto;
  const requests: FlowMonitorRequest[] = [];
  for (const msg of msgs) {
    const list = decodeFlowMonitorRequests(msg);
    if (isErr(list)) {
      conn.sendError(msg.bytes, list);
      return;
    }
    requests.push(...list);
  }
  const monitors = p.monitors.handle(conn, requests);
  const last = msgs.at(-1) as Msg;
  if (isErr(monitors)) {
    conn.sendError(last.bytes, monitors);
    return;
  }
  const m = Multipart.replyTo(last);
  p.monitors.appendInitial(monitors, m);
  sendAll(conn, m);
}
