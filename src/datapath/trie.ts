// PrefixTrie: which prefix lengths of one field occur among the rules, and how many bits of a value
// must be looked at to know which of them can match.
//
// A classifier keeps a trie per prefix field. When no rule has a prefix of the length that a
// subtable wants around the packet's address, the subtable can be passed over, and only the bits
// that told so have to be un-wildcarded. (ovs: lib/classifier.h, "Tries"; lib/classifier.c trie_*.)
//
// The tree is binary with path compression; a node holds up to 32 bits. Its shape decides the number
// of bits that a failed lookup reports, so nodes are split and joined just as Open vSwitch does:
// a prefix longer than 32 bits is a chain cut at multiples of 32 from where it branched off.
//
// Nodes live in one typed array, NODE_WORDS each (near each other in memory), linked by
// the index of their first word; 0 is "none". Freed nodes are reused.
//
// A value is `words` words of a key, most significant first; bit 0 is the most significant one.

/** The longest prefix: an IPv6 address. */
export const TRIE_BITS_MAX = 128;
/** Bits that one node holds. */
const NODE_BITS_MAX = 32;
/** A prefix of 128 bits needs at most this many nodes on its path: one a bit. */
const DEPTH_MAX = TRIE_BITS_MAX + 1;
const NONE = 0;
/** Words of a node: its bits (left-aligned), their number, rules that end here, then two children. */
const NODE_WORDS = 5;
const BITS = 1;
const RULES = 2;
const EDGE = 3;
const FIRST_NODES = 4;

export class PrefixTrie {
  /** Length of the field. */
  readonly bits: number;
  /** Leading bits that the last `lookupWord` had to know. */
  known = 0;
  private root = NONE;
  private used = NODE_WORDS;
  private freeList = NONE;
  private nodes = new Int32Array(FIRST_NODES * NODE_WORDS);

  constructor(bits: number) {
    this.bits = bits;
  }

  /** Bytes held by the arrays. */
  get bytes(): number {
    return this.nodes.byteLength;
  }

  get isEmpty(): boolean {
    return this.root === NONE;
  }

  /** Adds the first `len` (at least 1) bits of the value at words[at...]. */
  insert(words: Uint32Array, at: number, len: number): void {
    let parentEdge = -1; // index into `edge`, or -1 for the root
    let node = this.root;
    let ofs = 0;
    while (node !== NONE) {
      const nodeBits = this.nodes[node + BITS] as number;
      const eq = this.equalBits(node, Math.min(nodeBits, len - ofs), words, at, ofs);
      ofs += eq;
      if (eq < nodeBits) {
        this.splitAbove(node, parentEdge, eq, { words, at, ofs, len });
        return;
      }
      if (ofs === len) {
        this.nodes[node + RULES] = (this.nodes[node + RULES] as number) + 1;
        return;
      }
      parentEdge = node + EDGE + bitAt(words, at, ofs);
      node = this.nodes[parentEdge] as number;
    }
    this.setEdge(parentEdge, this.branch(words, at, ofs, len - ofs, 1));
  }

  /** Removes one prefix that has been inserted; anything else is left alone. */
  remove(words: Uint32Array, at: number, len: number): void {
    const path = new Int32Array(DEPTH_MAX + 1); // the edge that leads to the node of each depth
    path[0] = -1;
    let depth = 0;
    let ofs = 0;
    for (;;) {
      const node = this.edgeTarget(path[depth] as number);
      if (node === NONE) {
        return;
      }
      const nodeBits = this.nodes[node + BITS] as number;
      const eq = this.equalBits(node, Math.min(nodeBits, len - ofs), words, at, ofs);
      if (eq < nodeBits) {
        return;
      }
      ofs += eq;
      if (ofs === len) {
        const rules = this.nodes[node + RULES] as number;
        if (rules > 0) {
          this.nodes[node + RULES] = rules - 1;
          this.prune(path, depth);
        }
        return;
      }
      path[++depth] = node + EDGE + bitAt(words, at, ofs);
    }
  }

