// Frame to flow key, by hand for speed: the offsets come from the packet layer's header tables and
// the places in the key from the slot table, so neither is repeated here.
//
// Everything is exactly as far looked at as Open vSwitch looks: a header that is cut or wrong ends
// the extraction and leaves the fields behind it 0. Side effect: the header offsets and the
// padding in the packet are set anew. Nothing is allocated and no frame throws.
//
// ovs: lib/flow.c miniflow_extract and its helpers.

import { getU16, getU32 } from "../lib/bytes.ts";
import { assert } from "../lib/errors.ts";
import { ARP, ETH, ETH_TYPE, isEthTypeMpls, isEthTypeVlan, LLC_SNAP } from "../packet/ethernet.ts";
import {
  IP_PROTO,
  IPV4,
  IPV6,
  IPV6_FRAG,
  ipv4NwFrag,
  ipv6ExtBytes,
  isIpv6Ext,
  NW_FRAG,
} from "../packet/ip.ts";
import { MPLS } from "../packet/mpls.ts";
import { NSH, nshBytes, nshFlags, nshTtl, nshVersion } from "../packet/nsh.ts";
import { type PacketBuf, type PacketMetadata, PT } from "../packet/packet.ts";
import { VLAN, VLAN_CFI } from "../packet/vlan.ts";
import { extractL4 } from "./extract-l4.ts";
import type { FlowKey } from "./flow-key.ts";
import { K, MPLS_LSE_COUNT, type Slot, VLAN_HEADER_COUNT } from "./slots.ts";

/** Why an extraction ended early; OK also for packets of unknown protocols. */
export const EXTRACT = {
  OK: 0,
  IPV4_TOO_SHORT: 1,
  IPV4_LEN_ERROR: 2,
  IPV6_TOO_SHORT: 3,
  IPV6_LEN_ERROR: 4,
} as const;

/** In `tun_flags`: `tun_md_opts` holds raw Geneve options, `tun_md_present` their length. */
export const TNL_F_UDPIF = 0x10;

/** Padding longer than this does not fit its 16-bit field. */
const PAD_BYTES_MAX = 0xffff;

// Words of the key that are written whole.
const W_PACKET_TYPE = K.packet_type.word;
const W_DL_DST = K.dl_dst.word;
const W_DL_SRC = K.dl_src.word;
const W_DL_TYPE = K.dl_type.word;
const S_DL_TYPE = K.dl_type.shift;
const W_VLAN = K.vlan_tpid.word;
const W_LSE = K.mpls_lse.word;
const W_NW_SRC = K.nw_src.word;
const W_NW_DST = K.nw_dst.word;
const W_IPV6_SRC = K.ipv6_src.word;
const W_IPV6_DST = K.ipv6_dst.word;
const W_LABEL = K.ipv6_label.word;
/** nw_frag, nw_tos, nw_ttl, nw_proto from the top. */
const W_NW = K.nw_frag.word;
const W_ARP_SHA = K.arp_sha.word;
const W_ARP_THA = K.arp_tha.word;
/** ct_state, ct_nw_proto, ct_zone. */
const W_CT = K.ct_state.word;
const S_CT_PROTO = K.ct_nw_proto.shift;
const W_CT_LABEL = K.ct_label.word;
/** Both ports, and those of the original tuple. */
const W_TP = K.tp_src.word;
const W_CT_TP = K.ct_tp_src.word;
const W_TUN_MD = K.tun_md_present.word;
const W_TUN_OPTS = K.tun_md_opts.word;

function at(slot: Slot, word: number, shift: number): boolean {
  return slot.word === word && slot.shift === shift;
}

// The slots that are written together must lie as this file believes.
assert(at(K.nw_tos, W_NW, 16) && at(K.nw_ttl, W_NW, 8) && at(K.nw_proto, W_NW, 0), "nw slots");
assert(at(K.ct_zone, W_CT, 0) && K.ct_nw_proto.word === W_CT, "ct slots");
assert(at(K.vlan_tpid, W_VLAN, 16) && at(K.vlan_tci, W_VLAN, 0), "vlan slots");
assert(at(K.vlan_tpid1, W_VLAN + 1, 16) && at(K.vlan_tci1, W_VLAN + 1, 0), "vlan1 slots");
assert(at(K.nsh_flags, K.nsh_np.word, 24) && at(K.nsh_np, K.nsh_np.word, 0), "nsh slots");
assert(K.tun_dst.word === 0, "the tunnel slots come first");

/**
 * Fills a key from a packet and its metadata. `vlanLimit` is how many VLAN headers are parsed, at
 * most VLAN_HEADER_COUNT. Returns one of EXTRACT.
 */
