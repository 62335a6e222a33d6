// Groups as users write them: `group_id=1,type=select,bucket=weight:2,output:1` (ovs: lib/ofp-group.c).

import { mfParseValue } from "../../flow/field-text.ts";
import {
  allOnes,
  type FieldValue,
  fieldIsMaskValid,
  isAllOnes,
  isAllZero,
} from "../../flow/field-value.ts";
import { type Field, fieldByName } from "../../flow/fields.ts";
import { P, type Protocols } from "../../flow/of-version.ts";
import { type LogSink, OFPP, portFromString } from "../../flow/ofp-port.ts";
import { isCidr } from "../../lib/address.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { strToU16, strToU32, strToU64 } from "../../lib/number.ts";
import { KeyValueScan, splitKeyValues } from "../../lib/scan.ts";
import { parseActions } from "../actions/actions.ts";
import { type FieldAndMask, fieldArray } from "../field-array.ts";
import { NO_GROUP_PROPS } from "./group.ts";
import { hasLiveness } from "./bucket-wire.ts";
import { type NameMaps, OFPG } from "./names.ts";
import {
  type Bucket,
  type GroupMod,
  OFPG15_BUCKET,
  OFPGC,
  OFPGT,
  SELECTION_METHOD_BYTES,
} from "./types-group.ts";

/** Protocols that have bucket ids, bucket commands and properties. */
const P_NEW = P.OF10_ANY | P.OF15_UP;

/** Commands that may begin a line of a bundle file, tried as prefixes in this order. */
const COMMAND_WORDS: readonly (readonly [string, number])[] = [
  ["add", OFPGC.ADD],
  ["delete", OFPGC.DELETE],
  ["modify", OFPGC.MODIFY],
  ["add_or_mod", OFPGC.ADD_OR_MOD],
  ["insert_bucket", OFPGC.INSERT_BUCKET],
  ["remove_bucket", OFPGC.REMOVE_BUCKET],
];

const TYPE_WORDS: Readonly<Record<string, number>> = {
  all: OFPGT.ALL,
  select: OFPGT.SELECT,
  indirect: OFPGT.INDIRECT,
  ff: OFPGT.FF,
  fast_failover: OFPGT.FF,
};

const BUCKET_WORDS: Readonly<Record<string, number>> = {
  all: OFPG15_BUCKET.ALL,
  first: OFPG15_BUCKET.FIRST,
  last: OFPG15_BUCKET.LAST,
};

export interface GroupParseOptions extends NameMaps {
  readonly log?: LogSink | null;
}

export interface ParsedGroupMod {
  readonly gm: GroupMod;
  readonly usable: Protocols;
}

interface Parsing {
  readonly gm: GroupMod;
  readonly opts: GroupParseOptions;
  /** The command takes a type, buckets, a bucket id, the bucket id "all". */
  readonly takesType: boolean;
  readonly takesBuckets: boolean;
  readonly takesBucketId: boolean;
  readonly takesAll: boolean;
  usable: Protocols;
  hadType: boolean;
  hadBucketId: boolean;
}

/** Reads a group mod. Without a command the text itself may begin with one; "add" is the default. */
export function parseGroupMod(
  text: string,
  command: number | null,
  opts: GroupParseOptions,
): Result<ParsedGroupMod> {
  let rest = text;
  let cmd = command;
  if (cmd === null) {
    rest = text.replace(/^[ \t\r\n]*/, "");
    const word = /^[^, \t\r\n]*/.exec(rest)?.[0] ?? "";
    const known = COMMAND_WORDS.find(([name]) => name.startsWith(word));
    cmd = known?.[1] ?? OFPGC.ADD;
    rest = known === undefined ? rest : rest.slice(word.length);
  }
  const insert = cmd === OFPGC.INSERT_BUCKET;
  const remove = cmd === OFPGC.REMOVE_BUCKET;
  const full = !insert && !remove && cmd !== OFPGC.DELETE;
  const gm: GroupMod = {
    command: cmd,
    type: OFPGT.ALL,
    groupId: OFPG.ANY,
    commandBucketId: OFPG15_BUCKET.ALL,
    buckets: [],
    props: { ...NO_GROUP_PROPS },
  };
  const usable = insert || remove ? P_NEW : P.ANY;
  if (cmd === OFPGC.DELETE && rest === "") {
    gm.groupId = OFPG.ALL;
    return ok({ gm, usable });
  }
  const p: Parsing = {
    gm,
    opts,
    takesType: full,
    takesBuckets: full || insert,
    takesBucketId: insert || remove,
    takesAll: remove,
    usable,
    hadType: false,
    hadBucketId: false,
  };
  const error = parseParts(p, rest);
  return error === null ? ok({ gm, usable: p.usable }) : fail(error, text);
}

