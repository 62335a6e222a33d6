// LACP: agrees with the other end of links that they are one (IEEE 802.1AX §6.4, simplified as
// Open vSwitch does it).
//
// Each member link knows what its partner last said. A partner that is silent for three periods is
// expired, for three seconds more defaulted: nobody. Members whose partner is not nobody may be
// attached; the best of them leads, and all whose partner has another system or key than the
// leader's are detached again. What a member would say is compared with what its partner last
// said of it: a difference has to be told at once, else a frame is sent each period of the partner.
//
// Invariants: `keyMember` is a member if there is any. No I/O: `run` gives frames to a function.
// Units: milliseconds.
// Limit: with a key member gone, the next is the one registered first, where Open vSwitch takes the
// first of a hash of pointers.
// References: ovs: lib/lacp.c.

import {
  compareInfo,
  compareSysId,
  LACP_STATE,
  type LacpInfo,
  type LacpPdu,
  NO_LACP_INFO,
  parseLacpPdu,
} from "./lacp-pdu.ts";
import type { ProtocolLog } from "./protocol-log.ts";
import type { XPort } from "./xbridge.ts";

/** Periods of transmission; a member waits three of them for its partner. */
export const LACP_FAST_MS = 1000;
export const LACP_SLOW_MS = 30000;
const RX_PERIODS = 3;

const PDU_LIMIT = { name: "lacp_process_packet", rate: 1, burst: 5 };
const LOOP_LIMIT = { name: "lacp_update_attached", rate: 1, burst: 10 };

export interface LacpSettings {
  readonly name: string;
  /** [hi16, lo32], not 0. */
  readonly sysId: readonly [number, number];
  readonly priority: number;
  readonly active: boolean;
  readonly fast: boolean;
  readonly fallbackAb: boolean;
}

export interface LacpMemberSettings {
  readonly name: string;
  readonly portId: number;
  readonly priority: number;
  /** 0 for the default, the port id of the key member. */
  readonly key: number;
}

export type LacpMemberStatus = "current" | "expired" | "defaulted";

export interface LacpMember {
  readonly port: XPort;
  name: string;
  portId: number;
  portPriority: number;
  key: number;
  status: LacpMemberStatus;
  attached: boolean;
  carrierUp: boolean;
  partner: LacpInfo;
  /** What the partner believes of this end, as far as is known. */
  told: LacpInfo;
  /** When the next frame is due, and until when one is waited for. */
  txMs: number;
  rxMs: number;
  readonly counts: {
    rx: number;
    rxBad: number;
    rxMarker: number;
    tx: number;
    expired: number;
    defaulted: number;
    carrier: number;
  };
}

export class Lacp {
  settings: LacpSettings;
  readonly members: LacpMember[] = [];
  keyMember: LacpMember | null = null;
  negotiated = false;
  private readonly log: ProtocolLog;
  private update = true;

  constructor(settings: LacpSettings, log: ProtocolLog) {
    this.settings = settings;
    this.log = log;
  }

  configure(s: LacpSettings): void {
    const old = this.settings;
    this.update ||=
      compareSysId(old, s) !== 0 || old.priority !== s.priority || old.fallbackAb !== s.fallbackAb;
    this.settings = s;
  }

  member(port: XPort): LacpMember | null {
    return this.members.find((m) => m.port === port) ?? null;
  }

  /** Adds a link, or takes over its settings. */
  registerMember(port: XPort, s: LacpMemberSettings, nowMs: number): void {
    const m = this.member(port) ?? this.addMember(port);
    m.name = s.name;
    if (m.portId !== s.portId || m.portPriority !== s.priority || m.key !== s.key) {
      m.portId = s.portId;
      m.portPriority = s.priority;
      m.key = s.key;
      this.update = true;
      if (this.settings.active || this.negotiated) {
        this.expire(m, nowMs);
      }
    }
  }

  private addMember(port: XPort): LacpMember {
    const m: LacpMember = {
      port,
      name: "",
      portId: 0,
      portPriority: 0,
      key: 0,
      status: "defaulted",
      attached: false,
      carrierUp: false,
      partner: NO_LACP_INFO,
      told: NO_LACP_INFO,
      txMs: 0,
      rxMs: 0,
      counts: { rx: 0, rxBad: 0, rxMarker: 0, tx: 0, expired: 0, defaulted: 0, carrier: 0 },
    };
    this.members.push(m);
    this.default(m);
    this.keyMember ??= m;
    return m;
  }

