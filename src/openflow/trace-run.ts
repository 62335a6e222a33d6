// Runs ofproto/trace: translates a packet with a recorder, then every copy of it that recirculates
// through conntrack, assuming a connection state for each.
//
// ovs: ofproto/ofproto-dpif-trace.c ofproto_trace, ofproto_trace_recirc_node.

import type { OdpAction } from "../datapath/odp-action.ts";
import { type FlowKey, K, set } from "../flow/flow-key.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { type Action, type ActionOf, NX_NAT_F } from "./actions/types.ts";
import type { RecircPool } from "./recirc.ts";
import { type TraceNode, TreeRecorder } from "./trace.ts";
import type { XBridge, XlateConfig } from "./xbridge.ts";
import { xlateActions } from "./xlate.ts";
import type { RecircNode, XlateIn, XlateOut } from "./xlate-ctx.ts";

/** Recirculations that one trace follows; Open vSwitch has no limit and would never end. */
export const TRACE_RECIRCS_MAX = 4096;

const CS_TRACKED = 0x20;
const CS_NEW = 0x01;

export interface TraceRequest {
  readonly xcfg: XlateConfig;
  readonly recircs: RecircPool;
  readonly xbridge: XBridge;
  /** in_port is an OpenFlow port. */
  readonly flow: FlowKey;
  /** With a packet, the trace has the side effects that the packet would have. */
  readonly packet: PacketBuf | null;
  /** The flow was extracted from the packet, so that it does not know of options it lacks. */
  readonly extracted?: boolean;
  /** Traces these actions as a packet-out, instead of the flow tables. */
  readonly actions: readonly Action[] | null;
  /** Connection states to assume, in order; when they run out, "trk|new". */
  readonly nextCtStates: readonly number[];
  readonly nowMs: number;
  /** What is known of connections; asked when no state is given. */
  readonly connections?: (node: RecircNode) => KnownConnection | null;
  /** Executes actions on a packet but for output and recirculation; answers an error or null. */
  readonly execute?: (
    packet: PacketBuf,
    flow: FlowKey,
    actions: readonly OdpAction[],
    slow: number,
  ) => string | null;
}

/** What is known of the connection of a packet, for instance from a dump. */
export interface KnownConnection {
  readonly ctState: number;
  readonly family: 4 | 6;
  /** The connection as a dump shows it. */
  readonly text: string;
  /** Writes mark, label and original tuple into a flow. */
  readonly fill: (flow: FlowKey) => void;
  /** Gives a flow the addresses and ports that the connection is translated to. */
  readonly translate: (flow: FlowKey) => void;
}

/** How a step came about, but for the first. */
export interface TraceRecirc {
  readonly recircId: number;
  readonly ctState: number;
  /** The state was assumed, not given. */
  readonly defaulted: boolean;
  /** The connection that the state comes from, or null. */
  readonly connection: string | null;
  readonly nat: {
    readonly family: 0 | 4 | 6;
    readonly before: FlowKey;
    readonly after: FlowKey;
  } | null;
}

/** One pass through the tables. */
export interface TraceStep {
  readonly recirc: TraceRecirc | null;
  readonly xbridge: XBridge;
  /** The packet as it entered. */
  readonly flow: FlowKey;
  readonly nodes: readonly TraceNode[];
  readonly out: XlateOut;
  /** Why executing the actions failed, or null. */
  readonly executeError: string | null;
}

export interface TraceResult {
  readonly steps: readonly TraceStep[];
  /** Not all recirculations were followed. */
  readonly cut: boolean;
}

/** Actions without output and recirculation, inside clone() too (ovs: prune_output_actions). */
function pruneOutputs(actions: readonly OdpAction[]): OdpAction[] {
  const out: OdpAction[] = [];
  for (const a of actions) {
    if (a.kind === "clone") {
      out.push({ kind: "clone", actions: pruneOutputs(a.actions) });
    } else if (a.kind !== "output" && a.kind !== "recirc") {
      out.push(a);
    }
  }
  return out;
}

