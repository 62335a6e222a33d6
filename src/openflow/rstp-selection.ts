// How an RSTP bridge chooses the roles of its ports: the best news of a root wins, and each port is
// judged by whether it leads there or is the better way for others.
//
// ovs: lib/rstp-state-machines.c updt_roles_tree__, port_role_selection_sm; IEEE 802.1D-2004
// clauses 17.21.25 and 17.28.

import type { Machine } from "./rstp-machine.ts";
import {
  compareVectors,
  type PriorityVector,
  type RstpPortCore,
  type RstpTimes,
  timesEqual,
} from "./rstp-types.ts";

const MAC_MASK = (1n << 48n) - 1n;
/** What of a port's id is its number here, as in Open vSwitch, whatever the numbers are. */
const NUMBER_MASK = 0xff;

/** A bridge as the choice of roles sees it. */
export interface RoleTree<Owner> {
  readonly bridgeId: bigint;
  readonly bridgePriority: PriorityVector;
  readonly bridgeTimes: RstpTimes;
  rootPriority: PriorityVector;
  rootPortId: number;
  rootTimes: RstpTimes;
  rootChanged: boolean;
  oldRoot: Owner | null;
  newRoot: Owner | null;
  ports(): Iterable<RstpPortCore>;
  ownerOf(portNumber: number): Owner | null;
}

/** [17.21.25] Computes the root's vector and times, and the role that each port should have. */
export function updtRolesTree<Owner>(r: RoleTree<Owner>): void {
  const oldNumber = r.rootPortId & NUMBER_MASK;
  if (oldNumber !== 0) {
    r.oldRoot = r.ownerOf(oldNumber);
  }
  const root = chooseRoot(r);
  const newNumber = r.rootPortId & NUMBER_MASK;
  if (newNumber !== 0) {
    r.newRoot = r.ownerOf(newNumber);
  }
  const moved = newNumber !== 0 && oldNumber !== 0 && newNumber !== oldNumber;
  if (moved && root?.v.role === "Alternate") {
    r.rootChanged = true;
  }
  for (const p of r.ports()) {
    const { rootId, rootPathCost } = r.rootPriority;
    p.v.designatedPriority = {
      rootId,
      rootPathCost,
      bridgeId: r.bridgeId,
      portId: p.id,
      bridgePortId: p.v.designatedPriority.bridgePortId,
    };
    p.v.designatedTimes = { ...r.rootTimes, helloTime: r.bridgeTimes.helloTime };
  }
  for (const p of r.ports()) {
    selectRole(r, p, root);
  }
}

/** The port with the best news of a root; null if this bridge itself is the best. */
function chooseRoot<Owner>(r: RoleTree<Owner>): RstpPortCore | null {
  let best = r.bridgePriority;
  let root: RstpPortCore | null = null;
  r.rootTimes = r.bridgeTimes;
  const ownMac = r.bridgePriority.bridgeId & MAC_MASK;
  for (const p of r.ports()) {
    const { portPriority, v } = p;
    if (v.infoIs !== "received" || (portPriority.bridgeId & MAC_MASK) === ownMac) {
      continue;
    }
    const rootPathCost = (portPriority.rootPathCost + v.pathCost) >>> 0;
    const candidate = { ...portPriority, rootPathCost, bridgePortId: p.id };
    if (compareVectors(candidate, best) === "superior") {
      best = candidate;
      root = p;
      const { messageAge } = v.portTimes;
      r.rootTimes = { ...v.portTimes, messageAge: messageAge + 1 };
    }
  }
  r.rootPriority = best;
  r.rootPortId = best.bridgePortId;
  return root;
}

function selectRole<Owner>(r: RoleTree<Owner>, p: RstpPortCore, root: RstpPortCore | null): void {
  const { v } = p;
  switch (v.infoIs) {
    case "disabled":
      v.selectedRole = "Disabled";
      break;
    case "aged":
      v.updtInfo = true;
      v.selectedRole = "Designated";
      break;
    case "mine": {
      v.selectedRole = "Designated";
      const same = compareVectors(p.portPriority, v.designatedPriority) === "same";
      if (!same || !timesEqual(v.designatedTimes, r.rootTimes)) {
        v.updtInfo = true;
      }
      break;
    }
    case "received":
      if (p === root) {
        v.selectedRole = "Root";
        v.updtInfo = false;
      } else if (compareVectors(v.designatedPriority, p.portPriority) === "inferior") {
        v.selectedRole = p.portPriority.bridgeId === r.bridgeId ? "Backup" : "Alternate";
        v.updtInfo = false;
      } else {
        v.selectedRole = "Designated";
        v.updtInfo = true;
      }
      break;
  }
}

interface SelectionBridge<Owner> extends RoleTree<Owner> {
  readonly name: string;
}

/** [17.28 Port Role Selection] */
export const ROLE_SELECTION: Machine<SelectionBridge<unknown>, "init_bridge" | "role_selection"> = {
  init: { next: () => "init_bridge" },
  init_bridge: {
    enter: (r) => {
      for (const p of r.ports()) {
        p.v.selectedRole = "Disabled";
      }
    },
    next: () => "role_selection",
  },
  role_selection: {
    enter: (r) => {
      for (const p of r.ports()) {
        p.v.reselect = false;
      }
      updtRolesTree(r);
      for (const p of r.ports()) {
        p.v.selected = true;
      }
    },
    next: (r) => {
      for (const p of r.ports()) {
        if (p.v.reselect) {
          return "role_selection";
        }
      }
      return null;
    },
  },
};
