// fdb/*: the MAC learning tables of the bridges.
// ovs: ofproto/ofproto-dpif.c ofproto_unixctl_fdb_*; vswitchd/ovs-vswitchd.8.

import { formatPort } from "../../flow/ofp-port.ts";
import { formatMac } from "../../lib/address.ts";
import { parseMac } from "../../lib/scan.ts";
import { atoi } from "../../lib/tokens.ts";
import { OFPP_NONE_BUNDLE, type XBundle } from "../../openflow/xbridge.ts";
import type { Bridge } from "../bridge.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

const NO_BRIDGE = "no such bridge";
const OFPP_NONE = 0xffff;

/** Number or name of the first port of a bundle. */
export function bundlePortText(bundle: XBundle): string {
  return formatPort(bundle.xports[0]?.ofpPort ?? OFPP_NONE, null);
}

/** Runs `one` on the named bridge, or on all if none is named. */
function onBridges(
  ctx: CommandContext,
  name: string | undefined,
  one: (br: Bridge) => Reply | undefined,
): Reply | undefined {
  if (name === undefined) {
    for (const br of ctx.vs.bridges.values()) {
      one(br);
    }
    return undefined;
  }
  const br = ctx.vs.bridges.get(name);
  return br === undefined ? appctlError(NO_BRIDGE) : one(br);
}

function show(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv[1] ?? "");
  if (br === undefined) {
    return appctlError(NO_BRIDGE);
  }
  const { ml } = br.xbridge;
  const now = ctx.vs.clock.nowMs();
  let s = " port  VLAN  MAC                Age\n";
  for (const e of ml.entries()) {
    const age = ml.age(e, now);
    const port = e.bundle === null ? "" : bundlePortText(e.bundle);
    s += `${port.padStart(5)}  ${String(e.vlan).padStart(4)}  ${formatMac(e.hi, e.lo)}  `;
    s += age === null ? "static\n" : `${String(age).padStart(3)}\n`;
  }
  return appctlOk(s);
}

function add(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv[1] ?? "");
  if (br === undefined) {
    return appctlError(NO_BRIDGE);
  }
  const vlan = atoi(argv[3] ?? "") & 0xffff;
  const mac = parseMac(argv[4] ?? "");
  if (mac === undefined) {
    return appctlError("bad MAC address");
  }
  const iface = br.ifaces.get(argv[2] ?? "");
  if (iface === undefined) {
    return appctlError("software error, odp port is present but no ofp port");
  }
  const { ml } = br.xbridge;
  const old = ml.lookup(mac.hi, mac.lo, vlan);
  let s = "";
  if (old?.bundle && (old.bundle.name !== argv[2] || old.expiresS !== null)) {
    const what = old.expiresS === null ? "static" : "dynamic";
    s = `Overriding already existing ${what} entry on ${bundlePortText(old.bundle)}\n`;
  }
  const bundle = iface.xport.xbundle;
  if (bundle === null || bundle === OFPP_NONE_BUNDLE) {
    return appctlError("could not add static mac entry\n");
  }
  ml.addStatic(mac.hi, mac.lo, vlan, bundle, ctx.vs.clock.nowMs());
  return appctlOk(s);
}

function del(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv[1] ?? "");
  if (br === undefined) {
    return appctlError(NO_BRIDGE);
  }
  const mac = parseMac(argv[3] ?? "");
  if (mac === undefined) {
    return appctlError("bad MAC address");
  }
  const vlan = atoi(argv[2] ?? "") & 0xffff;
  return br.xbridge.ml.deleteStatic(mac.hi, mac.lo, vlan)
    ? appctlOk()
    : appctlError("could not find static mac entry\n");
}

function flush(ctx: CommandContext, argv: readonly string[]): Reply {
  const error = onBridges(ctx, argv[1], (br) => {
    br.xbridge.ml.flush();
    return undefined;
  });
  return error ?? appctlOk("table successfully flushed");
}

function statsClear(ctx: CommandContext, argv: readonly string[]): Reply {
  const error = onBridges(ctx, argv[1], (br) => {
    br.xbridge.ml.clearStatistics();
    return undefined;
  });
  return error ?? appctlOk("statistics successfully cleared");
}

function statsShow(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv[1] ?? "");
  if (br === undefined) {
    return appctlError(NO_BRIDGE);
  }
  const { ml } = br.xbridge;
  return appctlOk(
    `Statistics for bridge "${argv[1]}":\n` +
      `  Current/maximum MAC entries in the table: ${ml.size}/${ml.maxEntries}\n` +
      `  Current static MAC entries in the table : ${ml.staticEntries}\n` +
      `  Total number of learned MAC entries     : ${ml.totalLearned}\n` +
      `  Total number of expired MAC entries     : ${ml.totalExpired}\n` +
      `  Total number of evicted MAC entries     : ${ml.totalEvicted}\n` +
      `  Total number of port moved MAC entries  : ${ml.totalMoved}\n`,
  );
}

export const FDB_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "fdb/add",
    usage: "bridge port vlan mac",
    args: [4, 4],
    doc: "Adds a static MAC entry, or makes one that was learned static.",
    run: add,
  },
  {
    tool: "ovs-appctl",
    name: "fdb/del",
    usage: "bridge vlan mac",
    args: [3, 3],
    doc: "Deletes a static MAC entry.",
    run: del,
  },
  {
    tool: "ovs-appctl",
    name: "fdb/flush",
    usage: "[bridge]",
    args: [0, 1],
    doc: "Forgets the learned addresses of a bridge, or of all.",
    run: flush,
  },
  {
    tool: "ovs-appctl",
    name: "fdb/show",
    usage: "bridge",
    args: [1, 1],
    doc: "Lists the MAC entries of a bridge, the longest unused first.",
    run: show,
  },
  {
    tool: "ovs-appctl",
    name: "fdb/stats-clear",
    usage: "[bridge]",
    args: [0, 1],
    doc: "Sets the MAC learning counters of a bridge, or of all, to zero.",
    run: statsClear,
  },
  {
    tool: "ovs-appctl",
    name: "fdb/stats-show",
    usage: "bridge",
    args: [1, 1],
    doc: "Prints the MAC learning counters of a bridge.",
    run: statsShow,
  },
];
