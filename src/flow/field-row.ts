// What a row of the field table holds, and the types that name its columns.
//
// The rows themselves stand in fields-metadata.ts, fields-l2.ts, fields-l3.ts and fields-l4.ts;
// families of equal rows (registers, tun_metadata) are made in fields.ts, which adds to each row what
// can be computed. (ovs: include/openvswitch/meta-flow.h "struct mf_field")

import type { SlotName } from "./slots.ts";

/** How a value is written as text. */
export type FieldFormat =
  | "decimal"
  | "hex"
  | "ethernet"
  | "ipv4"
  | "ipv6"
  /** 16-bit port number, as OpenFlow 1.0 has it. */
  | "port"
  /** 32-bit port number, as OpenFlow 1.1 and later have it. */
  | "port32"
  | "frag"
  | "tnl_flags"
  | "tcp_flags"
  | "ct_state"
  | "packet_type";

/** What else a flow must match for the field to be there at all. */
export type Prereq =
  | "none"
  | "ethernet"
  | "arp"
  | "vlan_vid"
  | "ipv4"
  | "ipv6"
  | "ip_any"
  | "nsh"
  | "ct_valid"
  | "mpls"
  | "tcp"
  | "udp"
  | "sctp"
  | "icmpv4"
  | "icmpv6"
  | "nd"
  | "nd_solicit"
  | "nd_advert";

export interface FieldRow {
  /** The name that Open vSwitch prefers. */
  readonly name: string;
  /** The other name that is accepted. */
  readonly aka?: string;
  /** Size on the wire. */
  readonly bytes: number;
  /** Significant low-order bits; 8 * bytes if left out. */
  readonly bits?: number;
  readonly slot: SlotName;
  /** Position of the field's lowest bit in the slot; 0 if left out. */
  readonly lsb?: number;
  readonly maskable?: true;
  readonly format: FieldFormat;
  /** "none" if left out. */
  readonly prereq?: Prereq;
  /** Whether actions may change it. */
  readonly writable?: true;
  /**
   * Names on the wire, as "NAME(number) vX.Y OF1.N": the Open vSwitch version that brought it and,
   * for standard OXM, the first OpenFlow version that has it. The class follows from the name.
   */
  readonly oxm?: readonly string[];
  /** What the fixed match of OpenFlow 1.0 can say about the field; nothing if left out. */
  readonly of10?: "exact" | "cidr";
  /** What the fixed match of OpenFlow 1.1 can say about the field; nothing if left out. */
  readonly of11?: "exact" | "bitwise";
  /** Whether a classifier may keep a prefix trie over it. */
  readonly prefix?: true;
  readonly doc: string;
}
