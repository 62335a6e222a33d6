// What parsers and the decoding of a peer's messages tell the log of the switch or of a tool.
//
// They get a function to which they tell what is wrong; it is logged under the rate limits of Open
// vSwitch, of which each file of its sources has one, named here by the module. References: ovs: VLOG_RATE_LIMIT_INIT in lib/ofp-*.c, lib/nx-match.c.

import type { LogSink } from "../flow/ofp-port.ts";
import { LOG_MODULES, type LogLevel, type Vlog } from "../lib/vlog.ts";
import type { RateLimit } from "../lib/log-rate-limit.ts";

const LEVELS: Readonly<Record<string, LogLevel>> = { ERR: "err", WARN: "warn", INFO: "info" };

/** Messages of a module at once; then one a minute. */
export const DECODE_LOG_BURST = 5;
/** Messages that have a stricter limit of their own. */
const ONCE = /^(?:OpenFlow message has unknown vendor|unknown OpenFlow message)/;
/** Advice about the spelling of port numbers, which is given once. */
const ADVICE = /^referring to port/;
/** Warnings about numbers of ports and tables in a text have no limit. */
const NUMBERS = /^(?:Negative value|(?:port|table) \d+ is )/;
/** Further lines of a message that has been let through. */
const CONTINUED = /^(?: pre|post): /;

function limitOf(module: string, text: string): RateLimit {
  const once = module === "ofp_msgs" ? ONCE.exec(text) : null;
  return once === null
    ? { name: `decode:${module}`, rate: 1, burst: DECODE_LOG_BURST }
    : { name: `decode:${once[0]}`, rate: 1, burst: 1 };
}

/** A sink for parsers and decoders that writes into a log. */
export function decodeLog(log: Vlog): LogSink {
  let letThrough = true;
  return (level, name, text) => {
    const module = LOG_MODULES.find((m) => m === name);
    if (module === undefined) {
      return;
    }
    const how = LEVELS[level] ?? "warn";
    if (module === "ofp_port" && ADVICE.test(text)) {
      log.once(module, how, text, "advice about ports");
      return;
    }
    const unlimited = (module === "ofp_port" || module === "ofp_table") && NUMBERS.test(text);
    if (unlimited) {
      letThrough = true;
    } else if (!(module === "ofp_match" && CONTINUED.test(text))) {
      letThrough = !log.drops(module, how, limitOf(module, text));
      if (module === "nx_match" && letThrough) {
        // The caller of the place that logs asks the same limit again.
        letThrough = !log.drops(module, how, limitOf(module, text));
      }
    }
    if (letThrough) {
      log.log(module, how, text);
    }
  };
}
