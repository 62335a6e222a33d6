// Packet-outs: a controller hands a packet to the switch (ovs: lib/ofp-packet.c).

import { isPipelineField } from "../../flow/field-value.ts";
import { fieldByName } from "../../flow/fields.ts";
import { get, K } from "../../flow/flow-key.ts";
import { type Match, matchSlot, newMatch } from "../../flow/match.ts";
import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { OFPP, portFromOfp11, portFromString, portToOfp11 } from "../../flow/ofp-port.ts";
import { Cursor, parseHexPrefix } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { strToUllong } from "../../lib/number.ts";
import { splitKeyValues } from "../../lib/scan.ts";
import { formatActions, parseActions } from "../actions/actions.ts";
import { pullActions, putActions } from "../actions/codec.ts";
import type { Action } from "../actions/types.ts";
import { parseMatchField, type TextContext } from "../match-parse.ts";
import { formatShownMatch } from "../match-text.ts";
import { oxmPullMatch } from "../oxm.ts";
import { oxmPutMatch } from "../oxm-put.ts";
import { type Decoded, isErr } from "./errors.ts";
import type { TunContext } from "./flow-stats.ts";
import type { NameMaps } from "./names.ts";
import { formatPacket } from "./packet-text.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { hex, hexDump } from "./text.ts";
import { DEFAULT_PRIORITY, NO_BUFFER, type PacketOut } from "./types-flow.ts";
import { knownVersion, protocolToVersion } from "./version.ts";

const ETH_HEADER_BYTES = 14;
/** Verbosity from which a packet's flow and its bytes are printed. */
export const VERBOSITY_PACKET = 1;
export const VERBOSITY_BYTES = 3;

export function encodePacketOut(po: PacketOut, protocol: Protocols, xid: number): Uint8Array {
  const version = protocolToVersion(protocol);
  const inPort = get(po.flowMetadata.flow, K.in_port) & 0xffff;
  const v10 = version === OFP.v10;
  const v15 = version === OFP.v15;
  const old = v10 ? "OFPT10_PACKET_OUT" : "OFPT11_PACKET_OUT";
  const w = startMsg(v15 ? "OFPT15_PACKET_OUT" : old, version, xid);
  w.u32(po.bufferId);
  if (v10) {
    w.u16(inPort);
  } else if (!v15) {
    w.u32(portToOfp11(inPort));
  }
  const lenAt = w.length;
  w.u16(0).zeros(v10 ? 0 : v15 ? 2 : 6);
  if (v15) {
    oxmPutMatch(w, po.flowMetadata, version);
  }
  const start = w.length;
  putActions(po.actions, w, version);
  w.patchU16(lenAt, w.length - start);
  if (po.bufferId === NO_BUFFER) {
    w.put(po.packet);
  }
  return finishMsg(w);
}

/** A match of Ethernet packets of a port. */
function portMatch(port: number): Match {
  const m = newMatch();
  matchSlot(m, K.packet_type, 0);
  matchSlot(m, K.in_port, port, 0xffff);
  return m;
}

interface Head {
  readonly flowMetadata: Match;
  readonly actionBytes: number;
}

function decodeHead(c: Cursor, msg: Msg, tun: TunContext): Decoded<Head> {
  if (msg.raw === "OFPT15_PACKET_OUT") {
    const actionBytes = c.u16();
    c.skip(2);
    const opts = { loose: true, pipelineOnly: true, tab: tun.tab, log: msg.log };
    const flowMetadata = oxmPullMatch(c, opts);
    if (isErr(flowMetadata)) {
      return flowMetadata;
    }
    const noPort = get(flowMetadata.wc, K.in_port) === 0;
    return noPort ? "OFPBRC_BAD_PORT" : { flowMetadata, actionBytes };
  }
  const v10 = msg.raw === "OFPT10_PACKET_OUT";
  const port = v10 ? c.u16() : portFromOfp11(c.u32(), msg.log);
  const actionBytes = c.u16();
  c.skip(v10 ? 0 : 6);
  return port === null ? "OFPBAC_BAD_OUT_PORT" : { flowMetadata: portMatch(port), actionBytes };
}

/** Ports that a packet may claim to come from. */
function isInPort(port: number): boolean {
  return port < OFPP.MAX || port === OFPP.LOCAL || port === OFPP.NONE || port === OFPP.CONTROLLER;
}

export function decodePacketOut(msg: Msg, tun: TunContext): Decoded<PacketOut> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const bufferId = c.u32();
  const head = decodeHead(c, msg, tun);
  if (isErr(head)) {
    return head;
  }
  const { flowMetadata } = head;
  const actions = pullActions(c, head.actionBytes, knownVersion(msg.version), {
    log: msg.log,
    debug: msg.debug,
  });
  if (isErr(actions)) {
    return actions;
  }
  const inPort = get(flowMetadata.flow, K.in_port);
  if (!isInPort(inPort)) {
    msg.log?.("WARN", "ofp_packet", `packet-out has bad input port 0x${inPort.toString(16)}`);
    return "OFPBRC_BAD_PORT";
  }
  const packet = bufferId === NO_BUFFER ? c.view(c.left).slice() : new Uint8Array(0);
  return { packet, bufferId, flowMetadata, actions };
}

