// OpenFlow versions and protocols: their numbers, names and sets.
//
// A version is the number in a message's header. A protocol is a version plus, for OpenFlow 1.0,
// which format flows have (standard or NXM) and whether flow mods carry a table id. Sets of
// protocols are bitmaps, ordered from the most portable to the most expressive, so that "usable
// protocols" of a text is an intersection (ovs: lib/ofp-protocol.c, include/openvswitch/ofp-protocol.h).

/** Version numbers as they stand on the wire. */
export const OFP = { V10: 1, V11: 2, V12: 3, V13: 4, V14: 5, V15: 6 } as const;
export type OfpVersion = (typeof OFP)[keyof typeof OFP];

/** Protocol bits and the usual sets of them. */
export const P = {
  NONE: 0,
  OF10_STD: 1 << 0,
  OF10_STD_TID: 1 << 1,
  OF10_NXM: 1 << 2,
  OF10_NXM_TID: 1 << 3,
  OF11_STD: 1 << 4,
  OF12_OXM: 1 << 5,
  OF13_OXM: 1 << 6,
  OF14_OXM: 1 << 7,
  OF15_OXM: 1 << 8,
  OF10_STD_ANY: 0x003,
  OF10_NXM_ANY: 0x00c,
  OF10_ANY: 0x00f,
  ANY_OXM: 0x1e0,
  NXM_OF11_UP: 0x1fc,
  NXM_OXM_ANY: 0x1ec,
  OF11_UP: 0x1f0,
  OF12_UP: 0x1e0,
  OF13_UP: 0x1c0,
  OF14_UP: 0x180,
  OF15_UP: 0x100,
  ANY: 0x1ff,
  /** Protocols in which a flow mod names a table. */
  TID: 0x1fa,
} as const;

/** A protocol bit or a set of them. */
export type Protocols = number;

/** Bit n set: version n. */
export type VersionBitmap = number;

const PROTOCOL_NAMES: readonly (readonly [Protocols, string])[] = [
  [P.OF10_STD, "OpenFlow10-table_id"],
  [P.OF10_STD_TID, "OpenFlow10+table_id"],
  [P.OF10_NXM, "NXM-table_id"],
  [P.OF10_NXM_TID, "NXM+table_id"],
  [P.OF11_STD, "OpenFlow11"],
  [P.OF12_OXM, "OXM-OpenFlow12"],
  [P.OF13_OXM, "OXM-OpenFlow13"],
  [P.OF14_OXM, "OXM-OpenFlow14"],
  [P.OF15_OXM, "OXM-OpenFlow15"],
];

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

/** All protocols of a version; 0 for an unknown one. */
export function protocolsFromVersion(version: number): Protocols {
  if (version === OFP.V10) {
    return P.OF10_ANY;
  }
  return version >= OFP.V11 && version <= OFP.V15 ? 1 << (version + 2) : P.NONE;
}

/** The protocol in effect when a connection has just negotiated a version. */
export function protocolFromVersion(version: number): Protocols {
  const all = protocolsFromVersion(version);
  return all & -all;
}

/** The version of a single protocol. */
export function protocolToVersion(protocol: Protocols): OfpVersion {
  if ((protocol & P.OF10_ANY) !== 0) {
    return OFP.V10;
  }
  const list = [OFP.V11, OFP.V12, OFP.V13, OFP.V14, OFP.V15];
  return list.find((v) => (protocol & protocolsFromVersion(v)) !== 0) ?? OFP.V10;
}

export function protocolsToVersions(protocols: Protocols): VersionBitmap {
  let bitmap = 0;
  for (let v: number = OFP.V10; v <= OFP.V15; v++) {
    if ((protocols & protocolsFromVersion(v)) !== 0) {
      bitmap |= 1 << v;
    }
  }
  return bitmap;
}

export function protocolsFromVersions(bitmap: VersionBitmap): Protocols {
  let protocols = 0;
  for (let v: number = OFP.V10; v <= OFP.V15; v++) {
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
export function versionToString(version: OfpVersion): string {
  return `OpenFlow1${version - 1}`;
}

/** The version of a name such as `OpenFlow13`, in any case, or 0. */
export function versionFromString(s: string): OfpVersion | 0 {
  const m = /^openflow1([0-5])$/i.exec(s);
  const list = [OFP.V10, OFP.V11, OFP.V12, OFP.V13, OFP.V14, OFP.V15];
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
