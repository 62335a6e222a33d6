// Sending packets to controllers: the datapath brings them up by a `userspace` action, whose cookie
// tells what for; the frozen state under its recirculation id holds the metadata of the packet.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_controller_action.

import type { OdpAction } from "../datapath/odp-action.ts";
import { OFPR } from "./packet-in-reason.ts";
import type { XlateCtx } from "./xlate-ctx.ts";
import { allocRecirc, frozenStateOf, putControllerAction } from "./xlate-freeze.ts";

/** "Always" of a sample action. */
export const PROBABILITY_ALWAYS = 0xffffffff;
/** `meterId` of controller actions that name none. */
export const METER_UNSET = -1;

export interface ControllerRequest {
  readonly maxLen: number;
  readonly reason: number;
  readonly controllerId: number;
  /** Datapath meter that the action itself names, or METER_UNSET. */
  readonly meterId: number;
  readonly userdata: Uint8Array | null;
}

/** Sends a copy of the packet as it is now. */
export function controllerAction(ctx: XlateCtx, req: ControllerRequest): void {
  ctx.ops.commit(ctx);
  // An action of a table-miss flow counts as a miss, which OpenFlow before 1.3 does not know.
  const reason =
    req.reason === OFPR.ACTION && ctx.rule?.isTableMiss() === true
      ? OFPR.EXPLICIT_MISS
      : req.reason;
  const recircId = allocRecirc(ctx, frozenStateOf(ctx, ctx.tableId, false, req.userdata));
  if (recircId === 0) {
    return;
  }
  const meterId = req.meterId === METER_UNSET ? ctx.xbridge.controllerMeterId : req.meterId;
  const outer = ctx.odp;
  const metered: OdpAction[] = [];
  if (meterId !== METER_UNSET) {
    metered.push({ kind: "meter", meterId });
    ctx.odp = metered;
  }
  putControllerAction(ctx, {
    dontSend: !ctx.sideEffects && ctx.xcache === null,
    continuation: false,
    recircId,
    maxLen: req.maxLen,
    reason,
    controllerId: req.controllerId,
  });
  if (meterId !== METER_UNSET) {
    ctx.odp = outer;
    outer.push({ kind: "sample", probability: PROBABILITY_ALWAYS, actions: metered });
  }
}
