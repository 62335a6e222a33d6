// Datapath flow keys and masks as text: `recirc_id(0),in_port(1),eth(),eth_type(0x0800),...`.
//
// A key is a list of attributes in the order in which they were put together; a mask is a list of
// the same attributes. Without a mask everything is printed; with one, only what is matched, unless
// `verbose` asks for all of it. Fields are printed by the table ODP_KEYS, attributes with a form of
// their own by the functions here. Reading is in odp-text-parse.ts, actions in odp-text-actions.ts.
// ovs: lib/odp-util.c odp_flow_format, format_odp_key_attr__.

import { formatHexWords } from "../flow/field-text.ts";
import {
  CT_STATE_NAMES,
  formatFlags,
  formatFlagsMasked,
  TCP_FLAG_NAMES,
} from "../flow/flag-text.ts";
import { formatMac } from "../lib/address.ts";
import { formatAltHex, formatHexPadded } from "../lib/number.ts";
import {
  NSH_WORDS,
  ODP_KEYS,
  type OdpField,
  type OdpKeyAttr,
  type OdpWordsName,
} from "./odp-key-table.ts";
import { odpMaskIsExact } from "./odp-key.ts";
import {
  formatIpv4Field,
  formatIpv6Field,
  formatNumber,
  formatPort,
  type PortNames,
} from "./odp-text-fields.ts";
import { formatTunnel } from "./odp-text-tunnel.ts";

const FRAG_NAMES = ["no", "first", "later"] as const;
const TCP_FLAGS_MAX = 0xfff;
const VID_MASK = 0xfff;
const PCP_MAX = 7;
const CFI = 0x1000;

function formatEthField(
  name: string,
  key: Uint32Array,
  mask: Uint32Array | null,
  verbose: boolean,
): string {
  const [hi, lo] = [key[0] as number, key[1] as number];
  if (mask === null) {
    return `${name}=${formatMac(hi, lo)},`;
  }
  const [mhi, mlo] = [mask[0] as number, mask[1] as number];
  if (mhi === 0 && mlo === 0 && !verbose) {
    return "";
  }
  const m = mhi === 0xffff && mlo === 0xffffffff ? "" : `/${formatMac(mhi, mlo)}`;
  return `${name}=${formatMac(hi, lo)}${m},`;
}

function formatFragField(name: string, key: number, mask: number | null): string {
  if (mask === 0) {
    return "";
  }
  if (mask !== null && mask !== 0xff) {
    return `error: partial mask not supported for frag (${formatAltHex(mask)}),`;
  }
  return `${name}=${FRAG_NAMES[key] ?? "<error>"},`;
}

/** One field with a trailing comma, or "" if its mask hides it. */
function formatField(
  f: OdpField,
  key: Uint32Array,
  mask: Uint32Array | null,
  verbose: boolean,
): string {
  const k = key[f.word] as number;
  const m = mask === null ? null : (mask[f.word] as number);
  const end = f.word + f.words;
  switch (f.format) {
    case "eth":
      return formatEthField(
        f.name,
        key.subarray(f.word, end),
        mask?.subarray(f.word, end) ?? null,
        verbose,
      );
    case "ipv4":
      return formatIpv4Field(f.name, k, m, verbose);
    case "ipv6":
      return formatIpv6Field(
        f.name,
        key.subarray(f.word, end),
        mask?.subarray(f.word, end) ?? null,
        verbose,
      );
    case "ipv6_label":
      if (m !== null && (m & 0xfffff) === 0xfffff) {
        return formatNumber(f.name, true, k, null, 0, verbose);
      }
      return formatNumber(f.name, true, k, m, 0xfffff, verbose);
    case "u8":
      return formatNumber(f.name, false, k, m, 0xff, verbose);
    case "u8x":
      return formatNumber(f.name, true, k, m, 0xff, verbose);
    case "be16":
      return formatNumber(f.name, false, k, m, 0xffff, verbose);
    case "be16x":
      return formatNumber(f.name, true, k, m, 0xffff, verbose);
    case "frag":
      return formatFragField(f.name, k, m);
    default:
      return "";
  }
}

