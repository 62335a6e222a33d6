// Messages about groups: modification, description, statistics, features (ovs: lib/ofp-group.c).
//
// OpenFlow 1.1 to 1.4 have one layout, which knows neither bucket ids nor properties; 1.5 has
// another, which Open vSwitch also uses in experimenter messages of OpenFlow 1.0.

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { Cursor, getU32 } from "../../lib/bytes.ts";
import { actionBitmapFromOpenflow, actionBitmapToOpenflow } from "../actions/codec.ts";
import type { Action } from "../actions/types.ts";
import { putBucket11, putBucket15, warn, pullBuckets11, pullBuckets15 } from "./bucket-wire.ts";
import { type Decoded, isErr } from "./errors.ts";
import { checkGroupMod, pullGroupProps, putSelectionMethod } from "./group-props.ts";
import type { Multipart } from "./multipart.ts";
import { OFPG } from "./names.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { U32_MAX } from "./types-flow.ts";
import {
  type Bucket,
  type BucketCounter,
  type GroupDesc,
  type GroupFeatures,
  type GroupMod,
  type GroupProps,
  type GroupStats,
  OFPG15_BUCKET,
  OFPGC,
} from "./types-group.ts";
import { knownVersion } from "./version.ts";

const GROUP_TYPES = 4;

export const NO_GROUP_PROPS: GroupProps = {
  selectionMethod: "",
  selectionMethodParam: 0n,
  fields: [],
};

/** True for the versions whose messages have bucket ids and properties. */
export function hasBucketIds(version: number): boolean {
  return version === OFP.v10 || version >= OFP.v15;
}
/** What the switch knows that a message for another version needs (ovs: requestforward). */
export interface GroupModContext {
  /** All buckets after an insertion or removal. */
  readonly newBuckets?: readonly Bucket[] | undefined;
  /** Whether the group was there before; undefined if unknown. */
  readonly existed?: boolean | undefined;
}

/**
 * Null if the version cannot express the command: a bucket command in OpenFlow 1.1 to 1.4 without
 * knowing the resulting buckets.
 */
export function encodeGroupMod(
  gm: GroupMod,
  version: OfVersion,
  xid: number,
  cx: GroupModContext = {},
): Uint8Array | null {
  const addOrMod = gm.command === OFPGC.ADD_OR_MOD && cx.existed !== undefined;
  const command = addOrMod ? (cx.existed === true ? OFPGC.MODIFY : OFPGC.ADD) : gm.command;
  return hasBucketIds(version)
    ? encode15(gm, command, version, xid)
    : encode11(gm, command, version, xid, cx.newBuckets);
}

function encode11(
  gm: GroupMod,
  command: number,
  version: OfVersion,
  xid: number,
  newBuckets: readonly Bucket[] | undefined,
): Uint8Array | null {
  const bucketCommand = gm.command === OFPGC.INSERT_BUCKET || gm.command === OFPGC.REMOVE_BUCKET;
  if (bucketCommand && newBuckets === undefined) {
    return null;
  }
  const w = startMsg("OFPT11_GROUP_MOD", version, xid);
  w.u16(bucketCommand ? OFPGC.MODIFY : command)
    .u8(gm.type)
    .zeros(1)
    .u32(gm.groupId);
  for (const b of bucketCommand ? (newBuckets ?? []) : gm.buckets) {
    putBucket11(w, b, version);
  }
  return finishMsg(w);
}

function encode15(gm: GroupMod, command: number, version: OfVersion, xid: number): Uint8Array {
  const raw = version === OFP.v10 ? "NXT_GROUP_MOD" : "OFPT15_GROUP_MOD";
  const w = startMsg(raw, version, xid);
  const start = w.length;
  w.u16(command).u8(gm.type).zeros(1).u32(gm.groupId).zeros(4).u32(gm.commandBucketId);
  const ids = bucketIds(gm.buckets);
  for (const [i, b] of gm.buckets.entries()) {
    putBucket15(w, b, ids[i] ?? 0, gm.type, version);
  }
  w.patchU16(start + 8, w.length - start - 16);
  if (gm.props.selectionMethod !== "") {
    putSelectionMethod(w, gm.props, version);
  }
  return finishMsg(w);
}

/** Buckets without an id get the lowest ones that the buckets behind them do not have. */
function bucketIds(buckets: readonly Bucket[]): number[] {
  const first = buckets.findIndex((b) => b.bucketId > OFPG15_BUCKET.MAX);
  const used = new Set(buckets.slice(first + 1).map((b) => b.bucketId));
  let next = 0;
  return buckets.map((b) => {
    if (b.bucketId <= OFPG15_BUCKET.MAX) {
      return b.bucketId;
    }
    while (used.has(next)) {
      next++;
    }
    return next++;
  });
}

