// Scanning texts: the key-value splitter of flow texts, a scanner like OVS's ovs_scan(), and
// hints for words that nobody knows.
//
// TextScan is one moving position over one text. Each method either consumes what it is named
// after and returns true, or leaves the position alone and returns false; what it read is in
// `value`, or `hi` and `lo`. Like ovs_scan() (ovs: lib/util.c), numbers may be preceded by white
// space and keep only the low bits of the type they are read into.

import {
  countCidrBits,
  isCidr,
  type Mac,
  parseIpv6,
  prefixMask32,
  putIpv6Prefix,
} from "./address.ts";
import { hexValue, isSpaceCode } from "./bytes.ts";
import { fail, ok, type Result } from "./errors.ts";

/** One piece of "a=b,c(d,e) f". */
export interface KeyValue {
  readonly key: string;
  /** Empty if there is none. */
  readonly value: string;
  /** Offsets of key and value in the text. */
  readonly keyOfs: number;
  readonly valueOfs: number;
  /** What ended the key: "=", ":", "(", or "" if no value follows. */
  readonly delim: string;
}

/**
 * Splits a text at commas and white space as Open vSwitch does (ovs: lib/ofp-parse.c
 * ofputil_parse_key_value): parentheses protect, and "k(v)->w" has the value "v)->w".
 */
export class KeyValueScan {
  readonly text: string;
  /** Where the next piece is looked for. */
  pos: number;

  constructor(text: string, pos = 0) {
    this.text = text;
    this.pos = pos;
  }

  next(): KeyValue | undefined {
    const t = this.text;
    let i = this.pos;
    while (isSeparator(t.charCodeAt(i))) {
      i++;
    }
    if (i >= t.length) {
      this.pos = i;
      return undefined;
    }
    const keyOfs = i;
    while (i < t.length && !isKeyEnd(t.charCodeAt(i))) {
      i++;
    }
    const key = t.slice(keyOfs, i);
    const delim = t.charAt(i);
    i += delim === "" ? 0 : 1;
    if (delim !== ":" && delim !== "=" && delim !== "(") {
      this.pos = i;
      return { key, value: "", keyOfs, valueOfs: keyOfs + key.length, delim: "" };
    }
    const valueOfs = i;
    i = valueEnd(t, i, delim === "(");
    if (delim === "(" && t.startsWith(")->", i)) {
      i = valueEnd(t, i, false);
    }
    this.pos = i < t.length ? i + 1 : i;
    return { key, value: t.slice(valueOfs, i), keyOfs, valueOfs, delim };
  }
}

/** All pieces of a text. */
export function splitKeyValues(text: string): KeyValue[] {
  const scan = new KeyValueScan(text);
  const out: KeyValue[] = [];
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    out.push(kv);
  }
  return out;
}

function isSeparator(c: number): boolean {
  return c === 44 || c === 32 || c === 9 || c === 10 || c === 13;
}

function isKeyEnd(c: number): boolean {
  return c === 58 || c === 61 || c === 40 || isSeparator(c);
}

/** End of a value: the first delimiter outside balanced parentheses. */
function valueEnd(t: string, from: number, inParens: boolean): number {
  let i = from;
  while (i < t.length) {
    const c = t.charCodeAt(i);
    if (inParens ? c === 41 : isSeparator(c)) {
      return i;
    }
    if (c !== 40) {
      i++;
      continue;
    }
    let level = 0;
    do {
      if (i >= t.length) {
        return i;
      }
      const p = t.charCodeAt(i);
      level += p === 40 ? 1 : p === 41 ? -1 : 0;
      i++;
    } while (level > 0);
  }
  return i;
}

export class TextScan {
  readonly text: string;
  pos: number;
  /** The last number read, possibly negative. */
  value = 0;
  /** The last MAC read. */
  hi = 0;
  lo = 0;

  constructor(text: string, pos = 0) {
    this.text = text;
    this.pos = pos;
  }

  atEnd(): boolean {
    return this.pos >= this.text.length;
  }

  rest(): string {
    return this.text.slice(this.pos);
  }

  peek(): string {
    return this.text.charAt(this.pos);
  }

  spaces(): true {
    while (isSpaceCode(this.text.charCodeAt(this.pos))) {
      this.pos++;
    }
    return true;
  }

  /** Exactly this text. */
  lit(s: string): boolean {
    if (!this.text.startsWith(s, this.pos)) {
      return false;
    }
    this.pos += s.length;
    return true;
  }

