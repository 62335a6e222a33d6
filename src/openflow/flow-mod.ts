// Flow mods: adding, changing and deleting flows in a bridge's tables.
//
// The idea: a modification has three phases. `init` checks what needs no tables and makes the new
// rule; `start` finds the rules concerned and prepares the next version of the tables; then either
// `revert` takes all of it back, or the version is moved forward and `finish` reports. A bundle runs
// all starts before the first finish (ovs: ofproto/ofproto.c add_flow_*, modify_flows_*,
// delete_flows_*, replace_rule_*).
//
// Invariants
// - Between `start` and the end of the operation, replaced rules stay in the classifier, invisible
//   from the new version on; `Ofproto.removePostponed` takes them out.
// - `table.nFlows` counts each flow once, whatever versions it has.

import { VERSION_NOT_REMOVED, type Version } from "../datapath/classifier-rule.ts";
import { K } from "../flow/flow-key.ts";
import type { MiniMatch } from "../flow/minimatch.ts";
import { actionsEqual } from "./actions/actions.ts";
import { groupsOf, meterOf, ruleActionsOf, someAction } from "./action-query.ts";
import type { OfpErr } from "./messages/errors.ts";
import { OFPP, OFPTT_ALL } from "../flow/ofp-port.ts";
import { OFPG } from "./messages/names.ts";
import { type FlowMod, NO_BUFFER, OFPFC, OFPFME, U64_MAX } from "./messages/types-flow.ts";
import type { Ofproto, Requester } from "./ofproto.ts";
import { FLOW_FLAG, REMOVED, Rule, RULE_STATE } from "./rule.ts";
import { collectLoose, collectStrict, type RuleCriteria, VERSION_MAX } from "./rule-criteria.ts";
import type { DeadCookie } from "./rule-index.ts";

/** A flow mod on its way through its phases (ovs: struct ofproto_flow_mod). */
export interface FlowModOp {
  readonly command: number;
  readonly tableId: number;
  readonly match: MiniMatch;
  readonly modifyMayAdd: boolean;
  readonly keepCounts: boolean;
  modifyCookie: boolean;
  /** The rule to add, and the pattern for modified ones; null for deletions. */
  temp: Rule | null;
  readonly criteria: RuleCriteria | null;
  /** Version in which the change shows; set by whoever starts the operation. */
  version: Version;
  oldRules: Rule[];
  newRules: Rule[];
}

/** Phase 0: checks, and the new rule. */
export function flowModInit(p: Ofproto, fm: FlowMod, match: MiniMatch): FlowModOp | OfpErr {
  const adds = fm.command <= OFPFC.MODIFY_STRICT;
  let temp: Rule | null = null;
  if (adds) {
    const made = newRule(p, fm, match);
    if (typeof made === "string") {
      return made;
    }
    temp = made;
  } else if (fm.command > OFPFC.DELETE_STRICT) {
    return "OFPFMFC_BAD_COMMAND";
  }
  if (adds && fm.bufferId !== NO_BUFFER) {
    return "OFPBRC_BUFFER_UNKNOWN";
  }
  return {
    command: fm.command,
    tableId: fm.tableId,
    match,
    modifyMayAdd: fm.newCookie !== U64_MAX && fm.cookieMask === 0n,
    keepCounts: (fm.flags & FLOW_FLAG.RESET_COUNTS) === 0,
    modifyCookie: fm.modifyCookie,
    temp,
    criteria: fm.command === OFPFC.ADD ? null : criteriaOf(fm, match),
    version: VERSION_NOT_REMOVED,
    oldRules: [],
    newRules: [],
  };
}

function criteriaOf(fm: FlowMod, match: MiniMatch): RuleCriteria {
  const strict = fm.command === OFPFC.MODIFY_STRICT || fm.command === OFPFC.DELETE_STRICT;
  const deletes = fm.command >= OFPFC.DELETE;
  const priority = strict ? fm.priority : 0;
  return {
    tableId: fm.tableId,
    match,
    priority,
    version: VERSION_MAX,
    cookie: fm.cookie,
    cookieMask: fm.cookieMask,
    outPort: deletes ? fm.outPort : OFPP.ANY,
    outGroup: deletes ? fm.outGroup : OFPG.ANY,
    includeHidden: priority > 0xffff,
    includeReadonly: (fm.flags & FLOW_FLAG.NO_READONLY) !== 0,
  };
}

