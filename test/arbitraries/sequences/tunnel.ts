// Native tunnels: VXLAN (GBP, GPE), Geneve with options, GRE, ERSPAN, GTP-U over IPv4 and IPv6;
// frames that get encapsulated, packets of a remote end, neighbours learned from ARP and ND.
//
// Undefined in Open vSwitch, and therefore not drawn: actions after an output to a layer-3 tunnel. It
// takes the Ethernet header off and does not put it back (the daemon crashes on some of what
// follows), so such an output comes last, and floods leave those tunnels out.
//
// A neighbour that is not known is asked for at each revalidation, and how many revalidations there
// are between two changes is a race of threads: all neighbours are known here, and change.
//
// A packet that the datapath's simple-match table knows gets no hash, and the UDP source port of its
// tunnel is made of what stood in its memory before. A flow for a MAC address that nobody has keeps
// megaflows out of that table.
//
// No two tunnels are drawn alike: which of two equal ones is refused depends on random row ids.

import { perhapsDamaged } from "./damage-frame.ts";
import { type Draw, story } from "./draw.ts";
import { MACS } from "./hosts.ts";
import {
  DATAPATH,
  MEGAFLOWS,
  WHOLE_MEGAFLOWS,
  flows,
  flowsOf,
  frame,
  LOOK,
  macsOf,
  paced,
  run,
  type Sequence,
  type SequenceKind,
  type Step,
  trace,
  warp,
} from "./step.ts";
import * as w from "./wire.ts";

const NOBODY = "0e:00:00:00:00:01";
const LOCAL_MAC = "aa:66:aa:66:00:01";
const LOCAL_IP = "172.31.1.1";
const LOCAL_IP6 = "fd00::1";
const REMOTE_MACS = [1, 2, 3].map((n) => `aa:bb:cc:00:00:0${n}`);
const NEIGHBOURS = ["172.31.1.2", "172.31.1.3", "172.31.1.4", "172.31.1.254", "fd00::2", "fd00::3"];

interface Tunnel {
  readonly name: string;
  readonly type: string;
  readonly remote: string;
}

const TUNNELS: readonly Tunnel[] = [
  { name: "t0", type: "vxlan", remote: "172.31.1.2" },
  { name: "t1", type: "geneve", remote: "172.31.1.2" },
  { name: "t2", type: "gre", remote: "172.31.1.2" },
  { name: "t3", type: "erspan", remote: "172.31.1.2" },
  { name: "t4", type: "vxlan", remote: "172.31.1.3" },
  { name: "t5", type: "gtpu", remote: "172.31.1.2" },
  { name: "t6", type: "vxlan", remote: "fd00::2" },
  { name: "t7", type: "geneve", remote: "flow" },
  { name: "t8", type: "gre", remote: "8.8.8.8" },
  { name: "t9", type: "ip6gre", remote: "fd00::2" },
];
const ofport = (i: number): number => 11 + i;
/** Ports that may be of layer 3, and the others. */
const LAYER3 = ["t5", "t8"];
const LAYER2_PORTS = TUNNELS.flatMap((t, i) => (LAYER3.includes(t.name) ? [] : [ofport(i)]));
const KEYS = ["5", "0x77", "flow"];

function options(d: Draw, t: Tunnel): string {
  const list = [
    `remote_ip=${t.remote}`,
    ...(t.remote === "flow" || d.chance(80)
      ? [`key=${t.remote === "flow" ? "flow" : d.pick(KEYS)}`]
      : []),
    ...d.some([`tos=${d.pick(["inherit", "0x20", "8"])}`], 20),
    ...d.some([`ttl=${d.pick(["inherit", "10", "128"])}`], 20),
    ...d.some([`df_default=${d.pick(["true", "false"])}`], 20),
    ...d.some([`csum=${d.pick(["true", "false"])}`], 30),
    ...d.some([`egress_pkt_mark=${d.range(1, 3)}`], 8),
  ];
  if (t.type === "vxlan" && t.name === "t0") {
    list.push(...d.some([`exts=${d.pick(["gbp", "gpe"])}`], 30));
  }
  if (t.type === "gre") {
    list.push(...d.some(["seq=true"], 25));
  }
  if (t.name === "t8") {
    list.push(...d.some([`packet_type=${d.pick(["legacy_l3", "ptap"])}`], 50));
  }
  if (t.type === "erspan") {
    const version = d.pick(["1", "2"]);
    const own =
      version === "1"
        ? [`erspan_idx=${d.pick(["3", "0x1f"])}`]
        : [`erspan_dir=${d.int(1)}`, `erspan_hwid=${d.pick([4, 7])}`];
    list.push(`erspan_ver=${version}`, ...own);
  }
  return list.map((o) => `options:${o}`).join(" ");
}

