// Translation: from a packet's flow to datapath actions and a megaflow mask.
//
// The idea: start with the packet as received, walk tables and actions while `ctx.flow` changes and
// `ctx.wc` gathers what was looked at, and finish both so that the datapath can cache the result.
// Live traffic, revalidation and ofproto/trace all come here; only the recorder differs.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_actions, xlate_optimize_odp_actions.

import { type OdpAction, SLOW } from "../datapath/odp-action.ts";
import { odpActionsBytes } from "../datapath/odp-bytes.ts";
import { PT } from "../flow/flow-is.ts";
import { clear, fill, get, getU, K, set } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Action } from "./actions/types.ts";
import { xbundleMirrorOut } from "./mirror.ts";
import { commitOdpActions } from "./odp-commit.ts";
import { thawMetadata } from "./recirc.ts";
import { commitTunnel } from "./tunnel-commit.ts";
import { TUNNEL_LIMIT, tnlProcessEcn } from "./tunnel-ports.ts";
import {
  getOfpPort,
  ODPP_NONE,
  ofpPortToOdpPort,
  rstpForward,
  stpForward,
  type XPort,
} from "./xbridge.ts";
import { creditPorts } from "./xlate-cache.ts";
import { doActions, doActionsCloned } from "./xlate-actions.ts";
import { doActionSet, writeActions } from "./xlate-control.ts";
import {
  report,
  XLATE_ERRORS,
  XlateCtx,
  type XlateIn,
  type XlateOps,
  type XlateOut,
  openNode,
} from "./xlate-ctx.ts";
import { cancelFreeze, finishFreezing } from "./xlate-freeze.ts";
import { mirrorIngressPacket, mirrorPacket } from "./xlate-mirror.ts";
import { xlateNormal } from "./xlate-normal.ts";
import { composeOutput } from "./xlate-output.ts";
import { clearConntrack, mayReceive, processSpecial } from "./xlate-receive.ts";
import { actionsText } from "./xlate-report.ts";
import { composeIpfix, composeSflow, fixSflow } from "./xlate-sample.ts";
import { creditRule, lookupFromTable, recordTable, tableAction } from "./xlate-table.ts";
import { maskGeneve, normalizeTunnel, TUNNEL_WORDS, wcFinish, wcInit } from "./xlate-wc.ts";

/** Netlink bytes of datapath actions that fit one attribute (ovs: nl_attr_oversized). */
const NL_ATTR_BYTES_MAX = 0xffff - 4;
/** Outputs in one list that a Linux datapath can queue (net.core.netdev_max_backlog). */
export const OUTPUT_ACTIONS_MAX = 1000;
const CS_TRACKED = 0x20;
const NW_PROTO_UDP = 17;
const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const ETH_TYPE_IP = 0x0800;

function commit(ctx: XlateCtx): void {
  ctx.slow |= commitOdpActions(ctx.flow, ctx.baseFlow, ctx.odp, ctx.wc, {
    useMasked: ctx.xbridge.support.masked_set_action,
    pendingEncap: ctx.pendingEncap,
    pendingDecap: ctx.pendingDecap,
    encapData: ctx.encapData,
  });
  ctx.pendingEncap = false;
  ctx.pendingDecap = false;
  ctx.encapData = null;
}

const OPS: XlateOps = Object.freeze({
  doActions,
  cloneActions: doActionsCloned,
  tableAction,
  actionSet: doActionSet,
  finishFreezing,
  composeOutput,
  commit,
  commitTunnel,
  ipfix: composeIpfix,
  normal: xlateNormal,
  mirrorPacket,
  mirrorIngress: mirrorIngressPacket,
});

/** Translates a packet. */
export function xlateActions(xin: XlateIn): XlateOut {
  const ctx = new XlateCtx(xin, OPS);
  if (ctx.frozen === null && getU(xin.flow, K.recirc_id) !== 0) {
    ctx.frozen = xin.recircs.find(getU(xin.flow, K.recirc_id));
  }
  // A datapath does not keep the tunnel of a packet unless it is told to.
  ctx.baseFlow.fill(0, 0, TUNNEL_WORDS);
  wcInit(ctx);
  if (ctx.rec.on) {
    openNode(ctx, { kind: "bridge", xbridge: xin.xbridge, subs: [] });
  }
  const actions = thaw(ctx);
  if (ctx.error === "ok" && actions !== undefined) {
    translate(ctx, actions);
  }
  return finish(ctx);
}

/**
 * Restores what was frozen. Answers the actions to translate, null for a table lookup, undefined
 * if it fails.
 */
