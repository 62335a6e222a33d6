// The row of the action table for NAT, which stands inside ct(): ranges of addresses and ports.
//
// ovs: lib/ofp-actions.c parse_NAT, str_to_nat_range, format_NAT, decode_NXAST_RAW_NAT.

import { isIpAny, getDlType } from "../../flow/flow-is.ts";
import { ETH_TYPE } from "../../flow/vlan-mpls.ts";
import { formatIpv4, formatIpv6, parseIpv6 } from "../../lib/address.ts";
import type { Writer } from "../../lib/bytes.ts";
import { KeyValueScan, TextScan } from "../../lib/scan.ts";
import { chompComma } from "./text.ts";
import {
  type ActionDef,
  type ActionOf,
  NX_NAT_F,
  type NatRange,
  type ParseContext,
  type ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

type Nat = ActionOf<"nat">;
type Range = { -readonly [M in keyof NatRange]: NatRange[M] };

const NO_ADDRESS = new Uint32Array(4);
const IPV6_CHARS = "0123456789abcdefABCDEF:.";
const IPV6_SCAN_LEN = 46;
/** Which parts of the range follow the fixed part of nat, in this order. */
const RANGE = {
  IPV4_MIN: 1,
  IPV4_MAX: 2,
  IPV6_MIN: 4,
  IPV6_MAX: 8,
  PROTO_MIN: 16,
  PROTO_MAX: 32,
} as const;

function noNatRange(): Range {
  return { family: 0, addrMin: NO_ADDRESS, addrMax: NO_ADDRESS, protoMin: 0, protoMax: 0 };
}

function isZeroAddress(a: Uint32Array): boolean {
  return a.every((w) => w === 0);
}

function compareAddress(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < a.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) {
      return d;
    }
  }
  return 0;
}

/**
 * An IPv4 address, or an IPv6 one perhaps in brackets; null if there is neither. A word that only
 * looks like IPv6 is passed over all the same, as Open vSwitch does.
 */
function scanAddress(s: TextScan, family: 0 | 4 | 6): Uint32Array | null {
  if (family !== 6 && s.ipv4()) {
    return Uint32Array.of(s.value);
  }
  if (family === 4) {
    return null;
  }
  const start = s.pos;
  let word = s.chars(IPV6_CHARS, IPV6_SCAN_LEN);
  if (word === "" && s.lit("[")) {
    word = s.chars(IPV6_CHARS, IPV6_SCAN_LEN);
    if (word === "" || !s.lit("]")) {
      s.pos = start;
      return null;
    }
  }
  const words = new Uint32Array(4);
  return parseIpv6(word, words) ? words : null;
}

/** "10.0.0.1-10.0.0.9:1000-2000", "[fe80::1]:80" (ovs: str_to_nat_range). */
function parseNatRange(text: string): Range | string {
  const invalid = `invalid nat range "${text}"`;
  const r = noNatRange();
  const s = new TextScan(text);
  const min = scanAddress(s, 0);
  if (min !== null) {
    r.family = min.length === 1 ? 4 : 6;
    r.addrMin = min;
    r.addrMax = new Uint32Array(min.length);
    if (s.lit("-")) {
      const max = scanAddress(s, r.family);
      if (max === null || compareAddress(max, min) < 0) {
        return invalid;
      }
      r.addrMax = max;
    }
    if (s.lit(":")) {
      if (!s.int(10)) {
        return invalid;
      }
      r.protoMin = s.value & 0xffff;
      if (s.lit("-")) {
        if (!s.int(10) || (s.value & 0xffff) < r.protoMin) {
          return invalid;
        }
        r.protoMax = s.value & 0xffff;
      }
    }
  }
  return s.atEnd() ? r : `garbage (${s.rest()}) after nat range "${text}" (pos: ${s.pos})`;
}

const NAT_FLAG_NAMES: Readonly<Record<string, number>> = {
  persistent: NX_NAT_F.PERSISTENT,
  hash: NX_NAT_F.PROTO_HASH,
  random: NX_NAT_F.PROTO_RANDOM,
};

