// Key attributes taken out of a FlowKey and put back.
//
// Most fields of an attribute are the same bits as a slot of FlowKey, which the table ODP_KEYS
// names. The exceptions are here: `frag` is an enumeration in the datapath and two bits in a flow,
// an ARP opcode is 16 bits wide in the datapath and 8 in a flow, and so on.
// ovs: lib/odp-util.c get_ipv4_key, put_ipv4_key, get_arp_key ..., tun_key_to_attr.

import { type FlowKey, get, K, set } from "../flow/flow-key.ts";
import { NW_FRAG, TNL_F } from "../flow/flow-is.ts";
import {
  NSH_WORDS,
  ODP_KEYS,
  type OdpTunnel,
  odpWord,
  type OdpWordsName,
  TNL_WORDS,
  type TunnelAttr,
} from "./odp-key-table.ts";

/** Values of `frag` in the datapath (enum ovs_frag_type). */
export const ODP_FRAG = { NONE: 0, FIRST: 1, LATER: 2 } as const;

const IPV6_LABEL_MASK = 0xfffff;
const TCP_FLAGS_MASK = 0xfff;
const NSH_MD_TYPE1 = 1;

function fragToOdp(nwFrag: number, isMask: boolean): number {
  if ((nwFrag & NW_FRAG.ANY) === 0) {
    return 0;
  }
  // The datapath's field is no bit field: a mask of it is all or nothing.
  if (isMask) {
    return 0xff;
  }
  return (nwFrag & NW_FRAG.LATER) !== 0 ? ODP_FRAG.LATER : ODP_FRAG.FIRST;
}

/** Bits of `nw_frag`; 0xff for an invalid value of a key. */
export function fragFromOdp(frag: number, isMask: boolean): number {
  if (isMask) {
    return frag !== 0 ? NW_FRAG.MASK : 0;
  }
  if (frag > ODP_FRAG.LATER) {
    return 0xff;
  }
  if (frag === ODP_FRAG.NONE) {
    return 0;
  }
  return frag === ODP_FRAG.FIRST ? NW_FRAG.ANY : NW_FRAG.ANY | NW_FRAG.LATER;
}

/** All ones in `bits` bits, of the first word of a field. */
export function fieldOnes(bits: number): number {
  const top = bits % 32;
  return top === 0 ? 0xffffffff : 2 ** top - 1;
}

/** True if every bit of a mask that the datapath can match is set (ovs: odp_mask_is_exact). */
export function odpMaskIsExact(attr: OdpWordsName, mask: Uint32Array): boolean {
  if (attr === "nd_ext") {
    return false; // its structure has padding, which no mask covers
  }
  if (attr === "mpls") {
    return mask[0] === 0xffffffff;
  }
  for (const f of ODP_KEYS[attr].fields) {
    let { ones } = f;
    if (f.format === "ipv6_label") {
      ones = IPV6_LABEL_MASK;
    } else if (f.format === "tcp_flags") {
      ones = TCP_FLAGS_MASK;
    }
    if (((mask[f.word] as number) & ones) >>> 0 !== ones) {
      return false;
    }
    for (let i = 1; i < f.words; i++) {
      if (mask[f.word + i] !== 0xffffffff) {
        return false;
      }
    }
  }
  return true;
}

/** The value of an attribute, or its mask if `key` is a mask. */
export function odpKeyFromFlow(attr: OdpWordsName, key: FlowKey, isMask: boolean): Uint32Array {
  return odpKeyInto(new Uint32Array(ODP_KEYS[attr].words), attr, key, isMask);
}

/** The same, written into an array that is long enough. */
export function odpKeyInto(
  out: Uint32Array,
  attr: OdpWordsName,
  key: FlowKey,
  isMask: boolean,
): Uint32Array {
  for (const f of ODP_KEYS[attr].fields) {
    const slot = f.place;
    if (slot !== null) {
      if (slot.words === 1) {
        out[f.word] = get(key, slot) & f.ones;
      } else {
        for (let i = 0; i < f.words; i++) {
          out[f.word + i] = key[slot.word + i] as number;
        }
      }
    } else if (f.format === "frag") {
      out[f.word] = fragToOdp(get(key, K.nw_frag), isMask);
    } else {
      out.fill(0, f.word, f.word + f.words);
    }
  }
  if (attr === "arp" && get(key, K.nw_proto) === 0xff) {
    out[odpWord("arp", "op")] = 0xffff;
  } else if (attr === "nsh" && !isMask && out[NSH_WORDS.mdtype] !== NSH_MD_TYPE1) {
    out.fill(0, NSH_WORDS.c1);
  }
  return out;
}

