// CFM as cfm/show prints it. ovs: lib/cfm.c cfm_print_details.

import { type Cfm, cfmFaultNames } from "./cfm.ts";

const upOrDown = (up: boolean): string => (up ? "up" : "down");

export function cfmText(c: Cfm, nowMs: number): string {
  const faults = cfmFaultNames(c.fault);
  let s = `---- ${c.name} ----\nMPID ${c.mpid}:`;
  s += `${c.extended ? " extended" : ""}${c.faultOverride === null ? "" : " fault_override"}\n`;
  s += faults.length === 0 ? "" : `  fault: ${faults.join(" ")}\n`;
  s += `  average health: ${c.health === -1 ? "undefined" : c.health}\n`;
  s += `  opstate: ${upOrDown(c.opUp)}\n`;
  s += `  remote_opstate: ${upOrDown(c.remoteOpUp)}\n`;
  s += `  interval: ${c.intervalMs}ms\n`;
  s += `  next CCM tx: ${Number.isFinite(c.txMs) ? c.txMs - nowMs : 0}ms\n`;
  s += `  next fault check: ${c.checkMs - nowMs}ms\n`;
  for (const r of c.remotes.values()) {
    s += `Remote MPID ${r.mpid}\n`;
    s += `  recv since check: ${r.recv}\n`;
    s += `  opstate: ${upOrDown(r.opUp)}\n`;
  }
  return s;
}
