// The `tunnel(...)` attribute as text, Geneve options included.
// ovs: lib/odp-util.c format_odp_tun_attr, format_geneve_opts.

import { get, K } from "../flow/flow-key.ts";
import { formatFlags, formatFlagsMasked, TUN_FLAG_NAMES } from "../flow/flag-text.ts";
import { TNL_F } from "../flow/flow-is.ts";
import { formatAltHex, formatAltHex64, formatHex64 } from "../lib/number.ts";
import type { OdpTunnel, TunnelAttr } from "./odp-key-table.ts";
import {
  formatHexNumber,
  formatIpv4Field,
  formatIpv6Field,
  formatNumber,
} from "./odp-text-fields.ts";

/** Geneve option (RFC 8926 §3.5): class, type, length in words, then the body. */
export const GENEVE_OPT = { CLASS: 0, TYPE: 2, LEN: 3, HEADER_BYTES: 4, LEN_MASK: 0x1f } as const;
const HWID_SHOWN = 0xf;

/** Which flag a sub-attribute without a value stands for. */
const FLAG_OF: Partial<Record<TunnelAttr, number>> = {
  df: TNL_F.DONT_FRAGMENT,
  csum: TNL_F.CSUM,
  oam: TNL_F.OAM,
};

function u16(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 8) | (b[o + 1] as number);
}

/** {class=...,type=...,len=...,0x...} for each option. */
export function formatGeneveOptions(
  opts: Uint8Array,
  mask: Uint8Array | null,
  verbose: boolean,
): string {
  let s = "";
  let o = 0;
  while (o < opts.length) {
    const left = opts.length - o;
    if (left < GENEVE_OPT.HEADER_BYTES) {
      return `${s}opt len ${left} less than minimum ${GENEVE_OPT.HEADER_BYTES}`;
    }
    const dataBytes = ((opts[o + GENEVE_OPT.LEN] as number) & GENEVE_OPT.LEN_MASK) * 4;
    const bytes = GENEVE_OPT.HEADER_BYTES + dataBytes;
    if (bytes > left) {
      return `${s}opt len ${bytes} greater than remaining ${left}`;
    }
    s += `{${formatGeneveOption(opts.subarray(o, o + bytes), mask?.subarray(o) ?? null, verbose)}}`;
    o += bytes;
  }
  return s;
}

function formatGeneveOption(opt: Uint8Array, mask: Uint8Array | null, verbose: boolean): string {
  const dataBytes = opt.length - GENEVE_OPT.HEADER_BYTES;
  let lenMask: number | null = null;
  if (mask !== null) {
    const m = (mask[GENEVE_OPT.LEN] as number) & GENEVE_OPT.LEN_MASK;
    lenMask = m === GENEVE_OPT.LEN_MASK ? 0xff : m;
  }
  const s =
    formatNumber("class", true, u16(opt, 0), mask === null ? null : u16(mask, 0), 0xffff, verbose) +
    formatNumber("type", true, opt[2] as number, mask?.[2] ?? null, 0xff, verbose) +
    formatNumber("len", false, dataBytes, lenMask, 0xff, verbose);
  const data = opt.subarray(GENEVE_OPT.HEADER_BYTES);
  const dataMask = mask?.subarray(GENEVE_OPT.HEADER_BYTES, opt.length) ?? null;
  if (dataBytes > 0 && (verbose || dataMask === null || dataMask.some((b) => b !== 0))) {
    const exact = dataMask?.every((b) => b === 0xff) ?? true;
    const m = exact || dataMask === null ? "" : `/${formatHexNumber(dataMask)}`;
    return s + formatHexNumber(data) + m;
  }
  return s.endsWith(",") ? s.slice(0, -1) : s;
}

type Slot32 = (typeof K)["tun_tos"];

interface View {
  readonly tun: OdpTunnel;
  readonly mask: OdpTunnel | null;
  readonly verbose: boolean;
}

/** A number of the tunnel, if its sub-attribute is in the mask or there is no mask. */
function num(v: View, attr: TunnelAttr, name: string, hex: boolean, slot: Slot32): string {
  const m = v.mask === null ? null : v.mask.attrs.includes(attr) ? get(v.mask.tnl, slot) : 0;
  return formatNumber(name, hex, get(v.tun.tnl, slot), m, slot.max, v.verbose);
}

function ipv4(v: View, attr: TunnelAttr, name: string, slot: Slot32): string {
  const m = v.mask === null ? null : v.mask.attrs.includes(attr) ? get(v.mask.tnl, slot) : 0;
  return formatIpv4Field(name, get(v.tun.tnl, slot), m, v.verbose);
}

function ipv6(v: View, name: string, slot: Slot32): string {
  const end = slot.word + slot.words;
  const m = v.mask?.tnl.subarray(slot.word, end) ?? null;
  return formatIpv6Field(name, v.tun.tnl.subarray(slot.word, end), m, v.verbose);
}

