// The header of a `tnl_push` action as text, and back.
//
// The action carries the bytes that go in front of the packet: Ethernet, IPv4 or IPv6, then UDP with
// VXLAN, Geneve or GTP-U, or GRE, or ERSPAN. Lengths and the checksum of the IPv4 header are filled
// in later, for each packet; only the fields that the text shows matter here.
// ovs: lib/odp-util.c format_odp_tnl_push_header, ovs_parse_tnl_push.

import { formatIpv4, formatIpv6, formatMac } from "../lib/address.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { formatAltHex, formatHexPadded } from "../lib/number.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { VPORT_TYPE } from "./odp-action.ts";
import { formatGeneveOptions } from "./odp-text-tunnel.ts";

/** Byte lengths and offsets of the headers, each from its own start. */
export const TNL_HDR = {
  ETH_BYTES: 14,
  IPV4_BYTES: 20,
  IPV6_BYTES: 40,
  UDP_BYTES: 8,
  VXLAN_BYTES: 8,
  GENEVE_BYTES: 8,
  GTPU_BYTES: 8,
  GRE_BYTES: 4,
  ERSPAN_GRE_BYTES: 8,
  ERSPAN_BYTES: 4,
  ERSPAN_V1_MD_BYTES: 4,
  ERSPAN_V2_MD_BYTES: 8,
} as const;
export const GRE_FLAG = { CSUM: 0x8000, KEY: 0x2000, SEQ: 0x1000 } as const;

function ipv6Words(b: Uint8Array, o: number): number[] {
  return [getU32(b, o), getU32(b, o + 4), getU32(b, o + 8), getU32(b, o + 12)];
}

function formatNetwork(b: Uint8Array, o: number, isIpv4: boolean): string {
  if (isIpv4) {
    return (
      `ipv4(src=${formatIpv4(getU32(b, o + 12))},dst=${formatIpv4(getU32(b, o + 16))}` +
      `,proto=${b[o + 9]},tos=${formatAltHex(b[o + 1] as number)},ttl=${b[o + 8]}` +
      `,frag=0x${getU16(b, o + 6).toString(16)}),`
    );
  }
  const flow = getU32(b, o);
  return (
    `ipv6(src=${formatIpv6(ipv6Words(b, o + 8))},dst=${formatIpv6(ipv6Words(b, o + 24))}` +
    `,label=${flow & 0xfffff},proto=${b[o + 6]},tclass=0x${((flow >>> 20) & 0xff).toString(16)}` +
    `,hlimit=${b[o + 7]}),`
  );
}

function formatUdp(b: Uint8Array, o: number): string {
  const csum = getU16(b, o + 6).toString(16);
  return `udp(src=${getU16(b, o)},dst=${getU16(b, o + 2)},csum=0x${csum}),`;
}

function formatGeneveHeader(b: Uint8Array, o: number): string {
  const flags = b[o + 1] as number;
  const optBytes = ((b[o] as number) & 0x3f) * 4;
  const vni = getU32(b, o + 4) >>> 8;
  let s = `${(flags & 0x80) !== 0 ? "oam," : ""}${(flags & 0x40) !== 0 ? "crit," : ""}`;
  s += `vni=0x${vni.toString(16)}`;
  if (optBytes > 0) {
    s += `,options(${formatGeneveOptions(b.subarray(o + 8, o + 8 + optBytes), null, false)})`;
  }
  return `geneve(${s})`;
}

function formatGre(b: Uint8Array, o: number): string {
  const flags = getU16(b, o);
  let s = `gre((flags=0x${flags.toString(16)},proto=0x${getU16(b, o + 2).toString(16)})`;
  let p = o + TNL_HDR.GRE_BYTES;
  if ((flags & GRE_FLAG.CSUM) !== 0) {
    s += `,csum=0x${getU16(b, p).toString(16)}`;
    p += 4;
  }
  if ((flags & GRE_FLAG.KEY) !== 0) {
    s += `,key=0x${getU32(b, p).toString(16)}`;
    p += 4;
  }
  if ((flags & GRE_FLAG.SEQ) !== 0) {
    s += `,seq=0x${getU32(b, p).toString(16)}`;
  }
  return `${s})`;
}

function formatErspan(b: Uint8Array, gre: number): string {
  const o = gre + TNL_HDR.ERSPAN_GRE_BYTES;
  const ver = (b[o] as number) >>> 4;
  const sid = (getU16(b, o + 2) & 0x3ff).toString(16);
  if (ver === 1) {
    return `erspan(ver=1,sid=0x${sid},idx=0x${getU32(b, o + 4).toString(16)})`;
  }
  if (ver === 2) {
    // Two upper and four lower bits of the hardware id, and the direction, of RFC draft foschiano.
    const w = getU16(b, o + 10);
    const hwid = (w >>> 4) & 0x3f;
    return `erspan(ver=2,sid=0x${sid},dir=${(w >>> 3) & 1},hwid=0x${hwid.toString(16)})`;
  }
  return "";
}

/** header(size=...,type=...,eth(...),ipv4(...),...) */
export function formatTnlPushHeader(tnlType: number, b: Uint8Array): string {
  const ethType = getU16(b, 12);
  const isIpv4 = ethType === ETH_TYPE.IP;
  const dst = formatMac(getU16(b, 0), getU32(b, 2));
  const src = formatMac(getU16(b, 6), getU32(b, 8));
  const l3 = TNL_HDR.ETH_BYTES;
  const l4 = l3 + (isIpv4 ? TNL_HDR.IPV4_BYTES : TNL_HDR.IPV6_BYTES);
  const l5 = l4 + TNL_HDR.UDP_BYTES;
  let s =
    `header(size=${b.length},type=${tnlType},eth(dst=${dst},src=${src}` +
    `,dl_type=${formatHexPadded(ethType, 4)}),${formatNetwork(b, l3, isIpv4)}`;
  switch (tnlType) {
    case VPORT_TYPE.vxlan: {
      const vni = getU32(b, l5 + 4) >>> 8;
      s += `${formatUdp(b, l4)}vxlan(flags=0x${getU32(b, l5).toString(16)},vni=0x${vni.toString(16)})`;
      break;
    }
    case VPORT_TYPE.geneve:
      s += formatUdp(b, l4) + formatGeneveHeader(b, l5);
      break;
    case VPORT_TYPE.gre:
    case VPORT_TYPE.ip6gre:
      s += formatGre(b, l4);
      break;
    case VPORT_TYPE.erspan:
    case VPORT_TYPE.ip6erspan:
      s += formatErspan(b, l4);
      break;
    case VPORT_TYPE.gtpu: {
      const teid = getU32(b, l5 + 4).toString(16);
      s += `${formatUdp(b, l4)}gtpu(flags=0x${(b[l5] as number).toString(16)}`;
      s += `,msgtype=${b[l5 + 1]},teid=0x${teid})`;
      break;
    }
    default:
  }
  return `${s})`;
}
