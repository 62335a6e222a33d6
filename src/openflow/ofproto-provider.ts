// OfprotoProvider: what the OpenFlow layer of a bridge asks of the switch around it.
//
// The OpenFlow layer keeps tables, groups, meters and ports as controllers see them; packets,
// devices, the datapath and connection tracking belong to the switch, which implements this
// interface (ovs: ofproto/ofproto-provider.h struct ofproto_class, the part that is not about
// translation).

import type { OfpErr } from "./messages/errors.ts";
import type { PacketOut } from "./messages/types-flow.ts";
import type {
  MeterBandStats,
  MeterConfig,
  MeterFeatures,
  QueueStats,
} from "./messages/types-group.ts";
import type { CtMatch, IpfixStats, PortCounters, SwitchConfig } from "./messages/types-switch.ts";
import type { OfPort } from "./ofport.ts";
import type { Line } from "./rconn.ts";
import type { Rule } from "./rule.ts";

/** Counters of a datapath meter. */
export interface ProviderMeterStats {
  readonly packetInCount: bigint;
  readonly byteInCount: bigint;
  readonly bands: readonly MeterBandStats[];
}

export interface OfprotoProvider {
  /** Tables, groups or ports changed: what was translated before may no longer hold. */
  needRevalidate(): void;
  /** Brings the counters that caches still hold into rules, groups and ports. */
  syncStats(): void;
  /** Null if the datapath can do what the rule wants. */
  ruleCheck(rule: Rule): OfpErr | null;
  portStats(port: OfPort): { stats: PortCounters; custom: { name: string; value: bigint }[] };
  /** Switches a netdev on or off; false if it cannot be. */
  setPortUp(port: OfPort, up: boolean): boolean;
  /** The config bits of a port changed. */
  portReconfigured(port: OfPort, oldConfig: number): void;
  /** Queues of a port; "all" for null. An error name if there is no such queue. */
  queueStats(port: OfPort, queue: number | null): QueueStats[] | OfpErr;
  queues(port: OfPort, queue: number | null): number[] | OfpErr;
  /**
   * Runs the actions of a packet-out in a version of the tables; `check` only translates, so that
   * a bundle can still be given up.
   */
  packetOut(po: PacketOut, version: number): OfpErr | null;
  setFragHandling(frag: SwitchConfig["frag"]): boolean;
  /** All connections, those of a zone, or those that match. */
  ctFlush(zone: number | null, match: CtMatch | null): void;
  meterFeatures(): MeterFeatures;
  /** Makes (`providerMeterId` -1) or changes a datapath meter; answers its number. */
  meterSet(providerMeterId: number, config: MeterConfig): number | OfpErr;
  meterGet(providerMeterId: number, nBands: number): ProviderMeterStats | null;
  meterDel(providerMeterId: number): void;
  /** Opens a connection to a controller; the text of an error if that is impossible at once. */
  dial(target: string, versions: number): Line | string;
  /** Lets others connect at a target such as "ptcp:6653"; false if nobody can. */
  listen(target: string): boolean;
  /** Numbers the connections that come by Unix sockets. */
  nextSocket(): number;
  /** Address of the bridge's own port as a number, 0 if it has no such port. */
  localMac(): number;
  /** Of the bridge's IPFIX exporter, or of those of flows; null if there are none. */
  ipfixStats(ofBridge: boolean): IpfixStats[] | null;
  /** Continues a packet that a controller held (NXT_RESUME). */
  resume(message: Uint8Array): OfpErr | null;
}
