// Stp: the spanning tree of one bridge (IEEE 802.1D-1998, clause 8).
//
// A bridge believes in a root, knows what each port has heard of it, and derives which port leads
// there, for which LANs it is the designated bridge, and so which ports must block. All is driven
// by `tick` (time in 1/256 s) and `received`; BPDUs leave through `send`, which may come back into
// this object through a patch port before it returns. Numbers in brackets are clauses of the
// standard. Ports are a fixed array; each port is in exactly one state, "disabled" if it takes no
// part. ovs: lib/stp.c.

import type { Vlog } from "../lib/vlog.ts";
import {
  BPDU,
  BPDU_FLAG,
  BPDU_TYPE,
  type BpduFields,
  readBpdu,
  writeBpdu,
  writeTcn,
} from "../packet/bpdu.ts";
import { StpPort, StpTimer, type StpState, supersedesPort, supersedesRoot } from "./stp-port.ts";

export const STP_PORTS_MAX = 255;
export const STP_PRIORITY_DEFAULT = 32768;

export interface StpTimes {
  readonly maxAgeMs: number;
  readonly helloTimeMs: number;
  readonly forwardDelayMs: number;
}

export const STP_TIMES_DEFAULT: StpTimes = {
  maxAgeMs: 20000,
  helloTimeMs: 2000,
  forwardDelayMs: 15000,
};

const TICKS_PER_S = 256;
const HOLD_TICKS = TICKS_PER_S;
/** What a hop adds to the age of a message. */
const AGE_PER_HOP = 1;
const MAC_BITS = 48n;
const MAC_MASK = (1n << MAC_BITS) - 1n;
const TOPOLOGY_LIMIT = { name: "stp_topology_change_detection", rate: 1, burst: 5 };
const DEBUG_LIMIT = { name: "stp", rate: 60, burst: 60 };

const msToTicks = (ms: number): number => Math.trunc((ms * TICKS_PER_S) / 1000);
const clamp = (x: number, min: number, max: number): number => Math.min(max, Math.max(min, x));

export const ticksToMs = (ticks: number): number => Math.trunc((ticks * 1000) / TICKS_PER_S);
export interface StpEnv<Owner> {
  readonly name: string;
  /** Address of the bridge, with a priority above it unless the default one shall hold. */
  readonly bridgeId: bigint;
  readonly log: Vlog;
  send(port: StpPort<Owner>, bpdu: Uint8Array): void;
  /** Something changed that the database shows. */
  changed(): void;
}

export class Stp<Owner> {
  readonly name: string;
  readonly ports: readonly StpPort<Owner>[];
  bridgeId: bigint;
  /** Times in use [8.5.3.4-6], those of the root. */
  maxAge: number;
  helloTime: number;
  forwardDelay: number;
  /** Times of this bridge [8.5.3.8-10]. */
  bridgeMaxAge = 0;
  bridgeHelloTime = 0;
  bridgeForwardDelay = 0;
  designatedRoot = 0n;
  rootPathCost = 0;
  rootPort: StpPort<Owner> | null = null;
  private readonly env: StpEnv<Owner>;
  private wanted = STP_TIMES_DEFAULT;
  private elapsedRemainderMs = 0;
  private topologyChangeDetected = false;
  private topologyChange = false;
  private readonly helloTimer = new StpTimer();
  private readonly tcnTimer = new StpTimer();
  private readonly topologyChangeTimer = new StpTimer();
  private fdbNeedsFlush = false;

  constructor(env: StpEnv<Owner>) {
    this.env = env;
    this.name = env.name;
    const hasPriority = env.bridgeId >> MAC_BITS !== 0n;
    this.bridgeId = env.bridgeId | (hasPriority ? 0n : BigInt(STP_PRIORITY_DEFAULT) << MAC_BITS);
    this.updateTimes();
    this.maxAge = this.bridgeMaxAge;
    this.helloTime = this.bridgeHelloTime;
    this.forwardDelay = this.bridgeForwardDelay;
    this.designatedRoot = this.bridgeId;
    this.helloTimer.start(this.helloTime);
    this.ports = Array.from({ length: STP_PORTS_MAX }, (_, i) => new StpPort(this, i));
    for (const p of this.ports) {
      this.becomeDesignated(p);
    }
  }

