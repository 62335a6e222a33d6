// Translating the actions that steer translation itself: tables, the action set, controllers,
// freezing for debugging, queues, and choices by hash (multipath, bundle).
//
// ovs: ofproto/ofproto-dpif-xlate.c do_xlate_actions and xlate_*_action; lib/multipath.c,
// lib/bundle.c.

import { F } from "../flow/fields.ts";
import { SLOW } from "../datapath/odp-action.ts";
import { fill, get, getU, K, set } from "../flow/flow-key.ts";
import { flowHashFields, flowMaskHashFields } from "../flow/flow-hash.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { maskSubfield, type Subfield, writeSubfield } from "../flow/subfield.ts";
import { hash2words } from "../lib/hash.ts";
import { actionSetToList } from "./actions/actions.ts";
import type { Action, ActionOf, MultipathAlgorithm } from "./actions/types.ts";
import { controllerAction, METER_UNSET } from "./xlate-controller.ts";
import { ctxPort, report, type XlateCtx, openNode } from "./xlate-ctx.ts";
import { triggerFreeze } from "./xlate-freeze.ts";
import { checkPktLarger } from "./xlate-clone.ts";
import { learnAction } from "./xlate-learn.ts";
import { outputAction } from "./xlate-output.ts";
import { reportActionSet, reportSubfield } from "./xlate-report.ts";
import { type ActionPlace, plain, row, type XlateTable } from "./xlate-row.ts";
import { sampleAction } from "./xlate-sample.ts";
import { TBL_INTERNAL } from "./xlate-table.ts";

/** `resubmit(,)`: the table that the flow is in. */
const TABLE_CURRENT = 255;
/** A meter that the datapath does not have. */
const NO_PROVIDER_METER = 0xffffffff;
const TCP_FIN_RST = 0x001 | 0x004;
/** Links up to which hrw scores each; with more it does as iter_hash. */
const HRW_LINKS_MAX = 64;

function resubmit(ctx: XlateCtx, a: ActionOf<"resubmit">, last: boolean): void {
  // Misses of a resubmit do not go to the controller, but those of the internal table do.
  const internal = ctx.rule?.tableId === TBL_INTERNAL;
  const inPort = a.inPort === OFPP.IN_PORT ? get(ctx.flow, K.in_port) : a.inPort;
  const tableId = a.tableId === TABLE_CURRENT ? ctx.tableId : a.tableId;
  ctx.ops.tableAction(ctx, inPort, tableId, internal, internal, a.withCtOrig, last, false);
}

/** Adds to the action set and keeps `actset_output` in step with it. */
export function writeActions(ctx: XlateCtx, actions: readonly Action[]): void {
  if (!ctx.actionSetHasGroup) {
    for (const a of actions) {
      if (a.kind === "output") {
        set(ctx.flow, K.actset_output, a.port);
      } else if (a.kind === "group") {
        set(ctx.flow, K.actset_output, OFPP.UNSET);
        ctx.actionSetHasGroup = true;
        break;
      }
    }
  }
  ctx.actionSetActions.push(...actions);
}

/** Translates and empties the action set (ovs: xlate_action_set). */
export function doActionSet(ctx: XlateCtx): void {
  if (ctx.actionSetActions.length === 0) {
    return;
  }
  const actions = actionSetToList(ctx.actionSetActions);
  ctx.actionSetActions = [];
  if (actions.length === 0) {
    return;
  }
  ctx.inActionSet = true;
  const oldNodes = ctx.rec.nodes;
  if (ctx.rec.on) {
    openNode(ctx, { kind: "action_set", subs: [] });
  }
  ctx.ops.doActions(ctx, actions, true, false);
  ctx.rec.nodes = oldNodes;
  ctx.inActionSet = false;
}

function writeMetadata(ctx: XlateCtx, a: ActionOf<"write_metadata">): void {
  for (let i = 0; i < 2; i++) {
    const w = K.metadata.word + i;
    const mask = a.mask[i] as number;
    ctx.flow[w] = ((ctx.flow[w] as number) & ~mask) | ((a.metadata[i] as number) & mask);
  }
}

/** Writes a number into a subfield and tells it (ovs: nxm_reg_load). */
function loadNumber(ctx: XlateCtx, dst: Subfield, value: number): void {
  const tab = ctx.xbridge.tunTable;
  maskSubfield(dst, ctx.wc, tab);
  writeSubfield(dst, Uint32Array.of(0, value), ctx.flow, tab);
  reportSubfield(ctx, dst);
}

function hrwLink(hash: number, nLinks: number): number {
  let best = 0;
  let bestWeight = hash2words(hash, 0);
  for (let link = 1; link < nLinks; link++) {
    const weight = hash2words(hash, link);
    if (weight > bestWeight) {
      best = link;
      bestWeight = weight;
    }
  }
  return best;
}

