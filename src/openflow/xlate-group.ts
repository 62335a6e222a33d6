// Translating groups: which bucket a packet takes, and what the bucket does.
//
// A select group without a method, or with "dp_hash", spreads by a hash that the datapath computes:
// the first time the packet recirculates to get it, then Webster's method has distributed the
// buckets over the hash values by their weights. Method "hash" and groups that do not fit use a
// hash of the flow, scored per bucket.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_group_action__, xlate_group_bucket, pick_*_group;
// ofproto-dpif.c group_setup_dp_hash_table, group_set_selection_method.

import { fieldGet, fieldIsSet, fieldMaskBits, fieldPrereqsOk } from "../flow/field-value.ts";
import { getU, K, orBits } from "../flow/flow-key.ts";
import { flowHashSymmetricL4, flowMaskHashFields } from "../flow/flow-hash.ts";
import { formatPort, OFPP } from "../flow/ofp-port.ts";
import { hashBoolean, hashBytes, hashInt, hashUint64 } from "../lib/hash.ts";
import { actionSetToList } from "./actions/actions.ts";
import type { ActionOf } from "./actions/types.ts";
import type { Group } from "./group.ts";
import { type Bucket, OFPGT } from "./messages/types-group.ts";
import { OFPG } from "./messages/names.ts";
import { ctxPort, LIVENESS_DEPTH_MAX, report, type XlateCtx, openNode } from "./xlate-ctx.ts";
import { triggerFreeze, triggerRecircWithHash } from "./xlate-freeze.ts";
import { row, type XlateTable } from "./xlate-row.ts";
import { resubmitResourceCheck } from "./xlate-table.ts";

/** Hash values that a select group may need (ovs: MAX_SELECT_GROUP_HASH_VALUES). */
export const SELECT_HASH_VALUES_MAX = 256;
/** Hash values that it uses at least. */
const SELECT_HASH_VALUES_MIN = 16;
/** Algorithms of dp_hash, by their number in `selection_method_param`. */
const HASH_ALGS = ["l4", "sym_l4"] as const;

/** How a select group chooses. */
type Selection =
  | { readonly method: "default" }
  | { readonly method: "hash" }
  | {
      readonly method: "dp_hash";
      readonly alg: number;
      readonly basis: number;
      /** hash & mask -> bucket. */
      readonly map: readonly Bucket[];
    };

/** What has been worked out for a group; it never changes, a modified group is a new one. */
const selections = new WeakMap<readonly Bucket[], Selection>();

function selectionOf(group: Group): Selection {
  const known = selections.get(group.hashedBuckets);
  if (known !== undefined) {
    return known;
  }
  const made = makeSelection(group);
  selections.set(group.hashedBuckets, made);
  return made;
}

function makeSelection(group: Group): Selection {
  const { selectionMethod, selectionMethodParam, fields } = group.props;
  if (selectionMethod === "hash") {
    return { method: fields.length > 0 ? "hash" : "default" };
  }
  const explicit = selectionMethod === "dp_hash";
  const map = websterMap(group.hashedBuckets);
  if (map === null) {
    return { method: "default" };
  }
  if (!explicit) {
    return { method: "dp_hash", alg: 1, basis: 0, map };
  }
  const alg = Number(selectionMethodParam >> 32n);
  const basis = Number(selectionMethodParam & 0xffffffffn);
  return { method: "dp_hash", alg: alg < HASH_ALGS.length ? alg : 0, basis, map };
}

/**
 * Distributes hash values over buckets by weight (Webster's method): each value goes to the bucket
 * with the largest quotient of its weight and the next odd number. Null if that takes too many.
 */
export function websterMap(buckets: readonly Bucket[]): readonly Bucket[] | null {
  let total = 0;
  let min = 0xffff;
  for (const b of buckets) {
    total += b.weight;
    if (b.weight > 0 && b.weight < min) {
      min = b.weight;
    }
  }
  if (total === 0) {
    return null;
  }
  let count = SELECT_HASH_VALUES_MIN;
  while (count < Math.ceil(total / min)) {
    count *= 2;
  }
  if (count > SELECT_HASH_VALUES_MAX) {
    return null;
  }
  const divisors = buckets.map(() => 1);
  const values = buckets.map((b) => b.weight);
  const map: Bucket[] = [];
  while (map.length < count) {
    let winner = 0;
    for (let i = 1; i < buckets.length; i++) {
      if ((values[i] as number) > (values[winner] as number)) {
        winner = i;
      }
    }
    const bucket = buckets[winner] as Bucket;
    const divisor = (divisors[winner] as number) + 2;
    divisors[winner] = divisor;
    values[winner] = bucket.weight / divisor;
    map.push(bucket);
  }
  return map;
}

