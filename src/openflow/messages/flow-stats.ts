// Statistics of flows and their totals (ovs: lib/ofp-flow.c).
//
// A reply holds flows in one of four layouts: OpenFlow 1.0's fixed match, Nicira's with ages,
// OpenFlow 1.1's (with flags from 1.3 and importance from 1.4 on), and 1.5's with OXS statistics.

import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import {
  formatPort,
  formatTable,
  OFPP,
  OFPTT_ALL,
  portFromOfp11,
  portToOfp11,
} from "../../flow/ofp-port.ts";
import type { TunTable } from "../../flow/tun-metadata.ts";
import type { VlMffMap } from "../../flow/vl-mff-map.ts";
import { Cursor, type Writer } from "../../lib/bytes.ts";
import { pullInstructions, putActions, putInstructions } from "../actions/codec.ts";
import { formatShownMatch } from "../match-text.ts";
import { nxPullMatch } from "../oxm.ts";
import { nxPutMatch, oxmPutMatch } from "../oxm-put.ts";
import { type Decoded, INVALID_ERR, isErr, type OfpErr, type PrintErr } from "./errors.ts";
import { decodeFlowFlags, encodeFlowFlags } from "./flow-mod.ts";
import {
  matchFromOfp10,
  pullOfp10Match,
  pullOfp11Match,
  putOfp10Match,
  putOfp11Match,
} from "./match-wire.ts";
import type { Multipart } from "./multipart.ts";
import { type NameMaps, OFPG } from "./names.ts";
import { NO_STATS, pullOxsStats, putOxsStats } from "./oxs.ts";
import {
  finishMsg,
  headerBytesOf,
  type Msg,
  OFP_MSG_BYTES_MAX,
  replyRaw,
  startMsg,
} from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import {
  type AggregateStats,
  DEFAULT_PRIORITY,
  type FlowStats,
  type FlowStatsRequest,
  U32_MAX,
  U64_MAX,
} from "./types-flow.ts";
import { knownVersion, protocolToVersion } from "./version.ts";

/** The bridge's tunnel options, as far as a match needs them. */
export interface TunContext {
  readonly tab: TunTable | null;
  readonly vlMff: VlMffMap | null;
}

const STATS15_BYTES = 24;
const STATS11_BYTES = 48;
const STATS10_BYTES = 88;
const NX_STATS_BYTES = 48;

export function encodeFlowStatsRequest(
  r: FlowStatsRequest,
  protocol: Protocols,
  xid: number,
): Uint8Array {
  const version = protocolToVersion(protocol);
  if (version !== OFP.v10) {
    const aggregate =
      version === OFP.v15 ? "OFPST15_AGGREGATE_REQUEST" : "OFPST11_AGGREGATE_REQUEST";
    const w = startMsg(r.aggregate ? aggregate : "OFPST11_FLOW_REQUEST", version, xid);
    w.u8(r.tableId).zeros(3).u32(portToOfp11(r.outPort)).u32(r.outGroup).zeros(4);
    w.u64(r.cookie).u64(r.cookieMask);
    putOfp11Match(w, r.match, version);
    return finishMsg(w);
  }
  if ((protocol & P.OF10_NXM_ANY) === 0) {
    const raw = r.aggregate ? "OFPST10_AGGREGATE_REQUEST" : "OFPST10_FLOW_REQUEST";
    const w = startMsg(raw, version, xid);
    putOfp10Match(w, r.match);
    return finishMsg(w.u8(r.tableId).zeros(1).u16(r.outPort));
  }
  const w = startMsg(r.aggregate ? "NXST_AGGREGATE_REQUEST" : "NXST_FLOW_REQUEST", version, xid);
  const at = w.length;
  w.u16(r.outPort).u16(0).u8(r.tableId).zeros(3);
  w.patchU16(at + 2, nxPutMatch(w, r.match, r.cookie, r.cookieMask));
  return finishMsg(w);
}

const AGGREGATES: readonly RawName[] = [
  "OFPST10_AGGREGATE_REQUEST",
  "OFPST11_AGGREGATE_REQUEST",
  "OFPST15_AGGREGATE_REQUEST",
  "NXST_AGGREGATE_REQUEST",
];

