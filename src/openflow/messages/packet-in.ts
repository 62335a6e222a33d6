// Packet-ins: the switch hands a packet to a controller; and resume, by which it comes back
// (ovs: lib/ofp-packet.c).
//
// Besides each version's own layout there are two of Nicira's. The newer one is a list of
// properties and can carry a continuation: the state of a paused translation, as nested properties.

import { get, K } from "../../flow/flow-key.ts";
import { type Match, matchSlot, newMatch } from "../../flow/match.ts";
import { OFP, type OfVersion, type Protocols } from "../../flow/of-version.ts";
import { formatTable, type LogSink, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import { Cursor, getU32le, hex2, putU32le, type Writer } from "../../lib/bytes.ts";
import { formatActions } from "../actions/actions.ts";
import { pullActions, putActions } from "../actions/codec.ts";
import type { Action } from "../actions/types.ts";
import { formatMatch } from "../match-text.ts";
import { nxPullMatch, oxmDecodeMatch, oxmPullMatch } from "../oxm.ts";
import { nxPutMatch, oxmPutMatch, oxmPutRaw } from "../oxm-put.ts";
import { formatPacketInReason, OFPR } from "../packet-in-reason.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import type { TunContext } from "./flow-stats.ts";
import type { NameMaps } from "./names.ts";
import { VERBOSITY_BYTES, VERBOSITY_PACKET } from "./packet-out.ts";
import { formatPacket } from "./packet-text.ts";
import {
  endProp,
  type Property,
  propNested,
  propU32,
  propU64,
  propU8,
  propValue,
  pullProp,
  putProp,
  putPropFlag,
  putPropU32,
  putPropU64,
  putPropU8,
  startNestedProp,
  startProp,
  unknownProp,
} from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { hex, hexDump } from "./text.ts";
import {
  DEFAULT_PRIORITY,
  NO_BUFFER,
  PACKET_IN_FORMAT,
  type PacketIn,
  type PacketInDecoded,
  type PacketInPrivate,
  U64_MAX,
} from "./types-flow.ts";
import { knownVersion, protocolToVersion } from "./version.ts";

const PIN = {
  PACKET: 0,
  FULL_LEN: 1,
  BUFFER_ID: 2,
  TABLE_ID: 3,
  COOKIE: 4,
  REASON: 5,
  METADATA: 6,
  USERDATA: 7,
  CONTINUATION: 8,
} as const;
const CPT = {
  BRIDGE: 0x8000,
  STACK: 0x8001,
  MIRRORS: 0x8002,
  CONNTRACKED: 0x8003,
  TABLE_ID: 0x8004,
  COOKIE: 0x8005,
  ACTIONS: 0x8006,
  ACTION_SET: 0x8007,
  ODP_PORT: 0x8008,
} as const;
const UUID_BYTES = 16;
/** Bytes of the widest value on the stack (ovs: union mf_subvalue). */
const STACK_ENTRY_BYTES_MAX = 128;

/** The reason that a version knows for a reason of the switch. */
export function wireReason(reason: number, version: number): number {
  switch (reason) {
    case OFPR.ACTION_SET:
    case OFPR.GROUP:
    case OFPR.PACKET_OUT:
      return version < OFP.v14 ? OFPR.ACTION : reason;
    case OFPR.EXPLICIT_MISS:
      return version < OFP.v13 ? OFPR.ACTION : OFPR.NO_MATCH;
    case OFPR.IMPLICIT_MISS:
      return OFPR.NO_MATCH;
    default:
      return reason;
  }
}

/** Nothing of a packet-in but the packet. */
export function newPacketIn(packet: Uint8Array): PacketInPrivate {
  return {
    packet,
    flowMetadata: newMatch(),
    reason: OFPR.NO_MATCH,
    tableId: 0,
    cookie: U64_MAX,
    userdata: new Uint8Array(0),
    bridge: "",
    stack: [],
    mirrors: 0,
    conntracked: false,
    actions: [],
    actionSet: [],
    odpPort: undefined,
  };
}

function putPublic(w: Writer, pin: PacketIn, version: OfVersion): void {
  putProp(w, PIN.PACKET, pin.packet);
  putPropU8(w, PIN.TABLE_ID, pin.tableId);
  if (pin.cookie !== U64_MAX) {
    putPropU64(w, PIN.COOKIE, pin.cookie);
  }
  putPropU8(w, PIN.REASON, wireReason(pin.reason, version));
  const at = startProp(w, PIN.METADATA);
  oxmPutRaw(w, pin.flowMetadata, version);
  endProp(w, at);
}

function uuidBytes(uuid: string): Uint8Array {
  const digits = uuid.replaceAll("-", "");
  const out = new Uint8Array(UUID_BYTES);
  for (let i = 0; i < UUID_BYTES; i += 4) {
    putU32le(out, i, Number.parseInt(digits.slice(2 * i, 2 * i + 8), 16));
  }
  return out;
}

function uuidText(b: Uint8Array): string {
  const words = [0, 4, 8, 12].map((i) => getU32le(b, i).toString(16).padStart(8, "0"));
  const d = words.join("");
  const cuts = [0, 8, 12, 16, 20, 32];
  return cuts
    .slice(1)
    .map((end, i) => d.slice(cuts[i], end))
    .join("-");
}

function putActionsProp(
  w: Writer,
  type: number,
  actions: readonly Action[],
  version: OfVersion,
): void {
  if (actions.length > 0) {
    const at = startNestedProp(w, type);
    putActions(actions, w, version);
    endProp(w, at);
  }
}

function cookieOf(words: Uint32Array): bigint {
  return words.reduce((n, v) => (n << 32n) | BigInt(v), 0n);
}

/** The actions that are left, cut where the rule changes that they belong to. */
function putFrozenActions(w: Writer, actions: readonly Action[], version: OfVersion): void {
  let tableId = 0;
  let cookie = 0n;
  let part: Action[] = [];
  let unroll: Extract<Action, { kind: "unroll_xlate" }> | null = null;
  const flush = (): void => {
    if (unroll !== null) {
      if (tableId !== unroll.ruleTableId) {
        tableId = unroll.ruleTableId;
        putPropU8(w, CPT.TABLE_ID, tableId);
      }
      const own = cookieOf(unroll.ruleCookie);
      if (cookie !== own) {
        cookie = own;
        putPropU64(w, CPT.COOKIE, cookie);
      }
    }
    putActionsProp(w, CPT.ACTIONS, part, version);
    part = [];
  };
  for (const a of actions) {
    if (a.kind === "unroll_xlate") {
      flush();
      unroll = a;
    } else {
      part.push(a);
    }
  }
  flush();
}

function putContinuation(w: Writer, pin: PacketInPrivate, version: OfVersion): void {
  const at = startNestedProp(w, PIN.CONTINUATION);
  const inner = w.length;
  if (pin.bridge !== "") {
    putProp(w, CPT.BRIDGE, uuidBytes(pin.bridge));
  }
  for (const value of pin.stack) {
    putProp(w, CPT.STACK, value);
  }
  if (pin.mirrors !== 0) {
    putPropU32(w, CPT.MIRRORS, pin.mirrors);
  }
  if (pin.conntracked) {
    putPropFlag(w, CPT.CONNTRACKED);
  }
  if (pin.actions.length > 0) {
    putFrozenActions(w, pin.actions, version);
  }
  putActionsProp(w, CPT.ACTION_SET, pin.actionSet, version);
  if (pin.odpPort !== undefined) {
    putPropU32(w, CPT.ODP_PORT, pin.odpPort);
  }
  if (w.length > inner) {
    endProp(w, at);
  } else {
    w.truncate(at);
  }
}

function encodeNx2(pin: PacketInPrivate, version: OfVersion): Uint8Array {
  const w = startMsg("NXT_PACKET_IN2", version, 0);
  putPublic(w, pin, version);
  putContinuation(w, pin, version);
  if (pin.userdata.length > 0) {
    putProp(w, PIN.USERDATA, pin.userdata);
  }
  return finishMsg(w);
}

function encodeNx(pin: PacketIn, version: OfVersion): Uint8Array {
  const w = startMsg("NXT_PACKET_IN", version, 0);
  w.u32(NO_BUFFER).u16(pin.packet.length).u8(wireReason(pin.reason, version)).u8(pin.tableId);
  w.u64(pin.cookie);
  const at = w.length;
  w.zeros(8);
  w.patchU16(at, nxPutMatch(w, pin.flowMetadata));
  return finishMsg(w.zeros(2).put(pin.packet));
}

function encodeStandard(pin: PacketIn, version: OfVersion): Uint8Array {
  const len = pin.packet.length;
  const reason = wireReason(pin.reason, version);
  const inPort = get(pin.flowMetadata.flow, K.in_port) & 0xffff;
  if (version === OFP.v10) {
    const w = startMsg("OFPT10_PACKET_IN", version, 0);
    return finishMsg(w.u32(NO_BUFFER).u16(len).u16(inPort).u8(reason).zeros(1).put(pin.packet));
  }
  if (version === OFP.v11) {
    const w = startMsg("OFPT11_PACKET_IN", version, 0);
    w.u32(NO_BUFFER).u32(portToOfp11(inPort)).u32(portToOfp11(inPort)).u16(len);
    return finishMsg(w.u8(reason).u8(pin.tableId).put(pin.packet));
  }
  const raw = version === OFP.v12 ? "OFPT12_PACKET_IN" : "OFPT13_PACKET_IN";
  const w = startMsg(raw, version, 0);
  w.u32(NO_BUFFER).u16(len).u8(reason).u8(pin.tableId);
  if (version >= OFP.v13) {
    w.u64(pin.cookie);
  }
  oxmPutMatch(w, pin.flowMetadata, version);
  return finishMsg(w.zeros(2).put(pin.packet));
}

/** `format` is one of PACKET_IN_FORMAT. Packets are sent whole. */
export function encodePacketIn(
  pin: PacketInPrivate,
  protocol: Protocols,
  format: number,
): Uint8Array {
  const version = protocolToVersion(protocol);
  if (format === PACKET_IN_FORMAT.NXT2) {
    return encodeNx2(pin, version);
  }
  return format === PACKET_IN_FORMAT.NXT ? encodeNx(pin, version) : encodeStandard(pin, version);
}

/** Sends a packet-in back with the continuation that it came with. */
export function encodeResume(
  pin: PacketIn,
  continuation: Uint8Array,
  protocol: Protocols,
): Uint8Array {
  const version = protocolToVersion(protocol);
  const w = startMsg("NXT_RESUME", version, 0);
  putPublic(w, pin, version);
  const at = startNestedProp(w, PIN.CONTINUATION);
  w.put(continuation);
  endProp(w, at);
  return finishMsg(w);
}

const LOG = "ofp_packet";

interface Decoding extends PacketInDecoded {
  continuation: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

function decoding(): Decoding {
  return { pin: newPacketIn(NO_BYTES), totalLen: 0, bufferId: NO_BUFFER, continuation: NO_BYTES };
}

interface DecodeOptions extends TunContext {
  readonly loose: boolean;
}

function decodeProp(
  p: Property,
  d: Decoding,
  o: DecodeOptions,
  log: LogSink | null,
): OfpErr | null {
  const { pin } = d;
  const number = (v: Decoded<number>, to: (n: number) => void): OfpErr | null => {
    if (isErr(v)) {
      return v;
    }
    to(v);
    return null;
  };
  switch (p.type) {
    case PIN.PACKET:
      pin.packet = propValue(p).slice();
      return null;
    case PIN.FULL_LEN:
      return number(propU32(p), (n) => {
        d.totalLen = n;
      });
    case PIN.BUFFER_ID:
      return number(propU32(p), (n) => {
        d.bufferId = n;
      });
    case PIN.TABLE_ID:
      return number(propU8(p), (n) => {
        pin.tableId = n;
      });
    case PIN.COOKIE: {
      const cookie = propU64(p);
      pin.cookie = isErr(cookie) ? pin.cookie : cookie;
      return isErr(cookie) ? cookie : null;
    }
    case PIN.REASON:
      return number(propU8(p), (n) => {
        pin.reason = n;
      });
    case PIN.METADATA: {
      const m = oxmDecodeMatch(propValue(p), { loose: o.loose, tab: o.tab, tun: o.vlMff });
      pin.flowMetadata = isErr(m) ? pin.flowMetadata : m;
      return isErr(m) ? m : null;
    }
    case PIN.USERDATA:
      pin.userdata = propValue(p).slice();
      return null;
    case PIN.CONTINUATION: {
      const nested = propNested(p);
      d.continuation = isErr(nested) ? NO_BYTES : nested;
      return isErr(nested) ? nested : null;
    }
    default:
      return unknownProp(o.loose, p.type, log, LOG, "NX_PACKET_IN2");
  }
}

function decodeNx2(c: Cursor, o: DecodeOptions, log: LogSink | null): Decoded<Decoding> {
  const d = decoding();
  while (c.left > 0) {
    const p = pullProp(c);
    const err = isErr(p) ? p : decodeProp(p, d, o, log);
    if (err !== null) {
      return err;
    }
  }
  const bytes = d.pin.packet.length;
  d.totalLen = d.totalLen === 0 ? bytes : d.totalLen;
  if (bytes === 0 || d.totalLen < bytes) {
    log?.("WARN", LOG, `NXT_PACKET_IN2 ${bytes === 0 ? "lacks packet" : "claimed full_len < len"}`);
    return "OFPBRC_BAD_LEN";
  }
  return d;
}

function portMatch(port: number): Match {
  const m = newMatch();
  matchSlot(m, K.in_port, port, 0xffff);
  return m;
}

function decodeOld(c: Cursor, v10: boolean, log: LogSink | null): Decoded<Decoding> {
  const d = decoding();
  d.bufferId = c.u32();
  d.totalLen = v10 ? c.u16() : 0;
  const port = v10 ? c.u16() : portFromOfp11(c.u32(), log);
  if (v10) {
    d.pin.reason = c.u8();
    c.skip(1);
  } else {
    c.skip(4);
    d.totalLen = c.u16();
    d.pin.reason = c.u8();
    d.pin.tableId = c.u8();
  }
  if (port === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  d.pin.flowMetadata = portMatch(port);
  d.pin.packet = c.view(c.left).slice();
  return d;
}

/** The layouts with a match and two bytes of padding before the packet. */
function decodeWithMatch(c: Cursor, msg: Msg, o: DecodeOptions): Decoded<Decoding> {
  const d = decoding();
  d.bufferId = c.u32();
  d.totalLen = c.u16();
  d.pin.reason = c.u8();
  d.pin.tableId = c.u8();
  const nx = msg.raw === "NXT_PACKET_IN";
  d.pin.cookie = msg.raw === "OFPT12_PACKET_IN" ? U64_MAX : c.u64();
  const matchLen = nx ? c.u16() : 0;
  c.skip(nx ? 6 : 0);
  const opts = { loose: true, tab: nx ? null : o.tab };
  const m = nx ? nxPullMatch(c, matchLen, opts) : oxmPullMatch(c, opts);
  if (isErr(m)) {
    return m;
  }
  if (!c.skip(2)) {
    return "OFPBRC_BAD_LEN";
  }
  d.pin.flowMetadata = "flow" in m ? m : m.match;
  d.pin.packet = c.view(c.left).slice();
  return d;
}

/**
 * The packet-in and its continuation, undecoded, as a controller sees them. `loose` accepts
 * properties that are unknown.
 */
export function decodePacketInPublic(msg: Msg, o: DecodeOptions): Decoded<Decoding> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  switch (msg.raw) {
    case "NXT_PACKET_IN2":
    case "NXT_RESUME":
      return decodeNx2(c, o, msg.log);
    case "OFPT10_PACKET_IN":
      return decodeOld(c, true, msg.log);
    case "OFPT11_PACKET_IN":
      return decodeOld(c, false, msg.log);
    default:
      return decodeWithMatch(c, msg, o);
  }
}

function nestedActions(p: Property, cx: ThawContext): Decoded<Action[]> {
  const nested = propNested(p);
  if (isErr(nested)) {
    cx.log?.("WARN", LOG, `actions property has bad length ${p.bytes.length}`);
    return nested;
  }
  return pullActions(new Cursor(nested), nested.length, cx.version, { log: cx.log });
}

interface Thaw {
  tableId: number;
  cookie: bigint;
  readonly stack: Uint8Array[];
  readonly actions: Action[];
}

function thawProp(p: Property, pin: PacketInPrivate, t: Thaw, cx: ThawContext): OfpErr | null {
  switch (p.type) {
    case CPT.BRIDGE:
      if (propValue(p).length !== UUID_BYTES) {
        return "OFPBPC_BAD_LEN";
      }
      pin.bridge = uuidText(propValue(p));
      return null;
    case CPT.STACK:
      if (propValue(p).length > STACK_ENTRY_BYTES_MAX) {
        cx.log?.("WARN", LOG, `NXCPT_STACK property has bad length ${propValue(p).length}`);
        return "OFPBPC_BAD_LEN";
      }
      t.stack.push(propValue(p).slice());
      return null;
    case CPT.CONNTRACKED:
      pin.conntracked = true;
      return null;
    case CPT.MIRRORS:
    case CPT.ODP_PORT:
    case CPT.TABLE_ID:
      return thawNumber(p, pin, t);
    case CPT.COOKIE: {
      const cookie = propU64(p);
      t.cookie = isErr(cookie) ? 0n : cookie;
      return isErr(cookie) ? cookie : null;
    }
    case CPT.ACTIONS:
    case CPT.ACTION_SET: {
      const actions = nestedActions(p, cx);
      if (isErr(actions)) {
        return actions;
      }
      if (p.type === CPT.ACTION_SET) {
        pin.actionSet = [...pin.actionSet, ...actions];
        return null;
      }
      const ruleCookie = Uint32Array.of(Number(t.cookie >> 32n), Number(t.cookie & 0xffffffffn));
      t.actions.push({ kind: "unroll_xlate", ruleTableId: t.tableId, ruleCookie }, ...actions);
      return null;
    }
    default:
      return unknownProp(cx.loose, p.type, cx.log, LOG, "continuation");
  }
}

function thawNumber(p: Property, pin: PacketInPrivate, t: Thaw): OfpErr | null {
  const v = p.type === CPT.TABLE_ID ? propU8(p) : propU32(p);
  if (isErr(v)) {
    return v;
  }
  if (p.type === CPT.MIRRORS) {
    pin.mirrors = v;
  } else if (p.type === CPT.ODP_PORT) {
    pin.odpPort = v === 0 ? undefined : v;
  } else {
    t.tableId = v;
  }
  return null;
}

interface ThawContext {
  readonly log: LogSink | null;
  readonly loose: boolean;
  readonly version: OfVersion;
}

/** The packet-in with its continuation, as only a switch understands it. */
export function decodePacketIn(msg: Msg, o: DecodeOptions): Decoded<PacketInDecoded> {
  const d = decodePacketInPublic(msg, o);
  if (isErr(d)) {
    return d;
  }
  const thaw: Thaw = { tableId: 0, cookie: 0n, stack: [], actions: [] };
  const cx = { loose: o.loose, version: knownVersion(msg.version), log: msg.log };
  for (const c = new Cursor(d.continuation); c.left > 0; ) {
    const p = pullProp(c);
    const err = isErr(p) ? p : thawProp(p, d.pin, thaw, cx);
    if (err !== null) {
      return err;
    }
  }
  d.pin.stack = thaw.stack;
  d.pin.actions = thaw.actions;
  return { pin: d.pin, totalLen: d.totalLen, bufferId: d.bufferId };
}

function stackValue(b: Uint8Array): string {
  const digits = Array.from(b, hex2).join("").replace(/^0+/, "");
  return `0x${digits === "" ? "0" : digits}`;
}

function continuationText(pin: PacketInPrivate, names: NameMaps): string {
  const lines: string[] = [];
  if (pin.bridge !== "" && !/^[0-]*$/.test(pin.bridge)) {
    lines.push(`bridge=${pin.bridge}`);
  }
  if (pin.stack.length > 0) {
    lines.push(`stack=(top) ${pin.stack.map(stackValue).join(" ")} (bottom)`);
  }
  if (pin.mirrors !== 0) {
    lines.push(`mirrors=${hex(pin.mirrors)}`);
  }
  if (pin.conntracked) {
    lines.push("conntracked=true");
  }
  if (pin.actions.length > 0) {
    lines.push(`actions=${formatActions(pin.actions, names)}`);
  }
  if (pin.actionSet.length > 0) {
    lines.push(`action_set=${formatActions(pin.actionSet, names)}`);
  }
  if (pin.odpPort !== undefined) {
    lines.push(`odp_port=${pin.odpPort}`);
  }
  return lines.map((l) => ` continuation.${l}\n`).join("");
}

function lengthText(d: PacketInDecoded): string {
  const have = d.pin.packet.length;
  if (d.bufferId === NO_BUFFER) {
    return ` (unbuffered)${d.totalLen === have ? "" : " (***total_len != data_len***)"}`;
  }
  const buffer = d.bufferId.toString(16).padStart(8, "0");
  return ` buffer=0x${buffer}${d.totalLen < have ? " (***total_len < data_len***)" : ""}`;
}

export function formatPacketIn(d: PacketInDecoded, names: NameMaps, verbosity: number): string {
  const { pin } = d;
  const named = (names.tables?.nameOf(pin.tableId) ?? null) !== null;
  const showTable = pin.tableId !== 0 || named;
  const table = showTable ? ` table_id=${formatTable(pin.tableId, names.tables)}` : "";
  const cookie = pin.cookie === U64_MAX ? "" : ` cookie=${hex(pin.cookie)}`;
  const match = formatMatch(pin.flowMetadata, names.ports, DEFAULT_PRIORITY);
  let out =
    `${table}${cookie} total_len=${d.totalLen} ${match} ` +
    `(via ${formatPacketInReason(pin.reason)}) data_len=${pin.packet.length}${lengthText(d)}\n`;
  if (pin.userdata.length > 0) {
    out += ` userdata=${Array.from(pin.userdata, hex2).join(".")}\n`;
  }
  out += continuationText(pin, names);
  if (verbosity >= VERBOSITY_PACKET) {
    out += formatPacket(pin.packet, pin.flowMetadata.flow[K.packet_type.word] ?? 0);
  }
  return verbosity >= VERBOSITY_BYTES ? out + hexDump(pin.packet, false) : out;
}
