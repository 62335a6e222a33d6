// Conntrack timeout policies of zones, as the database configures them.
//
// Zones of a datapath with the same timeouts share one policy; the userspace datapath names a
// policy by its number. References: ovs: ofproto/ofproto-dpif.c ct_set_zone_timeout_policy,
// lib/ct-dpif.c ct_dpif_timeout_policy_support_ipproto.

import type { CtTimeoutPolicyName } from "../openflow/xbridge.ts";

export interface CtTimeoutPolicy {
  readonly id: number;
  /** Seconds by name, such as "tcp_established". */
  readonly timeouts: ReadonlyMap<string, number>;
  /** Zones that use it. */
  users: number;
}

/** ICMP, TCP, UDP and ICMPv6: protocols whose timeouts can be set. */
const PROTOCOLS = [1, 6, 17, 58];

function same(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([k, v]) => b.get(k) === v);
}

export class CtTimeouts {
  /** Policies by "TYPE/ZONE". */
  private readonly zones = new Map<string, CtTimeoutPolicy>();
  private readonly policies = new Map<string, CtTimeoutPolicy[]>();

  private ofType(dpType: string): CtTimeoutPolicy[] {
    const there = this.policies.get(dpType) ?? [];
    this.policies.set(dpType, there);
    return there;
  }

  setZone(dpType: string, zone: number, timeouts: ReadonlyMap<string, number>): void {
    const key = `${dpType}/${zone}`;
    const old = this.zones.get(key);
    if (old !== undefined && same(old.timeouts, timeouts)) {
      return;
    }
    const all = this.ofType(dpType);
    let policy = all.find((p) => same(p.timeouts, timeouts));
    if (policy === undefined) {
      policy = { id: this.freeId(all), timeouts: new Map(timeouts), users: 0 };
      all.push(policy);
    }
    policy.users++;
    this.zones.set(key, policy);
    this.release(all, old);
  }

  deleteZone(dpType: string, zone: number): void {
    const key = `${dpType}/${zone}`;
    this.release(this.ofType(dpType), this.zones.get(key));
    this.zones.delete(key);
  }

  /** Zones of a datapath that have a policy. */
  zonesOf(dpType: string): number[] {
    return [...this.zones.keys()]
      .filter((k) => k.startsWith(`${dpType}/`))
      .map((k) => Number(k.slice(dpType.length + 1)));
  }

  private freeId(all: readonly CtTimeoutPolicy[]): number {
    let id = 1;
    while (all.some((p) => p.id === id)) {
      id++;
    }
    return id;
  }

  private release(all: CtTimeoutPolicy[], policy: CtTimeoutPolicy | undefined): void {
    if (policy !== undefined) {
      policy.users--;
      if (policy.users === 0) {
        all.splice(all.indexOf(policy), 1);
      }
    }
  }

  policyById(dpType: string, id: number): CtTimeoutPolicy | undefined {
    return this.policies.get(dpType)?.find((p) => p.id === id);
  }

  /** What a ct action of a zone names as its timeout policy. */
  policyName(
    dpType: string,
    zone: number,
    _dlType: number,
    nwProto: number,
  ): CtTimeoutPolicyName | null {
    const policy = this.zones.get(`${dpType}/${zone}`);
    return policy === undefined || !PROTOCOLS.includes(nwProto)
      ? null
      : { name: String(policy.id), unwildcard: false };
  }
}
