// A FlowKey, or a mask, as a list of datapath key attributes.
//
// Which attributes a key has follows from the packet: an IPv4 packet has `ipv4`, a TCP packet has
// `tcp` as well, what is behind a VLAN header is inside `encap`. A mask has the attributes of the
// key that it belongs to.
//
// Geneve options stay in wire form, because a datapath does not know a bridge's TLV map; the caller
// translates them (openflow: tunnel-options.ts). The way back is odp-flow.ts.
// ovs: lib/odp-util.c odp_flow_key_from_flow__.

import {
  IP_PROTO,
  isIpAny,
  isNd,
  NW_FRAG,
  PT,
  tunnelDstIsSet,
  tunnelSrcIsSet,
} from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K } from "../flow/flow-key.ts";
import { VLAN_HEADER_COUNT } from "../flow/slots.ts";
import { countMplsLabels, ETH_TYPE, isEthTypeMpls, isEthTypeVlan } from "../flow/vlan-mpls.ts";
import type { OdpKeyAttr, OdpWordsName } from "./odp-key-table.ts";
import { odpKeyFromFlow, odpTunnelFromFlow } from "./odp-key.ts";

/** Datapath port number that stands for "none". */
const ODPP_NONE = 0xffffffff;
const ICMP_EXACT = 0xff;

/** What a datapath can put into a key (ovs: struct odp_support). */
export interface OdpSupport {
  readonly max_vlan_headers: number;
  readonly max_mpls_depth: number;
  readonly recirc: boolean;
  readonly ct_state: boolean;
  readonly ct_zone: boolean;
  readonly ct_mark: boolean;
  readonly ct_label: boolean;
  readonly ct_orig_tuple: boolean;
  readonly ct_orig_tuple6: boolean;
  readonly nd_ext: boolean;
}

/** What the switch takes the userspace datapath to know. */
export const ODP_SUPPORT_ALL: OdpSupport = {
  max_vlan_headers: Number.MAX_SAFE_INTEGER,
  max_mpls_depth: Number.MAX_SAFE_INTEGER,
  recirc: true,
  ct_state: true,
  ct_zone: true,
  ct_mark: true,
  ct_label: true,
  ct_orig_tuple: true,
  ct_orig_tuple6: true,
  nd_ext: true,
};

/** What that datapath tells of its flows (ovs: lib/dpif-netdev.c dp_netdev_support). */
export const ODP_SUPPORT_SHOWN: OdpSupport = { ...ODP_SUPPORT_ALL, nd_ext: false };

export interface OdpFlowParams {
  readonly flow: FlowKey;
  /** The mask; for a key it only decides whether `tcp_flags` is worth sending. */
  readonly mask: FlowKey | null;
  readonly support: OdpSupport;
  /** VLAN headers that the switch looks at (other-config:vlan-limit). */
  readonly vlanLimit: number;
  /** Options in wire form, of the key and of the mask; null leaves the attribute away. */
  readonly geneve: Uint8Array | null;
  readonly geneveMask: Uint8Array | null;
}

interface From {
  readonly p: OdpFlowParams;
  readonly data: FlowKey;
  readonly isMask: boolean;
}

function words(f: From, attr: OdpWordsName): OdpKeyAttr {
  return { attr, value: odpKeyFromFlow(attr, f.data, f.isMask) };
}

function one(attr: OdpWordsName, value: number): OdpKeyAttr {
  return { attr, value: Uint32Array.of(value) };
}

function metadataAttrs(f: From, out: OdpKeyAttr[]): void {
  const { flow, support: s } = f.p;
  out.push(words(f, "skb_priority"));
  if (f.isMask || tunnelDstIsSet(flow) || tunnelSrcIsSet(flow)) {
    const geneve = f.isMask ? f.p.geneveMask : f.p.geneve;
    out.push({ attr: "tunnel", tunnel: odpTunnelFromFlow(f.data, geneve, null) });
  }
  out.push(words(f, "skb_mark"));
  if (s.ct_state) {
    out.push(one("ct_state", get(f.data, K.ct_state)));
  }
  if (s.ct_zone) {
    out.push(words(f, "ct_zone"));
  }
  if (s.ct_mark) {
    out.push(words(f, "ct_mark"));
  }
  if (s.ct_label) {
    out.push(words(f, "ct_label"));
  }
  if (get(flow, K.ct_nw_proto) !== 0) {
    const type = get(flow, K.dl_type);
    if (s.ct_orig_tuple && type === ETH_TYPE.IP) {
      out.push(words(f, "ct_tuple4"));
    } else if (s.ct_orig_tuple6 && type === ETH_TYPE.IPV6) {
      out.push(words(f, "ct_tuple6"));
    }
  }
  if (s.recirc) {
    out.push(words(f, "recirc_id"), words(f, "dp_hash"));
  }
  if (f.isMask || getU(flow, K.in_port) !== ODPP_NONE) {
    out.push(one("in_port", getU(f.data, K.in_port)));
  }
  out.push(words(f, "packet_type"));
}

