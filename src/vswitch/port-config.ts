// Configures ports: VLAN mode, bond, protection, as the database says.
//
// References: ovs: vswitchd/bridge.c port_configure, port_configure_bond; ofproto/ofproto-dpif.c
// bundle_set; ovs-vswitchd.conf.db(5) table Port.

import { K } from "../flow/flow-key.ts";
import { matchSlot, newMatch } from "../flow/match.ts";
import type { Action } from "../openflow/actions/types.ts";
import { Bond } from "../openflow/bond.ts";
import {
  BOND_MASK,
  type BondEnv,
  type BondMode,
  type BondSettings,
} from "../openflow/bond-types.ts";
import { TBL_INTERNAL } from "../openflow/ofproto.ts";
import { OFPFC } from "../openflow/messages/types-flow.ts";
import { FLOW_FLAG } from "../openflow/rule.ts";
import type { ProtocolLog } from "../openflow/protocol-log.ts";
import { ODPP_NONE, type PriorityTags, type VlanMode, type XBundle } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Bridge, BridgePort } from "./bridge.ts";
import { bundleUpdate, destroyBundle } from "./bridge-ports.ts";
import { isUp, macOf } from "./device.ts";
import { configureLacp, endLacp } from "./protocol-lacp.ts";
import { protocolLog } from "./protocol-log.ts";
import { smapBool, smapInt } from "./smap.ts";

const VLANS = 4096;
const ETH_TYPE_8021Q = 0x8100;
const ETH_TYPE_8021AD = 0x88a8;
/** Priority of the flows that spread a bond's packets after recirculation. */
const RECIRC_RULE_PRIORITY = 20;

/** A set of VLANs, or null for an empty column (which means all or none, as the user of it says). */
export function vlanSet(row: Row, column: string): Uint8Array | null {
  const vlans = row.get(column).keys;
  if (vlans.length === 0) {
    return null;
  }
  const set = new Uint8Array(VLANS);
  for (const v of vlans) {
    const n = Number(v);
    if (n >= 0 && n < VLANS) {
      set[n] = 1;
    }
  }
  return set;
}

function sameSet(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === b || (a !== null && b !== null && a.every((x, i) => x === b[i]));
}

function tagOf(row: Row): number {
  const tag = row.int("tag");
  return tag !== undefined && tag >= 0 && tag < VLANS ? tag : -1;
}

const VLAN_MODES: readonly VlanMode[] = [
  "access",
  "trunk",
  "native-tagged",
  "native-untagged",
  "dot1q-tunnel",
];

function vlanModeOf(br: Bridge, row: Row): VlanMode {
  const name = row.name();
  const mode = row.text("vlan_mode");
  if (mode !== undefined) {
    const known = VLAN_MODES.find((m) => m === mode);
    if (known === undefined) {
      const text = `port ${name}: unknown VLAN mode ${mode}, falling back to trunk mode`;
      br.vs.log.warn("bridge", text);
    }
    return known ?? "trunk";
  }
  if (tagOf(row) < 0) {
    return "trunk";
  }
  if (row.get("trunks").keys.length > 0 || row.get("cvlans").keys.length > 0) {
    br.vs.log.warn("bridge", `port ${name}: ignoring trunks in favor of implicit vlan`);
  }
  return "access";
}

function priorityTagsOf(config: ReadonlyMap<string, string>): PriorityTags {
  const text = config.get("priority-tags") ?? "";
  return text === "if-nonzero" || text === "true"
    ? "if-nonzero"
    : text === "always"
      ? "always"
      : "never";
}

/** The trunks in force: a native VLAN is always carried, VLAN 0 then never. */
function effectiveTrunks(mode: VlanMode, vlan: number, row: Row): Uint8Array | null {
  const trunks = mode === "access" || mode === "dot1q-tunnel" ? null : vlanSet(row, "trunks");
  if (mode !== "native-tagged" && mode !== "native-untagged") {
    return trunks;
  }
  if (vlan === 0 || (trunks !== null && trunks[vlan] === 1 && trunks[0] === 0)) {
    return trunks;
  }
  const all = trunks ?? new Uint8Array(VLANS).fill(1);
  all[vlan] = 1;
  all[0] = 0;
  return all;
}

function newBundle(br: Bridge, name: string): XBundle {
  return {
    name,
    xbridge: br.xbridge,
    xports: [],
    bond: null,
    lacp: false,
    vlanMode: "trunk",
    qinqEthtype: ETH_TYPE_8021AD,
    vlan: -1,
    trunks: null,
    cvlans: null,
    priorityTags: "never",
    floodable: true,
    protected: false,
  };
}