function formatId(v: View): string {
  const w = K.tun_id.word;
  const [hi, lo] = [v.tun.tnl[w] as number, v.tun.tnl[w + 1] as number];
  if (v.mask === null) {
    // Without a mask there is nothing to compare with zero: only a verbose text has it.
    return v.verbose ? `tun_id=${formatHex64(hi, lo)},` : "";
  }
  const [mhi, mlo] = [v.mask.tnl[w] as number, v.mask.tnl[w + 1] as number];
  if (mhi === 0 && mlo === 0 && !v.verbose) {
    return "";
  }
  const full = mhi === 0xffffffff && mlo === 0xffffffff;
  return `tun_id=${formatHex64(hi, lo)}${full ? "" : `/${formatAltHex64(mhi, mlo)}`},`;
}

function chomp(s: string): string {
  return s.endsWith(",") ? s.slice(0, -1) : s;
}

function formatVxlan(v: View): string {
  const id = num(v, "vxlan", "id", false, K.tun_gbp_id);
  const flags = num(v, "vxlan", "flags", true, K.tun_gbp_flags);
  return `vxlan(gbp(${chomp(id + flags)})),`;
}

function formatGeneve(v: View): string {
  if (v.mask === null) {
    return `geneve(${formatGeneveOptions(v.tun.geneve, null, v.verbose)}),`;
  }
  const mask = v.mask.attrs.includes("geneve")
    ? v.mask.geneve
    : new Uint8Array(v.tun.geneve.length);
  if (mask.length !== v.tun.geneve.length) {
    const text = `value len ${v.tun.geneve.length} different from mask len ${mask.length}`;
    return `geneve(${text}),`;
  }
  return `geneve(${formatGeneveOptions(v.tun.geneve, mask, v.verbose)}),`;
}

function formatErspan(v: View): string {
  let s = num(v, "erspan", "ver", false, K.tun_erspan_ver);
  const ver = get(v.tun.tnl, K.tun_erspan_ver);
  const has = v.mask?.attrs.includes("erspan") ?? false;
  const maskOf = (slot: Slot32): number | null =>
    v.mask === null ? null : has ? get(v.mask.tnl, slot) : 0;
  if (ver === 1) {
    const m = maskOf(K.tun_erspan_idx);
    const idx = formatAltHex(get(v.tun.tnl, K.tun_erspan_idx));
    s += `idx=${idx}${m === null ? "" : `/${formatAltHex(m)}`},`;
  } else if (ver === 2) {
    const dir = get(v.tun.tnl, K.tun_erspan_dir);
    const hwid = get(v.tun.tnl, K.tun_erspan_hwid) & HWID_SHOWN;
    s += formatNumber("dir", false, dir, maskOf(K.tun_erspan_dir), 0xff, v.verbose);
    const hwidMask = maskOf(K.tun_erspan_hwid);
    const shown = hwidMask === null ? null : hwidMask & HWID_SHOWN;
    s += formatNumber("hwid", true, hwid, shown, 0xff, v.verbose);
  }
  return `erspan(${chomp(s)}),`;
}

function formatGtpu(v: View): string {
  const flags = num(v, "gtpu", "flags", true, K.tun_gtpu_flags);
  return `gtpu(${chomp(flags + num(v, "gtpu", "msgtype", false, K.tun_gtpu_msgtype))}),`;
}

function formatAttr(v: View, attr: TunnelAttr): string {
  switch (attr) {
    case "id":
      return formatId(v);
    case "ipv4_src":
      return ipv4(v, attr, "src", K.tun_src);
    case "ipv4_dst":
      return ipv4(v, attr, "dst", K.tun_dst);
    case "ipv6_src":
      return ipv6(v, "ipv6_src", K.tun_ipv6_src);
    case "ipv6_dst":
      return ipv6(v, "ipv6_dst", K.tun_ipv6_dst);
    case "tos":
      return num(v, attr, "tos", true, K.tun_tos);
    case "ttl":
      return num(v, attr, "ttl", false, K.tun_ttl);
    case "tp_src":
      return num(v, attr, "tp_src", false, K.tun_tp_src);
    case "tp_dst":
      return num(v, attr, "tp_dst", false, K.tun_tp_dst);
    case "vxlan":
      return formatVxlan(v);
    case "geneve":
      return formatGeneve(v);
    case "erspan":
      return formatErspan(v);
    case "gtpu":
      return formatGtpu(v);
    case "df":
    case "csum":
    case "oam":
      return ""; // shown among the flags
  }
}

function formatTunFlags(v: View): string {
  let flags = v.tun.attrs.includes("id") ? TNL_F.KEY : 0;
  for (const a of v.tun.attrs) {
    flags |= FLAG_OF[a] ?? 0;
  }
  if (v.mask === null) {
    return `flags(${formatFlags(TUN_FLAG_NAMES, flags)}),`;
  }
  // The key flag is matched whenever the key has an id, whatever its mask.
  let mask = v.tun.attrs.includes("id") ? TNL_F.KEY : 0;
  for (const a of v.mask.attrs) {
    mask |= FLAG_OF[a] ?? 0;
  }
  if (mask === 0 && !v.verbose) {
    return "";
  }
  return `flags(${formatFlagsMasked(TUN_FLAG_NAMES, flags, mask, TNL_F.MASK)}),`;
}

/** The inside of `tunnel(...)`. */
export function formatTunnel(tun: OdpTunnel, mask: OdpTunnel | null, verbose: boolean): string {
  const v: View = { tun, mask, verbose };
  let s = "";
  for (const a of tun.attrs) {
    s += formatAttr(v, a);
  }
  return chomp(s + formatTunFlags(v));
}
