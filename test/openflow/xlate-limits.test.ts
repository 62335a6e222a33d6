// Limits of translation: at the limit and one past it, with Open vSwitch's texts.

import { describe, expect, it } from "vitest";
import { RESUBMIT_DEPTH_MAX, RESUBMITS_MAX } from "../../src/openflow/xlate-ctx.ts";
import { TraceBed } from "./trace-bed.ts";

function bed(flows: string): TraceBed {
  const b = new TraceBed();
  b.bridge("br0", false);
  b.port("br0", "p1", 1);
  b.port("br0", "p2", 2);
  b.flows("br0", flows);
  return b;
}

const FAILED = "\nTranslation failed (%), packet is dropped.\n";
const failed = (why: string) => FAILED.replace("%", why);
const lines = (n: number, f: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => f(i)).join("\n");

describe("depth", () => {
  /** A packet that resubmits to its own table until reg0 has counted to `n`. */
  const countdown = (n: number) =>
    lines(n, (i) => `reg0=${i},actions=load:${i + 1}->NXM_NX_REG0[],resubmit(,0)`) +
    `\nreg0=${n},actions=output:2`;

  it("allows 64 nested resubmits", () => {
    const text = bed(countdown(RESUBMIT_DEPTH_MAX)).trace("br0", "in_port=1");
    expect(text).toContain("Datapath actions: 3");
    expect(text).not.toContain("over max");
  });

  it("forbids 65", () => {
    const text = bed(countdown(RESUBMIT_DEPTH_MAX + 1)).trace("br0", "in_port=1");
    expect(text).toContain(">>>> over max translation depth 64 <<<<");
    expect(text).toContain(`Datapath actions: drop${failed("Recursion too deep")}`);
  });

  it("does not count tables that only go up", () => {
    const up = `${lines(200, (i) => `table=${i},actions=resubmit(,${i + 1})`)}\ntable=200,actions=output:2`;
    expect(bed(up).trace("br0", "in_port=1")).toContain("Datapath actions: 3");
  });
});

describe("resubmits", () => {
  /** A tree: each table resubmits twice to the next. Table t is entered 2^t times. */
  const tree = (depth: number, leaf: string) =>
    lines(depth, (t) => `table=${t},actions=resubmit(,${t + 1}),resubmit(,${t + 1})`) +
    `\ntable=${depth},actions=${leaf}`;

  it("allows 4095", () => {
    // 2 + 4 + ... + 2048 resubmits.
    const text = bed(tree(11, "output:2")).trace("br0", "in_port=1");
    expect(text).not.toContain("over 4096");
    expect(text.match(/^ *output:2$/gm)).toHaveLength(2048);
  });

  it("forbids more than 4096", () => {
    const text = bed(tree(12, "note:00")).trace("br0", "in_port=1");
    expect(text).toContain(`>>>> over ${RESUBMITS_MAX} resubmit actions <<<<`);
    expect(text).toContain(failed("Too many resubmits"));
  });
});

describe("stack", () => {
  it("may be popped as often as it was pushed", () => {
    const flow = "actions=push:NXM_NX_REG0[],pop:NXM_NX_REG1[],pop:NXM_NX_REG2[],output:2";
    const text = bed(flow).trace("br0", "in_port=1");
    expect(text).toContain("NXM_NX_REG1[] is now 0");
    expect(text).toContain(">>>> stack underflow <<<<");
    expect(text).toContain("Datapath actions: 3");
  });

  it("ends the translation beyond 64 kB", () => {
    const push = Array.from({ length: 60 }, () => "push:NXM_NX_XXREG0[]").join(",");
    const flows =
      `table=0,actions=${push},load:1->NXM_NX_REG1[],resubmit(,0)`.replace("table=0,", "reg1=0,") +
      lines(
        63,
        (i) => `\nreg1=${i + 1},actions=${push},${push},load:${i + 2}->NXM_NX_REG1[],resubmit(,0)`,
      );
    const text = bed(flows).trace("br0", "in_port=1");
    expect(text).toContain(">>>> resubmits yielded over 64 kB of stack <<<<");
    expect(text).toContain(failed("Stack too deep"));
  });
});

describe("actions", () => {
  it("stop growing beyond 64 kB", () => {
    const out = Array.from({ length: 200 }, () => "output:2").join(",");
    const flows = lines(60, (t) => `table=${t},actions=${out},resubmit(,${t + 1})`);
    const text = bed(flows).trace("br0", "in_port=1");
    expect(text).toContain(">>>> resubmits yielded over 64 kB of actions <<<<");
    expect(text).toContain("Uses action(s) not supported by datapath.");
  });
});

describe("groups", () => {
  it("count as nested", () => {
    const b = bed("");
    b.groups("br0", "group_id=1,type=all,bucket=resubmit(,0)");
    b.flows("br0", "actions=group:1");
    expect(b.trace("br0", "in_port=1")).toContain(failed("Recursion too deep"));
  });

  it("that watch each other are not alive for ever", () => {
    const b = bed("");
    b.groups("br0", "group_id=1,type=ff,bucket=watch_group:2,output:2");
    b.groups("br0", "group_id=2,type=ff,bucket=watch_group:1,output:2");
    b.flows("br0", "actions=group:1");
    const text = b.trace("br0", "in_port=1");
    expect(text).toContain(">>>> bucket chaining exceeded 128 links <<<<");
    expect(text).toContain("no live bucket");
  });
});

describe("patch ports", () => {
  it("do not loop for ever", () => {
    const b = new TraceBed();
    b.bridge("br0", false);
    b.bridge("br1", false);
    b.patch(b.port("br0", "a", 1), b.port("br1", "b", 1));
    b.patch(b.port("br0", "c", 2), b.port("br1", "d", 2));
    b.flows("br0", "in_port=2,actions=1\nin_port=LOCAL,actions=1");
    b.flows("br1", "in_port=1,actions=2");
    expect(b.trace("br0", "in_port=LOCAL")).toContain("over max translation depth 64");
  });
});
