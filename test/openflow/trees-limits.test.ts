// Limits of spanning trees and LLDP, each at its end and one past it.
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { Vlog } from "../../src/lib/vlog.ts";
import { Lldp, LLDP_NEIGHBOURS_MAX } from "../../src/openflow/lldp.ts";
import { Rstp, RSTP_WAITING_MAX } from "../../src/openflow/rstp.ts";
import { Stp, STP_PORTS_MAX } from "../../src/openflow/stp.ts";
import { lldpFrame } from "../../src/packet/lldp.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

const log = new Vlog(new ManualClock(0));
const TCN = Uint8Array.of(0, 0, 0, 0x80);

describe("limits of spanning trees and LLDP", () => {
  it("a bridge has so many STP ports, and no more", () => {
    const env = { name: "br0", bridgeId: 1n, log, send: () => {}, changed: () => {} };
    expect(new Stp<null>(env).ports.length).toBe(STP_PORTS_MAX);
  });

  it("RSTP lets so many BPDUs wait while its machines run; more are bad ones", () => {
    let flood = 0;
    const rstp: Rstp<null> = new Rstp<null>({
      name: "br0",
      address: 1n,
      log,
      changed: () => {},
      send: () => {
        for (; flood > 0; flood--) {
          rstp.received(port, TCN);
        }
      },
    });
    const port = rstp.addPort();
    rstp.setMacOperational(port, true);
    flood = RSTP_WAITING_MAX + 1;
    for (let s = 0; s < 5; s++) {
      rstp.tick();
    }
    expect(port.v.rxCount).toBe(RSTP_WAITING_MAX);
    expect(port.v.errorCount).toBe(1);
  });

  it("a port remembers so many neighbours", () => {
    const lldp = new Lldp("p1", [1, 2]);
    for (let i = 0; i <= LLDP_NEIGHBOURS_MAX; i++) {
      const a = { chassis: [1, i] as const, port: "x", systemName: "", systemDescr: "" };
      lldp.received(lldpFrame({ ...a, mappings: [] }, [0, i]));
    }
    expect(lldp.neighbours().length).toBe(LLDP_NEIGHBOURS_MAX);
    expect(lldp.counts.dropped).toBe(1);
  });

  // Open vSwitch overflows its stack here: each bridge answers the other's BPDU at once.
  it("bridges that answer each other without end are cut at BPDU_DEPTH_MAX", () => {
    const fs = new MemoryFileSystem();
    const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
    const patch = (a: number, b: number, n: number) =>
      `ovs-vsctl add-port br${a} l${n}a -- set interface l${n}a type=patch options:peer=l${n}b` +
      ` -- add-port br${b} l${n}b -- set interface l${n}b type=patch options:peer=l${n}a`;
    const port = (p: string, column: string, n: number) =>
      `ovs-vsctl set port ${p} other_config:stp-${column}=${n}`;
    const lines = [
      "ovs-appctl time/stop",
      "ovs-vsctl add-br br0 -- set bridge br0 other_config:stp-system-id=aa:00:00:00:00:00" +
        " other_config:hwaddr=aa:66:aa:66:00:10 other_config:stp-hello-time=500",
      "ovs-vsctl add-br br1 -- set bridge br1 other_config:hwaddr=aa:66:aa:66:00:0f" +
        " other_config:stp-forward-delay=30",
      "ovs-vsctl add-br br2 -- set bridge br2 other_config:hwaddr=aa:66:aa:66:00:02",
      patch(1, 0, 0),
      port("l0a", "path-cost", 1),
      port("l0b", "path-cost", 1),
      patch(2, 0, 1),
      port("l1a", "port-priority", 0),
      port("l1b", "path-cost", 5),
      port("l1b", "port-priority", 255),
      patch(1, 0, 3),
      port("l3a", "path-cost", 65535),
      patch(0, 1, 4),
      port("l4a", "path-cost", 65535),
      ...[0, 1, 2].map((i) => `ovs-vsctl set bridge br${i} stp_enable=true`),
      "ovs-appctl time/warp 20000 3000",
      "ovs-vsctl set bridge br0 other_config:stp-priority=61440",
      "ovs-appctl time/warp 20000 1000",
    ];
    for (const line of lines) {
      expect(runCommandLine(vs, line.split(" ")).stderr, line).toBe("");
    }
    expect(vs.trees.counters.get("bpdu_too_deep")).toBeGreaterThan(0);
    expect(vs.trees.underWay).toBe(0);
  });
});
