// A megaflow: what the datapath does with all packets whose key agrees with one under a mask.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import type { OdpAction } from "./odp-action.ts";

export interface FlowCounters {
  packets: number;
  bytes: number;
  /** Time of the last packet in ms; 0 if there was none. */
  usedMs: number;
  tcpFlags: number;
}

/** What the megaflows of one mask have in common. */
export interface MaskSubtable {
  readonly mask: FlowKey;
  /** The words of the mask, and for each a multiplier and its id in MaskWords. */
  readonly mini: MiniMask;
  readonly multipliers: Int32Array;
  readonly ids: Uint32Array;
  readonly seed: number;
  /** It looks at no more than a simple match (simple-match.ts) does. */
  readonly simple: boolean;
  count: number;
  /** Hits since the last sort. */
  hits: number;
}

/** A datapath flow. */
export class Megaflow {
  /** The key of the packet that made it, not masked. */
  readonly key: FlowKey;
  readonly subtable: MaskSubtable;
  actions: readonly OdpAction[];
  readonly stats: FlowCounters = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  /** False once it has been removed. */
  alive = true;
  /** What the owner of the flow (the upcall handler) keeps with it. */
  owner: object | null;
  /** What a watcher of packets keeps with it; null again once the actions may be others. */
  note: object | null = null;
  /** Number in order of creation; stands for OVS's unique flow id. */
  readonly id: number;

  constructor(
    id: number,
    key: FlowKey,
    subtable: MaskSubtable,
    actions: readonly OdpAction[],
    owner: object | null,
  ) {
    this.id = id;
    this.key = key;
    this.subtable = subtable;
    this.actions = actions;
    this.owner = owner;
  }

  /** Shared by all flows of the same mask. */
  get mask(): FlowKey {
    return this.subtable.mask;
  }
}
