// Machines of an RSTP port that deal with the link: reception, the choice between STP and RSTP,
// detection of edges, transmission, the state of the port, topology changes.
//
// Tables for rstp-machine.ts. Names in brackets are figures of IEEE 802.1D-2004; where Open vSwitch
// goes its own way (802.1Q-2008 here and there), so does this. ovs: lib/rstp-state-machines.c.

import { BPDU, BPDU_FLAG, BPDU_TYPE, writeBpdu, writeTcn } from "../packet/bpdu.ts";
import type { Machine } from "./rstp-machine.ts";
import type { RstpPortCore } from "./rstp-types.ts";

/** Seconds of [17.13.9 Migrate Time], which is fixed. */
export const MIGRATE_TIME_S = 3;
/** BPDUs tell times in 1/256 s. */
const PER_S = 256;
/** Roles in the flags of a rapid BPDU. */
export const ROLE_FLAG = { UNKNOWN: 0, ALTERNATE_BACKUP: 1, ROOT: 2, DESIGNATED: 3 } as const;

type P = RstpPortCore;

const mustDiscard = ({ v }: P): boolean =>
  (v.rcvdBpdu || v.edgeDelayWhile !== MIGRATE_TIME_S) && !v.portEnabled;

/** [17.23 Port Receive] */
export const RECEIVE: Machine<P, "discard" | "receive"> = {
  init: { next: () => "discard" },
  discard: {
    enter: ({ v }) => {
      v.rcvdBpdu = false;
      v.rcvdRstp = false;
      v.rcvdStp = false;
      v.rcvdMsg = false;
      v.edgeDelayWhile = MIGRATE_TIME_S;
    },
    next: (p) => (mustDiscard(p) ? "discard" : p.v.rcvdBpdu && p.v.portEnabled ? "receive" : null),
  },
  receive: {
    enter: ({ v }) => {
      v.rcvdRstp = v.bpdu?.type === BPDU_TYPE.RAPID;
      v.rcvdStp = !v.rcvdRstp;
      v.operEdge = false;
      v.rcvdBpdu = false;
      v.rcvdMsg = true;
      v.edgeDelayWhile = MIGRATE_TIME_S;
    },
    next: (p) => {
      if (mustDiscard(p)) {
        return "discard";
      }
      return p.v.rcvdBpdu && p.v.portEnabled && !p.v.rcvdMsg ? "receive" : null;
    },
  },
};

function checkRstp(p: P): void {
  p.v.mcheck = false;
  p.v.sendRstp = p.bridge.rstpVersion;
  p.v.mdelayWhile = MIGRATE_TIME_S;
}

function afterCheck({ v }: P): "sensing" | "checking_rstp" | null {
  if (v.mdelayWhile === 0) {
    return "sensing";
  }
  return v.mdelayWhile !== MIGRATE_TIME_S && !v.portEnabled ? "checking_rstp" : null;
}

/** [17.24 Port Protocol Migration] The start is already the first state. */
export const MIGRATION: Machine<P, "checking_rstp" | "selecting_stp" | "sensing" | "checked"> = {
  init: {
    next: (p) => {
      checkRstp(p);
      return afterCheck(p) ?? "checked";
    },
  },
  checking_rstp: { enter: checkRstp, next: afterCheck },
  // Where the first step leaves the machine: in checking_rstp, which was entered already.
  checked: { instant: true, next: afterCheck },
  selecting_stp: {
    enter: ({ v }) => {
      v.sendRstp = false;
      v.mdelayWhile = MIGRATE_TIME_S;
    },
    next: ({ v }) => (v.mdelayWhile === 0 || !v.portEnabled || v.mcheck ? "sensing" : null),
  },
  sensing: {
    enter: ({ v }) => {
      v.rcvdRstp = false;
      v.rcvdStp = false;
    },
    next: ({ v, bridge }) => {
      if (!v.portEnabled || v.mcheck || (bridge.rstpVersion && !v.sendRstp && v.rcvdRstp)) {
        return "checking_rstp";
      }
      return v.sendRstp && v.rcvdStp ? "selecting_stp" : null;
    },
  },
};

