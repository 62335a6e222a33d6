// Output: from an OpenFlow port number to datapath actions.
//
// A port may be ordinary (commit the packet's changes, then `output`), a patch port (translation
// goes on in the peer's bridge), a tunnel (kernel style `set(tunnel(...))`, or pushed natively), or
// one of the reserved numbers.
//
// ovs: ofproto/ofproto-dpif-xlate.c compose_output_action__, check_output_prerequisites,
// xlate_output_action, xlate_output_trunc_action, xlate_enqueue_action, flood_packets.
//
// Invariant: what output changes in the flow for one port only (VLANs, DSCP, tunnel) is put back.

import { SLOW } from "../datapath/odp-action.ts";
import { isStp, PT, PT_NS_ETHERTYPE } from "../flow/flow-is.ts";
import { fill, get, getU, K, orBits, set } from "../flow/flow-key.ts";
import { formatPort, OFPP } from "../flow/ofp-port.ts";
import { maskSubfield, readSubfield } from "../flow/subfield.ts";
import type { ActionOf } from "./actions/types.ts";
import { xbundleMirrorDst } from "./mirror.ts";
import { tnlPortSendLogged } from "./tunnel-ports.ts";
import {
  floodOrder,
  ODPP_NONE,
  PORT_CONFIG,
  rstpForward,
  stpForward,
  type XPort,
} from "./xbridge.ts";
import { creditPorts } from "./xlate-cache.ts";
import { OFPR } from "./packet-in-reason.ts";
import { controllerAction, METER_UNSET } from "./xlate-controller.ts";
import {
  type BondRecirc,
  ctxPort,
  report,
  reportInfo,
  tunnelDst,
  type XlateCtx,
} from "./xlate-ctx.ts";
import { patchPortOutput } from "./xlate-patch.ts";
import { type ActionPlace, plain, type XlateTable } from "./xlate-row.ts";
import { nativeTunnelIsOn, nativeTunnelOutput, terminateNativeTunnel } from "./xlate-tunnel.ts";

const IP_DSCP_MASK = 0xfc;
const UINT16_MAX = 0xffff;

/** Both ports are members of bundles that are protected from each other. */
function isProtected(ctx: XlateCtx, out: XPort): boolean {
  const inPort = ctxPort(ctx, get(ctx.flow, K.in_port));
  return inPort?.xbundle?.protected === true && out.xbundle?.protected === true;
}

function linkHealth(ctx: XlateCtx, xport: XPort): boolean {
  return (
    xport.cfm?.shouldProcess(ctx.flow, ctx.wc) === true ||
    xport.bfd?.shouldProcess(ctx.flow, ctx.wc) === true
  );
}

/** False, and a text why, if spanning tree forbids output. */
function spanningTreeAllows(ctx: XlateCtx, xport: XPort): boolean {
  const { stp, rstp } = ctx.xbridge;
  if (isStp(ctx.baseFlow)) {
    // STP that is off for a port lets BPDUs pass; RSTP that is off manages none.
    if (xport.stp?.forwardBpdu === false && xport.rstp?.forwardBpdu !== true) {
      if (stp) {
        report(ctx, "warn", "STP not in listening state, skipping bpdu output");
      } else if (rstp) {
        report(ctx, "warn", "RSTP not managing BPDU in this state, skipping bpdu output");
      }
      return false;
    }
    return true;
  }
  if (linkHealth(ctx, xport) || (stpForward(xport) && rstpForward(xport))) {
    return true;
  }
  if (stp) {
    report(ctx, "warn", "STP not in forwarding state, skipping output");
  } else if (rstp) {
    report(ctx, "warn", "RSTP not in forwarding state, skipping output");
  }
  return false;
}

