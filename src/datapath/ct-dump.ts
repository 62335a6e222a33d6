// Connections from the text of a dump, of the userspace datapath or of a kernel's.
//
// The inverse of ct-text.ts as far as a dump tells: windows of TCP are not in it, so that sequence
// numbers of such connections are not checked. A translation shows in the tuples: the replies' is
// not the reverse of the original one. (ovs: lib/ct-dpif.c ct_dpif_format_entry)

import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { parseIpv4, parseIpv6 } from "../lib/address.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import { Conn, NAT_ACTION, type TcpPeer } from "./ct-conn.ts";
import { reverseIcmpType } from "./ct-extract.ts";
import { ConnKey, DST, SRC } from "./ct-key.ts";
import { OTHER_STATE } from "./ct-proto.ts";
import { TCP_STATES, WSCALE } from "./ct-tcp.ts";
import { isIcmpKey, protoNumber } from "./ct-text.ts";

/** How long a connection lives whose dump has no timeouts. */
export const CT_DUMP_TIMEOUT_S = 24 * 60 * 60;
/** Longest line that is read. */
export const CT_DUMP_LINE_MAX = 4096;

/** `a=1,b=(c=2,d=3)` one level deep. */
function members(text: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const m of text.matchAll(/([\w-]+)=(?:\(([^()]*)\)|([^,()]*))/g)) {
    out.set(m[1] ?? "", m[2] ?? m[3] ?? "");
  }
  return out;
}

function setAddress(key: ConnKey, at: number, text: string | undefined): boolean {
  const v4 = parseIpv4(text ?? "");
  if (v4 !== undefined) {
    key.dlType = ETH_TYPE.IP;
    key.addr[at] = v4;
    return true;
  }
  key.dlType = ETH_TYPE.IPV6;
  const words = new Uint32Array(4);
  const good = parseIpv6(text ?? "", words);
  key.setAddr(at, words, 0);
  return good;
}

function number(m: ReadonlyMap<string, string>, name: string, max: number): number {
  const v = Number(m.get(name) ?? 0);
  return Number.isInteger(v) && v >= 0 && v <= max ? v : 0;
}

function readTuple(text: string | undefined, proto: number, zone: number): ConnKey | null {
  const m = members(text ?? "");
  const key = new ConnKey();
  key.proto = proto;
  key.zone = zone;
  if (!setAddress(key, SRC, m.get("src")) || !setAddress(key, DST, m.get("dst"))) {
    return null;
  }
  if (isIcmpKey(key)) {
    const type = number(m, "type", 255);
    key.srcPort = number(m, "id", 65535);
    key.dstPort = key.srcPort;
    key.srcIcmp = (type << 8) | number(m, "code", 255);
    key.dstIcmp = reverseIcmpType(type, key.dlType === ETH_TYPE.IPV6) << 8;
  } else {
    key.srcPort = number(m, "sport", 65535);
    key.dstPort = number(m, "dport", 65535);
  }
  return key;
}

function translation(conn: Conn): number {
  const plain = conn.key.clone().reverse();
  const differs = (at: number) =>
    [0, 1, 2, 3].some((i) => plain.addr[at + i] !== conn.revKey.addr[at + i]);
  const src = differs(DST) || plain.dstPort !== conn.revKey.dstPort;
  const dst = differs(SRC) || plain.srcPort !== conn.revKey.srcPort;
  return src ? NAT_ACTION.SRC : dst ? NAT_ACTION.DST : 0;
}

function peer(state: string | undefined): TcpPeer {
  const names: readonly string[] = TCP_STATES;
  const i = Math.max(names.indexOf(state ?? ""), 0);
  return { seqLo: 0, seqHi: 0, maxWin: 1, wscale: WSCALE.UNKNOWN, state: i };
}

/** Both ends have the state that a dump gives for the two together. */
function readTcp(info: ReadonlyMap<string, string>): [TcpPeer, TcpPeer] {
  const both = info.get("state");
  const reply = both === "SYN_SENT" ? "CLOSED" : both;
  return [peer(info.get("state_orig") ?? both), peer(info.get("state_reply") ?? reply)];
}

function readLabel(text: string): number[] {
  const hex = text.replace(/^0x/, "").padStart(32, "0").slice(-32);
  return [0, 1, 2, 3].map((i) => Number.parseInt(hex.slice(8 * i, 8 * i + 8), 16));
}

/** True unless the dump says that nothing has come back. */
function seenReply(status: string | undefined): boolean {
  return status === undefined || status === "0" || /SEEN_REPLY|ASSURED/.test(status);
}

/** A connection as a line of a dump shows it at a time. */
export function parseConn(line: string, nowMs: number): Result<Conn> {
  const bad = (what: string) => fail(`${what}: ${line.slice(0, 80)}`);
  const head = /^(\w+),/.exec(line)?.[1] ?? "";
  const proto = protoNumber(head);
  if (proto === null || line.length > CT_DUMP_LINE_MAX) {
    return bad("not a connection");
  }
  const m = members(line);
  const zone = number(m, "zone", 65535);
  const [orig, reply] = ["orig", "reply"].map((name) => readTuple(m.get(name), proto, zone));
  if (!orig || !reply || orig.dlType !== reply.dlType) {
    return bad("bad tuple");
  }
  const conn = new Conn();
  conn.key.copyFrom(orig);
  conn.revKey.copyFrom(reply);
  conn.natAction = translation(conn);
  conn.liberal = true;
  conn.mark = number(m, "mark", 0xffffffff);
  conn.setLabel(readLabel(m.get("labels") ?? ""));
  conn.expirationMs = nowMs + 1000 * (Number(m.get("timeout")) || CT_DUMP_TIMEOUT_S);
  conn.alg = m.get("helper") ?? null;
  conn.parentKey = m.has("parent") ? readTuple(m.get("parent"), proto, zone) : null;
  conn.algRelated = conn.parentKey !== null;
  if (head === "tcp") {
    conn.tcp = readTcp(members(m.get("protoinfo") ?? ""));
  }
  conn.state = seenReply(m.get("status")) ? OTHER_STATE.BIDIR : OTHER_STATE.FIRST;
  if (isIcmpKey(conn.key)) {
    conn.state = Math.min(conn.state, 1);
  }
  return ok(conn);
}
