// What the configuration side of the switch asks of the side that moves packets.
//
// The bridges of bridge.ts know ports, tables and meters; the datapath with its caches, connection
// tracking and meters is behind this interface, so that each can be built and tested alone.

import type { OdpAction } from "../datapath/odp-action.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import type { OfpErr } from "../openflow/messages/errors.ts";
import type { PacketOut } from "../openflow/messages/types-flow.ts";
import type { CtMatch } from "../openflow/messages/types-switch.ts";
import type { MeterConfig, MeterFeatures } from "../openflow/messages/types-group.ts";
import type { ProviderMeterStats } from "../openflow/ofproto-provider.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Backer, DpType } from "./backer.ts";
import type { KnownConnection } from "../openflow/trace-run.ts";
import type { RecircNode } from "../openflow/xlate-ctx.ts";
import type { Bridge } from "./bridge.ts";

export interface PacketPath {
  /** Tables, ports or groups changed: flows of the datapath have to be checked again. */
  needRevalidate(): void;
  /** Bridges of a type are coming: datapaths of it that were made by hand go. */
  dropHandmade(type: DpType): void;
  /** Threads that revalidate start anew, without any flows. */
  threadsRestarted(): void;
  /** The datapath of a backer is gone. */
  forget(backer: Backer): void;
  /** Brings the counters of datapath flows into rules, groups, ports and mirrors. */
  syncStats(): void;
  /** Runs the actions of a packet-out in a version of the tables. */
  packetOut(
    bridge: Bridge,
    po: PacketOut,
    version: number,
    /** Counts the bytes of the packet as the actions left it: tunnels make it longer. */
    sent?: { bytes: number },
  ): OfpErr | null;
  /**
   * Executes actions on a copy of a packet that is traced; what they would output is left out.
   * `flow` is what is translated now, `entered` what the packet was at first: its metadata stays.
   * Answers why it failed, or null.
   */
  traceExecute(
    bridge: Bridge,
    packet: PacketBuf,
    entered: FlowKey,
    flow: FlowKey,
    actions: readonly OdpAction[],
  ): string | null;
  /** What a dump of the host says about the connection of a traced packet, or null. */
  knownConnection(bridge: Bridge, node: RecircNode): KnownConnection | null;
  /** Whether there is such a dump. */
  knowsConnections(bridge: Bridge): boolean;
  /** Continues a packet that a controller held. */
  resume(bridge: Bridge, message: Uint8Array): OfpErr | null;
  ctFlush(bridge: Bridge, zone: number | null, match: CtMatch | null): void;
  /** Dumps of a datapath so far: after each, what its flows have counted is accounted for. */
  dumps(backer: Backer): number;
  /** The datapath ports of the buckets that `lb_output` spreads over; null ends the bond. */
  setBond(backer: Backer, bondId: number, members: readonly number[] | null): void;
  /** Bytes sent by a bucket of a bond, or null if the datapath has no such bond. */
  bondBytes(backer: Backer, bondId: number, bucket: number): number | null;
  meterFeatures(backer: Backer): MeterFeatures;
  meterSet(backer: Backer, meterId: number, config: MeterConfig): number | OfpErr;
  meterGet(backer: Backer, meterId: number, nBands: number): ProviderMeterStats | null;
  meterDel(backer: Backer, meterId: number): void;
  /** Packets or changes of the configuration wait for `run`. */
  readonly isPending: boolean;
  /** One turn of the main loop. */
  run(): void;
}
