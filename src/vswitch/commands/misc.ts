// ovs-appctl commands of the daemon itself: version, clock, log.
//
// References: ovs: lib/unixctl.c, lib/timeval.c timeval_stop_cb, timeval_warp_cb, lib/vlog.c.

import {
  ANY_ARGS,
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import { OVS_VERSION } from "../vswitch.ts";

const TOOL = "ovs-appctl";

/** The whole number that atoll() reads at the start of a text; 0 if there is none. */
export function atoll(text: string): number {
  return Number(/^\s*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}

/** One turn of the main loop may not be asked for more often than this by one time/warp. */
export const WARP_STEPS_MAX = 1_000_000;

function timeWarp(ctx: CommandContext, argv: readonly string[]): Reply {
  const total = argv.length > 2 ? atoll(argv[1] ?? "") : 0;
  const step = atoll(argv[argv.length > 2 ? 2 : 1] ?? "");
  if (step <= 0 || total < 0) {
    return appctlError("invalid MSECS");
  }
  let left = total > 0 ? total : step;
  for (let i = 0; left > 0 && i < WARP_STEPS_MAX; i++) {
    const ms = Math.min(step, left);
    ctx.vs.warp(ms);
    left -= ms;
    // The main loop turns once a step; what that leads to has to wait for the next one. The command
    // makes the first step and the loop, before it turns again, the second.
    if (i > 0 || left === 0) {
      ctx.vs.run(1);
    }
  }
  return appctlOk("warped");
}

function vlogSet(ctx: CommandContext, argv: readonly string[]): Reply {
  for (const spec of argv.length > 1 ? argv.slice(1) : ["dbg"]) {
    const error = ctx.vs.log.setLevels(spec);
    if (error !== undefined) {
      return appctlError(error);
    }
  }
  return appctlOk();
}

function rateLimits(enable: boolean) {
  return (ctx: CommandContext, argv: readonly string[]): Reply => {
    for (const module of argv.length > 1 ? argv.slice(1) : ["ANY"]) {
      if (!ctx.vs.log.setRateLimits(module, enable)) {
        return appctlError("unknown module");
      }
    }
    return appctlOk();
  };
}

export const MISC_COMMANDS: readonly Command[] = [
  {
    tool: TOOL,
    name: "version",
    usage: "",
    args: [0, 0],
    doc: "Prints the version of the switch.",
    run: () => appctlOk(`ovs-vswitchd (Open vSwitch) ${OVS_VERSION}`),
  },
  {
    tool: TOOL,
    name: "time/stop",
    usage: "",
    args: [0, 0],
    doc: "Stops the monotonic clock; from now on only time/warp moves it.",
    run: (ctx) => {
      ctx.vs.clock.stop();
      return appctlOk();
    },
  },
  {
    tool: TOOL,
    name: "time/warp",
    usage: "[large_msecs] msecs",
    args: [1, 2],
    doc: "Moves the monotonic clock forward; with two numbers, the first in steps of the second.",
    run: timeWarp,
  },
  {
    tool: TOOL,
    name: "vlog/set",
    usage: "{spec | PATTERN:destination:pattern}",
    args: [0, ANY_ARGS],
    doc: "Sets log levels or patterns.",
    run: vlogSet,
  },
  {
    tool: TOOL,
    name: "vlog/list",
    usage: "",
    args: [0, 0],
    doc: "Lists the log level of each module for each destination.",
    run: (ctx) => appctlOk(ctx.vs.log.formatLevels()),
  },
  {
    tool: TOOL,
    name: "vlog/list-pattern",
    usage: "",
    args: [0, 0],
    doc: "Lists the pattern of log lines for each destination.",
    run: (ctx) => appctlOk(ctx.vs.log.formatPatterns()),
  },
  {
    tool: TOOL,
    name: "vlog/enable-rate-limit",
    usage: "[module]...",
    args: [0, ANY_ARGS],
    doc: "Switches rate limits of log messages on.",
    run: rateLimits(true),
  },
  {
    tool: TOOL,
    name: "vlog/disable-rate-limit",
    usage: "[module]...",
    args: [0, ANY_ARGS],
    doc: "Switches rate limits of log messages off.",
    run: rateLimits(false),
  },
  {
    tool: TOOL,
    name: "vlog/reopen",
    usage: "",
    args: [0, 0],
    doc: "Opens the log file again.",
    run: (ctx) =>
      ctx.vs.log.logFile === undefined
        ? appctlError("Logging to file not configured")
        : appctlOk(ctx.vs.reopenLog()),
  },
  {
    tool: TOOL,
    name: "vlog/close",
    usage: "",
    args: [0, 0],
    doc: "Closes the log file.",
    run: (ctx) => {
      ctx.vs.log.closeFile();
      return appctlOk();
    },
  },
];
