// Actions for other layers: parse, print, encode, decode, check, and run an action set.
//
// Everything here interprets the action table. Wire forms: OpenFlow 1.0 has a list of actions,
// later versions a list of instructions, of which apply_actions and write_actions hold actions.
// (OpenFlow 1.5.1, 7.2.5; ovs: lib/ofp-actions.c)

import type { Match } from "../../flow/match.ts";
import { OFP, type OfVersion, P, type Protocols } from "../../flow/of-version.ts";
import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import { newTlvBitmap, type TlvBitmap, type VlMffMap } from "../../flow/vl-mff-map.ts";
import { getU16, getU32, type Writer } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import type { OfpErr } from "../messages/errors.ts";
import { endActionsInstruction, OFPIT, putInstruction } from "./instructions.ts";
import { decodeList, type RawDecoders, rawDecoders, rowOf, verifyDecoded } from "./list.ts";
import { ACTIONS, LISTS } from "./table.ts";
import {
  ACTION_SET_FINALS,
  ACTION_SET_SLOTS,
  type Action,
  type CheckContext,
  type DecodeContext,
  type FormatContext,
  INSTRUCTIONS,
  type InstructionName,
  type ParseContext,
} from "./types.ts";
import { INSTS, instructionOf } from "./verify.ts";

/** Names of ports and tables that texts may use, and where warnings go. */
export interface TextOptions {
  readonly ports?: NameMap | null;
  readonly tables?: NameMap | null;
  readonly log?: LogSink | null;
}

export interface ParsedActions {
  readonly actions: Action[];
  /** The protocols in which they can be sent. */
  readonly usable: Protocols;
}

function parse(text: string, o: TextOptions, allowInstructions: boolean): Result<ParsedActions> {
  const pp: ParseContext = {
    ports: o.ports ?? null,
    tables: o.tables ?? null,
    log: o.log ?? null,
    out: [],
    usable: P.ANY,
    depth: 0,
  };
  const error = LISTS.parse(text, pp, allowInstructions, null);
  return error === null ? ok({ actions: pp.out, usable: pp.usable }) : fail(error, text);
}

/** Parses actions only (ovs: ofpacts_parse_actions). */
export function parseActions(text: string, options: TextOptions = {}): Result<ParsedActions> {
  return parse(text, options, false);
}

/** Parses the actions and instructions of a flow (ovs: ofpacts_parse_instructions). */
export function parseInstructions(text: string, options: TextOptions = {}): Result<ParsedActions> {
  return parse(text, options, true);
}

const PLAIN: FormatContext = { ports: null, tables: null };

/** "drop" for an empty list (ovs: ofpacts_format). */
export function formatActions(actions: readonly Action[], fp: FormatContext = PLAIN): string {
  return LISTS.format(actions, fp);
}

export function formatAction(a: Action, fp: FormatContext = PLAIN): string {
  return rowOf(ACTIONS, a).format(a, fp);
}

/** Appends a list of actions (ovs: ofpacts_put_openflow_actions). */
export function encodeActions(actions: readonly Action[], out: Writer, version: OfVersion): void {
  LISTS.encode(actions, out, version);
}

/** Appends instructions, or for OpenFlow 1.0 actions (ovs: ofpacts_put_openflow_instructions). */
export function encodeInstructions(
  actions: readonly Action[],
  out: Writer,
  version: OfVersion,
): void {
  if (version === OFP.v10) {
    encodeActions(actions, out, version);
    return;
  }
  let apply = -1;
  for (const a of actions) {
    const applied = instructionOf(ACTIONS, a.kind, version) === "apply_actions";
    if (!applied && apply >= 0) {
      endActionsInstruction(out, apply);
      apply = -1;
    } else if (applied && apply < 0) {
      apply = putInstruction(out, OFPIT.APPLY_ACTIONS, 8);
    }
    rowOf(ACTIONS, a).encode(a, out, version);
  }
  if (apply >= 0) {
    endActionsInstruction(out, apply);
  }
}

export interface DecodeOptions {
  readonly version: OfVersion;
  /** The bridge's widths of tun_metadata; without it every field has its full width. */
  readonly tun?: VlMffMap | null;
  readonly log?: LogSink | null;
  /** Take the debug actions, as a switch in dummy mode does. */
  readonly debug?: boolean;
}

export interface DecodedActions {
  readonly actions: Action[];
  /** The tun_metadata fields that they use, as far as they are mapped. */
  readonly tlvBitmap: TlvBitmap;
}

function decodeContext(o: DecodeOptions): DecodeContext {
  return {
    version: o.version,
    tun: o.tun ?? null,
    log: o.log ?? null,
    debug: o.debug ?? false,
    out: [],
    tlvBitmap: newTlvBitmap(),
    depth: 0,
  };
}

