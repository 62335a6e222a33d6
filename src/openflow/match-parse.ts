// Reading matches from text: keywords such as "tcp6", "field=value/mask", "field[ofs..end]=value".
//
// Two readers share the field table: one for the matches of flows, which may have masks, and one
// for exact flows, as a trace is given them, which checks prerequisites as it goes. Each narrows
// down, or does not care about, the protocols that can express what it has read.
// (ovs: lib/ofp-parse.c ofp_parse_protocol, ofp_parse_field; lib/ofp-flow.c parse_subfield,
// parse_ofp_exact_flow)

import { mfFormat, mfParse, mfParseValue, parseIntString } from "../flow/field-text.ts";
import { fieldIsSet, fieldMask, fieldPrereqsOk, fieldSet, newValue } from "../flow/field-value.ts";
import { type Field, fieldByName, fieldNames } from "../flow/fields.ts";
import { type FlowKey, get, K, newKey, set } from "../flow/flow-key.ts";
import {
  addEthernetPrereq,
  type Match,
  matchGetField,
  matchSetField,
  matchSlot,
  setDefaultPacketType,
} from "../flow/match.ts";
import { type LogSink, type NameMap, OFPP } from "../flow/ofp-port.ts";
import type { Protocols } from "../flow/of-version.ts";
import { copyBits, parseSubfield, setBits, valueBit } from "../flow/subfield.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import { KeyValueScan, nearestWord } from "../lib/scan.ts";

/** What a keyword without value matches. */
export interface ProtocolKeyword {
  readonly dlType: number;
  /** 0: any. */
  readonly nwProto: number;
}

/** Keywords for Ethertypes and IP protocols. */
export const PROTOCOL_KEYWORDS: ReadonlyMap<string, ProtocolKeyword> = new Map([
  ["ip", { dlType: 0x0800, nwProto: 0 }],
  ["ipv4", { dlType: 0x0800, nwProto: 0 }],
  ["ip4", { dlType: 0x0800, nwProto: 0 }],
  ["arp", { dlType: 0x0806, nwProto: 0 }],
  ["icmp", { dlType: 0x0800, nwProto: 1 }],
  ["tcp", { dlType: 0x0800, nwProto: 6 }],
  ["udp", { dlType: 0x0800, nwProto: 17 }],
  ["sctp", { dlType: 0x0800, nwProto: 132 }],
  ["ipv6", { dlType: 0x86dd, nwProto: 0 }],
  ["ip6", { dlType: 0x86dd, nwProto: 0 }],
  ["icmp6", { dlType: 0x86dd, nwProto: 58 }],
  ["tcp6", { dlType: 0x86dd, nwProto: 6 }],
  ["udp6", { dlType: 0x86dd, nwProto: 17 }],
  ["sctp6", { dlType: 0x86dd, nwProto: 132 }],
  ["rarp", { dlType: 0x8035, nwProto: 0 }],
  ["mpls", { dlType: 0x8847, nwProto: 0 }],
  ["mplsm", { dlType: 0x8848, nwProto: 0 }],
]);

/** Names that text is read with, and where warnings go. */
export interface TextContext {
  readonly ports: NameMap | null;
  readonly tables: NameMap | null;
  readonly log: LogSink | null;
}

export const NO_CONTEXT: TextContext = { ports: null, tables: null, log: null };

/** Matches what a keyword stands for. */
export function matchKeyword(m: Match, p: ProtocolKeyword): void {
  matchSlot(m, K.dl_type, p.dlType);
  if (p.nwProto !== 0) {
    matchSlot(m, K.nw_proto, p.nwProto);
  }
  setDefaultPacketType(m);
}

/** Reads "value/mask" of a field into a match; no text means any value (ovs: ofp_parse_field). */
export function parseMatchField(
  field: Field,
  text: string,
  m: Match,
  cx: TextContext,
): Result<Protocols> {
  const r = mfParse(field, text === "" ? "0/0" : text, cx.ports, cx.log);
  if (!r.ok) {
    return r;
  }
  const { protocols, error } = matchSetField(field, r.value.value, r.value.mask, m);
  addEthernetPrereq(m, field);
  return error === undefined ? ok(protocols) : fail(error, text);
}

