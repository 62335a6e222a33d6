// Native tunnels: putting tunnel headers on packets and taking them off.
//
// The header to push comes ready from translation (`tnl_push(header(...))`); here lengths,
// checksums, sequence numbers and the UDP source port, which spreads flows, are filled in. What is
// popped becomes the packet's tunnel metadata. Packets whose header is wrong are refused.
// ovs: lib/netdev-native-tnl.c.

import { TNL_F_UDPIF } from "../flow/extract.ts";
import { get, K, set } from "../flow/flow-key.ts";
import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { csum, csumContinue, csumFinish, recalcCsum16 } from "../lib/checksum.ts";
import { formatAltHex } from "../lib/number.ts";
import { ETH, ETH_TYPE } from "../packet/ethernet.ts";
import { IPV4, IPV6, ipv4PseudoCsum, ipv6PseudoCsum } from "../packet/ip.ts";
import { fixZeroUdpCsum, UDP } from "../packet/l4.ts";
import { NO_OFS, type PacketBuf, PT, ptOfEthertype } from "../packet/packet.ts";
import {
  ERSPAN,
  GENEVE,
  GRE,
  GTPU,
  VXLAN,
  VXLAN_F,
  VXLAN_GPE_NP,
} from "../packet/tunnel-header.ts";
import { TNL_F } from "../flow/flow-is.ts";
import { VPORT_TYPE } from "./odp-action.ts";

/** Kinds of tunnels that the datapath pushes and pops itself. */
export type NativeTunnel = "vxlan" | "geneve" | "gre" | "erspan" | "gtpu";

/** UDP source ports of tunnels (ovs: tnl_udp_port_min, tnl_udp_port_max). */
export interface SourcePorts {
  min: number;
  max: number;
}

/** What a tunnel device keeps between packets. */
export interface TunnelState {
  /** The next sequence number. */
  seq: number;
  readonly setSeq: boolean;
}

const MAC_HEADER = ETH.HEADER_BYTES;
const ERSPAN_GRE_BYTES = 8;
const GTPU_OPT_BYTES = 4;
const GENEVE_VER_SHIFT = 6;

/**
 * Pushes a header and starts the packet's metadata over. `nowMs` is for time stamps.
 */
export function pushTunnelHeader(
  p: PacketBuf,
  header: Uint8Array,
  tnlType: number,
  env: { readonly state: TunnelState; readonly ports: SourcePorts; readonly nowMs: number },
): void {
  const innerBytes = p.size;
  pushIpHeader(p, header);
  const b = p.bytes;
  const l4 = p.l4();
  const l4Bytes = p.end - l4;
  switch (tnlType) {
    case VPORT_TYPE.gre:
    case VPORT_TYPE.ip6gre:
      finishGre(b, l4, l4Bytes, env.state);
      break;
    case VPORT_TYPE.erspan:
    case VPORT_TYPE.ip6erspan:
      putU32(b, l4 + GRE.BASE_BYTES, env.state.seq++);
      if (getU16(b, l4 + GRE.PROTO) === ETH_TYPE.ERSPAN2) {
        putU32(b, l4 + ERSPAN_GRE_BYTES + ERSPAN.BASE_BYTES, env.nowMs * 10);
      }
      break;
    case VPORT_TYPE.gtpu:
      finishUdp(p, l4, l4Bytes, env.ports);
      udpCsum(p, l4);
      finishGtpu(b, l4 + UDP.HEADER_BYTES, innerBytes, env.state);
      break;
    default:
      finishUdp(p, l4, l4Bytes, env.ports);
      if (getU16(b, l4 + UDP.CSUM) !== 0) {
        udpCsum(p, l4);
      }
  }
}

