// What a packet carries of its connection: state, zone, mark, label and the original tuple.
//
// (ovs: lib/conntrack.c write_ct_md, check_orig_tuple, set_mark, set_label)

import { CS } from "../flow/flow-is.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { IP_PROTO } from "../packet/ip.ts";
import type { PacketBuf, PacketMetadata } from "../packet/packet.ts";
import type { Conn } from "./ct-conn.ts";
import type { Expectation } from "./ct-expect.ts";
import { reverseIcmpType } from "./ct-extract.ts";
import { ConnKey, DST, SRC } from "./ct-key.ts";

/** How a packet's connection was looked for. */
export interface CtFound {
  readonly zone: number;
  /** The key of the packet. */
  readonly key: ConnKey;
  /** The packet goes against the direction of the connection. */
  readonly reply: boolean;
  /** The key, or in a reply its reverse, is all that the connection has of a tuple. */
  readonly plain: boolean;
}

/** The tuple of a packet without a connection. */
const NO_KEY = new ConnKey();

/**
 * Writes a connection's data into a packet. `key` is the packet's own; if `plain`, the connection has
 * the same or, in a reply, its reverse, and need not be asked for it.
 */
export function writeCtMetadata(
  p: PacketBuf,
  conn: Conn | null,
  exp: Expectation | null,
  { zone, key, plain, reply }: CtFound,
): void {
  const { md } = p;
  md.ctState |= CS.trk;
  md.ctZone = zone;
  md.ctMark = conn?.mark ?? exp?.parentMark ?? 0;
  putLabel(md.ctLabel, conn?.label ?? exp?.parentLabel ?? NO_KEY.addr);
  if (plain) {
    putTuple(md, key, reply);
  } else if (conn !== null) {
    putTuple(md, conn.parentKey ?? conn.key, false);
  } else {
    putTuple(md, exp?.parentKey ?? key, false);
  }
}

/** What a packet has that belongs nowhere. */
export function writeCtInvalid(p: PacketBuf, zone: number): void {
  const { md } = p;
  md.ctState |= CS.trk;
  md.ctZone = zone;
  md.ctMark = 0;
  putLabel(md.ctLabel, NO_KEY.addr);
  putTuple(md, NO_KEY, false);
  md.ctOrigIpv6 = false;
}

/** Copies the four words of a label. */
export function putLabel(to: Uint32Array, words: ArrayLike<number>): void {
  to[0] = words[0] as number;
  to[1] = words[1] as number;
  to[2] = words[2] as number;
  to[3] = words[3] as number;
}

/** Writes the tuple of a key, or of its reverse. */
function putTuple(md: PacketMetadata, key: ConnKey, reverse: boolean): void {
  const { addr, dlType, proto } = key;
  const v6 = dlType !== ETH_TYPE.IP;
  const src = reverse ? DST : SRC;
  const dst = reverse ? SRC : DST;
  const to = md.ctOrigAddr;
  for (let i = 0; i < 4; i++) {
    to[SRC + i] = addr[src + i] as number;
    to[DST + i] = addr[dst + i] as number;
  }
  md.ctOrigIpv6 = v6;
  md.ctOrigProto = proto;
  if (proto === (v6 ? IP_PROTO.ICMPV6 : IP_PROTO.ICMP)) {
    const icmp = reverse ? key.dstIcmp : key.srcIcmp;
    md.ctOrigTpSrc = icmp >> 8;
    md.ctOrigTpDst = icmp & 0xff;
  } else {
    md.ctOrigTpSrc = reverse ? key.dstPort : key.srcPort;
    md.ctOrigTpDst = reverse ? key.srcPort : key.dstPort;
  }
}

/** The key that a translated packet had before, by the tuple that it carries; or null. */
export function originalKey(p: PacketBuf, now: ConnKey): ConnKey | null {
  const { md } = p;
  if ((md.ctState & (CS.snat | CS.dnat)) === 0 || md.ctOrigProto === 0) {
    return null;
  }
  const v6 = now.dlType === ETH_TYPE.IPV6;
  const key = new ConnKey();
  key.addr.set(md.ctOrigAddr);
  if (now.proto === (v6 ? IP_PROTO.ICMPV6 : IP_PROTO.ICMP)) {
    const type = md.ctOrigTpSrc & 0xff;
    key.srcPort = now.srcPort;
    key.dstPort = now.dstPort;
    key.srcIcmp = type << 8;
    key.dstIcmp = reverseIcmpType(type, v6) << 8;
  } else {
    key.srcPort = md.ctOrigTpSrc;
    key.dstPort = md.ctOrigTpDst;
  }
  key.proto = md.ctOrigProto;
  key.dlType = now.dlType;
  key.zone = md.ctZone;
  return key;
}

/** Marks packet and connection; an announced connection keeps its parent's. */
export function setCtMark(p: PacketBuf, conn: Conn, value: number, mask: number): void {
  if (!conn.algRelated) {
    conn.mark = (value | (p.md.ctMark & ~mask)) >>> 0;
  }
  p.md.ctMark = conn.mark;
}

export function setCtLabel(p: PacketBuf, conn: Conn, value: Uint32Array, mask: Uint32Array): void {
  const { ctLabel } = p.md;
  if (!conn.algRelated) {
    for (let i = 0; i < 4; i++) {
      ctLabel[i] = (value[i] ?? 0) | ((ctLabel[i] ?? 0) & ~(mask[i] ?? 0));
    }
    conn.setLabel(ctLabel);
  }
  putLabel(ctLabel, conn.label);
}
