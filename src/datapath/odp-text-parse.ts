// Datapath flow keys and masks read from text.
//
// Each attribute is `name(field=value/mask,...)`. What the text does not mention is zero in the
// value and wildcarded in the mask. Attributes are read one by one; whether they make sense together
// is decided when the key is turned into a flow (odp-flow.ts).
// ovs: lib/odp-util.c odp_flow_from_string, parse_odp_key_mask_attr.

import { CT_STATE_NAMES, TCP_FLAG_NAMES } from "../flow/flag-text.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import { TextScan } from "../lib/scan.ts";
import {
  ODP_KEY_LIST,
  type OdpField,
  type OdpKeyAttr,
  type OdpKeyDef,
  type OdpWordsName,
} from "./odp-key-table.ts";
import {
  ODP_DELIMITERS,
  type OdpParse,
  ones,
  type PortNumbers,
  scanFlags,
  scanInt,
  scanIpv4,
  scanIpv6,
  scanPieces,
  scanU128,
  type Words,
} from "./odp-scan.ts";
import { parseTunnel } from "./odp-text-parse-tunnel.ts";

/** Nested lists of actions and keys that a text may have (ovs: MAX_ODP_NESTED). */
export const ODP_NESTED_MAX = 32;
const IPV6_LABEL_MAX = 0xfffff;
const TCP_FLAGS_MAX = 0xfff;
const CT_STATE_MAX = 0xff;
const MPLS_LABELS_MAX = 3;
const VLAN_CFI = 0x1000;
const UFID_CHARS = 36;

export interface ParsedOdpAttr {
  readonly key: OdpKeyAttr;
  readonly mask: OdpKeyAttr;
}

function scanMac(p: OdpParse): Words | null {
  const { s } = p;
  if (!s.mac()) {
    return null;
  }
  const value = Uint32Array.of(s.hi, s.lo);
  const at = s.pos;
  if (p.masked && s.lit("/") && s.mac()) {
    return { value, mask: Uint32Array.of(s.hi, s.lo) };
  }
  s.pos = at;
  return { value, mask: ones(48) };
}

/** What C keeps of a number that is too big for an int. */
function low32(n: number): number {
  return Number(BigInt.asUintN(32, BigInt(n)));
}

function scanIpv6Label(p: OdpParse): Words | null {
  const { s } = p;
  const label = s.int(0) ? low32(s.value) : IPV6_LABEL_MAX + 1;
  if (label > IPV6_LABEL_MAX) {
    return null;
  }
  const value = Uint32Array.of(label);
  const at = s.pos;
  if (p.masked && s.lit("/") && s.int(0) && low32(s.value) <= IPV6_LABEL_MAX) {
    return { value, mask: Uint32Array.of(low32(s.value)) };
  }
  s.pos = at;
  return { value, mask: Uint32Array.of(IPV6_LABEL_MAX) };
}

function scanFrag(p: OdpParse): Words | null {
  const word = p.s.chars("abcdefghijklmnopqrstuvwxyz", 7);
  const frag = ["no", "first", "later"].indexOf(word);
  return frag < 0 ? null : { value: Uint32Array.of(frag), mask: Uint32Array.of(0xff) };
}

function scanPort(p: OdpParse): Words | null {
  const number = scanInt(p, 32);
  if (number !== null) {
    return number;
  }
  const at = p.s.pos;
  const port = p.names?.get(p.s.until(")"));
  if (port === undefined) {
    p.s.pos = at;
    return null;
  }
  return { value: Uint32Array.of(port), mask: ones(32) };
}

function scanField(p: OdpParse, f: OdpField): Words | null {
  switch (f.format) {
    case "eth":
      return scanMac(p);
    case "ipv4":
      return scanIpv4(p);
    case "ipv6":
      return scanIpv6(p);
    case "ipv6_label":
      return scanIpv6Label(p);
    case "frag":
      return scanFrag(p);
    case "tcp_flags": {
      const w = scanFlags(p, TCP_FLAG_NAMES, TCP_FLAGS_MAX);
      return w === null ? null : { value: w.value, mask: w.mask.map((m) => m & 0xffff) };
    }
    case "ct_state":
      return scanFlags(p, CT_STATE_NAMES, CT_STATE_MAX);
    case "port":
      return scanPort(p);
    default:
      return scanInt(p, f.bits);
  }
}

