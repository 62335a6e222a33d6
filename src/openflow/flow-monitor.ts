// Flow monitors: controllers that want to hear of every change to some flows.
//
// Changes of one operation are collected per connection and sent together; a connection's own
// changes are abbreviated to the xid of its request unless it asked for them. A connection that
// does not read is paused and gets a summary when it resumes: rules remember when they were added
// and changed (ovs: ofproto/connmgr.c ofmonitor_*, ofproto.c handle_flow_monitor_request).

import type { MiniMatch } from "../flow/minimatch.ts";
import { isLooseMatch } from "../flow/minimatch.ts";
import { OFPP, OFPTT_ALL } from "../flow/ofp-port.ts";
import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Action } from "./actions/types.ts";
import { outputsToGroup, outputsToPort } from "./action-query.ts";
import type { Ofconn } from "./connmgr.ts";
import { appendFlowUpdate, startFlowUpdates } from "./messages/monitor.ts";
import type { Multipart } from "./messages/multipart.ts";
import type { OfpErr } from "./messages/errors.ts";
import { OFPG } from "./messages/names.ts";
import {
  type FlowMonitorRequest,
  type FlowUpdate,
  OFPFME,
  OFPFMC,
  OFPFMF,
} from "./messages/types-flow.ts";
import type { Ofproto, Requester } from "./ofproto.ts";
import { expandRule } from "./ofproto-stats.ts";
import type { Rule } from "./rule.ts";
import { matchingTables, VERSION_MAX } from "./rule-criteria.ts";

export interface FlowMonitor {
  readonly id: number;
  readonly flags: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly tableId: number;
  readonly match: MiniMatch;
}

/** Monitors of one connection, in the order in which Open vSwitch visits them. */
export function newMonitorMap(): OvsMap<number, FlowMonitor> {
  return new OvsMap((id) => hashInt(id, 0));
}

/** What happened to a rule, and who did it. */
export interface RuleReport {
  readonly rule: Rule;
  /** One of OFPFME. */
  readonly event: number;
  readonly reason: number;
  readonly req: Requester | null;
  /** The actions before, if they changed. */
  readonly oldActions: readonly Action[] | null;
}

export class FlowMonitors {
  readonly #p: Ofproto;
  #seqno = 1;

  constructor(p: Ofproto) {
    this.#p = p;
  }

  /** Notes a change; `flush` sends it. */
  report(r: RuleReport): void {
    const { rule, event } = r;
    if (rule.isHidden()) {
      return;
    }
    let update: number = OFPFMF.REMOVED;
    if (event === OFPFME.ADDED) {
      update = OFPFMF.ADD;
      rule.modifySeqno = this.#seqno;
      rule.addSeqno = this.#seqno++;
    } else if (event === OFPFME.MODIFIED) {
      update = OFPFMF.MODIFY;
      rule.modifySeqno = this.#seqno++;
    }
    for (const conn of this.#p.conns.all) {
      const paused = conn.monitorPaused > 0;
      // While paused, only removals of flows that the peer knows of are worth telling.
      if (!paused || (event === OFPFME.REMOVED && rule.addSeqno <= conn.monitorPaused)) {
        this.#reportTo(conn, update, r);
      }
    }
  }

