// A bond: several ports of a bridge that act as one.
//
// Three ways to choose the port that a packet leaves by: active-backup uses one until it fails;
// balance-slb spreads by a hash of source address and VLAN; balance-tcp, which needs LACP, by a hash
// of addresses and ports. The balancing modes have 256 hash buckets, each assigned to a member on
// first use and moved to another when load is uneven. balance-tcp lets the datapath compute the hash
// and recirculates the packet; internal flows, one a bucket, then send it out.
//
// Invariants
// - `hash` is null exactly in active-backup mode and while falling back to it.
// - A bucket may be assigned to a disabled member; it is reassigned when it is used.
// Units: milliseconds.
// Limit: members are kept in order of registration, where Open vSwitch has the order of a hash of
// pointers; which member becomes active first, if nothing else decides, is open there.
// ovs: ofproto/bond.c.

import type { FlowKey } from "../flow/flow-key.ts";
import { fill, K } from "../flow/flow-key.ts";
import { flowHash5tuple, flowMaskHashFields } from "../flow/flow-hash.ts";
import { hashUint64 } from "../lib/hash.ts";
import { type BondMember, type Bucket, type BucketMove, planMoves } from "./bond-rebalance.ts";
import {
  BOND_BUCKETS,
  BOND_MASK,
  type BondEnv,
  type BondSettings,
  type BondVerdict,
  type LacpStatus,
} from "./bond-types.ts";
import type { XPort } from "./xbridge.ts";

const LINK_LIMIT = { name: "bond_link_status_update", rate: 5, burst: 20 };
const CHOICE_LIMIT = { name: "bond_choose_active_member", rate: 5, burst: 20 };
const NO_MAC: readonly [number, number] = [0, 0];

/** Hash of an address in a VLAN (ovs: lib/packets.h hash_mac). */
export function hashMac(hi: number, lo: number, vlan: number, basis: number): number {
  return hashUint64(((vlan << 16) | hi) >>> 0, lo, basis);
}

export class Bond {
  settings: BondSettings;
  readonly env: BondEnv;
  members: BondMember[] = [];
  activeMember: BondMember | null = null;
  activeMac: readonly [number, number] = NO_MAC;
  /** Set whenever the active member changes; cleared by who stores it in the database. */
  activeMemberChanged = false;
  lacpStatus: LacpStatus = "off";
  hash: Bucket[] | null = null;
  nextRebalanceMs = 0;
  recircId = 0;
  #useLbOutput = false;
  #revalidate = false;
  #sendLearning = false;
  /** Enabled members, the next to be given a bucket first. */
  #ring: BondMember[] = [];

  constructor(settings: BondSettings, env: BondEnv, nowMs: number) {
    this.settings = settings;
    this.env = env;
    this.#configure(settings, false, nowMs);
  }

  get name(): string {
    return this.settings.name;
  }

  /** Ends the bond: takes its internal flows and recirculation id away. */
  close(): void {
    if (this.recircId !== 0) {
      if (this.useLbOutput()) {
        this.env.setLbBuckets(this.recircId, []);
      }
      this.#clearRules();
      this.env.freeRecircId(this.recircId);
      this.recircId = 0;
    }
    this.hash = null;
  }

  /** True if megaflows need to be revalidated. */
  reconfigure(s: BondSettings, nowMs: number): boolean {
    const o = this.settings;
    const revalidate =
      this.#revalidate ||
      o.lacpFallbackAb !== s.lacpFallbackAb ||
      o.rebalanceIntervalMs !== s.rebalanceIntervalMs ||
      o.mode !== s.mode ||
      o.basis !== s.basis ||
      o.primary !== s.primary;
    this.#revalidate = false;
    return this.#configure(s, revalidate, nowMs);
  }

