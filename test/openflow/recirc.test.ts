// Recirculation ids: equal states share one, references decide how long a state lives.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newKey } from "../../src/flow/flow-key.ts";
import { F } from "../../src/flow/fields.ts";
import { K } from "../../src/flow/slots.ts";
import type { Action } from "../../src/openflow/actions/types.ts";
import {
  type FrozenState,
  frozenMetadata,
  RECIRC_SWEEP_MS,
  RecircPool,
  thawMetadata,
} from "../../src/openflow/recirc.ts";

const output = (port: number): Action => ({ kind: "output", port, maxLen: 0 });
const setReg = (value: number): Action => ({
  kind: "set_field",
  field: F.reg0,
  value: Uint32Array.of(value),
  mask: Uint32Array.of(0xffffffff),
  flowHasVlan: false,
});

function state(over: Partial<FrozenState> = {}): FrozenState {
  return {
    tableId: 0,
    bridgeId: 1,
    metadata: frozenMetadata(newKey()),
    stack: [],
    mirrors: 0,
    conntracked: false,
    wasMpls: false,
    xportId: 0,
    actions: [],
    actionSet: [],
    userdata: null,
    ...over,
  };
}

const keyWith = (word: number, value: number) => {
  const key = newKey();
  key[word] = value;
  return key;
};

const VARIANTS: readonly FrozenState[] = [
  state(),
  state({ tableId: 1 }),
  state({ bridgeId: 2 }),
  state({ mirrors: 1 }),
  state({ conntracked: true }),
  state({ wasMpls: true }),
  state({ xportId: 3 }),
  state({ stack: [Uint32Array.of(1)] }),
  state({ stack: [Uint32Array.of(1), Uint32Array.of(2)] }),
  state({ actions: [output(1)] }),
  state({ actions: [output(2)] }),
  state({ actions: [setReg(1)] }),
  state({ actions: [setReg(2)] }),
  state({ actions: [output(1), output(2)] }),
  state({ actionSet: [output(1)] }),
  state({ userdata: Uint8Array.of(0) }),
  state({ metadata: frozenMetadata(keyWith(K.reg0.word, 1)) }),
  state({ metadata: frozenMetadata(keyWith(K.reg1.word, 1)) }),
  state({ metadata: frozenMetadata(keyWith(K.in_port.word, 1)) }),
];

describe("recirculation ids", () => {
  it("start at 1 and count up", () => {
    const pool = new RecircPool();
    expect(VARIANTS.map((s) => pool.alloc(s))).toEqual(VARIANTS.map((_, i) => i + 1));
  });

  it("are shared by equal states, made anew", () => {
    const pool = new RecircPool();
    for (const s of VARIANTS) {
      const id = pool.alloc(s);
      const copy = { ...s, stack: s.stack.map((v) => v.slice()), actions: [...s.actions] };
      expect(pool.alloc(copy)).toBe(id);
    }
    expect(pool.size).toBe(VARIANTS.length);
  });

  it("of a bond are never shared", () => {
    const pool = new RecircPool();
    expect(pool.allocUnshared(1)).not.toBe(pool.allocUnshared(1));
  });

  it("are found for two sweeps after the last reference went", () => {
    const pool = new RecircPool();
    const id = pool.alloc(state());
    pool.unref(id);
    expect(pool.ref(id)).toBe(false);
    expect(pool.alloc(state())).toBe(id + 1);
    let now = 0;
    const sweep = () => {
      now += RECIRC_SWEEP_MS + 1;
      pool.run(now);
    };
    pool.run(now);
    expect(pool.find(id)).not.toBeNull();
    sweep();
    expect(pool.find(id)).toBeNull();
    expect(pool.find(id + 1)).not.toBeNull();
  });

  it("live while references are held (law)", () => {
    const op = fc.tuple(fc.nat(VARIANTS.length - 1), fc.boolean());
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
        const pool = new RecircPool();
        const held = new Map<number, number>();
        for (const [i, take] of ops) {
          if (take) {
            const id = pool.alloc(VARIANTS[i] as FrozenState);
            held.set(id, (held.get(id) ?? 0) + 1);
            expect(pool.find(id)).toEqual(VARIANTS[i]);
          } else {
            const id = [...held.keys()][i % Math.max(1, held.size)];
            if (id !== undefined) {
              pool.unref(id);
              const left = (held.get(id) ?? 1) - 1;
              if (left === 0) {
                held.delete(id);
              } else {
                held.set(id, left);
              }
              expect(pool.ref(id)).toBe(left > 0);
              if (left > 0) {
                pool.unref(id);
              }
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("frozen metadata", () => {
  it("puts tunnel, metadata, registers and port back, nothing else", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), (a, b) => {
        const from = newKey().fill(a);
        const to = newKey().fill(b);
        thawMetadata(frozenMetadata(from), to);
        expect(to[K.tun_dst.word]).toBe(a);
        expect(to[K.reg15.word]).toBe(a);
        expect(to[K.metadata.word]).toBe(a);
        expect(to[K.in_port.word]).toBe(a);
        expect(to[K.skb_priority.word]).toBe(b);
        expect(to[K.nw_src.word]).toBe(b);
        expect(to[K.ct_mark.word]).toBe(b);
      }),
    );
  });
});
