// Lists of actions: text, wire and check, driven by the action table.
//
// The functions take the table as a function, because rows for actions that hold others need the
// list operations and the table needs those rows. (ovs: lib/ofp-actions.c ofpacts_parse,
// ofpacts_format, ofpacts_decode, ofpacts_check)

import { get, getU, K, set } from "../../flow/flow-key.ts";
import { OFP, P } from "../../flow/of-version.ts";
import { portFromString } from "../../flow/ofp-port.ts";
import { getU16, getU32, hex2 } from "../../lib/bytes.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import type { OfpErr } from "../messages/errors.ts";
import { rawFromWire, type RawAction, VENDOR } from "./raw-actions.ts";
import { listBytes } from "./size.ts";
import {
  ACTION_DECODE_DEPTH_MAX,
  ACTION_LIST_BYTES_MAX,
  ACTION_PARSE_DEPTH_MAX,
  type Action,
  type ActionDecoder,
  type ActionDef,
  type ActionKind,
  type ActionOf,
  type ActionParser,
  type ActionTable,
  type DecodeContext,
  type ListOps,
  type OuterKind,
  type ParseContext,
  type ParseOutcome,
} from "./types.ts";
import { INSTS, verifyActions } from "./verify.ts";
import { OFP_ACTION_ALIGN, OFPAT_VENDOR, RawView } from "./wire.ts";

type TableFn = () => ActionTable;

/** The row of an action. */
export function rowOf<K extends ActionKind>(table: ActionTable, a: ActionOf<K>): ActionDef<K> {
  return table[a.kind];
}

export function makeListOps(table: TableFn): ListOps {
  const words = lazy(() => keywords(table()));
  const decoders = lazy(() => rawDecoders(table()));
  return {
    parse: (text, pp, allowInstructions, outer) =>
      parseList({ table: table(), words: words() }, text, pp, { allowInstructions, outer }),
    format: (actions, fp) =>
      actions.length === 0 ? "drop" : actions.map((a) => rowOf(table(), a).format(a, fp)).join(","),
    encode: (actions, out, version) => {
      for (const a of actions) {
        rowOf(table(), a).encode(a, out, version);
      }
    },
    decode: (bytes, dc, outer) => {
      const error = decodeList(decoders(), bytes, dc);
      return error ?? verifyDecoded(table(), dc, INSTS.APPLY, outer);
    },
    check: (actions, cc) => checkList(table(), actions, cc),
  };
}

function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** All keywords with their parsers and kinds, in lower case. */
export type Keywords = ReadonlyMap<string, { kind: ActionKind; parse: ActionParser }>;

export function keywords(table: ActionTable): Keywords {
  const map = new Map<string, { kind: ActionKind; parse: ActionParser }>();
  for (const row of Object.values(table)) {
    for (const [word, parse] of Object.entries(row.parsers)) {
      map.set(word, { kind: row.kind, parse });
    }
  }
  return map;
}

export type RawDecoders = ReadonlyMap<string, ActionDecoder>;

export function rawDecoders(table: ActionTable): RawDecoders {
  const map = new Map<string, ActionDecoder>();
  for (const row of Object.values(table)) {
    for (const [raw, decode] of Object.entries(row.decoders)) {
      map.set(raw, decode as ActionDecoder); // Object.entries() widens the optional record
    }
  }
  return map;
}

/** Parses into `pp.out`; after an error `pp.out` is as before. */
function parseList(
  by: { table: ActionTable; words: Keywords },
  text: string,
  pp: ParseContext,
  where: { allowInstructions: boolean; outer: OuterKind | null },
): ParseOutcome {
  if (pp.depth >= ACTION_PARSE_DEPTH_MAX) {
    return "Action nested too deeply";
  }
  pp.depth++;
  const before = pp.out.length;
  const error = parseWords(by, text, pp, where);
  if (error !== null) {
    pp.out.length = before;
  }
  pp.depth--;
  return error;
}

