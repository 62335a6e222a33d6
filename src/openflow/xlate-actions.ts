// THE TRANSLATION TABLE: a row for every kind of action, and the loop that runs over a list.
//
// The rows stand in files by family; a kind without a row does not compile. The loop stops at an
// error, at the end, and when the translation exits; if it exits in order to freeze, the rest of
// the list is kept (ovs: ofproto/ofproto-dpif-xlate.c do_xlate_actions).

import type { Action, ActionKind, ActionOf } from "./actions/types.ts";
import { cloneActions } from "./xlate-clone.ts";
import { CONTROL_ROWS } from "./xlate-control.ts";
import { CT_ROWS } from "./xlate-ct.ts";
import type { XlateCtx } from "./xlate-ctx.ts";
import { ENCAP_ROWS } from "./xlate-encap.ts";
import { putUnroll, triggerFreeze } from "./xlate-freeze.ts";
import { GROUP_ROWS } from "./xlate-group.ts";
import { HEADER_ROWS } from "./xlate-headers.ts";
import { OUTPUT_ROWS } from "./xlate-output.ts";
import type { ActionPlace, Outcome, XlateRow, XlateTable } from "./xlate-row.ts";

export const XLATE: XlateTable = Object.freeze({
  ...OUTPUT_ROWS,
  ...GROUP_ROWS,
  ...HEADER_ROWS,
  ...ENCAP_ROWS,
  ...CT_ROWS,
  ...CONTROL_ROWS,
});

function run<K extends ActionKind>(ctx: XlateCtx, a: ActionOf<K>, at: ActionPlace): Outcome {
  const r: XlateRow<K> = XLATE[a.kind];
  return r.run(ctx, a, at);
}

/** Translates a list of actions. */
export function doActions(
  ctx: XlateCtx,
  list: readonly Action[],
  isLast: boolean,
  groupBucket: boolean,
): void {
  if (list.length === 0) {
    if (ctx.rec.on) {
      ctx.rec.add({ kind: "action", xbridge: ctx.xbridge, action: null });
    }
    return;
  }
  const at: ActionPlace = { list, index: 0, last: false, groupBucket };
  for (let i = 0; i < list.length; i++) {
    const a = list[i] as Action;
    if (ctx.error !== "ok") {
      return;
    }
    recircForMpls(ctx, a);
    if (ctx.exit) {
      if (ctx.freezing) {
        freezeFrom(ctx, list, i);
      }
      return;
    }
    if (ctx.rec.on) {
      ctx.rec.add({ kind: "action", xbridge: ctx.xbridge, action: a });
    }
    at.index = i;
    at.last = isLast && i === list.length - 1 && ctx.actionSetActions.length === 0;
    const outcome = run(ctx, a, at);
    if (outcome === "stop") {
      return;
    }
    if (outcome !== "went" && ctx.exit && ctx.error === "ok" && ctx.frozenActions.length === 0) {
      freezeFrom(ctx, list, outcome === "behind" ? i + 1 : i);
      return;
    }
    if (outcome === "done") {
      return;
    }
  }
}

function mayFollowMplsPop<K extends ActionKind>(a: ActionOf<K>): boolean {
  const r: XlateRow<K> = XLATE[a.kind];
  return typeof r.afterMplsPop === "function" ? r.afterMplsPop(a) : r.afterMplsPop;
}

/** Freezes if the action may need what stands behind a popped label stack. */
function recircForMpls(ctx: XlateCtx, a: Action): void {
  if (ctx.wasMpls && !ctx.exit && !mayFollowMplsPop(a)) {
    triggerFreeze(ctx);
  }
}

/** Keeps the actions from `index` on for later. */
function freezeFrom(ctx: XlateCtx, list: readonly Action[], index: number): void {
  for (let i = index; i < list.length; i++) {
    freezeOne(ctx, list[i] as Action);
  }
}

function freezeOne<K extends ActionKind>(ctx: XlateCtx, a: Action & ActionOf<K>): void {
  const r: XlateRow<K> = XLATE[a.kind];
  const how = typeof r.freeze === "function" ? r.freeze(a) : r.freeze;
  if (typeof how === "object") {
    ctx.frozenActions.push(how);
    return;
  }
  if (how === "unroll") {
    putUnroll(ctx);
  }
  if (how !== "drop") {
    ctx.frozenActions.push(a);
  }
}

/** Translates a list on a copy of the packet. */
export function doActionsCloned(ctx: XlateCtx, list: readonly Action[], isLast: boolean): void {
  cloneActions(ctx, list, list.every(isReversible), isLast);
}

function isReversible(a: Action): boolean {
  return XLATE[a.kind].reversible;
}
