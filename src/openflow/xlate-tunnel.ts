// Native tunnels in translation: headers are pushed and popped by the userspace datapath itself,
// and the outer packet then goes through the bridge that holds the route to the remote end.
//
// ovs: ofproto/ofproto-dpif-xlate.c native_tunnel_output, terminate_native_tunnel.

import type { OdpAction } from "../datapath/odp-action.ts";
import { VPORT_TYPE } from "../datapath/odp-action.ts";
import { IP_PROTO, isGarp, PT } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, isZero, K, newKey, set } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { formatIpv6Mapped, formatMac, isMappedIpv4 } from "../lib/address.ts";
import { cacheEffects } from "./cache-effects.ts";
import { composeArpRequest, composeNdSolicit } from "./neighbour-request.ts";
import { sourceAddress } from "./route-table.ts";
import { buildTunnelHeader } from "./tunnel-build.ts";
import { ODPP_NONE, type XBridge, type XPort } from "./xbridge.ts";
import { pushStats } from "./xlate-cache.ts";
import { report, tunnelDst, type XlateCtx } from "./xlate-ctx.ts";
import { patchPortOutput } from "./xlate-patch.ts";

/** Tunnels are pushed natively, not left to a kernel; asked where there is a tunnel port. */
export function nativeTunnelIsOn(ctx: XlateCtx): boolean {
  return ctx.xbridge.support.tnl_push_pop;
}

interface NextHop {
  readonly ip: Uint32Array;
  readonly src: Uint32Array;
  readonly out: XPort;
}

function isSet(addr: Uint32Array): boolean {
  return addr.some((w) => w !== 0);
}

/** The port of a device: the local port of the bridge with its name, or any. */
function portOfDevice(ctx: XlateCtx, name: string): XPort | null {
  const bridges: XBridge[] = [...ctx.xin.xcfg.bridgesById.values()];
  for (const xb of [...bridges.filter((b) => b.name === name), ...bridges]) {
    for (const p of xb.xports.values()) {
      if (p.name === name) {
        return p;
      }
    }
  }
  return null;
}

function lookupRoute(ctx: XlateCtx): NextHop | null {
  const { flow } = ctx;
  const dst = tunnelDst(flow);
  const v4 = getU(flow, K.tun_src);
  const wanted = v4 !== 0 ? Uint32Array.of(0, 0, 0xffff, v4) : new Uint32Array(4);
  const { routes } = ctx.xin.xcfg.native;
  const r = routes.lookup(getU(flow, K.pkt_mark), dst, wanted);
  const out = r === null ? null : portOfDevice(ctx, r.dev);
  if (r === null || out === null) {
    return null;
  }
  const viaGateway = isSet(r.gateway) && (!isMappedIpv4(r.gateway) || r.gateway[3] !== 0);
  return { ip: viaGateway ? r.gateway : dst, src: r.src, out };
}

/** Asks for the address of a next hop that nobody knows. */
function requestNeighbour(ctx: XlateCtx, hop: NextHop, smac: readonly [number, number]): void {
  const { native } = ctx.xin.xcfg;
  const bridge = hop.out.xbridge.name;
  const src = sourceAddress(native.device(bridge), hop.ip) ?? hop.src;
  const packet = isMappedIpv4(hop.ip)
    ? composeArpRequest(smac, src[3] as number, hop.ip[3] as number)
    : composeNdSolicit(smac, src, hop.ip);
  native.sendToTable?.(hop.out, packet, ctx.depth, ctx.resubmits);
}

function innerProtocol(tnlType: number): number {
  switch (tnlType) {
    case VPORT_TYPE.gre:
    case VPORT_TYPE.ip6gre:
    case VPORT_TYPE.erspan:
    case VPORT_TYPE.ip6erspan:
      return IP_PROTO.GRE;
    default:
      return IP_PROTO.UDP;
  }
}

interface Outer {
  readonly dmac: readonly [number, number];
  readonly smac: readonly [number, number];
  readonly src: Uint32Array;
  readonly isIpv6: boolean;
  readonly proto: number;
}

