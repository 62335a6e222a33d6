// OpenFlow versions and the protocols that a controller or a tool may choose.
//
// A version is what stands in a message header; a protocol also says how flows are written in it:
// OpenFlow 1.0 has a standard match and the NXM match, each with and without the extension that
// puts table ids into flow mods. Protocols form a bit set, so that a parser can narrow down in which
// of them a flow can be expressed. (ovs: include/openvswitch/ofp-protocol.h, lib/ofp-protocol.c)

/** Version byte of the OpenFlow header. */
export const OFP = { v10: 1, v11: 2, v12: 3, v13: 4, v14: 5, v15: 6 } as const;
export type OfVersion = (typeof OFP)[keyof typeof OFP];

/** All versions, oldest first. */
export const OF_VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];

const OF10_STD = 1 << 0;
const OF10_STD_TID = 1 << 1;
const OF10_NXM = 1 << 2;
const OF10_NXM_TID = 1 << 3;
const OF11_STD = 1 << 4;
const OF12_OXM = 1 << 5;
const OF13_OXM = 1 << 6;
const OF14_OXM = 1 << 7;
const OF15_OXM = 1 << 8;
const OF10_NXM_ANY = OF10_NXM | OF10_NXM_TID;
const OF10_STD_ANY = OF10_STD | OF10_STD_TID;
const ANY_OXM = OF12_OXM | OF13_OXM | OF14_OXM | OF15_OXM;

/** Protocols and common sets of them (ovs: enum ofputil_protocol). */
export const P = {
  NONE: 0,
  OF10_STD,
  OF10_STD_TID,
  OF10_NXM,
  OF10_NXM_TID,
  OF10_STD_ANY,
  OF10_NXM_ANY,
  OF10_ANY: OF10_STD_ANY | OF10_NXM_ANY,
  OF11_STD,
  OF12_OXM,
  OF13_OXM,
  OF14_OXM,
  OF15_OXM,
  ANY_OXM,
  NXM_OF11_UP: OF10_NXM_ANY | OF11_STD | ANY_OXM,
  NXM_OXM_ANY: OF10_NXM_ANY | ANY_OXM,
  OF11_UP: OF11_STD | ANY_OXM,
  OF12_UP: ANY_OXM,
  OF13_UP: OF13_OXM | OF14_OXM | OF15_OXM,
  OF14_UP: OF14_OXM | OF15_OXM,
  OF15_UP: OF15_OXM,
  ANY: (1 << 9) - 1,
  /** The protocols in which a flow mod says which table it means. */
  TID: OF10_STD_TID | OF10_NXM_TID | OF11_STD | ANY_OXM,
} as const;

/** A set of protocols, as an "or" of bits of `P`. */
export type Protocols = number;

interface ProtocolRow {
  readonly bit: Protocols;
  readonly version: OfVersion;
  readonly name: string;
}

/** One row per protocol, in the order in which a client prefers them least to most recent. */
export const PROTOCOLS: readonly ProtocolRow[] = [
  { bit: OF10_STD, version: OFP.v10, name: "OpenFlow10-table_id" },
  { bit: OF10_STD_TID, version: OFP.v10, name: "OpenFlow10+table_id" },
  { bit: OF10_NXM, version: OFP.v10, name: "NXM-table_id" },
  { bit: OF10_NXM_TID, version: OFP.v10, name: "NXM+table_id" },
  { bit: OF11_STD, version: OFP.v11, name: "OpenFlow11" },
  { bit: OF12_OXM, version: OFP.v12, name: "OXM-OpenFlow12" },
  { bit: OF13_OXM, version: OFP.v13, name: "OXM-OpenFlow13" },
  { bit: OF14_OXM, version: OFP.v14, name: "OXM-OpenFlow14" },
  { bit: OF15_OXM, version: OFP.v15, name: "OXM-OpenFlow15" },
];