  get isRoot(): boolean {
    return this.bridgeId === this.designatedRoot;
  }

  *enabledPorts(): Generator<StpPort<Owner>> {
    for (const p of this.ports) {
      if (p.state !== "disabled") {
        yield p;
      }
    }
  }

  // Time.

  tick(elapsedMs: number): void {
    const ms = Math.max(0, elapsedMs) + this.elapsedRemainderMs;
    const elapsed = msToTicks(ms);
    this.elapsedRemainderMs = ms - ticksToMs(elapsed);
    if (elapsed === 0) {
      return;
    }
    if (this.helloTimer.expired(elapsed, this.helloTime)) {
      this.generateConfigs();
      this.helloTimer.start();
    }
    if (this.tcnTimer.expired(elapsed, this.bridgeHelloTime)) {
      this.transmitTcn();
      this.tcnTimer.start();
    }
    if (this.topologyChangeTimer.expired(elapsed, this.maxAge + this.forwardDelay)) {
      this.topologyChangeDetected = false;
      this.topologyChange = false;
    }
    for (const p of this.enabledPorts()) {
      if (p.messageAge.expired(elapsed, this.maxAge)) {
        this.messageAgeExpired(p);
      }
    }
    for (const p of this.enabledPorts()) {
      if (p.forwardDelay.expired(elapsed, this.forwardDelay)) {
        this.forwardDelayExpired(p);
      }
      if (p.hold.expired(elapsed, HOLD_TICKS) && p.configPending) {
        this.transmitConfig(p);
      }
    }
  }

  private messageAgeExpired(p: StpPort<Owner>): void {
    const { isRoot } = this;
    this.debug(`bridge: ${this.name}, port: ${p.name}, message age timer expired`);
    this.becomeDesignated(p);
    this.update();
    this.selectStates();
    this.becomeRootUnless(isRoot);
  }

  private forwardDelayExpired(p: StpPort<Owner>): void {
    if (p.state === "listening") {
      this.setState(p, "learning");
      p.forwardDelay.start();
    } else if (p.state === "learning") {
      this.setState(p, "forwarding");
      for (const q of this.enabledPorts()) {
        if (q.designatedBridge === this.bridgeId) {
          this.detectTopologyChange();
          break;
        }
      }
    }
  }

  // Configuration.

  setAddress(mac: bigint): void {
    this.setBridgeId((this.bridgeId & ~MAC_MASK) | (mac & MAC_MASK));
  }

  setPriority(priority: number): void {
    this.setBridgeId((this.bridgeId & MAC_MASK) | (BigInt(priority & 0xffff) << MAC_BITS));
  }

  private setBridgeId(id: bigint): void {
    if (id === this.bridgeId) {
      return;
    }
    const { isRoot } = this;
    for (const p of this.enabledPorts()) {
      if (p.isDesignated) {
        p.designatedBridge = id;
      }
    }
    this.bridgeId = id;
    this.update();
    this.selectStates();
    this.becomeRootUnless(isRoot);
  }

  /** Sets the times that this bridge would use as the root; they are made to fit each other. */
  setTimes(times: StpTimes): void {
    this.wanted = times;
    this.updateTimes();
  }

  private updateTimes(): void {
    const { helloTimeMs, maxAgeMs, forwardDelayMs } = this.wanted;
    const hello = clamp(helloTimeMs, 1000, 10000);
    const maxAge = clamp(maxAgeMs, Math.max(2 * (hello + 1000), 6000), 40000);
    const forward = clamp(forwardDelayMs, Math.trunc(maxAge / 2) + 1000, 30000);
    this.bridgeHelloTime = msToTicks(hello);
    this.bridgeMaxAge = msToTicks(maxAge);
    this.bridgeForwardDelay = msToTicks(forward);
    if (this.isRoot) {
      this.useOwnTimes();
    }
  }

