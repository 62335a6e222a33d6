// NORMAL: MAC learning, VLAN modes, patch ports, mirrors, multicast snooping, flows around it.
//
// Random in Open vSwitch, and therefore not drawn: ports added in one transaction are met in the
// order of their random row ids. The ports here are made one by one and then only change their
// columns.

import { type Draw, story } from "./draw.ts";
import { groupFrame, hostFrame, MACS } from "./hosts.ts";
import {
  DATAPATH,
  MEGAFLOWS,
  WHOLE_MEGAFLOWS,
  flows,
  flowsOf,
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

const VLANS = [10, 11, 12, 20];
const PORTS = ["p1", "p2", "p3", "p4"];
const PATCHES = ["x0", "x1"];
const FAR_PORTS = ["q2", "q3"];
const ALL_PORTS = [...PORTS, ...PATCHES, ...FAR_PORTS];

/** Columns of a port row that make its VLAN behaviour. */
export function vlanColumns(d: Draw): string[] {
  const mode = d.pick([
    "",
    "",
    "access",
    "trunk",
    "native-tagged",
    "native-untagged",
    "dot1q-tunnel",
  ]);
  const list = mode === "" ? [] : [`vlan_mode=${mode}`];
  if (mode === "" ? d.chance(50) : mode !== "trunk" && d.chance(90)) {
    list.push(`tag=${d.pick(VLANS)}`);
  }
  const set = () => d.some(VLANS, 50).join(",");
  const trunks = set();
  if (mode !== "access" && d.chance(40) && trunks !== "") {
    list.push(`trunks=${trunks}`);
  }
  const cvlans = set();
  if (mode === "dot1q-tunnel" && cvlans !== "" && d.chance(50)) {
    list.push(`cvlans=${cvlans}`);
  }
  if (mode === "dot1q-tunnel" && d.chance(50)) {
    list.push(`other_config:qinq-ethtype=${d.pick(["802.1q", "802.1ad"])}`);
  }
  if (d.chance(25)) {
    const when = d.pick(["true", "if-nonzero", "never", "always"]);
    list.push(`other_config:priority-tags=${when}`);
  }
  return d.chance(12) ? [...list, "protected=true"] : list;
}

/** Sets a port anew. */
export function setPort(port: string, columns: readonly string[]): string {
  const clear = `clear port ${port} vlan_mode tag trunks cvlans other_config`;
  return `-- ${clear} -- set port ${port} protected=false ${columns.join(" ")}`;
}

const BRIDGE_KEYS = [
  "mcast-snooping-disable-flood-unregistered",
  "mcast-snooping-table-size",
  "mac-table-size",
  "forward-bpdu",
  "mac-aging-time",
].join(" ");

function setBridge(d: Draw, snooping: boolean): string {
  const columns = [`mcast_snooping_enable=${snooping}`];
  const config = d.some(
    [
      `mcast-snooping-disable-flood-unregistered=${d.pick(["true", "false"])}`,
      "mcast-snooping-table-size=2",
      "mac-table-size=10",
      `mac-aging-time=${d.pick([15, 60])}`,
      "forward-bpdu=true",
    ],
    15,
  );
  const flood = d.chance(10) ? `-- set bridge br0 flood_vlans=${d.pick(["10", "10,11"])}` : "";
  const set = [...columns, ...config.map((c) => `other_config:${c}`)].join(" ");
  const clear = `-- remove bridge br0 other_config ${BRIDGE_KEYS} -- clear bridge br0 mirrors`;
  return `${clear} flood_vlans -- set bridge br0 ${set} ${flood}`;
}

function mirror(d: Draw): string {
  const used = new Set<string>();
  const port = (): string => {
    const p = d.pick([...PORTS, "x0"]);
    used.add(p);
    return `@${p}`;
  };
  const columns = [
    ...d.some(["select_all=true"], 30),
    ...(d.chance(50) ? [`select_src_port=${port()}`] : []),
    ...(d.chance(50) ? [`select_dst_port=${port()}`] : []),
    ...d.some([`select_vlan=${d.pick(["10", "11", "0,10"])}`], 30),
    d.chance(65) ? `output_port=${port()}` : `output_vlan=${d.pick([10, 12, 30])}`,
    ...d.some([`snaplen=${d.pick([14, 64, 100])}`], 25),
  ];
  const ids = [...used].map((p) => `-- --id=@${p} get port ${p}`).join(" ");
  const create = `-- --id=@m create mirror name=m0 ${columns.join(" ")}`;
  return `${ids} ${create} -- set bridge br0 mirrors=@m`;
}

const MATCHES = [
  "in_port=1",
  "in_port=8",
  "dl_vlan=10",
  "dl_src=50:54:00:00:00:01",
  "arp",
  "vlan_tci=0",
  "ip",
  "dl_vlan_pcp=3",
  "udp,nw_dst=239.1.1.1",
  "tcp",
];
const ACTIONS = [
  "mod_vlan_vid:11,NORMAL",
  "strip_vlan,NORMAL",
  "push_vlan:0x8100,set_field:4108->vlan_vid,NORMAL",
  "FLOOD",
  "ALL",
  "IN_PORT",
  "output:2,NORMAL",
  "NORMAL,NORMAL",
  "LOCAL,NORMAL",
  "mod_dl_dst:50:54:00:00:00:03,NORMAL",
  "mod_dl_src:50:54:00:00:00:04,NORMAL,output:1",
  "NORMAL,mod_vlan_vid:12,NORMAL",
  "push_vlan:0x88a8,NORMAL",
  "dec_ttl,NORMAL",
  "output:1,output:2",
  "mod_vlan_pcp:3,NORMAL",
  "output(port=2,max_len=40),NORMAL",
  "drop",
];

function aroundNormal(d: Draw): string[] {
  const some = d.chance(35)
    ? d.many(1, 3, () => `priority=${d.range(1, 9)},${d.pick(MATCHES)},actions=${d.pick(ACTIONS)}`)
    : [];
  return [...some, "priority=0,actions=NORMAL"];
}

function configuration(d: Draw, snooping: boolean): Step {
  const ports = ALL_PORTS.map((p) => {
    const columns = vlanColumns(d);
    const more = snooping
      ? d.some(
          [
            "other_config:mcast-snooping-flood=true",
            "other_config:mcast-snooping-flood-reports=true",
          ],
          12,
        )
      : [];
    return setPort(p, [...columns, ...more]);
  });
  const limit = `-- set Open_vSwitch . other_config:vlan-limit=${d.pick([0, 1, 2])}`;
  const mirrors = d.chance(35) ? mirror(d) : "";
  return run(`ovs-vsctl ${ports.join(" ")} ${limit} ${setBridge(d, snooping)} ${mirrors}`);
}

function event(d: Draw, snooping: boolean): Step[] {
  const port = d.pick(PORTS);
  return d.one<Step[]>([
    [5, () => [warp(d.pick([1000, 5000, 12_000, 30_000, 100_000, 310_000]))]],
    [3, () => [LOOK]],
    [2, () => [trace("br0", hostFrame(d, port, VLANS))]],
    [2, () => [run(`ovs-vsctl ${setPort(port, vlanColumns(d))}`)]],
    [
      2,
      () => [
        run(`ovs-appctl fdb/add br0 ${port} ${d.pick([0, 10])} ${d.pick(MACS)}`),
        run(`ovs-appctl fdb/del br0 ${d.pick([0, 10])} ${d.pick(MACS)}`),
      ],
    ],
    [1, () => [run("ovs-appctl fdb/flush br0")]],
    [snooping ? 1 : 0, () => [run("ovs-appctl mdb/flush br0")]],
    [2, () => flows("br0", aroundNormal(d))],
    [
      1,
      () => [
        run(`ovs-appctl netdev-dummy/set-admin-state ${port} down`),
        ...d.many(1, 2, () => hostFrame(d, d.pick(PORTS), VLANS)),
        run(`ovs-appctl netdev-dummy/set-admin-state ${port} up`),
      ],
    ],
    [1, () => modPort(d, port)],
  ]);
}

/** A port's flags for some frames; at the end they are as before. */
function modPort(d: Draw, port: string): Step[] {
  // Later versions of OpenFlow do not have the first flag.
  const [version, off, on] = d.pick([
    ["OpenFlow10", "no-flood", "flood"],
    ["OpenFlow13", "no-forward", "forward"],
    ["OpenFlow13", "no-receive", "receive"],
  ] as const);
  return [
    run(`ovs-ofctl -O ${version} mod-port br0 ${port} ${off}`),
    ...d.many(1, 3, () => hostFrame(d, d.pick(PORTS), VLANS)),
    LOOK,
    run(`ovs-ofctl -O ${version} mod-port br0 ${port} ${on}`),
  ];
}

const sequence = story((d): Sequence => {
  const snooping = d.chance(40);
  const traffic = (): Step => {
    const port = d.chance(75) ? d.pick(PORTS) : d.pick(FAR_PORTS);
    return snooping && d.chance(45) ? groupFrame(d, port, VLANS) : hostFrame(d, port, VLANS);
  };
  const steps = d.many(6, 22, traffic);
  for (let n = d.pick([0, 1, 1, 2, 3]); n > 0; n--) {
    steps.splice(d.int(steps.length), 0, ...event(d, snooping));
  }
  return {
    steps: [configuration(d, snooping), ...flows("br0", aroundNormal(d)), ...paced(steps), LOOK],
  };
});

const device = (bridge: string, name: string, ofport: string): string =>
  `ovs-vsctl add-port ${bridge} ${name} -- set interface ${name} type=dummy` +
  ` ofport_request=${ofport} options:tx_pcap=${name}.pcap`;

export const NORMAL: SequenceKind = {
  name: "normal",
  setup: [
    "ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure" +
      " other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00",
    "ovs-vsctl add-br br1 -- set bridge br1 other_config:datapath-id=0000000000000011" +
      " other_config:hwaddr=aa:66:aa:66:00:01",
    ...PORTS.map((p) => device("br0", p, p.slice(1))),
    "ovs-vsctl add-port br0 x0 -- set interface x0 type=patch options:peer=x1 ofport_request=8",
    "ovs-vsctl add-port br1 x1 -- set interface x1 type=patch options:peer=x0 ofport_request=8",
    ...FAR_PORTS.map((p) => device("br1", p, p.slice(1))),
  ],
  reset: [
    run("ovs-appctl fdb/flush br0"),
    run("ovs-appctl fdb/flush br1"),
    run("ovs-appctl mdb/flush br0"),
    run("ovs-appctl revalidator/purge"),
  ],
  captures: [...PORTS, ...FAR_PORTS],
  looks: [
    MEGAFLOWS,
    WHOLE_MEGAFLOWS,
    DATAPATH,
    macsOf("br0"),
    macsOf("br1"),
    { line: "ovs-appctl mdb/show br0", order: "exact" },
    { line: "ovs-appctl fdb/stats-show br0", order: "exact" },
    flowsOf("br0"),
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br0", order: "exact" },
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br1", order: "exact" },
  ],
  sequence,
};
