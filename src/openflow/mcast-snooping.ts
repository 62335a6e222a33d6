// Multicast snooping: which bundles of a bridge have listeners of a multicast group.
//
// Hosts report the groups that they listen to (IGMP, RFC 3376; MLD, RFC 3810), routers ask. The
// table keeps, for each group and VLAN, the bundles with listeners, and for each VLAN the bundles
// with routers. Entries age like MAC entries. Bundles may be configured to get everything
// (flood) or all reports.
//
// Invariants
// - Groups, bundles of a group and routers are in order of use, the longest unused first.
// - A group whose last bundle left stays, without bundles, until the table runs.
// Units: whole seconds of the switch's clock.
// ovs: lib/mcast-snooping.c.

import type { XBundle } from "./xbridge.ts";

export const MCAST_IDLE_DEFAULT_S = 300;
export const MCAST_ENTRIES_DEFAULT = 2048;
export const MCAST_MROUTER_IDLE_S = 180;
const IDLE_MIN_S = 15;
const IDLE_MAX_S = 3600;
const ENTRIES_MIN = 10;
const ENTRIES_MAX = 1000 * 1000;

/** IGMP types (RFC 3376 §4). */
export const IGMP = {
  QUERY: 0x11,
  REPORT_V1: 0x12,
  REPORT_V2: 0x16,
  LEAVE: 0x17,
  REPORT_V3: 0x22,
} as const;
const MLD = { REPORT: 131, DONE: 132, REPORT2: 143 } as const;

/** A report and its group records, IGMPv3 and MLDv2 (byte offsets). */
const REPORT = { GROUPS: 6, HEADER_BYTES: 8 } as const;
const RECORD = { TYPE: 0, AUX_LEN: 1, SOURCES: 2, ADDRESS: 4 } as const;
const RECORD_TYPE = { MIN: 1, IS_INCLUDE: 1, TO_INCLUDE: 3, MAX: 6 } as const;

export interface McastBundle {
  readonly bundle: XBundle;
  expiresS: number;
}

export interface McastGroup {
  /** 4 words; IPv4 mapped. */
  readonly addr: Uint32Array;
  readonly vlan: number;
  readonly bundles: Map<XBundle, McastBundle>;
}

export interface McastRouter {
  readonly vlan: number;
  readonly bundle: XBundle;
  expiresS: number;
}

export function isIgmpQuery(type: number): boolean {
  return type === IGMP.QUERY;
}

export function isIgmpMembership(type: number): boolean {
  return (
    type === IGMP.REPORT_V1 ||
    type === IGMP.REPORT_V2 ||
    type === IGMP.REPORT_V3 ||
    type === IGMP.LEAVE
  );
}

export function mappedIpv4(ip: number): Uint32Array {
  return Uint32Array.of(0, 0, 0xffff, ip);
}

function keyOf(addr: Uint32Array, vlan: number): string {
  return `${vlan}/${addr.join(".")}`;
}

function seconds(nowMs: number): number {
  return Math.floor(nowMs / 1000);
}

function u16(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 8) | (b[o + 1] as number);
}

function u32(b: Uint8Array, o: number): number {
  return ((u16(b, o) << 16) | u16(b, o + 2)) >>> 0;
}

/** A place where a report was heard. */
export interface McastPlace {
  readonly vlan: number;
  readonly bundle: XBundle;
  readonly nowMs: number;
}

export class McastSnooping {
  idleTimeS = MCAST_IDLE_DEFAULT_S;
  maxEntries = MCAST_ENTRIES_DEFAULT;
  floodUnreg = true;
  needRevalidate = false;
  readonly #groups = new Map<string, McastGroup>();
  #routerLru: McastRouter[] = [];
  /** Bundles that get all multicast, and bundles that get all reports. */
  readonly floodBundles = new Set<XBundle>();
  readonly reportBundles = new Set<XBundle>();

  groups(): Iterable<McastGroup> {
    return this.#groups.values();
  }

  routers(): readonly McastRouter[] {
    return this.#routerLru;
  }

  bundleAge(b: McastBundle, nowMs: number): number {
    return this.idleTimeS - (b.expiresS - seconds(nowMs));
  }

  routerAge(r: McastRouter, nowMs: number): number {
    return MCAST_MROUTER_IDLE_S - (r.expiresS - seconds(nowMs));
  }

