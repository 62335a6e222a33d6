// The transport layer's part of extract.ts: TCP, UDP, SCTP, ICMP, IGMP, neighbour discovery.
//
// A header that does not fit in what the network layer says is there leaves its fields 0.
// ovs: lib/flow.c miniflow_extract, parse_icmpv6.

import { getU16, getU32 } from "../lib/bytes.ts";
import { assert } from "../lib/errors.ts";
import { ICMP, ICMP6_TYPE, IGMP, ND, ND_OPT } from "../packet/icmp-header.ts";
import { IP_PROTO } from "../packet/ip.ts";
import { SCTP, TCP, TCP_FLAG, UDP, wholeTcpHeader } from "../packet/l4.ts";
import type { FlowKey } from "./flow-key.ts";
import { K } from "./slots.ts";

const W_ND_TARGET = K.nd_target.word;
const W_ARP_SHA = K.arp_sha.word;
const W_ARP_THA = K.arp_tha.word;
const W_TCP_FLAGS = K.tcp_flags.word;
const S_TCP_FLAGS = K.tcp_flags.shift;
/** Both ports, source in the upper half. */
const W_TP = K.tp_src.word;
const W_CT_TP = K.ct_tp_src.word;
const W_IGMP = K.igmp_group_ip4.word;

assert(K.tp_src.shift === 16 && K.tp_dst.word === W_TP && K.tp_dst.shift === 0, "tp slots");
assert(K.ct_tp_src.shift === 16 && K.ct_tp_dst.word === W_CT_TP, "ct_tp slots");

/** `size` is what the network layer says is left, `ctPorts` the original tuple's ports. */
export function extractL4(
  b: Uint8Array,
  key: FlowKey,
  pos: number,
  size: number,
  proto: number,
  ctPorts: number,
): void {
  switch (proto) {
    case IP_PROTO.TCP: {
      if (wholeTcpHeader(b, pos, size) === 0) {
        return;
      }
      key[W_TCP_FLAGS] = (getU16(b, pos + TCP.CTL) & TCP_FLAG.MASK) << S_TCP_FLAGS;
      break;
    }
    case IP_PROTO.UDP:
      if (size < UDP.HEADER_BYTES) {
        return;
      }
      break;
    case IP_PROTO.SCTP:
      if (size < SCTP.HEADER_BYTES) {
        return;
      }
      break;
    case IP_PROTO.ICMP:
      if (size < ICMP.V4_BYTES) {
        return;
      }
      key[W_TP] = ((b[pos] as number) << 16) | (b[pos + ICMP.CODE] as number);
      key[W_CT_TP] = ctPorts;
      return;
    case IP_PROTO.IGMP:
      if (size < IGMP.HEADER_BYTES) {
        return;
      }
      key[W_TP] = ((b[pos] as number) << 16) | (b[pos + IGMP.CODE] as number);
      key[W_CT_TP] = ctPorts;
      key[W_IGMP] = getU32(b, pos + IGMP.GROUP);
      return;
    case IP_PROTO.ICMPV6:
      if (size >= ICMP.V6_DATA_BYTES) {
        extractIcmpv6(b, key, pos, size, ctPorts);
      }
      return;
    default:
      return;
  }
  key[W_TP] = getU32(b, pos);
  key[W_CT_TP] = ctPorts;
}

function extractIcmpv6(
  b: Uint8Array,
  key: FlowKey,
  pos: number,
  size: number,
  ctPorts: number,
): void {
  const type = b[pos] as number;
  const code = b[pos + ICMP.CODE] as number;
  key[W_TP] = (type << 16) | code;
  if (
    code !== 0 ||
    (type !== ICMP6_TYPE.ND_NEIGHBOR_SOLICIT && type !== ICMP6_TYPE.ND_NEIGHBOR_ADVERT)
  ) {
    key[W_CT_TP] = ctPorts;
    return;
  }
  // Neighbour discovery keeps no original ports: its fields take their place.
  key[W_IGMP] = getU32(b, pos + ND.RSO);
  if (size < ND.MSG_BYTES) {
    return;
  }
  for (let i = 0; i < 4; i++) {
    key[W_ND_TARGET + i] = getU32(b, pos + ND.TARGET + 4 * i);
  }
  extractNdOptions(b, key, pos + ND.OPTIONS, pos + size);
}

/** A link-layer address given twice is an error that forgets all addresses and the target. */
function extractNdOptions(b: Uint8Array, key: FlowKey, start: number, end: number): void {
  let pos = start;
  let firstType = 0;
  while (end - pos >= ND_OPT.LLA_BYTES) {
    const bytes = (b[pos + ND_OPT.LEN] as number) * ND_OPT.UNIT_BYTES;
    if (bytes === 0 || bytes > end - pos) {
      break;
    }
    const type = b[pos] as number;
    const isLla = type === ND_OPT.SOURCE_LLA || type === ND_OPT.TARGET_LLA;
    if (isLla && bytes === ND_OPT.LLA_BYTES) {
      const w = type === ND_OPT.SOURCE_LLA ? W_ARP_SHA : W_ARP_THA;
      if (key[w] !== 0 || key[w + 1] !== 0) {
        key.fill(0, W_ND_TARGET, W_ND_TARGET + 4);
        key.fill(0, W_ARP_SHA, W_ARP_SHA + 2);
        key.fill(0, W_ARP_THA, W_ARP_THA + 2);
        break;
      }
      key[w] = getU16(b, pos + ND_OPT.MAC);
      key[w + 1] = getU32(b, pos + ND_OPT.MAC + 2);
      firstType = firstType === 0 ? type : firstType;
    }
    pos += bytes;
  }
  key[W_TCP_FLAGS] = firstType << S_TCP_FLAGS;
}
