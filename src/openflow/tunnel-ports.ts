// OpenFlow tunnel ports: which of them a received tunnel packet belongs to, and what they put around
// a packet that they send.
//
// All tunnels of a type share one datapath port. A received packet is told apart by key and
// addresses: a port may ask for certain values, take any, or leave them to the flow table. The
// twelve combinations are tried from the most to the least specific.
//
// Invariants
// - No two ports ask for exactly the same. A second one is refused and sends nothing.
// - "src" and "dst" of a port are those of packets that it sends: a received packet matches with
//   its source against `dst`.
// ovs: ofproto/tunnel.c.

import { isIpAny, TNL_F, tunnelDstIsSet } from "../flow/flow-is.ts";
import { type FlowKey, fill, get, getU, K, orBits, set } from "../flow/flow-key.ts";
import { formatIpv6Mapped, isMappedIpv4 } from "../lib/address.ts";
import { bswap32 } from "../lib/bytes.ts";
import { hashWords } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Vlog } from "../lib/vlog.ts";
import { formatAltHex, formatAltHex64 } from "../lib/number.ts";
import { formatFlow } from "./flow-format.ts";
import type { TunnelConfig, TunnelType } from "./tunnel-config.ts";
import { ODPP_NONE, type PtMode, type XlateConfig, type XPort } from "./xbridge.ts";

/** Of warnings about packets of tunnels. */
export const TUNNEL_LIMIT = { name: "tunnel", rate: 1, burst: 5 } as const;
/** Of what is said about each translation of one. */
export const TUNNEL_DEBUG_LIMIT = { name: "tunnel_dbg", rate: 60, burst: 60 } as const;

const ECN_MASK = 3;
const ECN_CE = 3;
const ECN_ECT_0 = 2;
const DSCP_MASK = 0xfc;

/** What a port asks of a received packet. */
interface TunnelMatch {
  readonly inKey: readonly [number, number];
  readonly src: Uint32Array;
  readonly dst: Uint32Array;
  readonly odpPort: number;
  readonly inKeyFlow: boolean;
  readonly ipSrcFlow: boolean;
  readonly ipDstFlow: boolean;
  readonly ptMode: PtMode;
}

/** A tunnel port; `xport.tunnel` points to it. */
export interface TunnelPort {
  readonly name: string;
  readonly type: TunnelType;
  readonly xport: XPort;
  readonly cfg: TunnelConfig;
  /** The datapath port that it shares with others of its type; ODPP_NONE if it was refused. */
  odpPort: number;
}

type SrcType = 0 | 1 | 2;
const SRC_CFG: SrcType = 0;
const SRC_ANY: SrcType = 1;
const SRC_FLOW: SrcType = 2;
const MATCH_TYPES = 12;
const PT_NUMBER: Readonly<Record<PtMode, number>> = { aware: 0, legacy_l2: 1, legacy_l3: 2 };
const NO_ADDRESS = new Uint32Array(4);

function matchOf(t: TunnelPort): TunnelMatch {
  return {
    inKey: t.cfg.inKey,
    src: t.cfg.src,
    dst: t.cfg.dst,
    odpPort: t.odpPort,
    inKeyFlow: t.cfg.inKeyFlow,
    ipSrcFlow: t.cfg.ipSrcFlow,
    ipDstFlow: t.cfg.ipDstFlow,
    ptMode: t.cfg.ptMode,
  };
}

/** The structure that Open vSwitch hashes, word by word as a little-endian machine has it. */
function matchWords(m: TunnelMatch): Uint32Array {
  const flags = (m.inKeyFlow ? 1 : 0) | (m.ipSrcFlow ? 0x100 : 0) | (m.ipDstFlow ? 0x10000 : 0);
  const wire = [...m.inKey, ...m.src, ...m.dst].map(bswap32);
  return Uint32Array.of(...wire, m.odpPort, flags, PT_NUMBER[m.ptMode], 0);
}

function matchKey(m: TunnelMatch): string {
  return matchWords(m).join(" ");
}

