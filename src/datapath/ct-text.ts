// A connection as a line of `dpctl/dump-conntrack`.
//
// (ovs: lib/ct-dpif.c ct_dpif_format_entry; lib/conntrack.c conn_to_ct_dpif_entry)

import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { formatIpv4, formatIpv6 } from "../lib/address.ts";
import { IP_PROTO } from "../packet/ip.ts";
import type { Conn, TcpPeer } from "./ct-conn.ts";
import { type ConnKey, DST, SRC } from "./ct-key.ts";
import { TCP_STATES, TCPS, WSCALE } from "./ct-tcp.ts";

const PROTO_NAMES: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  58: "icmpv6",
  132: "sctp",
  136: "udplite",
};

/** The number of a protocol by its name in a dump, or null. */
export function protoNumber(name: string): number | null {
  for (const [number, known] of Object.entries(PROTO_NAMES)) {
    if (known === name) {
      return Number(number);
    }
  }
  return /^\d{1,3}$/.test(name) && Number(name) <= 255 ? Number(name) : null;
}

/** Which parts of a connection are shown. */
export interface CtTextOptions {
  readonly verbose: boolean;
  readonly stats: boolean;
  readonly nowMs: number;
}

export function isIcmpKey(key: ConnKey): boolean {
  return key.proto === IP_PROTO.ICMP || key.proto === IP_PROTO.ICMPV6;
}

function formatAddress(key: ConnKey, at: number): string {
  return key.dlType === ETH_TYPE.IP ? formatIpv4(key.addr[at] ?? 0) : formatIpv6(key.addr, at);
}

function formatTuple(key: ConnKey): string {
  const l4 = isIcmpKey(key)
    ? `id=${key.srcPort},type=${key.srcIcmp >> 8},code=${key.srcIcmp & 0xff}`
    : `sport=${key.srcPort},dport=${key.dstPort}`;
  return `src=${formatAddress(key, SRC)},dst=${formatAddress(key, DST)},${l4}`;
}

/** The state of a TCP connection, with states that look alike from outside taken together. */
export function tcpStateOf(tcp: readonly [TcpPeer, TcpPeer]): number {
  const state = Math.max(tcp[0].state, tcp[1].state);
  if (state === TCPS.FIN_WAIT_2) {
    return TCPS.TIME_WAIT;
  }
  return state === TCPS.SYN_RECV ? TCPS.ESTABLISHED : state;
}

function peerFlags(peer: TcpPeer): string {
  const names = [
    ...((peer.wscale & WSCALE.KNOWN) !== 0 ? ["WINDOW_SCALE"] : []),
    ...((peer.wscale & WSCALE.UNKNOWN) !== 0 ? ["BE_LIBERAL"] : []),
  ];
  return names.join("|") || "0";
}

function formatTcp(tcp: readonly [TcpPeer, TcpPeer], verbose: boolean): string {
  if (!verbose) {
    return `state=${TCP_STATES[tcpStateOf(tcp)]}`;
  }
  const [a, b] = tcp;
  const states = `state_orig=${TCP_STATES[a.state]},state_reply=${TCP_STATES[b.state]}`;
  const [x, y] = [a.wscale & WSCALE.MASK, b.wscale & WSCALE.MASK];
  const scales = x !== 0 || y !== 0 ? `,wscale_orig=${x},wscale_reply=${y}` : "";
  return `${states}${scales},flags_orig=${peerFlags(a)},flags_reply=${peerFlags(b)}`;
}

function formatLabel(label: Uint32Array): string {
  const hex = [...label].map((w) => w.toString(16).padStart(8, "0")).join("");
  return hex.replace(/^0+/, "");
}

export function formatConn(conn: Conn, o: CtTextOptions): string {
  const { key } = conn;
  const parts = [
    PROTO_NAMES[key.proto] ?? String(key.proto),
    `orig=(${formatTuple(key)})`,
    `reply=(${formatTuple(conn.revKey)})`,
  ];
  const part = (shown: boolean, text: () => string) => {
    if (shown) {
      parts.push(text());
    }
  };
  part(o.verbose, () => "id=0");
  part(key.zone !== 0, () => `zone=${key.zone}`);
  part(o.verbose, () => "status=0");
  const left = Math.max(0, Math.trunc((conn.expirationMs - o.nowMs) / 1000));
  part(o.stats, () => `timeout=${left}`);
  part(conn.mark !== 0, () => `mark=${conn.mark}`);
  part(
    conn.label.some((w) => w !== 0),
    () => `labels=0x${formatLabel(conn.label)}`,
  );
  if (conn.tcp !== null) {
    parts.push(`protoinfo=(${formatTcp(conn.tcp, o.verbose)})`);
  }
  if (conn.alg !== null) {
    parts.push(`helper=${conn.alg}`);
  }
  if (o.verbose && conn.parentKey !== null) {
    parts.push(`parent=(${formatTuple(conn.parentKey)})`);
  }
  return parts.join(",");
}
