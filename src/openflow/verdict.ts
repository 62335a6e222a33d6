// Whether a traced packet gets anywhere.

import type { OdpAction } from "../datapath/odp-action.ts";
import type { TraceResult } from "./trace-run.ts";

export type Verdict = "delivered" | "dropped";

/** Delivered: some step sends the packet to a port, to a controller or up to the host. */
export function verdictOf(result: TraceResult): Verdict {
  return result.steps.some((s) => sendsPacket(s.out.odp)) ? "delivered" : "dropped";
}

/** True if the actions let a packet leave the datapath, in a branch at least. */
function sendsPacket(actions: readonly OdpAction[]): boolean {
  return actions.some((a) => {
    switch (a.kind) {
      case "output":
      case "userspace":
      case "lb_output":
      case "tnl_push":
      case "tnl_pop":
        return true;
      case "clone":
      case "sample":
        return sendsPacket(a.actions);
      case "check_pkt_len":
        return sendsPacket(a.greater) || sendsPacket(a.lessEqual);
      default:
        return false;
    }
  });
}
