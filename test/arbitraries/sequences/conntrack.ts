// Connections: a stateful pipeline with zones, marks, labels, address translation and helpers, and
// conversations through it in both directions.
//
// Random in Open vSwitch, and therefore not drawn: the place in a range of addresses or ports where
// NAT starts to look (the hash has a random basis). Single addresses and ports have one answer; a
// port that is taken is replaced by the next free one, which is the same everywhere.

import { type Draw, story } from "./draw.ts";
import {
  DATAPATH,
  MEGAFLOWS,
  WHOLE_MEGAFLOWS,
  flows,
  flowsOf,
  LOOK,
  run,
  type Sequence,
  type SequenceKind,
  type Step,
  trace,
  warp,
} from "./step.ts";
import * as talk from "./talk.ts";
import { vlanTag } from "./wire.ts";

const CLIENTS4 = ["10.0.0.1", "10.0.0.3"];
const SERVERS4 = ["10.0.1.1", "10.0.1.2"];
const CLIENTS6 = ["fd00::1", "fd00::3"];
const SERVERS6 = ["fd00:0:1::1"];

interface Nat {
  readonly kind: "src" | "dst";
  readonly ip: string;
  readonly ip6: string;
  /** 0: the port stays if it is free. */
  readonly port: number;
}

interface Plan {
  readonly zone: string;
  readonly nat: Nat | null;
  readonly alg: string;
}

function plan(d: Draw): Plan {
  const nat: Nat | null = d.chance(55)
    ? {
        kind: d.pick(["src", "dst"] as const),
        ip: d.pick(["10.9.9.9", "10.0.1.9"]),
        ip6: "fd00:0:9::9",
        port: d.pick([0, 0, 8080]),
      }
    : null;
  return {
    zone: d.pick(["", "zone=1", "zone=5", "zone=NXM_NX_REG0[0..15]"]),
    nat,
    alg: d.pick(["", "", "", "alg=ftp", "alg=tftp"]),
  };
}

const join = (...parts: readonly string[]): string => parts.filter((p) => p !== "").join(",");

function natText(nat: Nat | null, six: boolean): string {
  if (nat === null) {
    return "";
  }
  const address = six ? (nat.port > 0 ? `[${nat.ip6}]` : nat.ip6) : nat.ip;
  return `nat(${nat.kind}=${address}${nat.port > 0 ? `:${nat.port}` : ""})`;
}

function exec(d: Draw): string {
  return d.pick([
    "",
    "",
    "exec(set_field:0x1->ct_mark)",
    "exec(set_field:0x10/0xf0->ct_mark,set_field:0x2->ct_label)",
    "exec(load:0x3->NXM_NX_CT_LABEL[64..95])",
    "exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[])",
  ]);
}

/** A flow for `ip` and the same for `ipv6`. */
function both(f: (six: boolean) => string): string[] {
  return [f(false), f(true)];
}

function firewall(d: Draw, p: Plan): string[] {
  const nat = p.nat === null ? "" : d.pick(["nat", "nat", "nat", ""]);
  const first = d.pick(["", "", "set_field:7->reg0,", "set_field:0x5->reg2,"]);
  const family = (six: boolean) => (six ? "ipv6" : "ip");
  const commit = d.pick(["commit", "commit", "commit", "commit,force"]);
  const mark = exec(d);
  const after = d.pick(["table=3", "table=3", ""]);
  const back = d.pick(["", ",ct_mark=0x1", ",ct_mark=0x10/0xf0", ",ct_label=0x2/0x2"]);
  const inv = d.pick(["drop", "4", "ct_clear,4"]);
  const related = d.pick([
    "IN_PORT,1,2",
    "3",
    `ct(${join("commit", p.zone, "nat", "table=3")})`,
    `ct(${join("commit", p.zone, "nat", "table=3")})`,
  ]);
  const list = [
    ...both(
      (s) => `table=0,priority=10,${family(s)},actions=${first}ct(${join(p.zone, nat, "table=1")})`,
    ),
    "table=0,priority=1,arp,actions=normal",
    `table=1,priority=20,ct_state=+trk+inv,actions=${inv}`,
    ...both((s) => {
      const ct = join(commit, p.zone, natText(p.nat, s), mark, after);
      return `table=1,priority=10,${family(s)},ct_state=+trk+new,in_port=1,actions=ct(${ct}),2`;
    }),
    ...(p.alg === "" ? [] : both((s) => helped(p, s, join(commit, p.zone, natText(p.nat, s))))),
    `table=1,priority=9,ct_state=+trk+est${back},in_port=1,actions=2`,
    `table=1,priority=8,ct_state=+trk+est${back},in_port=2,actions=1`,
    ...both((s) => `table=1,priority=8,${family(s)},ct_state=+trk+rel,actions=${related}`),
    "table=3,priority=5,in_port=1,actions=2",
    "table=3,priority=5,in_port=2,actions=1",
    "table=3,priority=9,ct_state=+snat,actions=3,2",
    "table=3,priority=9,ct_state=+dnat,actions=4,2",
  ];
  return [...list, ...extras(d, p)];
}

