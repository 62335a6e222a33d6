// How each type of message is printed behind its header (ovs: lib/ofp-print.c and the *_format
// functions of lib/ofp-*.c).
//
// One row for each type. Most are a decoder and a format, or a reader that takes one part after the
// other; what precedes a broken part is printed before the error.

import { formatPort, type LogSink } from "../../flow/ofp-port.ts";
import { Cursor, getU16 } from "../../lib/bytes.ts";
import { formatActionNames } from "../actions/actions.ts";
import { formatFlowStats } from "../flow-stats-text.ts";
import { decodeBundleAdd, decodeBundleCtrl, formatBundleAdd, formatBundleCtrl } from "./bundle.ts";
import * as conn from "./connection.ts";
import { decodeCtFlush, formatCtMatch } from "./ct.ts";
import { type Decoded, isErr, type PrintErr } from "./errors.ts";
import { printFlowMod } from "./flow-mod-text.ts";
import { decodeFlowRemoved, formatFlowRemoved } from "./flow-removed.ts";
import * as flows from "./flow-stats.ts";
import * as groups from "./group.ts";
import * as groupText from "./group-text.ts";
import { decodeError, hasTextPayload, printable, printHello } from "./hello.ts";
import { decodeIpfixStats, formatIpfixBridge, formatIpfixFlow } from "./ipfix.ts";
import * as meters from "./meter.ts";
import * as meterText from "./meter-text.ts";
import * as monitors from "./monitor.ts";
import type { NameMaps } from "./names.ts";
import { decodePacketIn, formatPacketIn } from "./packet-in.ts";
import { decodePacketOut, formatPacketOut } from "./packet-out.ts";
import * as ports from "./port.ts";
import * as portStats from "./port-stats.ts";
import * as queues from "./queue.ts";
import { type Msg, OFP_HEADER } from "./raw.ts";
import type { MsgType } from "./raw-table.ts";
import { decodeRequestForward, formatRequestForward } from "./requestforward.ts";
import * as sw from "./switch.ts";
import * as tables from "./table.ts";
import { pullTableFeatures } from "./table-features.ts";
import { TablePrinter } from "./table-features-text.ts";
import { pullTableStats } from "./table-stats.ts";
import { hexDump, type Text } from "./text.ts";
import * as tlv from "./tlv-table.ts";

export interface PrintContext {
  readonly names: NameMaps;
  readonly log: LogSink | null;
  readonly verbosity: number;
  /** Prints a message within this one. */
  readonly inner: (bytes: Uint8Array, verbosity: number) => string;
}

/** Appends the text of a message behind its header. */
export type Printer = (out: Text, msg: Msg, cx: PrintContext) => PrintErr | null;

/** Verbosity from which the payload of an echo is dumped. */
const VERBOSITY_ECHO = 2;
const NO_TUN = { tab: null, vlMff: null };

function nothing(): null {
  return null;
}

/** A printer of a message that is one value. */
function one<T>(
  decode: (msg: Msg, cx: PrintContext) => T | PrintErr,
  format: (v: T, msg: Msg, cx: PrintContext) => string,
): Printer {
  return (out, msg, cx) => {
    const v = decode(msg, cx);
    if (isErr(v)) {
      return v;
    }
    out.put(format(v as T, msg, cx));
    return null;
  };
}

/** A printer of a message that is a list of values. */
function many<T>(
  pull: (c: Cursor, msg: Msg) => T | PrintErr | null,
  format: (v: T, msg: Msg, cx: PrintContext) => string,
): Printer {
  return (out, msg, cx) => {
    const c = new Cursor(msg.bytes, msg.bodyOfs);
    for (;;) {
      const v = pull(c, msg);
      if (v === null || isErr(v)) {
        return v as PrintErr | null;
      }
      out.put(format(v as T, msg, cx));
    }
  };
}

function printTables(
  pull: (c: Cursor, msg: Msg, to: TablePrinter) => PrintErr | null | true,
): Printer {
  return (out, msg) => {
    const c = new Cursor(msg.bytes, msg.bodyOfs);
    const printer = new TablePrinter(out);
    let r: PrintErr | null | true = true;
    while (r === true) {
      r = pull(c, msg, printer);
    }
    printer.finish();
    return r;
  };
}

const printTableFeatures = printTables((c, msg, to) => {
  const tf = pullTableFeatures(c, msg, true);
  if (tf === null || isErr(tf)) {
    return tf;
  }
  to.add(tf, null);
  return true;
});

