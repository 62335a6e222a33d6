// Flow mods on the wire (ovs: lib/ofp-flow.c).
//
// Three layouts: OpenFlow 1.0's with its fixed match, Nicira's with an NXM match, and OpenFlow
// 1.1's, which all later versions share. In OpenFlow 1.0 the command's upper byte may name a table,
// if the connection has that extension. Where a version's fields mean less, the cookie is matched
// and set as that version has it.

import type { TunTable } from "../../flow/tun-metadata.ts";
import { getU, isZero, K } from "../../flow/flow-key.ts";
import type { Match } from "../../flow/match.ts";
import { normalizeMatch } from "../../flow/match-normalize.ts";
import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { type LogSink, OFPP, OFPTT_ALL, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import type { VlMffMap } from "../../flow/vl-mff-map.ts";
import { Cursor } from "../../lib/bytes.ts";
import { ETH_TYPE } from "../../packet/ethernet.ts";
import { checkConsistency } from "../actions/actions.ts";
import { pullInstructions, putActions, putInstructions } from "../actions/codec.ts";
import { logNormalization } from "../flow-text.ts";
import { nxPullMatch } from "../oxm.ts";
import { nxPutMatch } from "../oxm-put.ts";
import { FLOW_FLAG } from "../rule.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import {
  matchFromOfp10,
  OFPFW10,
  pullOfp10Match,
  pullOfp11Match,
  putOfp10Match,
  putOfp11Match,
} from "./match-wire.ts";
import { OFPG } from "./names.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { type FlowMod, OFPFC, U64_MAX } from "./types-flow.ts";
import { knownVersion, protocolToVersion } from "./version.ts";

/** What decoding depends on besides the message. */
export interface DecodeContext {
  readonly protocol: Protocols;
  readonly tab: TunTable | null;
  readonly vlMff: VlMffMap | null;
  readonly maxPorts: number;
  readonly nTables: number;
}

interface FlagRow {
  readonly raw: number;
  readonly min: number;
  readonly max: number;
  readonly flag: number;
}

/** Flags on the wire by version. One bit has two meanings. */
const FLAGS: readonly FlagRow[] = [
  { raw: 1 << 0, min: OFP.v10, max: OFP.v15, flag: FLOW_FLAG.SEND_FLOW_REM },
  { raw: 1 << 1, min: OFP.v10, max: OFP.v15, flag: FLOW_FLAG.CHECK_OVERLAP },
  { raw: 1 << 2, min: OFP.v10, max: OFP.v10, flag: FLOW_FLAG.EMERG },
  { raw: 1 << 2, min: OFP.v12, max: OFP.v15, flag: FLOW_FLAG.RESET_COUNTS },
  { raw: 1 << 3, min: OFP.v13, max: OFP.v15, flag: FLOW_FLAG.NO_PKT_COUNTS },
  { raw: 1 << 4, min: OFP.v13, max: OFP.v15, flag: FLOW_FLAG.NO_BYT_COUNTS },
];

function inVersion(row: FlagRow, version: number): boolean {
  return version >= row.min && version <= row.max;
}

/** FLOW_FLAG bits of flags on the wire. Additions in old versions reset counters implicitly. */
export function decodeFlowFlags(
  raw: number,
  command: number | null,
  version: number,
): Decoded<number> {
  let rest = raw;
  const implied = version <= OFP.v11 && command === OFPFC.ADD;
  let flags: number = implied ? FLOW_FLAG.RESET_COUNTS : 0;
  for (const row of FLAGS) {
    if ((raw & row.raw) !== 0 && inVersion(row, version)) {
      rest &= ~row.raw;
      flags |= row.flag;
    }
  }
  return rest !== 0 ? "OFPFMFC_BAD_FLAGS" : flags;
}

export function encodeFlowFlags(flags: number, version: number): number {
  return FLAGS.filter((r) => (flags & r.flag) !== 0 && inVersion(r, version)).reduce(
    (raw, r) => raw | r.raw,
    0,
  );
}

function isDelete(command: number): boolean {
  return command === OFPFC.DELETE || command === OFPFC.DELETE_STRICT;
}

function isModify(command: number): boolean {
  return command === OFPFC.MODIFY || command === OFPFC.MODIFY_STRICT;
}

/** A flow mod before its actions. */
type Head = Omit<FlowMod, "actions" | "flags"> & { rawFlags: number };

/** OpenFlow 1.1 has no way to say "do not add" but for a mask. */
function ownsCookie(command: number, cookieMask: bigint, version: number): boolean {
  return command === OFPFC.ADD || (version === OFP.v11 && isModify(command) && cookieMask === 0n);
}

