// RuleCriteria: which flows a request is about, and how to find them.
//
// "Loose" criteria select every rule within the match, "strict" ones the single rule of exactly this
// match and priority (ovs: ofproto/ofproto.c rule_criteria_*, collect_rules_*).

import { VERSION_NOT_REMOVED, type Version } from "../datapath/classifier-rule.ts";
import { isLooseMatch, type MiniMatch, miniMatchEqual } from "../flow/minimatch.ts";
import { outputsToGroup, outputsToPort } from "./action-query.ts";
import type { OfpErr } from "./messages/errors.ts";
import { OFPP, OFPTT_ALL } from "../flow/ofp-port.ts";
import { OFPG } from "./messages/names.ts";
import { U64_MAX } from "./messages/types-flow.ts";
import type { Ofproto } from "./ofproto.ts";
import type { OfTable } from "./oftable.ts";
import type { Rule } from "./rule.ts";

/** Sees everything that nobody has removed. */
export const VERSION_MAX: Version = VERSION_NOT_REMOVED - 1;

export interface RuleCriteria {
  readonly tableId: number;
  readonly match: MiniMatch;
  readonly priority: number;
  readonly version: Version;
  readonly cookie: bigint;
  /** All ones: exactly this cookie, which the cookie index finds. */
  readonly cookieMask: bigint;
  readonly outPort: number;
  readonly outGroup: number;
  readonly includeHidden: boolean;
  readonly includeReadonly: boolean;
}

/** The rules concerned, or an error. */
export function collectLoose(p: Ofproto, c: RuleCriteria): Rule[] | OfpErr {
  const found = new Collector(p, c);
  if (!validTable(p, c.tableId)) {
    return "OFPBRC_BAD_TABLE_ID";
  }
  if (c.cookieMask === U64_MAX) {
    for (const rule of p.index.withCookie(c.cookie)) {
      if (isLooseMatch(rule.match, c.match)) {
        found.offer(rule);
      }
    }
  } else {
    for (const table of matchingTables(p, c.tableId)) {
      for (const cr of table.cls.rules(c.match, c.version)) {
        found.offer(cr.data);
      }
    }
  }
  return found.result();
}

export function collectStrict(p: Ofproto, c: RuleCriteria): Rule[] | OfpErr {
  const found = new Collector(p, c);
  if (!validTable(p, c.tableId)) {
    return "OFPBRC_BAD_TABLE_ID";
  }
  if (c.cookieMask === U64_MAX) {
    for (const rule of p.index.withCookie(c.cookie)) {
      if (rule.priority === c.priority && miniMatchEqual(rule.match, c.match)) {
        found.offer(rule);
      }
    }
  } else {
    for (const table of matchingTables(p, c.tableId)) {
      const cr = table.cls.findExactly(c.match, c.priority, c.version);
      if (cr !== null) {
        found.offer(cr.data);
      }
    }
  }
  return found.result();
}

/** All visible tables for 255, else the one table, hidden or not. */
export function matchingTables(p: Ofproto, tableId: number): OfTable[] {
  if (tableId === OFPTT_ALL) {
    return p.tables.filter((t) => !t.hidden);
  }
  return tableId < p.nTables ? [p.table(tableId)] : [];
}

function validTable(p: Ofproto, tableId: number): boolean {
  return tableId === OFPTT_ALL || tableId < p.nTables;
}

/** Checks the criteria other than the match. */
class Collector {
  readonly #p: Ofproto;
  readonly #c: RuleCriteria;
  readonly #rules: Rule[] = [];
  #nReadonly = 0;

  constructor(p: Ofproto, c: RuleCriteria) {
    this.#p = p;
    this.#c = c;
  }

  offer(rule: Rule): void {
    const c = this.#c;
    const { actions } = rule.actions;
    if (
      (c.tableId !== rule.tableId && c.tableId !== OFPTT_ALL) ||
      ((rule.cookie ^ c.cookie) & c.cookieMask) !== 0n ||
      (rule.isHidden() && !c.includeHidden) ||
      c.version < rule.addVersion ||
      c.version >= rule.removeVersion ||
      (c.outPort !== OFPP.ANY && !outputsToPort(actions, c.outPort)) ||
      (c.outGroup !== OFPG.ANY && !outputsToGroup(actions, c.outGroup))
    ) {
      return;
    }
    if (!c.includeReadonly && this.#p.table(rule.tableId).readonly) {
      this.#nReadonly++;
    } else {
      this.#rules.push(rule);
    }
  }

  /** Only read-only rules found is an error. */
  result(): Rule[] | OfpErr {
    return this.#rules.length === 0 && this.#nReadonly > 0 ? "OFPBRC_EPERM" : this.#rules;
  }
}
