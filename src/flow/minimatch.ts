// MiniMatch: a match without its wildcarded words, the form in which rules are kept.
//
// A full match is two keys of KEY_WORDS words, nearly all of them zero. A rule keeps the words in
// which its mask has a bit: their indexes and mask bits (MiniMask, shared by the rules of one
// subtable) and its own values. (ovs: struct minimatch in lib/match.h.)
//
// Invariants: `words` is ascending; every mask word is nonzero; `values[i] & ~bits[i]` is 0, so two
// minimatches of the same mask are equal when their values are.

import { type FlowKey, KEY_WORDS } from "./flow-key.ts";

/** The nonzero words of a mask. */
export interface MiniMask {
  /** Indexes into a FlowKey, ascending. */
  readonly words: Uint16Array;
  /** Mask bits of each of `words`. */
  readonly bits: Uint32Array;
}

/** A mask and the values under it, one per word of the mask. */
export interface MiniMatch {
  readonly mask: MiniMask;
  readonly values: Uint32Array;
}

/** Packs a full mask. */
export function miniMaskOf(wc: FlowKey): MiniMask {
  let count = 0;
  for (let w = 0; w < KEY_WORDS; w++) {
    if (wc[w] !== 0) {
      count++;
    }
  }
  const words = new Uint16Array(count);
  const bits = new Uint32Array(count);
  for (let w = 0, i = 0; i < count; w++) {
    if (wc[w] !== 0) {
      words[i] = w;
      bits[i++] = wc[w] as number;
    }
  }
  return { words, bits };
}

/** Packs a full match; values outside the mask are dropped. */
export function miniMatchOf(flow: FlowKey, wc: FlowKey): MiniMatch {
  const mask = miniMaskOf(wc);
  return { mask, values: valuesUnder(mask, flow) };
}

/** The values of `flow` under a mask. */
function valuesUnder(mask: MiniMask, flow: FlowKey): Uint32Array {
  const values = new Uint32Array(mask.words.length);
  for (let i = 0; i < values.length; i++) {
    values[i] = (flow[mask.words[i] as number] as number) & (mask.bits[i] as number);
  }
  return values;
}

/** Unpacks into two keys, which are overwritten whole. */
export function expandMiniMatch(m: MiniMatch, flow: FlowKey, wc: FlowKey): void {
  flow.fill(0);
  wc.fill(0);
  const { words, bits } = m.mask;
  for (let i = 0; i < words.length; i++) {
    const w = words[i] as number;
    flow[w] = m.values[i] as number;
    wc[w] = bits[i] as number;
  }
}

/** True if the masks have the same bits. */
export function miniMaskEqual(a: MiniMask, b: MiniMask): boolean {
  return a === b || (sameArray(a.words, b.words) && sameArray(a.bits, b.bits));
}

/** True if both have the same mask and the same values. */
export function miniMatchEqual(a: MiniMatch, b: MiniMatch): boolean {
  return sameArray(a.values, b.values) && miniMaskEqual(a.mask, b.mask);
}

function sameArray(a: Uint16Array | Uint32Array, b: Uint16Array | Uint32Array): boolean {
  if (a.length !== b.length) {
    return false;
  }
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

/** True if `b` has a bit that `a` has not. (ovs: minimask_has_extra(a, b).) */
export function miniMaskHasExtra(a: MiniMask, b: MiniMask): boolean {
  let j = 0;
  for (let i = 0; i < b.words.length; i++) {
    const w = b.words[i] as number;
    while (j < a.words.length && (a.words[j] as number) < w) {
      j++;
    }
    const have = j < a.words.length && a.words[j] === w ? (a.bits[j] as number) : 0;
    if (((b.bits[i] as number) & ~have) !== 0) {
      return true;
    }
  }
  return false;
}

/**
 * True if `rule` lies within `criteria`: it masks every bit that the criteria mask, with the same
 * value. (ovs: cls_rule_is_loose_match.)
 */
export function isLooseMatch(rule: MiniMatch, criteria: MiniMatch): boolean {
  const c = criteria.mask;
  const r = rule.mask;
  let j = 0;
  for (let i = 0; i < c.words.length; i++) {
    const w = c.words[i] as number;
    while (j < r.words.length && (r.words[j] as number) < w) {
      j++;
    }
    if (j >= r.words.length || r.words[j] !== w) {
      return false;
    }
    const bits = c.bits[i] as number;
    if ((bits & ~(r.bits[j] as number)) !== 0) {
      return false;
    }
    if ((((rule.values[j] as number) ^ (criteria.values[i] as number)) & bits) !== 0) {
      return false;
    }
  }
  return true;
}

/** True if some packet matches both: their values agree wherever both masks have a bit. */
export function miniMatchesOverlap(a: MiniMatch, b: MiniMatch): boolean {
  let j = 0;
  for (let i = 0; i < a.mask.words.length; i++) {
    const w = a.mask.words[i] as number;
    while (j < b.mask.words.length && (b.mask.words[j] as number) < w) {
      j++;
    }
    if (j >= b.mask.words.length) {
      return true;
    }
    if (b.mask.words[j] === w) {
      const common = (a.mask.bits[i] as number) & (b.mask.bits[j] as number);
      if ((((a.values[i] as number) ^ (b.values[j] as number)) & common) !== 0) {
        return false;
      }
    }
  }
  return true;
}

/** True if a packet with this key matches. */
export function miniMatchCovers(m: MiniMatch, key: FlowKey): boolean {
  const { words, bits } = m.mask;
  for (let i = 0; i < words.length; i++) {
    const diff = (key[words[i] as number] as number) ^ (m.values[i] as number);
    if ((diff & (bits[i] as number)) !== 0) {
      return false;
    }
  }
  return true;
}