function parseParts(p: Parsing, text: string): string | null {
  const at = text.indexOf("bucket=");
  if (at >= 0 && !p.takesBuckets) {
    return "bucket is not needed";
  }
  for (const { key, value } of splitKeyValues(at < 0 ? text : text.slice(0, at))) {
    const error = parseKey(p, key, value);
    if (error !== null) {
      return error;
    }
  }
  return checkKeys(p) ?? parseBuckets(p, at < 0 ? "" : text.slice(at));
}

function parseKey(p: Parsing, key: string, value: string): string | null {
  switch (key) {
    case "command_bucket_id":
      return parseBucketId(p, value);
    case "group_id":
      return parseGroupId(p, value);
    case "type":
      return p.takesType ? parseType(p, value) : "type is not needed";
    case "selection_method":
      return p.takesType ? parseMethod(p, value) : "selection method is not needed";
    case "selection_method_param":
      return p.takesType ? parseParam(p, value) : "selection method param is not needed";
    case "fields":
      return p.takesType ? parseFields(p, value) : "fields are not needed";
    default:
      return `unknown keyword ${key}`;
  }
}

function parseBucketId(p: Parsing, value: string): string | null {
  if (!p.takesBucketId) {
    return "command bucket id is not needed";
  }
  const word = Object.hasOwn(BUCKET_WORDS, value) ? BUCKET_WORDS[value] : undefined;
  const id = word === undefined ? strToU32(value) : ok(word);
  if (!id.ok) {
    return id.error.message;
  }
  if (id.value > OFPG15_BUCKET.MAX && id.value < OFPG15_BUCKET.FIRST) {
    return `invalid command bucket id ${id.value}`;
  }
  if (id.value === OFPG15_BUCKET.ALL && !p.takesAll) {
    return "command_bucket_id=all is not permitted";
  }
  p.gm.commandBucketId = id.value;
  p.hadBucketId = true;
  return null;
}

function parseGroupId(p: Parsing, value: string): string | null {
  if (value === "all") {
    p.gm.groupId = OFPG.ALL;
    return null;
  }
  const id = strToU32(value);
  if (!id.ok) {
    return id.error.message;
  }
  p.gm.groupId = id.value;
  const bad = id.value !== OFPG.ALL && id.value > OFPG.MAX;
  return bad ? `invalid group id ${id.value}` : null;
}

function parseType(p: Parsing, value: string): string | null {
  const type = Object.hasOwn(TYPE_WORDS, value) ? TYPE_WORDS[value] : undefined;
  if (type === undefined) {
    return `invalid group type ${value}`;
  }
  p.gm.type = type;
  p.hadType = true;
  return null;
}

function parseMethod(p: Parsing, value: string): string | null {
  if (value.length >= SELECTION_METHOD_BYTES) {
    return `selection method is longer than ${SELECTION_METHOD_BYTES - 1} bytes long`;
  }
  p.gm.props.selectionMethod = value;
  p.usable &= P_NEW;
  return null;
}

function parseParam(p: Parsing, value: string): string | null {
  const param = strToU64(value);
  if (!param.ok) {
    return param.error.message;
  }
  p.gm.props.selectionMethodParam = param.value;
  p.usable &= P_NEW;
  return null;
}

function parseFields(p: Parsing, text: string): string | null {
  const list: FieldAndMask[] = [...p.gm.props.fields];
  const scan = new KeyValueScan(text);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const { key, value: valueText } = kv;
    const field = fieldByName(key);
    const rest = text.slice(scan.pos);
    if (field === undefined) {
      return `${rest}: unknown field ${key}`;
    }
    if (list.some((e) => e.field === field)) {
      return `${key}: duplicate field`;
    }
    let value = allOnes(field);
    if (valueText !== "") {
      const parsed = mfParseValue(field, valueText, p.opts.ports);
      if (!parsed.ok) {
        return parsed.error.message;
      }
      value = parsed.value;
      if (!field.name.startsWith("tun_metadata") && isAllZero(value)) {
        return `${rest}: values are wildcards here and must not be all-zeros`;
      }
      if (!fieldIsMaskValid(field, value)) {
        return `${valueText}: invalid mask for field ${field.name}`;
      }
    }
    list.push({ field, value });
    p.usable &= usableWith(field, value);
  }
  p.gm.props.fields = fieldArray(list);
  p.usable &= P_NEW;
  return null;
}

