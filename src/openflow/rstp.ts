// Rstp: the rapid spanning tree of one bridge (IEEE 802.1D-2004, clause 17).
//
// Each port has eight state machines and the bridge one; whenever something changed, all take steps
// in turn until none moves. Time comes in whole seconds by `tick`, BPDUs by `received`; they leave
// through `send`. A BPDU that comes back through a patch port while the machines run waits until
// they stand still. Open vSwitch 3.1.0 ends itself there (its mutex is not recursive), so this is
// the one place without a model. ovs: lib/rstp.c, lib/rstp-state-machines.c.

import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Vlog } from "../lib/vlog.ts";
import { BPDU, BPDU_FLAG, BPDU_TYPE, type BpduFields, readBpdu } from "../packet/bpdu.ts";
import { machineStart, machineStep } from "./rstp-machine.ts";
import { ROLE_FLAG } from "./rstp-port-machines.ts";
import { RSTP_DEFAULT, type RstpPortSettings, RstpPort, newPlaces, stepPort } from "./rstp-port.ts";
import { ROLE_SELECTION, updtRolesTree } from "./rstp-selection.ts";
import {
  newPortVars,
  type PriorityVector,
  type RstpBridge,
  type RstpPortCore,
  type RstpState,
  type RstpTimes,
  ZERO_TIMES,
  ZERO_VECTOR,
} from "./rstp-types.ts";

export const RSTP_PORTS_MAX = 4095;
const HELLO_TIME_S = 2;
const PRIORITY_STEP = 4096;
const PRIORITY_MAX = 61440;
const PORT_PRIORITY_STEP = 16;
const PORT_PRIORITY_MAX = 240;
const PATH_COST_MAX = 200_000_000;
const MAC_BITS = 48n;
const MAC_MASK = (1n << MAC_BITS) - 1n;
/** Rounds of the machines after which they are taken to run in circles. */
export const RSTP_ROUNDS_MAX = 1000;
/** BPDUs that may wait for the machines to stand still; more are bad ones. */
export const RSTP_WAITING_MAX = 256;

export interface RstpEnv<Owner> {
  readonly name: string;
  /** 48 bits. */
  readonly address: bigint;
  readonly log: Vlog;
  send(port: RstpPort<Owner>, bpdu: Uint8Array): void;
  /** Something changed that the database shows. */
  changed(): void;
}

export interface RstpSettings {
  readonly address: bigint;
  readonly priority: number;
  /** 0: speak STP only; 2: speak RSTP; others are ignored. */
  readonly forceVersion: number;
  readonly maxAgeS: number;
  readonly forwardDelayS: number;
  readonly transmitHoldCount: number;
}

export class Rstp<Owner> implements RstpBridge {
  readonly name: string;
  bridgeId = 0n;
  rstpVersion = true;
  readonly bridgeHelloTime = HELLO_TIME_S;
  bridgeMaxAge = 0;
  bridgeForwardDelay = 0;
  transmitHoldCount = 0;
  bridgePriority: PriorityVector = ZERO_VECTOR;
  bridgeTimes: RstpTimes = ZERO_TIMES;
  rootPriority: PriorityVector = ZERO_VECTOR;
  rootPortId = 0;
  rootTimes: RstpTimes = ZERO_TIMES;
  /** The root port moved to a port that was alternate: addresses can move with it. */
  rootChanged = false;
  oldRoot: Owner | null = null;
  newRoot: Owner | null = null;
  private readonly env: RstpEnv<Owner>;
  private readonly byNumber = new OvsMap<number, RstpPort<Owner>>((n) => hashInt(n, 0));
  private address = 0n;
  private priority = 0;
  private forceVersion: number = RSTP_DEFAULT.forceVersion;
  private place = machineStart();
  private changes = false;
  private moving = false;
  private readonly retired: RstpPort<Owner>[] = [];
  private readonly waiting: { readonly port: RstpPort<Owner>; readonly bpdu: Uint8Array }[] = [];

  constructor(env: RstpEnv<Owner>) {
    this.env = env;
    this.name = env.name;
    this.begin(env.address);
    this.move();
  }

