// What the decoding of a peer's messages tells the log of the switch.
//
// Decoders get a function to which they tell what is wrong with a message; a tool prints it, a
// switch logs it under the rate limits of Open vSwitch, of which each file of its sources has one,
// named here by the module. References: ovs: VLOG_RATE_LIMIT_INIT in lib/ofp-*.c, lib/nx-match.c.

import type { LogSink } from "../flow/ofp-port.ts";
import { LOG_MODULES, type LogLevel, type RateLimit, type Vlog } from "../lib/vlog.ts";

const LEVELS: Readonly<Record<string, LogLevel>> = { ERR: "err", WARN: "warn", INFO: "info" };

/** Messages of a module at once; then one a minute. */
const BURST = 5;
/** Messages that have a stricter limit of their own. */
const ONCE = /^(?:OpenFlow message has unknown vendor|unknown OpenFlow message)/;
/** Further lines of a message that has been let through. */
const CONTINUED = /^(?: pre|post): /;

function limitOf(module: string, text: string): RateLimit {
  const once = module === "ofp_msgs" ? ONCE.exec(text) : null;
  return once === null
    ? { name: `decode:${module}`, rate: 1, burst: BURST }
    : { name: `decode:${once[0]}`, rate: 1, burst: 1 };
}

/** A sink for decoders that writes into the log of a switch. */
export function decodeLog(log: Vlog): LogSink {
  let letThrough = true;
  return (level, name, text) => {
    const module = LOG_MODULES.find((m) => m === name);
    if (module === undefined) {
      return;
    }
    const how = LEVELS[level] ?? "warn";
    if (!(module === "ofp_match" && CONTINUED.test(text))) {
      letThrough = !log.drops(module, how, limitOf(module, text));
      if (module === "nx_match" && letThrough) {
        // The caller of the place that logs asks the same limit again.
        log.drops(module, how, limitOf(module, text));
      }
    }
    if (letThrough) {
      log.log(module, how, text);
    }
  };
}
