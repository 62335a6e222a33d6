// Ofproto: the OpenFlow side of one bridge: 255 flow tables, groups, meters, ports, connections.
//
// This file holds the state and the switch's own entry points; what OpenFlow messages do is in
// flow-mod.ts, group-mod.ts, bundle.ts and ofproto-*.ts, which work on an Ofproto. Reference:
// ovs: ofproto/ofproto.c, and of ofproto/ofproto-dpif.c what is not translation.
//
// Invariants
// - `tablesVersion` is the version that packets see. A change prepares `tablesVersion + 1`, then
//   `bumpVersion` makes all of it visible at once.
// - Table 254 is hidden: the flows that stand for misses live there (TBL_INTERNAL).
// - Rules and groups that were replaced or deleted stay, invisible, until `removePostponed`: a
//   translation that began before goes on to see its version of the tables.

import type { PrefixField } from "../datapath/classifier.ts";
import type { Version } from "../datapath/classifier-rule.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import { K } from "../flow/flow-key.ts";
import { MaskPool } from "../flow/mask-pool.ts";
import { type Match, matchSlot, newMatch } from "../flow/match.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Subfield } from "../flow/subfield.ts";
import { TunTable } from "../flow/tun-metadata.ts";
import { type TlvBitmap, VlMffMap } from "../flow/vl-mff-map.ts";
import type { Clock, Rng } from "../lib/env.ts";
import { assert, defined } from "../lib/errors.ts";
import type { LogSink } from "../flow/ofp-port.ts";
import type { Vlog } from "../lib/vlog.ts";
import { decodeLog } from "./conn-log.ts";
import { actionsEqual } from "./actions/actions.ts";
import type { Action } from "./actions/types.ts";
import { ConnMgr, type Ofconn } from "./connmgr.ts";
import { FlowMonitors } from "./flow-monitor.ts";
import {
  checkActions,
  deleteFlows,
  flowModFinish,
  flowModInit,
  type FlowModOp,
  flowModStart,
} from "./flow-mod.ts";
import { type Group, GroupTable } from "./group.ts";
import { deleteAllGroups } from "./group-mod.ts";
import type { OfpErr } from "./messages/errors.ts";
import { OFPG } from "./messages/names.ts";
import { type FlowMod, NO_BUFFER, OFPFC, OFPR, U64_MAX } from "./messages/types-flow.ts";
import { type DescStats, FRAG_NAMES, OFPTR } from "./messages/types-switch.ts";
import { MeterTable } from "./meter.ts";
import { deleteAllMeters } from "./meter-mod.ts";
import { PortTable } from "./ofport.ts";
import type { OfprotoProvider } from "./ofproto-provider.ts";
import { tableDesc } from "./ofproto-tables.ts";
import { EVICTION, NAME_LEVEL, NO_FLOW_LIMIT, OfTable, VACANCY } from "./oftable.ts";
import { FLOW_FLAG, REMOVED, type Rule, RULE_STATE } from "./rule.ts";
import { collectLoose, VERSION_MAX } from "./rule-criteria.ts";
import { type DeadCookie, RuleIndex } from "./rule-index.ts";
import { tlvFieldsOf } from "./tlv-refs.ts";
import type { FragHandling, TableMiss, XlateOfproto } from "./xbridge.ts";
import { EVICTION_REBUILD_MS } from "./eviction.ts";

/** Tables of a bridge; the last one is hidden. */
export const N_TABLES = 255;
/** The table of the switch's own flows. */
export const TBL_INTERNAL = 254;

export interface OfprotoInit {
  readonly name: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly provider: OfprotoProvider;
  readonly log: Vlog;
  /** The version that the switch's description names. */
  readonly swVersion: string;
}

/** What the database says about a table (ovs: struct ofproto_table_settings). */
export interface TableSettings {
  readonly name: string | null;
  readonly maxFlows: number;
  readonly evict: boolean;
  readonly groups: readonly Subfield[];
  readonly prefixes: readonly PrefixField[];
}

/** The connection and message that a change comes from. */
export interface Requester {
  readonly conn: Ofconn;
  readonly xid: number;
}

