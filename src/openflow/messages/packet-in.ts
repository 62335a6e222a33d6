// Packet-ins: the switch hands a packet to a controller; and resume, by which it comes back
// (ovs: lib/ofp-packet.c).
//
// Besides each version's own layout there are two of Nicira's. The newer one is a list of
// properties and can carry a continuation (continuation.ts).

import { get, K } from "../../flow/flow-key.ts";
import { type Match, matchSlot, newMatch } from "../../flow/match.ts";
import { OFP, type OfVersion, type Protocols } from "../../flow/of-version.ts";
import { formatTable, type LogSink, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import { Cursor, hex2, type Writer } from "../../lib/bytes.ts";
import { formatShownMatch } from "../match-text.ts";
import { nxPullMatch, oxmDecodeMatch, oxmPullMatch } from "../oxm.ts";
import { nxPutMatch, oxmPutMatch, oxmPutRaw } from "../oxm-put.ts";
import { continuationText, pullContinuation, putContinuation } from "./continuation.ts";
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

/** The reason that a version knows for a reason of the switch. */
function wireReason(reason: number, version: number): number {
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
function newPacketIn(packet: Uint8Array): PacketInPrivate {
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

function encodeNx2(pin: PacketInPrivate, version: OfVersion): Uint8Array {
  const w = startMsg("NXT_PACKET_IN2", version, 0);
  putPublic(w, pin, version);
  putContinuation(w, PIN.CONTINUATION, pin, version);
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
      const m = oxmDecodeMatch(propValue(p), { loose: o.loose, tab: o.tab, tun: o.vlMff, log });
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
  const opts = { loose: true, tab: nx ? null : o.tab, log: msg.log };
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

/** The packet-in with its continuation, as only a switch understands it. */
export function decodePacketIn(msg: Msg, o: DecodeOptions): Decoded<PacketInDecoded> {
  const d = decodePacketInPublic(msg, o);
  if (isErr(d)) {
    return d;
  }
  const cx = { loose: o.loose, version: knownVersion(msg.version), log: msg.log };
  const err = pullContinuation(d.continuation, d.pin, cx);
  if (err !== null) {
    return err;
  }
  return { pin: d.pin, totalLen: d.totalLen, bufferId: d.bufferId };
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
  const match = formatShownMatch(pin.flowMetadata, names, DEFAULT_PRIORITY);
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
