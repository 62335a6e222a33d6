// TrieAnswers: what the prefix tries of a classifier say about one packet, and when a subtable may be
// left because of it.
//
// A trie is asked at most once a lookup. It answers the prefix lengths at which a rule may match and
// the number of address bits that the answer took. A subtable whose length is not among them has no
// match. But leaving it must not cost `wc` more bits than looking into it would: either the answer
// took no more bits than the subtable's own prefix, or `wc` has them already. From then on `wc` has
// them for good, the trie is *settled*, and leaving a subtable because of it is free.
// (ovs: lib/classifier.c check_tries.)

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import { CLS_TRIES_MAX } from "./subtable-index.ts";
import type { PrefixTrie } from "./trie.ts";

/** A field that a classifier keeps a trie for. */
export interface PrefixField {
  readonly name: string;
  /** First word in the key. */
  readonly word: number;
  /** A multiple of 32, up to TRIE_BITS_MAX. */
  readonly bits: number;
  /** True if the field means something in this packet (an IPv4 address only in an IPv4 packet). */
  readonly prereqsOk: (key: FlowKey) => boolean;
}

/** A prefix field and the prefixes that the rules have in it. */
export interface FieldTrie {
  readonly field: PrefixField;
  readonly trie: PrefixTrie;
}

/** Words of the set of lengths in one answer. */
export const PLEN_WORDS = 4;

export class TrieAnswers {
  /** The fields, in the order in which they are checked. */
  tries: readonly FieldTrie[] = [];
  /** Bit n - 1 from the top of four words a field: some rule may match with a prefix of n bits. */
  readonly plens = new Uint32Array(CLS_TRIES_MAX * PLEN_WORDS);
  /** Bit t is set if `wc` has what the answer of trie t took. */
  settled = 0;
  private asked = 0;
  /** Bits of the field that the answer took. */
  private readonly known = new Uint8Array(CLS_TRIES_MAX);

  /** Begins a lookup. */
  begin(): void {
    this.asked = 0;
    this.settled = 0;
  }

  /** Asks all tries that have not been asked. */
  askAll(key: FlowKey): void {
    for (let t = 0; t < this.tries.length; t++) {
      this.ask(t, key);
    }
  }

  /** True if trie `t` lets a subtable with a prefix of `plen` bits be left; `wc` has the price. */
  excludes(t: number, plen: number, key: FlowKey, wc: FlowKey): boolean {
    this.ask(t, key);
    const bit = plen - 1;
    const lens = this.plens[t * PLEN_WORDS + (bit >>> 5)] as number;
    if ((lens & (0x80000000 >>> (bit & 31))) !== 0) {
      return false;
    }
    if (((this.settled >>> t) & 1) !== 0) {
      return true;
    }
    const { word } = (this.tries[t] as FieldTrie).field;
    const known = this.known[t] as number;
    if (known <= plen) {
      setPrefix(wc, word, known);
    } else if (!prefixIsSet(wc, word, known)) {
      return false;
    }
    this.settled |= 1 << t;
    return true;
  }

  private ask(t: number, key: FlowKey): void {
    if (((this.asked >>> t) & 1) !== 0) {
      return;
    }
    this.asked |= 1 << t;
    const { field, trie } = this.tries[t] as FieldTrie;
    const at = t * PLEN_WORDS;
    if (field.prereqsOk(key)) {
      if (field.bits === 32) {
        this.plens[at] = trie.lookupWord(key[field.word] as number);
        this.known[t] = trie.known;
      } else {
        setWords(this.plens, at, 0);
        this.known[t] = trie.lookup(key, field.word, this.plens, at);
      }
    } else {
      // The field is not of this packet: nothing can be excluded by it.
      setWords(this.plens, at, -1);
      this.known[t] = 0;
    }
  }
}

/** Sets the four words of one trie's answer. */
function setWords(plens: Uint32Array, at: number, value: number): void {
  plens[at] = value;
  plens[at + 1] = value;
  plens[at + 2] = value;
  plens[at + 3] = value;
}

/** Length of the prefix that a mask has on a field; 0 if its bits form no prefix. */
export function prefixLength(mask: MiniMask, field: PrefixField): number {
  let plen = 0;
  let ended = false;
  for (let w = 0; w < field.bits / 32; w++) {
    const index = mask.words.indexOf(field.word + w);
    const bits = index < 0 ? 0 : (mask.bits[index] as number);
    const ones = Math.clz32(~bits);
    if ((ended && bits !== 0) || bits !== prefixMask(ones) >>> 0) {
      return 0;
    }
    plen += ones;
    ended = ones < 32;
  }
  return plen;
}

/** The `n` (0 to 32) most significant bits. */
export function prefixMask(n: number): number {
  return n === 0 ? 0 : -1 << (32 - n);
}

function setPrefix(wc: FlowKey, word: number, bits: number): void {
  let w = word;
  let left = bits;
  for (; left >= 32; left -= 32) {
    wc[w++] = 0xffffffff;
  }
  if (left > 0) {
    wc[w] = (wc[w] as number) | prefixMask(left);
  }
}

function prefixIsSet(wc: FlowKey, word: number, bits: number): boolean {
  let w = word;
  let left = bits;
  for (; left >= 32; left -= 32) {
    if (wc[w++] !== 0xffffffff) {
      return false;
    }
  }
  return left === 0 || (~(wc[w] as number) & prefixMask(left)) === 0;
}
