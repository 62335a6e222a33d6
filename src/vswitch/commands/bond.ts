// bond/*: the bonds of the switch.
// ovs: ofproto/bond.c bond_unixctl_*; vswitchd/ovs-vswitchd.8.

import { formatMac } from "../../lib/address.ts";
import { hashString } from "../../lib/hash.ts";
import { OvsMap } from "../../lib/hmap.ts";
import { TextScan } from "../../lib/scan.ts";
import { type Bond, hashMac } from "../../openflow/bond.ts";
import type { BondMember } from "../../openflow/bond-rebalance.ts";
import { BOND_MASK } from "../../openflow/bond-types.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

/** All bonds in the order of Open vSwitch's hash map of them. */
function allBonds(ctx: CommandContext): Iterable<Bond> {
  const bonds = new OvsMap<string, Bond>((name) => hashString(name));
  for (const br of ctx.vs.bridges.values()) {
    for (const b of br.xbridge.xbundles) {
      if (b.bond !== null) {
        bonds.set(b.name, b.bond);
      }
    }
  }
  return bonds.values();
}

function findBond(ctx: CommandContext, name: string | undefined): Bond | null {
  for (const b of allBonds(ctx)) {
    if (b.name === name) {
      return b;
    }
  }
  return null;
}

function list(ctx: CommandContext): Reply {
  let s = "bond\ttype\trecircID\tmembers\n";
  for (const b of allBonds(ctx)) {
    const members = b.members.map((m) => m.name).join(", ");
    s += `${b.name}\t${b.settings.mode}\t${b.recircId}\t${members}\n`;
  }
  return appctlOk(s);
}

function memberDetails(b: Bond, m: BondMember, nowMs: number): string {
  let s = `\nmember ${m.name}: ${m.enabled ? "enabled" : "disabled"}\n`;
  if (m === b.activeMember) {
    s += "  active member\n";
  }
  if (m.delayExpiresMs !== null) {
    const what = m.enabled ? "downdelay" : "updelay";
    s += `  ${what} expires in ${m.delayExpiresMs - nowMs} ms\n`;
  }
  s += `  may_enable: ${m.mayEnable}\n`;
  if (b.isBalanced()) {
    for (const [hash, bucket] of (b.hash ?? []).entries()) {
      const kB = Math.floor(bucket.txBytes / 1024);
      if (bucket.member === m && kB > 0) {
        s += `  hash ${hash}: ${kB} kB load\n`;
      }
    }
  }
  return s;
}

function details(b: Bond, nowMs: number): string {
  const { settings } = b;
  const recirc = b.mayRecirc();
  const lb = b.useLbOutput();
  let s = `---- ${b.name} ----\nbond_mode: ${settings.mode}\n`;
  s += `bond may use recirculation: ${recirc ? "yes" : "no"}, `;
  s += `Recirc-ID : ${recirc ? b.recircId : -1}\n`;
  s += `bond-hash-basis: ${settings.basis}\n`;
  s += `lb_output action: ${lb ? "enabled" : "disabled"}, bond-id: ${lb ? b.recircId : -1}\n`;
  if (settings.mode === "balance-slb") {
    s += `all members active: ${settings.allMembersActive}\n`;
  }
  s += `updelay: ${settings.upDelayMs} ms\ndowndelay: ${settings.downDelayMs} ms\n`;
  if (b.isBalanced()) {
    s += `next rebalance: ${b.nextRebalanceMs - nowMs} ms\n`;
  }
  s += `lacp_status: ${b.lacpStatus}\nlacp_fallback_ab: ${settings.lacpFallbackAb}\n`;
  const found = b.members.some((m) => m.isPrimary);
  const missing = settings.primary !== null && !found ? " (no such member)" : "";
  s += `active-backup primary: ${settings.primary ?? "<none>"}${missing}\n`;
  const active = b.memberByMac(b.activeMac);
  s += `active member mac: ${formatMac(...b.activeMac)}(${active?.name ?? "none"})\n`;
  for (const m of [...b.members].sort((x, y) => (x.name < y.name ? -1 : 1))) {
    s += memberDetails(b, m, nowMs);
  }
  return `${s}\n`;
}

function show(ctx: CommandContext, argv: readonly string[]): Reply {
  const now = ctx.vs.clock.nowMs();
  if (argv[1] === undefined) {
    return appctlOk([...allBonds(ctx)].map((b) => details(b, now)).join(""));
  }
  const b = findBond(ctx, argv[1]);
  return b === null ? appctlError("no such bond") : appctlOk(details(b, now));
}

