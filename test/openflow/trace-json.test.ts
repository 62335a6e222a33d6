// Traces as data obey docs/trace.schema.json and say what the text says.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { traceToJson } from "../../src/openflow/trace-json.ts";
import { problems, type Schema } from "../json-schema.ts";
import { TraceBed } from "./trace-bed.ts";

const ROOT = JSON.parse(readFileSync("docs/trace.schema.json", "utf8")) as Schema;

function json(bed: TraceBed, flow: string): Schema {
  // Through text, as a reader gets it.
  return JSON.parse(JSON.stringify(traceToJson(bed.run("br0", flow), bed.formatter))) as Schema;
}

const bed = new TraceBed();
bed.bridge("br0", false);
bed.bridge("br1");
bed.port("br0", "p1", 1);
bed.port("br0", "p2", 2);
bed.patch(bed.port("br0", "a", 3), bed.port("br1", "b", 1));
bed.port("br1", "q", 2);
bed.groups("br0", "group_id=1,type=all,bucket=output:1,bucket=output:2");
bed.flows(
  "br0",
  `table=0,cookie=0xabc,priority=5,tcp,in_port=1,actions=dec_ttl,ct(commit,zone=5,table=1)
table=1,ct_state=+trk+new,tcp,actions=group:1,output:3,write_actions(output:2)
table=0,priority=4,in_port=2,actions=resubmit(,7),clone(output:1),debug_slow
table=0,priority=3,in_port=3,actions=resubmit(,0)`,
);

describe("a trace as data", () => {
  for (const flow of [
    "in_port=1,tcp,nw_ttl=64",
    "in_port=1,tcp,nw_ttl=1",
    "in_port=2",
    "in_port=3",
    "in_port=9",
  ]) {
    it(`obeys the schema: ${flow}`, () => {
      expect(problems(ROOT, json(bed, flow))).toEqual([]);
    });
  }

  it("is refused by the schema if it is wrong", () => {
    const wrong = json(bed, "in_port=1,tcp");
    expect(problems(ROOT, { ...wrong, version: 2 })).not.toEqual([]);
    expect(problems(ROOT, { ...wrong, extra: 1 })).not.toEqual([]);
    expect(problems(ROOT, { ...wrong, steps: [] })).not.toEqual([]);
  });

  it("gives flows with the keys of ovs-flowviz", () => {
    const [step] = json(bed, "in_port=1,tcp,nw_ttl=64").steps as Schema[];
    const [bridge] = (step?.nodes ?? []) as Schema[];
    const [table] = (bridge?.nodes ?? []) as Schema[];
    expect(table).toMatchObject({
      kind: "table",
      table: 0,
      flow: {
        orig:
          "cookie=0xabc, table=0, priority=5,tcp,in_port=1 " +
          "actions=dec_ttl,ct(commit,table=1,zone=5)",
        info: { cookie: "0xabc", table: 0, priority: 5 },
        match: { tcp: true, in_port: "1" },
        actions: ["dec_ttl", "ct(commit,table=1,zone=5)"],
      },
    });
  });

  it("has a step for each recirculation", () => {
    const steps = json(bed, "in_port=1,tcp,nw_ttl=64").steps as Schema[];
    expect(steps.map((s) => s.recirc)).toEqual([
      null,
      { id: expect.any(Number), ct_state: "new|trk", assumed: true },
    ]);
    expect(steps[0]?.datapath_actions).toEqual([
      "set(ipv4(ttl=63))",
      "ct(commit,zone=5)",
      expect.stringMatching(/^recirc\(0x[0-9a-f]+\)$/),
    ]);
  });
});
