// ConnKey: what tells one direction of a connection from others, and the table of connections.
//
// Each end has an address and, by protocol, a port or an ICMP identifier with type and code. The
// hash of a key is that of its reverse, so that one chain holds both directions of a connection.
// (ovs: lib/conntrack-private.h struct conn_key; lib/conntrack.c conn_key_hash, conn_key_lookup)

import { hashAdd, hashFinishInt } from "../lib/hash.ts";
import type { Conn } from "./ct-conn.ts";

/** Index of the first word of each address; an IPv4 address takes one word, IPv6 four. */
export const SRC = 0;
export const DST = 4;

export class ConnKey {
  /** Source in words 0 to 3, destination in words 4 to 7. */
  readonly addr = new Uint32Array(8);
  /** Port, or identifier of an ICMP query. */
  srcPort = 0;
  dstPort = 0;
  /** ICMP type in the upper, code in the lower 8 bits. */
  srcIcmp = 0;
  dstIcmp = 0;
  dlType = 0;
  zone = 0;
  proto = 0;

  clear(): void {
    this.addr.fill(0);
    this.srcPort = 0;
    this.dstPort = 0;
    this.srcIcmp = 0;
    this.dstIcmp = 0;
    this.dlType = 0;
    this.zone = 0;
    this.proto = 0;
  }

  copyFrom(o: ConnKey): this {
    for (let i = 0; i < 8; i++) {
      this.addr[i] = o.addr[i] as number;
    }
    this.srcPort = o.srcPort;
    this.dstPort = o.dstPort;
    this.srcIcmp = o.srcIcmp;
    this.dstIcmp = o.dstIcmp;
    this.dlType = o.dlType;
    this.zone = o.zone;
    this.proto = o.proto;
    return this;
  }

  clone(): ConnKey {
    return new ConnKey().copyFrom(this);
  }

  /** Swaps the ends. */
  reverse(): this {
    const a = this.addr;
    for (let i = 0; i < 4; i++) {
      const t = a[i] as number;
      a[i] = a[i + DST] as number;
      a[i + DST] = t;
    }
    const port = this.srcPort;
    this.srcPort = this.dstPort;
    this.dstPort = port;
    const icmp = this.srcIcmp;
    this.srcIcmp = this.dstIcmp;
    this.dstIcmp = icmp;
    return this;
  }

  /** Sets the address at SRC or DST from another key's or any words. */
  setAddr(at: number, words: ArrayLike<number>, from: number): void {
    for (let i = 0; i < 4; i++) {
      this.addr[at + i] = words[from + i] ?? 0;
    }
  }

  equals(o: ConnKey): boolean {
    if (
      this.srcPort !== o.srcPort ||
      this.dstPort !== o.dstPort ||
      this.srcIcmp !== o.srcIcmp ||
      this.dstIcmp !== o.dstIcmp ||
      this.zone !== o.zone ||
      this.proto !== o.proto ||
      this.dlType !== o.dlType
    ) {
      return false;
    }
    for (let i = 0; i < 8; i++) {
      if (this.addr[i] !== o.addr[i]) {
        return false;
      }
    }
    return true;
  }

  /** A signed number, which V8 keeps without allocating. */
  hash(basis: number): number {
    const ends =
      endHash(this.addr, SRC, this.srcPort, this.srcIcmp, basis) ^
      endHash(this.addr, DST, this.dstPort, this.dstIcmp, basis);
    const rest = (this.zone << 16) | (this.dlType & 0xff00) | this.proto;
    return hashFinishInt(hashAdd(hashAdd(ends, 0), rest), 8);
  }
}

function endHash(addr: Uint32Array, at: number, port: number, icmp: number, basis: number): number {
  let h = basis;
  for (let i = 0; i < 4; i++) {
    h = hashAdd(h, addr[at + i] as number);
  }
  return hashFinishInt(hashAdd(h, (port << 16) | icmp), 20);
}

/**
 * A place of a connection in the table. A connection has one by its own key and, if its addresses
 * are translated, a second one by its reply's key, so that replies find it.
 */
export interface CtEntry {
  readonly key: ConnKey;
  readonly revKey: ConnKey;
  readonly hash: number;
  readonly conn: Conn;
  /** The second place of a translated connection. */
  readonly unNat: boolean;
  next: CtEntry | null;
}

const INITIAL_BUCKETS = 64;

export class ConnTable {
  private buckets: (CtEntry | null)[] = new Array<CtEntry | null>(INITIAL_BUCKETS).fill(null);
  private count = 0;
  readonly basis: number;
  /** The direction of the entry that find() gave last. */
  reply = false;

  constructor(basis: number) {
    this.basis = basis | 0;
  }

  /** Puts a connection in the place of one of its keys; the newest of a place is found first. */
  insert(conn: Conn, unNat: boolean): CtEntry {
    const key = unNat ? conn.revKey : conn.key;
    const revKey = unNat ? conn.key : conn.revKey;
    const entry = { key, revKey, hash: key.hash(this.basis), conn, unNat, next: null };
    if (this.count >= this.buckets.length * 2) {
      this.grow();
    }
    this.link(entry);
    this.count++;
    return entry;
  }

  private link(entry: CtEntry): void {
    const b = entry.hash & (this.buckets.length - 1);
    entry.next = this.buckets[b] ?? null;
    this.buckets[b] = entry;
  }

  remove(entry: CtEntry): void {
    const b = entry.hash & (this.buckets.length - 1);
    let e = this.buckets[b] ?? null;
    if (e === entry) {
      this.buckets[b] = entry.next;
      this.count--;
      return;
    }
    while (e !== null) {
      if (e.next === entry) {
        e.next = entry.next;
        this.count--;
        return;
      }
      e = e.next;
    }
  }

  /** The entry that has the key in one of its directions and has not expired. */
  find(key: ConnKey, nowMs: number): CtEntry | null {
    return this.findAt(key, key, nowMs);
  }

  /** Like find(), but looks where another key would be. */
  findAt(place: ConnKey, key: ConnKey, nowMs: number): CtEntry | null {
    const hash = place.hash(this.basis);
    let e = this.buckets[hash & (this.buckets.length - 1)] ?? null;
    while (e !== null) {
      if (e.hash === hash && (e.unNat || nowMs < e.conn.expirationMs)) {
        const forward = e.key.equals(key);
        if (forward || e.revKey.equals(key)) {
          this.reply = !forward;
          return e;
        }
      }
      e = e.next;
    }
    return null;
  }

  /** Twice as many buckets; entries of a place keep their order. */
  private grow(): void {
    const old = this.buckets;
    this.buckets = new Array<CtEntry | null>(old.length * 2).fill(null);
    for (const head of old) {
      const chain: CtEntry[] = [];
      for (let e = head; e !== null; e = e.next) {
        chain.push(e);
      }
      for (const e of chain.reverse()) {
        this.link(e);
      }
    }
  }
}