  private useOwnTimes(): void {
    this.maxAge = this.bridgeMaxAge;
    this.helloTime = this.bridgeHelloTime;
    this.forwardDelay = this.bridgeForwardDelay;
  }

  enablePort(p: StpPort<Owner>): void {
    if (p.state !== "disabled") {
      return;
    }
    this.becomeDesignated(p);
    this.setState(p, "blocking");
    p.topologyChangeAck = false;
    p.configPending = false;
    p.owner = null;
    p.messageAge.stop();
    p.forwardDelay.stop();
    p.hold.stop();
    p.txCount = 0;
    p.rxCount = 0;
    p.errorCount = 0;
    this.selectStates();
  }

  disablePort(p: StpPort<Owner>): void {
    if (p.state === "disabled") {
      return;
    }
    const { isRoot } = this;
    this.becomeDesignated(p);
    this.setState(p, "disabled");
    p.topologyChangeAck = false;
    p.configPending = false;
    p.messageAge.stop();
    p.forwardDelay.stop();
    this.update();
    this.selectStates();
    this.becomeRootUnless(isRoot);
    p.owner = null;
  }

  setPortPriority(p: StpPort<Owner>, priority: number): void {
    const portId = (p.portId & 0xff) | ((priority & 0xff) << 8);
    if (portId === p.portId) {
      return;
    }
    if (p.isDesignated) {
      p.designatedPort = portId;
    }
    p.portId = portId;
    if (this.bridgeId === p.designatedBridge && portId < p.designatedPort) {
      this.becomeDesignated(p);
      this.selectStates();
    }
  }

  setPathCost(p: StpPort<Owner>, pathCost: number): void {
    if (p.pathCost !== pathCost) {
      p.pathCost = pathCost;
      this.update();
      this.selectStates();
    }
  }

  // What the owner asks.

  /** True, once, if the MAC table has to be flushed. */
  takeFdbFlush(): boolean {
    const flush = this.fdbNeedsFlush;
    this.fdbNeedsFlush = false;
    return flush;
  }

  /** The next port whose state changed since it was asked last, or null. */
  takeChangedPort(): StpPort<Owner> | null {
    const p = this.ports.find((q) => q.stateChanged) ?? null;
    if (p !== null) {
      p.stateChanged = false;
    }
    return p;
  }

  /** [8.6.14] `stp/tcn`, or a port that started or stopped forwarding. */
  detectTopologyChange(): void {
    if (this.isRoot) {
      this.topologyChange = true;
      this.topologyChangeTimer.start();
    } else if (!this.topologyChangeDetected) {
      this.transmitTcn();
      this.tcnTimer.start();
    }
    this.fdbNeedsFlush = true;
    this.topologyChangeDetected = true;
    this.env.changed();
    const text = `${this.name}: detected topology change.`;
    this.env.log.logRl("stp", "info", TOPOLOGY_LIMIT, text);
  }

  // Reception.

  /** A BPDU came in by a port. */
  received(p: StpPort<Owner>, bytes: Uint8Array): void {
    if (p.state === "disabled") {
      return;
    }
    const error = this.receive(p, bytes);
    if (error === null) {
      p.rxCount++;
    } else {
      this.env.log.warn("stp", `${this.name}: received ${error}`);
      p.errorCount++;
    }
  }