export function decodeGroupMod(msg: Msg): Decoded<GroupMod> {
  const version = knownVersion(msg.version);
  const gm = hasBucketIds(version) ? decode15(msg) : decode11(msg);
  if (isErr(gm)) {
    return gm;
  }
  return checkGroupMod(gm) ?? gm;
}

function decode11(msg: Msg): Decoded<GroupMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const [command, type] = [c.u16(), c.u8()];
  c.skip(1);
  const groupId = c.u32();
  const buckets = pullBuckets11(c, c.left, msg);
  if (isErr(buckets)) {
    return buckets;
  }
  if (msg.version >= OFP.v13 && command === OFPGC.DELETE && buckets.length > 0) {
    return "OFPGMFC_INVALID_GROUP";
  }
  const commandBucketId = OFPG15_BUCKET.ALL;
  return { command, type, groupId, commandBucketId, buckets, props: NO_GROUP_PROPS };
}

function commandBucketOk(command: number, id: number): boolean {
  const one = id <= OFPG15_BUCKET.MAX || id === OFPG15_BUCKET.FIRST || id === OFPG15_BUCKET.LAST;
  if (command === OFPGC.INSERT_BUCKET) {
    return one;
  }
  return id === OFPG15_BUCKET.ALL || (command === OFPGC.REMOVE_BUCKET && one);
}

function decode15(msg: Msg): Decoded<GroupMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const [command, type] = [c.u16(), c.u8()];
  c.skip(1);
  const [groupId, bucketBytes] = [c.u32(), c.u16()];
  c.skip(2);
  const commandBucketId = c.u32();
  if (!commandBucketOk(command, commandBucketId)) {
    warn(msg, `group command bucket id (${commandBucketId}) is out of range`);
    return "OFPGMFC_BAD_BUCKET";
  }
  if (bucketBytes > c.left) {
    return "OFPBRC_BAD_LEN";
  }
  const buckets = pullBuckets15(c, bucketBytes, msg, type);
  if (isErr(buckets)) {
    return buckets;
  }
  const props = pullGroupProps(c, type, command, msg.log);
  return isErr(props) ? props : { command, type, groupId, commandBucketId, buckets, props };
}

export function encodeGroupDescRequest(version: number, groupId: number, xid: number): Uint8Array {
  if (!hasBucketIds(version)) {
    return finishMsg(startMsg("OFPST11_GROUP_DESC_REQUEST", version, xid));
  }
  const raw = version === OFP.v10 ? "NXST_GROUP_DESC_REQUEST" : "OFPST15_GROUP_DESC_REQUEST";
  return finishMsg(startMsg(raw, version, xid).u32(groupId).zeros(4));
}

/** The group asked for, OFPG.ALL for all. */
export function decodeGroupDescRequest(msg: Msg): number {
  const all = msg.raw === "OFPST11_GROUP_DESC_REQUEST";
  return all ? OFPG.ALL : getU32(msg.bytes, msg.bodyOfs);
}

export function appendGroupDesc(m: Multipart, gd: GroupDesc): void {
  const w = m.writer;
  const version = knownVersion(m.version);
  const start = w.length;
  w.zeros(2).u8(gd.type).zeros(1).u32(gd.groupId);
  if (hasBucketIds(version)) {
    w.zeros(8);
    const at = w.length;
    for (const b of gd.buckets) {
      putBucket15(w, b, b.bucketId, gd.type, version);
    }
    w.patchU16(start + 8, w.length - at);
    if (gd.props.selectionMethod !== "") {
      putSelectionMethod(w, gd.props, version);
    }
  } else {
    for (const b of gd.buckets) {
      putBucket11(w, b, version);
    }
  }
  w.patchU16(start, w.length - start);
  m.postAppend(start);
}

/** Takes one group's description; null at the end. */
export function pullGroupDesc(c: Cursor, msg: Msg): Decoded<GroupDesc> | null {
  if (c.left === 0) {
    return null;
  }
  const version = knownVersion(msg.version);
  const long = hasBucketIds(version);
  const headBytes = long ? 16 : 8;
  if (c.left < headBytes) {
    warn(msg, `OFPST11_GROUP_DESC reply has ${c.left} leftover bytes at end`);
    return "OFPBRC_BAD_LEN";
  }
  const [length, type] = [c.u16(), c.u8()];
  c.skip(1);
  const groupId = c.u32();
  const bucketBytes = long ? c.u16() : length - headBytes;
  c.skip(long ? 6 : 0);
  if (length < headBytes || length - headBytes > c.left) {
    warn(msg, `OFPST11_GROUP_DESC reply claims invalid length ${length}`);
    return "OFPBRC_BAD_LEN";
  }
  if (length < bucketBytes + headBytes) {
    warn(msg, `OFPST11_GROUP_DESC reply claims invalid bucket list length ${bucketBytes}`);
    return "OFPBRC_BAD_LEN";
  }
  const sub = c.sub(length - headBytes);
  const buckets = long
    ? pullBuckets15(sub, bucketBytes, msg, type)
    : pullBuckets11(sub, bucketBytes, msg);
  if (isErr(buckets)) {
    return buckets;
  }
  const props = pullGroupProps(sub, type, OFPGC.ADD, msg.log);
  return isErr(props) ? props : { type, groupId, buckets, props };
}

