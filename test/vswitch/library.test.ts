// The switch as a library, and the example of it.

import { expect, test } from "vitest";
import { main } from "../../examples/library.ts";
import { main as topology } from "../../examples/topology-properties.ts";
import { CommandError, frameOf, Switch } from "../../src/vswitch/index.ts";

test("the example prints the paths of two packets", () => {
  const lines: string[] = [];
  main((text) => lines.push(text));
  expect(lines.join("\n")).toBe(`in_port=p1,tcp,tp_dst=80: delivered
  br0
    tcp,tp_dst=80, priority 10
      mod_nw_dst:192.0.2.1
      resubmit(,1)
      in_port=1, priority 32768
        output:2
  datapath actions: set(ipv4(dst=192.0.2.1)),2
in_port=p1,tcp,tp_dst=22: dropped
  br0
    No match.
      drop
  datapath actions: drop`);
});

test("the example of properties holds them", () => {
  const lines: string[] = [];
  topology((text) => lines.push(text), 3);
  expect(lines.join("\n")).toMatch(/^3 conversations, \d+ frames: VLANs stay apart/);
});

test("hosts send frames to their port and get what it sends", () => {
  const sw = new Switch();
  sw.run("ovs-vsctl add-br br0 -- add-port br0 p1 -- add-port br0 p2");
  sw.addFlows("br0", "in_port=p1,udp actions=dec_ttl,output:p2,output:p2");
  const [p1, p2] = [sw.host("p1"), sw.host("p2")];
  const addrs = "udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1";
  p1.send(frameOf(`${addrs},nw_ttl=64`, 0), frameOf(`${addrs},nw_ttl=9`, Uint8Array.of(7)));
  const lowered = [
    frameOf(`${addrs},nw_ttl=63`, 0),
    frameOf(`${addrs},nw_ttl=8`, Uint8Array.of(7)),
  ];
  const got = p2.received();
  expect(got).toEqual([lowered[0], lowered[0], lowered[1], lowered[1]]);
  expect([p1.received(), p2.received(), sw.host("p2") === p2]).toEqual([[], [], true]);
  expect(() => sw.host("p9")).toThrow("no device p9 that carries packets");
  expect(() => frameOf("ip,nw_src=x")).toThrow(/nw_src=x|x: /);
});

test("a command that fails throws all that it said", () => {
  const sw = new Switch();
  expect(() => sw.run("ovs-vsctl add-port br9 p1")).toThrow(
    new CommandError(sw.reply("ovs-vsctl add-port br9 p1")),
  );
  expect(() => sw.addFlows("br0", "in_port=1")).toThrow(/br0 is not a bridge or a socket/);
  sw.run("ovs-vsctl add-br br0");
  expect(() => sw.addFlows("br0", "in_port=1")).toThrow("ovs-ofctl: -:1: must specify an action");
  expect(() => sw.trace("br0", "in_port=nowhere")).toThrow(/Bad openflow flow syntax/);
  expect(() => sw.run("ovs-vsctl 'show")).toThrow(/it ends too early/);
});

test("switches share nothing and do the same each time", () => {
  const show = () => {
    const sw = new Switch();
    sw.run("ovs-vsctl add-br br0 -- add-port br0 p1");
    return sw.run("ovs-vsctl list bridge br0") + sw.run("ovs-vsctl show");
  };
  expect(show()).toBe(show());
});

test("time only passes when told", () => {
  const sw = new Switch({ startMs: Date.UTC(2030, 0, 1) });
  sw.run("ovs-vsctl add-br br0");
  sw.addFlows("br0", "table=5,idle_timeout=10,ip actions=drop");
  const flows = () => sw.run("ovs-ofctl dump-flows br0 table=5");
  sw.advance(9_000);
  expect(flows()).toContain("duration=9s, table=5");
  sw.advance(2_000);
  expect(flows()).not.toContain("table=5");
});