  #configure(s: BondSettings, changed: boolean, nowMs: number): boolean {
    let revalidate = changed;
    this.settings = { ...s, allMembersActive: s.mode === "balance-slb" && s.allMembersActive };
    if (s.mode !== "active-backup") {
      if (this.recircId === 0) {
        this.recircId = this.env.allocRecircId();
      }
    } else if (this.recircId !== 0) {
      // As in Open vSwitch, a datapath that spread the bond itself keeps its buckets for good.
      this.#clearRules();
      this.env.freeRecircId(this.recircId);
      this.recircId = 0;
    }
    if (this.#useLbOutput !== s.useLbOutput) {
      if (s.useLbOutput && !this.env.lbOutputSupported()) {
        const text = "Datapath does not support 'lb_output' action, disabled.";
        this.env.log("warn", `${s.name}: ${text}`);
      } else {
        this.#useLbOutput = s.useLbOutput;
        if (!s.useLbOutput) {
          this.env.setLbBuckets(this.recircId, []);
        }
        revalidate = true;
      }
    }
    if (s.mode === "active-backup" || this.hash === null || revalidate) {
      this.#resetBuckets(nowMs);
    }
    if (this.env.recircSupported() && this.mayRecirc()) {
      this.#updateRules();
    }
    return revalidate;
  }

  #resetBuckets(nowMs: number): void {
    if (this.settings.mode === "active-backup" || this.#fallsBack()) {
      this.hash = null;
      this.#clearRules();
      return;
    }
    this.hash = Array.from({ length: BOND_BUCKETS }, () => ({
      member: null,
      txBytes: 0,
      ruleBytes: 0,
    }));
    this.nextRebalanceMs = nowMs + this.settings.rebalanceIntervalMs;
  }

  #clearRules(): void {
    if (this.recircId !== 0) {
      this.env.setRecircRules(this.recircId, []);
    }
  }

  #updateRules(): void {
    const ports = (this.hash ?? []).map((b) => b.member?.port.ofpPort ?? null);
    if (this.useLbOutput()) {
      this.env.setLbBuckets(this.recircId, ports);
    } else {
      this.env.setRecircRules(this.recircId, ports);
    }
  }

  /** LACP is configured but failed, and the configuration asks for active-backup then. */
  #fallsBack(): boolean {
    return (
      this.settings.lacpFallbackAb &&
      this.settings.mode !== "active-backup" &&
      this.lacpStatus === "configured"
    );
  }

  mayRecirc(): boolean {
    return this.settings.mode === "balance-tcp" && this.recircId !== 0 && !this.#fallsBack();
  }

  useLbOutput(): boolean {
    return this.mayRecirc() && this.#useLbOutput;
  }

  /** Load is spread over members and evened out. */
  isBalanced(): boolean {
    return (
      this.settings.rebalanceIntervalMs !== 0 &&
      this.settings.mode !== "active-backup" &&
      !(this.settings.lacpFallbackAb && this.lacpStatus === "configured")
    );
  }

  member(port: XPort): BondMember | null {
    return this.members.find((m) => m.port === port) ?? null;
  }

  memberByName(name: string): BondMember | null {
    return this.members.find((m) => m.name === name) ?? null;
  }

  /** Adds a member or updates it. */
  registerMember(
    port: XPort,
    name: string,
    mac: readonly [number, number],
    carrier: boolean,
  ): BondMember {
    let m = this.member(port);
    if (m === null) {
      m = {
        port,
        name,
        mac,
        carrier,
        mayEnable: false,
        enabled: false,
        isPrimary: false,
        delayExpiresMs: null,
        txBytes: 0,
      };
      this.members.push(m);
      this.#revalidate = true;
      this.enableMember(m, carrier);
    }
    m.name = name;
    m.mac = mac;
    m.carrier = carrier;
    m.isPrimary = this.settings.primary === name;
    return m;
  }

  /** Tells of the link of a member, and whether other protocols agree to its use. */
  setLink(port: XPort, carrier: boolean, mayEnable: boolean): void {
    const m = this.member(port);
    if (m !== null) {
      m.carrier = carrier;
      m.mayEnable = mayEnable;
    }
  }

  /** LACP just agreed to the use of a member, which packets may use before the next run. */
  setMayEnable(port: XPort): void {
    const m = this.member(port);
    if (m !== null) {
      m.mayEnable = true;
    }
  }

  /** When `run` changes something next, if nothing happens. */
  wakeMs(): number {
    return this.members.reduce(
      (ms, m) => Math.min(ms, m.delayExpiresMs ?? ms),
      Number.POSITIVE_INFINITY,
    );
  }

  unregisterMember(port: XPort): void {
    const m = this.member(port);
    if (m === null) {
      return;
    }
    this.#revalidate = true;
    this.enableMember(m, false);
    for (const b of this.hash ?? []) {
      if (b.member === m) {
        b.member = null;
      }
    }
    this.members = this.members.filter((x) => x !== m);
    if (this.activeMember === m) {
      this.#chooseActive(null);
      this.#sendLearning = true;
    }
  }

  enableMember(m: BondMember, enable: boolean): void {
    m.delayExpiresMs = null;
    if (m.enabled === enable) {
      return;
    }
    this.#revalidate = true;
    m.enabled = enable;
    if (enable) {
      this.#ring.push(m);
    } else {
      this.#sendLearning = true;
      this.#ring = this.#ring.filter((x) => x !== m);
    }
    this.env.log("info", `member ${m.name}: ${enable ? "enabled" : "disabled"}`);
  }

  #updateLink(m: BondMember, nowMs: number): void {
    const up = m.carrier && m.mayEnable;
    if ((up === m.enabled) !== (m.delayExpiresMs === null)) {
      this.env.log("info", `member ${m.name}: link state ${up ? "up" : "down"}`, LINK_LIMIT);
      if (up === m.enabled) {
        m.delayExpiresMs = null;
        const what = up ? "disabled" : "enabled";
        this.env.log("info", `member ${m.name}: will not be ${what}`, LINK_LIMIT);
      } else {
        const delay = up ? this.settings.upDelayMs : this.settings.downDelayMs;
        m.delayExpiresMs = nowMs + delay;
        if (delay !== 0) {
          const [what, state] = up ? ["enabled", "up"] : ["disabled", "down"];
          const text = `will be ${what} if it stays ${state} for ${delay} ms`;
          this.env.log("info", `member ${m.name}: ${text}`, LINK_LIMIT);
        }
      }
    }
    if (m.delayExpiresMs !== null && nowMs >= m.delayExpiresMs) {
      this.enableMember(m, up);
    }
  }

  memberByMac(mac: readonly [number, number]): BondMember | null {
    return this.members.find((m) => m.mac[0] === mac[0] && m.mac[1] === mac[1]) ?? null;
  }

  #bestMember(): BondMember | null {
    const primary = this.members.find((m) => m.isPrimary && m.enabled);
    if (primary !== undefined) {
      return primary;
    }
    const last = this.memberByMac(this.activeMac);
    if (last?.enabled) {
      return last;
    }
    const enabled = this.members.find((m) => m.enabled);
    if (enabled !== undefined) {
      return enabled;
    }
    // Nobody is up: take the one that will be up first.
    let best: BondMember | null = null;
    for (const m of this.members) {
      if (m.delayExpiresMs !== null && m.mayEnable) {
        best = best === null || m.delayExpiresMs < (best.delayExpiresMs ?? 0) ? m : best;
      }
    }
    return best;
  }

  #chooseActive(nowMs: number | null): void {
    const old = this.activeMember;
    const m = this.#bestMember();
    this.activeMember = m;
    if (m !== null) {
      if (m.enabled) {
        this.env.log("info", `bond ${this.name}: active member is now ${m.name}`, CHOICE_LIMIT);
      } else {
        const left = (m.delayExpiresMs ?? 0) - (nowMs ?? 0);
        const text = `skipping remaining ${left} ms updelay (since no member was enabled)`;
        const active = `active member is now ${m.name}`;
        this.env.log("info", `bond ${this.name}: ${active}, ${text}`, CHOICE_LIMIT);
        this.enableMember(m, true);
      }
      this.#sendLearning = true;
      if (m !== old) {
        this.#activeChanged();
      }
    } else if (old !== null) {
      this.#activeChanged();
      this.env.log("info", `bond ${this.name}: all members disabled`, CHOICE_LIMIT);
    }
  }

  #activeChanged(): void {
    this.activeMac = this.activeMember?.mac ?? NO_MAC;
    this.activeMemberChanged = true;
  }

  /** By command. False if it is the active member already. */
  setActive(m: BondMember): boolean {
    if (this.activeMember === m) {
      return false;
    }
    this.#revalidate = true;
    this.activeMember = m;
    this.env.log("info", `bond ${this.name}: active member is now ${m.name}`);
    this.#sendLearning = true;
    this.#activeChanged();
    return true;
  }

  /** Gives a bucket to a member, by command. */
  migrate(bucket: number, m: BondMember): void {
    this.#revalidate = true;
    const b = this.hash?.[bucket];
    if (b !== undefined) {
      b.member = m;
    }
  }

  /** Periodic work. True if megaflows need to be revalidated. */
  run(lacpStatus: LacpStatus, nowMs: number): boolean {
    if (this.lacpStatus !== lacpStatus) {
      this.lacpStatus = lacpStatus;
      this.#revalidate = true;
      if (this.#fallsBack() || this.hash === null) {
        this.#resetBuckets(nowMs);
      }
    }
    let primary: BondMember | null = null;
    for (const m of this.members) {
      this.#updateLink(m, nowMs);
      if (this.settings.mode === "active-backup" && m.isPrimary && m.enabled) {
        primary = m;
      }
    }
    const a = this.activeMember;
    if (a === null || !a.enabled || (primary !== null && a !== primary)) {
      this.#chooseActive(nowMs);
    }
    if (this.env.recircSupported() && this.mayRecirc()) {
      this.updatePostRecirc(false);
    }
    const need = this.#revalidate;
    this.#revalidate = false;
    return need;
  }

  /** The bridge should tell its neighbours where its addresses are now; asking resets it. */
  shouldSendLearningPackets(): boolean {
    const send = this.#sendLearning && this.#maySendLearning();
    this.#sendLearning = false;
    return send;
  }

  #maySendLearning(): boolean {
    const plain = this.lacpStatus === "off" && this.settings.mode !== "balance-tcp";
    const fallback = this.settings.lacpFallbackAb && this.lacpStatus === "configured";
    return (plain || fallback) && this.activeMember !== null;
  }

  /** Whether a packet that came in by a member may go on. */
  checkAdmissibility(port: XPort, dstHi: number): BondVerdict {
    const m = this.member(port);
    if (m === null) {
      return "drop";
    }
    if (this.lacpStatus === "negotiated") {
      // The peer knows of the bond and does the right thing.
      return m.enabled || m.mayEnable ? "accept" : "drop";
    }
    const s = this.settings;
    if (this.lacpStatus === "configured" ? !s.lacpFallbackAb : s.mode === "balance-tcp") {
      return "drop";
    }
    const multicast = (dstHi & 0x0100) !== 0;
    if (multicast && this.activeMember !== m && !s.allMembersActive) {
      return "drop";
    }
    switch (s.mode) {
      case "balance-tcp":
        return s.lacpFallbackAb && this.activeMember === m ? "accept" : "drop";
      case "active-backup":
        return this.activeMember === m ? "accept" : "drop";
      case "balance-slb":
        return "drop-if-moved";
    }
  }

  #bucket(flow: FlowKey, vlan: number): Bucket | null {
    const s = this.settings;
    const src = K.dl_src.word;
    const hash =
      s.mode === "balance-tcp"
        ? flowHash5tuple(flow, s.basis)
        : hashMac(flow[src] as number, flow[src + 1] as number, vlan, s.basis);
    return this.hash?.[hash & BOND_MASK] ?? null;
  }

  /** The port for a packet, or null if no member can take it. */
  chooseOutput(flow: FlowKey, wc: FlowKey | null, vlan: number): XPort | null {
    const s = this.settings;
    let mode = s.mode;
    if (this.lacpStatus === "configured") {
      if (!s.lacpFallbackAb) {
        return null;
      }
      mode = "active-backup";
    }
    if (mode === "active-backup") {
      return this.activeMember?.port ?? null;
    }
    if (mode === "balance-tcp") {
      if (this.lacpStatus !== "negotiated") {
        return null;
      }
      if (wc !== null) {
        flowMaskHashFields(flow, wc, "symmetric_l3l4+udp");
      }
    } else if (wc !== null) {
      fill(wc, K.dl_src);
    }
    const b = this.#bucket(flow, vlan);
    if (b === null) {
      return null;
    }
    if (b.member === null || !b.member.enabled) {
      b.member = this.#nextEnabled();
    }
    return b.member?.port ?? null;
  }

  /** Takes the enabled members in turn. */
  #nextEnabled(): BondMember | null {
    const m = this.#ring.shift();
    if (m === undefined) {
      return null;
    }
    this.#ring.push(m);
    return m;
  }

  /** Gives every bucket an enabled member; renews the internal flows if that changed any. */
  updatePostRecirc(force: boolean): void {
    let update = force;
    for (const b of this.hash ?? []) {
      if (b.member?.enabled !== true) {
        update = true;
        const n = this.members.length;
        const m = n === 0 ? null : (this.members[this.env.rng.u32() % n] ?? null);
        b.member = m?.enabled ? m : this.activeMember;
      }
    }
    if (update) {
      this.#updateRules();
    }
  }

  /** Notes bytes sent for a flow. */
  account(flow: FlowKey, vlan: number, bytes: number): void {
    const b = this.isBalanced() ? this.#bucket(flow, vlan) : null;
    if (b !== null) {
      b.txBytes += bytes;
    }
  }

  #accountRules(): void {
    for (const [i, b] of (this.hash ?? []).entries()) {
      const bytes = this.env.bucketBytes(this.recircId, i);
      if (b.member !== null) {
        b.txBytes += bytes - b.ruleBytes;
        b.ruleBytes = bytes;
      }
    }
  }

  /** Moves buckets from loaded to idle members, if it is time. */
  rebalance(nowMs: number): void {
    if (!this.isBalanced() || nowMs < this.nextRebalanceMs || this.hash === null) {
      return;
    }
    this.nextRebalanceMs = nowMs + this.settings.rebalanceIntervalMs;
    const useRecirc = this.env.recircSupported() && this.mayRecirc();
    if (useRecirc) {
      this.#accountRules();
    }
    const moves = planMoves(this.hash, this.members);
    for (const move of moves) {
      this.#shift(move);
    }
    for (const b of this.hash) {
      b.txBytes = Math.floor(b.txBytes / 2); // old load counts less and less
    }
    if (useRecirc && moves.length > 0) {
      this.updatePostRecirc(true);
    }
  }

  #shift({ bucket, index, from, to, fromBytes, toBytes }: BucketMove): void {
    const kB = (n: number): number => Math.floor(n / 1024);
    this.env.log(
      "info",
      `bond ${this.name}: shift ${kB(bucket.txBytes)}kB of load (with hash ${index}) from ` +
        `${from.name} to ${to.name} ` +
        `(now carrying ${kB(fromBytes)}kB and ${kB(toBytes)}kB load, respectively)`,
    );
    bucket.member = to;
    this.#revalidate = true;
  }
}
