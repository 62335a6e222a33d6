// ovs-appctl commands about the daemon as a program: coverage counters, memory, the variants of
// code that a build of ovs-vswitchd can choose from, and its end.
//
// References: ovs: lib/coverage.c, lib/memory.c, lib/odp-execute.c, lib/dpif-netdev.c,
// vswitchd/ovs-vswitchd.c.

import { packetsOf } from "./dpctl-params.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import type { VSwitch } from "../vswitch.ts";

const TOOL = "ovs-appctl";

function readCounter(ctx: CommandContext, argv: readonly string[]): Reply {
  const n = ctx.vs.coverage.read(argv[1] ?? "");
  return n === undefined ? appctlError("No such counter") : appctlOk(String(n));
}

/** Values that the database of the switch holds: rows times columns. */
function dbCells(vs: VSwitch): number {
  let cells = 0;
  for (const t of vs.db.tables.values()) {
    cells += t.rows.size * t.schema.columnList.length;
  }
  return cells;
}

/** What takes memory, sorted by name. */
function memoryUsage(vs: VSwitch): Map<string, number> {
  const usage = new Map<string, number>();
  const { handlers, revalidators } = vs.datapathLog.threads;
  const add = (name: string, n: number) => {
    if (n > 0) {
      usage.set(name, n);
    }
  };
  let ports = 0;
  let rules = 0;
  for (const br of vs.bridges.values()) {
    ports += br.ifaces.size;
    for (const table of br.ofproto.tables) {
      rules += table.cls.size;
    }
  }
  add("handlers", handlers * vs.backers.size);
  add("idl-cells-Open_vSwitch", dbCells(vs));
  add("ports", ports);
  add("revalidators", revalidators * vs.backers.size);
  add("rules", rules);
  const flows = (packetsOf(vs)?.all() ?? []).map(({ dp }) => dp.flows.size);
  add(
    "udpif keys",
    flows.reduce((n, m) => n + m, 0),
  );
  return usage;
}

function memoryShow(ctx: CommandContext): Reply {
  const words = [...memoryUsage(ctx.vs)].map(([name, n]) => `${name}:${n}`);
  return appctlOk(words.join(" "));
}

const ACTIONS_IMPLS = ["scalar", "autovalidator"];

function showActionImpls(ctx: CommandContext): Reply {
  const rows = ACTIONS_IMPLS.map(
    (n) => `  ${n} (available: Yes, active: ${n === ctx.vs.actionsImpl ? "Yes" : "No"})\n`,
  );
  return appctlOk(`Available Actions implementations:\n${rows.join("")}`);
}

/** There is one way to execute actions here; it can be "chosen". */
function setActionImpl(ctx: CommandContext, argv: readonly string[]): Reply {
  const name = argv[1] ?? "";
  if (!ACTIONS_IMPLS.includes(name)) {
    return appctlError(`Error: unknown action implementation, ${name}, specified!`);
  }
  ctx.vs.actionsImpl = name;
  return appctlOk(`Action implementation set to ${name}.`);
}

function exit(ctx: CommandContext): Reply {
  ctx.vs.stopped = true;
  return appctlOk();
}

export const DAEMON_COMMANDS: readonly Command[] = [
  {
    tool: TOOL,
    name: "coverage/show",
    usage: "",
    args: [0, 0],
    doc: "Shows how often events have happened.",
    run: (ctx) => appctlOk(ctx.vs.coverage.format()),
  },
  {
    tool: TOOL,
    name: "coverage/read-counter",
    usage: "COUNTER",
    args: [1, 1],
    doc: "Prints the count of one event.",
    run: readCounter,
  },
  {
    tool: TOOL,
    name: "memory/show",
    usage: "",
    args: [0, 0],
    doc: "Shows how much there is of what takes memory.",
    run: memoryShow,
  },
  {
    tool: TOOL,
    name: "odp-execute/action-impl-show",
    usage: "",
    args: [0, 0],
    doc: "Lists implementations of datapath actions.",
    run: showActionImpls,
  },
  {
    tool: TOOL,
    name: "odp-execute/action-impl-set",
    usage: "name",
    args: [1, 1],
    doc: "Chooses an implementation of datapath actions.",
    run: setActionImpl,
  },
  {
    tool: TOOL,
    name: "exit",
    usage: "[--cleanup]",
    args: [0, 1],
    doc: "Ends the switch: later commands find no daemon.",
    run: exit,
  },
];