  private receive(p: StpPort<Owner>, bytes: Uint8Array): string | null {
    const { length } = bytes;
    if (length < BPDU.TCN_BYTES) {
      return `runt ${length}-byte BPDU`;
    }
    const f = readBpdu(bytes);
    const protocol = ((bytes[BPDU.PROTOCOL] ?? 0) << 8) | (bytes[BPDU.PROTOCOL + 1] ?? 0);
    if (protocol !== 0) {
      return `BPDU with unexpected protocol ID ${protocol}`;
    }
    if (f.version !== 0) {
      const text = `${this.name}: received BPDU with unexpected protocol version ${f.version}`;
      this.env.log.dbg("stp", text);
    }
    if (f.type === BPDU_TYPE.CONFIG) {
      if (length < BPDU.CONFIG_BYTES) {
        return `config BPDU with invalid size ${length}`;
      }
      this.receivedConfig(p, f);
    } else if (f.type === BPDU_TYPE.TCN) {
      if (length !== BPDU.TCN_BYTES) {
        return `TCN BPDU with invalid size ${length}`;
      }
      if (p.isDesignated) {
        this.detectTopologyChange();
        p.topologyChangeAck = true;
        this.transmitConfig(p);
      }
    } else {
      return `BPDU of unexpected type ${f.type}`;
    }
    return null;
  }

  private receivedConfig(p: StpPort<Owner>, f: BpduFields): void {
    if (f.messageAge >= f.maxAge) {
      const ages = `message age (${f.messageAge}) greater than max age (${f.maxAge})`;
      this.env.log.warn("stp", `${this.name}: received config BPDU with ${ages}`);
      return;
    }
    const wasRoot = this.isRoot;
    if (!supersedesPort(p, f)) {
      if (p.isDesignated) {
        this.transmitConfig(p);
      }
      return;
    }
    p.designatedRoot = f.rootId;
    p.designatedCost = f.rootPathCost | 0;
    p.designatedBridge = f.bridgeId;
    p.designatedPort = f.portId;
    p.messageAge.start(f.messageAge);
    this.update();
    this.selectStates();
    if (wasRoot && !this.isRoot) {
      this.helloTimer.stop();
      if (this.topologyChangeDetected) {
        this.topologyChangeTimer.stop();
        this.transmitTcn();
        this.tcnTimer.start();
      }
    }
    if (p === this.rootPort) {
      this.followRoot(f);
    }
  }

  /** The root's word came in: its times hold, and it is passed on. */
  private followRoot(f: BpduFields): void {
    this.maxAge = f.maxAge;
    this.helloTime = f.helloTime;
    this.forwardDelay = f.forwardDelay;
    this.topologyChange = (f.flags & BPDU_FLAG.TOPOLOGY_CHANGE) !== 0;
    this.generateConfigs();
    if ((f.flags & BPDU_FLAG.TOPOLOGY_CHANGE_ACK) !== 0) {
      this.topologyChangeDetected = false;
      this.tcnTimer.stop();
    }
    if ((f.flags & BPDU_FLAG.TOPOLOGY_CHANGE) !== 0) {
      this.fdbNeedsFlush = true;
    }
  }

  // Transmission.

  private generateConfigs(): void {
    for (const p of this.enabledPorts()) {
      if (p.isDesignated) {
        this.transmitConfig(p);
      }
    }
  }

  private transmitConfig(p: StpPort<Owner>): void {
    const { isRoot, rootPort } = this;
    if (!isRoot && rootPort === null) {
      return;
    }
    if (p.hold.active) {
      this.debug(`bridge: ${this.name}, port: ${p.name}, transmit config bpdu pending`);
      p.configPending = true;
      return;
    }
    const age = isRoot || rootPort === null ? 0 : rootPort.messageAge.value + AGE_PER_HOP;
    const messageAge = age & 0xffff;
    if (messageAge >= this.maxAge) {
      return;
    }
    const flags =
      (p.topologyChangeAck ? BPDU_FLAG.TOPOLOGY_CHANGE_ACK : 0) |
      (this.topologyChange ? BPDU_FLAG.TOPOLOGY_CHANGE : 0);
    const fields: BpduFields = {
      version: 0,
      type: BPDU_TYPE.CONFIG,
      flags,
      rootId: this.designatedRoot,
      rootPathCost: this.rootPathCost,
      bridgeId: this.bridgeId,
      portId: p.portId,
      messageAge,
      maxAge: this.maxAge,
      helloTime: this.helloTime,
      forwardDelay: this.forwardDelay,
    };
    p.topologyChangeAck = false;
    p.configPending = false;
    this.debug(`bridge: ${this.name}, port: ${p.name}, transmit config bpdu`);
    this.send(p, writeBpdu(fields, BPDU.CONFIG_BYTES));
    p.hold.start();
  }