export class Ofproto implements XlateOfproto {
  readonly name: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly provider: OfprotoProvider;
  readonly log: Vlog;
  readonly decodeLog: LogSink;
  readonly swVersion: string;
  readonly nTables = N_TABLES;
  readonly maxPorts: number = OFPP.MAX;
  readonly tables: readonly OfTable[];
  readonly index = new RuleIndex();
  readonly groups = new GroupTable();
  /** Number of groups by type. */
  readonly nGroups: number[] = [0, 0, 0, 0];
  readonly meters = new MeterTable();
  readonly ports: PortTable;
  readonly conns: ConnMgr;
  readonly monitors: FlowMonitors;
  readonly masks = new MaskPool();
  /** Places and widths of tunnel options. */
  tunTable = new TunTable();
  readonly vlMff = new VlMffMap();
  tablesVersion: Version = 0;
  fragHandling: FragHandling = "normal";
  datapathId = 0n;
  /** Texts of the description that differ from the default. */
  desc: Partial<DescStats> = {};
  readonly missRule: Rule;
  readonly noPacketInRule: Rule;
  readonly dropFragsRule: Rule;

  #toRemove: Rule[] = [];
  #groupsToRemove: Group[] = [];
  readonly #tlvRefs = new Map<Rule, TlvBitmap>();
  #evictionTimerMs = Number.NEGATIVE_INFINITY;

  constructor(init: OfprotoInit) {
    this.name = init.name;
    this.clock = init.clock;
    this.rng = init.rng;
    this.provider = init.provider;
    this.log = init.log;
    this.decodeLog = decodeLog(init.log);
    this.swVersion = init.swVersion;
    this.ports = new PortTable(init.clock);
    this.conns = new ConnMgr(this);
    this.monitors = new FlowMonitors(this);
    this.tables = Array.from({ length: N_TABLES }, (_, id) => new OfTable(id));
    const internal = this.table(TBL_INTERNAL);
    internal.hidden = true;
    internal.readonly = true;
    const toController: Action = {
      kind: "controller",
      maxLen: 0xffff,
      controllerId: 0,
      reason: OFPR.IMPLICIT_MISS,
      pause: false,
      userdata: new Uint8Array(0),
      meterId: 0,
      providerMeterId: 0xffffffff,
    };
    this.missRule = this.#addInternal(0, regMatch(1), [toController]);
    this.noPacketInRule = this.#addInternal(0, regMatch(2), []);
    this.dropFragsRule = this.#addInternal(0, regMatch(3), []);
    // Packets that are not recirculated find nothing in the internal table.
    const notRecirculated = newMatch();
    matchSlot(notRecirculated, K.recirc_id, 0);
    this.#addInternal(2, notRecirculated, []);
  }

  table(id: number): OfTable {
    return defined(this.tables[id], `no table ${id}`);
  }

  // ------------------------------------------------------------- what translation asks

  lookupRule(tableId: number, version: number, key: FlowKey, wc: FlowKey | null): Rule | null {
    return this.table(tableId).cls.lookup(version, key, wc)?.data ?? null;
  }

  missConfig(tableId: number): TableMiss {
    return this.table(tableId).missConfig;
  }

  wantsPacketInOnMiss(): boolean {
    return this.conns.wantsPacketInOnMiss();
  }

  groupLookup(groupId: number, version: Version = VERSION_MAX): Group | null {
    return this.groups.lookup(groupId, version);
  }

  meterId(ofMeterId: number): number {
    return this.meters.get(ofMeterId)?.providerMeterId ?? -1;
  }

  get controllerMeterId(): number {
    return this.meters.controllerMeterId;
  }

  get slowpathMeterId(): number {
    return this.meters.slowpathMeterId;
  }

  creditTable(tableId: number, matched: boolean, packets: number): void {
    const table = this.table(tableId);
    if (matched) {
      table.nMatched += packets;
    } else {
      table.nMissed += packets;
    }
  }

  isAlive(): boolean {
    return this.conns.hasControllers() && this.conns.isAnyControllerAdmitted();
  }