/** Hash values that iter_hash tries; each fits with a chance of about one half. */
export const ITER_HASH_TRIES_MAX = 1 << 16;

/** Hashes again until a link comes out that exists (ovs: algorithm_iter_hash). */
function iterHashLink(hash: number, nLinks: number, arg: number): number {
  let modulo = arg;
  if (modulo < nLinks || Math.floor(modulo / 2) > nLinks) {
    modulo = 1;
    while (modulo < nLinks) {
      modulo *= 2;
    }
  }
  for (let i = 0; i < ITER_HASH_TRIES_MAX; i++) {
    const link = hash2words(hash, i) % modulo;
    if (link < nLinks) {
      return link;
    }
  }
  return 0;
}

/** The link of a multipath action for a hash. */
function multipathLink(
  algorithm: MultipathAlgorithm,
  hash: number,
  nLinks: number,
  arg: number,
): number {
  switch (algorithm) {
    case "modulo_n":
      return hash % nLinks;
    case "hash_threshold":
      return nLinks === 1 ? 0 : Math.floor(hash / (Math.floor(0xffffffff / nLinks) + 1));
    case "hrw":
      return nLinks <= HRW_LINKS_MAX ? hrwLink(hash, nLinks) : iterHashLink(hash, nLinks, 0);
    case "iter_hash":
      return iterHashLink(hash, nLinks, arg);
  }
}

function multipath(ctx: XlateCtx, a: ActionOf<"multipath">): void {
  const hash = flowHashFields(ctx.flow, a.fields, a.basis);
  const link = multipathLink(a.algorithm, hash, a.maxLink + 1, a.arg) & 0xffff;
  flowMaskHashFields(ctx.flow, ctx.wc, a.fields);
  loadNumber(ctx, a.dst, link);
}

const ALWAYS_ENABLED: readonly number[] = [
  OFPP.IN_PORT,
  OFPP.TABLE,
  OFPP.NORMAL,
  OFPP.FLOOD,
  OFPP.ALL,
  OFPP.NONE,
];

function memberEnabled(ctx: XlateCtx, port: number): boolean {
  if (ALWAYS_ENABLED.includes(port)) {
    return true;
  }
  return port !== OFPP.CONTROLLER && ctxPort(ctx, port)?.mayEnable === true;
}

function bundlePort(ctx: XlateCtx, a: ActionOf<"bundle">): number {
  if (a.algorithm === "active_backup") {
    return a.members.find((m) => memberEnabled(ctx, m)) ?? OFPP.NONE;
  }
  if (a.members.length > 1) {
    flowMaskHashFields(ctx.flow, ctx.wc, a.fields);
  }
  const flowHash = flowHashFields(ctx.flow, a.fields, a.basis);
  let best: number = OFPP.NONE;
  let bestHash = -1;
  a.members.forEach((m, i) => {
    const hash = memberEnabled(ctx, m) ? hash2words(i, flowHash) : -1;
    if (hash > bestHash) {
      best = m;
      bestHash = hash;
    }
  });
  return best;
}

function bundle(ctx: XlateCtx, a: ActionOf<"bundle">, at: ActionPlace): void {
  const port = bundlePort(ctx, a);
  if (a.dst !== null) {
    loadNumber(ctx, a.dst, port);
  } else {
    outputAction(ctx, port, 0, false, at, false);
  }
}

function finTimeout(ctx: XlateCtx, a: ActionOf<"fin_timeout">): void {
  fill(ctx.wc, K.nw_proto);
  const { rule } = ctx;
  if (rule === null) {
    return;
  }
  const { ofproto } = ctx.xbridge;
  if (ctx.sideEffects && (ctx.xin.tcpFlags & TCP_FIN_RST) !== 0) {
    ofproto.ruleReduceTimeouts(rule, a.finIdleTimeoutS, a.finHardTimeoutS);
  }
  ctx.xcache?.push({
    kind: "fin_timeout",
    ofproto,
    rule,
    idleTimeoutS: a.finIdleTimeoutS,
    hardTimeoutS: a.finHardTimeoutS,
  });
}

function popQueue(ctx: XlateCtx): void {
  fill(ctx.wc, K.skb_priority);
  if (getU(ctx.flow, K.skb_priority) !== ctx.origSkbPriority) {
    set(ctx.flow, K.skb_priority, ctx.origSkbPriority);
    report(ctx, "detail", `queue = ${hexOrZero(ctx.origSkbPriority)}`);
  }
}

/** As printf's %#x. */
function hexOrZero(n: number): string {
  return n === 0 ? "0" : `0x${n.toString(16)}`;
}

function cookieOf(words: Uint32Array): bigint {
  return (BigInt(words[0] as number) << 32n) | BigInt(words[1] as number);
}

