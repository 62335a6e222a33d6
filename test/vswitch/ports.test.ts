// Which numbers ports get: in the datapath and in OpenFlow, and laws about them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Switch } from "../../src/vswitch/index.ts";

/** Ports of br0 as they are: name -> OpenFlow number. */
function ofports(sw: Switch): Map<string, number> {
  const table = sw.run("ovs-vsctl -f csv --no-headings --columns=name,ofport list Interface");
  return new Map(
    table
      .trim()
      .split("\n")
      .map((line) => line.split(","))
      .map(([name = "", ofport]) => [name, Number(ofport)]),
  );
}

function datapathPorts(sw: Switch): Map<string, number> {
  const rows = sw.run("ovs-appctl dpif/show").matchAll(/^ {4}(\S+) (\d+)\/(\d+):/gm);
  return new Map(Array.from(rows, ([, name = "", , odp]) => [name, Number(odp)]));
}

describe("numbers in the dummy datapath", () => {
  test.each([
    ["p7", 7],
    ["vif12b", 12],
    ["br5", 105],
    ["eth", 1],
  ])("%s gets %d", (port, number) => {
    const sw = new Switch();
    sw.run("ovs-vsctl add-br br0");
    sw.run(["ovs-vsctl", "add-port", "br0", port]);
    expect(datapathPorts(sw).get(port)).toBe(number);
  });
});

describe("numbers in OpenFlow", () => {
  test("requests are met, and the others get what is free", () => {
    const sw = new Switch();
    sw.run("ovs-vsctl add-br br0 -- add-port br0 a -- set Interface a ofport_request=7");
    sw.run("ovs-vsctl add-port br0 b");
    sw.run("ovs-vsctl add-port br0 c -- set Interface c ofport_request=7");
    const ports = ofports(sw);
    expect(ports.get("a")).toBe(7);
    expect(new Set(ports.values()).size).toBe(4);
    sw.run("ovs-vsctl set Interface b ofport_request=9");
    expect(ofports(sw).get("b")).toBe(9);
  });

  const action = fc.record({
    kind: fc.constantFrom("add", "del", "request", "type"),
    port: fc.integer({ min: 1, max: 6 }),
    number: fc.integer({ min: 1, max: 9 }),
  });

  test("never are two the same, and the database agrees with the datapath", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 15 }), (actions) => {
        const sw = new Switch();
        sw.run("ovs-vsctl add-br br0");
        for (const { kind, port, number } of actions) {
          const name = `p${port}`;
          const argv = {
            add: ["--may-exist", "add-port", "br0", name],
            del: ["--if-exists", "del-port", "br0", name],
            request: ["--if-exists", "set", "Interface", name, `ofport_request=${number}`],
            type: ["--if-exists", "set", "Interface", name, "type=internal"],
          }[kind];
          sw.run(["ovs-vsctl", ...argv]);
          const ports = ofports(sw);
          expect(new Set(ports.values()).size).toBe(ports.size);
          expect([...datapathPorts(sw).keys()].sort()).toEqual([...ports.keys()].sort());
        }
      }),
      { numRuns: 25 },
    );
  });
});
