// dpctl/* for whole datapaths and their ports, and the list of the family.
//
// Datapaths and ports follow the database here; making and removing them by hand behind its back
// is refused. ovs: lib/dpctl.c; lib/dpif-netdev.c dpif_dummy_change_port_number;
// lib/netdev-native-tnl.c netdev_tnl_egress_port_range.

import { strToInt } from "../../lib/number.ts";
import { atoi } from "../../lib/tokens.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import { type DpctlRun, dpctlRow, packetsOf } from "./dpctl-params.ts";

const ANY = Number.MAX_SAFE_INTEGER;
const PORT_MAX = 0xffff;

/** The rows of the family in the order in which its list names them. */
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

/** Text of dpctl/list-commands, made from the rows that exist. */
export function dpctlList(rows: readonly Command[]): string {
  const byName = new Map(rows.map((c) => [c.name, c.usage ?? ""]));
  const lines = LIST_ORDER.filter((n) => byName.has(`dpctl/${n}`)).map(
    (n) => `  dpctl/${n.padEnd(23)} ${byName.get(`dpctl/${n}`)}\n`,
  );
  return `The available commands are:\n${lines.join("")}`;
}

function refuse(r: DpctlRun): void {
  const dp = r.argv[1] ?? "";
  if (r.find(dp) === null && r.argv[0] !== "dpctl/add-dp") {
    r.error("ENODEV", "opening datapath");
  } else {
    r.error("EOPNOTSUPP", "datapaths and their ports follow the database here");
  }
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

function changePortNumber(ctx: CommandContext, argv: readonly string[]): Reply {
  const [, dp = "", port = "", number = ""] = argv;
  const pair = (packetsOf(ctx.vs)?.all() ?? []).find((p) => p.dp.name === dp);
  if (pair === undefined) {
    return appctlError("unknown datapath or not a dummy");
  }
  if (pair.backer.portByName(port) === undefined) {
    return appctlError("unknown port");
  }
  const n = strToInt(number, 10);
  if (n === undefined || n <= 0) {
    return appctlError("bad port number");
  }
  if (pair.backer.ports.has(n)) {
    return appctlError("port number already in use");
  }
  return appctlError("port numbers follow the database here");
}

export const DPCTL_DP_COMMANDS: readonly Command[] = [
  dpctlRow("add-dp", "dp [iface...]", [1, ANY], "Refused: bridges make datapaths.", refuse),
  dpctlRow("del-dp", "dp", [1, 1], "Refused: bridges make datapaths.", refuse),
  dpctlRow("add-if", "dp iface...", [2, ANY], "Refused: bridges have ports.", refuse),
  dpctlRow("del-if", "dp iface...", [2, ANY], "Refused: bridges have ports.", refuse),
  dpctlRow("set-if", "dp iface...", [2, ANY], "Refused: bridges have ports.", refuse),
  {
    tool: "ovs-appctl",
    name: "tnl/egress_port_range",
    usage: "min max",
    args: [0, 2],
    doc: "Shows or sets the UDP source ports of tunnels.",
    run: egressPortRange,
  },
  {
    tool: "ovs-appctl",
    name: "dpif-dummy/change-port-number",
    usage: "dp port new-number",
    args: [3, 3],
    doc: "Refused: port numbers follow the database.",
    run: changePortNumber,
  },
];