/** Reads "field[ofs..end]=value" into a match (ovs: parse_subfield). */
export function parseMatchSubfield(name: string, text: string, m: Match): Result<Protocols> {
  const r = parseSubfield(name);
  if (!r.ok) {
    return r;
  }
  const { field, ofs, bits } = r.value;
  const x = newValue(field);
  const n = parseIntString(text, 0, field.bytes, x);
  if (n.error !== "" || n.end < text.length) {
    return fail(`${name}: cannot parse integer value: ${text}`, text);
  }
  for (let i = bits; i < field.bytes * 8; i++) {
    if (valueBit(x, i) !== 0) {
      return fail(`${name}: value ${mfFormat(field, x)} does not fit into ${bits} bits`, text);
    }
  }
  const { value, mask } = matchGetField(field, m);
  copyBits({ v: x, ofs: 0 }, { v: value, ofs }, bits);
  setBits(mask, ofs, bits);
  const { protocols, error } = matchSetField(field, value, mask, m);
  addEthernetPrereq(m, field);
  return error === undefined ? ok(protocols) : fail(error, text);
}

/** An exact flow, and the bits of it that its text named if somebody wants to know. */
interface ExactFlow {
  readonly flow: FlowKey;
  readonly wc: FlowKey | null;
}

/**
 * Reads the flow of `ofproto/trace BRIDGE FLOW`; the bits that the text names are set in `wc`.
 * (ovs: parse_ofp_exact_flow)
 */
export function parseExactFlow(
  text: string,
  tab: TunTable | null,
  cx: TextContext,
  wc: FlowKey | null = null,
): Result<{ readonly flow: FlowKey }> {
  const flow = newKey();
  const scan = new KeyValueScan(text);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const keyword = PROTOCOL_KEYWORDS.get(kv.key);
    const problem =
      keyword !== undefined
        ? setKeyword(keyword, { flow, wc })
        : setExactField(kv.key, kv.value, { flow, wc }, tab, cx);
    if (problem !== null) {
      const hint =
        fieldByName(kv.key) === undefined ? nearestWord(kv.key, fieldNames()) : undefined;
      return fail(`${text}: ${problem}`, kv.key, kv.keyOfs, hint);
    }
  }
  if (get(flow, K.in_port) === 0) {
    set(flow, K.in_port, OFPP.NONE);
  }
  return ok({ flow });
}

function setKeyword(p: ProtocolKeyword, { flow, wc }: ExactFlow): string | null {
  if (get(flow, K.dl_type) !== 0) {
    return "Ethernet type set multiple times";
  }
  set(flow, K.dl_type, p.dlType);
  if (wc !== null) {
    set(wc, K.dl_type, 0xffff);
  }
  if (p.nwProto !== 0) {
    if (get(flow, K.nw_proto) !== 0) {
      return "network protocol set multiple times";
    }
    set(flow, K.nw_proto, p.nwProto);
    if (wc !== null) {
      set(wc, K.nw_proto, 0xff);
    }
  }
  return null;
}

function setExactField(
  key: string,
  text: string,
  exact: ExactFlow,
  tab: TunTable | null,
  cx: TextContext,
): string | null {
  const field = fieldByName(key);
  if (field === undefined) {
    return `unknown field ${key}`;
  }
  if (!fieldPrereqsOk(field, exact.flow)) {
    return `prerequisites not met for setting ${key}`;
  }
  if (fieldIsSet(field, exact.flow)) {
    return `field ${key} set multiple times`;
  }
  const r = mfParseValue(field, text, cx.ports, cx.log);
  if (!r.ok) {
    return `bad value for ${key} (${r.error.message})`;
  }
  fieldSet(field, r.value, exact.flow, tab);
  if (exact.wc !== null) {
    fieldMask(field, exact.wc, tab);
  }
  return null;
}
