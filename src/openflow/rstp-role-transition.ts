// The Port Role Transition machine of an RSTP port: how it moves from role to role without a loop.
//
// A table for rstp-machine.ts. Names in brackets are figures of IEEE 802.1D-2004; where Open vSwitch
// goes its own way (802.1Q-2008 here and there), so does this. ovs: lib/rstp-state-machines.c
// port_role_transition_sm.

import type { Machine, MachineState } from "./rstp-machine.ts";
import { MIGRATE_TIME_S } from "./rstp-port-machines.ts";
import type { RstpPortCore, RstpRole } from "./rstp-types.ts";

type P = RstpPortCore;

type RoleState =
  | "init_port"
  | "disable_port"
  | "disabled_port"
  | "root_port"
  | "reroot"
  | "root_agreed"
  | "root_proposed"
  | "root_forward"
  | "root_learn"
  | "rerooted"
  | "designated_port"
  | "designated_retired"
  | "designated_synced"
  | "designated_propose"
  | "designated_forward"
  | "designated_learn"
  | "designated_discard"
  | "alternate_port"
  | "alternate_agreed"
  | "alternate_proposed"
  | "block_port"
  | "backup_port";

const ROLE_STATE: Readonly<Record<RstpRole, RoleState>> = {
  Root: "root_port",
  Designated: "designated_port",
  Alternate: "block_port",
  Backup: "block_port",
  Disabled: "disable_port",
};

const settled = ({ v }: P): boolean => v.selected && !v.updtInfo;

/** The first state of a newly selected role, unless it is the one that the port is in. */
function newRole(p: P, current: RstpRole): RoleState | null {
  const { v } = p;
  const change = settled(p) && v.role !== v.selectedRole && v.selectedRole !== current;
  return change ? ROLE_STATE[v.selectedRole] : null;
}

/** A state of a role: a new role comes first, then what the settled role asks for. */
function inRole(role: RstpRole, next: (p: P) => RoleState | null) {
  return (p: P): RoleState | null => newRole(p, role) ?? (settled(p) ? next(p) : null);
}

/** A state that does one thing and goes back to the state of its role. */
function doing(role: RstpRole, back: RoleState, act: (p: P) => void): MachineState<P, RoleState> {
  return { enter: act, next: (p) => newRole(p, role) ?? back };
}

/** The same, but a new role keeps the thing from being done. */
function doingUnless(
  role: RstpRole,
  back: RoleState,
  act: (p: P) => void,
): MachineState<P, RoleState> {
  return {
    next: (p) => {
      const other = newRole(p, role);
      if (other === null) {
        act(p);
      }
      return other ?? back;
    },
  };
}

function forwardDelay({ v }: P): number {
  return v.sendRstp ? v.designatedTimes.helloTime : v.designatedTimes.forwardDelay;
}

function edgeDelay({ v }: P): number {
  return v.operPointToPoint ? MIGRATE_TIME_S : v.designatedTimes.maxAge;
}

/** True if no other port was the root port of late. */
function reRooted(p: P): boolean {
  for (const q of p.bridge.ports()) {
    if (q !== p && q.v.rrWhile !== 0) {
      return false;
    }
  }
  return true;
}

function allSynced(p: P): boolean {
  for (const { v } of p.bridge.ports()) {
    if (!(v.selected && v.role === v.selectedRole && (v.role === "Root" || v.synced))) {
      return false;
    }
  }
  return true;
}

function setSyncTree(p: P): void {
  for (const q of p.bridge.ports()) {
    q.v.sync = true;
  }
}

function afterRoot(p: P): RoleState | null {
  const { v } = p;
  if (v.rrWhile !== v.designatedTimes.forwardDelay) {
    return "root_port";
  }
  if (v.reRoot && v.forward) {
    return "rerooted";
  }
  const rapid = p.bridge.rstpVersion && v.rbWhile === 0 && reRooted(p);
  const mayMove = v.fdWhile === 0 || rapid;
  if (mayMove && !v.learn) {
    return "root_learn";
  }
  if (mayMove && !v.forward) {
    return "root_forward";
  }
  if (v.proposed && !v.agree) {
    return "root_proposed";
  }
  if (v.agree ? v.proposed : allSynced(p)) {
    return "root_agreed";
  }
  return !v.forward && !v.reRoot ? "reroot" : null;
}

function afterDesignated({ v }: P): RoleState | null {
  const contested = (v.sync && !v.synced) || (v.reRoot && v.rrWhile !== 0) || v.disputed;
  if (contested && !v.operEdge && (v.learn || v.forward)) {
    return "designated_discard";
  }
  const safe = v.fdWhile === 0 || v.agreed || v.operEdge;
  if (safe && (v.rrWhile === 0 || !v.reRoot) && !v.sync) {
    if (!v.learn) {
      return "designated_learn";
    }
    if (!v.forward) {
      return "designated_forward";
    }
  }
  if (!v.forward && !v.agreed && !v.proposing && !v.operEdge) {
    return "designated_propose";
  }
  const quiet = !v.learning && !v.forwarding;
  if (v.synced ? v.sync : quiet || v.agreed || v.operEdge) {
    return "designated_synced";
  }
  return v.rrWhile === 0 && v.reRoot ? "designated_retired" : null;
}

