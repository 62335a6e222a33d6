// Helpers: what FTP and TFTP control connections announce, and translated FTP addresses.
//
// A helper belongs to a connection by name ("ftp", "tftp") and is used if the packet's ports are
// the well-known ones or those that the flow matches. An FTP text of another length shifts all
// sequence numbers after it, which the connection remembers as skew.
// (ovs: lib/conntrack.c get_alg_ctl_type, handle_ftp_ctl, handle_tftp_ctl)

import { CS } from "../flow/flow-is.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { formatIpv4, formatIpv6 } from "../lib/address.ts";
import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { csumContinue, csumFinish, recalcCsum16 } from "../lib/checksum.ts";
import { IP_PROTO, IPV4, IPV6, ipv4PseudoCsum } from "../packet/ip.ts";
import { TCP, UDP } from "../packet/l4.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Conn } from "./ct-conn.ts";
import type { Expectations } from "./ct-expect.ts";
import { csumUpperLayer6 } from "./ct-extract.ts";
import {
  type FtpAnnouncement,
  ftpText,
  isFtpAnnouncement,
  parseFtp,
  tcpPayloadAt,
} from "./ct-ftp.ts";
import { DST, SRC } from "./ct-key.ts";

export type AlgType = "none" | "ftp" | "tftp";

const FTP_PORT = 21;
const TFTP_PORT = 69;
const ETHERTYPE_OFS = 12;
/** How much longer a text may become. */
const NAT_DELTA_MAX = { V4: 8, V6: 45 } as const;

/** Ports of the flow that the packets matched, and the helper of the action. */
export interface AlgQuery {
  readonly tpSrc: number;
  readonly tpDst: number;
  readonly helper: string | null;
}

/** Which helper a packet is for, whether its connection has one or not. */
export function algOf(p: PacketBuf, q: AlgQuery): AlgType {
  const b = p.bytes;
  // Like the original, this reads an IPv4 header unless the frame itself says IPv6.
  const v6 = getU16(b, p.start + ETHERTYPE_OFS) === ETH_TYPE.IPV6;
  const proto = b[p.l3() + (v6 ? IPV6.NEXT : IPV4.PROTO)];
  if (proto !== IP_PROTO.TCP && proto !== IP_PROTO.UDP) {
    return "none";
  }
  const ftp = q.helper?.startsWith("ftp") ?? false;
  const tftp = !ftp && (q.helper?.startsWith("tftp") ?? false);
  const dst = getU16(b, p.l4() + UDP.DST);
  if (proto === IP_PROTO.UDP) {
    return dst === (tftp && q.tpDst !== 0 ? q.tpDst : TFTP_PORT) ? "tftp" : "none";
  }
  const ftpDst = ftp && q.tpDst !== 0 ? q.tpDst : FTP_PORT;
  const ftpSrc = ftp && q.tpDst === 0 && q.tpSrc !== 0 ? q.tpSrc : FTP_PORT;
  return getU16(b, p.l4() + TCP.SRC) === ftpSrc || dst === ftpDst ? "ftp" : "none";
}

/** True if a new connection gets the helper that the action names. */
export function helperFits(helper: string | null, type: AlgType): boolean {
  return type === "none" || (helper?.startsWith(type) ?? false);
}

/** What a helper works with. */
export interface AlgEnv {
  readonly expectations: Expectations;
  readonly warn: (text: string) => void;
  /** Remembers the skew of a connection. */
  readonly setSkew: (conn: Conn, skew: number, reply: boolean) => void;
}

/** A packet of a control connection. */
export interface AlgPacket {
  readonly p: PacketBuf;
  readonly v6: boolean;
  readonly proto: number;
  readonly reply: boolean;
  readonly nat: boolean;
}

export function handleTftp(env: AlgEnv, a: AlgPacket, conn: Conn): void {
  env.expectations.expect(conn.key.srcPort, conn, (a.p.md.ctState & CS.rpl) !== 0);
}

/** The address that the other end must see, and whether the announced one may be there. */
function announcedAddress(
  conn: Conn,
  addr: Uint32Array | null,
  active: boolean,
  v6: boolean,
): Uint32Array | null {
  const from = active ? conn.revKey : conn.key;
  const seen = from.addr.slice(DST, DST + 4);
  const own = active ? conn.key.addr.slice(SRC, SRC + 4) : conn.revKey.addr.slice(SRC, SRC + 4);
  const is = (x: Uint32Array) => addr?.every((w, i) => w === x[i]) ?? true;
  const unchecked = v6 && !active;
  return unchecked || is(seen) || is(own) ? seen : null;
}

