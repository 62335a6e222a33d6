// The flow tables: what flow mods, group mods, bundles and time do to them.

import { describe, expect, test } from "vitest";
import { OFPBF } from "../../src/openflow/messages/types-switch.ts";
import { OFPGC, OFPMC } from "../../src/openflow/messages/types-group.ts";
import { meterMod } from "../../src/openflow/meter-mod.ts";
import { N_TABLES } from "../../src/openflow/ofproto.ts";
import type { Rule } from "../../src/openflow/rule.ts";
import { commitBundleOf, flowModOf, type TestBridge, testBridge } from "./ofproto-harness.ts";

/** The only rule whose dump line contains a text. */
function ruleOf(b: TestBridge, tableId: number): Rule {
  const [rule] = [...b.p.table(tableId).allRules()];
  if (rule === undefined) {
    throw new Error(`table ${tableId} is empty`);
  }
  return rule;
}

/** Runs lines in turn; each must succeed. */
function run(b: TestBridge, ...lines: string[]): void {
  for (const line of lines) {
    expect([line, b.flow(line)]).toEqual([line, ""]);
  }
}

describe("flow mods", () => {
  test("an equal flow is replaced and loses its counters, a modified one keeps them", () => {
    const b = testBridge();
    run(b, "in_port=1,actions=2");
    ruleOf(b, 0).credit(3, 300, b.clock.nowMs());
    run(b, "modify in_port=1,actions=3");
    expect(b.dump()).toEqual(["in_port=1 output:3"]);
    expect(ruleOf(b, 0).nPackets).toBe(3);
    run(b, "in_port=1,actions=4", "add reset_counts,in_port=1,actions=5");
    expect(ruleOf(b, 0).nPackets).toBe(0);
  });

  test("strict commands look at the priority, loose ones at what lies within", () => {
    const b = testBridge();
    run(b, "priority=5,ip,actions=1", "priority=6,ip,nw_src=10.0.0.0/8,actions=1", "arp,actions=1");
    run(b, "modify_strict priority=5,ip,nw_src=10.0.0.0/8,actions=9");
    expect(b.dump().length).toBe(4);
    run(b, "delete_strict priority=7,ip", "delete ip,nw_src=10.1.0.0/16");
    expect(b.dump().length).toBe(4);
    run(b, "delete ip");
    expect(b.dump()).toEqual(["arp output:1"]);
  });

  test("checks: overlap, hidden table, unknown group and meter", () => {
    const b = testBridge();
    run(b, "priority=5,ip,actions=1");
    expect(b.flow("priority=5,check_overlap,in_port=1,actions=1")).toBe("OFPFMFC_OVERLAP");
    expect(b.flow("priority=6,check_overlap,in_port=1,actions=1")).toBe("");
    expect(b.flow("table=254,actions=1")).toBe("OFPBRC_EPERM");
    expect(b.flow("actions=group:1")).toBe("OFPBAC_BAD_OUT_GROUP");
    expect(b.flow("actions=meter:1,2")).toBe("OFPMMFC_INVALID_METER");
    expect(b.flow("delete table=254")).toBe("OFPBRC_EPERM");
  });

  test("flows of one cookie: the oldest first, then the newest to the second", () => {
    const b = testBridge();
    for (const port of [1, 2, 3, 4]) {
      run(b, `cookie=7,in_port=${port},actions=drop`);
    }
    run(b, "cookie=8,in_port=9,actions=drop");
    const ports = (): string[] =>
      b.dump({ cookie: 7n, cookieMask: 2n ** 64n - 1n }).map((s) => s.split(" ")[0] ?? "");
    expect(ports()).toEqual(["in_port=1", "in_port=4", "in_port=3", "in_port=2"]);
    run(b, "delete in_port=1");
    expect(ports()).toEqual(["in_port=4", "in_port=3", "in_port=2"]);
  });

  test("a cookie restricts modify and delete; a masked one never adds", () => {
    const b = testBridge();
    run(b, "cookie=1,in_port=1,actions=1", "cookie=2,in_port=2,actions=1");
    run(b, "modify cookie=1/-1,actions=5", "modify cookie=3/-1,actions=6");
    // A rule that replaces another one comes last in a dump.
    expect(b.dump()).toEqual(["in_port=2 output:1", "in_port=1 output:5"]);
    run(b, "delete cookie=2/3");
    expect(b.dump()).toEqual(["in_port=1 output:5"]);
  });

  test("out_port and out_group select by actions", () => {
    const b = testBridge();
    expect(b.group("group_id=1,type=all,bucket=actions=2")).toBe("");
    run(b, "in_port=1,actions=2", "in_port=2,actions=group:1", "in_port=3,actions=3");
    run(b, "delete out_port=3", "delete out_group=1");
    expect(b.dump()).toEqual(["in_port=1 output:2"]);
  });
});

