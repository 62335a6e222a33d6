// What the log says about single packets.
//
// ovs: ofproto/ofproto-dpif-upcall.c upcall_xlate, ofproto/tunnel.c tnl_port_receive.

import { type FlowKey, K } from "../flow/flow-key.ts";
import { formatFlow } from "../openflow/flow-format.ts";
import { TraceFormatter } from "../openflow/trace-text.ts";
import { ofprotoTrace } from "../openflow/trace-run.ts";
import {
  formatTunnelPort,
  TUNNEL_DEBUG_LIMIT,
  TUNNEL_LIMIT,
  type TunnelPort,
} from "../openflow/tunnel-ports.ts";
import type { XBridge } from "../openflow/xbridge.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { VSwitch } from "./vswitch.ts";

/** Of upcalls in general. */
export const UPCALL_LIMIT = { name: "ofproto_dpif_upcall", rate: 1, burst: 5 };
const TOO_DEEP_LIMIT = { name: "upcall_xlate", rate: 1, burst: 1 };

/** A packet ran into a limit of translation: the log gets the whole trace of it. */
export function logTooDeep(vs: VSwitch, xbridge: XBridge, packet: PacketBuf, flow: FlowKey): void {
  if (vs.log.drops("ofproto_dpif_upcall", "warn", TOO_DEEP_LIMIT)) {
    return;
  }
  const result = ofprotoTrace({
    xcfg: vs.xcfg,
    recircs: vs.recircs,
    xbridge,
    flow,
    packet,
    extracted: true,
    actions: null,
    nextCtStates: [],
    nowMs: vs.clock.nowMs(),
  });
  vs.log.warn("ofproto_dpif_upcall", new TraceFormatter(null).format(result));
}

/** A packet came by a tunnel, with or without a port for it; `key` is as the datapath has it. */
export function logTunnelPacket(vs: VSwitch, port: TunnelPort | null, key: FlowKey): void {
  const { log } = vs;
  const dropped =
    port === null
      ? log.drops("tunnel", "warn", TUNNEL_LIMIT)
      : log.drops("tunnel", "dbg", TUNNEL_DEBUG_LIMIT);
  if (dropped) {
    return;
  }
  const flow = key.slice();
  flow[K.in_port.word] = (flow[K.in_port.word] as number) & 0xffff;
  const text = formatFlow(flow);
  if (port === null) {
    log.warn("tunnel", `receive tunnel port not found (${text})`);
  } else {
    log.dbg("tunnel", `tunnel port ${formatTunnelPort(port)}\n receive from flow ${text}`);
  }
}