function thaw(ctx: XlateCtx): readonly Action[] | null | undefined {
  const { xin, frozen } = ctx;
  if (frozen === null) {
    const id = getU(ctx.flow, K.recirc_id);
    if (id !== 0) {
      report(ctx, "error", `Recirculation context not found for ID ${id.toString(16)}`);
      ctx.error = "no_recirculation_context";
      return undefined;
    }
    return xin.actions;
  }
  const oldNodes = ctx.rec.nodes;
  if (ctx.rec.on) {
    openNode(ctx, { kind: "thaw", text: "thaw", subs: [] });
  }
  if ((xin.actions !== null && xin.actions.length > 0) || ctx.rule !== null) {
    const what = xin.actions !== null && xin.actions.length > 0 ? "actions" : "rule";
    report(ctx, "error", `Recirculation conflict (${what})!`);
    ctx.error = "recirculation_conflict";
    return undefined;
  }
  const bridge = xin.xcfg.bridgesById.get(frozen.bridgeId);
  if (bridge === undefined) {
    report(ctx, "error", "Frozen bridge no longer exists.");
    ctx.error = "bridge_not_found";
    return undefined;
  }
  if (bridge !== ctx.xbridge) {
    ctx.xbridge = bridge;
    ctx.tablesVersion = bridge.ofproto.tablesVersion;
  }
  const actions = thawInto(ctx, frozen);
  ctx.rec.nodes = oldNodes;
  return actions;
}

function thawInto(
  ctx: XlateCtx,
  frozen: NonNullable<XlateCtx["frozen"]>,
): readonly Action[] | null {
  ctx.tableId = frozen.tableId;
  thawNote(ctx, `Resuming from table ${ctx.tableId}`);
  ctx.conntracked = frozen.conntracked;
  if (!frozen.conntracked) {
    clearConntrack(ctx);
  }
  thawMetadata(frozen.metadata, ctx.flow);
  ctx.stack = frozen.stack.slice();
  ctx.stackBytes = frozen.stack.reduce((n, v) => n + v.length * 4 + 1, 0);
  ctx.mirrors = frozen.mirrors;
  if (frozen.actionSet.length > 0) {
    if (ctx.rec.on) {
      thawNote(ctx, actionsText("Restoring action set", frozen.actionSet));
    }
    set(ctx.flow, K.actset_output, OFPP.UNSET);
    writeActions(ctx, frozen.actionSet);
  }
  if (frozen.actions.length === 0) {
    return null;
  }
  if (ctx.rec.on) {
    thawNote(ctx, actionsText("Restoring actions", frozen.actions));
  }
  return frozen.actions;
}

function thawNote(ctx: XlateCtx, text: string): void {
  if (ctx.rec.on) {
    ctx.rec.add({ kind: "thaw", text, subs: [] });
  }
}

function translate(ctx: XlateCtx, actions: readonly Action[] | null): void {
  const { xin, flow } = ctx;
  if (ctx.frozen === null && (get(flow, K.ct_state) & CS_TRACKED) !== 0) {
    ctx.conntracked = true;
  }
  if (!normalizeTunnel(ctx)) {
    return;
  }
  const xbridge = xin.xbridge;
  const inPort = getOfpPort(xbridge, get(ctx.baseFlow, K.in_port));
  if (inPort !== null && inPort.peer === null) {
    ctx.xportId = inPort.id;
  }
  addDummyEthernet(ctx, inPort);
  if (actions === null && ctx.rule === null) {
    const at = { inPort: get(flow, K.in_port), mayPacketIn: true, honorTableMiss: true };
    ctx.rule = lookupFromTable(ctx, at);
    creditRule(ctx, ctx.rule);
    recordTable(ctx, ctx.rule, ctx.tableId);
  }
  if (ctx.frozen === null && inPort !== null && inPort.tunnel !== null) {
    if (ctx.stats !== null) {
      creditPorts(null, inPort, ctx.stats);
    }
    ctx.xcache?.push({ kind: "port", tx: null, rx: inPort });
  }
  if (ctx.frozen === null && processSpecial(ctx, inPort)) {
    ctx.ops.mirrorIngress(ctx);
  } else if (inPort?.xbundle && xbundleMirrorOut(xbridge, inPort.xbundle) !== 0) {
    const { name } = inPort.xbundle;
    const why = "which is reserved exclusively for mirroring";
    report(ctx, "error", `dropping packet received on port ${name}, ${why}`);
  } else {
    receive(ctx, inPort, actions);
    if (ctx.error !== "ok" && !SOFT_ERRORS.has(ctx.error)) {
      // The mask stays as it is, with the bridge's table of tunnel options named in it. That is in
      // no mask that is remembered, so such a drop does not outlive the next revalidation.
      ctx.avoidCaching = true;
      return;
    }
  }
  ctx.xbridge.ofproto.log.once("ofproto_dpif_xlate", "dbg", BACKLOG_TEXT);
  if (odpActionsOversized(ctx.odp)) {
    ctx.slow |= SLOW.ACTION;
  }
  maskGeneve(ctx);
  wcFinish(ctx);
}

/** What the first translation finds out about the host (ovs: netdev_max_backlog). */
const BACKLOG_TEXT = "/proc/sys/net/core/netdev_max_backlog: using 1000 max_backlog";