function configuration(d: Draw): Step {
  const each = TUNNELS.map(
    (t) => `-- clear interface ${t.name} options -- set interface ${t.name} ${options(d, t)}`,
  );
  return run(`ovs-vsctl ${each.join(" ")}`);
}

const MATCHES = [
  "in_port=1",
  "in_port=2",
  "in_port=11",
  "in_port=12",
  "in_port=18",
  "tun_id=5",
  "tun_src=172.31.1.2",
  "tun_dst=172.31.1.1",
  "tun_ipv6_src=fd00::2",
  "ip",
  "arp",
  "tun_metadata0=3",
  "tun_metadata1",
  "tun_flags=oam",
  "dl_vlan=10",
  "tun_id=0x70/0xf0",
  "tun_gbp_id=3",
  "tun_erspan_idx=3",
  "in_port=12,udp",
  "packet_type=(1,0x800)",
];

function action(d: Draw): string {
  return d.one<string>([
    [10, () => `output:${d.pick(LAYER2_PORTS)}`],
    [3, () => `output:${d.range(1, 2)}`],
    [2, () => d.pick(["NORMAL", "IN_PORT"])],
    [
      5,
      () =>
        d.pick(["set_field:5->tun_id", "set_field:0x77->tun_id", "set_field:0x123456789a->tun_id"]),
    ],
    [
      4,
      () =>
        d.pick([
          "set_field:172.31.1.3->tun_dst",
          "set_field:172.31.1.2->tun_dst",
          "set_field:172.31.1.4->tun_dst",
          "set_field:fd00::2->tun_ipv6_dst",
        ]),
    ],
    [1, () => d.pick(["set_field:172.31.1.1->tun_src", "set_field:172.31.1.77->tun_src"])],
    [
      2,
      () =>
        d.pick([
          "set_field:oam->tun_flags",
          "set_field:7->tun_gbp_id",
          "set_field:1->tun_gbp_flags",
        ]),
    ],
    [
      2,
      () =>
        d.pick([
          "set_field:3->tun_metadata0",
          "set_field:0x1234->tun_metadata1",
          "move:NXM_NX_TUN_METADATA0[0..31]->NXM_NX_REG0[]",
        ]),
    ],
    [
      2,
      () =>
        d.pick([
          "push_vlan:0x8100,set_field:4108->vlan_vid",
          "set_field:2->pkt_mark",
          "move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[]",
          "push_mpls:0x8847",
        ]),
    ],
    [
      2,
      () =>
        d.pick([
          "clone(set_field:6->tun_id,output:11),output:12",
          "output(port=11,max_len=64)",
          "output(port=12,max_len=100)",
          "check_pkt_larger(100)->NXM_NX_REG0[0]",
        ]),
    ],
    [
      1,
      () =>
        d.pick([
          "sample(probability=65535,collector_set_id=1),output:11",
          "set_field:3->tun_erspan_idx",
          "resubmit(,1)",
        ]),
    ],
  ]);
}

function table(d: Draw): string[] {
  const some = d.many(2, 7, () => {
    const list = d.many(1, 3, () => action(d));
    const out = d.pick([...TUNNELS.keys()]);
    const end = d.chance(50) ? [`output:${ofport(out)}`] : [];
    return `priority=${d.range(1, 9)},${d.pick(MATCHES)},actions=${[...list, ...end].join(",")}`;
  });
  return [
    `priority=30,dl_dst=${NOBODY},actions=drop`,
    ...some,
    "table=1,priority=1,ip,actions=dec_ttl,output:11",
    "priority=1,in_port=1,actions=output:2",
    `priority=0,actions=${d.pick(["NORMAL", "1", "1,2"])}`,
  ];
}

function underlay(d: Draw): string[] {
  const some = d.chance(20)
    ? [
        `priority=10,ip,actions=${d.pick(["mod_nw_tos:32,NORMAL", "drop", "dec_ttl,NORMAL", "mod_vlan_vid:7,output:1"])}`,
      ]
    : [];
  return [...some, "priority=0,actions=NORMAL"];
}

