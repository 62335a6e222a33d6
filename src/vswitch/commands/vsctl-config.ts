// Commands of ovs-vsctl about what bridges and the switch talk to: controllers, fail mode, managers,
// SSL, auto-attach; conntrack timeout policies of zones; emergency reset.
//
// References: ovs: utilities/ovs-vsctl.c; lib/vconn.c, lib/stream.c (names of connections).

import { ANY_ARGS } from "../command.ts";
import type { Row } from "../../ovsdb/database.ts";
import { type Datum, emptyDatum, findKey, mapDatum, setDatum } from "../../ovsdb/datum.ts";
import { atoll } from "./misc.ts";
import { Inventory, realRow } from "./vsctl-bridges.ts";
import {
  type CtlCommand,
  type CtlContext,
  die,
  rootRow,
  sortedLines,
  type CtlRow,
  ctlCommands,
} from "./vsctl-core.ts";

function arg(ctx: CtlContext, i: number): string {
  return ctx.argv[i] ?? "";
}

/** Replaces a column of a row. */
function put(ctx: CtlContext, row: Row, column: string, value: Datum): void {
  ctx.txn.set(row.schema.name, row.uuid, column, value);
}

function clear(ctx: CtlContext, row: Row, column: string): void {
  const c = row.schema.columns.get(column);
  if (c !== undefined) {
    put(ctx, row, column, emptyDatum(c.type));
  }
}

/** Rows to which a set column refers. */
function referred(ctx: CtlContext, row: Row, column: string, table: string): Row[] {
  return row.texts(column).flatMap((uuid) => ctx.txn.row(table, uuid) ?? []);
}

function deleteReferred(ctx: CtlContext, row: Row, column: string, table: string): void {
  for (const r of referred(ctx, row, column, table)) {
    ctx.txn.release(table, r.uuid);
  }
  clear(ctx, row, column);
}

const ACTIVE_TARGET = /^(tcp|ssl|unix|fd|windows):/;
const PASSIVE_TARGET = /^(ptcp|pssl|punix|pfd|pwindows):/;

/** New rows for connections, with a warning for targets of unknown kind. */
function insertTargets(ctx: CtlContext, table: string, targets: readonly string[]): Datum {
  const probe = ctx.options.get("--inactivity-probe");
  return setDatum(
    targets.map((target) => {
      if (!ACTIVE_TARGET.test(target) && !PASSIVE_TARGET.test(target)) {
        ctx.warn("vsctl", `target type "${target}" is possibly erroneous`);
      }
      const row = ctx.txn.insert(table);
      put(ctx, row, "target", setDatum([target]));
      if (probe !== undefined) {
        put(ctx, row, "inactivity_probe", setDatum([BigInt(atoll(probe))]));
      }
      return row.uuid;
    }),
  );
}

function getController(ctx: CtlContext): void {
  const row = realRow(new Inventory(ctx).bridge(arg(ctx, 1)));
  const targets = referred(ctx, row, "controller", "Controller").map((c) => c.name("target"));
  ctx.output += sortedLines(targets);
}

function delController(ctx: CtlContext): void {
  const { row } = new Inventory(ctx).realBridge(arg(ctx, 1));
  deleteReferred(ctx, row, "controller", "Controller");
}

function setController(ctx: CtlContext): void {
  const { row } = new Inventory(ctx).realBridge(arg(ctx, 1));
  deleteReferred(ctx, row, "controller", "Controller");
  put(ctx, row, "controller", insertTargets(ctx, "Controller", ctx.argv.slice(2)));
}

function getFailMode(ctx: CtlContext): void {
  const mode = realRow(new Inventory(ctx).bridge(arg(ctx, 1))).text("fail_mode") ?? "";
  ctx.output += mode === "" ? "" : `${mode}\n`;
}

function delFailMode(ctx: CtlContext): void {
  clear(ctx, new Inventory(ctx).realBridge(arg(ctx, 1)).row, "fail_mode");
}

function setFailMode(ctx: CtlContext): void {
  const { row } = new Inventory(ctx).realBridge(arg(ctx, 1));
  const mode = arg(ctx, 2);
  if (mode !== "standalone" && mode !== "secure") {
    die('fail-mode must be "standalone" or "secure"');
  }
  put(ctx, row, "fail_mode", setDatum([mode]));
}

