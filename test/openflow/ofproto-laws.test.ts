// Laws of the flow tables: they hold what a plain list of flows would hold, a bundle that fails
// leaves no trace, and loading many flows at once is the same as adding them one by one.

import fc from "fast-check";
import { expect, test } from "vitest";
import { FlowLoader } from "../../src/openflow/flow-loader.ts";
import { OFPBF } from "../../src/openflow/messages/types-switch.ts";
import { commitBundleOf, flowModOf, type TestBridge, testBridge } from "./ofproto-harness.ts";

const RUNS = 300;

interface Flow {
  readonly table: number;
  readonly priority: number;
  /** 0 or "" is a wildcard. */
  readonly inPort: number;
  readonly type: "" | "ip" | "arp" | "tcp";
  readonly cookie: number;
  readonly out: number;
}
interface Command extends Flow {
  readonly word: "add" | "modify" | "modify_strict" | "delete" | "delete_strict";
  /** Only flows with this cookie; 0 for all. */
  readonly only: number;
  /** For deletes: any table. */
  readonly allTables: boolean;
}

const flow = fc.record({
  table: fc.integer({ min: 0, max: 2 }),
  priority: fc.integer({ min: 1, max: 3 }),
  inPort: fc.integer({ min: 0, max: 2 }),
  type: fc.constantFrom("" as const, "ip" as const, "arp" as const, "tcp" as const),
  cookie: fc.integer({ min: 0, max: 2 }),
  out: fc.integer({ min: 1, max: 3 }),
});
const word = fc.constantFrom(
  ...(["add", "add", "add", "modify", "modify_strict", "delete", "delete_strict"] as const),
);
const command: fc.Arbitrary<Command> = fc
  .tuple(flow, word, fc.integer({ min: 0, max: 2 }), fc.boolean())
  .map(([f, w, only, allTables]) => ({ ...f, word: w, only, allTables }));

function keysOf(f: Flow): string[] {
  return [...(f.type === "" ? [] : [f.type]), ...(f.inPort === 0 ? [] : [`in_port=${f.inPort}`])];
}

function lineOf(c: Command): string {
  const deletes = c.word.startsWith("delete");
  const strict = c.word.endsWith("strict");
  const words = keysOf(c);
  if (!(deletes && c.allTables)) {
    words.push(`table=${c.table}`);
  }
  if (c.word === "add" || strict) {
    words.push(`priority=${c.priority}`);
  }
  if (c.word !== "add" && c.only !== 0) {
    words.push(`cookie=${c.only}/-1`);
  } else if (!deletes) {
    words.push(`cookie=${c.cookie}`);
  }
  if (!deletes) {
    words.push(`actions=output:${c.out}`);
  }
  return `${c.word} ${words.join(",")}`;
}

function sameFlow(a: Flow, b: Flow): boolean {
  const same = a.table === b.table && a.priority === b.priority;
  return same && a.inPort === b.inPort && a.type === b.type;
}

/** True if every packet of `f` is one of `c`. */
function within(f: Flow, c: Flow): boolean {
  const type = c.type === "" || f.type === c.type || (c.type === "ip" && f.type === "tcp");
  return type && (c.inPort === 0 || c.inPort === f.inPort);
}

/** The same on a plain list (ovs: ofproto.c collect_rules_*, add_flow_*, modify_flows_*). */
function onList(flows: readonly Flow[], c: Command): Flow[] {
  const { table, priority, inPort, type, cookie, out } = c;
  if (c.word === "add") {
    const added = { table, priority, inPort, type, cookie, out };
    return [...flows.filter((f) => !sameFlow(f, c)), added];
  }
  const deletes = c.word.startsWith("delete");
  const chosen = (f: Flow): boolean =>
    ((deletes && c.allTables) || f.table === table) &&
    (c.only === 0 || f.cookie === c.only) &&
    (c.word.endsWith("strict") ? sameFlow({ ...f, table }, c) : within(f, c));
  if (deletes) {
    return flows.filter((f) => !chosen(f));
  }
  if (flows.some(chosen)) {
    return flows.map((f) => {
      const kept = c.only === 0 ? cookie : f.cookie;
      return chosen(f) ? { ...f, out, cookie: kept } : f;
    });
  }
  // With a cookie to look for nothing is added; without one a default priority is.
  const p = c.word === "modify" ? DEFAULT_PRIORITY : priority;
  return c.only === 0 ? [...flows, { table, priority: p, inPort, type, cookie, out }] : [...flows];
}

const DEFAULT_PRIORITY = 32768;

