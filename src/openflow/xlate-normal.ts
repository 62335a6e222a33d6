// NORMAL: the bridge acts as an ordinary VLAN switch that learns addresses.
//
// The input bundle decides which VLAN a packet belongs to and whether it is admitted; the source
// address is learned; the destination is looked up, or the packet goes to every bundle of the VLAN.
// Multicast goes where listeners are, if the bridge snoops.
// ovs: ofproto/ofproto-dpif-xlate.c xlate_normal, is_admissible, update_learning_table.

import { ARP_OP, isIpAny, PT } from "../flow/flow-is.ts";
import { type FlowKey, fill, get, getU, K, orBits } from "../flow/flow-key.ts";
import { ETH_TYPE, isEthTypeVlan, VLAN_CFI, VLAN_VID_MASK } from "../flow/vlan-mpls.ts";
import { formatMac } from "../lib/address.ts";
import { xbundleMirrorOut } from "./mirror.ts";
import { isReservedMac } from "./reserved-mac.ts";
import { OFPP_NONE_BUNDLE, type XBridge, type XBundle, type XPort } from "./xbridge.ts";
import {
  dlDst,
  dlSrc,
  flood,
  type Input,
  isBroadcast,
  lookupInput,
  outputNormal,
  type Place,
  vidIsValid,
} from "./xlate-bundle.ts";
import { report, reportDebug, wantsDebug, type XlateCtx } from "./xlate-ctx.ts";
import { multicast } from "./xlate-mcast.ts";
import { vidOf, xvlanExtract, xvlanInput } from "./xvlan.ts";

/** A host announces itself: a broadcast ARP reply, or request for its own address. */
function isGratuitousArp(key: FlowKey, wc: FlowKey): boolean {
  if (get(key, K.dl_type) !== ETH_TYPE.ARP) {
    return false;
  }
  fill(wc, K.dl_dst);
  if (!isBroadcast(key)) {
    return false;
  }
  fill(wc, K.nw_proto);
  const op = get(key, K.nw_proto);
  if (op !== ARP_OP.REQUEST) {
    return op === ARP_OP.REPLY;
  }
  fill(wc, K.nw_src);
  fill(wc, K.nw_dst);
  return get(key, K.nw_src) === get(key, K.nw_dst);
}

/** False, and a text why, if the packet must not go on. */
function isAdmissible(ctx: XlateCtx, xport: XPort, xbundle: XBundle, vlan: number): boolean {
  const { xbridge, flow } = ctx;
  const dst = dlDst(flow);
  if (!xbridge.forwardBpdu && isReservedMac(dst.hi, dst.lo)) {
    report(ctx, "detail", "packet has reserved destination MAC, dropping");
    return false;
  }
  switch (xbundle.bond?.checkAdmissibility(xport, dst.hi)) {
    case "drop":
      report(ctx, "detail", "bonding refused admissibility, dropping");
      return false;
    case "drop-if-moved": {
      const src = dlSrc(flow);
      const e = xbridge.ml.lookup(src.hi, src.lo, vlan);
      if (
        e !== null &&
        e.bundle !== xbundle &&
        (!isGratuitousArp(flow, ctx.wc) || xbridge.ml.isGratArpLocked(e, ctx.xin.nowMs))
      ) {
        report(ctx, "detail", "SLB bond thinks this packet looped back, dropping");
        return false;
      }
      return true;
    }
    default:
      return true;
  }
}

/** Learns the source address (ovs: update_learning_table). */
function learnSource(ctx: XlateCtx, xbundle: XBundle, vlan: number, gratuitous: boolean): void {
  const src = dlSrc(ctx.flow);
  if (learnMac(ctx.xbridge, xbundle, src, vlan, gratuitous, ctx.xin.nowMs) && wantsDebug(ctx)) {
    const mac = formatMac(src.hi, src.lo);
    reportDebug(ctx, "detail", `learned that ${mac} is on port ${xbundle.name} in VLAN ${vlan}`);
  }
}

