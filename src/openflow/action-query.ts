// Questions that the flow tables ask of a list of actions: where it sends packets, which meter,
// groups and conjunctions it names, whether two lists are the same.
//
// "Flattened" means that the actions within clone(), ct() and write_actions() count too
// (ovs: lib/ofp-actions.c ofpact_next_flattened, ofpacts_output_to_port, ofpacts_get_meter).

import type { ClsConjunction } from "../datapath/classifier-rule.ts";
import { type Action, type ActionOf, NX_LEARN_F } from "./actions/types.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { RuleActions } from "./rule.ts";

/** Actions may nest; more levels than this cannot have been decoded. */
export const FLATTEN_DEPTH_MAX = 200;

/** Visits every action, nested ones after the one that holds them, until `visit` answers true. */
export function someAction(
  actions: readonly Action[],
  visit: (a: Action) => boolean,
  depth = 0,
): boolean {
  for (const a of actions) {
    if (visit(a)) {
      return true;
    }
    const nested = nestedActions(a);
    if (nested !== null && depth < FLATTEN_DEPTH_MAX && someAction(nested, visit, depth + 1)) {
      return true;
    }
  }
  return false;
}

function nestedActions(a: Action): readonly Action[] | null {
  return a.kind === "clone" || a.kind === "ct" || a.kind === "write_actions" ? a.actions : null;
}

/** True if some action may output to exactly this port. */
export function outputsToPort(actions: readonly Action[], port: number): boolean {
  return someAction(actions, (a) => {
    switch (a.kind) {
      case "output":
      case "enqueue":
        return a.port === port;
      case "controller":
        return port === OFPP.CONTROLLER;
      default:
        return false;
    }
  });
}

export function outputsToGroup(actions: readonly Action[], groupId: number): boolean {
  return someAction(actions, (a) => a.kind === "group" && a.groupId === groupId);
}

/** The meter that the actions start with, or 0. */
export function meterOf(actions: readonly Action[]): number {
  const first = actions[0];
  return first?.kind === "meter" ? first.meterId : 0;
}

/** Every group that the actions name, once per action. */
export function groupsOf(actions: readonly Action[]): number[] {
  const ids: number[] = [];
  someAction(actions, (a) => {
    if (a.kind === "group") {
      ids.push(a.groupId);
    }
    return false;
  });
  return ids;
}

/** The learn actions whose flows go when the flow with the action goes. */
export function learnsWithDelete(actions: readonly Action[]): ActionOf<"learn">[] {
  const found: ActionOf<"learn">[] = [];
  for (const a of actions) {
    if (a.kind === "learn" && (a.flags & NX_LEARN_F.DELETE_LEARNED) !== 0) {
      found.push(a);
    }
  }
  return found;
}

const DROP: RuleActions = Object.freeze({
  actions: Object.freeze([]),
  hasMeter: false,
  hasGroups: false,
  hasLearnWithDelete: false,
  conjs: null,
});

/** What a rule keeps of its actions. */
export function ruleActionsOf(actions: readonly Action[]): RuleActions {
  if (actions.length === 0) {
    return DROP;
  }
  return {
    actions,
    hasMeter: meterOf(actions) !== 0,
    hasGroups: someAction(actions, (a) => a.kind === "group"),
    hasLearnWithDelete: learnsWithDelete(actions).length > 0,
    conjs: conjunctionsOf(actions),
  };
}

function conjunctionsOf(actions: readonly Action[]): readonly ClsConjunction[] | null {
  const conjs: ClsConjunction[] = [];
  for (const a of actions) {
    if (a.kind === "conjunction") {
      conjs.push({ id: a.id, clause: a.clause, nClauses: a.nClauses });
    } else if (a.kind !== "note") {
      break;
    }
  }
  return conjs.length === 0 ? null : conjs;
}
