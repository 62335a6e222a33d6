// The headers that a native tunnel puts in front of a packet, as far as they are the same for all
// packets of a flow. Lengths, checksums and the UDP source port come with each packet.
// ovs: lib/netdev-native-tnl.c netdev_vxlan_build_header and its siblings.

import { VPORT_TYPE } from "../datapath/odp-action.ts";
import { GRE_FLAG, TNL_HDR } from "../datapath/odp-text-tnl-push.ts";
import { IP_PROTO, PT, PT_NS_ETHERTYPE, TNL_F } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K } from "../flow/flow-key.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { isMappedIpv4 } from "../lib/address.ts";
import { putU16, putU32 } from "../lib/bytes.ts";
import { csum } from "../lib/checksum.ts";
import { geneveOptions, hasCriticalOption } from "./tunnel-options.ts";
import type { TunnelPort } from "./tunnel-ports.ts";

/** Room for a header (ovs: TNL_PUSH_HEADER_SIZE). */
const HEADER_BYTES_MAX = 512;
const IP_DF = 0x4000;
const VXLAN_F_VNI = 0x08000000;
const VXLAN_F_GPE = 0x0c000000;
const GPE_NP = { IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4 } as const;
const ERSPAN_SID_MAX = 0x3ff;
const ETH_TYPE_ERSPAN1 = 0x88be;
const ETH_TYPE_ERSPAN2 = 0x22eb;
const GTPU = { FLAGS: 0x30, MSGTYPE_GPDU: 255, SEQ: 0x02, OPTION_BYTES: 4 } as const;
/** A value that stands for "compute the checksum". */
const UDP_CSUM_WANTED = 0xffff;

export interface TunnelHeaderParams {
  readonly tunnel: TunnelPort;
  /** The inner packet with the tunnel that it is to get. */
  readonly flow: FlowKey;
  /** 4 words, IPv4 mapped: decides which IP the outer header is. */
  readonly src: Uint32Array;
  readonly dmac: readonly [number, number];
  readonly smac: readonly [number, number];
  readonly table: TunTable;
}

export interface TunnelHeader {
  readonly tnlType: number;
  readonly header: Uint8Array;
  readonly isIpv6: boolean;
}

interface Draft {
  readonly p: TunnelHeaderParams;
  readonly b: Uint8Array;
  readonly isIpv6: boolean;
  /** Where the next header goes. */
  at: number;
}

function putIp(d: Draft, proto: number): void {
  const { b, p } = d;
  const { flow } = p;
  putU16(b, 0, p.dmac[0]);
  putU32(b, 2, p.dmac[1]);
  putU16(b, 6, p.smac[0]);
  putU32(b, 8, p.smac[1]);
  putU16(b, 12, d.isIpv6 ? ETH_TYPE.IPV6 : ETH_TYPE.IP);
  const o = TNL_HDR.ETH_BYTES;
  const tos = get(flow, K.tun_tos);
  if (d.isIpv6) {
    putU32(b, o, ((6 << 28) | (tos << 20)) >>> 0);
    b[o + 6] = proto;
    b[o + 7] = get(flow, K.tun_ttl);
    for (let i = 0; i < 4; i++) {
      putU32(b, o + 8 + 4 * i, p.src[i] as number);
      putU32(b, o + 24 + 4 * i, flow[K.tun_ipv6_dst.word + i] as number);
    }
    d.at = o + TNL_HDR.IPV6_BYTES;
    return;
  }
  b[o] = 0x45;
  b[o + 1] = tos;
  putU16(b, o + 6, (get(flow, K.tun_flags) & TNL_F.DONT_FRAGMENT) !== 0 ? IP_DF : 0);
  b[o + 8] = get(flow, K.tun_ttl);
  b[o + 9] = proto;
  putU32(b, o + 12, p.src[3] as number);
  putU32(b, o + 16, getU(flow, K.tun_dst));
  putU16(b, o + 10, csum(b, o, o + TNL_HDR.IPV4_BYTES));
  d.at = o + TNL_HDR.IPV4_BYTES;
}

function putUdp(d: Draft): void {
  putIp(d, IP_PROTO.UDP);
  putU16(d.b, d.at + 2, d.p.tunnel.cfg.dstPort);
  if (d.isIpv6 || (get(d.p.flow, K.tun_flags) & TNL_F.CSUM) !== 0) {
    putU16(d.b, d.at + 6, UDP_CSUM_WANTED);
  }
  d.at += TNL_HDR.UDP_BYTES;
}

/** The lower 32 bits of the key. */
function keyLow(d: Draft): number {
  return d.p.flow[K.tun_id.word + 1] as number;
}

function gpeProtocol(packetType: number): number | null {
  if (packetType === PT.ETH) {
    return GPE_NP.ETHERNET;
  }
  if (packetType >>> 16 !== PT_NS_ETHERTYPE) {
    return null;
  }
  switch (packetType & 0xffff) {
    case ETH_TYPE.IP:
      return GPE_NP.IPV4;
    case ETH_TYPE.IPV6:
      return GPE_NP.IPV6;
    case ETH_TYPE.NSH:
      return GPE_NP.NSH;
    case ETH_TYPE.TEB:
      return GPE_NP.ETHERNET;
    default:
      return null;
  }
}

function putVxlan(d: Draft): boolean {
  putUdp(d);
  const { gpe } = d.p.tunnel.cfg;
  let flags = VXLAN_F_VNI;
  if (gpe) {
    const np = gpeProtocol(getU(d.p.flow, K.packet_type));
    if (np === null) {
      return false;
    }
    flags = VXLAN_F_GPE | np;
  }
  putU32(d.b, d.at, flags);
  putU32(d.b, d.at + 4, (keyLow(d) << 8) >>> 0);
  d.at += TNL_HDR.VXLAN_BYTES;
  return true;
}

