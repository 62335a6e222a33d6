// The megaflow mask of a translation: what it always matches, and what a datapath cannot or need
// not match, which is dropped at the end.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_wc_init, xlate_wc_finish and the conversions of tunnel
// metadata in xlate_actions.

import { TNL_F_UDPIF } from "../flow/extract.ts";
import { isIcmpv4, isIcmpv6, isIpAny, PT, tunnelDstIsSet } from "../flow/flow-is.ts";
import { clear, type FlowKey, fill, get, getU, isZero, K, orBits, set } from "../flow/flow-key.ts";
import { setTunMdByte, tunMdByte } from "../flow/tun-metadata.ts";
import { ETH_TYPE, isEthTypeMpls, isEthTypeVlan, VLAN_CFI } from "../flow/vlan-mpls.ts";
import { geneveMask, geneveToKey } from "./tunnel-options.ts";
import { tnlWcInit } from "./tunnel-ports.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";

const NW_FRAG_MASK = 3;
const NW_FRAG_LATER = 2;
const IP_DSCP_MASK = 0xfc;

/** Tunnel slots are the first words of a key. */
export const TUNNEL_WORDS = K.tun_md_opts.word + K.tun_md_opts.words;

/** What a megaflow always matches. */
export function wcInit(ctx: XlateCtx): void {
  const { wc, flow } = ctx;
  fill(wc, K.packet_type);
  fill(wc, K.in_port);
  fill(wc, K.dl_type);
  if (isIpAny(flow)) {
    orBits(wc, K.nw_frag, NW_FRAG_MASK);
  }
  if (ctx.xbridge.support.recirc) {
    fill(wc, K.recirc_id);
  }
  if (ctx.xbridge.netflow) {
    netflowMask(ctx);
  }
  tnlWcInit(flow, wc);
}

/** NetFlow records tell addresses, ports and the type of service (ovs: netflow_mask_wc). */
function netflowMask(ctx: XlateCtx): void {
  const { wc, flow } = ctx;
  if (get(flow, K.dl_type) !== ETH_TYPE.IP) {
    return;
  }
  fill(wc, K.nw_proto);
  fill(wc, K.nw_src);
  fill(wc, K.nw_dst);
  orBits(wc, K.nw_tos, IP_DSCP_MASK);
  fill(wc, K.tp_src);
  fill(wc, K.tp_dst);
}

/** Drops bits that a datapath cannot or need not match. */
export function wcFinish(ctx: XlateCtx): void {
  const { wc, flow } = ctx;
  const received = ctx.xin.flow;
  wc.fill(0, K.metadata.word, K.reg15.word + 1);
  set(wc, K.actset_output, 0);
  set(wc, K.conj_id, 0);
  if (getU(received, K.packet_type) !== PT.ETH) {
    clear(wc, K.dl_dst);
    clear(wc, K.dl_src);
  }
  // Type and code have 8 bits in the datapath.
  if (isIcmpv4(flow, null) || isIcmpv6(flow, null)) {
    set(wc, K.tp_src, get(wc, K.tp_src) & 0xff);
    set(wc, K.tp_dst, get(wc, K.tp_dst) & 0xff);
  }
  for (const [tpid, tci] of VLAN_SLOTS) {
    if (get(wc, tci) !== 0) {
      orBits(wc, tci, VLAN_CFI);
    }
    if (!isEthTypeVlan(get(received, tpid))) {
      set(wc, tpid, 0);
      set(wc, tci, 0);
    }
  }
  if ((get(flow, K.nw_frag) & NW_FRAG_LATER) !== 0) {
    set(wc, K.tp_src, 0);
    set(wc, K.tp_dst, 0);
  }
  if (!isEthTypeMpls(get(received, K.dl_type))) {
    wc.fill(0, K.mpls_lse.word, K.mpls_lse2.word + 1);
  }
  if (!tunnelDstIsSet(received)) {
    wc.fill(0, 0, TUNNEL_WORDS);
  }
}

const VLAN_SLOTS = [
  [K.vlan_tpid, K.vlan_tci],
  [K.vlan_tpid1, K.vlan_tci1],
] as const;

/** Geneve options of a received packet are raw; tables know them by the bridge's TLV map. */
export function normalizeTunnel(ctx: XlateCtx): boolean {
  const { flow, xin } = ctx;
  if ((get(xin.flow, K.tun_flags) & TNL_F_UDPIF) === 0) {
    return true;
  }
  set(flow, K.tun_flags, get(flow, K.tun_flags) & ~TNL_F_UDPIF);
  if (!geneveToKey(rawGeneve(xin.flow), ctx.xbridge.tunTable, flow)) {
    report(ctx, "error", "Invalid Geneve tunnel metadata");
    ctx.error = "invalid_tunnel_metadata";
    return false;
  }
  return true;
}

/** Turns the mask of tunnel options into the form that the packet has them in. */
export function maskGeneve(ctx: XlateCtx): void {
  const { wc, xin } = ctx;
  const present = K.tun_md_present;
  if ((get(xin.flow, K.tun_flags) & TNL_F_UDPIF) === 0) {
    if (xin.tunTableKnown !== true && isZero(xin.flow, present)) {
      wc.fill(0, present.word, TUNNEL_WORDS);
    }
    return;
  }
  const raw = rawGeneve(xin.flow);
  const mask = isZero(wc, present) ? null : geneveMask(wc, raw, ctx.xbridge.tunTable);
  wc.fill(0, present.word, TUNNEL_WORDS);
  if (mask !== null) {
    mask.forEach((b, i) => {
      setTunMdByte(wc, i, b);
    });
  }
  wc[present.word + 1] = 0xff;
  orBits(wc, K.tun_flags, TNL_F_UDPIF);
}

/** Raw Geneve options in a key; tun_md_present then holds their length. */
function rawGeneve(key: FlowKey): Uint8Array {
  const out = new Uint8Array(key[K.tun_md_present.word + 1] as number);
  for (let i = 0; i < out.length; i++) {
    out[i] = tunMdByte(key, i);
  }
  return out;
}
