// Devices: what stands behind the interfaces of bridges.
//
// A device is either a dummy one, which sends and receives packets, or a virtual port (patch or
// tunnel), which only exists for the flow tables. Opening one can fail as it does in OVS. References:
// ovs: lib/netdev.c netdev_open, lib/netdev-dummy.c, lib/netdev-vport.c.

import { type CaptureSink, DummyNetdev } from "../datapath/dummy-netdev.ts";
import { formatMac } from "../lib/address.ts";
import {
  dpifPortName,
  isTunnelType,
  parseTunnelConfig,
  sameTunnelConfig,
  TUNNEL_TYPES,
  type TunnelConfig,
} from "../openflow/tunnel-config.ts";
import type { VSwitch } from "./vswitch.ts";

/** Types whose devices carry packets here. */
const DUMMY_TYPES = ["dummy", "dummy-internal", "dummy-pmd", "system", "tap"];

/** Types that Debian's build knows, but for which there is no device. */
const XDP_TYPES = ["afxdp", "afxdp-nonpmd"];

export interface Device {
  readonly name: string;
  /** As the datapath names it. */
  readonly type: string;
  /** The device that carries packets; null for patch and tunnel ports. */
  readonly netdev: DummyNetdev | null;
  /** Address of a virtual port; `macOf` asks either kind. */
  readonly vportMac: readonly [hi: number, lo: number];
  /** Options of the interface as they are in force. */
  options: ReadonlyMap<string, string>;
  /** Name of the other end of a patch port. */
  peer: string | null;
  tunnel: TunnelConfig | null;
}

export type OpenResult = { readonly device: Device } | { readonly errno: string };

export function macOf(d: Device): readonly [hi: number, lo: number] {
  return d.netdev === null ? d.vportMac : [d.netdev.macHi, d.netdev.macLo];
}

export function macBytes(d: Device): Uint8Array {
  const [hi, lo] = macOf(d);
  return Uint8Array.of(hi >>> 8, hi, lo >>> 24, lo >>> 16, lo >>> 8, lo);
}

export function macText(d: Device): string {
  const [hi, lo] = macOf(d);
  return formatMac(hi, lo);
}

export function isUp(d: Device): boolean {
  return d.netdev?.up ?? true;
}

/** A random unicast address that no vendor owns (ovs: eth_addr_random). */
export function randomMac(vs: VSwitch): readonly [hi: number, lo: number] {
  const hi = (vs.rng.u32() & 0xfeff) | 0x0200;
  return [hi, vs.rng.u32()];
}

/** Opens a device; the error is what strerror() would say. */
export function openDevice(vs: VSwitch, name: string, type: string): OpenResult {
  const there = vs.devices.get(name);
  if (there !== undefined) {
    return there.type === type ? { device: there } : { errno: "File exists" };
  }
  const isVport = type === "patch" || isTunnelType(type);
  if (!isVport && !DUMMY_TYPES.includes(type)) {
    if (XDP_TYPES.includes(type)) {
      return { errno: "No such device" };
    }
    vs.log.warn("netdev", `could not create netdev ${name} of unknown type ${type}`);
    return { errno: "Address family not supported by protocol" };
  }
  const device: Device = {
    name,
    type,
    netdev: isVport ? null : new DummyNetdev(name, type, vs.dummyMacs.next(), vs.clock),
    vportMac: isVport ? randomMac(vs) : [0, 0],
    options: new Map(),
    peer: null,
    tunnel: null,
  };
  vs.devices.set(name, device);
  return { device };
}

export function closeDevice(vs: VSwitch, d: Device): void {
  if (vs.devices.get(d.name) === d) {
    if (d.netdev !== null) {
      vs.streams.close(d.netdev, vs.clock.nowMs());
    }
    vs.devices.delete(d.name);
  }
}

/** A capture file in the switch's directory, to which is appended. */
function captureSink(vs: VSwitch, name: string): CaptureSink {
  const old = vs.fs.readFile(name);
  let empty = !old.ok || old.value.length === 0;
  return {
    get isEmpty() {
      return empty;
    },
    append: (bytes) => {
      empty = false;
      vs.fs.appendFile(name, bytes);
    },
  };
}

/** Which files a dummy device captures into. */
function configureCaptures(
  vs: VSwitch,
  d: DummyNetdev,
  options: ReadonlyMap<string, string>,
): void {
  const both = options.get("pcap");
  const rx = options.get("rxq_pcap");
  const tx = options.get("tx_pcap");
  const shared = both === undefined ? null : captureSink(vs, both);
  const ifindex = options.get("ifindex");
  d.configure({
    rx: shared ?? (rx === undefined ? null : captureSink(vs, rx)),
    tx: shared ?? (tx === undefined ? null : captureSink(vs, tx)),
    ifindex: ifindex === undefined ? null : Number.parseInt(ifindex, 10) || 0,
  });
}

function sameOptions(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([k, v]) => b.get(k) === v);
}

/** Why a patch port cannot be, or null. */
function patchError(name: string, options: ReadonlyMap<string, string>): string | null {
  const peer = options.get("peer");
  if (peer === undefined) {
    return `${name}: patch type requires valid 'peer' argument`;
  }
  if (options.size > 1) {
    return `${name}: patch type takes only a 'peer' argument`;
  }
  return peer === name ? `${name}: patch peer must not be self` : null;
}

