// The state of one translation, and the functions that its parts call each other by.
//
// The idea: translation is spread over several files (tables, actions, output, NORMAL, mirrors,
// groups, recirculation). They share an XlateCtx and reach each other through `ctx.ops`, so that no
// file imports another in a circle (ovs: ofproto/ofproto-dpif-xlate.c struct xlate_ctx, and
// ofproto-dpif-xlate.h struct xlate_in, xlate_out).
//
// Invariants
// - `flow` is the packet as the actions have changed it, `baseFlow` as the datapath sees it after
//   the actions in `odp`; committing makes them equal.
// - `wc` only ever gains bits, except where it is saved and put back around patch ports and ct().
// - in_port in `flow` is an OpenFlow port.

import type { OdpAction } from "../datapath/odp-action.ts";
import { type FlowKey, K, set } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { RateLimit } from "../lib/log-rate-limit.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Action, ActionOf } from "./actions/types.ts";
import { formatFlow } from "./flow-format.ts";
import type { FrozenState, RecircPool } from "./recirc.ts";
import type { Rule } from "./rule.ts";
import type { ParentNode, Recorder } from "./trace.ts";
import type { XBridge, XBundle, XlateConfig, XPort } from "./xbridge.ts";
import type { XlateCache } from "./xlate-cache.ts";

/** Nested resubmits, patch ports and groups that a translation may reach (ovs: MAX_DEPTH). */
export const RESUBMIT_DEPTH_MAX = 64;
/** Resubmits in all (ovs: MAX_RESUBMITS). */
export const RESUBMITS_MAX = RESUBMIT_DEPTH_MAX * RESUBMIT_DEPTH_MAX;
/** Bytes of datapath actions, as Netlink counts them, that further resubmits may see. */
export const ODP_ACTION_BYTES_MAX = 0xffff;
/** Bytes on the stack of push and pop. */
export const STACK_BYTES_MAX = 65536;
/** Groups that watch groups (ovs: MAX_LIVENESS_RECURSION). */
export const LIVENESS_DEPTH_MAX = 128;

/** Why a translation failed, with the text that ofproto/trace shows (ovs: xlate_strerror). */
export const XLATE_ERROR_TEXT = {
  ok: "OK",
  bridge_not_found: "Bridge not found",
  recursion_too_deep: "Recursion too deep",
  too_many_resubmits: "Too many resubmits",
  stack_too_deep: "Stack too deep",
  no_recirculation_context: "No recirculation context",
  recirculation_conflict: "Recirculation conflict",
  too_many_mpls_labels: "Too many MPLS labels",
  invalid_tunnel_metadata: "Invalid tunnel metadata",
  unsupported_packet_type: "Unsupported packet type",
  congestion_drop: "Congestion Drop",
  forwarding_disabled: "Forwarding is disabled",
} as const;
export type XlateError = keyof typeof XLATE_ERROR_TEXT;
/** The numbers of the errors, as the datapath's drop action carries them. */
export const XLATE_ERRORS = Object.keys(XLATE_ERROR_TEXT) as readonly XlateError[];

/** Packets that a translation stands for (ovs: struct dpif_flow_stats). */
export interface FlowStats {
  readonly packets: number;
  readonly bytes: number;
  readonly usedMs: number;
  readonly tcpFlags: number;
}

/** A packet that ofproto/trace follows after a recirculation. */
export interface RecircNode {
  readonly recircId: number;
  /** The packet when it was forked, and the zone in which it was tracked. */
  readonly flow: FlowKey;
  readonly zone: number;
  readonly nat: ActionOf<"nat"> | null;
  readonly packet: PacketBuf | null;
}

/** What a translation is asked (ovs: struct xlate_in). */
export interface XlateIn {
  readonly xcfg: XlateConfig;
  readonly xbridge: XBridge;
  /** Not changed. in_port is an OpenFlow port. */
  readonly flow: FlowKey;
  readonly packet: PacketBuf | null;
  /** Learn MAC addresses and flows, reduce timeouts, send packet-ins. */
  readonly sideEffects: boolean;
  /** Actions to translate instead of a table lookup. */
  readonly actions: readonly Action[] | null;
  /** The rule whose actions are to be translated, without a lookup. */
  readonly rule: Rule | null;
  readonly tcpFlags: number;
  readonly recircs: RecircPool;
  /** Overrides what `flow.recirc_id` stands for (continuations). */
  readonly frozen: FrozenState | null;
  /** Credits rules, groups, ports and tables at once; null: not. */
  readonly stats: FlowStats | null;
  /** Collects what is to be credited later; null: not. */
  readonly xcache: XlateCache | null;
  readonly recorder: Recorder;
  /** Packets that recirculate by ct() are put here for the trace. */
  readonly recircQueue: RecircNode[] | null;
  /** Start values of the limits (a packet sent by a translation counts on). */
  readonly depth: number;
  readonly resubmits: number;
  readonly inPacketOut: boolean;
  /** Time for learning and statistics. */
  readonly nowMs: number;
  /**
   * The flow knows where tunnel options lie although it has none (as flows from text do), so that
   * the absence of an option can be matched.
   */
  readonly tunTableKnown?: boolean;
  /** Takes packets of protocols that the switch itself speaks (CFM, BFD, LACP, STP, LLDP). */
  readonly onSpecial:
    | ((xport: XPort, slow: number, packet: PacketBuf, flow: FlowKey) => void)
    | null;
}

