// mdb/*: the multicast snooping tables of the bridges.
// ovs: ofproto/ofproto-dpif.c ofproto_unixctl_mcast_snooping_*; vswitchd/ovs-vswitchd.8.

import { formatIpv6Mapped } from "../../lib/address.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import { bundlePortText } from "./fdb.ts";

const DISABLED = "multicast snooping is disabled";

function show(ctx: CommandContext, argv: readonly string[]): Reply {
  const br = ctx.vs.bridges.get(argv[1] ?? "");
  if (br === undefined) {
    return appctlError("no such bridge");
  }
  const { ms } = br.xbridge;
  if (ms === null) {
    return appctlError(DISABLED);
  }
  const now = ctx.vs.clock.nowMs();
  let s = " port  VLAN  GROUP                Age\n";
  for (const g of ms.groups()) {
    for (const b of g.bundles.values()) {
      const age = String(ms.bundleAge(b, now)).padStart(3);
      s += `${bundlePortText(b.bundle).padStart(5)}  ${String(g.vlan).padStart(4)}  `;
      s += `${formatIpv6Mapped(g.addr)}         ${age}\n`;
    }
  }
  for (const r of ms.routers()) {
    const age = String(ms.routerAge(r, now)).padStart(3);
    s += `${bundlePortText(r.bundle).padStart(5)}  ${String(r.vlan).padStart(4)}  `;
    s += `querier             ${age}\n`;
  }
  return appctlOk(s);
}

function flush(ctx: CommandContext, argv: readonly string[]): Reply {
  const name = argv[1];
  if (name === undefined) {
    for (const br of ctx.vs.bridges.values()) {
      br.xbridge.ms?.flushMdb();
    }
    return appctlOk("table successfully flushed");
  }
  const br = ctx.vs.bridges.get(name);
  if (br === undefined) {
    return appctlError("no such bridge");
  }
  if (br.xbridge.ms === null) {
    return appctlError(DISABLED);
  }
  br.xbridge.ms.flushMdb();
  return appctlOk("table successfully flushed");
}

export const MDB_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "mdb/flush",
    usage: "[bridge]",
    args: [0, 1],
    doc: "Forgets the multicast groups and routers of a bridge, or of all.",
    run: flush,
  },
  {
    tool: "ovs-appctl",
    name: "mdb/show",
    usage: "bridge",
    args: [1, 1],
    doc: "Lists the multicast groups and routers of a bridge.",
    run: show,
  },
];