  lookup(addr: Uint32Array, vlan: number): McastGroup | null {
    return this.#groups.get(keyOf(addr, vlan)) ?? null;
  }

  setIdleTime(idleTimeS: number): void {
    const s = Math.min(IDLE_MAX_S, Math.max(IDLE_MIN_S, idleTimeS));
    for (const g of this.#groups.values()) {
      for (const b of g.bundles.values()) {
        b.expiresS += s - this.idleTimeS;
      }
    }
    this.idleTimeS = s;
  }

  setMaxEntries(max: number): void {
    this.maxEntries = Math.min(ENTRIES_MAX, Math.max(ENTRIES_MIN, max));
  }

  /** True if the setting changed. */
  setFloodUnreg(enable: boolean): boolean {
    const changed = this.floodUnreg !== enable;
    this.floodUnreg = enable;
    return changed;
  }

  #router(vlan: number, bundle: XBundle): McastRouter | undefined {
    return this.#routerLru.find((r) => r.vlan === vlan && r.bundle === bundle);
  }

  /** True if the group is new. */
  addGroup(addr: Uint32Array, at: McastPlace): boolean {
    // A bundle that gets the traffic anyway needs no entry: it would get it twice.
    if (this.#router(at.vlan, at.bundle) !== undefined || this.floodBundles.has(at.bundle)) {
      return false;
    }
    const key = keyOf(addr, at.vlan);
    let g = this.#groups.get(key);
    const learned = g === undefined;
    if (g === undefined) {
      if (this.#groups.size >= this.maxEntries) {
        const [oldest] = this.#groups.keys();
        this.#groups.delete(oldest ?? "");
      }
      g = { addr: addr.slice(), vlan: at.vlan, bundles: new Map() };
      this.needRevalidate = true;
    } else {
      this.#groups.delete(key);
    }
    if (!g.bundles.delete(at.bundle)) {
      this.needRevalidate = true;
    }
    const expiresS = seconds(at.nowMs) + this.idleTimeS;
    g.bundles.set(at.bundle, { bundle: at.bundle, expiresS });
    this.#groups.set(key, g);
    return learned;
  }

  /** True if the bundle was in the group. */
  leaveGroup(addr: Uint32Array, at: McastPlace): boolean {
    // Behind such a bundle there may be other listeners: let the entry age.
    if (this.reportBundles.has(at.bundle)) {
      return false;
    }
    const left = this.lookup(addr, at.vlan)?.bundles.delete(at.bundle) ?? false;
    this.needRevalidate ||= left;
    return left;
  }

  #record(type: number, sources: number, addr: Uint32Array, at: McastPlace): boolean {
    // "Include nothing" is how version 3 says that the host leaves.
    const include = type === RECORD_TYPE.IS_INCLUDE || type === RECORD_TYPE.TO_INCLUDE;
    return sources === 0 && include ? this.leaveGroup(addr, at) : this.addGroup(addr, at);
  }

  /** IGMPv3 report, from its first byte. Returns how many groups changed. */
  addReport(l4: Uint8Array, at: McastPlace): number {
    if (l4.length < REPORT.HEADER_BYTES) {
      return 0;
    }
    let count = 0;
    let o: number = REPORT.HEADER_BYTES;
    for (let left = u16(l4, REPORT.GROUPS); left > 0 && o + 8 <= l4.length; left--) {
      const type = l4[o + RECORD.TYPE] as number;
      if (type < RECORD_TYPE.MIN || type > RECORD_TYPE.MAX) {
        continue; // as Open vSwitch does, without moving on to the next record
      }
      const sources = u16(l4, o + RECORD.SOURCES);
      const addr = mappedIpv4(u32(l4, o + RECORD.ADDRESS));
      count += this.#record(type, sources, addr, at) ? 1 : 0;
      o += 8 + sources * 4 + (l4[o + RECORD.AUX_LEN] as number);
    }
    return count;
  }

  /** MLD message, from its first byte. Returns how many groups changed. */
  addMld(l4: Uint8Array, at: McastPlace): number {
    if (l4.length < REPORT.HEADER_BYTES + 16) {
      return 0;
    }
    const address = (o: number): Uint32Array =>
      Uint32Array.of(u32(l4, o), u32(l4, o + 4), u32(l4, o + 8), u32(l4, o + 12));
    const first = address(REPORT.HEADER_BYTES);
    switch (l4[0]) {
      case MLD.REPORT:
        return this.addGroup(first, at) ? 1 : 0;
      case MLD.DONE:
        return this.leaveGroup(first, at) ? 1 : 0;
      case MLD.REPORT2:
        break;
      default:
        return 0;
    }
    let count = 0;
    let o: number = REPORT.HEADER_BYTES;
    for (let left = u16(l4, REPORT.GROUPS); left > 0 && o + 20 <= l4.length; left--) {
      const type = l4[o + RECORD.TYPE] as number;
      const sources = u16(l4, o + RECORD.SOURCES);
      if (type >= RECORD_TYPE.MIN && type <= RECORD_TYPE.MAX) {
        count += this.#record(type, sources, address(o + RECORD.ADDRESS), at) ? 1 : 0;
      }
      o += 20 + sources * 16 + (l4[o + RECORD.AUX_LEN] as number);
    }
    return count;
  }

  /** Notes a router behind a bundle. True if megaflows may have to change. */
  addRouter(at: McastPlace): boolean {
    if (this.floodBundles.has(at.bundle)) {
      return false;
    }
    const old = this.#router(at.vlan, at.bundle);
    const r = old ?? { vlan: at.vlan, bundle: at.bundle, expiresS: 0 };
    this.needRevalidate ||= old === undefined;
    r.expiresS = seconds(at.nowMs) + MCAST_MROUTER_IDLE_S;
    this.#routerLru = [...this.#routerLru.filter((x) => x !== r), r];
    return this.needRevalidate;
  }

  setPortFlood(bundle: XBundle, flood: boolean): void {
    this.#setMember(this.floodBundles, bundle, flood);
  }

  setPortFloodReports(bundle: XBundle, flood: boolean): void {
    this.#setMember(this.reportBundles, bundle, flood);
  }

  #setMember(set: Set<XBundle>, bundle: XBundle, member: boolean): void {
    if (set.has(bundle) === member) {
      return;
    }
    if (member) {
      set.add(bundle);
    } else {
      set.delete(bundle);
    }
    this.needRevalidate = true;
  }

  /** Forgets groups and routers, but not the configuration. */
  flushMdb(): void {
    this.needRevalidate ||= this.#groups.size > 0;
    this.#groups.clear();
    this.#routerLru = [];
  }

  flush(): void {
    this.flushMdb();
    this.floodBundles.clear();
    this.reportBundles.clear();
  }

  flushBundle(bundle: XBundle): void {
    for (const [key, g] of this.#groups) {
      if (g.bundles.delete(bundle)) {
        this.needRevalidate = true;
        if (g.bundles.size === 0) {
          this.#groups.delete(key);
        }
      }
    }
    const kept = this.#routerLru.filter((r) => r.bundle !== bundle);
    this.needRevalidate ||= kept.length !== this.#routerLru.length;
    this.#routerLru = kept;
  }

  /** Number of bundles (and the group itself) that went. */
  #prune(key: string, g: McastGroup, now: number): number {
    let expired = 0;
    for (const b of g.bundles.values()) {
      if (b.expiresS > now) {
        break;
      }
      g.bundles.delete(b.bundle);
      expired++;
    }
    if (g.bundles.size === 0) {
      this.#groups.delete(key);
      expired++;
    }
    this.needRevalidate ||= expired > 0;
    return expired;
  }

  /** Periodic work. True if megaflows need to be revalidated. */
  run(nowMs: number): boolean {
    const now = seconds(nowMs);
    for (;;) {
      const first = this.#groups.entries().next();
      if (first.done === true) {
        break;
      }
      const [key, g] = first.value;
      if (this.#groups.size > this.maxEntries) {
        this.#groups.delete(key);
        this.needRevalidate = true;
      } else if (this.#prune(key, g, now) === 0) {
        break;
      }
    }
    while (this.#routerLru[0] !== undefined && now >= this.#routerLru[0].expiresS) {
      this.#routerLru = this.#routerLru.slice(1);
      this.needRevalidate = true;
    }
    const need = this.needRevalidate;
    this.needRevalidate = false;
    return need;
  }
}