function putGeneve(d: Draft): boolean {
  putUdp(d);
  const { flow, table } = d.p;
  const options = geneveOptions(flow, table) ?? new Uint8Array(0);
  const oam = (get(flow, K.tun_flags) & TNL_F.OAM) !== 0 ? 0x80 : 0;
  d.b[d.at] = options.length / 4;
  d.b[d.at + 1] = oam | (hasCriticalOption(flow, table) ? 0x40 : 0);
  putU16(d.b, d.at + 2, ETH_TYPE.TEB);
  putU32(d.b, d.at + 4, (keyLow(d) << 8) >>> 0);
  d.b.set(options, d.at + TNL_HDR.GENEVE_BYTES);
  d.at += TNL_HDR.GENEVE_BYTES + options.length;
  return true;
}

function putGre(d: Draft): boolean {
  putIp(d, IP_PROTO.GRE);
  const { flow, tunnel } = d.p;
  const pt = getU(flow, K.packet_type);
  if (pt !== PT.ETH && pt >>> 16 !== PT_NS_ETHERTYPE) {
    return false;
  }
  const start = d.at;
  let flags = 0;
  d.at += TNL_HDR.GRE_BYTES;
  if ((get(flow, K.tun_flags) & TNL_F.CSUM) !== 0) {
    flags |= GRE_FLAG.CSUM;
    d.at += 4;
  }
  if (tunnel.cfg.outKeyPresent) {
    flags |= GRE_FLAG.KEY;
    putU32(d.b, d.at, keyLow(d));
    d.at += 4;
  }
  if (tunnel.cfg.setSeq) {
    flags |= GRE_FLAG.SEQ; // counted per packet
    d.at += 4;
  }
  putU16(d.b, start, flags);
  putU16(d.b, start + 2, pt === PT.ETH ? ETH_TYPE.TEB : pt & 0xffff);
  return true;
}

function putErspan(d: Draft): boolean {
  putIp(d, IP_PROTO.GRE);
  const { flow, tunnel } = d.p;
  const { cfg } = tunnel;
  const sid = keyLow(d);
  const ver = cfg.erspanVerFlow ? get(flow, K.tun_erspan_ver) : cfg.erspanVer;
  if (sid > ERSPAN_SID_MAX || (ver !== 1 && ver !== 2)) {
    return false;
  }
  putU16(d.b, d.at, GRE_FLAG.SEQ);
  putU16(d.b, d.at + 2, ver === 1 ? ETH_TYPE_ERSPAN1 : ETH_TYPE_ERSPAN2);
  const o = d.at + TNL_HDR.ERSPAN_GRE_BYTES;
  d.b[o] = ver << 4;
  putU16(d.b, o + 2, sid);
  const md = o + TNL_HDR.ERSPAN_BYTES;
  if (ver === 1) {
    putU32(d.b, md, cfg.erspanIdxFlow ? getU(flow, K.tun_erspan_idx) : cfg.erspanIdx);
    d.at = md + TNL_HDR.ERSPAN_V1_MD_BYTES;
    return true;
  }
  const hwid = cfg.erspanHwidFlow ? get(flow, K.tun_erspan_hwid) : cfg.erspanHwid;
  const dir = cfg.erspanDirFlow ? get(flow, K.tun_erspan_dir) : cfg.erspanDir;
  putU16(d.b, md + 6, ((hwid & 0x3f) << 4) | ((dir & 1) << 3));
  d.at = md + TNL_HDR.ERSPAN_V2_MD_BYTES;
  return true;
}

function putGtpu(d: Draft): boolean {
  putUdp(d);
  const { flow, tunnel } = d.p;
  const flags = get(flow, K.tun_gtpu_flags);
  const msgtype = get(flow, K.tun_gtpu_msgtype);
  const seq = tunnel.cfg.setSeq ? GTPU.SEQ : 0;
  d.b[d.at] = (flags === 0 ? GTPU.FLAGS : flags) | seq;
  d.b[d.at + 1] = msgtype === 0 ? GTPU.MSGTYPE_GPDU : msgtype;
  putU32(d.b, d.at + 4, keyLow(d));
  d.at += TNL_HDR.GTPU_BYTES + (seq !== 0 ? GTPU.OPTION_BYTES : 0);
  return true;
}

/** Null if the tunnel cannot carry the packet. */
export function buildTunnelHeader(p: TunnelHeaderParams): TunnelHeader | null {
  const isIpv6 = !isMappedIpv4(p.src);
  const d: Draft = { p, b: new Uint8Array(HEADER_BYTES_MAX), isIpv6, at: 0 };
  const done = (good: boolean, tnlType: number): TunnelHeader | null =>
    good ? { tnlType, header: d.b.slice(0, d.at), isIpv6 } : null;
  switch (p.tunnel.type) {
    case "vxlan":
      return done(putVxlan(d), VPORT_TYPE.vxlan);
    case "geneve":
      return done(putGeneve(d), VPORT_TYPE.geneve);
    case "gre":
    case "ip6gre":
      return done(putGre(d), isIpv6 ? VPORT_TYPE.ip6gre : VPORT_TYPE.gre);
    case "erspan":
    case "ip6erspan":
      return done(putErspan(d), isIpv6 ? VPORT_TYPE.ip6erspan : VPORT_TYPE.erspan);
    case "gtpu":
      return done(putGtpu(d), VPORT_TYPE.gtpu);
    default:
      return null;
  }
}
