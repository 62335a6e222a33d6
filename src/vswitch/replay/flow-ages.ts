// How old the flows of a dump were: their timeouts go on from there.
//
// A dump shows `duration`, `idle_age` and, for a flow that was modified later, `hard_age`. It stands
// for the state at the first packet, as the ages of addresses and the timeouts of connections do.
// ovs: lib/ofp-flow.c ofputil_flow_stats_format.

import type { FlowLine } from "../host-dump/tables.ts";

const MS_PER_SEC = 1000;

/** A number behind `name=`, or null. */
function numberOf(text: string, name: string): number | null {
  const m = new RegExp(`\\b${name}=([0-9.]+)s?[, ]`).exec(text);
  return m === null ? null : Number(m[1]);
}

/** Gives flows that have timeouts the ages that their lines show. */
export function applyFlowAges(lines: readonly FlowLine[], nowMs: number): void {
  for (const { rule, text } of lines) {
    if (rule.idleTimeoutS === 0 && rule.hardTimeoutS === 0) {
      continue;
    }
    const actions = text.indexOf("actions=");
    const head = actions < 0 ? text : text.slice(0, actions);
    const duration = numberOf(head, "duration");
    const idleAge = numberOf(head, "idle_age");
    const hardAge = numberOf(head, "hard_age") ?? duration;
    rule.createdMs = nowMs - Math.round(MS_PER_SEC * (duration ?? 0));
    rule.modifiedMs = nowMs - Math.round(MS_PER_SEC * (hardAge ?? 0));
    rule.usedMs = nowMs - MS_PER_SEC * (idleAge ?? 0);
  }
}
