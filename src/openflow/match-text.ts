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
  TUN_FLAG_NAMES,
  TUN_FLAGS,
} from "../flow/flag-text.ts";
import { isIpAny, NW_FRAG, VLAN } from "../flow/flow-is.ts";
import { TUN_METADATA_COUNT } from "../flow/fields.ts";
import { type FlowKey, get, isZero, K, type Slot } from "../flow/flow-key.ts";
import {
  hasDefaultPacketType,
  type Match,
  OFP_DEFAULT_PRIORITY,
  tunMdLocOf,
} from "../flow/match.ts";
import { formatPort, type NameMap } from "../flow/ofp-port.ts";
import { REG_COUNT } from "../flow/slots.ts";
import { readTunMd, tunMdPresent } from "../flow/tun-metadata.ts";
import { formatIpv4Masked, formatIpv6Masked, formatMacMasked } from "../lib/address.ts";
import type { FormatContext } from "./actions/types.ts";
import { formatAltHex, formatAltHex64, formatHexPadded } from "../lib/number.ts";

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

/** The growing list of "name=value" parts of one match. */
class Parts {
  readonly out: string[] = [];
  readonly flow: FlowKey;
  readonly wc: FlowKey;

  constructor(m: Pick<Match, "flow" | "wc">) {
    this.flow = m.flow;
    this.wc = m.wc;
  }

  add(text: string): void {
    this.out.push(text);
  }

  /** %#x, masks too. */
  hex32(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    if (mask !== 0) {
      const tail = mask === 0xffffffff ? "" : `/${formatAltHex(mask)}`;
      this.add(`${name}=${formatAltHex(this.flow[slot.word] as number)}${tail}`);
    }
  }

  hex64(name: string, slot: Slot): void {
    const hi = this.wc[slot.word] as number;
    const lo = this.wc[slot.word + 1] as number;
    if ((hi | lo) !== 0) {
      const value = formatAltHex64(
        this.flow[slot.word] as number,
        this.flow[slot.word + 1] as number,
      );
      const exact = hi === 0xffffffff && lo === 0xffffffff;
      this.add(`${name}=${value}${exact ? "" : `/${formatAltHex64(hi, lo)}`}`);
    }
  }

  /** Decimal, or hex with a partial mask. */
  dec16(name: string, slot: Slot): void {
    const mask = get(this.wc, slot);
    if (mask !== 0) {
      const v = get(this.flow, slot);
      const text = mask === 0xffff ? String(v) : `0x${v.toString(16)}/0x${mask.toString(16)}`;
      this.add(`${name}=${text}`);
    }
  }

  dec8(name: string, value: number, mask: number): void {
    if (mask !== 0) {
      const text =
        mask === 0xff ? String(value) : `${formatHexPadded(value, 2)}/${formatHexPadded(mask, 2)}`;
      this.add(`${name}=${text}`);
    }
  }

  /** Decimal, or eight hex digits with a partial mask. */
  dec32(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    const v = this.flow[slot.word] as number;
    if (mask !== 0) {
      const text =
        mask === 0xffffffff ? String(v) : `${formatHexPadded(v, 8)}/${formatHexPadded(mask, 8)}`;
      this.add(`${name}=${text}`);
    }
  }

  /** 0x and hex digits, zero as 0x0. */
  plainHex32(name: string, value: number, mask: number): void {
    if (mask !== 0) {
      const v = formatHexPadded(value, 1);
      const text = mask === 0xffffffff ? v : `${v}/${formatHexPadded(mask, 1)}`;
      this.add(`${name}=${text}`);
    }
  }

  mac(name: string, slot: Slot): void {
    const w = slot.word;
    const hi = this.wc[w] as number;
    const lo = this.wc[w + 1] as number;
    if ((hi | lo) !== 0) {
      const v = formatMacMasked(this.flow[w] as number, this.flow[w + 1] as number, hi, lo);
      this.add(`${name}=${v}`);
    }
  }

  ipv4(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    if (mask !== 0) {
      this.add(`${name}=${formatIpv4Masked(this.flow[slot.word] as number, mask)}`);
    }
  }

