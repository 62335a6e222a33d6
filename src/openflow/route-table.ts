// The routes that native tunnels follow to their remote ends.
//
// A route leads a prefix, for packets with a certain mark, to a device, perhaps by a gateway. It is
// kept as a rule of a classifier whose priority grows with the length of the prefix, IPv4 addresses
// being mapped into IPv6. The source address comes from the device when the route is made.
// Limit: routes of this machine are not read; those of a host that was dumped can be taken over.
// ovs: lib/ovs-router.c.

import { Classifier } from "../datapath/classifier.ts";
import { newClsRule } from "../datapath/classifier-rule.ts";
import { K, newKey, set } from "../flow/flow-key.ts";
import { miniMatchOf } from "../flow/minimatch.ts";
import { formatIpv6Mapped, isMappedIpv4, putIpv6Prefix } from "../lib/address.ts";

/** Added to the prefix length of routes that are made by command, so that they win. */
const USER_PRIORITY = 32;
/** The same for addresses of the host itself, which nothing takes away. */
const LOCAL_PRIORITY = 64;
const MAPPED_PREFIX_BITS = 96;

/** An address of a device with its mask; 4 words each, IPv4 mapped (the mask too). */
export interface DeviceAddress {
  readonly addr: Uint32Array;
  readonly mask: Uint32Array;
}

/** A network device as far as tunnels ask. */
export interface TunnelDevice {
  readonly macHi: number;
  readonly macLo: number;
  readonly addresses: readonly DeviceAddress[];
}

export interface Route {
  readonly mark: number;
  readonly prefix: Uint32Array;
  readonly prefixBits: number;
  readonly dev: string;
  /** All zero if there is none. */
  readonly gateway: Uint32Array;
  readonly src: Uint32Array;
  /** Taken over from a host's own table, which yields to what is made by command. */
  readonly cached: boolean;
  /** To an address of the host itself. */
  readonly local: boolean;
}

export interface RouteResult {
  readonly dev: string;
  readonly src: Uint32Array;
  readonly gateway: Uint32Array;
}

function isSet(addr: Uint32Array): boolean {
  return addr.some((w) => w !== 0);
}

function and(a: Uint32Array, b: Uint32Array): Uint32Array {
  return a.map((w, i) => w & (b[i] as number));
}

function same(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((w, i) => w === b[i]);
}

function countOnes(mask: Uint32Array): number {
  let n = 0;
  for (const word of mask) {
    for (let w = word; w !== 0; w &= w - 1) {
      n++;
    }
  }
  return n;
}

/** The address of a device that is nearest to a destination, or null. */
export function sourceAddress(device: TunnelDevice | null, dst: Uint32Array): Uint32Array | null {
  let best: Uint32Array | null = null;
  let bestBits = -1;
  for (const { addr, mask } of device?.addresses ?? []) {
    if (isMappedIpv4(dst) && !isMappedIpv4(addr)) {
      continue;
    }
    const bits = countOnes(mask);
    if (bits > bestBits && same(and(dst, mask), and(addr, mask))) {
      best = addr;
      bestBits = bits;
    }
  }
  return best;
}

export class RouteTable {
  readonly #cls = new Classifier<Route>();
  readonly #device: (name: string) => TunnelDevice | null;

  constructor(device: (name: string) => TunnelDevice | null) {
    this.#device = device;
  }

  #match(mark: number, prefix: Uint32Array, bits: number) {
    const flow = newKey();
    const wc = newKey();
    const mask = new Uint32Array(4);
    putIpv6Prefix(bits, mask);
    flow.set(and(prefix, mask), K.ipv6_dst.word);
    wc.set(mask, K.ipv6_dst.word);
    set(flow, K.pkt_mark, mark);
    set(wc, K.pkt_mark, 0xffffffff);
    return { match: miniMatchOf(flow, wc), prefix: and(prefix, mask) };
  }

  /** Adds or replaces a route by command. False if the device has no suitable address. */
  add(mark: number, prefix: Uint32Array, bits: number, dev: string, gateway: Uint32Array): boolean {
    const device = this.#device(dev);
    const src =
      sourceAddress(device, prefix) ?? (isSet(gateway) ? sourceAddress(device, gateway) : null);
    if (src === null) {
      return false;
    }
    this.put({ mark, prefix, prefixBits: bits, dev, gateway, src, cached: false, local: false });
    return true;
  }

  /** Adds or replaces a route as it is. */
  put(route: Route): void {
    const { match, prefix } = this.#match(route.mark, route.prefix, route.prefixBits);
    const cached = route.local ? LOCAL_PRIORITY : 0;
    const priority = route.prefixBits + (route.cached ? cached : USER_PRIORITY);
    this.#cls.replace(newClsRule(match, priority, { ...route, prefix }), 0);
  }

  /** Removes a route; null if there is none. */
  delete(mark: number, prefix: Uint32Array, bits: number): Route | null {
    const m = this.#match(mark, prefix, bits);
    const rule = this.#cls.findExactly(m.match, bits + USER_PRIORITY, 0);
    if (rule === null) {
      return null;
    }
    this.#cls.remove(rule);
    return rule.data;
  }

  #find(mark: number, dst: Uint32Array): Route | null {
    const key = newKey();
    key.set(dst, K.ipv6_dst.word);
    set(key, K.pkt_mark, mark);
    return this.#cls.lookup(0, key, null)?.data ?? null;
  }

  /** The route to an address. A source that is given must be an address of this host. */
  lookup(mark: number, dst: Uint32Array, src: Uint32Array): RouteResult | null {
    if (isSet(src) && this.#find(mark, src)?.local !== true) {
      return null;
    }
    const r = this.#find(mark, dst);
    return r === null ? null : { dev: r.dev, src: r.src, gateway: r.gateway };
  }

  /** Lines of ovs/route/show. */
  format(): string {
    let s = "Route Table:\n";
    for (const { data: r } of this.#cls.rules(null, 0)) {
      const bits = isMappedIpv4(r.prefix) ? r.prefixBits - MAPPED_PREFIX_BITS : r.prefixBits;
      s += `${r.cached ? "Cached" : "User"}: ${formatIpv6Mapped(r.prefix)}/${bits}`;
      s += r.mark !== 0 ? ` MARK ${r.mark}` : "";
      s += ` dev ${r.dev}`;
      s += isSet(r.gateway) ? ` GW ${formatIpv6Mapped(r.gateway)}` : "";
      s += ` SRC ${formatIpv6Mapped(r.src)}${r.local ? " local" : ""}\n`;
    }
    return s;
  }
}
