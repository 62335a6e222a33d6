// A megaflow: what the datapath does with all packets whose key agrees with one under a mask.

import type { FlowKey } from "../flow/flow-key.ts";
import type { OdpAction } from "./odp-action.ts";

export interface FlowCounters {
  packets: number;
  bytes: number;
  /** Time of the last packet in ms; 0 if there was none. */
  usedMs: number;
  tcpFlags: number;
}

/** A datapath flow. */
export class Megaflow {
  /** The key of the packet that made it, not masked. */
  readonly key: FlowKey;
  /** Shared by all flows of the same mask. */
  readonly mask: FlowKey;
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
    mask: FlowKey,
    actions: readonly OdpAction[],
    owner: object | null,
  ) {
    this.id = id;
    this.key = key;
    this.mask = mask;
    this.actions = actions;
    this.owner = owner;
  }
}