function parseWords(
  by: { table: ActionTable; words: Keywords },
  text: string,
  pp: ParseContext,
  where: { allowInstructions: boolean; outer: OuterKind | null },
): ParseOutcome {
  let drop = false;
  let bytes = 0;
  const scan = new KeyValueScan(text);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const key = kv.key.toLowerCase();
    const word = by.words.get(key);
    const before = pp.out.length;
    if (word !== undefined) {
      const error = word.parse(kv.value, pp);
      if (word.kind === "meter" && !where.allowInstructions) {
        pp.usable &= P.OF15_UP;
      }
      if (error !== null) {
        return error;
      }
    } else if (key === "drop") {
      drop = true;
    } else if (key === "apply_actions") {
      return "apply_actions is the default instruction";
    } else {
      const port = portFromString(kv.key, pp.ports, pp.log);
      if (port === null) {
        return `unknown action ${kv.key}`;
      }
      pp.out.push({ kind: "output", port, maxLen: 0 });
    }
    bytes += listBytes(pp.out, before);
    if (bytes > ACTION_LIST_BYTES_MAX) {
      return "input too big";
    }
  }
  if (drop && pp.out.length > 0) {
    return '"drop" must not be accompanied by any other action or instruction';
  }
  const allowed = where.allowInstructions ? INSTS.ALL : INSTS.APPLY_AND_METER;
  const bad = verifyActions(by.table, pp.out, { version: OFP.v11, allowed, outer: where.outer });
  return bad === null ? null : bad.text;
}

/** The table's row for the action that starts at `ofs`, or what is wrong with its header. */
function findRaw(bytes: Uint8Array, ofs: number, dc: DecodeContext): RawAction | OfpErr {
  const left = bytes.length - ofs;
  if (left < 8) {
    return "OFPBAC_BAD_LEN";
  }
  let vendor: number = VENDOR.OF;
  let type = getU16(bytes, ofs);
  if (type === OFPAT_VENDOR) {
    vendor = getU32(bytes, ofs + 4);
    if (vendor !== VENDOR.NX && vendor !== VENDOR.ONF) {
      const text = `OpenFlow action has unknown vendor 0x${vendor.toString(16)}`;
      dc.log?.("WARN", "ofp_actions", vendor === 0 ? text.replace("0x0", "0") : text);
      return "OFPBAC_BAD_VENDOR";
    }
    if (left < 16) {
      return "OFPBAC_BAD_LEN";
    }
    type = getU16(bytes, ofs + 8);
  }
  const raw = rawFromWire(vendor, type, dc.version);
  if (raw === null) {
    const v = vendor === 0 ? "0" : `0x${vendor.toString(16)}`;
    dc.log?.(
      "WARN",
      "ofp_actions",
      `unknown ${versionName(dc.version)} action for vendor ${v} and type ${type}`,
    );
    return vendor === 0 ? "OFPBAC_BAD_TYPE" : "OFPBAC_BAD_VENDOR_TYPE";
  }
  return raw;
}

function versionName(version: number): string {
  return `OpenFlow1${version - 1}`;
}

/** The name of a raw action in logs. */
function rawLogName(raw: RawAction): string {
  const upper = raw.name.toUpperCase();
  const m = /^(OF|NX|ONF)(?:1\d)?_(.*)$/.exec(upper);
  if (m === null) {
    return `OFPAT_${upper}`;
  }
  const prefix = m[1] === "OF" ? "OFPAT" : m[1] === "NX" ? "NXAST" : "ONFACT";
  return `${prefix}_${m[2]}`;
}

/** Takes the action at `ofs` apart from what follows it (ovs: ofpact_pull_raw). */
function pullRaw(bytes: Uint8Array, ofs: number, dc: DecodeContext): RawView | OfpErr {
  const raw = findRaw(bytes, ofs, dc);
  if (typeof raw === "string") {
    return raw;
  }
  const name = rawLogName(raw);
  if (raw.deprecated) {
    const text = `${name} is deprecated in ${versionName(dc.version)} (use Set-Field)`;
    dc.log?.("INFO", "ofp_actions", text);
  }
  const length = getU16(bytes, ofs + 2);
  const left = bytes.length - ofs;
  let problem: string | null = null;
  if (length > left) {
    problem = `exceeds action buffer length ${left}`;
  } else if (length < raw.minLength || length > raw.maxLength) {
    problem = `not in valid range [${raw.minLength},${raw.maxLength}]`;
  } else if (length % OFP_ACTION_ALIGN !== 0) {
    problem = "is not a multiple of 8";
  }
  if (problem !== null) {
    dc.log?.("WARN", "ofp_actions", `OpenFlow action ${name} length ${length} ${problem}`);
    return "OFPBAC_BAD_LEN";
  }
  return new RawView(raw, bytes.subarray(ofs, ofs + length));
}