/** What a flow must fulfil to be added; null if it does. */
export function checkNewFlow(p: Ofproto, fm: FlowMod, match: MiniMatch): OfpErr | null {
  if (fm.tableId !== OFPTT_ALL && fm.tableId >= p.nTables) {
    return "OFPBRC_BAD_TABLE_ID";
  }
  const table = p.table(fm.tableId === OFPTT_ALL ? 0 : fm.tableId);
  if (table.readonly && (fm.flags & FLOW_FLAG.NO_READONLY) === 0) {
    return "OFPBRC_EPERM";
  }
  if ((fm.flags & FLOW_FLAG.HIDDEN_FIELDS) === 0 && !hasDefaultHiddenFields(match)) {
    p.warn("(add_flow) only internal flows can set non-default values to hidden fields");
    return "OFPBRC_EPERM";
  }
  return null;
}

function newRule(p: Ofproto, fm: FlowMod, match: MiniMatch): Rule | OfpErr {
  const error = checkNewFlow(p, fm, match);
  if (error !== null) {
    return error;
  }
  const rule = new Rule({
    match,
    priority: fm.priority,
    tableId: fm.tableId === OFPTT_ALL ? 0 : fm.tableId,
    cookie: fm.newCookie,
    idleTimeoutS: fm.idleTimeoutS,
    hardTimeoutS: fm.hardTimeoutS,
    importance: fm.importance,
    flags: fm.flags,
    actions: ruleActionsOf(fm.actions),
    nowMs: p.clock.nowMs(),
  });
  return p.provider.ruleCheck(rule) ?? rule;
}

/** Fields that no controller may match on are not matched (ovs: minimatch_has_default_hidden_fields). */
function hasDefaultHiddenFields(match: MiniMatch): boolean {
  const { words, bits } = match.mask;
  const at = words.indexOf(K.recirc_id.word);
  const recircIdOk = at < 0 || (match.values[at] === 0 && bits[at] === 0xffffffff);
  return recircIdOk && !words.includes(K.dp_hash.word);
}

const UNKNOWN_METER_LIMIT = { name: "check_ofpacts", rate: 1, burst: 5 };

/** Meters and groups that actions name must exist (ovs: ofproto_check_ofpacts). */
export function checkActions(p: Ofproto, actions: FlowMod["actions"]): OfpErr | null {
  let error: OfpErr | null = null;
  someAction(actions, (a) => {
    if (a.kind === "meter") {
      const meter = p.meters.get(a.meterId);
      if (meter === null) {
        error = "OFPMMFC_INVALID_METER";
        return true;
      }
      a.providerMeterId = meter.providerMeterId;
    } else if (a.kind === "controller") {
      const meter = a.meterId === 0 ? null : p.meters.get(a.meterId);
      a.providerMeterId = meter?.providerMeterId ?? 0xffffffff;
      if (a.meterId !== 0 && meter === null) {
        const text = `${p.name}: controller action specified an unknown meter id: ${a.meterId}`;
        p.log.logRl("ofproto", "info", UNKNOWN_METER_LIMIT, text);
      }
    } else if (a.kind === "group" && p.groups.lookup(a.groupId, VERSION_MAX) === null) {
      error = "OFPBAC_BAD_OUT_GROUP";
      return true;
    }
    return false;
  });
  return error;
}

/** Phase 1: prepares the tables' next version. */
export function flowModStart(p: Ofproto, op: FlowModOp): OfpErr | null {
  op.oldRules = [];
  op.newRules = [];
  switch (op.command) {
    case OFPFC.ADD:
      return addStart(p, op);
    case OFPFC.MODIFY:
    case OFPFC.MODIFY_STRICT:
      return modifyStart(p, op);
    default:
      return deleteStart(p, op);
  }
}

function addStart(p: Ofproto, op: FlowModOp): OfpErr | null {
  const rule = op.temp;
  if (rule === null) {
    return "OFPFMFC_UNKNOWN";
  }
  const table = p.table(rule.tableId);
  const error = checkActions(p, rule.actions.actions);
  if (error !== null) {
    return error;
  }
  let old = table.cls.findExactly(rule.match, rule.priority, op.version)?.data ?? null;
  if (old !== null) {
    op.modifyCookie = true;
  } else {
    if (
      (rule.flags & FLOW_FLAG.CHECK_OVERLAP) !== 0 &&
      table.cls.overlaps(rule.match, rule.priority, op.version)
    ) {
      return "OFPFMFC_OVERLAP";
    }
    if (table.nFlows >= table.maxFlows) {
      old = table.evictor?.choose() ?? null;
      if (old === null) {
        return "OFPFMFC_TABLE_FULL";
      }
      table.evictor?.remove(old);
      // Tells an evicted rule from one that is replaced.
      old.removedReason = REMOVED.EVICTION;
    }
  }
  if (old !== null) {
    op.oldRules.push(old);
  }
  op.newRules.push(rule);
  op.temp = null;
  replaceStart(p, op, old, rule);
  return null;
}

