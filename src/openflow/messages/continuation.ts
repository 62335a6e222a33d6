// Continuations: the state of a paused translation, which a packet-in carries to a controller and
// back (ovs: lib/ofp-packet.c).
//
// A continuation is a list of properties within a property of the packet-in. Only the switch that
// made one understands it. Actions are cut where the rule changes that they belong to: the table and
// the cookie of that rule precede them.

import type { LogSink } from "../../flow/ofp-port.ts";
import type { OfVersion } from "../../flow/of-version.ts";
import { Cursor, getU32le, hex2, putU32le, type Writer } from "../../lib/bytes.ts";
import { formatActions } from "../actions/actions.ts";
import { pullActions, putActions } from "../actions/codec.ts";
import type { Action } from "../actions/types.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import type { NameMaps } from "./names.ts";
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
  unknownProp,
} from "./property.ts";
import { hex } from "./text.ts";
import type { PacketInPrivate } from "./types-flow.ts";

/** The module that the log names. */
const LOG = "ofp_packet";

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

/** Puts the property of type `type` that holds the continuation, if there is one. */
export function putContinuation(
  w: Writer,
  type: number,
  pin: PacketInPrivate,
  version: OfVersion,
): void {
  const at = startNestedProp(w, type);
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

export interface ThawContext {
  readonly log: LogSink | null;
  readonly loose: boolean;
  readonly version: OfVersion;
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

/** Reads the nested properties of a continuation into `pin`. */
export function pullContinuation(
  bytes: Uint8Array,
  pin: PacketInPrivate,
  cx: ThawContext,
): OfpErr | null {
  const thaw: Thaw = { tableId: 0, cookie: 0n, stack: [], actions: [] };
  for (const c = new Cursor(bytes); c.left > 0; ) {
    const p = pullProp(c);
    const err = isErr(p) ? p : thawProp(p, pin, thaw, cx);
    if (err !== null) {
      return err;
    }
  }
  pin.stack = thaw.stack;
  pin.actions = thaw.actions;
  return null;
}

function stackValue(b: Uint8Array): string {
  const digits = Array.from(b, hex2).join("").replace(/^0+/, "");
  return `0x${digits === "" ? "0" : digits}`;
}

/** The lines of a packet-in's text about where it will continue. */
export function continuationText(pin: PacketInPrivate, names: NameMaps): string {
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