function groupIsAlive(ctx: XlateCtx, groupId: number, depth: number): boolean {
  const group = ctx.xbridge.ofproto.groupLookup(groupId, ctx.tablesVersion);
  return group !== null && firstLiveBucket(ctx, group, depth) !== null;
}

function bucketIsAlive(ctx: XlateCtx, group: Group, b: Bucket, depth: number): boolean {
  if (depth >= LIVENESS_DEPTH_MAX) {
    report(ctx, "error", `bucket chaining exceeded ${LIVENESS_DEPTH_MAX} links`);
    return false;
  }
  if (group.type === OFPGT.SELECT && b.weight === 0) {
    return false;
  }
  const watchesPort = b.watchPort !== OFPP.ANY;
  const watchesGroup = b.watchGroup !== OFPG.ANY;
  if (!watchesPort && !watchesGroup) {
    return true;
  }
  if (watchesPort && b.watchPort !== OFPP.CONTROLLER && portIsAlive(ctx, b.watchPort)) {
    return true;
  }
  if (watchesGroup && groupIsAlive(ctx, b.watchGroup, depth + 1)) {
    return true;
  }
  return b.watchPort === OFPP.CONTROLLER && ctx.xbridge.ofproto.isAlive();
}

function portIsAlive(ctx: XlateCtx, ofpPort: number): boolean {
  return ctxPort(ctx, ofpPort)?.mayEnable === true;
}

function reportNotLive(ctx: XlateCtx, b: Bucket): void {
  if (!ctx.rec.on) {
    return;
  }
  const why: string[] = [];
  if (b.watchPort !== OFPP.ANY) {
    why.push(`port ${formatPort(b.watchPort, null)}`);
  }
  if (b.watchGroup !== OFPG.ANY) {
    why.push(`port ${b.watchGroup}`);
  }
  report(ctx, "detail", `bucket ${b.bucketId}: not live due to ${why.join(" and ")}`);
}

function firstLiveBucket(ctx: XlateCtx, group: Group, depth: number): Bucket | null {
  for (const b of group.buckets) {
    if (bucketIsAlive(ctx, group, b, depth)) {
      return b;
    }
    reportNotLive(ctx, b);
  }
  return null;
}

/** The live bucket with the highest score for a hash of the flow. */
function bestLiveBucket(ctx: XlateCtx, group: Group, basis: number): Bucket | null {
  let best: Bucket | null = null;
  let bestScore = 0;
  for (const b of group.buckets) {
    if (!bucketIsAlive(ctx, group, b, 0)) {
      reportNotLive(ctx, b);
      continue;
    }
    const score = Math.imul(hashInt(b.bucketId, basis) & 0xffff, b.weight) >>> 0;
    if (score >= bestScore) {
      best = b;
      bestScore = score;
    }
    if (ctx.rec.on) {
      report(ctx, "detail", `bucket ${b.bucketId}: score ${score}`);
    }
  }
  return best;
}

function pickDefault(ctx: XlateCtx, group: Group): Bucket | null {
  flowMaskHashFields(ctx.flow, ctx.wc, "symmetric_l4");
  return bestLiveBucket(ctx, group, flowHashSymmetricL4(ctx.flow, 0));
}

/** The bytes of a masked value as they stand in a packet. */
function valueBytes(value: Uint32Array, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) {
    const at = bytes - 1 - i; // distance from the least significant byte
    const word = value[value.length - 1 - (at >> 2)] as number;
    out[i] = word >>> (8 * (at & 3));
  }
  return out;
}

function pickByFields(ctx: XlateCtx, group: Group): Bucket | null {
  const tab = ctx.xbridge.tunTable;
  const param = group.props.selectionMethodParam;
  let basis = hashUint64(Number(param >> 32n), Number(param & 0xffffffffn));
  const fields = [...group.props.fields].sort((a, b) => a.field.id - b.field.id);
  for (const { field, value: mask } of fields) {
    if (!fieldPrereqsOk(field, ctx.flow, ctx.wc)) {
      continue;
    }
    const value = fieldGet(field, ctx.flow, tab);
    for (let i = 0; i < value.length; i++) {
      value[i] = (value[i] as number) & (mask[i] as number);
    }
    basis = hashBytes(valueBytes(value, field.bytes), basis);
    if (field.tunMetadata >= 0) {
      basis = hashBoolean(fieldIsSet(field, ctx.flow), basis);
    }
    fieldMaskBits(field, mask, ctx.wc, tab);
  }
  return bestLiveBucket(ctx, group, basis);
}

