// Traces in a host that is only there as dumps: connections of the dump decide the state.
import { describe, expect, it } from "vitest";
import { flowCompose } from "../../src/flow/compose.ts";
import { encodeUtf8 } from "../../src/lib/bytes.ts";
import { MemoryFileSystem, SeededRng, ManualClock } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { sortHostDump } from "../../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../../src/vswitch/host-dump/open.ts";
import { PathClasses } from "../../src/vswitch/path-classes.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { keyWith, packetOf } from "../arbitraries/frames.ts";

const FLOWS = `NXST_FLOW reply (xid=0x4):
 cookie=0x0, duration=1.0s, table=0, n_packets=0, n_bytes=0, ip actions=ct(table=1,zone=5,nat)
 cookie=0x0, duration=1.0s, table=0, n_packets=0, n_bytes=0, ipv6 actions=ct(table=1,zone=5,nat)
 cookie=0x0, duration=1.0s, table=1, n_packets=0, n_bytes=0, ct_state=+trk actions=output:2
`;
const CONNECTIONS = [
  [
    "tcp",
    "src=10.0.0.1,dst=10.0.0.2,sport=10,dport=80",
    "src=10.0.0.2,dst=10.9.9.9,sport=80,dport=10",
    "zone=5,mark=7,labels=0x12,protoinfo=(state=ESTABLISHED)",
  ],
  [
    "tcp",
    "src=10.0.0.1,dst=10.0.0.2,sport=11,dport=80",
    "src=10.0.0.2,dst=10.0.0.1,sport=80,dport=11",
    "zone=5,protoinfo=(state=SYN_SENT)",
  ],
  [
    "tcp",
    "src=10.0.0.1,dst=10.0.0.2,sport=12,dport=80",
    "src=10.0.0.2,dst=10.0.0.1,sport=80,dport=12",
    "zone=6,protoinfo=(state=ESTABLISHED)",
  ],
  [
    "udp",
    "src=10.0.0.1,dst=10.0.0.2,sport=13,dport=53",
    "src=10.0.0.3,dst=10.0.0.1,sport=53,dport=13",
    "id=1,zone=5,status=SEEN_REPLY|CONFIRMED|DST_NAT",
  ],
  [
    "udp",
    "src=10.0.0.1,dst=10.0.0.2,sport=14,dport=53",
    "src=10.0.0.2,dst=10.0.0.1,sport=53,dport=14",
    "id=2,zone=5,status=CONFIRMED",
  ],
  [
    "icmp",
    "src=10.0.0.1,dst=10.0.0.2,id=9,type=8,code=0",
    "src=10.0.0.2,dst=10.0.0.1,id=9,type=0,code=0",
    "zone=5",
  ],
]
  .map(([proto, orig, reply, rest]) => `${proto},orig=(${orig}),reply=(${reply}),${rest}\n`)
  .join("");

function opened(): VSwitch {
  const env = { clock: new ManualClock(1000), rng: new SeededRng(1), fs: new MemoryFileSystem() };
  const vs = new VSwitch(env);
  const dump = sortHostDump([
    { name: "br0.flows", bytes: encodeUtf8(FLOWS) },
    { name: "conntrack", bytes: encodeUtf8(CONNECTIONS) },
  ]);
  openHostDump(vs, dump, "br0");
  return vs;
}

const A = "nw_src=10.0.0.1,nw_dst=10.0.0.2";
const BACK = "nw_src=10.0.0.2,nw_dst=10.0.0.1";

