// The bridges, ports and bundles that translation walks through.
//
// The idea: the switch keeps its configuration in the database and in the OpenFlow layer; what a
// translation needs of it is copied into these plain objects whenever the configuration changes, so
// that the translation itself only follows references (ovs: ofproto/ofproto-dpif-xlate.c struct
// xbridge, xbundle, xport). `vswitch` fills them, `xlate-*.ts` reads them.
//
// Invariants
// - `xbridge.xports` maps the OpenFlow number to the port; `xcfg.xports` maps `xport.id`.
// - `xbridge.xbundles` is in order of creation, the local port's bundle first: NORMAL floods so.
// - `xport.peer` of a patch port points back. A patch port has no datapath port (ODPP_NONE).
// - VLAN sets are Uint8Array(4096) with 1 for members, or null for "all".

import type { FlowKey } from "../flow/flow-key.ts";
import { KeyPool } from "../flow/key-pool.ts";
import type { MiniMatch } from "../flow/minimatch.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Vlog } from "../lib/vlog.ts";
import type { Bond } from "./bond.ts";
import type { Group } from "./group.ts";
import type { MacLearning } from "./mac-learning.ts";
import type { McastSnooping } from "./mcast-snooping.ts";
import type { OfpErr } from "./messages/errors.ts";
import type { FlowMod } from "./messages/types-flow.ts";
import type { Mbridge } from "./mirror.ts";
import type { Rule } from "./rule.ts";
import { NativeTunnels } from "./native-tunnels.ts";
import { type TunnelPort, TunnelPorts } from "./tunnel-ports.ts";

/** Datapath port number that stands for "none" (ovs: ODPP_NONE). */
export const ODPP_NONE = 0xffffffff;

/** Bits of `xport.config` (ovs: enum ofputil_port_config). */
export const PORT_CONFIG = {
  PORT_DOWN: 1 << 0,
  NO_STP: 1 << 1,
  NO_RECV: 1 << 2,
  NO_RECV_STP: 1 << 3,
  NO_FLOOD: 1 << 4,
  NO_FWD: 1 << 5,
  NO_PACKET_IN: 1 << 6,
} as const;

/** What a datapath offers (ovs: ofproto/ofproto-dpif.h DPIF_SUPPORT_FIELDS, odp_support). */
export interface DpSupport {
  masked_set_action: boolean;
  tnl_push_pop: boolean;
  ufid: boolean;
  trunc: boolean;
  clone: boolean;
  sample_nesting: number;
  ct_eventmask: boolean;
  ct_clear: boolean;
  max_hash_alg: number;
  check_pkt_len: boolean;
  ct_timeout: boolean;
  explicit_drop_action: boolean;
  lb_output_action: boolean;
  ct_zero_snat: boolean;
  add_mpls: boolean;
  max_vlan_headers: number;
  max_mpls_depth: number;
  recirc: boolean;
  ct_state: boolean;
  ct_zone: boolean;
  ct_mark: boolean;
  ct_label: boolean;
  ct_state_nat: boolean;
  ct_orig_tuple: boolean;
  ct_orig_tuple6: boolean;
  nd_ext: boolean;
}

/** What the userspace datapath offers; `dpif/set-dp-features` may take some of it away. */
export function userspaceSupport(): DpSupport {
  return {
    masked_set_action: true,
    tnl_push_pop: true,
    ufid: true,
    trunc: true,
    clone: true,
    sample_nesting: 10,
    ct_eventmask: true,
    ct_clear: true,
    max_hash_alg: 1,
    check_pkt_len: true,
    ct_timeout: true,
    explicit_drop_action: true,
    lb_output_action: true,
    ct_zero_snat: true,
    add_mpls: true,
    max_vlan_headers: 1,
    max_mpls_depth: 3,
    recirc: true,
    ct_state: true,
    ct_zone: true,
    ct_mark: true,
    ct_label: true,
    ct_state_nat: true,
    ct_orig_tuple: true,
    ct_orig_tuple6: true,
    nd_ext: true,
  };
}

/** Fragment handling of a bridge (ovs: enum ofputil_frag_handling). */
export type FragHandling = "normal" | "drop" | "reassemble" | "nx-match";
/** What a table does with a packet that matches nothing (ovs: enum ofputil_table_miss). */
export type TableMiss = "default" | "controller" | "continue" | "drop";

/** One OpenFlow table as translation sees it. */
export interface XlateTable {
  readonly cls: {
    lookup(version: number, key: FlowKey, wc: FlowKey | null): { readonly data: Rule } | null;
    findExactly(match: MiniMatch, priority: number, version: number): object | null;
  };
  readonly missConfig: TableMiss;
  nMatched: number;
  nMissed: number;
}

