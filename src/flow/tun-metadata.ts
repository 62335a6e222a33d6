// Tunnel options (Geneve TLVs) in a key: where the body of `tun_metadata<N>` lies.
//
// A bridge's TLV map says which option class and type is `tun_metadata<N>` and how long its body is.
// Bodies share the 256 bytes of slot `tun_md_opts`; a body may be split into pieces when the free
// space is. Slot `tun_md_present` says which options a packet has or, in a mask, which of these bits
// matter. A match that was parsed without a map (a tool knows none) lays its options out one after
// another and carries that layout with it (`TunMdAllocation`).
// (ovs: lib/tun-metadata.c, lib/tun-metadata.h)
//
// A table never changes once it is made: a modification makes a new one, so that flows that were
// read with the old one stay readable.

import { TUN_METADATA_COUNT } from "./fields.ts";
import { type FlowKey, K } from "./flow-key.ts";
import { TUN_METADATA_BYTES } from "./slots.ts";

/** A piece of the option space. */
export interface TunMdPiece {
  readonly offset: number;
  readonly bytes: number;
}

/** The place of one option's body: its pieces in order. */
export interface TunMdLoc {
  readonly bytes: number;
  readonly pieces: readonly TunMdPiece[];
}

/** The layout that a match carries if it was made without a table. */
export interface TunMdAllocation {
  allocOffset: number;
  /** By option number. */
  readonly entries: Map<number, { readonly loc: TunMdLoc; readonly masked: boolean }>;
}

/** One line of a TLV map. */
export interface TlvMapping {
  readonly optionClass: number;
  readonly optionType: number;
  /** Body bytes, a multiple of 4 up to 124. */
  readonly optionBytes: number;
  /** N of tun_metadata<N>. */
  readonly index: number;
}

interface Entry extends TlvMapping {
  readonly loc: TunMdLoc;
}

export type TlvMapError = "NXTTMFC_ALREADY_MAPPED" | "NXTTMFC_DUP_ENTRY" | "NXTTMFC_TABLE_FULL";

const UNITS = TUN_METADATA_BYTES / 4;

/** A bridge's TLV map (ovs: struct tun_table). Immutable. */
export class TunTable {
  readonly #entries: ReadonlyMap<number, Entry>;
  readonly #used: Uint8Array;

  constructor(entries: ReadonlyMap<number, Entry> = new Map(), used = new Uint8Array(UNITS)) {
    this.#entries = entries;
    this.#used = used;
  }

