// Host dumps: what a file is, whose it is, and what comes of opening them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { encodeDatabase } from "../../src/ovsdb/db-file.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { sortHostDump } from "../../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../../src/vswitch/host-dump/open.ts";
import { parseDpifShow, parsePortDescs } from "../../src/vswitch/host-dump/port-texts.ts";
import { headerVersion, provenance, recognise } from "../../src/vswitch/host-dump/recognise.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

describe("what a file is", () => {
  test.each([
    ["NXST_FLOW reply (xid=0x4):\n cookie=0x0, table=0 actions=drop", "flows"],
    ["OFPST_FLOW reply (OF1.3) (xid=0x2):\n", "flows"],
    [" cookie=0x0, duration=1s, table=0, priority=1 actions=drop", "flows"],
    ["table=0,priority=5,ip actions=NORMAL\n", "flows"],
    ["OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):\n", "groups"],
    [" group_id=1,type=all,bucket=actions=output:1\n", "groups"],
    ["OFPST_GROUP reply (OF1.5) (xid=0x6):\n", "group-stats"],
    ["OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\nmeter=1 kbps", "meters"],
    ["NXT_TLV_TABLE_REPLY (OF1.5) (xid=0x2):\n", "tlv-map"],
    ["OFPST_PORT_DESC reply (OF1.5) (xid=0x2):\n", "ports-desc"],
    ["OFPT_FEATURES_REPLY (xid=0x2): dpid:1\n", "show"],
    ["system@ovs-system: hit:0 missed:0\n  br0:\n    br0 65534/1: (internal)\n", "dpif-show"],
    [" port  VLAN  MAC                Age\n", "fdb"],
    ["tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(", "conntrack"],
    [`OVSDB JSON 10 ${"0".repeat(40)}\n{}`, "ovsdb"],
    [`OVSDB CLUSTER 10 ${"0".repeat(40)}\n{}`, "ovsdb"],
    ["Nov 25 kernel: hello\n", null],
    ["", null],
  ])("%j is %s", (head, kind) => {
    expect(recognise(head)).toBe(kind);
  });

  test.each([
    ["ovs-ofctl_-O_OpenFlow15_dump-flows_br-int", "br-int", 15],
    ["ovs-ofctl -O OpenFlow13 dump-groups br0", "br0", 13],
    ["x/ovs-appctl_fdb.show_br_ex", "br_ex", 0],
    ["ovs-ofctl dump-flows --no-stats br1", "br1", 0],
    ["/tmp/ovs-save.abc/br0.flows.dump", "br0", 0],
    ["notes.txt", null, 0],
  ])("%s is of bridge %s, version %i", (name, bridge, version) => {
    expect(provenance(name)).toEqual({ bridge, version });
  });

  test.each([
    ["OFPST_FLOW reply (OF1.4) (xid=0x2):", 14],
    ["NXST_FLOW reply (xid=0x4):", 10],
    [" cookie=0x0", 0],
  ])("%j was asked in version %i", (head, version) => {
    expect(headerVersion(head)).toBe(version);
  });
});

test("dpif/show and port descriptions", () => {
  const shown = parseDpifShow(
    "netdev@ovs-netdev: hit:1 missed:2\n  br0:\n    br0 65534/1: (tap)\n" +
      "    v1 5/4789: (vxlan: key=flow, remote_ip=10.0.0.1)\n    p 7/none: (patch: peer=q)\n",
  );
  expect(shown.get("br0")?.dpType).toBe("netdev");
  expect(shown.get("br0")?.ports.map((p) => [p.name, p.ofpPort, p.odpPort, p.type])).toEqual([
    ["br0", 65534, 1, "internal"],
    ["v1", 5, 4789, "vxlan"],
    ["p", 7, null, "patch"],
  ]);
  expect(shown.get("br0")?.ports[1]?.options.get("remote_ip")).toBe("10.0.0.1");
  const descs = parsePortDescs(
    "OFPST_PORT_DESC reply (xid=0x2):\n 1(p1): addr:aa:55:aa:55:00:01\n" +
      "     config:     NO_FLOOD NO_FWD\n     state:      LIVE\n" +
      " LOCAL(br0): addr:aa:55:aa:55:00:02\n     config:     0\n     state:      0\n",
  );
  expect(descs).toEqual([
    { name: "p1", ofpPort: 1, config: ["NO_FLOOD", "NO_FWD"] },
    { name: "br0", ofpPort: 0xfffe, config: [] },
  ]);
});