/** New control connections of a protocol that has a helper. */
function helped(p: Plan, six: boolean, ct: string): string {
  const l4 = p.alg === "alg=ftp" ? "tcp" : "udp";
  const match = `table=1,priority=15,${l4}${six ? "6" : ""},ct_state=+trk+new,in_port=1`;
  return `${match},tp_dst=${l4 === "tcp" ? 21 : 69},actions=ct(${join(ct, p.alg)}),2`;
}

/** Flows that change the story here and there. */
function extras(d: Draw, p: Plan): string[] {
  return d.some(
    [
      `table=1,priority=11,ip,ct_state=+new,in_port=2,actions=ct(${join("commit", p.zone)}),1`,
      "table=1,priority=12,ip,ct_state=+est+rpl,actions=dec_ttl,1,3",
      "table=1,priority=12,tcp,tcp_flags=+fin,actions=3,1,2",
      "table=1,priority=12,ip,ct_state=+trk+est,ct_nw_src=10.0.0.3,actions=3,2",
      "table=1,priority=12,udp,ct_state=+trk+est,ct_nw_proto=17,ct_tp_dst=53,actions=4",
      "table=1,priority=13,ct_state=+est,ip,nw_ecn=3,actions=ct(table=2,zone=9)",
      "table=2,priority=1,ip,actions=ct(commit,zone=9),2",
      "table=1,priority=13,ct_state=+est,icmp,actions=ct(commit,zone=8,exec(set_field:9->ct_mark)),2,1",
      "table=0,priority=11,ip,nw_frag=later,actions=3",
      "table=0,priority=11,vlan_vid=0x1000/0x1000,ip,actions=strip_vlan,ct(table=1,zone=2)",
      "table=0,priority=12,udp,tp_dst=54,actions=ct(commit),ct(table=1)",
      "table=0,priority=12,in_port=2,tcp,tp_src=80,actions=ct(nat,table=1)",
      "table=0,priority=12,icmp,actions=clone(ct(table=1)),3",
      "table=0,priority=12,sctp,actions=ct(commit,zone=3,nat(src=10.9.9.9),table=3)",
    ],
    12,
  );
}

/** The ends of a talk, whose replies go to where the translation has put its ends. */
function ends(d: Draw, p: Plan): talk.Talk {
  const six = d.chance(25);
  const from = { ip: d.pick(six ? CLIENTS6 : CLIENTS4), port: d.pick([1000, 1000, 1001, 2000]) };
  const to = { ip: d.pick(six ? SERVERS6 : SERVERS4), port: d.pick([80, 80, 53, 54, 8080]) };
  const nat = d.chance(90) ? p.nat : null;
  const changed = (e: talk.End) =>
    nat === null ? e : { ip: six ? nat.ip6 : nat.ip, port: nat.port > 0 ? nat.port : e.port };
  return {
    inside: "p1",
    outside: d.chance(95) ? "p2" : "p1",
    from,
    to,
    backFrom: nat?.kind === "dst" ? changed(to) : to,
    backTo: nat?.kind === "src" ? changed(from) : from,
    tag: d.chance(5) ? vlanTag(d.pick([0, 10])) : [],
  };
}

