// Group: one version of an OpenFlow group, with its counters, and the table of all groups.
//
// As with rules, a modification makes a new Group beside the old one; versions decide which of
// them a lookup sees (ovs: ofproto/ofproto-provider.h struct ofgroup). Which bucket a select group
// takes is the translation's affair.

import { type Version, VERSION_NOT_REMOVED } from "../datapath/classifier-rule.ts";
import type { Bucket, GroupMod, GroupProps } from "./messages/types-group.ts";
import type { Rule } from "./rule.ts";

/** Groups per type that a bridge can have (ovs: OFPG_MAX). */
export const GROUPS_MAX = 0xffffff00;

export interface BucketCounts {
  nPackets: number;
  nBytes: number;
}

export class Group {
  readonly groupId: number;
  /** OFPGT: 0 all, 1 select, 2 indirect, 3 fast failover. */
  readonly type: number;
  readonly props: GroupProps;
  buckets: readonly Bucket[];
  /**
   * The buckets of the message that made the group: hash values are spread over these alone, also
   * if the message only inserted or removed some (ovs: init_group constructs before it copies).
   */
  readonly hashedBuckets: readonly Bucket[];
  bucketCounts: readonly BucketCounts[];
  createdMs: number;
  modifiedMs: number;
  addVersion: Version;
  removeVersion: Version = VERSION_NOT_REMOVED;
  /** Set while the rules that use the group are being deleted along with it. */
  beingDeleted = false;
  /** Rules whose actions name the group, and how often each does. */
  rules = new Map<Rule, number>();
  nPackets = 0;
  nBytes = 0;

  constructor(gm: GroupMod, version: Version, nowMs: number) {
    this.groupId = gm.groupId;
    this.type = gm.type;
    this.props = gm.props;
    this.buckets = gm.buckets;
    this.hashedBuckets = gm.buckets;
    this.bucketCounts = zeroCounts(gm.buckets);
    this.createdMs = nowMs;
    this.modifiedMs = nowMs;
    this.addVersion = version;
  }

  setBuckets(buckets: readonly Bucket[]): void {
    this.buckets = buckets;
    this.bucketCounts = zeroCounts(buckets);
  }

  /** How often actions of rules name the group. */
  get refCount(): number {
    let n = 0;
    for (const times of this.rules.values()) {
      n += times;
    }
    return n;
  }

  refer(rule: Rule): void {
    this.rules.set(rule, (this.rules.get(rule) ?? 0) + 1);
  }

  /** Counts packets; without a bucket, for all of them (ovs: group_dpif_credit_stats). */
  credit(bucket: Bucket | null, packets: number, bytes: number): void {
    this.nPackets += packets;
    this.nBytes += bytes;
    this.buckets.forEach((b, i) => {
      const counts = this.bucketCounts[i];
      if (counts !== undefined && (bucket === null || bucket === b)) {
        counts.nPackets += packets;
        counts.nBytes += bytes;
      }
    });
  }

  visibleIn(version: Version): boolean {
    return this.addVersion <= version && version < this.removeVersion;
  }
}

function zeroCounts(buckets: readonly Bucket[]): BucketCounts[] {
  return buckets.map(() => ({ nPackets: 0, nBytes: 0 }));
}

/** All groups of a bridge, in all their versions. */
export class GroupTable {
  readonly #byId = new Map<number, Group[]>();

  lookup(groupId: number, version: Version): Group | null {
    return this.#byId.get(groupId)?.find((g) => g.visibleIn(version)) ?? null;
  }

  insert(group: Group): void {
    const versions = this.#byId.get(group.groupId);
    if (versions === undefined) {
      this.#byId.set(group.groupId, [group]);
    } else {
      versions.unshift(group);
    }
  }

  remove(group: Group): void {
    const left = this.#byId.get(group.groupId)?.filter((g) => g !== group) ?? [];
    if (left.length === 0) {
      this.#byId.delete(group.groupId);
    } else {
      this.#byId.set(group.groupId, left);
    }
  }

  /** The groups that a version sees, in order of creation. */
  *visible(version: Version): Generator<Group> {
    for (const versions of this.#byId.values()) {
      for (const group of versions) {
        if (group.visibleIn(version)) {
          yield group;
        }
      }
    }
  }
}
