// Handles encoded OpenFlow messages: one row per type of message that a switch must answer.
//
// A handler decodes, acts, and sends replies through the connection; what it answers is the error
// that the peer is to get, or null (ovs: ofproto/ofproto.c handle_single_part_openflow,
// handle_openflow, connmgr.c ofconn_run). Replies to requests for statistics are built in
// ofproto-replies.ts.

import type { Ofconn } from "./connmgr.ts";
import {
  addToBundle,
  type BundleEntry,
  closeBundle,
  commitBundle,
  discardBundle,
  openBundle,
} from "./bundle.ts";
import { flowModInit } from "./flow-mod.ts";
import { groupMod, groupModOp } from "./group-mod.ts";
import { decodeBundleAdd, decodeBundleCtrl, encodeBundleCtrlReply } from "./messages/bundle.ts";
import {
  decodeAsync,
  decodeFlowModTableId,
  decodeRole,
  decodeSetControllerId,
  decodeSetFlowFormat,
  decodeSetPacketInFormat,
  encodeGetAsyncReply,
  encodeRoleReply,
} from "./messages/connection.ts";
import { decodeCtFlush, decodeCtFlushZone } from "./messages/ct.ts";
import { isErr, type OfpErr } from "./messages/errors.ts";
import { decodeFlowMod } from "./messages/flow-mod.ts";
import { decodeGroupMod } from "./messages/group.ts";
import { encodeBarrierReply, encodeEchoReply } from "./messages/hello.ts";
import { decodeMeterMod } from "./messages/meter.ts";
import { decodeFlowMonitorCancel } from "./messages/monitor.ts";
import { decodePacketOut } from "./messages/packet-out.ts";
import { decodePortMod } from "./messages/port.ts";
import { isStatRequest, type Msg, OFP_HEADER, pullMsg } from "./messages/raw.ts";
import type { MsgType } from "./messages/raw-table.ts";
import { decodeSetConfig } from "./messages/switch.ts";
import { decodeTableMod } from "./messages/table.ts";
import { decodeTlvTableMod, encodeTlvTableReply } from "./messages/tlv-table.ts";
import { OFPBCT, OFPCR } from "./messages/types-switch.ts";
import { NXTTMC, type TlvTableMod } from "./messages/types-switch.ts";
import { protocolSetBase, protocolSetTid } from "./messages/version.ts";
import { meterMod } from "./meter-mod.ts";
import type { Ofproto } from "./ofproto.ts";
import {
  handleFlowMonitorRequest,
  handleTableFeatures,
  STATS_HANDLERS,
} from "./ofproto-replies.ts";
import { portModFinish, portModStart } from "./ofproto-ports.ts";
import { checkPacketOut } from "./packet-out.ts";
import { tableMod } from "./ofproto-tables.ts";
import { logReceived } from "./vconn-log.ts";

/** What answers one type of message; null is success. */
export type Handler = (conn: Ofconn, msg: Msg) => OfpErr | null;

/** Bytes of tunnel options and fields that a TLV map can hold. */
export const TLV_OPTION_SPACE = 256;
export const TLV_FIELDS = 64;
/** miss_send_len that a tool gets when it only asks for events. */
const MISS_SEND_LEN_DEFAULT = 128;

/** Takes one message of a connection and does all that it asks for. */
export function handleMessage(conn: Ofconn, bytes: Uint8Array): void {
  const p = conn.ofproto;
  logReceived(p.log, conn.name, bytes);
  const parts = conn.assembler.execute(bytes, p.clock.nowMs());
  if (isErr(parts)) {
    conn.sendError(bytes, parts);
    return;
  }
  if (parts.length > 0) {
    handleParts(conn, parts);
  }
  p.removePostponed();
}

function handleParts(conn: Ofconn, parts: readonly Uint8Array[]): void {
  const first = parts[0] as Uint8Array;
  const msgs: Msg[] = [];
  for (const part of parts) {
    const msg = pullMsg(part, conn.decodeLog, true);
    if (isErr(msg)) {
      conn.sendError(part, msg);
      return;
    }
    msgs.push(msg);
  }
  const error = dispatch(conn, msgs);
  if (error !== null) {
    conn.sendError(first, error);
  }
}

