// Members and hash buckets of a bond, and which buckets to move from one member to another so that
// the load gets more even.
//
// The most loaded member gives to the least loaded one until no move is worth it: the difference has
// to be a part of the lesser load, and the move has to bring the two a tenth of the way to their
// middle. ovs: ofproto/bond.c bond_rebalance, choose_entries_to_migrate.

import type { XPort } from "./xbridge.ts";

export interface BondMember {
  readonly port: XPort;
  name: string;
  /** [hi16, lo32]. */
  mac: readonly [number, number];
  /** The link is up; kept by the owner. */
  carrier: boolean;
  /** Other protocols agree to its use; kept by the owner. */
  mayEnable: boolean;
  enabled: boolean;
  isPrimary: boolean;
  /** When `enabled` may change; null if no change is pending. */
  delayExpiresMs: number | null;
  /** Sum over its buckets when load was last looked at. */
  txBytes: number;
}

/** One of the hash values that packets are spread over. */
export interface Bucket {
  member: BondMember | null;
  txBytes: number;
  /** Bytes of the bucket's internal flow that are accounted already. */
  ruleBytes: number;
}

/** A bucket goes from one member to another, which then carry these loads. */
export interface BucketMove {
  readonly bucket: Bucket;
  readonly index: number;
  readonly from: BondMember;
  readonly to: BondMember;
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** Differences that are not worth moving load for: 1/32 of the lesser load, 100 kB. */
const OVERLOAD_PART = 32;
const OVERLOAD_MIN_BYTES = 100000;

/** Members by falling load; of equal ones, those that came first. */
class Balance {
  members: BondMember[] = [];

  insert(m: BondMember): void {
    const at = this.members.findIndex((x) => m.txBytes > x.txBytes);
    this.members.splice(at < 0 ? this.members.length : at, 0, m);
  }

  remove(m: BondMember): void {
    this.members = this.members.filter((x) => x !== m);
  }

  moved(m: BondMember): void {
    this.remove(m);
    this.insert(m);
  }
}

/** Sums up the members' loads in `txBytes`; their buckets by falling load. */
function loads(hash: readonly Bucket[], members: readonly BondMember[]) {
  const buckets = new Map<BondMember, Bucket[]>(members.map((m) => [m, []]));
  for (const m of members) {
    m.txBytes = 0;
  }
  for (const b of [...hash].sort((x, y) => y.txBytes - x.txBytes)) {
    if (b.member !== null && b.txBytes !== 0) {
      b.member.txBytes += b.txBytes;
      buckets.get(b.member)?.push(b);
    }
  }
  return buckets;
}

/** The moves that even out the load; the members' `txBytes` are then what they carry after them. */
export function planMoves(hash: readonly Bucket[], members: readonly BondMember[]): BucketMove[] {
  const buckets = loads(hash, members);
  const balance = new Balance();
  for (const m of members.filter((x) => x.enabled)) {
    balance.insert(m);
  }
  const moves: BucketMove[] = [];
  while (balance.members.length > 1) {
    const from = balance.members[0] as BondMember;
    const to = balance.members[balance.members.length - 1] as BondMember;
    const overload = from.txBytes - to.txBytes;
    if (overload < Math.floor(to.txBytes / OVERLOAD_PART) || overload < OVERLOAD_MIN_BYTES) {
      break;
    }
    const own = buckets.get(from) ?? [];
    const chosen = chooseBuckets(from.txBytes, to.txBytes, own);
    if (chosen.length === 0) {
      balance.remove(from);
      continue;
    }
    for (const bucket of chosen) {
      from.txBytes -= bucket.txBytes;
      to.txBytes += bucket.txBytes;
      const [fromBytes, toBytes] = [from.txBytes, to.txBytes];
      moves.push({ bucket, index: hash.indexOf(bucket), from, to, fromBytes, toBytes });
      own.splice(own.indexOf(bucket), 1);
      balance.moved(from);
      balance.moved(to);
    }
  }
  return moves;
}

/** Buckets to move so that the loads come closer by a tenth of the way to the middle at least. */
function chooseBuckets(fromBytes: number, toBytes: number, sorted: readonly Bucket[]): Bucket[] {
  if (sorted.length < 2) {
    return [];
  }
  const idealDelta = Math.floor((fromBytes + toBytes) / 2) - toBytes;
  const threshold = Math.floor(idealDelta / 10);
  const chosen: Bucket[] = [];
  let delta = 0;
  for (const b of sorted) {
    if (delta + b.txBytes <= idealDelta) {
      chosen.push(b);
      delta += b.txBytes;
    }
    if (idealDelta - delta < threshold) {
      break;
    }
  }
  const smallest = sorted[sorted.length - 1];
  if (chosen.length === 0 && smallest !== undefined) {
    delta = smallest.txBytes;
    chosen.push(smallest);
  }
  const newLow = Math.min(fromBytes - delta, toBytes + delta);
  return newLow > toBytes && newLow - toBytes >= threshold ? chosen : [];
}
