// What CFM, BFD and LACP find out about links, as the Interface table shows it.
//
// ovs: vswitchd/bridge.c iface_refresh_ofproto_status, iface_refresh_cfm_stats.

import { mapDatum } from "../ovsdb/datum.ts";
import { cfmFaultNames } from "../openflow/cfm.ts";
import type { Iface } from "./bridge.ts";
import { lacpCurrent } from "./protocol-lacp.ts";
import type { StatusWriter } from "./status.ts";

/** Columns of CFM. */
const CFM_COLUMNS = [
  "cfm_fault",
  "cfm_fault_status",
  "cfm_remote_opstate",
  "cfm_flap_count",
  "cfm_health",
  "cfm_remote_mpids",
] as const;

function writeCfm(w: StatusWriter, iface: Iface): void {
  const { cfm, rowUuid } = iface;
  if (cfm === null) {
    for (const column of CFM_COLUMNS) {
      w.clear("Interface", rowUuid, column);
    }
    return;
  }
  if (!cfm.statusChanged) {
    return;
  }
  cfm.statusChanged = false;
  const put = (column: (typeof CFM_COLUMNS)[number], ...atoms: (string | boolean | bigint)[]) =>
    w.set("Interface", rowUuid, column, ...atoms);
  const { fault, remoteOpState, health } = cfm;
  put("cfm_fault", fault !== 0);
  put("cfm_fault_status", ...cfmFaultNames(fault));
  put("cfm_flap_count", BigInt(cfm.flapCount));
  put("cfm_remote_opstate", ...(remoteOpState === null ? [] : [remoteOpState ? "up" : "down"]));
  put("cfm_remote_mpids", ...cfm.remoteMpids.map((m) => BigInt.asIntN(64, m)));
  put("cfm_health", ...(health < 0 ? [] : [BigInt(health)]));
}

function writeBfd(w: StatusWriter, { bfd, rowUuid }: Iface): void {
  if (bfd === null) {
    w.clear("Interface", rowUuid, "bfd_status");
  } else if (bfd.statusChanged) {
    bfd.statusChanged = false;
    w.put("Interface", rowUuid, "bfd_status", mapDatum(bfd.status()));
  }
}

/** Writes what the protocols on an interface say now. */
export function writeLink(w: StatusWriter, iface: Iface): void {
  const current = lacpCurrent(iface);
  if (current === null) {
    w.clear("Interface", iface.rowUuid, "lacp_current");
  } else {
    w.set("Interface", iface.rowUuid, "lacp_current", current);
  }
  writeCfm(w, iface);
  writeBfd(w, iface);
}
