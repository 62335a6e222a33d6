// OpenFlow pipelines: actions of every kind on frames of every kind, groups, meters, learning,
// timeouts, packet-outs, flow changes between frames. Values come from small pools so that frames
// meet flows and come back through tables that earlier frames have changed.
//
// Random in Open vSwitch, and therefore not drawn: sampling with a probability below one.

import { perhapsDamaged } from "./damage-frame.ts";
import { type Draw, story } from "./draw.ts";
import { FAMILIES, type Family, type Layer, MACS } from "./families.ts";
import {
  DATAPATH,
  MEGAFLOWS,
  WHOLE_MEGAFLOWS,
  frame,
  flows,
  flowsOf,
  LOOK,
  paced,
  run,
  type Sequence,
  type SequenceKind,
  type Step,
  trace,
  warp,
} from "./step.ts";
import * as w from "./wire.ts";

const PORTS = ["p1", "p2", "p3", "p4"];
const TABLES_MAX = 4;

function metadataMatches(d: Draw): string[] {
  return [
    `in_port=${d.range(1, 5)}`,
    `reg0=${d.pick(["0", "1", "2", "0x10/0xf0"])}`,
    `reg1=${d.pick(["0", "1"])}`,
    `metadata=${d.pick(["0", "5", "0x1/0x3"])}`,
    `dl_src=${d.pick(MACS.slice(0, 2))}`,
    `dl_dst=${d.pick([...MACS, "01:00:00:00:00:00/01:00:00:00:00:00"])}`,
    `dl_vlan=${d.pick([10, 20])}`,
    `vlan_vid=${d.pick(["0", "0x1000/0x1000"])}`,
    `pkt_mark=${d.pick([0, 3])}`,
  ];
}

function anyAction(d: Draw): string {
  return d.one<string>([
    [8, () => `output:${d.range(1, 4)}`],
    [2, () => d.pick(["in_port", "normal", "flood", "all", "local", "output:5"])],
    [2, () => d.pick(["output(port=2,max_len=64)", "output(port=3,max_len=20)"])],
    [2, () => d.pick(["output:NXM_NX_REG0[0..15]", "output:NXM_NX_REG1[]"])],
    [3, () => d.pick([`mod_dl_src:${d.pick(MACS)}`, `mod_dl_dst:${d.pick(MACS)}`])],
    [1, () => "set_field:02:00:00:00:00:00/ff:00:00:00:00:ff->eth_src"],
    [
      3,
      () => d.pick(["push_vlan:0x8100", "push_vlan:0x88a8", "mod_vlan_vid:20", "mod_vlan_pcp:3"]),
    ],
    [3, () => `set_field:${d.pick(["1", "2", "0x13"])}->reg${d.int(1)}`],
    [
      1,
      () => d.pick(["set_field:5->metadata", "set_field:3->pkt_mark", "load:1->NXM_NX_REG0[4..7]"]),
    ],
    [2, () => d.pick(MOVES)],
    [5, () => `resubmit(,${d.range(1, TABLES_MAX)})`],
    [1, () => `resubmit(${d.range(1, 4)},${d.range(1, TABLES_MAX)})`],
    [3, () => `group:${d.range(1, 4)}`],
    [2, () => d.pick(LEARNS)],
    [
      1,
      () =>
        d.pick(["check_pkt_larger(60)->NXM_NX_REG1[0]", "check_pkt_larger(1000)->NXM_NX_REG0[0]"]),
    ],
    [
      1,
      () =>
        d.pick([
          "encap(nsh),encap(ethernet)",
          "decap",
          "encap(nsh(md_type=1))",
          "push_mpls:0x8847",
          "push_mpls:0x8848",
        ]),
    ],
    [
      3,
      () =>
        d.pick([
          "controller",
          "controller(max_len=20)",
          "controller(reason=no_match,userdata=01)",
          "controller(userdata=01.02.03,pause)",
          "controller(max_len=0,reason=action_set)",
        ]),
    ],
    [1, () => d.pick(HASHED)],
    [
      1,
      () =>
        d.pick([
          "exit",
          "debug_recirc",
          "debug_slow",
          "ct_clear",
          "note:01.02",
          "pop_queue",
          "set_queue:1",
        ]),
    ],
    [1, () => `sample(probability=65535,collector_set_id=1,obs_domain_id=0,obs_point_id=0)`],
    [1, () => "enqueue:2:1"],
  ]);
}

