// An OpenFlow 1.0 match as it stands on the wire, in text (ovs: lib/ofp-match.c ofp10_match_to_string).

import { formatPort, type NameMap } from "../../flow/ofp-port.ts";
import { formatIpv4, formatMac } from "../../lib/address.ts";
import { ETH_TYPE } from "../../packet/ethernet.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import { type Ofp10Match, OFPFW10 } from "./match-wire.ts";

/** From this verbosity on wildcards are shown, as "*". */
const VERBOSITY_WILD = 2;

const PROTO_NAMES: Readonly<Record<number, string>> = {
  [IP_PROTO.ICMP]: "icmp",
  [IP_PROTO.TCP]: "tcp",
  [IP_PROTO.UDP]: "udp",
  [IP_PROTO.SCTP]: "sctp",
};
const TYPE_NAMES: Readonly<Record<number, string>> = {
  [ETH_TYPE.IP]: "ip",
  [ETH_TYPE.ARP]: "arp",
  [ETH_TYPE.RARP]: "rarp",
  [ETH_TYPE.MPLS]: "mpls",
  [ETH_TYPE.MPLS_MCAST]: "mplsm",
};

function addressText(ip: number, wildBits: number): string {
  return wildBits === 0 ? formatIpv4(ip) : `${formatIpv4(ip)}/${32 - wildBits}`;
}

/** The keyword of a match's Ethernet type and protocol, and which of the two it says. */
function keyword(om: Ofp10Match): { word: string; type: boolean; proto: boolean } {
  if ((om.wildcards & OFPFW10.DL_TYPE) !== 0) {
    return { word: "", type: false, proto: false };
  }
  const hasProto = om.dlType === ETH_TYPE.IP && (om.wildcards & OFPFW10.NW_PROTO) === 0;
  const protoName = hasProto ? PROTO_NAMES[om.nwProto] : undefined;
  const word = protoName ?? TYPE_NAMES[om.dlType] ?? "";
  return { word, type: word !== "", proto: protoName !== undefined };
}

export function formatOfp10Match(om: Ofp10Match, ports: NameMap | null, verbosity: number): string {
  const w = om.wildcards;
  const out: string[] = [];
  const { word, type, proto } = keyword(om);
  if (word !== "") {
    out.push(word);
  }
  const add = (name: string, wild: boolean, value: string | number): void => {
    if (!wild || verbosity >= VERBOSITY_WILD) {
      out.push(`${name}=${wild ? "*" : value}`);
    }
  };
  const isWild = (bit: number): boolean => (w & bit) !== 0;
  add("in_port", isWild(OFPFW10.IN_PORT), formatPort(om.inPort, ports));
  add("dl_vlan", isWild(OFPFW10.DL_VLAN), om.dlVlan);
  add("dl_vlan_pcp", isWild(OFPFW10.DL_VLAN_PCP), om.dlVlanPcp);
  add("dl_src", isWild(OFPFW10.DL_SRC), formatMac(om.dlSrc[0], om.dlSrc[1]));
  add("dl_dst", isWild(OFPFW10.DL_DST), formatMac(om.dlDst[0], om.dlDst[1]));
  if (!type) {
    const hexType = `0x${om.dlType.toString(16).padStart(4, "0")}`;
    add("dl_type", isWild(OFPFW10.DL_TYPE), hexType);
  }
  const srcWild = (w >>> OFPFW10.NW_SRC_SHIFT) & OFPFW10.NW_BITS;
  const dstWild = (w >>> OFPFW10.NW_DST_SHIFT) & OFPFW10.NW_BITS;
  add("nw_src", srcWild >= 32, addressText(om.nwSrc, srcWild));
  add("nw_dst", dstWild >= 32, addressText(om.nwDst, dstWild));
  if (!proto) {
    const arp = om.dlType === ETH_TYPE.ARP || om.dlType === ETH_TYPE.RARP;
    add(arp ? "arp_op" : "nw_proto", isWild(OFPFW10.NW_PROTO), om.nwProto);
  }
  add("nw_tos", isWild(OFPFW10.NW_TOS), om.nwTos);
  const icmp = om.nwProto === IP_PROTO.ICMP;
  add(icmp ? "icmp_type" : "tp_src", isWild(OFPFW10.TP_SRC), om.tpSrc);
  add(icmp ? "icmp_code" : "tp_dst", isWild(OFPFW10.TP_DST), om.tpDst);
  return out.join(",");
}
