// Ethernet, LLC/SNAP and ARP: offsets, and putting and removing the Ethernet header.
//
//  0                   6                   12    14
// +-------------------+-------------------+-----+----------
// | destination       | source            | type| payload …
// +-------------------+-------------------+-----+----------
//
// A type below ETH_TYPE.MIN is a length; then 802.2 LLC follows, perhaps with SNAP (RFC 1042).
// References: ovs: lib/packets.c push_eth, pop_eth, compose_arp, compose_rarp; RFC 826, RFC 903.

import { getU16, putU16, putU32 } from "../lib/bytes.ts";
import { NO_OFS, type PacketBuf, PT, ptOfEthertype } from "./packet.ts";

/** Byte offsets from the start of the frame. */
export const ETH = { DST: 0, SRC: 6, TYPE: 12, HEADER_BYTES: 14, ADDR_BYTES: 6 } as const;

export const ETH_TYPE = {
  /** Smaller values are lengths. */
  MIN: 0x600,
  IP: 0x0800,
  ARP: 0x0806,
  TEB: 0x6558,
  VLAN_8021Q: 0x8100,
  VLAN_8021AD: 0x88a8,
  IPV6: 0x86dd,
  LACP: 0x8809,
  RARP: 0x8035,
  MPLS: 0x8847,
  MPLS_MCAST: 0x8848,
  NSH: 0x894f,
  ERSPAN1: 0x88be,
  ERSPAN2: 0x22eb,
  CFM: 0x8902,
  LLDP: 0x88cc,
  /** What `dl_type` holds for frames without an Ethertype (ovs: FLOW_DL_TYPE_NONE). */
  NONE: 0x05ff,
} as const;

export function isEthTypeMpls(ethType: number): boolean {
  return ethType === ETH_TYPE.MPLS || ethType === ETH_TYPE.MPLS_MCAST;
}

export function isEthTypeVlan(ethType: number): boolean {
  return ethType === ETH_TYPE.VLAN_8021Q || ethType === ETH_TYPE.VLAN_8021AD;
}

/** LLC and SNAP behind a length: AA AA 03, 00 00 00, then the type. */
export const LLC_SNAP = { ORG: 3, TYPE: 6, BYTES: 8, DSAP: 0xaa, SSAP: 0xaa, CNTL: 3 } as const;

/** ARP for Ethernet and IPv4. */
export const ARP = {
  HRD: 0,
  PRO: 2,
  HLN: 4,
  PLN: 5,
  OP: 6,
  SHA: 8,
  SPA: 14,
  THA: 18,
  TPA: 24,
  BYTES: 28,
  HRD_ETHERNET: 1,
} as const;

export const ARP_OP = { REQUEST: 1, REPLY: 2, RARP: 3 } as const;

/** Writes a MAC, [upper 16, lower 32 bits]. */
export function putMac(b: Uint8Array, at: number, hi: number, lo: number): void {
  putU16(b, at, hi);
  putU32(b, at + 2, lo);
}

export interface EthAddrs {
  readonly dstHi: number;
  readonly dstLo: number;
  readonly srcHi: number;
  readonly srcLo: number;
}

/** Makes the packet an Ethernet header and `payloadBytes` zeros (ovs: eth_compose). */
export function ethCompose(
  p: PacketBuf,
  addrs: EthAddrs,
  ethType: number,
  payloadBytes: number,
): void {
  p.clear();
  const at = p.putZeros(ETH.HEADER_BYTES + payloadBytes);
  putMac(p.bytes, at + ETH.DST, addrs.dstHi, addrs.dstLo);
  putMac(p.bytes, at + ETH.SRC, addrs.srcHi, addrs.srcLo);
  putU16(p.bytes, at + ETH.TYPE, ethType);
  p.packetType = PT.ETH;
  p.l3Ofs = ETH.HEADER_BYTES;
}

/** Puts an Ethernet header before a packet that has none (ovs: push_eth). */
export function pushEth(p: PacketBuf, addrs: EthAddrs): void {
  p.resizeL2(ETH.HEADER_BYTES);
  putMac(p.bytes, p.start + ETH.DST, addrs.dstHi, addrs.dstLo);
  putMac(p.bytes, p.start + ETH.SRC, addrs.srcHi, addrs.srcLo);
  putU16(p.bytes, p.start + ETH.TYPE, p.packetType & 0xffff);
  p.packetType = PT.ETH;
}

/** Removes the Ethernet and all VLAN headers; the network layer must be known (ovs: pop_eth). */
export function popEth(p: PacketBuf): void {
  const increment = p.l25Ofs !== NO_OFS ? p.l25Ofs : p.l3Ofs;
  const ethType = getU16(p.bytes, p.start + increment - 2);
  p.resizeL2(-increment);
  p.packetType = ptOfEthertype(ethType);
}

/** Changes the innermost type of the Ethernet and VLAN headers (ovs: set_ethertype). */
export function setEthertype(p: PacketBuf, ethType: number): void {
  if (!p.isEth() || p.size < ETH.HEADER_BYTES) {
    return;
  }
  if (isEthTypeVlan(getU16(p.bytes, p.start + ETH.TYPE))) {
    const inner = p.l25Ofs !== NO_OFS ? p.l25Ofs : p.l3Ofs;
    putU16(p.bytes, p.start + inner - 2, ethType);
  } else {
    putU16(p.bytes, p.start + ETH.TYPE, ethType);
  }
}

export interface ArpFields {
  readonly op: number;
  readonly shaHi: number;
  readonly shaLo: number;
  readonly thaHi: number;
  readonly thaLo: number;
  readonly spa: number;
  readonly tpa: number;
}

/** Writes an ARP packet at an index of the buffer. */
export function putArp(b: Uint8Array, at: number, f: ArpFields): void {
  putU16(b, at + ARP.HRD, ARP.HRD_ETHERNET);
  putU16(b, at + ARP.PRO, ETH_TYPE.IP);
  b[at + ARP.HLN] = ETH.ADDR_BYTES;
  b[at + ARP.PLN] = 4;
  putU16(b, at + ARP.OP, f.op);
  putMac(b, at + ARP.SHA, f.shaHi, f.shaLo);
  putU32(b, at + ARP.SPA, f.spa);
  putMac(b, at + ARP.THA, f.thaHi, f.thaLo);
  putU32(b, at + ARP.TPA, f.tpa);
}

/** An ARP frame from `sha` to `tha`, or to everybody (ovs: compose_arp). */
export function composeArp(p: PacketBuf, f: ArpFields, broadcast: boolean): void {
  const addrs = {
    dstHi: broadcast ? 0xffff : f.thaHi,
    dstLo: broadcast ? 0xffffffff : f.thaLo,
    srcHi: f.shaHi,
    srcLo: f.shaLo,
  };
  ethCompose(p, addrs, ETH_TYPE.ARP, ARP.BYTES);
  putArp(p.bytes, p.l3(), f);
}

/** A reverse ARP frame that tells switches where a MAC is (ovs: compose_rarp). */
export function composeRarp(p: PacketBuf, hi: number, lo: number): void {
  const addrs = { dstHi: 0xffff, dstLo: 0xffffffff, srcHi: hi, srcLo: lo };
  ethCompose(p, addrs, ETH_TYPE.RARP, ARP.BYTES);
  const f = { op: ARP_OP.RARP, shaHi: hi, shaLo: lo, thaHi: hi, thaLo: lo, spa: 0, tpa: 0 };
  putArp(p.bytes, p.l3(), f);
}
