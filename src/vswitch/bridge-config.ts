// Configures what belongs to a bridge as a whole: address and datapath id, MAC table, multicast
// snooping, mirrors, flow tables, controllers and fail mode.
//
// References: ovs: vswitchd/bridge.c bridge_configure_*; ovs-vswitchd.conf.db(5) table Bridge.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { parseMac } from "../lib/scan.ts";
import { FIELDS } from "../flow/fields.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { parseSubfield } from "../flow/subfield.ts";
import type { Subfield } from "../flow/subfield.ts";
import type { PrefixField } from "../datapath/classifier.ts";
import { fieldPrereqsOk } from "../flow/field-value.ts";
import { MAC_ENTRIES_DEFAULT, MAC_IDLE_DEFAULT_S } from "../openflow/mac-learning.ts";
import {
  MCAST_ENTRIES_DEFAULT,
  MCAST_IDLE_DEFAULT_S,
  McastSnooping,
} from "../openflow/mcast-snooping.ts";
import type { MirrorSettings } from "../openflow/mirror.ts";
import type { Remote } from "../openflow/in-band.ts";
import { N_TABLES } from "../openflow/ofproto.ts";
import { type ControllerSettings, remoteOf, typeOfTarget } from "../openflow/ofservice.ts";
import { SUPPORTED_VERSIONS, versionFromString } from "../openflow/messages/version.ts";
import type { XBundle } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Bridge, BridgePort, Iface } from "./bridge.ts";
import { isLocal, refreshIface } from "./bridge-ports.ts";
import { macOf } from "./device.ts";
import { vlanSet } from "./port-config.ts";
import { smapBool, smapInt } from "./smap.ts";

type Mac = readonly [hi: number, lo: number];

function parseMacText(text: string): Mac | null {
  const mac = parseMac(text);
  return mac === undefined ? null : [mac.hi, mac.lo];
}

const isLocalMac = ([hi]: Mac) => (hi & 0x0200) !== 0;
const isMulticast = ([hi]: Mac) => (hi & 0x0100) !== 0;
const isZeroMac = ([hi, lo]: Mac) => hi === 0 && lo === 0;

/** The address that a port offers its bridge, or null. */
function offeredMac(port: BridgePort, row: Row): Mac | null {
  const wanted = row.text("mac");
  const asked = wanted === undefined ? null : parseMacText(wanted);
  if (asked !== null) {
    return port.ifaces.some((i) => sameMac(macOf(i.device), asked)) ? asked : null;
  }
  const [first] = port.ifaces.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return first === undefined || isLocal(first) ? null : macOf(first.device);
}

function sameMac(a: Mac, b: Mac): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function lessMac(a: Mac, b: Mac): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

/** The address of a bridge: configured, or the least global one of its ports, or its own. */
function pickMac(br: Bridge, row: Row): Mac {
  const { log } = br.vs;
  const hwaddr = row.map("other_config").get("hwaddr");
  const configured = hwaddr === undefined ? null : parseMacText(hwaddr);
  if (configured !== null) {
    if (isMulticast(configured)) {
      log.err("bridge", `bridge ${br.name}: cannot set MAC address to multicast address ${hwaddr}`);
    } else if (isZeroMac(configured)) {
      log.err("bridge", `bridge ${br.name}: cannot set MAC address to zero`);
    } else {
      return configured;
    }
  }
  const outputs = row.texts("mirrors").map((m) => br.vs.db.row("Mirror", m)?.text("output_port"));
  let best: Mac | null = null;
  for (const port of br.ports.values()) {
    const portRow = br.vs.db.row("Port", port.rowUuid);
    const mac = portRow === undefined ? null : offeredMac(port, portRow);
    if (mac === null || outputs.includes(port.rowUuid)) {
      continue;
    }
    const usable = !isMulticast(mac) && !isLocalMac(mac) && !isZeroMac(mac);
    if (usable && (best === null || lessMac(mac, best))) {
      best = mac;
    }
  }
  return best ?? br.defaultMac;
}

