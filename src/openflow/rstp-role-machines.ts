// Machines of an RSTP port that deal with roles: what it knows of the root, and how it moves from
// role to role without a loop.
//
// Tables for rstp-machine.ts. Names in brackets are figures of IEEE 802.1D-2004; where Open vSwitch
// goes its own way (802.1Q-2008 here and there), so does this. ovs: lib/rstp-state-machines.c
// port_information_sm, port_role_transition_sm.

import { BPDU_FLAG, BPDU_TYPE } from "../packet/bpdu.ts";
import type { Machine, MachineState } from "./rstp-machine.ts";
import { MIGRATE_TIME_S, ROLE_FLAG } from "./rstp-port-machines.ts";
import {
  compareVectors,
  type PriorityVector,
  type ReceivedInfo,
  type RstpPortCore,
  type RstpRole,
  timesEqual,
} from "./rstp-types.ts";

const PER_S = 256;
/** Hello times without news after which news are too old [17.21.23]. */
const HELLOS_MISSED_MAX = 3;

type P = RstpPortCore;

const flagsOf = ({ v }: P): number => v.bpdu?.flags ?? 0;
const hasFlag = (p: P, bit: number): boolean => (flagsOf(p) & bit) !== 0;
const roleFlagOf = (p: P): number => (flagsOf(p) & BPDU_FLAG.ROLE_MASK) >> BPDU_FLAG.ROLE_SHIFT;

/** [17.21.8] Takes the message of the last BPDU and says what it is worth. */
function rcvInfo(p: P): ReceivedInfo {
  const { v } = p;
  const { bpdu } = v;
  if (bpdu === null) {
    return "other";
  }
  const seconds = (t: number) => Math.trunc(t / PER_S);
  v.msgPriority = {
    rootId: bpdu.rootId,
    rootPathCost: bpdu.rootPathCost,
    bridgeId: bpdu.bridgeId,
    portId: bpdu.portId,
    bridgePortId: v.msgPriority.bridgePortId,
  };
  v.msgTimes = {
    forwardDelay: seconds(bpdu.forwardDelay),
    helloTime: seconds(bpdu.helloTime),
    maxAge: seconds(bpdu.maxAge),
    messageAge: seconds(bpdu.messageAge),
  };
  if (bpdu.type === BPDU_TYPE.TCN) {
    v.rcvdTcn = true;
    return "other";
  }
  const order = compareVectors(v.msgPriority, p.portPriority);
  const role = bpdu.type === BPDU_TYPE.CONFIG ? ROLE_FLAG.DESIGNATED : roleFlagOf(p);
  if (role === ROLE_FLAG.DESIGNATED) {
    if (order === "same" && timesEqual(v.portTimes, v.msgTimes)) {
      return "repeated_designated";
    }
    return order === "inferior" ? "inferior_designated" : "superior_designated";
  }
  return role !== ROLE_FLAG.UNKNOWN && order !== "superior" ? "not_designated" : "other";
}

function recordAgreement(p: P): void {
  const { v } = p;
  const can = p.bridge.rstpVersion && v.operPointToPoint;
  v.agreed = can && hasFlag(p, BPDU_FLAG.AGREEMENT);
  if (v.agreed) {
    v.proposing = false;
  }
}

function recordProposal(p: P): void {
  if (roleFlagOf(p) === ROLE_FLAG.DESIGNATED && hasFlag(p, BPDU_FLAG.PROPOSAL)) {
    p.v.proposed = true;
  }
}

/** 802.1Q-2008: a worse bridge that already learns disputes our role. */
function recordDispute(p: P): void {
  if (hasFlag(p, BPDU_FLAG.LEARNING)) {
    p.v.disputed = true;
    p.v.agreed = false;
  }
}

function setTcFlags(p: P): void {
  const { v } = p;
  if (v.bpdu?.type === BPDU_TYPE.TCN) {
    v.rcvdTcn = true;
    return;
  }
  v.rcvdTc = v.rcvdTc || hasFlag(p, BPDU_FLAG.TOPOLOGY_CHANGE);
  v.rcvdTcAck = v.rcvdTcAck || hasFlag(p, BPDU_FLAG.TOPOLOGY_CHANGE_ACK);
}

function updtRcvdInfoWhile({ v }: P): void {
  const { messageAge, maxAge, helloTime } = v.portTimes;
  v.rcvdInfoWhile = messageAge < maxAge ? helloTime * HELLOS_MISSED_MAX : 0;
}

