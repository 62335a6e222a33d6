// CFM: connectivity fault management (IEEE 802.1ag), of which only the continuity check is spoken.
//
// Each end tells all others every interval that it is there (a CCM). Every 3.5 intervals an end
// looks whom it has heard: those it has not are forgotten; nobody at all is a fault, as are
// messages that say their sender hears nobody, that carry a foreign name or the own number. In
// extended mode numbers have 64 bits, intervals any length, and an end can say that it is
// operationally down; in demand mode any packet on the link counts as a sign of life for a while.
//
// No I/O: `run` gives frames to a function. Units: milliseconds.
// Reference: ovs: lib/cfm.c.

import { type FlowKey, fill, get, K } from "../flow/flow-key.ts";
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "../lib/bytes.ts";
import type { Rng } from "../lib/env.ts";
import { hashUint64 } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { ETH_TYPE, ethCompose } from "../packet/ethernet.ts";
import { PacketBuf } from "../packet/packet.ts";
import { ethPushVlan, VLAN_PCP_SHIFT, VLAN_VID_MASK } from "../packet/vlan.ts";
import type { ProtocolLog } from "./protocol-log.ts";

/** Other ends that are remembered (ovs: CFM_MAX_RMPS). */
export const CFM_REMOTES_MAX = 256;
/** A VLAN that stands for a random one in each message. */
export const CFM_RANDOM_VLAN = 0xffff;
/** Faults, in the order of their bits. */
export const CFM_FAULTS = ["recv", "rdi", "maid", "loopback", "overflow", "override"] as const;
const FAULT = { RECV: 1, RDI: 2, MAID: 4, LOOPBACK: 8, OVERFLOW: 16, OVERRIDE: 32 } as const;

const DST = [0x0180, 0xc2000030] as const;
const DST_EXTENDED = [0x0123, 0x20000030] as const;

/** A CCM; all but the last byte has to be there (IEEE 802.1ag §21.6). */
const CCM = {
  OPCODE: 1,
  FLAGS: 2,
  TLV_OFFSET: 3,
  SEQ: 4,
  MPID: 8,
  MAID: 10,
  INTERVAL_X: 58,
  MPID64: 60,
  OPDOWN: 68,
  BYTES: 75,
  ACCEPT_BYTES: 74,
} as const;
const OPCODE_CCM = 1;
const TLV_OFFSET = 70;
const FLAG_RDI = 0x80;
const INTERVAL_MASK = 0x07;
/** Domain and association are both called "ovs", as character strings. */
const MAID = new Uint8Array(48);
MAID.set([4, 3, 0x6f, 0x76, 0x73, 2, 3, 0x6f, 0x76, 0x73]);

/** Intervals that a message can name, by number; 0 is for others. */
const INTERVALS_MS = [0, 3, 10, 100, 1000, 10_000, 60_000, 600_000] as const;
/** Fault checks between two figures of health, and messages that should come in that time. */
const HEALTH_CHECKS = 6;
const HEALTH_MESSAGES = Math.floor((HEALTH_CHECKS * 7) / 2);
/** Intervals of fault checks are as for this interval at least in demand mode. */
const DEMAND_INTERVAL_MS = 500;
/** In demand mode a message has to come once in so many intervals. */
const DEMAND_INTERVALS = 100;

const LIMIT = { name: "cfm", rate: 20, burst: 30 };

export interface CfmSettings {
  /** Up to 64 bits. */
  readonly mpid: bigint;
  readonly intervalMs: number;
  readonly extended: boolean;
  readonly demand: boolean;
  readonly opUp: boolean;
  /** 0 for none, CFM_RANDOM_VLAN for a random one. */
  readonly vlan: number;
  readonly pcp: number;
  readonly checkTunnelKey: boolean;
}

/** What CFM needs of the port that it runs on. */
export interface CfmEnv {
  readonly name: string;
  readonly rng: Rng;
  /** Packets that the device has received. */
  rxPackets(): number;
  readonly log: ProtocolLog;
}

/** Another end. */
export interface RemoteMp {
  mpid: bigint;
  /** Heard since the last check. */
  recv: boolean;
  opUp: boolean;
  seq: number;
  /** Good messages since the last figure of health, modulo 256. */
  healthy: number;
  lastRxMs: number;
}

function hashMpid(mpid: bigint): number {
  return hashUint64(Number((mpid >> 32n) & 0xffffffffn), Number(mpid & 0xffffffffn));
}

function intervalNumber(ms: number): number {
  for (let i = INTERVALS_MS.length - 1; i > 0; i--) {
    if ((INTERVALS_MS[i] ?? 0) <= ms) {
      return i;
    }
  }
  return 1;
}