/** Sets the address of an internal port that its row asks for (ovs: iface_set_mac). */
export function configureMac(br: Bridge, iface: Iface, row: Row): void {
  const text = row.text("mac");
  const mac = text === undefined || iface.type !== "internal" ? null : parseMacText(text);
  const { netdev } = iface.device;
  if (mac === null || netdev === null) {
    return;
  }
  const refused = isLocal(iface)
    ? "ignoring mac in Interface record (use Bridge record to set local port's mac)"
    : isMulticast(mac)
      ? "cannot set MAC to multicast address"
      : isZeroMac(mac)
        ? "cannot set MAC to all zero address"
        : null;
  if (refused !== null) {
    br.vs.log.err("bridge", `interface ${iface.name}: ${refused}`);
  } else if (!sameMac(macOf(iface.device), mac)) {
    [netdev.macHi, netdev.macLo] = mac;
    refreshIface(br, iface);
  }
}

/** Sets the address of the local port and the datapath id. */
export function configureDatapathId(br: Bridge, row: Row): void {
  const mac = pickMac(br, row);
  const local = br.ifaceByOfPort(OFPP.LOCAL);
  const netdev = local?.device.netdev ?? null;
  if (local !== undefined && netdev !== null && !sameMac(macOf(local.device), mac)) {
    [netdev.macHi, netdev.macLo] = mac;
    refreshIface(br, local);
  }
  const text = row.map("other_config").get("datapath-id") ?? "";
  const valid = /^(?:[0-9a-f]{16}|0x[0-9a-f]{1,16})$/i.test(text);
  const configured = valid ? BigInt(`0x${text.replace(/^0x/i, "")}`) : 0n;
  const dpid = configured !== 0n ? configured : (BigInt(mac[0]) << 32n) | BigInt(mac[1]);
  if (dpid !== br.ofproto.datapathId) {
    const hex = dpid.toString(16).padStart(16, "0");
    br.vs.log.info("bridge", `bridge ${br.name}: using datapath ID ${hex}`);
    br.ofproto.datapathId = dpid;
  }
}

export function configureMacTable(br: Bridge, row: Row): void {
  const config = row.map("other_config");
  const { ml } = br.xbridge;
  // Negative numbers are taken for very large ones.
  ml.setIdleTime(smapInt(config, "mac-aging-time", 0) >>> 0 || MAC_IDLE_DEFAULT_S);
  ml.setMaxEntries(smapInt(config, "mac-table-size", 0) >>> 0 || MAC_ENTRIES_DEFAULT);
}

export function configureMcast(br: Bridge, row: Row): void {
  const { xbridge } = br;
  if (row.bool("mcast_snooping_enable") !== true) {
    xbridge.ms = null;
    return;
  }
  const config = row.map("other_config");
  xbridge.ms ??= new McastSnooping();
  const { ms } = xbridge;
  ms.setIdleTime(smapInt(config, "mcast-snooping-aging-time", 0) >>> 0 || MCAST_IDLE_DEFAULT_S);
  ms.setMaxEntries(smapInt(config, "mcast-snooping-table-size", 0) >>> 0 || MCAST_ENTRIES_DEFAULT);
  ms.setFloodUnreg(!smapBool(config, "mcast-snooping-disable-flood-unregistered", false));
  for (const port of br.ports.values()) {
    const other = br.vs.db.row("Port", port.rowUuid)?.map("other_config") ?? new Map();
    if (port.xbundle !== null) {
      ms.setPortFlood(port.xbundle, smapBool(other, "mcast-snooping-flood", false));
      ms.setPortFloodReports(port.xbundle, smapBool(other, "mcast-snooping-flood-reports", false));
    }
  }
}

/** Bundles of the ports that a mirror selects. */
function mirrorPorts(br: Bridge, mirror: Row, column: string): XBundle[] {
  return mirror.texts(column).flatMap((uuid) => {
    const name = br.vs.db.row("Port", uuid)?.name() ?? "";
    const b = br.ports.get(name)?.xbundle ?? null;
    if (b === null) {
      const text = `bridge ${br.name}: mirror ${mirror.name()} cannot match on nonexistent port`;
      br.vs.log.warn("bridge", `${text} ${name}`);
      return [];
    }
    return [b];
  });
}