function dispatch(conn: Ofconn, msgs: readonly Msg[]): OfpErr | null {
  const msg = msgs[0] as Msg;
  if (msg.type === "TABLE_FEATURES_STATS_REQUEST") {
    handleTableFeatures(conn, msgs);
    return null;
  }
  if (msg.type === "FLOW_MONITOR_STATS_REQUEST") {
    handleFlowMonitorRequest(conn, msgs);
    return null;
  }
  if (msgs.length > 1) {
    return "OFPBRC_BAD_STAT";
  }
  if (conn.role === OFPCR.SECONDARY && WRITES.has(msg.type)) {
    return "OFPBRC_IS_SECONDARY";
  }
  const handler = HANDLERS[msg.type] ?? STATS_HANDLERS[msg.type];
  if (handler === undefined) {
    const stat = isStatRequest(msg.version, msg.bytes[OFP_HEADER.TYPE] ?? 0);
    return stat ? "OFPBRC_BAD_STAT" : "OFPBRC_BAD_TYPE";
  }
  return handler(conn, msg);
}

/** What a secondary controller must not do (ovs: reject_secondary_controller). */
const WRITES: ReadonlySet<MsgType> = new Set<MsgType>([
  "PACKET_OUT",
  "PORT_MOD",
  "FLOW_MOD",
  "GROUP_MOD",
  "TABLE_MOD",
  "METER_MOD",
  "BUNDLE_CONTROL",
  "BUNDLE_ADD_MESSAGE",
  "NXT_TLV_TABLE_MOD",
]);

const HANDLERS: Partial<Record<MsgType, Handler>> = {
  ECHO_REQUEST: (conn, msg) => reply(conn, encodeEchoReply(msg)),
  ECHO_REPLY: () => null,
  FLOW_AGE: () => null,
  BARRIER_REQUEST: (conn, msg) => reply(conn, encodeBarrierReply(msg)),
  SET_CONFIG: handleSetConfig,
  FLOW_MOD: handleFlowMod,
  PACKET_OUT: handlePacketOut,
  PORT_MOD: handlePortMod,
  GROUP_MOD: (conn, msg) => {
    const gm = decodeGroupMod(msg);
    return isErr(gm) ? gm : groupMod(conn.ofproto, gm, { conn, xid: msg.xid });
  },
  METER_MOD: (conn, msg) => {
    const mm = decodeMeterMod(msg);
    return isErr(mm) ? mm : meterMod(conn.ofproto, mm, { conn, xid: msg.xid });
  },
  TABLE_MOD: (conn, msg) => {
    const tm = decodeTableMod(msg);
    return isErr(tm) ? tm : tableMod(conn.ofproto, tm);
  },
  ROLE_REQUEST: handleRole,
  FLOW_MOD_TABLE_ID: (conn, msg) => {
    conn.protocol = protocolSetTid(conn.protocol, decodeFlowModTableId(msg));
    return null;
  },
  SET_FLOW_FORMAT: (conn, msg) => {
    const base = decodeSetFlowFormat(msg);
    if (base === 0) {
      return "OFPBRC_EPERM";
    }
    conn.protocol = protocolSetBase(conn.protocol, base);
    return null;
  },
  SET_PACKET_IN_FORMAT: (conn, msg) => {
    const d = decodeSetPacketInFormat(msg);
    if (isErr(d)) {
      return d;
    }
    conn.packetInFormat = d.format;
    return null;
  },
  SET_CONTROLLER_ID: (conn, msg) => {
    const d = decodeSetControllerId(msg);
    if (isErr(d)) {
      return d;
    }
    conn.controllerId = d.id;
    return null;
  },
  SET_ASYNC_CONFIG: (conn, msg) => {
    const config = decodeAsync(msg, false, conn.asyncConfig);
    if (isErr(config)) {
      return config;
    }
    conn.setAsyncConfig(config);
    if (conn.type === "service" && conn.missSendLen === 0) {
      conn.missSendLen = MISS_SEND_LEN_DEFAULT;
    }
    return null;
  },
  GET_ASYNC_REQUEST: (conn, msg) => reply(conn, encodeGetAsyncReply(msg, conn.asyncConfig)),
  FLOW_MONITOR_CANCEL: (conn, msg) => {
    const known = conn.monitors.delete(decodeFlowMonitorCancel(msg));
    return known ? null : "OFPMOFC_UNKNOWN_MONITOR";
  },
  NXT_RESUME: (conn, msg) => conn.ofproto.provider.resume(msg.bytes),
  NXT_TLV_TABLE_MOD: (conn, msg) => {
    const ttm = decodeTlvTableMod(msg);
    return isErr(ttm) ? ttm : tlvTableMod(conn.ofproto, ttm);
  },
  NXT_TLV_TABLE_REQUEST: (conn, msg) => {
    const mappings = conn.ofproto.tunTable
      .mappings()
      .map(({ optionBytes, ...m }) => ({ ...m, optionLen: optionBytes }));
    const table = { maxOptionSpace: TLV_OPTION_SPACE, maxFields: TLV_FIELDS, mappings };
    return reply(conn, encodeTlvTableReply(msg, table));
  },
  CT_FLUSH_ZONE: (conn, msg) => {
    const d = decodeCtFlushZone(msg);
    if (isErr(d)) {
      return d;
    }
    conn.ofproto.provider.ctFlush(d.zone, null);
    return null;
  },
  CT_FLUSH: (conn, msg) => {
    const d = decodeCtFlush(msg);
    if (isErr(d)) {
      return d;
    }
    conn.ofproto.provider.ctFlush(d.zone, d.match);
    return null;
  },
  BUNDLE_CONTROL: handleBundleControl,
  BUNDLE_ADD_MESSAGE: handleBundleAdd,
};