/** Attributes with one value and no field names. */
function scanSingle(p: OdpParse, def: OdpKeyDef): Words | null {
  const [f] = def.fields;
  if (f === undefined) {
    return null;
  }
  // They take a mask whether it is wanted or not, but recirc_id never does.
  const single = { ...p, masked: def.attr !== "recirc_id" };
  const w = def.attr === "ct_label" ? scanU128(p.s) : scanField(single, f);
  return w !== null && p.s.lit(")") ? w : null;
}

/** Texts that a field is written with but not read as. */
function fieldText(def: OdpKeyDef, f: OdpField): string {
  if (def.attr === "ct_tuple6") {
    return f.name === "src_port" ? "tp_src=" : f.name === "dst_port" ? "tp_dst=" : `${f.name}=`;
  }
  return `${f.name}=`;
}

function scanFields(p: OdpParse, def: OdpKeyDef): Words | null {
  const value = new Uint32Array(def.words);
  const mask = new Uint32Array(def.words);
  const done = scanPieces(p.s, () => {
    const f = def.fields.find((x) => p.s.lit(fieldText(def, x)));
    if (f === undefined) {
      return false;
    }
    const w = scanField(p, f);
    if (w === null) {
      return null;
    }
    value.set(w.value, f.word);
    mask.set(w.mask, f.word);
    return true;
  });
  return done ? { value, mask } : null;
}

/** Sets a bit field of `bits` bits at `shift`; false if a number is too big. */
function scanBits(
  p: OdpParse,
  acc: { v: number; m: number },
  bits: number,
  shift: number,
): boolean {
  const w = scanInt(p, 16 + (bits > 16 ? 16 : 0));
  const max = 2 ** bits - 1;
  if (w === null || (w.value[0] as number) > max) {
    return false;
  }
  const typeMax = bits > 16 ? 0xffffffff : 0xffff;
  const explicit = (w.mask[0] as number) !== typeMax;
  if (explicit && (w.mask[0] as number) > max) {
    return false;
  }
  const field = (max << shift) >>> 0;
  acc.v = ((acc.v & ~field) | ((w.value[0] as number) << shift)) >>> 0;
  acc.m = explicit
    ? ((acc.m & ~field) | ((w.mask[0] as number) << shift)) >>> 0
    : (acc.m | field) >>> 0;
  return true;
}

function scanVlan(p: OdpParse): Words | null {
  const acc = { v: VLAN_CFI, m: VLAN_CFI };
  const parts = [
    ["vid=", 12, 0],
    ["pcp=", 3, 13],
    ["cfi=", 1, 12],
  ] as const;
  const done = scanPieces(p.s, () => {
    const part = parts.find(([name]) => p.s.lit(name));
    return part === undefined ? false : scanBits(p, acc, part[1], part[2]) || null;
  });
  return done ? { value: Uint32Array.of(acc.v), mask: Uint32Array.of(acc.m) } : null;
}

function scanMpls(p: OdpParse): Words | null {
  const parts = [
    ["label=", 20, 12],
    ["tc=", 3, 9],
    ["ttl=", 8, 0],
    ["bos=", 1, 8],
  ] as const;
  const entries = [{ v: 0, m: 0 }];
  let seen = new Set<string>();
  const done = scanPieces(p.s, () => {
    const part = parts.find(([name]) => p.s.lit(name));
    if (part === undefined) {
      return false;
    }
    if (seen.has(part[0])) {
      if (entries.length === MPLS_LABELS_MAX) {
        return null;
      }
      seen = new Set();
      entries.push({ v: 0, m: 0 });
    }
    seen.add(part[0]);
    const acc = entries[entries.length - 1];
    return acc !== undefined && scanBits(p, acc, part[1], part[2]) ? true : null;
  });
  if (!done) {
    return null;
  }
  return {
    value: Uint32Array.from(entries, (e) => e.v),
    mask: Uint32Array.from(entries, (e) => e.m),
  };
}