let decodersMade: RawDecoders | undefined;
/** Built when first used; it is a function of the table only. */
function decoders(): RawDecoders {
  decodersMade ??= rawDecoders(ACTIONS);
  return decodersMade;
}

/** Decodes a list of actions (ovs: ofpacts_pull_openflow_actions). */
export function decodeActions(bytes: Uint8Array, options: DecodeOptions): DecodedActions | OfpErr {
  const dc = decodeContext(options);
  const error =
    decodeList(decoders(), bytes, dc) ?? verifyDecoded(ACTIONS, dc, INSTS.APPLY_AND_METER, null);
  return error ?? { actions: dc.out, tlvBitmap: dc.tlvBitmap };
}

/** Decodes instructions, of OpenFlow 1.0 actions (ovs: ofpacts_pull_openflow_instructions). */
export function decodeInstructions(
  bytes: Uint8Array,
  options: DecodeOptions,
): DecodedActions | OfpErr {
  const dc = decodeContext(options);
  let error: OfpErr | null;
  if (dc.version === OFP.v10) {
    error = decodeList(decoders(), bytes, dc);
  } else {
    const found = splitInstructions(bytes, dc);
    error = typeof found === "string" ? found : takeInstructions(found, dc);
  }
  error ??= verifyDecoded(ACTIONS, dc, INSTS.ALL, null);
  return error ?? { actions: dc.out, tlvBitmap: dc.tlvBitmap };
}

/** Instructions by name: their whole bytes. */
type Found = Partial<Record<InstructionName, Uint8Array>>;

const INSTRUCTION_HEADER_BYTES = 8;
/** Type and exact or, with "+", least length of each instruction. */
const INSTRUCTION_WIRE: readonly [number, InstructionName, number, boolean][] = [
  [OFPIT.METER, "meter", 8, false],
  [OFPIT.APPLY_ACTIONS, "apply_actions", 8, true],
  [OFPIT.CLEAR_ACTIONS, "clear_actions", 8, false],
  [OFPIT.WRITE_ACTIONS, "write_actions", 8, true],
  [OFPIT.WRITE_METADATA, "write_metadata", 24, false],
  [OFPIT.GOTO_TABLE, "goto_table", 8, false],
];

function splitInstructions(bytes: Uint8Array, dc: DecodeContext): Found | OfpErr {
  if (bytes.length % 8 !== 0) {
    dc.log?.(
      "WARN",
      "ofp_actions",
      `OpenFlow message instructions length ${bytes.length} is not a multiple of 8`,
    );
    return "OFPBIC_BAD_LEN";
  }
  const found: Found = {};
  let ofs = 0;
  while (ofs < bytes.length) {
    const length = getU16(bytes, ofs + 2);
    if (length % 8 !== 0 || length < INSTRUCTION_HEADER_BYTES || length > bytes.length - ofs) {
      dc.log?.("WARN", "ofp_actions", `bad instruction format at offset ${ofs}`);
      return "OFPBIC_BAD_LEN";
    }
    const name = instructionName(getU16(bytes, ofs), length, dc.version);
    if (name.error !== undefined) {
      return name.error;
    }
    if (found[name.name] !== undefined) {
      return "OFPBIC_DUP_INST";
    }
    found[name.name] = bytes.subarray(ofs, ofs + length);
    ofs += length;
  }
  return found;
}

function instructionName(
  type: number,
  length: number,
  version: OfVersion,
): { name: InstructionName; error?: undefined } | { error: OfpErr } {
  if (type === OFPIT.EXPERIMENTER) {
    return { error: "OFPBIC_BAD_EXPERIMENTER" };
  }
  const row = INSTRUCTION_WIRE.find(([t]) => t === type);
  if (row === undefined) {
    return { error: "OFPBIC_UNKNOWN_INST" };
  }
  const [, name, bytes, extensible] = row;
  if (extensible ? length < bytes : length !== bytes) {
    return { error: "OFPBIC_BAD_LEN" };
  }
  return name === "meter" && version >= OFP.v15 ? { error: "OFPBIC_UNKNOWN_INST" } : { name };
}

const UNKNOWN_PROVIDER_METER = 0xffffffff;

function u64At(bytes: Uint8Array, ofs: number): Uint32Array {
  return Uint32Array.of(getU32(bytes, ofs), getU32(bytes, ofs + 4));
}

