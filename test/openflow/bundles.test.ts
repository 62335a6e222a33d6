// VLANs on their way through a bundle, and how bonds even out load.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BondMember, type Bucket, planMoves } from "../../src/openflow/bond-rebalance.ts";
import {
  includesVlan,
  type XVlan,
  xvlanExtract,
  xvlanInput,
  xvlanOutput,
  xvlanPut,
} from "../../src/openflow/xvlan.ts";
import { newKey } from "../../src/flow/flow-key.ts";
import type { XPort } from "../../src/openflow/xbridge.ts";
import { bundle } from "./bundles.ts";

const vid = fc.constantFrom(0, 1, 10, 4095);
const header = fc.record({ tpid: fc.constantFrom(0x8100, 0x88a8), vid, pcp: fc.nat(7) });
const vlans: fc.Arbitrary<XVlan> = fc.array(header, { maxLength: 2 }).map((hs) => {
  const none = { tpid: 0, vid: 0, pcp: 0 };
  const [outer, inner] = hs.map((h) => ({ ...h, pcp: h.pcp << 13 }));
  return [outer ?? none, inner ?? none];
});
const mode = fc.constantFrom(
  "access" as const,
  "trunk" as const,
  "native-tagged" as const,
  "native-untagged" as const,
  "dot1q-tunnel" as const,
);

describe("VLANs", () => {
  it("come out of a port as they went in by it, but for tags that mean nothing there", () => {
    fc.assert(
      fc.property(mode, vlans, vid, (vlanMode, v, vlan) => {
        const b = bundle({ vlanMode, vlan: vlanMode === "trunk" ? -1 : vlan });
        const back = xvlanOutput(b, xvlanInput(b, v));
        const [outer, inner] = v as [XVlan[0], XVlan[1]];
        if (vlanMode === "trunk") {
          expect(back).toEqual(v);
        } else if (vlanMode === "dot1q-tunnel") {
          expect(back[0]).toEqual(outer);
        } else if (vlanMode === "access") {
          expect(back.every((h) => h.vid === 0 && h.tpid === 0)).toBe(true);
        } else if (outer?.vid === 0) {
          const untagged = vlanMode === "native-untagged";
          expect(back[0]?.vid).toBe(untagged ? (inner?.vid ?? 0) : vlan);
        } else if (outer?.vid !== vlan) {
          expect(back).toEqual(v);
        }
      }),
    );
  });

  it("belong to the port that they came in by", () => {
    fc.assert(
      fc.property(mode, vlans, vid, (vlanMode, v, vlan) => {
        const b = bundle({ vlanMode, vlan: vlanMode === "trunk" ? -1 : vlan });
        const inside = xvlanInput(b, vlanMode === "access" ? xvlanOutput(b, v) : v);
        expect(includesVlan(b, inside)).toBe(true);
      }),
    );
  });

  it("are in a key what was put there, but for empty tags", () => {
    fc.assert(
      fc.property(vlans, (v) => {
        const key = newKey();
        xvlanPut(key, v, "never");
        const got = xvlanExtract(key);
        const firstEmpty = v.findIndex((h) => h.vid === 0 && h.pcp === 0);
        const kept = firstEmpty < 0 ? v : v.slice(0, firstEmpty);
        expect(got.slice(0, kept.length)).toEqual(kept);
        expect(got.slice(kept.length).every((h) => h.tpid === 0)).toBe(true);
      }),
    );
  });
});

function member(name: string, enabled: boolean): BondMember {
  return {
    port: { name } as XPort,
    name,
    mac: [0, 0],
    carrier: enabled,
    mayEnable: enabled,
    enabled,
    isPrimary: false,
    delayExpiresMs: null,
    txBytes: 0,
  };
}

describe("load on a bond", () => {
  const loads = fc.array(
    fc.tuple(fc.nat(3), fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000_000 }))),
    { minLength: 1, maxLength: 64 },
  );
  const spread = (members: readonly BondMember[]): number => {
    const bytes = members.filter((m) => m.enabled).map((m) => m.txBytes);
    return Math.max(...bytes) - Math.min(...bytes);
  };
  const sumOf = (m: BondMember, hash: readonly Bucket[]): number =>
    hash.reduce((n, b) => n + (b.member === m ? b.txBytes : 0), 0);

  it("only moves to enabled members, is kept in sum, and gets no more uneven", () => {
    fc.assert(
      fc.property(loads, fc.nat(15), (list, up) => {
        const members = [0, 1, 2, 3].map((i) => member(`m${i}`, (up & (1 << i)) !== 0));
        const hash: Bucket[] = list.map(([i, txBytes]) => ({
          member: members[i] as BondMember,
          txBytes,
          ruleBytes: 0,
        }));
        for (const m of members) {
          m.txBytes = sumOf(m, hash);
        }
        const total = members.reduce((n, m) => n + m.txBytes, 0);
        const before = spread(members);
        const moves = planMoves(hash, members);
        for (const { bucket, to, from, index } of moves) {
          expect(to.enabled && from.enabled && hash[index] === bucket).toBe(true);
          bucket.member = to;
        }
        for (const m of members) {
          expect(m.txBytes).toBe(sumOf(m, hash));
        }
        expect(members.reduce((n, m) => n + m.txBytes, 0)).toBe(total);
        expect(spread(members)).toBeLessThanOrEqual(before);
      }),
    );
  });

  it("stays where it is if the difference is small", () => {
    const [a, b] = [member("a", true), member("b", true)];
    const at = (m: BondMember, txBytes: number): Bucket => ({ member: m, txBytes, ruleBytes: 0 });
    expect(planMoves([at(a, 50_000), at(a, 49_999), at(b, 0)], [a, b])).toEqual([]);
    expect(planMoves([at(a, 500_000), at(a, 499_999), at(b, 0)], [a, b]).length).toBe(1);
  });
});