function usableWith(field: Field, mask: FieldValue): Protocols {
  if (isAllOnes(field, mask)) {
    return field.usableExact;
  }
  const { usableCidr, usableBitwise } = field;
  return usableBitwise === usableCidr || isCidr(mask[0] ?? 0) ? usableCidr : usableBitwise;
}

function checkKeys(p: Parsing): string | null {
  const { gm } = p;
  if (gm.groupId === OFPG.ANY) {
    return "must specify a group_id";
  }
  if (p.takesType && !p.hadType) {
    return "must specify a type";
  }
  if (gm.props.selectionMethod !== "hash" && gm.props.fields.length > 0) {
    return 'fields may only be specified with "selection_method=hash"';
  }
  if (gm.props.selectionMethod === "" && gm.props.selectionMethodParam !== 0n) {
    return 'selection_method_param is only allowed with "selection_method"';
  }
  if (p.takesBucketId && !p.takesAll && !p.hadBucketId) {
    return "must specify a command bucket id";
  }
  return null;
}

/** `text` begins with the first "bucket=", or is empty. */
function parseBuckets(p: Parsing, text: string): string | null {
  const { gm } = p;
  for (let at = 0; at >= 0 && text !== ""; ) {
    const equals = text.indexOf("=", at + 1);
    if (equals < 0) {
      return "must specify bucket content";
    }
    const next = text.indexOf("bucket=", equals + 1);
    const body = text.slice(equals + 1, next < 0 ? text.length : next);
    const bucket = parseBucket(p, body);
    if (typeof bucket === "string") {
      return bucket;
    }
    gm.buckets.push(bucket);
    const weighted = gm.command !== OFPGC.INSERT_BUCKET && gm.type !== OFPGT.SELECT;
    if (weighted && bucket.weight !== 0) {
      return "Only select groups can have bucket weights.";
    }
    at = next;
  }
  if (gm.type === OFPGT.INDIRECT && gm.buckets.length > 1) {
    return "Indirect groups can have at most one bucket.";
  }
  return null;
}

function parseBucket(p: Parsing, text: string): Bucket | string {
  const bucket: Bucket = {
    weight: p.gm.type === OFPGT.SELECT ? 1 : 0,
    bucketId: OFPG15_BUCKET.ALL,
    watchPort: OFPP.ANY,
    watchGroup: OFPG.ANY,
    actions: [],
  };
  const actions: string[] = [];
  for (const { key, value } of splitKeyValues(text)) {
    const error = parseBucketKey(p, bucket, actions, key, value);
    if (error !== null) {
      return error;
    }
  }
  if (actions.length === 0) {
    return "bucket must specify actions";
  }
  if (p.gm.type === OFPGT.FF && !hasLiveness(bucket)) {
    return "fast failover bucket requires watch_port or watch_group";
  }
  const { ports, tables, log } = p.opts;
  const parsed = parseActions(actions.join(","), { ports, tables, log: log ?? null });
  if (!parsed.ok) {
    return parsed.error.message;
  }
  // As in Open vSwitch, parsing actions forgets what was known of the protocols before.
  p.usable = parsed.value.usable;
  bucket.actions = parsed.value.actions;
  return bucket;
}

function parseBucketKey(
  p: Parsing,
  b: Bucket,
  actions: string[],
  key: string,
  value: string,
): string | null {
  switch (key.toLowerCase()) {
    case "weight": {
      const weight = strToU16(value, "weight");
      b.weight = weight.ok ? weight.value : 0;
      return weight.ok ? null : weight.error.message;
    }
    case "watch_port": {
      const port = portFromString(value, p.opts.ports, p.opts.log ?? null);
      const bad = port === null || (port >= OFPP.MAX && !isWatchable(port));
      b.watchPort = port ?? 0;
      return bad ? `${value}: invalid watch_port` : null;
    }
    case "watch_group": {
      const group = strToU32(value);
      b.watchGroup = group.ok ? group.value : 0;
      if (!group.ok) {
        return group.error.message;
      }
      return group.value > OFPG.MAX ? `invalid watch_group id ${group.value}` : null;
    }
    case "bucket_id": {
      const id = strToU32(value);
      b.bucketId = id.ok ? id.value : 0;
      p.usable &= P_NEW;
      if (!id.ok) {
        return id.error.message;
      }
      return id.value > OFPG15_BUCKET.MAX ? `invalid bucket_id id ${id.value}` : null;
    }
    case "action":
    case "actions":
      actions.push(value);
      return null;
    default:
      actions.push(`${key}(${value})`);
      return null;
  }
}

function isWatchable(port: number): boolean {
  return port === OFPP.ANY || port === OFPP.CONTROLLER;
}
