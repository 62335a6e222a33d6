// ClassifierLookup: the walk over a classifier's subtables for one packet.
//
// Two walks give the same rule. `searchPlain` only wants the rule and passes over whatever the guide
// excludes. `searchWc` also collects in `wc` what was looked at, so it takes each subtable in order
// and leaves the bits that Open vSwitch's walk would leave (ovs: lib/classifier.c find_match_wc,
// check_tries). Scratch arrays belong to the object: a lookup allocates nothing.

import type { FlowKey } from "../flow/flow-key.ts";
import type { MiniMask } from "../flow/minimatch.ts";
import type { SoftMatches } from "./classifier-conj.ts";
import { type ClsRule, isVisible, type Version } from "./classifier-rule.ts";
import type { HashCounts } from "./hash-set.ts";
import type { MaskWords } from "./mask-words.ts";
import type { PriorityVector } from "./priority-vector.ts";
import { CLS_TRIES_MAX, hashFinish, type Subtable } from "./subtable.ts";
import { START, type StageMask, type SubtableGuide, stageHash } from "./subtable-guide.ts";
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

/** What a walk goes over. */
export interface LookupParts<T> {
  readonly order: PriorityVector<Subtable<T>>;
  tries: readonly FieldTrie[];
  readonly guide: SubtableGuide<T>;
  readonly words: MaskWords;
}

const PLEN_WORDS = 4;
const STAGE_MASKS_MAX = 256;

export class ClassifierLookup<T> {
  /** Number of the current lookup: what is stamped with it holds. Clearing would cost more. */
  private stamp = 0;
  // What the tries said in the current lookup; filled when first asked for.
  private readonly trieDone = new Int32Array(CLS_TRIES_MAX);
  /** Bits of the field that the answer took. */
  private readonly trieKnown = new Uint8Array(CLS_TRIES_MAX);
  /** Stamped once `wc` has those bits. */
  private readonly trieInWc = new Int32Array(CLS_TRIES_MAX);
  private readonly triePlens = new Uint32Array(CLS_TRIES_MAX * PLEN_WORDS);
  // Hashes of the packet under first stages that subtables share.
  private readonly stageDone = new Int32Array(STAGE_MASKS_MAX);
  private readonly stageHashes = new Int32Array(STAGE_MASKS_MAX);
  /** Shared summands of the hashes for the current packet, if they serve. */
  private summands: Int32Array | null = null;
  private readonly portLens = new Uint32Array(1);
  private readonly portWord = new Uint32Array(1);

  /** The best plain rule; clauses go to `soft`, or are passed over without it. */
  search(
    c: LookupParts<T>,
    version: Version,
    key: FlowKey,
    wc: FlowKey | null,
    soft: SoftMatches<T> | null,
  ): ClsRule<T> | null {
    this.stamp = (this.stamp + 1) | 0;
    const guided = c.guide.use(c.order, c.tries.length);
    // Where the guide leaves few subtables, hashing these alone is less work.
    const shared = (wc !== null || !guided) && c.words.worthwhile;
    this.summands = null;
    if (shared) {
      c.words.compute(key);
      this.summands = c.words.values;
    }
    if (wc !== null) {
      return this.searchWc(c, guided, version, key, wc, soft);
    }
    if (!guided) {
      return searchAll(c.order, this.summands, version, key, soft);
    }
    for (let t = 0; t < c.tries.length; t++) {
      this.askTrie(t, c.tries[t] as FieldTrie, key);
    }
    c.guide.choose(key, this.triePlens);
    return searchCandidates(c.order, c.guide, version, key, soft);
  }

  private searchWc(
    c: LookupParts<T>,
    guided: boolean,
    version: Version,
    key: FlowKey,
    wc: FlowKey,
    soft: SoftMatches<T> | null,
  ): ClsRule<T> | null {
    const { order, tries, guide } = c;
    const { elements } = order;
    let hard: ClsRule<T> | null = null;
    let hardPriority = -1;
    for (let i = 0; i < elements.length && order.priorityAt(i) > hardPriority; i++) {
      if (guided && this.guideExcludes(guide, tries, i, key, wc)) {
        continue;
      }
      const subtable = elements[i] as Subtable<T>;
      const row = this.findRowWc(subtable, tries, key, wc, version);
      const rule = row < 0 ? null : firstVisible(subtable.heads[row], version);
      if (rule === null || rule.priority <= hardPriority) {
        continue;
      }
      if (rule.conjs === null) {
        hard = rule;
        hardPriority = rule.priority;
      } else if (soft !== null) {
        soft.push(rule);
      }
    }
    return hard;
  }

