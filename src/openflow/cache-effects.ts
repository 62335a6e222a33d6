// What the entries of a translation cache do that need the rest of the switch: bonds, mirrors,
// learned addresses and neighbours of tunnels.

import type { XlateConfig } from "./xbridge.ts";
import { inputBundle } from "./xlate-bundle.ts";
import type { CacheEffects } from "./xlate-cache.ts";
import { learnMac } from "./xlate-normal.ts";

export function cacheEffects(xcfg: XlateConfig, nowMs: () => number): CacheEffects {
  return {
    accountBond: (bond, flow, vid, bytes) => bond.account(flow, vid, bytes),
    updateMirror: (m, mirrors, packets, bytes) => m.updateStats(mirrors, packets, bytes),
    learnMac: (e) => {
      const input = inputBundle(e.xbridge, e.inPort);
      if (input !== null) {
        const src = { hi: e.dlSrc[0] as number, lo: e.dlSrc[1] as number };
        learnMac(e.xbridge, input.xbundle, src, e.vlan, e.gratuitousArp, nowMs());
      }
    },
    touchNeighbour: (bridge, ip) => {
      xcfg.native.neighbours.lookup(bridge, ip, nowMs());
    },
  };
}