/**
 * Handles a packet of an FTP control connection; `announcing` says whether only announcements or
 * only other packets are meant.
 */
export function handleFtp(env: AlgEnv, a: AlgPacket, conn: Conn, announcing: boolean): void {
  const { p, v6 } = a;
  const text = ftpText(p);
  if (isFtpAnnouncement(text, v6) !== announcing) {
    return;
  }
  let skew = 0;
  if (announcing) {
    const parsed = parseFtp(text, v6);
    const seen = parsed === null ? null : announcedAddress(conn, parsed.addr, parsed.active, v6);
    if (parsed === null || seen === null) {
      env.warn("Invalid FTP control packet format");
      p.md.ctState |= CS.trk | CS.inv;
      return;
    }
    env.expectations.expect(parsed.port, conn, (p.md.ctState & CS.rpl) !== 0);
    if (a.nat && parsed.addr !== null) {
      skew = replaceAddress(env, a, seen, parsed);
    }
  }
  if (a.nat && conn.seqSkew !== 0) {
    const back = a.reply !== conn.seqSkewReply;
    const at = p.l4() + (back ? TCP.ACK : TCP.SEQ);
    putU32(p.bytes, at, (getU32(p.bytes, at) + (back ? -conn.seqSkew : conn.seqSkew)) >>> 0);
  }
  sumTcp(p, a);
  if (skew !== 0) {
    env.setSkew(conn, skew + conn.seqSkew, a.reply);
  }
}

/** Replaces the announced address if the buffer has room; gives how much longer the text is. */
function replaceAddress(
  env: AlgEnv,
  { p, v6 }: AlgPacket,
  seen: Uint32Array,
  { at, length }: FtpAnnouncement,
): number {
  if (p.size + (v6 ? NAT_DELTA_MAX.V6 : NAT_DELTA_MAX.V4) > p.roomBytes) {
    const version = v6 ? "V6" : "V4";
    env.warn(`Unsupported effective MTU ${p.roomBytes} used with FTP ${version}`);
    return 0;
  }
  const v4Text = () => formatIpv4(seen[0] ?? 0).replaceAll(".", ",");
  const skew = replaceText(p, at, length, v6 ? formatIpv6(seen) : v4Text());
  addIpBytes(p, v6, skew);
  return skew;
}

/** Replaces a part of what TCP carries; gives how much longer it has become. */
function replaceText(p: PacketBuf, at: number, length: number, text: string): number {
  const more = text.length - length;
  const from = tcpPayloadAt(p) - p.start + at;
  if (more > 0) {
    p.put(more);
  }
  const b = p.bytes;
  const start = p.start + from;
  b.copyWithin(start + text.length, start + length, p.end - Math.max(more, 0));
  for (let i = 0; i < text.length; i++) {
    b[start + i] = text.charCodeAt(i);
  }
  if (more < 0) {
    p.end += more;
  }
  return more;
}

function addIpBytes(p: PacketBuf, v6: boolean, more: number): void {
  const b = p.bytes;
  const l3 = p.l3();
  if (v6) {
    putU16(b, l3 + IPV6.PLEN, getU16(b, l3 + IPV6.PLEN) + more);
    return;
  }
  const total = getU16(b, l3 + IPV4.TOT_LEN);
  putU16(b, l3 + IPV4.CSUM, recalcCsum16(getU16(b, l3 + IPV4.CSUM), total, total + more));
  putU16(b, l3 + IPV4.TOT_LEN, total + more);
}

function sumTcp(p: PacketBuf, a: AlgPacket): void {
  const b = p.bytes;
  const l4 = p.l4();
  const end = l4 + p.l4Bytes();
  putU16(b, l4 + TCP.CSUM, 0);
  const sum = a.v6
    ? csumUpperLayer6(b, p.l3(), l4, end, a.proto)
    : csumFinish(csumContinue(ipv4PseudoCsum(b, p.l3()), b, l4, end));
  putU16(b, l4 + TCP.CSUM, sum);
}
