// What the database says of STP and RSTP, made settings of a bridge's spanning trees.
//
// Both cannot be on at once: RSTP wins. Ports with several interfaces, internal ones and outputs of
// mirrors take no part. Numbers are cut to the width that Open vSwitch keeps them in. References:
// ovs: vswitchd/bridge.c bridge_configure_spanning_tree, port_configure_stp, port_configure_rstp;
// ovs-vswitchd.conf.db(5), "STP Configuration", "RSTP Configuration".

import { OFPP } from "../flow/ofp-port.ts";
import { formatMac } from "../lib/address.ts";
import { parseMac } from "../lib/scan.ts";
import { RSTP_PORTS_MAX } from "../openflow/rstp.ts";
import { RSTP_DEFAULT, type RstpPortSettings, rstpSpeedToCost } from "../openflow/rstp-port.ts";
import { STP_PORTS_MAX, STP_PRIORITY_DEFAULT, STP_TIMES_DEFAULT } from "../openflow/stp.ts";
import { STP_PORT_PRIORITY_DEFAULT, stpSpeedToCost } from "../openflow/stp-port.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Bridge, BridgePort, Iface } from "./bridge.ts";
import { macOf } from "./device.ts";
import { smapBool } from "./smap.ts";
import type { StpPortSettings } from "./spanning-trees.ts";

type Settings = ReadonlyMap<string, string>;

/** No device here tells its speed, and then Open vSwitch assumes 10 Gb/s. */
const LINK_MBPS = 10_000;
const U64_MAX = 0xffffffffffffffffn;

/** Configures both protocols. */
export function configureSpanningTrees(br: Bridge, row: Row): void {
  const rstp = row.bool("rstp_enable") === true;
  const stp = row.bool("stp_enable") === true;
  if (rstp && stp) {
    const text = "RSTP and STP are mutually exclusive but both are configured; enabling RSTP";
    br.vs.log.warn("bridge", `${br.name}: ${text}`);
  }
  configureStp(br, row, stp && !rstp);
  configureRstp(br, row, rstp);
}

/** The number that strtoul() reads at the start of a text, in so many bits. */
function strtoul(text: string, base: 0 | 10, bits: number): number {
  const m = /^\s*([+-]?)(0x[0-9a-f]+|\d+)/i.exec(text);
  let digits = m?.[2] ?? "0";
  if (base === 10) {
    digits = /^\d+/.exec(digits)?.[0] ?? "0";
  } else if (/^0[0-7]/.test(digits)) {
    digits = `0o${/^0[0-7]+/.exec(digits)?.[0].slice(1)}`;
  } else if (/^0[89]/.test(digits)) {
    digits = "0";
  }
  const n = base === 10 ? BigInt(digits) : BigInt(digits);
  const whole = n > U64_MAX ? U64_MAX : m?.[1] === "-" ? -n : n;
  return Number(BigInt.asUintN(bits, whole));
}

/** A setting that must be one number (ovs: smap_get_ullong), in so many bits. */
function number(config: Settings, key: string, fallback: number, bits: number, times = 1): number {
  const text = config.get(key);
  const valid = text !== undefined && /^\s*[+-]?\d+$/.test(text);
  const n = valid ? BigInt(text.trim()) : BigInt(fallback);
  const inRange = n <= U64_MAX && n >= -U64_MAX;
  return Number(BigInt.asUintN(bits, (inRange ? n : BigInt(fallback)) * BigInt(times)));
}

/** The address of a bridge in a spanning tree: its own unless the user gives another. */
function addressOf(br: Bridge, config: Settings, key: string): bigint {
  const local = br.ifaceByOfPort(OFPP.LOCAL);
  const [hi, lo] = local === undefined ? br.defaultMac : macOf(local.device);
  const own = (BigInt(hi) << 32n) | BigInt(lo);
  const text = config.get(key);
  if (text === undefined) {
    return own;
  }
  const mac = parseMac(text);
  if (mac === undefined) {
    const error = `invalid ${key}, defaulting to ${formatMac(hi, lo)}`;
    br.vs.log.err("bridge", `bridge ${br.name}: ${error}`);
    return own;
  }
  return (BigInt(mac.hi) << 32n) | BigInt(mac.lo);
}

/** The interface by which a port takes part, or null if it cannot. */
function eligible(br: Bridge, port: BridgePort, config: Settings, proto: string): Iface | null {
  const { log } = br.vs;
  if (!smapBool(config, `${proto.toLowerCase()}-enable`, true)) {
    return null;
  }
  const [iface, second] = port.ifaces;
  if (iface === undefined || second !== undefined) {
    log.err("bridge", `port ${port.name}: cannot enable ${proto} on bonds, disabling`);
    return null;
  }
  if (iface.type === "internal") {
    log.dbg("bridge", `port ${port.name}: disable ${proto} on internal ports`);
    return null;
  }
  const outputs = br.xbridge.mbridge.mirrors().map((m) => m.settings.outBundle);
  if (port.xbundle !== null && outputs.includes(port.xbundle)) {
    log.dbg("bridge", `port ${port.name}: disable ${proto} on mirror ports`);
    return null;
  }
  return iface;
}

const NO_CONFIG: Settings = new Map();

function portConfig(br: Bridge, port: BridgePort): Settings {
  return br.vs.db.row("Port", port.rowUuid)?.map("other_config") ?? NO_CONFIG;
}