/** Ethernet and IP header with their lengths; finds the transport layer. */
function pushIpHeader(p: PacketBuf, header: Uint8Array): void {
  p.pushBytes(header);
  p.packetType = PT.ETH;
  p.resetOffsets();
  p.l3Ofs = MAC_HEADER;
  const b = p.bytes;
  const ip = p.l3();
  const bytes = p.size - MAC_HEADER;
  if (isIpv6(p)) {
    putU16(b, ip + IPV6.PLEN, bytes - IPV6.HEADER_BYTES);
    p.l4Ofs = MAC_HEADER + IPV6.HEADER_BYTES;
  } else {
    putU16(b, ip + IPV4.TOT_LEN, bytes);
    putU16(b, ip + IPV4.CSUM, recalcCsum16(getU16(b, ip + IPV4.CSUM), 0, bytes));
    p.l4Ofs = MAC_HEADER + IPV4.HEADER_BYTES;
  }
}

function isIpv6(p: PacketBuf): boolean {
  return getU16(p.bytes, p.start + ETH.TYPE) === ETH_TYPE.IPV6;
}

function pseudoCsum(p: PacketBuf): number {
  return isIpv6(p) ? ipv6PseudoCsum(p.bytes, p.l3()) : ipv4PseudoCsum(p.bytes, p.l3());
}

/** Source port and length. */
function finishUdp(p: PacketBuf, udp: number, bytes: number, ports: SourcePorts): void {
  const spread = Math.floor(((p.rssHash >>> 0) * (ports.max - ports.min)) / 0x100000000);
  putU16(p.bytes, udp + UDP.SRC, spread + ports.min);
  putU16(p.bytes, udp + UDP.LEN, bytes);
}

function udpCsum(p: PacketBuf, udp: number): void {
  const b = p.bytes;
  // The header carries all ones here, which do not change the sum.
  putU16(b, udp + UDP.CSUM, csumFinish(csumContinue(pseudoCsum(p), b, udp, p.end)));
  fixZeroUdpCsum(b, udp);
}

function greBytes(flags: number): number {
  const words =
    ((flags & GRE.F_CSUM) !== 0 ? 1 : 0) +
    ((flags & GRE.F_KEY) !== 0 ? 1 : 0) +
    ((flags & GRE.F_SEQ) !== 0 ? 1 : 0);
  return GRE.BASE_BYTES + 4 * words;
}

function finishGre(b: Uint8Array, gre: number, bytes: number, state: TunnelState): void {
  const flags = getU16(b, gre);
  if ((flags & GRE.F_CSUM) !== 0) {
    putU16(b, gre + GRE.BASE_BYTES, csum(b, gre, gre + bytes));
  }
  if ((flags & GRE.F_SEQ) !== 0) {
    putU32(b, gre + greBytes(flags) - 4, state.seq++);
  }
}

function finishGtpu(b: Uint8Array, gtpu: number, innerBytes: number, state: TunnelState): void {
  let bytes = innerBytes;
  if (state.setSeq) {
    putU16(b, gtpu + GTPU.HEADER_BYTES, state.seq++);
    bytes += GTPU_OPT_BYTES;
  }
  putU16(b, gtpu + GTPU.LEN, bytes);
}

/** Told why packets are dropped, as far as Open vSwitch's log says so. */
export type TunnelWarning = (text: string) => void;

/** Takes the outer headers off. False: the packet is to be dropped. */
export function popTunnelHeader(
  p: PacketBuf,
  type: NativeTunnel,
  warn: TunnelWarning | null = null,
): boolean {
  const md = p.md;
  md.initTunnel();
  if (p.l3Ofs === NO_OFS || p.l4Ofs === NO_OFS || !popIp(p, warn)) {
    return false;
  }
  if (!popOuter(p, type, warn)) {
    return false;
  }
  p.rssValid = false;
  md.conn = null;
  md.tunnelled = true;
  return true;
}

function popOuter(p: PacketBuf, type: NativeTunnel, warn: TunnelWarning | null): boolean {
  switch (type) {
    case "vxlan":
      return popVxlan(p, warn);
    case "geneve":
      return popGeneve(p, warn);
    case "gtpu":
      return popGtpu(p, warn);
    case "gre":
      return popGre(p);
    case "erspan":
      return popErspan(p, warn);
  }
}