function transportAttrs(f: From, out: OdpKeyAttr[]): void {
  const { flow, mask } = f.p;
  if (!isIpAny(flow) || (get(flow, K.nw_frag) & NW_FRAG.LATER) !== 0) {
    return;
  }
  const dlType = get(flow, K.dl_type);
  switch (get(flow, K.nw_proto)) {
    case IP_PROTO.TCP: {
      out.push(words(f, "tcp"));
      const matched = mask !== null && get(mask, K.tcp_flags) !== 0;
      if (get(f.data, K.tcp_flags) !== 0 || matched) {
        out.push(words(f, "tcp_flags"));
      }
      break;
    }
    case IP_PROTO.UDP:
      out.push(words(f, "udp"));
      break;
    case IP_PROTO.SCTP:
      out.push(words(f, "sctp"));
      break;
    case IP_PROTO.ICMP:
      if (dlType === ETH_TYPE.IP) {
        out.push(words(f, "icmp"));
      }
      break;
    case IP_PROTO.ICMPV6:
      if (dlType === ETH_TYPE.IPV6) {
        out.push(words(f, "icmpv6"));
        ndAttrs(f, out);
      }
      break;
    default:
  }
}

/** Neighbour discovery can only be matched together with the exact type and code. */
function ndAttrs(f: From, out: OdpKeyAttr[]): void {
  const exact = get(f.data, K.tp_src) === ICMP_EXACT && get(f.data, K.tp_dst) === ICMP_EXACT;
  if (!isNd(f.p.flow, null) || (f.isMask && !exact)) {
    return;
  }
  out.push(words(f, "nd"));
  const ext = getU(f.data, K.igmp_group_ip4) !== 0 || get(f.data, K.tcp_flags) !== 0;
  if (f.p.support.nd_ext && ext) {
    out.push(words(f, "nd_ext"));
  }
}

/** Ethertype and everything behind it. */
function networkAttrs(f: From, out: OdpKeyAttr[]): void {
  const { flow, support } = f.p;
  const dlType = get(flow, K.dl_type);
  if (dlType < ETH_TYPE.MIN) {
    // A frame without Ethertype has no attribute in the key and an exact one in the mask.
    if (f.isMask) {
      out.push(one("eth_type", 0xffff));
    }
    return;
  }
  out.push(one("eth_type", get(f.data, K.dl_type)));
  if (isEthTypeVlan(dlType)) {
    return;
  }
  if (dlType === ETH_TYPE.IP) {
    out.push(words(f, "ipv4"));
  } else if (dlType === ETH_TYPE.IPV6) {
    out.push(words(f, "ipv6"));
  } else if (dlType === ETH_TYPE.ARP || dlType === ETH_TYPE.RARP) {
    out.push(words(f, "arp"));
  } else if (isEthTypeMpls(dlType)) {
    const labels = countMplsLabels(flow, null);
    const n = f.isMask ? Math.min(labels, support.max_mpls_depth) : labels;
    const w = K.mpls_lse.word;
    out.push({ attr: "mpls", value: f.data.slice(w, w + n) });
  } else if (dlType === ETH_TYPE.NSH) {
    out.push(words(f, "nsh"));
  }
  transportAttrs(f, out);
}

const VLANS = [
  [K.vlan_tpid, K.vlan_tci],
  [K.vlan_tpid1, K.vlan_tci1],
] as const;

/** VLAN header `i` and what is behind it. */
function linkAttrs(f: From, i: number, maxVlans: number, out: OdpKeyAttr[]): void {
  const { flow } = f.p;
  const slots = VLANS[i];
  if (slots === undefined || i >= maxVlans) {
    networkAttrs(f, out);
    return;
  }
  const [tpidSlot, tciSlot] = slots;
  let tpid = get(flow, tpidSlot);
  const tci = get(flow, tciSlot);
  if (tci === 0) {
    if (!isEthTypeVlan(get(flow, K.dl_type))) {
      networkAttrs(f, out);
      return;
    }
    tpid = get(flow, K.dl_type); // the header was cut off
  }
  const encap: OdpKeyAttr[] = [];
  out.push(one("eth_type", f.isMask ? 0xffff : tpid));
  out.push(one("vlan", get(f.data, tciSlot)));
  out.push({ attr: "encap", encap });
  if (tci !== 0) {
    linkAttrs(f, i + 1, maxVlans, encap);
  }
}

function fromFlow(p: OdpFlowParams, data: FlowKey, isMask: boolean): OdpKeyAttr[] {
  const f: From = { p, data, isMask };
  const out: OdpKeyAttr[] = [];
  metadataAttrs(f, out);
  if (getU(p.flow, K.packet_type) === PT.ETH) {
    out.push(words(f, "eth"));
    const max = Math.min(p.support.max_vlan_headers, p.vlanLimit, VLAN_HEADER_COUNT);
    linkAttrs(f, 0, max, out);
  } else {
    networkAttrs(f, out);
  }
  return out;
}

/** The attributes of a key. */
export function odpFlowKeyFromFlow(p: OdpFlowParams): OdpKeyAttr[] {
  return fromFlow(p, p.flow, false);
}

/** The attributes of a mask, the same as those of the key that it belongs to. */
export function odpFlowKeyFromMask(p: OdpFlowParams, mask: FlowKey): OdpKeyAttr[] {
  return fromFlow(p, mask, true);
}