/** Where a mirror's copies go; null if that is nowhere. */
function mirrorOutput(
  br: Bridge,
  mirror: Row,
): { readonly outBundle: XBundle | null; readonly outVlan: number } | null {
  const head = `bridge ${br.name}: mirror ${mirror.name()}`;
  const port = mirror.text("output_port");
  const vlan = mirror.int("output_vlan");
  if (port !== undefined) {
    const name = br.vs.db.row("Port", port)?.name() ?? "";
    const outBundle = br.ports.get(name)?.xbundle ?? null;
    if (outBundle === null) {
      br.vs.log.err("bridge", `${head} outputs to port not on bridge`);
      return null;
    }
    if (vlan !== undefined) {
      const text = `${head} specifies both output port and output vlan; ignoring output vlan`;
      br.vs.log.err("bridge", text);
    }
    return { outBundle, outVlan: 0xffff };
  }
  if (vlan !== undefined) {
    return { outBundle: null, outVlan: vlan };
  }
  br.vs.log.err("bridge", `${head} does not specify output; ignoring`);
  return null;
}

function mirrorSettings(br: Bridge, mirror: Row): MirrorSettings | null {
  const output = mirrorOutput(br, mirror);
  if (output === null) {
    return null;
  }
  const all = [...br.ports.values()].flatMap((p) => p.xbundle ?? []);
  const selectAll = mirror.bool("select_all") === true;
  return {
    name: mirror.name(),
    srcs: selectAll ? all : mirrorPorts(br, mirror, "select_src_port"),
    dsts: selectAll ? all : mirrorPorts(br, mirror, "select_dst_port"),
    vlans: vlanSet(mirror, "select_vlan"),
    ...output,
    snaplen: mirror.int("snaplen") ?? 0,
  };
}

export function configureMirrors(br: Bridge, row: Row): void {
  const { mbridge, ml } = br.xbridge;
  const wanted = row.texts("mirrors");
  for (const m of mbridge.mirrors()) {
    if (!wanted.includes(m.key)) {
      mbridge.delete(m.key);
    }
  }
  for (const uuid of wanted) {
    const mirror = br.vs.db.row("Mirror", uuid);
    const settings = mirror === undefined ? null : mirrorSettings(br, mirror);
    if (settings === null) {
      mbridge.delete(uuid);
    } else {
      mbridge.set(uuid, settings);
    }
  }
  if (ml.setFloodVlans(vlanSet(row, "flood_vlans"))) {
    ml.flush();
  }
}

/** Fields that get a prefix trie unless the user names others. */
const DEFAULT_PREFIXES = ["ip_dst", "ip_src"];
/** Tries that a table may have (ovs: CLS_MAX_TRIES). */
const PREFIXES_MAX = 3;
const NO_FLOW_LIMIT = 0xffffffff;

/** One object per field, so that a table sees whether its fields changed. */
const PREFIX_FIELDS = new Map<string, PrefixField>();

function prefixField(name: string): PrefixField | undefined {
  const there = PREFIX_FIELDS.get(name);
  const field = there === undefined ? FIELDS.find((f) => f.name === name) : undefined;
  if (field === undefined) {
    return there;
  }
  const made: PrefixField = {
    name: field.name,
    word: field.slot.word,
    bits: field.bits,
    prereqsOk: (key) => fieldPrereqsOk(field, key, null, null),
  };
  PREFIX_FIELDS.set(name, made);
  return made;
}