  /** The protocol starts anew with its defaults; ports keep their numbers. */
  private begin(address: bigint): void {
    this.address = address;
    this.priority = RSTP_DEFAULT.priority;
    this.bridgeForwardDelay = RSTP_DEFAULT.forwardDelayS;
    this.bridgeMaxAge = RSTP_DEFAULT.maxAgeS;
    this.transmitHoldCount = RSTP_DEFAULT.transmitHoldCount;
    this.bridgeTimes = {
      forwardDelay: this.bridgeForwardDelay,
      helloTime: HELLO_TIME_S,
      maxAge: this.bridgeMaxAge,
      messageAge: 0,
    };
    this.place = machineStart();
    this.rootPortId = 0;
    this.rootChanged = false;
    this.oldRoot = null;
    this.newRoot = null;
    for (const p of this.byNumber.values()) {
      p.v = newPortVars();
      p.v.state = "Discarding";
      p.name = null;
      this.setPortDefaults(p);
    }
    this.takeBridgeId();
    // Ports hear of it when the machines run.
    this.rootPriority = this.bridgePriority;
    this.rootTimes = this.bridgeTimes;
    this.changes = true;
  }

  ports(): Iterable<RstpPort<Owner>> {
    return this.byNumber.values();
  }

  get isRoot(): boolean {
    return this.bridgeId === this.rootPriority.bridgeId;
  }

  get rootPort(): RstpPort<Owner> | null {
    for (const p of this.ports()) {
      if (p.id === this.rootPortId) {
        return p;
      }
    }
    return null;
  }

  // Settings of the bridge.

  configure(s: RstpSettings): void {
    if (s.address !== this.address) {
      this.address = s.address;
      this.setBridgeId();
    }
    const priority = Math.trunc(s.priority / PRIORITY_STEP) * PRIORITY_STEP;
    if (priority !== this.priority && priority >= 0 && priority <= PRIORITY_MAX) {
      this.priority = priority;
      this.setBridgeId();
    }
    if (s.forceVersion !== this.forceVersion && (s.forceVersion === 0 || s.forceVersion === 2)) {
      this.forceVersion = s.forceVersion;
      this.begin(this.address);
      this.rstpVersion = s.forceVersion === 2;
      this.move();
    }
    this.setMaxAge(s.maxAgeS);
    this.setForwardDelay(s.forwardDelayS);
    const hold = s.transmitHoldCount;
    if (hold !== this.transmitHoldCount && hold >= 1 && hold <= 10) {
      this.transmitHoldCount = hold;
      for (const p of this.ports()) {
        p.v.txCount = 0;
      }
    }
  }

  private takeBridgeId(): void {
    this.bridgeId = (BigInt(this.priority) << MAC_BITS) | (this.address & MAC_MASK);
    this.bridgePriority = { ...ZERO_VECTOR, rootId: this.bridgeId, bridgeId: this.bridgeId };
  }

  private setBridgeId(): void {
    this.takeBridgeId();
    for (const p of this.ports()) {
      this.reselect(p);
    }
    this.changes = true;
    this.updateRoles();
  }

  private setMaxAge(maxAge: number): void {
    const fits = 2 * (this.bridgeForwardDelay - 1) >= maxAge && maxAge >= 2 * HELLO_TIME_S;
    if (maxAge !== this.bridgeMaxAge && maxAge >= 6 && maxAge <= 40 && fits) {
      this.bridgeMaxAge = maxAge;
      this.bridgeTimes = { ...this.bridgeTimes, maxAge };
      this.changes = true;
      this.updateRoles();
    }
  }

  private setForwardDelay(forwardDelay: number): void {
    const inRange = forwardDelay >= 4 && forwardDelay <= 30;
    const fits = 2 * (forwardDelay - 1) >= this.bridgeMaxAge;
    if (forwardDelay !== this.bridgeForwardDelay && inRange && fits) {
      this.bridgeForwardDelay = forwardDelay;
      this.bridgeTimes = { ...this.bridgeTimes, forwardDelay };
      this.changes = true;
      this.updateRoles();
    }
  }

  private updateRoles(): void {
    updtRolesTree(this);
    this.env.changed();
  }

  ownerOf(portNumber: number): Owner | null {
    return this.byNumber.get(portNumber)?.owner ?? null;
  }

  // Ports.

  addPort(): RstpPort<Owner> {
    const p = new RstpPort<Owner>(this);
    p.v.priority = RSTP_DEFAULT.portPriority;
    this.reselect(p);
    this.setNumber(p, 0);
    this.setPortDefaults(p);
    this.setState(p, "Discarding");
    this.changes = true;
    this.move();
    return p;
  }

