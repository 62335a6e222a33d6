// Mirrors in translation: copies of a packet as it comes in or goes out.
//
// ovs: ofproto/ofproto-dpif-xlate.c mirror_packet, mirror_ingress_packet.

import { K, orBits } from "../flow/flow-key.ts";
import { VLAN_CFI, VLAN_VID_MASK } from "../flow/vlan-mpls.ts";
import { xbundleMirrorOut, xbundleMirrorSrc } from "./mirror.ts";
import { isReservedMac } from "./reserved-mac.ts";
import type { XBundle } from "./xbridge.ts";
import { dlDst, lookupInput, outputNormal, vidIsValid } from "./xlate-bundle.ts";
import type { XlateCtx } from "./xlate-ctx.ts";
import {
  firstHeader,
  includesVlan,
  vidOf,
  withFirst,
  type XVlan,
  xvlanExtract,
  xvlanInput,
} from "./xvlan.ts";

/** Sends copies into the VLAN that a mirror outputs to. */
function mirrorToVlan(ctx: XlateCtx, v: XVlan, outVlan: number): void {
  const { hi, lo } = dlDst(ctx.flow);
  if (vidOf(v) === outVlan || isReservedMac(hi, lo)) {
    return;
  }
  const moved = withFirst(v, { ...firstHeader(v), vid: outVlan });
  for (const xb of ctx.xbridge.xbundles) {
    if (includesVlan(xb, moved) && xbundleMirrorOut(ctx.xbridge, xb) === 0) {
      outputNormal(ctx, xb, moved);
    }
  }
}

/** Mirrors the packet, which comes in or goes out by `xbundle`, to a set of mirrors. */
export function mirrorPacket(ctx: XlateCtx, xbundle: XBundle, mirrors: number): void {
  const inVlan = xvlanExtract(ctx.flow);
  if (!vidIsValid(ctx, vidOf(inVlan), xbundle)) {
    return;
  }
  const v = xvlanInput(xbundle, inVlan);
  const { mbridge } = ctx.xbridge;
  let left = mirrors & ~ctx.mirrors;
  let used = 0;
  while (left !== 0) {
    const bit = left & -left;
    const m = mbridge.get(31 - Math.clz32(bit));
    if (m === null) {
      left &= ~bit;
      continue;
    }
    const s = m.settings;
    if (s.vlans !== null) {
      orBits(ctx.wc, K.vlan_tci, VLAN_CFI | VLAN_VID_MASK);
      if (s.vlans[vidOf(v)] === 0) {
        left &= ~bit;
        continue;
      }
    }
    used |= bit;
    // Noted first, so that the output below does not come here again for the same mirror.
    ctx.mirrors |= m.dups;
    ctx.mirrorSnaplen = s.snaplen;
    if (s.outBundle !== null) {
      outputNormal(ctx, s.outBundle, v);
    } else {
      mirrorToVlan(ctx, v, s.outVlan);
    }
    left &= ~ctx.mirrors;
    ctx.mirrorSnaplen = 0;
  }
  if (used !== 0) {
    if (ctx.stats !== null) {
      mbridge.updateStats(used, ctx.stats.packets, ctx.stats.bytes);
    }
    ctx.xcache?.push({ kind: "mirror", mbridge, mirrors: used });
  }
}

/** Mirrors the packet as it came in. */
export function mirrorIngressPacket(ctx: XlateCtx): void {
  if (!ctx.xbridge.mbridge.hasMirrors()) {
    return;
  }
  const input = lookupInput(ctx);
  if (input !== null) {
    mirrorPacket(ctx, input.xbundle, xbundleMirrorSrc(ctx.xbridge, input.xbundle));
  }
}