function decode11(c: Cursor, msg: Msg, cx: DecodeContext): Decoded<Head> {
  const { version } = msg;
  const [cookie, mask, tableId, command] = [c.u64(), c.u64(), c.u8(), c.u8()];
  const [idleTimeoutS, hardTimeoutS, priority] = [c.u16(), c.u16(), c.u16()];
  const [bufferId, wirePort, wireGroup] = [c.u32(), c.u32(), c.u32()];
  const [rawFlags, wireImportance] = [c.u16(), c.u16()];
  const match = pullOfp11Match(c, { tab: cx.tab, tun: cx.vlMff }, msg.log);
  if (isErr(match)) {
    return match;
  }
  const own = ownsCookie(command, mask, version);
  if (tableId === OFPTT_ALL && (version === OFP.v11 || !isDelete(command))) {
    return "OFPFMFC_BAD_TABLE_ID";
  }
  const outPort = portFromOfp11(wirePort, msg.log);
  if (outPort === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  return {
    match,
    priority,
    cookie: own ? 0n : cookie,
    cookieMask: own ? 0n : mask,
    newCookie: own ? cookie : U64_MAX,
    modifyCookie: false,
    tableId,
    command,
    idleTimeoutS,
    hardTimeoutS,
    bufferId,
    outPort,
    outGroup: isDelete(command) ? wireGroup : OFPG.ANY,
    importance: version >= OFP.v14 && command === OFPFC.ADD ? wireImportance : 0,
    rawFlags,
  };
}

/** The parts that OpenFlow 1.0's and Nicira's flow mods have in common. */
function head10(c: Cursor, cx: DecodeContext) {
  const [cookie, command, idleTimeoutS, hardTimeoutS] = [c.u64(), c.u16(), c.u16(), c.u16()];
  const [priority, bufferId, outPort, rawFlags] = [c.u16(), c.u32(), c.u16(), c.u16()];
  const tid = (cx.protocol & P.TID) !== 0;
  return {
    newCookie: cookie,
    modifyCookie: cookie !== U64_MAX,
    command: tid ? command & 0xff : command,
    tableId: tid ? command >> 8 : OFPTT_ALL,
    idleTimeoutS,
    hardTimeoutS,
    priority,
    bufferId,
    outPort,
    outGroup: OFPG.ANY,
    importance: 0,
    rawFlags,
    lowCommand: command & 0xff,
  };
}

function decode10(c: Cursor, cx: DecodeContext, log: LogSink | null): Head {
  const om = pullOfp10Match(c);
  const match = matchFromOfp10(om);
  if (log !== null) {
    logNormalization(match, { ports: null, tables: null, log });
  }
  normalizeMatch(match);
  const { lowCommand: _, ...head } = head10(c, cx);
  const wild = (om.wildcards & OFPFW10.ALL) !== 0;
  return {
    ...head,
    match,
    cookie: 0n,
    cookieMask: 0n,
    // An exact match had the highest priority, whatever it said.
    priority: wild ? head.priority : 0xffff,
  };
}

function decodeNx(c: Cursor, cx: DecodeContext, log: LogSink | null): Decoded<Head> {
  const { lowCommand, ...head } = head10(c, cx);
  const matchLen = c.u16();
  c.skip(6);
  const m = nxPullMatch(c, matchLen, { tab: cx.tab, tun: cx.vlMff, cookie: true, log });
  if (isErr(m)) {
    return m;
  }
  if (lowCommand === OFPFC.ADD && m.cookieMask !== 0n) {
    return "NXBRC_NXM_INVALID";
  }
  return { ...head, match: m.match, cookie: m.cookie, cookieMask: m.cookieMask };
}

/** Addresses of a connection can only be matched with the Ethernet type that they belong to. */
function ctTupleError(m: Match): OfpErr | null {
  const { wc } = m;
  const dlType = getU(m.flow, K.dl_type);
  const v4 = !isZero(wc, K.ct_nw_src) || !isZero(wc, K.ct_nw_dst);
  const v6 = !isZero(wc, K.ct_ipv6_src) || !isZero(wc, K.ct_ipv6_dst);
  const bad = (v4 && dlType !== ETH_TYPE.IP) || (v6 && dlType !== ETH_TYPE.IPV6);
  return bad ? "OFPBAC_MATCH_INCONSISTENT" : null;
}

function decodeHead(c: Cursor, msg: Msg, cx: DecodeContext): Decoded<Head> {
  if (msg.raw === "OFPT11_FLOW_MOD") {
    return decode11(c, msg, cx);
  }
  return msg.raw === "NXT_FLOW_MOD" ? decodeNx(c, cx, msg.log) : decode10(c, cx, msg.log);
}

export function decodeFlowMod(msg: Msg, cx: DecodeContext): Decoded<FlowMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const head = decodeHead(c, msg, cx);
  if (isErr(head)) {
    return head;
  }
  const { rawFlags, ...rest } = head;
  const inconsistent = ctTupleError(rest.match);
  if (inconsistent !== null) {
    return inconsistent;
  }
  if (rest.command > OFPFC.DELETE_STRICT) {
    return "OFPFMFC_BAD_COMMAND";
  }
  const version = knownVersion(msg.version);
  const { log, debug } = msg;
  const actions = pullInstructions(c, c.left, version, { vlMff: cx.vlMff, log, debug });
  if (isErr(actions)) {
    return actions;
  }
  const flags = decodeFlowFlags(rawFlags, rest.command, version);
  if (isErr(flags)) {
    return flags;
  }
  if ((flags & FLOW_FLAG.EMERG) !== 0) {
    const timed = rest.hardTimeoutS !== 0 || rest.idleTimeoutS !== 0;
    return timed ? "OFPFMFC_BAD_EMERG_TIMEOUT" : "OFPFMFC_TABLE_FULL";
  }
  const error = checkConsistency(actions, cx.protocol, {
    match: rest.match,
    maxPorts: cx.maxPorts,
    tableId: rest.tableId,
    nTables: cx.nTables,
    log: msg.log,
  });
  return error ?? { ...rest, flags, actions };
}