  /** True if the guide's arrays tell that subtable `i` has no match; `wc` then has the price. */
  private guideExcludes(
    guide: SubtableGuide<T>,
    tries: readonly FieldTrie[],
    i: number,
    key: FlowKey,
    wc: FlowKey,
  ): boolean {
    const start = guide.starts[i] as number;
    if (start === START.unknown) {
      return false;
    }
    if (start === START.stageThenTries) {
      const id = guide.stageIds[i] as number;
      if (this.stageDone[id] !== this.stamp) {
        const stage = guide.stageMasks[id] as StageMask;
        this.stageHashes[id] = stageHash(stage, key);
        this.stageDone[id] = this.stamp;
        // Whatever comes of it, the stage has been looked at.
        for (let w = 0; w < stage.words.length; w++) {
          const word = stage.words[w] as number;
          wc[word] = (wc[word] as number) | (stage.bits[w] as number);
        }
      }
      if (this.stageHashes[id] !== guide.stageHashes[i]) {
        return true;
      }
    }
    for (let t = 0; t < tries.length; t++) {
      const plen = (guide.triePlens[t] as Uint8Array)[i] as number;
      if (plen !== 0 && this.trieExcludes(t, tries[t] as FieldTrie, plen, key, wc)) {
        return true;
      }
    }
    return false;
  }

  /** Looks into one subtable, adding to `wc` what was looked at. */
  private findRowWc(
    subtable: Subtable<T>,
    tries: readonly FieldTrie[],
    key: FlowKey,
    wc: FlowKey,
    version: Version,
  ): number {
    const { stageEnds, stageSets, stagesWithTries } = subtable;
    const { summands } = this;
    const final = stageEnds.length - 1;
    let from = 0;
    let hash = 0;
    for (let stage = 0; stage < final; stage++) {
      if (
        ((stagesWithTries >> stage) & 1) !== 0 &&
        this.triesExclude(subtable, tries, stage, key, wc)
      ) {
        foldMask(wc, subtable.mask, from);
        return -1;
      }
      const to = stageEnds[stage] as number;
      hash = hashPart(subtable, summands, key, hash, from, to);
      from = to;
      if (!(stageSets[stage] as HashCounts).has(hashFinish(hash))) {
        foldMask(wc, subtable.mask, from);
        return -1;
      }
    }
    if (
      ((stagesWithTries >> final) & 1) !== 0 &&
      this.triesExclude(subtable, tries, final, key, wc)
    ) {
      foldMask(wc, subtable.mask, from);
      return -1;
    }
    hash = hashPart(subtable, summands, key, hash, from, subtable.n);
    const row = subtable.findRow(key, hashFinish(hash));
    const { portsTrie } = subtable;
    if (portsTrie !== null && (row < 0 || firstVisible(subtable.heads[row], version) === null)) {
      this.foldMissedPorts(subtable, portsTrie, key, wc);
      return -1;
    }
    foldMask(wc, subtable.mask, subtable.n);
    return row;
  }

  /**
   * After a miss in the last stage: un-wildcards the whole mask, but of the L4 ports only as many
   * bits as tell that nothing matches.
   */
  private foldMissedPorts(
    subtable: Subtable<T>,
    trie: PrefixTrie,
    key: FlowKey,
    wc: FlowKey,
  ): void {
    const word = subtable.mask.words[subtable.portsIndex] as number;
    const bits = subtable.mask.bits[subtable.portsIndex] as number;
    this.portWord[0] = (key[word] as number) & bits;
    const known = trie.lookup(this.portWord, 0, this.portLens, 0);
    const ports = (wc[word] as number) | (bits & prefixMask(known));
    foldMask(wc, subtable.mask, subtable.n);
    wc[word] = ports;
  }

  private triesExclude(
    subtable: Subtable<T>,
    tries: readonly FieldTrie[],
    stage: number,
    key: FlowKey,
    wc: FlowKey,
  ): boolean {
    for (let t = 0; t < tries.length; t++) {
      const plen = subtable.triePlens[t] as number;
      if (
        plen !== 0 &&
        subtable.trieStages[t] === stage &&
        this.trieExcludes(t, tries[t] as FieldTrie, plen, key, wc)
      ) {
        return true;
      }
    }
    return false;
  }

