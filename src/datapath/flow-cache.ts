// The caches of the datapath: exact matches, and megaflows in one subtable per mask.
//
// A megaflow stands for all packets whose key agrees with it under its mask; the masks come from
// translation, so that overlapping megaflows have the same actions and any one may be taken.
// Look-ups allocate nothing: a subtable knows the indices of the words that its mask covers, and
// hashes and compares only those. The exact-match cache compares whole keys, found by a hash of
// the packet's addresses and ports.
// ovs: lib/dpif-netdev.c dpcls_lookup, emc_lookup; lib/dpif-netdev-private-dfc.h.

import type { FlowKey } from "../flow/flow-key.ts";
import { K, KEY_WORDS } from "../flow/slots.ts";
import type { OdpAction } from "./odp-action.ts";
import { SimpleMatches } from "./simple-match.ts";

/** Megaflows that a datapath holds (ovs: MAX_FLOWS). */
export const MEGAFLOWS_MAX = 65536;
/** Entries of the exact-match cache, a power of two (ovs: EM_FLOW_HASH_ENTRIES). */
export const EMC_ENTRIES = 8192;
/** Probes of the exact-match cache (ovs: EM_FLOW_HASH_SEGS). */
const EMC_PROBES = 2;
/** Words of the tunnel slots; without an address all of them are 0. */
const TUNNEL_WORDS = K.metadata.word;
const TUN_DST = K.tun_dst.word;
const TUN_DST6 = K.tun_ipv6_dst.word;
/** From here to the end are the words of a packet; the registers between have no use here. */
const FIRST_PACKET_WORD = K.skb_priority.word;

export interface FlowCounters {
  packets: number;
  bytes: number;
  /** Time of the last packet in ms; 0 if there was none. */
  usedMs: number;
  tcpFlags: number;
}

/** A datapath flow. */
export class Megaflow {
  /** The key of the packet that made it, not masked. */
  readonly key: FlowKey;
  readonly mask: FlowKey;
  actions: readonly OdpAction[];
  readonly stats: FlowCounters = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  /** False once it has been removed. */
  alive = true;
  /** What the owner of the flow (the upcall handler) keeps with it. */
  owner: object | null;
  /** Number in order of creation; stands for OVS's unique flow id. */
  readonly id: number;
  /** The next flow of the same hash bucket. */
  next: Megaflow | null = null;
  hash = 0;

  constructor(
    id: number,
    key: FlowKey,
    mask: FlowKey,
    actions: readonly OdpAction[],
    owner: object | null,
  ) {
    this.id = id;
    this.key = key;
    this.mask = mask;
    this.actions = actions;
    this.owner = owner;
  }
}

/** An odd number near 2**32 divided by the golden ratio; this hash is nobody else's business. */
const HASH_FACTOR = 0x9e3779b1;

/** All megaflows of one mask. */
class FlowSubtable {
  readonly mask: FlowKey;
  /** Indices of the words of the mask that are not 0, and the words. */
  private readonly at: Uint16Array;
  private readonly bits: Uint32Array;
  private buckets: (Megaflow | null)[] = new Array<Megaflow | null>(16).fill(null);
  count = 0;
  /** Hits since the last sort. */
  hits = 0;

  constructor(mask: FlowKey) {
    this.mask = mask;
    const at: number[] = [];
    for (let i = 0; i < KEY_WORDS; i++) {
      if (mask[i] !== 0) {
        at.push(i);
      }
    }
    this.at = Uint16Array.from(at);
    this.bits = Uint32Array.from(at.map((i) => mask[i] as number));
  }

  hasMask(mask: FlowKey): boolean {
    for (let i = 0; i < KEY_WORDS; i++) {
      if (this.mask[i] !== mask[i]) {
        return false;
      }
    }
    return true;
  }

  private hashOf(key: FlowKey): number {
    const { at, bits } = this;
    let h = at.length;
    for (let i = 0; i < at.length; i++) {
      h = Math.imul(h ^ ((key[at[i] as number] as number) & (bits[i] as number)), HASH_FACTOR);
      h ^= h >>> 15;
    }
    return h;
  }

  lookup(key: FlowKey): Megaflow | null {
    const hash = this.hashOf(key);
    let f = this.buckets[hash & (this.buckets.length - 1)] as Megaflow | null;
    while (f !== null) {
      if (f.hash === hash && this.matches(f, key)) {
        return f;
      }
      f = f.next;
    }
    return null;
  }

  private matches(f: Megaflow, key: FlowKey): boolean {
    for (let i = 0; i < this.at.length; i++) {
      const w = this.at[i] as number;
      if ((((f.key[w] as number) ^ (key[w] as number)) & (this.bits[i] as number)) !== 0) {
        return false;
      }
    }
    return true;
  }

  insert(f: Megaflow): void {
    if (this.count >= this.buckets.length) {
      this.grow();
    }
    f.hash = this.hashOf(f.key);
    const b = f.hash & (this.buckets.length - 1);
    f.next = this.buckets[b] as Megaflow | null;
    this.buckets[b] = f;
    this.count++;
  }

  remove(f: Megaflow): void {
    const b = f.hash & (this.buckets.length - 1);
    let at = this.buckets[b] as Megaflow | null;
    if (at === f) {
      this.buckets[b] = f.next;
    } else {
      while (at !== null && at.next !== f) {
        at = at.next;
      }
      if (at === null) {
        return;
      }
      at.next = f.next;
    }
    f.next = null;
    this.count--;
  }