export function extract(p: PacketBuf, key: FlowKey, vlanLimit: number = VLAN_HEADER_COUNT): number {
  key.fill(0);
  putMetadata(p.md, key);
  key[W_PACKET_TYPE] = p.packetType;
  p.resetOffsets();
  let pos = p.start;
  if (p.packetType === PT.ETH) {
    if (p.end - pos < ETH.HEADER_BYTES) {
      return EXTRACT.OK;
    }
    pos = extractEth(p, key, vlanLimit);
  } else {
    key[W_DL_TYPE] = (p.packetType & 0xffff) << S_DL_TYPE;
  }
  const dlType = ((key[W_DL_TYPE] as number) >>> S_DL_TYPE) & 0xffff;
  if (isEthTypeMpls(dlType)) {
    p.l25Ofs = pos - p.start;
    pos = extractMpls(p, key, pos);
  }
  p.l3Ofs = pos - p.start;
  switch (dlType) {
    case ETH_TYPE.IP:
      return extractIpv4(p, key, pos);
    case ETH_TYPE.IPV6:
      return extractIpv6(p, key, pos);
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      extractArp(p, key, pos);
      return EXTRACT.OK;
    case ETH_TYPE.NSH:
      extractNsh(p, key, pos);
      return EXTRACT.OK;
    default:
      return EXTRACT.OK;
  }
}

const W_SKB_PRIORITY = K.skb_priority.word;
const W_PKT_MARK = K.pkt_mark.word;
const W_DP_HASH = K.dp_hash.word;
const W_IN_PORT = K.in_port.word;
const W_RECIRC_ID = K.recirc_id.word;

function putMetadata(md: PacketMetadata, key: FlowKey): void {
  if (md.tunnelled) {
    for (let i = 0; i < W_TUN_MD; i++) {
      key[i] = md.tnl[i] as number;
    }
    const n = md.geneveBytes;
    if (n > 0) {
      key[K.tun_flags.word] =
        (key[K.tun_flags.word] as number) | (TNL_F_UDPIF << K.tun_flags.shift);
      key[W_TUN_MD + 1] = n;
      // Options come in units of four bytes.
      for (let i = 0; i < n; i += 4) {
        key[W_TUN_OPTS + (i >> 2)] = getU32(md.geneve, i);
      }
    }
  }
  key[W_SKB_PRIORITY] = md.skbPriority;
  key[W_PKT_MARK] = md.pktMark;
  key[W_DP_HASH] = md.dpHash;
  key[W_IN_PORT] = md.inPort;
  key[W_RECIRC_ID] = md.recircId;
  if (md.ctState !== 0) {
    putCtState(md, key);
  }
}

function putCtState(md: PacketMetadata, key: FlowKey): void {
  key[W_CT] = (md.ctState << K.ct_state.shift) | md.ctZone;
  key[K.ct_mark.word] = md.ctMark;
  key[W_CT_LABEL] = md.ctLabel[0] as number;
  key[W_CT_LABEL + 1] = md.ctLabel[1] as number;
  key[W_CT_LABEL + 2] = md.ctLabel[2] as number;
  key[W_CT_LABEL + 3] = md.ctLabel[3] as number;
}

/** The original tuple of a tracked packet, but for its ports, which it answers. */
function putCtTuple(md: PacketMetadata, key: FlowKey): number {
  key[W_CT] = (key[W_CT] as number) | (md.ctOrigProto << S_CT_PROTO);
  if (md.ctOrigIpv6) {
    for (let i = 0; i < 4; i++) {
      key[K.ct_ipv6_src.word + i] = md.ctOrigAddr[i] as number;
      key[K.ct_ipv6_dst.word + i] = md.ctOrigAddr[4 + i] as number;
    }
  } else {
    key[K.ct_nw_src.word] = md.ctOrigAddr[0] as number;
    key[K.ct_nw_dst.word] = md.ctOrigAddr[4] as number;
  }
  return (md.ctOrigTpSrc << 16) | md.ctOrigTpDst;
}

/**
 * The key of a packet that nothing has changed since its key was `before` but connection tracking
 * and recirculation. False if it has to be extracted: only those are taken here whose transport
 * header has certainly been read, and that had not been tracked.
 */
export function extractTracked(p: PacketBuf, before: FlowKey, key: FlowKey): boolean {
  const { md } = p;
  const dlType = (before[W_DL_TYPE] as number) >>> S_DL_TYPE;
  const v6 = dlType === ETH_TYPE.IPV6;
  const nw = before[W_NW] as number;
  if (
    (!v6 && dlType !== ETH_TYPE.IP) ||
    nw >>> 24 !== 0 ||
    (nw & 0xff) === IP_PROTO.ICMPV6 ||
    before[W_TP] === 0 ||
    before[W_CT] !== 0 ||
    md.ctState === 0
  ) {
    return false;
  }
  key.set(before);
  key[W_RECIRC_ID] = md.recircId;
  putCtState(md, key);
  if (md.ctOrigProto !== 0 && md.ctOrigIpv6 === v6) {
    key[W_CT_TP] = putCtTuple(md, key);
  }
  return true;
}

