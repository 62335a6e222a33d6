// What a megaflow's owner remembers of its key and mask: what the datapath's attributes can say.
//
// Bits that no attribute carries (ports of an IP protocol without any, the type of an IGMP
// message) are lost on the way, so a translation that looks at them finds the remembered mask too
// wide and has the flow deleted. ovs: ofproto-dpif-upcall.c ukey_create_from_upcall,
// revalidate_ukey__, with the key and mask that odp-util.c makes.

import type { Megaflow } from "../datapath/megaflow.ts";
import { odpFlowKeyToFlow, odpFlowKeyToMask } from "../datapath/odp-flow.ts";
import {
  type OdpSupport,
  odpFlowKeyFromFlow,
  odpFlowKeyFromMask,
} from "../datapath/odp-flow-from.ts";
import { TNL_F } from "../flow/flow-is.ts";
import { TNL_F_UDPIF } from "../flow/extract.ts";
import { type FlowKey, get, K, set } from "../flow/flow-key.ts";

export interface RememberedKey {
  readonly key: FlowKey;
  readonly mask: FlowKey;
  /** The key leaves something out; each packet has to come up. */
  readonly isTooLittle: boolean;
}

/**
 * Key and mask of a flow as its attributes tell them; null if they contradict themselves. A mask
 * that left the VLAN tag open is remembered so, though the datapath then matched its absence.
 */
export function rememberedKey(
  f: Megaflow,
  limits: { readonly vlanLimit: number; readonly support: OdpSupport },
  readsVlan: boolean,
): RememberedKey | null {
  const { vlanLimit, support } = limits;
  const asked = readsVlan ? f.mask : f.mask.slice();
  if (!readsVlan) {
    set(asked, K.vlan_tci, 0);
  }
  const p = {
    flow: f.key,
    mask: asked,
    support,
    vlanLimit,
    geneve: null,
    geneveMask: null,
  };
  const key = odpFlowKeyToFlow(odpFlowKeyFromFlow(p), vlanLimit);
  if (key.fitness === "error") {
    return null;
  }
  const mask = odpFlowKeyToMask(odpFlowKeyFromMask(p, asked), key.flow, vlanLimit);
  if (mask.fitness === "error") {
    return null;
  }
  keepTunnel(f.key, key.flow);
  keepTunnel(f.mask, mask.flow);
  return {
    key: shared(key.flow, f.key),
    mask: shared(mask.flow, f.mask),
    isTooLittle: key.fitness === "too_little",
  };
}

/** The words that the flow has already, where they are the same: most flows need no others. */
function shared(told: FlowKey, own: FlowKey): FlowKey {
  for (let i = 0; i < told.length; i++) {
    if (told[i] !== own[i]) {
      return told;
    }
  }
  return own;
}

/**
 * Tunnel fields come through whole, options in their raw form; but the attributes of ERSPAN hold
 * what their version has, and a mask is of no version, and those of GTP-U go by pairs. ovs:
 * odp-util.c tun_key_to_attr.
 */
function keepTunnel(from: FlowKey, to: FlowKey): void {
  to.set(from.subarray(0, K.metadata.word));
  // Actions on tun_flags look at 16 bits, of which four have attributes.
  set(to, K.tun_flags, get(to, K.tun_flags) & (TNL_F.MASK | TNL_F_UDPIF));
  // An id says that there is one, also where the header has no flag for it (GTP-U).
  if (((to[K.tun_id.word] as number) | (to[K.tun_id.word + 1] as number)) !== 0) {
    set(to, K.tun_flags, get(to, K.tun_flags) | TNL_F.KEY);
  }
  const version = get(to, K.tun_erspan_ver);
  if (version !== 1) {
    set(to, K.tun_erspan_idx, 0);
  }
  if (version !== 2) {
    set(to, K.tun_erspan_dir, 0);
    set(to, K.tun_erspan_hwid, 0);
  }
  if (version !== 1 && version !== 2) {
    set(to, K.tun_erspan_ver, 0);
  }
  if (get(to, K.tun_gtpu_flags) === 0 || get(to, K.tun_gtpu_msgtype) === 0) {
    set(to, K.tun_gtpu_flags, 0);
    set(to, K.tun_gtpu_msgtype, 0);
  }
}