function modifyStart(p: Ofproto, op: FlowModOp): OfpErr | null {
  if (op.criteria === null || op.temp === null) {
    return "OFPFMFC_UNKNOWN";
  }
  const strict = op.command === OFPFC.MODIFY_STRICT;
  const found = strict ? collectStrict(p, op.criteria) : collectLoose(p, op.criteria);
  if (typeof found === "string") {
    return found;
  }
  if (found.length === 0) {
    return op.modifyMayAdd ? addStart(p, op) : null;
  }
  const temp = op.temp;
  const error = checkActions(p, temp.actions.actions);
  if (error !== null) {
    return error;
  }
  op.oldRules = found;
  op.temp = null;
  op.newRules = found.map((old) => modifiedRule(p, old, temp));
  op.oldRules.forEach((old, i) => {
    replaceStart(p, op, old, op.newRules[i] as Rule);
  });
  return null;
}

/** The match, priority and table of one rule with the rest of another. */
function modifiedRule(p: Ofproto, old: Rule, pattern: Rule): Rule {
  return new Rule({
    match: old.match,
    priority: old.priority,
    tableId: old.tableId,
    cookie: pattern.cookie,
    idleTimeoutS: pattern.idleTimeoutS,
    hardTimeoutS: pattern.hardTimeoutS,
    importance: pattern.importance,
    flags: pattern.flags,
    actions: pattern.actions,
    nowMs: p.clock.nowMs(),
  });
}

function deleteStart(p: Ofproto, op: FlowModOp): OfpErr | null {
  if (op.criteria === null) {
    return "OFPFMFC_UNKNOWN";
  }
  const strict = op.command === OFPFC.DELETE_STRICT;
  const found = strict ? collectStrict(p, op.criteria) : collectLoose(p, op.criteria);
  if (typeof found === "string") {
    return found;
  }
  op.oldRules = found;
  deleteFlowsStart(p, op.version, found);
  return null;
}

/** `old` is a rule that is replaced or evicted, or null. */
function replaceStart(p: Ofproto, op: FlowModOp, old: Rule | null, rule: Rule): void {
  const table = p.table(rule.tableId);
  if (old === null) {
    table.nFlows++;
  } else {
    if (old.removedReason !== REMOVED.EVICTION) {
      inherit(op, old, rule);
    }
    old.removeVersion = op.version;
    removeRule(p, old);
  }
  insertRule(p, rule);
  table.cls.insert(rule, op.version);
}

/** What a modified flow keeps of the old one. */
function inherit(op: FlowModOp, old: Rule, rule: Rule): void {
  if (op.command !== OFPFC.ADD) {
    rule.idleTimeoutS = old.idleTimeoutS;
    rule.hardTimeoutS = old.hardTimeoutS;
    rule.importance = old.importance;
    rule.flags = old.flags;
    rule.createdMs = old.createdMs;
  }
  const changeCookie = op.modifyCookie && rule.cookie !== U64_MAX && rule.cookie !== old.cookie;
  if (!changeCookie) {
    rule.cookie = old.cookie;
  }
}

/** Takes a rule into all indexes but the classifier (ovs: ofproto_rule_insert__). */
export function insertRule(p: Ofproto, rule: Rule): void {
  p.index.insert(rule);
  p.table(rule.tableId).evictor?.add(rule);
  if (rule.actions.hasMeter) {
    p.meters.get(meterOf(rule.actions.actions))?.rules.add(rule);
  }
  if (rule.actions.hasGroups) {
    for (const id of groupsOf(rule.actions.actions)) {
      p.groups.lookup(id, VERSION_MAX)?.refer(rule);
    }
  }
  p.holdTlv(rule);
  rule.state = RULE_STATE.INSERTED;
}

/** The reverse; the classifier follows later. */
function removeRule(p: Ofproto, rule: Rule): void {
  p.index.remove(rule);
  p.table(rule.tableId).evictor?.remove(rule);
  if (rule.actions.hasMeter) {
    p.meters.get(meterOf(rule.actions.actions))?.rules.delete(rule);
  }
  if (rule.actions.hasGroups) {
    for (const id of groupsOf(rule.actions.actions)) {
      const group = p.groups.lookup(id, VERSION_MAX);
      if (group !== null && !group.beingDeleted) {
        group.rules.delete(rule);
      }
    }
  }
  rule.state = RULE_STATE.REMOVED;
}

/** Phase 2a: undoes `flowModStart`. */
export function flowModRevert(p: Ofproto, op: FlowModOp): void {
  if (op.command >= OFPFC.DELETE) {
    deleteFlowsRevert(p, op.oldRules);
    return;
  }
  op.newRules.forEach((rule, i) => {
    replaceRevert(p, op.oldRules[i] ?? null, rule);
  });
}

