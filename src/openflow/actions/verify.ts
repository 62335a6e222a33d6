// Which actions may stand in one list, in which order, and within which other action.
//
// OpenFlow 1.1 and later divide a flow's actions into instructions, which run in a fixed order;
// the text form has them in one list, which therefore must be in that order. (ovs: lib/ofp-actions.c
// ofpacts_verify, ofpacts_verify_nested)

import type { Field } from "../../flow/fields.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import type { OfpErr } from "../messages/errors.ts";
import {
  type Action,
  type ActionKind,
  type ActionTable,
  INSTRUCTIONS,
  type InstructionName,
  type OuterKind,
} from "./types.ts";

/** Sets of instructions, as bits over INSTRUCTIONS. */
export const INSTS = {
  ALL: (1 << INSTRUCTIONS.length) - 1,
  APPLY: bitOf("apply_actions"),
  APPLY_AND_METER: bitOf("apply_actions") | bitOf("meter"),
} as const;

function bitOf(name: InstructionName): number {
  return 1 << INSTRUCTIONS.indexOf(name);
}

/** What is wrong: a text for people and the error for a controller. */
export interface VerifyError {
  readonly text: string;
  readonly error: OfpErr;
}

/** The instruction that an action belongs to; meter is an action from OpenFlow 1.5 on. */
export function instructionOf(
  table: ActionTable,
  kind: ActionKind,
  version: OfVersion,
): InstructionName {
  if (kind === "meter" && version >= OFP.v15) {
    return "apply_actions";
  }
  return table[kind].instruction ?? "apply_actions";
}

/** The field that an action writes to, as far as nesting cares (ovs: ofpact_get_mf_dst). */
function targetField(a: Action): Field | null {
  return a.kind === "set_field" ? a.field : a.kind === "reg_move" ? a.dst.field : null;
}

function belongsToCt(field: Field): boolean {
  return field.name === "ct_mark" || field.name === "ct_label";
}

function verifyNested(table: ActionTable, a: Action, outer: OuterKind | null): VerifyError | null {
  const field = targetField(a);
  if (field !== null && belongsToCt(field) && outer !== "ct") {
    const text = "cannot set CT fields outside of ct action";
    return { text, error: "OFPBAC_BAD_SET_ARGUMENT" };
  }
  if (a.kind === "nat") {
    const text = 'Cannot have NAT action outside of "ct" action';
    return outer === "ct" ? null : { text, error: "OFPBAC_BAD_SET_ARGUMENT" };
  }
  if (outer === null) {
    return null;
  }
  const name = table[outer].name;
  if (outer === "ct" && field !== null && !belongsToCt(field)) {
    const text = `${name} action doesn't support nested modification of ${field.name}`;
    return { text, error: "OFPBAC_BAD_ARGUMENT" };
  }
  if ((outer === "ct" && field === null) || a.kind === "meter") {
    const text = `${name} action doesn't support nested action ${table[a.kind].name}`;
    return { text, error: "OFPBAC_BAD_ARGUMENT" };
  }
  return null;
}

function verifyConjunction(table: ActionTable, rest: readonly Action[]): VerifyError | null {
  const other = rest.find((a) => a.kind !== "conjunction" && a.kind !== "note");
  if (other === undefined) {
    return null;
  }
  const text =
    '"conjunction" actions may be used along with "note" but not any other kind of action ' +
    `(such as the "${table[other.kind].name}" action used here)`;
  return { text, error: "NXBAC_BAD_CONJUNCTION" };
}

/** Null if the list may stand where `allowed` instructions may, within `outer`. */
export function verifyActions(
  table: ActionTable,
  actions: readonly Action[],
  where: { version: OfVersion; allowed: number; outer: OuterKind | null },
): VerifyError | null {
  let inst: InstructionName = "meter";
  for (let i = 0; i < actions.length; i++) {
    const a = actions[i] as Action;
    if (a.kind === "conjunction") {
      return verifyConjunction(table, actions);
    }
    const nested = verifyNested(table, a, where.outer);
    if (nested !== null) {
      return nested;
    }
    const next = instructionOf(table, a.kind, where.version);
    const order = i > 0 ? verifyOrder(inst, next) : null;
    if (order !== null) {
      return order;
    }
    if ((bitOf(next) & where.allowed) === 0) {
      return { text: `${next} instruction not allowed here`, error: "OFPBIC_UNSUP_INST" };
    }
    inst = next;
  }
  return null;
}

/** Only apply_actions may repeat: the others are one action each. */
function verifyOrder(inst: InstructionName, next: InstructionName): VerifyError | null {
  const before = INSTRUCTIONS.indexOf(inst);
  const now = INSTRUCTIONS.indexOf(next);
  if (inst === "apply_actions" ? now >= before : now > before) {
    return null;
  }
  const text =
    now === before
      ? `duplicate ${inst} instruction not allowed, for OpenFlow 1.1+ compatibility`
      : `invalid instruction ordering: ${next} must appear before ${inst}, ` +
        "for OpenFlow 1.1+ compatibility";
  return { text, error: "OFPBAC_UNSUPPORTED_ORDER" };
}
