// ovs-appctl autoattach/*: LLDP neighbours, mappings and counters of all ports that speak it.
//
// All three take the name of a bridge and do not look at it. References: ovs: lib/ovs-lldp.c
// aa_unixctl_status, aa_unixctl_show_isid, aa_unixctl_statistics.

import { decodeCString, hex2 } from "../../lib/bytes.ts";
import type { Lldp } from "../../openflow/lldp.ts";
import type { AaSystem } from "../../packet/lldp.ts";
import { appctlOk, type Command } from "../command.ts";

const STATUS: Readonly<Record<number, string>> = {
  2: "Active",
  3: "Reject (Generic)",
  4: "Reject (AA resources unavailable)",
  6: "Reject (Invalid)",
  8: "Reject (VLAN resources unavailable)",
  9: "Reject (Application interaction issue)",
  255: "Pending",
};

const colons = (b: Uint8Array): string => [...b].map(hex2).join(":");

/** A system id as it lies in memory: its numbers are little-endian. */
function systemBytes({ mac, connType, reserved, reserved2 }: AaSystem): Uint8Array {
  const words = [connType & 0xff, connType >> 8, reserved & 0xff, reserved >> 8];
  return Uint8Array.of(...mac, ...words, ...reserved2);
}

function status(lldp: Lldp): string {
  let text = `LLDP: ${lldp.name}\n`;
  for (const n of lldp.neighbours()) {
    const system = n.system === null ? new Uint8Array(0) : systemBytes(n.system);
    if (system.some((b) => b !== 0)) {
      const head = "  Auto Attach Primary Server";
      const id = n.chassisId.length > 0 ? colons(n.chassisId) : "<None>";
      const descr = n.systemDescr === null ? "<None>" : decodeCString(n.systemDescr);
      text += `${head} Id: ${id}\n${head} Descr: ${descr}\n${head} System Id: ${colons(system)}\n`;
    }
  }
  return text;
}

function isids(lldp: Lldp): string {
  lldp.updateStatus();
  let text = `LLDP: ${lldp.name}\nI-SID    VLAN Source      Status  \n`;
  text += "-------- ---- ----------- --------\n";
  for (const m of lldp.mappings.values()) {
    const state = (STATUS[m.status] ?? "Undefined").padEnd(11);
    text += `${String(m.isid).padEnd(8)} ${String(m.vlan).padEnd(4)} Switch      ${state}\n`;
  }
  return text;
}

function statistics({ name, counts: c }: Lldp): string {
  const rows: readonly (readonly [string, number])[] = [
    ["tx", c.tx],
    ["rx", c.rx],
    ["rx discarded", c.discarded],
    ["rx unrecognized", c.unrecognised],
    ["ageout", 0],
    ["insert", c.inserted],
    ["delete", 0],
    ["drop", c.dropped],
  ];
  return `Statistics: ${name}\n${rows.map(([what, n]) => `  ${what} cnt: ${n}\n`).join("")}`;
}

function row(name: string, text: (lldp: Lldp) => string, doc: string): Command {
  return {
    tool: "ovs-appctl",
    name: `autoattach/${name}`,
    usage: "[bridge]",
    args: [0, 1],
    doc,
    run: (ctx) => appctlOk([...ctx.vs.autoAttach.lldps.values()].map(text).join("")),
  };
}

export const AUTO_ATTACH_COMMANDS: readonly Command[] = [
  row("status", status, "Shows the servers that ports found by LLDP."),
  row("show-isid", isids, "Lists mappings of Auto Attach."),
  row("statistics", statistics, "Shows counters of LLDP."),
];
