// A match as text, in the order and with the abbreviations of Open vSwitch.
//
// The line that `dump-flows`, traces and logs show: keywords such as "tcp6" stand for what they
// imply, VLAN matches become dl_vlan and dl_vlan_pcp where they can, and every field has its own
// way of showing a partial mask. The order is fixed by history, not by the field table.
// (ovs: lib/match.c match_format; lib/tun-metadata.c tun_metadata_match_format)

import { formatHexWords, formatPacketType } from "../flow/field-text.ts";
import {
  CT_STATE_NAMES,
  formatFlags,
  formatFlagsMasked,
  TCP_FLAG_NAMES,
} from "../flow/flag-text.ts";
import { isIpAny, NW_FRAG, VLAN } from "../flow/flow-is.ts";
import { get, isZero, K } from "../flow/flow-key.ts";
import { hasDefaultPacketType, type Match, OFP_DEFAULT_PRIORITY } from "../flow/match.ts";
import { formatPort, type NameMap } from "../flow/ofp-port.ts";
import { REG_COUNT } from "../flow/slots.ts";
import { formatAltHex, formatHexPadded } from "../lib/number.ts";
import type { FormatContext } from "./actions/types.ts";
import { Parts } from "./match-parts.ts";
import { formatTunnel } from "./match-text-tunnel.ts";

const DL_TYPE = {
  ip: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  ipv6: 0x86dd,
  mpls: 0x8847,
  mplsm: 0x8848,
  nsh: 0x894f,
} as const;
const PROTO = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const OFPHTN_ETHERTYPE = 1;
const IP_DSCP_MASK = 0xfc;
const IP_ECN_MASK = 0x03;
const NSH_M_TYPE1 = 1;

const REGS = Array.from({ length: REG_COUNT }, (_, i) => `reg${i}`);

/** The text of a match as a context wants it shown. */
export function formatShownMatch(m: Match, cx: FormatContext, priority: number): string {
  const text = formatMatch(m, cx.ports, priority);
  return cx.painter === undefined ? text : cx.painter.match(text);
}

/**
 * The text of a match, with "priority=N" in front unless it is the default one. Port numbers are
 * replaced by names where `ports` knows them.
 */
export function formatMatch(
  m: Match,
  ports: NameMap | null = null,
  priority: number = OFP_DEFAULT_PRIORITY,
): string {
  const p = new Parts(m);
  if (priority !== OFP_DEFAULT_PRIORITY) {
    p.add(`priority=${priority}`);
  }
  const { flow, wc } = p;
  formatMetadata(p, ports);
  formatConntrack(p);

  let dlType = get(flow, K.dl_type);
  const typeMask = wc[K.packet_type.word] as number;
  const isMegaflow = wc[K.recirc_id.word] !== 0;
  if (typeMask !== 0 && (!hasDefaultPacketType(m) || isMegaflow)) {
    const type = flow[K.packet_type.word] as number;
    p.add(formatPacketType(type, typeMask));
    if (type >>> 16 === OFPHTN_ETHERTYPE) {
      dlType = type & 0xffff;
    }
  }
  const shown = formatKeyword(p, dlType);
  for (let i = 0; i < REG_COUNT; i++) {
    formatReg(p, i);
  }
  formatTunnel(p, m);
  p.hex64("metadata", K.metadata);
  if (get(wc, K.in_port) !== 0) {
    p.add(`in_port=${formatPort(get(flow, K.in_port), ports)}`);
  }
  formatVlans(p);
  p.mac("dl_src", K.dl_src);
  p.mac("dl_dst", K.dl_dst);
  if (!shown.type && get(wc, K.dl_type) !== 0) {
    p.add(`dl_type=${formatHexPadded(dlType, 4)}`);
  }
  formatL3(p, dlType, shown.proto);
  formatMpls(p);
  formatFragment(p);
  formatL4(p, dlType);
  return p.out.join(",");
}

