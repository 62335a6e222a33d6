// Bundles for tests that need no bridge around them.

import type { XBundle } from "../../src/openflow/xbridge.ts";

export type Bundle = XBundle;

/** A trunk port unless told otherwise. */
export function bundle(settings: Partial<Bundle>): Bundle {
  return {
    name: "port",
    xbridge: null,
    xports: [],
    bond: null,
    lacp: false,
    vlanMode: "trunk",
    qinqEthtype: 0x88a8,
    vlan: -1,
    trunks: null,
    cvlans: null,
    priorityTags: "never",
    floodable: true,
    protected: false,
    ...settings,
  };
}
