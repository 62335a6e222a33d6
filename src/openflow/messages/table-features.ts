// Table features on the wire (ovs: lib/ofp-table.c).
//
// A table's features are a fixed part and a list of properties, each of which lists instructions,
// actions, tables or fields in a format of its own. Properties for packets that miss may be left
// out; they then equal the others. Sets of fields and actions are sets of names here.

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { type LogSink, OFPTT_ALL } from "../../flow/ofp-port.ts";
import { Cursor } from "../../lib/bytes.ts";
import { actionBitmapFromOpenflow } from "../actions/codec.ts";
import { OFPIT } from "../actions/instructions.ts";
import type { Action, InstructionName } from "../actions/types.ts";
import { readOxmHeader } from "../oxm-field.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { fixedText } from "./port.ts";
import { type Property, propValue, pullProp, unknownProp } from "./property.ts";
import type { Msg } from "./raw.ts";
import type { ActionFeatures, InstructionFeatures, TableFeatures } from "./types-switch.ts";
import { knownVersion } from "./version.ts";

export const TABLE_NAME_BYTES = 32;
const HEAD_BYTES = 64;
const COMMAND_MAX = 3;
export const CAP_EVICTION = 1 << 2;
export const CAP_VACANCY = 1 << 3;
const TABLE_MAX = 254;

/** Property types; the one for packets that miss is one more. */
export const FPT = {
  INSTRUCTIONS: 0,
  NEXT_TABLES: 2,
  WRITE_ACTIONS: 4,
  APPLY_ACTIONS: 6,
  MATCH: 8,
  WILDCARDS: 10,
  WRITE_SETFIELD: 12,
  APPLY_SETFIELD: 14,
} as const;
const REQUIRED: readonly number[] = Object.values(FPT);

const INSTRUCTION_NUMBERS: readonly (readonly [InstructionName, number])[] = [
  ["goto_table", OFPIT.GOTO_TABLE],
  ["write_metadata", OFPIT.WRITE_METADATA],
  ["write_actions", OFPIT.WRITE_ACTIONS],
  ["apply_actions", OFPIT.APPLY_ACTIONS],
  ["clear_actions", OFPIT.CLEAR_ACTIONS],
  ["meter", OFPIT.METER],
];

/** The instructions of a version, in the order of their numbers. */
function instructionsOf(version: number): readonly (readonly [InstructionName, number])[] {
  // The meter is an instruction in OpenFlow 1.3 and 1.4 only.
  const meter = version === OFP.v13 || version === OFP.v14;
  return meter ? INSTRUCTION_NUMBERS : INSTRUCTION_NUMBERS.slice(0, -1);
}

export function instructionsToBitmap(names: ReadonlySet<string>, version: number): number {
  return instructionsOf(version)
    .filter(([name]) => names.has(name))
    .reduce((bits, [, n]) => bits | (1 << n), 0);
}

export function instructionsFromBitmap(bits: number, version: number): ReadonlySet<string> {
  const known = instructionsOf(version).filter(([, n]) => ((bits >>> n) & 1) !== 0);
  return new Set(known.map(([name]) => name));
}

const NO_ACTIONS: ActionFeatures = { actions: new Set(), setFields: new Set() };
export const NO_INSTRUCTIONS: InstructionFeatures = {
  next: new Set(),
  instructions: new Set(),
  write: NO_ACTIONS,
  apply: NO_ACTIONS,
};

/** A table of which nothing is known but its number. */
export function emptyFeatures(tableId: number): TableFeatures {
  return {
    command: 0,
    tableId,
    name: "",
    metadataMatch: 0n,
    metadataWrite: 0n,
    maxEntries: 0,
    anyProperties: false,
    missConfig: "default",
    supportsEviction: -1,
    supportsVacancyEvents: -1,
    nonmiss: NO_INSTRUCTIONS,
    miss: NO_INSTRUCTIONS,
    match: new Set(),
    mask: new Set(),
    wildcard: new Set(),
  };
}

/** Numbers in the way of a property of ids: each a type and the length 4. */
function pullIds(p: Property): Decoded<number[]> {
  const c = new Cursor(propValue(p));
  const ids: number[] = [];
  while (c.left > 0) {
    const id = pullProp(c, { align: 1, minExp: 0x10000 });
    if (isErr(id)) {
      return id;
    }
    ids.push(Number(id.type));
  }
  return ids;
}

function pullInstructionIds(p: Property, loose: boolean): Decoded<ReadonlySet<string>> {
  const ids = pullIds(p);
  if (isErr(ids)) {
    return ids;
  }
  const names = new Set<string>();
  for (const id of ids) {
    const row = INSTRUCTION_NUMBERS.find(([, n]) => n === id);
    if (row !== undefined) {
      names.add(row[0]);
    } else if (!loose) {
      return "OFPBIC_UNKNOWN_INST";
    }
  }
  return names;
}