/** The prefix fields of a table; the defaults unless the row names usable ones or "none". */
function prefixesOf(br: Bridge, tableId: number, row: Row | undefined): readonly PrefixField[] {
  const names: string[] = [];
  const { log } = br.vs;
  for (const name of row?.texts("prefixes") ?? []) {
    if (name === "none") {
      log.info("bridge", `bridge ${br.name} table ${tableId}: Prefix lookup with: none.`);
      return [];
    }
    const field = FIELDS.find((f) => f.name === name || f.aka === name);
    if (field === undefined) {
      log.warn("bridge", `bridge ${br.name}: 'prefixes' with unknown field: ${name}`);
    } else if (field.bits % 32 !== 0) {
      log.warn("bridge", `bridge ${br.name}: 'prefixes' with incompatible field: ${name}`);
    } else if (names.length >= PREFIXES_MAX) {
      const text = `'prefixes' with too many fields, field not used: ${name}`;
      log.warn("bridge", `bridge ${br.name}: ${text}`);
    } else {
      names.push(field.name);
    }
  }
  if (names.length > 0) {
    const list = names.join(",");
    log.info("bridge", `bridge ${br.name} table ${tableId}: Prefix lookup with: ${list}.`);
  }
  return (names.length > 0 ? names : DEFAULT_PREFIXES).flatMap((n) => prefixField(n) ?? []);
}

function evictionGroups(br: Bridge, tableId: number, row: Row | undefined): Subfield[] {
  return (row?.texts("groups") ?? []).flatMap((text) => {
    const parsed = parseSubfield(text);
    if (parsed.ok) {
      return [parsed.value];
    }
    const head = `bridge ${br.name} table ${tableId}: error parsing 'groups'`;
    br.vs.log.logRl("bridge", "warn", TABLES_LIMIT, `${head} (${parsed.error.message})`);
    return [];
  });
}

const TABLES_LIMIT = { name: "bridge_configure_tables", rate: 1, burst: 5 };

export function configureTables(br: Bridge, row: Row): void {
  const { keys, values } = row.get("flow_tables");
  const rows = new Map(
    keys.map((k, i) => [Number(k), br.vs.db.row("Flow_Table", String(values?.[i]))]),
  );
  for (let id = 0; id < N_TABLES; id++) {
    const t = rows.get(id);
    // A table without a row keeps its defaults, which it got the first time.
    if (t === undefined && br.defaultTables.has(id)) {
      continue;
    }
    if (t === undefined) {
      br.defaultTables.add(id);
    } else {
      br.defaultTables.delete(id);
    }
    br.ofproto.configureTable(id, {
      name: t?.text("name") ?? null,
      maxFlows: Math.min(t?.int("flow_limit") ?? NO_FLOW_LIMIT, NO_FLOW_LIMIT),
      evict: t?.text("overflow_policy") === "evict",
      groups: evictionGroups(br, id, t),
      prefixes: prefixesOf(br, id, t),
    });
  }
  for (const id of rows.keys()) {
    if (id >= N_TABLES) {
      const text = `ignoring configuration for flow table ${id} not supported by this datapath`;
      br.vs.log.logRl("bridge", "warn", TABLES_LIMIT, `bridge ${br.name}: ${text}`);
    }
  }
}

/** Where managers listen unless their target says otherwise. */
const OVSDB_PORT = 6640;
const LOOPBACK = 0x7f000001;
const REMOTES_LIMIT = { name: "configure_remotes", rate: 1, burst: 5 };

/**
 * False for sockets of this host that whoever may write the database must not reach (ovs:
 * vswitchd/bridge.c bridge_configure_remotes).
 */
function isPermitted(br: Bridge, target: string): boolean {
  const { rundir, log } = br.vs;
  const own = `"unix:${rundir}/${br.name}.mgmt" (which is always available without special configuration)`;
  if (target.startsWith("unix:")) {
    const allowed = `unix:${rundir}/`;
    if (target.includes("/") && !hasPathPrefix(target, allowed)) {
      const text =
        `bridge ${br.name}: Not connecting to socket controller "${target}" due to possibility ` +
        "for remote exploit.  Instead, specify socket in permitted directory " +
        `"${allowed}" or connect to ${own}.`;
      log.logRl("bridge", "err", REMOTES_LIMIT, text);
      return false;
    }
  } else if (target.startsWith("punix:")) {
    const allowed = `punix:${rundir}/${br.name}.`;
    if (!hasPathPrefix(target, allowed) || target.includes("/", allowed.length)) {
      const text =
        `bridge ${br.name}: Not adding Unix domain socket controller "${target}" due to ` +
        "possibility of overwriting local files. Instead, specify path in permitted format " +
        `"${allowed}*" or connect to ${own}.`;
      log.logRl("bridge", "err", REMOTES_LIMIT, text);
      return false;
    }
  }
  return true;
}