/** Addresses, TOS and TTL of the outer IP header (ovs: netdev_tnl_ip_extract_tnl_md). */
function popIp(p: PacketBuf, warn: TunnelWarning | null): boolean {
  const b = p.bytes;
  const ip = p.l3();
  const tnl = p.md.tnl;
  const l3Bytes = p.size - p.l3Ofs;
  const version = (b[ip] as number) >>> 4;
  if (version === 4) {
    const headerBytes = ((b[ip] as number) & 15) * 4;
    const totalBytes = getU16(b, ip + IPV4.TOT_LEN);
    if (csum(b, ip, ip + headerBytes) !== 0) {
      warn?.("ip packet has invalid checksum");
      return false;
    }
    if (totalBytes > l3Bytes) {
      warn?.(`ip packet is truncated (IP length ${totalBytes}, actual ${l3Bytes})`);
      return false;
    }
    if (headerBytes > IPV4.HEADER_BYTES) {
      warn?.(`ip options not supported on tunnel packets (${headerBytes} bytes)`);
      return false;
    }
    tnl[K.tun_src.word] = getU32(b, ip + IPV4.SRC);
    tnl[K.tun_dst.word] = getU32(b, ip + IPV4.DST);
    set(tnl, K.tun_tos, b[ip + IPV4.TOS] as number);
    set(tnl, K.tun_ttl, b[ip + IPV4.TTL] as number);
    return true;
  }
  if (version !== 6) {
    warn?.(`ipv4 packet has invalid version (${version})`);
    return false;
  }
  for (let i = 0; i < 4; i++) {
    tnl[K.tun_ipv6_src.word + i] = getU32(b, ip + IPV6.SRC + 4 * i);
    tnl[K.tun_ipv6_dst.word + i] = getU32(b, ip + IPV6.DST + 4 * i);
  }
  set(tnl, K.tun_tos, (getU32(b, ip) >>> 20) & 0xff);
  set(tnl, K.tun_ttl, b[ip + IPV6.HLIM] as number);
  return true;
}

/** Checks and notes the UDP header; it must fit (ovs: udp_extract_tnl_md). */
function popUdp(p: PacketBuf): boolean {
  const b = p.bytes;
  const udp = p.l4();
  const tnl = p.md.tnl;
  if (getU16(b, udp + UDP.CSUM) !== 0) {
    if (csumFinish(csumContinue(pseudoCsum(p), b, udp, p.end)) !== 0) {
      return false;
    }
    addFlags(p, TNL_F.CSUM);
  }
  set(tnl, K.tun_tp_src, getU16(b, udp + UDP.SRC));
  set(tnl, K.tun_tp_dst, getU16(b, udp + UDP.DST));
  return true;
}

function addFlags(p: PacketBuf, flags: number): void {
  set(p.md.tnl, K.tun_flags, get(p.md.tnl, K.tun_flags) | flags);
}

function setTunId(p: PacketBuf, id: number): void {
  p.md.tnl[K.tun_id.word] = 0;
  p.md.tnl[K.tun_id.word + 1] = id;
  addFlags(p, TNL_F.KEY);
}

/** Bytes of the outer headers up to the transport layer, as Open vSwitch reckons them. */
function outerBytes(p: PacketBuf): number {
  return MAC_HEADER + (p.l4Ofs - p.l3Ofs);
}