const MOVES = [
  "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
  "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
  "move:NXM_NX_REG0[]->NXM_NX_REG1[]",
  "push:NXM_OF_ETH_SRC[],push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]",
  "load:0->NXM_OF_IN_PORT[]",
];
const LEARNS = [
  "learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
  "learn(table=2,idle_timeout=10,priority=9,delete_learned,cookie=0x77,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15])",
  "learn(table=4,hard_timeout=20,eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],output:NXM_OF_IN_PORT[])",
  "learn(table=4,limit=1,cookie=0x5,result_dst=NXM_NX_REG1[3],NXM_OF_ETH_SRC[],load:0x5->NXM_NX_REG0[])",
];
const HASHED = [
  "multipath(symmetric_l4,0,modulo_n,4,0,NXM_NX_REG1[0..3])",
  "multipath(eth_src,50,hrw,3,0,NXM_NX_REG0[0..3])",
  "bundle(eth_src,0,hrw,ofport,members:1,2,3)",
  "bundle_load(symmetric_l4,0,active_backup,ofport,NXM_NX_REG1[],members:2,3)",
];
const IP_ACTIONS = [
  "mod_nw_src:10.0.0.2",
  "mod_nw_dst:10.0.0.1",
  "mod_nw_tos:16",
  "mod_nw_ecn:1",
  "mod_nw_ttl:9",
  "dec_ttl",
  "dec_ttl",
  "dec_ttl(1,2)",
  "set_field:10.0.0.0/255.0.0.0->ip_dst",
  "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]",
  "ct(table=1)",
  "ct(commit,zone=3,exec(set_field:0x1->ct_mark)),1",
  "ct(commit,nat(src=10.9.9.9),table=2)",
];
const IP6_ACTIONS = [
  "set_field:fd00::9->ipv6_src",
  "set_field:fd00::1->ipv6_dst",
  "set_field:0x11->ipv6_label",
  "dec_ttl",
  "mod_nw_tos:16",
  "set_field:1->nw_ecn",
  "ct(commit,zone=5,table=1)",
];
const MORE_ACTIONS: Readonly<Record<Layer, readonly string[]>> = {
  any: [],
  ip: IP_ACTIONS,
  l4: [...IP_ACTIONS, "mod_tp_src:80", "mod_tp_dst:443", "mod_tp_dst:53"],
  ip6: IP6_ACTIONS,
  l46: [...IP6_ACTIONS, "mod_tp_src:80", "mod_tp_dst:443"],
  arp: [
    "set_field:1->arp_op",
    "set_field:02:00:00:00:00:07->arp_sha",
    "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
    "set_field:10.0.0.7->arp_spa",
  ],
  mpls: [
    "pop_mpls:0x0800",
    "pop_mpls:0x8847",
    "pop_mpls:0x0800,dec_ttl",
    "dec_mpls_ttl",
    "set_field:7->mpls_label",
    "set_field:2->mpls_tc",
    "set_mpls_ttl(3)",
    "push_mpls:0x8847,set_field:9->mpls_label",
  ],
  nsh: ["decap", "dec_nsh_ttl", "set_field:0x1234->nsh_spi", "set_field:7->nsh_c1"],
};

