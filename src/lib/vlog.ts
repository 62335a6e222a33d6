// The log of the switch: modules, levels and destinations as ovs-vswitchd has them.
//
// Each message belongs to a module and has a level; each module has a level per destination
// (console, syslog, file) up to which its messages are shown. Only the file destination is ever
// written here, through a function that the program supplies. A Vlog belongs to one switch.
// References: ovs: lib/vlog.c; the module names are those of `ovs-appctl vlog/list`.

import type { Clock } from "./env.ts";
import { LogRateLimit, type RateLimit } from "./log-rate-limit.ts";
import { parseLogSpec } from "./log-spec.ts";

/** Levels from the gravest; "off" shows nothing. */
export const LOG_LEVELS = ["off", "emer", "err", "warn", "info", "dbg"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_DESTINATIONS = ["syslog", "console", "file"] as const;
export type LogDestination = (typeof LOG_DESTINATIONS)[number];

/** Modules whose level can be set. */
export const LOG_MODULES = [
  "backtrace",
  "bfd",
  "bond",
  "bridge",
  "bundle",
  "bundles",
  "cfm",
  "collectors",
  "command_line",
  "connmgr",
  "conntrack",
  "conntrack_tp",
  "coverage",
  "ct_dpif",
  "daemon",
  "daemon_unix",
  "dns_resolve",
  "dpdk",
  "dpif",
  "dpif_lookup_autovalidator",
  "dpif_lookup_generic",
  "dpif_mfex_extract_study",
  "dpif_netdev",
  "dpif_netdev_extract",
  "dpif_netdev_impl",
  "dpif_netdev_lookup",
  "dpif_netlink",
  "dpif_netlink_rtnl",
  "entropy",
  "fail_open",
  "fatal_signal",
  "flow",
  "hmap",
  "in_band",
  "ipf",
  "ipfix",
  "jsonrpc",
  "lacp",
  "lldp",
  "lldpd",
  "lldpd_structs",
  "lockfile",
  "memory",
  "meta_flow",
  "native_tnl",
  "netdev",
  "netdev_afxdp",
  "netdev_dummy",
  "netdev_linux",
  "netdev_offload",
  "netdev_offload_tc",
  "netdev_vport",
  "netflow",
  "netlink",
  "netlink_conntrack",
  "netlink_notifier",
  "netlink_socket",
  "nx_match",
  "odp_execute",
  "odp_execute_impl",
  "odp_util",
  "ofp_actions",
  "ofp_bundle",
  "ofp_connection",
  "ofp_errors",
  "ofp_flow",
  "ofp_group",
  "ofp_match",
  "ofp_meter",
  "ofp_monitor",
  "ofp_msgs",
  "ofp_packet",
  "ofp_port",
  "ofp_protocol",
  "ofp_queue",
  "ofp_table",
  "ofp_util",
  "ofproto",
  "ofproto_dpif",
  "ofproto_dpif_mirror",
  "ofproto_dpif_monitor",
  "ofproto_dpif_rid",
  "ofproto_dpif_upcall",
  "ofproto_dpif_xlate",
  "ofproto_xlate_cache",
  "ovs_lldp",
  "ovs_numa",
  "ovs_rcu",
  "ovs_replay",
  "ovs_router",
  "ovs_thread",
  "ovsdb_cs",
  "ovsdb_error",
  "ovsdb_idl",
  "ox_stat",
  "pcap",
  "pmd_perf",
  "poll_loop",
  "process",
  "rconn",
  "reconnect",
  "route_table",
  "rstp",
  "rstp_sm",
  "sflow",
  "sha1",
  "signals",
  "socket_util",
  "socket_util_unix",
  "stp",
  "stream",
  "stream_fd",
  "stream_replay",
  "stream_ssl",
  "stream_tcp",
  "stream_unix",
  "svec",
  "system_stats",
  "tc",
  "timeval",
  "tunnel",
  "unixctl",
  "userspace_tso",
  "util",
  "uuid",
  "vconn",
  "vconn_stream",
  "vlog",
  "vswitchd",
] as const;
/** Modules of the daemon, and those that only a tool has. */
export type LogModule = (typeof LOG_MODULES)[number] | "db_ctl_base" | "ofctl" | "vsctl";

interface ModuleState {
  readonly levels: Record<LogDestination, LogLevel>;
  /** Index of the lowest level that any destination wants. */
  threshold: number;
  honorRateLimits: boolean;
}

function threshold(levels: Record<LogDestination, LogLevel>): number {
  return Math.max(...LOG_DESTINATIONS.map((d) => LOG_LEVELS.indexOf(levels[d])));
}

/** The program that a log belongs to, and where its lines go. */
export interface LogOwner {
  readonly program: string;
  readonly destination: LogDestination;
  readonly modules: readonly string[];
  /** Levels of all modules at the beginning; other destinations get nothing. */
  readonly initial: Partial<Record<LogDestination, LogLevel>>;
}

const SILENT: Record<LogDestination, LogLevel> = { syslog: "off", console: "off", file: "off" };

const DAEMON: LogOwner = {
  program: "ovs-vswitchd",
  destination: "file",
  modules: LOG_MODULES,
  initial: { file: "info" },
};

export class Vlog {
  private readonly clock: Clock;
  private readonly modules = new Map<string, ModuleState>();
  private readonly patterns: Record<LogDestination, string> = {
    syslog: "ovs|%05N|%c%T|%p|%m",
    console: "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
    file: "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
  };
  private readonly limits = new Map<string, LogRateLimit>();
  private readonly destination: LogDestination;
  private readonly program: string;
  private append: ((line: string) => void) | undefined;
  private fileName: string | undefined;
  /** Messages so far of each thread. */
  private readonly counts = new Map<string, number>();
  private readonly said = new Set<string>();
  private thread = "";

  /** The daemon's log, which goes to a file, unless another program is named. */
  constructor(clock: Clock, owner: LogOwner = DAEMON) {
    const { program, destination, modules, initial } = owner;
    this.clock = clock;
    this.program = program;
    this.destination = destination;
    for (const name of modules) {
      const levels = { ...SILENT, ...initial };
      const state = { levels, threshold: threshold(levels), honorRateLimits: true };
      this.modules.set(name, state);
    }
  }

  /** Lines go to `append` from now on. */
  writeTo(append: (line: string) => void): void {
    this.append = append;
  }

  /** Starts writing to a log file. */
  openFile(name: string, append: (line: string) => void): void {
    if (this.append !== undefined) {
      this.info("vlog", "closing log file");
    }
    this.fileName = name;
    this.writeTo(append);
    this.info("vlog", `opened log file ${name}`);
  }

  /** Stops writing; answers to vlog/reopen come back to life with the same function. */
  closeFile(): void {
    this.append = undefined;
  }

  get isOpen(): boolean {
    return this.append !== undefined;
  }

  get logFile(): string | undefined {
    return this.fileName;
  }

  /** True if any destination wants a message of this module and level: then it counts. */
  enabled(module: LogModule, level: LogLevel): boolean {
    if (this.append === undefined) {
      return false;
    }
    const m = this.modules.get(module);
    return m !== undefined && m.threshold >= LOG_LEVELS.indexOf(level);
  }

  log(module: LogModule, level: LogLevel, text: string): void {
    if (!this.enabled(module, level) || this.append === undefined) {
      return;
    }
    this.counts.set(this.thread, (this.counts.get(this.thread) ?? 0) + 1);
    const own = this.modules.get(module)?.levels[this.destination] ?? "off";
    if (LOG_LEVELS.indexOf(own) < LOG_LEVELS.indexOf(level)) {
      return;
    }
    this.append(`${this.formatLine(module, level, text)}\n`);
  }

  emer(module: LogModule, text: string): void {
    this.log(module, "emer", text);
  }

  err(module: LogModule, text: string): void {
    this.log(module, "err", text);
  }

  warn(module: LogModule, text: string): void {
    this.log(module, "warn", text);
  }

  info(module: LogModule, text: string): void {
    this.log(module, "info", text);
  }

  dbg(module: LogModule, text: string): void {
    this.log(module, "dbg", text);
  }

  /** What `f` logs counts as logged by the thread of a name; "" is the main one. */
  inThread(name: string, f: () => void): void {
    const { thread } = this;
    this.thread = name;
    f();
    this.thread = thread;
  }

  /** Logs the first time that it is called for that place, or never. */
  once(module: LogModule, level: LogLevel, text: string, place = text): void {
    if (!this.said.has(place)) {
      this.said.add(place);
      this.log(module, level, text);
    }
  }

  /**
   * Logs unless the rate limit called `name` is exhausted; the first message after a pause says
   * how many were dropped. `rate` and `burst` create the limit at its first use.
   */
  logRl(module: LogModule, level: LogLevel, limit: RateLimit, text: string): void {
    if (!this.drops(module, level, limit)) {
      this.log(module, level, text);
    }
  }

  /**
   * True if a message is not to be logged, for its level or for its rate limit; else it counts as
   * logged. For messages whose texts cost something.
   */
  drops(module: LogModule, level: LogLevel, limit: RateLimit): boolean {
    if (!this.enabled(module, level)) {
      return true;
    }
    return (
      this.modules.get(module)?.honorRateLimits === true && this.shouldDrop(module, level, limit)
    );
  }

  private shouldDrop(module: LogModule, level: LogLevel, limit: RateLimit): boolean {
    let rl = this.limits.get(limit.name);
    if (rl === undefined) {
      rl = new LogRateLimit(limit.rate, limit.burst);
      this.limits.set(limit.name, rl);
    }
    const nowMs = this.clock.nowMs();
    const nowS = Math.floor(nowMs / 1000);
    if (!rl.withdraw(nowMs)) {
      if (rl.dropped === 0) {
        rl.firstDroppedS = nowS;
      }
      rl.lastDroppedS = nowS;
      rl.dropped++;
      return true;
    }
    if (rl.dropped > 0) {
      const text =
        `Dropped ${rl.dropped} log messages in last ${nowS - rl.firstDroppedS} seconds ` +
        `(most recently, ${nowS - rl.lastDroppedS} seconds ago) due to excessive rate`;
      rl.dropped = 0;
      this.log(module, level, text);
    }
    return false;
  }

  private formatLine(module: LogModule, level: LogLevel, text: string): string {
    const trimmed = text.replace(/\n+$/, "");
    return this.patterns[this.destination].replace(
      /%(-?)(0?)(\d*)([DdNcTtpmnAPr%])(?:\{([^}]*)\})?/g,
      (_all, left: string, zero: string, width: string, code: string, arg: string | undefined) => {
        const s = this.expand(code, arg, module, level, trimmed);
        const w = Number(width);
        return left !== "" ? s.padEnd(w) : s.padStart(w, zero === "" ? " " : "0");
      },
    );
  }

  private expand(
    code: string,
    arg: string | undefined,
    module: LogModule,
    level: LogLevel,
    text: string,
  ): string {
    switch (code) {
      case "D":
      case "d":
        return formatTime(arg ?? "%Y-%m-%d %H:%M:%S.###", this.clock.wallMs());
      case "N":
        return String(this.counts.get(this.thread) ?? 0);
      case "c":
        return module;
      case "p":
        return level.toUpperCase();
      case "m":
        return text;
      case "n":
        return "\n";
      case "t":
        return this.thread === "" ? "main" : this.thread;
      case "T":
        return this.thread === "" ? "" : `(${this.thread})`;
      case "A":
        return this.program;
      case "r":
        return String(Math.floor(this.clock.nowMs()));
      case "%":
        return "%";
      default:
        return "";
    }
  }

  /** Applies a `vlog/set` argument; answers an error text or undefined. */
  setLevels(text: string): string | undefined {
    const spec = parseLogSpec(text, [...this.modules.keys()]);
    if (typeof spec === "string") {
      return spec;
    }
    if ("pattern" in spec) {
      for (const d of spec.destinations) {
        this.patterns[d] = spec.pattern;
      }
    } else if ("level" in spec) {
      this.setLevel(spec.module, spec.destination, spec.level);
    }
    return undefined;
  }

  private setLevel(
    module: string | undefined,
    destination: LogDestination | undefined,
    level: LogLevel,
  ): void {
    for (const [name, m] of this.modules) {
      if (module === undefined || module === name) {
        for (const d of LOG_DESTINATIONS) {
          if (destination === undefined || destination === d) {
            m.levels[d] = level;
          }
        }
        m.threshold = threshold(m.levels);
      }
    }
  }

  /** Switches rate limits of a module (or of all) on or off; false if there is no such module. */
  setRateLimits(module: string | undefined, enable: boolean): boolean {
    const lower = module?.toLowerCase();
    let found = false;
    for (const [name, m] of this.modules) {
      if (lower === undefined || lower === "any" || lower.replaceAll("-", "_") === name) {
        m.honorRateLimits = enable;
        found = true;
      }
    }
    return found;
  }

  /** The table that `vlog/list` prints. */
  formatLevels(): string {
    const lines = [...this.modules].map(([name, m]) => {
      const level = (d: LogDestination) => m.levels[d].toUpperCase().padStart(4);
      const limit = m.honorRateLimits ? "" : "    (rate limiting disabled)";
      const head = `${name.padEnd(16)}  ${level("console")}       ${level("syslog")}`;
      return `${head}       ${level("file")}${limit}\n`;
    });
    lines.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const head = "                 console    syslog    file\n";
    return `${head}                 -------    ------    ------\n${lines.join("")}`;
  }

  /** The table that `vlog/list-pattern` prints. */
  formatPatterns(): string {
    const head = "         prefix                            format\n";
    const rule = "         ------                            ------\n";
    const rows = LOG_DESTINATIONS.map((d) => {
      const prefix = d === "syslog" ? "<%B> %D{%h %e %T} %E %A:" : "none";
      return `${d.toUpperCase().padEnd(7)}  ${prefix.padEnd(32)}  ${this.patterns[d]}\n`;
    });
    return head + rule + rows.join("");
  }
}

/** A time in UTC by the letters of strftime() that log patterns use; `#` are milliseconds. */
function formatTime(format: string, ms: number): string {
  const iso = new Date(ms).toISOString();
  const parts: Readonly<Record<string, string>> = {
    Y: iso.slice(0, 4),
    m: iso.slice(5, 7),
    d: iso.slice(8, 10),
    H: iso.slice(11, 13),
    M: iso.slice(14, 16),
    S: iso.slice(17, 19),
    T: iso.slice(11, 19),
    F: iso.slice(0, 10),
    s: String(Math.floor(ms / 1000)),
    "%": "%",
  };
  const text = format.replace(/%(.)/g, (all, c: string) => parts[c] ?? all);
  return text.replace(/#+/g, (run) =>
    iso.slice(20, 23).padEnd(run.length, "0").slice(0, run.length),
  );
}
