// THE MESSAGE TABLE: every OpenFlow message of Open vSwitch 3.1.0 in every form that it has.
//
// A row is one form ("raw" message): its name, the versions that have it, its number, the bytes of
// its fixed body, the unit of what may follow (0: nothing), and the type of message that it is a
// form of. The name's prefix says where the number stands:
//   OFPT   in the header's type field                 OFPST   in a multipart message's type field
//   NXT    subtype of a Nicira experimenter message   NXST    the same, multipart
//   ONFT   subtype of an ONF experimenter message     ONFST   the same, multipart
// References: ovs: include/openvswitch/ofp-msgs.h, lib/ofp-msgs.c, build-aux/extract-ofp-msgs.

import { OFP } from "../../flow/of-version.ts";
import { VENDOR } from "./errors.ts";

const ROWS = [
  ["OFPT_HELLO", "all", 0, 0, 1, "HELLO"],
  ["OFPT_ERROR", "all", 1, 4, 1, "ERROR"],
  ["OFPT_ECHO_REQUEST", "all", 2, 0, 1, "ECHO_REQUEST"],
  ["OFPT_ECHO_REPLY", "all", 3, 0, 1, "ECHO_REPLY"],
  ["OFPT_FEATURES_REQUEST", "1.0+", 5, 0, 0, "FEATURES_REQUEST"],
  ["OFPT10_FEATURES_REPLY", "1.0", 6, 24, 48, "FEATURES_REPLY"],
  ["OFPT11_FEATURES_REPLY", "1.1-1.2", 6, 24, 64, "FEATURES_REPLY"],
  ["OFPT13_FEATURES_REPLY", "1.3+", 6, 24, 0, "FEATURES_REPLY"],
  ["OFPT_GET_CONFIG_REQUEST", "1.0+", 7, 0, 0, "GET_CONFIG_REQUEST"],
  ["OFPT_GET_CONFIG_REPLY", "1.0+", 8, 4, 0, "GET_CONFIG_REPLY"],
  ["OFPT_SET_CONFIG", "1.0+", 9, 4, 0, "SET_CONFIG"],
  ["OFPT10_PACKET_IN", "1.0", 10, 10, 1, "PACKET_IN"],
  ["OFPT11_PACKET_IN", "1.1", 10, 16, 1, "PACKET_IN"],
  ["OFPT12_PACKET_IN", "1.2", 10, 8, 1, "PACKET_IN"],
  ["OFPT13_PACKET_IN", "1.3+", 10, 16, 1, "PACKET_IN"],
  ["NXT_PACKET_IN", "1.0+", 17, 24, 1, "PACKET_IN"],
  ["NXT_PACKET_IN2", "1.0+", 30, 0, 8, "PACKET_IN"],
  ["OFPT10_FLOW_REMOVED", "1.0", 11, 80, 0, "FLOW_REMOVED"],
  ["OFPT11_FLOW_REMOVED", "1.1-1.4", 11, 40, 8, "FLOW_REMOVED"],
  ["OFPT15_FLOW_REMOVED", "1.5+", 11, 16, 8, "FLOW_REMOVED"],
  ["NXT_FLOW_REMOVED", "1.0+", 14, 40, 8, "FLOW_REMOVED"],
  ["OFPT10_PORT_STATUS", "1.0", 12, 56, 0, "PORT_STATUS"],
  ["OFPT11_PORT_STATUS", "1.1-1.3", 12, 72, 0, "PORT_STATUS"],
  ["OFPT14_PORT_STATUS", "1.4+", 12, 48, 8, "PORT_STATUS"],
  ["OFPT10_PACKET_OUT", "1.0", 13, 8, 1, "PACKET_OUT"],
  ["OFPT11_PACKET_OUT", "1.1-1.4", 13, 16, 1, "PACKET_OUT"],
  ["OFPT15_PACKET_OUT", "1.5+", 13, 8, 1, "PACKET_OUT"],
  ["OFPT10_FLOW_MOD", "1.0", 14, 64, 8, "FLOW_MOD"],
  ["OFPT11_FLOW_MOD", "1.1+", 14, 40, 8, "FLOW_MOD"],
  ["NXT_FLOW_MOD", "1.0+", 13, 32, 8, "FLOW_MOD"],
  ["NXT_GROUP_MOD", "1.0", 31, 16, 8, "GROUP_MOD"],
  ["OFPT11_GROUP_MOD", "1.1-1.4", 15, 8, 8, "GROUP_MOD"],
  ["OFPT15_GROUP_MOD", "1.5+", 15, 16, 8, "GROUP_MOD"],
  ["OFPT10_PORT_MOD", "1.0", 15, 24, 0, "PORT_MOD"],
  ["OFPT11_PORT_MOD", "1.1-1.3", 16, 32, 0, "PORT_MOD"],
  ["OFPT14_PORT_MOD", "1.4+", 16, 24, 8, "PORT_MOD"],
  ["OFPT11_TABLE_MOD", "1.1-1.3", 17, 8, 0, "TABLE_MOD"],
  ["OFPT14_TABLE_MOD", "1.4+", 17, 8, 8, "TABLE_MOD"],
  ["OFPT10_BARRIER_REQUEST", "1.0", 18, 0, 0, "BARRIER_REQUEST"],
  ["OFPT11_BARRIER_REQUEST", "1.1+", 20, 0, 0, "BARRIER_REQUEST"],
  ["OFPT10_BARRIER_REPLY", "1.0", 19, 0, 0, "BARRIER_REPLY"],
  ["OFPT11_BARRIER_REPLY", "1.1+", 21, 0, 0, "BARRIER_REPLY"],
  ["OFPT10_QUEUE_GET_CONFIG_REQUEST", "1.0", 20, 4, 0, "QUEUE_GET_CONFIG_REQUEST"],
  ["OFPT11_QUEUE_GET_CONFIG_REQUEST", "1.1-1.3", 22, 8, 0, "QUEUE_GET_CONFIG_REQUEST"],
  ["OFPT10_QUEUE_GET_CONFIG_REPLY", "1.0", 21, 8, 8, "QUEUE_GET_CONFIG_REPLY"],
  ["OFPT11_QUEUE_GET_CONFIG_REPLY", "1.1-1.3", 23, 8, 8, "QUEUE_GET_CONFIG_REPLY"],
  ["OFPT12_ROLE_REQUEST", "1.2+", 24, 16, 0, "ROLE_REQUEST"],
  ["NXT_ROLE_REQUEST", "1.0+", 10, 4, 0, "ROLE_REQUEST"],
  ["OFPT12_ROLE_REPLY", "1.2+", 25, 16, 0, "ROLE_REPLY"],
  ["NXT_ROLE_REPLY", "1.0+", 11, 4, 0, "ROLE_REPLY"],
  ["OFPT13_GET_ASYNC_REQUEST", "1.3", 26, 0, 0, "GET_ASYNC_REQUEST"],
  ["OFPT14_GET_ASYNC_REQUEST", "1.4+", 26, 0, 0, "GET_ASYNC_REQUEST"],
  ["OFPT13_GET_ASYNC_REPLY", "1.3", 27, 24, 0, "GET_ASYNC_REPLY"],
  ["OFPT14_GET_ASYNC_REPLY", "1.4+", 27, 0, 8, "GET_ASYNC_REPLY"],
  ["OFPT13_SET_ASYNC", "1.3", 28, 24, 0, "SET_ASYNC_CONFIG"],
  ["NXT_SET_ASYNC_CONFIG", "1.0+", 19, 24, 0, "SET_ASYNC_CONFIG"],
  ["NXT_SET_ASYNC_CONFIG2", "1.0-1.3", 27, 0, 8, "SET_ASYNC_CONFIG"],
  ["OFPT14_SET_ASYNC", "1.4+", 28, 0, 8, "SET_ASYNC_CONFIG"],
  ["OFPT13_METER_MOD", "1.3+", 29, 8, 8, "METER_MOD"],
  ["ONFT13_ROLE_STATUS", "1.3", 1911, 16, 8, "ROLE_STATUS"],
  ["OFPT14_ROLE_STATUS", "1.4+", 30, 16, 8, "ROLE_STATUS"],
  ["OFPT14_TABLE_STATUS", "1.4+", 31, 8, 8, "TABLE_STATUS"],
  ["NXT_REQUESTFORWARD", "1.0-1.2", 132, 8, 8, "REQUESTFORWARD"],
  ["ONFT13_REQUESTFORWARD", "1.3", 2350, 8, 8, "REQUESTFORWARD"],
  ["OFPT14_REQUESTFORWARD", "1.4+", 32, 8, 8, "REQUESTFORWARD"],
  ["OFPT14_BUNDLE_CONTROL", "1.4+", 33, 8, 8, "BUNDLE_CONTROL"],
  ["ONFT13_BUNDLE_CONTROL", "1.3", 2300, 8, 8, "BUNDLE_CONTROL"],
  ["OFPT14_BUNDLE_ADD_MESSAGE", "1.4+", 34, 8, 1, "BUNDLE_ADD_MESSAGE"],
  ["ONFT13_BUNDLE_ADD_MESSAGE", "1.3", 2301, 8, 1, "BUNDLE_ADD_MESSAGE"],
  ["OFPST_DESC_REQUEST", "1.0+", 0, 0, 0, "DESC_STATS_REQUEST"],
  ["OFPST_DESC_REPLY", "1.0+", 0, 1056, 0, "DESC_STATS_REPLY"],
  ["OFPST10_FLOW_REQUEST", "1.0", 1, 44, 0, "FLOW_STATS_REQUEST"],
  ["OFPST11_FLOW_REQUEST", "1.1+", 1, 32, 8, "FLOW_STATS_REQUEST"],
  ["NXST_FLOW_REQUEST", "1.0", 0, 8, 8, "FLOW_STATS_REQUEST"],
  ["OFPST10_FLOW_REPLY", "1.0", 1, 0, 1, "FLOW_STATS_REPLY"],
  ["OFPST11_FLOW_REPLY", "1.1-1.2", 1, 0, 1, "FLOW_STATS_REPLY"],
  ["OFPST13_FLOW_REPLY", "1.3-1.4", 1, 0, 1, "FLOW_STATS_REPLY"],
  ["OFPST15_FLOW_REPLY", "1.5+", 1, 0, 1, "FLOW_STATS_REPLY"],
  ["NXST_FLOW_REPLY", "1.0", 0, 0, 1, "FLOW_STATS_REPLY"],
  ["OFPST10_AGGREGATE_REQUEST", "1.0", 2, 44, 0, "AGGREGATE_STATS_REQUEST"],
  ["OFPST11_AGGREGATE_REQUEST", "1.1-1.4", 2, 32, 8, "AGGREGATE_STATS_REQUEST"],
  ["OFPST15_AGGREGATE_REQUEST", "1.5+", 2, 32, 8, "AGGREGATE_STATS_REQUEST"],
  ["NXST_AGGREGATE_REQUEST", "1.0", 1, 8, 8, "AGGREGATE_STATS_REQUEST"],
  ["OFPST_AGGREGATE_REPLY", "1.0-1.4", 2, 24, 0, "AGGREGATE_STATS_REPLY"],
  ["OFPST15_AGGREGATE_REPLY", "1.5+", 2, 0, 1, "AGGREGATE_STATS_REPLY"],
  ["NXST_AGGREGATE_REPLY", "1.0", 1, 24, 0, "AGGREGATE_STATS_REPLY"],
  ["OFPST_TABLE_REQUEST", "1.0+", 3, 0, 0, "TABLE_STATS_REQUEST"],
  ["OFPST10_TABLE_REPLY", "1.0", 3, 0, 64, "TABLE_STATS_REPLY"],
  ["OFPST11_TABLE_REPLY", "1.1", 3, 0, 88, "TABLE_STATS_REPLY"],
  ["OFPST12_TABLE_REPLY", "1.2", 3, 0, 128, "TABLE_STATS_REPLY"],
  ["OFPST13_TABLE_REPLY", "1.3+", 3, 0, 24, "TABLE_STATS_REPLY"],
  ["OFPST10_PORT_REQUEST", "1.0", 4, 8, 0, "PORT_STATS_REQUEST"],
  ["OFPST11_PORT_REQUEST", "1.1+", 4, 8, 0, "PORT_STATS_REQUEST"],
  ["OFPST10_PORT_REPLY", "1.0", 4, 0, 104, "PORT_STATS_REPLY"],
  ["OFPST11_PORT_REPLY", "1.1-1.2", 4, 0, 104, "PORT_STATS_REPLY"],
  ["OFPST13_PORT_REPLY", "1.3", 4, 0, 112, "PORT_STATS_REPLY"],
  ["OFPST14_PORT_REPLY", "1.4+", 4, 0, 8, "PORT_STATS_REPLY"],
  ["OFPST10_QUEUE_REQUEST", "1.0", 5, 8, 0, "QUEUE_STATS_REQUEST"],
  ["OFPST11_QUEUE_REQUEST", "1.1+", 5, 8, 0, "QUEUE_STATS_REQUEST"],
  ["OFPST10_QUEUE_REPLY", "1.0", 5, 0, 32, "QUEUE_STATS_REPLY"],
  ["OFPST11_QUEUE_REPLY", "1.1-1.2", 5, 0, 32, "QUEUE_STATS_REPLY"],
  ["OFPST13_QUEUE_REPLY", "1.3", 5, 0, 40, "QUEUE_STATS_REPLY"],
  ["OFPST14_QUEUE_REPLY", "1.4+", 5, 0, 8, "QUEUE_STATS_REPLY"],
  ["NXST_GROUP_REQUEST", "1.0", 7, 8, 0, "GROUP_STATS_REQUEST"],
  ["OFPST11_GROUP_REQUEST", "1.1+", 6, 8, 0, "GROUP_STATS_REQUEST"],
  ["NXST_GROUP_REPLY", "1.0", 7, 0, 8, "GROUP_STATS_REPLY"],
  ["OFPST11_GROUP_REPLY", "1.1-1.2", 6, 0, 8, "GROUP_STATS_REPLY"],
  ["OFPST13_GROUP_REPLY", "1.3+", 6, 0, 8, "GROUP_STATS_REPLY"],
  ["NXST_GROUP_DESC_REQUEST", "1.0", 8, 8, 0, "GROUP_DESC_STATS_REQUEST"],
  ["OFPST11_GROUP_DESC_REQUEST", "1.1-1.4", 7, 0, 0, "GROUP_DESC_STATS_REQUEST"],
  ["OFPST15_GROUP_DESC_REQUEST", "1.5+", 7, 8, 0, "GROUP_DESC_STATS_REQUEST"],
  ["NXST_GROUP_DESC_REPLY", "1.0", 8, 0, 8, "GROUP_DESC_STATS_REPLY"],
  ["OFPST11_GROUP_DESC_REPLY", "1.1+", 7, 0, 8, "GROUP_DESC_STATS_REPLY"],
  ["NXST_GROUP_FEATURES_REQUEST", "1.0-1.1", 9, 0, 0, "GROUP_FEATURES_STATS_REQUEST"],
  ["OFPST12_GROUP_FEATURES_REQUEST", "1.2+", 8, 0, 0, "GROUP_FEATURES_STATS_REQUEST"],
  ["NXST_GROUP_FEATURES_REPLY", "1.0-1.1", 9, 40, 0, "GROUP_FEATURES_STATS_REPLY"],
  ["OFPST12_GROUP_FEATURES_REPLY", "1.2+", 8, 40, 0, "GROUP_FEATURES_STATS_REPLY"],
  ["OFPST13_METER_REQUEST", "1.3+", 9, 8, 0, "METER_STATS_REQUEST"],
  ["OFPST13_METER_REPLY", "1.3+", 9, 0, 8, "METER_STATS_REPLY"],
  ["OFPST13_METER_CONFIG_REQUEST", "1.3+", 10, 8, 0, "METER_CONFIG_STATS_REQUEST"],
  ["OFPST13_METER_CONFIG_REPLY", "1.3+", 10, 0, 8, "METER_CONFIG_STATS_REPLY"],
  ["OFPST13_METER_FEATURES_REQUEST", "1.3+", 11, 0, 0, "METER_FEATURES_STATS_REQUEST"],
  ["OFPST13_METER_FEATURES_REPLY", "1.3+", 11, 16, 0, "METER_FEATURES_STATS_REPLY"],
  ["OFPST13_TABLE_FEATURES_REQUEST", "1.3+", 12, 0, 8, "TABLE_FEATURES_STATS_REQUEST"],
  ["OFPST13_TABLE_FEATURES_REPLY", "1.3+", 12, 64, 8, "TABLE_FEATURES_STATS_REPLY"],
  ["OFPST14_TABLE_DESC_REQUEST", "1.4+", 14, 0, 0, "TABLE_DESC_REQUEST"],
  ["OFPST14_TABLE_DESC_REPLY", "1.4+", 14, 8, 8, "TABLE_DESC_REPLY"],
  ["OFPST10_PORT_DESC_REQUEST", "1.0-1.4", 13, 0, 0, "PORT_DESC_STATS_REQUEST"],
  ["OFPST15_PORT_DESC_REQUEST", "1.5+", 13, 8, 0, "PORT_DESC_STATS_REQUEST"],
  ["OFPST10_PORT_DESC_REPLY", "1.0", 13, 0, 48, "PORT_DESC_STATS_REPLY"],
  ["OFPST11_PORT_DESC_REPLY", "1.1-1.3", 13, 0, 64, "PORT_DESC_STATS_REPLY"],
  ["OFPST14_PORT_DESC_REPLY", "1.4+", 13, 0, 8, "PORT_DESC_STATS_REPLY"],
  ["OFPST14_QUEUE_DESC_REQUEST", "1.4+", 15, 8, 0, "QUEUE_GET_CONFIG_REQUEST"],
  ["OFPST14_QUEUE_DESC_REPLY", "1.4+", 15, 0, 8, "QUEUE_GET_CONFIG_REPLY"],
  ["OFPST14_FLOW_MONITOR_REQUEST", "1.4+", 16, 0, 8, "FLOW_MONITOR_STATS_REQUEST"],
  ["ONFST13_FLOW_MONITOR_REQUEST", "1.3", 1870, 0, 8, "FLOW_MONITOR_STATS_REQUEST"],
  ["NXST_FLOW_MONITOR_REQUEST", "1.0-1.2", 2, 0, 8, "FLOW_MONITOR_STATS_REQUEST"],
  ["OFPST14_FLOW_MONITOR_REPLY", "1.4+", 16, 0, 8, "FLOW_MONITOR_STATS_REPLY"],
  ["ONFST13_FLOW_MONITOR_REPLY", "1.3", 1870, 0, 8, "FLOW_MONITOR_STATS_REPLY"],
  ["NXST_FLOW_MONITOR_REPLY", "1.0-1.2", 2, 0, 8, "FLOW_MONITOR_STATS_REPLY"],
  ["ONFT13_FLOW_MONITOR_CANCEL", "1.3", 1870, 4, 0, "FLOW_MONITOR_CANCEL"],
  ["NXT_FLOW_MONITOR_CANCEL", "1.0-1.2", 21, 4, 0, "FLOW_MONITOR_CANCEL"],
  ["ONFT13_FLOW_MONITOR_PAUSED", "1.3", 1871, 0, 0, "FLOW_MONITOR_PAUSED"],
  ["NXT_FLOW_MONITOR_PAUSED", "1.0-1.2", 22, 0, 0, "FLOW_MONITOR_PAUSED"],
  ["ONFT13_FLOW_MONITOR_RESUMED", "1.3", 1872, 0, 0, "FLOW_MONITOR_RESUMED"],
  ["NXT_FLOW_MONITOR_RESUMED", "1.0-1.2", 23, 0, 0, "FLOW_MONITOR_RESUMED"],
  ["NXT_SET_FLOW_FORMAT", "1.0", 12, 4, 0, "SET_FLOW_FORMAT"],
  ["NXT_FLOW_MOD_TABLE_ID", "1.0+", 15, 8, 0, "FLOW_MOD_TABLE_ID"],
  ["NXT_SET_PACKET_IN_FORMAT", "1.0+", 16, 4, 0, "SET_PACKET_IN_FORMAT"],
  ["NXT_FLOW_AGE", "1.0+", 18, 0, 0, "FLOW_AGE"],
  ["NXT_SET_CONTROLLER_ID", "1.0+", 20, 8, 0, "SET_CONTROLLER_ID"],
  ["NXT_TLV_TABLE_MOD", "1.0+", 24, 8, 8, "NXT_TLV_TABLE_MOD"],
  ["NXT_TLV_TABLE_REQUEST", "1.0+", 25, 0, 0, "NXT_TLV_TABLE_REQUEST"],
  ["NXT_TLV_TABLE_REPLY", "1.0+", 26, 16, 8, "NXT_TLV_TABLE_REPLY"],
  ["NXT_RESUME", "1.0+", 28, 0, 8, "NXT_RESUME"],
  ["NXT_CT_FLUSH_ZONE", "1.0+", 29, 8, 0, "CT_FLUSH_ZONE"],
  ["NXT_CT_FLUSH", "1.0+", 32, 8, 8, "CT_FLUSH"],
  ["NXST_IPFIX_BRIDGE_REQUEST", "1.0+", 3, 0, 0, "IPFIX_BRIDGE_STATS_REQUEST"],
  ["NXST_IPFIX_BRIDGE_REPLY", "1.0+", 3, 88, 0, "IPFIX_BRIDGE_STATS_REPLY"],
  ["NXST_IPFIX_FLOW_REQUEST", "1.0+", 4, 0, 0, "IPFIX_FLOW_STATS_REQUEST"],
  ["NXST_IPFIX_FLOW_REPLY", "1.0+", 4, 0, 88, "IPFIX_FLOW_STATS_REPLY"],
] as const satisfies readonly RawRow[];