function getManager(ctx: CtlContext): void {
  const managers = referred(ctx, rootRow(ctx), "manager_options", "Manager");
  ctx.output += sortedLines([...new Set(managers.map((m) => m.name("target")))]);
}

function delManager(ctx: CtlContext): void {
  deleteReferred(ctx, rootRow(ctx), "manager_options", "Manager");
}

function setManager(ctx: CtlContext): void {
  delManager(ctx);
  const managers = insertTargets(ctx, "Manager", ctx.argv.slice(1));
  put(ctx, rootRow(ctx), "manager_options", managers);
}

function sslRow(ctx: CtlContext): Row | undefined {
  return referred(ctx, rootRow(ctx), "ssl", "SSL")[0];
}

function getSsl(ctx: CtlContext): void {
  const ssl = sslRow(ctx);
  if (ssl !== undefined) {
    ctx.output +=
      `Private key: ${ssl.name("private_key")}\nCertificate: ${ssl.name("certificate")}\n` +
      `CA Certificate: ${ssl.name("ca_cert")}\nBootstrap: ${ssl.bool("bootstrap_ca_cert")}\n`;
  }
}

function delSsl(ctx: CtlContext): void {
  deleteReferred(ctx, rootRow(ctx), "ssl", "SSL");
}

function setSsl(ctx: CtlContext): void {
  delSsl(ctx);
  const ssl = ctx.txn.insert("SSL");
  put(ctx, ssl, "private_key", setDatum([arg(ctx, 1)]));
  put(ctx, ssl, "certificate", setDatum([arg(ctx, 2)]));
  put(ctx, ssl, "ca_cert", setDatum([arg(ctx, 3)]));
  put(ctx, ssl, "bootstrap_ca_cert", setDatum([ctx.options.has("--bootstrap")]));
  put(ctx, rootRow(ctx), "ssl", setDatum([ssl.uuid]));
}

/** The number that strtoull() reads at the start of an argument. */
function unsignedArg(text: string): bigint {
  const m = /^\s*\+?(\d+)/.exec(text);
  return m === null ? die(`Invalid argument ${text}`) : BigInt(m[1] ?? "");
}

/** The auto-attach row of a bridge's real bridge. */
function autoAttach(ctx: CtlContext): { readonly bridge: Row; readonly aa: Row | undefined } {
  const bridge = realRow(new Inventory(ctx).bridge(arg(ctx, 1)));
  return { bridge, aa: referred(ctx, bridge, "auto_attach", "AutoAttach")[0] };
}

function addAaMapping(ctx: CtlContext): void {
  const isid = unsignedArg(arg(ctx, 2));
  const vlan = unsignedArg(arg(ctx, 3));
  const { bridge, aa } = autoAttach(ctx);
  const row = aa ?? ctx.txn.insert("AutoAttach");
  if (aa === undefined) {
    put(ctx, bridge, "auto_attach", setDatum([row.uuid]));
  }
  const { keys, values } = row.get("mappings");
  const pairs = new Map(keys.map((k, i) => [k, values?.[i] ?? 0n]));
  if (!pairs.has(isid)) {
    pairs.set(isid, vlan);
  }
  put(ctx, row, "mappings", mapDatum(pairs));
}

function delAaMapping(ctx: CtlContext): void {
  const isid = unsignedArg(arg(ctx, 2));
  const vlan = unsignedArg(arg(ctx, 3));
  const { aa } = autoAttach(ctx);
  const { keys, values } = aa?.get("mappings") ?? { keys: [], values: [] };
  if (aa === undefined || values?.[keys.indexOf(isid)] !== vlan) {
    return;
  }
  // ovs-vsctl also drops every other mapping with the same I-SID or VLAN.
  const kept = keys.flatMap((k, i) => {
    const v = values[i] ?? 0n;
    return k !== isid && v !== vlan ? [[k, v] as const] : [];
  });
  put(ctx, aa, "mappings", mapDatum(kept));
}

function getAaMapping(ctx: CtlContext): void {
  const { aa } = autoAttach(ctx);
  const { keys, values } = aa?.get("mappings") ?? { keys: [], values: [] };
  for (const [i, k] of keys.entries()) {
    ctx.output += `${k} ${values?.[i]}\n`;
  }
}