/** Makes `to` the outer packet of the tunnel in `from`; both may be the same key. */
function becomeOuter(to: FlowKey, from: FlowKey, o: Outer): void {
  to.set(o.dmac, K.dl_dst.word);
  to.set(o.smac, K.dl_src.word);
  to.fill(0, K.vlan_tpid.word, K.vlan_tci1.word + 1);
  set(to, K.packet_type, PT.ETH);
  set(to, K.nw_dst, getU(from, K.tun_dst));
  set(to, K.nw_src, getU(from, K.tun_src));
  const words = (slot: { word: number }): Uint32Array => from.slice(slot.word, slot.word + 4);
  to.set(words(K.tun_ipv6_dst), K.ipv6_dst.word);
  to.set(words(K.tun_ipv6_src), K.ipv6_src.word);
  set(to, K.nw_frag, 0);
  set(to, K.nw_tos, get(from, K.tun_tos));
  set(to, K.nw_ttl, get(from, K.tun_ttl));
  set(to, K.tp_dst, get(from, K.tun_tp_dst));
  set(to, K.tp_src, get(from, K.tun_tp_src));
  if (o.isIpv6) {
    set(to, K.dl_type, ETH_TYPE.IPV6);
    if (isZero(to, K.ipv6_src)) {
      to.set(o.src, K.ipv6_src.word);
    }
  } else {
    set(to, K.dl_type, ETH_TYPE.IP);
    if (getU(to, K.nw_src) === 0) {
      set(to, K.nw_src, isMappedIpv4(o.src) ? (o.src[3] as number) : 0);
    }
  }
  set(to, K.nw_proto, o.proto);
}

/**
 * Translates the outer packet in the bridge of `out`. It sees no packet and no side effects; what
 * it would credit is credited with the bytes of the outer packet.
 */
function translateOuter(
  ctx: XlateCtx,
  from: XPort,
  out: XPort,
  headerBytes: number,
  isLast: boolean,
): void {
  const old = {
    wc: ctx.wc,
    stats: ctx.stats,
    xcache: ctx.xcache,
    sideEffects: ctx.sideEffects,
    packet: ctx.packet,
  };
  ctx.wc = newKey();
  ctx.stats = null;
  ctx.xcache = [{ kind: "tunnel_header", bytes: headerBytes }];
  ctx.sideEffects = false;
  ctx.packet = null;
  patchPortOutput(ctx, from, out, isLast);
  const inner = ctx.xcache;
  if (old.stats !== null) {
    pushStats(
      inner,
      old.stats,
      cacheEffects(ctx.xin.xcfg, () => ctx.xin.nowMs),
    );
  }
  old.xcache?.push(...inner);
  ctx.wc = old.wc;
  ctx.stats = old.stats;
  ctx.xcache = old.xcache;
  ctx.sideEffects = old.sideEffects;
  ctx.packet = old.packet;
}

/** Pushes the tunnel header and lets the underlay translate the outer packet. */
export function nativeTunnelOutput(
  ctx: XlateCtx,
  xport: XPort,
  odpPort: number,
  truncate: boolean,
  isLast: boolean,
): void {
  const hop = lookupRoute(ctx);
  if (hop === null) {
    report(ctx, "warn", "native tunnel routing failed");
    return;
  }
  const { native } = ctx.xin.xcfg;
  const to = formatIpv6Mapped(hop.ip);
  report(ctx, "detail", `tunneling to ${to} via ${hop.out.name}`);
  const device = native.device(hop.out.name);
  if (device === null) {
    report(ctx, "warn", "tunnel output device lacks Ethernet address");
    return;
  }
  const smac = [device.macHi, device.macLo] as const;
  const bridge = hop.out.xbridge.name;
  const neighbour = native.neighbours.lookup(bridge, hop.ip, ctx.xin.nowMs);
  if (neighbour === null) {
    const what = isMappedIpv4(hop.ip) && hop.ip[3] !== 0 ? "ARP" : "ND";
    const miss = `neighbor cache miss for ${to} on bridge ${bridge}`;
    report(ctx, "detail", `${miss}, sending ${what} request`);
    requestNeighbour(ctx, hop, smac);
    return;
  }
  ctx.xcache?.push({ kind: "tnl_neigh", bridge, ip: hop.ip });
  const dmac = [neighbour.macHi, neighbour.macLo] as const;
  if (ctx.rec.on) {
    const source = `${formatMac(...smac)} ${formatIpv6Mapped(hop.src)}`;
    report(ctx, "detail", `tunneling from ${source} to ${formatMac(...dmac)} ${to}`);
  }
  const tunnel = xport.tunnel;
  const table = ctx.xbridge.tunTable;
  const h =
    tunnel === null
      ? null
      : buildTunnelHeader({ tunnel, flow: ctx.flow, src: hop.src, dmac, smac, table });
  if (h === null) {
    report(ctx, "warn", "native tunnel header build failed");
    return;
  }
  const push: OdpAction = {
    kind: "tnl_push",
    tnlPort: odpPort,
    outPort: hop.out.odpPort,
    tnlType: h.tnlType,
    header: h.header,
  };
  emit(
    ctx,
    xport,
    hop.out,
    push,
    { truncate, isLast },
    {
      dmac,
      smac,
      src: hop.src,
      isIpv6: h.isIpv6,
      proto: innerProtocol(h.tnlType),
    },
  );
}