export function decodeFlowStatsRequest(msg: Msg, tun: TunContext): Decoded<FlowStatsRequest> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const aggregate = AGGREGATES.includes(msg.raw);
  if (msg.raw.startsWith("OFPST10")) {
    const match = matchFromOfp10(pullOfp10Match(c));
    const tableId = c.u8();
    c.skip(1);
    const out = { outPort: c.u16(), outGroup: OFPG.ANY };
    return { aggregate, match, tableId, ...out, cookie: 0n, cookieMask: 0n };
  }
  const opts = { tab: tun.tab, tun: tun.vlMff };
  if (msg.raw.startsWith("NXST")) {
    const [outPort, matchLen, tableId] = [c.u16(), c.u16(), c.u8()];
    c.skip(3);
    const m = nxPullMatch(c, matchLen, { ...opts, cookie: true, log: msg.log });
    if (isErr(m)) {
      return m;
    }
    const head = { aggregate, outPort, outGroup: OFPG.ANY, tableId };
    return c.left > 0 ? "OFPBRC_BAD_LEN" : { ...head, ...m };
  }
  const tableId = c.u8();
  c.skip(3);
  const [wirePort, outGroup] = [c.u32(), c.u32()];
  c.skip(4);
  const [cookie, cookieMask] = [c.u64(), c.u64()];
  const outPort = portFromOfp11(wirePort, msg.log);
  if (outPort === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const match = pullOfp11Match(c, opts, msg.log);
  return isErr(match)
    ? match
    : { aggregate, match, cookie, cookieMask, outPort, outGroup, tableId };
}

export function formatFlowStatsRequest(r: FlowStatsRequest, names: NameMaps): string {
  const table = r.tableId === OFPTT_ALL ? "" : ` table=${formatTable(r.tableId, names.tables)}`;
  const port = r.outPort === OFPP.ANY ? "" : ` out_port=${formatPort(r.outPort, names.ports)}`;
  return `${table}${port} ${formatShownMatch(r.match, names, DEFAULT_PRIORITY)}`;
}

function warn(msg: Msg, text: string): void {
  msg.log?.("WARN", "ofp_flow", text);
}

/** Refuses a flow whose fixed part is not there. */
function leftover(msg: Msg, c: Cursor, prefix = "OFPST"): OfpErr {
  warn(msg, `${prefix}_FLOW reply has ${c.left} leftover bytes at end`);
  return "OFPBRC_BAD_LEN";
}

function badLength(msg: Msg, length: number): OfpErr {
  warn(msg, `OFPST_FLOW reply claims invalid length ${length}`);
  return "OFPBRC_BAD_LEN";
}

type Body = Omit<FlowStats, "actions">;

function pull15(c: Cursor, msg: Msg): { fs: Body; instructions: number } | PrintErr {
  if (c.left < STATS15_BYTES) {
    leftover(msg, c);
    return INVALID_ERR;
  }
  const length = c.u16();
  c.skip(2);
  const tableId = c.u8();
  c.skip(1);
  const [priority, idleTimeoutS, hardTimeoutS] = [c.u16(), c.u16(), c.u16()];
  const [rawFlags, importance, cookie] = [c.u16(), c.u16(), c.u64()];
  const at = c.pos;
  const match = length < STATS15_BYTES ? badLength(msg, length) : pullOfp11Match(c, {}, msg.log);
  if (isErr(match)) {
    if (length >= STATS15_BYTES) {
      warn(msg, "OFPST_FLOW reply bad match");
    }
    return INVALID_ERR;
  }
  const flags = decodeFlowFlags(rawFlags, null, msg.version);
  if (isErr(flags)) {
    return flags;
  }
  const oxs = pullOxsStats(c);
  if (isErr(oxs)) {
    warn(msg, "OXS OFPST_FLOW reply bad stats");
    return INVALID_ERR;
  }
  const { stats } = oxs;
  const fs = {
    match,
    cookie,
    tableId,
    priority,
    idleTimeoutS,
    hardTimeoutS,
    flags,
    importance,
    durationS: stats.durationS,
    durationNs: stats.durationNs,
    packetCount: stats.packetCount,
    byteCount: stats.byteCount,
    idleAgeS: stats.idleAgeS === U32_MAX ? -1 : stats.idleAgeS,
    hardAgeS: -1,
  };
  return { fs, instructions: length - STATS15_BYTES - (c.pos - at) };
}

function pull11(c: Cursor, msg: Msg): Decoded<{ fs: Body; instructions: number }> {
  if (c.left < STATS11_BYTES) {
    return leftover(msg, c);
  }
  const [length, tableId] = [c.u16(), c.u8()];
  c.skip(1);
  const [durationS, durationNs] = [c.u32(), c.u32()];
  const [priority, idleTimeoutS, hardTimeoutS] = [c.u16(), c.u16(), c.u16()];
  const [rawFlags, wireImportance] = [c.u16(), c.u16()];
  c.skip(2);
  const [cookie, packetCount, byteCount] = [c.u64(), c.u64(), c.u64()];
  if (length < STATS11_BYTES) {
    return badLength(msg, length);
  }
  const at = c.pos;
  const match = pullOfp11Match(c, {}, msg.log);
  if (isErr(match)) {
    warn(msg, "OFPST_FLOW reply bad match");
    return match;
  }
  const has = msg.raw === "OFPST13_FLOW_REPLY";
  const flags = has ? decodeFlowFlags(rawFlags, null, msg.version) : 0;
  if (isErr(flags)) {
    return flags;
  }
  const importance = msg.version >= OFP.v14 ? wireImportance : 0;
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS, idleAgeS: -1, hardAgeS: -1 };
  const fs = {
    match,
    cookie,
    tableId,
    priority,
    ...times,
    packetCount,
    byteCount,
    flags,
    importance,
  };
  return { fs, instructions: length - STATS11_BYTES - (c.pos - at) };
}

