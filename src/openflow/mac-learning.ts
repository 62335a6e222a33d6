// The forwarding database of one bridge: which bundle an Ethernet address was last seen on.
//
// Entries age: one that was not refreshed for `idleTimeS` seconds goes away when the table runs.
// Static entries stay. When the table is full, the bundle with the most entries loses its least
// recently used one, so that one noisy bundle cannot crowd the others out. An entry whose address
// was announced by a gratuitous ARP on a bundle that is no bond is locked for a few seconds against
// gratuitous ARPs that a bond reflects.
//
// Invariants
// - `entries()` is in order of use, the longest unused first.
// - `needRevalidate` says that megaflows may be out of date since it was last cleared by run().
// Units: whole seconds of the switch's clock, as Open vSwitch counts them.
// ovs: lib/mac-learning.c.

import { type HeapNode, MaxHeap } from "../lib/max-heap.ts";
import type { XBundle } from "./xbridge.ts";

/** Entries that a table holds unless other-config:mac-table-size says otherwise. */
export const MAC_ENTRIES_DEFAULT = 8192;
export const MAC_ENTRIES_MIN = 10;
export const MAC_ENTRIES_MAX = 1000 * 1000;
/** Seconds that an entry lives unless other-config:mac-aging-time says otherwise. */
export const MAC_IDLE_DEFAULT_S = 300;
/** When a static entry expires, as Open vSwitch has it (INT_MAX). */
const STATIC_EXPIRES_S = 0x7fffffff;
const MAC_IDLE_MIN_S = 15;
const MAC_IDLE_MAX_S = 3600;
const GRAT_ARP_LOCK_S = 5;

export interface MacEntry {
  /** Upper 16 and lower 32 bits of the address. */
  readonly hi: number;
  readonly lo: number;
  readonly vlan: number;
  /** Second at which it goes away; null for a static entry. */
  expiresS: number | null;
  gratArpLockS: number;
  bundle: XBundle | null;
}

/** The entries of one bundle, for a fair eviction. */
interface Usage extends HeapNode {
  readonly bundle: XBundle;
  /** Least recently used first. */
  readonly lru: Set<MacEntry>;
}

/** What a packet says about its source address. */
export interface MacSighting {
  readonly hi: number;
  readonly lo: number;
  readonly vlan: number;
  readonly gratuitousArp: boolean;
  readonly isBond: boolean;
  /** Null for packets of no port, from which nothing is learned. */
  readonly bundle: XBundle | null;
}

function keyOf(hi: number, lo: number, vlan: number): string {
  return `${vlan}/${hi}/${lo}`;
}

function isMulticast(hi: number): boolean {
  return (hi & 0x0100) !== 0;
}

function seconds(nowMs: number): number {
  return Math.floor(nowMs / 1000);
}

export class MacLearning {
  idleTimeS: number;
  maxEntries = MAC_ENTRIES_DEFAULT;
  needRevalidate = false;
  staticEntries = 0;
  totalLearned = 0;
  totalExpired = 0;
  totalEvicted = 0;
  totalMoved = 0;
  /** VLANs on which nothing is learned and everything is flooded; null for none. */
  #floodVlans: Uint8Array | null = null;
  /** A Map iterates in order of insertion; using an entry inserts it again: that is the LRU list. */
  readonly #table = new Map<string, MacEntry>();
  readonly #usage = new Map<XBundle, Usage>();
  readonly #heap = new MaxHeap<Usage>();

  constructor(idleTimeS = MAC_IDLE_DEFAULT_S) {
    this.idleTimeS = normalizeIdleTime(idleTimeS);
  }

  get size(): number {
    return this.#table.size;
  }

  entries(): Iterable<MacEntry> {
    return this.#table.values();
  }

  /** Seconds since the entry was last learned; null for a static one. */
  age(e: MacEntry, nowMs: number): number | null {
    return e.expiresS === null ? null : this.idleTimeS - (e.expiresS - seconds(nowMs));
  }

