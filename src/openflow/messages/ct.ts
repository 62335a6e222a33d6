// Flushing connections: a whole zone, or those that match a tuple (ovs: lib/ofp-ct.c).
//
// A tuple travels as nested properties; addresses have 16 bytes, IPv4 mapped into IPv6.

import { formatIpv6Mapped, isMappedIpv4, parseIpv4, parseIpv6 } from "../../lib/address.ts";
import { Cursor, getU16, getU32, putU32, type Writer } from "../../lib/bytes.ts";
import { strToU16, strToU8 } from "../../lib/number.ts";
import { splitKeyValues } from "../../lib/scan.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import {
  endProp,
  type Property,
  propNested,
  propU16,
  propU8,
  propValue,
  pullProp,
  putProp,
  putPropU16,
  putPropU8,
  startNestedProp,
} from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import type { CtMatch, CtTuple } from "./types-switch.ts";

/** Address families, numbered as Linux does. */
export const AF = { NONE: 0, INET: 2, INET6: 10 } as const;

const PROP = { ORIG_TUPLE: 0, REPLY_TUPLE: 1, ZONE_ID: 2 } as const;
const TUPLE = {
  SRC: 0,
  DST: 1,
  SRC_PORT: 2,
  DST_PORT: 3,
  ICMP_ID: 4,
  ICMP_TYPE: 5,
  ICMP_CODE: 6,
} as const;
const ADDRESS_BYTES = 16;

export function newTuple(): CtTuple {
  return {
    src: new Uint8Array(ADDRESS_BYTES),
    dst: new Uint8Array(ADDRESS_BYTES),
    srcPort: 0,
    dstPort: 0,
    icmpId: 0,
    icmpType: 0,
    icmpCode: 0,
  };
}

export function newCtMatch(): CtMatch {
  return { ipProto: 0, l3Type: AF.NONE, tupleOrig: newTuple(), tupleReply: newTuple() };
}

function isIcmp(proto: number): boolean {
  return proto === IP_PROTO.ICMP || proto === IP_PROTO.ICMPV6;
}

function isZero(b: Uint8Array): boolean {
  return b.every((v) => v === 0);
}

/** True if a tuple says nothing. */
export function isTupleZero(t: CtTuple, proto: number): boolean {
  const ports = isIcmp(proto) || (t.srcPort === 0 && t.dstPort === 0);
  return isZero(t.src) && isZero(t.dst) && ports;
}

/** True if a tuple names one connection. */
export function isFiveTuple(t: CtTuple, proto: number): boolean {
  const ports = isIcmp(proto) || (t.srcPort !== 0 && t.dstPort !== 0);
  return !isZero(t.src) && !isZero(t.dst) && ports;
}

export function isCtMatchZero(m: CtMatch): boolean {
  const tuples = [m.tupleOrig, m.tupleReply].every((t) => isTupleZero(t, m.ipProto));
  return m.ipProto === 0 && m.l3Type === AF.NONE && tuples;
}

export function encodeCtFlushZone(zone: number, version: number, xid: number): Uint8Array {
  return finishMsg(startMsg("NXT_CT_FLUSH_ZONE", version, xid).zeros(6).u16(zone));
}

export function decodeCtFlushZone(msg: Msg): Decoded<{ zone: number }> {
  const zero = isZero(msg.bytes.subarray(msg.bodyOfs, msg.bodyOfs + 6));
  return zero ? { zone: getU16(msg.bytes, msg.bodyOfs + 6) } : "NXBRC_MUST_BE_ZERO";
}

function putTuple(w: Writer, type: number, t: CtTuple, proto: number): void {
  const at = startNestedProp(w, type);
  const inner = w.length;
  if (!isZero(t.src)) {
    putProp(w, TUPLE.SRC, t.src);
  }
  if (!isZero(t.dst)) {
    putProp(w, TUPLE.DST, t.dst);
  }
  if (isIcmp(proto)) {
    putPropU16(w, TUPLE.ICMP_ID, t.icmpId);
    putPropU8(w, TUPLE.ICMP_TYPE, t.icmpType);
    putPropU8(w, TUPLE.ICMP_CODE, t.icmpCode);
  } else {
    if (t.srcPort !== 0) {
      putPropU16(w, TUPLE.SRC_PORT, t.srcPort);
    }
    if (t.dstPort !== 0) {
      putPropU16(w, TUPLE.DST_PORT, t.dstPort);
    }
  }
  if (w.length > inner) {
    endProp(w, at);
  } else {
    w.truncate(at);
  }
}