function mapIndex(m: TunnelMatch): number {
  const any = m.src.every((w) => w === 0);
  const src = m.ipSrcFlow ? SRC_FLOW : any ? SRC_ANY : SRC_CFG;
  return 6 * (m.inKeyFlow ? 1 : 0) + 3 * (m.ipDstFlow ? 1 : 0) + src;
}

/** An address of a key: IPv4 mapped if there is one. */
function tunnelAddress(v4: number, key: FlowKey, v6Word: number): Uint32Array {
  return v4 !== 0 ? Uint32Array.of(0, 0, 0xffff, v4) : key.slice(v6Word, v6Word + 4);
}

/** All tunnel ports of a switch. */
export class TunnelPorts {
  readonly #maps: OvsMap<string, TunnelPort>[] = Array.from(
    { length: MATCH_TYPES },
    () => new OvsMap<string, TunnelPort>(hashKey),
  );
  readonly #keys = new Map<TunnelPort, { readonly index: number; readonly key: string }>();

  /** Adds a port. Returns the port that asks for the same already, or null if all is well. */
  add(t: TunnelPort): TunnelPort | null {
    const m = matchOf(t);
    const index = mapIndex(m);
    const key = matchKey(m);
    const map = this.#maps[index];
    const existing = map?.get(key);
    if (existing !== undefined) {
      return existing;
    }
    map?.set(key, t);
    this.#keys.set(t, { index, key });
    return null;
  }

  remove(t: TunnelPort): void {
    const at = this.#keys.get(t);
    if (at !== undefined) {
      this.#maps[at.index]?.delete(at.key);
      this.#keys.delete(t);
    }
  }

  has(t: TunnelPort): boolean {
    return this.#keys.has(t);
  }

  /** Number of ports of bridges of a datapath type. */
  count(dpType: string): number {
    let n = 0;
    for (const t of this.#keys.keys()) {
      n += t.xport.xbridge.dpType === dpType ? 1 : 0;
    }
    return n;
  }

  /** In the order of ofproto/list-tunnels. */
  *list(): Generator<TunnelPort> {
    for (const map of this.#maps) {
      yield* map.values();
    }
  }

  /** The port that a received packet belongs to; in_port of the key is a datapath port. */
  find(flow: FlowKey): TunnelPort | null {
    const id = K.tun_id.word;
    const flowKey: readonly [number, number] = [flow[id] as number, flow[id + 1] as number];
    const outerDst = tunnelAddress(getU(flow, K.tun_dst), flow, K.tun_ipv6_dst.word);
    const outerSrc = tunnelAddress(getU(flow, K.tun_src), flow, K.tun_ipv6_src.word);
    const isL3 = getU(flow, K.packet_type) >>> 16 === 1;
    for (let i = 0; i < MATCH_TYPES; i++) {
      const map = this.#maps[i];
      if (map === undefined || map.size === 0) {
        continue;
      }
      const inKeyFlow = i >= 6;
      const ipDstFlow = i % 6 >= 3;
      const src = i % 3;
      const m: TunnelMatch = {
        inKey: inKeyFlow ? [0, 0] : flowKey,
        src: src === SRC_CFG ? outerDst : NO_ADDRESS,
        dst: ipDstFlow ? NO_ADDRESS : outerSrc,
        odpPort: getU(flow, K.in_port),
        inKeyFlow,
        ipDstFlow,
        ipSrcFlow: src === SRC_FLOW,
        ptMode: isL3 ? "legacy_l3" : "legacy_l2",
      };
      const found = map.get(matchKey(m)) ?? map.get(matchKey({ ...m, ptMode: "aware" }));
      if (found !== undefined) {
        return found;
      }
    }
    return null;
  }
}

function hashKey(key: string): number {
  const words = Uint32Array.from(key.split(" ").map(Number));
  return hashWords(words, 0, words.length, 0);
}

/** True if the packet came by a tunnel. */
export function tnlPortShouldReceive(flow: FlowKey): boolean {
  return tunnelDstIsSet(flow);
}

