// Laws of translation, over random tables: tracing changes nothing, megaflows are sound, select
// groups spread by weight.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatOdpActions } from "../../src/datapath/odp-text-actions.ts";
import { type FlowKey, K } from "../../src/flow/flow-key.ts";
import { KEY_WORDS } from "../../src/flow/slots.ts";
import { parseExactFlow, NO_CONTEXT } from "../../src/openflow/match-parse.ts";
import type { Bucket } from "../../src/openflow/messages/types-group.ts";
import { NO_RECORDER, TreeRecorder } from "../../src/openflow/trace.ts";
import { xlateActions } from "../../src/openflow/xlate.ts";
import type { XlateIn, XlateOut } from "../../src/openflow/xlate-ctx.ts";
import { SELECT_HASH_VALUES_MAX, websterMap } from "../../src/openflow/xlate-group.ts";
import { TraceBed } from "./trace-bed.ts";

const TABLES = 4;

/** Matches and actions from small pools, so that flows interact. */
const match = fc.constantFrom(
  "",
  "in_port=1",
  "ip",
  "ip",
  "tcp",
  "tcp,in_port=1",
  "ip,nw_dst=10.0.0.0/8",
  "ip,nw_src=10.1.0.0/16",
  "tcp,tp_dst=80",
  "tcp,tp_dst=0x40/0xffc0",
  "udp",
  "arp",
  "dl_vlan=5",
  "vlan_tci=0x1000/0x1000",
  "reg0=1",
  "reg0=0/1,ip",
  "dl_src=02:00:00:00:00:01",
  "ip,nw_ttl=64",
  "ct_state=+trk+new,ip",
);
const action = fc.constantFrom(
  "output:2",
  "output:3",
  "in_port",
  "mod_vlan_vid:7",
  "strip_vlan",
  "push_vlan:0x8100",
  "mod_dl_src:02:00:00:00:00:09",
  "dec_ttl",
  "mod_nw_dst:10.9.9.9",
  "mod_tp_dst:8080",
  "load:1->NXM_NX_REG0[]",
  "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15]",
  "set_field:0x20->nw_tos",
  "push:NXM_OF_VLAN_TCI[],pop:NXM_NX_REG2[0..15]",
  "clone(mod_dl_dst:02:00:00:00:00:07,output:3)",
  "ct(commit,zone=3)",
  "ct(table=3)",
  "multipath(symmetric_l4,50,modulo_n,4,0,NXM_NX_REG3[0..1])",
  "resubmit(,1)",
  "resubmit(,2)",
  "NORMAL",
  "check_pkt_larger(100)->NXM_NX_REG4[0]",
  "group:1",
  "group:2",
);
const flowLine = fc
  .tuple(fc.nat(TABLES - 1), fc.nat(9), match, fc.array(action, { maxLength: 4 }))
  .map(([t, prio, m, acts]) => {
    const list = acts.length === 0 ? "drop" : acts.join(",");
    return `table=${t},priority=${prio}${m === "" ? "" : `,${m}`},actions=${list}`;
  });
const packet = fc
  .tuple(
    fc.constantFrom(1, 2, 3),
    fc.constantFrom("tcp,tcp_dst=80", "tcp,tcp_dst=90", "udp", "icmp", "tcp6", "ip,nw_frag=later"),
    fc.constantFrom("", ",dl_vlan=5", ",dl_vlan=9,dl_vlan_pcp=3"),
    fc.constantFrom("", ",nw_ttl=1", ",nw_ttl=64"),
    fc.constantFrom("", ",dl_src=02:00:00:00:00:01"),
  )
  .map(([port, l4, vlan, ttl, mac]) => `in_port=${port},${l4}${vlan}${ttl}${mac}`);

const BED = new TraceBed();
BED.bridge("br0", false);
for (const port of [1, 2, 3]) {
  BED.port("br0", `p${port}`, port, port === 3 ? { tag: 5 } : {});
}
BED.groups("br0", "group_id=1,type=all,bucket=mod_vlan_vid:3,output:2,bucket=output:3");
BED.groups("br0", "group_id=2,type=select,bucket=output:2,bucket=output:3");

/** The bed with these flows and no others. */
function bedOf(flows: readonly string[]): TraceBed {
  BED.clear("br0");
  for (const line of flows) {
    BED.flow("br0", line); // some actions do not fit their match and are refused
  }
  return BED;
}

function exact(bed: TraceBed, text: string): FlowKey {
  const r = parseExactFlow(text, bed.get("br0").tunTable, NO_CONTEXT);
  if (!r.ok) {
    throw new Error(r.error.message);
  }
  return r.value.flow;
}

