// What some worlds have besides: a bond, protocols on ports, tunnels over IPv6 and of other kinds,
// samples for collectors, spanning trees, and limits so low that traffic reaches them.
//
// The law of two switches leaves them out: bonds and samples go by chance or by what is counted later.

import type { Pick } from "./matches.ts";

type Argv = readonly string[];

/** Devices that only these worlds have. */
export const EXTRA_PORTS = ["b1", "b2", "c1"] as const;
/** One world in so many has each of them. */
const ONE_IN = 4;

const pick = <T>(r: Pick, list: readonly T[]): T => list[r(list.length)] as T;

function tunnel(name: string, n: number, type: string, ...options: string[]): Argv {
  const set = [`ofport_request=${n}`, `type=${type}`, ...options.map((o) => `options:${o}`)];
  return ["ovs-vsctl", "add-port", "br0", name, "--", "set", "interface", name, ...set];
}

function bond(r: Pick): Argv[] {
  const mode = pick(r, ["balance-slb", "balance-tcp", "active-backup"]);
  const lacp = pick(r, ["off", "active", "passive"]);
  const more = mode === "balance-tcp" && r(2) === 0 ? ["other_config:lb-output-action=true"] : [];
  const dummies = ["b1", "b2"].flatMap((i) => ["--", "set", "interface", i, "type=dummy"]);
  const set = [`bond_mode=${mode}`, `lacp=${lacp}`, "other_config:lacp-time=fast", ...more];
  return [["ovs-vsctl", "add-bond", "br1", "bond0", "b1", "b2", ...set, ...dummies]];
}

const underlay6 = (r: Pick): Argv[] => [
  ["ovs-appctl", "netdev-dummy/ip6addr", "br-phy", "2001:cafe::1/64"],
  ["ovs-appctl", "ovs/route/add", "2001:cafe::/64", "br-phy"],
  ["ovs-appctl", "tnl/neigh/set", "br-phy", "2001:cafe::92", "50:54:00:00:00:92"],
  tunnel("t21", 21, pick(r, ["vxlan", "geneve", "gre"]), "remote_ip=2001:cafe::92", "key=5"),
];

/** Only one kind of port can take what comes as GRE. */
const erspanAlone = (r: Pick): Argv[] => [
  ["ovs-vsctl", "del-port", "t3", "--", "del-port", "t4"],
  tunnel("t22", 22, "erspan", "remote_ip=172.31.1.50", "key=7", "erspan_ver=1", "erspan_idx=3"),
  tunnel(
    "t23",
    23,
    "erspan",
    `remote_ip=${pick(r, ["flow", "172.31.1.50"])}`,
    "key=flow",
    "erspan_ver=flow",
  ),
];

const limits = (r: Pick): Argv[] => [
  ["ovs-vsctl", "set", "bridge", "br0", "other_config:mac-table-size=10"],
  ["ovs-vsctl", "set", "bridge", "br1", "other_config:mcast-snooping-table-size=2"],
  ["ovs-appctl", "dpctl/ct-set-limits", `default=${20 + r(50)}`, "zone=1,limit=10"],
  ["ovs-appctl", "dpctl/ct-set-maxconns", `${pick(r, [5, 60, 1000])}`],
  ["ovs-appctl", "dpctl/ipf-set-max-nfrags", `${pick(r, [1, 5, 20])}`],
  ["ovs-appctl", "dpctl/ipf-set-min-frag", "v4", `${pick(r, [400, 1300])}`],
  ["ovs-appctl", "upcall/set-flow-limit", `${pick(r, [1, 50, 500])}`],
  ["ovs-appctl", "ovs/route/add", "172.31.9.0/24", "br-phy", "172.31.1.99"],
];

const collectors = (r: Pick): Argv[] => [
  [
    ...["ovs-vsctl", "--", "--id=@s", "create", "sFlow", "agent=lo", 'targets="127.0.0.1:6343"'],
    ...[`sampling=${pick(r, [1, 3, 64])}`, "header=64", "polling=0", "--"],
    ...["set", "bridge", pick(r, ["br0", "br1"]), "sflow=@s"],
  ],
];

const trees = (r: Pick): Argv[] => [
  ["ovs-vsctl", "set", "bridge", "br1", `${pick(r, ["stp", "rstp"])}_enable=true`],
];

const protocols = (r: Pick): Argv[] => [
  ["ovs-vsctl", "add-port", "br1", "c1", "--", "set", "interface", "c1", "type=dummy"],
  pick(r, [
    ["ovs-vsctl", "set", "interface", "c1", "cfm_mpid=9"],
    ["ovs-vsctl", "set", "interface", "c1", "bfd:enable=true", "bfd:min_rx=100"],
    ["ovs-vsctl", "set", "interface", "c1", "lldp:enable=true"],
    ["ovs-vsctl", "set", "port", "c1", "vlan_mode=dot1q-tunnel", "tag=9"],
    ["ovs-vsctl", "set", "port", "c1", "vlan_mode=native-tagged", "tag=9", "trunks=5"],
  ]),
  [
    "ovs-vsctl",
    "set",
    "interface",
    "p2",
    pick(r, ["bfd:enable=true", "cfm_mpid=4", "lldp:enable=true"]),
  ],
];

const tunnelsWithMore = (r: Pick): Argv[] => [
  ["ovs-vsctl", "set", "interface", "t1", "options:exts=gbp"],
  [
    "ovs-vsctl",
    "set",
    "interface",
    "t6",
    "options:exts=gpe",
    `options:packet_type=${pick(r, ["ptap", "legacy_l2"])}`,
  ],
  ["ovs-vsctl", "set", "interface", "t3", `options:seq=${r(2) === 0}`, "options:packet_type=ptap"],
  [
    "ovs-vsctl",
    "set",
    "interface",
    "t2",
    "options:ttl=inherit",
    "options:tos=inherit",
    "options:df_default=false",
  ],
];

const tags = (r: Pick): Argv[] => [
  ["ovs-vsctl", "set", "Open_vSwitch", ".", `other_config:vlan-limit=${r(4)}`],
];

/** Commands that give a world what it has besides. */
export function extras(r: Pick): Argv[] {
  const kinds = [bond, underlay6, tunnelsWithMore, limits, collectors, protocols, tags];
  const out = kinds.flatMap((kind) => (r(ONE_IN) === 0 ? kind(r) : []));
  out.push(...(r(2 * ONE_IN) === 0 ? trees(r) : []));
  return r(ONE_IN) === 0 ? [...out, ...erspanAlone(r)] : out;
}