function tidCommand(fm: FlowMod, protocol: Protocols): number {
  return (protocol & P.TID) !== 0 ? (fm.command & 0xff) | (fm.tableId << 8) : fm.command;
}

function encode11(fm: FlowMod, version: number, xid: number): Uint8Array {
  const v = knownVersion(version);
  const w = startMsg("OFPT11_FLOW_MOD", v, xid);
  const own = ownsCookie(fm.command, fm.cookieMask, v);
  const anyTable = fm.tableId === OFPTT_ALL && !(v !== OFP.v11 && isDelete(fm.command));
  w.u64(own ? fm.newCookie : fm.cookie & fm.cookieMask).u64(fm.cookieMask);
  w.u8(anyTable ? 0 : fm.tableId)
    .u8(fm.command)
    .u16(fm.idleTimeoutS)
    .u16(fm.hardTimeoutS);
  w.u16(fm.priority).u32(fm.bufferId).u32(portToOfp11(fm.outPort)).u32(fm.outGroup);
  w.u16(encodeFlowFlags(fm.flags, v));
  w.u16(v >= OFP.v14 && fm.command === OFPFC.ADD ? fm.importance : 0);
  putOfp11Match(w, fm.match, v);
  putInstructions(fm.actions, w, v);
  return finishMsg(w);
}

export function encodeFlowMod(fm: FlowMod, protocol: Protocols, xid: number): Uint8Array {
  const version = protocolToVersion(protocol);
  if (version !== OFP.v10) {
    return encode11(fm, version, xid);
  }
  const nxm = (protocol & P.OF10_NXM_ANY) !== 0;
  const w = startMsg(nxm ? "NXT_FLOW_MOD" : "OFPT10_FLOW_MOD", version, xid);
  if (!nxm) {
    putOfp10Match(w, fm.match);
  }
  w.u64(fm.newCookie).u16(tidCommand(fm, protocol)).u16(fm.idleTimeoutS).u16(fm.hardTimeoutS);
  w.u16(fm.priority).u32(fm.bufferId).u16(fm.outPort).u16(encodeFlowFlags(fm.flags, version));
  if (nxm) {
    const at = w.length;
    w.zeros(8);
    w.patchU16(at, nxPutMatch(w, fm.match, fm.cookie, fm.cookieMask));
  }
  putActions(fm.actions, w, version);
  return finishMsg(w);
}

/** A flow mod that leaves everything to its defaults. */
export function newFlowMod(match: Match): FlowMod {
  return {
    match,
    priority: 0x8000,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: 0n,
    modifyCookie: false,
    tableId: OFPTT_ALL,
    command: OFPFC.ADD,
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    bufferId: 0xffffffff,
    outPort: OFPP.ANY,
    outGroup: OFPG.ANY,
    flags: 0,
    importance: 0,
    actions: [],
  };
}
