// Interfaces of a bridge: how they come up, and how patch and tunnel ports find their place.
//
// References: ovs: vswitchd/bridge.c iface_create, iface_destroy; ofproto/ofproto-dpif.c port_add,
// port_construct, ofport_update_peer, bundle_update.

import { OFPP } from "../flow/ofp-port.ts";
import type { NetdevInfo } from "../openflow/ofport.ts";
import { addPort, removePort, setPortEnable, updatePort } from "../openflow/ofproto-ports.ts";
import { isTunnelType } from "../openflow/tunnel-config.ts";
import { formatTunnelMatch, type TunnelPort } from "../openflow/tunnel-ports.ts";
import { ODPP_NONE, PORT_CONFIG, type XBundle, type XPort } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Backer } from "./backer.ts";
import { forgetLldp } from "./auto-attach.ts";
import type { Bridge, BridgePort, Iface } from "./bridge.ts";
import type { VSwitch } from "./vswitch.ts";
import {
  closeDevice,
  configureDevice,
  type Device,
  dpPortName,
  isReservedName,
  isUp,
  logNoIfindex,
  macBytes,
  openDevice,
} from "./device.ts";
import { addTunnelEnd, deleteTunnelEnd } from "./native-wiring.ts";
import { endMonitor } from "./configure-monitor.ts";

/** What OpenFlow is told about a device. */
export function netdevInfo(d: Device): NetdevInfo {
  return {
    hwAddr: macBytes(d),
    up: isUp(d),
    carrier: isUp(d),
    curr: 0,
    advertised: 0,
    supported: 0,
    peer: 0,
    currSpeed: 0,
    maxSpeed: 0,
  };
}

/** The type of an interface: its local port is internal whatever the row says. */
export function ifaceType(br: Bridge, row: Row): string {
  const type = row.name("type");
  return row.name() === br.name ? "internal" : type === "" ? "system" : type;
}

/** The type of device that an interface type needs in a bridge's datapath. */
export function deviceType(br: Bridge, type: string): string {
  return type === "internal" ? (br.type === "netdev" ? "tap" : "dummy-internal") : type;
}

/** A number that a user asks for; null without one. */
export function requestedPort(row: Row): number | null {
  const n = row.int("ofport_request");
  return n !== undefined && n >= 1 && n <= 65279 ? n : null;
}

/** The number to try: the requested one, else the one that the row had before. */
function pickPort(row: Row): number | null {
  const before = row.int("ofport");
  const usable = before !== undefined && before >= 1 && before <= 65279 ? before : null;
  return requestedPort(row) ?? usable;
}

function newXPort(br: Bridge, d: Device, ofpPort: number, odpPort: number): XPort {
  return {
    id: br.vs.nextId(),
    name: d.name,
    ofpPort,
    odpPort,
    xbridge: br.xbridge,
    xbundle: null,
    peer: null,
    config: 0,
    mayEnable: true,
    tunnel: null,
    isTunnel: d.tunnel !== null && isTunnelType(d.type),
    // Patch ports take packets of any type.
    ptMode: d.tunnel?.ptMode ?? (d.type === "patch" ? "aware" : "legacy_l2"),
    stp: null,
    rstp: null,
    cfm: null,
    bfd: null,
    lldp: false,
    skbPriorities: new Map(),
    counters: { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 },
    addresses: deviceAddresses(d),
  };
}

/** Addresses of a device as 4-word IPv6 addresses. */
function deviceAddresses(d: Device): Uint32Array[] {
  const { netdev } = d;
  const out: Uint32Array[] = [];
  if (netdev !== null && netdev.ip4 !== 0) {
    out.push(Uint32Array.of(0, 0, 0xffff, netdev.ip4));
  }
  if (netdev !== null && netdev.ip6 !== null) {
    out.push(netdev.ip6);
  }
  return out;
}

const ADD_LIMIT = { name: "iface_do_create", rate: 1, burst: 5 };

/** An interface that came up, or why it did not. */
export type CreateResult = Iface | { readonly error: string | null };