function unroll(ctx: XlateCtx, a: ActionOf<"unroll_xlate">): void {
  ctx.tableId = a.ruleTableId;
  ctx.ruleCookie = cookieOf(a.ruleCookie);
  if (ctx.rec.on) {
    const text = `restored state: table=${a.ruleTableId}, cookie=${swappedHex(a.ruleCookie)}`;
    ctx.rec.add({ kind: "thaw", text, subs: [] });
  }
}

/** OVS prints this cookie without converting it from network byte order. */
function swappedHex(words: Uint32Array): string {
  const hex = cookieOf(words).toString(16).padStart(16, "0");
  const swapped = BigInt(`0x${hex.match(/../g)?.reverse().join("") ?? "0"}`);
  return swapped === 0n ? "0" : `0x${swapped.toString(16)}`;
}

export const CONTROL_ROWS = {
  resubmit: row<"resubmit">(
    (ctx, a, at) => {
      resubmit(ctx, a, at.last);
      return "went";
    },
    { freeze: (a) => (a.tableId === TABLE_CURRENT ? "unroll" : "copy") },
  ),
  goto_table: row<"goto_table">(
    (ctx, a, at) => {
      const inPort = get(ctx.flow, K.in_port);
      ctx.ops.tableAction(ctx, inPort, a.tableId, true, true, false, at.last, false);
      return "went";
    },
    {
      // Instructions cannot stand in a list of frozen actions.
      freeze: (a) => ({
        kind: "resubmit",
        inPort: OFPP.IN_PORT,
        tableId: a.tableId,
        withCtOrig: false,
      }),
    },
  ),
  write_metadata: plain<"write_metadata">(writeMetadata, {
    freeze: (a) => ({
      kind: "set_field",
      field: F.metadata,
      value: a.metadata,
      mask: a.mask,
      flowHasVlan: false,
    }),
  }),
  write_actions: plain<"write_actions">((ctx, a) => {
    writeActions(ctx, a.actions);
    reportActionSet(ctx, "is");
  }),
  clear_actions: plain<"clear_actions">((ctx) => {
    reportActionSet(ctx, "was");
    ctx.actionSetActions = [];
    set(ctx.flow, K.actset_output, OFPP.UNSET);
    ctx.actionSetHasGroup = false;
  }),
  meter: plain<"meter">(
    (ctx, a) => {
      if (a.providerMeterId >>> 0 !== NO_PROVIDER_METER) {
        ctx.odp.push({ kind: "meter", meterId: a.providerMeterId });
      }
    },
    { reversible: false },
  ),
  controller: row<"controller">(
    (ctx, a) => {
      if (a.pause) {
        ctx.pause = a;
        triggerFreeze(ctx);
        return "behind";
      }
      controllerAction(ctx, {
        maxLen: a.maxLen,
        reason: a.reason,
        controllerId: a.controllerId,
        meterId: a.providerMeterId >>> 0 === NO_PROVIDER_METER ? METER_UNSET : a.providerMeterId,
        userdata: a.userdata,
      });
      return "next";
    },
    { freeze: "unroll" },
  ),
  exit: plain<"exit">((ctx) => {
    ctx.exit = true;
  }),
  unroll_xlate: plain<"unroll_xlate">(unroll),
  note: plain<"note">(() => undefined, { freeze: "drop" }),
  conjunction: plain<"conjunction">(
    (ctx) => report(ctx, "error", "executing no-op conjunction action"),
    { freeze: "drop" },
  ),
  learn: plain<"learn">(learnAction),
  multipath: plain<"multipath">(multipath),
  bundle: plain<"bundle">(bundle),
  fin_timeout: plain<"fin_timeout">(finTimeout),
  set_queue: plain<"set_queue">(
    (ctx, a) => {
      fill(ctx.wc, K.skb_priority);
      // The userspace datapath takes queue numbers as priorities.
      set(ctx.flow, K.skb_priority, a.queueId);
    },
    { afterMplsPop: true },
  ),
  pop_queue: plain<"pop_queue">(popQueue),
  sample: plain<"sample">(sampleAction),
  clone: plain<"clone">((ctx, a, at) => ctx.ops.cloneActions(ctx, a.actions, at.last)),
  check_pkt_larger: row<"check_pkt_larger">((ctx, a, at) => {
    checkPktLarger(ctx, a, at.list.slice(at.index + 1));
    // The branches have translated the rest of the list.
    return ctx.xbridge.support.check_pkt_len ? "done" : "next";
  }),
  debug_recirc: row<"debug_recirc">((ctx) => {
    triggerFreeze(ctx);
    return "behind";
  }),
  debug_slow: plain<"debug_slow">((ctx) => {
    ctx.slow |= SLOW.ACTION;
  }),
} satisfies Partial<XlateTable>;