function pull10(c: Cursor, msg: Msg): Decoded<{ fs: Body; instructions: number }> {
  if (c.left < STATS10_BYTES) {
    return leftover(msg, c);
  }
  const [length, tableId] = [c.u16(), c.u8()];
  c.skip(1);
  const match = matchFromOfp10(pullOfp10Match(c));
  const [durationS, durationNs] = [c.u32(), c.u32()];
  const [priority, idleTimeoutS, hardTimeoutS] = [c.u16(), c.u16(), c.u16()];
  c.skip(6);
  const [cookie, packetCount, byteCount] = [c.u64(), c.u64(), c.u64()];
  if (length < STATS10_BYTES) {
    return badLength(msg, length);
  }
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS, idleAgeS: -1, hardAgeS: -1 };
  const counts = { packetCount, byteCount, flags: 0, importance: 0 };
  const fs = { match, cookie, tableId, priority, ...times, ...counts };
  return { fs, instructions: length - STATS10_BYTES };
}

function pullNx(c: Cursor, msg: Msg): Decoded<{ fs: Body; instructions: number }> {
  if (c.left < NX_STATS_BYTES) {
    return leftover(msg, c, "NXST");
  }
  const [length, tableId] = [c.u16(), c.u8()];
  c.skip(1);
  const [durationS, durationNs] = [c.u32(), c.u32()];
  const [priority, idleTimeoutS, hardTimeoutS] = [c.u16(), c.u16(), c.u16()];
  const [matchLen, idleAge, hardAge] = [c.u16(), c.u16(), c.u16()];
  const [cookie, packetCount, byteCount] = [c.u64(), c.u64(), c.u64()];
  const head = NX_STATS_BYTES + Math.ceil(matchLen / 8) * 8;
  if (length < head) {
    warn(msg, `NXST_FLOW reply with match_len=${matchLen} claims invalid length ${length}`);
    return "OFPBRC_BAD_LEN";
  }
  const m = nxPullMatch(c, matchLen, { log: msg.log });
  if (isErr(m)) {
    return m;
  }
  // An age of 0 on the wire is an unknown one.
  const ages = { idleAgeS: idleAge - 1, hardAgeS: hardAge - 1 };
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS, ...ages };
  const counts = { packetCount, byteCount, flags: 0, importance: 0 };
  const fs = { match: m.match, cookie, tableId, priority, ...times, ...counts };
  return { fs, instructions: length - head };
}

/** Takes one flow; null at the end. */
export function pullFlowStats(c: Cursor, msg: Msg): FlowStats | PrintErr | null {
  if (c.left === 0) {
    return null;
  }
  let body: { fs: Body; instructions: number } | PrintErr;
  switch (msg.raw) {
    case "OFPST15_FLOW_REPLY":
      body = pull15(c, msg);
      break;
    case "OFPST10_FLOW_REPLY":
      body = pull10(c, msg);
      break;
    case "NXST_FLOW_REPLY":
      body = pullNx(c, msg);
      break;
    default:
      body = pull11(c, msg);
  }
  if (typeof body === "string") {
    return body;
  }
  const actions = pullInstructions(
    c,
    // A length that is too small is as bad as one that is too large.
    body.instructions < 0 ? OFP_MSG_BYTES_MAX + 1 : body.instructions,
    knownVersion(msg.version),
    { log: msg.log, debug: msg.debug },
  );
  if (isErr(actions)) {
    warn(msg, "OFPST_FLOW reply bad instructions");
    return actions;
  }
  return { ...body.fs, actions };
}

function unknownToZero(n: bigint): bigint {
  return n === U64_MAX ? 0n : n;
}

