// Buckets of groups on the wire (ovs: lib/ofp-group.c ofputil_put_ofp11_bucket,
// ofputil_pull_ofp15_buckets ff.).
//
// OpenFlow 1.1 to 1.4 have buckets of one layout; those of 1.5 have ids and properties.

import type { OfVersion } from "../../flow/of-version.ts";
import { type LogSink, OFPP, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import type { Cursor, Writer } from "../../lib/bytes.ts";
import { pullActions, putActions } from "../actions/codec.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { OFPG } from "./names.ts";
import {
  type Property,
  propU16,
  propU32,
  pullProp,
  putPropU16,
  putPropU32,
  unknownProp,
} from "./property.ts";
import type { Msg } from "./raw.ts";
import { type Bucket, OFPG15_BUCKET, OFPGT } from "./types-group.ts";
import { knownVersion } from "./version.ts";

const PROP_WEIGHT = 0;
const PROP_WATCH_PORT = 1;
const PROP_WATCH_GROUP = 2;

export function hasLiveness(b: Bucket): boolean {
  return b.watchPort !== OFPP.ANY || b.watchGroup !== OFPG.ANY;
}

export function putBucket11(w: Writer, b: Bucket, version: OfVersion): void {
  const start = w.length;
  w.u16(0).u16(b.weight).u32(portToOfp11(b.watchPort)).u32(b.watchGroup).zeros(4);
  putActions(b.actions, w, version);
  w.patchU16(start, w.length - start);
}

export function putBucket15(
  w: Writer,
  b: Bucket,
  id: number,
  type: number,
  version: OfVersion,
): void {
  const start = w.length;
  w.zeros(4).u32(id);
  const actions = w.length;
  putActions(b.actions, w, version);
  w.patchU16(start + 2, w.length - actions);
  if (type === OFPGT.SELECT || b.weight !== 0) {
    putPropU16(w, PROP_WEIGHT, b.weight);
  }
  if (b.watchPort !== OFPP.ANY) {
    putPropU32(w, PROP_WATCH_PORT, portToOfp11(b.watchPort));
  }
  if (b.watchGroup !== OFPG.ANY) {
    putPropU32(w, PROP_WATCH_GROUP, b.watchGroup);
  }
  w.patchU16(start, w.length - start);
}

export function warn(msg: Msg, text: string): void {
  msg.log?.("WARN", "ofp_group", text);
}

/** Whether a bucket's length holds its head and ends within the list. */
function bucketLengthOk(msg: Msg, bytes: number, head: number, left: number): boolean {
  const what = `OpenFlow message bucket length ${bytes}`;
  if (bytes < head) {
    warn(msg, `${what} is not valid`);
  } else if (bytes > left) {
    warn(msg, `${what} exceeds remaining buckets data size ${left}`);
  }
  return bytes >= head && bytes <= left;
}

export function pullBuckets11(c: Cursor, len: number, msg: Msg): Decoded<Bucket[]> {
  const version = knownVersion(msg.version);
  const buckets: Bucket[] = [];
  const sub = c.sub(len);
  while (sub.left > 0) {
    if (sub.left < 16) {
      warn(msg, `buckets end with ${sub.left} leftover bytes`);
      return "OFPGMFC_BAD_BUCKET";
    }
    const [bytes, weight, watch, watchGroup] = [sub.u16(), sub.u16(), sub.u32(), sub.u32()];
    sub.skip(4);
    if (!bucketLengthOk(msg, bytes, 16, sub.left + 16)) {
      return "OFPGMFC_BAD_BUCKET";
    }
    const actions = pullActions(sub, bytes - 16, version, { log: msg.log, debug: msg.debug });
    if (isErr(actions)) {
      return actions;
    }
    const watchPort = portFromOfp11(watch, msg.log);
    if (watchPort === null) {
      return "OFPGMFC_BAD_WATCH";
    }
    buckets.push({ weight, watchPort, watchGroup, bucketId: buckets.length, actions });
  }
  return buckets;
}

interface BucketProps {
  weight: number;
  watch: number;
  watchGroup: number;
}

function bucketProp(p: Property, out: BucketProps, log: LogSink | null): OfpErr | null {
  if (p.type === PROP_WEIGHT) {
    const v = propU16(p);
    out.weight = isErr(v) ? 0 : v;
    return isErr(v) ? v : null;
  }
  if (p.type !== PROP_WATCH_PORT && p.type !== PROP_WATCH_GROUP) {
    return unknownProp(false, p.type, log, "ofp_group", "group bucket");
  }
  const v = propU32(p);
  if (isErr(v)) {
    return v;
  }
  if (p.type === PROP_WATCH_PORT) {
    out.watch = v;
  } else {
    out.watchGroup = v;
  }
  return null;
}

function pullBucket15(c: Cursor, msg: Msg, type: number): Decoded<Bucket> {
  if (c.left < 8) {
    warn(msg, `buckets end with ${c.left} leftover bytes`);
    return "OFPGMFC_BAD_BUCKET";
  }
  const [bytes, actionBytes, bucketId] = [c.u16(), c.u16(), c.u32()];
  if (!bucketLengthOk(msg, bytes, 8, c.left + 8)) {
    return "OFPGMFC_BAD_BUCKET";
  }
  if (actionBytes > bytes - 8) {
    const size = `remaining bucket data size ${bytes - 8}`;
    warn(msg, `OpenFlow message bucket actions length ${actionBytes} exceeds ${size}`);
    return "OFPGMFC_BAD_BUCKET";
  }
  const actions = pullActions(c, actionBytes, knownVersion(msg.version), {
    log: msg.log,
    debug: msg.debug,
  });
  if (isErr(actions)) {
    return actions;
  }
  const weight = type === OFPGT.SELECT ? 1 : 0;
  const props = { weight, watch: portToOfp11(OFPP.ANY), watchGroup: OFPG.ANY as number };
  for (const sub = c.sub(bytes - 8 - actionBytes); sub.left > 0; ) {
    const p = pullProp(sub);
    const err = isErr(p) ? p : bucketProp(p, props, msg.log);
    if (err !== null) {
      return err;
    }
  }
  const watchPort = portFromOfp11(props.watch, msg.log);
  if (watchPort === null) {
    return "OFPGMFC_BAD_WATCH";
  }
  if (bucketId > OFPG15_BUCKET.MAX) {
    warn(msg, `bucket id (${bucketId}) is out of range`);
    return "OFPGMFC_BAD_BUCKET";
  }
  return { weight: props.weight, watchPort, watchGroup: props.watchGroup, bucketId, actions };
}

export function pullBuckets15(c: Cursor, len: number, msg: Msg, type: number): Decoded<Bucket[]> {
  const buckets: Bucket[] = [];
  const sub = c.sub(len);
  while (sub.left > 0) {
    const b = pullBucket15(sub, msg, type);
    if (isErr(b)) {
      return b;
    }
    buckets.push(b);
  }
  const ids = new Set(buckets.map((b) => b.bucketId));
  if (ids.size < buckets.length) {
    warn(msg, "Duplicate bucket id");
    return "OFPGMFC_BAD_BUCKET";
  }
  return buckets;
}
