// The sessions of CFM, BFD and LACP of a whole switch, in the order in which commands list them.

import { hashString } from "../lib/hash.ts";
import type { Rng } from "../lib/env.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Bfd } from "../openflow/bfd.ts";
import type { Cfm } from "../openflow/cfm.ts";
import type { Lacp } from "../openflow/lacp.ts";

/** UDP source ports of BFD sessions: the upper quarter, in turn (RFC 5881 §4). */
const UDP_SRC_FIRST = 49152;
const UDP_SRC_COUNT = 16384;

export class LinkProtocols {
  readonly lacps: Lacp[] = [];
  readonly cfms = new OvsMap<string, Cfm>((name) => hashString(name));
  /** By discriminator, which is its own hash. */
  readonly bfds = new OvsMap<number, Bfd>((disc) => disc);
  private bfdsSoFar = 0;

  bfdByName(name: string): Bfd | undefined {
    return [...this.bfds.values()].find((b) => b.name === name);
  }

  /** A discriminator that no session has. */
  newDiscriminator(rng: Rng): number {
    for (;;) {
      const disc = rng.u32();
      if (disc !== 0 && !this.bfds.has(disc)) {
        return disc;
      }
    }
  }

  newUdpSrc(): number {
    const n = this.bfdsSoFar % UDP_SRC_COUNT;
    this.bfdsSoFar++;
    return UDP_SRC_FIRST + n;
  }

  forgetLacp(lacp: Lacp): void {
    const i = this.lacps.indexOf(lacp);
    if (i >= 0) {
      this.lacps.splice(i, 1);
    }
  }
}
