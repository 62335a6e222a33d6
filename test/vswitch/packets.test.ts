// Frames through a whole switch: as Open vSwitch took them (recorded), and laws that hold for any.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatHex } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { K, SLOT_LIST } from "../../src/flow/slots.ts";
import type { Megaflow } from "../../src/datapath/megaflow.ts";
import { PcapDecoder } from "../../src/packet/pcap-format.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { Packets } from "../../src/vswitch/packets.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { anyFrame } from "../arbitraries/frames.ts";

type Step = readonly string[] | { run: readonly string[]; exit: number; out: string; err: string };

class Bed {
  readonly fs = new MemoryFileSystem();
  readonly vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs: this.fs });

  run(...argv: readonly string[]) {
    if (argv[0] === "ovs-pcap") {
      return { exit: 0, stdout: this.pcap(argv[1] ?? ""), stderr: "" };
    }
    return runCommandLine(this.vs, argv);
  }

  ok(...argv: readonly string[]): string {
    const r = this.run(...argv);
    expect(`${r.exit}${r.stderr}`, argv.join(" ")).toBe("0");
    return r.stdout;
  }

  pcap(name: string): string {
    const file = this.fs.readFile(name);
    if (!file.ok) {
      return "";
    }
    const d = new PcapDecoder();
    d.push(file.value);
    let out = "";
    while (d.next() === "record") {
      out += `${formatHex(d.record.data)}\n`;
    }
    return out;
  }

  megaflows(): Megaflow[] {
    const { packets } = this.vs;
    return packets instanceof Packets
      ? packets.all().flatMap(({ dp }) => [...dp.flows.values()])
      : [];
  }
}

const ORDERLESS = /dump-flows/;
function normal(argv: readonly string[], text: string): string {
  const t = text
    .replace(/ufid:[0-9a-f-]+/g, "ufid:*")
    .replace(/used:[0-9.]+s/g, "used:*s")
    .replace(/duration=[0-9.]+s/g, "duration=*s")
    .replace(/xid=0x[0-9a-f]+/g, "xid=*")
    .replace(/recirc(_id)?\(0x[0-9a-f]+\)/g, "recirc");
  return ORDERLESS.test(argv.join(" ")) ? t.split("\n").sort().join("\n") : t;
}

describe("frames as Open vSwitch took them", () => {
  const cases: Step[][] = JSON.parse(readFileSync("test/golden/frames-through-ovs.json", "utf8"));
  it.each(cases.map((steps, i) => ({ steps, i })))("case $i", ({ steps }) => {
    const bed = new Bed();
    for (const step of steps) {
      const wanted = "run" in step ? step : { run: step, exit: 0, out: "", err: "" };
      const got = bed.run(...wanted.run);
      expect({
        run: wanted.run,
        exit: got.exit,
        out: normal(wanted.run, got.stdout),
        err: normal(wanted.run, got.stderr),
      }).toEqual(wanted);
    }
  });
});

const PORTS = ["p1", "p2", "p3"] as const;
const MATCHES = [
  "",
  "in_port=1",
  "ip",
  "ip,nw_dst=10.0.0.2",
  "tcp,tp_dst=80",
  "udp",
  "ip,nw_frag=later",
  "ipv6",
  "arp",
  "mpls",
  "dl_vlan=7",
  "vlan_tci=0x0000",
  "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
  "ip,nw_ttl=1",
  "ip,ip_dscp=8",
  "reg1=1",
];
const ACTIONS = [
  "output:1",
  "output:2",
  "output:3",
  "in_port",
  "flood",
  "drop",
  "load:1->NXM_NX_REG1[],resubmit(,1)",
  "move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG1[0..7],resubmit(,2)",
  "mod_vlan_vid:5,output:2",
  "strip_vlan,output:3",
  "push_vlan:0x88a8,output:1",
  "dec_ttl,output:3",
  "mod_nw_tos:32,output:1",
  "mod_dl_src:02:00:00:00:00:01,output:2",
  "clone(mod_dl_dst:02:00:00:00:00:02,output:1),output:2",
  "multipath(symmetric_l4,0,modulo_n,2,0,NXM_NX_REG1[0..3]),resubmit(,1)",
  "output(port=2,max_len=40)",
  "check_pkt_larger(60)->NXM_NX_REG1[0],resubmit(,1)",
];
const flow = fc
  .tuple(fc.nat(2), fc.nat(9), fc.constantFrom(...MATCHES), fc.constantFrom(...ACTIONS))
  .map(
    ([table, priority, match, actions]) =>
      `table=${table},priority=${priority},${match === "" ? "" : `${match},`}actions=${actions}`,
  );
const traffic = fc.array(fc.tuple(fc.constantFrom(...PORTS), anyFrame), { maxLength: 25 });
const flows = fc.array(flow, { minLength: 1, maxLength: 10 });

