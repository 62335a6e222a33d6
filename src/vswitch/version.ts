// The release that this program re-implements.

export const OVS_VERSION = "3.1.0";
