// Datapath keys and actions as data: what translation emits, text prints and the datapath executes.
//
// A datapath does not know OpenFlow fields: it knows key attributes, each a small structure such as
// `ipv4(src,dst,proto,tos,ttl,frag)`. ODP_KEYS is the one table of them; printing, parsing and the
// conversion from and to a FlowKey are driven by it. The value of an attribute is a Uint32Array,
// one word per field, except 48 bits = [hi16, lo32], 64 bits = 2 words and 128 bits = 4 words, most
// significant first: the same shapes as in a FlowKey, so that they can be copied word by word.
//
// Invariants
// - The rows stand in the order of the attribute numbers, fields in the order of their structure.
// - A mask has the shape of its value.
// - Actions are immutable once made; megaflows share them.
// ovs: include/linux/openvswitch.h, enum ovs_key_attr, enum ovs_action_attr; lib/odp-util.h.

import { K, type Slot, type SlotName } from "../flow/slots.ts";

/** How a field is written in text (odp-text.ts). */
export type OdpFormat =
  | "eth"
  | "ipv4"
  | "ipv6"
  | "ipv6_label"
  | "u8"
  | "u8x"
  | "be16"
  | "be16x"
  | "be32x"
  | "frag"
  | "tcp_flags"
  | "ct_state"
  | "port"
  | "vid"
  | "special";

interface OdpFieldRow {
  readonly name: string;
  readonly bits: 8 | 16 | 32 | 48 | 64 | 128;
  readonly format: OdpFormat;
  /** The slot of FlowKey that holds it, where it is the same value bit for bit. */
  readonly slot?: SlotName;
}

interface OdpKeyRow {
  readonly attr: string;
  /** Attribute number (enum ovs_key_attr). */
  readonly num: number;
  readonly fields: readonly OdpFieldRow[];
}

