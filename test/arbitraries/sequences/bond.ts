// Bonds: members that fail and come back, active-backup and source load balancing with rebalancing,
// learning through a bond, VLANs around it.
//
// Random in Open vSwitch, and therefore not drawn: which of several members follows the active one
// (the first in a hash table of pointers), so there are two; which is active at first, so the second
// one comes up last; in which order revalidators translate megaflows again, each of which takes the
// next member in turn where it did not use the bond before or a change of mode has emptied the hash
// table, so none are left when a mode changes, MACs are forgotten, or one moves.

import { type Draw, story } from "./draw.ts";
import { hostFrame } from "./hosts.ts";
import { vlanColumns } from "./normal.ts";
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

const VLANS = [10, 11];
const PORTS = ["p1", "p2"];
const MEMBERS = ["m1", "m2"];

function configuration(d: Draw): Step {
  const mode = d.pick(["active-backup", "balance-slb", "balance-slb"]);
  const columns = [
    `bond_mode=${mode}`,
    `bond_updelay=${d.pick([0, 0, 1000])}`,
    `bond_downdelay=${d.pick([0, 0, 1000])}`,
    `other_config:all-members-active=${d.pick(["true", "false"])}`,
    `other_config:bond-rebalance-interval=${d.pick([0, 1000, 10000])}`,
    `other_config:bond-primary=${d.pick(MEMBERS)}`,
  ];
  const port = (name: string): string => {
    const clear = `clear port ${name} vlan_mode tag trunks cvlans other_config`;
    return `-- ${clear} -- set port ${name} protected=false ${plain(vlanColumns(d)).join(" ")}`;
  };
  const bond = columns.filter((c) => d.chance(70) || c.startsWith("bond_mode"));
  const all = [port("bd"), `-- set port bd ${bond.join(" ")}`, ...PORTS.map(port)];
  return run(`ovs-vsctl ${all.join(" ")}`);
}

/** A bond cannot be a QinQ tunnel's end in all modes; the kinds of NORMAL have those. */
const plain = (columns: readonly string[]): string[] =>
  columns.some((c) => c.includes("dot1q")) ? [] : [...columns];

/** A link goes and comes back; the other bonds' timers see what is between. */
function linkEvent(d: Draw): Step[] {
  const member = d.pick(MEMBERS);
  return [
    run(`ovs-appctl netdev-dummy/set-admin-state ${member} ${d.pick(["down", "down", "up"])}`),
    warp(d.pick([100, 1000])),
    warp(d.pick([100, 1500])),
  ];
}

function event(d: Draw): Step[] {
  return d.one<Step[]>([
    [6, () => linkEvent(d)],
    [3, () => [warp(d.pick([1000, 5000, 11_000]))]],
    [2, () => [LOOK]],
    [2, () => [trace("br0", hostFrame(d, d.pick([...PORTS, ...MEMBERS]), VLANS))]],
    [2, () => [run(`ovs-appctl bond/set-active-member bd ${d.pick(MEMBERS)}`)]],
    [1, () => [run(`ovs-appctl bond/migrate bd ${d.int(255)} ${d.pick(MEMBERS)}`)]],
    [
      1,
      () => [
        run(`ovs-appctl bond/disable-member bd ${d.pick(MEMBERS)}`),
        run(`ovs-appctl bond/enable-member bd ${d.pick(MEMBERS)}`),
      ],
    ],
    [1, () => [PURGE, run("ovs-appctl fdb/flush br0")]],
    [1, () => [PURGE, configuration(d)]],
  ]);
}

const PURGE = run("ovs-appctl revalidator/purge");
const MAC_DIGITS = 12;

/** The steps with no megaflows left where a frame moves its source to another port. */
function settled(steps: readonly Step[]): Step[] {
  const ports = new Map<string, string>();
  return steps.flatMap((step) => {
    if (step.do !== "frame") {
      return [step];
    }
    const source = step.hex.slice(MAC_DIGITS, 2 * MAC_DIGITS);
    const before = ports.get(source) ?? step.port;
    ports.set(source, step.port);
    return before === step.port ? [step] : [PURGE, step];
  });
}

const sequence = story((d): Sequence => {
  const table = [
    ...d.some(
      [
        "priority=5,arp,actions=output:21",
        "priority=4,dl_vlan=10,actions=NORMAL,output:22",
        "priority=3,in_port=21,udp,actions=2",
      ],
      15,
    ),
    "priority=0,actions=NORMAL",
  ];
  const traffic = (): Step => {
    const port = d.chance(60) ? d.pick(PORTS) : d.pick(MEMBERS);
    return hostFrame(d, port, VLANS);
  };
  const steps = d.many(6, 16, traffic);
  for (let n = d.range(0, 3); n > 0; n--) {
    steps.splice(d.int(steps.length), 0, ...event(d));
  }
  return { steps: [configuration(d), ...flows("br0", table), ...paced(settled(steps)), LOOK] };
});

export const BOND: SequenceKind = {
  name: "bond",
  setup: [
    "ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure" +
      " other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00",
    ...PORTS.map(
      (p) =>
        `ovs-vsctl add-port br0 ${p} -- set interface ${p} type=dummy` +
        ` ofport_request=${p.slice(1)} options:tx_pcap=${p}.pcap`,
    ),
    "ovs-vsctl add-port br0 bd -- --id=@m1 create interface name=m1 type=dummy" +
      " ofport_request=21 options:tx_pcap=m1.pcap -- set port bd interfaces=@m1",
    ...MEMBERS.slice(1).map(
      (m, i) =>
        `ovs-vsctl -- --id=@m create interface name=${m} type=dummy ofport_request=${22 + i}` +
        ` options:tx_pcap=${m}.pcap -- add port bd interfaces @m`,
    ),
  ],
  reset: [
    // Nothing is left to announce when members change.
    run("ovs-appctl fdb/flush br0"),
    run("ovs-appctl revalidator/purge"),
    run("ovs-vsctl set port bd bond_mode=active-backup bond_updelay=0 bond_downdelay=0"),
    // The members come up in their order, one by one, so the first becomes the active one.
    ...["m2 down", "m1 up", "m2 up"].flatMap((state) => [
      run(`ovs-appctl netdev-dummy/set-admin-state ${state}`),
      warp(100),
    ]),
    run("ovs-appctl bond/set-active-member bd m1"),
    warp(3000),
    run("ovs-appctl fdb/flush br0"),
  ],
  captures: [...PORTS, ...MEMBERS],
  looks: [
    MEGAFLOWS,
    WHOLE_MEGAFLOWS,
    DATAPATH,
    { line: "ovs-appctl bond/show bd", order: "exact" },
    macsOf("br0"),
    flowsOf("br0"),
    { line: "ovs-ofctl -O OpenFlow13 dump-ports br0", order: "exact" },
  ],
  sequence,
};