/** True if the address is new there. Also for statistics that come in later. */
export function learnMac(
  xbridge: XBridge,
  xbundle: XBundle,
  src: { readonly hi: number; readonly lo: number },
  vlan: number,
  gratuitousArp: boolean,
  nowMs: number,
): boolean {
  if (xbundle === OFPP_NONE_BUNDLE) {
    return false;
  }
  const isBond = xbundle.bond !== null;
  const sighting = { hi: src.hi, lo: src.lo, vlan, gratuitousArp, isBond, bundle: xbundle };
  return xbridge.ml.update(sighting, nowMs);
}

function unicast(ctx: XlateCtx, at: Place): void {
  const dst = dlDst(ctx.flow);
  const to = ctx.xbridge.ml.lookup(dst.hi, dst.lo, at.vlan)?.bundle ?? null;
  if (to === null) {
    report(ctx, "detail", "no learned MAC for destination, flooding");
    flood(ctx, at.xbundle, at.v);
  } else if (xbundleMirrorOut(ctx.xbridge, to) !== 0) {
    report(ctx, "warn", "learned port is a mirror port, dropping");
  } else if (to !== at.xbundle) {
    report(ctx, "detail", "forwarding to learned port");
    outputNormal(ctx, to, at.v);
  } else {
    report(ctx, "detail", "learned port is input port, dropping");
  }
}

/** The place of the packet in the bridge, or null with a text why it is dropped. */
function admit(ctx: XlateCtx, input: Input): Place | null {
  const { flow } = ctx;
  const { xbundle, xport } = input;
  const hasPacket = ctx.xin.packet !== null;
  if (isEthTypeVlan(get(flow, K.dl_type)) && (get(flow, K.vlan_tci) & VLAN_CFI) === 0) {
    if (hasPacket) {
      const text = "dropping packet with partial VLAN tag received on port";
      report(ctx, "error", `${text} ${xbundle.name}`);
    }
    report(ctx, "warn", "partial VLAN tag, dropping");
    return null;
  }
  if (xbundleMirrorOut(ctx.xbridge, xbundle) !== 0) {
    if (hasPacket) {
      const text = "which is reserved exclusively for mirroring";
      report(ctx, "error", `dropping packet received on port ${xbundle.name}, ${text}`);
    }
    report(ctx, "warn", "input port is mirror output port, dropping");
    return null;
  }
  const inVlan = xvlanExtract(flow);
  if (!vidIsValid(ctx, vidOf(inVlan), xbundle)) {
    report(ctx, "warn", "disallowed VLAN VID for this input port, dropping");
    return null;
  }
  const v = xvlanInput(xbundle, inVlan);
  const vlan = vidOf(v);
  if (xport !== null && !isAdmissible(ctx, xport, xbundle, vlan)) {
    return null;
  }
  return { xbundle, v, vlan };
}

export function xlateNormal(ctx: XlateCtx): void {
  const { flow, wc } = ctx;
  fill(wc, K.dl_src);
  fill(wc, K.dl_dst);
  orBits(wc, K.vlan_tci, VLAN_VID_MASK | VLAN_CFI);
  const input = lookupInput(ctx);
  if (input === null) {
    report(ctx, "warn", "no input bundle, dropping");
    return;
  }
  const at = admit(ctx, input);
  if (at === null) {
    return;
  }
  const gratuitousArp = isGratuitousArp(flow, wc);
  const { xport } = input;
  const isEth = getU(flow, K.packet_type) === PT.ETH;
  if (ctx.sideEffects && isEth && xport !== null && xport.ptMode !== "legacy_l3") {
    learnSource(ctx, at.xbundle, at.vlan, gratuitousArp);
  }
  if (ctx.xcache !== null && at.xbundle !== OFPP_NONE_BUNDLE) {
    const w = K.dl_src.word;
    ctx.xcache.push({
      kind: "normal",
      xbridge: ctx.xbridge,
      inPort: get(flow, K.in_port),
      dlSrc: flow.slice(w, w + 2),
      vlan: at.vlan,
      gratuitousArp,
    });
  }
  const { ms } = ctx.xbridge;
  const isMulticast = (dlDst(flow).hi & 0x0100) !== 0 && !isBroadcast(flow);
  if (ms !== null && isMulticast && isIpAny(flow)) {
    multicast(ctx, ms, at);
  } else {
    unicast(ctx, at);
  }
}
