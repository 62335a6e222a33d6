// What the rapid spanning tree keeps: priority vectors, times, and the variables of a port.
//
// A priority vector says how good a way to a root is: the root, the cost, the bridge and port that
// say so, and the port that hears it. Names follow IEEE 802.1D-2004, clauses 17.6 and 17.17-17.19,
// in camel case. Times and timers are in seconds; timers count down to 0. ovs: lib/rstp-common.h,
// lib/rstp-state-machines.c compare_rstp_priority_vectors.

import type { BpduFields } from "../packet/bpdu.ts";
import type { MachinePlace } from "./rstp-machine.ts";

export type RstpState = "Disabled" | "Learning" | "Forwarding" | "Discarding";
export type RstpRole = "Root" | "Designated" | "Alternate" | "Backup" | "Disabled";
/** Where a port's information comes from. */
export type InfoIs = "disabled" | "received" | "aged" | "mine";

export const rstpForwardInState = (s: RstpState): boolean => s === "Forwarding";
export const rstpLearnInState = (s: RstpState): boolean => s === "Learning" || s === "Forwarding";

export interface PriorityVector {
  readonly rootId: bigint;
  readonly rootPathCost: number;
  readonly bridgeId: bigint;
  readonly portId: number;
  /** The port of this bridge that the vector came in by. */
  readonly bridgePortId: number;
}

export const ZERO_VECTOR: PriorityVector = {
  rootId: 0n,
  rootPathCost: 0,
  bridgeId: 0n,
  portId: 0,
  bridgePortId: 0,
};

export type Comparison = "inferior" | "superior" | "same";

/** [17.6] How `a` stands to `b`; news from the same port of the same bridge are always better. */
export function compareVectors(a: PriorityVector, b: PriorityVector): Comparison {
  const sameSender = a.bridgeId === b.bridgeId && a.portId === b.portId;
  if (sameSender && a.rootId === b.rootId && a.rootPathCost === b.rootPathCost) {
    const by = a.bridgePortId - b.bridgePortId;
    return by === 0 ? "same" : by < 0 ? "superior" : "inferior";
  }
  return sameSender || isLess(a, b) ? "superior" : "inferior";
}

function isLess(a: PriorityVector, b: PriorityVector): boolean {
  if (a.rootId !== b.rootId) {
    return a.rootId < b.rootId;
  }
  if (a.rootPathCost !== b.rootPathCost) {
    return a.rootPathCost < b.rootPathCost;
  }
  return a.bridgeId === b.bridgeId ? a.portId < b.portId : a.bridgeId < b.bridgeId;
}

export interface RstpTimes {
  readonly forwardDelay: number;
  readonly helloTime: number;
  readonly maxAge: number;
  readonly messageAge: number;
}

export const ZERO_TIMES: RstpTimes = { forwardDelay: 0, helloTime: 0, maxAge: 0, messageAge: 0 };

export function timesEqual(a: RstpTimes, b: RstpTimes): boolean {
  return (
    a.forwardDelay === b.forwardDelay &&
    a.helloTime === b.helloTime &&
    a.maxAge === b.maxAge &&
    a.messageAge === b.messageAge
  );
}

export type ReceivedInfo =
  | "superior_designated"
  | "repeated_designated"
  | "inferior_designated"
  | "not_designated"
  | "other";