/** Numbers of ports: all by hand or all in order. */
interface StpNumbers {
  counter: number;
  readonly taken: Set<number>;
}

function stpNumber(br: Bridge, port: BridgePort, config: Settings, n: StpNumbers): number | null {
  const text = config.get("stp-port-num");
  const error = (what: string) => {
    br.vs.log.err("bridge", `port ${port.name}: ${what}`);
    return null;
  };
  if (text === undefined) {
    return n.counter >= STP_PORTS_MAX ? error("too many STP ports, disabling") : n.counter++;
  }
  const num = strtoul(text, 0, 64);
  if (num < 1 || num > STP_PORTS_MAX) {
    return error("invalid stp-port-num");
  }
  if (n.taken.has(num - 1)) {
    return error(`duplicate stp-port-num ${num}, disabling`);
  }
  n.taken.add(num - 1);
  return num - 1;
}

function stpPort(br: Bridge, port: BridgePort, numbers: StpNumbers): StpPortSettings | null {
  const config = portConfig(br, port);
  if (eligible(br, port, config, "STP") === null) {
    return null;
  }
  const portNo = stpNumber(br, port, config, numbers);
  if (portNo === null) {
    return null;
  }
  const cost = config.get("stp-path-cost");
  const priority = config.get("stp-port-priority");
  return {
    portNo,
    pathCost: cost === undefined ? stpSpeedToCost(LINK_MBPS) : strtoul(cost, 10, 16),
    priority: priority === undefined ? STP_PORT_PRIORITY_DEFAULT : strtoul(priority, 0, 8),
  };
}

function configureStp(br: Bridge, row: Row, enable: boolean): void {
  const { trees } = br;
  if (!enable) {
    trees.setStp(null);
    return;
  }
  const config = row.map("other_config");
  const t = STP_TIMES_DEFAULT;
  trees.setStp({
    address: addressOf(br, config, "stp-system-id"),
    priority: number(config, "stp-priority", STP_PRIORITY_DEFAULT, 16),
    times: {
      helloTimeMs: number(config, "stp-hello-time", t.helloTimeMs, 16),
      maxAgeMs: number(config, "stp-max-age", t.maxAgeMs / 1000, 16, 1000),
      forwardDelayMs: number(config, "stp-forward-delay", t.forwardDelayMs / 1000, 16, 1000),
    },
  });
  const numbers: StpNumbers = { counter: 0, taken: new Set() };
  for (const port of br.ports.values()) {
    const settings = stpPort(br, port, numbers);
    for (const iface of port.ifaces) {
      trees.setStpPort(iface, settings);
    }
  }
  if (numbers.taken.size > 0 && numbers.counter > 0) {
    const text = "must manually configure all STP port IDs or none, disabling";
    br.vs.log.err("bridge", `bridge ${br.name}: ${text}`);
    trees.setStp(null);
  }
}

function rstpPort(br: Bridge, port: BridgePort, count: { n: number }): RstpPortSettings | null {
  const config = portConfig(br, port);
  const iface = eligible(br, port, config, "RSTP");
  if (iface === null) {
    return null;
  }
  const text = config.get("rstp-port-num");
  const wanted = text === undefined ? 0 : strtoul(text, 0, 64);
  if (text !== undefined && (wanted < 1 || wanted > RSTP_PORTS_MAX)) {
    br.vs.log.err("bridge", `port ${port.name}: invalid rstp-port-num`);
    return null;
  }
  if (text === undefined && count.n >= RSTP_PORTS_MAX) {
    br.vs.log.err("bridge", `port ${port.name}: too many RSTP ports, disabling`);
    return null;
  }
  count.n++;
  const cost = config.get("rstp-path-cost");
  const priority = config.get("rstp-port-priority");
  return {
    number: wanted,
    name: iface.name,
    pathCost: cost === undefined ? rstpSpeedToCost(LINK_MBPS) : strtoul(cost, 10, 32),
    priority: priority === undefined ? RSTP_DEFAULT.portPriority : strtoul(priority, 0, 8),
    adminPointToPoint: number(config, "rstp-admin-p2p-mac", 1, 8),
    adminEnabled: smapBool(config, "rstp-admin-port-state", true),
    adminEdge: smapBool(config, "rstp-port-admin-edge", false),
    autoEdge: smapBool(config, "rstp-port-auto-edge", true),
    mcheck: smapBool(config, "rstp-port-mcheck", false),
  };
}

function configureRstp(br: Bridge, row: Row, enable: boolean): void {
  const { trees } = br;
  if (!enable) {
    trees.setRstp(null);
    return;
  }
  const config = row.map("other_config");
  const d = RSTP_DEFAULT;
  trees.setRstp({
    address: addressOf(br, config, "rstp-address"),
    priority: number(config, "rstp-priority", d.priority, 16),
    forceVersion: number(config, "rstp-force-protocol-version", d.forceVersion, 32),
    maxAgeS: number(config, "rstp-max-age", d.maxAgeS, 16),
    forwardDelayS: number(config, "rstp-forward-delay", d.forwardDelayS, 16),
    transmitHoldCount: number(config, "rstp-transmit-hold-count", d.transmitHoldCount, 16),
  });
  const count = { n: 0 };
  for (const port of br.ports.values()) {
    const settings = rstpPort(br, port, count);
    for (const iface of port.ifaces) {
      trees.setRstpPort(iface, settings);
    }
  }
}
