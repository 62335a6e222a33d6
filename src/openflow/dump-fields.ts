// The common forms of field values in flow dumps, read in place: numbers, addresses, masks.
//
// Each reader looks at a part of a line without cutting it out, writes into a match and says whether
// it could; whatever it does not know, or finds wrong, is left to mfParse(), which knows everything.
// So these only need to be right about what they accept: the same result as matchSetField().

import type { Field } from "../flow/fields.ts";
import { setDlVlan } from "../flow/field-value.ts";
import { VLAN } from "../flow/flow-is.ts";
import { get, K, set } from "../flow/flow-key.ts";
import { type Match, matchSlot } from "../flow/match.ts";
import type { Protocols } from "../flow/of-version.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { prefixMask32 } from "../lib/address.ts";
import { hexValue } from "../lib/bytes.ts";

/** What stands between keys: comma and white space. */
export function isSeparator(code: number): boolean {
  return code === 44 || code === 32 || code === 9 || code === 10 || code === 13;
}

function isPlain(code: number): boolean {
  return (code >= 48 && code <= 57) || code === 46 || (code >= 97 && code <= 122);
}

/** A position in a line that moves along as something is read. */
export class LineCursor {
  text = "";
  pos = 0;
  /** Where the keys of the line end. */
  end = 0;
  /** Whether "=" stood in front of `pos`. */
  hasValue = false;
  /** What the last reader found; of 48 and 64 bits the upper part is in `hi`. */
  value = 0;
  hi = 0;

  /** Whether a value ends here: at the end, a comma or a blank. */
  atEnd(): boolean {
    return this.pos >= this.end || isSeparator(this.text.charCodeAt(this.pos));
  }

  /** Moves on over digits, dots and letters. */
  plainToEnd(): void {
    while (this.pos < this.end && isPlain(this.text.charCodeAt(this.pos))) {
      this.pos++;
    }
  }

  skip(code: number): boolean {
    if (this.pos < this.end && this.text.charCodeAt(this.pos) === code) {
      this.pos++;
      return true;
    }
    return false;
  }

  /** Decimal without leading zero or sign, up to 15 digits. */
  decimal(): boolean {
    const start = this.pos;
    let n = 0;
    while (this.pos < this.end) {
      const d = this.text.charCodeAt(this.pos) - 48;
      if (d < 0 || d > 9) {
        break;
      }
      n = n * 10 + d;
      this.pos++;
    }
    const digits = this.pos - start;
    this.value = n;
    const leadingZero = digits > 1 && this.text.charCodeAt(start) === 48;
    return digits > 0 && digits < 16 && !leadingZero;
  }

  /** "0x" and up to 16 hex digits into `hi` and `value` (32 bits each). */
  hex(): boolean {
    const t = this.text;
    if (t.charCodeAt(this.pos) !== 48 || (t.charCodeAt(this.pos + 1) | 32) !== 120) {
      return false;
    }
    this.pos += 2;
    let hi = 0;
    let lo = 0;
    const start = this.pos;
    while (this.pos < this.end) {
      const d = hexValue(t.charCodeAt(this.pos));
      if (d < 0) {
        break;
      }
      hi = (hi << 4) | (lo >>> 28);
      lo = (lo << 4) | d;
      this.pos++;
    }
    this.hi = hi >>> 0;
    this.value = lo >>> 0;
    const digits = this.pos - start;
    return digits > 0 && digits <= 16;
  }

  /** A number of at most 32 bits in either form. */
  number32(): boolean {
    const c = this.text.charCodeAt(this.pos + 1) | 32;
    if (this.text.charCodeAt(this.pos) === 48 && c === 120 && this.pos + 1 < this.end) {
      return this.hex() && this.hi === 0;
    }
    return this.decimal() && this.value <= 0xffffffff;
  }

  ipv4(): boolean {
    let ip = 0;
    for (let i = 0; i < 4; i++) {
      if ((i > 0 && !this.skip(46)) || !this.decimal() || this.value > 255) {
        return false;
      }
      ip = (ip << 8) | this.value;
    }
    this.value = ip >>> 0;
    return true;
  }

  /** Six groups of two hex digits. */
  mac(): boolean {
    let hi = 0;
    let lo = 0;
    for (let i = 0; i < 6; i++) {
      if (i > 0 && !this.skip(58)) {
        return false;
      }
      const a = hexValue(this.text.charCodeAt(this.pos));
      const b = hexValue(this.text.charCodeAt(this.pos + 1));
      if (a < 0 || b < 0 || this.pos + 2 > this.end) {
        return false;
      }
      this.pos += 2;
      if (i < 2) {
        hi = (hi << 8) | (a << 4) | b;
      } else {
        lo = (lo << 8) | (a << 4) | b;
      }
    }
    this.hi = hi;
    this.value = lo >>> 0;
    return true;
  }
}

/** The answer of a reader that leaves the value to others. */
export const NOT_FAST = -1;