const ROWS = [
  { attr: "encap", num: 1, fields: [] },
  {
    attr: "skb_priority",
    num: 2,
    fields: [{ name: "value", bits: 32, format: "be32x", slot: "skb_priority" }],
  },
  { attr: "in_port", num: 3, fields: [{ name: "value", bits: 32, format: "port" }] },
  {
    attr: "eth",
    num: 4,
    fields: [
      { name: "src", bits: 48, format: "eth", slot: "dl_src" },
      { name: "dst", bits: 48, format: "eth", slot: "dl_dst" },
    ],
  },
  { attr: "vlan", num: 5, fields: [{ name: "tci", bits: 16, format: "special" }] },
  { attr: "eth_type", num: 6, fields: [{ name: "value", bits: 16, format: "be16x" }] },
  {
    attr: "ipv4",
    num: 7,
    fields: [
      { name: "src", bits: 32, format: "ipv4", slot: "nw_src" },
      { name: "dst", bits: 32, format: "ipv4", slot: "nw_dst" },
      { name: "proto", bits: 8, format: "u8", slot: "nw_proto" },
      { name: "tos", bits: 8, format: "u8x", slot: "nw_tos" },
      { name: "ttl", bits: 8, format: "u8", slot: "nw_ttl" },
      { name: "frag", bits: 8, format: "frag" },
    ],
  },
  {
    attr: "ipv6",
    num: 8,
    fields: [
      { name: "src", bits: 128, format: "ipv6", slot: "ipv6_src" },
      { name: "dst", bits: 128, format: "ipv6", slot: "ipv6_dst" },
      { name: "label", bits: 32, format: "ipv6_label", slot: "ipv6_label" },
      { name: "proto", bits: 8, format: "u8", slot: "nw_proto" },
      { name: "tclass", bits: 8, format: "u8x", slot: "nw_tos" },
      { name: "hlimit", bits: 8, format: "u8", slot: "nw_ttl" },
      { name: "frag", bits: 8, format: "frag" },
    ],
  },
  {
    attr: "tcp",
    num: 9,
    fields: [
      { name: "src", bits: 16, format: "be16", slot: "tp_src" },
      { name: "dst", bits: 16, format: "be16", slot: "tp_dst" },
    ],
  },
  {
    attr: "udp",
    num: 10,
    fields: [
      { name: "src", bits: 16, format: "be16", slot: "tp_src" },
      { name: "dst", bits: 16, format: "be16", slot: "tp_dst" },
    ],
  },
  {
    attr: "icmp",
    num: 11,
    fields: [
      { name: "type", bits: 8, format: "u8", slot: "tp_src" },
      { name: "code", bits: 8, format: "u8", slot: "tp_dst" },
    ],
  },
  {
    attr: "icmpv6",
    num: 12,
    fields: [
      { name: "type", bits: 8, format: "u8", slot: "tp_src" },
      { name: "code", bits: 8, format: "u8", slot: "tp_dst" },
    ],
  },
  {
    attr: "arp",
    num: 13,
    fields: [
      { name: "sip", bits: 32, format: "ipv4", slot: "nw_src" },
      { name: "tip", bits: 32, format: "ipv4", slot: "nw_dst" },
      { name: "op", bits: 16, format: "be16", slot: "nw_proto" },
      { name: "sha", bits: 48, format: "eth", slot: "arp_sha" },
      { name: "tha", bits: 48, format: "eth", slot: "arp_tha" },
    ],
  },
  {
    attr: "nd",
    num: 14,
    fields: [
      { name: "target", bits: 128, format: "ipv6", slot: "nd_target" },
      { name: "sll", bits: 48, format: "eth", slot: "arp_sha" },
      { name: "tll", bits: 48, format: "eth", slot: "arp_tha" },
    ],
  },
  {
    attr: "skb_mark",
    num: 15,
    fields: [{ name: "value", bits: 32, format: "be32x", slot: "pkt_mark" }],
  },
  // The value of `tunnel` is an OdpTunnel, not words.
  { attr: "tunnel", num: 16, fields: [] },
  {
    attr: "sctp",
    num: 17,
    fields: [
      { name: "src", bits: 16, format: "be16", slot: "tp_src" },
      { name: "dst", bits: 16, format: "be16", slot: "tp_dst" },
    ],
  },
  {
    attr: "tcp_flags",
    num: 18,
    fields: [{ name: "value", bits: 16, format: "tcp_flags", slot: "tcp_flags" }],
  },
  {
    attr: "dp_hash",
    num: 19,
    fields: [{ name: "value", bits: 32, format: "be32x", slot: "dp_hash" }],
  },
  {
    attr: "recirc_id",
    num: 20,
    fields: [{ name: "value", bits: 32, format: "be32x", slot: "recirc_id" }],
  },
  // Up to three label stack entries; the number of words says how many.
  {
    attr: "mpls",
    num: 21,
    fields: [{ name: "lse", bits: 32, format: "special", slot: "mpls_lse" }],
  },
  { attr: "ct_state", num: 22, fields: [{ name: "value", bits: 32, format: "ct_state" }] },
  {
    attr: "ct_zone",
    num: 23,
    fields: [{ name: "value", bits: 16, format: "be16x", slot: "ct_zone" }],
  },
  {
    attr: "ct_mark",
    num: 24,
    fields: [{ name: "value", bits: 32, format: "be32x", slot: "ct_mark" }],
  },
  {
    attr: "ct_label",
    num: 25,
    fields: [{ name: "value", bits: 128, format: "special", slot: "ct_label" }],
  },
  {
    attr: "ct_tuple4",
    num: 26,
    fields: [
      { name: "src", bits: 32, format: "ipv4", slot: "ct_nw_src" },
      { name: "dst", bits: 32, format: "ipv4", slot: "ct_nw_dst" },
      { name: "proto", bits: 8, format: "u8", slot: "ct_nw_proto" },
      { name: "tp_src", bits: 16, format: "be16", slot: "ct_tp_src" },
      { name: "tp_dst", bits: 16, format: "be16", slot: "ct_tp_dst" },
    ],
  },
  {
    attr: "ct_tuple6",
    num: 27,
    fields: [
      { name: "src", bits: 128, format: "ipv6", slot: "ct_ipv6_src" },
      { name: "dst", bits: 128, format: "ipv6", slot: "ct_ipv6_dst" },
      { name: "proto", bits: 8, format: "u8", slot: "ct_nw_proto" },
      { name: "src_port", bits: 16, format: "be16", slot: "ct_tp_src" },
      { name: "dst_port", bits: 16, format: "be16", slot: "ct_tp_dst" },
    ],
  },
  {
    attr: "nsh",
    num: 28,
    fields: [
      { name: "flags", bits: 8, format: "special", slot: "nsh_flags" },
      { name: "ttl", bits: 8, format: "special", slot: "nsh_ttl" },
      { name: "mdtype", bits: 8, format: "special", slot: "nsh_mdtype" },
      { name: "np", bits: 8, format: "special", slot: "nsh_np" },
      { name: "path_hdr", bits: 32, format: "special", slot: "nsh_path_hdr" },
      { name: "c1", bits: 32, format: "special", slot: "nsh_c1" },
      { name: "c2", bits: 32, format: "special", slot: "nsh_c2" },
      { name: "c3", bits: 32, format: "special", slot: "nsh_c3" },
      { name: "c4", bits: 32, format: "special", slot: "nsh_c4" },
    ],
  },
  {
    attr: "packet_type",
    num: 29,
    fields: [{ name: "value", bits: 32, format: "special", slot: "packet_type" }],
  },
  {
    attr: "nd_ext",
    num: 30,
    fields: [
      { name: "nd_reserved", bits: 32, format: "be32x", slot: "igmp_group_ip4" },
      { name: "nd_options_type", bits: 8, format: "u8", slot: "tcp_flags" },
    ],
  },
] as const satisfies readonly OdpKeyRow[];