function scanPacketType(p: OdpParse): Words | null {
  let value = 0;
  let mask = 0;
  const done = scanPieces(p.s, () => {
    const shift = p.s.lit("ns=") ? 16 : p.s.lit("id=") ? 0 : -1;
    if (shift < 0) {
      return false;
    }
    const w = scanInt(p, 16);
    if (w === null) {
      return null;
    }
    value |= (w.value[0] as number) << shift;
    mask |= (w.mask[0] as number) << shift;
    return true;
  });
  return done ? { value: Uint32Array.of(value), mask: Uint32Array.of(mask) } : null;
}

function scanWords(p: OdpParse, def: OdpKeyDef): Words | null {
  switch (def.attr) {
    case "vlan":
      return scanVlan(p);
    case "mpls":
      return scanMpls(p);
    case "packet_type":
      return scanPacketType(p);
    case "nsh":
      return null; // Open vSwitch prints it but does not read it
    default: {
      const [f] = def.fields;
      return def.fields.length === 1 && (f?.name === "value" || f?.name === "tci")
        ? scanSingle(p, def)
        : scanFields(p, def);
    }
  }
}

function scanEncap(p: OdpParse): ParsedOdpAttr | null {
  const keys: OdpKeyAttr[] = [];
  const masks: OdpKeyAttr[] = [];
  for (;;) {
    p.s.chars(ODP_DELIMITERS);
    if (p.s.lit(")")) {
      return { key: { attr: "encap", encap: keys }, mask: { attr: "encap", encap: masks } };
    }
    const a = p.s.atEnd() ? null : parseOdpKeyAttr(p);
    if (a === null) {
      return null;
    }
    keys.push(a.key);
    masks.push(a.mask);
  }
}

/** One attribute at the position of the scanner, or null. */
export function parseOdpKeyAttr(p: OdpParse): ParsedOdpAttr | null {
  p.depth++;
  const r = p.depth === ODP_NESTED_MAX ? null : parseAttr(p);
  p.depth--;
  return r;
}

function parseAttr(p: OdpParse): ParsedOdpAttr | null {
  const def = ODP_KEY_LIST.find((d) => p.s.lit(`${d.attr}(`));
  if (def === undefined) {
    return null;
  }
  if (def.attr === "encap") {
    return scanEncap(p);
  }
  if (def.attr === "tunnel") {
    const t = parseTunnel(p);
    return t === null
      ? null
      : { key: { attr: "tunnel", tunnel: t.key }, mask: { attr: "tunnel", tunnel: t.mask } };
  }
  const w = scanWords(p, def);
  if (w === null) {
    return null;
  }
  const attr: OdpWordsName = def.attr;
  return { key: { attr, value: w.value }, mask: { attr, value: w.mask } };
}

export interface ParsedOdpFlow {
  readonly key: readonly OdpKeyAttr[];
  /** As long as the key. */
  readonly mask: readonly OdpKeyAttr[];
}

/** Skips "ufid:" and a UUID. */
function skipUfid(s: TextScan): boolean {
  if (!s.lit("ufid:")) {
    return true;
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/i.test(s.text.slice(s.pos))) {
    return false;
  }
  s.pos += UFID_CHARS;
  s.lit(" ");
  return true;
}

/** A whole key, with a mask if `masked`. The error is Open vSwitch's. */
export function parseOdpFlow(
  text: string,
  names: PortNumbers,
  masked: boolean,
): Result<ParsedOdpFlow> {
  const p: OdpParse = { s: new TextScan(text), names, masked, depth: 0 };
  const key: OdpKeyAttr[] = [];
  const mask: OdpKeyAttr[] = [];
  for (;;) {
    p.s.chars(ODP_DELIMITERS);
    if (p.s.atEnd()) {
      return ok({ key, mask });
    }
    let at = p.s.pos;
    let a: ParsedOdpAttr | null = null;
    if (skipUfid(p.s)) {
      at = p.s.pos;
      a = parseOdpKeyAttr(p);
    }
    if (a === null) {
      return fail(`syntax error at ${text.slice(at)}`, text, at);
    }
    key.push(a.key);
    mask.push(a.mask);
  }
}
