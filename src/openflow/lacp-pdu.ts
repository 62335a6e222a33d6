// LACP frames: what two ends of a link tell each other about themselves (IEEE 802.1AX §6.4.2).
//
//  0  subtype 1, version 1
//  2  actor:    type 1, length 20, 15 bytes of information, 3 reserved
// 22  partner:  type 2, length 20, the same
// 42  collector: type 3, length 16, maximum delay; the rest is 0 up to 110 bytes
//
// Information: system priority 2, system 6, key 2, port priority 2, port 2, state 1.
// References: ovs: lib/lacp.c struct lacp_pdu, struct lacp_info.

import { getU16, getU32, putU16 } from "../lib/bytes.ts";
import { putMac } from "../packet/ethernet.ts";

/** Bits of a state. */
export const LACP_STATE = {
  ACTIVITY: 0x01,
  TIMEOUT: 0x02,
  AGGREGATION: 0x04,
  SYNC: 0x08,
  COLLECTING: 0x10,
  DISTRIBUTING: 0x20,
  DEFAULTED: 0x40,
  EXPIRED: 0x80,
} as const;

/** One end of a link. */
export interface LacpInfo {
  readonly sysPriority: number;
  /** [hi16, lo32]. */
  readonly sysId: readonly [number, number];
  readonly key: number;
  readonly portPriority: number;
  readonly portId: number;
  /** LACP_STATE bits. */
  readonly state: number;
}

export interface LacpPdu {
  readonly actor: LacpInfo;
  readonly partner: LacpInfo;
}

export const LACP_PDU_BYTES = 110;
/** Where frames go: the slow protocols' group address. */
export const LACP_DST = [0x0180, 0xc2000002] as const;

export const NO_LACP_INFO: LacpInfo = {
  sysPriority: 0,
  sysId: [0, 0],
  key: 0,
  portPriority: 0,
  portId: 0,
  state: 0,
};

const SUBTYPE = { LACP: 1, MARKER: 2 } as const;
const VERSION = 1;
const ACTOR = { AT: 2, TYPE: 1 } as const;
const PARTNER = { AT: 22, TYPE: 2 } as const;
const COLLECTOR = { AT: 42, TYPE: 3, BYTES: 16 } as const;
const INFO_TLV_BYTES = 20;
const INFO = { SYS_PRIORITY: 0, SYS_ID: 2, KEY: 8, PORT_PRIORITY: 10, PORT_ID: 12, STATE: 14 };

/** Sorts as the bytes of the information do (memcmp). */
export function compareInfo(a: LacpInfo, b: LacpInfo): number {
  return (
    a.sysPriority - b.sysPriority ||
    compareSysId(a, b) ||
    a.key - b.key ||
    a.portPriority - b.portPriority ||
    a.portId - b.portId ||
    a.state - b.state
  );
}

export function compareSysId(a: Pick<LacpInfo, "sysId">, b: Pick<LacpInfo, "sysId">): number {
  return a.sysId[0] - b.sysId[0] || a.sysId[1] - b.sysId[1];
}

function putInfo(b: Uint8Array, at: number, type: number, i: LacpInfo): void {
  b[at] = type;
  b[at + 1] = INFO_TLV_BYTES;
  const v = at + 2;
  putU16(b, v + INFO.SYS_PRIORITY, i.sysPriority);
  putMac(b, v + INFO.SYS_ID, i.sysId[0], i.sysId[1]);
  putU16(b, v + INFO.KEY, i.key);
  putU16(b, v + INFO.PORT_PRIORITY, i.portPriority);
  putU16(b, v + INFO.PORT_ID, i.portId);
  b[v + INFO.STATE] = i.state;
}

function readInfo(b: Uint8Array, at: number): LacpInfo {
  const v = at + 2;
  return {
    sysPriority: getU16(b, v + INFO.SYS_PRIORITY),
    sysId: [getU16(b, v + INFO.SYS_ID), getU32(b, v + INFO.SYS_ID + 2)],
    key: getU16(b, v + INFO.KEY),
    portPriority: getU16(b, v + INFO.PORT_PRIORITY),
    portId: getU16(b, v + INFO.PORT_ID),
    state: b[v + INFO.STATE] ?? 0,
  };
}

/** Writes a frame's payload into LACP_PDU_BYTES zeros. */
export function putLacpPdu(b: Uint8Array, at: number, { actor, partner }: LacpPdu): void {
  b[at] = SUBTYPE.LACP;
  b[at + 1] = VERSION;
  putInfo(b, at + ACTOR.AT, ACTOR.TYPE, actor);
  putInfo(b, at + PARTNER.AT, PARTNER.TYPE, partner);
  b[at + COLLECTOR.AT] = COLLECTOR.TYPE;
  b[at + COLLECTOR.AT + 1] = COLLECTOR.BYTES;
}

/** Reads the payload of a frame, which may be anything; markers are told apart but not read. */
export function parseLacpPdu(b: Uint8Array): LacpPdu | "marker" | "bad" {
  if (b.length < LACP_PDU_BYTES) {
    return "bad";
  }
  const isInfo = ({ AT, TYPE }: { AT: number; TYPE: number }): boolean =>
    b[AT] === TYPE && b[AT + 1] === INFO_TLV_BYTES;
  if (b[0] === SUBTYPE.LACP && isInfo(ACTOR) && isInfo(PARTNER)) {
    return { actor: readInfo(b, ACTOR.AT), partner: readInfo(b, PARTNER.AT) };
  }
  return b[0] === SUBTYPE.MARKER ? "marker" : "bad";
}