/** `zone` is null for all zones. */
export function encodeCtFlush(
  m: CtMatch,
  zone: number | null,
  version: number,
  xid: number,
): Uint8Array {
  const w = startMsg("NXT_CT_FLUSH", version, xid);
  w.u8(m.ipProto).zeros(7);
  putTuple(w, PROP.ORIG_TUPLE, m.tupleOrig, m.ipProto);
  putTuple(w, PROP.REPLY_TUPLE, m.tupleReply, m.ipProto);
  if (zone !== null) {
    putPropU16(w, PROP.ZONE_ID, zone);
  }
  return finishMsg(w);
}

function words(b: Uint8Array): number[] {
  return [0, 4, 8, 12].map((i) => getU32(b, i));
}

/** Takes an address; the last one decides the family, which must not contradict the one before. */
function addressProp(p: Property, m: CtMatch): Decoded<{ address: Uint8Array }> {
  const value = propValue(p);
  if (value.length < ADDRESS_BYTES) {
    return "OFPBPC_BAD_LEN";
  }
  const address = value.slice(0, ADDRESS_BYTES);
  const family = isMappedIpv4(words(address)) ? AF.INET : AF.INET6;
  const l3 = isZero(address) ? AF.NONE : family;
  if (m.l3Type !== AF.NONE && l3 !== AF.NONE && m.l3Type !== l3) {
    return "OFPBPC_BAD_VALUE";
  }
  m.l3Type = l3;
  return { address };
}

function tupleProp(p: Property, t: CtTuple, m: CtMatch): OfpErr | null {
  if (p.type === TUPLE.SRC || p.type === TUPLE.DST) {
    const a = addressProp(p, m);
    if (isErr(a)) {
      return a;
    }
    if (p.type === TUPLE.SRC) {
      t.src = a.address;
    } else {
      t.dst = a.address;
    }
    return null;
  }
  const byte = p.type === TUPLE.ICMP_TYPE || p.type === TUPLE.ICMP_CODE;
  const known = typeof p.type === "number" && p.type <= TUPLE.ICMP_CODE;
  const v = known ? (byte ? propU8(p) : propU16(p)) : 0;
  if (isErr(v)) {
    return v;
  }
  switch (p.type) {
    case TUPLE.SRC_PORT:
      t.srcPort = v;
      break;
    case TUPLE.DST_PORT:
      t.dstPort = v;
      break;
    case TUPLE.ICMP_ID:
      t.icmpId = v;
      break;
    case TUPLE.ICMP_TYPE:
      t.icmpType = v;
      break;
    case TUPLE.ICMP_CODE:
      t.icmpCode = v;
      break;
    default:
  }
  return null;
}

function pullTuple(p: Property, t: CtTuple, m: CtMatch): OfpErr | null {
  const nested = propNested(p);
  if (isErr(nested)) {
    return nested;
  }
  for (const c = new Cursor(nested); c.left > 0; ) {
    const inner = pullProp(c);
    const err = isErr(inner) ? inner : tupleProp(inner, t, m);
    if (err !== null) {
      return err;
    }
  }
  return null;
}

export interface CtFlush {
  match: CtMatch;
  /** Null for all zones. */
  zone: number | null;
}

export function decodeCtFlush(msg: Msg): Decoded<CtFlush> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const match = newCtMatch();
  match.ipProto = c.u8();
  if (!isZero(c.view(7))) {
    return "NXBRC_MUST_BE_ZERO";
  }
  const flush: CtFlush = { match, zone: null };
  while (c.left > 0) {
    const p = pullProp(c);
    const err = isErr(p) ? p : flushProp(p, flush);
    if (err !== null) {
      return err;
    }
  }
  return flush;
}

function flushProp(p: Property, f: CtFlush): OfpErr | null {
  switch (p.type) {
    case PROP.ORIG_TUPLE:
      return pullTuple(p, f.match.tupleOrig, f.match);
    case PROP.REPLY_TUPLE:
      return pullTuple(p, f.match.tupleReply, f.match);
    case PROP.ZONE_ID: {
      const zone = propU16(p);
      f.zone = isErr(zone) ? null : zone;
      return isErr(zone) ? zone : null;
    }
    default:
      return null;
  }
}

