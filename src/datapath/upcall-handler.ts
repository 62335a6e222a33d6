// What a datapath asks of those around it: who translates what it does not know, who watches.

import type { FlowKey } from "../flow/flow-key.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { UserspaceAction } from "./execute.ts";
import type { Megaflow } from "./megaflow.ts";
import type { OdpAction } from "./odp-action.ts";

/** Sees which megaflows packets take, for reports; the key is overwritten by the next packet. */
export interface HitWatcher {
  hit(flow: Megaflow, key: FlowKey): void;
}

/** What a miss answers. */
export interface MissResult {
  readonly actions: readonly OdpAction[];
  /** The megaflow to install, or null. Its mask belongs to the datapath from then on. */
  readonly install: {
    readonly mask: FlowKey;
    readonly actions: readonly OdpAction[];
    readonly owner: object | null;
  } | null;
}

/** Who translates. Answers null if the packet is to be dropped. */
export interface UpcallHandler {
  miss(p: PacketBuf, key: FlowKey): MissResult | null;
  userspace(p: PacketBuf, key: FlowKey, action: UserspaceAction): readonly OdpAction[] | null;
  /** A megaflow that miss() asked for is in place, or could not be. */
  installed(owner: object | null, flow: Megaflow | null): void;
}