export function parseNat(arg: string, pp: ParseContext): ParseOutcome {
  let flags = 0;
  let range = noNatRange();
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const flag = NAT_FLAG_NAMES[kv.key];
    if (flag !== undefined) {
      flags |= flag;
    } else if (kv.key === "src" || kv.key === "dst") {
      flags |= kv.key === "src" ? NX_NAT_F.SRC : NX_NAT_F.DST;
      const r = parseNatRange(kv.value);
      if (typeof r === "string") {
        return r;
      }
      range = r;
    } else {
      return `invalid key "${kv.key}" in "nat" argument`;
    }
  }
  const direction = flags & (NX_NAT_F.SRC | NX_NAT_F.DST);
  if (direction === (NX_NAT_F.SRC | NX_NAT_F.DST)) {
    return 'May only specify one of "src" or "dst".';
  }
  if (direction === 0 && flags !== 0) {
    return 'Flags allowed only with "src" or "dst".';
  }
  if ((flags & NX_NAT_F.PROTO_HASH) !== 0 && (flags & NX_NAT_F.PROTO_RANDOM) !== 0) {
    return 'Both "hash" and "random" are not allowed.';
  }
  pp.out.push({ kind: "nat", flags, range });
  return null;
}

export function formatNat(a: Nat): string {
  if ((a.flags & (NX_NAT_F.SRC | NX_NAT_F.DST)) === 0) {
    return "nat";
  }
  let s = `nat(${(a.flags & NX_NAT_F.SRC) !== 0 ? "src" : "dst"}`;
  if (a.range.family !== 0) {
    s += `=${formatNatRange(a.range)},`;
    s += (a.flags & NX_NAT_F.PERSISTENT) !== 0 ? "persistent," : "";
    s += (a.flags & NX_NAT_F.PROTO_HASH) !== 0 ? "hash," : "";
    s += (a.flags & NX_NAT_F.PROTO_RANDOM) !== 0 ? "random," : "";
  }
  return `${chompComma(s)})`;
}

function formatNatRange(r: NatRange): string {
  const address = (w: Uint32Array) => {
    if (r.family === 4) {
      return formatIpv4(w[0] ?? 0);
    }
    return r.protoMin !== 0 ? `[${formatIpv6(w)}]` : formatIpv6(w);
  };
  let s = address(r.addrMin);
  if (!isZeroAddress(r.addrMax) && compareAddress(r.addrMax, r.addrMin) !== 0) {
    s += `-${address(r.addrMax)}`;
  }
  if (r.protoMin !== 0) {
    s += `:${r.protoMin}`;
    if (r.protoMax !== 0 && r.protoMax !== r.protoMin) {
      s += `-${r.protoMax}`;
    }
  }
  return s;
}

/** Layout of nat: byte offsets. */
const NAN = { FLAGS: 12, RANGE_PRESENT: 14, RANGE: 16 } as const;

function putAddress(out: Writer, address: Uint32Array, bit: number): number {
  if (isZeroAddress(address)) {
    return 0;
  }
  for (const w of address) {
    out.u32(w);
  }
  return bit;
}

function putPort(out: Writer, port: number, bit: number): number {
  if (port === 0) {
    return 0;
  }
  out.u16(port);
  return bit;
}

/** Reads the parts of a range, one after the other. */
class RangeReader {
  private readonly raw: RawView;
  private ofs: number = NAN.RANGE;

  constructor(raw: RawView) {
    this.raw = raw;
  }

  address(words: number): Uint32Array | null {
    const at = this.take(words * 4);
    return at < 0 ? null : Uint32Array.from({ length: words }, (_, i) => this.raw.u32(at + 4 * i));
  }

  /** -1 if nothing is left. */
  port(): number {
    const at = this.take(2);
    return at < 0 ? -1 : this.raw.u16(at);
  }

  private take(bytes: number): number {
    const at = this.ofs;
    if (at + bytes > this.raw.length) {
      return -1;
    }
    this.ofs += bytes;
    return at;
  }
}

