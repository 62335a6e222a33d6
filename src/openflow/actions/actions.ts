// Actions for other layers: parse, print, check, compare, and run an action set.
//
// Everything here interprets the action table; codec.ts does so for the wire. (ovs: lib/ofp-actions.c)

import type { Match } from "../../flow/match.ts";
import { P, type Protocols } from "../../flow/of-version.ts";
import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import type { OfpErr } from "../messages/errors.ts";
import { ACTIONS, LISTS } from "./table.ts";
import {
  ACTION_SET_FINALS,
  ACTION_SET_SLOTS,
  type Action,
  type ActionKind,
  type CheckContext,
  type FormatContext,
  type ParseContext,
} from "./types.ts";

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
  const text = LISTS.format(actions, fp);
  return fp.painter === undefined ? text : fp.painter.actions(text);
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

/** Names of a set of actions, as features are printed (ovs: ofpact_bitmap_format). */
export function formatActionNames(kinds: ReadonlySet<ActionKind>): string {
  const names = Object.values(ACTIONS).flatMap((row) => (kinds.has(row.kind) ? row.name : []));
  return names.length === 0 ? "<none>" : names.join(" ");
}
