// BFD: bidirectional forwarding detection (RFC 5880), asynchronous mode without echo.
//
// Both ends send control packets and go through down, init and up as they hear each other. Who has
// not heard the other for its detection time is down. Changed intervals are agreed upon with a poll
// sequence: packets with P until one with F comes back. Besides, Open vSwitch slows the session down
// when the link carries nothing else (decay), and can take received data for a sign of life
// (forwarding_if_rx).
//
// Invariants: P and F are never both set. No I/O: `transmit` gives a frame.
// Units: milliseconds. The interval between packets is shortened by a random part, as the RFC wants;
// the random numbers, also of discriminators, come from the injected Rng.
// Reference: ovs: lib/bfd.c.

import { type FlowKey, fill, get, getU, K, orBits } from "../flow/flow-key.ts";
import type { Rng } from "../lib/env.ts";
import { randomRange } from "../lib/env.ts";
import { IP_PROTO, NW_FRAG } from "../packet/ip.ts";
import { ETH_TYPE } from "../packet/ethernet.ts";
import type { PacketBuf } from "../packet/packet.ts";
import {
  BFD_BYTES,
  BFD_DIAG,
  BFD_FLAG,
  BFD_PORT,
  BFD_STATE,
  BFD_TTL,
  BFD_VERSION,
  type BfdPacket,
  type BfdState,
  bfdDiagName,
  bfdStateName,
  composeBfd,
  parseBfd,
} from "./bfd-packet.ts";
import { bfdDetails, bfdPacketText } from "./bfd-text.ts";
import type { ProtocolLog } from "./protocol-log.ts";

const LIMIT = { name: "bfd", rate: 20, burst: 20 };
/** 169.254.1.1 and 169.254.1.0. */
export const BFD_DEFAULT_SRC = 0xa9fe0101;
export const BFD_DEFAULT_DST = 0xa9fe0100;
/** A session that is not up sends this seldom. */
const SLOW_TX_MS = 1000;
const MULT_DEFAULT = 3;
/** Least time over which received data is looked at. */
const DATA_MS_MIN = 2000;
/** With forwarding_if_rx a control packet has to come once in so many intervals. */
const DEMAND_INTERVALS = 100;
const ETH_DST = [0x0023, 0x20000001] as const;

type Mac = readonly [hi: number, lo: number];
const NO_MAC: Mac = [0, 0];

export interface BfdSettings {
  /** Any number: what cannot be is the default. */
  readonly mult: number;
  readonly minTxMs: number;
  readonly minRxMs: number;
  /** 0 for none. */
  readonly decayMinRxMs: number;
  readonly cpathDown: boolean;
  readonly forwardingIfRx: boolean;
  readonly checkTunnelKey: boolean;
  readonly oam: boolean;
  /** Null for the default. */
  readonly localSrcMac: Mac | null;
  readonly localDstMac: Mac | null;
  readonly remoteDstMac: Mac | null;
  readonly srcIp: number;
  readonly dstIp: number;
}

/** What BFD needs of the port that it runs on. */
export interface BfdEnv {
  readonly name: string;
  readonly rng: Rng;
  nowMs(): number;
  /** Packets that the device has received. */
  rxPackets(): number;
  readonly log: ProtocolLog;
}

export class Bfd {
  readonly env: BfdEnv;
  readonly disc: number;
  cpathDown = false;
  mult = MULT_DEFAULT;
  state: BfdState = BFD_STATE.ADMIN_DOWN;
  diag: number = BFD_DIAG.NONE;
  flags = 0;
  oam = false;
  minTxMs = 1000;
  minRxMs = 0;
  lastTxMs = 0;
  nextTxMs = 0;
  detectMs = 0;
  flapCount = 0;
  /** null: the protocol decides. */
  forwardingOverride: boolean | null = null;
  /** What the other end said last. */
  remote = {
    state: BFD_STATE.ADMIN_DOWN as BfdState,
    diag: BFD_DIAG.NONE as number,
    flags: 0,
    disc: 0,
    minRxMs: 0,
    minTxMs: 0,
  };
  remoteMult = 0;
  /** What `status` shows has changed; cleared by who shows it. */
  statusChanged = true;
  private readonly udpSrc: number;
  private settings: BfdSettings | null = null;
  private cfgMinTxMs = 0;
  private cfgMinRxMs = 0;
  private pollMinTxMs = 0;
  private pollMinRxMs = 0;
  private lastForwarding = false;
  private dataUntilMs = 0;
  private controlUntilMs = 0;
  private decay = { on: false, minRxMs: 0, control: 0, packets: 0, atMs: 0 };

