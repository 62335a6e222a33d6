// The neighbours of native tunnels: the Ethernet address of each next hop, by bridge.
//
// Entries come from ARP replies and neighbour advertisements that pass, from tunnel packets that
// arrive, and from commands. Each use renews an entry; without use it goes stale after 15 minutes.
// Units: milliseconds.
// ovs: lib/tnl-neigh-cache.c.

import { ARP_OP, isArp, isGarp, isNd, ND_NEIGHBOR_ADVERT } from "../flow/flow-is.ts";
import { type FlowKey, fill, get, getU, isZero, K } from "../flow/flow-key.ts";
import { formatIpv6Mapped, formatMac } from "../lib/address.ts";

export const NEIGHBOUR_AGING_MS = 15 * 60 * 1000;
export const NEIGHBOUR_AGING_MAX_S = 3600;
/** Neighbours that are remembered at a time. Open vSwitch has no limit but the time that each lives. */
export const NEIGHBOURS_MAX = 1 << 16;
/** Width of the address column of tnl/neigh/show (INET6_ADDRSTRLEN). */
const ADDRESS_COLUMNS = 46;

export interface Neighbour {
  readonly bridge: string;
  /** 4 words; IPv4 mapped. */
  readonly ip: Uint32Array;
  readonly macHi: number;
  readonly macLo: number;
  expiresMs: number;
}

export class TunnelNeighbours {
  readonly #table = new Map<string, Neighbour>();
  agingMs = NEIGHBOUR_AGING_MS;
  /** Something changed that translations depend on; cleared by who looks. */
  changed = false;
  /** Neighbours that were too many. */
  refused = 0;

  #key(bridge: string, ip: Uint32Array): string {
    return `${ip.join(".")} ${bridge}`;
  }

  get size(): number {
    return this.#table.size;
  }

  /** The neighbour with an address, whose time is renewed; null if there is none. */
  lookup(bridge: string, ip: Uint32Array, nowMs: number): Neighbour | null {
    const n = this.#table.get(this.#key(bridge, ip));
    if (n === undefined || n.expiresMs <= nowMs) {
      return null;
    }
    n.expiresMs = nowMs + this.agingMs;
    return n;
  }

  set(bridge: string, ip: Uint32Array, macHi: number, macLo: number, nowMs: number): void {
    const old = this.lookup(bridge, ip, nowMs);
    if (old !== null && old.macHi === macHi && old.macLo === macLo) {
      return;
    }
    const key = this.#key(bridge, ip);
    this.#table.delete(key);
    if (this.#table.size >= NEIGHBOURS_MAX) {
      this.refused++;
      return;
    }
    this.changed = true;
    const expiresMs = nowMs + this.agingMs;
    this.#table.set(key, { bridge, ip: ip.slice(), macHi, macLo, expiresMs });
  }

  #snoopArp(flow: FlowKey, wc: FlowKey, bridge: string, nowMs: number | null): boolean {
    if (!isArp(flow)) {
      return false;
    }
    if (!isGarp(flow, wc)) {
      fill(wc, K.nw_proto);
      if (get(flow, K.nw_proto) !== ARP_OP.REPLY) {
        return false;
      }
    }
    fill(wc, K.arp_sha);
    if (isZero(flow, K.arp_sha)) {
      return false;
    }
    fill(wc, K.nw_src);
    if (nowMs !== null) {
      const ip = Uint32Array.of(0, 0, 0xffff, getU(flow, K.nw_src));
      const w = K.arp_sha.word;
      this.set(bridge, ip, flow[w] as number, flow[w + 1] as number, nowMs);
    }
    return true;
  }

  #snoopNd(flow: FlowKey, wc: FlowKey, bridge: string, nowMs: number | null): void {
    if (!isNd(flow, wc) || get(flow, K.tp_src) !== ND_NEIGHBOR_ADVERT) {
      return;
    }
    fill(wc, K.arp_tha);
    if (isZero(flow, K.arp_tha)) {
      return; // an advertisement without its address says nothing
    }
    fill(wc, K.ipv6_src);
    fill(wc, K.ipv6_dst);
    fill(wc, K.nd_target);
    if (nowMs !== null) {
      const t = K.nd_target.word;
      const w = K.arp_tha.word;
      const ip = flow.slice(t, t + 4);
      this.set(bridge, ip, flow[w] as number, flow[w + 1] as number, nowMs);
    }
  }

  /** Learns from a packet that is an announcement; `nowMs` null only notes what it looked at. */
  snoop(flow: FlowKey, wc: FlowKey, bridge: string, nowMs: number | null): void {
    if (!this.#snoopArp(flow, wc, bridge, nowMs)) {
      this.#snoopNd(flow, wc, bridge, nowMs);
    }
  }

  setAging(seconds: number, nowMs: number): void {
    this.agingMs = seconds * 1000;
    for (const n of this.#table.values()) {
      n.expiresMs = Math.min(n.expiresMs, nowMs + this.agingMs);
    }
  }

  flush(bridge: string | null): void {
    for (const [key, n] of this.#table) {
      if (bridge === null || n.bridge === bridge) {
        this.#table.delete(key);
        this.changed = true;
      }
    }
  }

  /** Periodic work: forgets what is stale. */
  run(nowMs: number): void {
    for (const [key, n] of this.#table) {
      if (n.expiresMs <= nowMs) {
        this.#table.delete(key);
        this.changed = true;
      }
    }
  }

  /** Text of tnl/neigh/show. */
  format(nowMs: number): string {
    let s = `${"IP".padEnd(ADDRESS_COLUMNS)}${"MAC".padEnd(20)}Bridge\n${"=".repeat(74)}\n`;
    for (const n of this.#table.values()) {
      s += `${formatIpv6Mapped(n.ip).padEnd(ADDRESS_COLUMNS)}${formatMac(n.macHi, n.macLo)}`;
      s += `   ${n.bridge}${n.expiresMs <= nowMs ? " STALE" : ""}\n`;
    }
    return s;
  }
}
