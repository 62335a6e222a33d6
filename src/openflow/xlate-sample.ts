// Sampling packets for sFlow and IPFIX: `sample(...,userspace(...))` around or before the packet's
// own actions.
//
// ovs: ofproto/ofproto-dpif-xlate.c compose_sample_action, compose_sflow_action,
// compose_ipfix_action, fix_sflow_action, xlate_sample_action.

import type { OdpAction, UserCookie } from "../datapath/odp-action.ts";
import { get, K } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { ActionOf } from "./actions/types.ts";
import { ODPP_NONE, ofpPortToOdpPort } from "./xbridge.ts";
import { METER_UNSET, PROBABILITY_ALWAYS } from "./xlate-controller.ts";
import { ctxPort, report, type XlateCtx } from "./xlate-ctx.ts";
import { USERSPACE_PID } from "./xlate-freeze.ts";
import { tnlPortSend } from "./tunnel-ports.ts";
import { nativeTunnelIsOn } from "./xlate-tunnel.ts";

/** `output` of an sFlow record: dropped for an unknown reason (sFlow version 5). */
const SFLOW_DROPPED = 0x40000000 | 256;
/** `output` of an sFlow record: this many ports. */
const SFLOW_MULTIPLE = 0x80000000;

interface SampleOptions {
  /** Packets out of 2^32 - 1; 0 samples nothing. */
  readonly probability: number;
  readonly cookie: UserCookie;
  readonly tunnelOutPort: number | null;
  readonly includeActions: boolean;
}

function samplePackets(ctx: XlateCtx, opts: SampleOptions): void {
  if (opts.probability === 0) {
    return;
  }
  const meterId = ctx.xin.xbridge.slowpathMeterId;
  const user: OdpAction = {
    kind: "userspace",
    pid: USERSPACE_PID,
    cookie: opts.cookie,
    ofpInPort: get(ctx.flow, K.in_port),
    bridge: ctx.xbridge.name,
    includeActions: opts.includeActions,
    tunnelOutPort: opts.tunnelOutPort,
  };
  if (opts.probability === PROBABILITY_ALWAYS && meterId === METER_UNSET) {
    ctx.odp.push(user);
    return;
  }
  const actions: OdpAction[] =
    meterId === METER_UNSET ? [user] : [{ kind: "meter", meterId }, user];
  ctx.odp.push({ kind: "sample", probability: opts.probability, actions });
}

/** Samples a received packet for sFlow; `fixSflow` completes it. Answers its index, or -1. */
export function composeSflow(ctx: XlateCtx): number {
  const { sflow } = ctx.xbridge;
  if (sflow === null || get(ctx.flow, K.in_port) === OFPP.NONE) {
    return -1;
  }
  const index = ctx.odp.length;
  samplePackets(ctx, {
    probability: sflow.probability,
    cookie: { type: "sflow", vlanTci: 0, output: 0 },
    tunnelOutPort: null,
    includeActions: true,
  });
  return ctx.odp.length > index ? index : -1;
}

/** Fills in what is only known when the packet has been translated. */
export function fixSflow(ctx: XlateCtx, index: number): void {
  let output = SFLOW_DROPPED;
  if (ctx.sflowOutputs > 0) {
    output = (SFLOW_MULTIPLE | ctx.sflowOutputs) >>> 0;
  }
  if (ctx.sflowOutputs === 1) {
    output = ctx.xbridge.sflow?.ifindexOf(ctx.sflowOdpPort) ?? output;
  }
  const cookie: UserCookie = { type: "sflow", vlanTci: get(ctx.baseFlow, K.vlan_tci), output };
  const fix = (a: OdpAction): OdpAction =>
    a.kind === "userspace" && a.cookie?.type === "sflow" ? { ...a, cookie } : a;
  const old = ctx.odp[index];
  if (old !== undefined) {
    ctx.odp[index] = old.kind === "sample" ? { ...old, actions: old.actions.map(fix) } : fix(old);
  }
}

/** Samples for the bridge's IPFIX exporter, on input (ODPP_NONE) or output. */
export function composeIpfix(ctx: XlateCtx, outputOdpPort: number): void {
  const { ipfix } = ctx.xbridge;
  if (ipfix === null) {
    return;
  }
  const input = outputOdpPort === ODPP_NONE;
  if (input && (get(ctx.flow, K.in_port) === OFPP.NONE || !ipfix.inputSampling)) {
    return;
  }
  if (!input && !ipfix.outputSampling) {
    return;
  }
  const tunnel = !input && ipfix.tunnelSampling && ipfix.isTunnelPort(outputOdpPort);
  samplePackets(ctx, {
    probability: ipfix.bridgeProbability,
    cookie: { type: "ipfix", outputPort: outputOdpPort },
    tunnelOutPort: tunnel ? outputOdpPort : null,
    includeActions: false,
  });
}

/** The sample action of OpenFlow. */
export function sampleAction(ctx: XlateCtx, a: ActionOf<"sample">): void {
  const { ipfix } = ctx.xbridge;
  if (ipfix === null) {
    return;
  }
  let outputPort = ODPP_NONE;
  let tunnelOutPort: number | null = null;
  if (a.samplingPort !== OFPP.NONE && a.samplingPort !== get(ctx.flow, K.in_port)) {
    outputPort = ofpPortToOdpPort(ctx.xbridge, a.samplingPort);
    if (outputPort === ODPP_NONE) {
      report(ctx, "error", `can't use unknown port ${a.samplingPort} in flow sample action`);
      return;
    }
    if (ipfix.flowTunnelSampling(a.collectorSetId) && ipfix.isTunnelPort(outputPort)) {
      tunnelOutPort = outputPort;
    }
  }
  ctx.ops.commit(ctx);
  if (tunnelOutPort !== null) {
    setSampledTunnel(ctx, a.samplingPort);
  }
  samplePackets(ctx, {
    // The same share of 2^32 - 1.
    probability: ((a.probability << 16) | a.probability) >>> 0,
    cookie: {
      type: "flow_sample",
      probability: a.probability,
      collectorSetId: a.collectorSetId,
      obsDomainId: a.obsDomainId,
      obsPointId: a.obsPointId,
      outputPort,
      direction: a.direction,
    },
    tunnelOutPort,
    includeActions: false,
  });
}

/** Shows the sampler the tunnel that the packet will leave by. */
function setSampledTunnel(ctx: XlateCtx, samplingPort: number): void {
  const xport = ctxPort(ctx, samplingPort);
  if (xport === null || xport.tunnel === null) {
    report(ctx, "error", `sampling_port:${samplingPort} should be a tunnel port.`);
    return;
  }
  tnlPortSend(xport, ctx.flow, ctx.wc);
  if (!nativeTunnelIsOn(ctx)) {
    ctx.ops.commitTunnel(ctx, xport.tunnel.type);
  }
}