  /**
   * Looks up the value at words[at...]. Sets in `lens` (bit 0 = most significant bit of lens[lensAt])
   * the bit `n - 1` for each prefix length n at which rules may match, and returns how many leading
   * bits of the value have to be known for that answer. The caller clears `lens` before.
   */
  lookup(words: Uint32Array, at: number, lens: Uint32Array, lensAt: number): number {
    let node = this.root;
    let prev = NONE;
    let matched = 0;
    while (node !== NONE) {
      const nodeBits = this.nodes[node + BITS] as number;
      const eq = this.equalBits(node, nodeBits, words, at, matched);
      matched += eq;
      if (eq < nodeBits) {
        return matched + 1;
      }
      if ((this.nodes[node + RULES] as number) > 0) {
        const bit = matched - 1;
        const w = lensAt + (bit >>> 5);
        lens[w] = (lens[w] as number) | (0x80000000 >>> (bit & 31));
      }
      if (matched >= this.bits) {
        return this.bits;
      }
      prev = node;
      node = this.nodes[node + EDGE + bitAt(words, at, matched)] as number;
    }
    // The value ran off the tree. If another branch starts here, its first bit has to be known.
    return prev === NONE || this.isLeaf(prev) ? matched : matched + 1;
  }

  /** The same for a field of one word, given its value: the lengths that may match, as one word. */
  lookupWord(value: number): number {
    const { nodes, bits } = this;
    let node = this.root;
    let prev = 0;
    let matched = 0;
    let lens = 0;
    let rest = value;
    while (node !== 0) {
      const nodeBits = nodes[node + 1] as number; // BITS, written out for V8, as below
      const eq = Math.clz32((nodes[node] as number) ^ rest);
      if (eq < nodeBits) {
        this.known = matched + eq + 1;
        return lens;
      }
      matched += nodeBits;
      // One bit for length `matched`, if there are rules: their number is never negative.
      lens |= (-(nodes[node + 2] as number) >>> 31) << (32 - matched);
      if (matched >= bits) {
        this.known = bits;
        return lens;
      }
      rest = value << matched;
      prev = node;
      node = nodes[node + 3 + (rest >>> 31)] as number;
    }
    this.known = prev === 0 || this.isLeaf(prev) ? matched : matched + 1;
    return lens;
  }

  private isLeaf(node: number): boolean {
    return this.nodes[node + EDGE] === NONE && this.nodes[node + EDGE + 1] === NONE;
  }

  private edgeTarget(edge: number): number {
    return edge < 0 ? this.root : (this.nodes[edge] as number);
  }

  private setEdge(edge: number, node: number): void {
    if (edge < 0) {
      this.root = node;
    } else {
      this.nodes[edge] = node;
    }
  }

  /** Leading bits, `limit` at most, in which a node agrees with the value from bit `ofs` on. */
  private equalBits(
    node: number,
    limit: number,
    words: Uint32Array,
    at: number,
    ofs: number,
  ): number {
    const diff = (this.nodes[node] as number) ^ bitsFrom(words, at, ofs, limit);
    return Math.min(Math.clz32(diff), limit);
  }

  /** A new node, or a chain of them, for `len` bits of the value from bit `ofs` on. */
  private branch(words: Uint32Array, at: number, ofs: number, len: number, rules: number): number {
    const node = this.alloc();
    const here = Math.min(len, NODE_BITS_MAX);
    this.nodes[node] = here === 0 ? 0 : bitsFrom(words, at, ofs, here) & topBits(here);
    this.nodes[node + BITS] = here;
    if (len <= NODE_BITS_MAX) {
      this.nodes[node + RULES] = rules;
    } else {
      const child = this.branch(words, at, ofs + here, len - here, rules);
      this.nodes[node + EDGE + ((this.nodes[child] as number) >>> 31)] = child;
    }
    return node;
  }

