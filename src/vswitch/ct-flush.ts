// Flushing connections by a match on their tuples.
//
// A complete tuple of the original direction names one connection; anything less is compared with
// all of them. (ovs: lib/ct-dpif.c ct_dpif_flush)

import { isIcmpKey } from "../datapath/ct-text.ts";
import { ConnKey, DST, SRC } from "../datapath/ct-key.ts";
import type { Conntrack } from "../datapath/conntrack.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { getU32 } from "../lib/bytes.ts";
import { AF, isCtMatchZero, isFiveTuple, isTupleZero } from "../openflow/messages/ct.ts";
import type { CtMatch, CtTuple } from "../openflow/messages/types-switch.ts";
import { reverseIcmpType } from "../datapath/ct-extract.ts";

/** The words of an address of a tuple, an IPv4 one in the first. */
function addressWords(b: Uint8Array, family: number): Uint32Array {
  const words = Uint32Array.from([0, 4, 8, 12], (i) => getU32(b, i));
  return family === AF.INET6 ? words : Uint32Array.of(words[3] ?? 0, 0, 0, 0);
}

function keyOf(t: CtTuple, m: CtMatch, zone: number): ConnKey {
  const key = new ConnKey();
  key.dlType = m.l3Type === AF.INET6 ? ETH_TYPE.IPV6 : ETH_TYPE.IP;
  key.proto = m.ipProto;
  key.zone = zone;
  key.setAddr(SRC, addressWords(t.src, m.l3Type), 0);
  key.setAddr(DST, addressWords(t.dst, m.l3Type), 0);
  if (isIcmpKey(key)) {
    key.srcPort = t.icmpId;
    key.dstPort = t.icmpId;
    key.srcIcmp = (t.icmpType << 8) | t.icmpCode;
    key.dstIcmp = (reverseIcmpType(t.icmpType, false) << 8) | t.icmpCode;
  } else {
    key.srcPort = t.srcPort;
    key.dstPort = t.dstPort;
  }
  return key;
}

function addressMatches(key: ConnKey, at: number, b: Uint8Array, m: CtMatch): boolean {
  if (b.every((v) => v === 0)) {
    return true;
  }
  const family = m.l3Type === AF.NONE ? null : m.l3Type;
  const words = addressWords(b, m.l3Type);
  return family === null || words.every((w, i) => w === key.addr[at + i]);
}

function tupleMatches(key: ConnKey, t: CtTuple, m: CtMatch): boolean {
  if (!addressMatches(key, SRC, t.src, m) || !addressMatches(key, DST, t.dst, m)) {
    return false;
  }
  if (m.ipProto === 1 || m.ipProto === 58) {
    return key.srcPort === t.icmpId && key.srcIcmp === ((t.icmpType << 8) | t.icmpCode);
  }
  return (
    (t.srcPort === 0 || t.srcPort === key.srcPort) && (t.dstPort === 0 || t.dstPort === key.dstPort)
  );
}

function familyOf(key: ConnKey): number {
  return key.dlType === ETH_TYPE.IPV6 ? AF.INET6 : AF.INET;
}

/** Forgets what matches, in a zone or in all; false if a connection was not found. */
export function flushConnections(
  ct: Conntrack,
  zone: number | null,
  match: CtMatch | null,
  nowMs: number,
): boolean {
  if (match === null || isCtMatchZero(match)) {
    ct.flush(zone);
    return true;
  }
  const { tupleOrig, tupleReply, ipProto, l3Type } = match;
  if (isFiveTuple(tupleOrig, ipProto) && isTupleZero(tupleReply, ipProto)) {
    return ct.flushKey(keyOf(tupleOrig, match, zone ?? 0), nowMs);
  }
  for (const conn of [...ct.list(zone, nowMs)]) {
    const matches =
      (l3Type === AF.NONE || l3Type === familyOf(conn.key)) &&
      (ipProto === 0 || ipProto === conn.key.proto) &&
      tupleMatches(conn.key, tupleOrig, match) &&
      tupleMatches(conn.revKey, tupleReply, match);
    if (matches && !ct.flushKey(conn.key, nowMs)) {
      return false;
    }
  }
  return true;
}