  /**
   * Adds, changes or only refreshes what a learn action made. `limit` flows of the same cookie may
   * be in the table; 0 is no limit (ovs: ofproto_flow_mod_learn).
   */
  flowModLearn(fm: FlowMod, limit: number): { error: OfpErr | null; belowLimit: boolean } {
    const match = this.masks.pack(fm.match);
    const old = this.table(fm.tableId).cls.findExactly(match, fm.priority, VERSION_MAX)?.data;
    if (old !== undefined && sameAsLearned(old, fm)) {
      old.modifiedMs = this.clock.nowMs();
      return { error: null, belowLimit: true };
    }
    const op = flowModInit(this, fm, match);
    if (typeof op === "string") {
      return { error: op, belowLimit: true };
    }
    if (limit > 0 && this.#withCookie(fm.tableId, fm.newCookie).length >= limit) {
      const text = `Learn limit for flow ${fm.newCookie} reached.`;
      this.log.logRl("ofproto", "info", { name: "learn_limit", rate: 1, burst: 5 }, text);
      return { error: null, belowLimit: false };
    }
    return { error: this.runFlowMod(op, null), belowLimit: true };
  }

  /** The flows of a table that have a cookie. */
  #withCookie(tableId: number, cookie: bigint): Rule[] {
    const found = collectLoose(this, {
      tableId,
      match: this.masks.pack(newMatch()),
      priority: 0,
      version: VERSION_MAX,
      cookie,
      cookieMask: U64_MAX,
      outPort: OFPP.ANY,
      outGroup: OFPG.ANY,
      includeHidden: false,
      includeReadonly: false,
    });
    return typeof found === "string" ? [] : found;
  }

  /** Shortens timeouts (ovs: ofproto_rule_reduce_timeouts); 0 leaves one as it is. */
  ruleReduceTimeouts(rule: Rule, idleS: number, hardS: number): void {
    if (idleS === 0 && hardS === 0) {
      return;
    }
    if (rule.state === RULE_STATE.INSERTED) {
      this.index.expirable.add(rule);
    }
    rule.idleTimeoutS = reduced(rule.idleTimeoutS, idleS);
    rule.hardTimeoutS = reduced(rule.hardTimeoutS, hardS);
  }

  // ------------------------------------------------------------- changes of flows

  /** One flow mod, whole. Null is success. */
  flowMod(fm: FlowMod, req: Requester | null = null): OfpErr | null {
    const op = flowModInit(this, fm, this.masks.pack(fm.match));
    return typeof op === "string" ? op : this.runFlowMod(op, req);
  }

  runFlowMod(op: FlowModOp, req: Requester | null): OfpErr | null {
    op.version = this.tablesVersion + 1;
    const error = flowModStart(this, op);
    if (error !== null) {
      return error;
    }
    this.bumpVersion();
    flowModFinish(this, op, req);
    this.monitors.flush();
    return null;
  }

  /** Adds a flow of the switch's own to table 0 (ovs: ofproto_add_flow). */
  addFlow(match: Match, priority: number, actions: readonly Action[]): void {
    const mini = this.masks.pack(match);
    const old = this.table(0).cls.findExactly(mini, priority, VERSION_MAX)?.data;
    if (old === undefined || !actionsEqual(old.actions.actions, actions)) {
      const command = OFPFC.MODIFY_STRICT;
      this.flowMod({ ...ownFlowMod(match, priority, actions), command });
    }
  }

  deleteFlow(match: Match, priority: number): void {
    const mini = this.masks.pack(match);
    const rule = this.table(0).cls.findExactly(mini, priority, VERSION_MAX)?.data;
    if (rule !== undefined) {
      deleteFlows(this, [rule], REMOVED.DELETE);
    }
  }

  #addInternal(priority: number, match: Match, actions: readonly Action[]): Rule {
    const flags = FLOW_FLAG.HIDDEN_FIELDS | FLOW_FLAG.NO_READONLY;
    const fm = { ...ownFlowMod(match, priority, actions), tableId: TBL_INTERNAL, flags };
    const error = this.flowMod(fm);
    assert(error === null, `internal flow: ${error}`);
    const mini = this.masks.pack(match);
    const found = this.table(TBL_INTERNAL).cls.findExactly(mini, priority, VERSION_MAX);
    return defined(found).data;
  }

  /** A flow that lives only while packets of a translation may come back (priority 20 of 254). */
  addInternalFlow(match: Match, priority: number, actions: readonly Action[]): Rule {
    return this.#addInternal(priority, match, actions);
  }

  /** Deletes all flows, groups and meters, then brings back the switch's own flows. */
  flush(): void {
    for (const table of this.tables) {
      if (!table.hidden) {
        deleteFlows(this, [...table.allRules()], REMOVED.DELETE);
      }
    }
    deleteAllGroups(this);
    deleteAllMeters(this);
    this.removePostponed();
    this.conns.flushed();
  }

  /** Deletes flows whose cookie no learn action stands behind any more. */
  flushLearned(dead: readonly DeadCookie[]): void {
    for (const { cookie, tableId } of dead) {
      deleteFlows(this, this.#withCookie(tableId, cookie), REMOVED.DELETE);
    }
  }

  bumpVersion(): void {
    this.tablesVersion++;
    this.provider.needRevalidate();
  }

  /** Moves packets on to a version that a bundle prepared. */
  setVersion(version: Version): void {
    if (this.tablesVersion < version) {
      this.tablesVersion = version;
      this.provider.needRevalidate();
    }
  }

  postponeRemoval(rules: readonly Rule[]): void {
    for (const rule of rules) {
      this.#toRemove.push(rule);
    }
  }

  postponeGroupRemoval(groups: readonly Group[]): void {
    this.#groupsToRemove.push(...groups);
  }

  /** Takes out what is no longer visible and tells controllers about it. */
  removePostponed(): void {
    const rules = this.#toRemove;
    this.#toRemove = [];
    if (rules.some((r) => this.#needsRemovedMessage(r))) {
      this.provider.syncStats();
    }
    // Several rules go in one step: the order that subtables get depends on it (ovs:
    // remove_rules_rcu__, remove_rule_rcu__).
    const tables = new Set(rules.map((rule) => this.table(rule.tableId)));
    if (rules.length > 1) {
      for (const table of tables) {
        table.cls.defer();
      }
    }
    for (const rule of rules) {
      this.table(rule.tableId).cls.remove(rule);
      this.dropTlv(rule);
      if (this.#needsRemovedMessage(rule)) {
        this.conns.sendFlowRemoved(rule);
      }
    }
    for (const table of tables) {
      table.cls.publish();
    }
    for (const group of this.#groupsToRemove) {
      this.groups.remove(group);
    }
    this.#groupsToRemove = [];
  }

  #needsRemovedMessage(rule: Rule): boolean {
    return (
      (rule.flags & FLOW_FLAG.SEND_FLOW_REM) !== 0 &&
      rule.removedReason !== REMOVED.NONE &&
      !rule.isHidden()
    );
  }

  /** Notes that a rule refers to mapped tunnel options, which then cannot be unmapped. */
  holdTlv(rule: Rule): void {
    if (this.tunTable.size === 0 || this.#tlvRefs.has(rule)) {
      return;
    }
    const bitmap = tlvFieldsOf(rule.match, rule.actions.actions);
    if (bitmap.some((w) => w !== 0)) {
      this.#tlvRefs.set(rule, bitmap);
      this.vlMff.reference(bitmap, 1);
    }
  }

  dropTlv(rule: Rule): void {
    const bitmap = this.#tlvRefs.get(rule);
    if (bitmap !== undefined) {
      this.#tlvRefs.delete(rule);
      this.vlMff.reference(bitmap, -1);
    }
  }

  checkActions(actions: readonly Action[]): OfpErr | null {
    return checkActions(this, actions);
  }

  // ------------------------------------------------------------- time

  /** Does what is due: expires flows, restores the order of eviction, ends stale bundles. */
  run(): void {
    const nowMs = this.clock.nowMs();
    this.removePostponed();
    for (const rule of [...this.index.expirable]) {
      const reason = expiryReason(rule, nowMs);
      if (reason !== REMOVED.NONE && rule.state === RULE_STATE.INSERTED) {
        deleteFlows(this, [rule], reason);
      }
    }
    if (this.#evictionTimerMs < nowMs) {
      this.#evictionTimerMs = nowMs + EVICTION_REBUILD_MS;
      for (const table of this.tables) {
        table.evictor?.refresh(table.allRules());
      }
    }
    this.conns.run();
    this.removePostponed();
  }

  // ------------------------------------------------------------- configuration

  /** Applies what the database says about a table (ovs: ofproto_configure_table). */
  configureTable(tableId: number, s: TableSettings): void {
    const table = this.table(tableId);
    table.setName(s.name, NAME_LEVEL.DATABASE);
    if (table.readonly) {
      return;
    }
    table.cls.setPrefixFields(s.prefixes);
    const eviction = s.evict ? table.eviction | EVICTION.CLIENT : table.eviction & ~EVICTION.CLIENT;
    table.configureEviction(eviction, s.groups, this.rng);
    table.maxFlows = s.maxFlows;
    const evicted: Rule[] = [];
    while (table.nFlows - evicted.length > table.maxFlows) {
      const rule = table.evictor?.choose() ?? null;
      if (rule === null) {
        break;
      }
      table.evictor?.remove(rule);
      evicted.push(rule);
    }
    deleteFlows(this, evicted, REMOVED.EVICTION);
    this.removePostponed();
  }

  /** Tells controllers when the free space of a table crosses one of its thresholds. */
  sendTableStatus(tableId: number): void {
    const t = this.table(tableId);
    if (t.vacancyEvent === VACANCY.NONE || t.maxFlows === NO_FLOW_LIMIT) {
      return;
    }
    const vacancy = t.vacancy();
    const event =
      vacancy < t.vacancyDown
        ? OFPTR.VACANCY_DOWN
        : vacancy > t.vacancyUp
          ? OFPTR.VACANCY_UP
          : VACANCY.NONE;
    if (event === t.vacancyEvent) {
      this.conns.sendTableStatus({ reason: event, desc: tableDesc(t) });
      t.vacancyEvent = event === VACANCY.DOWN ? VACANCY.UP : VACANCY.DOWN;
    }
  }

  setFragHandling(frag: number): void {
    const name = defined(FRAG_NAMES[frag]);
    if (name === this.fragHandling) {
      return;
    }
    if (this.provider.setFragHandling(frag)) {
      this.fragHandling = name;
      this.provider.needRevalidate();
    } else {
      const text = `${this.name}: unsupported fragment handling mode ${name}`;
      this.log.logRl("ofproto", "warn", { name: "ofproto", rate: 1, burst: 5 }, text);
    }
  }

  warn(text: string): void {
    this.log.warn("ofproto", `${this.name}: ${text}`);
  }
}

