// Names and sets of OpenFlow versions and protocols, and the ways from one to the other.
//
// The numbers themselves are in flow/of-version.ts (ovs: lib/ofp-protocol.c).

import {
  OF_VERSIONS,
  OFP,
  type OfVersion,
  P,
  PROTOCOLS,
  type Protocols,
} from "../../flow/of-version.ts";

/** Bit n set: version n. */
export type VersionBitmap = number;

const PROTOCOL_NAMES: readonly (readonly [Protocols, string])[] = PROTOCOLS.map((p) => [
  p.bit,
  p.name,
]);

const ABBREVIATIONS: readonly (readonly [Protocols, string])[] = [
  [P.ANY, "any"],
  [P.OF10_STD_ANY, "OpenFlow10"],
  [P.OF10_NXM_ANY, "NXM"],
  [P.ANY_OXM, "OXM"],
];

/** Protocols in which a tool dumps flows, the most preferred first. */
export const FLOW_DUMP_PROTOCOLS: readonly Protocols[] = [
  P.OF15_OXM,
  P.OF14_OXM,
  P.OF13_OXM,
  P.OF12_OXM,
  P.OF11_STD,
  P.OF10_NXM,
  P.OF10_STD,
];

/** Versions that Open vSwitch speaks, and offers by default: 1.0 to 1.5. */
export const SUPPORTED_VERSIONS: VersionBitmap = 0x7e;

/** A version of a message that is known to be one that Open vSwitch speaks. */
export function knownVersion(version: number): OfVersion {
  return OF_VERSIONS[version - OFP.v10] ?? OFP.v10;
}

/** All protocols of a version; 0 for an unknown one. */
export function protocolsFromVersion(version: number): Protocols {
  if (version === OFP.v10) {
    return P.OF10_ANY;
  }
  return version >= OFP.v11 && version <= OFP.v15 ? 1 << (version + 2) : P.NONE;
}

/** The protocol in effect when a connection has just negotiated a version. */
export function protocolFromVersion(version: number): Protocols {
  const all = protocolsFromVersion(version);
  return all & -all;
}

/** The version of a single protocol. */
export function protocolToVersion(protocol: Protocols): OfVersion {
  if ((protocol & P.OF10_ANY) !== 0) {
    return OFP.v10;
  }
  const list = [OFP.v11, OFP.v12, OFP.v13, OFP.v14, OFP.v15];
  return list.find((v) => (protocol & protocolsFromVersion(v)) !== 0) ?? OFP.v10;
}

export function protocolsToVersions(protocols: Protocols): VersionBitmap {
  let bitmap = 0;
  for (let v: number = OFP.v10; v <= OFP.v15; v++) {
    if ((protocols & protocolsFromVersion(v)) !== 0) {
      bitmap |= 1 << v;
    }
  }
  return bitmap;
}

export function protocolsFromVersions(bitmap: VersionBitmap): Protocols {
  let protocols = 0;
  for (let v: number = OFP.v10; v <= OFP.v15; v++) {
    if ((bitmap & (1 << v)) !== 0) {
      protocols |= protocolsFromVersion(v);
    }
  }
  return protocols;
}

/** The protocol with the table id extension on or off; it exists only in OpenFlow 1.0. */
export function protocolSetTid(protocol: Protocols, enable: boolean): Protocols {
  if ((protocol & P.OF10_STD_ANY) !== 0) {
    return enable ? P.OF10_STD_TID : P.OF10_STD;
  }
  if ((protocol & P.OF10_NXM_ANY) !== 0) {
    return enable ? P.OF10_NXM_TID : P.OF10_NXM;
  }
  return protocol;
}

/** The protocol without extensions. */
export function protocolToBase(protocol: Protocols): Protocols {
  return protocolSetTid(protocol, false);
}

/** `base` with the table id extension as `current` has it. */
export function protocolSetBase(current: Protocols, base: Protocols): Protocols {
  return protocolSetTid(base, (current & P.TID) !== 0);
}

/** Name of one protocol, or undefined for a set without a name of its own. */
export function protocolToString(protocol: Protocols): string | undefined {
  const row = [...PROTOCOL_NAMES, ...ABBREVIATIONS].find(([p]) => p === protocol);
  return row?.[1];
}

/** Names of a set, comma-separated, with abbreviations for the usual groups. */
export function protocolsToString(protocols: Protocols): string {
  if (protocols === 0) {
    return "none";
  }
  const names: string[] = [];
  let rest = protocols;
  while (rest !== 0) {
    const whole = ABBREVIATIONS.find(([p]) => (rest & p) === p);
    const row = whole ?? PROTOCOL_NAMES.find(([p]) => (rest & p) !== 0);
    if (row === undefined) {
      break;
    }
    names.push(row[1]);
    rest &= ~row[0];
  }
  return names.join(",");
}

/** A set from its names, or the error text. Case does not count. */
export function protocolsFromString(s: string): Protocols | { readonly error: string } {
  let protocols = 0;
  for (let i = 0; i < s.length; ) {
    const comma = s.indexOf(",", i);
    const end = comma < 0 ? s.length : comma;
    const word = s.slice(i, end);
    i = end + (word === "" ? 1 : 0);
    if (word === "") {
      continue;
    }
    const known = [...PROTOCOL_NAMES, ...ABBREVIATIONS];
    const row = known.find(([, name]) => name.toLowerCase() === word.toLowerCase());
    if (row === undefined) {
      return { error: `${word}: unknown flow protocol` };
    }
    protocols |= row[0];
  }
  return protocols === 0 ? { error: `${s}: no flow protocol specified` } : protocols;
}

/** `OpenFlow13` and so on. */
export function versionToString(version: OfVersion): string {
  return `OpenFlow1${version - 1}`;
}

/** The version of a name such as `OpenFlow13`, in any case, or 0. */
export function versionFromString(s: string): OfVersion | 0 {
  const m = /^openflow1([0-5])$/i.exec(s);
  const list = [OFP.v10, OFP.v11, OFP.v12, OFP.v13, OFP.v14, OFP.v15];
  return list[Number(m?.[1] ?? -1)] ?? 0;
}

/** A bitmap from names separated by commas or spaces, or the error text. */
export function versionsFromString(s: string): VersionBitmap | { readonly error: string } {
  let bitmap = 0;
  for (const word of s.split(/[\s,]+/)) {
    if (word === "") {
      continue;
    }
    const v = versionFromString(word);
    if (v === 0) {
      return { error: `Unknown OpenFlow version: "${word}"` };
    }
    bitmap |= 1 << v;
  }
  return bitmap;
}

function bits(bitmap: VersionBitmap): number[] {
  return Array.from({ length: 32 }, (_, i) => i).filter((i) => ((bitmap >>> i) & 1) !== 0);
}

/** `0x01, 0x04`. */
export function formatVersionBitmap(bitmap: VersionBitmap): string {
  return bits(bitmap)
    .map((v) => `0x${v.toString(16).padStart(2, "0")}`)
    .join(", ");
}

/** `OpenFlow10, OpenFlow13`. */
export function formatVersionBitmapNames(bitmap: VersionBitmap): string {
  return bits(bitmap)
    .map((v) => `OpenFlow1${v - 1}`)
    .join(", ");
}
