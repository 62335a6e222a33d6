// ovs-vsctl and the status that the switch writes back, against recordings of the real tool.
//
// test/golden/vsctl holds cases in the form of the OVS corpus (recorded with its tools/record.py
// from Open vSwitch 3.1.0), without the few answers that are random there.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runCommandLine, Switch } from "../../src/vswitch/index.ts";

interface Step {
  readonly cmd: readonly string[];
  readonly exit: number;
  readonly stdout?: readonly string[];
  readonly stderr?: readonly string[];
  readonly norm?: readonly string[];
}

interface Case {
  readonly name: string;
  readonly setup: readonly (readonly string[])[];
  readonly steps: readonly Step[];
}

const RUNDIR = "/run/of/the/test";
const UUID = /\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;

/** The recorder's way of hiding what differs from run to run. */
function hide(text: string): string[] {
  const seen = new Map<string, number>();
  const plain = text
    .replaceAll(RUNDIR, "<RUNDIR>")
    .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|/gm, "<time>|<seq>|")
    .replace(/^.*\|fatal_signal\|.*terminating with signal.*\n/gm, "")
    .replace(UUID, (u) => {
      seen.set(u, seen.get(u) ?? seen.size + 1);
      return `<uuid:${seen.get(u)}>`;
    });
  return plain === "" ? [] : plain.replace(/\n$/, "").split("\n");
}

/** A switch as whoever records finds it: two changes were made to see that it is ready. */
function freshSwitch(): Switch {
  const sw = new Switch();
  sw.vs.rundir = RUNDIR;
  sw.vs.logDir = RUNDIR;
  sw.run("ovs-vsctl set Open_vSwitch . external_ids:ready=1");
  sw.run("ovs-vsctl clear Open_vSwitch . external_ids");
  return sw;
}

describe.each(["basic", "config", "dbcmd", "set"])("recorded case %s", (name) => {
  const url = new URL(`../golden/vsctl/${name}.json`, import.meta.url);
  const recorded = JSON.parse(readFileSync(url, "utf8")) as Case;

  test(`${recorded.steps.length} command lines`, () => {
    const { vs } = freshSwitch();
    for (const argv of recorded.setup) {
      runCommandLine(vs, argv);
    }
    for (const step of recorded.steps) {
      const reply = runCommandLine(vs, step.cmd);
      const sort = (lines: readonly string[]) =>
        step.norm?.includes("sort") === true ? lines.toSorted() : lines;
      expect({
        cmd: step.cmd,
        exit: reply.exit,
        stdout: sort(hide(reply.stdout)),
        stderr: hide(reply.stderr),
      }).toEqual({
        cmd: step.cmd,
        exit: step.exit,
        stdout: sort(step.stdout ?? []),
        stderr: step.stderr ?? [],
      });
    }
  });
});