function pullActionIds(p: Property, version: OfVersion): Decoded<ReadonlySet<Action["kind"]>> {
  const ids = pullIds(p);
  if (isErr(ids)) {
    return ids;
  }
  const bits = ids.filter((id) => id < 32).reduce((b, id) => b | (1 << id), 0);
  return actionBitmapFromOpenflow(bits >>> 0, version);
}

function pullTables(p: Property): Decoded<ReadonlySet<number>> {
  const ids = [...propValue(p)];
  return ids.some((id) => id > TABLE_MAX) ? "OFPBPC_BAD_VALUE" : new Set(ids);
}

interface FieldLists {
  readonly exact: ReadonlySet<string>;
  readonly masked: ReadonlySet<string>;
}

function pullFields(p: Property, loose: boolean): Decoded<FieldLists> {
  const b = propValue(p);
  const lists = { exact: new Set<string>(), masked: new Set<string>() };
  for (let ofs = 0; ofs < b.length; ) {
    const h = readOxmHeader(b, ofs);
    if (h === null) {
      return "OFPBMC_BAD_LEN";
    }
    if (h.field === null) {
      if (!loose) {
        return "OFPBMC_BAD_FIELD";
      }
    } else {
      (h.hasMask ? lists.masked : lists.exact).add(h.field.name);
    }
    ofs = h.end;
  }
  return lists;
}

function pullSetFields(p: Property, loose: boolean): Decoded<ReadonlySet<string>> {
  const lists = pullFields(p, loose);
  if (isErr(lists)) {
    return lists;
  }
  return lists.masked.size > 0 ? "OFPBMC_BAD_MASK" : lists.exact;
}

/** Features under construction; what misses is undefined until a property says it. */
const LOG = "ofp_table";

interface Draft {
  readonly log: LogSink | null;
  readonly parts: Map<number, ReadonlySet<string> | ReadonlySet<number>>;
  readonly actions: Map<number, ReadonlySet<Action["kind"]>>;
  mask: ReadonlySet<string>;
}

function applyProp(p: Property, d: Draft, version: OfVersion, loose: boolean): OfpErr | null {
  const type = Number(p.type);
  switch (typeof p.type === "number" ? type & ~1 : -1) {
    case FPT.INSTRUCTIONS:
      return keep(d.parts, type, pullInstructionIds(p, loose));
    case FPT.NEXT_TABLES:
      return keep(d.parts, type, pullTables(p));
    case FPT.WRITE_ACTIONS:
    case FPT.APPLY_ACTIONS:
      return keep(d.actions, type, pullActionIds(p, version));
    case FPT.WRITE_SETFIELD:
    case FPT.APPLY_SETFIELD:
      return keep(d.parts, type, pullSetFields(p, loose));
    default:
      return matchProp(p, d, loose);
  }
}

function keep<T extends object>(to: Map<number, T>, type: number, v: Decoded<T>): OfpErr | null {
  if (isErr(v)) {
    return v;
  }
  to.set(type, v);
  return null;
}

function matchProp(p: Property, d: Draft, loose: boolean): OfpErr | null {
  if (p.type === FPT.WILDCARDS) {
    return keep(d.parts, FPT.WILDCARDS, pullSetFields(p, loose));
  }
  if (p.type !== FPT.MATCH) {
    return unknownProp(loose, p.type, d.log, LOG, "table features");
  }
  const lists = pullFields(p, loose);
  if (isErr(lists)) {
    return lists;
  }
  d.mask = lists.masked;
  d.parts.set(FPT.MATCH, lists.exact);
  return null;
}

function names(d: Draft, type: number): ReadonlySet<string> {
  const set = d.parts.get(type);
  const out = new Set<string>();
  for (const v of set ?? []) {
    if (typeof v === "string") {
      out.add(v);
    }
  }
  return out;
}

function numbers(d: Draft, type: number): ReadonlySet<number> {
  const out = new Set<number>();
  for (const v of d.parts.get(type) ?? []) {
    if (typeof v === "number") {
      out.add(v);
    }
  }
  return out;
}

/** `miss`: 1 for packets that miss, 0 for the others. */
function instructionFeatures(d: Draft, miss: 0 | 1): InstructionFeatures {
  const pick = (type: number): number =>
    miss === 1 && (d.parts.has(type + 1) || d.actions.has(type + 1)) ? type + 1 : type;
  const actions = (type: number): ReadonlySet<Action["kind"]> =>
    d.actions.get(pick(type)) ?? new Set();
  return {
    next: numbers(d, pick(FPT.NEXT_TABLES)),
    instructions: names(d, pick(FPT.INSTRUCTIONS)),
    write: {
      actions: actions(FPT.WRITE_ACTIONS),
      setFields: names(d, pick(FPT.WRITE_SETFIELD)),
    },
    apply: {
      actions: actions(FPT.APPLY_ACTIONS),
      setFields: names(d, pick(FPT.APPLY_SETFIELD)),
    },
  };
}