function bedWith(list: readonly string[]): Bed {
  const bed = new Bed();
  bed.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure");
  PORTS.forEach((p, i) => {
    const set = ["set", "interface", p, "type=dummy", `ofport_request=${i + 1}`];
    bed.ok("ovs-vsctl", "add-port", "br0", p, "--", ...set, `options:tx_pcap=${p}.pcap`);
  });
  for (const f of list) {
    bed.run("ovs-ofctl", "add-flow", "br0", f); // some are refused, always the same
  }
  return bed;
}

const send = (bed: Bed, port: string, frame: Uint8Array) =>
  bed.run("ovs-appctl", "netdev-dummy/receive", port, formatHex(frame));
const sendAll = (bed: Bed, frames: readonly (readonly [string, Uint8Array])[]) => {
  for (const [port, frame] of frames) {
    send(bed, port, frame);
  }
};
const sent = (bed: Bed) => PORTS.map((p) => bed.pcap(`${p}.pcap`));
const ruleStats = (bed: Bed) =>
  bed.ok("ovs-ofctl", "dump-flows", "br0").replace(/duration=[0-9.]+s/g, "");

/** True if some bit that both look at differs. */
function disjoint(a: Megaflow, b: Megaflow): boolean {
  return a.key.some((w, i) => {
    const both = (a.mask[i] as number) & (b.mask[i] as number);
    return ((w ^ (b.key[i] as number)) & both) !== 0;
  });
}

describe("flows that are put in by hand", () => {
  // As the real switch answers, once its threads have looked at the flows.
  it("go if they cover too much, and get the actions that the tables say", () => {
    const bed = new Bed();
    bed.run("ovs-vsctl", "add-br", "br0");
    bed.run("ovs-vsctl", "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=dummy");
    bed.run("ovs-ofctl", "add-flow", "br0", "actions=local");
    const whole =
      "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(),eth_type(0x0800),ipv4(frag=no)";
    bed.run("ovs-appctl", "dpctl/add-flow", "in_port(1),eth(),eth_type(0x0806),arp()", "1");
    bed.run("ovs-appctl", "dpctl/add-flow", whole, "1");
    bed.run("ovs-appctl", "revalidator/wait");
    const dump = bed.run("ovs-appctl", "dpctl/dump-flows").stdout;
    expect(dump).toMatch(/eth_type\(0x0800\).*actions:100\n/);
    expect(dump).not.toContain("0x0806");
  });
});

/** True if a frame has the type of MPLS, behind any VLAN tags, and not even one label. */
function endsBeforeLabels(frame: Uint8Array): boolean {
  const type = (at: number) => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  let at = 12;
  while (type(at) === 0x8100 || type(at) === 0x88a8) {
    at += 4;
  }
  const isMpls = type(at) === 0x8847 || type(at) === 0x8848;
  return isMpls && frame.length < at + 6;
}

describe("megaflows of translations that failed", () => {
  const FRAME = "50540000000150540000000212340000000000000000";

  // As the real switch answers: the mask of such a megaflow never passes a second look.
  it("stay until the tables change, unless the actions went on", () => {
    const kept = (actions: string): string => {
      const bed = bedWith([`table=0,priority=0,actions=${actions}`]);
      bed.run("ovs-appctl", "netdev-dummy/receive", "p1", FRAME);
      bed.ok("ovs-appctl", "revalidator/wait");
      const before = bed.megaflows().length;
      bed.run("ovs-ofctl", "add-flow", "br0", "table=9,actions=drop");
      bed.ok("ovs-appctl", "revalidator/wait");
      return `${before} ${bed.megaflows().length}`;
    };
    expect(kept("resubmit(,0)")).toBe("1 0");
    expect(kept("pop:NXM_NX_REG0[]")).toBe("1 1");
  });
});

describe("a cut ARP header", () => {
  // As the real switch answers, where writing behind the packet does not end it.
  it("gets its operation set, and keeps the rest", () => {
    const bed = bedWith(["arp,actions=set_field:1->arp_op,output:1"]);
    const arp = (op: string) =>
      `ffffffffffff0200000000028100600008060001080006040${op}0200000000020a000001ffff`;
    bed.run("ovs-appctl", "netdev-dummy/receive", "p3", arp("002"));
    expect(bed.pcap("p1.pcap")).toBe(`${arp("001")}\n`);
  });
});