function chomp(s: string): string {
  return s.endsWith(",") ? s.slice(0, -1) : s;
}

/** vid=...,pcp=... and, if the bit is clear, cfi=0. */
export function formatVlanTci(tci: number, mask: number, verbose: boolean): string {
  let s = "";
  const vidMask = mask & VID_MASK;
  if (verbose || (tci & VID_MASK) !== 0 || vidMask !== 0) {
    s += `vid=${tci & VID_MASK}${vidMask === VID_MASK ? "" : `/0x${vidMask.toString(16)}`},`;
  }
  const pcp = (tci >>> 13) & PCP_MAX;
  const pcpMask = (mask >>> 13) & PCP_MAX;
  if (verbose || pcp !== 0 || pcpMask !== 0) {
    s += `pcp=${pcp}${pcpMask === PCP_MAX ? "" : `/0x${pcpMask.toString(16)}`},`;
  }
  if ((tci & CFI) === 0) {
    s += "cfi=0,";
  }
  return chomp(s);
}

export function formatMplsLse(lse: number): string {
  return `label=${lse >>> 12},tc=${(lse >>> 9) & 7},ttl=${lse & 0xff},bos=${(lse >>> 8) & 1}`;
}

function formatMplsMasked(lse: number, mask: number): string {
  const label = `label=${lse >>> 12}/0x${(mask >>> 12).toString(16)}`;
  const tc = `tc=${(lse >>> 9) & 7}/${((mask >>> 9) & 7).toString(16)}`;
  const ttl = `ttl=${lse & 0xff}/0x${(mask & 0xff).toString(16)}`;
  return `${label},${tc},${ttl},bos=${(lse >>> 8) & 1}/${((mask >>> 8) & 1).toString(16)}`;
}

/** What Open vSwitch prints of labels that it cannot show, without an end of the attribute. */
function mplsDefect(key: Uint32Array, mask: Uint32Array | null): string | null {
  if (key.length === 0) {
    return "mpls((bad key length 0)";
  }
  return mask === null || mask.length === key.length
    ? null
    : `mpls((key length ${key.length * 4} != mask length ${mask.length * 4})`;
}

function formatMpls(key: Uint32Array, mask: Uint32Array | null): string {
  return [...key]
    .map((lse, i) =>
      mask === null ? formatMplsLse(lse) : formatMplsMasked(lse, mask[i] as number),
    )
    .join(",");
}

const NSH_MD_TYPE1 = 1;
const NSH_SPI_MAX = 0xffffff;

/** flags=...,ttl=...,...; the context headers only of metadata type 1. */
export function formatNshKey(k: Uint32Array): string {
  const path = k[NSH_WORDS.path] as number;
  let s =
    `flags=${k[NSH_WORDS.flags]},ttl=${k[NSH_WORDS.ttl]},mdtype=${k[NSH_WORDS.mdtype]},np=${k[NSH_WORDS.np]},` +
    `spi=0x${(path >>> 8).toString(16)},si=${path & 0xff}`;
  if (k[NSH_WORDS.mdtype] === NSH_MD_TYPE1) {
    for (let i = 0; i < 4; i++) {
      s += `,c${i + 1}=0x${(k[NSH_WORDS.c1 + i] as number).toString(16)}`;
    }
  }
  return s;
}

function masked8(name: string, key: number, mask: number): string {
  if (mask === 0) {
    return "";
  }
  const value =
    mask === 0xff ? String(key) : `${formatHexPadded(key, 2)}/${formatHexPadded(mask, 2)}`;
  return `${name}=${value},`;
}

function masked32(name: string, key: number, mask: number): string {
  if (mask === 0) {
    return "";
  }
  const m = mask >>> 0 === 0xffffffff ? "" : `/${formatHexPadded(mask, 8)}`;
  return `${name}=0x${(key >>> 0).toString(16)}${m},`;
}