/** Opens, configures and adds an interface; `port` is the bridge port that it belongs to. */
export function createIface(br: Bridge, row: Row, portOf: () => BridgePort): CreateResult {
  const { vs } = br;
  const name = row.name();
  if (isReservedName(name)) {
    vs.log.warn("bridge", `could not create interface ${name}, name is reserved`);
    return { error: null };
  }
  const type = ifaceType(br, row);
  const opened = openDevice(vs, name, deviceType(br, type));
  if ("errno" in opened) {
    const error = `could not open network device ${name} (${opened.errno})`;
    vs.log.warn("bridge", error);
    return { error };
  }
  const { device } = opened;
  const error = configureDevice(vs, device, row.map("options"));
  if (error !== null) {
    closeDevice(vs, device);
    return { error };
  }
  applyMtu(device, row);
  const added = addToOfproto(br, device, pickPort(row));
  if (typeof added === "string") {
    closeDevice(vs, device);
    const text = `${br.name}: could not add port ${name} (${added})`;
    vs.log.logRl("ofproto", "warn", { name: "ofproto", rate: 1, burst: 5 }, text);
    const problem = `could not add network device ${name} to ofproto (${added})`;
    vs.log.logRl("bridge", "warn", ADD_LIMIT, problem);
    return { error: problem };
  }
  const { ofport, xport } = added;
  vs.log.info("bridge", `bridge ${br.name}: added interface ${name} on port ${ofport.portNo}`);
  const port = portOf();
  const iface: Iface = {
    name,
    rowUuid: row.uuid,
    port,
    type,
    device,
    ofport,
    xport,
    cfm: null,
    bfd: null,
  };
  port.ifaces.push(iface);
  br.ifaces.set(name, iface);
  if (device.tunnel !== null) {
    logNoIfindex(vs, dpPortName(device));
  }
  return iface;
}

export function applyMtu(d: Device, row: Row): void {
  if (d.netdev !== null) {
    d.netdev.mtu = row.int("mtu_request") ?? 1500;
  }
}

/** Gives a device its numbers; the error is what strerror() would say. */
function addToOfproto(br: Bridge, d: Device, request: number | null) {
  const { vs, backer, ofproto } = br;
  if (d.tunnel !== null && backer.portByName(dpPortName(d)) === undefined) {
    logNoIfindex(vs, dpPortName(d));
  }
  const odpPort =
    d.type === "patch"
      ? ODPP_NONE
      : backer.addPort(dpPortName(d), d.type, d.tunnel === null ? d : null, d.name);
  if (odpPort === ODPP_NONE && d.type !== "patch") {
    return "File too large";
  }
  if (odpPort !== ODPP_NONE && backer.ports.get(odpPort)?.users === 1) {
    dpifDebug(br, `added ${d.name} as port ${odpPort}`);
  }
  const ofport = addPort(ofproto, { name: d.name, type: d.type, request, netdev: netdevInfo(d) });
  if (ofport === null) {
    backer.deletePort(odpPort);
    return "No space left on device";
  }
  const xport = newXPort(br, d, ofport.portNo, odpPort);
  if (d.tunnel !== null && isTunnelType(d.type)) {
    if (!registerTunnel(br, d, xport)) {
      backer.deletePort(odpPort);
      removePort(ofproto, ofport);
      return "File exists";
    }
  } else if (odpPort !== ODPP_NONE) {
    odpPortsOf(br).set(odpPort, xport);
  }
  xport.config = ofport.pp.config;
  br.xbridge.xports.set(ofport.portNo, xport);
  vs.xcfg.portsById.set(xport.id, xport);
  setPortEnable(ofproto, ofport, true);
  return { ofport, xport };
}

const DPIF_LIMIT = { name: "dpif_message", rate: 600, burst: 600 };

function dpifDebug({ vs, backer }: { vs: VSwitch; backer: Backer }, text: string): void {
  vs.log.logRl("dpif", "dbg", DPIF_LIMIT, `${backer.type}@${backer.name}: ${text}`);
}

/** Takes the datapath's tunnel ports away that no interface uses any more. */
export function sweepTunnelPorts(vs: VSwitch, backer: Backer): void {
  for (const odpPort of backer.sweepTunnels()) {
    dpifDebug({ vs, backer }, `port_del(${odpPort})`);
  }
}

/** Makes a tunnel known to translation; false if another one is just like it. */
function registerTunnel(br: Bridge, d: Device, xport: XPort): boolean {
  if (d.tunnel === null || !isTunnelType(d.type)) {
    return true;
  }
  const { odpPort } = xport;
  const t: TunnelPort = { name: d.name, type: d.type, xport, cfg: d.tunnel, odpPort };
  const there = br.vs.xcfg.tunnels.add(t);
  if (there !== null) {
    const text = `attempting to add tunnel port with same config as port '${there.name}'`;
    br.vs.log.warn("tunnel", `${d.name}: ${text} (${formatTunnelMatch(t)})`);
    return false;
  }
  xport.tunnel = t;
  addTunnelEnd(br.vs, t, br.backer.support.tnl_push_pop);
  return true;
}

/** A tunnel was told other things: it keeps its OpenFlow number, not always its datapath port. */
export function refreshTunnel(br: Bridge, iface: Iface): void {
  const { device, xport } = iface;
  const old = xport.tunnel;
  if (device.tunnel === null || old?.cfg === device.tunnel) {
    return;
  }
  if (old !== null) {
    br.vs.xcfg.tunnels.remove(old);
    deleteTunnelEnd(br.vs, old);
  }
  xport.tunnel = null;
  const odpPort = br.backer.addPort(dpPortName(device), device.type, null);
  br.backer.deletePort(xport.odpPort);
  xport.odpPort = odpPort;
  xport.ptMode = device.tunnel.ptMode;
  registerTunnel(br, device, xport);
}

