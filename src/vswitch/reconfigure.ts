// Brings the bridges in line with the database: removes what is gone, adds what is new, configures
// the rest.
//
// It runs after each change of the configuration and does the whole of it, in the order in which
// Open vSwitch does: deletions first, so that names and numbers are free again, then ports that ask
// for a number, then the others. References: ovs: vswitchd/bridge.c bridge_reconfigure.

import { EMC_INSERT_INV_PROB } from "../datapath/datapath.ts";
import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Row } from "../ovsdb/database.ts";
import { type Datum, mapDatum, setDatum } from "../ovsdb/datum.ts";
import { DP_TYPES, type DpType } from "./backer.ts";
import { Bridge, type BridgePort, type Iface } from "./bridge.ts";
import {
  configureDatapathId,
  configureDescription,
  configureMac,
  configureMacTable,
  configureMcast,
  configureMirrors,
  configureRemotes,
  configureTables,
} from "./bridge-config.ts";
import {
  applyMtu,
  connectPatchPorts,
  createIface,
  destroyBundle,
  leaveBundle,
  destroyIface,
  deviceType,
  ifaceType,
  refreshTunnel,
  requestedPort,
  sweepTunnelPorts,
} from "./bridge-ports.ts";
import { configureDevice, dpPortName, logNoIfindex } from "./device.ts";
import { configureAutoAttach, configureLldp } from "./auto-attach.ts";
import { configureSpanningTrees } from "./configure-trees.ts";
import { configurePort } from "./port-config.ts";
import { endLacp } from "./protocol-lacp.ts";
import { configureQueues } from "./port-queues.ts";
import { configureBfd, configureCfm } from "./configure-monitor.ts";
import { smapInt, smapUint } from "./smap.ts";
import { StatusWriter, writeFailure, writeIface, writeStatistics } from "./status.ts";
import type { VSwitch } from "./vswitch.ts";

/** Settings of the switch as a whole (other_config of the root row), with OVS's defaults. */
export interface SwitchSettings {
  readonly flowLimit: number;
  readonly maxIdleMs: number;
  readonly maxRevalidatorMs: number;
  readonly vlanLimit: number;
  readonly emcInsertInvProb: number;
}

export const DEFAULT_SETTINGS: SwitchSettings = {
  flowLimit: 200_000,
  maxIdleMs: 10_000,
  maxRevalidatorMs: 500,
  vlanLimit: 1,
  emcInsertInvProb: EMC_INSERT_INV_PROB,
};
/** VLAN headers that a flow can hold (ovs: FLOW_MAX_VLAN_HEADERS); a limit of 0 means this. */
const VLAN_HEADERS_MAX = 2;

function settingsOf(root: Row): SwitchSettings {
  const config = root.map("other_config");
  const d = DEFAULT_SETTINGS;
  const vlans = smapInt(config, "vlan-limit", d.vlanLimit);
  return {
    flowLimit: smapUint(config, "flow-limit", d.flowLimit),
    maxIdleMs: Math.max(100, smapUint(config, "max-idle", d.maxIdleMs)),
    maxRevalidatorMs: Math.max(100, smapUint(config, "max-revalidator", d.maxRevalidatorMs)),
    vlanLimit: vlans <= 0 ? VLAN_HEADERS_MAX : Math.min(vlans, VLAN_HEADERS_MAX),
    emcInsertInvProb: smapUint(config, "emc-insert-inv-prob", d.emcInsertInvProb),
  };
}

/** "" and "system" are one type. */
function datapathType(row: Row): DpType | null {
  const type = row.name("datapath_type");
  return type === "" ? "system" : (DP_TYPES.find((t) => t === type) ?? null);
}

const BRIDGES_LIMIT = { name: "add_del_bridges", rate: 1, burst: 5 };

/** The rows of the bridges that there shall be, by name. */
function wantedBridges(vs: VSwitch, root: Row): Map<string, Row> {
  const wanted = new Map<string, Row>();
  for (const uuid of root.texts("bridges")) {
    const row = vs.db.row("Bridge", uuid);
    const name = row?.name() ?? "";
    if (row === undefined) {
      continue;
    }
    if (/[/\\]/.test(name)) {
      const text = `ignoring bridge with invalid name "${name}"`;
      vs.log.logRl("bridge", "warn", BRIDGES_LIMIT, text);
    } else if (wanted.has(name)) {
      vs.log.logRl("bridge", "warn", BRIDGES_LIMIT, `bridge ${name} specified twice`);
    } else {
      wanted.set(name, row);
    }
  }
  return wanted;
}

