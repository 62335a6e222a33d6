// ConnTable: the table of connections, by the keys of both of their directions.
//
// A connection has one place in the table by its own key and, if its addresses are translated, a
// second one by its reply's key, so that replies find it.
//
// Buckets are chains of slots, and all that a look-up reads of a slot lies in one flat array: hash,
// next slot and the two keys as words, 128 bytes in all. The object of a connection is only touched
// when its key has been found; a walk over objects would wait for memory at each of their parts.
//
// Invariants: slot 0 is none and ends a chain; free slots are a chain too; the newest connection of
// a bucket is found first. (ovs: lib/conntrack.c conn_key_lookup)

import { ETH_TYPE } from "../packet/ethernet.ts";
import type { Conn } from "./ct-conn.ts";
import { CONN_KEY4_WORDS, CONN_KEY_WORDS, type ConnKey } from "./ct-key.ts";

/** No slot. */
export const NO_SLOT = 0;
const FIRST_SLOTS = 64;
// What is where in a slot.
const SLOT_WORDS = 32;
const HASH = 0;
const NEXT = 1;
const KEY = 2;
const REV_KEY = KEY + CONN_KEY_WORDS;
const UN_NAT = REV_KEY + CONN_KEY_WORDS;

export class ConnTable {
  readonly basis: number;
  /** Of what find() gave last: it was found by its reverse, and in a second place. */
  reply = false;
  unNat = false;
  /** The first slot of each bucket; as many buckets as slots. */
  private heads = new Int32Array(FIRST_SLOTS);
  private slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);
  private conns: (Conn | null)[] = [null];
  private free = 0;
  private readonly wanted = new Int32Array(CONN_KEY_WORDS);

  constructor(basis: number) {
    this.basis = basis | 0;
  }

  /**
   * Puts a connection in the place of its own key or, with `unNat`, of its reply's, and answers the
   * slot; the newest of a place is found first.
   */
  insert(conn: Conn, unNat: boolean): number {
    const key = unNat ? conn.revKey : conn.key;
    const revKey = unNat ? conn.key : conn.revKey;
    const slot = this.takeSlot();
    const at = slot * SLOT_WORDS;
    this.slots[at + HASH] = key.hash(this.basis);
    key.pack(this.slots, at + KEY);
    revKey.pack(this.slots, at + REV_KEY);
    this.slots[at + UN_NAT] = unNat ? 1 : 0;
    this.conns[slot] = conn;
    this.link(slot);
    return slot;
  }

  private takeSlot(): number {
    const slot = this.free;
    if (slot !== 0) {
      this.free = this.slots[slot * SLOT_WORDS + NEXT] as number;
      return slot;
    }
    if (this.conns.length >= this.heads.length) {
      this.grow();
    }
    return this.conns.length;
  }

  private bucketOf(slot: number): number {
    return (this.slots[slot * SLOT_WORDS + HASH] as number) & (this.heads.length - 1);
  }

  private link(slot: number): void {
    const bucket = this.bucketOf(slot);
    this.slots[slot * SLOT_WORDS + NEXT] = this.heads[bucket] as number;
    this.heads[bucket] = slot;
  }

  remove(slot: number): void {
    const { slots } = this;
    const bucket = this.bucketOf(slot);
    const next = slots[slot * SLOT_WORDS + NEXT] as number;
    let before = this.heads[bucket] as number;
    if (before === slot) {
      this.heads[bucket] = next;
    } else {
      while (slots[before * SLOT_WORDS + NEXT] !== slot) {
        before = slots[before * SLOT_WORDS + NEXT] as number;
      }
      slots[before * SLOT_WORDS + NEXT] = next;
    }
    this.conns[slot] = null;
    slots[slot * SLOT_WORDS + NEXT] = this.free;
    this.free = slot;
  }

  /** The connection that has the key in one of its directions and has not expired. */
  find(key: ConnKey, nowMs: number): Conn | null {
    return this.findAt(key, key, nowMs);
  }

  /** Like find(), but looks where another key would be. */
  findAt(place: ConnKey, key: ConnKey, nowMs: number): Conn | null {
    const { slots, wanted } = this;
    const hash = place.hash(this.basis);
    key.pack(wanted, 0);
    const words = key.dlType === ETH_TYPE.IP ? CONN_KEY4_WORDS : CONN_KEY_WORDS;
    let slot = this.heads[hash & (this.heads.length - 1)] as number;
    while (slot !== 0) {
      const at = slot * SLOT_WORDS;
      if (slots[at + HASH] === hash) {
        const forward = agrees(slots, at + KEY, wanted, words);
        if (forward || agrees(slots, at + REV_KEY, wanted, words)) {
          const conn = this.conns[slot] as Conn;
          const unNat = slots[at + UN_NAT] !== 0;
          if (unNat || nowMs < conn.expirationMs) {
            this.reply = !forward;
            this.unNat = unNat;
            return conn;
          }
        }
      }
      slot = slots[at + NEXT] as number;
    }
    return null;
  }

  /** Twice as many slots and buckets; entries of a place keep their order. */
  private grow(): void {
    const old = this.heads;
    const slots = new Int32Array(2 * old.length * SLOT_WORDS);
    slots.set(this.slots);
    this.slots = slots;
    this.heads = new Int32Array(2 * old.length);
    for (const head of old) {
      const chain: number[] = [];
      for (let slot = head; slot !== 0; slot = slots[slot * SLOT_WORDS + NEXT] as number) {
        chain.push(slot);
      }
      for (const slot of chain.reverse()) {
        this.link(slot);
      }
    }
  }
}

/**
 * Whether the first words of a packed key are those of a slot; all of them are compared, as they
 * differ but rarely.
 */
function agrees(slots: Int32Array, at: number, wanted: Int32Array, words: number): boolean {
  let diff = 0;
  for (let i = 0; i < words; i++) {
    diff |= (slots[at + i] as number) ^ (wanted[i] as number);
  }
  return diff === 0;
}