  /** This table with mappings added, all or none of them. */
  withAdded(mappings: readonly TlvMapping[]): TunTable | { readonly error: TlvMapError } {
    const entries = new Map(this.#entries);
    const used = this.#used.slice();
    for (const m of mappings) {
      if (entries.has(m.index)) {
        return { error: "NXTTMFC_ALREADY_MAPPED" };
      }
      for (const e of entries.values()) {
        if (e.optionClass === m.optionClass && e.optionType === m.optionType) {
          return { error: "NXTTMFC_DUP_ENTRY" };
        }
      }
      const pieces = allocate(used, m.optionBytes);
      if (pieces === null) {
        return { error: "NXTTMFC_TABLE_FULL" };
      }
      entries.set(m.index, { ...m, loc: { bytes: m.optionBytes, pieces } });
    }
    return new TunTable(entries, used);
  }

  /** This table without some options; unknown numbers do not matter. */
  withDeleted(indexes: readonly number[]): TunTable {
    const entries = new Map(this.#entries);
    const used = this.#used.slice();
    for (const i of indexes) {
      for (const p of entries.get(i)?.loc.pieces ?? []) {
        used.fill(0, p.offset / 4, (p.offset + p.bytes) / 4);
      }
      entries.delete(i);
    }
    return new TunTable(entries, used);
  }

  /** Where option `index` lies, undefined if it is not mapped. */
  loc(index: number): TunMdLoc | undefined {
    return this.#entries.get(index)?.loc;
  }

  /** The number of the option with this class and type, -1 if it is not mapped. */
  find(optionClass: number, optionType: number): number {
    for (const e of this.#entries.values()) {
      if (e.optionClass === optionClass && e.optionType === optionType) {
        return e.index;
      }
    }
    return -1;
  }

  get(index: number): TlvMapping | undefined {
    return this.#entries.get(index);
  }

  /** All mappings by number. */
  mappings(): TlvMapping[] {
    const out: TlvMapping[] = [];
    for (let i = 0; i < TUN_METADATA_COUNT; i++) {
      const e = this.#entries.get(i);
      if (e !== undefined) {
        out.push(e);
      }
    }
    return out;
  }

  get size(): number {
    return this.#entries.size;
  }
}

/** Takes the first hole that is large enough or else the largest, until there is enough space. */
function allocate(used: Uint8Array, bytes: number): TunMdPiece[] | null {
  const pieces: TunMdPiece[] = [];
  let left = bytes / 4;
  while (left > 0) {
    const hole = findHole(used, left);
    if (hole === null) {
      return null;
    }
    used.fill(1, hole.start, hole.start + hole.units);
    pieces.push({ offset: hole.start * 4, bytes: hole.units * 4 });
    left -= hole.units;
  }
  return pieces;
}

function findHole(used: Uint8Array, wanted: number): { start: number; units: number } | null {
  let best = { start: 0, units: 0 };
  for (let i = 0; i < UNITS; ) {
    if (used[i] !== 0) {
      i++;
      continue;
    }
    let end = i;
    while (end < UNITS && end - i < wanted && used[end] === 0) {
      end++;
    }
    if (end - i === wanted) {
      return { start: i, units: wanted };
    }
    if (end - i > best.units) {
      best = { start: i, units: end - i };
    }
    i = end + 1;
  }
  return best.units === 0 ? null : best;
}

/** Byte `i` of the option space of a key. */
export function tunMdByte(key: FlowKey, i: number): number {
  const word = key[K.tun_md_opts.word + (i >> 2)] as number;
  return (word >>> (24 - 8 * (i & 3))) & 0xff;
}

export function setTunMdByte(key: FlowKey, i: number, value: number): void {
  const w = K.tun_md_opts.word + (i >> 2);
  const shift = 24 - 8 * (i & 3);
  key[w] = ((key[w] as number) & ~(0xff << shift)) | (value << shift);
}

/** Whether bit `index` of slot tun_md_present is set. */
export function tunMdPresent(key: FlowKey, index: number): boolean {
  const w = K.tun_md_present.word + (index >= 32 ? 0 : 1);
  return (((key[w] as number) >>> (index & 31)) & 1) !== 0;
}

export function setTunMdPresent(key: FlowKey, index: number, present: boolean): void {
  const w = K.tun_md_present.word + (index >= 32 ? 0 : 1);
  const bit = 1 << (index & 31);
  key[w] = present ? (key[w] as number) | bit : (key[w] as number) & ~bit;
}

/** Copies a body out of a key. */
export function readTunMd(key: FlowKey, loc: TunMdLoc): Uint8Array {
  const out = new Uint8Array(loc.bytes);
  let at = 0;
  for (const p of loc.pieces) {
    for (let i = 0; i < p.bytes; i++) {
      out[at++] = tunMdByte(key, p.offset + i);
    }
  }
  return out;
}

/** Copies a body into a key and marks the option as present. */
export function writeTunMd(key: FlowKey, loc: TunMdLoc, index: number, body: Uint8Array): void {
  let at = 0;
  for (const p of loc.pieces) {
    for (let i = 0; i < p.bytes; i++) {
      setTunMdByte(key, p.offset + i, body[at++] ?? 0);
    }
  }
  setTunMdPresent(key, index, true);
}

/** The last `bytes` bytes of a field value. */
export function tunMdTail(value: Uint32Array, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) {
    const at = value.length * 4 - bytes + i;
    out[i] = ((value[at >> 2] ?? 0) >>> (24 - 8 * (at & 3))) & 0xff;
  }
  return out;
}

/** Puts a body right-aligned into a field value, which is cleared first. */
export function putTunMdTail(out: Uint32Array, body: Uint8Array): void {
  out.fill(0);
  for (let i = 0; i < body.length; i++) {
    const at = out.length * 4 - body.length + i;
    out[at >> 2] = (out[at >> 2] ?? 0) | ((body[i] ?? 0) << (24 - 8 * (at & 3)));
  }
}

/** Bytes that a value needs without leading zeros (ovs: field_len). */
export function tunMdSignificantBytes(value: Uint32Array): number {
  const bytes = value.length * 4;
  for (let i = 0; i < bytes; i++) {
    if ((((value[i >> 2] ?? 0) >>> (24 - 8 * (i & 3))) & 0xff) !== 0) {
      return bytes - i;
    }
  }
  return 0;
}