function popVxlan(p: PacketBuf, warn: TunnelWarning | null): boolean {
  const b = p.bytes;
  const headerBytes = UDP.HEADER_BYTES + VXLAN.HEADER_BYTES;
  if (p.l4Bytes() < headerBytes || !popUdp(p)) {
    return false;
  }
  const vxlan = p.l4() + UDP.HEADER_BYTES;
  let flags = getU32(b, vxlan);
  let next: number = PT.ETH;
  if ((flags & VXLAN_F.GPE_P) !== 0) {
    if ((flags & VXLAN_F.GPE_O) !== 0) {
      return false;
    }
    const type = gpePacketType(flags & VXLAN_F.GPE_NEXT_MASK);
    if (type === undefined) {
      return false;
    }
    next = type;
    flags = (flags & ~VXLAN_F.GPE_USED_BITS) >>> 0;
  }
  const vni = getU32(b, vxlan + VXLAN.VNI);
  if (flags !== VXLAN_F.I || (vni & 0xff) !== 0) {
    warn?.(`invalid vxlan flags=${formatAltHex(getU32(b, vxlan))} vni=${formatAltHex(vni)}`);
    return false;
  }
  setTunId(p, vni >>> 8);
  p.packetType = next;
  p.resetPacket(outerBytes(p) + headerBytes);
  if (next !== PT.ETH) {
    p.l3Ofs = 0;
  }
  return true;
}

function gpePacketType(np: number): number | undefined {
  switch (np) {
    case VXLAN_GPE_NP.IPV4:
      return PT.IPV4;
    case VXLAN_GPE_NP.IPV6:
      return PT.IPV6;
    case VXLAN_GPE_NP.NSH:
      return PT.NSH;
    case VXLAN_GPE_NP.ETHERNET:
      return PT.ETH;
    default:
      return undefined;
  }
}

function popGeneve(p: PacketBuf, warn: TunnelWarning | null): boolean {
  const b = p.bytes;
  const baseBytes = UDP.HEADER_BYTES + GENEVE.BASE_BYTES;
  if (p.l4Bytes() < baseBytes) {
    const sizes = `min header=${baseBytes} packet size=${p.l4Bytes()}`;
    warn?.(`geneve packet too small: ${sizes}`);
    return false;
  }
  if (!popUdp(p)) {
    return false;
  }
  const gnv = p.l4() + UDP.HEADER_BYTES;
  const verOpt = b[gnv] as number;
  const optBytes = (verOpt & GENEVE.OPTLEN_MASK) * 4;
  const headerBytes = outerBytes(p) + baseBytes + optBytes;
  const proto = getU16(b, gnv + GENEVE.PROTO);
  if (headerBytes > p.size) {
    warn?.(`geneve packet too small: header len=${headerBytes} packet size=${p.size}`);
    return false;
  }
  if ((verOpt & GENEVE.VER_MASK) !== 0) {
    warn?.(`unknown geneve version: ${verOpt >>> GENEVE_VER_SHIFT}`);
    return false;
  }
  if (proto !== ETH_TYPE.TEB) {
    warn?.(`unknown geneve encapsulated protocol: ${formatAltHex(proto)}`);
    return false;
  }
  if (((b[gnv + GENEVE.FLAGS] as number) & GENEVE.F_OAM) !== 0) {
    addFlags(p, TNL_F.OAM);
  }
  setTunId(p, getU32(b, gnv + GENEVE.VNI) >>> 8);
  const opts = gnv + GENEVE.BASE_BYTES;
  p.md.geneve.set(b.subarray(opts, opts + optBytes));
  p.md.geneveBytes = optBytes;
  addFlags(p, TNL_F_UDPIF);
  p.packetType = PT.ETH;
  p.resetPacket(headerBytes);
  return true;
}

