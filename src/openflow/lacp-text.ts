// LACP as lacp/show and lacp/show-stats print it. ovs: lib/lacp.c lacp_print_details,
// lacp_print_stats.

import { formatMac } from "../lib/address.ts";
import type { Lacp, LacpMember } from "./lacp.ts";
import { LACP_STATE, type LacpInfo } from "./lacp-pdu.ts";

const STATE_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [LACP_STATE.ACTIVITY, "activity"],
  [LACP_STATE.TIMEOUT, "timeout"],
  [LACP_STATE.AGGREGATION, "aggregation"],
  [LACP_STATE.SYNC, "synchronized"],
  [LACP_STATE.COLLECTING, "collecting"],
  [LACP_STATE.DISTRIBUTING, "distributing"],
  [LACP_STATE.DEFAULTED, "defaulted"],
  [LACP_STATE.EXPIRED, "expired"],
];

function stateText(state: number): string {
  return STATE_NAMES.map(([bit, name]) => ((state & bit) === 0 ? "" : ` ${name}`)).join("");
}

function infoText(who: string, i: LacpInfo): string {
  return (
    `  ${who} sys_id: ${formatMac(...i.sysId)}\n` +
    `  ${who} sys_priority: ${i.sysPriority}\n` +
    `  ${who} port_id: ${i.portId}\n` +
    `  ${who} port_priority: ${i.portPriority}\n` +
    `  ${who} key: ${i.key}\n` +
    `  ${who} state:${stateText(i.state)}\n`
  );
}

function byName(lacp: Lacp): LacpMember[] {
  return [...lacp.members].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function memberText(lacp: Lacp, m: LacpMember): string {
  return (
    `\nmember: ${m.name}: ${m.status} ${m.attached ? "attached" : "detached"}\n` +
    `  port_id: ${m.portId}\n` +
    `  port_priority: ${m.portPriority}\n` +
    `  may_enable: ${lacp.mayUse(m)}\n\n` +
    `${infoText("actor", lacp.actor(m))}\n${infoText("partner", m.partner)}`
  );
}

export function lacpText(lacp: Lacp): string {
  const s = lacp.settings;
  return (
    `---- ${s.name} ----\n` +
    `  status: ${s.active ? "active" : "passive"}${lacp.negotiated ? " negotiated" : ""}\n` +
    `  sys_id: ${formatMac(...s.sysId)}\n` +
    `  sys_priority: ${s.priority}\n` +
    `  aggregation key: ${lacp.aggregationKey ?? "none"}\n` +
    `  lacp_time: ${s.fast ? "fast" : "slow"}\n` +
    byName(lacp)
      .map((m) => memberText(lacp, m))
      .join("")
  );
}

export function lacpStatsText(lacp: Lacp): string {
  const members = byName(lacp).map(
    ({ name, counts: c }) =>
      `\nmember: ${name}:\n` +
      `  TX PDUs: ${c.tx}\n` +
      `  RX PDUs: ${c.rx}\n` +
      `  RX Bad PDUs: ${c.rxBad}\n` +
      `  RX Marker Request PDUs: ${c.rxMarker}\n` +
      `  Link Expired: ${c.expired}\n` +
      `  Link Defaulted: ${c.defaulted}\n` +
      `  Carrier Status Changed: ${c.carrier}\n`,
  );
  return `---- ${lacp.settings.name} statistics ----\n${members.join("")}`;
}