export function cfmFaultNames(fault: number): string[] {
  return CFM_FAULTS.filter((_, i) => (fault & (1 << i)) !== 0);
}

export class Cfm {
  mpid = 0n;
  extended = false;
  opUp = false;
  remoteOpUp = true;
  intervalMs = 0;
  /** Percentage; -1 while it is not known or cannot be. */
  health = -1;
  flapCount = 0;
  /** null: the protocol decides. */
  faultOverride: boolean | null = null;
  /** When the next message is due; -Infinity for at once. */
  txMs = Number.NEGATIVE_INFINITY;
  checkMs = 0;
  readonly remotes = new OvsMap<bigint, RemoteMp>(hashMpid);
  /** Who was heard before the last check. */
  remoteMpids: readonly bigint[] = [];
  /** What `status` shows has changed; cleared by who shows it. */
  statusChanged = true;
  private readonly env: CfmEnv;
  private settings: CfmSettings | null = null;
  private demand = false;
  private booted = false;
  private ownFault = 0;
  private recvFault = 0;
  private seq = 0;
  /** As messages name it; -1 before the first configuration. */
  private interval = -1;
  private healthChecks = 0;
  private lastTxMs = 0;
  private rxPackets = 0;
  private demandRxMs = 0;

  constructor(env: CfmEnv) {
    this.env = env;
  }

  get name(): string {
    return this.env.name;
  }

  /** False if the settings make no sense: then CFM does not run. */
  configure(s: CfmSettings, nowMs: number): boolean {
    if (s.mpid < 1n || (!s.extended && s.mpid > 8191n) || s.intervalMs <= 0) {
      return false;
    }
    this.settings = s;
    this.mpid = s.mpid;
    this.opUp = s.opUp;
    this.extended = s.extended;
    const named = intervalNumber(s.intervalMs);
    const namedMs = INTERVALS_MS[named] ?? 0;
    const isOther = s.extended && namedMs !== s.intervalMs;
    const interval = isOther ? 0 : named;
    const intervalMs = isOther ? Math.min(s.intervalMs, 0xffff) : namedMs;
    const demand = s.extended && s.demand;
    if (demand && !this.demand) {
      this.rxPackets = this.env.rxPackets();
    }
    this.demand = demand;
    if (interval !== this.interval || intervalMs !== this.intervalMs) {
      this.interval = interval;
      this.intervalMs = intervalMs;
      this.txMs = Number.NEGATIVE_INFINITY;
      this.checkMs = nowMs + this.checkIntervalMs();
    }
    return true;
  }

  private checkIntervalMs(): number {
    const ms = this.demand ? Math.max(this.intervalMs, DEMAND_INTERVAL_MS) : this.intervalMs;
    return Math.floor((ms * 7) / 2);
  }

  /** Bits of the faults in force. */
  get fault(): number {
    const { faultOverride } = this;
    return faultOverride === null ? this.ownFault : faultOverride ? FAULT.OVERRIDE : 0;
  }

  /** Whether the other ends are up; null where they do not tell. */
  get remoteOpState(): boolean | null {
    return this.extended ? this.remoteOpUp : null;
  }

  override(fault: boolean | null): void {
    this.faultOverride = fault;
    this.statusChanged = true;
  }

  wakeMs(): number {
    return Math.min(this.txMs, this.checkMs);
  }

  /** A message if one is due. */
  transmit(src: readonly [number, number], nowMs: number): PacketBuf | null {
    const s = this.settings;
    if (s === null || nowMs < this.txMs) {
      return null;
    }
    this.txMs = nowMs + this.intervalMs;
    const p = new PacketBuf();
    const [dstHi, dstLo] = this.extended ? DST_EXTENDED : DST;
    ethCompose(p, { dstHi, dstLo, srcHi: src[0], srcLo: src[1] }, ETH_TYPE.CFM, CCM.BYTES);
    this.putCcm(p.bytes, p.start + p.l3Ofs);
    const vlan = (s.vlan === CFM_RANDOM_VLAN ? this.env.rng.u32() : s.vlan) & VLAN_VID_MASK;
    const pcp = s.pcp & 7;
    if (vlan !== 0 || pcp !== 0) {
      ethPushVlan(p, ETH_TYPE.VLAN_8021Q, vlan | (pcp << VLAN_PCP_SHIFT));
    }
    const delay = nowMs - this.lastTxMs;
    if (this.lastTxMs !== 0 && delay > Math.floor((this.intervalMs * 3) / 2)) {
      const text = `long delay of ${delay}ms (expected ${this.intervalMs}ms) sending CCM`;
      this.env.log("info", `${this.name}: ${text} seq ${this.seq}`);
    }
    this.lastTxMs = nowMs;
    return p;
  }