/** Opens texts; answers a tracer and what was said. */
function open(files: Record<string, string>, bridge: string | null = null) {
  const clock = new ManualClock(1_000_000);
  const vs = new VSwitch({ clock, rng: new SeededRng(1), fs: new MemoryFileSystem() });
  const inputs = Object.entries(files).map(([name, text]) => ({ name, bytes: encodeUtf8(text) }));
  const notes = openHostDump(vs, sortHostDump(inputs), bridge);
  return {
    said: notes.map((n) => `${n.kind}: ${n.text}`),
    actions: (flow: string, br = "br0") =>
      /^Datapath actions: (.*)$/m.exec(
        runCommandLine(vs, ["ovs-appctl", "ofproto/trace", br, flow]).stdout,
      )?.[1],
  };
}

describe("opening", () => {
  test("a lone flow dump: its ports are made, what is missing is said", () => {
    const host = open({
      "flows.txt": " cookie=0x0, table=0, priority=5,in_port=1 actions=output:2\n",
    });
    expect(host.actions("in_port=1")).toBe("2");
    expect(host.said).toContain("used: flows.txt: 1 flows of br0");
    expect(host.said.filter((s) => s.startsWith("missing")).length).toBe(3);
  });

  test("groups and the TLV map are asked for where flows need them", () => {
    const flows = "table=0,tun_metadata0=1 actions=group:7\n";
    const said = open({ f: flows }).said.join("\n");
    expect(said).toMatch(/missing: a group dump of br0/);
    expect(said).toMatch(/missing: the TLV map of br0/);
  });

  test("groups, meters and a TLV map of their own files", () => {
    const host = open({
      "ovs-ofctl_dump-flows_br0":
        "table=0,priority=1,tun_metadata0=0x5 actions=group:7\n" +
        "table=0,priority=0 actions=meter:1,output:2\n",
      "ovs-ofctl_dump-groups_br0": " group_id=7,type=all,bucket=bucket_id:0,actions=output:1\n",
      "ovs-ofctl_dump-meters_br0":
        "OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\n" +
        "meter=1 kbps burst stats bands=\ntype=drop rate=1000 burst_size=100\n",
      "ovs-ofctl_dump-tlv-map_br0":
        "NXT_TLV_TABLE_REPLY (xid=0x2):\n max option space=256 max fields=64\n" +
        " mapping table:\n  class  type  length  match field\n" +
        "  0x102  0x80       4  tun_metadata0\n",
    });
    expect(host.said.filter((s) => s.startsWith("error"))).toEqual([]);
    expect(host.actions("in_port=LOCAL,tun_metadata0=0x5")).toBe("1");
    expect(host.actions("in_port=LOCAL")).toBe("meter(0),2");
  });

  test("the highest OpenFlow version is taken, the others are said to be passed over", () => {
    const host = open({
      "ovs-ofctl_-O_OpenFlow10_dump-flows_br0":
        "NXST_FLOW reply (xid=0x4):\n table=0,priority=1,in_port=1 actions=output:2\n",
      "ovs-ofctl_-O_OpenFlow15_dump-flows_br0":
        "OFPST_FLOW reply (OF1.5) (xid=0x4):\n table=0,priority=1,in_port=1 actions=output:3\n",
    });
    expect(host.actions("in_port=1")).toBe("3");
    expect(host.said.join("\n")).toMatch(/OpenFlow10_dump-flows_br0: passed over for/);
  });

  test("unreadable lines are listed with their place, the rest traces", () => {
    const host = open({
      "f.txt":
        "table=0,priority=1,in_port=1 actions=output:2\n" +
        "table=0,priority=1,nosuch=1 actions=drop\n" +
        "table=0,priority=2,in_port=3 actions=outptu:1\n",
    });
    expect(host.actions("in_port=1")).toBe("2");
    const errors = host.said.filter((s) => s.startsWith("error"));
    expect(errors.length).toBe(2);
    expect(errors[0]).toMatch(/^error: f\.txt:2:\d+: /);
    expect(errors[1]).toMatch(/^error: f\.txt:3:\d+: /);
  });

  test("learned addresses count", () => {
    const files = {
      f: "table=0 actions=NORMAL\n",
      p:
        "OFPST_PORT_DESC reply (xid=0x2):\n" +
        [1, 2, 3]
          .map((n) => ` ${n}(p${n}): addr:aa:55:aa:55:00:0${n}\n     config:     0\n`)
          .join(""),
      fdb: " port  VLAN  MAC                Age\n    2     0  02:00:00:00:00:02    7\n",
    };
    const flow = "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02";
    expect(open(files).actions(flow)).toBe("2");
    const { fdb: _, ...without } = files;
    expect(open(without).actions(flow)).not.toBe("2");
  });

  test("controllers are there as they were, and stay so", () => {
    const env = { clock: new ManualClock(1000), rng: new SeededRng(2), fs: new MemoryFileSystem() };
    const host = new VSwitch(env);
    const onHost = (line: string) => runCommandLine(host, line.split(" "));
    onHost("ovs-vsctl add-br br0 -- set bridge br0 other_config:hwaddr=aa:55:aa:55:00:01");
    onHost("ovs-vsctl add-port br0 p1");
    onHost("ovs-vsctl set-controller br0 tcp:10.0.0.1:6653");
    const clock = new ManualClock(1000);
    const vs = new VSwitch({ clock, rng: new SeededRng(1), fs: new MemoryFileSystem() });
    const notes = openHostDump(
      vs,
      sortHostDump([
        { name: "conf.db", bytes: encodeDatabase(host.db, "", 0) },
        {
          name: "ovs-ofctl_dump-flows_br0",
          bytes: encodeUtf8("table=0,priority=7 actions=drop\n"),
        },
      ]),
      null,
    );
    expect(notes.map((n) => n.text).join()).toContain("in-band control of br0");
    const run = (line: string) => runCommandLine(vs, line.split(" ")).stdout;
    const trace = () =>
      run("ovs-appctl ofproto/trace br0 in_port=p1,tcp,nw_dst=10.0.0.1,tp_dst=6653");
    expect(trace()).toContain(" 0. tcp,nw_dst=10.0.0.1,tp_dst=6653, priority 180007\n");
    // The host had its controller: nothing fails open as time goes on.
    vs.clock.start();
    clock.advance(60_000);
    run("ovs-appctl version");
    expect(run("ovs-appctl bridge/dump-flows br0")).not.toContain("priority=15790320");
    expect(run("ovs-ofctl dump-flows br0")).toContain("priority=7 actions=drop");
    expect(run("ovs-vsctl get controller br0 is_connected role")).toBe("true\nother\n");
  });

  test("no bytes make it throw", () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "OFPST_FLOW reply (OF1.3) (xid=0x2):\n table=0 actions=\n",
        `OVSDB JSON 3 ${"0".repeat(40)}\n{}\n`,
        "system@x:\n  br0:\n    p 1/1: (patch: peer=)\n",
        "NXT_TLV_TABLE_REPLY:\n  0x1  0x1  999  tun_metadata77\n",
        " group_id=,type=\n",
      ),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
        open(Object.fromEntries(texts.map((t, i) => [`f${i}`, t])));
      }),
      { numRuns: 60 },
    );
  });
});
