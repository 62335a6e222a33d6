// A port of a spanning tree: its state, what it has heard, its timers; and which of two sources of
// news of the root is the better one.
//
// Numbers in brackets are clauses of IEEE 802.1D-1998. ovs: lib/stp.c struct stp_port.

import type { BpduFields } from "../packet/bpdu.ts";

export const STP_PORT_PRIORITY_DEFAULT = 128;

export type StpState = "disabled" | "listening" | "learning" | "forwarding" | "blocking";
export type StpRole = "root" | "designated" | "alternate" | "disabled";

/** True if a port in this state lets frames through. */
export const stpForwardInState = (s: StpState): boolean => s === "forwarding";
/** True if a port in this state learns addresses. */
export const stpLearnInState = (s: StpState): boolean => s === "learning" || s === "forwarding";
/** True if BPDUs may leave by a port in this state; a port that takes no part just carries them. */
export const stpForwardsBpdu = (s: StpState): boolean => s !== "blocking";

/** Path cost of a link of so many Mb/s. */
export function stpSpeedToCost(mbps: number): number {
  const steps = [
    [10000, 2],
    [1000, 4],
    [100, 19],
    [16, 62],
    [10, 100],
    [4, 250],
  ] as const;
  return steps.find(([least]) => mbps >= least)?.[1] ?? 2;
}

/** A timer that counts up. */
export class StpTimer {
  active = false;
  value = 0;

  start(value = 0): void {
    this.value = value;
    this.active = true;
  }

  stop(): void {
    this.active = false;
  }

  /** Lets time pass; true, once, when the timer has run for so long. */
  expired(elapsed: number, timeout: number): boolean {
    if (!this.active) {
      return false;
    }
    this.value += elapsed;
    this.active = this.value < timeout;
    return !this.active;
  }
}

/** What a port asks of its bridge. */
interface StpBridge<Owner> {
  readonly bridgeId: bigint;
  readonly rootPort: StpPort<Owner> | null;
}

export class StpPort<Owner> {
  readonly bridge: StpBridge<Owner>;
  /** Index within the bridge. */
  readonly portNo: number;
  name = "";
  /** Whose port it is; BPDUs of a port without an owner go nowhere. */
  owner: Owner | null = null;
  portId: number;
  state: StpState = "disabled";
  stateChanged = false;
  pathCost = 2;
  designatedRoot = 0n;
  /** Signed, as the standard's sample has it. */
  designatedCost = 0;
  designatedBridge = 0n;
  designatedPort = 0;
  topologyChangeAck = false;
  configPending = false;
  readonly messageAge = new StpTimer();
  readonly forwardDelay = new StpTimer();
  readonly hold = new StpTimer();
  txCount = 0;
  rxCount = 0;
  errorCount = 0;

  constructor(bridge: StpBridge<Owner>, portNo: number) {
    this.bridge = bridge;
    this.portNo = portNo;
    this.portId = (portNo + 1) | (STP_PORT_PRIORITY_DEFAULT << 8);
  }

  get isDesignated(): boolean {
    return this.designatedBridge === this.bridge.bridgeId && this.designatedPort === this.portId;
  }

  get role(): StpRole {
    if (this.bridge.rootPort?.portId === this.portId) {
      return "root";
    }
    if (this.isDesignated) {
      return "designated";
    }
    return this.state === "disabled" ? "disabled" : "alternate";
  }

  get learn(): boolean {
    return stpLearnInState(this.state);
  }

  get forward(): boolean {
    return stpForwardInState(this.state);
  }

  get forwardBpdu(): boolean {
    return stpForwardsBpdu(this.state);
  }
}

/** [8.6.2.2] True if a message is better than what its port knows. */
export function supersedesPort<O>(p: StpPort<O>, f: BpduFields): boolean {
  if (f.rootId !== p.designatedRoot) {
    return f.rootId < p.designatedRoot;
  }
  const cost = p.designatedCost >>> 0;
  if (f.rootPathCost !== cost) {
    return f.rootPathCost < cost;
  }
  if (f.bridgeId !== p.designatedBridge) {
    return f.bridgeId < p.designatedBridge;
  }
  return f.bridgeId !== p.bridge.bridgeId || f.portId <= p.designatedPort;
}

/** [8.6.8.2] True if a port leads to the root better than the best so far. */
export function supersedesRoot<O>(p: StpPort<O>, root: StpPort<O>): boolean {
  if (p.designatedRoot !== root.designatedRoot) {
    return p.designatedRoot < root.designatedRoot;
  }
  const cost = (p.designatedCost + p.pathCost) | 0;
  const rootCost = (root.designatedCost + root.pathCost) | 0;
  if (cost !== rootCost) {
    return cost < rootCost;
  }
  if (p.designatedBridge !== root.designatedBridge) {
    return p.designatedBridge < root.designatedBridge;
  }
  if (p.designatedPort !== root.designatedPort) {
    return p.designatedPort < root.designatedPort;
  }
  return p.portId < root.portId;
}
