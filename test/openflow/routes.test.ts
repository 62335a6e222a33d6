// Routes of native tunnels: the longest prefix wins, as in a list that is searched one by one.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RouteTable, sourceAddress } from "../../src/openflow/route-table.ts";

const NONE = new Uint32Array(4);
const mapped = (ip: number): Uint32Array => Uint32Array.of(0, 0, 0xffff, ip);
const ONES = 0xffffffff;
const DEVICE = {
  macHi: 0xaa66,
  macLo: 0xaa660001,
  addresses: [{ addr: mapped(0x0a000001), mask: Uint32Array.of(ONES, ONES, ONES, 0) }],
};

interface NaiveRoute {
  readonly ip: number;
  readonly bits: number;
  readonly dev: string;
}

const maskOf = (bits: number): number => (bits === 0 ? 0 : (ONES << (32 - bits)) >>> 0);
const covers = (r: NaiveRoute, ip: number): boolean => ((r.ip ^ ip) & maskOf(r.bits)) >>> 0 === 0;

const address = fc.constantFrom(0x0a000001, 0x0a0000ff, 0x0a010101, 0x0b000001, 0x8a000001);
const bits = fc.constantFrom(0, 1, 7, 8, 16, 24, 31, 32);
const step = fc.record({
  add: fc.boolean(),
  ip: address,
  bits,
  dev: fc.constantFrom("a", "b"),
});

describe("routes", () => {
  it("answer as a naive list does", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), address, (steps, dst) => {
        const table = new RouteTable(() => DEVICE);
        let naive: NaiveRoute[] = [];
        for (const { add, ip, bits: n, dev } of steps) {
          const same = (r: NaiveRoute) => r.bits === n && covers(r, ip);
          const there = naive.some(same);
          naive = naive.filter((r) => !same(r));
          if (add) {
            expect(table.add(0, mapped(ip), 96 + n, dev, NONE)).toBe(true);
            naive.push({ ip, bits: n, dev });
          } else {
            expect(table.delete(0, mapped(ip), 96 + n) !== null).toBe(there);
          }
        }
        const best = naive.filter((r) => covers(r, dst)).sort((x, y) => y.bits - x.bits)[0];
        expect(table.lookup(0, mapped(dst), NONE)?.dev).toBe(best?.dev);
        expect(table.lookup(1, mapped(dst), NONE)).toBe(null);
      }),
    );
  });

  it("need a device with an address of the same family", () => {
    expect(sourceAddress(null, mapped(1))).toBe(null);
    const v6 = { ...DEVICE, addresses: [{ addr: Uint32Array.of(1, 0, 0, 1), mask: NONE }] };
    expect(sourceAddress(v6, mapped(1))).toBe(null);
    expect(new RouteTable(() => null).add(0, mapped(1), 128, "x", NONE)).toBe(false);
  });

  it("lead to nothing when a source address is asked for", () => {
    const table = new RouteTable(() => DEVICE);
    table.add(0, mapped(0), 96, "a", NONE);
    expect(table.lookup(0, mapped(5), NONE)?.dev).toBe("a");
    expect(table.lookup(0, mapped(5), mapped(0x0a000001))).toBe(null);
  });
});