describe("time", () => {
  test("hard and idle timeouts expire a moment after their time, hard first", () => {
    const b = testBridge();
    run(b, "table=1,hard_timeout=10,actions=1", "table=2,idle_timeout=10,actions=1");
    const used = ruleOf(b, 2);
    b.clock.advance(9000);
    used.credit(1, 60, b.clock.nowMs());
    b.clock.advance(1000);
    b.p.run();
    expect(b.dump().length).toBe(2);
    b.clock.advance(1);
    b.p.run();
    expect(b.dump()).toEqual(["table=2 output:1"]);
    b.clock.advance(9001);
    b.p.run();
    expect(b.dump()).toEqual([]);
    expect(b.p.table(1).cls.size).toBe(0);
  });

  test("a modified flow keeps its timeouts and starts the hard one again", () => {
    const b = testBridge();
    run(b, "table=1,hard_timeout=10,actions=1");
    b.clock.advance(8000);
    run(b, "modify table=1,hard_timeout=1,actions=2");
    b.clock.advance(8000);
    b.p.run();
    expect(b.dump().length).toBe(1);
    b.clock.advance(2001);
    b.p.run();
    expect(b.dump()).toEqual([]);
  });
});

describe("limits", () => {
  const settings = { name: null, groups: [], prefixes: [] };

  test("a full table refuses, or gives up what expires first", () => {
    const b = testBridge();
    b.p.configureTable(0, { ...settings, maxFlows: 2, evict: false });
    run(b, "in_port=1,hard_timeout=20,actions=1", "in_port=2,hard_timeout=10,actions=1");
    expect(b.flow("in_port=3,actions=1")).toBe("OFPFMFC_TABLE_FULL");
    b.p.configureTable(0, { ...settings, maxFlows: 2, evict: true });
    run(b, "in_port=3,actions=1");
    expect(b.dump().map((s) => s.slice(0, 9))).toEqual(["in_port=1", "in_port=3"]);
    b.p.configureTable(0, { ...settings, maxFlows: 1, evict: true });
    expect(b.dump()).toEqual(["in_port=3 output:1"]);
  });

  test("importance outweighs time", () => {
    const b = testBridge();
    b.p.configureTable(0, { ...settings, maxFlows: 2, evict: true });
    run(b, "in_port=1,importance=1,hard_timeout=20,actions=1");
    run(b, "in_port=2,importance=9,hard_timeout=10,actions=1", "in_port=3,actions=1");
    expect(b.dump().map((s) => s.slice(0, 9))).toEqual(["in_port=2", "in_port=3"]);
  });

  test("there are 254 tables to see and one to hide", () => {
    const b = testBridge();
    expect(b.p.tables.length).toBe(N_TABLES);
    expect(b.p.tables.filter((t) => t.hidden).map((t) => t.id)).toEqual([254]);
    expect([b.p.missRule, b.p.noPacketInRule, b.p.dropFragsRule].map((r) => r.tableId)).toEqual([
      254, 254, 254,
    ]);
  });
});

