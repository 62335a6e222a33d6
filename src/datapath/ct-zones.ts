// Limits: how many connections a zone may have.
//
// A zone without a limit of its own uses the default one, if there is one; such zones share its
// count. A connection remembers which limit let it in, and which generation of it, since a limit
// may be deleted and made again. (ovs: lib/conntrack.c zone_limit_*)

import { type Conn, INVALID_ZONE } from "./ct-conn.ts";

/** Stands for zones without a limit of their own. */
export const DEFAULT_ZONE = -1;
export const ZONE_MAX = 0xffff;

export interface ZoneLimit {
  readonly zone: number;
  limit: number;
  count: number;
  readonly seq: number;
}

export class ZoneLimits {
  private readonly limits = new Map<number, ZoneLimit>();
  private seq = 0;

  /** The limit that counts for a zone, or null. */
  of(zone: number): ZoneLimit | null {
    return this.limits.get(zone) ?? this.limits.get(DEFAULT_ZONE) ?? null;
  }

  /** True if the limit is new. */
  set(zone: number, limit: number): boolean {
    const there = this.limits.get(zone);
    if (there !== undefined) {
      there.limit = limit;
      return false;
    }
    this.limits.set(zone, { zone, limit, count: 0, seq: this.seq++ });
    return true;
  }

  delete(zone: number): boolean {
    return this.limits.delete(zone);
  }

  /** Zones with a limit of their own, in order. */
  own(): ZoneLimit[] {
    return [...this.limits.values()]
      .filter((l) => l.zone !== DEFAULT_ZONE)
      .sort((a, b) => a.zone - b.zone);
  }

  admit(conn: Conn, limit: ZoneLimit | null): void {
    if (limit === null) {
      conn.admitZone = INVALID_ZONE;
    } else {
      conn.admitZone = limit.zone;
      conn.zoneLimitSeq = limit.seq;
      limit.count++;
    }
  }

  /** A connection has gone. */
  release(conn: Conn): void {
    const limit = this.limits.get(conn.admitZone);
    if (limit !== undefined && limit.seq === conn.zoneLimitSeq) {
      limit.count--;
    }
  }
}
