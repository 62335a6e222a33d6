// Looking flows up in tables, and going from table to table.
//
// ovs: ofproto/ofproto-dpif.c rule_dpif_lookup_from_table; ofproto-dpif-xlate.c xlate_table_action,
// xlate_recursively, xlate_resubmit_resource_check.
//
// Invariants
// - A lookup leaves the flow as it was: the input port and, for fragments, the transport ports are
//   only changed while it runs.
// - Only going to the same or an earlier table deepens; every table counts as a resubmit.

import { odpActionsBytes } from "../datapath/odp-bytes.ts";
import { isIpAny } from "../flow/flow-is.ts";
import { type FlowKey, get, K, set, type Slot } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import type { Rule } from "./rule.ts";
import type { MissKind } from "./trace.ts";
import { PORT_CONFIG } from "./xbridge.ts";
import { creditTable } from "./xlate-cache.ts";
import {
  ODP_ACTION_BYTES_MAX,
  RESUBMIT_DEPTH_MAX,
  RESUBMITS_MAX,
  report,
  STACK_BYTES_MAX,
  type XlateCtx,
  openNode,
} from "./xlate-ctx.ts";
import { triggerFreeze } from "./xlate-freeze.ts";

/** The table that only holds the switch's own rules (ovs: TBL_INTERNAL). */
export const TBL_INTERNAL = 254;
/** Lists with fewer actions than this cannot exceed ODP_ACTION_BYTES_MAX. */
const ODP_ACTIONS_CHECK_MIN = 32;

/** How a lookup is to treat a table in which nothing matches. */
export interface LookupOptions {
  readonly inPort: number;
  /** A miss may be sent to a controller. */
  readonly mayPacketIn: boolean;
  /** Obey the table's configuration for misses. */
  readonly honorTableMiss: boolean;
}

/**
 * Finds the rule for the packet, starting with table `ctx.tableId`, which becomes the last table
 * that was searched. The answer may be one of the rules that stand for a miss.
 */
export function lookupFromTable(ctx: XlateCtx, opts: LookupOptions): Rule {
  const ofproto = ctx.xbridge.ofproto;
  const flow = ctx.flow;
  const ports = flow[K.tp_src.word] as number;
  if ((get(flow, K.nw_frag) & 1) !== 0 && ofproto.fragHandling !== "nx-match") {
    if (ofproto.fragHandling !== "normal") {
      noteTable(ctx, ctx.tableId, true);
      return ofproto.dropFragsRule;
    }
    // Fragments are looked up as if they had no transport ports.
    flow[K.tp_src.word] = 0;
  }
  const oldInPort = get(flow, K.in_port);
  set(flow, K.in_port, opts.inPort);
  const rule = searchTables(ctx, opts, oldInPort);
  flow[K.tp_src.word] = ports;
  set(flow, K.in_port, oldInPort);
  return rule;
}

function searchTables(ctx: XlateCtx, opts: LookupOptions, oldInPort: number): Rule {
  const ofproto = ctx.xbridge.ofproto;
  let miss = "continue";
  for (let id = ctx.tableId; id < ofproto.tables.length; id += id + 1 === TBL_INTERNAL ? 2 : 1) {
    const table = ofproto.tables[id];
    if (table === undefined) {
      break;
    }
    ctx.tableId = id;
    const found = table.cls.lookup(ctx.tablesVersion, ctx.flow, ctx.wc);
    noteTable(ctx, id, found !== null);
    if (found !== null) {
      return found.data;
    }
    if (!opts.honorTableMiss) {
      break;
    }
    miss = table.missConfig;
    if (miss !== "continue") {
      break;
    }
  }
  if (opts.mayPacketIn) {
    if (miss === "continue" || miss === "controller") {
      const port = ctx.xbridge.xports.get(oldInPort);
      if (port !== undefined && (port.config & PORT_CONFIG.NO_PACKET_IN) === 0) {
        return ofproto.missRule;
      }
    } else if (miss === "default" && ofproto.wantsPacketInOnMiss()) {
      return ofproto.missRule;
    }
  }
  return ofproto.noPacketInRule;
}

function noteTable(ctx: XlateCtx, tableId: number, matched: boolean): void {
  const ofproto = ctx.xbridge.ofproto;
  if (ctx.stats !== null) {
    creditTable(ofproto, tableId, matched, ctx.stats.packets);
  }
  ctx.xcache?.push({ kind: "table", ofproto, tableId, matched });
}

/** Credits a rule that the packet takes. */
export function creditRule(ctx: XlateCtx, rule: Rule): void {
  const stats = ctx.stats;
  if (stats !== null) {
    rule.credit(stats.packets, stats.bytes, stats.usedMs);
  }
  ctx.xcache?.push({ kind: "rule", rule });
}

/** Records the rule and makes it the parent of what follows (ovs: xlate_report_table). */
export function recordTable(ctx: XlateCtx, rule: Rule, tableId: number): void {
  if (!ctx.rec.on) {
    return;
  }
  const ofproto = ctx.xin.xbridge.ofproto;
  let miss: MissKind | null = null;
  // As in OVS, a miss in a bridge behind a patch port is shown like a rule of a table.
  if (rule === ofproto.missRule) {
    miss = "packet-in";
  } else if (rule === ofproto.noPacketInRule) {
    miss = "drop";
  } else if (rule === ofproto.dropFragsRule) {
    miss = "frags";
  }
  openNode(ctx, { kind: "table", xbridge: ctx.xbridge, tableId, rule, miss, subs: [] });
}

