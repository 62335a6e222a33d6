// ovs-appctl commands about bridges and what may run on their ports: ofproto/list, bridge/*, qos/*,
// and the protocols that watch links (CFM, BFD, LACP, LLDP).
//
// The link protocols do not run here; their commands answer as ovs-vswitchd does when no port uses
// them, and say so where the database asks for one. References: ovs: vswitchd/bridge.c
// bridge_unixctl_*, qos_unixctl_*; lib/{cfm,bfd,lacp,ovs-lldp}.c.

import { formatActions } from "../../openflow/actions/actions.ts";
import { formatMatch } from "../../openflow/match-text.ts";
import { expandRule } from "../../openflow/ofproto-stats.ts";
import type { Rule } from "../../openflow/rule.ts";
import type { Bridge, Iface } from "../bridge.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

const TOOL = "ovs-appctl";

function allBridges(ctx: CommandContext): Bridge[] {
  return [...ctx.vs.bridges.values()];
}

function listOfprotos(ctx: CommandContext): Reply {
  const names = allBridges(ctx).map((br) => br.name);
  return appctlOk(names.map((n) => `${n}\n`).join(""));
}

/** A rule as bridge/dump-flows shows it. */
function ruleLine(br: Bridge, rule: Rule, offload: boolean): string {
  const match = expandRule(br.ofproto, rule);
  const s = rule.statsRule();
  const durationS = Math.floor((br.vs.clock.nowMs() - rule.createdMs) / 1000);
  const table = rule.tableId === 0 ? "" : `table_id=${rule.tableId}, `;
  const hw = offload ? "n_offload_packets=0, n_offload_bytes=0, " : "";
  const actions = formatActions(rule.actions.actions, { ports: null, tables: null });
  return (
    `${table}duration=${durationS}s, n_packets=${s.nPackets}, n_bytes=${s.nBytes}, ${hw}` +
    `${formatMatch(match, null, rule.priority)},actions=${actions}\n`
  );
}

function dumpFlows(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv.at(-1) ?? "");
  if (br === undefined) {
    return appctlError("Unknown bridge");
  }
  const offload = argv.slice(1, -1).includes("--offload-stats");
  ctx.vs.packets?.syncStats();
  let text = "";
  for (const table of br.ofproto.tables) {
    for (const rule of table.allRules()) {
      text += ruleLine(br, rule, offload);
    }
  }
  return appctlOk(text);
}

/** There are no connections to controllers that could be made anew. */
function reconnect(ctx: CommandContext, argv: readonly string[]): Reply {
  const name = argv[1];
  return name !== undefined && !ctx.vs.bridges.has(name)
    ? appctlError("Unknown bridge")
    : appctlOk();
}

function findIface(ctx: CommandContext, name: string): Iface | undefined {
  for (const br of allBridges(ctx)) {
    const iface = br.ifaces.get(name);
    if (iface !== undefined) {
      return iface;
    }
  }
  return undefined;
}

/** Devices here have no queueing disciplines. */
function qos(text: (name: string) => string) {
  return (ctx: CommandContext, argv: readonly string[]): Reply => {
    const name = argv[1] ?? "";
    return findIface(ctx, name) === undefined
      ? appctlError("no such interface")
      : appctlOk(text(name));
  };
}

/** True if any row of a table asks for a protocol. */
type Asked = (ctx: CommandContext) => boolean;

const ifaceMap =
  (column: string): Asked =>
  (ctx) =>
    [...ctx.vs.db.rows("Interface")].some((r) => r.map(column).get("enable") === "true");

/** A protocol that watches links. */
interface LinkProtocol {
  readonly name: string;
  readonly asked: Asked;
  /** The answer about a port or bridge on which it does not run. */
  readonly missing: string;
}

const CFM: LinkProtocol = {
  name: "CFM",
  asked: (ctx) => [...ctx.vs.db.rows("Interface")].some((r) => r.int("cfm_mpid") !== undefined),
  missing: "no such CFM object",
};
const BFD: LinkProtocol = { name: "BFD", asked: ifaceMap("bfd"), missing: "no such bfd object" };
const LACP: LinkProtocol = {
  name: "LACP",
  asked: (ctx) =>
    [...ctx.vs.db.rows("Port")].some((r) => ["active", "passive"].includes(r.name("lacp"))),
  missing: "no such lacp object",
};

function unavailable(p: LinkProtocol): Reply {
  return appctlError(`${p.name}: not available yet in tablewalk`);
}

function show(p: LinkProtocol) {
  return (ctx: CommandContext, argv: readonly string[]): Reply => {
    if (p.asked(ctx)) {
      return unavailable(p);
    }
    return argv.length > 1 ? appctlError(p.missing) : appctlOk();
  };
}

/** `[interface] normal|false|true`. */
function setFault(p: LinkProtocol, missing: string) {
  return (ctx: CommandContext, argv: readonly string[]): Reply => {
    if (!/^(true|false|normal)$/i.test(argv.at(-1) ?? "")) {
      return appctlError("unknown fault string");
    }
    if (p.asked(ctx)) {
      return unavailable(p);
    }
    return argv.length > 2 ? appctlError(missing) : appctlOk("OK");
  };
}

/** Auto-attach runs on no port, so there is nothing to list. */
function nothing(): Reply {
  return appctlOk();
}

type Shape = readonly [
  name: string,
  usage: string,
  min: number,
  max: number,
  run: Command["run"],
  doc: string,
];

const ROWS: readonly Shape[] = [
  ["ofproto/list", "", 0, 0, listOfprotos, "Lists the bridges."],
  [
    "bridge/dump-flows",
    "[--offload-stats] bridge",
    1,
    2,
    dumpFlows,
    "Lists all flows of a bridge, hidden ones too.",
  ],
  ["bridge/reconnect", "[bridge]", 0, 1, reconnect, "Connects to controllers anew."],
  [
    "qos/show",
    "interface",
    1,
    1,
    qos((n) => `QoS not configured on ${n}\n`),
    "Shows the quality of service of an interface.",
  ],
  [
    "qos/show-types",
    "interface",
    1,
    1,
    qos((n) => `No QoS types supported for interface: ${n}\n`),
    "Lists the kinds of quality of service that an interface offers.",
  ],
  ["cfm/show", "[interface]", 0, 1, show(CFM), "Shows connectivity fault management."],
  [
    "cfm/set-fault",
    "[interface] normal|false|true",
    1,
    2,
    setFault(CFM, "no such CFM object"),
    "Overrides the fault status of CFM.",
  ],
  ["bfd/show", "[interface]", 0, 1, show(BFD), "Shows bidirectional forwarding detection."],
  [
    "bfd/set-forwarding",
    "[interface] normal|false|true",
    1,
    2,
    setFault(BFD, "no such BFD object"),
    "Overrides the forwarding status of BFD.",
  ],
  ["lacp/show", "[port]", 0, 1, show(LACP), "Shows link aggregation."],
  ["lacp/show-stats", "[port]", 0, 1, show(LACP), "Shows counters of link aggregation."],
  ["autoattach/status", "[bridge]", 0, 1, nothing, "Shows the state of auto-attach."],
  ["autoattach/show-isid", "[bridge]", 0, 1, nothing, "Lists mappings of auto-attach."],
  ["autoattach/statistics", "[bridge]", 0, 1, nothing, "Shows counters of auto-attach."],
];

export const BRIDGE_COMMANDS: readonly Command[] = ROWS.map(
  ([name, usage, min, max, run, doc]) => ({ tool: TOOL, name, usage, args: [min, max], doc, run }),
);