/** What the generic layer adds to the reason of a virtual port. */
function logUnusable(vs: VSwitch, d: Device): void {
  vs.log.warn("netdev", `${d.name}: could not set configuration (Invalid argument)`);
}

const ADDRESS_LIMITS = {
  4: { name: "lookup_ip", rate: 1, burst: 5 },
  6: { name: "lookup_ipv6", rate: 1, burst: 5 },
} as const;

/** The parser of addresses logs by itself what it cannot read. */
function logBadAddress(
  vs: VSwitch,
  name: string,
  key: string,
  value: string | undefined,
  errors: readonly string[],
): void {
  const bad = errors.some((e) => e.startsWith(`${name}: bad `) && e.endsWith(`'${key}'`));
  if (value !== undefined && bad) {
    logNoAddress(vs, value);
  }
}

/** What the parser of addresses logs about a text that is none. */
export function logNoAddress(vs: VSwitch, text: string): void {
  const family = text.includes(":") ? 6 : 4;
  const line = `"${text}" is not a valid ${family === 6 ? "IPv6" : "IP"} address`;
  vs.log.logRl("socket_util", "err", ADDRESS_LIMITS[family], line);
}

/**
 * What is logged when a tunnel is asked for the number of its device: outside of the kernel the
 * device that tunnels of its type share does not exist (ovs: lib/netdev-linux.c linux_get_ifindex).
 */
export function logNoIfindex(vs: VSwitch, dpPort: string): void {
  const text = `ioctl(SIOCGIFINDEX) on ${dpPort} device failed: No such device`;
  vs.log.logRl("netdev_linux", "info", IFINDEX_LIMIT, text);
}

const IFINDEX_LIMIT = { name: "netdev_linux", rate: 5, burst: 20 };

/** Applies the options of an interface; an error text means that the device cannot be used. */
export function configureDevice(
  vs: VSwitch,
  d: Device,
  options: ReadonlyMap<string, string>,
): string | null {
  if (d.netdev !== null) {
    if (!sameOptions(d.options, options)) {
      vs.streams.configure(d.netdev, options, vs.clock.nowMs());
      configureCaptures(vs, d.netdev, options);
    }
    d.options = options;
    return null;
  }
  if (d.type === "patch") {
    const error = patchError(d.name, options);
    if (error !== null) {
      vs.log.err("netdev_vport", error);
      logUnusable(vs, d);
    }
    d.peer = error === null ? (options.get("peer") ?? null) : d.peer;
    d.options = options;
    return error;
  }
  if (isTunnelType(d.type)) {
    const { config, errors } = parseTunnelConfig(d.name, d.type, options);
    for (const key of ["remote_ip", "local_ip"]) {
      logBadAddress(vs, d.name, key, options.get(key), errors);
    }
    const clash = config === null ? null : vxlanClash(vs, d, config);
    const all = clash === null ? errors : [...errors, clash];
    if (all.length > 0) {
      vs.log.warn("netdev_vport", all.join("\n"));
    }
    if (config === null || clash !== null) {
      logUnusable(vs, d);
      return all.join("\n");
    }
    // An unchanged configuration stays the same object: the port keeps its place everywhere.
    if (d.tunnel === null || !sameTunnelConfig(d.tunnel, config)) {
      d.tunnel = config;
    }
  }
  d.options = options;
  return null;
}

/** VXLAN tunnels start as this. */
const VXLAN_AT_FIRST = { dstPort: 4789, gbp: false };

/** All VXLAN tunnels of one UDP port have to agree about group policy (GBP): why one may not be. */
function vxlanClash(vs: VSwitch, d: Device, config: TunnelConfig): string | null {
  if (d.type !== "vxlan") {
    return null;
  }
  const others: { readonly dstPort: number; readonly gbp: boolean }[] = [...vs.devices.values()]
    .filter((o) => o !== d && o.type === "vxlan")
    .map((o) => o.tunnel ?? VXLAN_AT_FIRST);
  // The datapath's own device for a port counts too, and it never is one with GBP.
  for (const backer of vs.backers.values()) {
    for (const { name } of backer.ports.values()) {
      const port = /^vxlan_sys_(\d+)$/.exec(name)?.[1];
      if (port !== undefined) {
        others.push({ dstPort: Number(port), gbp: false });
      }
    }
  }
  const old = d.tunnel ?? VXLAN_AT_FIRST;
  const count = (port: number, gbp: boolean): number =>
    others.filter((t) => t.dstPort === port && t.gbp === gbp).length;
  const samePort = old.dstPort === config.dstPort;
  const kept = samePort && old.gbp === config.gbp;
  const clash = kept
    ? config.dstPort === VXLAN_AT_FIRST.dstPort && count(config.dstPort, !config.gbp) > 0
    : samePort
      ? count(old.dstPort, old.gbp) > 0
      : count(config.dstPort, !config.gbp) > 0;
  const text = "VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port";
  return clash ? `${d.name}: ${text}` : null;
}

/** The name under which the datapath knows a device: tunnels of one type share a port. */
export function dpPortName(d: Device): string {
  return d.tunnel !== null && isTunnelType(d.type) ? dpifPortName(d.type, d.tunnel) : d.name;
}

/** Names that belong to the datapath itself (ovs: netdev_is_reserved_name). */
export function isReservedName(name: string): boolean {
  const shared = Object.values(TUNNEL_TYPES).some((t) => name.startsWith(t.dpifPort));
  return shared || /^ovs-(system|netdev|dummy)$/.test(name);
}
