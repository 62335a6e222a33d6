// OpenFlow versions and "protocols" (a version plus the flow format spoken on it), and their names.
//
// A version is the number in a message header (0x01 = OpenFlow 1.0 … 0x06 = OpenFlow 1.5); a set
// of versions is a bitmap with bit `1 << version`. A protocol is one bit of `Proto`, a set of
// protocols an or of bits. References: ovs: lib/ofp-protocol.c, lib/ofp-version-opt.c.

export const OFP10 = 0x01;
export const OFP11 = 0x02;
export const OFP12 = 0x03;
export const OFP13 = 0x04;
export const OFP14 = 0x05;
export const OFP15 = 0x06;

/** Version numbers with their names, in ascending order. */
export const OFP_VERSIONS = [
  { version: OFP10, name: "OpenFlow10" },
  { version: OFP11, name: "OpenFlow11" },
  { version: OFP12, name: "OpenFlow12" },
  { version: OFP13, name: "OpenFlow13" },
  { version: OFP14, name: "OpenFlow14" },
  { version: OFP15, name: "OpenFlow15" },
] as const;

export const ALL_VERSIONS = OFP_VERSIONS.reduce((bits, v) => bits | (1 << v.version), 0);

/** Protocol bits, numbered as in ovs: include/openvswitch/ofp-protocol.h. */
export const Proto = {
  OF10_STD: 1 << 0,
  OF10_STD_TID: 1 << 1,
  OF10_NXM: 1 << 2,
  OF10_NXM_TID: 1 << 3,
  OF11_STD: 1 << 4,
  OF12_OXM: 1 << 5,
  OF13_OXM: 1 << 6,
  OF14_OXM: 1 << 7,
  OF15_OXM: 1 << 8,
} as const;

export const P_OF10_STD_ANY = Proto.OF10_STD | Proto.OF10_STD_TID;
export const P_OF10_NXM_ANY = Proto.OF10_NXM | Proto.OF10_NXM_TID;
export const P_OF10_ANY = P_OF10_STD_ANY | P_OF10_NXM_ANY;
export const P_ANY_OXM = Proto.OF12_OXM | Proto.OF13_OXM | Proto.OF14_OXM | Proto.OF15_OXM;
export const P_OF13_UP = Proto.OF13_OXM | Proto.OF14_OXM | Proto.OF15_OXM;
export const P_NXM_OXM_ANY = P_OF10_NXM_ANY | P_ANY_OXM;
export const P_ANY = (1 << 9) - 1;
/** The protocols in which a flow_mod names its table. */
export const P_TID = Proto.OF10_STD_TID | Proto.OF10_NXM_TID | Proto.OF11_STD | P_ANY_OXM;

/** Names of single protocols, in bit order, each with its OpenFlow version. */
const PROTOCOLS = [
  { bit: Proto.OF10_STD, name: "OpenFlow10-table_id", version: OFP10 },
  { bit: Proto.OF10_STD_TID, name: "OpenFlow10+table_id", version: OFP10 },
  { bit: Proto.OF10_NXM, name: "NXM-table_id", version: OFP10 },
  { bit: Proto.OF10_NXM_TID, name: "NXM+table_id", version: OFP10 },
  { bit: Proto.OF11_STD, name: "OpenFlow11", version: OFP11 },
  { bit: Proto.OF12_OXM, name: "OXM-OpenFlow12", version: OFP12 },
  { bit: Proto.OF13_OXM, name: "OXM-OpenFlow13", version: OFP13 },
  { bit: Proto.OF14_OXM, name: "OXM-OpenFlow14", version: OFP14 },
  { bit: Proto.OF15_OXM, name: "OXM-OpenFlow15", version: OFP15 },
] as const;

/** Names of useful sets of protocols; earlier rows win when a set is printed. */
const ABBREVIATIONS = [
  { bits: P_ANY, name: "any" },
  { bits: P_OF10_STD_ANY, name: "OpenFlow10" },
  { bits: P_OF10_NXM_ANY, name: "NXM" },
  { bits: P_ANY_OXM, name: "OXM" },
] as const;