/** Addresses, VLAN headers and the Ethertype; returns where the next header starts. */
function extractEth(p: PacketBuf, key: FlowKey, vlanLimit: number): number {
  const b = p.bytes;
  let pos = p.start;
  key[W_DL_DST] = getU16(b, pos);
  key[W_DL_DST + 1] = getU32(b, pos + 2);
  key[W_DL_SRC] = getU16(b, pos + ETH.SRC);
  key[W_DL_SRC + 1] = getU32(b, pos + ETH.SRC + 2);
  pos += ETH.TYPE;
  let type = getU16(b, pos);
  const limit = Math.min(vlanLimit, VLAN_HEADER_COUNT);
  for (let n = 0; n < limit && isEthTypeVlan(type); n++) {
    // The header and the type behind it must be there.
    if (p.end - pos < VLAN.HEADER_BYTES + 2) {
      break;
    }
    key[W_VLAN + n] = getU32(b, pos) | VLAN_CFI;
    pos += VLAN.HEADER_BYTES;
    type = getU16(b, pos);
  }
  pos += 2;
  if (type < ETH_TYPE.MIN) {
    const snap = snapType(b, pos, p.end);
    pos += snap >= 0 ? LLC_SNAP.BYTES : 0;
    type = snap >= ETH_TYPE.MIN ? snap : ETH_TYPE.NONE;
  }
  key[W_DL_TYPE] = type << S_DL_TYPE;
  return pos;
}

/** The type in a SNAP header, or -1 if there is none. */
function snapType(b: Uint8Array, pos: number, end: number): number {
  if (
    end - pos < LLC_SNAP.BYTES ||
    b[pos] !== LLC_SNAP.DSAP ||
    b[pos + 1] !== LLC_SNAP.SSAP ||
    b[pos + 2] !== LLC_SNAP.CNTL ||
    (getU32(b, pos + 2) & 0xffffff) !== 0
  ) {
    return -1;
  }
  return getU16(b, pos + LLC_SNAP.TYPE);
}

function extractMpls(p: PacketBuf, key: FlowKey, start: number): number {
  let pos = start;
  for (let n = 0; p.end - pos >= MPLS.LSE_BYTES; n++) {
    const lse = getU32(p.bytes, pos);
    if (n < MPLS_LSE_COUNT) {
      key[W_LSE + n] = lse;
    }
    pos += MPLS.LSE_BYTES;
    if ((lse & MPLS.BOS_MASK) !== 0) {
      break;
    }
  }
  return pos;
}

function extractIpv4(p: PacketBuf, key: FlowKey, pos: number): number {
  const b = p.bytes;
  const size = p.end - pos;
  if (size < IPV4.HEADER_BYTES) {
    return EXTRACT.IPV4_TOO_SHORT;
  }
  const headerBytes = ((b[pos] as number) & 15) * 4;
  const totLen = getU16(b, pos + IPV4.TOT_LEN);
  if (
    headerBytes < IPV4.HEADER_BYTES ||
    size < headerBytes ||
    totLen > size ||
    headerBytes > totLen ||
    size - totLen > PAD_BYTES_MAX
  ) {
    return EXTRACT.IPV4_LEN_ERROR;
  }
  p.l2PadBytes = size - totLen;
  key[W_NW_SRC] = getU32(b, pos + IPV4.SRC);
  key[W_NW_DST] = getU32(b, pos + IPV4.DST);
  const md = p.md;
  let ctPorts = 0;
  if (md.ctState !== 0 && !md.ctOrigIpv6 && md.ctOrigProto !== 0) {
    ctPorts = putCtTuple(md, key);
  }
  const frag = ipv4NwFrag(getU16(b, pos + IPV4.FRAG_OFF));
  const proto = b[pos + IPV4.PROTO] as number;
  key[W_NW] =
    (frag << 24) |
    ((b[pos + IPV4.TOS] as number) << 16) |
    ((b[pos + IPV4.TTL] as number) << 8) |
    proto;
  const l4 = pos + headerBytes;
  p.l4Ofs = l4 - p.start;
  if ((frag & NW_FRAG.LATER) === 0) {
    extractL4(b, key, l4, totLen - headerBytes, proto, ctPorts);
  }
  return EXTRACT.OK;
}

