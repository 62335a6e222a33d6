// The texts of FTP control connections: which of them announce a data connection, and where.
//
// IPv4: `PORT a,b,c,d,p,q` and the reply `227 ...a,b,c,d,p,q`. IPv6: `EPRT |2|addr|port|` and
// `229 ... EXTENDED PASSIVE ... (|||port|)`. Only the beginning of a segment is looked at, and its
// last byte never is. References: RFC 959 §4.1.2, RFC 2428; ovs: lib/conntrack.c
// process_ftp_ctl_v4, process_ftp_ctl_v6.

import { parseIpv4, parseIpv6 } from "../lib/address.ts";
import { getU16 } from "../lib/bytes.ts";
import { TCP, tcpHeaderBytes } from "../packet/l4.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { tcpPayloadBytes } from "./ct-extract.ts";

/** Longest text of interest. */
export const FTP_MSG_MAX = 128;
const PORT_MAX = 65535;
/** Digits that are taken for one number, one more than can be right. */
const MAX_OCTET_DIGITS = 4;
const MAX_PORT_DIGITS = 6;
/** How EPRT names IPv6. */
const AF_V6 = "2";

/** What a control text announces. */
export interface FtpAnnouncement {
  /** The client listens; otherwise the server does. */
  readonly active: boolean;
  /** Address as four words (IPv4: the first), or null if the text has none. */
  readonly addr: Uint32Array | null;
  /** Place of the address in the text. */
  readonly at: number;
  readonly length: number;
  readonly port: number;
}

/** Index in the packet of what TCP carries. */
export function tcpPayloadAt(p: PacketBuf): number {
  return p.l4() + tcpHeaderBytes(getU16(p.bytes, p.l4() + TCP.CTL));
}

export function ftpText(p: PacketBuf): string {
  const at = tcpPayloadAt(p);
  const n = Math.min(tcpPayloadBytes(p), FTP_MSG_MAX) - 1;
  let text = "";
  for (let i = 0; i < n; i++) {
    const c = p.bytes[at + i] ?? 0;
    if (c === 0) {
      break;
    }
    text += String.fromCharCode(c);
  }
  return text;
}

/** True if the text announces a connection, whether it is well-formed or not. */
export function isFtpAnnouncement(text: string, v6: boolean): boolean {
  return v6 ? /^EPRT|EXTENDED PASSIVE/i.test(text) : /^(PORT|227)/i.test(text);
}

/** Null if the text is malformed. */
export function parseFtp(text: string, v6: boolean): FtpAnnouncement | null {
  return v6 ? parseV6(text) : parseV4(text);
}

/** Index of the first digit from `at` on; the length of the text if there is none. */
function digitAt(text: string, at: number): number {
  const i = text.slice(at).search(/\d/);
  return i < 0 ? text.length : at + i;
}

/** The digits from `at` on, at most `max`. */
function digits(text: string, at: number, max: number): string {
  return /^\d*/.exec(text.slice(at, at + max))?.[0] ?? "";
}

/** A number of digits that is at most `max`, or -1. */
function upTo(max: number, text: string): number {
  const v = text === "" ? -1 : Number(text);
  return v > max ? -1 : v;
}

function parseV4(text: string): FtpAnnouncement | null {
  const active = /^PORT/i.test(text);
  const blank = text.indexOf(" ", active ? 4 : 3);
  const at = blank < 0 ? text.length : digitAt(text, blank);
  const address = /^(?:[^,]*,){3}[^,]*(?=,)/.exec(text.slice(at))?.[0];
  if (address === undefined) {
    return null;
  }
  const addr = parseIpv4(address.replaceAll(",", "."));
  const highAt = at + address.length + 1;
  const high = digits(text, highAt, MAX_OCTET_DIGITS);
  const low = digits(text, highAt + high.length + 1, text.length);
  const port = [upTo(255, high), upTo(255, low)] as const;
  if (addr === undefined || port[0] < 0 || port[1] < 0) {
    return null;
  }
  return {
    active,
    addr: Uint32Array.of(addr, 0, 0, 0),
    at,
    length: address.length,
    port: port[0] * 256 + port[1],
  };
}

function parseV6(text: string): FtpAnnouncement | null {
  if (!/^EPRT/i.test(text)) {
    const open = text.indexOf("(");
    const from = digitAt(text, open < 0 ? text.length : open);
    const port = upTo(PORT_MAX, digits(text, from, MAX_PORT_DIGITS));
    return port < 0 ? null : { active: false, addr: null, at: 0, length: 0, port };
  }
  const family = digitAt(text, 4);
  if (text[family] !== AF_V6 || /\d/.test(text[family + 1] ?? "")) {
    return null;
  }
  const at = family + 2;
  const address = /^[0-9a-f:.]*/i.exec(text.slice(at))?.[0] ?? "";
  const addr = new Uint32Array(4);
  const ok = parseIpv6(address, addr);
  const port = upTo(PORT_MAX, digits(text, at + address.length + 1, MAX_PORT_DIGITS));
  return ok && port >= 0 ? { active: true, addr, at, length: address.length, port } : null;
}