function listText(flows: readonly Flow[]): string[] {
  return flows
    .map((f) => {
      const p = f.priority === DEFAULT_PRIORITY ? [] : [`priority=${f.priority}`];
      const match = [...p, ...keysOf(f)].map((w) => `${w} `).join("");
      const table = f.table === 0 ? "" : `table=${f.table} `;
      return `${f.cookie} ${table}${match.trimEnd().replaceAll(" ", ",")} output:${f.out}`;
    })
    .map((t) => t.replace("  ", " "))
    .toSorted();
}

function dumpText(b: TestBridge): string[] {
  const cookies = new Map<number, string[]>();
  for (const cookie of [0, 1, 2]) {
    cookies.set(cookie, b.dump({ cookie: BigInt(cookie), cookieMask: 2n ** 64n - 1n }));
  }
  const lines = [...cookies].flatMap(([c, dumped]) => dumped.map((l) => `${c} ${l}`));
  return lines.filter((l) => !l.includes("table=254 ")).toSorted();
}

test("tables hold what a list of flows would hold", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const b = testBridge();
      let list: Flow[] = [];
      for (const c of commands) {
        expect([lineOf(c), b.flow(lineOf(c))]).toEqual([lineOf(c), ""]);
        list = onList(list, c);
        expect(dumpText(b), lineOf(c)).toEqual(listText(list));
      }
      expect(b.p.tables.slice(0, 254).reduce((n, t) => n + t.nFlows, 0)).toBe(list.length);
    }),
    { numRuns: RUNS },
  );
});

test("a bundle does what its messages do one by one, if they are about single flows", () => {
  const commands = fc.array(command, { maxLength: 12 });
  const strict = commands.map((cs) => cs.filter((c) => c.word === "add" || /strict/.test(c.word)));
  fc.assert(
    fc.property(commands, strict, (before, bundled) => {
      const [one, all] = [testBridge(), testBridge()];
      for (const c of before) {
        one.flow(lineOf(c));
        all.flow(lineOf(c));
      }
      for (const c of bundled) {
        one.flow(lineOf(c));
      }
      const lines = bundled.map(lineOf);
      expect(commitBundleOf(all, lines, OFPBF.ATOMIC | OFPBF.ORDERED)).toBe(null);
      expect(dumpText(all)).toEqual(dumpText(one));
    }),
    { numRuns: RUNS },
  );
});

test("a loose match in a bundle does not see new masks of the same bundle, as in Open vSwitch", () => {
  const b = testBridge();
  b.flow("priority=1,actions=output:1");
  const flags = OFPBF.ATOMIC | OFPBF.ORDERED;
  const add = "in_port=1,priority=2,actions=output:1";
  expect(commitBundleOf(b, [add, "modify actions=output:2"], flags)).toBe(null);
  expect(dumpText(b)).toEqual(["0 priority=1 output:2", "0 priority=2,in_port=1 output:1"]);
});

test("a bundle that fails leaves no trace", () => {
  const commands = fc.array(command, { maxLength: 12 });
  fc.assert(
    fc.property(commands, commands, (before, bundled) => {
      const b = testBridge();
      for (const c of before) {
        b.flow(lineOf(c));
      }
      const text = dumpText(b);
      const sizes = b.p.tables.map((t) => [t.nFlows, t.cls.size]);
      const lines = [...bundled.map(lineOf), "in_port=1,actions=group:9"];
      const flags = OFPBF.ATOMIC | OFPBF.ORDERED;
      expect(commitBundleOf(b, lines, flags)).toBe("OFPBFC_MSG_FAILED");
      expect(dumpText(b)).toEqual(text);
      expect(b.p.tables.map((t) => [t.nFlows, t.cls.size])).toEqual(sizes);
    }),
    { numRuns: RUNS },
  );
});

test("loading is the same as adding one by one", () => {
  fc.assert(
    fc.property(fc.array(flow, { maxLength: 30 }), (flows) => {
      const [one, all] = [testBridge(), testBridge()];
      const loader = new FlowLoader(all.p);
      for (const f of flows) {
        const fm = flowModOf(lineOf({ ...f, word: "add", only: 0, allTables: false }));
        expect(one.p.flowMod(fm)).toBe(null);
        expect(loader.add(fm, all.p.masks.pack(fm.match))).toBe(null);
      }
      loader.finish();
      expect(dumpText(all)).toEqual(dumpText(one));
      expect(all.p.tables.map((t) => t.nFlows)).toEqual(one.p.tables.map((t) => t.nFlows));
    }),
    { numRuns: RUNS },
  );
});