/** `isKey` says that a packet is described, not a change of one. */
export function formatNshMasked(k: Uint32Array, m: Uint32Array | null, isKey = false): string {
  if (m === null) {
    return formatNshKey(k);
  }
  const path = k[NSH_WORDS.path] as number;
  const pathMask = m[NSH_WORDS.path] as number;
  const spiMask = pathMask >>> 8 === NSH_SPI_MAX ? 0xffffffff : pathMask >>> 8;
  let s =
    masked8("flags", k[NSH_WORDS.flags] as number, m[NSH_WORDS.flags] as number) +
    masked8("ttl", k[NSH_WORDS.ttl] as number, m[NSH_WORDS.ttl] as number) +
    masked8("mdtype", k[NSH_WORDS.mdtype] as number, m[NSH_WORDS.mdtype] as number) +
    masked8("np", k[NSH_WORDS.np] as number, m[NSH_WORDS.np] as number) +
    masked32("spi", path >>> 8, spiMask) +
    masked8("si", path & 0xff, pathMask & 0xff);
  // A key without context headers has no mask for them either, which reads as an exact match.
  const hasContext = !isKey || k[NSH_WORDS.mdtype] === NSH_MD_TYPE1;
  for (let i = 0; i < 4; i++) {
    const mask = hasContext ? (m[NSH_WORDS.c1 + i] as number) : 0xffffffff;
    s += masked32(`c${i + 1}`, k[NSH_WORDS.c1 + i] as number, mask);
  }
  return chomp(s);
}

function hex32(key: number, mask: number | null): string {
  return formatAltHex(key) + (mask === null ? "" : `/${formatAltHex(mask)}`);
}

/** Attributes that hold one value, and those with a form of their own; null for the others. */
function formatSpecial(
  attr: OdpWordsName,
  k: Uint32Array,
  m: Uint32Array | null,
  opts: { exact: boolean; verbose: boolean; names: PortNames },
): string | null {
  const { exact, verbose } = opts;
  const key = k[0] as number;
  const mask = exact || m === null ? null : (m[0] as number);
  const shown = verbose || (m?.some((w) => w !== 0) ?? false);
  switch (attr) {
    case "skb_priority":
    case "skb_mark":
    case "dp_hash":
    case "recirc_id":
      return hex32(key, mask);
    case "ct_mark":
    case "ct_zone":
      return shown ? hex32(key, mask) : "";
    case "ct_state":
      if (verbose) {
        return hex32(key, mask);
      }
      return mask === null
        ? formatFlags(CT_STATE_NAMES, key)
        : formatFlagsMasked(CT_STATE_NAMES, key, mask, 0xffffffff);
    case "ct_label":
      if (!shown) {
        return "";
      }
      return formatHexWords(k) + (exact || m === null ? "" : `/${formatHexWords(m)}`);
    case "in_port":
      return mask === null ? formatPort(key, opts.names) : `${key}/${formatAltHex(mask)}`;
    case "packet_type": {
      const pm = m === null ? 0xffffffff : (m[0] as number);
      return chomp(
        formatNumber("ns", false, key >>> 16, pm >>> 16, 0xffff, verbose) +
          formatNumber("id", true, key & 0xffff, pm & 0xffff, 0xffff, verbose),
      );
    }
    case "vlan":
      return formatVlanTci(key, m === null ? 0xffff : (m[0] as number), verbose);
    case "mpls":
      return formatMpls(k, exact ? null : m);
    case "eth_type":
      return formatHexPadded(key, 4) + (mask === null ? "" : `/${formatHexPadded(mask, 4)}`);
    case "tcp_flags":
      return mask === null
        ? formatFlags(TCP_FLAG_NAMES, key)
        : formatFlagsMasked(TCP_FLAG_NAMES, key, mask & TCP_FLAGS_MAX, TCP_FLAGS_MAX);
    case "nsh":
      return formatNshMasked(k, m, true);
    case "nd_ext": {
      const type = m === null ? null : (m[1] as number);
      const reserved = `nd_reserved=0x${key.toString(16)},`;
      return chomp(
        reserved + formatNumber("nd_options_type", false, k[1] as number, type, 0xff, verbose),
      );
    }
    default:
      return null;
  }
}

