// What an argument of vlog/set, or of a tool's option -v, asks for: levels, a pattern, a facility.
//
// ovs: lib/vlog.c vlog_set_levels_from_string.

import { LOG_LEVELS, type LogLevel, LOG_DESTINATIONS, type LogDestination } from "./vlog.ts";

/** What an argument of vlog/set or of a tool's option -v asks for. */
type LogSpec =
  | { readonly destinations: readonly LogDestination[]; readonly pattern: string }
  | { readonly facility: string }
  | {
      readonly module: string | undefined;
      readonly destination: LogDestination | undefined;
      readonly level: LogLevel;
    };

const FACILITIES =
  /^(?:auth|authpriv|clock|cron|daemon|ftp|kern|lpr|mail|news|syslog|user|uucp|local[0-7])$/i;

/** Reads such an argument; a text says why it makes no sense for a program with these modules. */
export function parseLogSpec(text: string, modules: readonly string[]): LogSpec | string {
  const special = /^[ ,:\t]*(PATTERN|FACILITY)(?:[ ,:\t]|$)(.*)/is.exec(text);
  if (special !== null) {
    const rest = special[2] ?? "";
    return special[1]?.toUpperCase() === "PATTERN"
      ? parsePattern(rest)
      : FACILITIES.test(rest)
        ? { facility: rest }
        : "invalid facility";
  }
  let module: string | undefined;
  let level: LogLevel | undefined;
  let destination: LogDestination | undefined;
  for (const word of text.split(/[ ,:\t]+/).filter((w) => w !== "")) {
    const lower = word.toLowerCase();
    const asDestination = LOG_DESTINATIONS.find((d) => d === lower);
    const asLevel = LOG_LEVELS.find((l) => l === lower);
    const asModule = modules.find((m) => m === lower.replaceAll("-", "_"));
    if (lower === "any") {
      continue;
    }
    if (asDestination !== undefined) {
      if (destination !== undefined) {
        return "cannot specify multiple destinations";
      }
      destination = asDestination;
    } else if (asLevel !== undefined) {
      if (level !== undefined) {
        return "cannot specify multiple levels";
      }
      level = asLevel;
    } else if (asModule !== undefined) {
      if (module !== undefined) {
        return "cannot specify multiple modules";
      }
      module = asModule;
    } else {
      return `no destination, level, or module "${word}"`;
    }
  }
  return { module, destination, level: level ?? "dbg" };
}

function parsePattern(rest: string): LogSpec | string {
  const [, destination, pattern = ""] = /^[ ,:\t]*([^ ,:\t]+)[ ,:\t]?(.*)$/s.exec(rest) ?? [];
  if (destination === undefined) {
    return "missing destination";
  }
  const lower = destination.toLowerCase();
  const destinations = LOG_DESTINATIONS.filter((d) => lower === "any" || d === lower);
  return destinations.length === 0
    ? `unknown destination "${destination}"`
    : { destinations, pattern };
}
