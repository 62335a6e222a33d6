// Groups as tools print them (ovs: lib/ofp-group.c ofp_print_group and the *_format functions).

import { formatPort, OFPP } from "../../flow/ofp-port.ts";
import { formatActionNames, formatActions } from "../actions/actions.ts";
import { formatFieldArray } from "../field-array.ts";
import { hasBucketIds } from "./group.ts";
import { formatGroup, type NameMaps, OFPG } from "./names.ts";
import { altHex, formatDuration, hex } from "./text.ts";
import { U32_MAX, U64_MAX } from "./types-flow.ts";
import {
  type Bucket,
  type GroupDesc,
  type GroupFeatures,
  type GroupMod,
  type GroupProps,
  type GroupStats,
  OFPG15_BUCKET,
  OFPGC,
  OFPGT,
} from "./types-group.ts";

const TYPE_NAMES = ["all", "select", "indirect", "ff"];
const FEATURE_TYPE_NAMES = ["all", "select", "indirect", "fast failover"];

const COMMAND_NAMES: Readonly<Record<number, string>> = {
  [OFPGC.ADD]: "ADD",
  [OFPGC.MODIFY]: "MOD",
  [OFPGC.ADD_OR_MOD]: "ADD_OR_MOD",
  [OFPGC.DELETE]: "DEL",
  [OFPGC.INSERT_BUCKET]: "INSERT_BUCKET",
  [OFPGC.REMOVE_BUCKET]: "REMOVE_BUCKET",
};

const BUCKET_NAMES: Readonly<Record<number, string>> = {
  [OFPG15_BUCKET.FIRST]: "first",
  [OFPG15_BUCKET.LAST]: "last",
  [OFPG15_BUCKET.ALL]: "all",
};

/** Bucket ids are only printed for versions that have them. */
function bucketIdText(label: string, id: number, version: number): string {
  return hasBucketIds(version) ? `${label}${BUCKET_NAMES[id] ?? id},` : "";
}

function formatProps(props: GroupProps): string {
  if (props.selectionMethod === "") {
    return "";
  }
  let out = `,selection_method=${props.selectionMethod}`;
  if (props.selectionMethodParam !== 0n) {
    out += `,selection_method_param=${props.selectionMethodParam}`;
  }
  const fields = formatFieldArray(props.fields);
  if (props.fields.length === 1) {
    out += `,fields=${fields}`;
  } else if (props.fields.length > 1) {
    out += `,fields(${fields})`;
  }
  return out;
}

function formatBucket(b: Bucket, type: number, version: number, names: NameMaps): string {
  let out = `bucket=${bucketIdText("bucket_id:", b.bucketId, version)}`;
  if (b.weight !== (type === OFPGT.SELECT ? 1 : 0)) {
    out += `weight:${b.weight},`;
  }
  if (b.watchPort !== OFPP.NONE) {
    out += `watch_port:${formatPort(b.watchPort, names.ports)},`;
  }
  if (b.watchGroup !== OFPG.ANY) {
    out += `watch_group:${b.watchGroup},`;
  }
  return `${out}actions=${formatActions(b.actions, names)}`;
}

/** One group without its command, as dump-groups prints it. */
export function formatGroupDesc(gd: GroupDesc, version: number, names: NameMaps): string {
  const type = `,type=${TYPE_NAMES[gd.type] ?? "unknown"}`;
  return groupText(gd, type, version, names);
}

function groupText(gd: GroupDesc, type: string, version: number, names: NameMaps): string {
  const head = `group_id=${gd.groupId}${type}${formatProps(gd.props)}`;
  return [head, ...gd.buckets.map((b) => formatBucket(b, gd.type, version, names))].join(",");
}

export function formatGroupMod(gm: GroupMod, version: number, names: NameMaps): string {
  const bucketCommand = gm.command === OFPGC.INSERT_BUCKET || gm.command === OFPGC.REMOVE_BUCKET;
  const command = COMMAND_NAMES[gm.command] ?? `cmd:${gm.command}`;
  const id = bucketCommand ? bucketIdText("command_bucket_id:", gm.commandBucketId, version) : "";
  const type = bucketCommand ? "" : `,type=${TYPE_NAMES[gm.type] ?? "unknown"}`;
  return `\n ${command} ${id}${groupText(gm, type, version, names)}`;
}

export function formatGroupRequest(groupId: number): string {
  return ` group_id=${formatGroup(groupId)}`;
}

export function formatGroupStats(gs: GroupStats): string {
  const duration =
    gs.durationS === U32_MAX ? "" : `duration=${formatDuration(gs.durationS, gs.durationNs)},`;
  const buckets = gs.bucketStats
    .map((b, i) => `,bucket${i}:packet_count=${b.packetCount},byte_count=${b.byteCount}`)
    .filter((_, i) => gs.bucketStats[i]?.packetCount !== U64_MAX);
  return (
    `group_id=${gs.groupId},${duration}ref_count=${gs.refCount},` +
    `packet_count=${gs.packetCount},byte_count=${gs.byteCount}${buckets.join("")}`
  );
}

export function formatGroupFeatures(f: GroupFeatures): string {
  let out = `\n Group table:\n    Types:  ${hex(f.types)}\n`;
  out += `    Capabilities:  ${hex(f.capabilities)}\n`;
  for (const [i, name] of FEATURE_TYPE_NAMES.entries()) {
    if (((f.types >>> i) & 1) !== 0) {
      out += `    ${name} group:\n       max_groups=${altHex(f.maxGroups[i] ?? 0)}\n`;
      out += `       actions: ${formatActionNames(f.actions[i] ?? new Set())}\n`;
    }
  }
  return out;
}
