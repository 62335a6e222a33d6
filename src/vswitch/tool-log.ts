// The logs of the tools, and their option -v: which of its words make sense for which tool.
//
// A tool logs to standard error from level "info" on unless -v says something else. The tools have
// the modules of the library and one or two of their own; what belongs to the daemon they do not
// know. References: ovs: lib/vlog.c vlog_set_verbosity; the modules are those that Debian's tools
// accept.

import type { Clock } from "../lib/env.ts";
import { LOG_MODULES, type LogModule, Vlog } from "../lib/vlog.ts";
import { parseLogSpec } from "../lib/log-spec.ts";
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
  readonly without: readonly LogModule[];
  readonly own: readonly LogModule[];
}

const DIFFERENCES: Readonly<Partial<Record<Tool, Difference>>> = {
  "ovs-vsctl": {
    without: ["daemon", "daemon_unix", "lockfile", "pcap"],
    own: ["db_ctl_base", "vsctl"],
  },
  "ovs-ofctl": { without: [], own: ["ofctl"] },
  "ovs-appctl": { without: ["pcap", "vconn", "vconn_stream"], own: [] },
};

/** All modules of a tool. */
function modulesOf(tool: Tool): readonly LogModule[] {
  const { without, own } = DIFFERENCES[tool] ?? { without: [], own: [] };
  return [...LOG_MODULES.filter((m) => !DAEMON_ONLY.has(m) && !without.includes(m)), ...own];
}

/** The log of one run of a tool after its options -v, of which `specs` are the arguments. */
export function openToolLog(
  tool: Tool,
  clock: Clock,
  specs: readonly string[],
  print: (line: string) => void,
): Vlog {
  const log = new Vlog(clock, {
    program: tool,
    destination: "console",
    modules: modulesOf(tool),
    initial: { console: "info", syslog: "info" },
  });
  for (const spec of specs) {
    log.setLevels(spec);
  }
  log.writeTo(print);
  return log;
}

/** Why a tool refuses an option that has to do with its log; undefined for all others. */
export function verbosityError(tool: Tool, { name, arg }: ParsedOpt): string | undefined {
  if (name !== "verbose" || arg === undefined) {
    return undefined;
  }
  const spec = parseLogSpec(arg, modulesOf(tool));
  return typeof spec === "string" ? `processing "${arg}": ${spec}` : undefined;
}