type Row = (typeof ROWS)[number];
export type OdpKeyName = Row["attr"];
type FieldOf<A extends OdpKeyName> = Extract<Row, { attr: A }>["fields"][number]["name"];

/** A field of a key attribute and where its words are. */
export interface OdpField {
  readonly name: string;
  readonly bits: number;
  readonly format: OdpFormat;
  readonly slot: SlotName | null;
  /** The slot itself. */
  readonly place: Slot | null;
  /** Index of its first word in the value. */
  readonly word: number;
  readonly words: number;
  /** All ones in its width, of the first word. */
  readonly ones: number;
}

/** A key attribute with its laid out fields. */
export interface OdpKeyDef {
  readonly attr: OdpKeyName;
  readonly num: number;
  readonly fields: readonly OdpField[];
  /** Words of the whole value. */
  readonly words: number;
}

function layOut(row: Row): OdpKeyDef {
  let word = 0;
  const fields: OdpField[] = [];
  for (const f of row.fields as readonly OdpFieldRow[]) {
    const words = Math.ceil(f.bits / 32);
    const slot = f.slot ?? null;
    const place = slot === null ? null : K[slot];
    const ones = f.bits % 32 === 0 ? 0xffffffff : 2 ** (f.bits % 32) - 1;
    const { name, bits, format } = f;
    fields.push({ name, bits, format, slot, place, word, words, ones });
    word += words;
  }
  return { attr: row.attr, num: row.num, fields, words: word };
}

/** Every key attribute in the order of its number. */
export const ODP_KEY_LIST: readonly OdpKeyDef[] = ROWS.map(layOut);
/** Every key attribute by name. */
export const ODP_KEYS: Readonly<Record<OdpKeyName, OdpKeyDef>> = Object.fromEntries(
  ODP_KEY_LIST.map((d) => [d.attr, d]),
  // The rows hold each name exactly once.
) as Record<OdpKeyName, OdpKeyDef>;

/** Index of the first word of a field: `odpWord("ipv4", "ttl")`; for constants in hot code. */
export function odpWord<A extends OdpKeyName>(attr: A, field: FieldOf<A>): number {
  const def = ODP_KEYS[attr].fields.find((f) => f.name === field);
  return def === undefined ? -1 : def.word;
}

