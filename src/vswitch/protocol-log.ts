// The log of the switch as a protocol sees it.

import type { LogModule } from "../lib/vlog.ts";
import type { ProtocolLog } from "../openflow/protocol-log.ts";
import type { VSwitch } from "./vswitch.ts";

export function protocolLog(vs: VSwitch, module: LogModule): ProtocolLog {
  return (level, what, limit) => {
    if (!vs.log.enabled(module, level)) {
      return;
    }
    const text = typeof what === "string" ? what : what();
    if (limit === undefined) {
      vs.log.log(module, level, text);
    } else {
      vs.log.logRl(module, level, limit, text);
    }
  };
}
