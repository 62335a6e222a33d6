// What a dumped host says of the ways its tunnels take: routes, neighbours, and who encapsulates.
//
// A kernel datapath is told where a packet goes and does the rest (`set(tunnel(...))`); a datapath in
// userspace pushes headers itself and needs routes and neighbours (`ovs/route/show`,
// `tnl/neigh/show`). Devices get the addresses that the routes say they have.

import { formatIpv6Mapped, isMappedIpv4 } from "../../lib/address.ts";
import { parseMac } from "../../lib/scan.ts";
import { runCommandLine } from "../commands.ts";
import { parseAnyIp } from "../commands/tnl.ts";
import type { VSwitch } from "../vswitch.ts";
import type { DumpText, HostDump } from "./host-dump.ts";
import type { Notes } from "./note.ts";
import type { ShownBridge } from "./port-texts.ts";

/** A line of ovs/route/show. */
interface ShownRoute {
  readonly cached: boolean;
  readonly prefix: Uint32Array;
  /** Length as it is shown, and as one of IPv6. */
  readonly shownBits: number;
  readonly bits: number;
  readonly mark: number;
  readonly dev: string;
  readonly gateway: Uint32Array;
  readonly src: Uint32Array;
  readonly local: boolean;
}

const MAPPED_BITS = 96;
const NO_GATEWAY = new Uint32Array(4);
const ROUTE =
  /^(Cached|User): (\S+)\/(\d+)(?: MARK (\d+))? dev (\S+)(?: GW (\S+))? SRC (\S+)( local)?$/;

function parseRoutes(text: string): ShownRoute[] {
  return text.split("\n").flatMap((line) => {
    const m = ROUTE.exec(line.trim());
    const prefix = parseAnyIp(m?.[2] ?? "");
    const src = parseAnyIp(m?.[7] ?? "");
    const gateway = m?.[6] === undefined ? NO_GATEWAY : parseAnyIp(m[6]);
    if (m === null || prefix === null || src === null || gateway === null) {
      return [];
    }
    const shownBits = Number(m[3]);
    return {
      cached: m[1] === "Cached",
      prefix,
      shownBits,
      bits: shownBits + (isMappedIpv4(prefix) ? MAPPED_BITS : 0),
      mark: Number(m[4] ?? 0),
      dev: m[5] ?? "",
      gateway,
      src,
      local: m[8] !== undefined,
    };
  });
}

/** True if an address lies in a prefix. */
function covers(prefix: Uint32Array, bits: number, addr: Uint32Array): boolean {
  return prefix.every((word, i) => {
    const n = Math.max(0, Math.min(32, bits - 32 * i));
    const mask = n === 0 ? 0 : (0xffffffff << (32 - n)) >>> 0;
    return ((word ^ (addr[i] ?? 0)) & mask) === 0;
  });
}

/** Length of the network that an address is in, as the routes have it. */
function networkBits(routes: readonly ShownRoute[], dev: string, addr: Uint32Array): number {
  const full = isMappedIpv4(addr) ? 32 : 128;
  const near = routes.filter(
    (r) => r.dev === dev && !r.local && r.gateway === NO_GATEWAY && covers(r.prefix, r.bits, addr),
  );
  return Math.max(0, ...near.map((r) => r.shownBits).filter((n) => n < full)) || full;
}

function loadRoutes(vs: VSwitch, { name, text }: DumpText, notes: Notes): void {
  const routes = parseRoutes(text).filter((r) => vs.xcfg.native.device(r.dev) !== null);
  const addressed = new Set<string>();
  for (const { dev, src } of routes) {
    const family = isMappedIpv4(src) ? "ip4addr" : "ip6addr";
    if (!addressed.has(`${dev} ${family}`)) {
      addressed.add(`${dev} ${family}`);
      const cidr = `${formatIpv6Mapped(src)}/${networkBits(routes, dev, src)}`;
      runCommandLine(vs, ["ovs-appctl", `netdev-dummy/${family}`, dev, cidr]);
    }
  }
  for (const route of routes) {
    vs.xcfg.native.putRoute({ ...route, prefixBits: route.bits });
  }
  notes.push({ kind: "used", text: `${name}: ${routes.length} routes of tunnels` });
}

function loadNeighbours(vs: VSwitch, { name, text }: DumpText, notes: Notes): void {
  let n = 0;
  for (const line of text.split("\n")) {
    const [, addr = "", macText = "", bridge = ""] = /^(\S+)\s+(\S+)\s+(\S+)/.exec(line) ?? [];
    const ip = parseAnyIp(addr);
    const mac = parseMac(macText);
    if (ip !== null && mac !== undefined) {
      const nowMs = vs.clock.nowMs();
      vs.xcfg.native.neighbours.set(bridge, ip, mac.hi, mac.lo, nowMs);
      n++;
    }
  }
  notes.push({ kind: "used", text: `${name}: ${n} neighbours of tunnels` });
}

/** Makes tunnels lead where they led on the host, as far as its texts tell. */
export function loadTunnels(
  vs: VSwitch,
  dump: HostDump,
  shown: ReadonlyMap<string, ShownBridge>,
  notes: Notes,
): void {
  for (const [name, { isKernel }] of shown) {
    if (isKernel && vs.bridges.has(name)) {
      const argv = ["ovs-appctl", "dpif/set-dp-features", name, "tnl_push_pop", "false"];
      runCommandLine(vs, argv);
    }
  }
  if (dump.routes !== null) {
    loadRoutes(vs, dump.routes, notes);
  }
  if (dump.neighbours !== null) {
    loadNeighbours(vs, dump.neighbours, notes);
  }
}
