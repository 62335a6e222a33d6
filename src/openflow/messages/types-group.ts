// What messages about groups, meters and queues carry (ovs: ofp-{group,meter,queue}.h).

import type { Field } from "../../flow/fields.ts";
import type { FieldValue } from "../../flow/field-value.ts";
import type { Action } from "../actions/types.ts";

/** Group mod commands. ADD_OR_MOD is Open vSwitch's own. */
export const OFPGC = {
  ADD: 0,
  MODIFY: 1,
  DELETE: 2,
  INSERT_BUCKET: 3,
  REMOVE_BUCKET: 5,
  ADD_OR_MOD: 0x8000,
} as const;

export const OFPGT = { ALL: 0, SELECT: 1, INDIRECT: 2, FF: 3 } as const;

/** Bucket ids with a meaning in insert and remove. */
export const OFPG15_BUCKET = {
  MAX: 0xffffff00,
  FIRST: 0xfffffffd,
  LAST: 0xfffffffe,
  ALL: 0xffffffff,
} as const;

/** Bytes of a selection method's name on the wire, with its terminator. */
export const SELECTION_METHOD_BYTES = 16;

export interface Bucket {
  weight: number;
  /** OFPP.ANY: none. */
  watchPort: number;
  /** OFPG.ANY: none. */
  watchGroup: number;
  bucketId: number;
  actions: readonly Action[];
}

/** Field and value (a mask) of a selection method. */
export interface SelectionField {
  readonly field: Field;
  readonly value: FieldValue;
}

export interface GroupProps {
  /** The empty string: none. */
  selectionMethod: string;
  selectionMethodParam: bigint;
  fields: readonly SelectionField[];
}

export interface GroupMod {
  /** One of OFPGC. */
  command: number;
  /** One of OFPGT. */
  type: number;
  groupId: number;
  /** Where INSERT_BUCKET inserts, what REMOVE_BUCKET removes. */
  commandBucketId: number;
  buckets: Bucket[];
  props: GroupProps;
}

export interface GroupDesc {
  type: number;
  groupId: number;
  buckets: readonly Bucket[];
  props: GroupProps;
}

export interface BucketCounter {
  packetCount: bigint;
  byteCount: bigint;
}

export interface GroupStats {
  groupId: number;
  refCount: number;
  packetCount: bigint;
  byteCount: bigint;
  /** U32_MAX if unknown. */
  durationS: number;
  durationNs: number;
  bucketStats: readonly BucketCounter[];
}

export interface GroupFeatures {
  /** Bitmap of 1 << OFPGT. */
  types: number;
  capabilities: number;
  /** By group type. */
  maxGroups: readonly number[];
  /** By group type: kinds of actions. */
  actions: readonly ReadonlySet<Action["kind"]>[];
}

/** Meter numbers with a meaning. */
export const OFPM13 = {
  MAX: 0xffff0000,
  SLOWPATH: 0xfffffffd,
  CONTROLLER: 0xfffffffe,
  ALL: 0xffffffff,
} as const;
export const OFPMC = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
export const OFPMF = { KBPS: 1 << 0, PKTPS: 1 << 1, BURST: 1 << 2, STATS: 1 << 3 } as const;
export const OFPMBT = { DROP: 1, DSCP_REMARK: 2 } as const;

export interface MeterBand {
  /** One of OFPMBT. */
  type: number;
  /** Of DSCP_REMARK, otherwise 0. */
  precLevel: number;
  rate: number;
  burstSize: number;
}

export interface MeterConfig {
  meterId: number;
  /** OFPMF bits. */
  flags: number;
  bands: readonly MeterBand[];
}

export interface MeterMod {
  command: number;
  meter: MeterConfig;
}

export interface MeterBandStats {
  packetCount: bigint;
  byteCount: bigint;
}

export interface MeterStats {
  meterId: number;
  flowCount: number;
  packetInCount: bigint;
  byteInCount: bigint;
  durationS: number;
  durationNs: number;
  bands: readonly MeterBandStats[];
}

export interface MeterFeatures {
  maxMeters: number;
  /** Bitmap of 1 << OFPMBT. */
  bandTypes: number;
  /** OFPMF bits. */
  capabilities: number;
  maxBands: number;
  maxColor: number;
}

export interface QueueConfig {
  port: number;
  queue: number;
  /** Tenths of a percent; more than 1000: off; 0xffff: not given. */
  minRate: number;
  maxRate: number;
}

export interface QueueRequest {
  /** OFPP.ANY: all. */
  port: number;
  /** OFPQ_ALL: all. */
  queue: number;
}

export interface QueueStats {
  port: number;
  queue: number;
  txBytes: bigint;
  txPackets: bigint;
  txErrors: bigint;
  /** U32_MAX if unknown. */
  durationS: number;
  durationNs: number;
}
