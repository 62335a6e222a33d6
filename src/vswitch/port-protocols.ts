// Protocols that the switch speaks on its ports, as the main loop and the slow path see them.
//
// Each protocol is a state machine without I/O in `openflow`; here is what connects it to a bridge:
// when it runs, when it wants to run next, and who gets its packets. The order of the list is the
// one in which Open vSwitch runs them. Each bridge runs its protocols once a turn of the main loop,
// and the loop turns until nothing changes.
//
// References: ovs: ofproto/ofproto-dpif.c run; ofproto/ofproto-dpif-monitor.c;
// ofproto/ofproto-dpif-xlate.c process_special.

import type { FlowKey } from "../flow/flow-key.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { LLDP_PROTOCOL } from "./auto-attach.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { LACP_PROTOCOL } from "./protocol-lacp.ts";
import { MONITOR_PROTOCOL } from "./protocol-monitor.ts";
import { RSTP_PROTOCOL, STP_PROTOCOL } from "./protocol-trees.ts";

export interface PortProtocol {
  /** The reason (a bit of SLOW) for which its packets leave the datapath; 0 if it gets none. */
  readonly slow: number;
  /** One turn; true if something changed that forwarding depends on. */
  run(br: Bridge, nowMs: number): boolean;
  /** When it wants to run next; Infinity if only an event can change anything. */
  wakeMs(br: Bridge): number;
  /** A packet of the protocol came in by a port. */
  receive(br: Bridge, iface: Iface, packet: PacketBuf, key: FlowKey, nowMs: number): void;
  /** A port may carry packets from now on, or no more. */
  enableChanged?(br: Bridge, iface: Iface, enable: boolean): void;
}

export const PORT_PROTOCOLS: readonly PortProtocol[] = [
  MONITOR_PROTOCOL,
  LLDP_PROTOCOL,
  LACP_PROTOCOL,
  STP_PROTOCOL,
  RSTP_PROTOCOL,
];

/** When any protocol of a bridge wants to run next. */
export function nextWakeMs(br: Bridge): number {
  return PORT_PROTOCOLS.reduce((ms, p) => Math.min(ms, p.wakeMs(br)), Number.POSITIVE_INFINITY);
}

/** Hands a packet to the protocols that it left the datapath for. */
export function receiveSpecial(
  br: Bridge,
  iface: Iface,
  slow: number,
  packet: PacketBuf,
  key: FlowKey,
): void {
  const nowMs = br.vs.clock.nowMs();
  for (const p of PORT_PROTOCOLS) {
    if ((p.slow & slow) !== 0) {
      p.receive(br, iface, packet, key, nowMs);
    }
  }
}

/** Tells the protocols that a port may carry packets, or no more. */
export function portEnableChanged(br: Bridge, iface: Iface, enable: boolean): void {
  for (const p of PORT_PROTOCOLS) {
    p.enableChanged?.(br, iface, enable);
  }
}