/** The port that a packet which came by a tunnel belongs to; in_port is a datapath port. */
export function tnlPortReceive(xcfg: XlateConfig, flow: FlowKey): XPort | null {
  const found = xcfg.tunnels.find(flow);
  xcfg.onTunnelPacket?.(found, flow);
  return found?.xport ?? null;
}

/** Takes a congestion mark of the outer header over. False if the packet must be dropped. */
export function tnlProcessEcn(flow: FlowKey): boolean {
  if (!tunnelDstIsSet(flow) || !isIpAny(flow) || (get(flow, K.tun_tos) & ECN_MASK) !== ECN_CE) {
    return true;
  }
  const tos = get(flow, K.nw_tos);
  if ((tos & ECN_MASK) === 0) {
    return false; // marked on the way although it says that it does not understand marks
  }
  set(flow, K.nw_tos, tos | ECN_CE);
  return true;
}

/** What every translation of a packet from a tunnel depends on. */
export function tnlWcInit(flow: FlowKey, wc: FlowKey): void {
  if (!tunnelDstIsSet(flow)) {
    return;
  }
  fill(wc, K.tun_id);
  if (get(flow, K.tun_dst) !== 0) {
    fill(wc, K.tun_src);
    fill(wc, K.tun_dst);
  } else {
    fill(wc, K.tun_ipv6_src);
    fill(wc, K.tun_ipv6_dst);
  }
  set(wc, K.tun_flags, TNL_F.DONT_FRAGMENT | TNL_F.CSUM | TNL_F.KEY);
  set(wc, K.tun_tos, 0xff);
  set(wc, K.tun_ttl, 0);
  set(wc, K.tun_tp_src, 0);
  set(wc, K.tun_tp_dst, 0);
  if (isIpAny(flow) && (get(flow, K.tun_tos) & ECN_MASK) === ECN_CE) {
    orBits(wc, K.nw_tos, ECN_MASK);
  }
}

function setAddress(
  flow: FlowKey,
  addr: Uint32Array,
  v4: (typeof K)["tun_src"],
  v6: (typeof K)["tun_src"],
): void {
  if (isMappedIpv4(addr) && addr[3] !== 0) {
    set(flow, v4, addr[3] as number);
    flow.fill(0, v6.word, v6.word + 4);
  } else {
    set(flow, v4, 0);
    flow.set(addr, v6.word);
  }
}

function setTtlAndTos(cfg: TunnelConfig, flow: FlowKey, wc: FlowKey): void {
  const ip = isIpAny(flow);
  if (cfg.ttlInherit && ip) {
    fill(wc, K.nw_ttl);
    set(flow, K.tun_ttl, get(flow, K.nw_ttl));
  } else {
    set(flow, K.tun_ttl, cfg.ttl);
  }
  let tos = cfg.tos;
  if (cfg.tosInherit && ip) {
    orBits(wc, K.nw_tos, DSCP_MASK);
    tos = get(flow, K.nw_tos) & DSCP_MASK;
  }
  if (ip) {
    // The outer header always carries the ECN bits, but not a mark that was set before.
    orBits(wc, K.nw_tos, ECN_MASK);
    const ecn = get(flow, K.nw_tos) & ECN_MASK;
    tos |= ecn === ECN_CE ? ECN_ECT_0 : ecn;
  }
  set(flow, K.tun_tos, tos);
}

