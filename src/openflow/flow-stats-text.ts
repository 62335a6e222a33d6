// One flow as `dump-flows` prints it, with or without statistics.
//
// ovs: lib/ofp-flow.c ofputil_flow_stats_format, ofputil_flow_mod_flags_format.

import { formatTable } from "../flow/ofp-port.ts";
import { formatActions } from "./actions/actions.ts";
import type { FormatContext } from "./actions/types.ts";
import { formatShownMatch } from "./match-text.ts";
import { formatDuration } from "./messages/text.ts";
import { type FlowStats, U64_MAX } from "./messages/types-flow.ts";
import { FLOW_FLAG } from "./rule.ts";

const FLAG_NAMES = [
  [FLOW_FLAG.SEND_FLOW_REM, "send_flow_rem"],
  [FLOW_FLAG.CHECK_OVERLAP, "check_overlap"],
  [FLOW_FLAG.RESET_COUNTS, "reset_counts"],
  [FLOW_FLAG.NO_PKT_COUNTS, "no_packet_counts"],
  [FLOW_FLAG.NO_BYT_COUNTS, "no_byte_counts"],
  [FLOW_FLAG.HIDDEN_FIELDS, "allow_hidden_fields"],
  [FLOW_FLAG.NO_READONLY, "no_readonly_table"],
] as const;

/** Each flag's word with a blank behind it (ovs: ofputil_flow_mod_flags_format). */
export function formatFlowFlags(flags: number): string {
  let s = "";
  for (const [flag, name] of FLAG_NAMES) {
    if ((flags & flag) !== 0) {
      s += `${name} `;
    }
  }
  return s;
}

function counter(n: bigint): string {
  return n === U64_MAX ? "?" : n.toString();
}

/** The line of a flow, without indentation and end of line. */
export function formatFlowStats(fs: FlowStats, names: FormatContext, showStats: boolean): string {
  let s = "";
  if (showStats || fs.cookie !== 0n) {
    s += `cookie=0x${fs.cookie.toString(16)}, `;
  }
  if (showStats) {
    s += `duration=${formatDuration(fs.durationS, fs.durationNs)}, `;
  }
  if (showStats || fs.tableId !== 0 || (names.tables?.nameOf(fs.tableId) ?? null) !== null) {
    s += `table=${formatTable(fs.tableId, names.tables)}, `;
  }
  if (showStats) {
    s += `n_packets=${counter(fs.packetCount)}, n_bytes=${counter(fs.byteCount)}, `;
  }
  if (fs.idleTimeoutS !== 0) {
    s += `idle_timeout=${fs.idleTimeoutS}, `;
  }
  if (fs.hardTimeoutS !== 0) {
    s += `hard_timeout=${fs.hardTimeoutS}, `;
  }
  s += formatFlowFlags(fs.flags);
  if (fs.importance !== 0) {
    s += `importance=${fs.importance}, `;
  }
  if (showStats && fs.idleAgeS >= 0) {
    s += `idle_age=${fs.idleAgeS}, `;
  }
  if (showStats && fs.hardAgeS >= 0 && fs.hardAgeS !== fs.durationS) {
    s += `hard_age=${fs.hardAgeS}, `;
  }
  const match = formatShownMatch(fs.match, names, fs.priority);
  const actions = formatActions(fs.actions, names);
  const { painter } = names;
  const head = painter?.statistics(s) ?? s;
  const equals = painter?.paint("actions", "actions=") ?? "actions=";
  return `${head}${match}${match === "" ? "" : " "}${equals}${actions}`;
}