const BRIDGE_RESET = ["controller", "fail_mode", "mirrors", "netflow", "sflow", "ipfix"];
const DOOMED_TABLES = [
  "Mirror",
  "Controller",
  "Manager",
  "NetFlow",
  "SSL",
  "sFlow",
  "IPFIX",
  "Flow_Sample_Collector_Set",
];

function emerReset(ctx: CtlContext): void {
  const root = rootRow(ctx);
  clear(ctx, root, "manager_options");
  clear(ctx, root, "ssl");
  for (const br of ctx.txn.rows("Bridge")) {
    for (const column of [...BRIDGE_RESET, "flood_vlans"]) {
      clear(ctx, br, column);
    }
    const hwaddr = br.map("other_config").get("hwaddr");
    const config = mapDatum(hwaddr === undefined ? [] : [["hwaddr", hwaddr]]);
    put(ctx, br, "other_config", config);
  }
  for (const port of ctx.txn.rows("Port")) {
    clear(ctx, port, "other_config");
  }
  for (const iface of ctx.txn.rows("Interface")) {
    put(ctx, iface, "ingress_policing_rate", setDatum([0n]));
    put(ctx, iface, "ingress_policing_burst", setDatum([0n]));
  }
  for (const table of DOOMED_TABLES) {
    for (const row of ctx.txn.rows(table)) {
      ctx.txn.release(table, row.uuid);
    }
  }
}

function findDatapath(ctx: CtlContext, name: string): Row | undefined {
  const d = rootRow(ctx).get("datapaths");
  const uuid = d.values?.[findKey(d, name)];
  return uuid === undefined ? undefined : ctx.txn.row("Datapath", String(uuid));
}