function regMatch(value: number): Match {
  const match = newMatch();
  matchSlot(match, K.reg0, value);
  return match;
}

function ownFlowMod(match: Match, priority: number, actions: readonly Action[]): FlowMod {
  return {
    match,
    priority,
    cookieMask: 0n,
    cookie: 0n,
    newCookie: 0n,
    modifyCookie: false,
    tableId: 0,
    command: OFPFC.ADD,
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    bufferId: NO_BUFFER,
    outPort: OFPP.NONE,
    outGroup: OFPG.ANY,
    flags: 0,
    importance: 0,
    actions,
  };
}

/** True if learning again would change nothing but the time. */
function sameAsLearned(rule: Rule, fm: FlowMod): boolean {
  return (
    rule.idleTimeoutS === fm.idleTimeoutS &&
    rule.hardTimeoutS === fm.hardTimeoutS &&
    rule.importance === fm.importance &&
    rule.flags === fm.flags &&
    (!fm.modifyCookie || rule.cookie === fm.newCookie) &&
    actionsEqual(rule.actions.actions, fm.actions)
  );
}

function reduced(timeoutS: number, maxS: number): number {
  return maxS > 0 && (timeoutS === 0 || timeoutS > maxS) ? maxS : timeoutS;
}

/** Why a rule is to go now; NONE if it may stay (ovs: ofproto-dpif.c rule_expire). */
function expiryReason(rule: Rule, nowMs: number): number {
  if (rule.hardTimeoutS > 0 && nowMs > rule.modifiedMs + rule.hardTimeoutS * 1000) {
    return REMOVED.HARD_TIMEOUT;
  }
  const idle = rule.idleTimeoutS * 1000;
  if (idle > 0 && nowMs > rule.statsRule().usedMs + idle) {
    return REMOVED.IDLE_TIMEOUT;
  }
  return REMOVED.NONE;
}
