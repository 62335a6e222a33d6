// tnl/* and ofproto/list-tunnels: neighbours and ends of native tunnels, and the tunnel ports.
// ovs: lib/tnl-neigh-cache.c, lib/tnl-ports.c, ofproto/tunnel.c.

import { parseIpv4, parseIpv6 } from "../../lib/address.ts";
import { parseMac, TextScan } from "../../lib/scan.ts";
import { logNoAddress } from "../device.ts";
import { NEIGHBOUR_AGING_MAX_S } from "../../openflow/tunnel-neighbours.ts";
import { formatTunnelPort } from "../../openflow/tunnel-ports.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

/** An IPv4 or IPv6 address in 4 words. */
export function parseAnyIp(text: string): Uint32Array | null {
  if (text.includes(":")) {
    const words = new Uint32Array(4);
    return parseIpv6(text, words) ? words : null;
  }
  const ip = parseIpv4(text);
  return ip === undefined ? null : Uint32Array.of(0, 0, 0xffff, ip);
}

function neighSet(ctx: CommandContext, argv: readonly string[]): Reply {
  const ip = parseAnyIp(argv[2] ?? "");
  if (ip === null) {
    logNoAddress(ctx.vs, argv[2] ?? "");
    return appctlError("bad IP address");
  }
  const mac = parseMac(argv[3] ?? "");
  if (mac === undefined) {
    return appctlError("bad MAC address");
  }
  const { neighbours } = ctx.vs.xcfg.native;
  neighbours.set(argv[1] ?? "", ip, mac.hi, mac.lo, ctx.vs.clock.nowMs());
  return appctlOk("OK");
}

function neighShow(ctx: CommandContext): Reply {
  return appctlOk(ctx.vs.xcfg.native.neighbours.format(ctx.vs.clock.nowMs()));
}

function neighFlush(ctx: CommandContext): Reply {
  ctx.vs.xcfg.native.neighbours.flush(null);
  return appctlOk("OK");
}

function neighAging(ctx: CommandContext, argv: readonly string[]): Reply {
  const { neighbours } = ctx.vs.xcfg.native;
  const text = argv[1];
  if (text === undefined) {
    return appctlOk(String(Math.floor(neighbours.agingMs / 1000)));
  }
  const s = new TextScan(text);
  if (!s.int(10) || s.value <= 0 || s.value > NEIGHBOUR_AGING_MAX_S) {
    return appctlError("bad aging value");
  }
  neighbours.setAging(s.value, ctx.vs.clock.nowMs());
  return appctlOk("OK");
}

/** The same command under its new and its old name. */
function neighCommands(name: string, rest: Omit<Command, "tool" | "name">): Command[] {
  return ["neigh", "arp"].map((family) => ({
    tool: "ovs-appctl",
    name: `tnl/${family}/${name}`,
    ...rest,
  }));
}

export const TNL_COMMANDS: readonly Command[] = [
  ...neighCommands("show", {
    usage: "",
    args: [0, 0],
    doc: "Lists the neighbours of native tunnels.",
    run: neighShow,
  }),
  ...neighCommands("set", {
    usage: "BRIDGE IP MAC",
    args: [3, 3],
    doc: "Tells the Ethernet address of a neighbour.",
    run: neighSet,
  }),
  ...neighCommands("flush", {
    usage: "",
    args: [0, 0],
    doc: "Forgets all neighbours of native tunnels.",
    run: neighFlush,
  }),
  ...neighCommands("aging", {
    usage: "[SECS]",
    args: [0, 1],
    doc: "Prints or sets how long an unused neighbour is kept.",
    run: neighAging,
  }),
  {
    tool: "ovs-appctl",
    name: "tnl/ports/show",
    usage: "-v",
    args: [0, 1],
    doc: "Lists the datapath ports at which native tunnels end.",
    run: (ctx, argv) => appctlOk(ctx.vs.xcfg.native.map.format(argv[1]?.toLowerCase() === "-v")),
  },
  {
    tool: "ovs-appctl",
    name: "ofproto/list-tunnels",
    usage: "",
    args: [0, 0],
    doc: "Lists the tunnel ports of all bridges.",
    run: (ctx) =>
      appctlOk([...ctx.vs.xcfg.tunnels.list()].map((t) => `${formatTunnelPort(t)}\n`).join("")),
  },
];
