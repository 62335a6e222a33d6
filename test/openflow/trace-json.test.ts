// Traces as data obey docs/trace.schema.json and say what the text says.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { traceToJson } from "../../src/openflow/trace-json.ts";
import { TraceBed } from "./trace-bed.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = { [key: string]: Json };

const ROOT = JSON.parse(readFileSync("docs/trace.schema.json", "utf8")) as Schema;

function typeOf(v: Json): string {
  if (v === null) {
    return "null";
  }
  return Array.isArray(v) ? "array" : Number.isInteger(v) ? "integer" : typeof v;
}

/** Nodes nest deeply, so that alternatives of another kind must not be looked into. */
function otherKind(v: Json, one: Schema): string[] | null {
  const kind = ((one.properties ?? {}) as { kind?: Schema }).kind;
  const wrong =
    kind === undefined || typeOf(v) !== "object" ? [] : problems((v as Schema).kind ?? null, kind);
  return wrong.length === 0 ? null : wrong;
}

/** What is wrong with a value, by the part of JSON Schema that the schema uses. */
function problems(v: Json, s: Schema, at = "$"): string[] {
  if (typeof s.$ref === "string") {
    let target: Json = ROOT;
    for (const part of s.$ref.slice(2).split("/")) {
      target = (target as Schema)[part] as Json;
    }
    return problems(v, target as Schema, at);
  }
  const out: string[] = [];
  if (s.oneOf !== undefined) {
    const all = (s.oneOf as Schema[]).map((one) => otherKind(v, one) ?? problems(v, one, at));
    const fits = all.filter((p) => p.length === 0).length;
    return fits === 1 ? [] : [`${at}: ${fits} alternatives fit`, ...all.flat()];
  }
  if (s.const !== undefined && v !== s.const) {
    out.push(`${at}: is not ${s.const}`);
  }
  if (s.enum !== undefined && !(s.enum as Json[]).includes(v)) {
    out.push(`${at}: ${v} is not allowed`);
  }
  if (s.type !== undefined && typeOf(v) !== s.type) {
    return [...out, `${at}: is ${typeOf(v)}, not ${s.type}`];
  }
  if (
    typeof v === "string" &&
    s.pattern !== undefined &&
    !new RegExp(s.pattern as string).test(v)
  ) {
    out.push(`${at}: ${v} does not match`);
  }
  if (
    typeof v === "number" &&
    (v < ((s.minimum ?? v) as number) || v > ((s.maximum ?? v) as number))
  ) {
    out.push(`${at}: ${v} is out of range`);
  }
  if (Array.isArray(v)) {
    if (v.length < ((s.minItems ?? 0) as number)) {
      out.push(`${at}: too short`);
    }
    return [...out, ...v.flatMap((x, i) => problems(x, s.items as Schema, `${at}[${i}]`))];
  }
  return typeOf(v) === "object" ? [...out, ...objectProblems(v as Schema, s, at)] : out;
}

function objectProblems(v: Schema, s: Schema, at: string): string[] {
  const known = (s.properties ?? {}) as Schema;
  const out = ((s.required ?? []) as string[])
    .filter((k) => !(k in v))
    .map((k) => `${at}: ${k} is missing`);
  for (const [k, x] of Object.entries(v)) {
    const sub = known[k] ?? s.additionalProperties;
    if (sub === false) {
      out.push(`${at}: ${k} is unknown`);
    } else if (typeof sub === "object") {
      out.push(...problems(x, sub as Schema, `${at}.${k}`));
    }
  }
  return out;
}

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
      expect(problems(json(bed, flow), ROOT)).toEqual([]);
    });
  }

  it("is refused by the schema if it is wrong", () => {
    const wrong = json(bed, "in_port=1,tcp");
    expect(problems({ ...wrong, version: 2 }, ROOT)).not.toEqual([]);
    expect(problems({ ...wrong, extra: 1 }, ROOT)).not.toEqual([]);
    expect(problems({ ...wrong, steps: [] }, ROOT)).not.toEqual([]);
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