/** The datapath port of a device got another number. */
export function renumberPort(br: Bridge, xport: XPort, odpPort: number): void {
  odpPortsOf(br).delete(xport.odpPort);
  odpPortsOf(br).set(odpPort, xport);
  xport.odpPort = odpPort;
}

function odpPortsOf(br: Bridge): Map<number, XPort> {
  const { odpPorts } = br.vs.xcfg;
  const there = odpPorts.get(br.type) ?? new Map<number, XPort>();
  odpPorts.set(br.type, there);
  return there;
}

/** Takes an interface out of its bridge and closes its device. */
export function destroyIface(br: Bridge, iface: Iface): void {
  const { vs, backer, ofproto, xbridge } = br;
  const { xport, ofport, device, port } = iface;
  vs.log.info(
    "bridge",
    `bridge ${br.name}: deleted interface ${iface.name} on port ${ofport.portNo}`,
  );
  leaveBundle(port.xbundle, xport);
  port.lacp?.unregisterMember(xport);
  endMonitor(br, iface);
  br.trees.portGone(iface);
  forgetLldp(br, iface);
  if (xport.peer !== null) {
    xport.peer.peer = null;
  }
  if (xport.tunnel !== null) {
    vs.xcfg.tunnels.remove(xport.tunnel);
    deleteTunnelEnd(vs, xport.tunnel);
  } else {
    odpPortsOf(br).delete(xport.odpPort);
  }
  xbridge.xports.delete(ofport.portNo);
  vs.xcfg.portsById.delete(xport.id);
  removePort(ofproto, ofport);
  vs.xcfg.native.neighbours.flush(device.name);
  backer.deletePort(xport.odpPort);
  if (xport.odpPort !== ODPP_NONE && !backer.ports.has(xport.odpPort)) {
    dpifDebug(br, `port_del(${xport.odpPort})`);
    if (br.row !== undefined) {
      dpifDebug(br, `failed to query port ${device.name}: No such device`);
    }
  }
  br.ifaces.delete(iface.name);
  port.ifaces.splice(port.ifaces.indexOf(iface), 1);
  closeDevice(vs, device);
}

/** Takes a port out of its bundle, with what the bundle learned if it was the last one. */
export function leaveBundle(b: XBundle | null, xport: XPort): void {
  if (b === null) {
    return;
  }
  const i = b.xports.indexOf(xport);
  if (i >= 0) {
    b.xports.splice(i, 1);
  }
  b.bond?.unregisterMember(xport);
  xport.xbundle = null;
}

/** Removes a bundle from its bridge. */
export function destroyBundle(br: Bridge, b: XBundle): void {
  const { xbridge } = br;
  const i = xbridge.xbundles.indexOf(b);
  if (i >= 0) {
    xbridge.xbundles.splice(i, 1);
  }
  xbridge.ml.flushBundle(b, otherTables(br));
  xbridge.ms?.flushBundle(b);
  xbridge.mbridge.forgetBundle(b);
  b.bond?.close();
  b.bond = null;
}

/** The MAC tables of the other bridges, in which moved addresses may also have to go. */
function otherTables(br: Bridge) {
  return [...br.vs.bridges.values()].filter((o) => o !== br).map((o) => o.xbridge.ml);
}

/** A port floods unless a member must not. */
export function bundleUpdate(port: BridgePort, br: Bridge): void {
  const b = port.xbundle;
  if (b !== null) {
    b.floodable = port.ifaces.every(
      (i) =>
        i.xport.xbundle !== b ||
        ((i.xport.config & PORT_CONFIG.NO_FLOOD) === 0 &&
          i.xport.ptMode !== "legacy_l3" &&
          br.trees.allowsFlood(i)),
    );
  }
}

/** Connects patch ports whose peers name each other, within each datapath type. */
export function connectPatchPorts(bridges: Iterable<Bridge>): void {
  const patches: { readonly br: Bridge; readonly iface: Iface }[] = [];
  for (const br of bridges) {
    for (const iface of br.ifaces.values()) {
      if (iface.device.type === "patch") {
        patches.push({ br, iface });
      }
    }
  }
  for (const { br, iface } of patches) {
    const peer = patches.find(
      (o) =>
        o.br.type === br.type &&
        o.iface.name === iface.device.peer &&
        o.iface.device.peer === iface.name,
    );
    iface.xport.peer = peer?.iface.xport ?? null;
  }
}

/** A device changed: tells the bridge that has it. */
export function refreshIface(br: Bridge, iface: Iface): void {
  iface.xport.addresses = deviceAddresses(iface.device);
  updatePort(br.ofproto, iface.ofport, netdevInfo(iface.device));
  iface.xport.config = iface.ofport.pp.config;
}

/** True for the port that stands for the bridge itself. */
export function isLocal(iface: Iface): boolean {
  return iface.ofport.portNo === OFPP.LOCAL;
}