/** What a translation answers (ovs: struct xlate_out). */
export interface XlateOut {
  readonly error: XlateError;
  readonly odp: OdpAction[];
  /** The megaflow mask. */
  readonly wc: FlowKey;
  /** The packet as the last action left it. */
  readonly flow: FlowKey;
  /** SLOW bits. */
  readonly slow: number;
  /** A datapath flow with this result goes when it is revalidated. */
  readonly avoidCaching: boolean;
  /** Recirculation ids that the datapath actions use, each with a reference taken. */
  readonly recircIds: readonly number[];
}

/** Parameters of a bond that spreads by recirculation (ovs: struct xlate_bond_recirc). */
export interface BondRecirc {
  readonly recircId: number;
  readonly hashAlg: "l4" | "sym_l4";
  readonly hashBasis: number;
  /** The datapath spreads by itself (`lb_output`), `recircId` being the bond's id. */
  readonly lbOutput: boolean;
}

/** The functions of the parts of translation; assembled in xlate.ts. */
export interface XlateOps {
  /** Translates a list of actions. */
  doActions(
    ctx: XlateCtx,
    actions: readonly Action[],
    isLast: boolean,
    groupBucketAction: boolean,
  ): void;
  /** Translates a list of actions on a copy of the packet (ovs: clone_xlate_actions). */
  cloneActions(ctx: XlateCtx, actions: readonly Action[], isLast: boolean): void;
  /** Looks a table up and translates the rule's actions (ovs: xlate_table_action). */
  tableAction(
    ctx: XlateCtx,
    inPort: number,
    tableId: number,
    mayPacketIn: boolean,
    honorTableMiss: boolean,
    withCtOrig: boolean,
    isLast: boolean,
    cloneActions: boolean,
  ): void;
  /** Translates the action set that has gathered. */
  actionSet(ctx: XlateCtx): void;
  finishFreezing(ctx: XlateCtx): void;
  /** Output to a port, whatever it is (ovs: compose_output_action). */
  composeOutput(
    ctx: XlateCtx,
    ofpPort: number,
    bond: BondRecirc | null,
    isLast: boolean,
    truncate: boolean,
  ): void;
  /** Appends the datapath actions that make the packet what `flow` is. */
  commit(ctx: XlateCtx): void;
  /** Appends `set(tunnel(...))` for a tunnel of the given type. */
  commitTunnel(ctx: XlateCtx, tunnelType: string): void;
  /** Samples for IPFIX; ODPP_NONE stands for the input side. */
  ipfix(ctx: XlateCtx, outputOdpPort: number): void;
  /** NORMAL. */
  normal(ctx: XlateCtx): void;
  /** Mirrors the packet to the members of `mirrors`, which are a bit set. */
  mirrorPacket(ctx: XlateCtx, xbundle: XBundle, mirrors: number): void;
  mirrorIngress(ctx: XlateCtx): void;
}

/** The state of one translation (ovs: struct xlate_ctx). */
export class XlateCtx {
  readonly xin: XlateIn;
  readonly ops: XlateOps;
  readonly rec: Recorder;
  // Copies of what `xin` says, because the underlay of a native tunnel is translated without.
  sideEffects: boolean;
  stats: FlowStats | null;
  xcache: XlateCache | null;
  packet: PacketBuf | null;
  xbridge: XBridge;
  /** Version in which tables of `xbridge` are looked up. */
  tablesVersion: number;
  readonly flow: FlowKey;
  readonly baseFlow: FlowKey;
  wc: FlowKey;
  odp: OdpAction[] = [];
  /** Netlink bytes of the lists that `odp` is nested in. */
  odpOuterBytes = 0;
  slow = 0;
  error: XlateError = "ok";
  avoidCaching = false;
  readonly recircIds: number[] = [];

  /** Values pushed, the last is the top. */
  stack: Uint32Array[] = [];
  stackBytes = 0;
  rule: Rule | null;
  depth: number;
  resubmits: number;
  inActionSet = false;
  pendingEncap = false;
  pendingDecap = false;
  /** Encoded NSH metadata type 2 options for the next push_nsh. */
  encapData: Uint8Array | null = null;
  tableId = 0;
  ruleCookie = 0xffffffffffffffffn;
  readonly origSkbPriority: number;
  sflowOutputs = 0;
  sflowOdpPort = 0;
  exit = false;
  /** Mirrors that the packet has been sent to, a bit set. */
  mirrors = 0;
  mirrorSnaplen = 0;