  /** `disc` is unique in the switch, not 0; `udpSrc` comes from 49152 to 65535. */
  constructor(env: BfdEnv, disc: number, udpSrc: number) {
    this.env = env;
    this.disc = disc;
    this.udpSrc = udpSrc;
    this.setState(BFD_STATE.DOWN, BFD_DIAG.NONE);
  }

  get name(): string {
    return this.env.name;
  }

  /** Takes settings over; changes of intervals are agreed with the other end. */
  configure(s: BfdSettings): void {
    const oldIfRx = this.settings?.forwardingIfRx ?? false;
    const oldMult = this.mult;
    this.settings = s;
    this.mult = s.mult >= 1 && s.mult <= 255 ? s.mult : MULT_DEFAULT;
    this.oam = s.oam;
    let poll = this.configureIntervals(s);
    if (this.cpathDown !== s.cpathDown) {
      this.cpathDown = s.cpathDown;
      this.setState(this.state, BFD_DIAG.NONE);
      poll = true;
    }
    const multChanged = oldMult !== this.mult;
    if (oldIfRx !== s.forwardingIfRx || (s.forwardingIfRx && multChanged)) {
      if (this.state === BFD_STATE.UP && s.forwardingIfRx) {
        this.sawData();
      } else if (oldIfRx !== s.forwardingIfRx) {
        this.dataUntilMs = 0;
      }
    }
    if (poll) {
      this.poll();
    }
  }

  /** True if the other end has to agree to something new. */
  private configureIntervals(s: BfdSettings): boolean {
    let poll = false;
    const mayChange = (faster: boolean): boolean =>
      this.state !== BFD_STATE.UP || (!this.inPoll && faster);
    const minTxMs = Math.max(s.minTxMs, 1);
    if (this.cfgMinTxMs !== minTxMs) {
      this.cfgMinTxMs = minTxMs;
      this.minTxMs = mayChange(minTxMs < this.minTxMs) ? minTxMs : this.minTxMs;
      poll = true;
    }
    const minRxMs = Math.max(s.minRxMs, 1);
    const minRxChanged = this.cfgMinRxMs !== minRxMs;
    if (minRxChanged) {
      this.cfgMinRxMs = minRxMs;
      this.minRxMs = mayChange(minRxMs > this.minRxMs) ? minRxMs : this.minRxMs;
      poll = true;
    }
    const wanted = s.decayMinRxMs;
    if (this.decay.minRxMs !== wanted || minRxChanged) {
      const tooSmall = wanted > 0 && wanted < this.cfgMinRxMs;
      if (tooSmall) {
        const text = `decay_min_rx cannot be less than ${this.cfgMinRxMs} ms`;
        this.env.log("warn", `${this.name}: ${text}`);
      }
      this.decay.minRxMs = tooSmall ? 0 : wanted;
      this.decay.on = false;
      this.restartDecay();
      poll = true;
    }
    return poll;
  }

  wakeMs(): number {
    if ((this.flags & BFD_FLAG.FINAL) !== 0) {
      return 0;
    }
    return this.state > BFD_STATE.DOWN ? Math.min(this.detectMs, this.nextTxMs) : this.nextTxMs;
  }

  /** What time does to the session; true if its status changed. */
  run(): boolean {
    const nowMs = this.env.nowMs();
    const wasDecaying = this.decay.on;
    const wasChanged = this.statusChanged;
    this.statusChanged = false;
    if (this.state > BFD_STATE.DOWN && nowMs >= this.detectMs) {
      this.setState(BFD_STATE.DOWN, BFD_DIAG.EXPIRED);
    }
    this.forwarding();
    const { decay } = this;
    if (this.state === BFD_STATE.UP && decay.minRxMs > 0 && nowMs >= decay.atMs) {
      const packets = this.env.rxPackets() - decay.packets;
      decay.on = packets <= 2 * Math.max(decay.control, 1);
      this.restartDecay();
    }
    const rxDiffers = this.minRxMs !== this.cfgMinRxMs && this.minRxMs !== decay.minRxMs;
    if (this.minTxMs !== this.cfgMinTxMs || rxDiffers || decay.on !== wasDecaying) {
      this.poll();
    }
    const changed = this.statusChanged;
    this.statusChanged ||= wasChanged;
    return changed;
  }

