// A packet as messages show it: its flow and the checksum of its transport header
// (ovs: lib/ofp-print.c ofp_packet_to_string).

import { extract } from "../../flow/extract.ts";
import { get, K, newKey } from "../../flow/flow-key.ts";
import { getU16, getU32 } from "../../lib/bytes.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import { SCTP, TCP, UDP } from "../../packet/l4.ts";
import { NO_OFS, PacketBuf } from "../../packet/packet.ts";
import { formatFlow } from "../flow-format.ts";

const ICMP_HEADER_BYTES = 8;
const ICMP6_HEADER_BYTES = 4;
const ICMP_CSUM_OFS = 2;

interface CsumRow {
  readonly proto: number;
  readonly name: string;
  readonly headerBytes: number;
  readonly ofs: number;
}

const CSUMS: readonly CsumRow[] = [
  { proto: IP_PROTO.TCP, name: "tcp", headerBytes: TCP.HEADER_BYTES, ofs: TCP.CSUM },
  { proto: IP_PROTO.UDP, name: "udp", headerBytes: UDP.HEADER_BYTES, ofs: UDP.CSUM },
  { proto: IP_PROTO.SCTP, name: "sctp", headerBytes: SCTP.HEADER_BYTES, ofs: SCTP.CSUM },
  { proto: IP_PROTO.ICMP, name: "icmp", headerBytes: ICMP_HEADER_BYTES, ofs: ICMP_CSUM_OFS },
  { proto: IP_PROTO.ICMPV6, name: "icmp6", headerBytes: ICMP6_HEADER_BYTES, ofs: ICMP_CSUM_OFS },
];

/** One line. */
export function formatPacket(data: Uint8Array, packetType: number): string {
  const p = PacketBuf.of(data, packetType);
  const key = newKey();
  extract(p, key);
  const row = CSUMS.find((r) => r.proto === get(key, K.nw_proto));
  let csum = "";
  if (row !== undefined && p.l4Ofs !== NO_OFS) {
    const l4Bytes = p.size - p.l2PadBytes - p.l4Ofs;
    const at = p.start + p.l4Ofs + row.ofs;
    if (l4Bytes >= row.headerBytes) {
      const value = row.name === "sctp" ? getU32(p.bytes, at) : getU16(p.bytes, at);
      csum = ` ${row.name}_csum:${value.toString(16)}`;
    }
  }
  return `${formatFlow(key)}${csum}\n`;
}
