// Properties of a group, and what a group mod must hold to (ovs: lib/ofp-group.c).
//
// The only property is Netronome's selection method: how a select group chooses a bucket. Its value
// is the method's name in 16 bytes, a parameter, and the fields to hash with their masks.

import type { OfVersion } from "../../flow/of-version.ts";
import { type Cursor, decodeUtf8, getU64, type Writer } from "../../lib/bytes.ts";
import { pullFieldArray, putFieldArray } from "../field-array.ts";
import { type Decoded, isErr, type OfpErr, VENDOR } from "./errors.ts";
import { endProp, expProp, type Property, pullProp, startProp, unknownProp } from "./property.ts";
import {
  type Bucket,
  type GroupMod,
  type GroupProps,
  OFPGC,
  OFPGT,
  SELECTION_METHOD_BYTES,
} from "./types-group.ts";
import { type LogSink, OFPP } from "../../flow/ofp-port.ts";
import { OFPG } from "./names.ts";

const SELECTION_METHOD = expProp(VENDOR.NTR, 1);
/** A wrong number that Open vSwitch 2.4 used. */
const SELECTION_METHOD_OLD = expProp(VENDOR.NTR_COMPAT, 1);
const METHOD_OFS = 16;
const PARAM_OFS = METHOD_OFS + SELECTION_METHOD_BYTES;
const PROP_BYTES = PARAM_OFS + 8;

export function putSelectionMethod(w: Writer, props: GroupProps, version: OfVersion): void {
  const at = startProp(w, SELECTION_METHOD);
  w.zeros(4).fixedString(props.selectionMethod, SELECTION_METHOD_BYTES);
  w.u64(props.selectionMethodParam);
  putFieldArray(w, props.fields, version);
  endProp(w, at);
}

function pullSelectionMethod(
  p: Property,
  type: number,
  command: number,
  log: LogSink | null,
): Decoded<GroupProps> {
  const bad = (text: string): OfpErr => {
    log?.("WARN", "ofp_group", `ntr selection method ${text}`);
    return "OFPBPC_BAD_VALUE";
  };
  if (type !== OFPGT.SELECT) {
    return type > OFPGT.FF ? "OFPGMFC_BAD_TYPE" : bad("property is only allowed for select groups");
  }
  switch (command) {
    case OFPGC.ADD:
    case OFPGC.MODIFY:
    case OFPGC.ADD_OR_MOD:
      break;
    case OFPGC.DELETE:
    case OFPGC.INSERT_BUCKET:
    case OFPGC.REMOVE_BUCKET:
      return bad("property is only allowed for add and delete group modifications");
    default:
      return "OFPGMFC_BAD_COMMAND";
  }
  if (p.bytes.length < PROP_BYTES) {
    bad(`property length ${p.bytes.length} is not valid`);
    return "OFPBPC_BAD_LEN";
  }
  const name = p.bytes.subarray(METHOD_OFS, PARAM_OFS);
  const zero = name.indexOf(0);
  const selectionMethod = decodeUtf8(name, 0, Math.max(zero, 0));
  if (zero < 0) {
    return bad("is not null terminated");
  }
  if (selectionMethod !== "hash" && selectionMethod !== "dp_hash") {
    return bad(`'${selectionMethod}' is not supported`);
  }
  const selectionMethodParam = getU64(p.bytes, PARAM_OFS);
  const list = p.bytes.subarray(PROP_BYTES);
  if (list.length > 0 && selectionMethod !== "hash") {
    return bad(`${selectionMethod} does not support fields`);
  }
  const fields = pullFieldArray(list);
  if (isErr(fields)) {
    bad("fields are invalid");
    return fields;
  }
  return { selectionMethod, selectionMethodParam, fields };
}

/** Reads the properties up to the cursor's end. */
export function pullGroupProps(
  c: Cursor,
  type: number,
  command: number,
  log: LogSink | null,
): Decoded<GroupProps> {
  let props: GroupProps = { selectionMethod: "", selectionMethodParam: 0n, fields: [] };
  while (c.left > 0) {
    const p = pullProp(c);
    if (isErr(p)) {
      return p;
    }
    if (p.type !== SELECTION_METHOD && p.type !== SELECTION_METHOD_OLD) {
      const err = unknownProp(false, p.type, log, "ofp_group", "group");
      if (err !== null) {
        return err;
      }
      continue;
    }
    const method = pullSelectionMethod(p, type, command, log);
    if (isErr(method)) {
      return method;
    }
    props = method;
  }
  return props;
}

const COMMANDS: readonly number[] = Object.values(OFPGC);

function checkBucket(gm: GroupMod, b: Bucket): OfpErr | null {
  if (b.weight !== 0 && gm.type !== OFPGT.SELECT && gm.command !== OFPGC.INSERT_BUCKET) {
    return "OFPGMFC_INVALID_GROUP";
  }
  const live = b.watchPort !== OFPP.ANY || b.watchGroup !== OFPG.ANY;
  if (gm.type === OFPGT.ALL || gm.type === OFPGT.INDIRECT) {
    return live ? "OFPGMFC_WATCH_UNSUPPORTED" : null;
  }
  return gm.type === OFPGT.FF && !live ? "OFPGMFC_INVALID_GROUP" : null;
}

/** Null if a decoded group mod makes sense. */
export function checkGroupMod(gm: GroupMod): OfpErr | null {
  if (gm.type > OFPGT.FF) {
    return "OFPGMFC_BAD_TYPE";
  }
  const indirect = gm.type === OFPGT.INDIRECT && gm.command !== OFPGC.DELETE;
  if (indirect && gm.buckets.length !== 1) {
    return "OFPGMFC_INVALID_GROUP";
  }
  if (!COMMANDS.includes(gm.command)) {
    return "OFPGMFC_BAD_COMMAND";
  }
  if (gm.command === OFPGC.REMOVE_BUCKET && gm.buckets.length > 0) {
    return "OFPGMFC_BAD_BUCKET";
  }
  for (const b of gm.buckets) {
    const err = checkBucket(gm, b);
    if (err !== null) {
      return err;
    }
  }
  return null;
}
