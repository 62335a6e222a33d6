// How many 64-bit words of Open vSwitch's own flow structure a mask touches, which a verbose dump
// of datapath flows tells as `miniflow_bits(A,B)`.
//
// The slots of a key stand in the order of that structure but are packed differently; here are
// the byte offsets where its parts begin (ovs: include/openvswitch/flow.h struct flow). A is the
// count among the first 64 words, B among the rest. in_port does not count: the datapath keeps a
// classifier per port; nor do words that no packet of the key's kind fills, such as registers or,
// of an MPLS packet, those of IP: a translation that fails leaves them in its mask (ovs:
// lib/flow.c flow_wc_map, lib/dpif-netdev.c netdev_flow_mask_init).

import { TNL_F_UDPIF } from "../flow/extract.ts";
import { IP_PROTO, isNd, tunnelDstIsSet } from "../flow/flow-is.ts";
import { type FlowKey, get, isZero, K } from "../flow/flow-key.ts";
import { type Slot, SLOT_LIST, type SlotName } from "../flow/slots.ts";
import { ETH_TYPE, isEthTypeMpls } from "../flow/vlan-mpls.ts";

/** Slots before which the structure has a gap. */
const STARTS: Partial<Record<SlotName, number>> = {
  tun_md_present: 72,
  tun_md_opts: 88,
  metadata: 344,
  dp_hash: 424,
  in_port: 428,
  recirc_id: 432,
  conj_id: 464,
  dl_dst: 472,
  dl_src: 478,
  dl_type: 484,
  vlan_tpid: 488,
  nw_src: 512,
  nd_target: 600,
  nsh_flags: 632,
  tp_src: 656,
};
const FIRST_UNIT_WORDS = 64;

/** What a packet of any kind comes with. */
const METADATA = ["skb_priority", "pkt_mark", "recirc_id", "dp_hash", "packet_type"] as const;
const CT = ["ct_state", "ct_zone", "ct_mark", "ct_label"] as const;
const L2 = ["dl_dst", "dl_src", "dl_type", "vlan_tpid", "vlan_tci", "vlan_tpid1"] as const;
const ALWAYS = [...METADATA, ...CT, ...L2, "vlan_tci1"] as const;
const TUNNEL_OPTIONS: readonly SlotName[] = ["tun_md_present", "tun_md_opts"];
const TUNNEL: readonly SlotName[] = SLOT_LIST.map((slot) => slot.name).filter(
  (name) => name.startsWith("tun_") && !TUNNEL_OPTIONS.includes(name),
);
const IP = ["nw_proto", "nw_frag", "nw_tos", "nw_ttl", "tp_src", "tp_dst"] as const;
const CT_PORTS = ["ct_nw_proto", "ct_tp_src", "ct_tp_dst"] as const;
const IPV4 = [...IP, ...CT_PORTS, "nw_src", "nw_dst", "ct_nw_src", "ct_nw_dst"] as const;
const IPV6 = [...IP, "ipv6_src", "ipv6_dst", "ipv6_label", "tcp_flags"] as const;
const ND = ["nd_target", "arp_sha", "arp_tha", "igmp_group_ip4"] as const;
const NO_ND = [...CT_PORTS, "ct_ipv6_src", "ct_ipv6_dst"] as const;
const ARP = ["nw_src", "nw_dst", "nw_proto", "arp_sha", "arp_tha"] as const;
const MPLS = ["mpls_lse", "mpls_lse1", "mpls_lse2"] as const;
const NSH_BASE = ["nsh_flags", "nsh_mdtype", "nsh_np", "nsh_path_hdr"] as const;
const NSH = [...NSH_BASE, "nsh_c1", "nsh_c2", "nsh_c3", "nsh_c4"] as const;

/** What the network header of the packets of a key fills. */
function networkSlots(key: FlowKey): readonly SlotName[] {
  const type = get(key, K.dl_type);
  if (isEthTypeMpls(type)) {
    return MPLS;
  }
  switch (type) {
    case ETH_TYPE.IP:
      return [...IPV4, get(key, K.nw_proto) === IP_PROTO.IGMP ? "igmp_group_ip4" : "tcp_flags"];
    case ETH_TYPE.IPV6:
      return [...IPV6, ...(isNd(key, null) ? ND : NO_ND)];
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      return ARP;
    case ETH_TYPE.NSH:
      return NSH;
    default:
      return [];
  }
}

function tunnelSlots(key: FlowKey): readonly SlotName[] {
  if (!tunnelDstIsSet(key)) {
    return [];
  }
  const isRaw = (get(key, K.tun_flags) & TNL_F_UDPIF) !== 0;
  return isRaw || !isZero(key, K.tun_md_present) ? [...TUNNEL, ...TUNNEL_OPTIONS] : TUNNEL;
}

/** Slots with the byte where each starts in the structure. */
function layOut(): readonly (readonly [Slot, number])[] {
  let at = 0;
  return SLOT_LIST.map((slot) => {
    at = STARTS[slot.name] ?? at;
    const start = at;
    at += Math.ceil(slot.bits / 8);
    return [slot, start] as const;
  });
}

const LAYOUT = layOut();

/** The words of the structure that packets of a key fill; a word counts whole. */
function filledWords(key: FlowKey): ReadonlySet<number> {
  const names = new Set<SlotName>([...ALWAYS, ...tunnelSlots(key), ...networkSlots(key)]);
  const words = new Set<number>();
  for (const [slot, start] of LAYOUT) {
    if (names.has(slot.name)) {
      for (let at = start; at < start + slot.bits / 8; at++) {
        words.add(at >> 3);
      }
    }
  }
  return words;
}

/** Most significant first, the byte of a slot. */
function slotByte(mask: FlowKey, slot: Slot, i: number): number {
  if (slot.words === 1) {
    const bytes = Math.ceil(slot.bits / 8);
    const v = ((mask[slot.word] as number) >>> slot.shift) & slot.max;
    return (v >>> (8 * (bytes - 1 - i))) & 0xff;
  }
  const skip = slot.words * 4 - Math.ceil(slot.bits / 8);
  const at = i + skip;
  return ((mask[slot.word + (at >> 2)] as number) >>> (8 * (3 - (at & 3)))) & 0xff;
}

export function miniflowBits(key: FlowKey, mask: FlowKey): readonly [number, number] {
  const filled = filledWords(key);
  const words = new Set<number>();
  for (const [slot, start] of LAYOUT) {
    const bytes = slot.name === "in_port" ? 0 : Math.ceil(slot.bits / 8);
    for (let i = 0; i < bytes; i++) {
      const word = (start + i) >> 3;
      if (filled.has(word) && slotByte(mask, slot, i) !== 0) {
        words.add(word);
      }
    }
  }
  const first = [...words].filter((w) => w < FIRST_UNIT_WORDS).length;
  return [first, words.size - first];
}
