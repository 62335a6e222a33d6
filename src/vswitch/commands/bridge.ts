// ovs-appctl commands about bridges: ofproto/list, bridge/*, qos/*.
//
// References: ovs: vswitchd/bridge.c bridge_unixctl_*, qos_unixctl_*.

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

function reconnect(ctx: CommandContext, argv: readonly string[]): Reply {
  const [, name] = argv;
  const bridges = allBridges(ctx).filter((br) => name === undefined || br.name === name);
  if (name !== undefined && bridges.length === 0) {
    return appctlError("Unknown bridge");
  }
  for (const br of bridges) {
    br.ofproto.conns.services.reconnect(ctx.vs.clock.nowMs());
  }
  return appctlOk();
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
];

export const BRIDGE_COMMANDS: readonly Command[] = ROWS.map(
  ([name, usage, min, max, run, doc]) => ({ tool: TOOL, name, usage, args: [min, max], doc, run }),
);