function migrate(ctx: CommandContext, argv: readonly string[]): Reply {
  const b = findBond(ctx, argv[1]);
  if (b === null) {
    return appctlError("no such bond");
  }
  if (b.settings.mode !== "balance-slb") {
    return appctlError("not an SLB bond");
  }
  const text = argv[2] ?? "";
  if (!/^[0-9]*$/.test(text)) {
    return appctlError("bad hash");
  }
  const m = b.memberByName(argv[3] ?? "");
  if (m === null) {
    return appctlError("no such member");
  }
  if (!m.enabled) {
    return appctlError("cannot migrate to disabled member");
  }
  b.migrate(Number(text) & BOND_MASK, m);
  return appctlOk("migrated");
}

/** The member that a command names, or the error. */
function memberOf(
  ctx: CommandContext,
  argv: readonly string[],
): { b: Bond; m: BondMember } | Reply {
  const b = findBond(ctx, argv[1]);
  if (b === null) {
    return appctlError("no such bond");
  }
  const m = b.memberByName(argv[2] ?? "");
  return m === null ? appctlError("no such member") : { b, m };
}

function setActive(ctx: CommandContext, argv: readonly string[]): Reply {
  const found = memberOf(ctx, argv);
  if ("exit" in found) {
    return found;
  }
  if (!found.m.enabled) {
    return appctlError("cannot make disabled member active");
  }
  return appctlOk(found.b.setActive(found.m) ? "done" : "no change");
}

function enable(ctx: CommandContext, argv: readonly string[], on: boolean): Reply {
  const found = memberOf(ctx, argv);
  if ("exit" in found) {
    return found;
  }
  found.b.enableMember(found.m, on);
  return appctlOk(on ? "enabled" : "disabled");
}

/** A decimal number, 0 if there is none; null if the text is something else. */
function optionalNumber(text: string | undefined): number | null {
  if (text === undefined) {
    return 0;
  }
  const s = new TextScan(text);
  return s.int(10) ? s.value >>> 0 : null;
}

function hash(argv: readonly string[]): Reply {
  const vlan = optionalNumber(argv[2]);
  if (vlan === null) {
    return appctlError("invalid vlan");
  }
  const basis = optionalNumber(argv[3]);
  if (basis === null) {
    return appctlError("invalid basis");
  }
  const s = new TextScan(argv[1] ?? "");
  if (!s.mac()) {
    return appctlError("invalid mac");
  }
  return appctlOk(String(hashMac(s.hi, s.lo, vlan & 0xffff, basis) & BOND_MASK));
}

type Run = Command["run"];

/** A command and its old name, which lists do not show. */
function withOldName(name: string, oldName: string, doc: string, run: Run): Command[] {
  const row = { tool: "ovs-appctl", args: [2, 2], doc, run } as const;
  return [
    { ...row, name, usage: "port member" },
    { ...row, name: oldName, usage: undefined },
  ];
}

export const BOND_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "bond/list",
    usage: "",
    args: [0, 0],
    doc: "Lists the bonds and their members.",
    run: list,
  },
  {
    tool: "ovs-appctl",
    name: "bond/show",
    usage: "[port]",
    args: [0, 1],
    doc: "Prints the state of a bond, or of all.",
    run: show,
  },
  {
    tool: "ovs-appctl",
    name: "bond/migrate",
    usage: "port hash member",
    args: [3, 3],
    doc: "Assigns a hash bucket of an SLB bond to a member.",
    run: migrate,
  },
  ...withOldName(
    "bond/set-active-member",
    "bond/set-active-slave",
    "Makes a member the active one.",
    setActive,
  ),
  ...withOldName(
    "bond/enable-member",
    "bond/enable-slave",
    "Enables a member until its link changes.",
    (ctx, argv) => enable(ctx, argv, true),
  ),
  ...withOldName(
    "bond/disable-member",
    "bond/disable-slave",
    "Disables a member until its link changes.",
    (ctx, argv) => enable(ctx, argv, false),
  ),
  {
    tool: "ovs-appctl",
    name: "bond/hash",
    usage: "mac [vlan] [basis]",
    args: [1, 3],
    doc: "Prints the hash bucket of an address in a VLAN.",
    run: (_ctx, argv) => hash(argv),
  },
];