  /** A packet has to be sent now. */
  get mustSend(): boolean {
    return (this.flags & BFD_FLAG.FINAL) !== 0 || this.env.nowMs() >= this.nextTxMs;
  }

  /** The control packet to send. */
  transmit(ethSrc: Mac): PacketBuf {
    const nowMs = this.env.nowMs();
    const interval = this.txIntervalMs;
    const delay = nowMs - this.nextTxMs;
    if (this.nextTxMs !== 0 && delay > Math.floor((interval * 3) / 2)) {
      const text = `long delay of ${delay}ms (expected ${interval}ms) sending BFD control message`;
      this.env.log("info", `${this.name}: ${text}`);
    }
    const m: BfdPacket = {
      version: BFD_VERSION,
      diag: this.diag,
      state: this.state,
      flags: this.flags,
      mult: this.mult,
      length: BFD_BYTES,
      myDisc: this.disc,
      yourDisc: this.remote.disc,
      minTxUs: 1000 * (this.inPoll ? this.pollMinTxMs : this.ownMinTxMs),
      minRxUs: 1000 * (this.inPoll ? this.pollMinRxMs : this.minRxMs),
      minRxEchoUs: 0,
    };
    const s = this.settings;
    const p = composeBfd(m, {
      ethSrc: s?.localSrcMac ?? ethSrc,
      ethDst: s?.localDstMac ?? ETH_DST,
      ipSrc: s?.srcIp ?? BFD_DEFAULT_SRC,
      ipDst: s?.dstIp ?? BFD_DEFAULT_DST,
      udpSrc: this.udpSrc,
    });
    this.flags &= ~BFD_FLAG.FINAL;
    this.logPacket("dbg", m, "Sending BFD Message");
    this.lastTxMs = nowMs;
    this.scheduleTx();
    return p;
  }

  /** True for the packets that `receive` takes; marks in `wc` what that depends on. */
  shouldProcess(key: FlowKey, wc: FlowKey): boolean {
    const s = this.settings;
    const [dstHi, dstLo] = s?.remoteDstMac ?? NO_MAC;
    if (s?.remoteDstMac) {
      fill(wc, K.dl_dst);
      if (key[K.dl_dst.word] !== dstHi || key[K.dl_dst.word + 1] !== dstLo) {
        return false;
      }
    }
    if (get(key, K.dl_type) !== ETH_TYPE.IP) {
      return false;
    }
    fill(wc, K.nw_proto);
    const srcIp = s?.srcIp ?? BFD_DEFAULT_SRC;
    const isOurs = srcIp === getU(key, K.nw_dst);
    if (
      get(key, K.nw_proto) !== IP_PROTO.UDP ||
      (get(key, K.nw_frag) & NW_FRAG.LATER) !== 0 ||
      !isControlPort(key, wc) ||
      (srcIp !== BFD_DEFAULT_SRC && !isOurs)
    ) {
      return false;
    }
    if (isOurs) {
      fill(wc, K.nw_dst);
    }
    if (s?.checkTunnelKey === true) {
      fill(wc, K.tun_id);
      return key[K.tun_id.word] === 0 && key[K.tun_id.word + 1] === 0;
    }
    return true;
  }

  /** Takes the payload of a UDP packet that came with a TTL, whatever it may hold. */
  receive(payload: Uint8Array, ttl: number): void {
    this.decay.control++;
    this.forwarding();
    const m = ttl === BFD_TTL ? parseBfd(payload) : null;
    if (m !== null) {
      this.logPacket("dbg", m, "Received BFD control message");
      if (this.isValid(m)) {
        this.receiveValid(m);
      }
    } else if (ttl === BFD_TTL) {
      const text = `(only ${payload.length} bytes long, at least ${BFD_BYTES} required)`;
      const what = `Received too-short BFD control message ${text}`;
      this.env.log("info", `${this.name}: ${what}.`, LIMIT);
    }
    this.forwarding();
  }