/** The number in "zone=N" (ovs leaves it undefined otherwise; 0 here). */
function zoneArg(text: string): bigint {
  return BigInt(/^zone=\s*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}

function findZone(ctx: CtlContext, datapath: Row, zone: bigint): Row | undefined {
  const d = datapath.get("ct_zones");
  const uuid = d.values?.[findKey(d, zone)];
  return uuid === undefined ? undefined : ctx.txn.row("CT_Zone", String(uuid));
}

/** The policy with exactly these timeouts: one that exists or a new one. */
function timeoutPolicy(ctx: CtlContext, settings: readonly string[]): string {
  const timeouts = new Map<string, bigint>();
  for (const text of settings) {
    for (const part of text.split(/[, \t\r\n]+/).filter((p) => p !== "")) {
      const [key = "", value = ""] = part.split(/[=:]/, 2);
      timeouts.set(key, BigInt(atoll(value)));
    }
  }
  const datum = mapDatum(timeouts);
  const same = (r: Row) => {
    const have = r.get("timeouts");
    return (
      have.keys.length === datum.keys.length &&
      have.keys.every((k, i) => k === datum.keys[i] && have.values?.[i] === datum.values?.[i])
    );
  };
  const there = ctx.txn.rows("CT_Timeout_Policy").find(same);
  if (there !== undefined) {
    return there.uuid;
  }
  const row = ctx.txn.insert("CT_Timeout_Policy");
  put(ctx, row, "timeouts", datum);
  return row.uuid;
}

function addZoneTp(ctx: CtlContext): void {
  const name = arg(ctx, 1);
  const zone = zoneArg(arg(ctx, 2));
  const datapath = findDatapath(ctx, name) ?? die(`datapath ${name} does not exist`);
  const there = findZone(ctx, datapath, zone);
  if (there !== undefined && !ctx.options.has("--may-exist")) {
    die(`zone id ${zone} already exists`);
  }
  const policy = timeoutPolicy(ctx, ctx.argv.slice(3));
  const row = there ?? ctx.txn.insert("CT_Zone");
  put(ctx, row, "timeout_policy", setDatum([policy]));
  if (there === undefined) {
    const { keys, values } = datapath.get("ct_zones");
    const pairs = keys.map((k, i) => [k, values?.[i] ?? ""] as const);
    put(ctx, datapath, "ct_zones", mapDatum([...pairs, [zone, row.uuid]]));
  }
}

function delZoneTp(ctx: CtlContext): void {
  const name = arg(ctx, 1);
  const zone = zoneArg(arg(ctx, 2));
  const datapath = findDatapath(ctx, name) ?? die(`datapath ${name} does not exist`);
  if (findZone(ctx, datapath, zone) === undefined) {
    if (!ctx.options.has("--if-exists")) {
      die(`zone id ${zone} does not exist`);
    }
    return;
  }
  const { keys, values } = datapath.get("ct_zones");
  const kept = keys.flatMap((k, i) => (k === zone ? [] : [[k, values?.[i] ?? ""] as const]));
  put(ctx, datapath, "ct_zones", mapDatum(kept));
}

function listZoneTp(ctx: CtlContext): void {
  const name = arg(ctx, 1);
  const datapath = findDatapath(ctx, name) ?? die(`datapath: ${name} record not found`);
  const { keys, values } = datapath.get("ct_zones");
  for (const [i, zone] of keys.entries()) {
    const row = ctx.txn.row("CT_Zone", String(values?.[i]));
    const policy = row?.text("timeout_policy");
    const tp = policy === undefined ? undefined : ctx.txn.row("CT_Timeout_Policy", policy);
    const timeouts = tp?.get("timeouts");
    const text =
      timeouts === undefined
        ? "system default"
        : timeouts.keys.map((k, j) => `${k}=${timeouts.values?.[j]}`).join(" ");
    ctx.output += `${`Zone:${zone}, Timeout Policies: ${text}`.replace(/ $/, "")}\n`;
  }
}

function listDpCap(ctx: CtlContext): void {
  const name = arg(ctx, 1);
  const datapath = findDatapath(ctx, name) ?? die(`datapath "${name}" record not found`);
  const caps = [...datapath.map("capabilities")].map(([k, v]) => `${k}=${v}`);
  ctx.output += `${caps.join(" ")}\n`;
}

const PROBE = "--inactivity-probe=";

const ROWS: readonly CtlRow[] = [
  ["get-controller", 1, 1, "BRIDGE", "", false, getController, "Prints a bridge's controllers."],
  ["del-controller", 1, 1, "BRIDGE", "", true, delController, "Deletes a bridge's controllers."],
  [
    "set-controller",
    1,
    ANY_ARGS,
    "BRIDGE TARGET...",
    PROBE,
    true,
    setController,
    "Sets a bridge's controllers.",
  ],
  ["get-fail-mode", 1, 1, "BRIDGE", "", false, getFailMode, "Prints a bridge's fail mode."],
  ["del-fail-mode", 1, 1, "BRIDGE", "", true, delFailMode, "Unsets a bridge's fail mode."],
  ["set-fail-mode", 2, 2, "BRIDGE MODE", "", true, setFailMode, "Sets a bridge's fail mode."],
  ["get-manager", 0, 0, "", "", false, getManager, "Prints the managers."],
  ["del-manager", 0, 0, "", "", true, delManager, "Deletes the managers."],
  ["set-manager", 1, ANY_ARGS, "TARGET...", PROBE, true, setManager, "Sets the managers."],
  ["get-ssl", 0, 0, "", "", false, getSsl, "Prints the SSL configuration."],
  ["del-ssl", 0, 0, "", "", true, delSsl, "Deletes the SSL configuration."],
  [
    "set-ssl",
    3,
    3,
    "PRIVATE-KEY CERTIFICATE CA-CERT",
    "--bootstrap",
    true,
    setSsl,
    "Sets the SSL configuration.",
  ],
  ["add-aa-mapping", 3, 3, "BRIDGE ARG ARG", "", true, addAaMapping, "Maps an I-SID to a VLAN."],
  ["del-aa-mapping", 3, 3, "BRIDGE ARG ARG", "", true, delAaMapping, "Deletes such a mapping."],
  ["get-aa-mapping", 1, 1, "BRIDGE", "", false, getAaMapping, "Prints the mappings of a bridge."],
  ["emer-reset", 0, 0, "", "", true, emerReset, "Brings the configuration to a clean state."],
  [
    "add-zone-tp",
    3,
    ANY_ARGS,
    "",
    "--may-exist",
    true,
    addZoneTp,
    "Gives a conntrack zone of a datapath a timeout policy.",
  ],
  ["del-zone-tp", 2, 2, "", "--if-exists", true, delZoneTp, "Takes a zone's timeout policy away."],
  ["list-zone-tp", 1, 1, "", "", false, listZoneTp, "Lists timeout policies of a datapath."],
  ["list-dp-cap", 1, 1, "", "", false, listDpCap, "Lists the capabilities of a datapath."],
];

export const CONFIG_CTL_COMMANDS: readonly CtlCommand[] = ctlCommands(ROWS);