/** Decodes all of `bytes` into `dc.out`; a bad action is logged with what stands around it. */
export function decodeList(
  decoders: RawDecoders,
  bytes: Uint8Array,
  dc: DecodeContext,
): OfpErr | null {
  if (bytes.length % OFP_ACTION_ALIGN !== 0) {
    dc.log?.(
      "WARN",
      "ofp_actions",
      `OpenFlow message actions length ${bytes.length} is not a multiple of ${OFP_ACTION_ALIGN}`,
    );
    return "OFPBRC_BAD_LEN";
  }
  if (dc.depth >= ACTION_DECODE_DEPTH_MAX) {
    return "OFPBAC_TOO_MANY";
  }
  dc.depth++;
  let ofs = 0;
  let error: OfpErr | null = null;
  while (ofs < bytes.length && error === null) {
    const view = pullRaw(bytes, ofs, dc);
    if (typeof view === "string") {
      error = view;
    } else {
      const decode = decoders.get(view.raw.name);
      error = decode === undefined ? "OFPBAC_BAD_TYPE" : decode(view, dc);
      ofs += error === null ? view.length : 0;
    }
  }
  dc.depth--;
  if (error !== null && dc.log !== null) {
    const dump = hexDump(bytes).trimEnd();
    dc.log("WARN", "ofp_actions", `bad action at offset ${ofs} (${error}):\n${dump}`);
  }
  return error;
}

/** Verifies what was decoded; on an error `dc.out` is emptied. */
export function verifyDecoded(
  table: ActionTable,
  dc: DecodeContext,
  allowed: number,
  outer: OuterKind | null,
): OfpErr | null {
  const bad = verifyActions(table, dc.out, { version: dc.version, allowed, outer });
  if (bad === null) {
    return null;
  }
  dc.log?.("WARN", "ofp_actions", bad.text);
  dc.out.length = 0;
  return bad.error;
}

/** "00000000  ff ff 00 10 …-…" without the text column (ovs: ds_put_hex_dump). */
export function hexDump(bytes: Uint8Array): string {
  let s = "";
  for (let ofs = 0; ofs < bytes.length; ofs += 16) {
    s += `${ofs.toString(16).padStart(8, "0")}  `;
    const n = Math.min(16, bytes.length - ofs);
    for (let i = 0; i < n; i++) {
      s += hex2(bytes[ofs + i] ?? 0) + (i === 7 ? "-" : i === n - 1 ? "" : " ");
    }
    s += "\n";
  }
  return s;
}

/** Checks each action against the match as the ones before it leave it. */
function checkList(
  table: ActionTable,
  actions: readonly Action[],
  cc: Parameters<ListOps["check"]>[1],
): OfpErr | null {
  const { flow } = cc.match;
  const packetType = getU(flow, K.packet_type);
  const dlType = get(flow, K.dl_type);
  const nwProto = get(flow, K.nw_proto);
  const vlan0 = flow[K.vlan_tpid.word] ?? 0;
  const vlan1 = flow[K.vlan_tpid1.word] ?? 0;
  cc.usable = P.ANY;
  let error: OfpErr | null = null;
  for (const a of actions) {
    error = rowOf(table, a).check(a, cc);
    if (error !== null) {
      break;
    }
  }
  set(flow, K.packet_type, packetType);
  set(flow, K.dl_type, dlType);
  set(flow, K.nw_proto, nwProto);
  flow[K.vlan_tpid.word] = vlan0;
  flow[K.vlan_tpid1.word] = vlan1;
  return error;
}
