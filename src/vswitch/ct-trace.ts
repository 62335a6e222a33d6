// What a trace makes of connections that a dump of the host showed.
//
// Open vSwitch's trace knows nothing of connections and assumes "trk|new" after each ct(). With a
// dump it can do better: the packet's connection, if it is in the dump, says whether the packet is
// established, a reply or related, which mark and label it gets, and how it is translated. The
// tracker itself is not changed.

import { type Conn, NAT_ACTION } from "../datapath/ct-conn.ts";
import { reverseIcmpType } from "../datapath/ct-extract.ts";
import { ConnKey, DST, SRC } from "../datapath/ct-key.ts";
import { OTHER_STATE } from "../datapath/ct-proto.ts";
import { TCPS } from "../datapath/ct-tcp.ts";
import { formatConn, isIcmpKey } from "../datapath/ct-text.ts";
import type { Conntrack } from "../datapath/conntrack.ts";
import { CS, ETH_TYPE, getDlType } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K, set } from "../flow/flow-key.ts";
import type { KnownConnection } from "../openflow/trace-run.ts";
import type { RecircNode } from "../openflow/xlate-ctx.ts";

function keyOf(flow: FlowKey, zone: number): ConnKey | null {
  const key = new ConnKey();
  key.dlType = getDlType(flow);
  key.zone = zone;
  key.proto = get(flow, K.nw_proto);
  if (key.dlType === ETH_TYPE.IP) {
    key.addr[SRC] = getU(flow, K.nw_src);
    key.addr[DST] = getU(flow, K.nw_dst);
  } else if (key.dlType === ETH_TYPE.IPV6) {
    key.setAddr(SRC, flow, K.ipv6_src.word);
    key.setAddr(DST, flow, K.ipv6_dst.word);
  } else {
    return null;
  }
  if (isIcmpKey(key)) {
    // A flow does not say the identifier of an ICMP query.
    const type = get(flow, K.tp_src);
    key.srcIcmp = (type << 8) | get(flow, K.tp_dst);
    key.dstIcmp = reverseIcmpType(type, key.dlType === ETH_TYPE.IPV6) << 8;
  } else {
    key.srcPort = get(flow, K.tp_src);
    key.dstPort = get(flow, K.tp_dst);
  }
  return key;
}

/** The connection of a key; for an ICMP query the first one between the addresses. */
function find(ct: Conntrack, key: ConnKey, nowMs: number): { conn: Conn; reply: boolean } | null {
  if (!isIcmpKey(key)) {
    return ct.peek(key, nowMs);
  }
  for (const conn of ct.list(key.zone, nowMs)) {
    for (const [reply, of] of [
      [false, conn.key],
      [true, conn.revKey],
    ] as const) {
      key.srcPort = of.srcPort;
      key.dstPort = of.dstPort;
      if (of.equals(key)) {
        return { conn, reply };
      }
    }
  }
  return null;
}

function isEstablished(conn: Conn, reply: boolean): boolean {
  if (reply) {
    return true;
  }
  return conn.tcp === null
    ? conn.state === OTHER_STATE.BIDIR || (isIcmpKey(conn.key) && conn.state > 0)
    : Math.max(conn.tcp[0].state, conn.tcp[1].state) > TCPS.SYN_SENT;
}

function stateOf(conn: Conn, reply: boolean, translated: boolean): number {
  let state: number = CS.trk | (isEstablished(conn, reply) ? CS.est : CS.new);
  state |= reply ? CS.rpl : 0;
  state |= conn.algRelated ? CS.rel : 0;
  if (translated && conn.natAction !== 0) {
    const src = (conn.natAction & NAT_ACTION.SRC) !== 0;
    state |= src === reply ? CS.dnat : CS.snat;
  }
  return state;
}

function setEnds(flow: FlowKey, key: ConnKey, names: "packet" | "original"): void {
  const packet = names === "packet";
  if (key.dlType === ETH_TYPE.IP) {
    set(flow, packet ? K.nw_src : K.ct_nw_src, key.addr[SRC] ?? 0);
    set(flow, packet ? K.nw_dst : K.ct_nw_dst, key.addr[DST] ?? 0);
  } else {
    flow.set(key.addr.subarray(SRC, SRC + 4), (packet ? K.ipv6_src : K.ct_ipv6_src).word);
    flow.set(key.addr.subarray(DST, DST + 4), (packet ? K.ipv6_dst : K.ct_ipv6_dst).word);
  }
  if (!isIcmpKey(key)) {
    set(flow, packet ? K.tp_src : K.ct_tp_src, key.srcPort);
    set(flow, packet ? K.tp_dst : K.ct_tp_dst, key.dstPort);
  } else if (!packet) {
    set(flow, K.ct_tp_src, key.srcIcmp >> 8);
    set(flow, K.ct_tp_dst, key.srcIcmp & 0xff);
  }
}

/** What a dump knows about a packet that goes into conntrack; null if nothing. */
export function knownConnection(
  ct: Conntrack,
  node: RecircNode,
  nowMs: number,
): KnownConnection | null {
  const key = ct.restored ? keyOf(node.flow, node.zone) : null;
  const found = key === null ? null : find(ct, key, nowMs);
  if (found === null) {
    return null;
  }
  const { conn, reply } = found;
  return {
    ctState: stateOf(conn, reply, node.nat !== null),
    family: conn.key.dlType === ETH_TYPE.IP ? 4 : 6,
    text: formatConn(conn, { verbose: false, stats: false, nowMs }),
    fill: (flow) => {
      set(flow, K.ct_mark, conn.mark);
      flow.set(conn.label, K.ct_label.word);
      const origin = conn.parentKey ?? conn.key;
      set(flow, K.ct_nw_proto, origin.proto);
      setEnds(flow, origin, "original");
    },
    translate: (flow) => {
      setEnds(flow, (reply ? conn.key : conn.revKey).clone().reverse(), "packet");
    },
  };
}