function formatReg(p: Parts, i: number): void {
  const w = K.reg0.word + i;
  const mask = p.wc[w] as number;
  if (mask !== 0) {
    const tail = mask === 0xffffffff ? "" : `/${formatAltHex(mask)}`;
    p.add(`${REGS[i]}=${formatAltHex(p.flow[w] as number)}${tail}`);
  }
}

function formatMetadata(p: Parts, ports: NameMap | null): void {
  const { flow, wc } = p;
  p.hex32("pkt_mark", K.pkt_mark);
  p.hex32("recirc_id", K.recirc_id);
  p.hex32("dp_hash", K.dp_hash);
  if (wc[K.conj_id.word] !== 0) {
    p.add(`conj_id=${flow[K.conj_id.word]}`);
  }
  if (wc[K.skb_priority.word] !== 0) {
    p.add(`skb_priority=${formatAltHex(flow[K.skb_priority.word] as number)}`);
  }
  if (wc[K.actset_output.word] !== 0) {
    p.add(`actset_output=${formatPort(get(flow, K.actset_output), ports)}`);
  }
}

function formatConntrack(p: Parts): void {
  const { flow, wc } = p;
  const stateMask = get(wc, K.ct_state);
  if (stateMask !== 0) {
    const state = get(flow, K.ct_state);
    const text =
      stateMask === 0xff
        ? formatFlags(CT_STATE_NAMES, state)
        : formatFlagsMasked(CT_STATE_NAMES, state, stateMask, 0xff);
    p.add(`ct_state=${text}`);
  }
  p.dec16("ct_zone", K.ct_zone);
  p.hex32("ct_mark", K.ct_mark);
  if (!isZero(wc, K.ct_label)) {
    const w = K.ct_label.word;
    const mask = wc.subarray(w, w + 4);
    const tail = mask.every((x) => x === 0xffffffff) ? "" : `/${formatHexWords(mask)}`;
    p.add(`ct_label=${formatHexWords(flow.subarray(w, w + 4))}${tail}`);
  }
  p.ipv4("ct_nw_src", K.ct_nw_src);
  p.ipv6("ct_ipv6_src", K.ct_ipv6_src);
  p.ipv4("ct_nw_dst", K.ct_nw_dst);
  p.ipv6("ct_ipv6_dst", K.ct_ipv6_dst);
  if (get(wc, K.ct_nw_proto) !== 0) {
    p.add(`ct_nw_proto=${get(flow, K.ct_nw_proto)}`);
    p.dec16("ct_tp_src", K.ct_tp_src);
    p.dec16("ct_tp_dst", K.ct_tp_dst);
  }
}

const IP_KEYWORDS = new Map<number, string>([
  [PROTO.icmp, "icmp"],
  [PROTO.tcp, "tcp"],
  [PROTO.udp, "udp"],
  [PROTO.sctp, "sctp"],
]);
const IPV6_KEYWORDS = new Map<number, string>([
  [PROTO.icmpv6, "icmp6"],
  [PROTO.tcp, "tcp6"],
  [PROTO.udp, "udp6"],
  [PROTO.sctp, "sctp6"],
]);
const L2_KEYWORDS = new Map<number, string>([
  [DL_TYPE.arp, "arp"],
  [DL_TYPE.rarp, "rarp"],
  [DL_TYPE.mpls, "mpls"],
  [DL_TYPE.mplsm, "mplsm"],
]);