const printTableStats = printTables((c, msg, to) => {
  const t = pullTableStats(c, msg);
  if (t === null || isErr(t)) {
    return t;
  }
  to.add(t.features, t.stats);
  return true;
});

const printTableDesc = many(
  (c, msg) => tables.pullTableDesc(c, msg.version),
  (td, _, cx) => tables.formatTableDesc(td, cx.names.tables),
);

function printError(out: Text, msg: Msg, cx: PrintContext): PrintErr | null {
  const e = decodeError(msg);
  if (e === null) {
    return "OFPBRC_BAD_LEN";
  }
  out.put(` ${e.err}\n`);
  out.put(hasTextPayload(e.err) ? printable(e.payload) : cx.inner(e.payload, 1));
  return null;
}

function printEcho(out: Text, msg: Msg, cx: PrintContext): null {
  const payload = msg.bytes.subarray(OFP_HEADER.BYTES);
  out.put(` ${payload.length} bytes of payload\n`);
  if (cx.verbosity >= VERBOSITY_ECHO) {
    out.put(hexDump(payload, true));
  }
  return null;
}

function printFeatures(out: Text, msg: Msg): PrintErr | null {
  const { features, ports: c } = sw.decodeFeatures(msg);
  out.put(sw.formatFeatures(features, formatActionNames(features.actions)));
  return ports.printPhyPorts(out, msg, c);
}

function printPortDesc(out: Text, msg: Msg): PrintErr | null {
  out.put("\n");
  return ports.printPhyPorts(out, msg, new Cursor(msg.bytes, msg.bodyOfs));
}

/** Number of the readable values of a message. */
function count<T>(msg: Msg, pull: (c: Cursor, msg: Msg) => Decoded<T> | null): number {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  let n = 0;
  for (let v = pull(c, msg); v !== null && !isErr(v); v = pull(c, msg)) {
    n++;
  }
  return n;
}

function counted<T>(
  what: string,
  pull: (c: Cursor, msg: Msg) => Decoded<T> | null,
  format: (v: T, cx: PrintContext) => string,
): Printer {
  const list = many(pull, (v: T, _: Msg, cx) => format(v, cx));
  return (out, msg, cx) => {
    out.put(` ${count(msg, pull)} ${what}\n`);
    return cx.verbosity < 1 ? null : list(out, msg, cx);
  };
}

function printGroupStats(out: Text, msg: Msg, cx: PrintContext): PrintErr | null {
  const list = many(groups.pullGroupStats, (gs) => `\n ${groupText.formatGroupStats(gs)}`);
  const err = list(out, msg, cx);
  if (err !== null) {
    out.put(" ***parse error***");
  }
  return err;
}

function printIpfixFlow(out: Text, msg: Msg): null {
  // Open vSwitch divides by the size of its own structure, which equals that of the message's.
  const list = decodeIpfixStats(msg);
  out.put(` ${list.length} ids\n${list.map(formatIpfixFlow).join("")}`);
  return null;
}

function printAsync(loose: boolean): Printer {
  const basis = { primary: [0, 0, 0, 0, 0, 0], secondary: [0, 0, 0, 0, 0, 0] };
  return one((msg) => conn.decodeAsync(msg, loose, basis), conn.formatAsync);
}

function printBundleAdd(out: Text, msg: Msg, cx: PrintContext): PrintErr | null {
  const add = decodeBundleAdd(msg);
  if (isErr(add)) {
    return add;
  }
  out.put(formatBundleAdd(add, cx.inner(add.msg, cx.verbosity)));
  return null;
}

const printRole = one(conn.decodeRole, conn.formatRole);
const printPacketIn = one(
  (msg) => decodePacketIn(msg, { ...NO_TUN, loose: true }),
  (d, _, cx) => formatPacketIn(d, cx.names, cx.verbosity),
);
const printFlowRequest = one(
  (msg) => flows.decodeFlowStatsRequest(msg, NO_TUN),
  (r, _, cx) => flows.formatFlowStatsRequest(r, cx.names),
);
const printMeterRequest = one(
  (msg) => ({ id: meters.decodeMeterRequest(msg) }),
  ({ id }) => ` ${meterText.formatMeterId(id, "=")}`,
);

