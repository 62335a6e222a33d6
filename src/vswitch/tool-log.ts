// The option -v of the tools: which of its words make sense for which tool.
//
// The tools have the modules of the library and one or two of their own; what belongs to the daemon
// they do not know. Their own logs stay as they are by default. References: ovs: lib/vlog.c
// vlog_set_verbosity; the modules are those that Debian's tools accept.

import { LOG_MODULES, parseLogSpec } from "../lib/vlog.ts";
import type { Tool } from "./command.ts";
import type { ParsedOpt } from "./getopt.ts";

/** Modules that only ovs-vswitchd has. */
const DAEMON_ONLY: ReadonlySet<string> = new Set(
  (
    "bfd bond bridge bundles cfm collectors connmgr fail_open in_band ipfix lacp lldp lldpd " +
    "lldpd_structs memory netdev_dummy netflow ofproto ofproto_dpif ofproto_dpif_mirror " +
    "ofproto_dpif_monitor ofproto_dpif_rid ofproto_dpif_upcall ofproto_dpif_xlate " +
    "ofproto_xlate_cache ovs_lldp rconn rstp rstp_sm sflow stp system_stats tunnel vswitchd"
  ).split(" "),
);

interface Difference {
  /** Modules of the library that a tool does without. */
  readonly without: readonly string[];
  readonly own: readonly string[];
}

const DIFFERENCES: Readonly<Partial<Record<Tool, Difference>>> = {
  "ovs-vsctl": {
    without: ["daemon", "daemon_unix", "lockfile", "pcap"],
    own: ["db_ctl_base", "vsctl"],
  },
  "ovs-ofctl": { without: [], own: ["ofctl"] },
  "ovs-appctl": { without: ["pcap", "vconn", "vconn_stream"], own: [] },
};

/** Why a tool refuses an option that has to do with its log; undefined for all others. */
export function verbosityError(tool: Tool, { name, arg }: ParsedOpt): string | undefined {
  if (name !== "verbose" || arg === undefined) {
    return undefined;
  }
  const { without, own } = DIFFERENCES[tool] ?? { without: [], own: [] };
  const shared = LOG_MODULES.filter((m) => !DAEMON_ONLY.has(m) && !without.includes(m));
  const spec = parseLogSpec(arg, [...shared, ...own]);
  return typeof spec === "string" ? `processing "${arg}": ${spec}` : undefined;
}
