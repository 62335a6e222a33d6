// ICMP, ICMPv6, neighbour discovery and IGMP: offsets and types.
//
// References: RFC 792, RFC 4443 §2.1, RFC 4861 §4, RFC 3376 §4.1.

/** Common to both versions, byte offsets from the start of the header. */
export const ICMP = {
  TYPE: 0,
  CODE: 1,
  CSUM: 2,
  /** Identifier of an echo. */
  ID: 4,
  SEQ: 6,
  /** An ICMP header for version 4. */
  V4_BYTES: 8,
  /** Type, code and checksum. */
  V6_BASE_BYTES: 4,
  /** The base and four bytes of data that depend on the type. */
  V6_DATA_BYTES: 8,
} as const;

export const ICMP4_TYPE = {
  ECHO_REPLY: 0,
  DST_UNREACH: 3,
  SOURCEQUENCH: 4,
  REDIRECT: 5,
  ECHO_REQUEST: 8,
  TIME_EXCEEDED: 11,
  PARAM_PROB: 12,
  TIMESTAMP: 13,
  TIMESTAMPREPLY: 14,
  INFOREQUEST: 15,
  INFOREPLY: 16,
} as const;

export const ICMP6_TYPE = {
  DST_UNREACH: 1,
  PACKET_TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAM_PROB: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  MLD_QUERY: 130,
  MLD_REPORT: 131,
  MLD_DONE: 132,
  ND_ROUTER_SOLICIT: 133,
  ND_ROUTER_ADVERT: 134,
  ND_NEIGHBOR_SOLICIT: 135,
  ND_NEIGHBOR_ADVERT: 136,
  MLD2_REPORT: 143,
} as const;

/** Neighbour solicitation and advertisement, offsets from the start of the ICMPv6 header. */
export const ND = { RSO: 4, TARGET: 8, OPTIONS: 24, MSG_BYTES: 24 } as const;
/** A link-layer address option. */
export const ND_OPT = {
  TYPE: 0,
  LEN: 1,
  MAC: 2,
  LLA_BYTES: 8,
  UNIT_BYTES: 8,
  SOURCE_LLA: 1,
  TARGET_LLA: 2,
} as const;

export const IGMP = { TYPE: 0, CODE: 1, CSUM: 2, GROUP: 4, HEADER_BYTES: 8 } as const;