function innerPacket(d: Draw, src: string): readonly [number, w.Bytes] {
  const body = w.text("i".repeat(d.pick([0, 5, 60])));
  const h4 = {
    src: "10.0.0.1",
    dst: "10.0.0.2",
    tos: d.pick([0, 0, 32, 1, 2, 3]),
    ttl: d.pick([64, 3]),
  };
  const h6 = { src: "fd01::1", dst: "fd01::2", tclass: d.pick([0, 0x40, 3]), hlimit: 7 };
  return d.one<readonly [number, w.Bytes]>([
    [4, () => [0x0800, w.ipv4(h4, w.udp(d.range(1, 3), 80, body))]],
    [3, () => [0x0800, w.ipv4(h4, w.tcp({ sport: d.range(1, 3), dport: 80, flags: 2 }, body))]],
    [1, () => [0x0800, w.ipv4(h4, w.icmp(8, 0, 1, body))]],
    [2, () => [0x86dd, w.ipv6(h6, w.udp(1, 2, body))]],
    [1, () => [0x0806, w.arp(1, src, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2")]],
    [1, () => [0x1234, w.zeros(20)]],
  ]);
}

function innerFrame(d: Draw): Uint8Array {
  const src = d.pick(MACS.slice(0, 3));
  const dst = d.chance(75) ? d.pick(MACS.slice(0, 4)) : "ff:ff:ff:ff:ff:ff";
  const [type, bytes] = innerPacket(d, src);
  return w.eth(dst, src, type, bytes, d.chance(15) ? w.vlanTag(10) : []);
}

const vni = (d: Draw): number => d.pick([5, 5, 0x77, 0]);

/** UDP port and bytes behind the UDP header, or an IP protocol and its bytes. */
interface Encapsulated {
  readonly udp: number;
  readonly proto: number;
  readonly bytes: w.Bytes;
}

const overUdp = (udp: number, bytes: w.Bytes): Encapsulated => ({ udp, proto: 17, bytes });
const overIp = (proto: number, bytes: w.Bytes): Encapsulated => ({ udp: 0, proto, bytes });

function vxlan(d: Draw, inner: w.Bytes): Encapsulated {
  const first = d.pick([0x08000000, 0x08000000, 0x88000003, 0x0c000003, 0x00000000, 0x88400005]);
  return overUdp(4789, [
    ...w.u32(first),
    ...w.u32((vni(d) << 8) | (d.chance(5) ? 1 : 0)),
    ...inner,
  ]);
}

function geneve(d: Draw, inner: w.Bytes): Encapsulated {
  const option = (cls: number, type: number, data: w.Bytes): w.Bytes => [
    ...w.u16(cls),
    type,
    data.length / 4,
    ...data,
  ];
  const list = d
    .some(
      [
        option(0x102, 0x80, w.u32(3)),
        option(0x103, 0, [...w.u32(0), ...w.u32(0x1234)]),
        option(0x104, 0, w.u32(9)),
        option(0x104, 0x80, []),
      ],
      25,
    )
    .flat();
  const flags = (d.chance(10) ? 0x80 : 0) | (d.chance(15) ? 0x40 : 0);
  const length = list.length / 4 + (d.chance(3) ? 1 : 0);
  const proto = d.chance(95) ? 0x6558 : d.pick([0x0800, 0x1234]);
  return overUdp(6081, [length, flags, ...w.u16(proto), ...w.u32(vni(d) << 8), ...list, ...inner]);
}

function gre(d: Draw, inner: w.Bytes): Encapsulated {
  const [sum, key, seq] = [d.chance(20), d.chance(75), d.chance(20)];
  const flags =
    (sum ? 0x8000 : 0) | (key ? 0x2000 : 0) | (seq ? 0x1000 : 0) | (d.chance(3) ? 0x4000 : 0);
  const l3 = d.chance(15);
  const body = l3 ? w.ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, w.udp(1, 2)) : inner;
  const rest = [...(key ? w.u32(vni(d)) : []), ...(seq ? w.u32(1) : []), ...body];
  const head = [...w.u16(flags), ...w.u16(l3 ? 0x0800 : 0x6558)];
  const right = w.checksum([...head, 0, 0, 0, 0, ...rest]);
  return overIp(47, [
    ...head,
    ...(sum ? [...w.u16(right ^ (d.chance(10) ? 1 : 0)), 0, 0] : []),
    ...rest,
  ]);
}

function erspan(d: Draw, inner: w.Bytes): Encapsulated {
  const session = d.pick([5, 5, 0x77]);
  if (d.chance(50)) {
    const head = [...w.u16(0x1000), ...w.u16(0x88be), ...w.u32(1)];
    return overIp(47, [...head, ...w.u16(0x1000), ...w.u16(session), ...w.u32(3), ...inner]);
  }
  const head = [...w.u16(0x1000), ...w.u16(0x22eb), ...w.u32(1)];
  const second = [
    ...w.u16(0x2000),
    ...w.u16(session),
    ...w.u32(0),
    ...w.u16(0),
    ...w.u16((4 << 4) | 8),
  ];
  return overIp(47, [...head, ...second, ...inner]);
}

function gtpu(d: Draw): Encapsulated {
  const body = w.ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, w.udp(1, 2));
  const flags = d.pick([0x30, 0x30, 0x32, 0x34]);
  const optional = flags === 0x30 ? [] : [0, 0, 0, 0];
  const type = d.pick([255, 255, 1, 26]);
  const length = optional.length + body.length;
  return overUdp(2152, [flags, type, ...w.u16(length), ...w.u32(vni(d)), ...optional, ...body]);
}

/** A packet of a remote end of a tunnel, to us or (seldom) not. */
function outerFrame(d: Draw): Uint8Array {
  const inner = [...perhapsDamaged(d, innerFrame(d), 8)];
  const e = d.one<Encapsulated>([
    [4, () => vxlan(d, inner)],
    [4, () => geneve(d, inner)],
    [3, () => gre(d, inner)],
    [2, () => erspan(d, inner)],
    [1, () => gtpu(d)],
    [1, () => overUdp(d.pick([4789, 53]), inner.slice(0, d.int(12)))],
  ]);
  const t: w.Transport =
    e.udp > 0
      ? { ...w.udp(0xc000, e.udp, e.bytes, d.chance(40)), csumError: d.chance(5) ? 1 : 0 }
      : w.raw(e.proto, e.bytes);
  const six = d.chance(20);
  const tos = d.pick([0, 0, 8, 1, 2, 3]);
  const src = six ? "fd00::2" : d.pick(["172.31.1.2", "172.31.1.2", "172.31.1.3", "172.31.1.4"]);
  const dst = six ? LOCAL_IP6 : d.chance(95) ? LOCAL_IP : "172.31.1.9";
  const frag = d.chance(4) ? 0x2000 : 0;
  const packet = six ? w.ipv6({ src, dst, tclass: tos }, t) : w.ipv4({ src, dst, tos, frag }, t);
  const to = d.chance(95) ? LOCAL_MAC : "ff:ff:ff:ff:ff:ff";
  return perhapsDamaged(d, w.eth(to, d.pick(REMOTE_MACS), six ? 0x86dd : 0x0800, packet), 6);
}

/** What tells the switch a neighbour's address, or asks for its own. */
function neighbourFrame(d: Draw): Uint8Array {
  const from = d.pick(REMOTE_MACS);
  const ip = d.pick(["172.31.1.2", "172.31.1.3", "172.31.1.4", "172.31.1.254"]);
  return d.one<Uint8Array>([
    [4, () => w.eth(LOCAL_MAC, from, 0x0806, w.arp(2, from, ip, LOCAL_MAC, LOCAL_IP))],
    [
      2,
      () =>
        w.eth("ff:ff:ff:ff:ff:ff", from, 0x0806, w.arp(1, from, ip, "00:00:00:00:00:00", LOCAL_IP)),
    ],
    [1, () => w.eth("ff:ff:ff:ff:ff:ff", from, 0x0806, w.arp(d.range(1, 2), from, ip, from, ip))],
    [
      3,
      () => {
        const t = w.nd(136, d.pick(["fd00::2", "fd00::3"]), from, d.pick([0x60000000, 0x20000000]));
        return w.eth(
          LOCAL_MAC,
          from,
          0x86dd,
          w.ipv6({ src: "fd00::2", dst: LOCAL_IP6, hlimit: 255 }, t),
        );
      },
    ],
  ]);
}

function event(d: Draw): Step[] {
  const [address, lladdr] = [d.pick(["172.31.1.2", "172.31.1.3", "fd00::2"]), d.pick(REMOTE_MACS)];
  return d.one<Step[]>([
    [4, () => [warp(d.pick([1000, 6000, 11_000, 310_000]))]],
    [2, () => [LOOK]],
    [2, () => [trace("br0", frame(d.pick(["p1", "p2"]), innerFrame(d)))]],
    [1, () => [trace("br-phy", frame("u1", outerFrame(d)))]],
    [3, () => [run(`ovs-appctl tnl/neigh/set br-phy ${address} ${lladdr}`)]],
    [2, () => flows("br0", table(d))],
    [2, () => [configuration(d)]],
    [1, () => flows("br-phy", underlay(d))],
  ]);
}

const sequence = story((d): Sequence => {
  const traffic = (): Step[] => {
    if (d.chance(8)) {
      return [frame("u1", neighbourFrame(d))];
    }
    const [port, bytes] = d.one<[string, Uint8Array]>([
      [5, () => [d.pick(["p1", "p1", "p2"]), innerFrame(d)]],
      [5, () => ["u1", outerFrame(d)]],
    ]);
    return d.chance(25) ? [frame(port, bytes), frame(port, bytes)] : [frame(port, bytes)];
  };
  const steps = d.many(5, 14, traffic).flat();
  for (let n = d.pick([0, 1, 1, 2]); n > 0; n--) {
    steps.splice(d.int(steps.length), 0, ...event(d));
  }
  return {
    steps: [
      configuration(d),
      ...flows("br-phy", underlay(d)),
      ...flows("br0", table(d)),
      ...paced(steps),
      LOOK,
    ],
  };
});

export const TUNNEL: SequenceKind = {
  name: "tunnel",
  setup: [
    "ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure" +
      " other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00",
    ...[1, 2].map(
      (p) =>
        `ovs-vsctl add-port br0 p${p} -- set interface p${p} type=dummy ofport_request=${p}` +
        ` options:tx_pcap=p${p}.pcap`,
    ),
    "ovs-vsctl add-br br-phy -- set bridge br-phy fail_mode=secure" +
      ` other_config:datapath-id=0000000000000011 other_config:hwaddr=${LOCAL_MAC}`,
    "ovs-vsctl add-port br-phy u1 -- set interface u1 type=dummy ofport_request=1" +
      " options:tx_pcap=u1.pcap",
    `ovs-appctl netdev-dummy/ip4addr br-phy ${LOCAL_IP}/24`,
    `ovs-appctl netdev-dummy/ip6addr br-phy ${LOCAL_IP6}/64`,
    "ovs-appctl ovs/route/add 172.31.1.0/24 br-phy",
    "ovs-appctl ovs/route/add fd00::/64 br-phy",
    "ovs-appctl ovs/route/add 0.0.0.0/0 br-phy 172.31.1.254",
    ...TUNNELS.map(
      (t, i) =>
        `ovs-vsctl add-port br0 ${t.name} -- set interface ${t.name} ofport_request=${ofport(i)}` +
        ` type=${t.type} options:remote_ip=${t.remote}${t.remote === "flow" ? " options:key=flow" : ""}`,
    ),
    // Later versions of OpenFlow do not have this flag.
    ...LAYER3.map((name) => `ovs-ofctl -O OpenFlow10 mod-port br0 ${name} no-flood`),
    "ovs-ofctl -O OpenFlow13 add-tlv-map br0 {class=0x102,type=0x80,len=4}->tun_metadata0," +
      "{class=0x103,type=0,len=8}->tun_metadata1",
  ],
  reset: [
    // First of all, for revalidation would ask for the neighbours again.
    run("ovs-appctl revalidator/purge"),
    run("ovs-appctl tnl/neigh/flush"),
    ...NEIGHBOURS.map((ip, i) =>
      run(`ovs-appctl tnl/neigh/set br-phy ${ip} ${REMOTE_MACS[i % REMOTE_MACS.length]}`),
    ),
    run("ovs-appctl fdb/flush br0"),
    run("ovs-appctl fdb/flush br-phy"),
  ],
  captures: ["p1", "p2", "u1"],
  // ERSPAN version 2 carries the time of day.
  neutralFrame: (hex) => hex.replace(/(100022eb[0-9a-f]{16})[0-9a-f]{8}/, "$1--time--"),
  looks: [
    MEGAFLOWS,
    WHOLE_MEGAFLOWS,
    DATAPATH,
    { line: "ovs-appctl tnl/neigh/show", order: "lines" },
    { line: "ovs-appctl tnl/ports/show -v", order: "lines" },
    { line: "ovs-appctl ofproto/list-tunnels", order: "lines" },
    macsOf("br0"),
    macsOf("br-phy"),
    flowsOf("br0"),
    flowsOf("br-phy"),
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br0", order: "exact" },
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br-phy", order: "exact" },
  ],
  sequence,
};