/** Packets, and what the pass behind conntrack begins with. */
const CASES: Readonly<Record<string, string>> = {
  [`tcp,${A},tp_src=10,tp_dst=80`]:
    "ct_state=est|trk|snat,ct_zone=5,ct_mark=0x7,ct_label=0x12,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2," +
    "ct_nw_proto=6,ct_tp_src=10,ct_tp_dst=80 10.9.9.9:10>10.0.0.2:80",
  "tcp,nw_src=10.0.0.2,nw_dst=10.9.9.9,tp_src=80,tp_dst=10":
    "ct_state=est|rpl|trk|dnat,ct_zone=5,ct_mark=0x7,ct_label=0x12,ct_nw_src=10.0.0.1," +
    "ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=10,ct_tp_dst=80 10.0.0.2:80>10.0.0.1:10",
  [`tcp,${A},tp_src=11,tp_dst=80`]:
    "ct_state=new|trk,ct_zone=5,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=11," +
    "ct_tp_dst=80 10.0.0.1:11>10.0.0.2:80",
  [`tcp,${A},tp_src=12,tp_dst=80`]: "ct_state=new|trk,ct_zone=5 10.0.0.1:12>10.0.0.2:80",
  [`udp,${A},udp_src=13,udp_dst=53`]:
    "ct_state=est|trk|dnat,ct_zone=5,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17," +
    "ct_tp_src=13,ct_tp_dst=53 10.0.0.1:13>10.0.0.3:53",
  [`udp,${A},udp_src=14,udp_dst=53`]:
    "ct_state=new|trk,ct_zone=5,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=14," +
    "ct_tp_dst=53 10.0.0.1:14>10.0.0.2:53",
  [`icmp,${BACK},icmp_type=0`]:
    "ct_state=est|rpl|trk,ct_zone=5,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=1,ct_tp_src=8,ct_tp_dst=0 " +
    "10.0.0.2>10.0.0.1",
};

describe("a trace with a dump of connections", () => {
  for (const [flow, expected] of Object.entries(CASES)) {
    it(flow, () => {
      const r = runCommandLine(opened(), [
        "ovs-appctl",
        "ofproto/trace",
        "br0",
        `in_port=1,${flow}`,
      ]);
      const second = r.stdout.split("\nFlow: ")[1] ?? "";
      const state = /(ct_state=.*?),eth,/.exec(second)?.[1];
      const end = (w: string) => {
        const ip = new RegExp(`,nw_${w}=([^,]*)`).exec(second.split(",eth,")[1] ?? "")?.[1];
        const port = new RegExp(`,tp_${w}=(\\d+)`).exec(second.split(",eth,")[1] ?? "")?.[1];
        return port === undefined ? ip : `${ip}:${port}`;
      };
      expect(`${state} ${end("src")}>${end("dst")}`).toBe(expected);
      // The connection is shown as this switch shows it: without identifier and status.
      const used = CONNECTIONS.split("\n").find((line) => matches(line, expected));
      const shown = used?.replace(/,id=\d+(?=,zone)|,status=[^,\n]*/g, "");
      const named = expected.includes("ct_nw_src");
      expect(r.stderr).toBe(named ? `used: connection ${shown}\n` : "");
    });
  }

  it("classes of packets tell connections apart", () => {
    const vs = opened();
    const br = vs.bridges.get("br0");
    const classes = br === undefined ? null : new PathClasses(br);
    const states = [10, 11, 10].map((tp_src) => {
      const ip = { dl_type: 0x0800, nw_proto: 6, nw_src: 0x0a000001, nw_dst: 0x0a000002 };
      const p = new PacketBuf();
      flowCompose(p, keyWith({ ...ip, nw_ttl: 64, tp_src, tp_dst: 80 }));
      const found = classes?.add(packetOf(p.data().slice()), 1);
      return /resume conntrack with ct_state=(\S+)/.exec(found?.firstTrace ?? "")?.[1];
    });
    // Both take the same path, whose first packet is the one that is shown.
    expect(states).toEqual(["est|trk|snat", "est|trk|snat", "est|trk|snat"]);
    expect(classes?.traced).toBe(2);
  });

  it("a state that is given comes first", () => {
    const flow = `in_port=1,tcp,${A},tp_src=10,tp_dst=80`;
    const argv = ["ovs-appctl", "ofproto/trace", "br0", flow, "--ct-next", "trk,inv"];
    const r = runCommandLine(opened(), argv);
    expect(r.stdout).toContain("resume conntrack with ct_state=inv|trk");
    expect(r.stderr).toBe("");
  });
});

/** Whether a line, without what this switch does not show, is the one expected. */
function matches(line: string, expected: string): boolean {
  const port = /ct_tp_src=(\d+)/.exec(expected)?.[1];
  return line.includes(port === "8" ? "icmp," : `sport=${port},`);
}