const SLASH = 47;
/** All bits of the first word of an Ethernet address. */
const MAC_HI_MAX = 0xffff;
/** Fields of one word whose slot is shared, or whose setters do more than set. */
const SLOW_SLOTS = new Set([
  "vlan_tci",
  "mpls_lse",
  "nw_tos",
  "nsh_path_hdr",
  "tun_flags",
  "tun_erspan_ver",
  "tun_erspan_dir",
  "tun_erspan_hwid",
  "tun_gtpu_flags",
  "tun_gtpu_msgtype",
]);

type Reader = (field: Field, c: LineCursor, m: Match) => Protocols | typeof NOT_FAST;

/** The reader for a field, if it has one. */
export function fastReader(field: Field): Reader | undefined {
  if (field.name === "dl_vlan") {
    return readDlVlan;
  }
  if (SLOW_SLOTS.has(field.slot.name) || field.tunMetadata >= 0) {
    return undefined;
  }
  switch (field.format) {
    case "decimal":
    case "hex":
      return field.words === 1 ? readNumber : field.words === 2 ? readWide : undefined;
    case "ipv4":
      return readIpv4;
    case "ethernet":
      return readMac;
    case "port":
      return readPort;
    default:
      return undefined;
  }
}

function readNumber(field: Field, c: LineCursor, m: Match): number {
  const max = 2 ** (8 * field.bytes) - 1;
  if (!c.number32() || c.value > max) {
    return NOT_FAST;
  }
  const value = c.value;
  if (c.atEnd()) {
    matchSlot(m, field.slot, value);
    return field.usableExact;
  }
  if (!field.maskable || field.name === "ipv6_label" || !c.skip(SLASH) || !c.number32()) {
    return NOT_FAST;
  }
  const mask = c.value;
  if (!c.atEnd() || mask > max || mask === 0) {
    return NOT_FAST;
  }
  if (mask === max) {
    matchSlot(m, field.slot, value);
    return field.usableExact;
  }
  matchSlot(m, field.slot, value, mask);
  return masked(field, mask);
}

/** The protocols of a partial mask (ovs: end of mf_set). */
function masked(field: Field, firstWord: number): Protocols {
  const inverse = ~firstWord >>> 0;
  const cidr = (inverse & (inverse + 1)) === 0;
  return cidr || field.usableBitwise === field.usableCidr ? field.usableCidr : field.usableBitwise;
}

const readWide: Reader = (field, c, m) => readPair(field, c, m, 0xffffffff);
const readMac: Reader = (field, c, m) => readPair(field, c, m, MAC_HI_MAX);

/** Two words, `hiMax` being all of the first, and perhaps a mask of the same form. */
function readPair(field: Field, c: LineCursor, m: Match, hiMax: number): number {
  const w = field.slot.word;
  const isMac = hiMax === MAC_HI_MAX;
  if (!(isMac ? c.mac() : c.hex())) {
    return NOT_FAST;
  }
  const { hi, value } = c;
  let maskHi = hiMax;
  let maskLo = 0xffffffff;
  if (!c.atEnd()) {
    if (!c.skip(SLASH) || !(isMac ? c.mac() : c.hex()) || !c.atEnd() || (c.hi | c.value) === 0) {
      return NOT_FAST;
    }
    maskHi = c.hi;
    maskLo = c.value;
  }
  m.flow[w] = hi & maskHi;
  m.flow[w + 1] = value & maskLo;
  m.wc[w] = maskHi;
  m.wc[w + 1] = maskLo;
  return maskHi === hiMax && maskLo === 0xffffffff ? field.usableExact : masked(field, maskHi);
}

function readIpv4(field: Field, c: LineCursor, m: Match): number {
  const w = field.slot.word;
  if (!c.ipv4()) {
    return NOT_FAST;
  }
  const ip = c.value;
  let mask = 0xffffffff;
  if (!c.atEnd()) {
    if (!c.skip(SLASH)) {
      return NOT_FAST;
    }
    const start = c.pos;
    if (c.decimal() && c.atEnd() && c.value <= 32) {
      mask = prefixMask32(c.value);
    } else {
      c.pos = start;
      if (!c.ipv4() || !c.atEnd()) {
        return NOT_FAST;
      }
      mask = c.value;
    }
    if (mask === 0) {
      return NOT_FAST;
    }
  }
  m.flow[w] = ip & mask;
  m.wc[w] = mask;
  return mask === 0xffffffff ? field.usableExact : masked(field, mask);
}

function readPort(field: Field, c: LineCursor, m: Match): number {
  if (!c.decimal() || !c.atEnd() || c.value >= OFPP.MAX) {
    return NOT_FAST;
  }
  set(m.flow, field.slot, c.value);
  set(m.wc, field.slot, 0xffff);
  return field.usableExact;
}

function readDlVlan(field: Field, c: LineCursor, m: Match): number {
  if (!c.decimal() || !c.atEnd() || c.value > VLAN.VID_MASK) {
    return NOT_FAST;
  }
  setDlVlan(m.flow, c.value);
  set(m.wc, K.vlan_tci, get(m.wc, K.vlan_tci) | VLAN.VID_MASK | VLAN.CFI);
  return field.usableExact;
}