/** Writes the keyword for Ethertype and protocol; tells which of the two it has said. */
function formatKeyword(p: Parts, dlType: number): { type: boolean; proto: boolean } {
  if (get(p.wc, K.dl_type) === 0) {
    return { type: false, proto: false };
  }
  if (dlType === DL_TYPE.ip || dlType === DL_TYPE.ipv6) {
    const six = dlType === DL_TYPE.ipv6;
    const hasProto = get(p.wc, K.nw_proto) !== 0;
    const words = six ? IPV6_KEYWORDS : IP_KEYWORDS;
    const word = hasProto ? words.get(get(p.flow, K.nw_proto)) : undefined;
    p.add(word ?? (six ? "ipv6" : "ip"));
    return { type: true, proto: word !== undefined };
  }
  const word = L2_KEYWORDS.get(dlType);
  if (word === undefined) {
    return { type: false, proto: false };
  }
  p.add(word);
  return { type: true, proto: false };
}

const TCIS = [
  { slot: K.vlan_tci, n: "" },
  { slot: K.vlan_tci1, n: "1" },
] as const;

function formatVlans(p: Parts): void {
  for (const { slot, n } of TCIS) {
    const mask = get(p.wc, slot);
    if (mask === 0) {
      break;
    }
    const tci = get(p.flow, slot);
    const vid = mask & VLAN.VID_MASK;
    const pcp = mask & VLAN.PCP_MASK;
    const tagged = (mask & tci & VLAN.CFI) !== 0;
    const whole = (vid === 0 || vid === VLAN.VID_MASK) && (pcp === 0 || pcp === VLAN.PCP_MASK);
    if (tagged && whole && (vid | pcp) !== 0) {
      if (vid !== 0) {
        p.add(`dl_vlan${n}=${tci & VLAN.VID_MASK}`);
      }
      if (pcp !== 0) {
        p.add(`dl_vlan_pcp${n}=${tci >>> VLAN.PCP_SHIFT}`);
      }
    } else {
      const tail = mask === 0xffff ? "" : `/${formatHexPadded(mask, 4)}`;
      p.add(`vlan_tci${n}=${formatHexPadded(tci, 4)}${tail}`);
    }
  }
}

function formatL3(p: Parts, dlType: number, protoShown: boolean): void {
  const { flow, wc } = p;
  const arp = dlType === DL_TYPE.arp || dlType === DL_TYPE.rarp;
  if (dlType === DL_TYPE.ipv6) {
    p.ipv6("ipv6_src", K.ipv6_src);
    p.ipv6("ipv6_dst", K.ipv6_dst);
    const mask = wc[K.ipv6_label.word] as number;
    if (mask !== 0) {
      const label = formatHexPadded(flow[K.ipv6_label.word] as number, 5);
      const tail = mask === 0xffffffff ? "" : `/${formatHexPadded(mask, 5)}`;
      p.add(`ipv6_label=${label}${tail}`);
    }
  } else if (dlType === DL_TYPE.nsh) {
    formatNsh(p);
  } else {
    p.ipv4(arp ? "arp_spa" : "nw_src", K.nw_src);
    p.ipv4(arp ? "arp_tpa" : "nw_dst", K.nw_dst);
  }
  if (!protoShown && get(wc, K.nw_proto) !== 0) {
    p.add(`${arp ? "arp_op" : "nw_proto"}=${get(flow, K.nw_proto)}`);
  }
  if (arp) {
    p.mac("arp_sha", K.arp_sha);
    p.mac("arp_tha", K.arp_tha);
  }
  const tosMask = get(wc, K.nw_tos);
  if ((tosMask & IP_DSCP_MASK) !== 0) {
    p.add(`nw_tos=${get(flow, K.nw_tos) & IP_DSCP_MASK}`);
  }
  if ((tosMask & IP_ECN_MASK) !== 0) {
    p.add(`nw_ecn=${get(flow, K.nw_tos) & IP_ECN_MASK}`);
  }
  if (get(wc, K.nw_ttl) !== 0) {
    p.add(`nw_ttl=${get(flow, K.nw_ttl)}`);
  }
}

