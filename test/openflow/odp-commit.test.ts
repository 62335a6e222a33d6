// Committing changes as datapath actions: what the actions do to a packet is what was asked for.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DP_COUNTERS, DP_LOSSES } from "../../src/datapath/dp-counters.ts";
import { type ExecuteEnv, executeActions } from "../../src/datapath/execute.ts";
import type { OdpAction } from "../../src/datapath/odp-action.ts";
import { odpFlowKeyToFlow } from "../../src/datapath/odp-flow.ts";
import { ODP_SUPPORT_ALL, odpFlowKeyFromFlow } from "../../src/datapath/odp-flow-from.ts";
import { formatOdpFlow } from "../../src/datapath/odp-text.ts";
import { PacketBatch } from "../../src/datapath/packet-batch.ts";
import { extract } from "../../src/flow/extract.ts";
import { type FlowKey, get, K, newKey, set } from "../../src/flow/flow-key.ts";
import { Counters } from "../../src/lib/counters.ts";
import { SeededRng } from "../../src/lib/env.ts";
import { commitOdpActions } from "../../src/openflow/odp-commit.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { goodFrame } from "../arbitraries/frames.ts";

class Deaf implements ExecuteEnv {
  readonly counters = new Counters(DP_COUNTERS);
  readonly losses = new Counters(DP_LOSSES);
  readonly rng = new SeededRng(1);
  output(): void {}
  lbOutput(): void {}
  tunnelPush(): void {}
  tunnelPop(): void {}
  recirculate(): void {}
  userspace(): void {}
  conntrack(): void {}
  ctClear(): void {}
  meter(): void {}
}

const OPTIONS = { useMasked: true, pendingEncap: false, pendingDecap: false, encapData: null };

/** Changes that actions of OpenFlow make, by name of the slot; others are left alone. */
const change = fc.record(
  {
    dl_src: fc.tuple(fc.constantFrom(0x5054, 0), fc.constantFrom(1, 9)),
    dl_dst: fc.tuple(fc.constantFrom(0x5054, 0xffff), fc.constantFrom(2, 0xffffffff)),
    vlan: fc.constantFrom(0, 0x1000, 0x1007, 0x7009),
    nw_src: fc.constantFrom(0x0a000001, 0x0a090909),
    nw_dst: fc.constantFrom(0x0a000002, 0xffffffff),
    nw_tos: fc.constantFrom(0, 0x20, 0xfc),
    nw_ttl: fc.constantFrom(1, 63, 255),
    tp_src: fc.constantFrom(1, 1234),
    tp_dst: fc.constantFrom(80, 0xffff),
  },
  { requiredKeys: [] },
);

function extracted(p: PacketBuf): FlowKey {
  const key = newKey();
  extract(p, key);
  return key;
}

/** Actions un-wildcard what they set; here, everything. */
const allSet = (): FlowKey => newKey().fill(0xffffffff);

function changed(base: FlowKey, c: typeof change extends fc.Arbitrary<infer T> ? T : never) {
  const flow = base.slice();
  const isIp = get(base, K.dl_type) === 0x0800;
  const proto = get(base, K.nw_proto);
  const hasPorts = isIp && get(base, K.nw_frag) === 0 && [6, 17, 132].includes(proto);
  if (c.dl_src !== undefined) {
    flow.set(c.dl_src, K.dl_src.word);
  }
  if (c.dl_dst !== undefined) {
    flow.set(c.dl_dst, K.dl_dst.word);
  }
  if (c.vlan !== undefined) {
    set(flow, K.vlan_tci, c.vlan);
    set(flow, K.vlan_tpid, c.vlan === 0 ? 0 : 0x8100);
    set(flow, K.vlan_tci1, 0);
    set(flow, K.vlan_tpid1, 0);
  }
  for (const name of ["nw_src", "nw_dst", "nw_tos", "nw_ttl"] as const) {
    if (isIp && c[name] !== undefined) {
      set(flow, K[name], c[name]);
    }
  }
  for (const name of ["tp_src", "tp_dst"] as const) {
    if (hasPorts && c[name] !== undefined) {
      set(flow, K[name], c[name]);
    }
  }
  return flow;
}

/** A key as text, which names the first difference when it is compared. */
function text(key: FlowKey): string {
  const p = { flow: key, mask: null, support: ODP_SUPPORT_ALL, vlanLimit: 2 };
  return formatOdpFlow(
    odpFlowKeyFromFlow({ ...p, geneve: null, geneveMask: null }),
    null,
    null,
    false,
  );
}

describe("commit", () => {
  it("turns a packet into what the flow says", () => {
    fc.assert(
      fc.property(goodFrame, change, fc.boolean(), (frame, c, useMasked) => {
        const p = PacketBuf.of(frame.slice());
        const base = extracted(p);
        const flow = changed(base, c);
        const wanted = text(flow);
        const out: OdpAction[] = [];
        commitOdpActions(flow, base, out, allSet(), { ...OPTIONS, useMasked });
        expect(text(base)).toBe(wanted);
        executeActions(new Deaf(), PacketBatch.of(p), false, out, newKey());
        expect(text(extracted(PacketBuf.of(p.data().slice())))).toBe(wanted);
      }),
      { numRuns: 300 },
    );
  });

  it("has nothing to do the second time", () => {
    fc.assert(
      fc.property(goodFrame, change, (frame, c) => {
        const base = extracted(PacketBuf.of(frame.slice()));
        const flow = changed(base, c);
        commitOdpActions(flow, base, [], newKey(), OPTIONS);
        const out: OdpAction[] = [];
        expect(commitOdpActions(flow, base, out, newKey(), OPTIONS)).toBe(0);
        expect(out).toEqual([]);
      }),
    );
  });
});

describe("datapath keys", () => {
  it("hold all of a packet's flow", () => {
    fc.assert(
      fc.property(goodFrame, fc.nat(5), (frame, port) => {
        const flow = extracted(PacketBuf.of(frame.slice()));
        set(flow, K.in_port, port);
        const p = { flow, mask: null, support: ODP_SUPPORT_ALL, vlanLimit: 2 };
        const attrs = odpFlowKeyFromFlow({ ...p, geneve: null, geneveMask: null });
        const back = odpFlowKeyToFlow(attrs, 2);
        expect(back.fitness).toBe("perfect");
        expect(text(back.flow)).toBe(text(flow));
      }),
    );
  });
});