  private isValid(m: BfdPacket): boolean {
    const bad = (text: string): false => {
      this.logPacket("warn", m, text);
      return false;
    };
    if (m.version !== BFD_VERSION) {
      return bad("Incorrect version");
    }
    if ((m.flags & BFD_FLAG.AUTH) !== 0) {
      return bad("Authenticated control message with authentication disabled");
    }
    if (m.length !== BFD_BYTES) {
      bad("Unexpected length");
      if (m.length < BFD_BYTES) {
        return false;
      }
    }
    if (m.mult === 0) {
      return bad("Zero multiplier");
    }
    if ((m.flags & BFD_FLAG.MULTIPOINT) !== 0) {
      return bad("Unsupported multipoint flag");
    }
    if (m.myDisc === 0) {
      return bad("NULL my_disc");
    }
    if (m.yourDisc !== 0) {
      return m.yourDisc === this.disc || bad("Incorrect your_disc");
    }
    return m.state <= BFD_STATE.DOWN || bad("Null your_disc");
  }

  private receiveValid(m: BfdPacket): void {
    const { remote } = this;
    this.statusChanged ||= remote.state !== m.state;
    Object.assign(remote, { disc: m.myDisc, state: m.state, flags: m.flags, diag: m.diag });
    if ((m.flags & BFD_FLAG.FINAL) !== 0 && this.inPoll) {
      this.minTxMs = this.pollMinTxMs;
      this.minRxMs = this.pollMinRxMs;
      this.flags &= ~BFD_FLAG.POLL;
      this.logPacket("info", m, "Poll sequence terminated");
    }
    if ((m.flags & BFD_FLAG.POLL) !== 0) {
      // An answer goes out at once; a sequence of our own has to wait.
      this.flags = (this.flags & ~BFD_FLAG.POLL) | BFD_FLAG.FINAL;
    }
    if (this.remoteMult !== m.mult) {
      const change = `${this.remoteMult} changed to ${m.mult}`;
      this.env.log("info", `Interface ${this.name} remote mult value ${change}`);
      this.remoteMult = m.mult;
    }
    const minRxMs = Math.max(Math.floor(m.minRxUs / 1000), 1);
    if (remote.minRxMs !== minRxMs) {
      remote.minRxMs = minRxMs;
      if (this.nextTxMs !== 0) {
        this.scheduleTx();
      }
      this.logPacket("info", m, "New remote min_rx");
    }
    remote.minTxMs = Math.max(Math.floor(m.minTxUs / 1000), 1);
    const nowMs = this.env.nowMs();
    this.detectMs = this.rxIntervalMs * this.remoteMult + nowMs;
    this.changeState(m);
    if (this.settings?.forwardingIfRx === true) {
      this.controlUntilMs = nowMs + DEMAND_INTERVALS * this.cfgMinRxMs;
    }
  }

  /** The state machine of RFC 5880 §6.2. */
  private changeState(m: BfdPacket): void {
    const { DOWN, INIT, UP, ADMIN_DOWN } = BFD_STATE;
    if (m.state === ADMIN_DOWN) {
      if (this.state !== DOWN) {
        this.setState(DOWN, BFD_DIAG.RMT_DOWN);
      }
    } else if (this.state === DOWN && m.state === DOWN) {
      this.setState(INIT, this.diag);
    } else if (this.state === DOWN && m.state === INIT) {
      this.setState(UP, this.diag);
    } else if (this.state === INIT && m.state > DOWN) {
      this.setState(UP, this.diag);
    } else if (this.state === UP && m.state <= DOWN) {
      this.setState(DOWN, BFD_DIAG.RMT_DOWN);
      this.logPacket("info", m, "Remote signaled STATE_DOWN");
    }
  }

  private setState(state: BfdState, wantedDiag: number): void {
    const diag = this.cpathDown ? BFD_DIAG.CPATH_DOWN : wantedDiag;
    if (this.state === state && this.diag === diag) {
      return;
    }
    this.setStateLog(this.state, state, this.diag, diag);
    this.state = state;
    this.diag = diag;
    if (state <= BFD_STATE.DOWN) {
      this.remote = {
        state: BFD_STATE.DOWN,
        diag: BFD_DIAG.NONE,
        flags: 0,
        disc: 0,
        minRxMs: 1,
        minTxMs: 0,
      };
      if (this.decay.on) {
        this.minRxMs = this.cfgMinRxMs;
        this.decay.on = false;
      }
    }
    if (state === BFD_STATE.UP && this.decay.minRxMs !== 0) {
      this.restartDecay();
    }
    this.statusChanged = true;
  }

  private setStateLog(from: BfdState, to: BfdState, fromDiag: number, toDiag: number): void {
    const states = `${bfdStateName(from)}->${bfdStateName(to)}`;
    const diags = `"${bfdDiagName(fromDiag)}"->"${bfdDiagName(toDiag)}"`;
    const text = () => `${this.name}: BFD state change: ${states} ${diags}.\n${bfdDetails(this)}`;
    this.env.log("info", text, LIMIT);
  }