/** Several slashes count as one. */
function hasPathPrefix(path: string, prefix: string): boolean {
  return path.replace(/\/+/g, "/").startsWith(prefix.replace(/\/+/g, "/"));
}

/** Seconds of silence after which a controller is probed. */
function probeIntervalS(row: Row): number {
  const ms = row.int("inactivity_probe");
  return ms === undefined ? 5 : ms === 0 ? 0 : Math.max(1, Math.floor(ms / 1000));
}

function controllerSettings(row: Row, inBand: boolean, versions: number): ControllerSettings {
  const target = row.name("target");
  const type = row.text("type");
  const backoffMs = row.int("max_backoff");
  return {
    target,
    type: type === undefined ? typeOfTarget(target) : type === "primary" ? "primary" : "service",
    versions,
    probeIntervalS: probeIntervalS(row),
    maxBackoffS: backoffMs === undefined ? 8 : Math.floor(backoffMs / 1000),
    inBand: inBand && (row.text("connection_mode") ?? "in-band") === "in-band",
  };
}

/** The controllers of a bridge; one called "none" stands for none. */
export function controllerRows(br: Bridge, row: Row): Row[] {
  const rows = row.texts("controller").flatMap((u) => br.vs.db.row("Controller", u) ?? []);
  return rows.length === 1 && rows[0]?.name("target") === "none" ? [] : rows;
}

/** Managers that in-band control has to reach: those that are not on this host. */
function managersInBand(br: Bridge): Remote[] {
  const [root] = br.vs.db.rows("Open_vSwitch");
  const targets = new OvsMap<string, string>((target) => hashString(target));
  for (const uuid of root?.texts("manager_options") ?? []) {
    const row = br.vs.db.row("Manager", uuid);
    if (row !== undefined && row.text("connection_mode") !== "out-of-band") {
      targets.set(row.name("target"), row.name("target"));
    }
  }
  const remotes = [...targets.values()].map((t) => remoteOf(br.ofproto, t, OVSDB_PORT));
  return remotes.filter((r) => r !== null && r.ip !== LOOPBACK) as Remote[];
}

/** Controllers, in-band control, fail mode, OpenFlow versions. */
export function configureRemotes(br: Bridge, row: Row): void {
  const { conns } = br.ofproto;
  const config = row.map("other_config");
  const inBand = !smapBool(config, "disable-in-band", false);
  conns.setInBand(smapInt(config, "in-band-queue", -1), inBand ? managersInBand(br) : []);
  br.versions = allowedVersions(br, row);
  const own: ControllerSettings = {
    target: `punix:${br.vs.rundir}/${br.name}.mgmt`,
    type: "service",
    versions: br.versions,
    probeIntervalS: 60,
    maxBackoffS: 8,
    inBand: false,
  };
  const permitted = controllerRows(br, row).filter((c) => isPermitted(br, c.name("target")));
  const others = permitted.map((c) => controllerSettings(c, inBand, br.versions));
  conns.setControllers([own, ...others]);
  conns.setFailMode(row.text("fail_mode") === "secure" ? "secure" : "standalone");
}

function allowedVersions(br: Bridge, row: Row): number {
  const names = row.texts("protocols");
  let bitmap = 0;
  for (const name of names) {
    const version = versionFromString(name);
    if (version === 0) {
      br.vs.log.warn("ofp_protocol", `Unknown OpenFlow version: "${name}"`);
    } else {
      bitmap |= 1 << version;
    }
  }
  return names.length === 0 || bitmap === 0 ? SUPPORTED_VERSIONS : bitmap;
}

export function configureDescription(br: Bridge, row: Row): void {
  const config = row.map("other_config");
  const dpDesc = config.get("dp-desc");
  const serialNum = config.get("dp-sn");
  br.ofproto.desc = {
    ...(dpDesc === undefined ? {} : { dpDesc }),
    ...(serialNum === undefined ? {} : { serialNum }),
  };
  br.xbridge.forwardBpdu = smapBool(config, "forward-bpdu", false);
}