export const PRINTERS: Readonly<Record<MsgType, Printer>> = {
  HELLO: (out, msg) => {
    printHello(out, msg);
    return null;
  },
  ERROR: printError,
  ECHO_REQUEST: printEcho,
  ECHO_REPLY: printEcho,
  FEATURES_REQUEST: nothing,
  FEATURES_REPLY: printFeatures,
  GET_CONFIG_REQUEST: nothing,
  GET_CONFIG_REPLY: one(sw.decodeGetConfigReply, sw.formatSwitchConfig),
  SET_CONFIG: one(sw.decodeSetConfig, sw.formatSwitchConfig),
  PACKET_IN: printPacketIn,
  FLOW_REMOVED: one(decodeFlowRemoved, (fr, _, cx) => formatFlowRemoved(fr, cx.names)),
  PORT_STATUS: one(ports.decodePortStatus, ports.formatPortStatus),
  PACKET_OUT: one(
    (msg) => decodePacketOut(msg, NO_TUN),
    (po, _, cx) => formatPacketOut(po, cx.names, cx.verbosity),
  ),
  FLOW_MOD: printFlowMod,
  GROUP_MOD: one(groups.decodeGroupMod, (gm, msg, cx) =>
    groupText.formatGroupMod(gm, msg.version, cx.names),
  ),
  PORT_MOD: one(
    (msg) => ports.decodePortMod(msg, true),
    (pm, _, cx) => ports.formatPortMod(pm, cx.names.ports),
  ),
  TABLE_MOD: one(tables.decodeTableMod, (tm, _, cx) => tables.formatTableMod(tm, cx.names.tables)),
  BARRIER_REQUEST: nothing,
  BARRIER_REPLY: nothing,
  QUEUE_GET_CONFIG_REQUEST: one(queues.decodeQueueConfigRequest, (rq, _, cx) =>
    queues.formatQueueConfigRequest(rq, cx.names.ports),
  ),
  QUEUE_GET_CONFIG_REPLY: (out, msg, cx) => queues.printQueueConfigs(out, msg, cx.names.ports),
  ROLE_REQUEST: printRole,
  ROLE_REPLY: printRole,
  GET_ASYNC_REQUEST: nothing,
  GET_ASYNC_REPLY: printAsync(true),
  SET_ASYNC_CONFIG: printAsync(false),
  METER_MOD: one(meters.decodeMeterMod, meterText.formatMeterMod),
  ROLE_STATUS: one(conn.decodeRoleStatus, conn.formatRoleStatus),
  REQUESTFORWARD: one(decodeRequestForward, (rf, msg, cx) =>
    formatRequestForward(rf, msg.version, cx.names),
  ),
  TABLE_STATUS: one(tables.decodeTableStatus, (ts, _, cx) =>
    tables.formatTableStatus(ts, cx.names.tables),
  ),
  BUNDLE_CONTROL: one(decodeBundleCtrl, formatBundleCtrl),
  BUNDLE_ADD_MESSAGE: printBundleAdd,
  DESC_STATS_REQUEST: nothing,
  DESC_STATS_REPLY: one(sw.decodeDescReply, sw.formatDesc),
  FLOW_STATS_REQUEST: printFlowRequest,
  FLOW_STATS_REPLY: many(
    flows.pullFlowStats,
    (fs, _, cx) => `\n ${formatFlowStats(fs, cx.names, true)}`,
  ),
  AGGREGATE_STATS_REQUEST: printFlowRequest,
  AGGREGATE_STATS_REPLY: one(flows.decodeAggregateReply, flows.formatAggregate),
  TABLE_STATS_REQUEST: nothing,
  TABLE_STATS_REPLY: printTableStats,
  PORT_STATS_REQUEST: one(
    portStats.decodePortStatsRequest,
    ({ port }, _, cx) => ` port_no=${formatPort(port, cx.names.ports)}`,
  ),
  PORT_STATS_REPLY: counted("ports", portStats.pullPortStats, (ps, cx) =>
    portStats.formatPortStats(ps, cx.names.ports),
  ),
  QUEUE_STATS_REQUEST: one(queues.decodeQueueStatsRequest, (rq, _, cx) =>
    queues.formatQueueStatsRequest(rq, cx.names.ports),
  ),
  QUEUE_STATS_REPLY: counted("queues", queues.pullQueueStats, (qs, cx) =>
    queues.formatQueueStats(qs, cx.names.ports),
  ),
  GROUP_STATS_REQUEST: one(
    (msg) => ({ id: groups.decodeGroupStatsRequest(msg) }),
    ({ id }) => groupText.formatGroupRequest(id),
  ),
  GROUP_STATS_REPLY: printGroupStats,
  GROUP_DESC_STATS_REQUEST: one(
    (msg) => ({ id: groups.decodeGroupDescRequest(msg) }),
    ({ id }) => groupText.formatGroupRequest(id),
  ),
  GROUP_DESC_STATS_REPLY: many(
    groups.pullGroupDesc,
    (gd, msg, cx) => `\n ${groupText.formatGroupDesc(gd, msg.version, cx.names)}`,
  ),
  GROUP_FEATURES_STATS_REQUEST: nothing,
  GROUP_FEATURES_STATS_REPLY: one(groups.decodeGroupFeatures, groupText.formatGroupFeatures),
  METER_STATS_REQUEST: printMeterRequest,
  METER_STATS_REPLY: many(meters.pullMeterStats, (ms) => `\n${meterText.formatMeterStats(ms)}`),
  METER_CONFIG_STATS_REQUEST: printMeterRequest,
  METER_CONFIG_STATS_REPLY: many(
    meters.pullMeterConfig,
    (mc) => `\n${meterText.formatMeterConfig(mc)}`,
  ),
  METER_FEATURES_STATS_REQUEST: nothing,
  METER_FEATURES_STATS_REPLY: one(meters.decodeMeterFeatures, meterText.formatMeterFeatures),
  TABLE_FEATURES_STATS_REQUEST: printTableFeatures,
  TABLE_FEATURES_STATS_REPLY: printTableFeatures,
  TABLE_DESC_REQUEST: printTableDesc,
  TABLE_DESC_REPLY: printTableDesc,
  PORT_DESC_STATS_REQUEST: one(
    ports.decodePortDescRequest,
    ({ port }, _, cx) => ` port=${formatPort(port, cx.names.ports)}`,
  ),
  PORT_DESC_STATS_REPLY: printPortDesc,
  FLOW_MONITOR_STATS_REQUEST: many(monitors.pullFlowMonitorRequest, (rq, _, cx) =>
    monitors.formatFlowMonitorRequest(rq, cx.names),
  ),
  FLOW_MONITOR_STATS_REPLY: many(monitors.pullFlowUpdate, (fu, _, cx) =>
    monitors.formatFlowUpdate(fu, cx.names),
  ),
  SET_FLOW_FORMAT: one(
    (msg) => ({ p: conn.decodeSetFlowFormat(msg) }),
    ({ p }) => conn.formatSetFlowFormat(p),
  ),
  FLOW_MOD_TABLE_ID: one(
    (msg) => ({ enable: conn.decodeFlowModTableId(msg) }),
    ({ enable }) => (enable ? " enable" : " disable"),
  ),
  SET_PACKET_IN_FORMAT: one(
    conn.decodeSetPacketInFormat,
    ({ format }) => ` format=${conn.packetInFormatToString(format)}`,
  ),
  FLOW_AGE: nothing,
  SET_CONTROLLER_ID: (out, msg) => {
    out.put(` id=${getU16(msg.bytes, msg.bodyOfs + 6)}`);
    return null;
  },
  NXT_TLV_TABLE_MOD: one(tlv.decodeTlvTableMod, tlv.formatTlvTableMod),
  NXT_TLV_TABLE_REQUEST: nothing,
  NXT_TLV_TABLE_REPLY: one(tlv.decodeTlvTableReply, tlv.formatTlvTableReply),
  NXT_RESUME: printPacketIn,
  IPFIX_BRIDGE_STATS_REQUEST: nothing,
  IPFIX_BRIDGE_STATS_REPLY: (out, msg) => {
    out.put(decodeIpfixStats(msg).map(formatIpfixBridge).join(""));
    return null;
  },
  IPFIX_FLOW_STATS_REQUEST: nothing,
  IPFIX_FLOW_STATS_REPLY: printIpfixFlow,
  CT_FLUSH_ZONE: (out, msg) => {
    out.put(` zone_id=${getU16(msg.bytes, msg.bodyOfs + 6)}`);
    return null;
  },
  CT_FLUSH: one(decodeCtFlush, (f) => ` zone=${f.zone ?? 0} ${formatCtMatch(f.match)}`),
  FLOW_MONITOR_CANCEL: one(
    (msg) => ({ id: monitors.decodeFlowMonitorCancel(msg) }),
    ({ id }) => ` id=${id}`,
  ),
  FLOW_MONITOR_PAUSED: nothing,
  FLOW_MONITOR_RESUMED: nothing,
};
