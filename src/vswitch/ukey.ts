// What the switch keeps of a megaflow that it had installed: how it was translated, what has been
// credited of its packets, what it holds references to.
//
// Reference: ovs: ofproto/ofproto-dpif-upcall.c struct udpif_key.

import type { FlowCounters, Megaflow } from "../datapath/megaflow.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import type { XlateCache } from "../openflow/xlate-cache.ts";
import type { RememberedKey } from "./ukey-key.ts";

/** What a megaflow's owner keeps with it (ovs: struct udpif_key). */
export class Ukey {
  flow: Megaflow | null = null;
  xcache: XlateCache | null;
  /** Why packets go up, 0 if they do not. */
  slow: number;
  readonly pushed: FlowCounters = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  readonly createdMs: number;
  revalSeq: number;
  /** Whether the translation looked at the VLAN tag; the datapath makes its absence exact. */
  readonly readsVlan: boolean;
  /** Whether the remembered key has been read since the flow was made. */
  checked = false;
  /** Undefined until it is asked for, and for how many VLAN headers it was made. */
  remembered: RememberedKey | null | undefined = undefined;
  rememberedVlanLimit = 0;
  /** References held: of the key's recirculation id, and of those in the actions. */
  readonly keyRecircId: number;
  recircIds: readonly number[];
  /** The mask that the flow is to have, until it has it. */
  mask: FlowKey | null;
  /** The key as text, of a flow that was put in by hand. */
  keyText: string | null = null;

  constructor(init: {
    readonly mask: FlowKey | null;
    readonly xcache: XlateCache | null;
    readonly slow: number;
    readonly createdMs: number;
    readonly revalSeq: number;
    readonly readsVlan: boolean;
    readonly keyRecircId: number;
    readonly recircIds: readonly number[];
  }) {
    this.mask = init.mask;
    this.xcache = init.xcache;
    this.slow = init.slow;
    this.createdMs = init.createdMs;
    this.revalSeq = init.revalSeq;
    this.readsVlan = init.readsVlan;
    this.keyRecircId = init.keyRecircId;
    this.recircIds = init.recircIds;
  }
}

/**
 * For a flow that a command puts in: the next look at the flows translates it, takes it away if it
 * covers too much and corrects its actions (ovs: ukey_create_from_dpif_flow).
 */
export function ukeyByHand(keyText: string, createdMs: number): Ukey {
  const ukey = new Ukey({
    mask: null,
    xcache: null,
    slow: 0,
    createdMs,
    revalSeq: -1,
    readsVlan: true,
    keyRecircId: 0,
    recircIds: [],
  });
  ukey.keyText = keyText;
  return ukey;
}