  ipv6(name: string, slot: Slot): void {
    if (!isZero(this.wc, slot)) {
      this.add(`${name}=${formatIpv6Masked(this.flow, this.wc, slot.word)}`);
    }
  }
}

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

function formatTunnel(p: Parts, m: Match): void {
  const { flow, wc } = p;
  p.hex64("tun_id", K.tun_id);
  p.ipv4("tun_src", K.tun_src);
  p.ipv4("tun_dst", K.tun_dst);
  p.ipv6("tun_ipv6_src", K.tun_ipv6_src);
  p.ipv6("tun_ipv6_dst", K.tun_ipv6_dst);
  p.dec16("tun_gbp_id", K.tun_gbp_id);
  if (get(wc, K.tun_gbp_flags) !== 0) {
    p.add(`tun_gbp_flags=${formatAltHex(get(flow, K.tun_gbp_flags))}`);
  }
  if (get(wc, K.tun_tos) !== 0) {
    p.add(`tun_tos=${get(flow, K.tun_tos).toString(16)}`);
  }
  if (get(wc, K.tun_ttl) !== 0) {
    p.add(`tun_ttl=${get(flow, K.tun_ttl)}`);
  }
  formatErspan(p);
  if (get(wc, K.tun_gtpu_flags) !== 0) {
    p.add(`gtpu_flags=${formatAltHex(get(flow, K.tun_gtpu_flags))}`);
  }
  if (get(wc, K.tun_gtpu_msgtype) !== 0) {
    p.add(`gtpu_msgtype=${get(flow, K.tun_gtpu_msgtype)}`);
  }
  const flagsMask = get(wc, K.tun_flags) & TUN_FLAGS.MASK;
  if (flagsMask !== 0) {
    const flags = get(flow, K.tun_flags) & TUN_FLAGS.MASK;
    const text = formatFlagsMasked(TUN_FLAG_NAMES, flags, flagsMask, TUN_FLAGS.MASK);
    p.add(`tun_flags=${text}`);
  }
  if (!isZero(wc, K.tun_md_present)) {
    formatTunMetadata(p, m);
  }
}

function formatErspan(p: Parts): void {
  const { flow, wc } = p;
  const ver = get(flow, K.tun_erspan_ver);
  if (get(wc, K.tun_erspan_ver) !== 0) {
    p.add(`tun_erspan_ver=${ver}`);
  }
  if (get(wc, K.tun_erspan_idx) !== 0 && ver === 1) {
    p.add(`tun_erspan_idx=${formatAltHex(get(flow, K.tun_erspan_idx))}`);
  }
  if (get(wc, K.tun_erspan_dir) !== 0 && ver === 2) {
    p.add(`tun_erspan_dir=${get(flow, K.tun_erspan_dir)}`);
  }
  if (get(wc, K.tun_erspan_hwid) !== 0 && ver === 2) {
    p.add(`tun_erspan_hwid=${formatAltHex(get(flow, K.tun_erspan_hwid))}`);
  }
}

function bytesHex(b: Uint8Array): string {
  let i = 0;
  while (i < b.length && b[i] === 0) {
    i++;
  }
  if (i === b.length) {
    return "0";
  }
  let s = `0x${(b[i] as number).toString(16)}`;
  for (i++; i < b.length; i++) {
    s += (b[i] as number).toString(16).padStart(2, "0");
  }
  return s;
}

function formatTunMetadata(p: Parts, m: Match): void {
  if (m.tab === null && m.tunMd === null) {
    return;
  }
  for (let i = 0; i < TUN_METADATA_COUNT; i++) {
    if (!tunMdPresent(p.wc, i)) {
      continue;
    }
    const place = tunMdLocOf(m, i);
    if (place === null) {
      continue;
    }
    if (!tunMdPresent(p.flow, i)) {
      p.add(`tun_metadata${i}=NP`);
      continue;
    }
    const mask = readTunMd(p.wc, place.loc);
    if (place.masked && mask.every((b) => b === 0)) {
      p.add(`tun_metadata${i}`);
      continue;
    }
    const exact = mask.every((b) => b === 0xff);
    const value = bytesHex(readTunMd(p.flow, place.loc));
    p.add(`tun_metadata${i}=${value}${exact ? "" : `/${bytesHex(mask)}`}`);
  }
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