export function destroyPort(br: Bridge, port: BridgePort): void {
  const ifaces = [...port.ifaces];
  const xports = ifaces.map((i) => i.xport);
  // A bond loses its members, and the log says so, before they go.
  for (const xport of port.xbundle?.bond === null ? [] : xports) {
    leaveBundle(port.xbundle, xport);
  }
  for (const iface of ifaces) {
    destroyIface(br, iface);
  }
  if (port.xbundle !== null) {
    destroyBundle(br, port.xbundle);
    port.xbundle = null;
  }
  endLacp(br, port);
  br.ports.delete(port.name);
}

function destroyBridge(vs: VSwitch, br: Bridge): void {
  for (const port of [...br.ports.values()]) {
    destroyPort(br, port);
  }
  br.ofproto.flush();
  br.ofproto.conns.destroy();
  vs.xcfg.bridgesById.delete(br.xbridge.id);
  vs.bridges.delete(br.name);
  vs.autoAttach.ofBridge.delete(br.name);
  vs.dropUnusedBacker(br.type);
}

/** The rows of the ports that a bridge shall have, in the order in which they are met. */
function wantedPorts(br: Bridge): OvsMap<string, Row> {
  const wanted = new OvsMap<string, Row>((name) => hashString(name));
  for (const uuid of br.row?.texts("ports") ?? []) {
    const row = br.vs.db.row("Port", uuid);
    if (row === undefined) {
      continue;
    }
    if (wanted.has(row.name())) {
      br.vs.log.warn("bridge", `bridge ${br.name}: ${row.name()} specified twice as bridge port`);
    } else {
      wanted.set(row.name(), row);
    }
  }
  return wanted;
}

/** Rows of the interfaces of a port. */
function ifaceRows(br: Bridge, port: Row): Row[] {
  return port.texts("interfaces").flatMap((uuid) => br.vs.db.row("Interface", uuid) ?? []);
}

function deleteUnwanted(br: Bridge, wanted: OvsMap<string, Row>): void {
  for (const port of [...br.ports.values()]) {
    const row = wanted.get(port.name);
    if (row === undefined) {
      destroyPort(br, port);
      continue;
    }
    port.rowUuid = row.uuid;
    const rows = ifaceRows(br, row);
    for (const iface of [...port.ifaces]) {
      const ifaceRow = rows.find((r) => r.name() === iface.name);
      if (ifaceRow === undefined || ifaceRow.uuid !== iface.rowUuid) {
        destroyIface(br, iface);
      }
    }
    if (port.ifaces.length === 0) {
      destroyPort(br, port);
    }
  }
}

/** True if an interface can stay as it is, with new options at most. */
function canKeep(br: Bridge, iface: Iface, row: Row): boolean {
  if (iface.device.type !== deviceType(br, ifaceType(br, row))) {
    return false;
  }
  return configureDevice(br.vs, iface.device, row.map("options")) === null;
}

/** Removes interfaces that changed their type or want a number that another one has. */
function deleteChanged(br: Bridge): void {
  const doomed = new Set<Iface>();
  for (const iface of [...br.ifaces.values()]) {
    const row = br.vs.db.row("Interface", iface.rowUuid);
    if (row === undefined || !canKeep(br, iface, row)) {
      doomed.add(iface);
      continue;
    }
    applyMtu(iface.device, row);
    const request = requestedPort(row);
    if (iface.ofport.portNo === OFPP.LOCAL || request === null || request === iface.ofport.portNo) {
      continue;
    }
    const victim = br.ifaceByOfPort(request);
    const victimRow = victim === undefined ? undefined : br.vs.db.row("Interface", victim.rowUuid);
    if (victim === undefined) {
      doomed.add(iface);
    } else if (victimRow === undefined || requestedPort(victimRow) !== request) {
      doomed.add(victim);
      doomed.add(iface);
    }
  }
  for (const iface of doomed) {
    const { port } = iface;
    destroyIface(br, iface);
    if (port.ifaces.length === 0) {
      destroyPort(br, port);
    }
  }
}

