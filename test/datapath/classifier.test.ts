// The classifier against its naive twin, and the promises it makes about masks, versions and order.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Classifier, type PrefixField } from "../../src/datapath/classifier.ts";
import { NaiveClassifier } from "../../src/datapath/classifier-naive.ts";
import { type ClsRule, newClsRule, VERSION_MIN } from "../../src/datapath/classifier-rule.ts";
import { GUIDE_SUBTABLES_MIN, STALE_LOOKUPS } from "../../src/datapath/subtable-guide.ts";
import { type FlowKey, get, newKey, orBits, set } from "../../src/flow/flow-key.ts";
import { miniMatchOf } from "../../src/flow/minimatch.ts";
import { K, type Slot } from "../../src/flow/slots.ts";
import { TEST_FIELDS, testKey, testRule } from "../arbitraries/rules.ts";

const isIpv4 = (key: FlowKey) => get(key, K.dl_type) === 0x800;
const PREFIX_FIELDS: PrefixField[] = [
  { name: "ip_dst", word: K.nw_dst.word, bits: 32, prereqsOk: isIpv4 },
  { name: "ip_src", word: K.nw_src.word, bits: 32, prereqsOk: isIpv4 },
];

/** A rule from [slot, value, mask] triples. */
function rule(priority: number, ...parts: [Slot, number, number?][]): ClsRule<string> {
  const flow = newKey();
  const wc = newKey();
  for (const [slot, value, mask] of parts) {
    set(flow, slot, value);
    orBits(wc, slot, mask ?? slot.max);
  }
  return newClsRule(miniMatchOf(flow, wc), priority, `${priority}`);
}

function key(...parts: [Slot, number][]): FlowKey {
  const k = newKey();
  for (const [slot, value] of parts) {
    set(k, slot, value);
  }
  return k;
}

/** Rules of distinct priorities, so that there is one right answer. */
const ruleSet = fc
  .array(testRule(fc.constant(0)), { maxLength: 40 })
  .map((rules) => rules.map((r, i) => newClsRule(r.match, i, r.data)));

/** The classifier refuses nothing but exact duplicates, which distinct priorities rule out. */
function build(rules: readonly ClsRule<number>[], prefixFields: PrefixField[]) {
  const fast = new Classifier<number>();
  const naive = new NaiveClassifier<number>();
  fast.setPrefixFields(prefixFields);
  for (const r of rules) {
    fast.insert(r, VERSION_MIN);
    naive.insert(r);
  }
  return { fast, naive };
}