  /** True if the set changed; the caller then flushes the table. */
  setFloodVlans(vlans: Uint8Array | null): boolean {
    const old = this.#floodVlans;
    const same =
      old === vlans ||
      (old !== null && vlans !== null && old.every((v, i) => (v !== 0) === (vlans[i] !== 0)));
    this.#floodVlans = vlans === null ? null : vlans.slice();
    return !same;
  }

  setIdleTime(idleTimeS: number): void {
    const s = normalizeIdleTime(idleTimeS);
    const delta = s - this.idleTimeS;
    for (const e of delta === 0 ? [] : this.#table.values()) {
      // Open vSwitch shifts static entries too, which are static only as long as they say so.
      const expiresS = (e.expiresS ?? STATIC_EXPIRES_S) + delta;
      e.expiresS = expiresS === STATIC_EXPIRES_S ? null : expiresS;
    }
    this.idleTimeS = s;
  }

  setMaxEntries(max: number): void {
    this.maxEntries = Math.min(MAC_ENTRIES_MAX, Math.max(MAC_ENTRIES_MIN, max));
  }

  #isLearningVlan(vlan: number): boolean {
    return this.#floodVlans === null || this.#floodVlans[vlan] === 0;
  }

  mayLearn(hi: number, vlan: number): boolean {
    return this.#isLearningVlan(vlan) && !isMulticast(hi);
  }

  lookup(hi: number, lo: number, vlan: number): MacEntry | null {
    if (isMulticast(hi) || !this.#isLearningVlan(vlan)) {
      return null;
    }
    return this.#table.get(keyOf(hi, lo, vlan)) ?? null;
  }

  setBundle(e: MacEntry, bundle: XBundle | null): void {
    if (e.bundle === bundle) {
      return;
    }
    this.needRevalidate = true;
    const old = e.bundle === null ? undefined : this.#usage.get(e.bundle);
    if (old !== undefined) {
      old.lru.delete(e);
      if (old.lru.size === 0) {
        this.#usage.delete(old.bundle);
        this.#heap.remove(old);
      } else {
        this.#heap.change(old, old.priority - 1);
      }
    }
    e.bundle = bundle;
    if (bundle === null) {
      return;
    }
    const use = this.#usage.get(bundle);
    if (use === undefined) {
      const fresh: Usage = { bundle, lru: new Set([e]), heapIndex: 0, priority: 0 };
      this.#usage.set(bundle, fresh);
      this.#heap.insert(fresh, 1);
    } else {
      use.lru.add(e);
      this.#heap.change(use, use.priority + 1);
    }
  }

  #insert(hi: number, lo: number, vlan: number, nowMs: number, isStatic: boolean): MacEntry {
    const key = keyOf(hi, lo, vlan);
    let e = this.#table.get(key);
    if (e === undefined) {
      if (this.#table.size >= this.maxEntries) {
        this.#evictFairly();
      }
      e = { hi, lo, vlan, expiresS: 0, gratArpLockS: Number.NEGATIVE_INFINITY, bundle: null };
      if (!isStatic) {
        this.totalLearned++;
      }
    } else {
      this.#table.delete(key);
    }
    this.#table.set(key, e);
    const use = e.bundle === null ? undefined : this.#usage.get(e.bundle);
    if (use?.lru.delete(e)) {
      use.lru.add(e);
    }
    if (isStatic) {
      this.staticEntries += e.expiresS === null ? 0 : 1;
      e.expiresS = null;
    } else {
      e.expiresS = seconds(nowMs) + this.idleTimeS;
    }
    return e;
  }

  #evictFairly(): void {
    const first = this.#heap.max()?.lru.values().next();
    if (first !== undefined && first.done !== true) {
      this.totalEvicted++;
      this.expire(first.value);
    }
  }

  addStatic(hi: number, lo: number, vlan: number, bundle: XBundle, nowMs: number): void {
    this.setBundle(this.#insert(hi, lo, vlan, nowMs, true), bundle);
  }

  /** True if there was such a static entry. */
  deleteStatic(hi: number, lo: number, vlan: number): boolean {
    const e = this.lookup(hi, lo, vlan);
    if (e === null || e.expiresS !== null) {
      return false;
    }
    this.expire(e);
    this.staticEntries--;
    return true;
  }

  #updateNeeded(s: MacSighting, nowMs: number): boolean {
    if (!this.mayLearn(s.hi, s.vlan)) {
      return false;
    }
    const e = this.lookup(s.hi, s.lo, s.vlan);
    if (e === null) {
      return true;
    }
    const age = this.age(e, nowMs);
    if (age === null) {
      return false;
    }
    if (age > 0) {
      return true; // to renew its time
    }
    if (s.gratuitousArp) {
      if (!s.isBond) {
        return true;
      }
      if (this.isGratArpLocked(e, nowMs)) {
        return false;
      }
    }
    return e.bundle !== s.bundle;
  }

  /** Learns from a packet. True if the address is new or has moved (ovs: mac_learning_update). */
  update(s: MacSighting, nowMs: number): boolean {
    if (s.bundle === null || !this.#updateNeeded(s, nowMs)) {
      return false;
    }
    const e = this.#insert(s.hi, s.lo, s.vlan, nowMs, false);
    if (s.gratuitousArp) {
      if (!s.isBond) {
        e.gratArpLockS = seconds(nowMs) + GRAT_ARP_LOCK_S;
      } else if (this.isGratArpLocked(e, nowMs)) {
        return false;
      }
    }
    if (e.bundle === s.bundle) {
      return false;
    }
    this.totalMoved += e.bundle === null ? 0 : 1;
    this.setBundle(e, s.bundle);
    return true;
  }

  /** Gratuitous ARPs that a bond reflects must not move the entry now. */
  isGratArpLocked(e: MacEntry, nowMs: number): boolean {
    return seconds(nowMs) < e.gratArpLockS;
  }

  expire(e: MacEntry): void {
    this.needRevalidate = true;
    this.setBundle(e, null);
    this.#table.delete(keyOf(e.hi, e.lo, e.vlan));
  }

  /** Drops all entries but the static ones. */
  flush(): void {
    for (const e of this.#table.values()) {
      if (e.expiresS !== null) {
        this.expire(e);
      }
    }
  }

  /** Drops what was learned on a bundle. `others` are tables in which the same addresses go too. */
  flushBundle(bundle: XBundle, others: Iterable<MacLearning>): void {
    const tables = [...others].filter((t) => t !== this);
    for (const e of this.#table.values()) {
      if (e.bundle !== bundle) {
        continue;
      }
      for (const t of tables) {
        const other = t.lookup(e.hi, e.lo, e.vlan);
        if (other !== null) {
          t.expire(other);
        }
      }
      this.expire(e);
    }
  }

  /** Gives all entries of one bundle to another. */
  moveBundle(from: XBundle, to: XBundle): void {
    for (const e of this.#table.values()) {
      if (e.bundle === from) {
        this.setBundle(e, to);
      }
    }
  }

  clearStatistics(): void {
    this.totalLearned = 0;
    this.totalExpired = 0;
    this.totalEvicted = 0;
    this.totalMoved = 0;
  }

  /** Periodic work: expires old entries. True if megaflows need to be revalidated. */
  run(nowMs: number): boolean {
    const now = seconds(nowMs);
    for (const e of this.#table.values()) {
      if (e.expiresS === null) {
        continue;
      }
      if (this.#table.size <= this.maxEntries && now < e.expiresS) {
        break; // the rest was used later
      }
      this.totalExpired++;
      this.expire(e);
    }
    const need = this.needRevalidate;
    this.needRevalidate = false;
    return need;
  }
}

function normalizeIdleTime(s: number): number {
  return Math.min(MAC_IDLE_MAX_S, Math.max(MAC_IDLE_MIN_S, s));
}
