// What a megaflow's owner remembers of its key and mask: what the datapath's attributes can say.
//
// Bits that no attribute carries (ports of an IP protocol without any, the type of an IGMP
// message) are lost on the way, so a translation that looks at them finds the remembered mask too
// wide and has the flow deleted. ovs: ofproto-dpif-upcall.c ukey_create_from_upcall,
// revalidate_ukey__, with the key and mask that odp-util.c makes.

import type { Megaflow } from "../datapath/megaflow.ts";
import { odpFlowKeyToFlow, odpFlowKeyToMask } from "../datapath/odp-flow.ts";
import {
  ODP_SUPPORT_ALL,
  odpFlowKeyFromFlow,
  odpFlowKeyFromMask,
} from "../datapath/odp-flow-from.ts";
import { type FlowKey, K } from "../flow/flow-key.ts";

/** Key and mask of a flow as its attributes tell them; null if they contradict themselves. */
export function rememberedKey(
  f: Megaflow,
  vlanLimit: number,
): { readonly key: FlowKey; readonly mask: FlowKey } | null {
  const p = {
    flow: f.key,
    mask: f.mask,
    support: ODP_SUPPORT_ALL,
    vlanLimit,
    geneve: null,
    geneveMask: null,
  };
  const key = odpFlowKeyToFlow(odpFlowKeyFromFlow(p), vlanLimit);
  if (key.fitness === "error") {
    return null;
  }
  const mask = odpFlowKeyToMask(odpFlowKeyFromMask(p, f.mask), key.flow, vlanLimit);
  if (mask.fitness === "error") {
    return null;
  }
  keepTunnel(f.key, key.flow);
  keepTunnel(f.mask, mask.flow);
  return { key: key.flow, mask: mask.flow };
}

/** Tunnel fields come through whole, options in their raw form. */
function keepTunnel(from: FlowKey, to: FlowKey): void {
  to.set(from.subarray(0, K.metadata.word));
}