/** Applies the VLAN settings; true if what was learned from the port no longer holds. */
function configureVlans(br: Bridge, b: XBundle, row: Row): boolean {
  const config = row.map("other_config");
  const mode = vlanModeOf(br, row);
  const tag = tagOf(row);
  const vlan = mode === "trunk" ? -1 : Math.max(tag, 0);
  const next = {
    vlanMode: mode,
    priorityTags: priorityTagsOf(config),
    qinqEthtype: config.get("qinq-ethtype") === "802.1q" ? ETH_TYPE_8021Q : ETH_TYPE_8021AD,
    vlan,
    trunks: effectiveTrunks(mode, vlan, row),
    cvlans: mode === "dot1q-tunnel" ? vlanSet(row, "cvlans") : null,
  };
  const changed =
    next.vlanMode !== b.vlanMode ||
    next.priorityTags !== b.priorityTags ||
    next.qinqEthtype !== b.qinqEthtype ||
    next.vlan !== b.vlan ||
    !sameSet(next.trunks, b.trunks) ||
    !sameSet(next.cvlans, b.cvlans);
  Object.assign(b, next);
  return changed;
}

/** Makes the bundle of a port hold exactly the port's interfaces. */
/** Takes over which members a bundle has; true if that changed. */
function configureMembers(b: XBundle, port: BridgePort): boolean {
  let changed = false;
  const wanted = port.ifaces.map((i) => i.xport);
  for (const p of [...b.xports]) {
    if (!wanted.includes(p)) {
      b.xports.splice(b.xports.indexOf(p), 1);
      b.bond?.unregisterMember(p);
      port.lacp?.unregisterMember(p);
      p.xbundle = null;
      changed = true;
    }
  }
  for (const p of wanted) {
    if (p.xbundle !== b) {
      const old = p.xbundle;
      old?.xports.splice(old.xports.indexOf(p), 1);
      b.xports.push(p);
      p.xbundle = b;
      changed = true;
    }
  }
  return changed;
}

const BOND_MODES: readonly BondMode[] = ["active-backup", "balance-slb", "balance-tcp"];

function bondMode(br: Bridge, row: Row): BondMode {
  const text = row.text("bond_mode");
  const name = row.name();
  if (text === undefined) {
    br.vs.log.logRl(
      "bridge",
      "warn",
      { name: "default_bond_mode", rate: 1, burst: 1 },
      `port ${name}: Using the default bond_mode active-backup. Note that in previous versions, ` +
        "the default bond_mode was balance-slb",
    );
    return "active-backup";
  }
  const mode = BOND_MODES.find((m) => m === text);
  if (mode === undefined) {
    br.vs.log.warn(
      "bridge",
      `port ${name}: unknown bond_mode ${text}, defaulting to active-backup`,
    );
  }
  return mode ?? "active-backup";
}

function bondSettings(br: Bridge, row: Row): BondSettings {
  const config = row.map("other_config");
  const mode = bondMode(br, row);
  if (mode === "balance-slb" && (br.row?.get("flood_vlans").keys.length ?? 0) > 0) {
    br.vs.log.warn(
      "bridge",
      `port ${row.name()}: SLB bonds are incompatible with flood_vlans, ` +
        "please use another bond type or disable flood_vlans",
    );
  }
  const detect = config.get("bond-detect-mode") ?? "carrier";
  if (detect !== "carrier" && detect !== "miimon") {
    const text = `unsupported bond-detect-mode ${detect}, defaulting to carrier`;
    br.vs.log.warn("bridge", `port ${row.name()}: ${text}`);
  }
  const interval = smapInt(config, "bond-rebalance-interval", 10000);
  const fallback = smapBool(config, "lacp-fallback-ab", false);
  const mayHavePrimary = mode === "active-backup" || fallback;
  return {
    name: row.name(),
    mode,
    rebalanceIntervalMs: interval !== 0 && interval < 1000 ? 1000 : interval,
    upDelayMs: Math.max(0, row.int("bond_updelay") ?? 0),
    downDelayMs: Math.max(0, row.int("bond_downdelay") ?? 0),
    basis: smapInt(config, "bond-hash-basis", 0),
    lacpFallbackAb: fallback,
    useLbOutput: mode === "balance-tcp" && smapBool(config, "lb-output-action", false),
    primary: mayHavePrimary ? (config.get("bond-primary") ?? null) : null,
    allMembersActive: smapBool(config, "all-members-active", false),
  };
}

/** The match of the packets that a bond recirculated into one of its buckets. */
function bucketMatch(recircId: number, bucket: number) {
  const match = newMatch();
  matchSlot(match, K.recirc_id, recircId);
  matchSlot(match, K.dp_hash, bucket, BOND_MASK);
  return match;
}

/** What a bond needs of the switch. */
class BridgeBondEnv implements BondEnv {
  private readonly br: Bridge;
  /** Ports of the buckets that have a flow now, by recirculation id. */
  private readonly installed = new Map<number, readonly (number | null)[]>();

