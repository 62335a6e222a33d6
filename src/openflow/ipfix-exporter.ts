// IpfixExporter: what an exporter of IPFIX counts of the packets that were sampled for it.
//
// Sampled packets that agree in the fields of a record are one flow, which stays in a cache until it
// is too old or there are too many; then its record would go to the collectors. Nothing is sent
// here, so no sent messages are counted. Reference: ovs: ofproto/ofproto-dpif-ipfix.c
// ipfix_cache_entry_init, ipfix_cache_update, dpif_ipfix_cache_expire.

import { ETH_TYPE, IP_PROTO } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K, type SlotName } from "../flow/flow-key.ts";
import type { IpfixStats } from "./messages/types-switch.ts";

/** Fields by which flows are told apart; IP addresses and ports are 0 where there are none. */
const KEY_SLOTS: readonly SlotName[] = [
  "in_port",
  "dl_src",
  "dl_dst",
  "dl_type",
  "vlan_tci",
  "nw_src",
  "nw_dst",
  "ipv6_src",
  "ipv6_dst",
  "ipv6_label",
  "nw_proto",
  "nw_tos",
  "nw_ttl",
  "tp_src",
  "tp_dst",
];

/** Protocols whose ports, or types, a record can tell. */
const L4 = [IP_PROTO.TCP, IP_PROTO.UDP, IP_PROTO.SCTP] as const;

export interface IpfixCacheLimits {
  /** Seconds that a flow may stay. */
  readonly activeTimeoutS: number;
  readonly maxFlows: number;
}

/** What a sample has besides the packet. */
export interface SampleContext {
  readonly obsDomainId: number;
  readonly obsPointId: number;
  /** Datapath port, ODPP_NONE on input. */
  readonly outputPort: number;
  readonly egress: boolean;
}

function isKnownL4(key: FlowKey, icmp: number): boolean {
  const proto = get(key, K.nw_proto);
  return proto === icmp || L4.some((p) => p === proto);
}

export class IpfixExporter {
  readonly stats: IpfixStats;
  limits: IpfixCacheLimits;
  /** Start of each flow that is cached, oldest first, in microseconds of the time of day. */
  readonly #cache = new Map<string, number>();
  readonly #wallMs: () => number;

  constructor(collectorSetId: number, limits: IpfixCacheLimits, wallMs: () => number) {
    this.limits = limits;
    this.#wallMs = wallMs;
    this.stats = {
      collectorSetId,
      totalFlows: 0n,
      currentFlows: 0n,
      pkts: 0n,
      ipv4Pkts: 0n,
      ipv6Pkts: 0n,
      errorPkts: 0n,
      ipv4ErrorPkts: 0n,
      ipv6ErrorPkts: 0n,
      txPkts: 0n,
      txErrors: 0n,
    };
  }

  sample(key: FlowKey, cx: SampleContext): void {
    const { stats } = this;
    const values = KEY_SLOTS.flatMap((name) => {
      const { word, words } = K[name];
      return words === 1 ? [getU(key, K[name])] : [...key.subarray(word, word + words)];
    });
    const id = JSON.stringify([cx, values]);
    if (!this.#cache.has(id)) {
      this.#cache.set(id, this.#wallMs() * 1000);
      stats.totalFlows++;
      stats.currentFlows = BigInt(this.#cache.size);
    }
    this.#count(key);
    if (this.#cache.size > this.limits.maxFlows) {
      this.expire();
    }
  }

  #count(key: FlowKey): void {
    const { stats } = this;
    stats.pkts++;
    const dlType = get(key, K.dl_type);
    if (dlType === ETH_TYPE.IP) {
      if (isKnownL4(key, IP_PROTO.ICMP)) {
        stats.ipv4Pkts++;
      } else {
        stats.ipv4ErrorPkts++;
        stats.errorPkts++;
      }
    } else if (dlType === ETH_TYPE.IPV6) {
      if (isKnownL4(key, IP_PROTO.ICMPV6)) {
        stats.ipv6Pkts++;
      } else {
        stats.ipv6ErrorPkts++;
        stats.errorPkts++;
      }
    }
  }

  /** Takes out flows that are too old or too many. */
  expire(): void {
    const { activeTimeoutS, maxFlows } = this.limits;
    const oldestUs = this.#wallMs() * 1000 - activeTimeoutS * 1e6;
    for (const [id, startUs] of this.#cache) {
      if (startUs > oldestUs && this.#cache.size <= maxFlows) {
        break;
      }
      this.#cache.delete(id);
      this.stats.currentFlows--;
    }
  }
}