  /** The longest text of one to `max` of these characters, or "" (ovs_scan's %[…]). */
  chars(set: string, max = 0x7fffffff): string {
    const from = this.pos;
    let i = from;
    while (i < this.text.length && i - from < max && set.includes(this.text.charAt(i))) {
      i++;
    }
    this.pos = i;
    return this.text.slice(from, i);
  }

  /** The longest text of at most `max` characters without any of these. */
  until(stops: string, max = 0x7fffffff): string {
    const from = this.pos;
    let i = from;
    while (i < this.text.length && i - from < max && !stops.includes(this.text.charAt(i))) {
      i++;
    }
    this.pos = i;
    return this.text.slice(from, i);
  }

  /**
   * An integer into `value`. Base 10 is ovs_scan's %d and %u, 16 %x (0x allowed), 0 %i. The value
   * is exact to 2^53; callers cut it to the width they want. Of more only 32 bits are left.
   */
  int(base = 10): boolean {
    const t = this.text;
    const start = this.pos;
    this.spaces();
    let i = this.pos;
    this.pos = start;
    const negative = t.charCodeAt(i) === 45;
    if (negative || t.charCodeAt(i) === 43) {
      i++;
    }
    let radix = base;
    if ((base === 0 || base === 16) && t.charAt(i) === "0" && (t.charCodeAt(i + 1) | 32) === 120) {
      radix = 16;
      i += 2;
    } else if (base === 0) {
      radix = t.charAt(i) === "0" ? 8 : 10;
    }
    const first = i;
    let v = 0;
    let low = 0;
    for (;;) {
      const d = hexValue(t.charCodeAt(i));
      if (d < 0 || d >= radix) {
        break;
      }
      v = v * radix + d;
      low = (Math.imul(low, radix) + d) | 0;
      i++;
    }
    if (i === first) {
      return false;
    }
    v = Number.isSafeInteger(v) ? v : low >>> 0;
    this.value = negative ? -v : v;
    this.pos = i;
    return true;
  }

  /** Six hex numbers with colons (ovs: ETH_ADDR_SCAN_FMT) into `hi` and `lo`. */
  mac(): boolean {
    const start = this.pos;
    let hi = 0;
    let lo = 0;
    for (let i = 0; i < 6; i++) {
      if ((i > 0 && !this.lit(":")) || !this.int(16)) {
        this.pos = start;
        return false;
      }
      const v = this.value & 0xff;
      if (i < 2) {
        hi = (hi << 8) | v;
      } else {
        lo = (lo << 8) | v;
      }
    }
    this.hi = hi;
    this.lo = lo >>> 0;
    return true;
  }

  /** Four decimal numbers with dots (ovs: IP_SCAN_FMT) into `value`. */
  ipv4(): boolean {
    const start = this.pos;
    let ip = 0;
    for (let i = 0; i < 4; i++) {
      if ((i > 0 && !this.lit(".")) || !this.int(10)) {
        this.pos = start;
        return false;
      }
      ip = (ip << 8) | (this.value & 0xff);
    }
    this.value = ip >>> 0;
    return true;
  }

  /** Address and optional mask or prefix length (ovs: ip_parse_masked_len). */
  ipv4Masked(): Result<Ipv4Masked> {
    if (!this.ipv4()) {
      return fail(`${this.text}: invalid IP address`, this.text, this.pos);
    }
    const ip = this.value;
    const afterIp = this.pos;
    if (this.lit("/")) {
      if (this.ipv4()) {
        return ok({ ip, mask: this.value });
      }
      if (this.int(10)) {
        if (this.value < 0 || this.value > 32) {
          const text = `${this.text}: IPv4 network prefix bits not between 0 and 32, inclusive`;
          return fail(text, this.text, afterIp);
        }
        return ok({ ip, mask: prefixMask32(this.value) });
      }
      this.pos = afterIp;
    }
    return ok({ ip, mask: 0xffffffff });
  }

  /** An IPv6 address into four words (ovs: IPV6_SCAN_FMT and inet_pton). */
  ipv6(out: Uint32Array, at = 0): boolean {
    const start = this.pos;
    const word = this.chars(IPV6_CHARS, IPV6_SCAN_LEN);
    if (word !== "" && parseIpv6(word, out, at)) {
      return true;
    }
    this.pos = start;
    return false;
  }