/** What a translation needs from the OpenFlow layer of one bridge; class Ofproto has all of it. */
export interface XlateOfproto {
  readonly log: Vlog;
  readonly name: string;
  /** 255 tables; the last one, 254, is internal. */
  readonly tables: readonly XlateTable[];
  /** The version that lookups see now. */
  readonly tablesVersion: number;
  readonly fragHandling: FragHandling;
  /** Rules that stand for "no match" (ovs: struct ofproto_dpif miss_rule and friends). */
  readonly missRule: Rule;
  readonly noPacketInRule: Rule;
  readonly dropFragsRule: Rule;
  groupLookup(groupId: number, version?: number): Group | null;
  /** Adds, changes, refreshes or deletes a learned flow; `limit` 0 is none. */
  flowModLearn(fm: FlowMod, limit: number): { readonly error: OfpErr | null; belowLimit: boolean };
  ruleReduceTimeouts(rule: Rule, idleTimeoutS: number, hardTimeoutS: number): void;
  /** Some controller older than OpenFlow 1.3 is connected and wants table misses. */
  wantsPacketInOnMiss(): boolean;
  /** A controller is connected (ovs: connmgr_is_any_controller_connected). */
  isAlive(): boolean;
}

export type VlanMode = "access" | "trunk" | "native-tagged" | "native-untagged" | "dot1q-tunnel";
/** Use of 802.1p tags for frames in VLAN 0 (ovs: enum port_priority_tags_mode). */
export type PriorityTags = "never" | "if-nonzero" | "always";

export interface XBundle {
  readonly name: string;
  readonly xbridge: XBridge | null;
  /** Members in the order in which they were added. */
  readonly xports: XPort[];
  bond: Bond | null;
  /** LACP is configured (its state lives with the bond). */
  lacp: boolean;
  vlanMode: VlanMode;
  /** 0x8100 or 0x88a8: the outer tag of dot1q-tunnel. */
  qinqEthtype: number;
  /** -1 for a trunk, else a VLAN. */
  vlan: number;
  trunks: Uint8Array | null;
  cvlans: Uint8Array | null;
  priorityTags: PriorityTags;
  /** No member port has NO_FLOOD. */
  floodable: boolean;
  protected: boolean;
}