export function formatPacketOut(po: PacketOut, names: NameMaps, verbosity: number): string {
  const match = formatShownMatch(po.flowMetadata, names, DEFAULT_PRIORITY);
  let out = ` ${match} actions=${formatActions(po.actions, names)}`;
  if (po.bufferId !== NO_BUFFER) {
    return `${out} buffer=${`0x${hex(po.bufferId).slice(2).padStart(8, "0")}`}`;
  }
  out += ` data_len=${po.packet.length}`;
  if (verbosity >= VERBOSITY_PACKET && po.packet.length > 0) {
    const type = po.flowMetadata.flow[K.packet_type.word] ?? 0;
    out += `\n${formatPacket(po.packet, type)}`;
  }
  return verbosity >= VERBOSITY_BYTES ? out + hexDump(po.packet, false) : out;
}

/** A frame from hex digits, or what is wrong with them (ovs: eth_from_hex). */
export function frameFromHex(text: string): Uint8Array | string {
  const { bytes, rest } = parseHexPrefix(text);
  if (rest < text.length) {
    return "Trailing garbage in packet data";
  }
  return bytes.length < ETH_HEADER_BYTES ? "Packet data too short for Ethernet" : bytes;
}

interface Draft {
  readonly match: Match;
  packet: Uint8Array;
  usable: Protocols;
}

/** Reads `in_port=1,packet=HEX,actions=…`. */
export function parsePacketOut(
  text: string,
  cx: TextContext,
): Result<{ po: PacketOut; usable: Protocols }> {
  const at = text.indexOf("action");
  const equals = at < 0 ? -1 : text.indexOf("=", at + 1);
  const head = equals < 0 ? text : text.slice(0, at);
  const draft: Draft = { match: newMatch(), packet: new Uint8Array(0), usable: P.ANY };
  matchSlot(draft.match, K.in_port, OFPP.CONTROLLER, 0xffff);
  for (const { key, value } of splitKeyValues(head)) {
    const error = value === "" ? `field ${key} missing value` : parseKey(draft, key, value, cx);
    if (error !== null) {
      return fail(error, text);
    }
  }
  if (draft.packet.length === 0) {
    return fail("must specify packet", text);
  }
  let actions: readonly Action[] = [];
  if (equals >= 0) {
    const parsed = parseActions(text.slice(equals + 1), cx);
    if (!parsed.ok) {
      return parsed;
    }
    actions = parsed.value.actions;
    draft.usable &= parsed.value.usable;
  }
  const { packet, match: flowMetadata } = draft;
  return ok({ po: { packet, bufferId: NO_BUFFER, flowMetadata, actions }, usable: draft.usable });
}

/** Applies one key; null, or what is wrong. */
function parseKey(d: Draft, key: string, value: string, cx: TextContext): string | null {
  switch (key) {
    case "in_port": {
      const port = portFromString(value, cx.ports, cx.log);
      if (port === null) {
        return `${value} is not a valid OpenFlow port`;
      }
      // The first reserved number passes here, as in Open vSwitch; the switch refuses it.
      if (!isInPort(port) && port !== OFPP.MAX) {
        return `${value} is not a valid OpenFlow port for PACKET_OUT`;
      }
      matchSlot(d.match, K.in_port, port, 0xffff);
      return null;
    }
    case "packet_type": {
      const comma = value.indexOf(",");
      if (comma < 0) {
        return `${key}(${value}) can't be interpreted`;
      }
      const ns = leadingNumber(value.slice(0, comma));
      const type = leadingNumber(value.slice(comma + 1));
      matchSlot(d.match, K.packet_type, ((ns & 0xffff) << 16) | (type & 0xffff));
      return null;
    }
    case "packet": {
      const frame = frameFromHex(value);
      d.packet = typeof frame === "string" ? d.packet : frame;
      return typeof frame === "string" ? `${key}: ${frame}` : null;
    }
    default:
      return parseField(d, key, value, cx);
  }
}

function parseField(d: Draft, key: string, value: string, cx: TextContext): string | null {
  const field = fieldByName(key);
  if (field === undefined) {
    return `unknown keyword ${key}`;
  }
  const narrowed = parseMatchField(field, value, d.match, cx);
  if (!narrowed.ok) {
    return narrowed.error.message;
  }
  d.usable &= narrowed.value;
  return isPipelineField(field) ? null : `${key} is not a valid pipeline field for PACKET_OUT`;
}

/** strtoul(): the number at the start, 0 if there is none. */
function leadingNumber(text: string): number {
  const m = /^\s*(0[xX][0-9a-fA-F]+|\d+)/.exec(text);
  return Number(strToUllong(m?.[1] ?? "0") ?? 0n);
}