  private logPacket(level: "dbg" | "info" | "warn", m: BfdPacket, text: string): void {
    const what = () => `${this.name}: ${text}.${bfdPacketText(m)}${bfdDetails(this)}`;
    this.env.log(level, what, LIMIT);
  }

  /** Whether the link may carry traffic; notes a flap if that changed. */
  forwarding(): boolean {
    if (this.forwardingOverride !== null) {
      return this.forwardingOverride;
    }
    const nowMs = this.env.nowMs();
    const ifRx =
      this.settings?.forwardingIfRx === true &&
      this.dataUntilMs > nowMs &&
      this.controlUntilMs > nowMs;
    const { diag } = this.remote;
    const before = this.lastForwarding;
    this.lastForwarding =
      (this.state === BFD_STATE.UP || ifRx) &&
      diag !== BFD_DIAG.PATH_DOWN &&
      diag !== BFD_DIAG.CPATH_DOWN &&
      diag !== BFD_DIAG.RCPATH_DOWN;
    if (this.lastForwarding !== before) {
      this.flapCount++;
      this.statusChanged = true;
    }
    return this.lastForwarding;
  }

  override(forwarding: boolean | null): void {
    this.forwardingOverride = forwarding;
    this.statusChanged = true;
  }

  /** Packets of any kind came in by the link. */
  accountRx(packets: number): void {
    if (packets > 0 && this.settings?.forwardingIfRx === true) {
      this.forwarding();
      this.sawData();
      this.forwarding();
    }
  }

  private sawData(): void {
    const ms = Math.max(this.rxIntervalMs * this.mult, DATA_MS_MIN);
    this.dataUntilMs = ms + this.env.nowMs();
  }

  private restartDecay(): void {
    const { decay } = this;
    decay.packets = this.env.rxPackets();
    decay.control = 0;
    decay.atMs = Math.max(decay.minRxMs, DATA_MS_MIN) + this.env.nowMs();
  }

  private get inPoll(): boolean {
    return (this.flags & BFD_FLAG.POLL) !== 0;
  }

  private poll(): void {
    const busy = (this.flags & (BFD_FLAG.POLL | BFD_FLAG.FINAL)) !== 0;
    if (this.state > BFD_STATE.DOWN && !busy) {
      this.pollMinTxMs = this.cfgMinTxMs;
      this.pollMinRxMs = this.decay.on ? this.decay.minRxMs : this.cfgMinRxMs;
      this.flags |= BFD_FLAG.POLL;
      this.nextTxMs = 0;
      this.env.log("info", `${this.name}: Initiating poll sequence`, LIMIT);
    }
  }

  /** The interval that this end offers: slow as long as the session is not up. */
  get ownMinTxMs(): number {
    return this.state === BFD_STATE.UP ? this.minTxMs : Math.max(this.minTxMs, SLOW_TX_MS);
  }

  get txIntervalMs(): number {
    return Math.max(this.ownMinTxMs, this.remote.minRxMs);
  }

  get rxIntervalMs(): number {
    return Math.max(this.minRxMs, this.remote.minTxMs);
  }

  private scheduleTx(): void {
    const { rng } = this.env;
    const percent = this.mult === 1 ? 10 + randomRange(rng, 16) : randomRange(rng, 26);
    const interval = this.txIntervalMs;
    this.nextTxMs = this.lastTxMs + interval - Math.floor((interval * percent) / 100);
  }

  /** What the database shows (column bfd_status). */
  status(): [string, string][] {
    return [
      ["forwarding", String(this.forwarding())],
      ["state", bfdStateName(this.state)],
      ["diagnostic", bfdDiagName(this.diag)],
      ["flap_count", String(this.flapCount)],
      ["remote_state", bfdStateName(this.remote.state)],
      ["remote_diagnostic", bfdDiagName(this.remote.diag)],
    ];
  }
}

/** Marks as few bits of the port as the comparison needs (ovs: tp_dst_equals). */
function isControlPort(key: FlowKey, wc: FlowKey): boolean {
  const diff = get(key, K.tp_dst) ^ BFD_PORT;
  if (diff === 0) {
    fill(wc, K.tp_dst);
  } else {
    orBits(wc, K.tp_dst, 1 << (31 - Math.clz32(diff)));
  }
  return diff === 0;
}
