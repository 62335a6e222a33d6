// The mask that matches all that a packet of a flow's kind has, and nothing that it cannot have.
//
// ovs: lib/flow.c flow_wildcards_init_for_packet.

import { isZero, copySlot, fill, type FlowKey, get, K, orBits, type Slot } from "./flow-key.ts";
import { ETH_TYPE, IP_PROTO, isNd, NW_FRAG, PT, TNL_F } from "./flow-is.ts";

/** Slots of a tunnel's header, without key and options. */
const TUNNEL: readonly Slot[] = [
  K.tun_src,
  K.tun_dst,
  K.tun_ipv6_src,
  K.tun_ipv6_dst,
  K.tun_flags,
  K.tun_tos,
  K.tun_ttl,
  K.tun_tp_src,
  K.tun_tp_dst,
  K.tun_gbp_id,
  K.tun_gbp_flags,
  K.tun_erspan_ver,
  K.tun_erspan_idx,
  K.tun_erspan_dir,
  K.tun_erspan_hwid,
  K.tun_gtpu_flags,
  K.tun_gtpu_msgtype,
];

/** Metadata that every packet has. */
const METADATA: readonly Slot[] = [
  K.skb_priority,
  K.pkt_mark,
  K.ct_state,
  K.ct_zone,
  K.ct_mark,
  K.ct_label,
  K.recirc_id,
  K.dp_hash,
  K.in_port,
  K.packet_type,
];

const VLANS = [
  { tpid: K.vlan_tpid, tci: K.vlan_tci },
  { tpid: K.vlan_tpid1, tci: K.vlan_tci1 },
] as const;
const LSES = [K.mpls_lse, K.mpls_lse1, K.mpls_lse2] as const;
const MPLS_BOS = 0x100;
const L4_PROTOCOLS = new Set<number>([
  IP_PROTO.ICMP,
  IP_PROTO.ICMPV6,
  IP_PROTO.TCP,
  IP_PROTO.UDP,
  IP_PROTO.SCTP,
  IP_PROTO.IGMP,
]);

function fillAll(wc: FlowKey, slots: readonly Slot[]): void {
  for (const s of slots) {
    fill(wc, s);
  }
}

/** Overwrites `wc`. */
export function wildcardsForPacket(flow: FlowKey, wc: FlowKey): void {
  wc.fill(0);
  maskTunnel(flow, wc);
  fillAll(wc, METADATA);
  let dlType = (flow[K.packet_type.word] as number) & 0xffff;
  if (flow[K.packet_type.word] === PT.ETH) {
    fillAll(wc, [K.dl_dst, K.dl_src, K.dl_type]);
    for (const { tpid, tci } of VLANS) {
      fillAll(wc, [tpid, tci]);
      if (get(flow, tci) === 0) {
        break;
      }
    }
    dlType = get(flow, K.dl_type);
  }
  if (maskL3(flow, wc, dlType)) {
    maskL4(flow, wc);
  }
}

function maskTunnel(flow: FlowKey, wc: FlowKey): void {
  if (isZero(flow, K.tun_dst) && isZero(flow, K.tun_ipv6_dst)) {
    if (!isZero(flow, K.tun_id)) {
      fill(wc, K.tun_id);
    }
    return;
  }
  if ((get(flow, K.tun_flags) & TNL_F.KEY) !== 0) {
    fill(wc, K.tun_id);
  }
  fillAll(wc, TUNNEL);
  if (!isZero(flow, K.tun_md_present)) {
    copySlot(wc, flow, K.tun_md_present);
    fill(wc, K.tun_md_opts);
  }
}

/** Masks what follows the Ethertype; true if an IP-like header does. */
function maskL3(flow: FlowKey, wc: FlowKey, dlType: number): boolean {
  switch (dlType) {
    case ETH_TYPE.IP:
      fillAll(wc, [K.nw_src, K.nw_dst, K.ct_nw_src, K.ct_nw_dst]);
      return true;
    case ETH_TYPE.IPV6:
      fillAll(wc, [K.ipv6_src, K.ipv6_dst, K.ipv6_label]);
      if (isNd(flow, wc)) {
        fillAll(wc, [K.arp_sha, K.arp_tha, K.nd_target]);
      } else {
        fillAll(wc, [K.ct_ipv6_src, K.ct_ipv6_dst]);
      }
      return true;
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      fillAll(wc, [K.nw_src, K.nw_dst, K.nw_proto, K.arp_sha, K.arp_tha]);
      return false;
    case ETH_TYPE.MPLS:
    case ETH_TYPE.MPLS_MCAST:
      for (const lse of LSES) {
        fill(wc, lse);
        if ((get(flow, lse) & MPLS_BOS) !== 0) {
          break;
        }
      }
      return false;
    default:
      if (get(flow, K.dl_type) !== ETH_TYPE.NSH) {
        return false;
      }
      fillAll(wc, [K.nsh_flags, K.nsh_ttl, K.nsh_mdtype, K.nsh_np, K.nsh_path_hdr]);
      fillAll(wc, [K.nsh_c1, K.nsh_c2, K.nsh_c3, K.nsh_c4]);
      return true;
  }
}

function maskL4(flow: FlowKey, wc: FlowKey): void {
  orBits(wc, K.nw_frag, NW_FRAG.ANY | NW_FRAG.LATER);
  fillAll(wc, [K.nw_tos, K.nw_ttl, K.nw_proto, K.ct_nw_proto, K.ct_tp_src, K.ct_tp_dst]);
  const proto = get(flow, K.nw_proto);
  if ((get(flow, K.nw_frag) & NW_FRAG.LATER) !== 0 || !L4_PROTOCOLS.has(proto)) {
    return;
  }
  fillAll(wc, [K.tp_src, K.tp_dst]);
  if (proto === IP_PROTO.TCP) {
    fill(wc, K.tcp_flags);
  } else if (proto === IP_PROTO.IGMP) {
    fill(wc, K.igmp_group_ip4);
  }
}
