// Questions about a flow: is it IPv4, ICMPv6, neighbour discovery, IGMP...?
//
// The answer of a question depends on fields; where a mask `wc` is given, the bits that were looked
// at are set in it, because a megaflow that depends on the answer has to match them.
// ovs: lib/flow.h is_ip_any, is_nd, is_igmp...; lib/packets.h.

import { ARP_OP, ETH_TYPE } from "../packet/ethernet.ts";
import { IP_PROTO, NW_FRAG } from "../packet/ip.ts";
import { PT, PT_NS_ETHERTYPE } from "../packet/packet.ts";
import { type FlowKey, fill, get, getU, isZero, K, orBits } from "./flow-key.ts";

export { ARP_OP, ETH_TYPE, IP_PROTO, NW_FRAG, PT, PT_NS_ETHERTYPE };

/** Bits of `tun_flags` (ovs: FLOW_TNL_F_*); OpenFlow sees the public ones. */
export const TNL_F = {
  OAM: 1,
  DONT_FRAGMENT: 2,
  CSUM: 4,
  KEY: 8,
  MASK: 15,
  PUBLIC: 1,
} as const;

/** Connection state bits (ovs: CS_STATES). */
export const CS = {
  new: 0x01,
  est: 0x02,
  rel: 0x04,
  rpl: 0x08,
  inv: 0x10,
  trk: 0x20,
  snat: 0x40,
  dnat: 0x80,
} as const;
/** Parts of a tag control information; the CFI bit stands for "there is a tag". */
export const VLAN = { VID_MASK: 0x0fff, CFI: 0x1000, PCP_MASK: 0xe000, PCP_SHIFT: 13 } as const;
export const ND_NEIGHBOR_SOLICIT = 135;
export const ND_NEIGHBOR_ADVERT = 136;
const MLD_TYPES = { QUERY: 130, REPORT: 131, DONE: 132, REPORT2: 143 } as const;

/** The Ethertype, also of a packet without an Ethernet header (ovs: get_dl_type). */
export function getDlType(key: FlowKey): number {
  const pt = getU(key, K.packet_type);
  if (pt === PT.ETH) {
    return get(key, K.dl_type);
  }
  return pt >>> 16 === PT_NS_ETHERTYPE ? pt & 0xffff : ETH_TYPE.NONE;
}

export function isIpAny(key: FlowKey): boolean {
  const t = getDlType(key);
  return t === ETH_TYPE.IP || t === ETH_TYPE.IPV6;
}

/** True for frames, false for packets that begin with another header. */
export function isEthernet(key: FlowKey, wc: FlowKey | null): boolean {
  if (wc !== null) {
    fill(wc, K.packet_type);
  }
  return key[K.packet_type.word] === 0;
}

export function isVlan(key: FlowKey, wc: FlowKey | null): boolean {
  if (!isEthernet(key, wc)) {
    return false;
  }
  if (wc !== null) {
    orBits(wc, K.vlan_tci, VLAN.CFI);
  }
  return (get(key, K.vlan_tci) & VLAN.CFI) !== 0;
}

/** True for an IP packet of protocol `proto`. */
export function isIpProto(key: FlowKey, proto: number, wc: FlowKey | null): boolean {
  if (!isIpAny(key)) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.nw_proto);
  }
  return get(key, K.nw_proto) === proto;
}

function isProtoOf(key: FlowKey, dlType: number, proto: number, wc: FlowKey | null): boolean {
  if (getDlType(key) !== dlType) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.nw_proto);
  }
  return get(key, K.nw_proto) === proto;
}

export function isIcmpv4(key: FlowKey, wc: FlowKey | null): boolean {
  return isProtoOf(key, ETH_TYPE.IP, IP_PROTO.ICMP, wc);
}

export function isIcmpv6(key: FlowKey, wc: FlowKey | null): boolean {
  return isProtoOf(key, ETH_TYPE.IPV6, IP_PROTO.ICMPV6, wc);
}

export function isIgmp(key: FlowKey, wc: FlowKey | null): boolean {
  return isProtoOf(key, ETH_TYPE.IP, IP_PROTO.IGMP, wc);
}

/** Neighbour solicitation or advertisement (RFC 4861 §4.3, §4.4). */
export function isNd(key: FlowKey, wc: FlowKey | null): boolean {
  if (!isIcmpv6(key, wc)) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.tp_dst);
  }
  if (get(key, K.tp_dst) !== 0) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.tp_src);
  }
  const type = get(key, K.tp_src);
  return type === ND_NEIGHBOR_SOLICIT || type === ND_NEIGHBOR_ADVERT;
}

/** Whether there is a connection whose original direction can be looked at. */
export function isCtValid(key: FlowKey, mask: FlowKey | null, wc: FlowKey | null): boolean {
  const state = get(key, K.ct_state);
  if (mask !== null && wc === null) {
    const implies = CS.new | CS.est | CS.rel | CS.rpl | CS.snat | CS.dnat;
    const explicit =
      (state & CS.trk) !== 0 && (get(mask, K.ct_state) & CS.inv) !== 0 && (state & CS.inv) === 0;
    return (state & implies) !== 0 || explicit;
  }
  const valid = CS.new | CS.est | CS.rpl;
  if (wc !== null) {
    orBits(wc, K.ct_state, valid);
  }
  return (state & valid) !== 0;
}

export function isArp(key: FlowKey): boolean {
  return get(key, K.dl_type) === ETH_TYPE.ARP;
}

/** Gratuitous ARP: sender and target address are the same. */
export function isGarp(key: FlowKey, wc: FlowKey | null): boolean {
  if (!isArp(key)) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.nw_src);
    fill(wc, K.nw_dst);
  }
  return get(key, K.nw_src) === get(key, K.nw_dst);
}

/** Multicast listener discovery (RFC 2710, RFC 3810). */
export function isMld(key: FlowKey, wc: FlowKey | null): boolean {
  if (!isIcmpv6(key, wc)) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.tp_src);
  }
  const type = get(key, K.tp_src);
  return (
    type === MLD_TYPES.QUERY ||
    type === MLD_TYPES.REPORT ||
    type === MLD_TYPES.DONE ||
    type === MLD_TYPES.REPORT2
  );
}

function isMldQuery(key: FlowKey, wc: FlowKey | null): boolean {
  if (!isIcmpv6(key, wc)) {
    return false;
  }
  if (wc !== null) {
    fill(wc, K.tp_src);
  }
  return get(key, K.tp_src) === MLD_TYPES.QUERY;
}

export function isMldReport(key: FlowKey, wc: FlowKey | null): boolean {
  return isMld(key, wc) && !isMldQuery(key, wc);
}

/** Spanning tree: an LLC frame to 01:80:c2:00:00:00. */
export function isStp(key: FlowKey): boolean {
  return (
    get(key, K.dl_type) === ETH_TYPE.NONE &&
    key[K.dl_dst.word] === 0x0180 &&
    key[K.dl_dst.word + 1] === 0xc2000000
  );
}

export function tunnelDstIsSet(key: FlowKey): boolean {
  return get(key, K.tun_dst) !== 0 || !isZero(key, K.tun_ipv6_dst);
}

export function tunnelSrcIsSet(key: FlowKey): boolean {
  return get(key, K.tun_src) !== 0 || !isZero(key, K.tun_ipv6_src);
}
