// The names of a bridge's OpenFlow ports, as parsers and printers want them.

import type { NameMap } from "../flow/ofp-port.ts";
import type { XBridge } from "../openflow/xbridge.ts";

export function portsOf(xbridge: XBridge): NameMap {
  return {
    nameOf: (number) => xbridge.xports.get(number)?.name ?? null,
    numberOf: (name) => {
      for (const p of xbridge.xports.values()) {
        if (p.name === name) {
          return p.ofpPort;
        }
      }
      return null;
    },
  };
}
