// What a bond is told, what it needs and what it answers. ovs: ofproto/bond.h.

import type { Rng } from "../lib/env.ts";
import type { ProtocolLog } from "./protocol-log.ts";

export const BOND_BUCKETS = 256;
export const BOND_MASK = BOND_BUCKETS - 1;

export type BondMode = "active-backup" | "balance-slb" | "balance-tcp";
export type LacpStatus = "negotiated" | "configured" | "off";
export type BondVerdict = "accept" | "drop" | "drop-if-moved";

export interface BondSettings {
  readonly name: string;
  readonly mode: BondMode;
  readonly rebalanceIntervalMs: number;
  readonly upDelayMs: number;
  readonly downDelayMs: number;
  readonly basis: number;
  readonly lacpFallbackAb: boolean;
  readonly useLbOutput: boolean;
  readonly primary: string | null;
  readonly allMembersActive: boolean;
}

/** What a bond needs from the switch around it. */
export interface BondEnv {
  readonly rng: Rng;
  /** A recirculation id of the bond's own. */
  allocRecircId(): number;
  freeRecircId(id: number): void;
  /** The datapath can recirculate. */
  recircSupported(): boolean;
  lbOutputSupported(): boolean;
  /**
   * Makes the internal flows of the bond equal to this: packets with that recirculation id and the
   * bucket as the low bits of dp_hash go to the port. An empty list removes them all.
   */
  setRecircRules(recircId: number, ports: readonly (number | null)[]): void;
  /** The same as buckets of the datapath's lb_output action. */
  setLbBuckets(recircId: number, ports: readonly (number | null)[]): void;
  /** Bytes of the internal flow of a bucket, or of its lb_output bucket. */
  bucketBytes(recircId: number, bucket: number): number;
  readonly log: ProtocolLog;
}
