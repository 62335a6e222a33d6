// One flow of a flow table: what the classifier needs to find it, what OpenFlow shows of it, and
// its counters and times.
//
// The idea: a rule never changes its match, priority, actions or cookie. A modification makes a new
// rule and moves the counters over, so that a bundle can show either the old or the new one by
// version (ovs: ofproto/ofproto-provider.h struct rule, lib/versions.h). Rules that were loaded with
// the same actions may share one RuleActions object, therefore that is read-only too.
//
// A rule is its own ClsRule (`data` is the rule itself): a million flows cost one object each.
//
// Invariants
// - Times are milliseconds of the switch's clock; timeouts are seconds, 0 means none.
// - `cookieNext`, `cookiePrev` belong to the cookie index.

import type { ClsConjunction, ClsRule } from "../datapath/classifier-rule.ts";
import { VERSION_MIN, VERSION_NOT_REMOVED } from "../datapath/classifier-rule.ts";
import type { MiniMatch } from "../flow/minimatch.ts";
import type { Action } from "./actions/types.ts";

/** Flow mod flags as Open vSwitch numbers them (ovs: enum ofputil_flow_mod_flags). */
export const FLOW_FLAG = {
  SEND_FLOW_REM: 1 << 0,
  NO_PKT_COUNTS: 1 << 1,
  NO_BYT_COUNTS: 1 << 2,
  CHECK_OVERLAP: 1 << 3,
  RESET_COUNTS: 1 << 4,
  EMERG: 1 << 5,
  /** Inside the switch only: the match may use fields that controllers must not. */
  HIDDEN_FIELDS: 1 << 6,
  /** Inside the switch only: read-only tables may be written. */
  NO_READONLY: 1 << 7,
} as const;
/** The flags that stay with a rule (ovs: OFPUTIL_FF_STATE). */
export const FLOW_FLAG_STATE =
  FLOW_FLAG.SEND_FLOW_REM |
  FLOW_FLAG.NO_PKT_COUNTS |
  FLOW_FLAG.NO_BYT_COUNTS |
  FLOW_FLAG.CHECK_OVERLAP |
  FLOW_FLAG.RESET_COUNTS;

/** Why a flow went away (ovs: enum ofp_flow_removed_reason). */
export const REMOVED = {
  IDLE_TIMEOUT: 0,
  HARD_TIMEOUT: 1,
  DELETE: 2,
  GROUP_DELETE: 3,
  METER_DELETE: 4,
  EVICTION: 5,
  /** Still there, or nobody needs to know. */
  NONE: 255,
} as const;

/** Life of a rule: only INSERTED ones are in the ofproto's indexes. */
export const RULE_STATE = { INITIALIZED: 0, INSERTED: 1, REMOVED: 2 } as const;

/** The actions of one or more rules, with what is often asked of them. */
export interface RuleActions {
  readonly actions: readonly Action[];
  readonly hasMeter: boolean;
  readonly hasGroups: boolean;
  readonly hasLearnWithDelete: boolean;
  /** Null unless the actions are conjunctions (and notes). */
  readonly conjs: readonly ClsConjunction[] | null;
}

export interface RuleInit {
  readonly match: MiniMatch;
  readonly priority: number;
  readonly tableId: number;
  readonly cookie: bigint;
  readonly idleTimeoutS: number;
  readonly hardTimeoutS: number;
  readonly importance: number;
  readonly flags: number;
  readonly actions: RuleActions;
  readonly nowMs: number;
}

export class Rule implements ClsRule<Rule> {
  match: MiniMatch;
  /** 0 to 65535; higher ones are hidden rules of the switch itself. */
  readonly priority: number;
  conjs: readonly ClsConjunction[] | null;
  addVersion = VERSION_MIN;
  removeVersion = VERSION_NOT_REMOVED;
  subtable: object | null = null;
  row = -1;
  lower: ClsRule<Rule> | null = null;
  prevInOrder: ClsRule<Rule> | null = null;
  nextInOrder: ClsRule<Rule> | null = null;

  tableId: number;
  cookie: bigint;
  readonly actions: RuleActions;
  importance: number;
  flags: number;
  idleTimeoutS: number;
  hardTimeoutS: number;
  createdMs: number;
  modifiedMs: number;
  usedMs: number;
  nPackets = 0;
  nBytes = 0;
  state: number = RULE_STATE.INITIALIZED;
  removedReason: number = REMOVED.NONE;
  /** Flow monitor bookkeeping (ovs: connmgr.c ofmonitor_report). */
  monitorFlags = 0;
  addSeqno = 0;
  modifySeqno = 0;
  cookieNext: Rule | null = null;
  cookiePrev: Rule | null = null;
  /** The rule that replaced this one: packets that still refer to this one count there. */
  newRule: Rule | null = null;
  /** Whether counts, not only the time of use, go to `newRule`. */
  forwardCounts = false;

  constructor(init: RuleInit) {
    this.match = init.match;
    this.priority = init.priority;
    this.conjs = init.actions.conjs;
    this.tableId = init.tableId;
    this.cookie = init.cookie;
    this.actions = init.actions;
    this.importance = init.importance;
    this.flags = init.flags & FLOW_FLAG_STATE;
    this.idleTimeoutS = init.idleTimeoutS;
    this.hardTimeoutS = init.hardTimeoutS;
    this.createdMs = init.nowMs;
    this.modifiedMs = init.nowMs;
    this.usedMs = init.nowMs;
  }

  /** The classifier's view of a rule leads back to it. */
  get data(): Rule {
    return this;
  }

  /** Counts packets that took this rule (ovs: ofproto-dpif.c rule_dpif_credit_stats). */
  credit(packets: number, bytes: number, usedMs: number): void {
    const to = this.newRule ?? this;
    if (to === this || this.forwardCounts) {
      to.nPackets += packets;
      to.nBytes += bytes;
    }
    if (usedMs > to.usedMs) {
      to.usedMs = usedMs;
    }
  }

  /** The rule that holds the counters of this one. */
  statsRule(): Rule {
    return this.newRule === null ? this : this.newRule.statsRule();
  }

  isHidden(): boolean {
    return this.priority > 0xffff;
  }

  /** True for what OpenFlow 1.3 calls the table-miss flow. */
  isTableMiss(): boolean {
    return this.priority === 0 && this.match.mask.words.length === 0;
  }
}