/** Puts the value (or mask) of an attribute into a key. */
export function odpKeyToFlow(
  attr: OdpWordsName,
  value: Uint32Array,
  key: FlowKey,
  isMask: boolean,
): void {
  for (const f of ODP_KEYS[attr].fields) {
    const slot = f.place;
    if (slot !== null) {
      if (slot.words === 1) {
        set(key, slot, value[f.word] as number);
      } else {
        for (let i = 0; i < f.words; i++) {
          key[slot.word + i] = value[f.word + i] as number;
        }
      }
    } else if (f.format === "frag") {
      set(key, K.nw_frag, fragFromOdp(value[f.word] as number, isMask));
    }
  }
  if (attr === "nsh" && !isMask && get(key, K.nsh_mdtype) !== NSH_MD_TYPE1) {
    key.fill(0, K.nsh_c1.word, K.nsh_c4.word + 1);
  }
}

/** What a kind of tunnel can carry beside addresses; null means all that the key holds. */
export type TunnelKind = "vxlan" | "geneve" | "erspan" | "ip6erspan" | "gtpu" | "other" | null;

function hasWords(key: FlowKey, word: number, words: number): boolean {
  for (let i = 0; i < words; i++) {
    if (key[word + i] !== 0) {
      return true;
    }
  }
  return false;
}

/** Slots that are sent when they are not zero, in the order of the attributes. */
const NONZERO_ATTRS = [
  ["ipv4_src", K.tun_src],
  ["ipv4_dst", K.tun_dst],
  ["ipv6_src", K.tun_ipv6_src],
  ["ipv6_dst", K.tun_ipv6_dst],
  ["tos", K.tun_tos],
] as const;

/**
 * The `tunnel` attribute of a key or mask (ovs: tun_key_to_attr). `geneve` are the options in wire
 * form, which only the owner of the TLV map can make; null leaves the attribute away.
 */
export function odpTunnelFromFlow(
  key: FlowKey,
  geneve: Uint8Array | null,
  kind: TunnelKind,
): OdpTunnel {
  const attrs: TunnelAttr[] = [];
  const flags = get(key, K.tun_flags);
  if (hasWords(key, K.tun_id.word, 2) || (flags & TNL_F.KEY) !== 0) {
    attrs.push("id");
  }
  for (const [name, slot] of NONZERO_ATTRS) {
    if (slot.words > 1 ? hasWords(key, slot.word, slot.words) : get(key, slot) !== 0) {
      attrs.push(name);
    }
  }
  attrs.push("ttl");
  if ((flags & TNL_F.DONT_FRAGMENT) !== 0) {
    attrs.push("df");
  }
  if ((flags & TNL_F.CSUM) !== 0) {
    attrs.push("csum");
  }
  if (get(key, K.tun_tp_src) !== 0) {
    attrs.push("tp_src");
  }
  if (get(key, K.tun_tp_dst) !== 0) {
    attrs.push("tp_dst");
  }
  if ((flags & TNL_F.OAM) !== 0) {
    attrs.push("oam");
  }
  pushMetadataAttrs(key, geneve, kind, attrs);
  return {
    tnl: key.slice(0, TNL_WORDS),
    attrs,
    geneve: attrs.includes("geneve") && geneve !== null ? geneve : new Uint8Array(0),
  };
}

function pushMetadataAttrs(
  key: FlowKey,
  geneve: Uint8Array | null,
  kind: TunnelKind,
  attrs: TunnelAttr[],
): void {
  const vxlan = kind === null || kind === "vxlan";
  if (vxlan && (get(key, K.tun_gbp_flags) !== 0 || get(key, K.tun_gbp_id) !== 0)) {
    attrs.push("vxlan");
  }
  if ((kind === null || kind === "geneve") && geneve !== null) {
    attrs.push("geneve");
  }
  const ver = get(key, K.tun_erspan_ver);
  const erspan = kind === null || kind === "erspan" || kind === "ip6erspan";
  if (erspan && (ver === 1 || ver === 2)) {
    attrs.push("erspan");
  }
  const gtpu = kind === null || kind === "gtpu";
  if (gtpu && get(key, K.tun_gtpu_flags) !== 0 && get(key, K.tun_gtpu_msgtype) !== 0) {
    attrs.push("gtpu");
  }
}