function translate(bed: TraceBed, flow: FlowKey, trace: boolean): XlateOut {
  const xin: XlateIn = {
    xcfg: bed.xcfg,
    xbridge: bed.get("br0"),
    flow,
    packet: null,
    sideEffects: false,
    actions: null,
    rule: null,
    tcpFlags: 0,
    recircs: bed.recircs,
    frozen: null,
    stats: null,
    xcache: null,
    recorder: trace ? new TreeRecorder() : NO_RECORDER,
    recircQueue: trace ? [] : null,
    depth: 0,
    resubmits: 0,
    inPacketOut: false,
    nowMs: 0,
    onSpecial: null,
  };
  return xlateActions(xin);
}

/** What a datapath sees of a translation. Ids are shared by equal states, so they compare. */
function shown(out: XlateOut): string {
  return `${out.error} ${out.slow} ${formatOdpActions(out.odp, null)}`;
}

const tables = fc.array(flowLine, { minLength: 1, maxLength: 14 });

describe("a translation", () => {
  it("is the same whether it is traced or not", () => {
    fc.assert(
      fc.property(tables, packet, (flows, text) => {
        const bed = bedOf(flows);
        const flow = exact(bed, text);
        const live = translate(bed, flow, false);
        const traced = translate(bed, flow, true);
        expect(shown(traced)).toBe(shown(live));
        expect(traced.wc).toEqual(live.wc);
        expect(traced.flow).toEqual(live.flow);
      }),
      { numRuns: 100 },
    );
  });

  it("leaves the flow that it is given alone", () => {
    fc.assert(
      fc.property(tables, packet, (flows, text) => {
        const bed = bedOf(flows);
        const flow = exact(bed, text);
        const before = flow.slice();
        translate(bed, flow, true);
        expect(flow).toEqual(before);
      }),
      { numRuns: 40 },
    );
  });
});

/** Words whose bits may vary freely between real packets: addresses, ports, VLAN ids, marks. */
const FREE_WORDS = [
  K.dl_src.word + 1,
  K.dl_dst.word + 1,
  K.nw_src.word,
  K.nw_dst.word,
  K.ipv6_src.word + 3,
  K.tp_src.word,
  K.pkt_mark.word,
  K.skb_priority.word,
];

describe("a megaflow", () => {
  it("is sound: what it covers is translated alike", () => {
    const flips = fc.array(fc.tuple(fc.nat(FREE_WORDS.length - 1), fc.nat(31)), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(tables, packet, flips, (flows, text, bits) => {
        const bed = bedOf(flows);
        const flow = exact(bed, text);
        const out = translate(bed, flow, false);
        const other = flow.slice();
        for (const [w, bit] of bits) {
          const word = FREE_WORDS[w] as number;
          const free = ~(out.wc[word] as number) & (1 << bit);
          other[word] = (other[word] as number) ^ free;
        }
        expect(shown(translate(bed, other, false))).toBe(shown(out));
      }),
      { numRuns: 200 },
    );
  });

  it("never matches registers", () => {
    fc.assert(
      fc.property(tables, packet, (flows, text) => {
        const bed = bedOf(flows);
        const { wc } = translate(bed, exact(bed, text), false);
        for (let w = K.metadata.word; w <= K.reg15.word; w++) {
          expect(wc[w]).toBe(0);
        }
        expect(wc.length).toBe(KEY_WORDS);
      }),
      { numRuns: 40 },
    );
  });
});

describe("Webster's method", () => {
  const bucket = (weight: number, bucketId: number): Bucket => ({
    weight,
    bucketId,
    watchPort: 0xffff,
    watchGroup: 0xffffffff,
    actions: [],
  });

  it("gives each bucket its share, give or take one", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 12 }),
        (ws) => {
          const buckets = ws.map(bucket);
          const map = websterMap(buckets);
          expect(map).not.toBeNull();
          const n = map?.length ?? 0;
          expect(Math.log2(n) % 1).toBe(0);
          const total = ws.reduce((a, b) => a + b, 0);
          for (const b of buckets) {
            const hits = map?.filter((m) => m === b).length ?? 0;
            expect(hits).toBeGreaterThan(0);
            expect(Math.abs(hits - (n * b.weight) / total)).toBeLessThan(2);
          }
        },
      ),
    );
  });

  it("leaves buckets without weight out", () => {
    const [a, b] = [bucket(0, 0), bucket(5, 1)];
    expect(websterMap([a, b])?.every((m) => m === b)).toBe(true);
    expect(websterMap([bucket(0, 0)])).toBeNull();
  });

  it("gives up beyond its limit", () => {
    const least = [bucket(1, 0), bucket(SELECT_HASH_VALUES_MAX - 1, 1)];
    expect(websterMap(least)).toHaveLength(SELECT_HASH_VALUES_MAX);
    expect(websterMap([bucket(1, 0), bucket(SELECT_HASH_VALUES_MAX, 1)])).toBeNull();
  });
});
