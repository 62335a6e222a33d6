// `tnl_push(...)` read from text. ERSPAN and GTP-U headers cannot be read back, in Open vSwitch
// neither.
// ovs: lib/odp-util.c ovs_parse_tnl_push.

import { putU16, putU32 } from "../lib/bytes.ts";
import { csum } from "../lib/checksum.ts";
import type { TextScan } from "../lib/scan.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { type OdpAction, VPORT_TYPE } from "./odp-action.ts";
import type { OdpParse } from "./odp-scan.ts";
import { scanGeneve } from "./odp-text-parse-tunnel.ts";
import { GRE_FLAG, TNL_HDR } from "./odp-text-tnl-push.ts";

/** Room for a header (ovs: TNL_PUSH_HEADER_SIZE). */
const HEADER_BYTES_MAX = 512;
const IPV6_LABEL_MASK = 0xfffff;

/** Headers as they are put together. */
interface Draft {
  readonly s: TextScan;
  readonly b: Uint8Array;
  /** Where the next header goes. */
  at: number;
}

function num(s: TextScan, before: string, base: 0 | 10 | 16): boolean {
  return s.lit(before) && s.int(base);
}

function putMac(d: Draft, at: number): void {
  putU16(d.b, at, d.s.hi);
  putU32(d.b, at + 2, d.s.lo);
}

function scanEth(d: Draft): boolean {
  const { s } = d;
  if (!s.lit("eth(dst=") || !s.mac()) {
    return false;
  }
  putMac(d, 0);
  if (!s.lit(",src=") || !s.mac()) {
    return false;
  }
  putMac(d, 6);
  if (!num(s, ",dl_type=0x", 16) || !s.lit("),")) {
    return false;
  }
  putU16(d.b, 12, s.value & 0xffff);
  d.at = TNL_HDR.ETH_BYTES;
  return true;
}

function scanIpv4Header(d: Draft): boolean {
  const { s, b, at } = d;
  if (!s.lit("ipv4(src=") || !s.ipv4()) {
    return false;
  }
  putU32(b, at + 12, s.value);
  if (!s.lit(",dst=") || !s.ipv4()) {
    return false;
  }
  putU32(b, at + 16, s.value);
  const parts = [
    [",proto=", 9],
    [",tos=", 1],
    [",ttl=", 8],
  ] as const;
  for (const [name, ofs] of parts) {
    if (!num(s, name, 0)) {
      return false;
    }
    b[at + ofs] = s.value;
  }
  if (!num(s, ",frag=0x", 16) || !s.lit("),")) {
    return false;
  }
  putU16(b, at + 6, s.value & 0xffff);
  b[at] = 0x45;
  putU16(b, at + 10, csum(b, at, at + TNL_HDR.IPV4_BYTES));
  d.at += TNL_HDR.IPV4_BYTES;
  return true;
}

function scanIpv6Address(d: Draft, at: number): boolean {
  const w = new Uint32Array(4);
  if (!d.s.ipv6(w)) {
    return false;
  }
  w.forEach((x, i) => {
    putU32(d.b, at + 4 * i, x);
  });
  return true;
}

function scanIpv6Header(d: Draft): boolean {
  const { s, b, at } = d;
  if (!s.lit("ipv6(src=") || !scanIpv6Address(d, at + 8)) {
    return false;
  }
  if (!s.lit(",dst=") || !scanIpv6Address(d, at + 24) || !num(s, ",label=", 0)) {
    return false;
  }
  const label = s.value;
  if ((label & ~IPV6_LABEL_MASK) !== 0 || !num(s, ",proto=", 0)) {
    return false;
  }
  b[at + 6] = s.value;
  if (!num(s, ",tclass=0x", 16)) {
    return false;
  }
  const tclass = s.value & 0xff;
  if (!num(s, ",hlimit=", 0) || !s.lit("),")) {
    return false;
  }
  b[at + 7] = s.value;
  putU32(b, at, ((6 << 28) | (tclass << 20) | label) >>> 0);
  d.at += TNL_HDR.IPV6_BYTES;
  return true;
}

function scanUdp(d: Draft): boolean {
  const { s, b, at } = d;
  if (!num(s, "udp(src=", 0)) {
    return false;
  }
  putU16(b, at, s.value & 0xffff);
  if (!num(s, ",dst=", 0)) {
    return false;
  }
  putU16(b, at + 2, s.value & 0xffff);
  if (!num(s, ",csum=0x", 16) || !s.lit("),")) {
    return false;
  }
  putU16(b, at + 6, s.value & 0xffff);
  d.at += TNL_HDR.UDP_BYTES;
  return true;
}