function portOf(br: Bridge, row: Row): BridgePort {
  const there = br.ports.get(row.name());
  if (there !== undefined) {
    return there;
  }
  const port: BridgePort = {
    name: row.name(),
    rowUuid: row.uuid,
    ifaces: [],
    xbundle: null,
    lacp: null,
  };
  br.ports.set(port.name, port);
  return port;
}

/** Adds the interfaces that are missing; first those that ask for a number. */
function addMissing(br: Bridge, wanted: OvsMap<string, Row>, w: StatusWriter): void {
  for (const withRequest of [true, false]) {
    for (const portRow of wanted.values()) {
      for (const row of ifaceRows(br, portRow)) {
        if ((requestedPort(row) !== null) !== withRequest || br.ifaces.has(row.name())) {
          continue;
        }
        const made = createIface(br, row, () => portOf(br, portRow));
        if ("error" in made) {
          writeFailure(w, row.uuid, made.error);
        } else {
          writeStatistics(w, made);
        }
      }
    }
  }
}

/** `sflowId` numbers the bridges with sFlow; answers the next number. */
function configureBridge(br: Bridge, row: Row, w: StatusWriter, sflowId: number): number {
  configureDatapathId(br, row);
  for (const port of br.ports.values()) {
    const portRow = br.vs.db.row("Port", port.rowUuid);
    if (portRow !== undefined) {
      configurePort(br, port, portRow);
      configureQueues(br, port, portRow);
    }
    for (const iface of port.ifaces) {
      writeIface(w, br, iface);
      const ifaceRow = br.vs.db.row("Interface", iface.rowUuid);
      if (ifaceRow !== undefined) {
        configureCfm(br, iface, ifaceRow);
        configureLldp(br, iface, ifaceRow);
        configureMac(br, iface, ifaceRow);
        configureBfd(br, iface, ifaceRow);
      }
    }
  }
  configureMirrors(br, row);
  configureMacTable(br, row);
  configureMcast(br, row);
  configureRemotes(br, row);
  const hasSflow = br.sampling.configure(row, sflowId);
  configureSpanningTrees(br, row);
  configureTables(br, row);
  configureDescription(br, row);
  configureAutoAttach(br, row);
  return sflowId + (hasSflow ? 1 : 0);
}

/** What the userspace datapath offers, as the Datapath rows show it. */
const CAPABILITIES: readonly (readonly [string, string])[] = [
  ["check_pkt_len", "true"],
  ["clone", "true"],
  ["ct_clear", "true"],
  ["ct_eventmask", "true"],
  ["ct_orig_tuple", "true"],
  ["ct_orig_tuple6", "true"],
  ["ct_state", "true"],
  ["ct_state_nat", "true"],
  ["ct_timeout", "true"],
  ["ct_zero_snat", "true"],
  ["ct_zone", "true"],
  ["explicit_drop_action", "true"],
  ["lb_output_action", "true"],
  ["masked_set_action", "true"],
  ["max_hash_alg", "1"],
  ["nd_ext", "true"],
  ["recirc", "true"],
  ["sample_nesting", "10"],
  ["tnl_push_pop", "true"],
  ["trunc", "true"],
  ["ufid", "true"],
];

/** What a datapath offers; VLAN headers were probed when it was made. */
function capabilities(vs: VSwitch, type: DpType): Datum {
  const headers = vs.backer(type).support.max_vlan_headers;
  return mapDatum([...CAPABILITIES, ["max_vlan_headers", `${headers}`]]);
}

/** Timeout policies of conntrack zones. */
function configureDatapaths(vs: VSwitch, root: Row, w: StatusWriter): void {
  const { keys, values } = root.get("datapaths");
  const types = new Map(
    keys.map((k, i) => [String(k), vs.db.row("Datapath", String(values?.[i]))] as const),
  );
  for (const [type, row] of types) {
    const zones = row?.get("ct_zones");
    const wanted = new Set<number>();
    for (const [i, key] of (zones?.keys ?? []).entries()) {
      const zone = vs.db.row("CT_Zone", String(zones?.values?.[i]));
      const policy = vs.db.row("CT_Timeout_Policy", zone?.text("timeout_policy") ?? "");
      const timeouts = new Map(
        [...(policy?.map("timeouts") ?? [])].map(([k, v]) => [k, Number(v)] as const),
      );
      wanted.add(Number(key));
      vs.ctTimeouts.setZone(type, Number(key), timeouts);
    }
    for (const zone of vs.ctTimeouts.zonesOf(type)) {
      if (!wanted.has(zone)) {
        vs.ctTimeouts.deleteZone(type, zone);
      }
    }
    const made = DP_TYPES.find((t) => t === type && vs.dpTypes().includes(t));
    if (row !== undefined && made !== undefined) {
      w.put("Datapath", row.uuid, "capabilities", capabilities(vs, made));
    }
  }
}