function mayOutput(ctx: XlateCtx, xport: XPort | null, checkStp: boolean): xport is XPort {
  if (xport === null) {
    report(ctx, "warn", "Nonexistent output port");
    return false;
  }
  if ((xport.config & PORT_CONFIG.NO_FWD) !== 0) {
    report(ctx, "detail", "OFPPC_NO_FWD set, skipping output");
    return false;
  }
  if (ctx.mirrorSnaplen !== 0 && xport.odpPort === ODPP_NONE) {
    report(ctx, "warn", "Mirror truncate to ODPP_NONE, skipping output");
    return false;
  }
  if (isProtected(ctx, xport)) {
    report(ctx, "warn", "Flow is between protected ports, skipping output.");
    return false;
  }
  if (checkStp && !spanningTreeAllows(ctx, xport)) {
    return false;
  }
  if (xport.ptMode === "legacy_l2" && getU(ctx.flow, K.packet_type) !== PT.ETH) {
    report(
      ctx,
      "warn",
      "Trying to send non-Ethernet packet through legacy L2 port. Dropping packet.",
    );
    return false;
  }
  return true;
}

/** The words of a key that output may change for one port: tunnel, packet type, L2, TOS. */
const TUNNEL_WORDS = K.tun_md_opts.word + K.tun_md_opts.words;
const L2_START = K.dl_dst.word;
const L2_END = K.vlan_tci1.word + 1;

/** Output to port `ofpPort` of the current bridge. */
export function composeOutput(
  ctx: XlateCtx,
  ofpPort: number,
  bond: BondRecirc | null,
  isLast: boolean,
  truncate: boolean,
  checkStp = true,
): void {
  const xport = ctxPort(ctx, ofpPort);
  if (!mayOutput(ctx, xport, checkStp)) {
    return;
  }
  const { flow } = ctx;
  const oldPacketType = getU(flow, K.packet_type);
  const oldL2 = flow.slice(L2_START, L2_END);
  const oldTos = get(flow, K.nw_tos);
  if (oldPacketType === PT.ETH && xport.ptMode === "legacy_l3") {
    set(flow, K.packet_type, (PT_NS_ETHERTYPE << 16) | get(flow, K.dl_type));
    // An Ethernet header that has not been pushed yet need not be.
    ctx.pendingEncap = false;
  }
  if (xport.peer !== null) {
    if (truncate) {
      report(ctx, "error", "Cannot truncate output to patch port");
    }
    patchPortOutput(ctx, xport, xport.peer, isLast);
    return;
  }
  setQueueDscp(ctx, xport);
  outputToDatapath(ctx, xport, bond, isLast, truncate);
  flow.set(oldL2, L2_START);
  set(flow, K.nw_tos, oldTos);
  set(flow, K.packet_type, oldPacketType);
}

/** Marks traffic of a queue with the DSCP that is configured for it. */
function setQueueDscp(ctx: XlateCtx, xport: XPort): void {
  if (xport.skbPriorities.size === 0) {
    return;
  }
  fill(ctx.wc, K.skb_priority);
  const dscp = xport.skbPriorities.get(getU(ctx.flow, K.skb_priority));
  if (dscp !== undefined) {
    orBits(ctx.wc, K.nw_tos, IP_DSCP_MASK);
    set(ctx.flow, K.nw_tos, (get(ctx.flow, K.nw_tos) & ~IP_DSCP_MASK) | dscp);
  }
}

function outputToDatapath(
  ctx: XlateCtx,
  xport: XPort,
  bond: BondRecirc | null,
  isLast: boolean,
  truncate: boolean,
): void {
  const { flow } = ctx;
  let odpPort = xport.odpPort;
  let oldTunnel: Uint32Array | null = null;
  let native = false;
  if (xport.tunnel === null && xport.isTunnel) {
    report(ctx, "warn", "Tunneling decided against output");
    return;
  }
  if (xport.tunnel !== null) {
    oldTunnel = flow.slice(0, TUNNEL_WORDS);
    odpPort = tunnelOutput(ctx, xport);
    if (odpPort === ODPP_NONE) {
      return;
    }
    native = nativeTunnelIsOn(ctx);
    report(ctx, "detail", `output to ${native ? "native" : "kernel"} tunnel`);
    if (!native) {
      ctx.ops.commitTunnel(ctx, xport.tunnel.type);
      flow.set(oldTunnel, 0);
    }
  }
  if (odpPort !== ODPP_NONE) {
    ctx.ops.commit(ctx);
    emitOutput(ctx, xport, odpPort, bond, native, isLast, truncate);
    if (native && oldTunnel !== null) {
      flow.set(oldTunnel, 0);
    }
    ctx.sflowOdpPort = odpPort;
    ctx.sflowOutputs++;
  }
  if (ctx.xbridge.mbridge.hasMirrors() && xport.xbundle !== null) {
    ctx.ops.mirrorPacket(ctx, xport.xbundle, xbundleMirrorDst(ctx.xbridge, xport.xbundle));
  }
}