function reply(conn: Ofconn, bytes: Uint8Array | null): null {
  if (bytes !== null) {
    conn.send(bytes);
  }
  return null;
}

/** What decoding a flow mod or packet-out of a connection depends on. */
function decodeContext(conn: Ofconn) {
  const p = conn.ofproto;
  return {
    protocol: conn.protocol,
    tab: p.tunTable,
    vlMff: p.vlMff,
    maxPorts: p.maxPorts,
    nTables: p.nTables,
  };
}

function handleFlowMod(conn: Ofconn, msg: Msg): OfpErr | null {
  const fm = decodeFlowMod(msg, decodeContext(conn));
  return isErr(fm) ? fm : conn.ofproto.flowMod(fm, { conn, xid: msg.xid });
}

function handlePacketOut(conn: Ofconn, msg: Msg): OfpErr | null {
  const p = conn.ofproto;
  const po = decodePacketOut(msg, decodeContext(conn));
  if (isErr(po)) {
    return po;
  }
  return (
    checkPacketOut(p, po, conn.protocol) ??
    p.checkActions(po.actions) ??
    p.provider.packetOut(po, p.tablesVersion)
  );
}

function handlePortMod(conn: Ofconn, msg: Msg): OfpErr | null {
  const pm = decodePortMod(msg, false);
  if (isErr(pm)) {
    return pm;
  }
  const error = portModStart(conn.ofproto, pm);
  if (error === null) {
    portModFinish(conn.ofproto, conn, pm);
  }
  return error;
}

function handleSetConfig(conn: Ofconn, msg: Msg): OfpErr | null {
  const config = decodeSetConfig(msg);
  if (isErr(config)) {
    return config;
  }
  if (conn.type !== "primary" || conn.role !== OFPCR.SECONDARY) {
    conn.ofproto.setFragHandling(config.frag);
  }
  if (config.invalidTtlToController >= 0) {
    conn.setInvalidTtlToController(config.invalidTtlToController > 0);
  }
  conn.missSendLen = config.missSendLen;
  return null;
}

function handleRole(conn: Ofconn, msg: Msg): OfpErr | null {
  const request = decodeRole(msg);
  if (isErr(request)) {
    return request;
  }
  const { conns } = conn.ofproto;
  if (request.role !== OFPCR.NOCHANGE) {
    if (
      request.role !== OFPCR.EQUAL &&
      request.haveGenerationId &&
      !conns.setElectionId(request.generationId)
    ) {
      return "OFPRRFC_STALE";
    }
    conns.setRole(conn, request.role);
  }
  const generationId = conns.electionId ?? 0n;
  const haveGenerationId = conns.electionId !== null;
  return reply(conn, encodeRoleReply(msg, { role: conn.role, haveGenerationId, generationId }));
}