  #reportTo(conn: Ofconn, update: number, r: RuleReport): void {
    let flags = 0;
    for (const m of conn.monitors.values()) {
      if (watches(m, update, r)) {
        flags |= m.flags;
      }
    }
    if (flags === 0) {
      return;
    }
    const updates = conn.startUpdates();
    const own = r.req !== null && r.req.conn === conn;
    if ((flags & OFPFMF.ONLY_OWN) !== 0 || !own || conn.monitorPaused > 0) {
      const withActions = (flags & OFPFMF.INSTRUCTIONS) !== 0;
      const reason = r.event === OFPFME.REMOVED ? r.reason : 0;
      appendFlowUpdate(updates, updateOf(this.#p, r.rule, { event: r.event, reason, withActions }));
    } else if (!conn.sentAbbrevUpdate) {
      const xid = r.req?.xid ?? 0;
      const plain = updateOf(this.#p, r.rule, { event: 0, reason: 0, withActions: false });
      appendFlowUpdate(updates, { ...plain, event: OFPFME.ABBREV, xid });
      conn.sentAbbrevUpdate = true;
    }
  }

  /** Sends what the operation that ends here collected. */
  flush(): void {
    for (const conn of this.#p.conns.all) {
      conn.sendUpdates();
    }
  }

  /** One request, perhaps in several messages; the error belongs to the message with this index. */
  handle(conn: Ofconn, requests: readonly FlowMonitorRequest[]): OfpErr | FlowMonitor[] {
    const added: FlowMonitor[] = [];
    for (const request of requests) {
      const error = this.#apply(conn, request, added);
      if (error !== null) {
        for (const m of added) {
          conn.monitors.delete(m.id);
        }
        return error;
      }
    }
    return added;
  }

  #apply(conn: Ofconn, r: FlowMonitorRequest, added: FlowMonitor[]): OfpErr | null {
    if (r.tableId !== OFPTT_ALL && r.tableId >= this.#p.nTables) {
      return "OFPBRC_BAD_TABLE_ID";
    }
    if (r.command !== OFPFMC.ADD && !conn.monitors.delete(r.id)) {
      return "OFPMOFC_UNKNOWN_MONITOR";
    }
    if (r.command === OFPFMC.DELETE) {
      return null;
    }
    if (conn.monitors.has(r.id)) {
      return "OFPMOFC_MONITOR_EXISTS";
    }
    const { id, flags, outPort, outGroup, tableId } = r;
    const match = this.#p.masks.pack(r.match);
    const monitor = { id, flags, outPort, outGroup, tableId, match };
    conn.monitors.set(id, monitor);
    added.push(monitor);
    return null;
  }

  /** Appends the flows that new monitors want to see first. */
  appendInitial(monitors: readonly FlowMonitor[], out: Multipart): void {
    const rules: Rule[] = [];
    for (const m of monitors) {
      if ((m.flags & OFPFMF.INITIAL) !== 0) {
        this.#collect(m, 0, rules);
      }
    }
    this.#appendRefresh(rules, out);
  }

  /** Tells a connection that reads again what it missed. */
  resume(conn: Ofconn): void {
    const rules: Rule[] = [];
    for (const m of conn.monitors.values()) {
      this.#collect(m, conn.monitorPaused, rules);
    }
    const out = startFlowUpdates(conn.protocol);
    this.#appendRefresh(rules, out);
    for (const msg of rules.length > 0 ? out.messages() : []) {
      conn.send(msg);
    }
    conn.monitorPaused = 0;
  }

  nextSeqno(): number {
    return this.#seqno++;
  }

  #collect(m: FlowMonitor, seqno: number, rules: Rule[]): void {
    for (const table of matchingTables(this.#p, m.tableId)) {
      for (const { data: rule } of table.cls.rules(m.match, VERSION_MAX)) {
        const update = refreshKind(m, rule, seqno);
        if (update !== 0) {
          if (rule.monitorFlags === 0) {
            rules.push(rule);
          }
          rule.monitorFlags |= update | (m.flags & OFPFMF.INSTRUCTIONS);
        }
      }
    }
  }

  #appendRefresh(rules: readonly Rule[], out: Multipart): void {
    for (const rule of rules) {
      const flags = rule.monitorFlags;
      rule.monitorFlags = 0;
      const event =
        (flags & OFPFMF.INITIAL) !== 0
          ? OFPFME.INITIAL
          : (flags & OFPFMF.ADD) !== 0
            ? OFPFME.ADDED
            : OFPFME.MODIFIED;
      const withActions = (flags & OFPFMF.INSTRUCTIONS) !== 0;
      appendFlowUpdate(out, updateOf(this.#p, rule, { event, reason: 0, withActions }));
    }
  }
}

/** Why a rule belongs into a refresh since `seqno`, as OFPFMF bits; 0 if it does not. */
function refreshKind(m: FlowMonitor, rule: Rule, seqno: number): number {
  const { actions } = rule.actions;
  if (
    rule.isHidden() ||
    (m.outPort !== OFPP.ANY && !outputsToPort(actions, m.outPort)) ||
    (m.outGroup !== OFPG.ANY && !outputsToGroup(actions, m.outGroup))
  ) {
    return 0;
  }
  if (seqno === 0) {
    return OFPFMF.INITIAL;
  }
  const update =
    rule.addSeqno > seqno
      ? OFPFMF.ADD | OFPFMF.MODIFY
      : rule.modifySeqno > seqno
        ? OFPFMF.MODIFY
        : 0;
  return (m.flags & update) !== 0 ? update : 0;
}

function watches(m: FlowMonitor, update: number, { rule, oldActions }: RuleReport): boolean {
  const { actions } = rule.actions;
  const toPort =
    m.outPort === OFPP.ANY ||
    outputsToPort(actions, m.outPort) ||
    (oldActions !== null && outputsToPort(oldActions, m.outPort));
  return (
    (m.flags & update) !== 0 &&
    (m.tableId === OFPTT_ALL || m.tableId === rule.tableId) &&
    toPort &&
    (m.outGroup === OFPG.ANY || outputsToGroup(actions, m.outGroup)) &&
    isLooseMatch(rule.match, m.match)
  );
}

function updateOf(
  p: Ofproto,
  rule: Rule,
  { event, reason, withActions }: { event: number; reason: number; withActions: boolean },
): FlowUpdate {
  return {
    event,
    reason,
    idleTimeoutS: rule.idleTimeoutS,
    hardTimeoutS: rule.hardTimeoutS,
    tableId: rule.tableId,
    priority: rule.priority,
    cookie: rule.cookie,
    match: expandRule(p, rule),
    actions: withActions ? rule.actions.actions : [],
    xid: 0,
  };
}