  /** A port takes no part any more. Its number stays taken until `reap`, as in Open vSwitch. */
  retirePort(p: RstpPort<Owner>): void {
    p.owner = null;
    this.setState(p, "Disabled");
    this.setMacOperational(p, false);
    this.retired.push(p);
  }

  /** Forgets the ports that were retired. */
  reap(): void {
    for (const p of this.retired.splice(0)) {
      if (this.byNumber.get(p.number) === p) {
        this.byNumber.delete(p.number);
      }
    }
  }

  private setPortDefaults(p: RstpPort<Owner>): void {
    const { v } = p;
    v.adminEnabled = true;
    v.operPointToPoint = true;
    this.updateEnabled(p);
    this.setPathCost(p, RSTP_DEFAULT.pathCost);
    v.autoEdge = true;
    p.places = newPlaces();
  }

  configurePort(p: RstpPort<Owner>, owner: Owner, s: RstpPortSettings): void {
    const { v } = p;
    p.owner = owner;
    if (v.priority !== s.priority && s.priority >= 0 && s.priority <= PORT_PRIORITY_MAX) {
      v.priority = s.priority - (s.priority % PORT_PRIORITY_STEP);
      p.id = p.number | (v.priority << 8);
      this.reselect(p);
    }
    this.setNumber(p, s.number);
    p.name = s.name;
    this.setPathCost(p, s.pathCost);
    v.adminEdge = s.adminEdge;
    v.autoEdge = s.autoEdge;
    if (v.adminPointToPoint !== s.adminPointToPoint && s.adminPointToPoint <= 2) {
      v.adminPointToPoint = s.adminPointToPoint;
      v.operPointToPoint = s.adminPointToPoint === 1;
    }
    if (v.adminEnabled !== s.adminEnabled) {
      v.adminEnabled = s.adminEnabled;
      this.updateEnabled(p);
      this.changes = true;
      this.move();
    }
    if (s.mcheck && this.forceVersion >= 2) {
      v.mcheck = true;
    }
  }

  private reselect(p: RstpPort<Owner>): void {
    p.v.selected = false;
    p.v.reselect = true;
  }

  private isFree(n: number, p: RstpPort<Owner>): boolean {
    const there = this.byNumber.get(n);
    return n >= 1 && n <= RSTP_PORTS_MAX && (there === undefined || there === p);
  }

  private firstFree(p: RstpPort<Owner>): number {
    for (let n = 1; n <= RSTP_PORTS_MAX; n++) {
      if (this.isFree(n, p)) {
        return n;
      }
    }
    return 0;
  }

  /** Gives a port a number: the one asked for if it is free, else the first free one. */
  private setNumber(p: RstpPort<Owner>, wanted: number): void {
    if (p.number === wanted && wanted !== 0) {
      return;
    }
    const number = this.isFree(wanted, p) ? wanted : this.firstFree(p);
    if (number !== p.number) {
      if (this.byNumber.get(p.number) === p) {
        this.byNumber.delete(p.number);
      }
      p.number = number;
      p.id = number | (p.v.priority << 8);
      this.reselect(p);
      this.byNumber.set(number, p);
    }
  }

  private setPathCost(p: RstpPort<Owner>, cost: number): void {
    if (p.v.pathCost !== cost && cost >= 1 && cost <= PATH_COST_MAX) {
      p.v.pathCost = cost;
      this.reselect(p);
    }
  }

  private updateEnabled({ v }: RstpPort<Owner>): void {
    v.portEnabled = v.macOperational && v.adminEnabled;
  }

  /** The link of a port came up or went down. */
  setMacOperational(p: RstpPort<Owner>, up: boolean): void {
    if (p.v.macOperational !== up) {
      p.v.macOperational = up;
      this.updateEnabled(p);
      this.changes = true;
      this.move();
    }
  }

  setState({ v }: RstpPortCore, state: RstpState): void {
    if (state !== v.state && !v.stateChanged) {
      v.stateChanged = true;
      this.env.changed();
    }
    v.state = state;
  }

  // Time and messages.

  /** A second has gone by. */
  tick(): void {
    for (const { v } of this.ports()) {
      v.helloWhen = Math.max(0, v.helloWhen - 1);
      v.tcWhile = Math.max(0, v.tcWhile - 1);
      v.fdWhile = Math.max(0, v.fdWhile - 1);
      v.rcvdInfoWhile = Math.max(0, v.rcvdInfoWhile - 1);
      v.rrWhile = Math.max(0, v.rrWhile - 1);
      v.rbWhile = Math.max(0, v.rbWhile - 1);
      v.mdelayWhile = Math.max(0, v.mdelayWhile - 1);
      v.edgeDelayWhile = Math.max(0, v.edgeDelayWhile - 1);
      v.txCount = Math.max(0, v.txCount - 1);
      v.uptimeS++;
    }
    this.changes = true;
    this.move();
  }