/** Does all of it and notes in the database up to which change it has come. */
export function reconfigure(vs: VSwitch, quiet: boolean): void {
  const [root] = vs.db.rows("Open_vSwitch");
  if (root === undefined) {
    return;
  }
  const w = new StatusWriter(vs);
  vs.settings = settingsOf(root);
  vs.datapathLog.configure(root.map("other_config"));
  const wanted = wantedBridges(vs, root);
  for (const br of [...vs.bridges.values()]) {
    const row = wanted.get(br.name);
    if (row?.uuid !== br.rowUuid || datapathType(row) !== br.type) {
      destroyBridge(vs, br);
    }
  }
  vs.datapathLog.keep(new Set([...vs.bridges.values()].map((br) => br.type)));
  const added: [string, Row][] = [...wanted].filter(([name]) => !vs.bridges.has(name));
  const ports = new Map([...vs.bridges.values()].map((br) => [br, wantedPorts(br)]));
  for (const [br, rows] of ports) {
    deleteUnwanted(br, rows);
  }
  for (const br of ports.keys()) {
    deleteChanged(br);
  }
  for (const [name, row] of added) {
    const type = datapathType(row);
    if (type === null) {
      const why = "Address family not supported by protocol";
      const unknown = row.name("datapath_type");
      vs.log.warn("ofproto", `unknown datapath type ${unknown}`);
      vs.log.warn("ofproto", `could not create datapath ${name} of unknown type ${unknown}`);
      vs.log.err("bridge", `failed to create bridge ${name}: ${why}`);
      continue;
    }
    vs.datapathLog.add(type);
    const br = new Bridge(vs, row, type);
    vs.bridges.set(name, br);
    ports.set(br, wantedPorts(br));
  }
  for (const br of vs.bridges.values()) {
    addMissing(br, ports.get(br) ?? wantedPorts(br), w);
  }
  connectPatchPorts(vs.bridges.values());
  for (const br of vs.bridges.values()) {
    for (const iface of br.ifaces.values()) {
      refreshTunnel(br, iface);
    }
  }
  for (const backer of vs.backers.values()) {
    sweepTunnelPorts(vs, backer);
  }
  configureDatapaths(vs, root, w);
  let sflowId = 0;
  for (const br of vs.bridges.values()) {
    const { row } = br;
    if (row !== undefined) {
      sflowId = configureBridge(br, row, w, sflowId);
    }
  }
  if (!quiet) {
    vs.packets?.needRevalidate();
  }
  writeRoot(w, root);
  w.commit();
  const ifaces = [...vs.bridges.values()].flatMap((br) => [...br.ifaces.values()]);
  vs.datapathLog.configureMonitor(ifaces.some((i) => i.cfm !== null || i.bfd !== null));
  if (vs.datapathLog.configureThreads(root.map("other_config"))) {
    vs.packets?.threadsRestarted();
  }
  for (const br of vs.bridges.values()) {
    for (const port of br.ports.values()) {
      for (const { device } of port.ifaces) {
        if (device.tunnel !== null) {
          logNoIfindex(vs, dpPortName(device));
        }
      }
    }
  }
  vs.statusChanged();
}

const IFACE_TYPES =
  "afxdp afxdp-nonpmd bareudp dummy dummy-internal dummy-pmd erspan geneve gre gtpu internal " +
  "ip6erspan ip6gre lisp patch stt system tap vxlan";

function writeRoot(w: StatusWriter, root: Row): void {
  const put = (column: string, ...atoms: (string | boolean | bigint)[]) =>
    w.put("Open_vSwitch", root.uuid, column, setDatum(atoms));
  put("cur_cfg", BigInt(root.int("next_cfg") ?? 0));
  put("datapath_types", ...DP_TYPES);
  put("iface_types", ...IFACE_TYPES.split(" "));
  put("dpdk_initialized", false);
  put("dpdk_version", "none");
}