function pullProps(
  c: Cursor,
  version: OfVersion,
  loose: boolean,
  log: LogSink | null,
): Decoded<{ d: Draft; missing: number[] }> {
  const d: Draft = { log, parts: new Map(), actions: new Map(), mask: new Set() };
  const seen = new Set<number>();
  while (c.left > 0) {
    const p = pullProp(c);
    if (isErr(p)) {
      return p;
    }
    if (typeof p.type === "number" && p.type < 32) {
      if (seen.has(p.type)) {
        return "OFPTFFC_BAD_FEATURES";
      }
      seen.add(p.type);
    }
    const err = applyProp(p, d, version, loose);
    if (err !== null) {
      return err;
    }
  }
  return { d, missing: REQUIRED.filter((type) => !seen.has(type)) };
}

/** Takes one table's features; null at the end. `loose` accepts what is unknown. */
export function pullTableFeatures(
  c: Cursor,
  msg: Msg,
  loose: boolean,
): Decoded<TableFeatures> | null {
  if (c.left === 0) {
    return null;
  }
  const version = knownVersion(msg.version);
  const start = c.pos;
  if (c.left < HEAD_BYTES) {
    return "OFPBPC_BAD_LEN";
  }
  const [len, tableId, wireCommand] = [c.u16(), c.u8(), c.u8()];
  if (len < HEAD_BYTES || len % 8 !== 0 || len > c.end - start) {
    return "OFPBPC_BAD_LEN";
  }
  const command = version >= OFP.v15 ? wireCommand : 0;
  if (command > COMMAND_MAX) {
    return "OFPTFFC_BAD_COMMAND";
  }
  if (tableId === OFPTT_ALL) {
    return "OFPTFFC_BAD_TABLE";
  }
  c.skip(4);
  const name = fixedText(c.view(TABLE_NAME_BYTES));
  const [metadataMatch, metadataWrite, caps, maxEntries] = [c.u64(), c.u64(), c.u32(), c.u32()];
  const anyProperties = len > HEAD_BYTES;
  const props = pullProps(c.sub(len - HEAD_BYTES), version, loose, msg.log);
  if (isErr(props)) {
    return props;
  }
  const { d, missing } = props;
  const [first] = missing;
  if (first !== undefined && (anyProperties || version < OFP.v15)) {
    const what = `${missing.length} required properties, including property ${first}`;
    msg.log?.("WARN", LOG, `table features message missing ${what}`);
    return "OFPTFFC_BAD_FEATURES";
  }
  const cap = (bit: number): number => (version < OFP.v14 ? -1 : (caps & bit) !== 0 ? 1 : 0);
  const match = new Set([...names(d, FPT.MATCH), ...d.mask]);
  const wild = new Set([...names(d, FPT.WILDCARDS), ...d.mask]);
  return {
    command,
    tableId,
    name,
    metadataMatch,
    metadataWrite,
    maxEntries,
    anyProperties,
    missConfig: "default",
    supportsEviction: cap(CAP_EVICTION),
    supportsVacancyEvents: cap(CAP_VACANCY),
    nonmiss: instructionFeatures(d, 0),
    miss: instructionFeatures(d, anyProperties ? 1 : 0),
    match,
    mask: d.mask,
    wildcard: new Set([...wild].filter((f) => match.has(f))),
  };
}

/** All tables of a message. A switch is strict, a tool is not. */
export function decodeTableFeatures(msg: Msg, loose = false): Decoded<TableFeatures[]> {
  const list: TableFeatures[] = [];
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  for (;;) {
    const tf = pullTableFeatures(c, msg, loose);
    if (tf === null || isErr(tf)) {
      return tf ?? list;
    }
    list.push(tf);
  }
}

/** Ids and names only, for those who want nothing else of a long reply. */
export function decodeTableNames(msg: Msg): Decoded<[number, string][]> {
  const list: [number, string][] = [];
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  while (c.left > 0) {
    const [len, tableId] = [c.u16(), c.u8()];
    c.skip(5);
    const name = fixedText(c.view(TABLE_NAME_BYTES));
    if (!c.skip(len - 8 - TABLE_NAME_BYTES)) {
      return "OFPBPC_BAD_LEN";
    }
    list.push([tableId, name]);
  }
  return list;
}

/** The undecoded properties of each table of a message that is known to be good. */
export function rawTableProperties(msg: Msg): Map<number, Uint8Array> {
  const out = new Map<number, Uint8Array>();
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  while (c.left >= HEAD_BYTES) {
    const start = c.pos;
    const [len, tableId] = [c.u16(), c.u8()];
    c.pos = start;
    out.set(tableId, c.view(Math.max(len, HEAD_BYTES)).subarray(HEAD_BYTES));
  }
  return out;
}
