// Writes back into the database what the switch knows: port numbers, errors, link state,
// statistics, datapath ids.
//
// References: ovs: vswitchd/bridge.c iface_refresh_netdev_status, iface_refresh_ofproto_status,
// iface_clear_db_record, iface_refresh_stats, run_stats_update.

import { formatMac } from "../lib/address.ts";
import type { Atom } from "../ovsdb/atom.ts";
import type { Row } from "../ovsdb/database.ts";
import { type Datum, datumEquals, emptyDatum, mapDatum, setDatum } from "../ovsdb/datum.ts";
import { Transaction } from "../ovsdb/transaction.ts";
import type { Uuid } from "../ovsdb/uuid.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { controllerRows } from "./bridge-config.ts";
import { isUp, macText } from "./device.ts";
import { customCounters, ifaceCounters } from "./provider.ts";
import { smapInt } from "./smap.ts";
import { writeLink } from "./status-link.ts";
import { writeTreeStatistics, writeTreeStatus } from "./status-trees.ts";
import type { VSwitch } from "./vswitch.ts";

const U64_MAX = 0xffffffffffffffffn;
/** Statistics are written this often at most (ovs: stats-update-interval, its least value). */
export const STATS_INTERVAL_MS = 5000;

/** A transaction that writes only what differs. */
export class StatusWriter {
  private readonly txn: Transaction;

  constructor(vs: VSwitch) {
    this.txn = new Transaction(vs.db);
  }

  put(table: string, uuid: Uuid, column: string, value: Datum): void {
    const row = this.txn.row(table, uuid);
    if (row !== undefined && !datumEquals(row.get(column), value)) {
      this.txn.set(table, uuid, column, value);
    }
  }

  set(table: string, uuid: Uuid, column: string, ...atoms: Atom[]): void {
    this.put(table, uuid, column, setDatum(atoms));
  }

  clear(table: string, uuid: Uuid, column: string): void {
    const c = this.txn.row(table, uuid)?.schema.columns.get(column);
    if (c !== undefined) {
      this.put(table, uuid, column, emptyDatum(c.type));
    }
  }

  commit(): void {
    this.txn.commit();
  }
}

const CLEARED = [
  "status",
  "admin_state",
  "duplex",
  "link_speed",
  "link_state",
  "mac_in_use",
  "mtu",
  "cfm_fault",
  "cfm_fault_status",
  "cfm_remote_mpids",
  "lacp_current",
  "statistics",
  "ifindex",
];

/** What is written about an interface that could not be set up. */
export function writeFailure(w: StatusWriter, uuid: Uuid, error: string | null): void {
  w.set("Interface", uuid, "ofport", -1n);
  if (error === null) {
    w.clear("Interface", uuid, "error");
  } else {
    w.set("Interface", uuid, "error", error);
  }
  for (const column of CLEARED) {
    w.clear("Interface", uuid, column);
  }
}

/** Why an interface that is up does not work, or null. */
function ifaceProblem(br: Bridge, iface: Iface): string | null {
  const { device, xport } = iface;
  return device.type === "patch" && xport.peer === null && device.peer !== null
    ? `No usable peer '${device.peer}' exists in '${br.type}' datapath.`
    : null;
}

/** What is written about an interface that is set up. */
export function writeIface(w: StatusWriter, br: Bridge, iface: Iface): void {
  const { device, ofport } = iface;
  const put = (column: string, ...atoms: Atom[]) =>
    w.set("Interface", iface.rowUuid, column, ...atoms);
  put("ofport", BigInt(ofport.portNo === 0xfffe ? 65534 : ofport.portNo));
  const problem = ifaceProblem(br, iface);
  put("error", ...(problem === null ? [] : [problem]));
  put("admin_state", isUp(device) ? "up" : "down");
  put("link_state", isUp(device) ? "up" : "down");
  put("link_resets", 0n);
  put("mac_in_use", macText(device));
  put("mtu", ...(device.netdev === null ? [] : [BigInt(device.netdev.mtu)]));
  put("ifindex", BigInt(Math.max(0, device.netdev?.ifindex ?? 0)));
}