/** Words of the tunnel slots at the start of a FlowKey, without the mapped option metadata. */
export const TNL_WORDS = K.tun_md_present.word;

/** Sub-attributes of `tunnel`, in the order of their numbers. */
export const TUNNEL_ATTRS = [
  "id",
  "ipv4_src",
  "ipv4_dst",
  "tos",
  "ttl",
  "df",
  "csum",
  "oam",
  "geneve",
  "tp_src",
  "tp_dst",
  "vxlan",
  "ipv6_src",
  "ipv6_dst",
  "erspan",
  "gtpu",
] as const;
export type TunnelAttr = (typeof TUNNEL_ATTRS)[number];

/** The value (or mask) of a `tunnel` attribute. */
export interface OdpTunnel {
  /** The first TNL_WORDS words of a FlowKey; `tun_flags` holds the flags that are present. */
  readonly tnl: Uint32Array;
  /** The sub-attributes that are there, in their order. */
  readonly attrs: readonly TunnelAttr[];
  /** Geneve options as on the wire (class, type, length, body), empty if there are none. */
  readonly geneve: Uint8Array;
}

/** One key attribute with its value. `encap` holds the attributes behind a VLAN header. */
export type OdpKeyAttr =
  | { readonly attr: "tunnel"; readonly tunnel: OdpTunnel }
  | { readonly attr: "encap"; readonly encap: readonly OdpKeyAttr[] }
  | { readonly attr: Exclude<OdpKeyName, "tunnel" | "encap">; readonly value: Uint32Array };

/** Names of the attributes whose value is plain words. */
export type OdpWordsName = Exclude<OdpKeyName, "tunnel" | "encap">;

/** What a `userspace` action carries back with the packet (ovs: struct user_action_cookie). */
export type UserCookie =
  | { readonly type: "sflow"; readonly vlanTci: number; readonly output: number }
  /** `reason` is a set of SLOW_PATH bits. */
  | { readonly type: "slow_path"; readonly reason: number }
  | {
      readonly type: "flow_sample";
      readonly probability: number;
      readonly collectorSetId: number;
      readonly obsDomainId: number;
      readonly obsPointId: number;
      readonly outputPort: number;
      readonly direction: "default" | "ingress" | "egress";
    }
  | { readonly type: "ipfix"; readonly outputPort: number }
  | {
      readonly type: "controller";
      readonly dontSend: boolean;
      readonly continuation: boolean;
      readonly reason: number;
      readonly recircId: number;
      /** [hi32, lo32]. */
      readonly ruleCookie: readonly [number, number];
      readonly controllerId: number;
      readonly maxLen: number;
    }
  | { readonly type: "raw"; readonly bytes: Uint8Array };

/** Why a flow is handled in user space, in the order of their bits (ovs: SLOW_PATH_REASONS). */
export const SLOW_PATH_REASONS = [
  { name: "cfm", bit: 0x01, text: "Consists of CFM packets" },
  { name: "bfd", bit: 0x02, text: "Consists of BFD packets" },
  { name: "lacp", bit: 0x04, text: "Consists of LACP packets" },
  { name: "stp", bit: 0x08, text: "Consists of STP packets" },
  { name: "lldp", bit: 0x10, text: "Consists of LLDP packets" },
  { name: "action", bit: 0x20, text: "Uses action(s) not supported by datapath" },
  { name: "match", bit: 0x40, text: "Datapath can't match specifically enough" },
] as const;
export const SLOW = {
  CFM: 0x01,
  BFD: 0x02,
  LACP: 0x04,
  STP: 0x08,
  LLDP: 0x10,
  ACTION: 0x20,
  MATCH: 0x40,
} as const;

/** Address and port range of a NAT. Addresses are 1 word (IPv4) or 4 (IPv6). */
export interface OdpNat {
  readonly type: "src" | "dst" | null;
  readonly min: Uint32Array | null;
  readonly max: Uint32Array | null;
  readonly portMin: number;
  readonly portMax: number;
  readonly persistent: boolean;
  readonly hash: boolean;
  readonly random: boolean;
}

