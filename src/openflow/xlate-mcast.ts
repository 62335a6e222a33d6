// Multicast in NORMAL: to where the listeners are.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_normal, xlate_normal_mcast_send_*.

import { SLOW } from "../datapath/odp-action.ts";
import { isIgmp, isMld, isMldReport } from "../flow/flow-is.ts";
import { type FlowKey, fill, get, getU, K } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import {
  isIgmpMembership,
  isIgmpQuery,
  type McastGroup,
  type McastSnooping,
  mappedIpv4,
} from "./mcast-snooping.ts";
import type { XBundle } from "./xbridge.ts";
import { flood, outputNormal, type Place } from "./xlate-bundle.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";
import { updateMcastSnooping } from "./xlate-mcast-learn.ts";
import type { XVlan } from "./xvlan.ts";

/** Adds bundles with routers of the VLAN. */
function addRouters(
  ctx: XlateCtx,
  ms: McastSnooping,
  inBundle: XBundle,
  vlan: number,
  out: XBundle[],
): void {
  for (const r of ms.routers()) {
    if (r.bundle !== inBundle && r.vlan === vlan) {
      report(ctx, "detail", "forwarding to mcast router port");
      out.push(r.bundle);
    } else if (r.vlan !== vlan) {
      report(ctx, "detail", "mcast router is on another vlan, dropping");
    } else {
      report(ctx, "detail", "mcast router port is input port, dropping");
    }
  }
}

function addReportBundles(
  ctx: XlateCtx,
  ms: McastSnooping,
  inBundle: XBundle,
  out: XBundle[],
): void {
  for (const b of ms.reportBundles) {
    if (b !== inBundle) {
      report(ctx, "detail", "forwarding report to mcast flagged port");
      out.push(b);
    } else {
      report(ctx, "detail", "mcast port is input port, dropping the Report");
    }
  }
}

function addFloodBundles(
  ctx: XlateCtx,
  ms: McastSnooping,
  inBundle: XBundle,
  out: XBundle[],
): void {
  for (const b of ms.floodBundles) {
    if (b !== inBundle) {
      report(ctx, "detail", "forwarding to mcast flood port");
      out.push(b);
    } else {
      report(ctx, "detail", "mcast flood port is input port, dropping");
    }
  }
}

function addGroup(ctx: XlateCtx, group: McastGroup, inBundle: XBundle, out: XBundle[]): void {
  for (const b of group.bundles.values()) {
    if (b.bundle !== inBundle) {
      report(ctx, "detail", "forwarding to mcast group port");
      out.push(b.bundle);
    } else {
      report(ctx, "detail", "mcast group port is input port, dropping");
    }
  }
}

/** ff02::1 and 224.0.0.0/24, which every switch must flood (RFC 4541 §2.1.2, §3). */
function isLocalMulticast(key: FlowKey, wc: FlowKey): boolean {
  switch (get(key, K.dl_type)) {
    case ETH_TYPE.IP:
      fill(wc, K.nw_dst);
      return getU(key, K.nw_dst) >>> 8 === 0xe00000;
    case ETH_TYPE.IPV6: {
      fill(wc, K.ipv6_dst);
      const w = K.ipv6_dst.word;
      return key[w] === 0xff020000 && key[w + 1] === 0 && key[w + 2] === 0 && key[w + 3] === 1;
    }
    default:
      return false;
  }
}

function outputAll(ctx: XlateCtx, out: readonly XBundle[], v: XVlan): void {
  for (const b of out) {
    outputNormal(ctx, b, v);
  }
}

/** A report goes to routers only (RFC 4541 §2.1.1), and where the configuration says so. */
function forwardReport(ctx: XlateCtx, ms: McastSnooping, at: Place): void {
  const out: XBundle[] = [];
  addRouters(ctx, ms, at.xbundle, at.vlan, out);
  addReportBundles(ctx, ms, at.xbundle, out);
  outputAll(ctx, out, at.v);
}

/** Forwards an IP multicast packet in a bridge that snoops. */
export function multicast(ctx: XlateCtx, ms: McastSnooping, at: Place): void {
  const { flow, wc } = ctx;
  if (isIgmp(flow, wc)) {
    // Reports must be seen by the switch itself, or entries would age although hosts report.
    ctx.slow |= SLOW.ACTION;
    const type = get(flow, K.tp_src);
    if (isIgmpMembership(type) || isIgmpQuery(type)) {
      updateMcastSnooping(ctx, ms, at.xbundle, at.vlan);
    }
    if (isIgmpMembership(type)) {
      forwardReport(ctx, ms, at);
    } else {
      report(ctx, "detail", "multicast traffic, flooding");
      flood(ctx, at.xbundle, at.v);
    }
    return;
  }
  if (isMld(flow, wc)) {
    ctx.slow |= SLOW.ACTION;
    updateMcastSnooping(ctx, ms, at.xbundle, at.vlan);
    if (isMldReport(flow, wc)) {
      forwardReport(ctx, ms, at);
    } else {
      report(ctx, "detail", "MLD query, flooding");
      flood(ctx, at.xbundle, at.v);
    }
    return;
  }
  if (isLocalMulticast(flow, wc)) {
    report(ctx, "detail", "RFC4541: section 2.1.2, item 2, flooding");
    flood(ctx, at.xbundle, at.v);
    return;
  }
  forwardToGroup(ctx, ms, at);
}

function forwardToGroup(ctx: XlateCtx, ms: McastSnooping, at: Place): void {
  const { flow } = ctx;
  const w = K.ipv6_dst.word;
  const isIpv4 = get(flow, K.dl_type) === ETH_TYPE.IP;
  const addr = isIpv4 ? mappedIpv4(getU(flow, K.nw_dst)) : flow.slice(w, w + 4);
  const group = ms.lookup(addr, at.vlan);
  const out: XBundle[] = [];
  if (group !== null) {
    addGroup(ctx, group, at.xbundle, out);
    addFloodBundles(ctx, ms, at.xbundle, out);
    addRouters(ctx, ms, at.xbundle, at.vlan, out);
  } else if (ms.floodUnreg) {
    report(ctx, "detail", "unregistered multicast, flooding");
    flood(ctx, at.xbundle, at.v);
    return;
  } else {
    addRouters(ctx, ms, at.xbundle, at.vlan, out);
    addFloodBundles(ctx, ms, at.xbundle, out);
  }
  outputAll(ctx, out, at.v);
}