function put15(w: Writer, fs: FlowStats): void {
  w.zeros(4).u8(fs.tableId).zeros(1).u16(fs.priority).u16(fs.idleTimeoutS).u16(fs.hardTimeoutS);
  w.u16(encodeFlowFlags(fs.flags, OFP.v15)).u16(fs.importance).u64(fs.cookie);
  oxmPutMatch(w, fs.match, OFP.v15);
  const { durationS, durationNs, packetCount, byteCount } = fs;
  const idleAgeS = fs.idleAgeS >= 0 ? fs.idleAgeS : U32_MAX;
  putOxsStats(w, { durationS, durationNs, idleAgeS, packetCount, byteCount, flowCount: U32_MAX });
  putInstructions(fs.actions, w, OFP.v15);
}

function put11(w: Writer, fs: FlowStats, m: Multipart): void {
  const version = knownVersion(m.version);
  w.zeros(2).u8(fs.tableId).zeros(1).u32(fs.durationS).u32(fs.durationNs);
  w.u16(fs.priority).u16(fs.idleTimeoutS).u16(fs.hardTimeoutS);
  w.u16(m.raw === "OFPST13_FLOW_REPLY" ? encodeFlowFlags(fs.flags, version) : 0);
  w.u16(version >= OFP.v14 ? fs.importance : 0)
    .zeros(2)
    .u64(fs.cookie);
  w.u64(unknownToZero(fs.packetCount)).u64(unknownToZero(fs.byteCount));
  // The reply has an OXM match even in OpenFlow 1.1.
  oxmPutMatch(w, fs.match, version);
  putInstructions(fs.actions, w, version);
}

function put10(w: Writer, fs: FlowStats): void {
  w.zeros(2).u8(fs.tableId).zeros(1);
  putOfp10Match(w, fs.match);
  w.u32(fs.durationS).u32(fs.durationNs);
  w.u16(fs.priority).u16(fs.idleTimeoutS).u16(fs.hardTimeoutS).zeros(6).u64(fs.cookie);
  w.u64(unknownToZero(fs.packetCount)).u64(unknownToZero(fs.byteCount));
  putActions(fs.actions, w, OFP.v10);
}

/** An age on the wire: 0 is unknown, otherwise one more than it is, up to 16 bits. */
function nxAge(seconds: number): number {
  return seconds < 0 ? 0 : Math.min(seconds + 1, 0xffff);
}

function putNx(w: Writer, fs: FlowStats): void {
  w.zeros(2).u8(fs.tableId).zeros(1).u32(fs.durationS).u32(fs.durationNs);
  w.u16(fs.priority).u16(fs.idleTimeoutS).u16(fs.hardTimeoutS);
  const at = w.length;
  w.u16(0).u16(nxAge(fs.idleAgeS)).u16(nxAge(fs.hardAgeS));
  w.u64(fs.cookie).u64(fs.packetCount).u64(fs.byteCount);
  w.patchU16(at, nxPutMatch(w, fs.match));
  putActions(fs.actions, w, OFP.v10);
}

/** Appends a flow; one that alone would not fit into a message is left out. */
export function appendFlowStats(m: Multipart, fs: FlowStats): void {
  const w = m.writer;
  const start = w.length;
  switch (m.raw) {
    case "OFPST15_FLOW_REPLY":
      put15(w, fs);
      break;
    case "OFPST10_FLOW_REPLY":
      put10(w, fs);
      break;
    case "NXST_FLOW_REPLY":
      putNx(w, fs);
      break;
    default:
      put11(w, fs, m);
  }
  w.patchU16(start, w.length - start);
  if (w.length - start > OFP_MSG_BYTES_MAX - headerBytesOf(w.view())) {
    w.truncate(start);
  } else {
    m.postAppend(start);
  }
}

export function encodeAggregateReply(request: Msg, as: AggregateStats): Uint8Array {
  const w = startMsg(replyRaw(request), request.version, request.xid);
  if (request.raw === "OFPST15_AGGREGATE_REQUEST") {
    putOxsStats(w, { ...NO_STATS, ...as });
    return finishMsg(w);
  }
  const known = request.raw === "OFPST10_AGGREGATE_REQUEST" ? unknownToZero : (n: bigint) => n;
  w.u64(known(as.packetCount)).u64(known(as.byteCount)).u32(as.flowCount).zeros(4);
  return finishMsg(w);
}

export function decodeAggregateReply(msg: Msg): Decoded<AggregateStats> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  if (msg.raw !== "OFPST15_AGGREGATE_REPLY") {
    return { packetCount: c.u64(), byteCount: c.u64(), flowCount: c.u32() };
  }
  const oxs = pullOxsStats(c);
  if (isErr(oxs)) {
    return oxs;
  }
  const { packetCount, byteCount, flowCount } = oxs.stats;
  return { packetCount, byteCount, flowCount };
}

export function formatAggregate(as: AggregateStats): string {
  return ` packet_count=${as.packetCount} byte_count=${as.byteCount} flow_count=${as.flowCount}`;
}