  private grow(): void {
    const old = this.buckets;
    this.buckets = new Array<Megaflow | null>(old.length * 2).fill(null);
    for (const head of old) {
      let f = head;
      while (f !== null) {
        const next: Megaflow | null = f.next;
        const b = f.hash & (this.buckets.length - 1);
        f.next = this.buckets[b] as Megaflow | null;
        this.buckets[b] = f;
        f = next;
      }
    }
  }
}

/** Look-ups between two sorts of the subtables by hits. */
const SORT_EVERY = 4096;

export class FlowCache {
  private readonly subtables: FlowSubtable[] = [];
  private readonly flows = new Map<number, Megaflow>();
  /** Another way to the megaflows of ports that have only simple ones. */
  readonly simple = new SimpleMatches();
  private nextId = 1;
  private untilSort = SORT_EVERY;
  private readonly emcFlows: (Megaflow | null)[] = new Array<Megaflow | null>(EMC_ENTRIES).fill(
    null,
  );
  /** The keys of the exact-match cache, one after the other; allocated with the first packet. */
  private emcKeys: Uint32Array | null = null;
  private readonly emcHash = new Uint32Array(EMC_ENTRIES);
  /** Subtables that the last look-up went through. */
  lookups = 0;

  get size(): number {
    return this.flows.size;
  }

  get maskCount(): number {
    return this.subtables.length;
  }

  /** Flows in the order in which they were made. */
  values(): IterableIterator<Megaflow> {
    return this.flows.values();
  }

  byId(id: number): Megaflow | null {
    return this.flows.get(id) ?? null;
  }

  /** The megaflow of a key. `lookups` says how many subtables were asked. */
  lookup(key: FlowKey): Megaflow | null {
    const tables = this.subtables;
    for (let i = 0; i < tables.length; i++) {
      const t = tables[i] as FlowSubtable;
      const f = t.lookup(key);
      if (f !== null) {
        t.hits++;
        this.lookups = i + 1;
        if (--this.untilSort <= 0) {
          this.sort();
        }
        return f;
      }
    }
    this.lookups = tables.length;
    return null;
  }

  /** Subtables with many hits come first. */
  private sort(): void {
    this.untilSort = SORT_EVERY;
    this.subtables.sort((a, b) => b.hits - a.hits);
    for (const t of this.subtables) {
      t.hits >>>= 1;
    }
  }

  insert(
    key: FlowKey,
    mask: FlowKey,
    actions: readonly OdpAction[],
    owner: object | null,
  ): Megaflow | null {
    if (this.flows.size >= MEGAFLOWS_MAX) {
      return null;
    }
    const f = new Megaflow(this.nextId++, key, mask, actions, owner);
    let t = this.subtables.find((s) => s.hasMask(mask));
    if (t === undefined) {
      t = new FlowSubtable(mask);
      this.subtables.push(t);
    }
    t.insert(f);
    this.flows.set(f.id, f);
    this.simple.add(f);
    return f;
  }

  remove(f: Megaflow): void {
    if (!this.flows.delete(f.id)) {
      return;
    }
    f.alive = false;
    this.simple.remove(f);
    const i = this.subtables.findIndex((s) => s.hasMask(f.mask));
    const t = this.subtables[i];
    if (t !== undefined) {
      t.remove(f);
      if (t.count === 0) {
        this.subtables.splice(i, 1);
      }
    }
  }

  clear(): void {
    for (const f of [...this.flows.values()]) {
      this.remove(f);
    }
  }

  /** A megaflow that a packet with the very same key took before, or null. */
  emcLookup(key: FlowKey, hash: number): Megaflow | null {
    const keys = this.emcKeys;
    if (keys === null) {
      return null;
    }
    for (let probe = 0; probe < EMC_PROBES; probe++) {
      const i = emcIndex(hash, probe);
      const f = this.emcFlows[i] as Megaflow | null;
      if (f?.alive && this.emcHash[i] === hash >>> 0 && sameKey(keys, i * KEY_WORDS, key)) {
        return f;
      }
    }
    return null;
  }

  emcInsert(key: FlowKey, hash: number, f: Megaflow): void {
    this.emcKeys ??= new Uint32Array(EMC_ENTRIES * KEY_WORDS);
    let victim = emcIndex(hash, 0);
    for (let probe = 0; probe < EMC_PROBES; probe++) {
      const i = emcIndex(hash, probe);
      const old = this.emcFlows[i];
      if (
        !old?.alive ||
        (this.emcHash[i] === hash >>> 0 && sameKey(this.emcKeys, i * KEY_WORDS, key))
      ) {
        victim = i;
        break;
      }
    }
    this.emcFlows[victim] = f;
    this.emcHash[victim] = hash >>> 0;
    this.emcKeys.set(key, victim * KEY_WORDS);
  }
}

function emcIndex(hash: number, probe: number): number {
  return (hash >>> (13 * probe)) & (EMC_ENTRIES - 1);
}

function sameKey(keys: Uint32Array, at: number, key: FlowKey): boolean {
  for (let i = FIRST_PACKET_WORD; i < KEY_WORDS; i++) {
    if (keys[at + i] !== key[i]) {
      return false;
    }
  }
  if (!hasTunnel(keys, at) && !hasTunnel(key, 0)) {
    return true;
  }
  for (let i = 0; i < TUNNEL_WORDS; i++) {
    if (keys[at + i] !== key[i]) {
      return false;
    }
  }
  return true;
}

function hasTunnel(words: Uint32Array, at: number): boolean {
  return (
    ((words[at + TUN_DST] as number) |
      (words[at + TUN_DST6] as number) |
      (words[at + TUN_DST6 + 1] as number) |
      (words[at + TUN_DST6 + 2] as number) |
      (words[at + TUN_DST6 + 3] as number)) !==
    0
  );
}