const notWorse = (a: PriorityVector, b: PriorityVector): boolean =>
  compareVectors(a, b) !== "inferior";

/** The first four components of a vector; the fifth stays as it is. */
function takeVector(p: P, from: PriorityVector): void {
  p.portPriority = { ...from, bridgePortId: p.portPriority.bridgePortId };
}

type InfoState =
  | "disabled"
  | "aged"
  | "update"
  | "current"
  | "receive"
  | "other"
  | "not_designated"
  | "inferior_designated"
  | "repeated_designated"
  | "superior_designated";

/** A port that went down overrides what a state would do next. */
function unlessDown(next: (p: P) => InfoState | null) {
  return (p: P): InfoState | null =>
    !p.v.portEnabled && p.v.infoIs !== "disabled" ? "disabled" : next(p);
}

/** A state that deals with one message and goes back to waiting. */
function dealsWith(record: (p: P) => void): MachineState<P, InfoState> {
  return {
    enter: (p) => {
      record(p);
      p.v.rcvdMsg = false;
    },
    next: unlessDown(() => "current"),
  };
}

function superior(p: P): void {
  const { v } = p;
  v.agreed = false;
  v.proposing = false;
  recordProposal(p);
  setTcFlags(p);
  v.agree = v.agree && v.infoIs === "received" && notWorse(v.msgPriority, p.portPriority);
  recordAgreement(p);
  v.synced = v.synced && v.agreed;
  takeVector(p, v.msgPriority);
  v.portTimes = { ...v.msgTimes, helloTime: v.msgTimes.helloTime || 1 };
  updtRcvdInfoWhile(p);
  v.infoIs = "received";
  v.reselect = true;
  v.selected = false;
}

/** A better bridge that already learns: other ports may not rely on agreements of before. */
function forgetAgreements(p: P): void {
  for (const q of p.bridge.ports()) {
    if (q.number !== p.number) {
      q.v.agreed = false;
    }
  }
}

/** [17.27 Port Information] */
export const INFORMATION: Machine<P, InfoState> = {
  init: { next: () => "disabled" },
  disabled: {
    enter: ({ v }) => {
      v.rcvdMsg = false;
      v.proposing = false;
      v.proposed = false;
      v.agree = false;
      v.agreed = false;
      v.rcvdInfoWhile = 0;
      v.infoIs = "disabled";
      v.reselect = true;
      v.selected = false;
    },
    next: unlessDown(({ v }) => (v.portEnabled ? "aged" : v.rcvdMsg ? "disabled" : null)),
  },
  aged: {
    enter: ({ v }) => {
      v.infoIs = "aged";
      v.reselect = true;
      v.selected = false;
    },
    next: unlessDown(({ v }) => (v.selected && v.updtInfo ? "update" : null)),
  },
  update: {
    enter: (p) => {
      const { v } = p;
      v.proposing = false;
      v.proposed = false;
      const mine = v.infoIs === "mine" && notWorse(v.designatedPriority, p.portPriority);
      v.agreed = v.agreed && mine;
      v.synced = v.synced && v.agreed;
      takeVector(p, v.designatedPriority);
      v.portTimes = v.designatedTimes;
      v.updtInfo = false;
      v.infoIs = "mine";
      v.newInfo = true;
    },
    next: unlessDown(() => "current"),
  },
  current: {
    next: unlessDown(({ v }) => {
      if (v.rcvdMsg && !v.updtInfo) {
        return "receive";
      }
      if (v.selected && v.updtInfo) {
        return "update";
      }
      const old = v.infoIs === "received" && v.rcvdInfoWhile === 0;
      return old && !v.updtInfo && !v.rcvdMsg ? "aged" : null;
    }),
  },
  receive: {
    enter: (p) => {
      p.v.rcvdInfo = rcvInfo(p);
    },
    next: unlessDown((p) => {
      if (p.v.rcvdInfo === "superior_designated" && hasFlag(p, BPDU_FLAG.LEARNING)) {
        forgetAgreements(p);
      }
      return p.v.rcvdInfo;
    }),
  },
  other: dealsWith(() => {}),
  not_designated: dealsWith((p) => {
    recordAgreement(p);
    setTcFlags(p);
  }),
  inferior_designated: dealsWith(recordDispute),
  repeated_designated: dealsWith((p) => {
    recordProposal(p);
    setTcFlags(p);
    recordAgreement(p);
    updtRcvdInfoWhile(p);
  }),
  superior_designated: dealsWith(superior),
};

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