/** Sets the tunnel of a flow for output by a port. The datapath port, or ODPP_NONE. */
export function tnlPortSend(xport: XPort, flow: FlowKey, wc: FlowKey): number {
  const t = xport.tunnel;
  if (t === null || t.odpPort === ODPP_NONE) {
    return ODPP_NONE;
  }
  const { cfg } = t;
  if (!cfg.ipSrcFlow) {
    setAddress(flow, cfg.src, K.tun_src, K.tun_ipv6_src);
  }
  if (!cfg.ipDstFlow) {
    setAddress(flow, cfg.dst, K.tun_dst, K.tun_ipv6_dst);
  }
  set(flow, K.tun_tp_dst, cfg.dstPort);
  if (!cfg.outKeyFlow) {
    flow.set(cfg.outKey, K.tun_id.word);
  }
  setTtlAndTos(cfg, flow, wc);
  const flags =
    (cfg.dontFragment ? TNL_F.DONT_FRAGMENT : 0) |
    (cfg.csum ? TNL_F.CSUM : 0) |
    (cfg.outKeyPresent ? TNL_F.KEY : 0);
  set(flow, K.tun_flags, (get(flow, K.tun_flags) & TNL_F.PUBLIC) | flags);
  if (cfg.egressPktMark !== null) {
    set(flow, K.pkt_mark, cfg.egressPktMark);
    fill(wc, K.pkt_mark);
  }
  if (!cfg.erspanVerFlow) {
    set(flow, K.tun_erspan_ver, cfg.erspanVer);
  }
  if (!cfg.erspanIdxFlow) {
    set(flow, K.tun_erspan_idx, cfg.erspanIdx);
  }
  if (!cfg.erspanDirFlow) {
    set(flow, K.tun_erspan_dir, cfg.erspanDir);
  }
  if (!cfg.erspanHwidFlow) {
    set(flow, K.tun_erspan_hwid, cfg.erspanHwid);
  }
  return t.odpPort;
}

const PT_TEXT: Readonly<Record<PtMode, string>> = {
  aware: "ptap",
  legacy_l2: "legacy_l2",
  legacy_l3: "legacy_l3",
};

/** The same, and what it did to the flow in the log. */
export function tnlPortSendLogged(log: Vlog, xport: XPort, flow: FlowKey, wc: FlowKey): number {
  const t = xport.tunnel;
  if (t === null || log.drops("tunnel", "dbg", TUNNEL_DEBUG_LIMIT)) {
    return tnlPortSend(xport, flow, wc);
  }
  const tab = xport.xbridge.tunTable;
  const before = formatFlow(flow, null, tab);
  const odpPort = tnlPortSend(xport, flow, wc);
  const after = formatFlow(flow, null, tab);
  log.dbg("tunnel", `flow sent\n${formatTunnelPort(t)}\n pre: ${before}\npost: ${after}`);
  return odpPort;
}

/** What a port asks for, as logs and ofproto/list-tunnels show it. */
export function formatTunnelMatch(t: TunnelPort): string {
  const { cfg } = t;
  let s = "flow->flow";
  if (!cfg.ipDstFlow) {
    s = `${formatIpv6Mapped(cfg.src)}->${formatIpv6Mapped(cfg.dst)}`;
  } else if (!cfg.ipSrcFlow) {
    s = `${formatIpv6Mapped(cfg.src)}->flow`;
  }
  s += cfg.inKeyFlow ? ", key=flow" : `, key=${formatAltHex64(cfg.inKey[0], cfg.inKey[1])}`;
  return `${s}, ${PT_TEXT[cfg.ptMode]}, dp port=${t.odpPort}`;
}

/** A line of ofproto/list-tunnels, without its end. */
export function formatTunnelPort(t: TunnelPort): string {
  const { cfg } = t;
  let s = `port ${t.odpPort}: ${t.name} (${t.type}: ${formatTunnelMatch(t)}`;
  const sameKey = cfg.outKey[0] === cfg.inKey[0] && cfg.outKey[1] === cfg.inKey[1];
  if (!sameKey || cfg.outKeyPresent !== cfg.inKeyPresent || cfg.outKeyFlow !== cfg.inKeyFlow) {
    const key = cfg.outKeyFlow ? "flow" : formatAltHex64(cfg.outKey[0], cfg.outKey[1]);
    s += `, out_key=${cfg.outKeyPresent ? key : "none"}`;
  }
  s += cfg.ttlInherit ? ", ttl=inherit" : `, ttl=${cfg.ttl}`;
  if (cfg.tosInherit) {
    s += ", tos=inherit";
  } else if (cfg.tos !== 0) {
    s += `, tos=${formatAltHex(cfg.tos)}`;
  }
  s += cfg.dontFragment ? "" : ", df=false";
  return `${s}${cfg.csum ? ", csum=true" : ""})`;
}
