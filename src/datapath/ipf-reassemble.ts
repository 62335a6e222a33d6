// Putting fragments together, and giving fragments what conntrack did to the whole packet.
//
// (ovs: lib/ipf.c ipf_reassemble_v4_frags, ipf_reassemble_v6_frags, ipf_post_execute_reass_pkts)

import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { recalcCsum16, recalcCsum32 } from "../lib/checksum.ts";
import { IPV4, IPV4_FRAG, IPV6, IPV6_FRAG } from "../packet/ip.ts";
import { PACKET_BYTES_MAX, type PacketBuf } from "../packet/packet.ts";
import { parseIpv6Ext } from "./ct-extract.ts";

/** A fragment and which bytes of its packet's payload it has, both inclusive. */
export interface Fragment {
  readonly p: PacketBuf;
  readonly start: number;
  readonly end: number;
}

/** How much of a packet that cannot be put together is shown. */
const SHOWN_BYTES = 128;

type Warn = (text: string, packet: Uint8Array) => void;

/** The packet of sorted fragments without gaps; null if it cannot be one. */
export function reassemble(frags: readonly Fragment[], v6: boolean, warn: Warn): PacketBuf | null {
  const [first, second] = frags;
  const last = frags.at(-1);
  if (first === undefined || second === undefined || last === undefined) {
    return null;
  }
  const p = first.p.clone();
  p.end -= p.l2PadBytes;
  p.l2PadBytes = 0;
  const rest = last.end - second.start + 1;
  const before = v6
    ? getU16(p.bytes, p.l3() + IPV6.PLEN) - IPV6_FRAG.BYTES
    : getU16(p.bytes, p.l3() + IPV4.TOT_LEN);
  const complain = (why: string) => {
    const kind = v6 ? "v6" : "v4";
    const from = p.l3();
    warn(
      `${why} reassembled ${kind} packet; ${kind} hdr:`,
      p.bytes.slice(from, from + SHOWN_BYTES),
    );
    return null;
  };
  if (before + rest > PACKET_BYTES_MAX) {
    return complain("Unsupported big");
  }
  for (const f of frags.slice(1)) {
    const at = f.p.l4();
    p.putBytes(f.p.bytes.subarray(at, at + f.end - f.start + 1));
  }
  if (v6) {
    return finishV6(p, before + rest) ? p : complain("Unparsed");
  }
  finishV4(p, before + rest);
  return p;
}

function finishV4(p: PacketBuf, bytes: number): void {
  const b = p.bytes;
  const l3 = p.l3();
  const frag = getU16(b, l3 + IPV4.FRAG_OFF);
  const whole = frag & ~IPV4_FRAG.MF;
  const sum = recalcCsum16(getU16(b, l3 + IPV4.CSUM), frag, whole);
  putU16(b, l3 + IPV4.CSUM, recalcCsum16(sum, getU16(b, l3 + IPV4.TOT_LEN), bytes));
  putU16(b, l3 + IPV4.TOT_LEN, bytes);
  putU16(b, l3 + IPV4.FRAG_OFF, whole);
}

function finishV6(p: PacketBuf, bytes: number): boolean {
  const b = p.bytes;
  const l3 = p.l3();
  const from = l3 + IPV6.HEADER_BYTES;
  const ext = parseIpv6Ext(b, from, from + bytes, b[l3 + IPV6.NEXT] ?? 0);
  if (ext === null || !ext.fragment || ext.fragAt < 0) {
    return false;
  }
  putU16(b, ext.fragAt + IPV6_FRAG.OFFLG, 0);
  putU16(b, l3 + IPV6.PLEN, bytes);
  // Like the original, this names the transport protocol although extension headers precede it.
  b[l3 + IPV6.NEXT] = ext.proto;
  return true;
}

/** Gives fragments the metadata, addresses and transport header of the whole packet. */
export function copyReassembled(whole: PacketBuf, frags: readonly Fragment[], v6: boolean): void {
  const first = frags[0]?.p;
  if (first !== undefined) {
    const from = whole.l4();
    first.bytes.set(whole.bytes.subarray(from, from + first.l4Bytes()), first.l4());
  }
  for (const { p } of frags) {
    p.md.ctLabel.set(whole.md.ctLabel);
    p.md.ctMark = whole.md.ctMark;
    p.md.ctState = whole.md.ctState;
    p.md.ctZone = whole.md.ctZone;
    p.md.ctOrigIpv6 = whole.md.ctOrigIpv6;
    p.md.ctOrigAddr.set(whole.md.ctOrigAddr);
    p.md.ctOrigProto = whole.md.ctOrigProto;
    p.md.ctOrigTpSrc = whole.md.ctOrigTpSrc;
    p.md.ctOrigTpDst = whole.md.ctOrigTpDst;
    if (v6) {
      const from = whole.l3() + IPV6.SRC;
      p.bytes.set(whole.bytes.subarray(from, from + 32), p.l3() + IPV6.SRC);
    } else {
      copyV4Address(p, whole, IPV4.SRC);
      copyV4Address(p, whole, IPV4.DST);
    }
  }
}

function copyV4Address(p: PacketBuf, whole: PacketBuf, ofs: number): void {
  const b = p.bytes;
  const l3 = p.l3();
  const addr = getU32(whole.bytes, whole.l3() + ofs);
  const sum = recalcCsum32(getU16(b, l3 + IPV4.CSUM), getU32(b, l3 + ofs), addr);
  putU16(b, l3 + IPV4.CSUM, sum);
  putU32(b, l3 + ofs, addr);
}
