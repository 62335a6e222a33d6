// Addresses: MAC, IPv4 and IPv6 between text and host-order words.
//
// A MAC is two words [upper 16 bits, lower 32 bits], an IPv4 address one number, an IPv6 address
// four words, most significant first. Parsers of whole texts follow inet_pton(), formatters
// inet_ntop() and ovs: lib/packets.c; the more lenient scanners of flow texts are in scan.ts.

import { hex2, hexValue } from "./bytes.ts";

export interface Mac {
  readonly hi: number;
  readonly lo: number;
}

/** xx:xx:xx:xx:xx:xx */
export function formatMac(hi: number, lo: number): string {
  return (
    `${hex2(hi >>> 8)}:${hex2(hi)}:${hex2(lo >>> 24)}:` +
    `${hex2(lo >>> 16)}:${hex2(lo >>> 8)}:${hex2(lo)}`
  );
}

/** Address and, unless it is exact, "/" and the mask (ovs: eth_format_masked). */
export function formatMacMasked(hi: number, lo: number, maskHi: number, maskLo: number): string {
  const exact = (maskHi & 0xffff) === 0xffff && maskLo >>> 0 === 0xffffffff;
  return exact ? formatMac(hi, lo) : `${formatMac(hi, lo)}/${formatMac(maskHi, maskLo)}`;
}

export function formatIpv4(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** Address, then nothing, /bits or /mask (ovs: ip_format_masked). */
export function formatIpv4Masked(ip: number, mask: number): string {
  const m = mask >>> 0;
  if (m === 0xffffffff) {
    return formatIpv4(ip);
  }
  return `${formatIpv4(ip)}/${isCidr(m) ? countCidrBits(m) : formatIpv4(m)}`;
}

/** True for masks of the form 1…10…0, both 0 and all ones included (ovs: ip_is_cidr). */
export function isCidr(mask: number): boolean {
  const inverted = ~mask >>> 0;
  return (inverted & (inverted + 1)) === 0;
}

/** Number of leading ones of a CIDR mask. */
export function countCidrBits(mask: number): number {
  return mask === 0 ? 0 : 32 - (31 - Math.clz32(mask & -mask));
}

export function prefixMask32(bits: number): number {
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

/** Four decimal numbers without leading zeros (inet_pton), or undefined. */
export function parseIpv4(text: string): number | undefined {
  return parseIpv4At(text, 0, text.length);
}

function parseIpv4At(text: string, start: number, end: number): number | undefined {
  let ip = 0;
  let i = start;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && text.charCodeAt(i++) !== 46) {
      return undefined;
    }
    let v = 0;
    const first = i;
    while (i < end) {
      const d = text.charCodeAt(i) - 48;
      if (d < 0 || d > 9) {
        break;
      }
      if (i > first && v === 0) {
        return undefined;
      }
      v = v * 10 + d;
      if (v > 255) {
        return undefined;
      }
      i++;
    }
    if (i === first) {
      return undefined;
    }
    ip = ((ip << 8) | v) >>> 0;
  }
  return i === end ? ip : undefined;
}

/** Reads the whole text as inet_pton(AF_INET6) does into four words at `out[at]`. */
export function parseIpv6(text: string, out: Uint32Array, at = 0): boolean {
  const groups = new Uint16Array(8);
  let n = 0;
  let gap = -1;
  let i = 0;
  const end = text.length;
  if (text.charCodeAt(0) === 58) {
    if (text.charCodeAt(1) !== 58) {
      return false;
    }
    i = 1;
  }
  let start = i;
  let digits = 0;
  let value = 0;
  while (i < end) {
    const code = text.charCodeAt(i++);
    const d = hexValue(code);
    if (d >= 0) {
      if (digits === 4) {
        return false;
      }
      value = (value << 4) | d;
      digits++;
    } else if (code === 58) {
      start = i;
      if (digits === 0) {
        if (gap >= 0) {
          return false;
        }
        gap = n;
      } else {
        if (i === end || n === 8) {
          return false;
        }
        groups[n++] = value;
        digits = 0;
        value = 0;
      }
    } else if (code === 46 && n <= 6) {
      const ip = parseIpv4At(text, start, end);
      if (ip === undefined) {
        return false;
      }
      groups[n++] = ip >>> 16;
      groups[n++] = ip & 0xffff;
      digits = 0;
      i = end;
    } else {
      return false;
    }
  }
  if (digits > 0) {
    if (n === 8) {
      return false;
    }
    groups[n++] = value;
  }
  return placeGroups(groups, n, gap, out, at);
}

