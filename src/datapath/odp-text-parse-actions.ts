// Datapath actions read from text, as `dpctl/parse-actions` and `dpctl/add-flow` take them.
//
// Not everything that is printed can be read: Open vSwitch does not read push_mpls, pop_mpls, hash
// or push_eth, and takes recirc() only with a decimal number. It answers EINVAL for all mistakes,
// without saying where; so do we.
// ovs: lib/odp-util.c odp_actions_from_string, parse_odp_action.

import { hexValue } from "../lib/bytes.ts";
import { TextScan } from "../lib/scan.ts";
import { makeLse } from "../flow/vlan-mpls.ts";
import type { OdpAction } from "./odp-action.ts";
import { NSH_WORDS, ODP_KEYS } from "./odp-key-table.ts";
import { fieldOnes } from "./odp-key.ts";
import { ODP_DELIMITERS, type OdpParse, type PortNumbers } from "./odp-scan.ts";
import { ODP_NESTED_MAX, parseOdpKeyAttr } from "./odp-text-parse.ts";
import { parseCt } from "./odp-text-parse-ct.ts";
import { parseTnlPush } from "./odp-text-parse-tnl-push.ts";
import { parseUserspace } from "./odp-text-parse-userspace.ts";

const ETH_TYPE_VLAN = 0x8100;
const VLAN_CFI = 0x1000;
const SAMPLE_ALWAYS = 0xffffffff;
const NSH_MD_TYPE1 = 1;
const NSH_MD_TYPE2 = 2;
const NSH_MD2_DIGITS_MAX = 511;
const HEX_DIGITS = "0123456789abcdefABCDEF";

/** Literals and numbers in turn, as one ovs_scan() format: all of it or nothing. */
function scanFormat(s: TextScan, format: readonly (string | 0 | 10 | 16)[]): number[] | null {
  const at = s.pos;
  const out: number[] = [];
  for (const f of format) {
    if (typeof f === "string" ? s.lit(f) : s.int(f)) {
      if (typeof f !== "string") {
        out.push(s.value);
      }
    } else {
      s.pos = at;
      return null;
    }
  }
  return out;
}

function u32(v: number | undefined): number {
  return Number(BigInt(v ?? 0) & 0xffffffffn);
}

/** Attributes whose structure has padding: a mask never covers all of it. */
const PADDED: readonly string[] = ["arp", "ct_tuple4", "ct_tuple6", "nd_ext"];

function isAllOnes(attr: keyof typeof ODP_KEYS, mask: Uint32Array): boolean {
  if (PADDED.includes(attr)) {
    return false;
  }
  const { fields } = ODP_KEYS[attr];
  if (attr === "mpls") {
    return mask.every((w) => w === 0xffffffff);
  }
  return fields.every((f) => {
    const first = mask[f.word] === fieldOnes(f.bits);
    return first && mask.subarray(f.word + 1, f.word + f.words).every((w) => w === 0xffffffff);
  });
}

function parseSet(p: OdpParse): OdpAction | null {
  const a = parseOdpKeyAttr({ ...p, masked: true });
  if (a === null || !p.s.lit(")")) {
    return null;
  }
  const { key, mask } = a;
  if (!("value" in key) || !("value" in mask) || isAllOnes(key.attr, mask.value)) {
    return { kind: "set", key };
  }
  return { kind: "set_masked", attr: key.attr, value: key.value, mask: mask.value };
}

function parsePushVlan(s: TextScan): OdpAction | null {
  const start = "push_vlan(";
  const vid = ["vid=", 0, ",pcp=", 0] as const;
  const cfi = [",cfi=", 0] as const;
  const forms = [
    { tpid: false, n: scanFormat(s, [start, ...vid, ")"]) },
    { tpid: false, n: scanFormat(s, [start, ...vid, ...cfi, ")"]) },
    { tpid: true, n: scanFormat(s, [start, "tpid=", 0, ",", ...vid, ")"]) },
    { tpid: true, n: scanFormat(s, [start, "tpid=", 0, ",", ...vid, ...cfi, ")"]) },
  ];
  // At most one form matches, because each ends with the parenthesis.
  const form = forms.find((f) => f.n !== null);
  if (form === undefined || form.n === null) {
    return null;
  }
  const n = form.tpid ? form.n : [ETH_TYPE_VLAN, ...form.n];
  const [tpid = 0, v = 0, pcp = 0, c = 1] = n;
  if ((v & ~0xfff) !== 0 || (pcp & ~7) !== 0) {
    return null;
  }
  const tci = v | (pcp << 13) | (c !== 0 ? VLAN_CFI : 0);
  return { kind: "push_vlan", tpid: tpid & 0xffff, tci };
}

