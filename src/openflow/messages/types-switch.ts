// What messages about a switch as a whole, its ports and its tables carry
// (ovs: ofp-{switch,port,table,connection,bundle,ct,ipfix}.h).

import type { Action } from "../actions/types.ts";
import type { FlowMod, PacketOut } from "./types-flow.ts";
import type { GroupMod, MeterMod } from "./types-group.ts";

/** Bits of `SwitchFeatures.capabilities` (ovs: enum ofputil_capabilities). */
export const CAPABILITY = {
  FLOW_STATS: 1 << 0,
  TABLE_STATS: 1 << 1,
  PORT_STATS: 1 << 2,
  STP: 1 << 3,
  GROUP_STATS: 1 << 4,
  IP_REASM: 1 << 5,
  QUEUE_STATS: 1 << 6,
  ARP_MATCH_IP: 1 << 7,
  PORT_BLOCKED: 1 << 8,
  BUNDLES: 1 << 9,
  FLOW_MONITORING: 1 << 10,
} as const;

export interface SwitchFeatures {
  datapathId: bigint;
  nBuffers: number;
  nTables: number;
  auxiliaryId: number;
  capabilities: number;
  actions: ReadonlySet<Action["kind"]>;
  /** In OpenFlow 1.0 to 1.2 the ports travel with the features. */
  ports: readonly PhyPort[];
}

export const FRAG_NAMES = ["normal", "drop", "reassemble", "nx-match"] as const;

export interface SwitchConfig {
  frag: number;
  /** 1, 0, or -1 where the version does not say. */
  invalidTtlToController: number;
  missSendLen: number;
}

/** Port config bits (ovs: enum ofputil_port_config). */
export const PORT_CONFIG = {
  PORT_DOWN: 1 << 0,
  NO_STP: 1 << 1,
  NO_RECV: 1 << 2,
  NO_RECV_STP: 1 << 3,
  NO_FLOOD: 1 << 4,
  NO_FWD: 1 << 5,
  NO_PACKET_IN: 1 << 6,
} as const;

/** Port state bits (ovs: enum ofputil_port_state). */
export const PORT_STATE = {
  LINK_DOWN: 1 << 0,
  BLOCKED: 1 << 1,
  LIVE: 1 << 2,
  STP_LISTEN: 0 << 8,
  STP_LEARN: 1 << 8,
  STP_FORWARD: 2 << 8,
  STP_BLOCK: 3 << 8,
  STP_MASK: 3 << 8,
} as const;

/** Link features (ovs: enum netdev_features). */
export const NETDEV_F = {
  HD_10M: 1 << 0,
  FD_10M: 1 << 1,
  HD_100M: 1 << 2,
  FD_100M: 1 << 3,
  HD_1G: 1 << 4,
  FD_1G: 1 << 5,
  FD_10G: 1 << 6,
  FD_40G: 1 << 7,
  FD_100G: 1 << 8,
  FD_1T: 1 << 9,
  OTHER: 1 << 10,
  COPPER: 1 << 11,
  FIBER: 1 << 12,
  AUTONEG: 1 << 13,
  PAUSE: 1 << 14,
  PAUSE_ASYM: 1 << 15,
} as const;

export interface PhyPort {
  portNo: number;
  hwAddr: Uint8Array;
  name: string;
  config: number;
  state: number;
  /** NETDEV_F bits. */
  curr: number;
  advertised: number;
  supported: number;
  peer: number;
  /** kbit/s. */
  currSpeed: number;
  maxSpeed: number;
}

/** Reasons of a port status. */
export const OFPPR = { ADD: 0, DELETE: 1, MODIFY: 2 } as const;

export interface PortStatus {
  reason: number;
  desc: PhyPort;
}

export interface PortMod {
  portNo: number;
  hwAddr: Uint8Array;
  config: number;
  mask: number;
  advertise: number;
}

/** Counters of a port; U64_MAX: not supported (ovs: struct netdev_stats). */
export interface PortCounters {
  rxPackets: bigint;
  txPackets: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  rxErrors: bigint;
  txErrors: bigint;
  rxDropped: bigint;
  txDropped: bigint;
  collisions: bigint;
  rxFrameErrors: bigint;
  rxOverErrors: bigint;
  rxCrcErrors: bigint;
  /** RFC 2819 counters, sent in OpenFlow 1.4 and later. */
  rfc2819: Readonly<Record<string, bigint>>;
}

export interface PortStats {
  portNo: number;
  stats: PortCounters;
  custom: readonly { readonly name: string; readonly value: bigint }[];
  /** U32_MAX if unknown. */
  durationS: number;
  durationNs: number;
}

export type TableMiss = "default" | "controller" | "continue" | "drop";
/** The last is what Open vSwitch prints for a value that it does not know. */
export type TableSetting = "default" | "on" | "off" | "***error***";

export interface TableVacancy {
  down: number;
  up: number;
  /** Now, in percent; 0 in a table mod. */
  vacancy: number;
}

export interface TableMod {
  /** 255: all tables. */
  tableId: number;
  miss: TableMiss;
  eviction: TableSetting;
  /** U32_MAX: absent. */
  evictionFlags: number;
  vacancy: TableSetting;
  tableVacancy: TableVacancy;
}

export interface TableDesc {
  tableId: number;
  eviction: TableSetting;
  /** U32_MAX: absent. */
  evictionFlags: number;
  vacancy: TableSetting;
  tableVacancy: TableVacancy;
}

