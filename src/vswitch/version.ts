// The release of this program, and the one that it re-implements.

/** As in package.json. */
export const TABLEWALK_VERSION = "0.1.0";

export const OVS_VERSION = "3.1.0";