/** Actions up to a closing parenthesis, which stays. */
function parseList(p: OdpParse): OdpAction[] | null {
  const out: OdpAction[] = [];
  for (;;) {
    p.s.chars(ODP_DELIMITERS);
    if (p.s.peek() === ")") {
      return out;
    }
    const a = parseOdpAction(p);
    if (a === null) {
      return null;
    }
    out.push(a);
  }
}

function parseSample(p: OdpParse): OdpAction | null {
  const { s } = p;
  const m = /^sample\(sample=\s*([+-]?\d*\.?\d*(?:[eE][+-]?\d+)?)%,actions\(/.exec(s.rest());
  const percent = Number.parseFloat(m?.[1] ?? "");
  if (m === null || !(percent >= 0 && percent <= 100)) {
    return null;
  }
  s.pos += m[0].length;
  const actions = parseList(p);
  if (actions === null || !s.lit("))")) {
    return null;
  }
  const probability = Math.floor(SAMPLE_ALWAYS * (percent / 100) + 0.5);
  return { kind: "sample", probability: Math.min(probability, SAMPLE_ALWAYS), actions };
}

function parseClone(p: OdpParse): OdpAction | null {
  const actions = parseList(p);
  return actions !== null && p.s.lit(")") ? { kind: "clone", actions } : null;
}

function parseBranch(p: OdpParse): OdpAction[] | null {
  if (p.s.rest().slice(0, 4).toLowerCase() === "drop") {
    p.s.pos += 4;
    return [];
  }
  return parseList(p);
}

function parseCheckPktLen(p: OdpParse, size: number): OdpAction | null {
  const greater = parseBranch(p);
  if (greater === null || !p.s.lit("),le(")) {
    return null;
  }
  const lessEqual = parseBranch(p);
  if (lessEqual === null || !p.s.lit("))")) {
    return null;
  }
  return { kind: "check_pkt_len", size: size & 0xffff, greater, lessEqual };
}

const NSH_BYTE_PARTS = [
  ["flags=", NSH_WORDS.flags],
  ["ttl=", NSH_WORDS.ttl],
  ["mdtype=", NSH_WORDS.mdtype],
  ["np=", NSH_WORDS.np],
] as const;

/** Metadata of type 2 as hex, padded to words. */
function parseMd2(s: TextScan): Uint8Array | null {
  const at = s.pos;
  const digits = s.lit("md2=0x") ? s.chars(HEX_DIGITS, NSH_MD2_DIGITS_MAX) : "";
  if (digits === "") {
    s.pos = at;
    return null;
  }
  const bytes = new Uint8Array((Math.floor(digits.length / 2) + 3) & ~3);
  for (let i = 0; i + 1 < digits.length; i += 2) {
    const [hi, lo] = [hexValue(digits.charCodeAt(i)), hexValue(digits.charCodeAt(i + 1))];
    bytes[i / 2] = (hi << 4) | lo;
  }
  return bytes;
}

function parsePushNsh(s: TextScan): OdpAction | null {
  const key = new Uint32Array(NSH_WORDS.c1 + 4);
  key[NSH_WORDS.ttl] = 63;
  key[NSH_WORDS.mdtype] = NSH_MD_TYPE1;
  key[NSH_WORDS.np] = 3; // Ethernet
  let spi = 0;
  let si = 255;
  let md2: Uint8Array | null = null;
  for (;;) {
    s.chars(ODP_DELIMITERS);
    if (s.lit(")")) {
      key[NSH_WORDS.path] = ((spi << 8) | si) >>> 0;
      return { kind: "push_nsh", key, md2: key[NSH_WORDS.mdtype] === NSH_MD_TYPE2 ? md2 : null };
    }
    const part = NSH_BYTE_PARTS.find(([name]) => scanFormat(s, [name, 0]) !== null);
    if (part !== undefined) {
      key[part[1]] = s.value & 0xff;
      if (
        part[1] === NSH_WORDS.mdtype &&
        key[NSH_WORDS.mdtype] !== 1 &&
        key[NSH_WORDS.mdtype] !== NSH_MD_TYPE2
      ) {
        return null;
      }
      continue;
    }
    if (scanFormat(s, ["spi=0x", 16]) !== null) {
      spi = s.value;
    } else if (scanFormat(s, ["si=", 0]) !== null) {
      si = s.value & 0xff;
    } else if (key[NSH_WORDS.mdtype] === NSH_MD_TYPE1) {
      const i = [1, 2, 3, 4].findIndex((n) => scanFormat(s, [`c${n}=0x`, 16]) !== null);
      if (i < 0) {
        return null;
      }
      key[NSH_WORDS.c1 + i] = u32(s.value);
    } else {
      md2 = parseMd2(s);
      if (md2 === null) {
        return null;
      }
    }
  }
}

function parseAddMpls(s: TextScan): OdpAction | null {
  const n = scanFormat(s, [
    "add_mpls(label=",
    0,
    ",tc=",
    10,
    ",ttl=",
    10,
    ",bos=",
    10,
    ",eth_type=0x",
    16,
    ")",
  ]);
  if (n === null) {
    return null;
  }
  const [label = 0, tc = 0, ttl = 0, bos = 0, ethType = 0] = n;
  return {
    kind: "add_mpls",
    lse: makeLse(label, tc, bos, ttl),
    ethType: ethType & 0xffff,
    tunFlags: 0,
  };
}

/** Actions that are a name and one number. */
function parseSimple(s: TextScan): OdpAction | null {
  const one = (name: string, base: 0 | 10): boolean => scanFormat(s, [name, base, ")"]) !== null;
  if (one("lb_output(", 10)) {
    return { kind: "lb_output", bondId: u32(s.value) };
  }
  if (one("trunc(", 0)) {
    return { kind: "trunc", maxLen: u32(s.value) };
  }
  if (one("recirc(", 10)) {
    return { kind: "recirc", recircId: u32(s.value) };
  }
  if (one("meter(", 0)) {
    return { kind: "meter", meterId: u32(s.value) };
  }
  if (one("tnl_pop(", 0)) {
    return { kind: "tnl_pop", port: u32(s.value) };
  }
  if (s.lit("pop_vlan")) {
    return { kind: "pop_vlan" };
  }
  if (s.lit("pop_nsh()")) {
    return { kind: "pop_nsh" };
  }
  return s.lit("ct_clear") ? { kind: "ct_clear" } : null;
}

function parsePortName(p: OdpParse): OdpAction | null {
  const at = p.s.pos;
  const port = p.names?.get(p.s.until(ODP_DELIMITERS));
  if (port === undefined) {
    p.s.pos = at;
    return null;
  }
  return { kind: "output", port };
}

function parseAction(p: OdpParse): OdpAction | null {
  const { s } = p;
  if (s.int(0)) {
    return { kind: "output", port: u32(s.value) };
  }
  const simple = parsePortName(p) ?? parseSimple(s);
  if (simple !== null) {
    return simple;
  }
  if (s.text.startsWith("userspace(", s.pos)) {
    return parseUserspace(s);
  }
  if (s.lit("set(")) {
    return parseSet(p);
  }
  if (s.text.startsWith("push_vlan(", s.pos)) {
    return parsePushVlan(s);
  }
  if (s.text.startsWith("sample(", s.pos)) {
    return parseSample(p);
  }
  if (s.lit("clone(")) {
    return parseClone(p);
  }
  if (s.lit("push_nsh(")) {
    return parsePushNsh(s);
  }
  const size = scanFormat(s, ["check_pkt_len(size=", 0, ",gt("]);
  if (size !== null) {
    return parseCheckPktLen(p, size[0] ?? 0);
  }
  if (s.lit("ct")) {
    return parseCt(s);
  }
  return parseAddMpls(s) ?? parseTnlPush(p);
}

/** One action at the position of the scanner, or null. */
function parseOdpAction(p: OdpParse): OdpAction | null {
  p.depth++;
  const a = p.depth === ODP_NESTED_MAX ? null : parseAction(p);
  p.depth--;
  return a;
}

/** Open vSwitch answers how far an action reached as if it were an error. */
function reachedText(bytes: number): string {
  return bytes === 1 ? "End of file" : `Unknown error -${bytes}`;
}

/** A list of actions; null for a mistake. */
export function parseOdpActions(text: string, names: PortNumbers): OdpAction[] | null {
  const actions = readOdpActions(text, names);
  return typeof actions === "string" ? null : actions;
}

/** A list of actions, or why it is none as commands say it. */
export function readOdpActions(text: string, names: PortNumbers): OdpAction[] | string {
  if (text.toLowerCase() === "drop") {
    return [{ kind: "drop", error: 0 }];
  }
  const p: OdpParse = { s: new TextScan(text), names, masked: false, depth: 0 };
  const out: OdpAction[] = [];
  for (;;) {
    p.s.chars(ODP_DELIMITERS);
    if (p.s.atEnd()) {
      return out;
    }
    const start = p.s.pos;
    const a = parseOdpAction(p);
    if (a === null) {
      return "Invalid argument";
    }
    if (!p.s.atEnd() && !ODP_DELIMITERS.includes(p.s.peek())) {
      return reachedText(p.s.pos - start);
    }
    out.push(a);
  }
}
