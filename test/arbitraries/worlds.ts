// Whole switches with something to do: bridges, a patch pair, tunnels over an underlay, tables that
// track connections, translate, learn, group, meter. A world follows from a seed.
//
// The topology is always the same, what the tables do is drawn. Devices are given to directly and
// watched directly, so that millions of frames can pass.

import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { PacketBuf } from "../../src/packet/packet.ts";

import { PCAP_RECORD_BYTES } from "../../src/packet/pcap-format.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import type { DatapathPair } from "../../src/vswitch/packets.ts";
import { Packets } from "../../src/vswitch/packets.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import type { Pick } from "./matches.ts";
import { EXTRA_PORTS, extras } from "./world-extras.ts";
import { groups, METERED, tables } from "./world-tables.ts";

type Argv = readonly string[];

export const HOST_PORTS = ["p1", "p2", "p3", "p4", "v1", "v2"] as const;
export const UNDERLAY_PORTS = ["u1"] as const;

const pick = <T>(r: Pick, list: readonly T[]): T => list[r(list.length)] as T;

function topology(r: Pick): Argv[] {
  const port = (br: string, name: string, n: number, ...more: string[]) => {
    const set = ["set", "interface", name, `ofport_request=${n}`, ...more];
    return ["ovs-vsctl", "add-port", br, name, "--", ...set];
  };
  const tunnel = (name: string, n: number, type: string, ...options: string[]) =>
    port("br0", name, n, `type=${type}`, ...options.map((o) => `options:${o}`));
  const mode = r(3) === 0 ? "standalone" : "secure";
  const peer = "remote_ip=172.31.1.50";
  const vlan = pick(r, [["tag=5"], ["trunks=5,7"], [], [], ["vlan_mode=native-untagged", "tag=7"]]);
  const bridge = (br: string, dpid: string, mac: string, failMode: string): Argv => [
    ...["ovs-vsctl", "add-br", br, "--", "set", "bridge", br, `fail_mode=${failMode}`],
    ...[`other_config:datapath-id=${dpid}`, `other_config:hwaddr=${mac}`],
  ];
  return [
    bridge("br0", "0000000000000010", "aa:66:aa:66:00:00", mode),
    bridge("br1", "0000000000000011", "aa:66:aa:66:00:02", "standalone"),
    bridge("br-phy", "0000000000000012", "aa:66:aa:66:00:01", "standalone"),
    ...HOST_PORTS.slice(0, 4).map((p, i) => port("br0", p, i + 1, "type=dummy")),
    ...(vlan.length > 0 ? [["ovs-vsctl", "set", "port", "p4", ...vlan]] : []),
    port("br0", "q0", 5, "type=patch", "options:peer=q1"),
    port("br1", "q1", 1, "type=patch", "options:peer=q0"),
    port("br1", "v1", 2, "type=dummy"),
    port("br1", "v2", 3, "type=dummy"),
    port("br-phy", "u1", 1, "type=dummy", "mtu_request=9000"),
    ["ovs-appctl", "netdev-dummy/ip4addr", "br-phy", "172.31.1.1/24"],
    ["ovs-appctl", "ovs/route/add", "172.31.1.0/24", "br-phy"],
    ["ovs-appctl", "tnl/neigh/set", "br-phy", "172.31.1.50", "50:54:00:00:00:32"],
    tunnel("t1", 11, "vxlan", peer, `key=${pick(r, ["flow", "5"])}`, `csum=${r(2) === 0}`),
    tunnel("t2", 12, "geneve", peer, "key=flow", `csum=${r(2) === 0}`),
    tunnel("t3", 13, "gre", peer, "key=flow", `csum=${r(2) === 0}`),
    tunnel("t4", 14, "erspan", peer, "key=flow", "erspan_ver=flow"),
    tunnel("t5", 15, "gtpu", peer, "key=flow"),
    tunnel("t6", 16, "vxlan", "remote_ip=flow", "key=7", "dst_port=4790"),
    ["ovs-ofctl", "add-tlv-map", "br0", "{class=0xffff,type=0x80,len=4}->tun_metadata0"],
    ...(r(3) === 0 ? [["ovs-vsctl", "set", "bridge", "br1", "mcast_snooping_enable=true"]] : []),
    ...(r(6) === 0
      ? [
          ["ovs-vsctl", "--", "--id=@p", "get", "port", "p3", "--", "--id=@m", "create", "mirror"]
            .concat(["name=m", "select_all=true", "output_port=@p", "--"])
            .concat(["set", "bridge", "br0", "mirrors=@m"]),
        ]
      : []),
  ];
}