/** Sets the tunnel metadata for a tunnel port; its datapath port, or ODPP_NONE and a text why. */
function tunnelOutput(ctx: XlateCtx, xport: XPort): number {
  const odpPort = tnlPortSendLogged(ctx.xbridge.ofproto.log, xport, ctx.flow, ctx.wc);
  if (odpPort === ODPP_NONE) {
    report(ctx, "warn", "Tunneling decided against output");
    return ODPP_NONE;
  }
  const dst = tunnelDst(ctx.flow);
  const orig = ctx.origTunnelDst;
  if (dst.every((w, i) => w === orig[i])) {
    report(ctx, "warn", "Not tunneling to our own address");
    return ODPP_NONE;
  }
  if (ctx.stats !== null) {
    creditPorts(xport, null, ctx.stats);
  }
  ctx.xcache?.push({ kind: "port", tx: xport, rx: null });
  return odpPort;
}

function emitOutput(
  ctx: XlateCtx,
  xport: XPort,
  odpPort: number,
  bond: BondRecirc | null,
  native: boolean,
  isLast: boolean,
  truncate: boolean,
): void {
  if (bond !== null) {
    if (bond.lbOutput) {
      ctx.odp.push({ kind: "lb_output", bondId: bond.recircId });
    } else {
      ctx.odp.push({ kind: "hash", alg: bond.hashAlg, basis: bond.hashBasis });
      ctx.odp.push({ kind: "recirc", recircId: bond.recircId });
    }
    return;
  }
  if (native) {
    nativeTunnelOutput(ctx, xport, odpPort, truncate, isLast);
    return;
  }
  const tnlPort = terminateNativeTunnel(ctx, xport);
  if (tnlPort !== ODPP_NONE) {
    ctx.odp.push({ kind: "tnl_pop", port: tnlPort });
    return;
  }
  ctx.ops.ipfix(ctx, odpPort);
  if (ctx.mirrorSnaplen > 0 && ctx.mirrorSnaplen < UINT16_MAX) {
    ctx.odp.push({ kind: "trunc", maxLen: ctx.mirrorSnaplen });
    if (!ctx.xbridge.support.trunc) {
      ctx.slow |= SLOW.ACTION;
    }
  }
  ctx.odp.push({ kind: "output", port: odpPort });
}

function floodPackets(ctx: XlateCtx, all: boolean, isLast: boolean): void {
  const inPort = get(ctx.flow, K.in_port);
  let last: XPort | null = null;
  for (const xport of floodOrder(ctx.xbridge)) {
    if (xport.ofpPort === inPort || (!all && (xport.config & PORT_CONFIG.NO_FLOOD) !== 0)) {
      continue;
    }
    if (last !== null) {
      composeOutput(ctx, last.ofpPort, null, false, false, !all);
    }
    last = xport;
  }
  if (last !== null) {
    composeOutput(ctx, last.ofpPort, null, isLast, false, !all);
  }
}

function controllerReason(ctx: XlateCtx, groupBucket: boolean): number {
  if (ctx.xin.inPacketOut) {
    return OFPR.PACKET_OUT;
  }
  if (groupBucket) {
    return OFPR.GROUP;
  }
  return ctx.inActionSet ? OFPR.ACTION_SET : OFPR.ACTION;
}

