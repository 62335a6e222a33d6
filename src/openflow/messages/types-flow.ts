// What messages about flows carry, without regard to the version that is on the wire: flow mods,
// statistics, removals, monitors, packet-ins and packet-outs.
//
// Conventions of all types-*.ts: ports are 16-bit OpenFlow 1.0 numbers; 64-bit values are bigint;
// a counter that a version cannot tell is U64_MAX (or U32_MAX); MAC addresses are 6 bytes; times
// have their unit in the name (ovs: include/openvswitch/ofp-{flow,monitor,packet}.h).

import type { Match } from "../../flow/match.ts";
import type { Action } from "../actions/types.ts";

export { OFPR } from "../packet-in-reason.ts";

/** "Unknown" for 64-bit counters and cookies. */
export const U64_MAX = 0xffff_ffff_ffff_ffffn;
/** "Unknown" for 32-bit counters. */
export const U32_MAX = 0xffffffff;

/** Flow mod commands, the same numbers in every version. */
export const OFPFC = {
  ADD: 0,
  MODIFY: 1,
  MODIFY_STRICT: 2,
  DELETE: 3,
  DELETE_STRICT: 4,
} as const;

/** The default priority of a flow. */
export const DEFAULT_PRIORITY = 0x8000;
/** "No buffer": the packet is in the message. */
export const NO_BUFFER = 0xffffffff;

export interface FlowMod {
  match: Match;
  priority: number;
  /** Bits of a flow's cookie that must equal `cookie`; 0 for an addition. */
  cookieMask: bigint;
  cookie: bigint;
  /** The cookie of an added or modified flow; U64_MAX: "modify" must not add. */
  newCookie: bigint;
  modifyCookie: boolean;
  /** 255: any table. */
  tableId: number;
  /** One of OFPFC. */
  command: number;
  idleTimeoutS: number;
  hardTimeoutS: number;
  bufferId: number;
  /** OFPP.NONE: any. */
  outPort: number;
  /** OFPG.ANY: any. */
  outGroup: number;
  /** FLOW_FLAG bits (openflow/rule.ts). */
  flags: number;
  importance: number;
  actions: readonly Action[];
}

export interface FlowStatsRequest {
  /** Only totals are wanted. */
  aggregate: boolean;
  match: Match;
  cookie: bigint;
  cookieMask: bigint;
  outPort: number;
  outGroup: number;
  tableId: number;
}

export interface FlowStats {
  match: Match;
  cookie: bigint;
  tableId: number;
  priority: number;
  idleTimeoutS: number;
  hardTimeoutS: number;
  durationS: number;
  durationNs: number;
  /** Seconds since the last packet and since the last change; -1 if unknown. */
  idleAgeS: number;
  hardAgeS: number;
  packetCount: bigint;
  byteCount: bigint;
  actions: readonly Action[];
  flags: number;
  importance: number;
}

export interface AggregateStats {
  packetCount: bigint;
  byteCount: bigint;
  flowCount: number;
}

export interface FlowRemoved {
  match: Match;
  cookie: bigint;
  priority: number;
  /** One of REMOVED (openflow/rule.ts). */
  reason: number;
  /** 255 if the message names no table. */
  tableId: number;
  durationS: number;
  durationNs: number;
  idleTimeoutS: number;
  hardTimeoutS: number;
  packetCount: bigint;
  byteCount: bigint;
}

/** Flow monitor commands and flags, numbered as in OpenFlow 1.4. */
export const OFPFMC = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
export const OFPFMF = {
  INITIAL: 1 << 0,
  ADD: 1 << 1,
  REMOVED: 1 << 2,
  MODIFY: 1 << 3,
  INSTRUCTIONS: 1 << 4,
  NO_ABBREV: 1 << 5,
  ONLY_OWN: 1 << 6,
} as const;

export interface FlowMonitorRequest {
  id: number;
  command: number;
  flags: number;
  outPort: number;
  outGroup: number;
  tableId: number;
  match: Match;
}

/** Events of a flow update, numbered as in OpenFlow 1.4. */
export const OFPFME = {
  INITIAL: 0,
  ADDED: 1,
  REMOVED: 2,
  MODIFIED: 3,
  ABBREV: 4,
  PAUSED: 5,
  RESUMED: 6,
} as const;

export interface FlowUpdate {
  event: number;
  reason: number;
  idleTimeoutS: number;
  hardTimeoutS: number;
  tableId: number;
  priority: number;
  cookie: bigint;
  match: Match;
  actions: readonly Action[];
  /** Only for ABBREV: xid of the request that the change came from. */
  xid: number;
}

/** Formats of packet-ins that a controller may ask for (ovs: enum ofputil_packet_in_format). */
export const PACKET_IN_FORMAT = { STANDARD: 0, NXT: 1, NXT2: 2 } as const;

export interface PacketIn {
  packet: Uint8Array;
  /** In_port and other metadata. */
  flowMetadata: Match;
  reason: number;
  tableId: number;
  /** U64_MAX if no flow sent it. */
  cookie: bigint;
  userdata: Uint8Array;
}

/** A packet-in with the state that a continuation resumes from. */
export interface PacketInPrivate extends PacketIn {
  /** UUID of the bridge as text; the empty string if there is no continuation. */
  bridge: string;
  /** Values of the stack, the top first. */
  stack: readonly Uint8Array[];
  mirrors: number;
  conntracked: boolean;
  actions: readonly Action[];
  actionSet: readonly Action[];
  /** Datapath port of a patch peer that the packet came through, or undefined. */
  odpPort: number | undefined;
}

/** What decoding a packet-in tells besides the packet. */
export interface PacketInDecoded {
  pin: PacketInPrivate;
  totalLen: number;
  bufferId: number;
}

export interface PacketOut {
  packet: Uint8Array;
  bufferId: number;
  flowMetadata: Match;
  actions: readonly Action[];
}
