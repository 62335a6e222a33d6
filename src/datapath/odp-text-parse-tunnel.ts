// The inside of `tunnel(...)` read from text.
// ovs: lib/odp-util.c parse_odp_key_mask_attr__, scan_geneve, scan_erspan_metadata.

import { parseIntString } from "../flow/field-text.ts";
import { TUN_FLAG_NAMES } from "../flow/flag-text.ts";
import { TNL_F } from "../flow/flow-is.ts";
import { get, K, set } from "../flow/flow-key.ts";
import { putU16 } from "../lib/bytes.ts";
import { scanInteger, u64Words } from "../lib/number.ts";
import { type OdpTunnel, TNL_WORDS, type TunnelAttr } from "./odp-key-table.ts";
import {
  type OdpParse,
  scanFlags,
  scanInt,
  scanIpv4,
  scanIpv6,
  scanPieces,
  type Words,
} from "./odp-scan.ts";

/** Bytes of Geneve options that a text may have (ovs: struct geneve_scan). */
export const GENEVE_SCAN_BYTES_MAX = 252;
const OPT_HEADER_BYTES = 4;
const OPT_BODY_BYTES_MAX = 124;

interface Draft {
  readonly tnl: Uint32Array;
  readonly attrs: TunnelAttr[];
  geneve: Uint8Array;
}

interface Both {
  readonly key: Draft;
  readonly mask: Draft;
}

function newDraft(): Draft {
  return { tnl: new Uint32Array(TNL_WORDS), attrs: [], geneve: new Uint8Array(0) };
}

type Slot = (typeof K)["tun_tos"];

/** Numbers and addresses of one slot: text, slot, sub-attribute. */
const PARTS: readonly (readonly [string, Slot, TunnelAttr])[] = [
  ["src=", K.tun_src, "ipv4_src"],
  ["dst=", K.tun_dst, "ipv4_dst"],
  ["ipv6_src=", K.tun_ipv6_src, "ipv6_src"],
  ["ipv6_dst=", K.tun_ipv6_dst, "ipv6_dst"],
  ["tos=", K.tun_tos, "tos"],
  ["ttl=", K.tun_ttl, "ttl"],
  ["tp_src=", K.tun_tp_src, "tp_src"],
  ["tp_dst=", K.tun_tp_dst, "tp_dst"],
];

function note(b: Both, attr: TunnelAttr): void {
  b.key.attrs.push(attr);
  b.mask.attrs.push(attr);
}

function put(b: Both, slot: Slot, w: Words): void {
  if (slot.words === 1) {
    set(b.key.tnl, slot, w.value[0] as number);
    set(b.mask.tnl, slot, w.mask[0] as number);
  } else {
    b.key.tnl.set(w.value, slot.word);
    b.mask.tnl.set(w.mask, slot.word);
  }
}

/** A 64-bit number. */
function scanU64(p: OdpParse): Words | null {
  const read = (): Uint32Array | null => {
    const { value, end } = scanInteger(p.s.text, p.s.pos);
    if (end === p.s.pos) {
      return null;
    }
    p.s.pos = end;
    return Uint32Array.from(u64Words(BigInt.asUintN(64, value)));
  };
  const value = read();
  if (value === null) {
    return null;
  }
  const at = p.s.pos;
  const mask = p.s.lit("/") ? read() : null;
  if (mask === null) {
    p.s.pos = at;
    return { value, mask: Uint32Array.of(0xffffffff, 0xffffffff) };
  }
  return { value, mask };
}

/** `name=` and a number; true also if the name is not there. */
function optional(p: OdpParse, b: Both, name: string, slot: Slot, bits: number): boolean {
  if (!p.s.lit(name)) {
    return true;
  }
  const w = scanInt(p, bits);
  if (w === null) {
    return false;
  }
  put(b, slot, w);
  return true;
}