function actionsFor(d: Draw, layer: Layer, tagged: boolean): string {
  const one = (): string =>
    MORE_ACTIONS[layer].length > 0 && d.chance(45) ? d.pick(MORE_ACTIONS[layer]) : anyAction(d);
  const list = d.many(1, 4, () =>
    d.chance(7) ? `clone(${d.many(1, 2, one).filter(plain).join(",") || "1"})` : one(),
  );
  const end = d.pick([
    "",
    "",
    "",
    "",
    "goto_table:5",
    "write_actions(output:2)",
    "write_metadata:5",
  ]);
  // A frame should come out somewhere more often than not.
  const out = d.one<string[]>([
    [4, () => [`output:${d.range(1, 4)}`]],
    [3, () => [`resubmit(,${d.range(1, TABLES_MAX)})`]],
    [3, () => []],
  ]);
  if (d.chance(5)) {
    return "drop";
  }
  // The tag can only be taken off where the match says that there is one.
  const strip = tagged && d.chance(40) ? ["strip_vlan"] : [];
  // A meter instruction comes before all actions.
  const meter = d.chance(8) ? [`meter:${d.range(1, 2)}`] : [];
  return [...meter, ...strip, ...list, ...out, ...(end === "" ? [] : [end])].join(",");
}

/** Actions that may stand inside of clone() and buckets. */
const plain = (action: string): boolean =>
  !/^(learn|meter|fin_timeout|note|exit|debug|group|encap|decap|resubmit)/.test(action);

function someFlow(d: Draw, families: readonly Family[]): string {
  const f = d.chance(25) ? null : d.pick(families);
  const own = f === null ? [] : unique(d.some(f.matches(d), 15));
  const drawn = unique(d.some(metadataMatches(d), 7));
  const low = drawn.some((m) => m.startsWith("dl_vlan="))
    ? drawn.filter((m) => !m.startsWith("vlan_vid="))
    : drawn;
  const tagged = low.some((m) => /^dl_vlan=|^vlan_vid=0x/.test(m));
  const parts = [
    `table=${d.chance(45) ? 0 : d.range(1, TABLES_MAX)}`,
    // What matches less comes before what matches more, or little would be hit behind it.
    `priority=${d.int(3) + 3 * (own.length + low.length + (f === null ? 0 : 1))}`,
    ...d.some(["idle_timeout=5", "hard_timeout=12", "cookie=0x1", "send_flow_rem"], 8),
    ...(f === null ? [] : [f.keyword]),
    ...low,
    ...own,
  ];
  return `${parts.join(",")},actions=${actionsFor(d, f?.layer ?? "any", tagged)}`;
}

/** One match a field. */
function unique(matches: readonly string[]): string[] {
  const byName = new Map(matches.map((m) => [m.split("=")[0], m]));
  return [...byName.values()];
}

/** Whether a switch takes a flow is the business of traces: our own tables are drawn to be taken. */
function tableOf(d: Draw, families: readonly Family[]): string[] {
  return d.many(4, 12, () => someFlow(d, families));
}

function groupsOf(d: Draw): string[] {
  const bucketActions = (): string =>
    d
      .many(1, 2, () =>
        d.pick([
          `output:${d.range(1, 4)}`,
          `mod_dl_dst:${d.pick(MACS)}`,
          "set_field:1->reg1",
          "push_vlan:0x8100",
          "resubmit(,3)",
        ]),
      )
      .join(",");
  return [1, 2, 3, 4].map((id) => {
    const type = d.pick(["all", "select", "indirect", "ff"]);
    const n = type === "indirect" ? 1 : d.range(1, 3);
    const buckets = d.many(n, n, (i) => {
      const weight = type === "select" ? `weight:${d.range(1, 9)},` : "";
      const watch = type === "ff" ? `watch_port:${i + 1},` : "";
      return `bucket=${weight}${watch}actions=${bucketActions()},output:${d.range(1, 4)}`;
    });
    const hash = `,selection_method=hash,fields(${d.pick(HASH_FIELDS)})`;
    const method = type === "select" ? d.pick([hash, hash, ",selection_method=dp_hash", ""]) : "";
    return `group_id=${id},type=${type}${method},${buckets.join(",")}`;
  });
}

