// The list of dpctl/*, and tnl/egress_port_range.
//
// ovs: lib/dpctl.c; lib/netdev-native-tnl.c netdev_tnl_egress_port_range.

import { atoi } from "../../lib/tokens.ts";
import {
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
  inListOrder,
  listLine,
} from "../command.ts";
import { packetsOf } from "./dpctl-params.ts";

const PORT_MAX = 0xffff;

/** The order in which the list of the family names its rows, nothing else. */
const LIST_ORDER = [
  "add-dp",
  "del-dp",
  "add-if",
  "del-if",
  "set-if",
  "dump-dps",
  "show",
  "dump-flows",
  "add-flow",
  "mod-flow",
  "get-flow",
  "del-flow",
  "add-flows",
  "mod-flows",
  "del-flows",
  "offload-stats-show",
  "dump-conntrack",
  "flush-conntrack",
  "cache-get-size",
  "cache-set-size",
  "ct-stats-show",
  "ct-bkts",
  "ct-set-maxconns",
  "ct-get-maxconns",
  "ct-get-nconns",
  "ct-enable-tcp-seq-chk",
  "ct-disable-tcp-seq-chk",
  "ct-get-tcp-seq-chk",
  "ct-set-limits",
  "ct-del-limits",
  "ct-get-limits",
  "ipf-set-enabled",
  "ipf-set-disabled",
  "ipf-set-min-frag",
  "ipf-set-max-nfrags",
  "ipf-get-status",
  "list-commands",
  "parse-actions",
  "normalize-actions",
] as const;

const FAMILY = "dpctl/";
/** Columns of a name in the list, with the family. */
const NAME_WIDTH = FAMILY.length + 23;

/** Text of dpctl/list-commands, made from the rows that exist. */
export function dpctlList(rows: readonly Command[]): string {
  const own = rows.filter((c) => c.tool === "ovs-appctl" && c.name.startsWith(FAMILY));
  const lines = inListOrder(own, LIST_ORDER, FAMILY).map((c) => listLine(c, NAME_WIDTH));
  return `The available commands are:\n${lines.join("")}`;
}

function egressPortRange(ctx: CommandContext, argv: readonly string[]): Reply {
  const all = packetsOf(ctx.vs)?.all() ?? [];
  if (argv.length < 3) {
    const { min, max } = all[0]?.dp.sourcePorts ?? { min: 32768, max: 61000 };
    return appctlOk(`Tunnel UDP source port range: ${min}-${max}\n`);
  }
  const a = atoi(argv[1] ?? "");
  const b = atoi(argv[2] ?? "");
  if (a <= 0 || a > PORT_MAX) {
    return appctlOk("Invalid min.");
  }
  if (b <= 0 || b > PORT_MAX) {
    return appctlOk("Invalid max.");
  }
  for (const { dp } of all) {
    dp.sourcePorts.min = Math.min(a, b);
    dp.sourcePorts.max = Math.max(a, b);
  }
  ctx.vs.packets?.needRevalidate();
  return appctlOk("OK");
}

export const DPCTL_DP_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "tnl/egress_port_range",
    usage: "min max",
    args: [0, 2],
    doc: "Shows or sets the UDP source ports of tunnels.",
    run: egressPortRange,
  },
];
