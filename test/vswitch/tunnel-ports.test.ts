// Tunnel ports as the switch lists them: their order, what the datapath says of its own devices,
// and matches on tunnel options. The expected texts are what Open vSwitch 3.1.0 printed.

import { describe, expect, test } from "vitest";
import { Switch } from "../../src/vswitch/index.ts";

function withTunnels(type: string, count: number): Switch {
  const sw = new Switch();
  sw.run("ovs-vsctl add-br br0");
  for (let n = 1; n <= count; n++) {
    sw.run(
      `ovs-vsctl add-port br0 t${n} -- set interface t${n} type=${type} options:remote_ip=1.1.1.${n}`,
    );
  }
  return sw;
}

/** Names in the order of ofproto/list-tunnels. */
function listed(sw: Switch): string[] {
  return [...sw.run("ovs-appctl ofproto/list-tunnels").matchAll(/: (t\d+) /g)].map(
    ([, n = ""]) => n,
  );
}

describe("ofproto/list-tunnels", () => {
  test.each([
    [2, "t1 t2"],
    [3, "t3 t1 t2"],
    [5, "t5 t3 t1 t2 t4"],
    [6, "t5 t3 t1 t2 t6 t4"],
  ])("%d Geneve tunnels come in the order of their hashes: %s", (count, names) => {
    expect(listed(withTunnels("geneve", count)).join(" ")).toBe(names);
  });

  test("a tunnel that is told nothing new keeps its place", () => {
    const sw = withTunnels("geneve", 6);
    const before = listed(sw);
    sw.run("ovs-vsctl add-port br0 other -- set interface other type=dummy");
    sw.run("ovs-vsctl set interface t1 options:remote_ip=1.1.1.1");
    expect(listed(sw)).toEqual(before);
  });
});

describe("dpctl/show", () => {
  test.each([
    ["vxlan", "", "vxlan_sys_4789 (vxlan: packet_type=ptap)"],
    ["vxlan", "options:dst_port=1234", "vxlan_sys_1234 (vxlan: dst_port=1234, packet_type=ptap)"],
    ["geneve", "", "genev_sys_6081 (geneve: packet_type=ptap)"],
    ["gre", "", "gre_sys (gre: packet_type=ptap)"],
    ["erspan", "", "erspan_sys (erspan: erspan_ver=0, packet_type=ptap)"],
  ])("of %s %s", (type, options, shown) => {
    const sw = new Switch();
    sw.run("ovs-vsctl add-br br0");
    const row = `type=${type} options:remote_ip=1.1.1.1 ${options}`.trimEnd();
    sw.run(`ovs-vsctl add-port br0 t1 -- set interface t1 ${row}`);
    expect(sw.run("ovs-appctl dpctl/show")).toContain(shown);
    expect(sw.run("ovs-appctl dpif/show")).toContain("remote_ip=1.1.1.1");
  });

  test("a bridge of type dummy has a datapath of its own", () => {
    const sw = new Switch();
    sw.run("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy");
    sw.run("ovs-vsctl add-br br1");
    sw.run("ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy");
    expect(sw.run("ovs-appctl dpctl/dump-dps")).toBe("dummy@ovs-dummy\nsystem@ovs-system\n");
    expect(sw.run("ovs-appctl dpctl/show dummy@ovs-dummy")).toContain("port 1: p1 (dummy)");
  });
});

test("an option without data is shown without a value", () => {
  const sw = withTunnels("geneve", 1);
  sw.run("ovs-ofctl add-tlv-map br0 '{class=0xffff,type=0x1,len=0}->tun_metadata1'");
  sw.run("ovs-ofctl add-flow br0 tun_metadata1=5,actions=drop");
  expect(sw.run("ovs-ofctl --no-stats dump-flows br0")).toContain(" tun_metadata1 actions=drop");
});