const HASH_FIELDS = [
  "eth_src",
  "ip_src,tcp_dst",
  "eth_src,eth_dst",
  "in_port,vlan_vid",
  "ip_dst=255.255.0.0",
];

function tags(d: Draw): w.Bytes {
  return d.one<w.Bytes>([
    [8, () => []],
    [3, () => w.vlanTag(d.pick([10, 20, 0]), d.pick([0, 3]))],
    [1, () => [...w.vlanTag(10, 0, 0x88a8), ...w.vlanTag(20, 2)]],
  ]);
}

function anyBytes(d: Draw, families: readonly Family[]): Uint8Array {
  const [type, bytes] = d.pick(families).frame(d);
  const built = w.eth(d.pick(MACS), d.pick(MACS.slice(0, 2)), type, bytes, tags(d));
  return perhapsDamaged(d, built, 10);
}

/** A frame, which often comes again, or once more with a byte changed. */
function traffic(d: Draw, families: readonly Family[]): Step[] {
  const port = d.pick(PORTS);
  const bytes = anyBytes(d, families);
  return d.one<Step[]>([
    [3, () => [frame(port, bytes)]],
    [2, () => [frame(port, bytes), frame(port, bytes)]],
    [1, () => [frame(port, bytes), frame(d.pick(PORTS), bytes)]],
  ]);
}

function event(d: Draw, families: readonly Family[]): Step[] {
  return d.one<Step[]>([
    [5, () => [warp(d.pick([1000, 3000, 6000, 11_000, 25_000]))]],
    [2, () => [LOOK]],
    [3, () => [trace("br0", frame(d.pick(PORTS), anyBytes(d, families)))]],
    [4, () => [run(`ovs-ofctl -O OpenFlow15 add-flow br0 ${someFlow(d, families)}`)]],
    [
      2,
      () => [
        run(
          `ovs-ofctl -O OpenFlow15 del-flows br0 ${d.pick(["ip", "table=1", "cookie=0x1/-1", "tcp,tp_dst=80"])}`,
        ),
      ],
    ],
    [
      2,
      () => [
        run(
          `ovs-ofctl -O OpenFlow15 mod-flows br0 ${d.pick(["ip", "table=0", "arp"])},actions=${d.pick(
            ["2", "drop", "mod_dl_dst:02:00:00:00:00:09,3", "resubmit(,2)"],
          )}`,
        ),
      ],
    ],
    [
      2,
      () => [
        run(
          `ovs-ofctl -O OpenFlow13 packet-out br0 in_port=${d.pick(["controller", "1", "2"])},packet=${hex(anyBytes(d, families))},actions=${d.pick(["table", "2,3", "resubmit(,1)", "normal"])}`,
        ),
      ],
    ],
    [1, () => [run(`ovs-ofctl -O OpenFlow15 mod-group br0 ${groupsOf(d)[0]}`)]],
    [
      1,
      () => [
        run(`ovs-appctl netdev-dummy/set-admin-state p${d.range(1, 2)} down`),
        ...d.many(1, 3, () => traffic(d, families)).flat(),
        LOOK,
        run("ovs-appctl netdev-dummy/set-admin-state p1 up"),
        run("ovs-appctl netdev-dummy/set-admin-state p2 up"),
      ],
    ],
    [1, () => [run("ovs-appctl revalidator/purge")]],
    [2, () => fragments(d, families)],
  ]);
}