/** Variables of a port that start anew when the protocol does. */
export interface RstpPortVars {
  priority: number;
  pathCost: number;
  macOperational: boolean;
  adminEnabled: boolean;
  portEnabled: boolean;
  operPointToPoint: boolean;
  /** 0: forced off, 1: forced on, 2: automatic. */
  adminPointToPoint: number;
  adminEdge: boolean;
  autoEdge: boolean;
  state: RstpState;
  stateChanged: boolean;
  role: RstpRole;
  selectedRole: RstpRole;
  infoIs: InfoIs;
  /** The BPDU that came in last. */
  bpdu: BpduFields | null;
  rcvdInfo: ReceivedInfo;
  msgPriority: PriorityVector;
  msgTimes: RstpTimes;
  portTimes: RstpTimes;
  designatedPriority: PriorityVector;
  designatedTimes: RstpTimes;
  agree: boolean;
  agreed: boolean;
  disputed: boolean;
  fdbFlush: boolean;
  forward: boolean;
  forwarding: boolean;
  learn: boolean;
  learning: boolean;
  mcheck: boolean;
  newInfo: boolean;
  operEdge: boolean;
  proposed: boolean;
  proposing: boolean;
  rcvdBpdu: boolean;
  rcvdMsg: boolean;
  rcvdRstp: boolean;
  rcvdStp: boolean;
  rcvdTc: boolean;
  rcvdTcAck: boolean;
  rcvdTcn: boolean;
  reRoot: boolean;
  reselect: boolean;
  selected: boolean;
  sendRstp: boolean;
  sync: boolean;
  synced: boolean;
  tcAck: boolean;
  tcProp: boolean;
  updtInfo: boolean;
  // Timers.
  edgeDelayWhile: number;
  fdWhile: number;
  helloWhen: number;
  mdelayWhile: number;
  rbWhile: number;
  rcvdInfoWhile: number;
  rrWhile: number;
  tcWhile: number;
  /** BPDUs sent, one forgotten each second. */
  txCount: number;
  // Counters.
  rxCount: number;
  errorCount: number;
  uptimeS: number;
}

export function newPortVars(): RstpPortVars {
  return {
    priority: 0,
    pathCost: 0,
    macOperational: false,
    adminEnabled: false,
    portEnabled: false,
    operPointToPoint: false,
    adminPointToPoint: 0,
    adminEdge: false,
    autoEdge: false,
    state: "Disabled",
    stateChanged: false,
    role: "Root",
    selectedRole: "Root",
    infoIs: "disabled",
    bpdu: null,
    rcvdInfo: "superior_designated",
    msgPriority: ZERO_VECTOR,
    msgTimes: ZERO_TIMES,
    portTimes: ZERO_TIMES,
    designatedPriority: ZERO_VECTOR,
    designatedTimes: ZERO_TIMES,
    agree: false,
    agreed: false,
    disputed: false,
    fdbFlush: false,
    forward: false,
    forwarding: false,
    learn: false,
    learning: false,
    mcheck: false,
    newInfo: false,
    operEdge: false,
    proposed: false,
    proposing: false,
    rcvdBpdu: false,
    rcvdMsg: false,
    rcvdRstp: false,
    rcvdStp: false,
    rcvdTc: false,
    rcvdTcAck: false,
    rcvdTcn: false,
    reRoot: false,
    reselect: false,
    selected: false,
    sendRstp: false,
    sync: false,
    synced: false,
    tcAck: false,
    tcProp: false,
    updtInfo: false,
    edgeDelayWhile: 0,
    fdWhile: 0,
    helloWhen: 0,
    mdelayWhile: 0,
    rbWhile: 0,
    rcvdInfoWhile: 0,
    rrWhile: 0,
    tcWhile: 0,
    txCount: 0,
    rxCount: 0,
    errorCount: 0,
    uptimeS: 0,
  };
}

/** What the machines of a port may see and do of its bridge. */
export interface RstpBridge {
  readonly name: string;
  readonly bridgeId: bigint;
  /** Rapid mode, not compatible with STP alone. */
  readonly rstpVersion: boolean;
  readonly bridgeHelloTime: number;
  readonly bridgeMaxAge: number;
  readonly bridgeForwardDelay: number;
  readonly transmitHoldCount: number;
  ports(): Iterable<RstpPortCore>;
  setState(p: RstpPortCore, state: RstpState): void;
  send(p: RstpPortCore, bpdu: Uint8Array): void;
}

/** A port as its machines see it. */
export interface RstpPortCore {
  readonly bridge: RstpBridge;
  readonly number: number;
  readonly id: number;
  readonly v: RstpPortVars;
  /** The vector of the best news on the port; it outlives a new start. */
  portPriority: PriorityVector;
  readonly places: PortPlaces;
}

/** Where each machine of a port stands. */
export interface PortPlaces {
  readonly receive: MachinePlace;
  readonly migration: MachinePlace;
  readonly detection: MachinePlace;
  readonly transmit: MachinePlace;
  readonly information: MachinePlace;
  readonly roleTransition: MachinePlace;
  readonly stateTransition: MachinePlace;
  readonly topologyChange: MachinePlace;
}