function scanVxlan(p: OdpParse, b: Both): boolean {
  if (!optional(p, b, "id=", K.tun_gbp_id, 16)) {
    return false;
  }
  p.s.lit(",");
  if (!optional(p, b, "flags=", K.tun_gbp_flags, 8) || !p.s.lit("))")) {
    return false;
  }
  // A policy of zero is none.
  for (const d of [b.key, b.mask]) {
    if (get(d.tnl, K.tun_gbp_id) !== 0 || get(d.tnl, K.tun_gbp_flags) !== 0) {
      d.attrs.push("vxlan");
    }
  }
  return true;
}

function scanGtpu(p: OdpParse, b: Both): boolean {
  if (!optional(p, b, "flags=", K.tun_gtpu_flags, 8)) {
    return false;
  }
  p.s.lit(",");
  if (!optional(p, b, "msgtype=", K.tun_gtpu_msgtype, 8)) {
    return false;
  }
  p.s.lit(")");
  note(b, "gtpu");
  return true;
}

function scanErspan(p: OdpParse, b: Both): boolean {
  if (!optional(p, b, "ver=", K.tun_erspan_ver, 8)) {
    return false;
  }
  p.s.lit(",");
  const ver = get(b.key.tnl, K.tun_erspan_ver);
  if (ver === 1) {
    if (!optional(p, b, "idx=", K.tun_erspan_idx, 32)) {
      return false;
    }
  } else if (ver === 2) {
    if (!optional(p, b, "dir=", K.tun_erspan_dir, 1)) {
      return false;
    }
    p.s.lit(",");
    if (!optional(p, b, "hwid=", K.tun_erspan_hwid, 4)) {
      return false;
    }
  } else {
    return false;
  }
  p.s.lit(")");
  note(b, "erspan");
  return true;
}

/** Reads a body of so many bytes. */
function scanBody(p: OdpParse, bytes: number): Uint8Array | null {
  const words = new Uint32Array(Math.max(1, Math.ceil(bytes / 4)));
  const r = parseIntString(p.s.text, p.s.pos, bytes, words);
  if (r.error !== "") {
    return null;
  }
  p.s.pos = r.end;
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) {
    out[i] = (words[i >> 2] as number) >>> (24 - 8 * (i & 3));
  }
  return out;
}

/** One option behind "{": header and body, and the same of the mask. */
function scanOption(p: OdpParse, bytesLeft: number): readonly [Uint8Array, Uint8Array] | null {
  const { s } = p;
  const head = [new Uint8Array(OPT_HEADER_BYTES), new Uint8Array(OPT_HEADER_BYTES)] as const;
  let bodyBytes = 0;
  if (s.lit("class=")) {
    const w = scanInt(p, 16);
    if (w === null) {
      return null;
    }
    putU16(head[0], 0, w.value[0] as number);
    putU16(head[1], 0, w.mask[0] as number);
  }
  s.lit(",");
  if (s.lit("type=")) {
    const w = scanInt(p, 8);
    if (w === null) {
      return null;
    }
    head[0][2] = w.value[0] as number;
    head[1][2] = w.mask[0] as number;
  }
  s.lit(",");
  if (s.lit("len=")) {
    const w = scanInt(p, 8);
    bodyBytes = w?.value[0] ?? 1;
    if (w === null || bodyBytes > OPT_BODY_BYTES_MAX || bodyBytes % 4 !== 0) {
      return null;
    }
    if (bodyBytes > bytesLeft - OPT_HEADER_BYTES) {
      return null;
    }
    head[0][3] = bodyBytes / 4;
    head[1][3] = (w.mask[0] as number) & 0x1f;
  }
  let body: Uint8Array | null = new Uint8Array(bodyBytes);
  if (s.lit(",")) {
    body = scanBody(p, bodyBytes);
  }
  // Without a mask of its own a body is matched exactly.
  let mask: Uint8Array | null = new Uint8Array(bodyBytes).fill(0xff);
  if (s.lit("/")) {
    mask = scanBody(p, bodyBytes);
  }
  if (body === null || mask === null || !s.lit("}")) {
    return null;
  }
  return [Uint8Array.from([...head[0], ...body]), Uint8Array.from([...head[1], ...mask])];
}

