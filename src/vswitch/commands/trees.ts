// ovs-appctl commands of spanning trees: stp/show, stp/tcn, rstp/show, rstp/tcn.
//
// Objects are listed in the order in which they were made. References: ovs: lib/stp.c
// stp_print_details, stp_unixctl_tcn; lib/rstp.c rstp_print_details, rstp_unixctl_tcn.

import { formatMac } from "../../lib/address.ts";
import type { Rstp } from "../../openflow/rstp.ts";
import { type Stp, ticksToMs } from "../../openflow/stp.ts";
import type { Bridge, Iface } from "../bridge.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

const TOOL = "ovs-appctl";
const MAC_BITS = 48n;

interface Times {
  readonly hello: number;
  readonly maxAge: number;
  readonly forward: number;
}

/** A bridge id and the times that belong to it, in seconds. */
function idText(head: string, id: bigint, t: Times): string {
  const mac = formatMac(Number((id >> 32n) & 0xffffn), Number(id & 0xffffffffn));
  return (
    `${head}${id >> MAC_BITS}\n` +
    `  stp-system-id   ${mac}\n` +
    `  stp-hello-time  ${t.hello}s\n` +
    `  stp-max-age     ${t.maxAge}s\n` +
    `  stp-fwd-delay   ${t.forward}s\n`
  );
}

/** Columns of a table, each cut to one less than its width. */
function columns(cells: readonly (readonly [text: string, width: number])[]): string {
  return cells.map(([text, width]) => text.slice(0, width - 1).padEnd(width)).join("");
}

function showStp(stp: Stp<Iface>): string {
  const seconds = (ticks: number) => Math.trunc(ticksToMs(ticks) / 1000);
  const own = {
    hello: seconds(stp.bridgeHelloTime),
    maxAge: seconds(stp.bridgeMaxAge),
    forward: seconds(stp.bridgeForwardDelay),
  };
  const used = {
    hello: seconds(stp.helloTime),
    maxAge: seconds(stp.maxAge),
    forward: seconds(stp.forwardDelay),
  };
  const where = stp.isRoot
    ? "  This bridge is the root\n"
    : `  root-port       ${stp.rootPort?.name ?? ""}\n  root-path-cost  ${stp.rootPathCost}\n`;
  let text =
    `---- ${stp.name} ----\nRoot ID:\n${idText("  stp-priority  ", stp.designatedRoot, own)}` +
    `${where}\nBridge ID:\n${idText("  stp-priority  ", stp.bridgeId, used)}\n  ` +
    columns([
      ["Interface", 11],
      ["Role", 11],
      ["State", 11],
      ["Cost", 6],
      ["Pri.Nbr", 8],
    ]) +
    "\n  ---------- ---------- ---------- ----- -------\n";
  for (const p of stp.enabledPorts()) {
    const head = columns([
      [p.name, 11],
      [p.role, 11],
      [p.state, 11],
    ]);
    text += `  ${head}${String(p.pathCost).padEnd(6)}${p.portId >> 8}.${p.portId & 0xff}\n`;
  }
  return `${text}\n`;
}

function showRstp(rstp: Rstp<Iface>): string {
  const head = "  stp-priority    ";
  const own = {
    hello: rstp.bridgeHelloTime,
    maxAge: rstp.bridgeMaxAge,
    forward: rstp.bridgeForwardDelay,
  };
  let text = `---- ${rstp.name} ----\nRoot ID:\n`;
  if (rstp.isRoot) {
    text += `${idText(head, rstp.bridgeId, own)}  This bridge is the root\n`;
  } else {
    const root = rstp.rootPort;
    if (root === null) {
      return `${text}unknown root port\n`;
    }
    const { helloTime, maxAge, forwardDelay } = root.v.designatedTimes;
    const times = { hello: helloTime, maxAge, forward: forwardDelay };
    text += idText(head, rstp.rootPriority.rootId, times);
    text += `  root-port       ${root.name ?? "(null)"}\n`;
    text += `  root-path-cost  ${rstp.rootPriority.rootPathCost}\n`;
  }
  text +=
    `\nBridge ID:\n${idText(head, rstp.bridgeId, own)}\n  ` +
    columns([
      ["Interface", 11],
      ["Role", 11],
      ["State", 11],
      ["Cost", 9],
      ["Pri.Nbr", 8],
    ]) +
    "\n  ---------- ---------- ---------- -------- -------\n";
  for (const p of rstp.ports()) {
    if (p.v.state !== "Disabled") {
      const row = columns([
        [p.name ?? "null", 11],
        [p.v.role, 11],
        [p.v.state, 11],
      ]);
      text += `  ${row}${String(p.v.pathCost).padEnd(9)}${p.v.priority}.${p.number}\n`;
    }
  }
  return `${text}\n`;
}

/** The trees of one kind, in the order in which they were made. */
function inOrder<T>(
  ctx: CommandContext,
  of: (br: Bridge) => T | null,
  order: (br: Bridge) => number,
): T[] {
  const bridges = [...ctx.vs.bridges.values()].toSorted((a, b) => order(a) - order(b));
  return bridges.flatMap((br) => of(br) ?? []);
}

interface Kind<T> {
  readonly missing: string;
  all(ctx: CommandContext): readonly T[];
  nameOf(tree: T): string;
  show(tree: T): string;
  /** Declares a topology change. */
  change(tree: T): void;
}

const STP: Kind<Stp<Iface>> = {
  missing: "no such stp object",
  all: (ctx) =>
    inOrder(
      ctx,
      (br) => br.trees.stp,
      (br) => br.trees.stpOrder,
    ),
  nameOf: (t) => t.name,
  show: showStp,
  change: (t) => t.detectTopologyChange(),
};

const RSTP: Kind<Rstp<Iface>> = {
  missing: "No such RSTP object",
  all: (ctx) =>
    inOrder(
      ctx,
      (br) => br.trees.rstp,
      (br) => br.trees.rstpOrder,
    ),
  nameOf: (t) => t.name,
  show: showRstp,
  change: (t) => t.moveAnyway(),
};

/** The tree that a command names, or all of them; null if there is none of that name. */
function chosen<T>(k: Kind<T>, ctx: CommandContext, argv: readonly string[]): readonly T[] | null {
  const [, name] = argv;
  const all = k.all(ctx);
  const one = name === undefined ? undefined : all.find((t) => k.nameOf(t) === name);
  return name === undefined ? all : one === undefined ? null : [one];
}

function show<T>(k: Kind<T>): Command["run"] {
  return (ctx, argv): Reply => {
    const list = chosen(k, ctx, argv);
    return list === null ? appctlError(k.missing) : appctlOk(list.map(k.show).join(""));
  };
}

function topologyChange<T>(k: Kind<T>): Command["run"] {
  return (ctx, argv): Reply => {
    const list = chosen(k, ctx, argv);
    if (list === null) {
      return appctlError(k.missing);
    }
    for (const tree of list) {
      k.change(tree);
    }
    return appctlOk("OK");
  };
}

function row(name: string, run: Command["run"], doc: string): Command {
  return { tool: TOOL, name, usage: "[bridge]", args: [0, 1], doc, run };
}

export const TREE_COMMANDS: readonly Command[] = [
  row("stp/show", show(STP), "Shows the spanning tree."),
  row("stp/tcn", topologyChange(STP), "Declares a topology change."),
  row("rstp/show", show(RSTP), "Shows the rapid spanning tree."),
  row("rstp/tcn", topologyChange(RSTP), "Declares a topology change."),
];