  private transmitTcn(): void {
    const p = this.rootPort;
    if (p !== null) {
      this.debug(`bridge: ${this.name}, root port: ${p.name}, transmit tcn`);
      this.send(p, writeTcn(BPDU.TCN_BYTES));
    }
  }

  private send(p: StpPort<Owner>, bpdu: Uint8Array): void {
    this.env.send(p, bpdu);
    p.txCount++;
  }

  private debug(text: string): void {
    this.env.log.logRl("stp", "dbg", DEBUG_LIMIT, text);
  }

  // Roles and states.

  /** [8.6.7] Chooses the root port and what this bridge is designated for. */
  private update(): void {
    let root: StpPort<Owner> | null = null;
    for (const p of this.enabledPorts()) {
      if (p.isDesignated || p.designatedRoot >= this.bridgeId) {
        continue;
      }
      if (root === null || supersedesRoot(p, root)) {
        root = p;
      }
    }
    this.rootPort = root;
    this.designatedRoot = root?.designatedRoot ?? this.bridgeId;
    this.rootPathCost = root === null ? 0 : (root.designatedCost + root.pathCost) >>> 0;
    for (const p of this.enabledPorts()) {
      if (p.isDesignated || p.designatedRoot !== this.designatedRoot || this.betterThan(p)) {
        this.becomeDesignated(p);
      }
    }
    this.env.changed();
  }

  /** True if what this bridge would say on the port beats what the port has heard. */
  private betterThan(p: StpPort<Owner>): boolean {
    const cost = p.designatedCost >>> 0;
    if (this.rootPathCost !== cost) {
      return this.rootPathCost < cost;
    }
    if (this.bridgeId !== p.designatedBridge) {
      return this.bridgeId < p.designatedBridge;
    }
    return p.portId <= p.designatedPort;
  }

  private becomeDesignated(p: StpPort<Owner>): void {
    p.designatedRoot = this.designatedRoot;
    p.designatedCost = this.rootPathCost | 0;
    p.designatedBridge = this.bridgeId;
    p.designatedPort = p.portId;
  }

  /** [8.6.11] */
  private selectStates(): void {
    for (const p of this.enabledPorts()) {
      if (p === this.rootPort) {
        p.configPending = false;
        p.topologyChangeAck = false;
        this.makeForwarding(p);
      } else if (p.isDesignated) {
        p.messageAge.stop();
        this.makeForwarding(p);
      } else {
        p.configPending = false;
        p.topologyChangeAck = false;
        this.makeBlocking(p);
      }
    }
  }

  private makeForwarding(p: StpPort<Owner>): void {
    if (p.state === "blocking") {
      this.setState(p, "listening");
      p.forwardDelay.start();
    }
  }

  private makeBlocking(p: StpPort<Owner>): void {
    if (p.state === "disabled" || p.state === "blocking") {
      return;
    }
    if (p.state !== "listening") {
      this.detectTopologyChange();
    }
    this.setState(p, "blocking");
    p.forwardDelay.stop();
  }

  private setState(p: StpPort<Owner>, state: StpState): void {
    if (state !== p.state && !p.stateChanged) {
      p.stateChanged = true;
      this.env.changed();
    }
    p.state = state;
  }

  /** What follows if this bridge is the root now and was not before. */
  private becomeRootUnless(wasRoot: boolean): void {
    if (wasRoot || !this.isRoot) {
      return;
    }
    this.useOwnTimes();
    this.detectTopologyChange();
    this.tcnTimer.stop();
    this.generateConfigs();
    this.helloTimer.start();
  }
}
