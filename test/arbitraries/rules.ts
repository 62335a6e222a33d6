// Arbitrary rules and keys over a few fields with few values, so that rules meet, overlap and miss.

import fc from "fast-check";
import { type ClsRule, newClsRule } from "../../src/datapath/classifier-rule.ts";
import { type FlowKey, newKey, orBits, set } from "../../src/flow/flow-key.ts";
import { miniMatchOf } from "../../src/flow/minimatch.ts";
import { K, type Slot } from "../../src/flow/slots.ts";

/** A field of the test world: its slot, values that packets have, masks that rules use. */
interface TestField {
  readonly slot: Slot;
  readonly values: readonly number[];
  readonly masks: readonly number[];
}

const PREFIXES = [0xff000000, 0xffff0000, 0xffffff00, 0xfffffff0, 0xffffffff, 0x00ff00ff];
export const TEST_FIELDS: readonly TestField[] = [
  { slot: K.in_port, values: [1, 2, 3], masks: [0xffffffff] },
  { slot: K.reg0, values: [0, 1, 0x80000000], masks: [0xffffffff, 1] },
  { slot: K.dl_type, values: [0x800, 0x86dd], masks: [0xffff] },
  { slot: K.nw_src, values: [0x0a000001, 0x0a000002, 0x0a010001, 0xc0a80001], masks: PREFIXES },
  { slot: K.nw_dst, values: [0x0a000001, 0x0a0000f1, 0x0a010001, 0x0b000001], masks: PREFIXES },
  { slot: K.nw_proto, values: [6, 17], masks: [0xff] },
  { slot: K.tp_src, values: [1, 2, 0x8000], masks: [0xffff, 0xff00] },
  { slot: K.tp_dst, values: [80, 81, 443, 0x4000], masks: [0xffff, 0xfff0, 0xf000] },
];

/** A key with a value in every test field. */
export const testKey: fc.Arbitrary<FlowKey> = fc
  .tuple(...TEST_FIELDS.map((f) => fc.constantFrom(...f.values)))
  .map((values) => {
    const key = newKey();
    for (const [i, f] of TEST_FIELDS.entries()) {
      set(key, f.slot, values[i] as number);
    }
    return key;
  });

/** A rule on some of the test fields, but none of `without`; its data is its place in the list. */
export function testRule(
  priority: fc.Arbitrary<number>,
  without: readonly Slot[] = [],
): fc.Arbitrary<ClsRule<number>> {
  const parts = fc.tuple(
    ...TEST_FIELDS.map((f) =>
      without.includes(f.slot)
        ? fc.constant(null)
        : fc.option(fc.tuple(fc.constantFrom(...f.values), fc.constantFrom(...f.masks)), {
            freq: 1,
            nil: null,
          }),
    ),
  );
  return fc.tuple(parts, priority, fc.nat()).map(([fields, prio, id]) => {
    const flow = newKey();
    const wc = newKey();
    for (const [i, part] of fields.entries()) {
      const f = TEST_FIELDS[i] as TestField;
      if (part !== null) {
        set(flow, f.slot, part[0]);
        orBits(wc, f.slot, part[1]);
      }
    }
    return newClsRule(miniMatchOf(flow, wc), prio, id);
  });
}
