// Which changes of the database make the switch translate its megaflows again.
//
// Open vSwitch does so where a part that translations depend on says that it changed. Mirrors do not
// say so: packets of flows that are there already are mirrored only after something else changes.
// Whatever is not listed here counts as such a change.
// References: ovs: ofproto/ofproto-dpif.c (need_revalidate), ofproto/ofproto-dpif-mirror.c.

import type { RowChange } from "../ovsdb/database.ts";
import { datumEquals } from "../ovsdb/datum.ts";

/** Keys of a map that do not matter: those that a test lets pass. */
type QuietKeys = (key: string) => boolean;
const ALL: QuietKeys = () => true;
const BRIDGE_KEYS = /^(?:forward-bpdu|mcast-snooping-disable-flood-unregistered|r?stp-.*)$/;
const PORT_KEYS = /^(?:priority-tags|qinq-ethtype|(?:bond|lacp|stp|rstp|mcast-snooping)-.*)$/;

/** Columns that translations do not depend on; for maps, keys. */
const QUIET: Readonly<Record<string, Readonly<Record<string, QuietKeys>>>> = {
  Open_vSwitch: {
    next_cfg: ALL,
    cur_cfg: ALL,
    external_ids: ALL,
    other_config: ALL,
    manager_options: ALL,
  },
  Bridge: {
    mirrors: ALL,
    external_ids: ALL,
    protocols: ALL,
    flow_tables: ALL,
    datapath_id: ALL,
    auto_attach: ALL,
    // A table of flows that is emptied for it says so itself.
    fail_mode: ALL,
    other_config: (key) => !BRIDGE_KEYS.test(key),
  },
  Port: { external_ids: ALL, qos: ALL, other_config: (key) => !PORT_KEYS.test(key) },
  Interface: {
    external_ids: ALL,
    // What watches a link says so when it starts, ends, or changes its mind.
    bfd: ALL,
    cfm_mpid: ALL,
    other_config: (key) => /^(?:cfm_|lacp-)/.test(key),
    ingress_policing_rate: ALL,
    ingress_policing_burst: ALL,
    mtu_request: ALL,
    options: (key) => key === "pcap" || key === "rxq_pcap" || key === "tx_pcap",
  },
};
/** Tables whose rows do not matter at all. */
const QUIET_TABLES = ["Mirror", "Flow_Table", "Manager", "AutoAttach", "QoS", "Queue"];

function isQuiet({ table, old, new: now }: RowChange): boolean {
  if (QUIET_TABLES.includes(table.name)) {
    return true;
  }
  if (old === undefined || now === undefined) {
    return false;
  }
  return table.columnList.every((c) => {
    if (datumEquals(old.at(c), now.at(c))) {
      return true;
    }
    const quiet = QUIET[table.name]?.[c.name];
    if (quiet === undefined || quiet === ALL) {
      return quiet === ALL;
    }
    const [before, after] = [old.map(c.name), now.map(c.name)];
    const keys = [...before.keys(), ...after.keys()];
    return keys.every((k) => quiet(k) || before.get(k) === after.get(k));
  });
}

/** True if megaflows stay as they are in spite of these changes. */
export function areQuiet(changes: readonly RowChange[]): boolean {
  return changes.every(isQuiet);
}