  /** `rstp/tcn`. */
  moveAnyway(): void {
    this.changes = true;
    this.move();
  }

  /** A BPDU came in by a port. */
  received(p: RstpPort<Owner>, bpdu: Uint8Array): void {
    if (!this.moving) {
      this.receive(p, bpdu);
    } else if (this.waiting.length < RSTP_WAITING_MAX) {
      this.waiting.push({ port: p, bpdu: bpdu.slice() });
    } else {
      p.v.errorCount++;
    }
  }

  private receive(p: RstpPort<Owner>, bytes: Uint8Array): void {
    const { v } = p;
    if (v.state === "Disabled" || !v.portEnabled || v.rcvdBpdu) {
      return;
    }
    const bpdu = this.valid(p, bytes);
    if (bpdu === null) {
      v.errorCount++;
      return;
    }
    v.rcvdBpdu = true;
    v.rxCount++;
    v.bpdu = bpdu;
    this.changes = true;
    this.move();
  }

  /** [9.3.4] The BPDU if it is a good one. */
  private valid(p: RstpPort<Owner>, bytes: Uint8Array): BpduFields | null {
    const { length } = bytes;
    const protocol = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
    if (length < BPDU.TCN_BYTES || protocol !== 0) {
      return null;
    }
    const f = asConfigIfRoleless(readBpdu(bytes));
    switch (f.type) {
      case BPDU_TYPE.CONFIG: {
        const young = f.messageAge >> 8 < f.maxAge >> 8;
        const own = f.bridgeId === this.bridgeId && f.portId === p.id;
        return length >= BPDU.CONFIG_BYTES && young && !own ? f : null;
      }
      case BPDU_TYPE.TCN:
        return f;
      case BPDU_TYPE.RAPID:
        return length >= BPDU.RAPID_BYTES ? f : null;
      default:
        return null;
    }
  }

  send(p: RstpPortCore, bpdu: Uint8Array): void {
    const port = this.byNumber.get(p.number);
    if (port !== undefined) {
      this.env.send(port, bpdu);
    }
  }

  /** Lets the machines run until none moves. */
  private move(): void {
    if (this.moving) {
      return;
    }
    this.moving = true;
    let rounds = 0;
    for (; this.changes && rounds < RSTP_ROUNDS_MAX; rounds++) {
      this.changes = false;
      this.changes = machineStep(ROLE_SELECTION, this.place, this);
      for (const p of this.ports()) {
        if (p.v.state !== "Disabled") {
          this.changes = stepPort(p) || this.changes;
        }
      }
      this.env.changed();
    }
    if (rounds >= RSTP_ROUNDS_MAX) {
      const text = `${this.name}: move_rstp() reached the iteration safeguard limit!`;
      this.env.log.err("rstp_sm", text);
    }
    this.moving = false;
    for (let w = this.waiting.shift(); w !== undefined; w = this.waiting.shift()) {
      this.receive(w.port, w.bpdu);
    }
  }

  // What the owner asks.

  /** The port whose state changed, one after the other in their order; null at the end. */
  *takeChangedPorts(): Generator<RstpPort<Owner>> {
    for (const p of this.ports()) {
      if (p.v.stateChanged) {
        p.v.stateChanged = false;
        if (p.owner === null) {
          return;
        }
        yield p;
      }
    }
  }

  /** Ports whose addresses have to be forgotten. */
  *takeFdbFlush(): Generator<RstpPort<Owner>> {
    for (const p of this.ports()) {
      if (p.v.fdbFlush) {
        p.v.fdbFlush = false;
        if (p.owner === null) {
          return;
        }
        yield p;
      }
    }
  }
}

/** [9.2.9] A rapid BPDU that tells no role counts as a configuration BPDU. */
function asConfigIfRoleless(f: BpduFields): BpduFields {
  const role = (f.flags & BPDU_FLAG.ROLE_MASK) >> BPDU_FLAG.ROLE_SHIFT;
  return f.type === BPDU_TYPE.RAPID && role === ROLE_FLAG.UNKNOWN
    ? { ...f, type: BPDU_TYPE.CONFIG }
    : f;
}
