// The Port Information machine of an RSTP port: what the port knows of the root, from whom, and how
// long it holds.
//
// A table for rstp-machine.ts. Names in brackets are figures of IEEE 802.1D-2004; where Open vSwitch
// goes its own way (802.1Q-2008 here and there), so does this. ovs: lib/rstp-state-machines.c
// port_information_sm.

import { BPDU_FLAG, BPDU_TYPE } from "../packet/bpdu.ts";
import type { Machine, MachineState } from "./rstp-machine.ts";
import { ROLE_FLAG } from "./rstp-port-machines.ts";
import {
  compareVectors,
  type PriorityVector,
  type ReceivedInfo,
  type RstpPortCore,
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
