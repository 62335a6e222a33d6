// One port of a rapid spanning tree: its settings, its variables, and where its machines stand.
//
// The machines are tables; `stepPort` lets each of them take one step, in Open vSwitch's order.
// ovs: lib/rstp.c, lib/rstp-state-machines.c move_rstp__.

import { INFORMATION } from "./rstp-information.ts";
import { machineStart, machineStep } from "./rstp-machine.ts";
import {
  DETECTION,
  MIGRATION,
  RECEIVE,
  STATE_TRANSITION,
  TOPOLOGY_CHANGE,
  TRANSMIT,
} from "./rstp-port-machines.ts";
import { ROLE_TRANSITION } from "./rstp-role-transition.ts";
import {
  newPortVars,
  type PortPlaces,
  type PriorityVector,
  type RstpBridge,
  type RstpPortCore,
  type RstpPortVars,
  type RstpState,
  rstpForwardInState,
  rstpLearnInState,
  ZERO_VECTOR,
} from "./rstp-types.ts";

export const RSTP_DEFAULT = {
  priority: 32768,
  ageingTimeS: 300,
  forceVersion: 2,
  maxAgeS: 20,
  forwardDelayS: 15,
  transmitHoldCount: 6,
  portPriority: 128,
  pathCost: 2000,
} as const;
/** Path cost of a link of so many Mb/s [Table 17-3]. */
export function rstpSpeedToCost(mbps: number): number {
  for (let [speed, cost] = [10_000_000, 2]; speed >= 1; speed /= 10, cost *= 10) {
    if (mbps >= speed) {
      return cost;
    }
  }
  return RSTP_DEFAULT.pathCost;
}

export interface RstpPortSettings {
  /** 0 for the first free one. */
  readonly number: number;
  readonly name: string;
  readonly priority: number;
  readonly pathCost: number;
  readonly adminEdge: boolean;
  readonly autoEdge: boolean;
  readonly adminPointToPoint: number;
  readonly adminEnabled: boolean;
  readonly mcheck: boolean;
}

export class RstpPort<Owner> implements RstpPortCore {
  readonly bridge: RstpBridge;
  owner: Owner | null = null;
  name: string | null = null;
  number = 0;
  id = 0;
  v: RstpPortVars = newPortVars();
  portPriority: PriorityVector = ZERO_VECTOR;
  places: PortPlaces = newPlaces();

  constructor(bridge: RstpBridge) {
    this.bridge = bridge;
  }

  get state(): RstpState {
    return this.v.state;
  }

  get learn(): boolean {
    return rstpLearnInState(this.v.state);
  }

  get forward(): boolean {
    return rstpForwardInState(this.v.state);
  }

  get forwardBpdu(): boolean {
    return this.v.state !== "Disabled";
  }
}

export function newPlaces(): PortPlaces {
  return {
    receive: machineStart(),
    migration: machineStart(),
    detection: machineStart(),
    transmit: machineStart(),
    information: machineStart(),
    roleTransition: machineStart(),
    stateTransition: machineStart(),
    topologyChange: machineStart(),
  };
}

/** One step of each machine of a port; true if any moved. */
export function stepPort(p: RstpPortCore): boolean {
  const { places } = p;
  let moved = machineStep(RECEIVE, places.receive, p);
  moved = machineStep(DETECTION, places.detection, p) || moved;
  moved = machineStep(INFORMATION, places.information, p) || moved;
  moved = machineStep(ROLE_TRANSITION, places.roleTransition, p) || moved;
  moved = machineStep(STATE_TRANSITION, places.stateTransition, p) || moved;
  moved = machineStep(TOPOLOGY_CHANGE, places.topologyChange, p) || moved;
  moved = machineStep(TRANSMIT, places.transmit, p) || moved;
  return machineStep(MIGRATION, places.migration, p) || moved;
}
