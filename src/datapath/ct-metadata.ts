// What a packet carries of its connection: state, zone, mark, label and the original tuple.
//
// (ovs: lib/conntrack.c write_ct_md, check_orig_tuple, set_mark, set_label)

import { CS } from "../flow/flow-is.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { IP_PROTO } from "../packet/ip.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Conn } from "./ct-conn.ts";
import type { Expectation } from "./ct-expect.ts";
import { reverseIcmpType } from "./ct-extract.ts";
import { ConnKey } from "./ct-key.ts";

/** The key that the original tuple of a packet comes from. */
function originOf(conn: Conn | null, key: ConnKey | null, exp: Expectation | null): ConnKey | null {
  if (conn !== null) {
    return conn.parentKey ?? conn.key;
  }
  return exp?.parentKey ?? key;
}

/** Writes a connection's data into a packet; without one, the key of the packet counts. */
export function writeCtMetadata(
  p: PacketBuf,
  zone: number,
  conn: Conn | null,
  key: ConnKey | null,
  exp: Expectation | null,
): void {
  const { md } = p;
  md.ctState |= CS.trk;
  md.ctZone = zone;
  md.ctMark = conn?.mark ?? exp?.parentMark ?? 0;
  const label = conn?.label ?? exp?.parentLabel;
  for (let i = 0; i < 4; i++) {
    md.ctLabel[i] = label === undefined ? 0 : (label[i] as number);
  }
  const origin = originOf(conn, key, exp);
  if (origin === null) {
    md.ctOrigIpv6 = false;
    md.ctOrigAddr.fill(0);
    md.ctOrigProto = 0;
    md.ctOrigTpSrc = 0;
    md.ctOrigTpDst = 0;
    return;
  }
  const v6 = origin.dlType !== ETH_TYPE.IP;
  const icmp = origin.proto === (v6 ? IP_PROTO.ICMPV6 : IP_PROTO.ICMP);
  md.ctOrigIpv6 = v6;
  for (let i = 0; i < 8; i++) {
    md.ctOrigAddr[i] = origin.addr[i] as number;
  }
  md.ctOrigProto = origin.proto;
  md.ctOrigTpSrc = icmp ? origin.srcIcmp >> 8 : origin.srcPort;
  md.ctOrigTpDst = icmp ? origin.srcIcmp & 0xff : origin.dstPort;
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
  if (!conn.algRelated) {
    for (let i = 0; i < 4; i++) {
      conn.label[i] = (value[i] ?? 0) | ((p.md.ctLabel[i] ?? 0) & ~(mask[i] ?? 0));
    }
  }
  p.md.ctLabel.set(conn.label);
}
