// FlowLoader: adds very many flows to a bridge, as when the tables of a host are read from a dump.
//
// All additions become visible together, in one version, when `finish` is called; what a single
// flow mod prepares for going back is left out. Flows with equal action lists share what the bridge
// keeps of them. A flow that replaces another, or goes to a full table, takes the ordinary way.
//
// Invariant: after `finish` the tables are as after as many ordinary additions.

import type { MiniMatch } from "../flow/minimatch.ts";
import { OFPTT_ALL } from "../flow/ofp-port.ts";
import type { Action } from "./actions/types.ts";
import { ruleActionsOf } from "./action-query.ts";
import { checkActions, checkNewFlow, flowModInit, insertRule } from "./flow-mod.ts";
import type { OfpErr } from "./messages/errors.ts";
import { type FlowMod, OFPFME } from "./messages/types-flow.ts";
import type { Ofproto } from "./ofproto.ts";
import { FLOW_FLAG, Rule, type RuleActions } from "./rule.ts";
import { VERSION_MAX } from "./rule-criteria.ts";

/** Action lists that are remembered in order to share what is kept of them. */
const SHARED_ACTIONS_MAX = 20_000;

export class FlowLoader {
  readonly #p: Ofproto;
  /** Lists that are known to be good. */
  readonly #actions = new Map<readonly Action[], RuleActions>();
  #open = false;

  constructor(p: Ofproto) {
    this.#p = p;
  }

  /**
   * Adds a flow; null is success. `fm.match` is not looked at: `match` stands for it, and may be
   * kept. The list of actions may be kept as well, and must not be changed afterwards.
   */
  add(fm: FlowMod, match: MiniMatch): OfpErr | null {
    const p = this.#p;
    const error = checkNewFlow(p, fm, match);
    if (error !== null) {
      return error;
    }
    const table = p.table(fm.tableId === OFPTT_ALL ? 0 : fm.tableId);
    const full = table.nFlows >= table.maxFlows || (fm.flags & FLOW_FLAG.CHECK_OVERLAP) !== 0;
    if (full || table.cls.findExactly(match, fm.priority, VERSION_MAX) !== null) {
      return this.#addOrdinarily(fm, match);
    }
    const actions = this.#checked(fm.actions);
    if (typeof actions === "string") {
      return actions;
    }
    const rule = new Rule({
      match,
      priority: fm.priority,
      tableId: table.id,
      cookie: fm.newCookie,
      idleTimeoutS: fm.idleTimeoutS,
      hardTimeoutS: fm.hardTimeoutS,
      importance: fm.importance,
      flags: fm.flags,
      actions,
      nowMs: p.clock.nowMs(),
    });
    const unable = p.provider.ruleCheck(rule);
    if (unable !== null) {
      return unable;
    }
    this.#start();
    table.nFlows++;
    insertRule(p, rule);
    table.cls.insert(rule, p.tablesVersion + 1);
    p.index.addLearned(actions);
    p.monitors.report({ rule, event: OFPFME.ADDED, reason: 0, req: null, oldActions: null });
    this.last = rule;
    return null;
  }

  /** The rule that the last successful `add` made. */
  last: Rule | null = null;

  /** Makes all that was added visible. */
  finish(): void {
    if (!this.#open) {
      return;
    }
    this.#open = false;
    this.#actions.clear(); // Groups and meters may change before more is added.
    for (const table of this.#p.tables) {
      table.cls.publish();
    }
    this.#p.bumpVersion();
    this.#p.monitors.flush();
  }

  #start(): void {
    if (!this.#open) {
      this.#open = true;
      for (const table of this.#p.tables) {
        table.cls.defer();
      }
    }
  }

  #addOrdinarily(fm: FlowMod, match: MiniMatch): OfpErr | null {
    this.finish();
    const op = flowModInit(this.#p, fm, match);
    if (typeof op === "string") {
      return op;
    }
    const error = this.#p.runFlowMod(op, null);
    this.last = op.newRules[0] ?? null;
    this.#p.removePostponed();
    return error;
  }

  /** What is kept of an action list, which is checked when it is first seen. */
  #checked(actions: readonly Action[]): RuleActions | OfpErr {
    let kept = this.#actions.get(actions);
    if (kept === undefined) {
      const bad = checkActions(this.#p, actions);
      if (bad !== null) {
        return bad;
      }
      kept = ruleActionsOf(actions);
      if (this.#actions.size >= SHARED_ACTIONS_MAX) {
        this.#actions.clear();
      }
      this.#actions.set(actions, kept);
    }
    return kept;
  }
}
