// Headers of tunnels: VXLAN (RFC 7348, GBP and GPE drafts), Geneve (RFC 8926), GRE (RFC 2784, 2890),
// ERSPAN (draft-foschiano-erspan-03) and GTP-U (3GPP TS 29.281). Offsets and constants only.
//
// Byte offsets from the start of each header. ovs: lib/packets.h.

export const VXLAN = { FLAGS: 0, VNI: 4, HEADER_BYTES: 8, PORT: 4789 } as const;
/** Bits of the first word. */
export const VXLAN_F = {
  /** The network identifier is valid. */
  I: 0x08000000,
  GBP: 0x80000000,
  GBP_DONT_LEARN: 0x400000,
  GBP_POLICY_APPLIED: 0x080000,
  GBP_ID_MASK: 0xffff,
  GBP_USED_BITS: 0x8048ffff,
  /** Generic protocol extension: bits of its first byte, in the first word. */
  GPE_VER: 0x30000000,
  GPE_P: 0x04000000,
  GPE_O: 0x01000000,
  GPE_NEXT_MASK: 0xff,
  GPE_USED_BITS: 0x350000ff,
} as const;
export const VXLAN_GPE_NP = { IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4 } as const;

export const GENEVE = {
  VER_OPTLEN: 0,
  FLAGS: 1,
  PROTO: 2,
  VNI: 4,
  BASE_BYTES: 8,
  PORT: 6081,
  VER_MASK: 0xc0,
  OPTLEN_MASK: 0x3f,
  F_OAM: 0x80,
  F_CRITICAL: 0x40,
  /** Type bit of an option that must be understood. */
  CRIT_OPT: 0x80,
  OPT_BYTES: 4,
} as const;

export const GRE = {
  FLAGS: 0,
  PROTO: 2,
  BASE_BYTES: 4,
  F_CSUM: 0x8000,
  F_ROUTING: 0x4000,
  F_KEY: 0x2000,
  F_SEQ: 0x1000,
  FLAGS_MASK: 0x00f8,
  VERSION_MASK: 0x0007,
} as const;

export const ERSPAN = {
  BASE_BYTES: 4,
  INDEX_BYTES: 4,
  MDATA2_BYTES: 8,
  VERSION1: 1,
  VERSION2: 2,
  SID_MASK: 0x3ff,
  INDEX_MASK: 0xfffff,
  V2_PLATFORM_BYTES: 8,
} as const;

export const GTPU = {
  FLAGS: 0,
  MSGTYPE: 1,
  LEN: 2,
  TEID: 4,
  HEADER_BYTES: 8,
  PORT: 2152,
  VERSION_SHIFT: 5,
  VERSION: 0x20,
  VERSION_MASK: 0xe0,
  P_MASK: 0x10,
  E_MASK: 0x04,
  S_MASK: 0x02,
  FLAGS_DEFAULT: 0x30,
  MSGTYPE_GPDU: 0xff,
} as const;
