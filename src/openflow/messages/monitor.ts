// Flow monitors: a controller asks to hear of every change to some flows (ovs: lib/ofp-monitor.c).
//
// Nicira's messages (OpenFlow 1.0 to 1.2) and ONF's (1.3) share flags, events and layouts but for
// the match and the port; OpenFlow 1.4 has its own. In memory flags and events are 1.4's.

import {
  parseMatchField,
  PROTOCOL_KEYWORDS,
  matchKeyword,
  type TextContext,
} from "../match-parse.ts";
import { fieldByName } from "../../flow/fields.ts";
import { newMatch } from "../../flow/match.ts";
import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import {
  formatPort,
  formatTable,
  OFPP,
  OFPTT_ALL,
  portFromOfp11,
  portToOfp11,
  tableFromString,
} from "../../flow/ofp-port.ts";
import { Cursor, type Writer } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { splitKeyValues } from "../../lib/scan.ts";
import { atoi } from "../../lib/tokens.ts";
import { formatActions } from "../actions/actions.ts";
import { pullActions, pullInstructions, putActions, putInstructions } from "../actions/codec.ts";
import type { Action } from "../actions/types.ts";
import { formatShownMatch } from "../match-text.ts";
import { nxPullMatch } from "../oxm.ts";
import { nxPutMatch, oxmPutMatch } from "../oxm-put.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { pullOfp11Match } from "./match-wire.ts";
import { Multipart } from "./multipart.ts";
import { type NameMaps, OFPG } from "./names.ts";
import { finishMsg, type Msg, OFP_MSG_BYTES_MAX, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import { formatRemovedReason } from "./reasons.ts";
import { altHex, formatBits, hex } from "./text.ts";
import {
  DEFAULT_PRIORITY,
  type FlowMonitorRequest,
  type FlowUpdate,
  OFPFMC,
  OFPFME,
  OFPFMF,
} from "./types-flow.ts";
import { knownVersion, protocolToVersion } from "./version.ts";

/** Nicira's "only my own changes" is one bit lower than OpenFlow 1.4's. */
const NXFMF_OWN = 1 << 5;
const NXFMF_SAME = 0x1f;
/** Of these a monitor needs one. */
const CHANGES = OFPFMF.ADD | OFPFMF.REMOVED | OFPFMF.MODIFY;
const NX_FLAGS = NXFMF_SAME | NXFMF_OWN;
const OFP_FLAGS = NXFMF_SAME | OFPFMF.ONLY_OWN;
/** Nicira's events by OpenFlow 1.4's. */
const NX_EVENTS: readonly number[] = [OFPFME.ADDED, OFPFME.REMOVED, OFPFME.MODIFIED, OFPFME.ABBREV];
const REQUEST_BYTES = 16;
const UPDATE_BYTES = 24;

const FLAG_NAMES = {
  initial: OFPFMF.INITIAL,
  add: OFPFMF.ADD,
  delete: OFPFMF.REMOVED,
  modify: OFPFMF.MODIFY,
  actions: OFPFMF.INSTRUCTIONS,
  "no-abbrev": OFPFMF.NO_ABBREV,
  own: OFPFMF.ONLY_OWN,
};

/** What `!word` takes out of the flags of a request. */
const NEGATIONS: Readonly<Record<string, number>> = {
  "!initial": OFPFMF.INITIAL,
  "!add": OFPFMF.ADD,
  "!delete": OFPFMF.REMOVED,
  "!modify": OFPFMF.MODIFY,
  "!actions": OFPFMF.INSTRUCTIONS,
  "!abbrev": OFPFMF.NO_ABBREV,
  "!own": OFPFMF.ONLY_OWN,
};

function fromNxFlags(flags: number): number {
  return (flags & NXFMF_SAME) | ((flags & NXFMF_OWN) !== 0 ? OFPFMF.ONLY_OWN : 0);
}

function toNxFlags(flags: number): number {
  return (flags & NXFMF_SAME) | ((flags & OFPFMF.ONLY_OWN) !== 0 ? NXFMF_OWN : 0);
}

function requestRaw(version: number): RawName {
  if (version <= OFP.v12) {
    return "NXST_FLOW_MONITOR_REQUEST";
  }
  return version === OFP.v13 ? "ONFST13_FLOW_MONITOR_REQUEST" : "OFPST14_FLOW_MONITOR_REQUEST";
}

export function encodeFlowMonitorRequest(
  rq: FlowMonitorRequest,
  protocol: Protocols,
  xid: number,
): Uint8Array {
  const version = protocolToVersion(protocol);
  const w = startMsg(requestRaw(version), version, xid);
  if (version >= OFP.v14) {
    w.u32(rq.id).u32(portToOfp11(rq.outPort)).u32(rq.outGroup).u16(rq.flags).u8(rq.tableId);
    w.u8(OFPFMC.ADD);
    oxmPutMatch(w, rq.match, version);
    return finishMsg(w);
  }
  w.u32(rq.id).u16(toNxFlags(rq.flags));
  if (version === OFP.v13) {
    const at = w.length;
    w.u16(0).u32(portToOfp11(rq.outPort)).u8(rq.tableId).zeros(3);
    w.patchU16(at, oxmPutMatch(w, rq.match, version));
  } else {
    w.u16(rq.outPort);
    const at = w.length;
    w.u16(0).u8(rq.tableId).zeros(5);
    w.patchU16(at, nxPutMatch(w, rq.match));
  }
  return finishMsg(w);
}

function warn(msg: Msg, text: string): void {
  msg.log?.("WARN", "ofp_monitor", text);
}

/** Refuses what is too short for its place. */
function leftover(msg: Msg, c: Cursor): OfpErr {
  warn(msg, `${msg.info.name} has ${c.left} leftover bytes at end`);
  return "OFPBRC_BAD_LEN";
}

function badFlags(msg: Msg, prefix: string, flags: number): void {
  warn(msg, `${prefix}_FLOW_MONITOR has bad flags ${altHex(flags)}`);
}

function pullNxRequest(c: Cursor, msg: Msg): Decoded<FlowMonitorRequest> {
  const v13 = msg.raw === "ONFST13_FLOW_MONITOR_REQUEST";
  const [id, flags, third] = [c.u32(), c.u16(), c.u16()];
  const matchLen = v13 ? third : c.u16();
  const outPort = v13 ? portFromOfp11(c.u32(), msg.log) : third;
  const tableId = c.u8();
  const zeros = c.view(v13 ? 3 : 5);
  if ((flags & CHANGES) === 0 || (flags & ~NX_FLAGS) !== 0) {
    badFlags(msg, v13 ? "ONFST" : "NXST", flags);
    return "OFPMOFC_BAD_FLAGS";
  }
  if (zeros.some((b) => b !== 0)) {
    return "NXBRC_MUST_BE_ZERO";
  }
  if (outPort === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const m = v13 ? pullOfp11Match(c, {}, msg.log) : nxPullMatch(c, matchLen, { log: msg.log });
  if (isErr(m)) {
    return m;
  }
  const match = "flow" in m ? m : m.match;
  const command = OFPFMC.ADD;
  return { id, command, flags: fromNxFlags(flags), outPort, outGroup: OFPG.ANY, tableId, match };
}

function pull14Request(c: Cursor, msg: Msg): Decoded<FlowMonitorRequest> {
  const [id, port, outGroup, flags] = [c.u32(), c.u32(), c.u32(), c.u16()];
  const [tableId, command] = [c.u8(), c.u8()];
  const deletes = command === OFPFMC.DELETE;
  if (!deletes && ((flags & CHANGES) === 0 || (flags & ~OFP_FLAGS) !== 0)) {
    badFlags(msg, "OFPST", flags);
    return "OFPMOFC_BAD_FLAGS";
  }
  const outPort = portFromOfp11(port, msg.log);
  if (!deletes && outPort === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const match = pullOfp11Match(c, {}, msg.log);
  return isErr(match)
    ? match
    : { id, command, flags, outPort: outPort ?? OFPP.NONE, outGroup, tableId, match };
}

/** Takes one request; null at the end. */
export function pullFlowMonitorRequest(c: Cursor, msg: Msg): Decoded<FlowMonitorRequest> | null {
  if (c.left === 0) {
    return null;
  }
  if (c.left < REQUEST_BYTES) {
    const prefix = msg.raw.replace(/1\d*_.*/, "").replace(/_.*/, "");
    warn(msg, `${prefix}_FLOW_MONITOR request has ${c.left} leftover bytes at end`);
    return "OFPBRC_BAD_LEN";
  }
  return msg.raw === "OFPST14_FLOW_MONITOR_REQUEST" ? pull14Request(c, msg) : pullNxRequest(c, msg);
}

/** All requests of a message. */
export function decodeFlowMonitorRequests(msg: Msg): Decoded<FlowMonitorRequest[]> {
  const list: FlowMonitorRequest[] = [];
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  for (;;) {
    const rq = pullFlowMonitorRequest(c, msg);
    if (rq === null || isErr(rq)) {
      return rq ?? list;
    }
    list.push(rq);
  }
}

export function formatFlowMonitorRequest(rq: FlowMonitorRequest, names: NameMaps): string {
  if (rq.command === OFPFMC.DELETE) {
    return `\n id=${rq.id} command=delete`;
  }
  let out = `\n id=${rq.id} flags=${formatBits(rq.flags, FLAG_NAMES, ",")}`;
  if (rq.outPort !== OFPP.NONE) {
    out += ` out_port=${formatPort(rq.outPort, names.ports)}`;
  }
  if (rq.outGroup !== 0 && rq.outGroup !== OFPG.ANY) {
    out += ` out_group=${rq.outGroup | 0}`;
  }
  if (rq.tableId !== OFPTT_ALL) {
    out += ` table=${formatTable(rq.tableId, names.tables)}`;
  }
  const match = formatShownMatch(rq.match, names, DEFAULT_PRIORITY);
  return match === "" ? out : `${out} ${match}`;
}

/** Reads what `ovs-ofctl monitor … watch:TEXT` takes; `id` tells this monitor from others. */
export function parseFlowMonitorRequest(
  text: string,
  cx: TextContext,
  id = 0,
): Result<{ request: FlowMonitorRequest; usable: Protocols }> {
  const request: FlowMonitorRequest = {
    id,
    command: OFPFMC.ADD,
    flags: OFP_FLAGS,
    outPort: OFPP.NONE,
    outGroup: OFPG.ANY,
    tableId: OFPTT_ALL,
    match: newMatch(),
  };
  let usable: Protocols = P.ANY;
  for (const { key, value } of splitKeyValues(text)) {
    const narrowed = parseKey(request, key, value, text, cx);
    if (!narrowed.ok) {
      return narrowed;
    }
    usable &= narrowed.value;
    if (fieldByName(key) !== undefined && (usable & P.OF10_ANY) === 0) {
      return fail(`${key}: match field is not supported for flow monitor`, text);
    }
  }
  return ok({ request, usable });
}

/** Applies one key; the protocols that it leaves. */
function parseKey(
  rq: FlowMonitorRequest,
  key: string,
  value: string,
  text: string,
  cx: TextContext,
): Result<Protocols> {
  const negation = Object.hasOwn(NEGATIONS, key) ? NEGATIONS[key] : undefined;
  if (negation !== undefined) {
    rq.flags &= ~negation;
    return ok(P.ANY);
  }
  const keyword = PROTOCOL_KEYWORDS.get(key);
  if (keyword !== undefined) {
    matchKeyword(rq.match, keyword);
    return ok(P.ANY);
  }
  const field = fieldByName(key);
  if (field !== undefined) {
    return parseMatchField(field, value, rq.match, cx);
  }
  if (value === "") {
    return fail(`${text}: field ${key} missing value`, text);
  }
  if (key === "table") {
    const table = tableFromString(value, cx.tables, cx.log);
    rq.tableId = table ?? 0;
    return table === null ? fail(`unknown table "${value}"`, text) : ok(P.ANY);
  }
  if (key === "out_port") {
    rq.outPort = atoi(value) & 0xffff;
  } else if (key === "out_group") {
    rq.outGroup = atoi(value) >>> 0;
  } else {
    return fail(`${text}: unknown keyword ${key}`, text);
  }
  return ok(P.ANY);
}

function replyRaw(version: number): RawName {
  if (version <= OFP.v12) {
    return "NXST_FLOW_MONITOR_REPLY";
  }
  return version === OFP.v13 ? "ONFST13_FLOW_MONITOR_REPLY" : "OFPST14_FLOW_MONITOR_REPLY";
}

/** Updates that nobody asked for just now: a multipart reply with xid 0. */
export function startFlowUpdates(protocol: Protocols): Multipart {
  const version = protocolToVersion(protocol);
  return new Multipart(replyRaw(version), version, 0);
}

function putNxUpdate(w: Writer, fu: FlowUpdate, version: number): void {
  w.u16(fu.reason).u16(fu.priority).u16(fu.idleTimeoutS).u16(fu.hardTimeoutS);
  const at = w.length;
  w.u16(0).u8(fu.tableId).zeros(1).u64(fu.cookie);
  if (version === OFP.v13) {
    w.patchU16(at, oxmPutMatch(w, fu.match, version));
    putInstructions(fu.actions, w, version);
  } else {
    w.patchU16(at, nxPutMatch(w, fu.match));
    putActions(fu.actions, w, knownVersion(version));
  }
}

export function appendFlowUpdate(m: Multipart, fu: FlowUpdate): void {
  const w = m.writer;
  const start = w.length;
  const v14 = m.version >= OFP.v14;
  const nx = NX_EVENTS.indexOf(fu.event === OFPFME.INITIAL ? OFPFME.ADDED : fu.event);
  w.u16(0).u16(v14 ? fu.event : nx);
  if (fu.event === OFPFME.ABBREV) {
    w.u32(fu.xid);
  } else if (v14) {
    w.u8(fu.tableId).u8(fu.reason).u16(fu.idleTimeoutS).u16(fu.hardTimeoutS).u16(fu.priority);
    w.zeros(4).u64(fu.cookie);
    oxmPutMatch(w, fu.match, knownVersion(m.version));
    putInstructions(fu.actions, w, knownVersion(m.version));
  } else {
    putNxUpdate(w, fu, m.version);
  }
  w.patchU16(start, w.length - start);
  m.postAppend(start);
}

function emptyUpdate(event: number): FlowUpdate {
  return {
    event,
    reason: 0,
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    tableId: 0,
    priority: 0,
    cookie: 0n,
    match: newMatch(),
    actions: [],
    xid: 0,
  };
}

/** A length that was claimed too small is refused as one that is too large. */
function restLength(total: number, used: number): number {
  return total < used ? OFP_MSG_BYTES_MAX + 1 : total - used;
}

function pullNxUpdate(c: Cursor, msg: Msg, length: number, event: number): Decoded<FlowUpdate> {
  if (length < UPDATE_BYTES) {
    return leftover(msg, c);
  }
  const start = c.pos;
  c.skip(4);
  const [reason, priority, idleTimeoutS, hardTimeoutS] = [c.u16(), c.u16(), c.u16(), c.u16()];
  const [matchLen, tableId] = [c.u16(), c.u8()];
  c.skip(1);
  const cookie = c.u64();
  if (UPDATE_BYTES + matchLen > length) {
    return leftover(msg, c);
  }
  const v13 = msg.raw === "ONFST13_FLOW_MONITOR_REPLY";
  const m = v13 ? pullOfp11Match(c, {}, msg.log) : nxPullMatch(c, matchLen, { log: msg.log });
  if (isErr(m)) {
    return m;
  }
  const version = knownVersion(msg.version);
  const rest = restLength(length, c.pos - start);
  const actions: Decoded<readonly Action[]> = v13
    ? pullInstructions(c, rest, version, { log: msg.log, debug: msg.debug })
    : pullActions(c, rest, version, { log: msg.log, debug: msg.debug });
  const match = "flow" in m ? m : m.match;
  const head = { event, reason, priority, idleTimeoutS, hardTimeoutS, tableId, cookie, match };
  return isErr(actions) ? actions : { ...head, actions, xid: 0 };
}

function pull14Update(c: Cursor, msg: Msg, length: number, event: number): Decoded<FlowUpdate> {
  if (length < UPDATE_BYTES) {
    return leftover(msg, c);
  }
  const start = c.pos;
  c.skip(4);
  const [tableId, reason, idleTimeoutS, hardTimeoutS] = [c.u8(), c.u8(), c.u16(), c.u16()];
  const priority = c.u16();
  c.skip(4);
  const cookie = c.u64();
  const match = pullOfp11Match(c, {}, msg.log);
  if (isErr(match)) {
    return match;
  }
  const rest = restLength(length, c.pos - start);
  const actions = pullInstructions(c, rest, knownVersion(msg.version), {
    log: msg.log,
    debug: msg.debug,
  });
  const head = { event, reason, priority, idleTimeoutS, hardTimeoutS, tableId, cookie, match };
  return isErr(actions) ? actions : { ...head, actions, xid: 0 };
}

/** Takes one update; null at the end. */
export function pullFlowUpdate(c: Cursor, msg: Msg): Decoded<FlowUpdate> | null {
  if (c.left === 0) {
    return null;
  }
  const start = c.pos;
  const [length, wireEvent] = [c.u16(), c.u16()];
  c.pos = start;
  if (c.left < 4 || length > c.left || length % 8 !== 0) {
    return leftover(msg, c);
  }
  const v14 = msg.raw === "OFPST14_FLOW_MONITOR_REPLY";
  const event = v14 ? wireEvent : NX_EVENTS[wireEvent];
  const known = event !== undefined && event <= OFPFME.RESUMED;
  if (!known) {
    warn(msg, `NXST_FLOW_MONITOR reply has bad event ${wireEvent}`);
    return "NXBRC_FM_BAD_EVENT";
  }
  if (event >= OFPFME.ABBREV) {
    if (length !== 8) {
      return leftover(msg, c);
    }
    c.skip(4);
    return { ...emptyUpdate(event), xid: c.u32() };
  }
  return v14 ? pull14Update(c, msg, length, event) : pullNxUpdate(c, msg, length, event);
}

const EVENT_NAMES = ["INITIAL", "ADDED", "DELETED", "MODIFIED", "ABBREV", "PAUSED", "RESUMED"];

export function formatFlowUpdate(fu: FlowUpdate, names: NameMaps): string {
  let out = `\n event=${EVENT_NAMES[fu.event] ?? ""}`;
  if (fu.event === OFPFME.ABBREV) {
    return `${out} xid=${hex(fu.xid)}`;
  }
  if (fu.event >= OFPFME.PAUSED) {
    return out;
  }
  if (fu.event === OFPFME.REMOVED) {
    out += ` reason=${formatRemovedReason(fu.reason)}`;
  }
  out += ` table=${formatTable(fu.tableId, names.tables)}`;
  out += fu.idleTimeoutS === 0 ? "" : ` idle_timeout=${fu.idleTimeoutS}`;
  out += fu.hardTimeoutS === 0 ? "" : ` hard_timeout=${fu.hardTimeoutS}`;
  out += ` cookie=${altHex(fu.cookie)} `;
  out += formatShownMatch(fu.match, names, DEFAULT_PRIORITY);
  if (fu.actions.length > 0) {
    out += `${out.endsWith(" ") ? "" : " "}actions=${formatActions(fu.actions, names)}`;
  }
  return out;
}

/** Ends a monitor: a message of its own, or a request that deletes it. */
export function encodeFlowMonitorCancel(id: number, protocol: Protocols, xid: number): Uint8Array {
  const version = protocolToVersion(protocol);
  if (version >= OFP.v14) {
    const w = startMsg("OFPST14_FLOW_MONITOR_REQUEST", version, xid);
    return finishMsg(w.u32(id).zeros(11).u8(OFPFMC.DELETE));
  }
  const raw = version === OFP.v13 ? "ONFT13_FLOW_MONITOR_CANCEL" : "NXT_FLOW_MONITOR_CANCEL";
  return finishMsg(startMsg(raw, version, xid).u32(id));
}

export function decodeFlowMonitorCancel(msg: Msg): number {
  return new Cursor(msg.bytes, msg.bodyOfs).u32();
}

/** Tells a controller that updates stop, or go on. `event` is PAUSED or RESUMED. */
export function encodeFlowMonitorPause(event: number, protocol: Protocols): Uint8Array {
  const version = protocolToVersion(protocol);
  if (version >= OFP.v14) {
    const w = startMsg("OFPST14_FLOW_MONITOR_REPLY", version, 0);
    return finishMsg(w.u16(8).u16(event).zeros(4));
  }
  const paused = event === OFPFME.PAUSED;
  const onf = paused ? "ONFT13_FLOW_MONITOR_PAUSED" : "ONFT13_FLOW_MONITOR_RESUMED";
  const nx = paused ? "NXT_FLOW_MONITOR_PAUSED" : "NXT_FLOW_MONITOR_RESUMED";
  return finishMsg(startMsg(version === OFP.v13 ? onf : nx, version, 0));
}
