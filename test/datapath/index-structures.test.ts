// The structures under the classifier against naive twins: prefix trie, the table of rows, the tree of
// stages, the order of subtables; and the mask words of the megaflow cache.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashWord, MaskWords, multiplierOf } from "../../src/datapath/mask-words.ts";
import { PriorityVector } from "../../src/datapath/priority-vector.ts";
import { mayHave, RowTable } from "../../src/datapath/row-table.ts";
import { StageTree, sumAt } from "../../src/datapath/stage-tree.ts";
import { PrefixTrie } from "../../src/datapath/trie.ts";
import { newKey } from "../../src/flow/flow-key.ts";
import { miniMaskOf } from "../../src/flow/minimatch.ts";
import { K } from "../../src/flow/slots.ts";

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
          if (width === 32) {
            const word = trie.lookupWord(wordsOf(value)[0] as number) >>> 0;
            expect([word, trie.known]).toEqual([lens[0], known]);
          }
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

test("RowTable counts and holds as a map does, for each owner", () => {
  const sums = fc.constantFrom(0, 1, 4, 8, 0x10000, -1, 12, 16);
  const step = fc.tuple(fc.boolean(), sums, fc.integer({ min: 1, max: 3 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const table = new RowTable();
      const twin = new Map<string, number>();
      for (const [add, sum, owner] of steps) {
        const name = `${sum} ${owner}`;
        const n = twin.get(name) ?? 0;
        if (owner === 3) {
          // Rows: the same sum may have several, told apart by their numbers.
          if (add) {
            table.insert(sum, owner, n);
          } else if (n > 0) {
            table.remove(sum, owner, n - 1);
          }
        } else {
          expect(add ? table.count(sum, owner) : table.uncount(sum, owner)).toBe(
            n === (add ? 0 : 1),
          );
        }
        twin.set(name, add ? n + 1 : Math.max(0, n - 1));
        for (const [key, c] of twin) {
          const [s, o] = key.split(" ").map(Number) as [number, number];
          const numbers: number[] = [];
          for (let at = table.find(s, o); at >= 0; at = table.findNext(at, s, o)) {
            numbers.push(table.numberAt(at));
          }
          const rows = Array.from({ length: c }, (_, i) => i);
          expect(numbers.sort()).toEqual(o === 3 ? rows : c > 0 ? [c] : []);
          expect(c === 0 || mayHave(table.filter, table.shift, s)).toBe(true);
        }
      }
    }),
  );
});

test("StageTree sums and folds as the masks themselves do, also after masks have gone", () => {
  const words = [K.metadata, K.reg0, K.dl_type, K.nw_src, K.nw_proto, K.tp_src].map((s) => s.word);
  const pair = fc.tuple(fc.constantFrom(...words), fc.constantFrom(0xff, 0xffff0000, 0xffffffff));
  const mask = fc.uniqueArray(pair, { maxLength: 4, selector: ([w]) => w });
  fc.assert(
    fc.property(fc.array(mask, { maxLength: 12 }), fc.nat(), fc.nat(), (masks, cut, seed) => {
      const tree = new StageTree();
      const all = masks.map((pairs) => {
        const wc = newKey();
        for (const [w, b] of pairs) {
          wc[w] = b;
        }
        return { wc, mini: miniMaskOf(wc), path: tree.add(miniMaskOf(wc)) };
      });
      for (const { path } of all.splice(0, cut % (all.length + 1))) {
        tree.remove(path);
      }
      for (const m of all) {
        tree.remove(m.path);
        m.path = tree.add(m.mini);
      }
      const key = newKey().map((_, i) => Math.imul(seed + i, 0x9e3779b1));
      tree.begin();
      const folded = newKey();
      const want = newKey();
      for (const { mini, path, wc } of all) {
        let sum = 0;
        let own = 0;
        for (const node of path) {
          sum = sumAt(tree.cells, tree.stamp, node, sum, key);
          own += tree.wordsOf(node);
        }
        expect(own).toBe(mini.words.length);
        expect(sum).toBe(
          mini.words.reduce((h, w, i) => {
            const b = mini.bits[i] as number;
            return (h + hashWord((key[w] as number) & b, multiplierOf(w, b))) | 0;
          }, 0),
        );
        tree.fold(path.at(-1) as number, folded);
        expect(folded).toEqual(want.map((_, w) => (want[w] as number) | (wc[w] as number)));
        want.set(folded);
      }
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