/** Null if the range is not as it must be. */
function decodeNatRange(raw: RawView): Range | null {
  const present = raw.u16(NAN.RANGE_PRESENT);
  const reader = new RangeReader(raw);
  const r = noNatRange();
  const v4 = (present & RANGE.IPV4_MIN) !== 0;
  const v6 = !v4 && (present & RANGE.IPV6_MIN) !== 0;
  // A maximum needs a minimum, and addresses of one range are of one family.
  const wrong = v4 ? RANGE.IPV6_MIN | RANGE.IPV6_MAX : RANGE.IPV4_MAX | (v6 ? 0 : RANGE.IPV6_MAX);
  if ((present & wrong) !== 0) {
    return null;
  }
  if (v4 || v6) {
    r.family = v4 ? 4 : 6;
    const words = v4 ? 1 : 4;
    const min = reader.address(words);
    if (min === null || isZeroAddress(min)) {
      return null;
    }
    r.addrMin = min;
    r.addrMax = new Uint32Array(words);
    if ((present & (v4 ? RANGE.IPV4_MAX : RANGE.IPV6_MAX)) !== 0) {
      const max = reader.address(words);
      if (max === null || compareAddress(max, min) < 0) {
        return null;
      }
      r.addrMax = max;
    }
  }
  return decodeNatPorts(present, reader, r) ? r : null;
}

function decodeNatPorts(present: number, reader: RangeReader, r: Range): boolean {
  if ((present & RANGE.PROTO_MIN) === 0) {
    return (present & RANGE.PROTO_MAX) === 0;
  }
  const min = r.family === 0 ? -1 : reader.port();
  if (min <= 0) {
    return false;
  }
  r.protoMin = min;
  if ((present & RANGE.PROTO_MAX) !== 0) {
    r.protoMax = reader.port();
    return r.protoMax >= min;
  }
  return true;
}

const NAT_FLAGS_MASK = 0x1f;

function natFlagsOk(flags: number): boolean {
  const both = (a: number, b: number) => (flags & a) !== 0 && (flags & b) !== 0;
  return (
    (flags & ~NAT_FLAGS_MASK) === 0 &&
    !both(NX_NAT_F.SRC, NX_NAT_F.DST) &&
    !both(NX_NAT_F.PROTO_HASH, NX_NAT_F.PROTO_RANDOM)
  );
}

export const nat: ActionDef<"nat"> = {
  kind: "nat",
  name: "nat",
  parsers: { nat: parseNat },
  format: formatNat,
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_nat", version);
    const { range } = a;
    let present = 0;
    if (range.family !== 0) {
      const v4 = range.family === 4;
      present |= putAddress(out, range.addrMin, v4 ? RANGE.IPV4_MIN : RANGE.IPV6_MIN);
      present |= putAddress(out, range.addrMax, v4 ? RANGE.IPV4_MAX : RANGE.IPV6_MAX);
      present |= putPort(out, range.protoMin, RANGE.PROTO_MIN);
      present |= putPort(out, range.protoMax, RANGE.PROTO_MAX);
    }
    padAction(out, start);
    out.patchU16(start + NAN.FLAGS, a.flags);
    out.patchU16(start + NAN.RANGE_PRESENT, present);
  },
  decoders: {
    nx_nat: (raw, dc) => {
      const flags = raw.u16(NAN.FLAGS);
      const range = natFlagsOk(flags) ? decodeNatRange(raw) : null;
      if (range === null) {
        return "OFPBAC_BAD_ARGUMENT";
      }
      dc.out.push({ kind: "nat", flags, range });
      return null;
    },
  },
  check: (a, cc) => {
    const { flow } = cc.match;
    const { family } = a.range;
    const dlType = getDlType(flow);
    const bad =
      !isIpAny(flow) ||
      (family === 4 && dlType !== ETH_TYPE.IP) ||
      (family === 6 && dlType !== ETH_TYPE.IPV6);
    return bad ? "OFPBAC_MATCH_INCONSISTENT" : null;
  },
  setClass: null,
  doc: "Within ct: translates addresses and ports, or as plain nat applies an existing translation.",
};
