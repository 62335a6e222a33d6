// A port of a datapath, and how one without a number gets its own.

import type { Netdev } from "./port.ts";
import type { NativeTunnel, TunnelState } from "./tunnel.ts";

/** Greatest port number that is given out. */
const PORT_NO_MAX = 65535;

/** A port of the datapath. */
export interface DpPort {
  readonly portNo: number;
  readonly name: string;
  readonly netdev: Netdev | null;
  /** Set for a port that stands for native tunnels of one kind. */
  readonly tunnel: { readonly kind: NativeTunnel; readonly state: TunnelState } | null;
  /** The turn in which the device last refused a packet. */
  refusedTurn: number;
}

/**
 * A number in the name is the port's number if it is free, else it is the first free one; -1 if
 * there is none (ovs: choose_port).
 */
export function choosePort(ports: ReadonlyMap<number, DpPort>, name: string): number {
  const start = name.startsWith("br") ? 100 : 0;
  const digits = /\d+/.exec(name);
  if (digits !== null) {
    const n = start + Number(digits[0]);
    if (n > 0 && n <= 0xffffffff && !ports.has(n)) {
      return n;
    }
  }
  for (let n = 1; n <= PORT_NO_MAX; n++) {
    if (!ports.has(n)) {
      return n;
    }
  }
  return -1;
}
