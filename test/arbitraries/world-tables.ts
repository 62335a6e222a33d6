// What the tables of a world do: firewalls that track and translate, flows that match on anything and
// change it, groups, meters. Drawn flow by flow, in the words of ovs-ofctl.

import type { Pick } from "./matches.ts";

type Argv = readonly string[];

/** Ports of br0, by OpenFlow number. */
const BR0_PORTS = [1, 2, 3, 4] as const;
const TUNNEL_PORTS = [11, 12, 13, 14, 15, 16] as const;
/** One flow of IPv6 in so many is translated. */
const NAT6_ONE_IN = 3;

const pick = <T>(r: Pick, list: readonly T[]): T => list[r(list.length)] as T;

const TUNNEL_SETS = ["set_field:7->tun_id", "set_field:5->tun_id", "set_field:0xa->tun_metadata0"];

/** What happens in the end to what came through. */
function verdict(r: Pick): string {
  const out = () => `output:${pick(r, BR0_PORTS)}`;
  switch (r(16)) {
    case 0:
    case 1:
    case 2:
      return "normal";
    case 3:
      return `${pick(r, TUNNEL_SETS)},output:${pick(r, TUNNEL_PORTS)}`;
    case 4:
      return `${pick(r, TUNNEL_SETS)},normal`;
    case 5:
      return "dec_ttl,normal";
    case 6:
      return `group:${1 + r(3)}`;
    case 7:
      return `set_field:${1 + r(9)}->reg1,resubmit(,8)`;
    case 8:
      return "output:5";
    case 9:
      return `learn(table=7,idle_timeout=60,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,7)`;
    case 10:
      return `clone(${change(r)},${out()}),normal`;
    case 11:
      return pick(r, ["flood", "all", "controller", "local"]);
    case 12:
      return `${change(r)},${out()}`;
    case 13:
      return `resubmit(,6),${out()}`;
    case 14:
      return "resubmit(,9)";
    default:
      return out();
  }
}

const CHANGES = [
  "mod_dl_src:02:00:00:00:00:01",
  "mod_dl_dst:50:54:00:00:00:02",
  "mod_vlan_vid:5",
  "mod_vlan_pcp:3",
  "strip_vlan",
  "push_vlan:0x8100,set_field:0x1007->vlan_vid",
  "push_mpls:0x8847,set_field:77->mpls_label",
  "pop_mpls:0x0800",
  "encap(nsh),set_field:0x1234->nsh_spi,encap(ethernet),set_field:50:54:00:00:00:02->eth_dst",
  "decap()",
  "load:1->NXM_NX_REG1[]",
  "move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG1[0..7]",
  "output(port=2,max_len=70)",
  "check_pkt_larger(100)->NXM_NX_REG1[0]",
  "multipath(symmetric_l4,0,modulo_n,2,0,NXM_NX_REG1[0..3])",
  "ct_clear",
  "set_queue:1",
] as const;
const IP_CHANGES = [
  "mod_nw_src:10.0.0.77",
  "mod_nw_dst:10.0.0.3",
  "mod_nw_tos:32",
  "mod_nw_ecn:1",
  "mod_nw_ttl:7",
  "dec_ttl",
] as const;

/** What a match allows to be changed, by the word that the match begins with. */
const CHANGES_OF: Readonly<Record<string, readonly string[]>> = {
  ip: IP_CHANGES,
  tcp: [...IP_CHANGES, "set_field:8080->tcp_dst", "set_field:1->tcp_src"],
  udp: [...IP_CHANGES, "set_field:5353->udp_dst", "set_field:7->udp_src"],
  sctp: [...IP_CHANGES, "set_field:9->sctp_dst", "set_field:8->sctp_src"],
  icmp: [...IP_CHANGES, "set_field:3->icmp_type", "set_field:1->icmp_code"],
  ipv6: [
    "set_field:2001:db8::77->ipv6_src",
    "set_field:2001:db8::3->ipv6_dst",
    "set_field:0x12345->ipv6_label",
    "dec_ttl",
    "mod_nw_tos:32",
  ],
  icmp6: ["set_field:2->icmpv6_code", "set_field:2001:db8::3->ipv6_dst", "dec_ttl"],
  "icmp6,icmp_type=135": [
    "set_field:2001:db8::4->nd_target",
    "set_field:50:54:00:00:00:03->nd_sll",
    "set_field:1->nd_options_type",
  ],
  "icmp6,icmp_type=136": [
    "set_field:2001:db8::4->nd_target",
    "set_field:50:54:00:00:00:03->nd_tll",
    "set_field:0xe0000000->nd_reserved",
  ],
  arp: [
    "set_field:2->arp_op",
    "set_field:10.0.0.4->arp_spa",
    "set_field:10.0.0.5->arp_tpa",
    "set_field:50:54:00:00:00:03->arp_sha",
    "set_field:50:54:00:00:00:04->arp_tha",
  ],
  mpls: [
    "pop_mpls:0x0800",
    "pop_mpls:0x86dd",
    "pop_mpls:0x8847",
    "set_field:77->mpls_label",
    "set_field:3->mpls_tc",
    "dec_mpls_ttl",
    "set_mpls_ttl(5)",
    "push_mpls:0x8848",
  ],
  "dl_type=0x894f": [
    "set_field:9->nsh_ttl",
    "dec_nsh_ttl",
    "set_field:0x123456->nsh_spi",
    "set_field:7->nsh_si",
    "set_field:0x11223344->nsh_c1",
    "decap()",
    "decap(),decap()",
  ],
};