  /** Address and optional mask or prefix length (ovs: ipv6_parse_masked_len). */
  ipv6Masked(ip: Uint32Array, ipAt: number, mask: Uint32Array, maskAt: number): Result<true> {
    const start = this.pos;
    this.spaces();
    if (!this.ipv6(ip, ipAt)) {
      this.pos = start;
      return fail(`${this.text}: invalid IPv6 address`, this.text, start);
    }
    const afterIp = this.pos;
    if (this.lit("/")) {
      const maskStart = this.pos;
      // "%d" matches the leading digits of a mask such as "1::" too; OVS then stops there.
      if (this.int(10)) {
        if (this.value < 0 || this.value > 128) {
          const text = `${this.text}: IPv6 network prefix bits not between 0 and 128, inclusive`;
          return fail(text, this.text, afterIp);
        }
        putIpv6Prefix(this.value, mask, maskAt);
        return ok(true);
      }
      const word = this.chars(IPV6_CHARS, IPV6_SCAN_LEN);
      if (word !== "") {
        return parseIpv6(word, mask, maskAt)
          ? ok(true)
          : fail(`${this.text}: Invalid IPv6 mask`, this.text, maskStart);
      }
      this.pos = afterIp;
    }
    mask.fill(0xffffffff, maskAt, maskAt + 4);
    return ok(true);
  }
}

const IPV6_CHARS = "0123456789abcdefABCDEF:.";
/** ovs: lib/packets.h IPV6_SCAN_LEN. */
const IPV6_SCAN_LEN = 46;

/** Longest word for which a near match is looked for. */
export const HINT_WORD_MAX = 64;

/** The candidate nearest to a word that is not known, if any is near enough to be meant. */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > HINT_WORD_MAX) {
    return undefined;
  }
  let best: string | undefined;
  // A third of the word may be wrong, but at least one letter.
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const c of candidates) {
    if (Math.abs(c.length - word.length) < bestDistance) {
      const d = editDistance(word, c);
      if (d < bestDistance) {
        best = c;
        bestDistance = d;
      }
    }
  }
  return best;
}

/** Number of insertions, deletions, replacements and swaps of neighbours between two words. */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const d = new Uint16Array((a.length + 1) * width);
  for (let i = 0; i <= a.length; i++) {
    for (let j = 0; j <= b.length; j++) {
      const at = i * width + j;
      if (i === 0 || j === 0) {
        d[at] = i + j;
        continue;
      }
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      const replaced = (d[at - width - 1] as number) + (same ? 0 : 1);
      const moved = Math.min(d[at - width] as number, d[at - 1] as number) + 1;
      d[at] = Math.min(replaced, moved);
      if (
        i > 1 &&
        j > 1 &&
        a.charCodeAt(i - 1) === b.charCodeAt(j - 2) &&
        a.charCodeAt(i - 2) === b.charCodeAt(j - 1)
      ) {
        d[at] = Math.min(d[at] as number, (d[at - 2 * width - 2] as number) + 1);
      }
    }
  }
  return d[d.length - 1] as number;
}

/** A whole text (ovs: eth_addr_from_string). */
export function parseMac(text: string): Mac | undefined {
  const s = new TextScan(text);
  return s.mac() && s.atEnd() ? { hi: s.hi, lo: s.lo } : undefined;
}

export interface Ipv4Masked {
  readonly ip: number;
  readonly mask: number;
}

/** Address with optional mask or prefix length, whole text (ovs: ip_parse_masked). */
export function parseIpv4Masked(text: string): Result<Ipv4Masked> {
  const s = new TextScan(text);
  const r = s.ipv4Masked();
  if (!r.ok) {
    return r;
  }
  return s.atEnd() ? r : fail(`${text}: invalid IP address`, text, s.pos);
}

/** Address with a prefix length, 32 if none is given (ovs: ip_parse_cidr). */
export function parseIpv4Cidr(text: string): Result<{ ip: number; prefixBits: number }> {
  const r = parseIpv4Masked(text);
  if (!r.ok) {
    return r;
  }
  if (!isCidr(r.value.mask)) {
    return fail(`${text}: CIDR network required`, text);
  }
  return ok({ ip: r.value.ip, prefixBits: countCidrBits(r.value.mask) });
}

/** Address with optional mask or prefix length, whole text (ovs: ipv6_parse_masked). */
export function parseIpv6Masked(text: string, ip: Uint32Array, mask: Uint32Array): Result<true> {
  const s = new TextScan(text);
  const r = s.ipv6Masked(ip, 0, mask, 0);
  if (!r.ok) {
    return r;
  }
  return s.atEnd() ? r : fail(`${text}: invalid IPv6 address`, text, s.pos);
}
