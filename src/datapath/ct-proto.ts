// What each protocol asks of a connection: may this packet begin one, and what does it change.
//
// TCP has its own file. ICMP queries wait for an answer; everything else (UDP, SCTP too) only knows
// whether packets came in one direction or in both. (ovs: lib/conntrack-icmp.c, lib/conntrack-other.c)

import { ICMP4_TYPE, ICMP6_TYPE } from "../packet/icmp-header.ts";
import { IP_PROTO } from "../packet/ip.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Conn } from "./ct-conn.ts";
import type { CtCounters } from "./ct-counters.ts";
import type { ConnKey } from "./ct-key.ts";
import { type CtUpdate, tcpNew, tcpUpdate, tcpValidNew, type UpdateEnv } from "./ct-tcp.ts";
import type { CtTimeoutName } from "./ct-timeout.ts";

/** `Conn.state` of ICMP queries and of other protocols. */
export const ICMP_STATE = { FIRST: 0, REPLY: 1 } as const;
export const OTHER_STATE = { FIRST: 0, MULTIPLE: 1, BIDIR: 2 } as const;
const ICMP_TIMEOUTS: readonly CtTimeoutName[] = ["icmp_first", "icmp_reply"];
const OTHER_TIMEOUTS: readonly CtTimeoutName[] = ["udp_first", "udp_single", "udp_multiple"];

/** Requests that begin an ICMP query: echo, timestamp, information. */
const ICMP4_REQUESTS: readonly number[] = [
  ICMP4_TYPE.ECHO_REQUEST,
  ICMP4_TYPE.TIMESTAMP,
  ICMP4_TYPE.INFOREQUEST,
];

function isIcmp(proto: number): boolean {
  return proto === IP_PROTO.ICMP || proto === IP_PROTO.ICMPV6;
}

export function validNew(p: PacketBuf, proto: number, counters: CtCounters): boolean {
  switch (proto) {
    case IP_PROTO.TCP:
      return tcpValidNew(p, counters);
    case IP_PROTO.ICMP:
      return ICMP4_REQUESTS.includes(p.bytes[p.l4()] ?? 0);
    case IP_PROTO.ICMPV6:
      return p.bytes[p.l4()] === ICMP6_TYPE.ECHO_REQUEST;
    default:
      return true;
  }
}

/** Sets up what the protocol remembers; gives the timeout of a new connection. */
export function initConn(conn: Conn, p: PacketBuf): CtTimeoutName {
  const { proto } = conn.key;
  if (proto === IP_PROTO.TCP) {
    tcpNew(conn, p);
    return "tcp_syn_sent";
  }
  conn.state = 0;
  return isIcmp(proto) ? "icmp_first" : "udp_first";
}

/** `at` says what the packet's key is, and in which direction it goes. */
export function updateConn(
  conn: Conn,
  p: PacketBuf,
  at: { readonly key: ConnKey; readonly reply: boolean },
  env: UpdateEnv,
): CtUpdate {
  const { reply } = at;
  const { proto } = at.key;
  if (proto === IP_PROTO.TCP) {
    return tcpUpdate(conn, p, reply, env);
  }
  if (isIcmp(proto)) {
    const first = conn.state === ICMP_STATE.FIRST;
    if (first && reply) {
      conn.state = ICMP_STATE.REPLY;
    }
    env.expire(conn, ICMP_TIMEOUTS[conn.state] ?? "icmp_reply");
    return first && !reply ? "valid_new" : "valid";
  }
  if (reply) {
    conn.state = OTHER_STATE.BIDIR;
  } else if (conn.state === OTHER_STATE.FIRST) {
    conn.state = OTHER_STATE.MULTIPLE;
  }
  env.expire(conn, OTHER_TIMEOUTS[conn.state] ?? "udp_multiple");
  return conn.state === OTHER_STATE.BIDIR ? "valid" : "valid_new";
}