/** Errors with which the megaflow is finished all the same: the packet is dropped on purpose. */
const SOFT_ERRORS: ReadonlySet<string> = new Set(["congestion_drop", "forwarding_disabled"]);

/** A packet from a port without Ethernet headers gets one before tables look at it. */
function addDummyEthernet(ctx: XlateCtx, inPort: XPort | null): void {
  const { flow } = ctx;
  if (getU(flow, K.packet_type) !== PT.ETH && inPort?.ptMode === "legacy_l3" && ctx.tableId === 0) {
    set(flow, K.packet_type, PT.ETH);
    clear(flow, K.dl_src);
    clear(flow, K.dl_dst);
    ctx.pendingEncap = true;
  }
}

/** Translates the actions of a packet that is not special. */
function receive(ctx: XlateCtx, inPort: XPort | null, actions: readonly Action[] | null): void {
  let sflow = -1;
  if (ctx.frozen === null) {
    sflow = composeSflow(ctx);
    composeIpfix(ctx, ODPP_NONE);
  }
  const samples = ctx.odp.length;
  const ecnDrop = !tnlProcessEcn(ctx.flow);
  if (ecnDrop) {
    const text = "dropping tunnel packet marked ECN CE but is not ECN capable";
    ctx.xbridge.ofproto.log.logRl("tunnel", "warn", TUNNEL_LIMIT, text);
  }
  if (!ecnDrop && (inPort === null || mayReceive(inPort, ctx))) {
    if (ctx.rule !== null && actions === null) {
      ctx.ruleCookie = ctx.rule.cookie;
    }
    ctx.ops.mirrorIngress(ctx);
    doActions(ctx, actions ?? ctx.rule?.actions.actions ?? [], true, false);
    if (ctx.error !== "ok") {
      return;
    }
    if (inPort !== null && !(stpForward(inPort) && rstpForward(inPort))) {
      // NORMAL and learn have had their look.
      ctx.odp.length = samples;
      cancelFreeze(ctx);
      ctx.actionSetActions = [];
      ctx.error = "forwarding_disabled";
    }
    if (!ctx.freezing) {
      doActionSet(ctx);
    }
    if (ctx.freezing) {
      finishFreezing(ctx);
    }
  } else if (ecnDrop) {
    ctx.error = "congestion_drop";
  }
  inBand(ctx);
  if (sflow >= 0) {
    fixSflow(ctx, sflow);
  }
}

/** In-band control needs DHCP replies whatever the flows say. */
function inBand(ctx: XlateCtx): void {
  const { flow, wc } = ctx;
  if (ctx.freezing || !ctx.xin.xbridge.hasInBand) {
    return;
  }
  const isDhcpReply =
    get(flow, K.dl_type) === ETH_TYPE_IP &&
    get(flow, K.nw_proto) === NW_PROTO_UDP &&
    get(flow, K.tp_src) === DHCP_SERVER_PORT &&
    get(flow, K.tp_dst) === DHCP_CLIENT_PORT;
  const local = ofpPortToOdpPort(ctx.xbridge, OFPP.LOCAL);
  if (!isDhcpReply || ctx.odp.some((a) => a.kind === "output" && a.port === local)) {
    return;
  }
  fill(wc, K.nw_proto);
  fill(wc, K.tp_src);
  fill(wc, K.tp_dst);
  fill(wc, K.dl_type);
  report(ctx, "detail", "outputting DHCP packet to local port for in-band control");
  composeOutput(ctx, OFPP.LOCAL, null, false, false);
}

/** The list cannot be given to a datapath in one go. */
function odpActionsOversized(odp: readonly OdpAction[]): boolean {
  if (odp.length < 32) {
    return false;
  }
  if (odpActionsBytes(odp) > NL_ATTR_BYTES_MAX) {
    return true;
  }
  const outputs = odp.filter((a) => a.kind === "output" || a.kind === "lb_output").length;
  return outputs > OUTPUT_ACTIONS_MAX;
}

/** Cleans the result up. */
function finish(ctx: XlateCtx): XlateOut {
  const { odp } = ctx;
  ctx.xin.xcfg.keys.give(ctx.baseFlow);
  if (ctx.error !== "ok") {
    ctx.slow = 0;
    odp.length = 0;
  } else {
    const last = odp[odp.length - 1];
    if (last?.kind === "clone") {
      // Nothing follows, so the packet itself may be used.
      odp.pop();
      odp.push(...last.actions);
    }
  }
  if (odp.length === 0 && ctx.xbridge.support.explicit_drop_action) {
    odp.push({ kind: "drop", error: XLATE_ERRORS.indexOf(ctx.error) });
  }
  return {
    error: SOFT_ERRORS.has(ctx.error) ? "ok" : ctx.error,
    odp,
    wc: ctx.wc,
    flow: ctx.flow,
    slow: ctx.slow,
    avoidCaching: ctx.avoidCaching,
    recircIds: ctx.recircIds,
  };
}