function conversation(d: Draw, p: Plan): Step[] {
  const t = ends(d, p);
  return d.one<Step[]>([
    [8, () => talk.tcpTalk(d, t)],
    [4, () => talk.udpTalk(d, t)],
    [2, () => talk.icmpTalk(d, t)],
    [1, () => talk.sctpTalk(d, t)],
    [4, () => [...talk.udpTalk(d, t).slice(0, 1), ...talk.errorTalk(d, t)]],
    [2, () => [...talk.tcpTalk(d, t).slice(0, 3), ...talk.errorTalk(d, t)]],
    [3, () => talk.fragmentTalk(d, t)],
    [p.alg === "alg=ftp" ? 8 : 0, () => talk.ftpTalk(d, t)],
    [p.alg === "alg=tftp" ? 8 : 0, () => talk.tftpTalk(d, t)],
  ]);
}

/** What an operator or the clock does meanwhile. */
function event(d: Draw, p: Plan): Step[] {
  return d.one<Step[]>([
    [6, () => [warp(d.pick([100, 1000, 5000, 11000, 31000, 61000, 130000]))]],
    [2, () => [run("ovs-appctl dpctl/flush-conntrack zone=1")]],
    [
      1,
      () => [
        run(
          `ovs-appctl dpctl/flush-conntrack ct_nw_src=${d.pick(CLIENTS4)},ct_nw_proto=${d.pick([6, 17])}`,
        ),
      ],
    ],
    [1, () => [run(`ovs-appctl dpctl/ct-set-limits zone=${d.pick([0, 1, 5])},limit=2`)]],
    [1, () => [run("ovs-appctl dpctl/ct-disable-tcp-seq-chk")]],
    // Megaflows behind a recirculation live as long as its number, which threads give up in time.
    [1, () => [run("ovs-appctl revalidator/purge"), ...flows("br0", firewall(d, p))]],
    [3, () => [LOOK]],
    [3, () => traces(conversation(d, p).slice(0, 3))],
  ]);
}

/** What the packets would do now; a trace makes no connections. */
function traces(steps: readonly Step[]): Step[] {
  return steps.filter((s) => s.do === "frame").map((s) => trace("br0", s));
}

const sequence = story((d): Sequence => {
  const p = plan(d);
  const talks = d.many(1, 4, () => conversation(d, p));
  const steps = interleaved(d, talks);
  for (let n = d.pick([0, 0, 1, 2]); n > 0; n--) {
    steps.splice(d.int(steps.length), 0, ...event(d, p));
  }
  return { steps: [...flows("br0", firewall(d, p)), ...steps, LOOK] };
});

function interleaved(d: Draw, talks: readonly Step[][]): Step[] {
  return d.chance(50) ? talks.flat() : talk.interleaved(d, talks);
}

const PORTS = [1, 2, 3, 4];

export const CONNTRACK: SequenceKind = {
  name: "conntrack",
  setup: [
    "ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure" +
      " other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00",
    ...PORTS.map(
      (p) =>
        `ovs-vsctl add-port br0 p${p} -- set interface p${p} type=dummy ofport_request=${p}` +
        ` options:tx_pcap=p${p}.pcap`,
    ),
  ],
  reset: [
    run("ovs-appctl dpctl/flush-conntrack"),
    run("ovs-appctl dpctl/ct-del-limits zone=0,1,5"),
    run("ovs-appctl dpctl/ct-enable-tcp-seq-chk"),
    run("ovs-appctl fdb/flush br0"),
    // Fragments that wait for others are given up.
    warp(60_000),
  ],
  captures: PORTS.map((p) => `p${p}`),
  looks: [
    MEGAFLOWS,
    WHOLE_MEGAFLOWS,
    DATAPATH,
    { line: "ovs-appctl dpctl/dump-conntrack -m -s", order: "lines" },
    { line: "ovs-appctl dpctl/ct-stats-show", order: "exact" },
    { line: "ovs-appctl dpctl/ipf-get-status", order: "exact" },
    { line: "ovs-appctl dpctl/ct-get-limits", order: "lines" },
    flowsOf("br0"),
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br0", order: "exact" },
  ],
  sequence,
};
