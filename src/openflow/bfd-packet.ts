// BFD control packets (RFC 5880 §4.1) and the frames that carry them (RFC 5881).
//
//  0  version 3 bits, diagnostic 5 bits     4  own discriminator, 8 the other end's
//  1  state 2 bits, flags 6 bits           12  desired minimum transmission interval, µs
//  2  detection multiplier                 16  required minimum reception interval, µs
//  3  length                               20  required minimum echo interval, µs: always 0 here
//
// References: ovs: lib/bfd.c struct msg, bfd_put_packet.

import { getU32, putU16, putU32 } from "../lib/bytes.ts";
import { csum } from "../lib/checksum.ts";
import { ETH_TYPE, ethCompose } from "../packet/ethernet.ts";
import { IP_PROTO, IPV4 } from "../packet/ip.ts";
import { UDP } from "../packet/l4.ts";
import { PacketBuf } from "../packet/packet.ts";

export const BFD_VERSION = 1;
export const BFD_PORT = 3784;
export const BFD_BYTES = 24;
export const BFD_TTL = 255;

/** Session states as they lie in a packet. */
export const BFD_STATE = { ADMIN_DOWN: 0x00, DOWN: 0x40, INIT: 0x80, UP: 0xc0 } as const;
export type BfdState = (typeof BFD_STATE)[keyof typeof BFD_STATE];
const STATE_NAMES = ["admin_down", "down", "init", "up"] as const;
const STATE_MASK = 0xc0;
const FLAGS_MASK = 0x3f;

export const BFD_FLAG = {
  MULTIPOINT: 0x01,
  DEMAND: 0x02,
  AUTH: 0x04,
  CTL: 0x08,
  FINAL: 0x10,
  POLL: 0x20,
} as const;
const FLAG_NAMES = ["multipoint", "demand", "auth", "ctl", "final", "poll"] as const;

export const BFD_DIAG = {
  NONE: 0,
  EXPIRED: 1,
  RMT_DOWN: 3,
  PATH_DOWN: 5,
  CPATH_DOWN: 6,
  RCPATH_DOWN: 8,
} as const;
const DIAG_NAMES = [
  "No Diagnostic",
  "Control Detection Time Expired",
  "Echo Function Failed",
  "Neighbor Signaled Session Down",
  "Forwarding Plane Reset",
  "Path Down",
  "Concatenated Path Down",
  "Administratively Down",
  "Reverse Concatenated Path Down",
] as const;
const DIAG_MASK = 0x1f;
const VERSION_SHIFT = 5;

const MSG = { MULT: 2, LENGTH: 3, MY: 4, YOUR: 8, MIN_TX: 12, MIN_RX: 16, MIN_RX_ECHO: 20 };
/** IPTOS_PREC_INTERNETCONTROL. */
const TOS = 0xc0;

export interface BfdPacket {
  readonly version: number;
  readonly diag: number;
  readonly state: BfdState;
  /** BFD_FLAG bits. */
  readonly flags: number;
  readonly mult: number;
  readonly length: number;
  readonly myDisc: number;
  readonly yourDisc: number;
  /** Microseconds. */
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly minRxEchoUs: number;
}

export function bfdStateName(state: BfdState): string {
  return STATE_NAMES[state >> 6] ?? "invalid";
}

export function bfdDiagName(diag: number): string {
  return DIAG_NAMES[diag] ?? "Invalid Diagnostic";
}

export function bfdFlagsText(flags: number): string {
  const names = FLAG_NAMES.filter((_, i) => (flags & (1 << i)) !== 0);
  return names.length === 0 ? "none" : names.join(" ");
}

/** Reads a control packet; null if it is too short. */
export function parseBfd(b: Uint8Array): BfdPacket | null {
  if (b.length < BFD_BYTES) {
    return null;
  }
  const [versDiag = 0, stateFlags = 0, mult = 0, length = 0] = b;
  const states = [BFD_STATE.ADMIN_DOWN, BFD_STATE.DOWN, BFD_STATE.INIT, BFD_STATE.UP] as const;
  return {
    version: versDiag >> VERSION_SHIFT,
    diag: versDiag & DIAG_MASK,
    state: states[(stateFlags & STATE_MASK) >> 6] ?? BFD_STATE.ADMIN_DOWN,
    flags: stateFlags & FLAGS_MASK,
    mult,
    length,
    myDisc: getU32(b, MSG.MY),
    yourDisc: getU32(b, MSG.YOUR),
    minTxUs: getU32(b, MSG.MIN_TX),
    minRxUs: getU32(b, MSG.MIN_RX),
    minRxEchoUs: getU32(b, MSG.MIN_RX_ECHO),
  };
}

export interface BfdAddresses {
  /** [hi16, lo32]. */
  readonly ethSrc: readonly [number, number];
  readonly ethDst: readonly [number, number];
  readonly ipSrc: number;
  readonly ipDst: number;
  readonly udpSrc: number;
}

/** The frame that carries a control packet. The UDP checksum is left out. */
export function composeBfd(m: BfdPacket, a: BfdAddresses): PacketBuf {
  const p = new PacketBuf();
  const [[srcHi, srcLo], [dstHi, dstLo]] = [a.ethSrc, a.ethDst];
  const udpBytes = UDP.HEADER_BYTES + BFD_BYTES;
  const ipBytes = IPV4.HEADER_BYTES + udpBytes;
  ethCompose(p, { dstHi, dstLo, srcHi, srcLo }, ETH_TYPE.IP, ipBytes);
  const b = p.bytes;
  const ip = p.start + p.l3Ofs;
  b[ip] = 0x45;
  b[ip + IPV4.TOS] = TOS;
  putU16(b, ip + IPV4.TOT_LEN, ipBytes);
  b[ip + IPV4.TTL] = BFD_TTL;
  b[ip + IPV4.PROTO] = IP_PROTO.UDP;
  putU32(b, ip + IPV4.SRC, a.ipSrc);
  putU32(b, ip + IPV4.DST, a.ipDst);
  putU16(b, ip + IPV4.CSUM, csum(b, ip, ip + IPV4.HEADER_BYTES));
  const udp = ip + IPV4.HEADER_BYTES;
  putU16(b, udp + UDP.SRC, a.udpSrc);
  putU16(b, udp + UDP.DST, BFD_PORT);
  putU16(b, udp + UDP.LEN, udpBytes);
  const at = udp + UDP.HEADER_BYTES;
  b[at] = (m.version << VERSION_SHIFT) | m.diag;
  b[at + 1] = m.state | m.flags;
  b[at + MSG.MULT] = m.mult;
  b[at + MSG.LENGTH] = m.length;
  putU32(b, at + MSG.MY, m.myDisc);
  putU32(b, at + MSG.YOUR, m.yourDisc);
  putU32(b, at + MSG.MIN_TX, m.minTxUs);
  putU32(b, at + MSG.MIN_RX, m.minRxUs);
  putU32(b, at + MSG.MIN_RX_ECHO, m.minRxEchoUs);
  return p;
}