  private putCcm(b: Uint8Array, at: number): void {
    const hearsNobody = this.booted && this.remotes.size === 0;
    this.seq = (this.seq + 1) >>> 0;
    b[at + CCM.OPCODE] = OPCODE_CCM;
    b[at + CCM.FLAGS] = this.interval | (hearsNobody ? FLAG_RDI : 0);
    b[at + CCM.TLV_OFFSET] = TLV_OFFSET;
    putU32(b, at + CCM.SEQ, this.seq);
    b.set(MAID, at + CCM.MAID);
    if (this.extended) {
      putU16(b, at + CCM.MPID, hashMpid(this.mpid) & 0xffff);
      putU64(b, at + CCM.MPID64, BigInt.asUintN(64, this.mpid));
      b[at + CCM.OPDOWN] = this.opUp ? 0 : 1;
    } else {
      putU16(b, at + CCM.MPID, Number(this.mpid));
    }
    if (this.interval === 0) {
      putU16(b, at + CCM.INTERVAL_X, this.intervalMs);
    }
  }

  /** True for the packets that `receive` takes; marks in `wc` what that depends on. */
  shouldProcess(key: FlowKey, wc: FlowKey): boolean {
    if (get(key, K.dl_type) !== ETH_TYPE.CFM) {
      return false;
    }
    fill(wc, K.dl_dst);
    const [hi, lo] = this.extended ? DST_EXTENDED : DST;
    if (key[K.dl_dst.word] !== hi || key[K.dl_dst.word + 1] !== lo) {
      return false;
    }
    if (this.settings?.checkTunnelKey === true) {
      fill(wc, K.tun_id);
      return key[K.tun_id.word] === 0 && key[K.tun_id.word + 1] === 0;
    }
    return true;
  }

  /** Takes the payload of a frame from an address, whatever it may hold. */
  receive(ccm: Uint8Array, srcText: string, nowMs: number): void {
    const { name } = this;
    const log = (level: "info" | "warn", text: string): void =>
      this.env.log(level, `${name}: ${text}`, LIMIT);
    if (ccm.length < CCM.ACCEPT_BYTES) {
      log("info", "Received an unparseable 802.1ag CCM heartbeat.");
      return;
    }
    const opcode = ccm[CCM.OPCODE] ?? 0;
    if (opcode !== OPCODE_CCM) {
      log("info", `Received an unsupported 802.1ag message. (opcode ${opcode})`);
      return;
    }
    if (MAID.some((byte, i) => ccm[CCM.MAID + i] !== byte)) {
      this.recvFault |= FAULT.MAID;
      log("warn", `Received unexpected remote MAID from MAC ${srcText}`);
      return;
    }
    this.receiveCcm(ccm, srcText, nowMs, log);
  }

  private receiveCcm(
    ccm: Uint8Array,
    srcText: string,
    nowMs: number,
    log: (level: "info" | "warn", text: string) => void,
  ): void {
    const { extended } = this;
    const mpid = extended ? getU64(ccm, CCM.MPID64) : BigInt(getU16(ccm, CCM.MPID));
    const flags = ccm[CCM.FLAGS] ?? 0;
    const interval = flags & INTERVAL_MASK;
    const intervalX = getU16(ccm, CCM.INTERVAL_X);
    const seq = getU32(ccm, CCM.SEQ);
    if (interval !== this.interval) {
      log("warn", `received a CCM with an unexpected interval (${interval}) from RMP ${mpid}`);
    }
    if (extended && interval === 0 && intervalX !== this.intervalMs) {
      const text = `received a CCM with an unexpected extended interval (${intervalX}ms)`;
      log("warn", `${text} from RMP ${mpid}`);
    }
    const rdi = (flags & FLAG_RDI) !== 0;
    const r = this.remote(mpid);
    if (rdi) {
      this.env.log("dbg", `${this.name}: RDI bit flagged from RMP ${mpid}`);
    }
    const what = `received CCM (seq ${seq}) (mpid ${mpid}) (interval ${interval}) (RDI ${rdi})`;
    this.env.log("dbg", `${this.name}: ${what}`);
    if (r === null) {
      log("warn", `dropped CCM with MPID ${mpid} from MAC ${srcText}`);
      return;
    }
    let fault = rdi ? FAULT.RDI : 0;
    // A new end has no number yet, so that the own one is only noticed the second time.
    if (r.mpid === this.mpid) {
      fault |= FAULT.LOOPBACK;
      log("warn", `received CCM with local MPID ${r.mpid}`);
    }
    if (r.seq !== 0 && seq !== (r.seq + 1) >>> 0) {
      log(
        "warn",
        `(mpid ${mpid}) detected sequence numbers which indicate possible connectivity problems ` +
          `(previous ${r.seq}) (current ${seq})`,
      );
    }
    r.mpid = mpid;
    if (fault === 0) {
      r.healthy = (r.healthy + 1) & 0xff;
      if (this.demand) {
        this.demandRxMs = nowMs + DEMAND_INTERVALS * this.intervalMs;
      }
    }
    this.recvFault |= fault;
    r.recv = true;
    r.seq = seq;
    r.opUp = !extended || ccm[CCM.OPDOWN] === 0;
    r.lastRxMs = nowMs;
  }

