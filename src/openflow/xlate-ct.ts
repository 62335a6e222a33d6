// Translating ct(), its nat() and exec(), and ct_clear.
//
// ct() commits what came before, translates the nested actions to learn mark and label, emits the
// datapath's ct() and, with a table, sends a copy of the packet there by recirculation; the packet
// itself goes on untracked.
//
// ovs: ofproto/ofproto-dpif-xlate.c compose_conntrack_action, put_ct_nat, compose_ct_clear_action.

import type { OdpAction, OdpNat } from "../datapath/odp-action.ts";
import { isFrozenMetadata } from "../flow/field-value.ts";
import { clear, fill, get, getU, isZero, K, set } from "../flow/flow-key.ts";
import { maskSubfield, readSubfieldNumber } from "../flow/subfield.ts";
import { type ActionOf, NX_CT_F, NX_CT_RECIRC_NONE, NX_NAT_F } from "./actions/types.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";
import { recirculateAndFork } from "./xlate-freeze.ts";
import { clearConntrack, flowClearConntrack } from "./xlate-receive.ts";
import { plain, type XlateTable } from "./xlate-row.ts";

/** Helpers by their well-known port. */
const HELPERS = new Map([
  [21, "ftp"],
  [69, "tftp"],
]);

function zoneOf(ctx: XlateCtx, a: ActionOf<"ct">): number {
  if (a.zoneSrc === null) {
    return a.zoneImm;
  }
  const tab = ctx.xbridge.tunTable;
  const zone = readSubfieldNumber(a.zoneSrc, ctx.flow, tab) & 0xffff;
  // A change of what is frozen gives the packet another recirculation id, so it need not match.
  if (ctx.frozen === null || !isFrozenMetadata(a.zoneSrc.field)) {
    maskSubfield(a.zoneSrc, ctx.wc, tab);
  }
  return zone;
}

/** The mark that exec() has set. */
function markOf(ctx: XlateCtx): { value: number; mask: number } | null {
  const mask = getU(ctx.wc, K.ct_mark);
  return mask === 0 ? null : { value: (getU(ctx.flow, K.ct_mark) & mask) >>> 0, mask };
}

/** The label that exec() has set. */
function labelOf(ctx: XlateCtx): { value: Uint32Array; mask: Uint32Array } | null {
  if (isZero(ctx.wc, K.ct_label)) {
    return null;
  }
  const w = K.ct_label.word;
  const mask = ctx.wc.slice(w, w + 4);
  const value = ctx.flow.slice(w, w + 4).map((v, i) => v & (mask[i] as number));
  return { value, mask };
}

function isGreater(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return (a[i] as number) > (b[i] as number);
    }
  }
  return false;
}

/** nat() as the datapath takes it. */
function odpNat(nat: ActionOf<"nat">): OdpNat {
  const { flags, range } = nat;
  if ((flags & (NX_NAT_F.SRC | NX_NAT_F.DST)) === 0) {
    return {
      type: null,
      min: null,
      max: null,
      portMin: 0,
      portMax: 0,
      persistent: false,
      hash: false,
      random: false,
    };
  }
  const hash = (flags & NX_NAT_F.PROTO_HASH) !== 0;
  const hasAddr = range.family !== 0;
  return {
    type: (flags & NX_NAT_F.SRC) !== 0 ? "src" : "dst",
    min: hasAddr ? range.addrMin : null,
    max: hasAddr && isGreater(range.addrMax, range.addrMin) ? range.addrMax : null,
    portMin: hasAddr ? range.protoMin : 0,
    portMax:
      hasAddr && range.protoMin !== 0 && range.protoMax > range.protoMin ? range.protoMax : 0,
    persistent: (flags & NX_NAT_F.PERSISTENT) !== 0,
    hash,
    random: !hash && (flags & NX_NAT_F.PROTO_RANDOM) !== 0,
  };
}

function timeoutOf(ctx: XlateCtx, zone: number): string | null {
  if (!ctx.xbridge.support.ct_timeout) {
    return null;
  }
  const dlType = get(ctx.flow, K.dl_type);
  const policy = ctx.xbridge.ctTimeoutPolicy(zone, dlType, get(ctx.flow, K.nw_proto));
  if (policy?.unwildcard === true) {
    fill(ctx.wc, K.nw_proto);
  }
  return policy?.name ?? null;
}

function helperOf(ctx: XlateCtx, alg: number): string | null {
  const helper = HELPERS.get(alg) ?? null;
  if (helper === null && alg !== 0) {
    report(ctx, "error", `cannot serialize ct_helper ${alg}`);
  }
  return helper;
}

function conntrack(ctx: XlateCtx, a: ActionOf<"ct">, isLast: boolean): void {
  const zone = zoneOf(ctx, a);
  const { wc } = ctx;
  const oldMarkMask = getU(wc, K.ct_mark);
  const labelWord = K.ct_label.word;
  const oldLabelMask = wc.slice(labelWord, labelWord + 4);
  ctx.ops.commit(ctx);
  ctx.ctNat = null;
  // The masks of mark and label tell what exec() sets; what the flow depends on is put back below.
  set(wc, K.ct_mark, 0);
  clear(wc, K.ct_label);
  ctx.ops.doActions(ctx, a.actions, isLast, false);

  const commit = (a.flags & NX_CT_F.COMMIT) !== 0;
  const force = commit && (a.flags & NX_CT_F.FORCE) !== 0;
  const action: OdpAction = {
    kind: "ct",
    commit: commit && !force,
    force,
    zone,
    mark: markOf(ctx),
    label: labelOf(ctx),
    timeout: commit ? timeoutOf(ctx, zone) : null,
    helper: helperOf(ctx, a.alg),
    nat: ctx.ctNat === null ? null : odpNat(ctx.ctNat),
  };
  ctx.odp.push(action);
  set(wc, K.ct_mark, oldMarkMask);
  wc.set(oldLabelMask, labelWord);

  if (a.recircTable !== NX_CT_RECIRC_NONE) {
    ctx.conntracked = true;
    recirculateAndFork(ctx, a.recircTable, zone);
  }
  ctx.ctNat = null;
  flowClearConntrack(ctx.flow);
  report(
    ctx,
    "detail",
    "Sets the packet to an untracked state, and clears all the conntrack fields.",
  );
  ctx.conntracked = false;
}

export const CT_ROWS = {
  ct: plain<"ct">((ctx, a, at) => conntrack(ctx, a, at.last), { reversible: false }),
  ct_clear: plain<"ct_clear">((ctx) => {
    if (ctx.conntracked) {
      clearConntrack(ctx);
      if (ctx.xbridge.support.ct_clear) {
        ctx.odp.push({ kind: "ct_clear" });
      }
    }
  }),
  nat: plain<"nat">(
    (ctx, a) => {
      ctx.ctNat = a;
    },
    { reversible: false },
  ),
} satisfies Partial<XlateTable>;