function change(r: Pick): string {
  return pick(r, CHANGES);
}

const nat = (r: Pick) =>
  pick(r, [
    "",
    "",
    ",nat(src=10.9.9.9)",
    ",nat(src=10.9.9.9-10.9.9.12:7000-7003)",
    ",nat(src=10.9.9.9-10.9.9.12,hash)",
    ",nat(dst=10.0.0.2:80)",
    ",nat(src=10.9.9.9,persistent)",
    ",nat",
    ",nat(dst=10.0.0.2-10.0.0.4:80-90,random)",
  ]);

const nat6 = (r: Pick) =>
  r(NAT6_ONE_IN) > 0
    ? ""
    : pick(r, [
        ",nat(src=2001:db8::77)",
        ",nat(src=[2001:db8::70]-[2001:db8::77]:7000-7009)",
        ",nat(dst=[2001:db8::2]:80)",
      ]);

/** Table 0 tracks, table 1 decides by state. */
function firewall(r: Pick, base: number): string[] {
  const zone = 1 + r(3);
  const natHere = nat(r);
  const natHere6 = nat6(r);
  const [ftp, tftp] = pick(r, [
    ["", ""],
    ["", ""],
    [",alg=ftp", ",alg=tftp"],
  ]);
  const exec = pick(r, ["", ",exec(set_field:0x7->ct_mark)", ",exec(set_field:0x9/0xf->ct_label)"]);
  const [t, next] = [`table=${base}`, base + 1];
  const un = natHere === "" ? "" : ",nat";
  const un6 = natHere6 === "" ? "" : ",nat";
  const commit = (n: string, a: string) => `ct(commit,zone=${zone}${n}${exec}${a})`;
  return [
    `${t},priority=10,ip,actions=ct(zone=${zone},table=${next}${un})`,
    `${t},priority=10,ipv6,actions=ct(zone=${zone},table=${next}${un6})`,
    `${t},priority=1,actions=${verdict(r)}`,
    `table=${next},priority=12,tcp6,ct_state=+trk+new,actions=${commit(natHere6, ftp)},${verdict(r)}`,
    `table=${next},priority=12,tcp,ct_state=+trk+new,actions=${commit(natHere, ftp)},${verdict(r)}`,
    `table=${next},priority=12,udp,ct_state=+trk+new,actions=${commit(natHere, tftp)},${verdict(r)}`,
    `table=${next},priority=10,ip,ct_state=+trk+new,actions=${commit(natHere, "")},${verdict(r)}`,
    `table=${next},priority=10,ipv6,ct_state=+trk+new,actions=${commit(natHere6, "")},${verdict(r)}`,
    `table=${next},priority=9,ct_state=+trk+est-rpl,actions=${verdict(r)}`,
    `table=${next},priority=9,ct_state=+trk+est+rpl,actions=${verdict(r)}`,
    `table=${next},priority=8,ct_state=+trk+rel,actions=${verdict(r)}`,
    `table=${next},priority=7,ct_state=+trk+inv,actions=${pick(r, ["drop", "normal"])}`,
    `table=${next},priority=1,actions=${pick(r, ["drop", "normal", "resubmit(,6)"])}`,
  ];
}