function scanVxlan(d: Draft): number | null {
  const { s, b, at } = d;
  const flags = s.int(16) ? s.value : -1;
  if (flags < 0 || !num(s, ",vni=0x", 16) || !s.lit("))")) {
    return null;
  }
  putU32(b, at, flags >>> 0);
  putU32(b, at + 4, (s.value << 8) >>> 0);
  d.at += TNL_HDR.VXLAN_BYTES;
  return VPORT_TYPE.vxlan;
}

function scanGeneveHeader(d: Draft, p: OdpParse): number | null {
  const { s, b, at } = d;
  b[at + 1] = (s.lit("oam,") ? 0x80 : 0) | (s.lit("crit,") ? 0x40 : 0);
  if (!num(s, "vni=", 0)) {
    return null;
  }
  putU16(b, at + 2, ETH_TYPE.TEB);
  putU32(b, at + 4, (s.value << 8) >>> 0);
  d.at += TNL_HDR.GENEVE_BYTES;
  if (s.lit(",options(")) {
    const opts = scanGeneve({ ...p, masked: false });
    if (opts === null || opts[0].length + d.at > b.length) {
      return null;
    }
    b.set(opts[0], d.at);
    b[at] = opts[0].length / 4;
    d.at += opts[0].length;
  }
  return s.lit("))") ? VPORT_TYPE.geneve : null;
}

function scanGre(d: Draft, isIpv4: boolean): number | null {
  const { s, b, at } = d;
  if (!s.int(16)) {
    return null;
  }
  const flags = s.value & 0xffff;
  if (!num(s, ",proto=0x", 16) || !s.lit(")")) {
    return null;
  }
  putU16(b, at, flags);
  putU16(b, at + 2, s.value & 0xffff);
  d.at += TNL_HDR.GRE_BYTES;
  const options = [
    [GRE_FLAG.CSUM, ",csum=0x"],
    [GRE_FLAG.KEY, ",key=0x"],
    [GRE_FLAG.SEQ, ",seq=0x"],
  ] as const;
  for (const [bit, name] of options) {
    if ((flags & bit) === 0) {
      continue;
    }
    if (!num(s, name, 16)) {
      return null;
    }
    const value = bit === GRE_FLAG.CSUM ? (s.value & 0xffff) << 16 : s.value;
    putU32(b, d.at, value >>> 0);
    d.at += 4;
  }
  return s.lit("))") ? (isIpv4 ? VPORT_TYPE.gre : VPORT_TYPE.ip6gre) : null;
}

function scanTunnelHeader(d: Draft, p: OdpParse, isIpv4: boolean): number | null {
  if (d.s.text.startsWith("udp(", d.s.pos)) {
    if (!scanUdp(d)) {
      return null;
    }
    if (d.s.lit("vxlan(flags=0x")) {
      return scanVxlan(d);
    }
    return d.s.lit("geneve(") ? scanGeneveHeader(d, p) : null;
  }
  return d.s.lit("gre((flags=0x") ? scanGre(d, isIpv4) : null;
}

/** The whole action, or null. */
export function parseTnlPush(p: OdpParse): OdpAction | null {
  const { s } = p;
  if (!num(s, "tnl_push(tnl_port(", 0)) {
    return null;
  }
  const tnlPort = s.value >>> 0;
  if (!num(s, "),header(size=", 0)) {
    return null;
  }
  const size = s.value;
  if (!num(s, ",type=", 0)) {
    return null;
  }
  const tnlType = s.value;
  const d: Draft = { s, b: new Uint8Array(HEADER_BYTES_MAX), at: 0 };
  if (!s.lit(",") || !scanEth(d)) {
    return null;
  }
  const isIpv4 = d.b[12] === 8 && d.b[13] === 0;
  if (!(isIpv4 ? scanIpv4Header(d) : scanIpv6Header(d))) {
    return null;
  }
  const type = scanTunnelHeader(d, p, isIpv4);
  if (type === null || type !== tnlType || d.at !== size || !num(s, ",out_port(", 0)) {
    return null;
  }
  const outPort = s.value >>> 0;
  if (!s.lit("))")) {
    return null;
  }
  return { kind: "tnl_push", tnlPort, outPort, tnlType, header: d.b.slice(0, d.at) };
}
