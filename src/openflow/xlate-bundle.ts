// Bundles in translation: the one that a packet came in by, and output by others with their VLANs.
//
// ovs: ofproto/ofproto-dpif-xlate.c lookup_input_bundle, input_vid_is_valid, output_normal,
// xlate_normal_flood.

import { type FlowKey, get, K, orBits } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { VLAN_PCP_MASK } from "../flow/vlan-mpls.ts";
import { xbundleMirrorOut } from "./mirror.ts";
import { OFPP_NONE_BUNDLE, type XBridge, type XBundle, type XPort } from "./xbridge.ts";
import { type BondRecirc, report, type XlateCtx } from "./xlate-ctx.ts";
import {
  allowsCvlan,
  firstHeader,
  includesVlan,
  trunksVlan,
  vidOf,
  withFirst,
  type XVlan,
  xvlanOutput,
  xvlanPut,
} from "./xvlan.ts";

const VLAN_WORDS_START = K.vlan_tpid.word;
const VLAN_WORDS_END = K.vlan_tci1.word + 1;

/** Where a packet is in the bridge. */
export interface Place {
  readonly xbundle: XBundle;
  readonly v: XVlan;
  readonly vlan: number;
}

export interface Input {
  readonly xbundle: XBundle;
  readonly xport: XPort | null;
}

/** The bundle of an input port; a stand-in for packets that the controller sends. */
export function inputBundle(xbridge: XBridge, ofpPort: number): Input | null {
  const xport = xbridge.xports.get(ofpPort) ?? null;
  if (xport?.xbundle) {
    return { xbundle: xport.xbundle, xport };
  }
  if (ofpPort === OFPP.CONTROLLER || ofpPort === OFPP.NONE) {
    return { xbundle: OFPP_NONE_BUNDLE, xport };
  }
  return null;
}

export function lookupInput(ctx: XlateCtx): Input | null {
  const inPort = get(ctx.flow, K.in_port);
  const input = inputBundle(ctx.xbridge, inPort);
  if (input === null) {
    report(ctx, "error", `received packet on unknown port ${inPort}`);
  }
  return input;
}

/** True if packets with that VLAN id may come in by a bundle; says why not. */
export function vidIsValid(ctx: XlateCtx, vid: number, b: XBundle): boolean {
  if (b === OFPP_NONE_BUNDLE) {
    return true;
  }
  switch (b.vlanMode) {
    case "access":
      if (vid !== 0) {
        report(
          ctx,
          "error",
          `dropping VLAN ${vid} tagged packet received on port ${b.name} configured as VLAN ` +
            `${b.vlan} access port`,
        );
        return false;
      }
      return true;
    case "native-untagged":
    case "native-tagged":
    case "trunk":
      if (vid === 0 && b.vlanMode !== "trunk") {
        return true; // the native VLAN
      }
      if (!trunksVlan(b, vid)) {
        report(
          ctx,
          "error",
          `dropping VLAN ${vid} packet received on port ${b.name} not configured for trunking ` +
            `VLAN ${vid}`,
        );
        return false;
      }
      return true;
    case "dot1q-tunnel":
      if (!allowsCvlan(b, vid)) {
        report(
          ctx,
          "error",
          `dropping VLAN ${vid} packet received on dot1q-tunnel port ${b.name} that excludes ` +
            "this VLAN",
        );
        return false;
      }
      return true;
  }
}

/** The member of a bonded bundle that takes the packet, and how. */
function chooseMember(
  ctx: XlateCtx,
  out: XBundle,
  vid: number,
): { readonly xport: XPort; readonly recirc: BondRecirc | null } | null {
  const bond = out.bond;
  if (bond === null) {
    const [xport] = out.xports;
    return xport === undefined ? null : { xport, recirc: null };
  }
  let recirc: BondRecirc | null = null;
  if (ctx.xbridge.support.recirc && bond.mayRecirc()) {
    if (ctx.sideEffects) {
      bond.updatePostRecirc(false);
    }
    recirc = {
      recircId: bond.recircId,
      hashAlg: "l4",
      hashBasis: bond.settings.basis,
      lbOutput: bond.useLbOutput(),
    };
  }
  // The datapath's hash needs nothing unmasked.
  const xport = bond.chooseOutput(ctx.flow, recirc === null ? ctx.wc : null, vid);
  if (xport === null) {
    return null;
  }
  if (recirc === null) {
    if (ctx.stats !== null) {
      bond.account(ctx.flow, vid, ctx.stats.bytes);
    }
    ctx.xcache?.push({ kind: "bond", bond, flow: ctx.flow.slice(), vid });
  }
  return { xport, recirc };
}

/** Sends the packet by a bundle, with the VLAN headers that it leaves with. */
export function outputNormal(ctx: XlateCtx, out: XBundle, v: XVlan): void {
  if (out.vlanMode === "dot1q-tunnel" && out.cvlans !== null) {
    orBits(ctx.wc, K.vlan_tci1, 0xffff);
  }
  let outVlan = xvlanOutput(out, v);
  if (out.priorityTags !== "never") {
    const pcp = get(ctx.flow, K.vlan_tci) & VLAN_PCP_MASK;
    outVlan = withFirst(outVlan, { ...firstHeader(outVlan), pcp });
  }
  if (out.xports.length === 0) {
    return;
  }
  const member = chooseMember(ctx, out, vidOf(outVlan));
  if (member === null) {
    return;
  }
  const old = ctx.flow.slice(VLAN_WORDS_START, VLAN_WORDS_END);
  xvlanPut(ctx.flow, outVlan, out.priorityTags);
  ctx.ops.composeOutput(ctx, member.xport.ofpPort, member.recirc, false, false);
  ctx.flow.set(old, VLAN_WORDS_START);
}

/** To every bundle of the VLAN but the input. */
export function flood(ctx: XlateCtx, inBundle: XBundle, v: XVlan): void {
  for (const xb of ctx.xbridge.xbundles) {
    if (
      xb !== inBundle &&
      includesVlan(xb, v) &&
      xb.floodable &&
      xbundleMirrorOut(ctx.xbridge, xb) === 0
    ) {
      outputNormal(ctx, xb, v);
    }
  }
}

export function dlDst(key: FlowKey): { readonly hi: number; readonly lo: number } {
  const w = K.dl_dst.word;
  return { hi: key[w] as number, lo: key[w + 1] as number };
}

export function dlSrc(key: FlowKey): { readonly hi: number; readonly lo: number } {
  const w = K.dl_src.word;
  return { hi: key[w] as number, lo: key[w + 1] as number };
}

export function isBroadcast(key: FlowKey): boolean {
  const { hi, lo } = dlDst(key);
  return hi === 0xffff && lo === 0xffffffff;
}