export interface PortCounters {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

/** STP or RSTP state of a port as far as translation asks. */
export interface SpanningState {
  readonly learn: boolean;
  readonly forward: boolean;
  readonly forwardBpdu: boolean;
}

/** How a port treats packets without Ethernet header (ovs: enum netdev_pt_mode). */
export type PtMode = "aware" | "legacy_l2" | "legacy_l3";

export interface XPort {
  /** Unique within a switch, never 0; stands for OVS's port UUID. */
  readonly id: number;
  readonly name: string;
  readonly ofpPort: number;
  odpPort: number;
  readonly xbridge: XBridge;
  xbundle: XBundle | null;
  peer: XPort | null;
  /** PORT_CONFIG bits. */
  config: number;
  /** The link is up and nothing (bond, CFM, BFD, LACP) disables the port. */
  mayEnable: boolean;
  /** Set for an OpenFlow tunnel port, unless another tunnel is just like it. */
  tunnel: TunnelPort | null;
  /** An OpenFlow tunnel port, whether usable or not. */
  isTunnel: boolean;
  ptMode: PtMode;
  /** Null where STP (RSTP) is off. */
  stp: SpanningState | null;
  rstp: SpanningState | null;
  cfm: { shouldProcess(key: FlowKey, wc: FlowKey): boolean } | null;
  bfd: {
    shouldProcess(key: FlowKey, wc: FlowKey): boolean;
    /** Packets came in by the port, as far as no device counts them. */
    accountRx(packets: number): void;
  } | null;
  lldp: boolean;
  /** Datapath priority -> DSCP already shifted to its place in nw_tos. */
  readonly skbPriorities: Map<number, number>;
  /** Counters of a patch or tunnel port, which no device counts. */
  readonly counters: PortCounters;
  /** Addresses of the device (native tunnels terminate there): IPv4 as ::ffff:a.b.c.d words. */
  addresses: readonly Uint32Array[];
}

export interface CtTimeoutPolicyName {
  readonly name: string;
  /** The datapath keeps one policy for each protocol, so the protocol must be matched. */
  readonly unwildcard: boolean;
}

export interface XBridge {
  /** Unique within a switch, never 0; stands for OVS's bridge UUID. */
  readonly id: number;
  readonly name: string;
  /** "system" or "netdev". */
  readonly dpType: string;
  readonly ofproto: XlateOfproto;
  /** Where tun_metadata fields lie in a key of this bridge. */
  tunTable: TunTable;
  /** Datapath meters of the "controller" and "slowpath" virtual meters, or -1. */
  controllerMeterId: number;
  slowpathMeterId: number;
  /** Datapath meter of an OpenFlow meter, or -1. */
  meterId(ofMeterId: number): number;
  /** Name of the conntrack timeout policy of a zone, or null (ovs: put_ct_timeout). */
  ctTimeoutPolicy(zone: number, dlType: number, nwProto: number): CtTimeoutPolicyName | null;
  readonly xports: Map<number, XPort>;
  readonly xbundles: XBundle[];
  ml: MacLearning;
  ms: McastSnooping | null;
  mbridge: Mbridge;
  stp: boolean;
  rstp: boolean;
  netflow: boolean;
  sflow: SflowConfig | null;
  ipfix: IpfixConfig | null;
  readonly hasInBand: boolean;
  forwardBpdu: boolean;
  support: DpSupport;
}

/** The sFlow agent of a bridge as far as translation asks. */
export interface SflowConfig {
  /** Out of 2^32 - 1. */
  readonly probability: number;
  /** Interface index of a datapath port, or null. */
  ifindexOf(odpPort: number): number | null;
}

/** IPFIX exporters of a bridge as far as translation asks (ovs: ofproto-dpif-ipfix.h). */
export interface IpfixConfig {
  /** Of the bridge exporter; 0 if there is none. Out of 2^32 - 1. */
  readonly bridgeProbability: number;
  readonly inputSampling: boolean;
  readonly outputSampling: boolean;
  readonly tunnelSampling: boolean;
  flowTunnelSampling(collectorSetId: number): boolean;
  isTunnelPort(odpPort: number): boolean;
}

/** Everything that translation can reach; one per switch. */
export interface XlateConfig {
  readonly bridgesById: Map<number, XBridge>;
  readonly portsById: Map<number, XPort>;
  /** `dpType` -> datapath port -> OpenFlow port that it stands for (tunnels excepted). */
  readonly odpPorts: Map<string, Map<number, XPort>>;
  readonly tunnels: TunnelPorts;
  readonly native: NativeTunnels;
  /** Lends keys to translations. */
  readonly keys: KeyPool;
  /** Told of packets that came by a tunnel, with its port if there is one; in_port is the datapath's. */
  onTunnelPacket: ((port: TunnelPort | null, key: FlowKey) => void) | null;
}

export function newXlateConfig(): XlateConfig {
  return {
    bridgesById: new Map(),
    portsById: new Map(),
    odpPorts: new Map(),
    tunnels: new TunnelPorts(),
    native: new NativeTunnels(),
    keys: new KeyPool(),
    onTunnelPacket: null,
  };
}

/** Stands for packets that a controller sends without a port (ovs: ofpp_none_bundle). */
export const OFPP_NONE_BUNDLE: XBundle = Object.freeze({
  name: "OFPP_NONE",
  xbridge: null,
  xports: [],
  bond: null,
  lacp: false,
  vlanMode: "trunk",
  qinqEthtype: 0,
  vlan: 0,
  trunks: null,
  cvlans: null,
  priorityTags: "never",
  floodable: false,
  protected: false,
});

export function getOfpPort(xbridge: XBridge, ofpPort: number): XPort | null {
  return xbridge.xports.get(ofpPort) ?? null;
}

export function ofpPortToOdpPort(xbridge: XBridge, ofpPort: number): number {
  return xbridge.xports.get(ofpPort)?.odpPort ?? ODPP_NONE;
}

/** Members of a bond, which Open vSwitch lists anew in the order of its hash map of ports. */
function membersInOrder(xbridge: XBridge, b: XBundle): XPort[] {
  const ports = new OvsMap<number, XPort>((ofpPort) => hashInt(ofpPort, 0));
  for (const p of xbridge.xports.values()) {
    ports.set(p.ofpPort, p);
  }
  return [...ports.values()].filter((p) => b.xports.includes(p));
}

/** The ports in the order in which OpenFlow's FLOOD and ALL visit them. */
export function floodOrder(xbridge: XBridge): readonly XPort[] {
  // OVS walks its hash map of ports, into which it copies them bundle by bundle.
  const order = new OvsMap<number, XPort>((ofpPort) => hashInt(ofpPort, 0));
  for (const b of xbridge.xbundles) {
    for (const p of b.xports.length > 1 ? membersInOrder(xbridge, b) : b.xports) {
      order.set(p.ofpPort, p);
    }
  }
  for (const p of xbridge.xports.values()) {
    order.set(p.ofpPort, p);
  }
  return [...order.values()];
}

export function stpLearn(p: XPort): boolean {
  return p.stp?.learn ?? true;
}
export function stpForward(p: XPort): boolean {
  return p.stp?.forward ?? true;
}
export function rstpLearn(p: XPort): boolean {
  return p.rstp?.learn ?? true;
}
export function rstpForward(p: XPort): boolean {
  return p.rstp?.forward ?? true;
}