/** Counters of an interface under the names of its statistics column. */
function statisticsOf(iface: Iface): Datum {
  const c = ifaceCounters(iface);
  const named: readonly (readonly [string, bigint])[] = [
    ["rx_packets", c.rxPackets],
    ["tx_packets", c.txPackets],
    ["rx_bytes", c.rxBytes],
    ["tx_bytes", c.txBytes],
    ["rx_dropped", c.rxDropped],
    ["tx_dropped", c.txDropped],
    ["rx_errors", c.rxErrors],
    ["tx_errors", c.txErrors],
  ];
  const custom = customCounters(iface).map((x) => [x.name, x.value] as const);
  return mapDatum([...named.filter(([, v]) => v !== U64_MAX), ...custom]);
}

export function writeStatistics(w: StatusWriter, iface: Iface): void {
  w.put("Interface", iface.rowUuid, "statistics", statisticsOf(iface));
}

function writeBridge(w: StatusWriter, br: Bridge): void {
  const dpid = br.ofproto.datapathId.toString(16).padStart(16, "0");
  w.set("Bridge", br.rowUuid, "datapath_id", dpid);
  w.set("Bridge", br.rowUuid, "datapath_version", "<built-in>");
}

/** The address of the member of a bond that carries its traffic. */
function writeBonds(w: StatusWriter, br: Bridge): void {
  for (const port of br.ports.values()) {
    const bond = port.xbundle?.bond;
    if (bond?.activeMemberChanged) {
      bond.activeMemberChanged = false;
      // Without an active member this is the address 0.
      w.set("Port", port.rowUuid, "bond_active_slave", formatMac(...bond.activeMac));
    }
  }
}

/** Counters of mirrors. */
function writeMirrors(w: StatusWriter, br: Bridge): void {
  for (const m of br.xbridge.mbridge.mirrors()) {
    const stats = mapDatum([
      ["tx_bytes", BigInt(m.bytes)],
      ["tx_packets", BigInt(m.packets)],
    ]);
    w.put("Mirror", m.key, "statistics", stats);
  }
}

/** How connections to controllers are. */
function writeControllers(w: StatusWriter, br: Bridge, row: Row): void {
  const nowMs = br.vs.clock.nowMs();
  for (const c of controllerRows(br, row)) {
    const info = br.ofproto.conns.services.info(c.name("target"), nowMs);
    w.set("Controller", c.uuid, "is_connected", info?.isConnected ?? false);
    const role = info?.role ?? null;
    w.set("Controller", c.uuid, "role", ...(role === null ? [] : [role]));
    w.put("Controller", c.uuid, "status", mapDatum(info?.status ?? []));
  }
}

/** Writes the state of everything; statistics only if it is time for them. */
export class StatusUpdater {
  private readonly vs: VSwitch;
  private nextStatsMs = Number.NEGATIVE_INFINITY;
  /** The interval by which that time was chosen: another one takes effect at once. */
  private intervalMs = STATS_INTERVAL_MS;
  private dirty = true;

  constructor(vs: VSwitch) {
    this.vs = vs;
  }

  /** Something that the database shows has changed. */
  touch(): void {
    this.dirty = true;
  }

  private wantedIntervalMs(): number {
    const [root] = this.vs.db.rows("Open_vSwitch");
    const config = root?.map("other_config") ?? new Map<string, string>();
    const interval = smapInt(config, "stats-update-interval", STATS_INTERVAL_MS);
    return Math.max(interval, STATS_INTERVAL_MS);
  }

  run(): void {
    const nowMs = this.vs.clock.nowMs();
    if (!this.dirty && nowMs < this.nextStatsMs) {
      return;
    }
    const intervalMs = this.wantedIntervalMs();
    const statsDue = nowMs >= this.nextStatsMs || intervalMs !== this.intervalMs;
    const statusDue = this.dirty;
    this.dirty = false;
    const w = new StatusWriter(this.vs);
    if (statsDue) {
      this.intervalMs = intervalMs;
      this.nextStatsMs = nowMs + intervalMs;
      this.vs.packets?.syncStats();
    }
    for (const br of this.vs.bridges.values()) {
      const { row } = br;
      if (row === undefined) {
        continue;
      }
      writeBridge(w, br);
      if (statusDue) {
        writeTreeStatus(w, br);
      }
      writeBonds(w, br);
      for (const iface of br.ifaces.values()) {
        writeIface(w, br, iface);
        writeLink(w, iface);
        if (statsDue) {
          writeStatistics(w, iface);
        }
      }
      if (statsDue) {
        writeControllers(w, br, row);
        writeTreeStatistics(w, br);
        writeMirrors(w, br);
      }
    }
    w.commit();
  }
}
