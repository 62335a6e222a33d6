// STP and RSTP in the list of protocols that a bridge runs: their turns and their packets, which
// come for the one reason SLOW.STP to whichever of the two is on.
//
// ovs: ofproto/ofproto-dpif.c stp_run, rstp_run; ofproto/ofproto-dpif-xlate.c process_special.

import { SLOW } from "../datapath/odp-action.ts";
import type { PortProtocol } from "./port-protocols.ts";

export const STP_PROTOCOL: PortProtocol = {
  slow: SLOW.STP,
  run: (br, nowMs) => br.trees.runStp(nowMs),
  wakeMs: (br) => br.trees.wakeStpMs(),
  receive: (br, iface, packet) => {
    if (br.trees.stp !== null) {
      br.trees.receiveStp(iface, packet.data());
    }
  },
};

export const RSTP_PROTOCOL: PortProtocol = {
  slow: SLOW.STP,
  run: (br, nowMs) => br.trees.runRstp(nowMs),
  wakeMs: (br) => br.trees.wakeRstpMs(),
  receive: (br, iface, packet) => {
    if (br.trees.stp === null) {
      br.trees.receiveRstp(iface, packet.data());
    }
  },
  enableChanged: (br, iface, enable) => br.trees.enableChanged(iface, enable),
};
