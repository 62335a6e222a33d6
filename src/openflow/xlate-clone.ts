// Translating actions on a copy of the packet: clone(), rules behind patch ports, and the two
// branches of check_pkt_larger.
//
// Where everything that the nested actions do can be undone by later `set` actions, or nothing
// follows, no datapath action is needed; otherwise they are wrapped into the datapath's clone().
//
// ovs: ofproto/ofproto-dpif-xlate.c clone_xlate_actions, compose_clone, xlate_check_pkt_larger.

import { type OdpAction, SLOW } from "../datapath/odp-action.ts";
import { odpActionsBytes } from "../datapath/odp-bytes.ts";
import { type Subfield, writeSubfield } from "../flow/subfield.ts";
import type { Action, ActionOf } from "./actions/types.ts";
import { PROBABILITY_ALWAYS } from "./xlate-controller.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";

/** Sample actions that a datapath must be able to nest to stand in for clone(). */
const CLONE_SAMPLE_NESTING = 3;

/** State that nested actions must not change. */
interface Saved {
  readonly stack: Uint32Array[];
  readonly stackBytes: number;
  readonly actionSet: Action[];
  readonly flow: Uint32Array;
}

function save(ctx: XlateCtx): Saved {
  const saved = {
    stack: ctx.stack,
    stackBytes: ctx.stackBytes,
    actionSet: ctx.actionSetActions,
    flow: ctx.flow.slice(),
  };
  ctx.stack = saved.stack.slice();
  ctx.actionSetActions = saved.actionSet.slice();
  return saved;
}

function restore(ctx: XlateCtx, saved: Saved): void {
  ctx.actionSetActions = saved.actionSet;
  ctx.stack = saved.stack;
  ctx.stackBytes = saved.stackBytes;
  ctx.flow.set(saved.flow);
}

/** Translates a list to its end, with its action set or its freezing. */
function complete(ctx: XlateCtx, actions: readonly Action[], isLast: boolean): void {
  ctx.ops.doActions(ctx, actions, isLast, false);
  if (!ctx.freezing) {
    ctx.ops.actionSet(ctx);
  }
  if (ctx.freezing) {
    ctx.ops.finishFreezing(ctx);
  }
}

/** Translates a list to its end into a list of datapath actions of its own. */
function completeNested(ctx: XlateCtx, actions: readonly Action[]): OdpAction[] {
  const outer = ctx.odp;
  const outerBytes = ctx.odpOuterBytes;
  ctx.odpOuterBytes += odpActionsBytes(outer);
  ctx.odp = [];
  complete(ctx, actions, true);
  const nested = ctx.odp;
  ctx.odp = outer;
  ctx.odpOuterBytes = outerBytes;
  return nested;
}

/** Translates `actions` on a copy of the packet; `reversible` says that no clone() is needed. */
export function cloneActions(
  ctx: XlateCtx,
  actions: readonly Action[],
  reversible: boolean,
  isLast: boolean,
): void {
  const saved = save(ctx);
  if (reversible || isLast) {
    complete(ctx, actions, isLast);
  } else {
    ctx.ops.commit(ctx);
    const oldBase = ctx.baseFlow.slice();
    const { wasMpls, conntracked } = ctx;
    emitClone(ctx, actions);
    ctx.conntracked = conntracked;
    ctx.wasMpls = wasMpls;
    ctx.baseFlow.set(oldBase);
  }
  restore(ctx, saved);
}

function emitClone(ctx: XlateCtx, actions: readonly Action[]): void {
  const { support } = ctx.xbridge;
  if (!support.clone && support.sample_nesting <= CLONE_SAMPLE_NESTING) {
    report(ctx, "error", "Failed to compose clone action");
    return;
  }
  const nested = completeNested(ctx, actions);
  if (nested.length === 0) {
    return;
  }
  ctx.odp.push(
    support.clone
      ? { kind: "clone", actions: nested }
      : { kind: "sample", probability: PROBABILITY_ALWAYS, actions: nested },
  );
}

const ONE = Uint32Array.of(1);
const ZERO = Uint32Array.of(0);

/** Translates what follows once for a larger packet and once for one that is not. */
export function checkPktLarger(
  ctx: XlateCtx,
  a: ActionOf<"check_pkt_larger">,
  rest: readonly Action[],
): void {
  const tab = ctx.xbridge.tunTable;
  if (!ctx.xbridge.support.check_pkt_len) {
    const larger = ctx.packet !== null && ctx.packet.end - ctx.packet.start > a.pktLen;
    writeSubfield(a.dst, larger ? ONE : ZERO, ctx.flow, tab);
    ctx.slow |= SLOW.ACTION;
    return;
  }
  const saved = save(ctx);
  ctx.ops.commit(ctx);
  const oldBase = ctx.baseFlow.slice();
  const { wasMpls, conntracked } = ctx;
  const greater = branch(ctx, a.dst, ONE, rest);
  ctx.baseFlow.set(oldBase);
  ctx.wasMpls = wasMpls;
  ctx.conntracked = conntracked;
  ctx.flow.set(saved.flow);
  const oldExit = ctx.exit;
  ctx.exit = false;
  const lessEqual = branch(ctx, a.dst, ZERO, rest);
  ctx.odp.push({ kind: "check_pkt_len", size: a.pktLen, greater, lessEqual });
  restore(ctx, saved);
  ctx.baseFlow.set(oldBase);
  ctx.wasMpls = wasMpls;
  ctx.conntracked = conntracked;
  ctx.exit = oldExit;
}

function branch(
  ctx: XlateCtx,
  dst: Subfield,
  value: Uint32Array,
  rest: readonly Action[],
): OdpAction[] {
  writeSubfield(dst, value, ctx.flow, ctx.xbridge.tunTable);
  return completeNested(ctx, rest);
}
