// Actions on the wire: lists of actions, and instructions.
//
// OpenFlow 1.0 has a list of actions where later versions have a list of instructions, of which
// apply_actions and write_actions hold actions. (OpenFlow 1.5.1, 7.2.5; ovs: lib/ofp-actions.c)

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import { newTlvBitmap, type TlvBitmap, type VlMffMap } from "../../flow/vl-mff-map.ts";
import { type Cursor, getU16, getU32, type Writer } from "../../lib/bytes.ts";
import type { Decoded, OfpErr } from "../messages/errors.ts";
import { endActionsInstruction, OFPIT, putInstruction } from "./instructions.ts";
import { decodeList, type RawDecoders, rawDecoders, rowOf, verifyDecoded } from "./list.ts";
import { RAW_ACTIONS } from "./raw-actions.ts";
import { ACTIONS, LISTS } from "./table.ts";
import type { Action, ActionKind, DecodeContext, InstructionName } from "./types.ts";
import { INSTS, instructionOf } from "./verify.ts";

/** Appends a list of actions (ovs: ofpacts_put_openflow_actions). */
export function putActions(actions: readonly Action[], out: Writer, version: OfVersion): void {
  LISTS.encode(actions, out, version);
}

/** Appends instructions, or for OpenFlow 1.0 actions (ovs: ofpacts_put_openflow_instructions). */
export function putInstructions(actions: readonly Action[], out: Writer, version: OfVersion): void {
  if (version === OFP.v10) {
    putActions(actions, out, version);
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

export interface PullOptions {
  /** The bridge's widths of tun_metadata; without it every field has its full width. */
  readonly vlMff?: VlMffMap | null;
  readonly log?: LogSink | null;
  /** Take the debug actions, as a switch in dummy mode does. */
  readonly debug?: boolean;
  /** Gets the tun_metadata fields that are used, as far as they are mapped. */
  readonly tlvBitmap?: TlvBitmap;
}

function decodeContext(version: OfVersion, o: PullOptions): DecodeContext {
  return {
    version,
    tun: o.vlMff ?? null,
    log: o.log ?? null,
    debug: o.debug ?? false,
    out: [],
    tlvBitmap: o.tlvBitmap ?? newTlvBitmap(),
    depth: 0,
  };
}

let decodersMade: RawDecoders | undefined;
/** Built when first used; it is a function of the table only. */
function decoders(): RawDecoders {
  decodersMade ??= rawDecoders(ACTIONS);
  return decodersMade;
}

/** The next `length` bytes, or null after a warning. */
function take(c: Cursor, length: number, what: string, log: LogSink | null): Uint8Array | null {
  if (length > c.left) {
    const text = `OpenFlow message ${what} length ${length} exceeds remaining message length`;
    log?.("WARN", "ofp_actions", `${text} (${c.left})`);
    return null;
  }
  return c.view(length);
}

/** Decodes a list of actions (ovs: ofpacts_pull_openflow_actions). */
export function pullActions(
  c: Cursor,
  length: number,
  version: OfVersion,
  options: PullOptions = {},
): Decoded<Action[]> {
  const dc = decodeContext(version, options);
  return pullList(c, length, dc, INSTS.APPLY_AND_METER) ?? dc.out;
}

function pullList(c: Cursor, length: number, dc: DecodeContext, allowed: number): OfpErr | null {
  const bytes = length % 8 === 0 ? take(c, length, "actions", dc.log) : new Uint8Array(length);
  if (bytes === null) {
    return "OFPBRC_BAD_LEN";
  }
  return decodeList(decoders(), bytes, dc) ?? verifyDecoded(ACTIONS, dc, allowed, null);
}

/** Decodes instructions, of OpenFlow 1.0 actions (ovs: ofpacts_pull_openflow_instructions). */
export function pullInstructions(
  c: Cursor,
  length: number,
  version: OfVersion,
  options: PullOptions = {},
): Decoded<Action[]> {
  const dc = decodeContext(version, options);
  if (version === OFP.v10) {
    return pullList(c, length, dc, INSTS.ALL) ?? dc.out;
  }
  if (length % 8 !== 0) {
    const text = `OpenFlow message instructions length ${length} is not a multiple of 8`;
    dc.log?.("WARN", "ofp_actions", text);
    return "OFPBIC_BAD_LEN";
  }
  const bytes = take(c, length, "instructions", dc.log);
  if (bytes === null) {
    return "OFPBIC_BAD_LEN";
  }
  const found = splitInstructions(bytes, dc);
  const error = typeof found === "string" ? found : takeInstructions(found, dc);
  return error ?? verifyDecoded(ACTIONS, dc, INSTS.ALL, null) ?? dc.out;
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

/**
 * Numbers of the standard actions that a version's feature bitmaps can name, with what they are
 * here. From OpenFlow 1.2 on, set_field (25) stands for what it replaces.
 */
function standardActions(version: OfVersion): ReadonlyMap<number, ActionKind> {
  const map = new Map<number, ActionKind>();
  const like = version > OFP.v12 ? OFP.v12 : version;
  for (const raw of RAW_ACTIONS) {
    const inVersion = raw.minVersion <= like && like <= raw.maxVersion;
    if (inVersion && raw.vendor === 0 && (!raw.deprecated || raw.name === "set_mpls_ttl")) {
      const row = Object.values(ACTIONS).find((r) => Object.hasOwn(r.decoders, raw.name));
      if (row !== undefined) {
        map.set(raw.type, row.kind);
      }
    }
  }
  return map;
}

/** By version; made when first asked for. */
const standardByVersion = new Map<OfVersion, ReadonlyMap<number, ActionKind>>();

function standardOf(version: OfVersion): ReadonlyMap<number, ActionKind> {
  const known = standardByVersion.get(version);
  if (known !== undefined) {
    return known;
  }
  const made = standardActions(version);
  standardByVersion.set(version, made);
  return made;
}

/** A version's bits for a set of actions (ovs: ofpact_bitmap_to_openflow). */
export function actionBitmapToOpenflow(kinds: ReadonlySet<ActionKind>, version: OfVersion): number {
  let bits = 0;
  for (const [type, kind] of standardOf(version)) {
    if (kinds.has(kind)) {
      bits |= 1 << type;
    }
  }
  return bits >>> 0;
}

/** The actions that a version's bits mean (ovs: ofpact_bitmap_from_openflow). */
export function actionBitmapFromOpenflow(bits: number, version: OfVersion): Set<ActionKind> {
  const kinds = new Set<ActionKind>();
  for (const [type, kind] of standardOf(version)) {
    if (((bits >>> type) & 1) !== 0) {
      kinds.add(kind);
    }
  }
  return kinds;
}