function replaceRevert(p: Ofproto, old: Rule | null, rule: Rule): void {
  const table = p.table(rule.tableId);
  table.cls.remove(rule);
  removeRule(p, rule);
  p.dropTlv(rule);
  if (old === null) {
    table.nFlows--;
    return;
  }
  old.removedReason = REMOVED.NONE;
  insertRule(p, old);
  old.removeVersion = VERSION_NOT_REMOVED;
}

/** Phase 2b, after the tables' version was moved forward. */
export function flowModFinish(p: Ofproto, op: FlowModOp, req: Requester | null): void {
  if (op.command >= OFPFC.DELETE) {
    deleteFlowsFinish(p, op.oldRules, REMOVED.DELETE, req);
  } else {
    const dead: DeadCookie[] = [];
    op.newRules.forEach((rule, i) => {
      replaceFinish(p, op, op.oldRules[i] ?? null, rule, { req, dead });
    });
    p.flushLearned(dead);
    p.postponeRemoval(op.oldRules);
    if (op.oldRules.length === 0 && op.newRules.length === 1) {
      const rule = op.newRules[0] as Rule;
      p.monitors.report({ rule, event: OFPFME.ADDED, reason: 0, req, oldActions: null });
      p.sendTableStatus(rule.tableId);
    }
  }
  req?.conn.reportFlowMod(op.command);
}

function replaceFinish(
  p: Ofproto,
  op: FlowModOp,
  old: Rule | null,
  rule: Rule,
  { req, dead }: { req: Requester | null; dead: DeadCookie[] },
): void {
  const replaced = old !== null && old.removedReason !== REMOVED.EVICTION;
  if (replaced) {
    moveCounters(old, rule, op.keepCounts);
  }
  p.index.addLearned(rule.actions);
  if (old === null) {
    return;
  }
  p.index.dropLearned(old.actions, dead);
  if (!replaced) {
    const reason = REMOVED.EVICTION;
    p.monitors.report({ rule: old, event: OFPFME.REMOVED, reason, req, oldActions: null });
    return;
  }
  const event = op.command === OFPFC.ADD ? OFPFME.ADDED : OFPFME.MODIFIED;
  const changedActions = !actionsEqual(rule.actions.actions, old.actions.actions);
  if (event !== OFPFME.MODIFIED || changedActions || rule.cookie !== old.cookie) {
    const oldActions = changedActions ? old.actions.actions : null;
    p.monitors.report({ rule, event, reason: 0, req, oldActions });
  }
}

/** Later packets of the old rule count for the new one (ovs: ofproto-dpif.c rule_insert). */
function moveCounters(old: Rule, rule: Rule, keep: boolean): void {
  old.newRule = rule;
  old.forwardCounts = keep;
  if (keep) {
    rule.nPackets = old.nPackets;
    rule.nBytes = old.nBytes;
  }
  rule.usedMs = old.usedMs;
}

/** Makes rules invisible in the version (ovs: delete_flows_start__). */
export function deleteFlowsStart(p: Ofproto, version: Version, rules: Iterable<Rule>): void {
  for (const rule of rules) {
    p.table(rule.tableId).nFlows--;
    rule.removeVersion = version;
    removeRule(p, rule);
  }
}

export function deleteFlowsRevert(p: Ofproto, rules: Iterable<Rule>): void {
  for (const rule of rules) {
    insertRule(p, rule);
    p.table(rule.tableId).nFlows++;
    rule.removeVersion = VERSION_NOT_REMOVED;
  }
}

export function deleteFlowsFinish(
  p: Ofproto,
  rules: readonly Rule[],
  reason: number,
  req: Requester | null,
): void {
  const dead: DeadCookie[] = [];
  for (const rule of rules) {
    // The message to controllers goes out when the rule leaves the classifier.
    rule.removedReason = reason;
    p.monitors.report({ rule, event: OFPFME.REMOVED, reason, req, oldActions: null });
    p.sendTableStatus(rule.tableId);
    p.index.dropLearned(rule.actions, dead);
  }
  p.postponeRemoval(rules);
  p.flushLearned(dead);
}

/** Deletes rules at once, as a change of its own (ovs: delete_flows__). */
export function deleteFlows(p: Ofproto, rules: readonly Rule[], reason: number): void {
  if (rules.length > 0) {
    deleteFlowsStart(p, p.tablesVersion + 1, rules);
    p.bumpVersion();
    deleteFlowsFinish(p, rules, reason, null);
    p.monitors.flush();
  }
}