/** Turns instructions into actions, in the order in which they are executed. */
function takeInstructions(found: Found, dc: DecodeContext): OfpErr | null {
  if (found.meter !== undefined) {
    const meterId = getU32(found.meter, 4);
    dc.out.push({ kind: "meter", meterId, providerMeterId: UNKNOWN_PROVIDER_METER });
  }
  if (found.apply_actions !== undefined) {
    const error = decodeList(decoders(), found.apply_actions.subarray(8), dc);
    if (error !== null) {
      return error;
    }
  }
  if (found.clear_actions !== undefined) {
    dc.out.push({ kind: "clear_actions" });
  }
  if (found.write_actions !== undefined) {
    const error = takeActionSet(found.write_actions.subarray(8), dc);
    if (error !== null) {
      return error;
    }
  }
  if (found.write_metadata !== undefined) {
    const metadata = u64At(found.write_metadata, 8);
    dc.out.push({ kind: "write_metadata", metadata, mask: u64At(found.write_metadata, 16) });
  }
  if (found.goto_table !== undefined) {
    dc.out.push({ kind: "goto_table", tableId: found.goto_table[4] ?? 0 });
  }
  return null;
}

function takeActionSet(bytes: Uint8Array, dc: DecodeContext): OfpErr | null {
  const actions: Action[] = [];
  const error = decodeList(decoders(), bytes, { ...dc, out: actions });
  if (error !== null) {
    return error;
  }
  if (actions.some((a) => ACTIONS[a.kind].setClass === null)) {
    dc.log?.("WARN", "ofp_actions", "disallowed action in action set");
    return "OFPBAC_BAD_TYPE";
  }
  dc.out.push({ kind: "write_actions", actions });
  return null;
}

/** What a check needs to know about the switch and the flow. */
export interface CheckOptions {
  readonly match: Match;
  /** Ports from here on do not exist; OFPP.MAX if unknown. */
  readonly maxPorts: number;
  /** 255 if unknown. */
  readonly tableId: number;
  /** 255 if unknown. */
  readonly nTables: number;
  readonly log?: LogSink | null;
}

/** Checks actions against a flow's match; gives the protocols that can carry them (ovs: ofpacts_check). */
export function checkActions(
  actions: readonly Action[],
  options: CheckOptions,
): { readonly usable: Protocols; readonly error: OfpErr | null } {
  const cc: CheckContext = { log: null, ...options, usable: P.ANY };
  const error = LISTS.check(actions, cc);
  return { usable: cc.usable, error };
}

/** Like checkActions(), and wants certain protocols (ovs: ofpacts_check_consistency). */
export function checkConsistency(
  actions: readonly Action[],
  needed: Protocols,
  options: CheckOptions,
): OfpErr | null {
  const { usable, error } = checkActions(actions, options);
  return error ?? ((needed & ~usable) !== 0 ? "OFPBAC_MATCH_INCONSISTENT" : null);
}

/**
 * The list that an action set runs as: without an output, group or the like nothing
 * (ovs: ofpacts_execute_action_set).
 */
export function actionSetToList(set: readonly Action[]): Action[] {
  const slots = new Map<string, Action>();
  const sets: Action[] = [];
  let final: Action | null = null;
  let rank = 0;
  const finals: readonly string[] = ACTION_SET_FINALS;
  for (const a of set) {
    const cls = ACTIONS[a.kind].setClass;
    if (cls === "slot") {
      slots.set(a.kind, a);
    } else if (cls === "set") {
      sets.push(a);
    } else if (cls === "final") {
      const r = finals.indexOf(a.kind);
      if (r >= rank) {
        final = a;
        rank = r;
      }
    }
  }
  if (final === null) {
    return [];
  }
  const first = ACTION_SET_SLOTS.flatMap((k) => slots.get(k) ?? []);
  return [...first, ...sets, final];
}

/** Whether two lists are the same, wire forms included (ovs: ofpacts_equal). */
export function actionsEqual(a: readonly Action[], b: readonly Action[]): boolean {
  return deepEqual(a, b);
}

/** Members that say nothing about what an action does. */
function deepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) {
    return true;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return false;
  }
  const keysA = Object.keys(a);
  const keysB = Object.keys(b);
  return (
    keysA.length === keysB.length &&
    keysA.every((k) => deepEqual(Reflect.get(a, k), Reflect.get(b, k)))
  );
}

/** Whether two lists print alike (ovs: ofpacts_equal_stringwise). */
export function actionsEqualAsText(a: readonly Action[], b: readonly Action[]): boolean {
  return formatActions(a) === formatActions(b);
}

/** Ranks of instructions for those who need the order. */
export function instructionRank(a: Action, version: OfVersion): number {
  return INSTRUCTIONS.indexOf(instructionOf(ACTIONS, a.kind, version));
}
