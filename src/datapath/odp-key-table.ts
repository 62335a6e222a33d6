// THE KEY TABLE of the datapath: every attribute of a datapath key, with its fields and their places.
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
// ovs: include/linux/openvswitch.h, enum ovs_key_attr; lib/odp-util.h.

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

/** The words of `nsh`; those of its four contexts begin at `c1`. */
export const NSH_WORDS = {
  flags: odpWord("nsh", "flags"),
  ttl: odpWord("nsh", "ttl"),
  mdtype: odpWord("nsh", "mdtype"),
  np: odpWord("nsh", "np"),
  path: odpWord("nsh", "path_hdr"),
  c1: odpWord("nsh", "c1"),
} as const;

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