  /** The end of that number, a new one if need be; null if there are too many. */
  private remote(mpid: bigint): RemoteMp | null {
    const there = this.remotes.get(mpid);
    if (there !== undefined) {
      return there;
    }
    if (this.remotes.size >= CFM_REMOTES_MAX) {
      return null;
    }
    const r = { mpid: 0n, recv: false, opUp: false, seq: 0, healthy: 0, lastRxMs: 0 };
    this.remotes.set(mpid, r);
    return r;
  }

  /** The check for faults, if it is due; true if the status changed. */
  run(nowMs: number): boolean {
    if (nowMs < this.checkMs || this.settings === null) {
      return false;
    }
    const before = this.shown();
    const count = this.remoteMpids.length;
    const oldFault = this.ownFault;
    this.ownFault = this.recvFault;
    this.recvFault = 0;
    this.checkHealth();
    const forgot = this.checkRemotes(this.demandOverride(nowMs), nowMs);
    if (this.remotes.size === 0) {
      this.ownFault |= FAULT.RECV;
    }
    if (oldFault !== this.ownFault) {
      const names = (f: number): string => cfmFaultNames(f).join(" ");
      const change = `from [${names(oldFault)}] to [${names(this.ownFault)}]`;
      this.env.log("info", `${this.name}: CFM faults changed ${change}.`, LIMIT);
      if (oldFault === 0 || this.ownFault === 0) {
        this.flapCount++;
      }
    }
    this.booted = true;
    this.checkMs = nowMs + this.checkIntervalMs();
    this.env.log("dbg", `${this.name}: new fault interval`);
    const changed = forgot || count !== this.remoteMpids.length || before !== this.shown();
    this.statusChanged ||= changed;
    return changed;
  }

  private shown(): string {
    return [this.health, this.remoteOpUp, this.ownFault, this.flapCount].join();
  }

  private checkHealth(): void {
    if (this.healthChecks === HEALTH_CHECKS) {
      const [r] = this.remotes.values();
      if (this.remotes.size > 1) {
        this.health = -1;
      } else if (r === undefined) {
        this.health = 0;
      } else {
        this.health = Math.min(100, Math.floor((r.healthy * 100) / HEALTH_MESSAGES));
        r.healthy = 0;
      }
      this.healthChecks = 0;
    }
    this.healthChecks++;
  }

  /** In demand mode, other packets on the link are as good as messages of its one other end. */
  private demandOverride(nowMs: number): boolean {
    if (!this.demand) {
      return false;
    }
    const before = this.rxPackets;
    this.rxPackets = this.env.rxPackets();
    return this.remotes.size === 1 && this.rxPackets > before && nowMs < this.demandRxMs;
  }

  /** Who was heard? True if anybody was forgotten. */
  private checkRemotes(override: boolean, nowMs: number): boolean {
    let [anyUp, anyDown, forgot] = [false, false, false];
    const heard: bigint[] = [];
    for (const r of [...this.remotes.values()]) {
      if (r.recv) {
        r.recv = false;
        anyUp ||= r.opUp;
        anyDown ||= !r.opUp;
        heard.push(r.mpid);
        continue;
      }
      const text = `Received no CCM from RMP ${r.mpid} in the last ${nowMs - r.lastRxMs}ms`;
      this.env.log("info", `${this.name}: ${text}`);
      if (!override) {
        this.remotes.delete(r.mpid);
        forgot = true;
      }
    }
    this.remoteMpids = heard;
    if (anyDown) {
      this.remoteOpUp = false;
    } else if (anyUp) {
      this.remoteOpUp = true;
    }
    return forgot;
  }
}