/** The numbers that `tnl_push(header(...,type=N,...))` shows (enum ovs_vport_type). */
export const VPORT_TYPE = {
  gre: 3,
  vxlan: 4,
  geneve: 5,
  lisp: 105,
  stt: 106,
  erspan: 107,
  ip6erspan: 108,
  ip6gre: 109,
  gtpu: 110,
  bareudp: 111,
} as const;

/** A datapath action. Ports are datapath port numbers, host-order numbers throughout. */
export type OdpAction =
  | { readonly kind: "output"; readonly port: number }
  | {
      readonly kind: "userspace";
      readonly pid: number;
      readonly cookie: UserCookie | null;
      /** OpenFlow port the packet came in by, for `controller`; 0xffff (NONE) if unknown. */
      readonly ofpInPort: number;
      /** Name of the bridge that asked, where the upcall goes back to; "" if unknown. */
      readonly bridge: string;
      readonly includeActions: boolean;
      readonly tunnelOutPort: number | null;
    }
  | { readonly kind: "set"; readonly key: OdpKeyAttr }
  | {
      readonly kind: "set_masked";
      readonly attr: OdpWordsName;
      readonly value: Uint32Array;
      readonly mask: Uint32Array;
    }
  | { readonly kind: "push_vlan"; readonly tpid: number; readonly tci: number }
  | { readonly kind: "pop_vlan" }
  /** `probability` of 2**32 - 1 means always. */
  | {
      readonly kind: "sample";
      readonly probability: number;
      readonly actions: readonly OdpAction[];
    }
  | { readonly kind: "recirc"; readonly recircId: number }
  | { readonly kind: "hash"; readonly alg: "l4" | "sym_l4"; readonly basis: number }
  | { readonly kind: "push_mpls"; readonly lse: number; readonly ethType: number }
  | { readonly kind: "pop_mpls"; readonly ethType: number }
  | {
      readonly kind: "add_mpls";
      readonly lse: number;
      readonly ethType: number;
      /** 1 (L3) puts the label before the network layer, 0 before the Ethernet header. */
      readonly tunFlags: number;
    }
  | {
      readonly kind: "ct";
      /** At most one of `commit` and `force` is true. */
      readonly commit: boolean;
      readonly force: boolean;
      readonly zone: number;
      readonly mark: { readonly value: number; readonly mask: number } | null;
      /** 4 words each. */
      readonly label: { readonly value: Uint32Array; readonly mask: Uint32Array } | null;
      readonly helper: string | null;
      readonly timeout: string | null;
      readonly nat: OdpNat | null;
    }
  | { readonly kind: "ct_clear" }
  | { readonly kind: "trunc"; readonly maxLen: number }
  /** Addresses are [hi16, lo32]. */
  | { readonly kind: "push_eth"; readonly src: Uint32Array; readonly dst: Uint32Array }
  | { readonly kind: "pop_eth" }
  /** `key` has the words of `nsh`; `md2` the raw type 2 metadata if mdtype is 2. */
  | { readonly kind: "push_nsh"; readonly key: Uint32Array; readonly md2: Uint8Array | null }
  | { readonly kind: "pop_nsh" }
  | { readonly kind: "meter"; readonly meterId: number }
  | { readonly kind: "clone"; readonly actions: readonly OdpAction[] }
  | {
      readonly kind: "check_pkt_len";
      readonly size: number;
      readonly greater: readonly OdpAction[];
      readonly lessEqual: readonly OdpAction[];
    }
  | {
      readonly kind: "tnl_push";
      /** The tunnel's own datapath port, and the underlay port to send to. */
      readonly tnlPort: number;
      readonly outPort: number;
      /** VPORT_TYPE number. */
      readonly tnlType: number;
      /** Ethernet, IP and tunnel header as they go in front of the packet. */
      readonly header: Uint8Array;
    }
  | { readonly kind: "tnl_pop"; readonly port: number }
  | { readonly kind: "drop"; readonly error: number }
  | { readonly kind: "lb_output"; readonly bondId: number };

export type OdpActionKind = OdpAction["kind"];