  /**
   * The value differs from `node` after `eq` of its bits, having matched `ofs` in all: puts a new
   * parent with those bits above it, and a branch for the rest of the value beside it.
   */
  private splitAbove(
    node: number,
    parentEdge: number,
    eq: number,
    v: { words: Uint32Array; at: number; ofs: number; len: number },
  ): void {
    const old = ((this.nodes[node] as number) >>> (31 - eq)) & 1;
    const parent = this.branch(v.words, v.at, v.ofs - eq, eq, v.ofs === v.len ? 1 : 0);
    this.nodes[node] = (this.nodes[node] as number) << eq;
    this.nodes[node + BITS] = (this.nodes[node + BITS] as number) - eq;
    this.nodes[parent + EDGE + old] = node;
    if (v.ofs < v.len) {
      const sibling = this.branch(v.words, v.at, v.ofs, v.len - v.ofs, 1);
      this.nodes[parent + EDGE + 1 - old] = sibling;
    }
    this.setEdge(parentEdge, parent);
  }

  /** Removes nodes without rules from the end of a path upwards, joining single children. */
  private prune(path: Int32Array, from: number): void {
    let depth = from;
    let node = this.edgeTarget(path[depth] as number);
    while (this.nodes[node + RULES] === 0) {
      const e0 = this.nodes[node + EDGE] as number;
      const e1 = this.nodes[node + EDGE + 1] as number;
      if (e0 !== NONE && e1 !== NONE) {
        return;
      }
      const next = e0 !== NONE ? e0 : e1;
      if (next !== NONE) {
        const nodeBits = this.nodes[node + BITS] as number;
        if (nodeBits + (this.nodes[next + BITS] as number) > NODE_BITS_MAX) {
          return;
        }
        const tail = nodeBits === 32 ? 0 : (this.nodes[next] as number) >>> nodeBits;
        this.nodes[next] = (this.nodes[node] as number) | tail;
        this.nodes[next + BITS] = (this.nodes[next + BITS] as number) + nodeBits;
      }
      this.setEdge(path[depth] as number, next);
      this.release(node);
      if (next !== NONE || depth === 0) {
        return;
      }
      node = this.edgeTarget(path[--depth] as number);
    }
  }

  private alloc(): number {
    if (this.freeList !== NONE) {
      const node = this.freeList;
      this.freeList = this.nodes[node + EDGE] as number;
      this.nodes[node + EDGE] = NONE;
      return node;
    }
    if (this.used + NODE_WORDS > this.nodes.length) {
      this.grow();
    }
    const node = this.used;
    this.used += NODE_WORDS;
    return node;
  }

  private grow(): void {
    const nodes = new Int32Array(this.nodes.length * 2);
    nodes.set(this.nodes);
    this.nodes = nodes;
  }

  private release(node: number): void {
    this.nodes[node] = 0;
    this.nodes[node + BITS] = 0;
    this.nodes[node + RULES] = 0;
    this.nodes[node + EDGE + 1] = NONE;
    this.nodes[node + EDGE] = this.freeList;
    this.freeList = node;
  }
}

/** 32 bits of a value from bit `ofs` on; only the first `want` are meaningful. */
function bitsFrom(words: Uint32Array, at: number, ofs: number, want: number): number {
  const w = at + (ofs >>> 5);
  const skip = ofs & 31;
  if (skip === 0) {
    return want === 0 ? 0 : (words[w] as number);
  }
  const head = (words[w] as number) << skip;
  return want > 32 - skip ? head | ((words[w + 1] as number) >>> (32 - skip)) : head;
}

function bitAt(words: Uint32Array, at: number, ofs: number): number {
  return ((words[at + (ofs >>> 5)] as number) >>> (31 - (ofs & 31))) & 1;
}

function topBits(n: number): number {
  return n === 0 ? 0 : -1 << (32 - n);
}