function extractIpv6(p: PacketBuf, key: FlowKey, pos: number): number {
  const b = p.bytes;
  const size = p.end - pos;
  if (size < IPV6.HEADER_BYTES) {
    return EXTRACT.IPV6_TOO_SHORT;
  }
  const plen = getU16(b, pos + IPV6.PLEN);
  const pad = size - IPV6.HEADER_BYTES - plen;
  if (pad < 0 || pad > PAD_BYTES_MAX) {
    return EXTRACT.IPV6_LEN_ERROR;
  }
  p.l2PadBytes = pad;
  for (let i = 0; i < 4; i++) {
    key[W_IPV6_SRC + i] = getU32(b, pos + IPV6.SRC + 4 * i);
    key[W_IPV6_DST + i] = getU32(b, pos + IPV6.DST + 4 * i);
  }
  const md = p.md;
  let ctPorts = 0;
  if (md.ctState !== 0 && md.ctOrigIpv6 && md.ctOrigProto !== 0) {
    ctPorts = putCtTuple(md, key);
  }
  const tcFlow = getU32(b, pos);
  const hlim = b[pos + IPV6.HLIM] as number;
  let proto = b[pos + IPV6.NEXT] as number;
  let frag = 0;
  let l4 = pos + IPV6.HEADER_BYTES;
  const end = l4 + plen;
  while (isIpv6Ext(proto)) {
    if (end - l4 < IPV6_FRAG.BYTES) {
      return EXTRACT.OK;
    }
    const bytes = ipv6ExtBytes(proto, b, l4);
    const isFrag = proto === IP_PROTO.FRAGMENT;
    proto = b[l4] as number;
    if (bytes > end - l4) {
      return EXTRACT.OK;
    }
    const offlg = isFrag ? getU16(b, l4 + IPV6_FRAG.OFFLG) : 0;
    l4 += bytes;
    if (offlg !== 0) {
      frag = NW_FRAG.ANY;
      if ((offlg & IPV6_FRAG.OFS_MASK) !== 0) {
        frag |= NW_FRAG.LATER;
        proto = IP_PROTO.FRAGMENT;
        break;
      }
    }
  }
  key[W_LABEL] = tcFlow & IPV6.LABEL_MASK;
  key[W_NW] = (frag << 24) | (((tcFlow >>> 20) & 0xff) << 16) | (hlim << 8) | proto;
  p.l4Ofs = l4 - p.start;
  if ((frag & NW_FRAG.LATER) === 0) {
    extractL4(b, key, l4, end - l4, proto, ctPorts);
  }
  return EXTRACT.OK;
}

function extractArp(p: PacketBuf, key: FlowKey, pos: number): void {
  const b = p.bytes;
  if (
    p.end - pos < ARP.BYTES ||
    getU16(b, pos + ARP.HRD) !== ARP.HRD_ETHERNET ||
    getU16(b, pos + ARP.PRO) !== ETH_TYPE.IP ||
    b[pos + ARP.HLN] !== ETH.ADDR_BYTES ||
    b[pos + ARP.PLN] !== 4
  ) {
    return;
  }
  key[W_NW_SRC] = getU32(b, pos + ARP.SPA);
  key[W_NW_DST] = getU32(b, pos + ARP.TPA);
  const op = getU16(b, pos + ARP.OP);
  if (op <= 0xff) {
    key[W_NW] = op;
  }
  key[W_ARP_SHA] = getU16(b, pos + ARP.SHA);
  key[W_ARP_SHA + 1] = getU32(b, pos + ARP.SHA + 2);
  key[W_ARP_THA] = getU16(b, pos + ARP.THA);
  key[W_ARP_THA + 1] = getU32(b, pos + ARP.THA + 2);
}

function extractNsh(p: PacketBuf, key: FlowKey, pos: number): void {
  const b = p.bytes;
  const size = p.end - pos;
  if (size < NSH.BASE_BYTES) {
    return;
  }
  const word = getU16(b, pos);
  const bytes = nshBytes(word);
  const mdType = b[pos + NSH.MD_TYPE] as number;
  if (bytes > size || nshVersion(word) !== 0) {
    return;
  }
  if (mdType === NSH.MD_TYPE1 && bytes !== NSH.MD1_BYTES) {
    return;
  }
  if (mdType === NSH.MD_TYPE2 && bytes < NSH.BASE_BYTES) {
    return;
  }
  key[K.nsh_flags.word] =
    (nshFlags(word) << 24) |
    (nshTtl(word) << 16) |
    (mdType << 8) |
    (b[pos + NSH.NEXT_PROTO] as number);
  key[K.nsh_path_hdr.word] = getU32(b, pos + NSH.PATH_HDR);
  if (mdType === NSH.MD_TYPE1) {
    for (let i = 0; i < 4; i++) {
      key[K.nsh_c1.word + i] = getU32(b, pos + NSH.CONTEXT + 4 * i);
    }
  }
}