  /**
   * True if trie `t` tells that no rule with a prefix of `plen` bits matches, and saying so costs
   * `wc` no bits beyond those that the subtable itself would take. It then has them.
   */
  private trieExcludes(t: number, ft: FieldTrie, plen: number, key: FlowKey, wc: FlowKey): boolean {
    if (this.trieDone[t] !== this.stamp) {
      this.askTrie(t, ft, key);
    }
    const bit = plen - 1;
    const lens = this.triePlens[t * PLEN_WORDS + (bit >>> 5)] as number;
    if ((lens & (0x80000000 >>> (bit & 31))) !== 0) {
      return false;
    }
    if (this.trieInWc[t] === this.stamp) {
      return true;
    }
    const known = this.trieKnown[t] as number;
    if (known <= plen) {
      setPrefix(wc, ft.field.word, known);
      this.trieInWc[t] = this.stamp;
      return true;
    }
    if (prefixIsSet(wc, ft.field.word, known)) {
      this.trieInWc[t] = this.stamp;
      return true;
    }
    return false;
  }

  private askTrie(t: number, { field, trie }: FieldTrie, key: FlowKey): void {
    const at = t * PLEN_WORDS;
    this.trieDone[t] = this.stamp;
    if (field.prereqsOk(key)) {
      setWords(this.triePlens, at, 0);
      this.trieKnown[t] = trie.lookup(key, field.word, this.triePlens, at);
    } else {
      // The field is not of this packet: nothing can be excluded by it.
      setWords(this.triePlens, at, -1);
      this.trieKnown[t] = 0;
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

/** Walks over all subtables. */
function searchAll<T>(
  order: PriorityVector<Subtable<T>>,
  summands: Int32Array | null,
  version: Version,
  key: FlowKey,
  soft: SoftMatches<T> | null,
): ClsRule<T> | null {
  const { elements } = order;
  let hard: ClsRule<T> | null = null;
  let hardPriority = -1;
  for (let i = 0; i < elements.length && order.priorityAt(i) > hardPriority; i++) {
    const rule = findRule(elements[i] as Subtable<T>, summands, version, key);
    if (rule === null || rule.priority <= hardPriority) {
      continue;
    }
    if (rule.conjs === null) {
      hard = rule;
      hardPriority = rule.priority;
    } else if (soft !== null) {
      soft.push(rule);
    }
  }
  return hard;
}

/** Walks over the subtables that the guide has left. */
function searchCandidates<T>(
  order: PriorityVector<Subtable<T>>,
  guide: SubtableGuide<T>,
  version: Version,
  key: FlowKey,
  soft: SoftMatches<T> | null,
): ClsRule<T> | null {
  const { elements } = order;
  const { priorities } = guide;
  let hard: ClsRule<T> | null = null;
  let hardPriority = -1;
  for (let w = 0; w < guide.candidateWords; w++) {
    if ((priorities[w * 32] as number) <= hardPriority) {
      return hard;
    }
    for (let left = guide.candidates(w); left !== 0; ) {
      const bit = Math.clz32(left);
      left &= ~(0x80000000 >>> bit);
      const i = w * 32 + bit;
      if ((priorities[i] as number) <= hardPriority) {
        return hard;
      }
      const rule = findRule(elements[i] as Subtable<T>, null, version, key);
      if (rule === null || rule.priority <= hardPriority) {
        continue;
      }
      if (rule.conjs === null) {
        hard = rule;
        hardPriority = rule.priority;
      } else if (soft !== null) {
        soft.push(rule);
      }
    }
  }
  return hard;
}

/** Without un-wildcarding, one hash over all masked words does. */
function findRule<T>(
  subtable: Subtable<T>,
  summands: Int32Array | null,
  version: Version,
  key: FlowKey,
): ClsRule<T> | null {
  const sum = hashPart(subtable, summands, key, 0, 0, subtable.n);
  const row = subtable.findRow(key, hashFinish(sum));
  return row < 0 ? null : firstVisible(subtable.heads[row], version);
}

/** Running hash over some words of a mask, from shared summands if there are any. */
function hashPart<T>(
  subtable: Subtable<T>,
  summands: Int32Array | null,
  key: FlowKey,
  basis: number,
  from: number,
  to: number,
): number {
  return summands === null
    ? subtable.hashKey(key, basis, from, to)
    : subtable.hashShared(summands, basis, from, to);
}

function firstVisible<T>(head: ClsRule<T> | null | undefined, version: Version): ClsRule<T> | null {
  let rule = head ?? null;
  while (rule !== null && !isVisible(rule, version)) {
    rule = rule.lower;
  }
  return rule;
}

/** The `n` (0 to 32) most significant bits. */
export function prefixMask(n: number): number {
  return n === 0 ? 0 : -1 << (32 - n);
}

/** Adds the first `to` words of a mask to `wc`. */
function foldMask(wc: FlowKey, mask: MiniMask, to: number): void {
  const { words, bits } = mask;
  for (let i = 0; i < to; i++) {
    const w = words[i] as number;
    wc[w] = (wc[w] as number) | (bits[i] as number);
  }
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