describe("lookup", () => {
  test("equals the naive lookup, with and without un-wildcarding, while rules go", () => {
    fc.assert(
      fc.property(ruleSet, fc.array(testKey), fc.boolean(), (rules, keys, tries) => {
        const { fast, naive } = build(rules, tries ? PREFIX_FIELDS : []);
        for (const [i, r] of rules.entries()) {
          for (const k of keys) {
            const want = naive.lookup(VERSION_MIN, k);
            expect(fast.lookup(VERSION_MIN, k, null)).toBe(want);
            expect(fast.lookup(VERSION_MIN, k, newKey())).toBe(want);
          }
          if (i % 2 === 0) {
            expect(fast.remove(r)).toBe(true);
            naive.remove(r);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("any key that agrees under the mask gets the same rule (megaflows are sound)", () => {
    fc.assert(
      fc.property(ruleSet, testKey, testKey, fc.boolean(), (rules, a, b, tries) => {
        const { fast } = build(rules, tries ? PREFIX_FIELDS : []);
        const wc = newKey();
        const found = fast.lookup(VERSION_MIN, a, wc);
        // b with a's bits where the mask has them. The ethertype is always looked at.
        orBits(wc, K.dl_type, 0xffff);
        const like = b.map(
          (w, i) => (w & ~(wc[i] as number)) | ((a[i] as number) & (wc[i] as number)),
        );
        expect(fast.lookup(VERSION_MIN, Uint32Array.from(like), null)).toBe(found);
      }),
      { numRuns: 1000 },
    );
  });

  test("a guide changes neither the rule nor the mask", () => {
    // Without a first stage of registers, tries come early and may exclude.
    const many = fc
      .array(testRule(fc.constant(0), [K.in_port, K.reg0]), {
        minLength: 2 * GUIDE_SUBTABLES_MIN,
        maxLength: 120,
      })
      .map((rules) => rules.map((r, i) => newClsRule(r.match, i >> 1, r.data)));
    fc.assert(
      fc.property(many, fc.array(testKey, { minLength: 1, maxLength: 8 }), (rules, keys) => {
        const { fast } = build(rules, PREFIX_FIELDS);
        const answers = () =>
          keys.map((k) => {
            const wc = newKey();
            return [fast.lookup(VERSION_MIN, k, wc), fast.lookup(VERSION_MIN, k, null), wc];
          });
        const unguided = answers();
        for (let i = 0; i <= STALE_LOOKUPS; i++) {
          fast.lookup(VERSION_MIN, keys[0] as FlowKey, null);
        }
        expect(answers()).toEqual(unguided);
      }),
      { numRuns: 100 },
    );
  });

  test("a mask never has more than the union of the subtables' masks", () => {
    fc.assert(
      fc.property(ruleSet, testKey, (rules, k) => {
        const { fast } = build(rules, PREFIX_FIELDS);
        const wc = newKey();
        fast.lookup(VERSION_MIN, k, wc);
        for (const f of TEST_FIELDS) {
          const used = rules.some((r) => r.match.mask.words.includes(f.slot.word));
          expect(used || wc[f.slot.word] === 0).toBe(true);
        }
      }),
    );
  });

  test("emptied, it holds nothing and finds nothing", () => {
    fc.assert(
      fc.property(ruleSet, testKey, (rules, k) => {
        const { fast } = build(rules, PREFIX_FIELDS);
        for (const r of rules) {
          fast.remove(r);
        }
        const wc = newKey();
        expect([fast.size, fast.subtableCount, fast.lookup(VERSION_MIN, k, wc)]).toEqual([
          0,
          0,
          null,
        ]);
        expect(wc.every((w) => w === 0)).toBe(true);
      }),
    );
  });
});

describe("un-wildcarding", () => {
  const ip = [K.dl_type, 0x800] as [Slot, number];
  const lookupMask = (rules: ClsRule<string>[], k: FlowKey) => {
    const cls = new Classifier<string>();
    cls.setPrefixFields(PREFIX_FIELDS);
    for (const r of rules) {
      cls.insert(r, VERSION_MIN);
    }
    const wc = newKey();
    cls.lookup(VERSION_MIN, k, wc);
    return wc;
  };

  test("a miss in an early stage leaves later stages alone", () => {
    const wc = lookupMask([rule(1, [K.in_port, 1], ip, [K.tp_dst, 80])], key([K.in_port, 2], ip));
    expect([wc[K.in_port.word], get(wc, K.dl_type), get(wc, K.tp_dst)]).toEqual([0xffffffff, 0, 0]);
  });

  test("a trie tells a miss by the bits up to the first difference", () => {
    const wc = lookupMask([rule(1, ip, [K.nw_dst, 0x0a010203])], key(ip, [K.nw_dst, 0x0a810203]));
    expect(wc[K.nw_dst.word]).toBe(0xff800000);
  });

  test("a miss in the last stage costs a prefix of the ports", () => {
    const wc = lookupMask([rule(1, ip, [K.tp_dst, 80])], key(ip, [K.tp_dst, 0x8050]));
    expect(get(wc, K.tp_dst)).toBe(0x8000);
  });
});

describe("conjunctive matches", () => {
  const clause = (n: number, of: number, r: ClsRule<string>, id = 7): ClsRule<string> => {
    r.conjs = [{ id, clause: n, nClauses: of }];
    return r;
  };
  test.each([
    ["all clauses present", 1, 2, "50"],
    ["one missing falls back to the plain rule", 1, 9, "10"],
  ])("%s", (_, reg0, reg1, want) => {
    const cls = new Classifier<string>();
    const rules = [
      clause(0, 2, rule(100, [K.reg0, 1])),
      clause(1, 2, rule(100, [K.reg1, 2])),
      rule(50, [K.conj_id, 7]),
      rule(10),
    ];
    const naive = new NaiveClassifier<string>();
    for (const r of rules) {
      cls.insert(r, VERSION_MIN);
      naive.insert(r);
    }
    const k = key([K.reg0, reg0], [K.reg1, reg1]);
    expect(cls.lookup(VERSION_MIN, k, newKey())?.data).toBe(want);
    expect(naive.lookup(VERSION_MIN, k)?.data).toBe(want);
    expect(get(k, K.conj_id)).toBe(0);
  });

  test("equals the naive lookup", () => {
    const conjRule = fc
      .tuple(testRule(fc.nat(4)), fc.option(fc.tuple(fc.nat(1), fc.nat(1))))
      .map(([r, conj]) => {
        if (conj !== null) {
          r.conjs = [{ id: 1 + conj[0], clause: conj[1], nClauses: 2 }];
        }
        return r;
      });
    const idRule = (id: number) => {
      const r = rule(3, [K.conj_id, id]);
      return newClsRule(r.match, r.priority, id);
    };
    fc.assert(
      fc.property(fc.array(conjRule, { maxLength: 30 }), testKey, (rules, k) => {
        const fast = new Classifier<number>();
        const naive = new NaiveClassifier<number>();
        for (const r of [...rules, idRule(1), idRule(2)]) {
          const displaced = fast.replace(r, VERSION_MIN);
          if (displaced !== null) {
            naive.remove(displaced);
          }
          naive.insert(r);
        }
        const [a, b] = [fast.lookup(VERSION_MIN, k, null), naive.lookup(VERSION_MIN, k)];
        // Equal priorities leave the choice open; the priority itself is not.
        expect(a?.priority).toBe(b?.priority);
      }),
      { numRuns: 500 },
    );
  });
});

describe("versions and order", () => {
  test("a rule is visible from its version until it is removed", () => {
    const cls = new Classifier<string>();
    const r = rule(5, [K.in_port, 1]);
    cls.insert(r, 3);
    const seen = (v: number) => cls.lookup(v, key([K.in_port, 1]), null) !== null;
    expect([seen(2), seen(3), seen(9)]).toEqual([false, true, true]);
    r.removeVersion = 6;
    expect([seen(5), seen(6)]).toEqual([true, false]);
  });

  test("an equal rule takes the other's place in the dump", () => {
    const cls = new Classifier<string>();
    const [a, b, c] = [rule(5, [K.in_port, 1]), rule(5, [K.in_port, 2]), rule(5, [K.in_port, 1])];
    cls.insert(a, 0);
    cls.insert(b, 0);
    expect(cls.replace(c, 0)).toBe(a);
    expect([...cls.rules(null, 0)]).toEqual([c, b]);
    expect(cls.findExactly(a.match, 5, 0)).toBe(c);
    expect(cls.findExactly(a.match, 4, 0)).toBe(null);
  });

  test("criteria select the rules that lie within them", () => {
    const cls = new Classifier<string>();
    const a = rule(1, [K.in_port, 1], [K.nw_dst, 0x0a000001]);
    const b = rule(2, [K.in_port, 1]);
    cls.insert(a, 0);
    cls.insert(b, 0);
    const within = (r: ClsRule<string>) => [...cls.rules(r.match, 0)];
    expect(within(rule(0, [K.nw_dst, 0x0a000000, 0xff000000]))).toEqual([a]);
    expect(within(rule(0, [K.in_port, 1]))).toEqual([b, a]);
    expect(cls.overlaps(a.match, 2, 0)).toBe(true);
    expect(cls.overlaps(rule(0, [K.in_port, 2]).match, 2, 0)).toBe(false);
  });
});
