// Freezing a translation and going on with it later.
//
// When the datapath must do something before the rest can be known, the actions that remain, here
// and in every list that called this one, are gathered in `ctx.frozenActions` while the lists are
// left; `finishFreezing` then keeps them under a recirculation id. An `unroll_xlate` among them
// restores table and cookie for actions that show those to a controller.
//
// ovs: ofproto/ofproto-dpif-xlate.c ctx_trigger_freeze, freeze_unroll_actions, finish_freezing__,
// compose_recirculate_and_fork. Thawing is in xlate.ts.

import { OFPP } from "../flow/ofp-port.ts";
import type { Action, ActionOf } from "./actions/types.ts";
import { type FrozenState, frozenMetadata } from "./recirc.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";

/** Stops the translation; what remains goes into the frozen actions. */
export function triggerFreeze(ctx: XlateCtx): void {
  ctx.exit = true;
  ctx.freezing = true;
}

/** The same, and the datapath is to compute dp_hash first. */
export function triggerRecircWithHash(ctx: XlateCtx, alg: "l4" | "sym_l4", basis: number): void {
  triggerFreeze(ctx);
  ctx.recircUpdateDpHash = true;
  ctx.dpHashAlg = alg;
  ctx.dpHashBasis = basis;
}

export function cancelFreeze(ctx: XlateCtx): void {
  if (ctx.freezing) {
    ctx.freezing = false;
    ctx.recircUpdateDpHash = false;
    ctx.frozenActions = [];
    ctx.frozenUnroll = null;
    ctx.pause = null;
  }
}

/** Makes sure that table and cookie will be what they are now. */
export function putUnroll(ctx: XlateCtx): void {
  const old = ctx.frozenUnroll;
  const cookie = ctx.ruleCookie;
  if (
    old !== null &&
    old.ruleTableId === ctx.tableId &&
    old.ruleCookie[0] === cookieHi(cookie) &&
    old.ruleCookie[1] === cookieLo(cookie)
  ) {
    return;
  }
  const unroll: ActionOf<"unroll_xlate"> = {
    kind: "unroll_xlate",
    ruleTableId: ctx.tableId,
    ruleCookie: Uint32Array.of(cookieHi(cookie), cookieLo(cookie)),
  };
  ctx.frozenActions.push(unroll);
  ctx.frozenUnroll = unroll;
}

function cookieHi(cookie: bigint): number {
  return Number(cookie >> 32n);
}
function cookieLo(cookie: bigint): number {
  return Number(cookie & 0xffffffffn);
}

/** The state to keep for the packet as it is now. */
export function frozenStateOf(
  ctx: XlateCtx,
  tableId: number,
  withActions: boolean,
  userdata: Uint8Array | null,
): FrozenState {
  return {
    tableId,
    bridgeId: ctx.xbridge.id,
    metadata: frozenMetadata(ctx.flow),
    stack: ctx.stack.slice(),
    mirrors: ctx.mirrors,
    conntracked: ctx.conntracked,
    wasMpls: ctx.wasMpls,
    xportId: withActions ? ctx.xportId : 0,
    actions: withActions ? ctx.frozenActions : NO_ACTIONS,
    actionSet: withActions ? ctx.actionSetActions.slice() : NO_ACTIONS,
    userdata: userdata !== null && userdata.length > 0 ? userdata : null,
  };
}

const NO_ACTIONS: readonly Action[] = [];

/** Keeps `state`; 0 and an error if there is no id left. */
export function allocRecirc(ctx: XlateCtx, state: FrozenState): number {
  const id = ctx.xin.recircs.alloc(state);
  if (id === 0) {
    report(ctx, "error", "Failed to allocate recirculation id");
    ctx.error = "no_recirculation_context";
    return 0;
  }
  ctx.recircIds.push(id);
  return id;
}

/** The userspace datapath hands packets up without Netlink, so there is no port id. */
export const USERSPACE_PID = 0;

/** What a packet for a controller carries along. */
export interface ControllerCookie {
  readonly dontSend: boolean;
  readonly continuation: boolean;
  readonly recircId: number;
  readonly maxLen: number;
  readonly reason: number;
  readonly controllerId: number;
}

/** Brings the packet up for a controller (ovs: put_controller_user_action). */
export function putControllerAction(ctx: XlateCtx, c: ControllerCookie): void {
  ctx.odp.push({
    kind: "userspace",
    pid: USERSPACE_PID,
    cookie: {
      type: "controller",
      dontSend: c.dontSend,
      continuation: c.continuation,
      reason: c.reason,
      recircId: c.recircId,
      ruleCookie: [cookieHi(ctx.ruleCookie), cookieLo(ctx.ruleCookie)],
      controllerId: c.controllerId,
      maxLen: c.maxLen,
    },
    ofpInPort: OFPP.NONE,
    bridge: ctx.xbridge.name,
    includeActions: false,
    tunnelOutPort: null,
  });
}

/** Keeps the frozen state and sends the packet to where it goes on; answers its id. */
function freeze(ctx: XlateCtx, tableId: number): number {
  const pause = ctx.pause;
  const id = allocRecirc(ctx, frozenStateOf(ctx, tableId, true, pause?.userdata ?? null));
  if (id === 0) {
    return 0;
  }
  if (pause !== null) {
    if (!ctx.sideEffects && ctx.xcache === null) {
      return 0;
    }
    putControllerAction(ctx, {
      dontSend: false,
      continuation: true,
      recircId: id,
      maxLen: pause.maxLen,
      reason: pause.reason,
      controllerId: pause.controllerId,
    });
  } else {
    if (ctx.recircUpdateDpHash) {
      ctx.odp.push({ kind: "hash", alg: ctx.dpHashAlg, basis: ctx.dpHashBasis });
    }
    ctx.odp.push({ kind: "recirc", recircId: id });
  }
  cancelFreeze(ctx);
  return id;
}

/** Called only while freezing. */
export function finishFreezing(ctx: XlateCtx): void {
  ctx.ops.commit(ctx);
  freeze(ctx, 0);
}

/**
 * Forks the pipeline: this packet goes on with its actions, a copy of it recirculates and resumes
 * in `tableId` with the metadata and the action set of now.
 */
export function recirculateAndFork(ctx: XlateCtx, tableId: number, zone: number): void {
  ctx.freezing = true;
  const id = freeze(ctx, tableId);
  if (!ctx.rec.on || id === 0) {
    return;
  }
  const queue = ctx.xin.recircQueue;
  if (queue !== null && ctx.xin.recircs.ref(id)) {
    queue.push({
      recircId: id,
      flow: ctx.flow.slice(),
      zone,
      nat: ctx.ctNat,
      packet: ctx.packet,
    });
    report(
      ctx,
      "detail",
      "A clone of the packet is forked to recirculate. The forked pipeline will be resumed at " +
        `table ${tableId}.`,
    );
  } else {
    report(ctx, "detail", `Failed to trace the conntrack forked pipeline with recirc_id = ${id}.`);
  }
}