/** Changes the places and widths of tunnel options (ovs: handle_tlv_table_mod). */
function tlvTableMod(p: Ofproto, ttm: TlvTableMod): OfpErr | null {
  const indexes = ttm.mappings.map((m) => m.index);
  if (ttm.command === NXTTMC.ADD) {
    const mappings = ttm.mappings.map(({ optionLen, ...m }) => ({ ...m, optionBytes: optionLen }));
    const tab = p.tunTable.withAdded(mappings);
    if ("error" in tab) {
      return tab.error;
    }
    for (const m of ttm.mappings) {
      p.vlMff.add(m.index, m.optionLen);
    }
    p.tunTable = tab;
  } else if (ttm.command === NXTTMC.DELETE) {
    if (!p.vlMff.delete(indexes)) {
      return "NXTTMFC_INVALID_TLV_DEL";
    }
    p.tunTable = p.tunTable.withDeleted(indexes);
  } else {
    if (!p.vlMff.clear()) {
      return "NXTTMFC_INVALID_TLV_DEL";
    }
    p.tunTable = p.tunTable.withDeleted(p.tunTable.mappings().map((m) => m.index));
  }
  p.provider.needRevalidate();
  return null;
}

function handleBundleControl(conn: Ofconn, msg: Msg): OfpErr | null {
  const ctrl = decodeBundleCtrl(msg);
  if (isErr(ctrl)) {
    return ctrl;
  }
  const { bundleId: id, flags } = ctrl;
  let error: OfpErr | null;
  switch (ctrl.type) {
    case OFPBCT.OPEN_REQUEST:
      error = openBundle(conn, id, flags, msg.bytes);
      break;
    case OFPBCT.CLOSE_REQUEST:
      error = closeBundle(conn, id, flags);
      break;
    case OFPBCT.COMMIT_REQUEST:
      error = commitBundle(conn, id, flags);
      break;
    case OFPBCT.DISCARD_REQUEST:
      error = discardBundle(conn, id);
      break;
    default:
      return "OFPBFC_BAD_TYPE";
  }
  // Each reply's number is one above its request's.
  const answer = { bundleId: id, type: ctrl.type + 1, flags: 0 };
  return error ?? reply(conn, encodeBundleCtrlReply(msg, answer));
}

function handleBundleAdd(conn: Ofconn, msg: Msg): OfpErr | null {
  const add = decodeBundleAdd(msg);
  if (isErr(add)) {
    return add;
  }
  const inner = pullMsg(add.msg, null, true);
  if (isErr(inner)) {
    return inner;
  }
  const entry = bundleEntry(conn, msg, inner);
  return isErr(entry) ? entry : addToBundle(conn, add.bundleId, add.flags, entry);
}

function bundleEntry(conn: Ofconn, outer: Msg, inner: Msg): BundleEntry | OfpErr {
  const p = conn.ofproto;
  const common = { msg: outer.bytes, xid: outer.xid };
  switch (inner.type) {
    case "FLOW_MOD": {
      const fm = decodeFlowMod(inner, decodeContext(conn));
      if (isErr(fm)) {
        return fm;
      }
      const op = flowModInit(p, fm, p.masks.pack(fm.match));
      return isErr(op) ? op : { ...common, kind: "flow_mod", op };
    }
    case "GROUP_MOD": {
      const gm = decodeGroupMod(inner);
      return isErr(gm) ? gm : { ...common, kind: "group_mod", op: groupModOp(gm) };
    }
    case "PORT_MOD": {
      const pm = decodePortMod(inner, false);
      return isErr(pm) ? pm : { ...common, kind: "port_mod", pm };
    }
    case "PACKET_OUT": {
      const po = decodePacketOut(inner, decodeContext(conn));
      if (isErr(po)) {
        return po;
      }
      return (
        checkPacketOut(p, po, conn.protocol) ?? { ...common, kind: "packet_out", po, version: 0 }
      );
    }
    default:
      return "OFPBFC_MSG_UNSUP";
  }
}