/** Another way to treat fragments, for some frames. */
function fragments(d: Draw, families: readonly Family[]): Step[] {
  return [
    run(`ovs-ofctl -O OpenFlow13 set-frags br0 ${d.pick(["drop", "nx-match"])}`),
    ...d.many(2, 5, () => traffic(d, families)).flat(),
    LOOK,
    run("ovs-ofctl -O OpenFlow13 set-frags br0 normal"),
  ];
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function meter(d: Draw, id: number): string {
  const burst = d.chance(50) ? ",burst" : "";
  const size = burst === "" ? "" : `,burst_size=${d.pick([1, 2, 10])}`;
  const kind = d.pick(["pktps", "pktps", "kbps"]);
  return `meter=${id},${kind}${burst},stats,band=type=drop,rate=${d.pick([1, 2, 5])}${size}`;
}

const sequence = story((d): Sequence => {
  // Few kinds of frames, so that flows are for them.
  const families = d.many(2, 4, () => d.pick(FAMILIES));
  const steps = d.many(5, 14, () => traffic(d, families)).flat();
  for (let n = d.pick([0, 1, 1, 2, 3]); n > 0; n--) {
    steps.splice(d.int(steps.length), 0, ...event(d, families));
  }
  const table = tableOf(d, families);
  // Without such actions frames come in bursts, which meters tell from frames with pauses.
  const teaches = table.some((line) => /learn\(|normal|flood|all|output:5/.test(line));
  const far = d.some(["priority=9,arp,actions=drop", "priority=5,tcp,actions=2,in_port"], 30);
  return {
    steps: [
      // Flows first: Open vSwitch may not survive the end of a group that one flow names twice.
      run("ovs-ofctl -O OpenFlow15 del-flows br0"),
      run("ovs-ofctl -O OpenFlow15 del-groups br0"),
      run("ovs-ofctl -O OpenFlow15 add-groups br0 -", groupsOf(d)),
      run("ovs-ofctl -O OpenFlow15 del-meters br0"),
      run(`ovs-ofctl -O OpenFlow15 add-meter br0 ${meter(d, 1)}`),
      run(`ovs-ofctl -O OpenFlow15 add-meter br0 ${meter(d, 2)}`),
      // A flow that stays if the others are not taken: which connections want to hear of packets
      // without a flow depends on when they end.
      ...flows("br0", ["table=0,priority=0,actions=resubmit(,1),3"]),
      run("ovs-ofctl -O OpenFlow15 add-flows br0 -", table),
      ...flows("br1", [...far, "priority=0,actions=NORMAL"]),
      ...(teaches ? paced(steps) : steps),
      LOOK,
    ],
  };
});

const device = (bridge: string, name: string, ofport: string): string =>
  `ovs-vsctl add-port ${bridge} ${name} -- set interface ${name} type=dummy` +
  ` ofport_request=${ofport} options:tx_pcap=${name}.pcap`;

export const PIPELINE: SequenceKind = {
  name: "pipeline",
  setup: [
    "ovs-vsctl set Open_vSwitch . other_config:vlan-limit=2",
    "ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure" +
      " other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00",
    "ovs-vsctl add-br br1 -- set bridge br1 fail_mode=secure" +
      " other_config:datapath-id=0000000000000011 other_config:hwaddr=aa:66:aa:66:00:01",
    ...PORTS.map((p) => device("br0", p, p.slice(1))),
    "ovs-vsctl add-port br0 x0 -- set interface x0 type=patch options:peer=x1 ofport_request=5",
    "ovs-vsctl add-port br1 x1 -- set interface x1 type=patch options:peer=x0 ofport_request=1",
    device("br1", "q2", "2"),
  ],
  monitor: "ovs-ofctl -O OpenFlow15 monitor br0 65534",
  reset: [
    run("ovs-appctl dpctl/flush-conntrack"),
    run("ovs-appctl fdb/flush br0"),
    run("ovs-appctl fdb/flush br1"),
    run("ovs-appctl revalidator/purge"),
  ],
  captures: [...PORTS, "q2"],
  looks: [
    MEGAFLOWS,
    WHOLE_MEGAFLOWS,
    DATAPATH,
    { line: "ovs-appctl dpctl/dump-conntrack -m -s", order: "lines" },
    flowsOf("br0"),
    flowsOf("br1"),
    { line: "ovs-ofctl -O OpenFlow15 dump-group-stats br0", order: "lines" },
    { line: "ovs-ofctl -O OpenFlow15 meter-stats br0", order: "lines" },
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br0", order: "exact" },
  ],
  sequence,
};