/** Options up to the closing parenthesis, which is taken too. */
export function scanGeneve(p: OdpParse): readonly [Uint8Array, Uint8Array] | null {
  const key: number[] = [];
  const mask: number[] = [];
  while (p.s.peek() === "{" && key.length + OPT_HEADER_BYTES <= GENEVE_SCAN_BYTES_MAX) {
    p.s.lit("{");
    const opt = scanOption(p, GENEVE_SCAN_BYTES_MAX - key.length);
    if (opt === null) {
      return null;
    }
    key.push(...opt[0]);
    mask.push(...opt[1]);
  }
  return p.s.lit(")") ? [Uint8Array.from(key), Uint8Array.from(mask)] : null;
}

const FLAG_ATTRS: readonly (readonly [number, TunnelAttr])[] = [
  [TNL_F.DONT_FRAGMENT, "df"],
  [TNL_F.CSUM, "csum"],
  [TNL_F.OAM, "oam"],
];

function scanTunFlags(p: OdpParse, b: Both): boolean {
  const w = scanFlags(p, TUN_FLAG_NAMES, TNL_F.MASK);
  if (w === null || !p.s.lit(")")) {
    return false;
  }
  const parts = [
    [b.key, w.value],
    [b.mask, w.mask],
  ] as const;
  for (const [d, words] of parts) {
    let flags = get(d.tnl, K.tun_flags);
    for (const [bit, attr] of FLAG_ATTRS) {
      if (((words[0] as number) & bit) !== 0) {
        d.attrs.push(attr);
        flags |= bit;
      }
    }
    set(d.tnl, K.tun_flags, flags);
  }
  return true;
}

/** One piece; false if there is none, null if it is wrong. */
function scanPart(p: OdpParse, b: Both): boolean | null {
  const { s } = p;
  if (s.lit("tun_id=")) {
    const w = scanU64(p);
    if (w === null) {
      return null;
    }
    put(b, K.tun_id, w);
    for (const d of [b.key, b.mask]) {
      set(d.tnl, K.tun_flags, get(d.tnl, K.tun_flags) | TNL_F.KEY);
    }
    note(b, "id");
    return true;
  }
  const part = PARTS.find(([name]) => s.lit(name));
  if (part !== undefined) {
    const [, slot, attr] = part;
    const isV4 = attr === "ipv4_src" || attr === "ipv4_dst";
    const w = slot.words === 4 ? scanIpv6(p) : isV4 ? scanIpv4(p) : scanInt(p, slot.bits);
    if (w === null) {
      return null;
    }
    put(b, slot, w);
    note(b, attr);
    return true;
  }
  if (s.lit("erspan(")) {
    return scanErspan(p, b) || null;
  }
  if (s.lit("vxlan(gbp(")) {
    return scanVxlan(p, b) || null;
  }
  if (s.lit("geneve(")) {
    const opts = scanGeneve(p);
    if (opts === null) {
      return null;
    }
    [b.key.geneve, b.mask.geneve] = opts;
    note(b, "geneve");
    return true;
  }
  if (s.lit("gtpu(")) {
    return scanGtpu(p, b) || null;
  }
  if (s.lit("flags(")) {
    return scanTunFlags(p, b) || null;
  }
  return false;
}

/** Behind "tunnel(", up to and with its ")". Masks are read whether they are wanted or not. */
export function parseTunnel(
  p: OdpParse,
): { readonly key: OdpTunnel; readonly mask: OdpTunnel } | null {
  const b: Both = { key: newDraft(), mask: newDraft() };
  const masked: OdpParse = { ...p, masked: true };
  return scanPieces(p.s, () => scanPart(masked, b)) ? b : null;
}