export function encodeGroupStatsRequest(version: number, groupId: number, xid: number): Uint8Array {
  const raw = version === OFP.v10 ? "NXST_GROUP_REQUEST" : "OFPST11_GROUP_REQUEST";
  return finishMsg(startMsg(raw, version, xid).u32(groupId).zeros(4));
}

export function decodeGroupStatsRequest(msg: Msg): number {
  return getU32(msg.bytes, msg.bodyOfs);
}

function statsAreTimed(version: number): boolean {
  return version === OFP.v10 || version >= OFP.v13;
}

export function appendGroupStats(m: Multipart, gs: GroupStats): void {
  const timed = statsAreTimed(m.version);
  const length = (timed ? 40 : 32) + 16 * gs.bucketStats.length;
  const w = m.reserve(length);
  w.u16(length).zeros(2).u32(gs.groupId).u32(gs.refCount).zeros(4);
  w.u64(gs.packetCount).u64(gs.byteCount);
  if (timed) {
    w.u32(gs.durationS).u32(gs.durationNs);
  }
  for (const b of gs.bucketStats) {
    w.u64(b.packetCount).u64(b.byteCount);
  }
}

/** Lengths below that are refused for themselves, others for what is missing. */
const GROUP_STATS_LENGTH_MIN = 8;

/** Takes one group's statistics; null at the end. */
export function pullGroupStats(c: Cursor, msg: Msg): Decoded<GroupStats> | null {
  if (c.left === 0) {
    return null;
  }
  const timed = msg.raw !== "OFPST11_GROUP_REPLY";
  const base = timed ? 40 : 32;
  if (c.left < base) {
    warn(msg, `${msg.info.name} reply has ${c.left} leftover bytes at end`);
    return "OFPBRC_BAD_LEN";
  }
  const length = c.u16();
  if (length < GROUP_STATS_LENGTH_MIN) {
    warn(msg, `${msg.info.name} reply claims invalid length ${length}`);
    return "OFPBRC_BAD_LEN";
  }
  c.skip(2);
  const [groupId, refCount] = [c.u32(), c.u32()];
  c.skip(4);
  const [packetCount, byteCount] = [c.u64(), c.u64()];
  const durationS = timed ? c.u32() : U32_MAX;
  const durationNs = timed ? c.u32() : U32_MAX;
  const n = Math.floor((length - base) / 16);
  if (n < 0 || n * 16 > c.left) {
    warn(msg, `${msg.info.name} reply has ${c.left} leftover bytes at end`);
    return "OFPBRC_BAD_LEN";
  }
  const bucketStats: BucketCounter[] = [];
  for (let i = 0; i < n; i++) {
    bucketStats.push({ packetCount: c.u64(), byteCount: c.u64() });
  }
  const counts = { packetCount, byteCount, durationS, durationNs };
  return { groupId, refCount, ...counts, bucketStats };
}

export function encodeGroupFeaturesRequest(version: number, xid: number): Uint8Array {
  const raw = version < OFP.v12 ? "NXST_GROUP_FEATURES_REQUEST" : "OFPST12_GROUP_FEATURES_REQUEST";
  return finishMsg(startMsg(raw, version, xid));
}

export function encodeGroupFeaturesReply(request: Msg, f: GroupFeatures): Uint8Array {
  const raw =
    request.version < OFP.v12 ? "NXST_GROUP_FEATURES_REPLY" : "OFPST12_GROUP_FEATURES_REPLY";
  const w = startMsg(raw, request.version, request.xid);
  w.u32(f.types).u32(f.capabilities);
  for (let i = 0; i < GROUP_TYPES; i++) {
    w.u32(f.maxGroups[i] ?? 0);
  }
  const none: ReadonlySet<Action["kind"]> = new Set();
  for (let i = 0; i < GROUP_TYPES; i++) {
    w.u32(actionBitmapToOpenflow(f.actions[i] ?? none, knownVersion(request.version)));
  }
  return finishMsg(w);
}

export function decodeGroupFeatures(msg: Msg): GroupFeatures {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const [types, capabilities] = [c.u32(), c.u32()];
  const words = Array.from({ length: 2 * GROUP_TYPES }, () => c.u32());
  const actions = words
    .slice(GROUP_TYPES)
    .map((w) => actionBitmapFromOpenflow(w, knownVersion(msg.version)));
  return { types, capabilities, maxGroups: words.slice(0, GROUP_TYPES), actions };
}