/** Appends the push with what the underlay does behind it, in a clone unless it is the last. */
function emit(
  ctx: XlateCtx,
  xport: XPort,
  out: XPort,
  push: OdpAction & { kind: "tnl_push" },
  how: { readonly truncate: boolean; readonly isLast: boolean },
  outer: Outer,
): void {
  const old = {
    flow: ctx.flow.slice(),
    base: ctx.baseFlow.slice(),
    odp: ctx.odp,
    sflowOutputs: ctx.sflowOutputs,
  };
  becomeOuter(ctx.baseFlow, ctx.flow, outer);
  becomeOuter(ctx.flow, ctx.flow, outer);
  ctx.odp = [push];
  if (how.truncate) {
    // The bytes that are cut off can only be counted in the datapath.
    ctx.odp.push({ kind: "recirc", recircId: 0 });
  } else {
    translateOuter(ctx, xport, out, push.header.length, how.isLast);
  }
  const made = ctx.odp;
  ctx.odp = old.odp;
  if (made.length > 1) {
    if (how.isLast) {
      ctx.odp.push(...made);
    } else {
      ctx.odp.push({ kind: "clone", actions: made });
    }
  }
  ctx.flow.set(old.flow);
  ctx.baseFlow.set(old.base);
  ctx.sflowOutputs = old.sflowOutputs;
}

/** Solicited-node multicast (RFC 4291 §2.7.1) of an address, or the address itself. */
function isNdDst(flow: FlowKey, addr: Uint32Array): boolean {
  const w = K.ipv6_dst.word;
  const last = flow[w + 3] as number;
  const linkLocal = ((flow[w] as number) & 0xff0f0000) >>> 0 === 0xff020000;
  if (linkLocal && ((flow[w + 2] as number) & 0xff) === 1 && last >>> 24 === 0xff) {
    return (last & 0xffffff) === ((addr[3] as number) & 0xffffff);
  }
  return addr.every((x, i) => x === flow[w + i]);
}

function isReplyTo(flow: FlowKey, addr: Uint32Array): boolean {
  if (isMappedIpv4(addr)) {
    return get(flow, K.dl_type) === ETH_TYPE.ARP && addr[3] === getU(flow, K.nw_dst);
  }
  return isNdDst(flow, addr);
}

/** An ARP or neighbour discovery packet for an address of this bridge. */
function isNeighbourReply(ctx: XlateCtx): boolean {
  const { flow } = ctx;
  if (get(flow, K.dl_type) !== ETH_TYPE.ARP && get(flow, K.nw_proto) !== IP_PROTO.ICMPV6) {
    return false;
  }
  const local = ctx.xin.xcfg.native.device(ctx.xbridge.name)?.addresses ?? [];
  if (local.some((a) => isReplyTo(flow, a.addr))) {
    return true;
  }
  for (const p of ctx.xbridge.xports.values()) {
    const [first] = p.addresses;
    if (first !== undefined && isReplyTo(flow, first)) {
      return true;
    }
  }
  return false;
}

/** The datapath port of the tunnel that the packet, about to leave by `xport`, belongs to. */
export function terminateNativeTunnel(ctx: XlateCtx, xport: XPort): number {
  const { xcfg, nowMs } = ctx.xin;
  const on = ctx.xbridge.support.tnl_push_pop && xcfg.tunnels.count(ctx.xbridge.dpType) > 0;
  if (!on || xport.addresses.length === 0) {
    return ODPP_NONE;
  }
  const { flow, wc } = ctx;
  const { native } = xcfg;
  const port = native.map.lookup(flow, wc);
  const bridge = ctx.xbridge.name;
  if (port === ODPP_NONE) {
    if (isNeighbourReply(ctx) || isGarp(flow, wc)) {
      native.neighbours.snoop(flow, wc, bridge, ctx.sideEffects ? nowMs : null);
    }
    return ODPP_NONE;
  }
  const dlType = get(flow, K.dl_type);
  if (ctx.sideEffects && (dlType === ETH_TYPE.IP || dlType === ETH_TYPE.IPV6)) {
    // Whoever sends through the tunnel is a neighbour, or behind one.
    const w = K.ipv6_src.word;
    const ip =
      dlType === ETH_TYPE.IP
        ? Uint32Array.of(0, 0, 0xffff, getU(flow, K.nw_src))
        : flow.slice(w, w + 4);
    const s = K.dl_src.word;
    native.neighbours.set(bridge, ip, flow[s] as number, flow[s + 1] as number, nowMs);
  }
  return port;
}
