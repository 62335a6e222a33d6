// What the database shows of spanning trees: status of bridges and ports, counters of ports.
//
// References: ovs: vswitchd/bridge.c br_refresh_stp_status, port_refresh_stp_status,
// port_refresh_stp_stats, and the same for RSTP; ovs-vswitchd.conf.db(5).

import { mapDatum } from "../ovsdb/datum.ts";
import type { Bridge, BridgePort } from "./bridge.ts";
import type { StatusWriter } from "./status.ts";

const MAC_BITS = 48n;
const MAC_MASK = (1n << MAC_BITS) - 1n;

const hex = (n: number | bigint, digits: number): string => n.toString(16).padStart(digits, "0");

/** `8000.aa66aa660001`. */
function stpId(id: bigint): string {
  return `${hex(id >> MAC_BITS, 4)}.${hex(id & MAC_MASK, 12)}`;
}

/** `8.000.aa66aa660001`. */
function rstpId(id: bigint): string {
  const priority = id >> MAC_BITS;
  return `${hex(priority >> 12n, 1)}.${hex(priority & 0xfffn, 3)}.${hex(id & MAC_MASK, 12)}`;
}

function put(
  w: StatusWriter,
  where: { readonly table: string; readonly uuid: string; readonly column: string },
  values: Readonly<Record<string, string>> | null,
): void {
  w.put(where.table, where.uuid, where.column, mapDatum(Object.entries(values ?? {})));
}

/** Status of the bridge and its ports. */
export function writeTreeStatus(w: StatusWriter, br: Bridge): void {
  const { stp, rstp } = br.trees;
  const at = { table: "Bridge", uuid: br.rowUuid };
  const stpStatus =
    stp === null
      ? null
      : {
          stp_bridge_id: stpId(stp.bridgeId),
          stp_designated_root: stpId(stp.designatedRoot),
          stp_root_path_cost: String(stp.rootPathCost | 0),
        };
  const rstpStatus =
    rstp === null
      ? null
      : {
          rstp_bridge_id: rstpId(rstp.bridgeId),
          rstp_root_path_cost: String(rstp.rootPriority.rootPathCost),
          rstp_root_id: rstpId(rstp.rootPriority.rootId),
          rstp_designated_id: rstpId(rstp.rootPriority.bridgeId),
          rstp_designated_port_id: hex(rstp.rootPriority.portId, 4),
          rstp_bridge_port_id: hex(rstp.rootPriority.bridgePortId, 4),
        };
  put(w, { ...at, column: "status" }, stpStatus);
  put(w, { ...at, column: "rstp_status" }, rstpStatus);
  for (const port of br.ports.values()) {
    const uuid = port.rowUuid;
    put(w, { table: "Port", uuid, column: "status" }, portStpStatus(br, port));
    put(w, { table: "Port", uuid, column: "rstp_status" }, portRstpStatus(br, port));
  }
}

/** The only interface of a port; bonds take no part. */
function only(port: BridgePort) {
  return port.ifaces.length === 1 ? port.ifaces[0] : undefined;
}

function portStpStatus(br: Bridge, port: BridgePort) {
  const iface = only(port);
  const status = iface === undefined ? null : br.trees.stpStatus(iface);
  if (status === null) {
    return null;
  }
  return {
    stp_port_id: String(status.port.portId),
    stp_state: status.port.state,
    stp_sec_in_state: String(status.secondsInState),
    stp_role: status.port.role,
  };
}

function portRstpStatus(br: Bridge, port: BridgePort) {
  const iface = only(port);
  const p = iface === undefined ? null : br.trees.rstpStatus(iface);
  if (p === null) {
    return null;
  }
  return {
    rstp_port_id: hex(p.id, 4),
    rstp_port_role: p.v.role,
    rstp_port_state: p.v.state,
    rstp_designated_bridge_id: rstpId(p.portPriority.bridgeId),
    rstp_designated_port_id: hex(p.portPriority.portId, 4),
    rstp_designated_path_cost: String(p.portPriority.rootPathCost),
  };
}

/** Counters of the ports. Those of a bond that took part before stay as they were with STP. */
export function writeTreeStatistics(w: StatusWriter, br: Bridge): void {
  for (const port of br.ports.values()) {
    const iface = only(port);
    const stp = iface === undefined ? null : br.trees.stpStatus(iface);
    const rstp = iface === undefined ? null : br.trees.rstpStatus(iface);
    const counters = (values: Readonly<Record<string, number>>) =>
      mapDatum(Object.entries(values).map(([k, v]) => [k, BigInt(v)] as const));
    if (iface !== undefined) {
      const p = stp?.port;
      const values =
        p === undefined
          ? {}
          : {
              stp_tx_count: p.txCount,
              stp_rx_count: p.rxCount,
              stp_error_count: p.errorCount,
            };
      w.put("Port", port.rowUuid, "statistics", counters(values));
    }
    const v = rstp?.v;
    const values =
      v === undefined
        ? {}
        : {
            rstp_tx_count: v.txCount,
            rstp_rx_count: v.rxCount,
            rstp_uptime: v.uptimeS,
            rstp_error_count: v.errorCount,
          };
    w.put("Port", port.rowUuid, "rstp_statistics", counters(values));
  }
}