function runStep(
  req: TraceRequest,
  flow: FlowKey,
  packet: PacketBuf | null,
  recirc: TraceRecirc | null,
  queue: RecircNode[],
): TraceStep {
  const recorder = new TreeRecorder();
  const xin: XlateIn = {
    xcfg: req.xcfg,
    xbridge: req.xbridge,
    flow,
    packet,
    sideEffects: packet !== null,
    actions: req.actions,
    rule: null,
    tcpFlags: (flow[K.tcp_flags.word] as number) >>> K.tcp_flags.shift,
    recircs: req.recircs,
    frozen: null,
    stats: null,
    xcache: null,
    recorder,
    recircQueue: queue,
    depth: 0,
    resubmits: 0,
    inPacketOut: false,
    nowMs: req.nowMs,
    tunTableKnown: recirc !== null || req.extracted !== true,
    onSpecial: null,
  };
  const out = xlateActions(xin);
  let executeError: string | null = null;
  if (out.error === "ok" && packet !== null && req.execute !== undefined) {
    executeError = req.execute(packet, flow, pruneOutputs(out.odp), out.slow);
  }
  for (const id of out.recircIds) {
    req.recircs.unref(id);
  }
  return { recirc, xbridge: req.xbridge, flow, nodes: recorder.root, out, executeError };
}

/** Changes a flow to the first address and port that a NAT may choose. */
function applyNat(flow: FlowKey, nat: ActionOf<"nat">): void {
  const { family, addrMin, protoMin } = nat.range;
  for (const [flag, v4, v6, port] of [
    [NX_NAT_F.SRC, K.nw_src, K.ipv6_src, K.tp_src],
    [NX_NAT_F.DST, K.nw_dst, K.ipv6_dst, K.tp_dst],
  ] as const) {
    if ((nat.flags & flag) === 0 || family === 0) {
      continue;
    }
    if (family === 4) {
      set(flow, v4, addrMin[0] as number);
    } else {
      flow.set(addrMin, v6.word);
    }
    if (protoMin !== 0) {
      set(flow, port, protoMin);
    }
  }
}

function resume(
  node: RecircNode,
  given: number | undefined,
  known: KnownConnection | null,
): { flow: FlowKey; recirc: TraceRecirc } {
  const flow = node.flow.slice();
  set(flow, K.recirc_id, node.recircId);
  set(flow, K.ct_zone, node.zone);
  const ctState = given ?? known?.ctState ?? CS_TRACKED | CS_NEW;
  set(flow, K.ct_state, ctState);
  known?.fill(flow);
  let nat: TraceRecirc["nat"] = null;
  if (node.nat !== null) {
    const before = flow.slice();
    if (known === null) {
      applyNat(flow, node.nat);
    } else {
      known.translate(flow);
    }
    nat = { family: known?.family ?? node.nat.range.family, before, after: flow };
  }
  return {
    flow,
    recirc: {
      recircId: node.recircId,
      ctState,
      defaulted: given === undefined && known === null,
      connection: known?.text ?? null,
      nat,
    },
  };
}

/** Traces a packet and everything that recirculates from it. */
export function ofprotoTrace(req: TraceRequest): TraceResult {
  const queue: RecircNode[] = [];
  const steps = [runStep(req, req.flow, req.packet, null, queue)];
  const states = [...req.nextCtStates];
  let next = 0;
  for (; next < queue.length && next < TRACE_RECIRCS_MAX; next++) {
    const node = queue[next] as RecircNode;
    const given = states.shift();
    const known = given === undefined ? (req.connections?.(node) ?? null) : null;
    const { flow, recirc } = resume(node, given, known);
    steps.push(runStep(req, flow, node.packet, recirc, queue));
    req.recircs.unref(node.recircId);
  }
  const cut = next < queue.length;
  for (; next < queue.length; next++) {
    req.recircs.unref((queue[next] as RecircNode).recircId);
  }
  return { steps, cut };
}
