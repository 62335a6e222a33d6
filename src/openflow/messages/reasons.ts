// Why a flow was removed, as text (ovs: lib/ofp-monitor.c ofp_flow_removed_reason_to_string).

import { REMOVED } from "../rule.ts";

const FLOW_REMOVED: Readonly<Record<number, string>> = {
  [REMOVED.IDLE_TIMEOUT]: "idle",
  [REMOVED.HARD_TIMEOUT]: "hard",
  [REMOVED.DELETE]: "delete",
  [REMOVED.GROUP_DELETE]: "group_delete",
  [REMOVED.METER_DELETE]: "meter_delete",
  [REMOVED.EVICTION]: "eviction",
};

/** Name of a reason of a flow removal, or its number. */
export function formatRemovedReason(reason: number): string {
  return FLOW_REMOVED[reason] ?? String(reason);
}