/** Moves the groups behind the "::" to the end. */
function placeGroups(
  groups: Uint16Array,
  count: number,
  gap: number,
  out: Uint32Array,
  at: number,
): boolean {
  let n = count;
  if (gap >= 0) {
    if (n === 8) {
      return false;
    }
    groups.copyWithin(8 - (n - gap), gap, n);
    groups.fill(0, gap, gap + 8 - n);
    n = 8;
  }
  if (n !== 8) {
    return false;
  }
  for (let w = 0; w < 4; w++) {
    out[at + w] = ((groups[2 * w] as number) << 16) | (groups[2 * w + 1] as number);
  }
  return true;
}

/** What inet_ntop(AF_INET6) prints for four words at `w[at]`. */
export function formatIpv6(w: ArrayLike<number>, at = 0): string {
  let best = -1;
  let bestLen = 1; // A run of one group is not shortened.
  let run = 0;
  for (let g = 0; g <= 8; g++) {
    if (g < 8 && group(w, at, g) === 0) {
      run++;
      continue;
    }
    if (run > bestLen) {
      best = g - run;
      bestLen = run;
    }
    run = 0;
  }
  const v4 = best === 0 && (bestLen === 6 || (bestLen === 5 && group(w, at, 5) === 0xffff));
  let s = "";
  for (let g = 0; g < 8; g++) {
    if (best >= 0 && g >= best && g < best + bestLen) {
      s += g === best ? ":" : "";
      continue;
    }
    s += g > 0 ? ":" : "";
    if (g === 6 && v4) {
      return s + formatIpv4(w[at + 3] as number);
    }
    s += group(w, at, g).toString(16);
  }
  return best >= 0 && best + bestLen === 8 ? `${s}:` : s;
}

function group(w: ArrayLike<number>, at: number, g: number): number {
  const word = w[at + (g >> 1)] as number;
  return (g & 1) === 0 ? word >>> 16 : word & 0xffff;
}

/** Dotted decimal for an IPv4-mapped address (ovs: ipv6_format_mapped). */
export function formatIpv6Mapped(w: ArrayLike<number>, at = 0): string {
  return isMappedIpv4(w, at) ? formatIpv4(w[at + 3] as number) : formatIpv6(w, at);
}

/** ::ffff:a.b.c.d */
export function isMappedIpv4(w: ArrayLike<number>, at = 0): boolean {
  return w[at] === 0 && w[at + 1] === 0 && w[at + 2] === 0xffff;
}

/** Address, then nothing, /bits or /mask (ovs: ipv6_format_masked). */
export function formatIpv6Masked(
  w: ArrayLike<number>,
  mask: ArrayLike<number>,
  at = 0,
  maskAt = at,
): string {
  const bits = ipv6PrefixBits(mask, maskAt);
  if (bits === 128) {
    return formatIpv6(w, at);
  }
  return `${formatIpv6(w, at)}/${bits >= 0 ? bits : formatIpv6(mask, maskAt)}`;
}

/** Leading ones of a mask of the form 1…10…0, or -1 (ovs: ipv6_is_cidr, ipv6_count_cidr_bits). */
export function ipv6PrefixBits(mask: ArrayLike<number>, at = 0): number {
  let bits = 0;
  for (let i = 0; i < 4; i++) {
    const m = (mask[at + i] as number) >>> 0;
    if (!isCidr(m) || (m !== 0 && bits !== 32 * i)) {
      return -1;
    }
    bits += countCidrBits(m);
  }
  return bits;
}

/** Writes a mask of `bits` leading ones (ovs: ipv6_create_mask). */
export function putIpv6Prefix(bits: number, out: Uint32Array, at = 0): void {
  for (let i = 0; i < 4; i++) {
    out[at + i] = prefixMask32(Math.min(32, Math.max(0, bits - 32 * i)));
  }
}