  constructor(br: Bridge) {
    this.br = br;
  }

  get rng() {
    return this.br.vs.rng;
  }

  allocRecircId(): number {
    return this.br.vs.recircs.allocUnshared(this.br.xbridge.id);
  }

  freeRecircId(id: number): void {
    this.br.vs.recircs.unref(id);
  }

  recircSupported(): boolean {
    return this.br.backer.support.recirc;
  }

  lbOutputSupported(): boolean {
    return this.br.backer.support.lb_output_action;
  }

  setRecircRules(recircId: number, ports: readonly (number | null)[]): void {
    const before = this.installed.get(recircId) ?? [];
    const n = Math.max(before.length, ports.length);
    for (let bucket = 0; bucket < n; bucket++) {
      const port = ports[bucket] ?? null;
      const match = bucketMatch(recircId, bucket);
      if (port !== null) {
        // A flow that is there is put anew all the same: its counters go on, its age does not.
        const output: Action = { kind: "output", port, maxLen: 0 };
        this.br.ofproto.addInternalFlow(match, RECIRC_RULE_PRIORITY, [output]);
      } else if ((before[bucket] ?? null) !== null) {
        this.deleteRule(match);
      }
    }
    this.installed.set(recircId, [...ports]);
  }

  private deleteRule(match: ReturnType<typeof newMatch>): void {
    this.br.ofproto.flowMod({
      match,
      priority: RECIRC_RULE_PRIORITY,
      cookieMask: 0n,
      cookie: 0n,
      newCookie: 0n,
      modifyCookie: false,
      tableId: TBL_INTERNAL,
      command: OFPFC.DELETE_STRICT,
      idleTimeoutS: 0,
      hardTimeoutS: 0,
      bufferId: 0xffffffff,
      outPort: 0xffff,
      outGroup: 0xffffffff,
      flags: FLOW_FLAG.HIDDEN_FIELDS | FLOW_FLAG.NO_READONLY,
      importance: 0,
      actions: [],
    });
  }

  setLbBuckets(recircId: number, ports: readonly (number | null)[]): void {
    const { xbridge, backer, vs } = this.br;
    const members = ports.map((p) =>
      p === null ? ODPP_NONE : (xbridge.xports.get(p)?.odpPort ?? ODPP_NONE),
    );
    vs.packets?.setBond(backer, recircId, members.length === 0 ? null : members);
  }

  bucketBytes(recircId: number, bucket: number): number {
    const sent = this.br.vs.packets?.bondBytes(this.br.backer, recircId, bucket) ?? null;
    if (sent !== null) {
      return sent;
    }
    const mini = this.br.ofproto.masks.pack(bucketMatch(recircId, bucket));
    const { ofproto } = this.br;
    const rule = ofproto
      .table(TBL_INTERNAL)
      .cls.findExactly(mini, RECIRC_RULE_PRIORITY, ofproto.tablesVersion)?.data;
    return Number(rule?.nBytes ?? 0);
  }

  get log(): ProtocolLog {
    return protocolLog(this.br.vs, "bond");
  }
}

function configureBond(br: Bridge, b: XBundle, port: BridgePort, row: Row): void {
  if (port.ifaces.length < 2) {
    b.bond?.close();
    b.bond = null;
    return;
  }
  const settings = bondSettings(br, row);
  const nowMs = br.vs.clock.nowMs();
  if (b.bond === null) {
    b.bond = new Bond(settings, new BridgeBondEnv(br), nowMs);
  } else {
    b.bond.reconfigure(settings, nowMs);
  }
  for (const iface of port.ifaces) {
    b.bond.registerMember(iface.xport, iface.name, macOf(iface.device), isUp(iface.device));
  }
}

/** Makes a port what its row says. */
export function configurePort(br: Bridge, port: BridgePort, row: Row): void {
  const isNew = port.xbundle === null;
  const b = port.xbundle ?? newBundle(br, port.name);
  port.xbundle = b;
  const membersChanged = configureMembers(b, port);
  if (b.xports.length === 0) {
    destroyBundle(br, b);
    endLacp(br, port);
    port.xbundle = null;
    return;
  }
  if (isNew) {
    br.xbridge.xbundles.push(b);
  }
  const flush = configureVlans(br, b, row);
  configureLacp(br, port, b, row);
  configureBond(br, b, port, row);
  const isProtected = row.bool("protected") === true;
  const flushToo = isProtected !== b.protected;
  b.protected = isProtected;
  if (membersChanged) {
    bundleUpdate(port, br);
  }
  if (flush || flushToo) {
    br.xbridge.ml.flushBundle(b, []);
    br.xbridge.ms?.flushBundle(b);
    br.vs.packets?.needRevalidate();
  }
}