/** The version with this name (any case), or 0. */
export function versionFromName(name: string): number {
  const lower = name.toLowerCase();
  return OFP_VERSIONS.find((v) => v.name.toLowerCase() === lower)?.version ?? 0;
}

/** "OpenFlow13" for 0x04; unknown numbers print as hex. */
export function versionName(version: number): string {
  return OFP_VERSIONS.find((v) => v.version === version)?.name ?? `0x${version.toString(16)}`;
}

/** "OpenFlow10, OpenFlow13" for a bitmap. */
export function formatVersions(bitmap: number): string {
  return OFP_VERSIONS.filter((v) => bitmap & (1 << v.version))
    .map((v) => v.name)
    .join(", ");
}

/**
 * Parses names separated by commas or white space into a bitmap. An unknown name is returned
 * instead of a bitmap so that the caller can word its own error.
 */
export function parseVersions(text: string): { bitmap: number } | { unknown: string } {
  let bitmap = 0;
  for (const name of text.split(/[\s,]+/).filter((s) => s !== "")) {
    const version = versionFromName(name);
    if (version === 0) {
      return { unknown: name };
    }
    bitmap |= 1 << version;
  }
  return { bitmap };
}

/** All protocols that can be spoken on the versions of a bitmap. */
export function protocolsOfVersions(bitmap: number): number {
  return PROTOCOLS.reduce((bits, p) => (bitmap & (1 << p.version) ? bits | p.bit : bits), 0);
}

/** The versions on which at least one protocol of the set can be spoken. */
export function versionsOfProtocols(protocols: number): number {
  return PROTOCOLS.reduce((bits, p) => (protocols & p.bit ? bits | (1 << p.version) : bits), 0);
}

/** The OpenFlow version of one protocol bit; 0 if it is no such bit. */
export function versionOfProtocol(protocol: number): number {
  return PROTOCOLS.find((p) => p.bit === protocol)?.version ?? 0;
}

/** The protocol in effect right after a version was negotiated. */
export function initialProtocol(version: number): number {
  return PROTOCOLS.find((p) => p.version === version)?.bit ?? 0;
}

/** The same protocol with flow_mod_table_id switched on or off, where that is a choice. */
export function protocolSetTid(protocol: number, enable: boolean): number {
  if (protocol & P_OF10_STD_ANY) {
    return enable ? Proto.OF10_STD_TID : Proto.OF10_STD;
  }
  if (protocol & P_OF10_NXM_ANY) {
    return enable ? Proto.OF10_NXM_TID : Proto.OF10_NXM;
  }
  return protocol;
}

/** A set of protocols as OVS prints it: abbreviations first, then single names. */
export function formatProtocols(protocols: number): string {
  if (protocols === 0) {
    return "none";
  }
  const out: string[] = [];
  let left = protocols;
  while (left !== 0) {
    const set = ABBREVIATIONS.find((a) => (left & a.bits) === a.bits);
    const one = PROTOCOLS.find((p) => left & p.bit);
    if (set === undefined && one === undefined) {
      break;
    }
    out.push(set?.name ?? one?.name ?? "");
    left &= ~(set?.bits ?? one?.bit ?? 0);
  }
  return out.join(",");
}

/** Parses a comma separated list of protocol names; the error is OVS's text. */
export function parseProtocols(text: string): { protocols: number } | { error: string } {
  let protocols = 0;
  for (const word of text.split(",").filter((s) => s !== "")) {
    const lower = word.toLowerCase();
    const bit =
      PROTOCOLS.find((p) => p.name.toLowerCase() === lower)?.bit ??
      ABBREVIATIONS.find((a) => a.name.toLowerCase() === lower)?.bits;
    if (bit === undefined) {
      return { error: `${word}: unknown flow protocol` };
    }
    protocols |= bit;
  }
  return protocols === 0 ? { error: `${text}: no flow protocol specified` } : { protocols };
}
