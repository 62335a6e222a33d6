// What the datapath asks of connection tracking.
//
// The datapath knows connections only through this interface: `ct(...)` hands over a batch, whose
// packets come back with connection metadata, translated addresses, fewer (fragments that wait,
// errors) or more (fragments that are complete).

import type { FlowKey } from "../flow/flow-key.ts";
import type { OdpAction } from "./odp-action.ts";
import type { PacketBatch } from "./packet-batch.ts";

export type CtAction = Extract<OdpAction, { kind: "ct" }>;

export interface CtProvider {
  /** One `ct(...)` action on packets that matched a flow (ovs: conntrack_execute). */
  execute(batch: PacketBatch, action: CtAction, flow: FlowKey, nowMs: number): void;
}
