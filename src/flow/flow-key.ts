// FlowKey: the fields of one packet (or the bits of a mask) as 32-bit words, laid out by slots.ts.
//
// A key and a mask have the same shape. A mask bit of 1 is significant, 0 is wildcarded. The same
// array type serves both so that `key & mask` is a loop over words.

import { K, KEY_WORDS, type Slot, type SlotName } from "./slots.ts";

/** KEY_WORDS host-order words. */
export type FlowKey = Uint32Array;

export function newKey(): FlowKey {
  return new Uint32Array(KEY_WORDS);
}

/** Value of a slot of at most 32 bits. */
export function get(key: FlowKey, slot: Slot): number {
  return ((key[slot.word] as number) >>> slot.shift) & slot.max;
}

/** Value of a slot of at most 32 bits as an unsigned number (needed when the slot has 32). */
export function getU(key: FlowKey, slot: Slot): number {
  return get(key, slot) >>> 0;
}

/** Sets a slot of at most 32 bits; bits of `value` beyond the width are ignored. */
export function set(key: FlowKey, slot: Slot, value: number): void {
  const mask = slot.max << slot.shift;
  key[slot.word] = ((key[slot.word] as number) & ~mask) | ((value << slot.shift) & mask);
}

/** Sets the given bits of a slot of at most 32 bits (an "or"), as masks are built up. */
export function orBits(key: FlowKey, slot: Slot, bits: number): void {
  key[slot.word] = (key[slot.word] as number) | ((bits & slot.max) << slot.shift);
}

/** Sets all bits of a slot, of any width. */
export function fill(key: FlowKey, slot: Slot): void {
  if (slot.words === 1) {
    orBits(key, slot, slot.max);
    return;
  }
  const first = slot.bits % 32 === 0 ? 0xffffffff : 2 ** (slot.bits % 32) - 1;
  key[slot.word] = first;
  for (let i = 1; i < slot.words; i++) {
    key[slot.word + i] = 0xffffffff;
  }
}

/** Clears all bits of a slot, of any width. */
export function clear(key: FlowKey, slot: Slot): void {
  if (slot.words === 1) {
    set(key, slot, 0);
    return;
  }
  key.fill(0, slot.word, slot.word + slot.words);
}

/** True if all bits of a slot, of any width, are 0. */
export function isZero(key: FlowKey, slot: Slot): boolean {
  if (slot.words === 1) {
    return get(key, slot) === 0;
  }
  for (let i = 0; i < slot.words; i++) {
    if (key[slot.word + i] !== 0) {
      return false;
    }
  }
  return true;
}

/** Copies one slot, of any width, from one key to another. */
export function copySlot(to: FlowKey, from: FlowKey, slot: Slot): void {
  if (slot.words === 1) {
    set(to, slot, get(from, slot));
    return;
  }
  for (let i = 0; i < slot.words; i++) {
    to[slot.word + i] = from[slot.word + i] as number;
  }
}

/** True if two keys have the same value in a slot, of any width. */
export function sameSlot(a: FlowKey, b: FlowKey, slot: Slot): boolean {
  if (slot.words === 1) {
    return get(a, slot) === get(b, slot);
  }
  for (let i = 0; i < slot.words; i++) {
    if (a[slot.word + i] !== b[slot.word + i]) {
      return false;
    }
  }
  return true;
}

export { K, KEY_WORDS, type Slot, type SlotName };
