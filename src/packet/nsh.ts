// Network service header (RFC 8300).
//
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |Ver|O|U|    TTL    |   Length  |U|U|U|U|MD Type| Next protocol |
// |          Service path identifier              | Service index |
// |       context headers: four words for MD type 1, TLVs for 2   |
//
// ovs: lib/packets.c push_nsh, pop_nsh; include/openvswitch/nsh.h.

import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { NO_OFS, type PacketBuf, PT } from "./packet.ts";

export const NSH = {
  VER_FLAGS_TTL_LEN: 0,
  MD_TYPE: 2,
  NEXT_PROTO: 3,
  PATH_HDR: 4,
  CONTEXT: 8,
  BASE_BYTES: 8,
  MD1_BYTES: 24,
  MD_TYPE1: 1,
  MD_TYPE2: 2,
  /** Longest header: 6 bits of length in words. */
  BYTES_MAX: 252,
} as const;

/** Values of NEXT_PROTO. */
export const NSH_P = { IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4, MPLS: 5 } as const;

const VER_MASK = 0xc000;
const FLAGS_SHIFT = 12;
const FLAGS_MASK = 0x3000;
const TTL_SHIFT = 6;
const TTL_MASK = 0x0fc0;
const LEN_MASK = 0x003f;

export function nshVersion(word: number): number {
  return (word & VER_MASK) >>> 14;
}

export function nshFlags(word: number): number {
  return (word & FLAGS_MASK) >>> FLAGS_SHIFT;
}

export function nshTtl(word: number): number {
  return (word & TTL_MASK) >>> TTL_SHIFT;
}

export function nshBytes(word: number): number {
  return (word & LEN_MASK) * 4;
}

/** The first 16 bits of a header of version 0. */
export function nshFirstWord(flags: number, ttl: number, headerBytes: number): number {
  return (
    ((flags << FLAGS_SHIFT) & FLAGS_MASK) |
    ((ttl << TTL_SHIFT) & TTL_MASK) |
    ((headerBytes >> 2) & LEN_MASK)
  );
}

/** NEXT_PROTO for the packet type of what follows, or undefined. */
function nshProtoOfPacketType(packetType: number): number | undefined {
  switch (packetType) {
    case PT.ETH:
      return NSH_P.ETHERNET;
    case PT.IPV4:
      return NSH_P.IPV4;
    case PT.IPV6:
      return NSH_P.IPV6;
    case PT.NSH:
      return NSH_P.NSH;
    default:
      return undefined;
  }
}

function packetTypeOfNshProto(proto: number): number | undefined {
  switch (proto) {
    case NSH_P.ETHERNET:
      return PT.ETH;
    case NSH_P.IPV4:
      return PT.IPV4;
    case NSH_P.IPV6:
      return PT.IPV6;
    case NSH_P.NSH:
      return PT.NSH;
    default:
      return undefined;
  }
}

/** Puts a header before the packet and says in it what follows. False if that has no number. */
export function pushNsh(p: PacketBuf, header: Uint8Array): boolean {
  const proto = nshProtoOfPacketType(p.packetType);
  if (proto === undefined) {
    return false;
  }
  p.pushBytes(header);
  p.bytes[p.start + NSH.NEXT_PROTO] = proto;
  p.packetType = PT.NSH;
  p.resetOffsets();
  p.l3Ofs = 0;
  return true;
}

/** Removes the header. False if nobody knows what follows: the packet is to be dropped. */
export function popNsh(p: PacketBuf): boolean {
  if (p.packetType !== PT.NSH || p.l3Ofs === NO_OFS) {
    return true;
  }
  const next = packetTypeOfNshProto(p.bytes[p.l3() + NSH.NEXT_PROTO] as number);
  const bytes = nshBytes(getU16(p.bytes, p.l3()));
  if (next === undefined || bytes > p.size) {
    return false;
  }
  p.resetPacket(bytes);
  p.packetType = next;
  return true;
}

/** What set(nsh(…)) changes, value and mask. */
export interface NshFields {
  readonly flags: number;
  readonly ttl: number;
  readonly pathHdr: number;
  /** Four words; only of MD type 1. */
  readonly context: ArrayLike<number>;
}

/** ovs: lib/odp-execute.c odp_set_nsh. */
export function setNsh(p: PacketBuf, value: NshFields, mask: NshFields): void {
  const b = p.bytes;
  const at = p.l3();
  const word = getU16(b, at);
  const flags = value.flags | (nshFlags(word) & ~mask.flags);
  const ttl = value.ttl | (nshTtl(word) & ~mask.ttl);
  putU16(b, at, (word & VER_MASK) | nshFirstWord(flags, ttl, nshBytes(word)));
  const path = getU32(b, at + NSH.PATH_HDR);
  putU32(b, at + NSH.PATH_HDR, value.pathHdr | (path & ~mask.pathHdr));
  if (b[at + NSH.MD_TYPE] === NSH.MD_TYPE1) {
    for (let i = 0; i < 4; i++) {
      const o = at + NSH.CONTEXT + 4 * i;
      const m = mask.context[i] as number;
      putU32(b, o, (value.context[i] as number) | (getU32(b, o) & ~m));
    }
  }
}