function pickByDpHash(
  ctx: XlateCtx,
  group: Group,
  sel: Extract<Selection, { method: "dp_hash" }>,
): Bucket | null {
  const dpHash = getU(ctx.flow, K.dp_hash);
  if (dpHash === 0) {
    const alg = sel.alg > ctx.xbridge.support.max_hash_alg ? 0 : sel.alg;
    triggerRecircWithHash(ctx, HASH_ALGS[alg] ?? "l4", sel.basis);
    return null;
  }
  const mask = sel.map.length - 1;
  orBits(ctx.wc, K.dp_hash, mask);
  for (let i = 0; i <= mask; i++) {
    const b = sel.map[(dpHash + i) & mask] as Bucket;
    if (bucketIsAlive(ctx, group, b, 0)) {
      return b;
    }
  }
  return null;
}

function pickSelect(ctx: XlateCtx, group: Group): Bucket | null {
  // The hash may need headers behind a popped label stack.
  if (ctx.wasMpls) {
    triggerFreeze(ctx);
    return null;
  }
  const sel = selectionOf(group);
  switch (sel.method) {
    case "default":
      return pickDefault(ctx, group);
    case "hash":
      return pickByFields(ctx, group);
    case "dp_hash":
      return pickByDpHash(ctx, group, sel);
  }
}

/** Translates a bucket on a copy of the packet. */
function doBucket(ctx: XlateCtx, bucket: Bucket, isLast: boolean): void {
  const oldNodes = ctx.rec.nodes;
  if (ctx.rec.on) {
    openNode(ctx, { kind: "bucket", bucketId: bucket.bucketId, subs: [] });
  }
  const oldFlow = ctx.flow.slice();
  const oldWasMpls = ctx.wasMpls;
  ctx.depth++;
  ctx.ops.doActions(ctx, actionSetToList(bucket.actions), isLast, true);
  ctx.depth--;
  if (ctx.freezing) {
    ctx.ops.finishFreezing(ctx);
  }
  ctx.flow.set(oldFlow);
  ctx.wasMpls = oldWasMpls;
  ctx.exit = false;
  // Only what protects the translation itself ends it, not what one bucket could not do.
  if (ctx.error === "too_many_mpls_labels" || ctx.error === "unsupported_packet_type") {
    ctx.error = "ok";
  }
  ctx.rec.nodes = oldNodes;
}

function credit(ctx: XlateCtx, group: Group, bucket: Bucket | null): void {
  if (ctx.stats !== null) {
    group.credit(bucket, ctx.stats.packets, ctx.stats.bytes);
  }
  ctx.xcache?.push({ kind: "group", group, bucket });
}

function doGroup(ctx: XlateCtx, group: Group, isLast: boolean): void {
  if (group.type === OFPGT.ALL || group.type === OFPGT.INDIRECT) {
    const n = group.buckets.length;
    group.buckets.forEach((b, i) => {
      doBucket(ctx, b, isLast && i === n - 1);
    });
    credit(ctx, group, null);
    return;
  }
  const bucket =
    group.type === OFPGT.SELECT ? pickSelect(ctx, group) : firstLiveBucket(ctx, group, 0);
  if (bucket === null) {
    report(ctx, "detail", "no live bucket");
    return;
  }
  report(ctx, "detail", `using bucket ${bucket.bucketId}`);
  doBucket(ctx, bucket, isLast);
  credit(ctx, group, bucket);
}

/** True if there is no such group, which ends the list of actions. */
function groupAction(ctx: XlateCtx, a: ActionOf<"group">, isLast: boolean): boolean {
  if (!resubmitResourceCheck(ctx)) {
    return false;
  }
  const group = ctx.xbridge.ofproto.groupLookup(a.groupId, ctx.tablesVersion);
  if (group === null) {
    report(ctx, "warn", `output to nonexistent group ${a.groupId}`);
    return true;
  }
  doGroup(ctx, group, isLast);
  return false;
}

export const GROUP_ROWS = {
  group: row<"group">((ctx, a, at) => (groupAction(ctx, a, at.last) ? "stop" : "next"), {
    freeze: "unroll",
    afterMplsPop: true,
  }),
} satisfies Partial<XlateTable>;
