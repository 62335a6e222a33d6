// What the datapath asks of connection tracking.
//
// The datapath knows connections only through this interface: `ct(...)` hands over a batch, whose
// packets come back with connection metadata, translated addresses, fewer (fragments that wait,
// errors) or more (fragments that are complete).

import type { OdpAction } from "./odp-action.ts";
import type { PacketBatch } from "./packet-batch.ts";

export type CtAction = Extract<OdpAction, { kind: "ct" }>;

/** One `ct(...)` action on one batch (ovs: conntrack_execute). */
export interface CtRequest {
  readonly batch: PacketBatch;
  /** Of the flow that the packets matched, not of the packets. */
  readonly dlType: number;
  readonly tpSrc: number;
  readonly tpDst: number;
  readonly action: CtAction;
  readonly nowMs: number;
}

export interface CtProvider {
  execute(req: CtRequest): void;
}