const MATCHES = [
  "",
  "in_port=1",
  "in_port=11",
  "ip",
  "ip,nw_dst=10.0.0.2",
  "ip,nw_src=10.0.0.0/29",
  "tcp,tp_dst=80",
  "tcp,tcp_flags=+syn-ack",
  "udp,tp_dst=53",
  "icmp",
  "sctp",
  "ip,nw_frag=yes",
  "ip,nw_frag=first",
  "ipv6",
  "ipv6,ipv6_dst=2001:db8::2",
  "icmp6",
  "arp",
  "mpls",
  "dl_vlan=5",
  "vlan_tci=0x0000",
  "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
  "ip,nw_ttl=1",
  "icmp6,icmp_type=135",
  "icmp6,icmp_type=136",
  "dl_type=0x894f",
  "ipv6,nw_frag=yes",
  "ipv6,ipv6_label=0",
  "mpls,mpls_bos=1",
  "mpls,mpls_label=7",
  "dl_vlan=5,dl_vlan_pcp=3",
  "arp,arp_op=1",
  "tcp,tp_src=0x3e8/0xfff8",
  "tcp,tcp_flags=+syn",
  "conj_id=1",
  "reg1=1",
  "tun_id=7",
  "tun_metadata0=0xa",
  "ct_mark=7",
  "ct_state=-trk",
] as const;

function anyFlow(r: Pick, tables: readonly number[]): string {
  const match = pick(r, MATCHES);
  const changes = CHANGES_OF[match] ?? CHANGES_OF[match.split(",")[0] ?? ""] ?? [];
  const n = r(3);
  const list: string[] = [];
  for (let i = 0; i < n; i++) {
    list.push(changes.length > 0 && r(3) > 0 ? pick(r, changes) : change(r));
  }
  list.push(verdict(r));
  const head = `table=${pick(r, tables)},priority=${r(20)}`;
  return `${head}${match === "" ? "" : `,${match}`},actions=${list.join(",")}`;
}

/** Table 9 changes what it knows, a kind of packet by a flow. */
function changers(r: Pick): string[] {
  return Object.entries(CHANGES_OF).map(([match, changes], i) => {
    const list = [pick(r, changes), ...(r(2) === 0 ? [pick(r, changes)] : [])];
    const out = pick(r, ["normal", `output:${pick(r, BR0_PORTS)}`, "output:5"]);
    return `table=9,priority=${i},${match},actions=${list.join(",")},${out}`;
  });
}

/** Both hosts and both services, if table 6 is asked. */
const CONJUNCTIONS = [
  "table=6,priority=9,ip,nw_src=10.0.0.1,actions=conjunction(1,1/2)",
  "table=6,priority=9,ip,nw_src=10.0.0.2,actions=conjunction(1,1/2)",
  "table=6,priority=9,tcp,tp_dst=80,actions=conjunction(1,2/2)",
  "table=6,priority=9,udp,tp_dst=53,actions=conjunction(1,2/2)",
];

/** Meters have to come first in a list, so that table 8 has them. */
export const METERED = [
  "table=8,priority=1,actions=meter:1,output:2",
  "table=8,priority=2,reg1=1/1,actions=meter:2,output:3",
];

export function tables(r: Pick): string[] {
  const flows: string[] = [];
  if (r(4) > 0) {
    flows.push(...firewall(r, 0));
  }
  if (r(3) === 0) {
    flows.push("table=6,priority=20,ip,actions=resubmit(,2)", ...firewall(r, 2));
  }
  const firewalls = flows.length;
  if (r(3) === 0) {
    flows.push(...CONJUNCTIONS);
  }
  flows.push(...changers(r), ...(r(4) === 0 ? ["table=0,priority=30,actions=resubmit(,9)"] : []));
  const free = firewalls === 0 ? [0, 0, 6, 7] : [0, 6, 6, 7];
  for (let n = 2 + r(10); n > 0; n--) {
    flows.push(anyFlow(r, free));
  }
  return flows;
}

export function groups(r: Pick): Argv[] {
  const of = ["ovs-ofctl", "-O", "OpenFlow15"];
  const bucket = (type: string) =>
    `bucket=${type === "select" ? `weight:${1 + r(5)},` : ""}` +
    `${type === "all" ? "" : `watch_port:${1 + r(3)},`}` +
    `actions=output:${1 + r(4)}`;
  const group = (id: number) => {
    const type = pick(r, ["all", "select", "fast_failover"]);
    const hash = type === "select" ? pick(r, ["", ",selection_method=dp_hash"]) : "";
    return `group_id=${id},type=${type}${hash},${bucket(type)},${bucket(type)}`;
  };
  return [
    ...[1, 2, 3].map((id) => [...of, "add-group", "br0", group(id)]),
    [...of, "add-meter", "br0", "meter=1,pktps,burst,band=type=drop,rate=100,burst_size=20"],
    [...of, "add-meter", "br0", "meter=2,kbps,band=type=drop,rate=800"],
  ];
}
