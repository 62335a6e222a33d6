// Group mods: adding, changing and deleting groups, and inserting and removing single buckets.
//
// As with flow mods there are a start, a revert and a finish, so that bundles can mix both
// (ovs: ofproto/ofproto.c add_group_start, modify_group_start, delete_group_start, ...).

import { VERSION_NOT_REMOVED, type Version } from "../datapath/classifier-rule.ts";
import { deleteFlowsFinish, deleteFlowsRevert, deleteFlowsStart } from "./flow-mod.ts";
import { Group, GROUPS_MAX } from "./group.ts";
import type { OfpErr } from "./messages/errors.ts";
import { OFPG } from "./messages/names.ts";
import { type Bucket, type GroupMod, OFPG15_BUCKET, OFPGC, OFPGT } from "./messages/types-group.ts";
import { OFPRFR } from "./messages/types-switch.ts";
import type { Ofproto, Requester } from "./ofproto.ts";
import { REMOVED } from "./rule.ts";
import { VERSION_MAX } from "./rule-criteria.ts";

/** A group mod on its way through its phases. */
export interface GroupModOp {
  gm: GroupMod;
  version: Version;
  newGroup: Group | null;
  oldGroups: Group[];
}

export function groupModOp(gm: GroupMod): GroupModOp {
  return { gm, version: VERSION_NOT_REMOVED, newGroup: null, oldGroups: [] };
}

export function groupModStart(p: Ofproto, op: GroupModOp): OfpErr | null {
  op.newGroup = null;
  op.oldGroups = [];
  const { command, groupId } = op.gm;
  switch (command) {
    case OFPGC.ADD:
      return addStart(p, op);
    case OFPGC.MODIFY:
    case OFPGC.INSERT_BUCKET:
    case OFPGC.REMOVE_BUCKET:
      return modifyStart(p, op);
    case OFPGC.ADD_OR_MOD:
      return p.groups.lookup(groupId, VERSION_MAX) === null ? addStart(p, op) : modifyStart(p, op);
    case OFPGC.DELETE:
      deleteStart(p, op);
      return null;
    default:
      p.log.info("ofproto", `${p.name}: Invalid group_mod command type ${command}`);
      return "OFPGMFC_BAD_COMMAND";
  }
}

function initGroup(p: Ofproto, op: GroupModOp): Group | OfpErr {
  if (op.gm.groupId > OFPG.MAX) {
    return "OFPGMFC_INVALID_GROUP";
  }
  if (op.gm.type > OFPGT.FF) {
    return "OFPGMFC_BAD_TYPE";
  }
  return new Group(op.gm, op.version, p.clock.nowMs());
}

function addStart(p: Ofproto, op: GroupModOp): OfpErr | null {
  if (p.groups.lookup(op.gm.groupId, VERSION_MAX) !== null) {
    return "OFPGMFC_GROUP_EXISTS";
  }
  const count = p.nGroups[op.gm.type] ?? 0;
  if (count >= GROUPS_MAX) {
    return "OFPGMFC_OUT_OF_GROUPS";
  }
  const group = initGroup(p, op);
  if (typeof group === "string") {
    return group;
  }
  op.newGroup = group;
  p.groups.insert(group);
  p.nGroups[group.type] = count + 1;
  return null;
}

function modifyStart(p: Ofproto, op: GroupModOp): OfpErr | null {
  const old = p.groups.lookup(op.gm.groupId, VERSION_MAX);
  if (old === null) {
    return "OFPGMFC_UNKNOWN_GROUP";
  }
  const { command, commandBucketId } = op.gm;
  if (command === OFPGC.INSERT_BUCKET || command === OFPGC.REMOVE_BUCKET) {
    // Changing buckets leaves type and properties alone (EXT-570).
    op.gm = { ...op.gm, type: old.type, props: old.props };
  }
  const group = initGroup(p, op);
  if (typeof group === "string") {
    return group;
  }
  let buckets: readonly Bucket[] | OfpErr = group.buckets;
  if (command === OFPGC.INSERT_BUCKET) {
    buckets = insertBuckets(p, old.buckets, group.buckets, commandBucketId);
  } else if (command === OFPGC.REMOVE_BUCKET) {
    buckets = removeBuckets(old.buckets, group.buckets, commandBucketId);
  }
  if (typeof buckets === "string") {
    return buckets;
  }
  group.setBuckets(buckets);
  group.createdMs = old.createdMs;
  op.newGroup = group;
  op.oldGroups.push(old);
  old.removeVersion = op.version;
  p.groups.insert(group);
  group.rules = old.rules;
  old.rules = new Map();
  if (old.type !== group.type) {
    p.nGroups[old.type] = (p.nGroups[old.type] ?? 1) - 1;
    p.nGroups[group.type] = (p.nGroups[group.type] ?? 0) + 1;
  }
  return null;
}

