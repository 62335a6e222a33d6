// Bridge protocol data units: what bridges tell each other in STP and RSTP.
//
//   Ethernet (length) | LLC 42 42 03 | protocol 0 | version | type | flags | root … timers
//
// Three types share one layout: a configuration BPDU (35 bytes), a notice of a topology change
// (only its first 4 bytes) and a rapid BPDU (36 bytes, the last one 0). Times are in 1/256 s. This
// file only moves bytes; stp.ts and rstp.ts decide. References: IEEE 802.1D-1998 clause 9,
// 802.1D-2004 clause 9.3; ovs: lib/stp.c stp_send_bpdu, ofproto/ofproto-dpif-xlate.c
// stp_process_packet, rstp_process_packet.

import { getU16, getU32, getU64, putU16, putU32, putU64 } from "../lib/bytes.ts";
import { ETH, ETH_TYPE, putMac } from "./ethernet.ts";

export const BPDU = {
  PROTOCOL: 0,
  VERSION: 2,
  TYPE: 3,
  FLAGS: 4,
  ROOT_ID: 5,
  ROOT_PATH_COST: 13,
  BRIDGE_ID: 17,
  PORT_ID: 25,
  MESSAGE_AGE: 27,
  MAX_AGE: 29,
  HELLO_TIME: 31,
  FORWARD_DELAY: 33,
  VERSION1_LENGTH: 35,
  TCN_BYTES: 4,
  CONFIG_BYTES: 35,
  RAPID_BYTES: 36,
} as const;

export const BPDU_TYPE = { CONFIG: 0, RAPID: 2, TCN: 0x80 } as const;

export const BPDU_FLAG = {
  TOPOLOGY_CHANGE: 0x01,
  PROPOSAL: 0x02,
  ROLE_MASK: 0x0c,
  ROLE_SHIFT: 2,
  LEARNING: 0x10,
  FORWARDING: 0x20,
  AGREEMENT: 0x40,
  TOPOLOGY_CHANGE_ACK: 0x80,
} as const;

/** The fields of a configuration or rapid BPDU, as they are on the wire. */
export interface BpduFields {
  readonly version: number;
  readonly type: number;
  readonly flags: number;
  /** Priority in the upper 16 bits, address below. */
  readonly rootId: bigint;
  readonly rootPathCost: number;
  readonly bridgeId: bigint;
  readonly portId: number;
  readonly messageAge: number;
  readonly maxAge: number;
  readonly helloTime: number;
  readonly forwardDelay: number;
}

/** The fields of a BPDU; what lies beyond its end reads as 0. */
export function readBpdu(bytes: Uint8Array): BpduFields {
  let b = bytes;
  if (b.length < BPDU.RAPID_BYTES) {
    b = new Uint8Array(BPDU.RAPID_BYTES);
    b.set(bytes);
  }
  return {
    version: b[BPDU.VERSION] ?? 0,
    type: b[BPDU.TYPE] ?? 0,
    flags: b[BPDU.FLAGS] ?? 0,
    rootId: getU64(b, BPDU.ROOT_ID),
    rootPathCost: getU32(b, BPDU.ROOT_PATH_COST),
    bridgeId: getU64(b, BPDU.BRIDGE_ID),
    portId: getU16(b, BPDU.PORT_ID),
    messageAge: getU16(b, BPDU.MESSAGE_AGE),
    maxAge: getU16(b, BPDU.MAX_AGE),
    helloTime: getU16(b, BPDU.HELLO_TIME),
    forwardDelay: getU16(b, BPDU.FORWARD_DELAY),
  };
}

/** A BPDU of `bytes` bytes with all its fields. */
export function writeBpdu(f: BpduFields, bytes: number): Uint8Array {
  const b = new Uint8Array(bytes);
  b[BPDU.VERSION] = f.version;
  b[BPDU.TYPE] = f.type;
  b[BPDU.FLAGS] = f.flags;
  putU64(b, BPDU.ROOT_ID, f.rootId);
  putU32(b, BPDU.ROOT_PATH_COST, f.rootPathCost);
  putU64(b, BPDU.BRIDGE_ID, f.bridgeId);
  putU16(b, BPDU.PORT_ID, f.portId);
  putU16(b, BPDU.MESSAGE_AGE, f.messageAge);
  putU16(b, BPDU.MAX_AGE, f.maxAge);
  putU16(b, BPDU.HELLO_TIME, f.helloTime);
  putU16(b, BPDU.FORWARD_DELAY, f.forwardDelay);
  return b;
}

/** A notice of a topology change, of so many bytes (those after the fourth are 0). */
export function writeTcn(bytes: number): Uint8Array {
  const b = new Uint8Array(bytes);
  b[BPDU.TYPE] = BPDU_TYPE.TCN;
  return b;
}

/** LLC in front of a BPDU: DSAP, SSAP, control. */
const LLC = { BYTES: 3, SAP: 0x42, CONTROL: 3 } as const;
const VLAN_BYTES = 4;
/** 01:80:c2:00:00:00, the group address of bridges. */
const GROUP_MAC = { hi: 0x0180, lo: 0xc2000000 } as const;

/** The frame that carries a BPDU from a port with this address. */
export function bpduFrame(bpdu: Uint8Array, src: readonly [hi: number, lo: number]): Uint8Array {
  const b = new Uint8Array(ETH.HEADER_BYTES + LLC.BYTES + bpdu.length);
  putMac(b, ETH.DST, GROUP_MAC.hi, GROUP_MAC.lo);
  putMac(b, ETH.SRC, src[0], src[1]);
  putU16(b, ETH.TYPE, LLC.BYTES + bpdu.length);
  b.set([LLC.SAP, LLC.SAP, LLC.CONTROL], ETH.HEADER_BYTES);
  b.set(bpdu, ETH.HEADER_BYTES + LLC.BYTES);
  return b;
}

/**
 * The BPDU in a received frame without padding, or null if the frame ends before it. STP takes a
 * VLAN tag for part of the BPDU, RSTP (`vlanAware`) skips it.
 */
export function bpduOfFrame(frame: Uint8Array, vlanAware: boolean): Uint8Array | null {
  if (frame.length < ETH.HEADER_BYTES) {
    return null;
  }
  const type = getU16(frame, ETH.TYPE);
  const end = Math.min(frame.length, ETH.HEADER_BYTES + type);
  const vlan = vlanAware && type === ETH_TYPE.VLAN_8021Q ? VLAN_BYTES : 0;
  const start = ETH.HEADER_BYTES + LLC.BYTES + vlan;
  return end < start ? null : frame.subarray(start, end);
}