function formatNsh(p: Parts): void {
  const { flow, wc } = p;
  const path = flow[K.nsh_path_hdr.word] as number;
  const pathMask = wc[K.nsh_path_hdr.word] as number;
  const spiMask = pathMask >>> 8;
  for (const [name, slot] of [
    ["nsh_flags", K.nsh_flags],
    ["nsh_ttl", K.nsh_ttl],
    ["nsh_mdtype", K.nsh_mdtype],
    ["nsh_np", K.nsh_np],
  ] as const) {
    p.dec8(name, get(flow, slot), get(wc, slot));
  }
  p.plainHex32("nsh_spi", path >>> 8, spiMask === 0xffffff ? 0xffffffff : spiMask);
  p.dec8("nsh_si", path & 0xff, pathMask & 0xff);
  if (get(wc, K.nsh_mdtype) === 0xff && get(flow, K.nsh_mdtype) === NSH_M_TYPE1) {
    for (const [name, slot] of [
      ["nsh_c1", K.nsh_c1],
      ["nsh_c2", K.nsh_c2],
      ["nsh_c3", K.nsh_c3],
      ["nsh_c4", K.nsh_c4],
    ] as const) {
      p.plainHex32(name, flow[slot.word] as number, wc[slot.word] as number);
    }
  }
}

function formatMpls(p: Parts): void {
  const lse = p.flow[K.mpls_lse.word] as number;
  const mask = p.wc[K.mpls_lse.word] as number;
  if ((mask & 0xfffff000) !== 0) {
    p.add(`mpls_label=${lse >>> 12}`);
  }
  if ((mask & 0xe00) !== 0) {
    p.add(`mpls_tc=${(lse >>> 9) & 7}`);
  }
  if ((mask & 0xff) !== 0) {
    p.add(`mpls_ttl=${lse & 0xff}`);
  }
  if ((mask & 0x100) !== 0) {
    p.add(`mpls_bos=${(lse >>> 8) & 1}`);
  }
  p.dec32("mpls_lse1", K.mpls_lse1);
  p.dec32("mpls_lse2", K.mpls_lse2);
}

function formatFragment(p: Parts): void {
  const frag = get(p.flow, K.nw_frag);
  const any = (frag & NW_FRAG.ANY) !== 0;
  const later = (frag & NW_FRAG.LATER) !== 0;
  switch (get(p.wc, K.nw_frag) & NW_FRAG.MASK) {
    case NW_FRAG.MASK:
      p.add(`nw_frag=${any ? (later ? "later" : "first") : later ? "<error>" : "no"}`);
      break;
    case NW_FRAG.ANY:
      p.add(`nw_frag=${any ? "yes" : "no"}`);
      break;
    case NW_FRAG.LATER:
      p.add(`nw_frag=${later ? "later" : "not_later"}`);
      break;
    default:
      break;
  }
}

function formatL4(p: Parts, dlType: number): void {
  const { flow, wc } = p;
  const proto = get(flow, K.nw_proto);
  const icmp6 = dlType === DL_TYPE.ipv6 && proto === PROTO.icmpv6;
  if (icmp6 || (dlType === DL_TYPE.ip && proto === PROTO.icmp)) {
    p.dec16("icmp_type", K.tp_src);
    p.dec16("icmp_code", K.tp_dst);
  } else {
    p.dec16("tp_src", K.tp_src);
    p.dec16("tp_dst", K.tp_dst);
  }
  if (icmp6) {
    p.ipv6("nd_target", K.nd_target);
    p.mac("nd_sll", K.arp_sha);
    p.mac("nd_tll", K.arp_tha);
    p.dec32("nd_reserved", K.igmp_group_ip4);
    p.dec16("nd_options_type", K.tcp_flags);
  }
  const tcpMask = get(wc, K.tcp_flags);
  if (tcpMask !== 0 && proto === PROTO.tcp && isIpAny(flow)) {
    const flags = get(flow, K.tcp_flags);
    const text = formatFlagsMasked(TCP_FLAG_NAMES, flags, tcpMask & 0xfff, 0xfff);
    p.add(`tcp_flags=${text}`);
  }
}