/** The old buckets with new ones where the command says (ovs: copy_buckets_for_insert_bucket). */
function insertBuckets(
  p: Ofproto,
  old: readonly Bucket[],
  added: readonly Bucket[],
  where: number,
): readonly Bucket[] | OfpErr {
  const after = old.findIndex((b) => b.bucketId === where);
  if (where <= OFPG15_BUCKET.MAX && after < 0) {
    return "OFPGMFC_UNKNOWN_BUCKET";
  }
  const ids = new Set([...added, ...old].map((b) => b.bucketId));
  if (ids.size < added.length + old.length) {
    p.log.logRl("ofproto", "info", { name: "ofproto", rate: 1, burst: 5 }, "Duplicate bucket id");
    return "OFPGMFC_BUCKET_EXISTS";
  }
  if (where === OFPG15_BUCKET.LAST) {
    return [...old, ...added];
  }
  if (where <= OFPG15_BUCKET.MAX) {
    return [...old.slice(0, after + 1), ...added, ...old.slice(after + 1)];
  }
  return [...added, ...old];
}

/** The buckets of the message (none, as a rule) and the old ones but for what is removed. */
function removeBuckets(
  old: readonly Bucket[],
  own: readonly Bucket[],
  which: number,
): readonly Bucket[] | OfpErr {
  switch (which) {
    case OFPG15_BUCKET.ALL:
      return own;
    case OFPG15_BUCKET.FIRST:
      return [...own, ...old.slice(1)];
    case OFPG15_BUCKET.LAST:
      return [...own, ...old.slice(0, -1)];
    default: {
      const at = old.findIndex((b) => b.bucketId === which);
      return at < 0 ? "OFPGMFC_UNKNOWN_BUCKET" : [...own, ...old.filter((_, i) => i !== at)];
    }
  }
}

function deleteStart(p: Ofproto, op: GroupModOp): void {
  const { groupId } = op.gm;
  const one = p.groups.lookup(groupId, op.version);
  const groups =
    groupId === OFPG.ALL ? [...p.groups.visible(op.version)] : one === null ? [] : [one];
  for (const group of groups) {
    // The group keeps its list of rules, which are deleted along with it.
    group.beingDeleted = true;
    deleteFlowsStart(p, op.version, [...group.rules.keys()]);
    op.oldGroups.push(group);
    group.removeVersion = op.version;
    p.nGroups[group.type] = (p.nGroups[group.type] ?? 1) - 1;
  }
}

export function groupModRevert(p: Ofproto, op: GroupModOp): void {
  const { newGroup } = op;
  for (const old of op.oldGroups) {
    p.nGroups[old.type] = (p.nGroups[old.type] ?? 0) + 1;
    old.removeVersion = VERSION_NOT_REMOVED;
    if (newGroup !== null) {
      old.rules = newGroup.rules;
      newGroup.rules = new Map();
    } else {
      old.beingDeleted = false;
      deleteFlowsRevert(p, [...old.rules.keys()]);
    }
  }
  if (newGroup !== null) {
    p.groups.remove(newGroup);
    p.nGroups[newGroup.type] = (p.nGroups[newGroup.type] ?? 1) - 1;
  }
}

export function groupModFinish(p: Ofproto, op: GroupModOp, req: Requester | null): void {
  for (const old of op.oldGroups) {
    deleteFlowsFinish(p, [...old.rules.keys()], REMOVED.GROUP_DELETE, null);
  }
  p.postponeGroupRemoval(op.oldGroups);
  if (req !== null) {
    const rf = { reason: OFPRFR.GROUP_MOD, xid: req.xid, groupMod: op.gm };
    const existed = op.oldGroups.length > 0;
    p.conns.sendRequestForward(req.conn, rf, { newBuckets: op.newGroup?.buckets, existed });
  }
}

/** One group mod, whole. Null is success. */
export function groupMod(p: Ofproto, gm: GroupMod, req: Requester | null): OfpErr | null {
  const op = groupModOp(gm);
  op.version = p.tablesVersion + 1;
  const error = groupModStart(p, op);
  if (error !== null) {
    return error;
  }
  p.bumpVersion();
  groupModFinish(p, op, req);
  p.monitors.flush();
  return null;
}

/** Deletes every group, with the flows that use them. */
export function deleteAllGroups(p: Ofproto): void {
  const props = { selectionMethod: "", selectionMethodParam: 0n, fields: [] };
  groupMod(
    p,
    { command: OFPGC.DELETE, type: 0, groupId: OFPG.ALL, commandBucketId: 0, buckets: [], props },
    null,
  );
}