/** [17.25 Bridge Detection] */
export const DETECTION: Machine<P, "edge" | "not_edge"> = {
  init: { next: ({ v }) => (v.adminEdge ? "edge" : "not_edge") },
  edge: {
    enter: ({ v }) => {
      v.operEdge = true;
    },
    next: ({ v }) => ((!v.portEnabled && !v.adminEdge) || !v.operEdge ? "not_edge" : null),
  },
  not_edge: {
    enter: ({ v }) => {
      v.operEdge = false;
    },
    next: ({ v }) => {
      const alone = v.edgeDelayWhile === 0 && v.autoEdge && v.sendRstp && v.proposing;
      return (!v.portEnabled && v.adminEdge) || alone ? "edge" : null;
    },
  },
};

const flag = (on: boolean, bit: number): number => (on ? bit : 0);

/** Fields of a BPDU that tell the designated priority and times of a port. */
function designatedFields(p: P, version: number, type: number, flags: number) {
  const { designatedPriority: d, designatedTimes: t } = p.v;
  const time = (s: number) => (s & 0xff) * PER_S;
  return {
    version,
    type,
    flags,
    rootId: d.rootId,
    rootPathCost: d.rootPathCost,
    bridgeId: d.bridgeId,
    portId: d.portId,
    messageAge: time(t.messageAge),
    maxAge: time(t.maxAge),
    helloTime: time(t.helloTime),
    forwardDelay: time(t.forwardDelay),
  };
}

function roleFlag({ v }: P): number {
  switch (v.role) {
    case "Root":
      return ROLE_FLAG.ROOT;
    case "Designated":
      return ROLE_FLAG.DESIGNATED;
    case "Alternate":
    case "Backup":
      return ROLE_FLAG.ALTERNATE_BACKUP;
    case "Disabled":
      return ROLE_FLAG.UNKNOWN;
  }
}

/** [17.21.19] Like the others, it is as long as a rapid BPDU. */
function txConfig(p: P): void {
  const { v } = p;
  const flags =
    flag(v.tcWhile !== 0, BPDU_FLAG.TOPOLOGY_CHANGE) | flag(v.tcAck, BPDU_FLAG.TOPOLOGY_CHANGE_ACK);
  const fields = designatedFields(p, 0, BPDU_TYPE.CONFIG, flags);
  p.bridge.send(p, writeBpdu(fields, BPDU.RAPID_BYTES));
}

/** [17.21.20] */
function txRstp(p: P): void {
  const { v } = p;
  const flags =
    (roleFlag(p) << BPDU_FLAG.ROLE_SHIFT) |
    flag(v.agree, BPDU_FLAG.AGREEMENT) |
    flag(v.proposing, BPDU_FLAG.PROPOSAL) |
    flag(v.tcWhile !== 0, BPDU_FLAG.TOPOLOGY_CHANGE) |
    flag(v.learning, BPDU_FLAG.LEARNING) |
    flag(v.forwarding, BPDU_FLAG.FORWARDING);
  const fields = designatedFields(p, 2, BPDU_TYPE.RAPID, flags);
  p.bridge.send(p, writeBpdu(fields, BPDU.RAPID_BYTES));
}

type TransmitState =
  | "transmit_init"
  | "transmit_periodic"
  | "idle"
  | "transmit_config"
  | "transmit_tcn"
  | "transmit_rstp";

function afterIdle({ v, bridge }: P): TransmitState | null {
  if (v.role === "Disabled" || !v.selected || v.updtInfo) {
    return null;
  }
  if (v.helloWhen === 0) {
    return "transmit_periodic";
  }
  if (!v.newInfo || v.txCount >= bridge.transmitHoldCount) {
    return null;
  }
  if (v.sendRstp) {
    return "transmit_rstp";
  }
  return v.role === "Root" ? "transmit_tcn" : v.role === "Designated" ? "transmit_config" : null;
}

/** A state that sends one BPDU. */
function sending(tx: (p: P) => void, acknowledges: boolean) {
  return {
    enter: (p: P): void => {
      p.v.newInfo = false;
      tx(p);
      p.v.txCount++;
      p.v.tcAck = p.v.tcAck && !acknowledges;
    },
    next: (): TransmitState => "idle",
  };
}

/** [17.26 Port Transmit] */
export const TRANSMIT: Machine<P, TransmitState> = {
  init: { next: () => "transmit_init" },
  transmit_init: {
    enter: ({ v }) => {
      v.newInfo = true;
      v.txCount = 0;
    },
    next: () => "idle",
  },
  transmit_periodic: {
    enter: ({ v }) => {
      const due = v.role === "Designated" || (v.role === "Root" && v.tcWhile !== 0);
      v.newInfo = v.newInfo || due;
    },
    next: () => "idle",
  },
  idle: {
    enter: ({ v, bridge }) => {
      v.helloWhen = bridge.bridgeHelloTime;
    },
    next: afterIdle,
  },
  transmit_config: sending(txConfig, true),
  transmit_tcn: sending((p) => p.bridge.send(p, writeTcn(BPDU.RAPID_BYTES)), false),
  transmit_rstp: sending(txRstp, true),
};