const RESTLESS = /learn\(|mod_dl_src|encap\(/;

/** Orders of use differ when uses are told of later. */
const sorted = (lines: string) => lines.split("\n").sort().join("\n");

const SETTLE_TURNS_MAX = 20;

/** A switch, its devices watched. */
export class World {
  readonly vs: VSwitch;
  readonly fs = new MemoryFileSystem();
  /** Flows that the switch took, and those that it refused. */
  readonly flows: string[] = [];
  readonly refused: string[] = [];
  /** Called for all that leaves. */
  onSent: (port: string, frame: Uint8Array) => void = () => {};
  private readonly ports: readonly string[] = [...HOST_PORTS, ...UNDERLAY_PORTS, ...EXTRA_PORTS];

  /**
   * A calm world neither learns flows nor lets addresses wander, so that its caches stay. `besides`
   * draws what the world has in addition.
   */
  constructor(r: Pick, calm = false, besides: Pick | null = null) {
    this.vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(7), fs: this.fs });
    this.run("ovs-appctl", "time/stop");
    // Which packets enter the exact-match cache must not take random numbers from others.
    this.run("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:emc-insert-inv-prob=1");
    const more = besides === null ? [] : extras(besides);
    for (const argv of [...topology(r), ...groups(r), ...more]) {
      const { exit, stderr } = this.run(...argv);
      if (exit !== 0) {
        throw new Error(`${argv.join(" ")}: ${stderr}`);
      }
    }
    for (const f of [...tables(r), ...METERED]) {
      if (!calm || !RESTLESS.test(f)) {
        this.addFlow(f);
      }
    }
    this.watch();
  }

  addFlow(flow: string): void {
    const add = (version: string) => this.run("ovs-ofctl", "-O", version, "add-flow", "br0", flow);
    // Some lists of actions exist in the old version alone.
    const first = add("OpenFlow10,OpenFlow15");
    const { exit, stderr } = first.exit === 0 ? first : add("OpenFlow10");
    (exit === 0 ? this.flows : this.refused).push(exit === 0 ? flow : `${flow}: ${stderr}`);
  }

  /** Looks at the devices again, after a command that configures them. */
  watch(): void {
    for (const port of this.ports) {
      const append = (bytes: Uint8Array) => {
        if (bytes.length > PCAP_RECORD_BYTES) {
          this.onSent(port, bytes.slice(PCAP_RECORD_BYTES));
        }
      };
      const netdev = this.vs.devices.get(port)?.netdev;
      netdev?.configure({ rx: null, tx: { isEmpty: false, append }, ifindex: netdev.ifindex });
    }
  }

  run(...argv: readonly string[]) {
    return runCommandLine(this.vs, argv);
  }

  /** What a command prints; an error is part of it. */
  text(...argv: readonly string[]): string {
    const { stdout, stderr } = this.run(...argv);
    return stdout + stderr;
  }

  give(port: string, frame: Uint8Array): boolean {
    return this.vs.devices.get(port)?.netdev?.enqueue(PacketBuf.of(frame)) ?? false;
  }

  /** Hands a frame to the datapath past the device: flows stay as they are until the next turn. */
  inject(port: string, frame: Uint8Array): void {
    for (const { dp } of this.pairs()) {
      const dpPort = dp.portByName(port);
      if (dpPort !== null) {
        dp.receive(dpPort.portNo, PacketBuf.of(frame));
      }
    }
  }

  /** Gives a frame and lets the switch take it. */
  receive(port: string, frame: Uint8Array): void {
    this.give(port, frame);
    this.vs.packets?.run();
  }

  warp(ms: number): void {
    this.vs.clock.warp(ms);
    this.vs.run();
  }

  /** Turns the switch until no megaflow is out of date; false if that has no end. */
  settle(): boolean {
    for (let i = 0; i < SETTLE_TURNS_MAX; i++) {
      if (!this.isUnsettled()) {
        return true;
      }
      this.vs.run();
    }
    return false;
  }

  private isUnsettled(): boolean {
    const learned = [...this.vs.bridges.values()].some(
      ({ xbridge }) => xbridge.ml.needRevalidate || xbridge.ms?.needRevalidate === true,
    );
    return learned || this.pairs().some(({ udpif }) => udpif.revalidateIsNeeded);
  }

  pairs(): readonly DatapathPair[] {
    const { packets } = this.vs;
    return packets instanceof Packets ? packets.all() : [];
  }

  /** All that the switch has come to know, as text; ages are left out. */
  state(): Record<string, string> {
    this.run("ovs-appctl", "revalidator/wait");
    const brs = ["br0", "br1", "br-phy"];
    const each = (...argv: string[]) => brs.map((br) => this.text(...argv, br)).join("");
    return {
      flows: each("ovs-ofctl", "dump-flows").replace(/(duration|idle_age)=[0-9.]+s?/g, ""),
      tables: this.text("ovs-ofctl", "dump-tables", "br0"),
      ports: each("ovs-ofctl", "dump-ports"),
      groups: this.text("ovs-ofctl", "-O", "OpenFlow15", "dump-group-stats", "br0").replace(
        /duration=[0-9.]+s/g,
        "",
      ),
      meters: this.text("ovs-ofctl", "-O", "OpenFlow15", "meter-stats", "br0").replace(
        /duration:[0-9.]+s/g,
        "",
      ),
      fdb: sorted(each("ovs-appctl", "fdb/show").replace(/ +\d+$/gm, "")),
      mdb: sorted(this.text("ovs-appctl", "mdb/show", "br1").replace(/ +\d+$/gm, "")),
      ct: this.text("ovs-appctl", "dpctl/dump-conntrack", "-m", "-s"),
      neighbours: this.text("ovs-appctl", "tnl/neigh/show"),
      fragments: this.text("ovs-appctl", "dpctl/ipf-get-status", "-m"),
    };
  }
}
