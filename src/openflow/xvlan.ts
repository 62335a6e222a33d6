// VLANs of a packet on their way through NORMAL: what comes in, what it means inside the bridge,
// and what goes out.
//
// An XVlan has the VLAN headers of a packet, outermost first, taken apart. Inside the bridge the
// first one is the VLAN that the packet belongs to: an access port puts its packets into its VLAN,
// a dot1q-tunnel port puts its own around the customer's. Headers beyond FLOW's limit are not seen.
// ovs: ofproto/ofproto-dpif-xlate.c xvlan_extract, xvlan_input_translate, xvlan_output_translate.

import { type FlowKey, get, K, set } from "../flow/flow-key.ts";
import { VLAN_HEADER_COUNT } from "../flow/slots.ts";
import {
  ETH_TYPE,
  isEthTypeVlan,
  VLAN_CFI,
  VLAN_PCP_MASK,
  VLAN_VID_MASK,
} from "../flow/vlan-mpls.ts";
import type { PriorityTags, XBundle } from "./xbridge.ts";

export interface XVlanHeader {
  /** 0 if there is no header. */
  readonly tpid: number;
  readonly vid: number;
  /** In place: bits 13 to 15. */
  readonly pcp: number;
}

/** VLAN_HEADER_COUNT headers, outermost first. */
export type XVlan = readonly XVlanHeader[];

const NO_HEADER: XVlanHeader = { tpid: 0, vid: 0, pcp: 0 };
const NO_VLAN: XVlan = new Array<XVlanHeader>(VLAN_HEADER_COUNT).fill(NO_HEADER);
const TPIDS = [K.vlan_tpid, K.vlan_tpid1] as const;
const TCIS = [K.vlan_tci, K.vlan_tci1] as const;

export function firstHeader(v: XVlan): XVlanHeader {
  return v[0] ?? NO_HEADER;
}

/** The VLAN that the packet belongs to. */
export function vidOf(v: XVlan): number {
  return firstHeader(v).vid;
}

export function withFirst(v: XVlan, header: XVlanHeader): XVlan {
  return [header, ...v.slice(1)];
}

function pop(v: XVlan): XVlan {
  return [...v.slice(1), NO_HEADER];
}

function push(v: XVlan, header: XVlanHeader): XVlan {
  return [header, ...v.slice(0, -1)];
}

/** Takes the VLAN headers out of a key. */
export function xvlanExtract(key: FlowKey): XVlan {
  const out = [...NO_VLAN];
  for (const [i, tpidSlot] of TPIDS.entries()) {
    const tpid = get(key, tpidSlot);
    const tci = get(key, TCIS[i] ?? K.vlan_tci);
    if (!isEthTypeVlan(tpid) || (tci & VLAN_CFI) === 0) {
      break;
    }
    out[i] = { tpid, vid: tci & VLAN_VID_MASK, pcp: tci & VLAN_PCP_MASK };
  }
  return out;
}

/** Puts VLAN headers into a key. A header with VLAN 0 and priority 0 is left out. */
export function xvlanPut(key: FlowKey, v: XVlan, priorityTags: PriorityTags): void {
  for (const [i, tpidSlot] of TPIDS.entries()) {
    const h = v[i] ?? NO_HEADER;
    let tci = h.vid | (h.pcp & VLAN_PCP_MASK);
    if (tci !== 0 || (priorityTags === "always" && h.tpid !== 0)) {
      tci |= VLAN_CFI;
      set(key, tpidSlot, h.tpid !== 0 ? h.tpid : ETH_TYPE.VLAN_8021Q);
    }
    set(key, TCIS[i] ?? K.vlan_tci, tci);
  }
}

/** The VLANs of a packet inside the bridge, given those with which it came in. */
export function xvlanInput(bundle: XBundle, v: XVlan): XVlan {
  const h = firstHeader(v);
  const native = {
    tpid: h.tpid !== 0 ? h.tpid : ETH_TYPE.VLAN_8021Q,
    vid: bundle.vlan,
    pcp: h.pcp,
  };
  switch (bundle.vlanMode) {
    case "access":
      return withFirst(NO_VLAN, native);
    case "trunk":
      return v;
    case "native-untagged":
    case "native-tagged":
      return h.vid === 0 ? withFirst(v, native) : v;
    case "dot1q-tunnel":
      return push(v, { tpid: bundle.qinqEthtype, vid: bundle.vlan, pcp: 0 });
  }
}

/** The VLANs with which a packet leaves by a bundle. */
export function xvlanOutput(bundle: XBundle, v: XVlan): XVlan {
  switch (bundle.vlanMode) {
    case "access":
      return NO_VLAN;
    case "trunk":
    case "native-tagged":
      return v;
    case "native-untagged":
      return vidOf(v) === bundle.vlan ? pop(v) : v;
    case "dot1q-tunnel":
      return pop(v);
  }
}

export function trunksVlan(bundle: XBundle, vlan: number): boolean {
  return bundle.vlanMode !== "access" && (bundle.trunks === null || bundle.trunks[vlan] !== 0);
}

export function allowsCvlan(bundle: XBundle, vlan: number): boolean {
  return bundle.cvlans === null || bundle.cvlans[vlan] !== 0;
}

/** True if a bundle carries the VLAN that the packet belongs to. */
export function includesVlan(bundle: XBundle, v: XVlan): boolean {
  const inner = (v[1] ?? NO_HEADER).vid;
  switch (bundle.vlanMode) {
    case "access":
      return vidOf(v) === bundle.vlan && inner === 0;
    case "trunk":
    case "native-untagged":
    case "native-tagged":
      return trunksVlan(bundle, vidOf(v));
    case "dot1q-tunnel":
      return vidOf(v) === bundle.vlan && allowsCvlan(bundle, inner);
  }
}
