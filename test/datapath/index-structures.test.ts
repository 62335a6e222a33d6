// The structures under the classifier against naive twins: prefix trie, counting hash set, the order
// of subtables, shared mask words.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HashCounts } from "../../src/datapath/hash-set.ts";
import { hashWord, MaskWords, multiplierOf } from "../../src/datapath/mask-words.ts";
import { PriorityVector } from "../../src/datapath/priority-vector.ts";
import { PrefixTrie } from "../../src/datapath/trie.ts";
import { newKey } from "../../src/flow/flow-key.ts";

/** A prefix as a string of bits. */
type Bits = string;

function wordsOf(bits: Bits): Uint32Array {
  const padded = bits.padEnd(128, "0");
  return Uint32Array.from([0, 32, 64, 96], (at) => Number.parseInt(padded.slice(at, at + 32), 2));
}

/** Few different bits at few places, so that prefixes share beginnings. */
const bits = (max: number): fc.Arbitrary<Bits> =>
  fc
    .array(fc.constantFrom("0", "1", "00000000", "11111111", "0000000000000000"), { minLength: 1 })
    .map((parts) => parts.join("").slice(0, max));

describe("PrefixTrie", () => {
  // A value's answer: the lengths of stored prefixes that it has, and enough bits to tell so.
  test.each([32, 128])("of %i bits answers as a list of prefixes does", (width) => {
    fc.assert(
      fc.property(
        fc.array(bits(width), { maxLength: 30 }),
        bits(width),
        fc.nat(),
        (set, v, cut) => {
          const trie = new PrefixTrie(width);
          for (const p of set) {
            trie.insert(wordsOf(p), 0, p.length);
          }
          const gone = set.slice(0, cut % (set.length + 1));
          for (const p of gone) {
            trie.remove(wordsOf(p), 0, p.length);
          }
          const left = set.slice(gone.length);
          const value = v.padEnd(width, "0");
          const lens = new Uint32Array(4);
          const known = trie.lookup(wordsOf(value), 0, lens, 0);
          const found = Array.from({ length: width }, (_, i) => i + 1).filter(
            (n) => ((lens[(n - 1) >>> 5] as number) & (0x80000000 >>> ((n - 1) & 31))) !== 0,
          );
          const want = [...new Set(left.filter((p) => value.startsWith(p)).map((p) => p.length))];
          expect(found).toEqual(want.sort((a, b) => a - b));
          // Whatever the bits after the known ones are, the same prefixes match.
          const other =
            value.slice(0, known) + value.slice(known).replace(/./g, (b) => `${1 - +b}`);
          const longer = left.filter((p) => p.length > known && other.startsWith(p));
          expect(longer.filter((p) => !value.startsWith(p))).toEqual([]);
          expect(trie.isEmpty).toBe(left.length === 0);
        },
      ),
      { numRuns: 400 },
    );
  });
});

test("HashCounts counts as a map does", () => {
  const step = fc.tuple(fc.boolean(), fc.constantFrom(0, 1, 4, 8, 0x10000, -1, 12, 16));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const counts = new HashCounts();
      const twin = new Map<number, number>();
      for (const [add, hash] of steps) {
        const n = twin.get(hash) ?? 0;
        if (add) {
          counts.add(hash);
          twin.set(hash, n + 1);
        } else {
          counts.remove(hash);
          twin.set(hash, Math.max(0, n - 1));
        }
        for (const [h, c] of twin) {
          expect(counts.has(h)).toBe(c > 0);
        }
      }
      const present = [...twin].filter(([, c]) => c > 0);
      expect(counts.size).toBe(present.length);
      expect(counts.only()).toBe(present.length === 1 ? present[0]?.[0] : null);
    }),
  );
});

test("PriorityVector is sorted after each publish, and keeps the order of equals", () => {
  const step = fc.tuple(fc.constantFrom("insert", "remove", "change"), fc.nat(9), fc.nat(4));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const v = new PriorityVector<number>();
      const twin = new Map<number, number>();
      for (const [what, item, priority] of steps) {
        const there = twin.has(item);
        if (what === "insert" && !there) {
          v.insert(item, priority);
          twin.set(item, priority);
        } else if (what === "remove" && there) {
          v.remove(item);
          twin.delete(item);
        } else if (what === "change" && there) {
          v.changePriority(item, priority);
          twin.set(item, priority);
        }
        v.publish();
        const priorities = v.elements.map((_, i) => v.priorityAt(i));
        expect(priorities).toEqual([...priorities].sort((a, b) => b - a));
        expect(v.elements.map((e) => twin.get(e))).toEqual(priorities);
      }
      expect([...v.elements].sort()).toEqual([...twin.keys()].sort());
    }),
  );
});

test("MaskWords gives each word's summand, also after masks have gone", () => {
  const pair = fc.tuple(fc.nat(5), fc.constantFrom(0xff, 0xffff0000, 0xffffffff));
  const mask = fc.uniqueArray(pair, { minLength: 1, maxLength: 4, selector: ([w]) => w });
  fc.assert(
    fc.property(fc.array(mask, { maxLength: 12 }), fc.nat(), fc.nat(), (masks, cut, seed) => {
      const words = new MaskWords();
      const added = masks.map((m) => {
        const sorted = [...m].sort((a, b) => a[0] - b[0]);
        const mini = {
          words: Uint16Array.from(sorted, ([w]) => w),
          bits: Uint32Array.from(sorted, ([, b]) => b),
        };
        return { mini, ids: words.add(mini) };
      });
      const gone = added.splice(0, cut % (added.length + 1));
      for (const { mini, ids } of gone) {
        words.remove(mini, ids);
      }
      const key = newKey().map((_, i) => Math.imul(seed + i, 0x9e3779b1));
      words.compute(key);
      for (const { mini, ids } of added) {
        for (const [i, word] of mini.words.entries()) {
          const b = mini.bits[i] as number;
          const want = hashWord((key[word] as number) & b, multiplierOf(word, b));
          expect(words.values[ids[i] as number]).toBe(want);
        }
      }
    }),
  );
});
