// MPLS label stack entries (RFC 3032 §2.1): label (20 bits), traffic class (3), bottom of stack
// (1), TTL (8).
//
// The stack stands between the link layer and the network layer, at `l25Ofs`.
// ovs: lib/packets.c push_mpls, pop_mpls, add_mpls, set_mpls_lse.

import { getU32, putU32 } from "../lib/bytes.ts";
import { ETH_TYPE, isEthTypeMpls, setEthertype } from "./ethernet.ts";
import { NO_OFS, type PacketBuf, PT, ptOfEthertype } from "./packet.ts";

/** Bits of a label stack entry. */
export const MPLS = {
  LABEL_SHIFT: 12,
  LABEL_MASK: 0xfffff000,
  TC_SHIFT: 9,
  TC_MASK: 0xe00,
  BOS_SHIFT: 8,
  BOS_MASK: 0x100,
  TTL_MASK: 0xff,
  LSE_BYTES: 4,
} as const;

export function mplsLse(label: number, tc: number, bos: number, ttl: number): number {
  return (
    (((label << MPLS.LABEL_SHIFT) & MPLS.LABEL_MASK) |
      ((tc << MPLS.TC_SHIFT) & MPLS.TC_MASK) |
      ((bos << MPLS.BOS_SHIFT) & MPLS.BOS_MASK) |
      (ttl & MPLS.TTL_MASK)) >>>
    0
  );
}

/** Puts an entry on top of the stack, which begins before the network layer if there is none. */
export function pushMpls(p: PacketBuf, ethType: number, lse: number): void {
  if (!isEthTypeMpls(ethType)) {
    return;
  }
  if (p.l25Ofs === NO_OFS) {
    p.l25Ofs = p.l3Ofs;
  }
  setEthertype(p, ethType);
  insertLse(p, lse);
  p.md.conn = null;
}

function insertLse(p: PacketBuf, lse: number): void {
  const headerBytes = p.l25Ofs;
  p.resizeL25(MPLS.LSE_BYTES);
  const from = p.start + MPLS.LSE_BYTES;
  p.bytes.copyWithin(p.start, from, from + headerBytes);
  putU32(p.bytes, p.start + headerBytes, lse);
}

/** Like pushMpls(), or, without `l3Encap`, before the whole packet, link layer included. */
export function addMpls(p: PacketBuf, ethType: number, lse: number, l3Encap: boolean): void {
  if (!isEthTypeMpls(ethType)) {
    return;
  }
  if (l3Encap) {
    pushMpls(p, ethType, lse);
    return;
  }
  p.push(MPLS.LSE_BYTES);
  putU32(p.bytes, p.start, lse);
  p.l25Ofs = 0;
  p.packetType = ptOfEthertype(ethType);
  p.md.conn = null;
}

/** Removes the top entry and gives the packet an Ethertype, if it has a stack. */
export function popMpls(p: PacketBuf, ethType: number): void {
  if (p.l25Ofs === NO_OFS || p.l25() + MPLS.LSE_BYTES > p.end) {
    return; // none, or cut off
  }
  const headerBytes = p.l25Ofs;
  const last = (getU32(p.bytes, p.l25()) & MPLS.BOS_MASK) !== 0;
  setEthertype(p, ethType);
  if (last) {
    p.l25Ofs = NO_OFS;
  }
  p.bytes.copyWithin(p.start + MPLS.LSE_BYTES, p.start, p.start + headerBytes);
  p.resizeL25(-MPLS.LSE_BYTES);
  if (headerBytes === 0) {
    p.packetType = ethType === ETH_TYPE.TEB ? PT.ETH : ptOfEthertype(ethType);
  }
}

/** Overwrites the top entry. */
export function setMplsLse(p: PacketBuf, lse: number): void {
  if (p.l25Ofs !== NO_OFS) {
    putU32(p.bytes, p.l25(), lse);
  }
}