/** [17.30 Port State Transition] */
export const STATE_TRANSITION: Machine<P, "discarding" | "learning" | "forwarding"> = {
  init: { next: () => "discarding" },
  discarding: {
    enter: (p) => {
      p.bridge.setState(p, "Discarding");
      p.v.learning = false;
      p.v.forwarding = false;
    },
    next: ({ v }) => (v.learn ? "learning" : null),
  },
  learning: {
    enter: (p) => {
      p.bridge.setState(p, "Learning");
      p.v.learning = true;
    },
    next: ({ v }) => (v.learn ? (v.forward ? "forwarding" : null) : "discarding"),
  },
  forwarding: {
    enter: (p) => {
      p.bridge.setState(p, "Forwarding");
      p.v.forwarding = true;
    },
    next: ({ v }) => (v.forward ? null : "discarding"),
  },
};

function newTcWhile({ v, bridge }: P): void {
  if (v.tcWhile !== 0) {
    return;
  }
  if (v.sendRstp) {
    v.tcWhile = bridge.bridgeHelloTime + 1;
    v.newInfo = true;
  } else {
    v.tcWhile = bridge.bridgeMaxAge + bridge.bridgeForwardDelay;
  }
}

/** Tells all other ports to pass a topology change on. */
function setTcPropTree(p: P): void {
  for (const q of p.bridge.ports()) {
    if (q.number !== p.number) {
      q.v.tcProp = true;
    }
  }
}

const carries = ({ v }: P): boolean => v.role === "Root" || v.role === "Designated";
const heardOfChange = ({ v }: P): boolean => v.rcvdTc || v.rcvdTcn || v.rcvdTcAck || v.tcProp;

type TopologyState =
  | "inactive"
  | "learning"
  | "detected"
  | "active"
  | "acknowledged"
  | "propagating"
  | "notified_tc"
  | "notified_tcn";

function afterActive(p: P): TopologyState | null {
  const { v } = p;
  if (!carries(p) || v.operEdge) {
    return "learning";
  }
  if (v.rcvdTcn) {
    return "notified_tcn";
  }
  if (v.rcvdTc) {
    return "notified_tc";
  }
  return v.tcProp ? "propagating" : v.rcvdTcAck ? "acknowledged" : null;
}

/** [17.31 Topology Change] */
export const TOPOLOGY_CHANGE: Machine<P, TopologyState> = {
  init: { next: () => "inactive" },
  inactive: {
    enter: ({ v }) => {
      v.fdbFlush = true;
      v.tcWhile = 0;
      v.tcAck = false;
    },
    next: ({ v }) => (v.learn && !v.fdbFlush ? "learning" : null),
  },
  learning: {
    enter: ({ v }) => {
      v.rcvdTc = false;
      v.rcvdTcn = false;
      v.rcvdTcAck = false;
      v.tcProp = false;
    },
    next: (p) => {
      const { v } = p;
      if (heardOfChange(p)) {
        return "learning";
      }
      if (!carries(p)) {
        return v.learn || v.learning ? null : "inactive";
      }
      return v.forward && !v.operEdge ? "detected" : null;
    },
  },
  detected: {
    enter: (p) => {
      newTcWhile(p);
      setTcPropTree(p);
      p.v.newInfo = true;
    },
    next: (p) => afterActive(p) ?? "active",
  },
  active: { instant: true, next: afterActive },
  acknowledged: {
    enter: ({ v }) => {
      v.tcWhile = 0;
      v.rcvdTcAck = false;
    },
    next: () => "active",
  },
  propagating: {
    enter: (p) => {
      newTcWhile(p);
      p.v.fdbFlush = true;
      p.v.tcProp = false;
    },
    next: () => "active",
  },
  notified_tc: {
    enter: (p) => {
      const { v } = p;
      v.rcvdTcn = false;
      v.rcvdTc = false;
      if (v.role === "Designated") {
        v.tcAck = true;
      }
      setTcPropTree(p);
    },
    next: () => "active",
  },
  notified_tcn: { enter: newTcWhile, next: () => "notified_tc" },
};