/** Output to a port number that may be reserved (ovs: xlate_output_action). */
export function outputAction(
  ctx: XlateCtx,
  port: number,
  maxLen: number,
  mayPacketIn: boolean,
  at: ActionPlace,
  truncate: boolean,
): void {
  const inPort = get(ctx.flow, K.in_port);
  switch (port) {
    case OFPP.IN_PORT:
      composeOutput(ctx, inPort, null, at.last, truncate);
      break;
    case OFPP.TABLE:
      ctx.ops.tableAction(ctx, inPort, 0, mayPacketIn, true, false, false, false);
      break;
    case OFPP.NORMAL:
      ctx.ops.normal(ctx);
      break;
    case OFPP.FLOOD:
      floodPackets(ctx, false, at.last);
      break;
    case OFPP.ALL:
      floodPackets(ctx, true, at.last);
      break;
    case OFPP.CONTROLLER:
      controllerAction(ctx, {
        maxLen,
        reason: controllerReason(ctx, at.groupBucket),
        controllerId: 0,
        meterId: METER_UNSET,
        userdata: null,
      });
      break;
    case OFPP.NONE:
      break;
    default:
      if (port !== inPort) {
        composeOutput(ctx, port, null, at.last, truncate);
      } else {
        reportInfo(ctx, "skipping output to input port");
      }
  }
}

function outputReg(ctx: XlateCtx, a: ActionOf<"output_reg">, at: ActionPlace): void {
  const value = readSubfield(a.src, ctx.flow, ctx.xbridge.tunTable);
  const n = value.reduce((acc, w) => (acc << 32n) | BigInt(w), 0n) & 0xffffffffffffffffn;
  if (n > BigInt(UINT16_MAX)) {
    report(ctx, "warn", `output port ${n} is out of range`);
    return;
  }
  report(ctx, "detail", `output port is ${n}`);
  maskSubfield(a.src, ctx.wc, ctx.xbridge.tunTable);
  outputAction(ctx, Number(n), a.maxLen, false, at, false);
}

const TRUNC_UNSUPPORTED: readonly number[] = [
  OFPP.TABLE,
  OFPP.NORMAL,
  OFPP.FLOOD,
  OFPP.ALL,
  OFPP.CONTROLLER,
  OFPP.NONE,
];

function outputTrunc(ctx: XlateCtx, a: ActionOf<"output_trunc">, at: ActionPlace): void {
  if (TRUNC_UNSUPPORTED.includes(a.port)) {
    report(ctx, "warn", `output_trunc does not support port: ${formatPort(a.port, null)}`);
    return;
  }
  if (a.port === get(ctx.flow, K.in_port)) {
    reportInfo(ctx, "skipping output to input port");
    return;
  }
  const xport = ctxPort(ctx, a.port);
  if (xport === null || xport.odpPort === ODPP_NONE) {
    const name = formatPort(a.port, null);
    report(ctx, "error", `output_trunc does not support patch port ${name}`);
    return;
  }
  ctx.odp.push({ kind: "trunc", maxLen: a.maxLen });
  outputAction(ctx, a.port, 0, false, at, true);
  if (!ctx.xbridge.support.trunc) {
    ctx.slow |= SLOW.ACTION;
  }
}

function enqueue(ctx: XlateCtx, a: ActionOf<"enqueue">, at: ActionPlace): void {
  fill(ctx.wc, K.skb_priority);
  const inPort = get(ctx.flow, K.in_port);
  let port = a.port;
  if (port === OFPP.IN_PORT) {
    port = inPort;
  } else if (port === inPort) {
    return;
  }
  const old = getU(ctx.flow, K.skb_priority);
  // The userspace datapath takes queue numbers as priorities.
  set(ctx.flow, K.skb_priority, a.queue);
  composeOutput(ctx, port, null, at.last, false);
  set(ctx.flow, K.skb_priority, old);
}

export const OUTPUT_ROWS = {
  output: plain<"output">((ctx, a, at) => outputAction(ctx, a.port, a.maxLen, true, at, false), {
    freeze: "unroll",
    afterMplsPop: true,
  }),
  output_reg: plain<"output_reg">(outputReg, { freeze: "unroll", afterMplsPop: true }),
  output_trunc: plain<"output_trunc">(outputTrunc, {
    freeze: "unroll",
    reversible: false,
    afterMplsPop: true,
  }),
  enqueue: plain<"enqueue">(enqueue, { afterMplsPop: true }),
} satisfies Partial<XlateTable>;