/** Reasons of a table status. */
export const OFPTR = { VACANCY_DOWN: 3, VACANCY_UP: 4 } as const;

export interface TableStatus {
  reason: number;
  desc: TableDesc;
}

export interface TableStats {
  tableId: number;
  activeCount: number;
  lookupCount: bigint;
  matchedCount: bigint;
}

/** Instructions as a table's features list them. */
export interface ActionFeatures {
  actions: ReadonlySet<Action["kind"]>;
  /** Names of fields that set_field may write. */
  setFields: ReadonlySet<string>;
}

export interface InstructionFeatures {
  /** Table numbers that goto_table may name. */
  next: ReadonlySet<number>;
  /** Names such as `write_actions`. */
  instructions: ReadonlySet<string>;
  write: ActionFeatures;
  apply: ActionFeatures;
}

export interface TableFeatures {
  /** Only in requests: 0 replace, 1 modify, 2 enable, 3 disable. */
  command: number;
  tableId: number;
  name: string;
  metadataMatch: bigint;
  metadataWrite: bigint;
  maxEntries: number;
  anyProperties: boolean;
  missConfig: TableMiss;
  /** 1, 0, or -1 where the version does not say. */
  supportsEviction: number;
  supportsVacancyEvents: number;
  nonmiss: InstructionFeatures;
  miss: InstructionFeatures;
  /** Names of fields (of Field.name). */
  match: ReadonlySet<string>;
  mask: ReadonlySet<string>;
  wildcard: ReadonlySet<string>;
}

/** Controller roles. */
export const OFPCR = { NOCHANGE: 0, EQUAL: 1, PRIMARY: 2, SECONDARY: 3 } as const;

export interface RoleRequest {
  role: number;
  haveGenerationId: boolean;
  generationId: bigint;
}

export interface RoleStatus {
  role: number;
  reason: number;
  generationId: bigint;
}

/** Kinds of asynchronous messages, in the order of AsyncConfig's arrays. */
export const OAM = {
  PACKET_IN: 0,
  PORT_STATUS: 1,
  FLOW_REMOVED: 2,
  ROLE_STATUS: 3,
  TABLE_STATUS: 4,
  REQUESTFORWARD: 5,
  N_TYPES: 6,
} as const;

/** Bitmaps of reasons by OAM kind, for a primary (or equal) and a secondary controller. */
export interface AsyncConfig {
  primary: number[];
  secondary: number[];
}

/** Bundle control types and flags. */
export const OFPBCT = {
  OPEN_REQUEST: 0,
  OPEN_REPLY: 1,
  CLOSE_REQUEST: 2,
  CLOSE_REPLY: 3,
  COMMIT_REQUEST: 4,
  COMMIT_REPLY: 5,
  DISCARD_REQUEST: 6,
  DISCARD_REPLY: 7,
} as const;
export const OFPBF = { ATOMIC: 1 << 0, ORDERED: 1 << 1 } as const;

export interface BundleCtrl {
  bundleId: number;
  type: number;
  flags: number;
}

export interface BundleAdd {
  bundleId: number;
  flags: number;
  /** The whole message within. */
  msg: Uint8Array;
}

/** A message of a bundle file. */
export type BundleMsg =
  | { readonly kind: "flow_mod"; readonly fm: FlowMod }
  | { readonly kind: "group_mod"; readonly gm: GroupMod }
  | { readonly kind: "packet_out"; readonly po: PacketOut };

/** Commands of a TLV table mod. */
export const NXTTMC = { ADD: 0, DELETE: 1, CLEAR: 2 } as const;

export interface TlvMap {
  optionClass: number;
  optionType: number;
  /** Bytes, a multiple of 4. */
  optionLen: number;
  /** n of tun_metadata<n>. */
  index: number;
}

export interface TlvTableMod {
  command: number;
  mappings: readonly TlvMap[];
}

export interface TlvTableReply {
  maxOptionSpace: number;
  maxFields: number;
  mappings: readonly TlvMap[];
}

export const OFPRFR = { GROUP_MOD: 0, METER_MOD: 1 } as const;

export type RequestForward =
  | { readonly reason: 0; readonly xid: number; readonly groupMod: GroupMod }
  | { readonly reason: 1; readonly xid: number; readonly meterMod: MeterMod };

/** One direction of a connection to flush; addresses are 16 bytes, IPv4 mapped into IPv6. */
export interface CtTuple {
  src: Uint8Array;
  dst: Uint8Array;
  srcPort: number;
  dstPort: number;
  icmpId: number;
  icmpType: number;
  icmpCode: number;
}

export interface CtMatch {
  ipProto: number;
  /** 2: IPv4, 10: IPv6, 0: none, as AF_* of Linux. */
  l3Type: number;
  tupleOrig: CtTuple;
  tupleReply: CtTuple;
}

export interface DescStats {
  mfrDesc: string;
  hwDesc: string;
  swDesc: string;
  serialNum: string;
  dpDesc: string;
}

export interface IpfixStats {
  collectorSetId: number;
  totalFlows: bigint;
  currentFlows: bigint;
  pkts: bigint;
  ipv4Pkts: bigint;
  ipv6Pkts: bigint;
  errorPkts: bigint;
  ipv4ErrorPkts: bigint;
  ipv6ErrorPkts: bigint;
  txPkts: bigint;
  txErrors: bigint;
}