describe("hashes of packets", () => {
  const TCP6 =
    "6000000000%LEN%%NEXT%40fd000000000000000000000000000001fd000000000000000000000000000001%EXT%" +
    "00500035000003e8000000005012200091620000";
  const GROUP = "group_id=3,type=select,selection_method=dp_hash,bucket=weight:8,actions=output:3";

  // Recorded from Open vSwitch: an extension header changes the hash of the same TCP ports.
  it.each([
    { ext: "0600010400000000", next: "3c", hash: "0xc92cdc60" },
    { ext: "3c000104000000000600010400000000", next: "00", hash: "0xe30c5515" },
  ])("of TCP behind $ext", ({ ext, next, hash }) => {
    const bed = bedWith([]);
    bed.ok("ovs-ofctl", "-O", "OpenFlow15", "add-group", "br0", GROUP);
    bed.ok("ovs-ofctl", "add-flow", "br0", "actions=group:3");
    const length = (20 + ext.length / 2).toString(16).padStart(2, "0");
    const packet = TCP6.replace("%LEN%", length).replace("%NEXT%", next).replace("%EXT%", ext);
    const frame = `02000000000202000000000186dd${packet}`;
    bed.run("ovs-appctl", "netdev-dummy/receive", "p3", frame);
    expect(bed.ok("ovs-appctl", "dpctl/dump-flows")).toContain(`dp_hash(${hash}/0xf)`);
  });
});

describe("laws of the switch", () => {
  it("caches change nothing: neither packets nor counters of rules", () => {
    fc.assert(
      fc.property(flows, traffic, (list, frames) => {
        // A frame with the type of MPLS and no label is no key that a datapath takes: each of its
        // packets is an upcall, and the counters differ in Open vSwitch as well.
        fc.pre(!frames.some(([, frame]) => endsBeforeLabels(frame)));
        const cached = bedWith(list);
        const plain = bedWith(list);
        plain.ok("ovs-appctl", "upcall/disable-megaflows");
        for (const [port, frame] of [...frames, ...frames]) {
          send(cached, port, frame);
          send(plain, port, frame);
          plain.ok("ovs-appctl", "revalidator/purge");
        }
        expect(sent(cached)).toEqual(sent(plain));
        cached.ok("ovs-appctl", "revalidator/wait");
        expect(ruleStats(cached)).toBe(ruleStats(plain));
      }),
      { numRuns: 25 },
    );
  }, 60000);

  it("megaflows are disjoint and stay right when flows change", () => {
    fc.assert(
      fc.property(flows, flow, traffic, (list, late, frames) => {
        const bed = bedWith(list);
        const afresh = bedWith([...list, late]);
        sendAll(bed, frames);
        const all = bed.megaflows();
        all.forEach((a, i) => {
          for (const b of all.slice(i + 1)) {
            expect(disjoint(a, b)).toBe(true);
          }
        });
        const before = sent(bed);
        bed.run("ovs-ofctl", "add-flow", "br0", late);
        for (const [port, frame] of frames) {
          send(bed, port, frame);
          send(afresh, port, frame);
        }
        expect(sent(bed)).toEqual(sent(afresh).map((t, i) => before[i] + t));
      }),
      { numRuns: 25 },
    );
  }, 60000);

  it("the same run twice gives the same bytes", () => {
    fc.assert(
      fc.property(flows, traffic, (list, frames) => {
        const [a, b] = [bedWith(list), bedWith(list)];
        for (const bed of [a, b]) {
          sendAll(bed, frames);
        }
        const all = (bed: Bed) => [
          sent(bed),
          ruleStats(bed),
          bed.ok("ovs-appctl", "dpctl/dump-flows", "-m"),
          bed.ok("ovs-appctl", "coverage/show"),
        ];
        expect(all(a)).toEqual(all(b));
      }),
      { numRuns: 8 },
    );
  }, 60000);
});

it("no slot of a key is forgotten by a megaflow's mask: a frame is credited to one flow", () => {
  const bed = bedWith(["ip,actions=output:2", "actions=drop"]);
  const frame = new Uint8Array(60);
  frame[12] = 8;
  frame[14] = 0x45;
  for (let i = 0; i < 5; i++) {
    send(bed, "p1", frame);
  }
  const all = bed.megaflows();
  expect(all.map((f) => f.stats.packets)).toEqual([4]);
  expect(SLOT_LIST.length).toBeGreaterThan(50);
  expect((all[0]?.mask[K.in_port.word] ?? 0) >>> 0).toBe(0xffffffff);
});

it("a device takes nothing more of a batch once it has refused a packet", () => {
  const bed = bedWith(["actions=output:2,strip_vlan,output:2"]);
  // Tagged 802.1ad, so that it is too long by two bytes; without the tag it would not be.
  const frame = new Uint8Array(1516);
  frame.set([0x88, 0xa8, 0, 10, 0x08, 0x06], 12);
  send(bed, "p1", frame);
  const tx = () => bed.ok("ovs-ofctl", "dump-ports", "br0", "2").match(/tx pkts=(\d+)/)?.[1];
  expect(tx()).toBe("0");
  send(bed, "p1", frame.subarray(0, 1514));
  expect(tx()).toBe("2");
});