function tupleText(t: CtTuple, m: CtMatch): string {
  const v = m.l3Type === AF.INET ? "nw" : "ipv6";
  const src = formatIpv6Mapped(words(t.src));
  const dst = formatIpv6Mapped(words(t.dst));
  const l4 = isIcmp(m.ipProto)
    ? `icmp_id=${t.icmpId},icmp_type=${t.icmpType},icmp_code=${t.icmpCode}`
    : `ct_tp_src=${t.srcPort},ct_tp_dst=${t.dstPort}`;
  return `ct_${v}_src=${src},ct_${v}_dst=${dst},${l4}`;
}

export function formatCtMatch(m: CtMatch): string {
  const orig = tupleText(m.tupleOrig, m);
  return `'${orig},ct_nw_proto=${m.ipProto}' '${tupleText(m.tupleReply, m)}'`;
}

/** What reading a tuple says; it may say something although the tuple is taken. */
export interface CtTupleNotice {
  readonly ok: boolean;
  readonly text: string;
}

/** Reads `ct_nw_src=…,ct_nw_proto=…` into one of the tuples of `m`. */
export function parseCtTuple(text: string, t: CtTuple, m: CtMatch): CtTupleNotice {
  let twice = "";
  for (const { key, value } of splitKeyValues(text)) {
    if (value === "") {
      return { ok: false, text: `${twice}field ${key} missing value` };
    }
    // Open vSwitch notices a second protocol but goes on.
    twice += key === "ct_nw_proto" && m.ipProto !== 0 ? `${key} is set multiple times` : "";
    const error = parseTupleKey(key, value, t, m);
    if (error !== null) {
      return { ok: false, text: twice + error };
    }
  }
  const ports = t.srcPort !== 0 || t.dstPort !== 0;
  const open = m.ipProto === 0 && ports;
  return { ok: !open, text: open ? `${twice}port is set without protocol` : twice };
}

function parseTupleKey(key: string, value: string, t: CtTuple, m: CtMatch): string | null {
  switch (key) {
    case "ct_nw_src":
    case "ct_nw_dst":
      return parseAddress(key, value, t, m, AF.INET);
    case "ct_ipv6_src":
    case "ct_ipv6_dst":
      return parseAddress(key, value, t, m, AF.INET6);
    case "ct_nw_proto": {
      const proto = strToU8(value, key);
      m.ipProto = proto.ok ? proto.value : m.ipProto;
      return proto.ok ? null : `failed to parse field ${key}`;
    }
    case "ct_tp_src":
    case "ct_tp_dst": {
      const port = strToU16(value, key);
      if (!port.ok) {
        return `failed to parse field ${key}`;
      }
      if (key === "ct_tp_src") {
        t.srcPort = port.value;
      } else {
        t.dstPort = port.value;
      }
      return null;
    }
    case "icmp_type":
    case "icmp_code":
    case "icmp_id":
      return parseIcmp(key, value, t, m);
    default:
      return `invalid conntrack tuple field: ${key}`;
  }
}

function parseIcmp(key: string, value: string, t: CtTuple, m: CtMatch): string | null {
  if (!isIcmp(m.ipProto)) {
    return "invalid L4 fields";
  }
  const n = key === "icmp_id" ? strToU16(value, key) : strToU8(value, key);
  if (!n.ok) {
    return `failed to parse field ${key}`;
  }
  if (key === "icmp_id") {
    t.icmpId = n.value;
  } else if (key === "icmp_type") {
    t.icmpType = n.value;
  } else {
    t.icmpCode = n.value;
  }
  return null;
}

function parseAddress(
  key: string,
  value: string,
  t: CtTuple,
  m: CtMatch,
  family: number,
): string | null {
  const isSrc = key.endsWith("src");
  if (m.l3Type !== AF.NONE && m.l3Type !== family) {
    return `the L3 protocol does not match ${value}`;
  }
  if (!isZero(isSrc ? t.src : t.dst)) {
    return `${key} is set multiple times`;
  }
  const address = addressBytes(value, family);
  if (address === null) {
    return `failed to parse field ${key}`;
  }
  m.l3Type = family;
  if (isSrc) {
    t.src = address;
  } else {
    t.dst = address;
  }
  return null;
}

function addressBytes(text: string, family: number): Uint8Array | null {
  const out = new Uint8Array(ADDRESS_BYTES);
  if (family === AF.INET) {
    const ip = parseIpv4(text);
    if (ip === undefined) {
      return null;
    }
    putU32(out, 8, 0xffff);
    putU32(out, 12, ip);
    return out;
  }
  const w = new Uint32Array(4);
  if (!parseIpv6(text, w)) {
    return null;
  }
  for (const [i, v] of w.entries()) {
    putU32(out, 4 * i, v);
  }
  return out;
}