function afterAlternate(p: P): RoleState | null {
  const { v } = p;
  if (v.role === "Backup" && v.rbWhile !== 2 * v.designatedTimes.helloTime) {
    return "backup_port";
  }
  if (v.fdWhile !== forwardDelay(p) || v.sync || v.reRoot || !v.synced) {
    return "alternate_port";
  }
  if (v.proposed && !v.agree) {
    return "alternate_proposed";
  }
  return (v.agree ? v.proposed : allSynced(p)) ? "alternate_agreed" : null;
}

/** What a port does that neither learns nor forwards and is asked for nothing. */
function rest({ v }: P): void {
  v.synced = true;
  v.rrWhile = 0;
  v.sync = false;
  v.reRoot = false;
}

function takeRole({ v }: P): void {
  v.role = v.selectedRole;
  v.learn = false;
  v.forward = false;
}

const stopped = ({ v }: P): boolean => !v.learning && !v.forwarding;

/** [17.29.1] */
const DISABLED_STATES = {
  init_port: {
    enter: ({ v }: P): void => {
      v.role = "Disabled";
      v.learn = false;
      v.forward = false;
      v.synced = false;
      v.sync = true;
      v.reRoot = true;
      v.rrWhile = v.designatedTimes.forwardDelay;
      v.fdWhile = v.designatedTimes.maxAge;
      v.rbWhile = 0;
    },
    next: (): RoleState => "disable_port",
  },
  disable_port: {
    enter: takeRole,
    next: inRole("Disabled", (p) => (stopped(p) ? "disabled_port" : null)),
  },
  disabled_port: {
    enter: (p: P): void => {
      p.v.fdWhile = p.v.designatedTimes.maxAge;
      rest(p);
    },
    next: inRole("Disabled", ({ v }) => {
      const disturbed = v.fdWhile !== v.designatedTimes.maxAge || v.sync || v.reRoot || !v.synced;
      return disturbed ? "disabled_port" : null;
    }),
  },
} as const;

/** [17.29.2] */
const ROOT_STATES = {
  root_port: {
    enter: ({ v }: P): void => {
      v.role = "Root";
      v.rrWhile = v.designatedTimes.forwardDelay;
    },
    next: inRole("Root", afterRoot),
  },
  reroot: doingUnless("Root", "root_port", (p) => {
    for (const q of p.bridge.ports()) {
      q.v.reRoot = true;
    }
  }),
  root_agreed: doingUnless("Root", "root_port", ({ v }) => {
    v.proposed = false;
    v.sync = false;
    v.agree = true;
    v.newInfo = true;
  }),
  root_proposed: doing("Root", "root_port", (p) => {
    setSyncTree(p);
    p.v.proposed = false;
  }),
  root_forward: doing("Root", "root_port", ({ v }) => {
    v.fdWhile = 0;
    v.forward = true;
  }),
  root_learn: doing("Root", "root_port", (p) => {
    p.v.fdWhile = forwardDelay(p);
    p.v.learn = true;
  }),
  rerooted: doing("Root", "root_port", ({ v }) => {
    v.reRoot = false;
  }),
} as const;

/** [17.29.3] */
const DESIGNATED_STATES = {
  designated_port: {
    enter: ({ v }: P): void => {
      v.role = "Designated";
    },
    next: inRole("Designated", afterDesignated),
  },
  designated_retired: doing("Designated", "designated_port", ({ v }) => {
    v.reRoot = false;
  }),
  designated_synced: doing("Designated", "designated_port", ({ v }) => {
    v.rrWhile = 0;
    v.synced = true;
    v.sync = false;
  }),
  designated_propose: doing("Designated", "designated_port", (p) => {
    p.v.proposing = true;
    p.v.edgeDelayWhile = edgeDelay(p);
    p.v.newInfo = true;
  }),
  designated_forward: doing("Designated", "designated_port", ({ v }) => {
    v.forward = true;
    v.fdWhile = 0;
    v.agreed = v.sendRstp;
  }),
  designated_learn: doing("Designated", "designated_port", (p) => {
    p.v.learn = true;
    p.v.fdWhile = forwardDelay(p);
  }),
  designated_discard: doing("Designated", "designated_port", (p) => {
    p.v.learn = false;
    p.v.forward = false;
    p.v.disputed = false;
    p.v.fdWhile = forwardDelay(p);
  }),
} as const;

/** [17.29.4] */
const ALTERNATE_STATES = {
  alternate_port: {
    enter: (p: P): void => {
      p.v.fdWhile = p.v.designatedTimes.forwardDelay;
      rest(p);
    },
    next: inRole("Alternate", afterAlternate),
  },
  alternate_agreed: doing("Alternate", "alternate_port", ({ v }) => {
    v.proposed = false;
    v.agree = true;
    v.newInfo = true;
  }),
  alternate_proposed: doing("Alternate", "alternate_port", (p) => {
    setSyncTree(p);
    p.v.proposed = false;
  }),
  block_port: {
    enter: takeRole,
    next: inRole("Alternate", (p) => (stopped(p) ? "alternate_port" : null)),
  },
  backup_port: doing("Alternate", "alternate_port", ({ v }) => {
    v.rbWhile = 2 * v.designatedTimes.helloTime;
  }),
} as const;

/** [17.29 Port Role Transitions] */
export const ROLE_TRANSITION: Machine<P, RoleState> = {
  init: { next: () => "init_port" },
  ...DISABLED_STATES,
  ...ROOT_STATES,
  ...DESIGNATED_STATES,
  ...ALTERNATE_STATES,
};