type RawRow = readonly [string, string, number, number, number, string];

/** Name of one form of a message. */
export type RawName = (typeof ROWS)[number][0];
/** Name of a message, whatever its form. */
export type MsgType = (typeof ROWS)[number][5];

/** Row of the message table with what follows from it. */
export interface RawInfo {
  readonly raw: RawName;
  readonly type: MsgType;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly number: number;
  readonly minBody: number;
  /** 0: the body ends after minBody; otherwise more units of so many bytes may follow. */
  readonly unit: number;
  /** As printed: `OFPST_FLOW reply`. */
  readonly name: string;
  readonly vendor: number;
  readonly stat: "" | "request" | "reply";
}

const NAME = /^(OFPT|OFPST|NXT|NXST|ONFT|ONFST)(\d*)_(\w+?)(_REQUEST|_REPLY)?$/;
/** Version of "all": even versions that do not exist have hello, error and echo. */
const VERSION_ANY = 255;

function compile([raw, versions, number, minBody, unit, type]: (typeof ROWS)[number]): RawInfo {
  const m = NAME.exec(raw);
  const kind = m?.[1] ?? "";
  const base = m?.[3] ?? "";
  const suffix = m?.[4] ?? "";
  const isStat = kind.endsWith("ST");
  const v = /^1\.(\d)(?:-1\.(\d)|(\+))?$/.exec(versions);
  const first = v === null ? 1 : Number(v[1]) + 1;
  const plus = v?.[3] !== undefined;
  return {
    raw,
    type,
    minVersion: first,
    maxVersion: v === null ? VERSION_ANY : plus ? OFP.v15 : Number(v[2] ?? v[1]) + 1,
    number,
    minBody,
    unit,
    name: isStat ? `${kind}_${base} ${suffix.slice(1).toLowerCase()}` : `${kind}_${base}${suffix}`,
    vendor: kind.startsWith("NX") ? VENDOR.NX : kind.startsWith("ONF") ? VENDOR.ONF : VENDOR.OF,
    stat: !isStat ? "" : suffix === "_REQUEST" ? "request" : "reply",
  };
}

export const RAW_MESSAGES: readonly RawInfo[] = Object.freeze(ROWS.map(compile));

const BY_NAME = new Map<RawName, RawInfo>(RAW_MESSAGES.map((r) => [r.raw, r]));

/** Name of a message as the log prints it: that of its first form. */
export function msgTypeName(type: MsgType): string {
  return RAW_MESSAGES.find((r) => r.type === type)?.name ?? type;
}

export function rawInfo(raw: RawName): RawInfo {
  const info = BY_NAME.get(raw);
  if (info === undefined) {
    throw new Error(`no raw message ${raw}`);
  }
  return info;
}