/** False, and an error or the end of the translation, if a limit has been reached. */
export function resubmitResourceCheck(ctx: XlateCtx): boolean {
  if (ctx.depth >= RESUBMIT_DEPTH_MAX) {
    report(ctx, "error", `over max translation depth ${RESUBMIT_DEPTH_MAX}`);
    ctx.error = "recursion_too_deep";
  } else if (ctx.resubmits >= RESUBMITS_MAX) {
    report(ctx, "error", `over ${RESUBMITS_MAX} resubmit actions`);
    ctx.error = "too_many_resubmits";
  } else if (ctx.odp.length > ODP_ACTIONS_CHECK_MIN && tooManyBytes(ctx)) {
    report(ctx, "error", "resubmits yielded over 64 kB of actions");
    ctx.exit = true;
  } else if (ctx.stackBytes >= STACK_BYTES_MAX) {
    report(ctx, "error", "resubmits yielded over 64 kB of stack");
    ctx.error = "stack_too_deep";
  } else {
    return true;
  }
  return false;
}

function tooManyBytes(ctx: XlateCtx): boolean {
  return odpActionsBytes(ctx.odp) + ctx.odpOuterBytes > ODP_ACTION_BYTES_MAX;
}

const SWAPPED: readonly (readonly [Slot, Slot])[] = [
  [K.nw_proto, K.ct_nw_proto],
  [K.tp_src, K.ct_tp_src],
  [K.tp_dst, K.ct_tp_dst],
];

/** Exchanges the packet's 5-tuple with that of its connection's original direction. */
function tupleSwap(key: FlowKey, ipv4: boolean): void {
  for (const [a, b] of SWAPPED) {
    const old = get(key, a);
    set(key, a, get(key, b));
    set(key, b, old);
  }
  if (ipv4) {
    swapWords(key, K.nw_src.word, K.ct_nw_src.word, 2);
  } else {
    swapWords(key, K.ipv6_src.word, K.ct_ipv6_src.word, 8);
  }
}

/** Source and destination lie side by side in a key, so that one swap covers both. */
function swapWords(key: FlowKey, a: number, b: number, n: number): void {
  for (let i = 0; i < n; i++) {
    const old = key[a + i] as number;
    key[a + i] = key[b + i] as number;
    key[b + i] = old;
  }
}

/** Looks up table `tableId` and translates what it finds (ovs: xlate_table_action). */
export function tableAction(
  ctx: XlateCtx,
  inPort: number,
  tableId: number,
  mayPacketIn: boolean,
  honorTableMiss: boolean,
  withCtOrig: boolean,
  isLast: boolean,
  cloneActions: boolean,
): void {
  // The headers behind a popped label stack are only known after a recirculation.
  if (ctx.wasMpls) {
    triggerFreeze(ctx);
    return;
  }
  if (!resubmitResourceCheck(ctx)) {
    return;
  }
  const oldTableId = ctx.tableId;
  ctx.tableId = tableId;
  const ipv4 = get(ctx.flow, K.dl_type) === ETH_TYPE.IP;
  if (withCtOrig) {
    if (get(ctx.flow, K.ct_nw_proto) === 0 || !isIpAny(ctx.flow)) {
      report(ctx, "error", "resubmit(ct) with non-tracked or non-IP packet!");
      ctx.tableId = oldTableId;
      return;
    }
    tupleSwap(ctx.flow, ipv4);
    tupleSwap(ctx.wc, ipv4);
  }
  const rule = lookupFromTable(ctx, { inPort, mayPacketIn, honorTableMiss });
  if (withCtOrig) {
    tupleSwap(ctx.flow, ipv4);
    tupleSwap(ctx.wc, ipv4);
  }
  const oldNodes = ctx.rec.nodes;
  recordTable(ctx, rule, tableId);
  recurse(ctx, rule, tableId <= oldTableId, isLast, cloneActions);
  ctx.rec.nodes = oldNodes;
  ctx.tableId = oldTableId;
}

/** Translates the actions of a rule (ovs: xlate_recursively). */
function recurse(
  ctx: XlateCtx,
  rule: Rule,
  deepens: boolean,
  isLast: boolean,
  cloneActions: boolean,
): void {
  const oldRule = ctx.rule;
  const oldCookie = ctx.ruleCookie;
  creditRule(ctx, rule);
  ctx.resubmits++;
  ctx.depth += deepens ? 1 : 0;
  ctx.rule = rule;
  ctx.ruleCookie = rule.cookie;
  if (cloneActions) {
    ctx.ops.cloneActions(ctx, rule.actions.actions, isLast);
  } else {
    ctx.ops.doActions(ctx, rule.actions.actions, isLast, false);
  }
  ctx.ruleCookie = oldCookie;
  ctx.rule = oldRule;
  ctx.depth -= deepens ? 1 : 0;
}