function popGtpu(p: PacketBuf, warn: TunnelWarning | null): boolean {
  const b = p.bytes;
  let headerBytes = UDP.HEADER_BYTES + GTPU.HEADER_BYTES;
  if (p.l4Bytes() < headerBytes || !popUdp(p)) {
    return false;
  }
  const gtpu = p.l4() + UDP.HEADER_BYTES;
  const flags = b[gtpu] as number;
  const msgType = b[gtpu + GTPU.MSGTYPE] as number;
  set(p.md.tnl, K.tun_gtpu_flags, flags);
  set(p.md.tnl, K.tun_gtpu_msgtype, msgType);
  p.md.tnl[K.tun_id.word + 1] = getU32(b, gtpu + GTPU.TEID);
  if (msgType !== GTPU.MSGTYPE_GPDU) {
    // Echo requests and the like keep their headers for whoever answers them.
    p.packetType = PT.ETH;
    return true;
  }
  headerBytes += (flags & GTPU.S_MASK) !== 0 ? GTPU_OPT_BYTES : 0;
  headerBytes += outerBytes(p);
  if (headerBytes >= p.size) {
    return false;
  }
  const version = (b[p.start + headerBytes] as number) >>> 4;
  if (version === 4) {
    p.packetType = PT.IPV4;
  } else if (version === 6) {
    p.packetType = PT.IPV6;
  } else {
    warn?.("GTP-U: Receive non-IP packet.");
  }
  p.resetPacket(headerBytes);
  return true;
}

function popGre(p: PacketBuf): boolean {
  const b = p.bytes;
  const gre = p.l4();
  if (p.end - gre < GRE.BASE_BYTES) {
    return false;
  }
  const flags = getU16(b, gre);
  const headerBytes = outerBytes(p) + greBytes(flags);
  if ((flags & ~(GRE.F_CSUM | GRE.F_KEY | GRE.F_SEQ)) !== 0 || headerBytes > p.size) {
    return false;
  }
  let opt = gre + GRE.BASE_BYTES;
  if ((flags & GRE.F_CSUM) !== 0) {
    if (csum(b, gre, p.end) !== 0) {
      return false;
    }
    addFlags(p, TNL_F.CSUM);
    opt += 4;
  }
  if ((flags & GRE.F_KEY) !== 0) {
    setTunId(p, getU32(b, opt));
  }
  const proto = getU16(b, gre + GRE.PROTO);
  if (proto < ETH_TYPE.MIN) {
    return false;
  }
  p.packetType = proto === ETH_TYPE.TEB ? PT.ETH : ptOfEthertype(proto);
  p.resetPacket(headerBytes);
  return true;
}

function popErspan(p: PacketBuf, warn: TunnelWarning | null): boolean {
  const b = p.bytes;
  const gre = p.l4();
  const ersh = gre + ERSPAN_GRE_BYTES;
  if (p.end < ersh + ERSPAN.BASE_BYTES + ERSPAN.INDEX_BYTES) {
    return false;
  }
  const proto = getU16(b, gre + GRE.PROTO);
  if (proto !== ETH_TYPE.ERSPAN1 && proto !== ETH_TYPE.ERSPAN2) {
    return false;
  }
  if ((getU16(b, gre) & ~GRE.F_SEQ) !== 0) {
    return false;
  }
  const tnl = p.md.tnl;
  const version = (b[ersh] as number) >>> 4;
  setTunId(p, getU16(b, ersh + 2) & ERSPAN.SID_MASK);
  set(tnl, K.tun_erspan_ver, version);
  let bytes = outerBytes(p) + ERSPAN_GRE_BYTES + ERSPAN.BASE_BYTES;
  const md = ersh + ERSPAN.BASE_BYTES;
  if (version === ERSPAN.VERSION1) {
    tnl[K.tun_erspan_idx.word] = getU32(b, md);
    bytes += ERSPAN.INDEX_BYTES;
  } else if (version === ERSPAN.VERSION2) {
    // The last two bytes: P, frame type, hardware id, direction, granularity, O.
    const bits = getU16(b, md + 6);
    set(tnl, K.tun_erspan_dir, (bits >>> 3) & 1);
    set(tnl, K.tun_erspan_hwid, (((bits >>> 8) & 3) << 4) | ((bits >>> 4) & 15));
    bytes += ERSPAN.MDATA2_BYTES;
  } else {
    warn?.(`ERSPAN version error ${version}`);
    return false;
  }
  if (bytes > p.size) {
    return false;
  }
  p.resetPacket(bytes);
  return true;
}