/** `name(...)` of one attribute with words. */
export function formatOdpWords(
  attr: OdpWordsName,
  key: Uint32Array,
  mask: Uint32Array | null,
  names: PortNames,
  verbose: boolean,
): string {
  const exact = mask === null || odpMaskIsExact(attr, mask);
  const defect = attr === "mpls" ? mplsDefect(key, exact ? null : mask) : null;
  if (defect !== null) {
    return defect;
  }
  const special = formatSpecial(attr, key, mask, { exact, verbose, names });
  if (special !== null) {
    return `${attr}(${special})`;
  }
  let s = "";
  for (const f of ODP_KEYS[attr].fields) {
    s += formatField(f, key, mask, verbose);
  }
  return `${attr}(${chomp(s)})`;
}

/** `name(...)` of any attribute; `mask` is the same attribute of the mask or null. */
export function formatOdpKeyAttr(
  a: OdpKeyAttr,
  mask: OdpKeyAttr | null,
  names: PortNames,
  verbose: boolean,
): string {
  if (a.attr === "tunnel") {
    return `tunnel(${formatTunnel(a.tunnel, mask?.attr === "tunnel" ? mask.tunnel : null, verbose)})`;
  }
  if (a.attr === "encap") {
    if (a.encap.length === 0) {
      return "encap()";
    }
    const inner = mask?.attr === "encap" && mask.encap.length > 0 ? mask.encap : null;
    return `encap(${formatOdpFlow(a.encap, inner, null, verbose)})`;
  }
  const words = mask !== null && "value" in mask ? mask.value : null;
  return formatOdpWords(a.attr, a.value, words, names, verbose);
}

function isWildcard(m: OdpKeyAttr): boolean {
  return "value" in m && m.value.every((w) => w === 0);
}

/** A mask of zeros for an attribute that the mask does not mention. */
function zeroMask(a: OdpKeyAttr): OdpKeyAttr {
  if (a.attr === "tunnel") {
    const t = a.tunnel;
    const tnl = new Uint32Array(t.tnl.length);
    return { attr: "tunnel", tunnel: { tnl, attrs: [], geneve: new Uint8Array(t.geneve.length) } };
  }
  if (a.attr === "encap") {
    return { attr: "encap", encap: a.encap.map(zeroMask) };
  }
  return { attr: a.attr, value: new Uint32Array(a.value.length) };
}

/** A whole key, with its mask if there is one. */
export function formatOdpFlow(
  key: readonly OdpKeyAttr[],
  mask: readonly OdpKeyAttr[] | null,
  names: PortNames,
  verbose: boolean,
): string {
  if (key.length === 0) {
    return "<empty>";
  }
  const masked = mask !== null && mask.length > 0;
  const out: string[] = [];
  let hasPacketType = false;
  for (const a of key) {
    let ma = masked ? (mask.find((m) => m.attr === a.attr) ?? null) : null;
    hasPacketType ||= a.attr === "packet_type";
    const wildcard = masked && (ma === null || isWildcard(ma));
    const nested = a.attr === "encap" || a.attr === "tunnel" || a.attr === "nsh";
    if (verbose || !wildcard || nested) {
      if (wildcard && ma === null) {
        ma = zeroMask(a);
      }
      out.push(formatOdpKeyAttr(a, ma, names, verbose));
    } else if (a.attr === "eth" && !hasPacketType) {
      // Says that the packet begins with an Ethernet header where no packet_type does.
      out.push("eth()");
    } else if (a.attr === "packet_type") {
      hasPacketType = false;
    }
  }
  const s = out.join(",");
  const typeMask = mask?.find((m) => m.attr === "eth_type");
  if (key.every((a) => a.attr !== "eth_type") && typeMask !== undefined && "value" in typeMask) {
    return `${s},eth_type(0/${formatHexPadded(typeMask.value[0] as number, 4)})`;
  }
  return s;
}