  freezing = false;
  recircUpdateDpHash = false;
  dpHashAlg: "l4" | "sym_l4" = "l4";
  dpHashBasis = 0;
  frozenActions: Action[] = [];
  frozenUnroll: ActionOf<"unroll_xlate"> | null = null;
  pause: ActionOf<"controller"> | null = null;
  wasMpls = false;
  conntracked = false;
  ctNat: ActionOf<"nat"> | null = null;
  actionSetHasGroup = false;
  actionSetActions: Action[] = [];
  /** The port that the packet came in by, as `id`; 0 for patch ports and none. */
  xportId = 0;
  /** What the recirculation id of the packet stands for. */
  frozen: FrozenState | null;

  constructor(xin: XlateIn, ops: XlateOps) {
    this.xin = xin;
    this.ops = ops;
    this.rec = xin.recorder;
    this.sideEffects = xin.sideEffects;
    this.stats = xin.stats;
    this.xcache = xin.xcache;
    this.packet = xin.packet;
    this.xbridge = xin.xbridge;
    this.tablesVersion = xin.xbridge.ofproto.tablesVersion;
    const { keys } = xin.xcfg;
    this.flow = keys.copyOf(xin.flow);
    set(this.flow, K.actset_output, OFPP.UNSET);
    this.baseFlow = keys.copyOf(this.flow);
    this.wc = keys.zero();
    this.rule = xin.rule;
    this.depth = xin.depth;
    this.resubmits = xin.resubmits;
    this.origSkbPriority = this.flow[K.skb_priority.word] as number;
    this.frozen = xin.frozen;
  }

  /** Destination of the tunnel that the packet came by; ::ffff:a.b.c.d for IPv4, 4 words. */
  get origTunnelDst(): Uint32Array {
    return tunnelDst(this.xin.flow);
  }
}

/** Destination of the tunnel of a key in 4 words, IPv4 mapped; all zero if there is none. */
export function tunnelDst(key: FlowKey): Uint32Array {
  const w = K.tun_ipv6_dst.word;
  const v4 = key[K.tun_dst.word] as number;
  return v4 !== 0 ? Uint32Array.of(0, 0, 0xffff, v4) : key.slice(w, w + 4);
}

/** Limits of the log for what translations of real packets report. */
const ERROR_LIMIT = { name: "xlate_report_error", rate: 1, burst: 5 };
const INFO_LIMIT = { name: "xlate_report_info", rate: 1, burst: 5 };
const DEBUG_LIMIT = { name: "xlate_report_debug", rate: 30, burst: 300 };

/**
 * Records a detail, a warning or an error; callers test `ctx.rec.on` before they build texts. An
 * error that happens to a real packet goes into the log.
 */
export function report(
  ctx: XlateCtx,
  kind: "detail" | "warn" | "error" | "note",
  text: string,
): void {
  if (ctx.rec.on) {
    ctx.rec.add({ kind, text });
  } else if (kind === "error") {
    logReport(ctx, "warn", ERROR_LIMIT, text);
  }
}

/** Records a warning that the log mentions as information. */
export function reportInfo(ctx: XlateCtx, text: string): void {
  if (ctx.rec.on) {
    ctx.rec.add({ kind: "warn", text });
  } else {
    logReport(ctx, "info", INFO_LIMIT, text);
  }
}

/** True if somebody will see what `reportDebug` is told; asked before a text is built. */
export function wantsDebug(ctx: XlateCtx): boolean {
  return ctx.rec.on || ctx.xbridge.ofproto.log.enabled("ofproto_dpif_xlate", "dbg");
}

/** Records a detail that the log mentions at debug level. */
export function reportDebug(ctx: XlateCtx, kind: "detail" | "note", text: string): void {
  const { log } = ctx.xbridge.ofproto;
  if (ctx.rec.on) {
    ctx.rec.add({ kind, text });
  } else if (ctx.xin.packet !== null) {
    const line = `bridge ${ctx.xbridge.name}: ${text}`;
    log.logRl("ofproto_dpif_xlate", "dbg", DEBUG_LIMIT, line);
  }
}

/** Logs what happened to a real packet, with the packet. */
function logReport(ctx: XlateCtx, level: "warn" | "info", limit: RateLimit, text: string): void {
  const { ofproto, tunTable } = ctx.xbridge;
  if (ctx.xin.packet !== null && !ofproto.log.drops("ofproto_dpif_xlate", level, limit)) {
    const flow = formatFlow(ctx.baseFlow, null, tunTable);
    const line = `${text} on bridge ${ctx.xbridge.name} while processing ${flow}`;
    ofproto.log.log("ofproto_dpif_xlate", level, line);
  }
}

/** The port of the current bridge with an OpenFlow number. */
export function ctxPort(ctx: XlateCtx, ofpPort: number): XPort | null {
  return ctx.xbridge.xports.get(ofpPort) ?? null;
}

/** Records a node and makes it the parent of what follows; callers put `ctx.rec.nodes` back. */
export function openNode(ctx: XlateCtx, node: ParentNode): void {
  ctx.rec.add(node);
  ctx.rec.nodes = node.subs;
}