  unregisterMember(port: XPort): void {
    const i = this.members.findIndex((m) => m.port === port);
    if (i >= 0) {
      const [gone] = this.members.splice(i, 1);
      this.update = true;
      if (this.keyMember === gone) {
        this.keyMember = this.members[0] ?? null;
      }
    }
  }

  /**
   * Takes the payload of a frame that came in by a link. True if the link may be used now, so that
   * what follows the frame need not wait for the next run.
   */
  receive(port: XPort, payload: Uint8Array, nowMs: number): boolean {
    const m = this.member(port);
    if (m === null) {
      return false;
    }
    m.counts.rx++;
    const pdu = parseLacpPdu(payload);
    if (pdu === "marker") {
      m.counts.rxMarker++;
      this.log("dbg", `${this.settings.name}: received a LACP marker PDU.`);
      return false;
    }
    if (pdu === "bad") {
      m.counts.rxBad++;
      this.log("warn", `${this.settings.name}: received an unparsable LACP PDU.`, PDU_LIMIT);
      return false;
    }
    if (!m.carrierUp) {
      const text = `${m.name}: carrier state is DOWN, dropping received LACP PDU.`;
      this.log("info", text, PDU_LIMIT);
      return false;
    }
    m.status = "current";
    m.rxMs = nowMs + RX_PERIODS * (this.settings.fast ? LACP_FAST_MS : LACP_SLOW_MS);
    m.told = pdu.partner;
    if (compareInfo(m.partner, pdu.actor) !== 0) {
      this.update = true;
      m.partner = pdu.actor;
    }
    return this.mayUse(m);
  }

  /** Whether traffic may use a link; to be asked only while its carrier is up. */
  mayEnable(port: XPort): boolean {
    const m = this.member(port);
    if (m === null) {
      return false;
    }
    m.carrierUp = true;
    return this.mayUse(m);
  }

  mayUse(m: LacpMember): boolean {
    const fallsBack = this.settings.fallbackAb && m.status === "defaulted";
    return m.attached && ((m.partner.state & LACP_STATE.SYNC) !== 0 || fallsBack);
  }

  isCurrent(port: XPort): boolean {
    const m = this.member(port);
    return m !== null && m.status !== "defaulted";
  }

  /** Lets time have its effects and sends what is due; true if any link changed. */
  run(send: (port: XPort, pdu: LacpPdu) => void, nowMs: number): boolean {
    let changed = this.update;
    for (const m of this.members) {
      changed = this.checkSilence(m, nowMs) || changed;
    }
    if (this.update) {
      this.updateAttached();
    }
    for (const m of this.members) {
      const actor = this.maySend(m) ? this.actor(m) : null;
      if (actor === null || (nowMs < m.txMs && saysTheSame(actor, m.told))) {
        continue;
      }
      m.told = actor;
      send(m.port, { actor, partner: m.partner });
      m.counts.tx++;
      const wantsFast = (m.partner.state & LACP_STATE.TIMEOUT) !== 0;
      m.txMs = nowMs + (wantsFast ? LACP_FAST_MS : LACP_SLOW_MS);
    }
    return changed;
  }

  private checkSilence(m: LacpMember, nowMs: number): boolean {
    if (nowMs < m.rxMs || m.status === "defaulted") {
      return false;
    }
    if (m.status === "current") {
      this.expire(m, nowMs);
      m.counts.expired++;
    } else {
      this.default(m);
      m.counts.defaulted++;
    }
    return true;
  }

  /** When `run` is due next. */
  wakeMs(): number {
    let ms = this.update ? 0 : Number.POSITIVE_INFINITY;
    for (const m of this.members) {
      if (this.maySend(m)) {
        ms = Math.min(ms, m.txMs);
      }
      if (m.status !== "defaulted") {
        ms = Math.min(ms, m.rxMs);
      }
    }
    return ms;
  }

  private maySend(m: LacpMember): boolean {
    return m.carrierUp && (this.settings.active || m.status !== "defaulted");
  }

  private default(m: LacpMember): void {
    m.partner = NO_LACP_INFO;
    this.update = true;
    m.status = "defaulted";
  }