describe("groups and meters", () => {
  test("a group's end is the end of the flows that use it", () => {
    const b = testBridge();
    expect(b.flow("actions=group:5")).toBe("OFPBAC_BAD_OUT_GROUP");
    expect(b.group("group_id=5,type=indirect,bucket=actions=1")).toBe("");
    expect(b.group("group_id=5,type=all")).toBe("OFPGMFC_GROUP_EXISTS");
    run(
      b,
      "in_port=1,actions=group:5",
      "in_port=2,actions=write_actions(group:5)",
      "arp,actions=1",
    );
    expect(b.group("group_id=5,type=all,bucket=actions=2", OFPGC.MODIFY)).toBe("");
    expect(b.p.groupLookup(5)?.rules.size).toBe(2);
    expect(b.group("group_id=5", OFPGC.DELETE)).toBe("");
    expect(b.dump()).toEqual(["arp output:1"]);
    expect(b.group("group_id=5,type=all", OFPGC.MODIFY)).toBe("OFPGMFC_UNKNOWN_GROUP");
  });

  test("buckets go in and out by id", () => {
    const b = testBridge();
    const ids = (): number[] => b.p.groupLookup(1)?.buckets.map((x) => x.bucketId) ?? [];
    b.group("group_id=1,type=all,bucket=bucket_id:1,actions=1,bucket=bucket_id:2,actions=2");
    const insert = (at: string, id: number): string =>
      b.group(
        `group_id=1,command_bucket_id=${at},bucket=bucket_id:${id},actions=${id}`,
        OFPGC.INSERT_BUCKET,
      );
    expect([insert("first", 3), insert("last", 4), insert("1", 5)]).toEqual(["", "", ""]);
    expect(ids()).toEqual([3, 1, 5, 2, 4]);
    expect(insert("9", 6)).toBe("OFPGMFC_UNKNOWN_BUCKET");
    expect(insert("last", 4)).toBe("OFPGMFC_BUCKET_EXISTS");
    const remove = (which: string): string =>
      b.group(`group_id=1,command_bucket_id=${which}`, OFPGC.REMOVE_BUCKET);
    expect([remove("first"), remove("last"), remove("5"), remove("8")]).toEqual([
      "",
      "",
      "",
      "OFPGMFC_UNKNOWN_BUCKET",
    ]);
    expect(ids()).toEqual([1, 2]);
    remove("all");
    expect(ids()).toEqual([]);
  });

  test("a meter's end is the end of the flows that use it", () => {
    const b = testBridge();
    const band = { type: 1, precLevel: 0, rate: 10, burstSize: 0 };
    const meter = { meterId: 3, flags: 1, bands: [band] };
    const mod = (command: number): string | null => meterMod(b.p, { command, meter }, null);
    expect([mod(OFPMC.MODIFY), mod(OFPMC.ADD), mod(OFPMC.ADD)]).toEqual([
      "OFPMMFC_UNKNOWN_METER",
      null,
      "OFPMMFC_METER_EXISTS",
    ]);
    run(b, "in_port=1,actions=meter:3,2", "in_port=2,actions=2");
    expect(mod(OFPMC.DELETE)).toBe(null);
    b.p.removePostponed();
    expect(b.dump()).toEqual(["in_port=2 output:2"]);
  });
});

describe("learned flows", () => {
  test("learning again refreshes; a limit counts the flows of the cookie", () => {
    const b = testBridge();
    const learn = (port: number, limit: number) =>
      b.p.flowModLearn(
        { ...flowModOf(`modify_strict table=3,cookie=9,hard_timeout=5,in_port=${port},actions=1`) },
        limit,
      );
    expect(learn(1, 2)).toEqual({ error: null, belowLimit: true });
    expect(learn(2, 2)).toEqual({ error: null, belowLimit: true });
    expect(learn(3, 2)).toEqual({ error: null, belowLimit: false });
    b.clock.advance(4000);
    expect(learn(1, 2).belowLimit).toBe(true);
    b.clock.advance(2000);
    b.p.run();
    expect(b.dump()).toEqual(["table=3 in_port=1 output:1"]);
  });

  test("delete_learned takes the learned flows along", () => {
    const b = testBridge();
    run(
      b,
      "actions=learn(table=1,cookie=5,delete_learned,in_port=1)",
      "table=1,cookie=5,arp,actions=1",
    );
    run(b, "table=1,cookie=6,ip,actions=1", "delete table=0");
    b.p.removePostponed();
    expect(b.dump()).toEqual(["table=1 ip output:1"]);
  });
});

describe("bundles", () => {
  const FLAGS = OFPBF.ATOMIC | OFPBF.ORDERED;

  test("all take effect in one version", () => {
    const b = testBridge();
    run(b, "in_port=1,actions=1");
    const before = b.p.tablesVersion;
    const lines = ["group group_id=1,type=all,bucket=actions=2", "in_port=1,actions=group:1"];
    expect(commitBundleOf(b, [...lines, "delete arp", "arp,actions=1"], FLAGS)).toBe(null);
    expect(b.p.tablesVersion).toBe(before + 1);
    expect(b.dump()).toEqual(["in_port=1 group:1", "arp output:1"]);
  });

  test("an error takes everything back", () => {
    const b = testBridge();
    run(b, "cookie=1,in_port=1,idle_timeout=9,actions=1", "arp,actions=1");
    const before = b.dump();
    const lines = [
      "group group_id=1,type=all,bucket=actions=2",
      "in_port=1,actions=group:1",
      "delete arp",
      "modify actions=5",
      "ip,actions=group:2",
    ];
    expect(commitBundleOf(b, lines, FLAGS)).toBe("OFPBFC_MSG_FAILED");
    expect(b.dump().toSorted()).toEqual(before.toSorted());
    expect(b.p.groupLookup(1)).toBe(null);
    expect(b.p.table(0).nFlows).toBe(2);
    expect(b.p.table(0).cls.size).toBe(2);
    expect(b.p.index.expirable.size).toBe(1);
  });
});
