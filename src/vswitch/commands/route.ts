// ovs/route/*: the routes of native tunnels.
// ovs: lib/ovs-router.c.

import { formatIpv6Mapped, ipv6PrefixBits, parseIpv4, parseIpv6 } from "../../lib/address.ts";
import { parseIpv4Cidr, parseIpv6Masked, TextScan } from "../../lib/scan.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

const MAPPED_BITS = 96;

interface Prefix {
  readonly addr: Uint32Array;
  readonly bits: number;
  readonly isIpv4: boolean;
}

function parsePrefix(text: string): Prefix | null {
  const v4 = parseIpv4Cidr(text);
  if (v4.ok) {
    const addr = Uint32Array.of(0, 0, 0xffff, v4.value.ip);
    return { addr, bits: v4.value.prefixBits + MAPPED_BITS, isIpv4: true };
  }
  const addr = new Uint32Array(4);
  const mask = new Uint32Array(4);
  if (!parseIpv6Masked(text, addr, mask).ok) {
    return null;
  }
  const bits = ipv6PrefixBits(mask);
  return bits < 0 ? null : { addr, bits, isIpv4: false };
}

/** The number behind "pkt_mark=", or null. What follows it does not matter. */
function parseMark(text: string): number | null {
  const s = new TextScan(text);
  return s.lit("pkt_mark=") && s.int(0) ? s.value >>> 0 : null;
}

function parseGateway(text: string, isIpv4: boolean): Uint32Array | null {
  if (isIpv4) {
    const ip = parseIpv4(text);
    return ip === undefined ? null : Uint32Array.of(0, 0, ip === 0 ? 0 : 0xffff, ip);
  }
  const words = new Uint32Array(4);
  return parseIpv6(text, words) ? words : null;
}

function add(ctx: CommandContext, argv: readonly string[]): Reply {
  const prefix = parsePrefix(argv[1] ?? "");
  if (prefix === null) {
    return appctlError("Invalid parameters");
  }
  let mark = 0;
  let gateway = new Uint32Array(4);
  if (argv[3] !== undefined) {
    const m = parseMark(argv[3]);
    const gw = m === null ? parseGateway(argv[3], prefix.isIpv4) : gateway;
    if (gw === null) {
      const what = prefix.isIpv4 ? "gateway" : "IPv6 gateway";
      return appctlError(`Invalid pkt_mark or ${what}`);
    }
    mark = m ?? mark;
    gateway = gw.slice();
  }
  if (argv[4] !== undefined) {
    const m = parseMark(argv[4]);
    if (m === null) {
      return appctlError("Invalid pkt_mark");
    }
    mark = m;
  }
  const { native } = ctx.vs.xcfg;
  return native.addRoute(mark, prefix.addr, prefix.bits, argv[2] ?? "", gateway)
    ? appctlOk("OK")
    : appctlError("Error while inserting route.");
}

function del(ctx: CommandContext, argv: readonly string[]): Reply {
  const prefix = parsePrefix(argv[1] ?? "");
  if (prefix === null) {
    return appctlError("Invalid parameters");
  }
  const mark = argv[2] === undefined ? 0 : parseMark(argv[2]);
  if (mark === null) {
    return appctlError("Invalid pkt_mark");
  }
  return ctx.vs.xcfg.native.deleteRoute(mark, prefix.addr, prefix.bits)
    ? appctlOk("OK")
    : appctlError("Not found");
}

function lookup(ctx: CommandContext, argv: readonly string[]): Reply {
  const prefix = parsePrefix(argv[1] ?? "");
  if (prefix === null || prefix.bits !== 128) {
    return appctlError("Invalid parameters");
  }
  const mark = argv[2] === undefined ? 0 : parseMark(argv[2]);
  if (mark === null) {
    return appctlError("Invalid pkt_mark");
  }
  const r = ctx.vs.xcfg.native.routes.lookup(mark, prefix.addr, new Uint32Array(4));
  if (r === null) {
    return appctlError("Not found");
  }
  const [src, gw] = [formatIpv6Mapped(r.src), formatIpv6Mapped(r.gateway)];
  return appctlOk(`src ${src}\ngateway ${gw}\ndev ${r.dev}\n`);
}

export const ROUTE_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "ovs/route/add",
    usage: "ip_addr/prefix_len out_br_name [gw] [pkt_mark=mark]",
    args: [2, 4],
    doc: "Adds a route for native tunnels.",
    run: add,
  },
  {
    tool: "ovs-appctl",
    name: "ovs/route/del",
    usage: "ip_addr/prefix_len [pkt_mark=mark]",
    args: [1, 2],
    doc: "Deletes a route of native tunnels.",
    run: del,
  },
  {
    tool: "ovs-appctl",
    name: "ovs/route/lookup",
    usage: "ip_addr [pkt_mark=mark]",
    args: [1, 2],
    doc: "Prints the route to an address.",
    run: lookup,
  },
  {
    tool: "ovs-appctl",
    name: "ovs/route/show",
    usage: "",
    args: [0, 0],
    doc: "Lists the routes of native tunnels.",
    run: (ctx) => appctlOk(ctx.vs.xcfg.native.routes.format()),
  },
];