  private expire(m: LacpMember, nowMs: number): void {
    const state = (m.partner.state | LACP_STATE.TIMEOUT) & ~LACP_STATE.SYNC;
    m.status = "expired";
    m.partner = { ...m.partner, state };
    m.rxMs = nowMs + RX_PERIODS * LACP_FAST_MS;
  }

  /** Decides anew which links belong together. */
  private updateAttached(): void {
    this.update = false;
    const current = this.leadCurrent();
    let lead = current;
    let leadEnable = current !== null;
    let leadPriority = current === null ? NO_LACP_INFO : this.priority(current);
    for (const m of this.members) {
      m.attached = false;
      if (compareSysId(m.partner, this.settings) === 0) {
        const text = `member ${m.name}: Loopback detected. Interface is connected to its own bond`;
        this.log("warn", text, LOOP_LIMIT);
        continue;
      }
      if (m.status === "defaulted") {
        m.attached = this.settings.fallbackAb;
        continue;
      }
      const priority = this.priority(m);
      const enable = this.mayUse(m);
      m.attached = current === null || compareSysId(m.partner, current.partner) === 0;
      if (
        m.attached &&
        (lead === null ||
          (enable && !leadEnable) ||
          (enable === leadEnable && compareInfo(priority, leadPriority) < 0))
      ) {
        lead = m;
        leadEnable = enable;
        leadPriority = priority;
      }
    }
    this.negotiated = lead !== null;
    if (lead !== null) {
      this.detachOthers(lead);
    }
  }

  /** The best link that works. */
  private leadCurrent(): LacpMember | null {
    let best: LacpMember | null = null;
    let bestPriority = NO_LACP_INFO;
    for (const m of this.members) {
      if (m.status === "current" && m.attached) {
        const priority = this.priority(m);
        if (best === null || compareInfo(priority, bestPriority) < 0) {
          best = m;
          bestPriority = priority;
        }
      }
    }
    return best;
  }

  private detachOthers(lead: LacpMember): void {
    const { key } = lead.partner;
    for (const m of this.members) {
      if (
        (this.settings.fallbackAb && m.status === "defaulted") ||
        m.partner.key !== key ||
        compareSysId(m.partner, lead.partner) !== 0
      ) {
        m.attached = false;
      }
    }
  }

  /** The key that this end gives its links. */
  get aggregationKey(): number | null {
    const m = this.keyMember;
    return m === null ? null : m.key || m.portId;
  }

  /** What a member says of itself. */
  actor(m: LacpMember): LacpInfo {
    const s = this.settings;
    const flag = (on: boolean, bit: number): number => (on ? bit : 0);
    return {
      sysPriority: s.priority,
      sysId: s.sysId,
      key: this.aggregationKey ?? 0,
      portPriority: m.portPriority,
      portId: m.portId,
      state:
        flag(s.active, LACP_STATE.ACTIVITY) |
        flag(s.fast, LACP_STATE.TIMEOUT) |
        flag(m.attached, LACP_STATE.SYNC) |
        flag(m.status === "defaulted", LACP_STATE.DEFAULTED) |
        flag(m.status === "expired", LACP_STATE.EXPIRED) |
        flag(this.members.length > 1, LACP_STATE.AGGREGATION) |
        flag(m.attached || !this.negotiated, LACP_STATE.COLLECTING | LACP_STATE.DISTRIBUTING),
    };
  }

  /** The end whose system ranks higher decides which links come first. */
  private priority(m: LacpMember): LacpInfo {
    const s = this.settings;
    const { partner } = m;
    const ours =
      s.priority < partner.sysPriority ||
      (s.priority === partner.sysPriority && compareSysId(s, partner) < 0);
    return { ...(ours ? this.actor(m) : partner), key: 0, state: 0 };
  }
}

/** Equal in everything of which a change has to be told at once. */
function saysTheSame(a: LacpInfo, b: LacpInfo): boolean {
  const { ACTIVITY, TIMEOUT, SYNC, AGGREGATION } = LACP_STATE;
  const told = ACTIVITY | TIMEOUT | SYNC | AGGREGATION;
  return compareInfo({ ...a, state: a.state & told }, { ...b, state: b.state & told }) === 0;
}
