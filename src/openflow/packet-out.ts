// Packet-outs: the flow of a packet that a controller hands to the switch, and the checks before its
// actions run (ovs: ofproto/ofproto.c ofproto_packet_out_init).

import { extract } from "../flow/extract.ts";
import { type FlowKey, get, K, newKey } from "../flow/flow-key.ts";
import { newMatch } from "../flow/match.ts";
import type { Protocols } from "../flow/of-version.ts";
import { PacketBuf } from "../packet/packet.ts";
import { checkConsistency } from "./actions/actions.ts";
import type { OfpErr } from "./messages/errors.ts";
import { NO_BUFFER, type PacketOut } from "./messages/types-flow.ts";
import type { Ofproto } from "./ofproto.ts";

/** The packet's fields along with the metadata that the message gives. */
function packetOutKey(po: PacketOut): FlowKey {
  const key = newKey();
  const { flow } = po.flowMetadata;
  extract(PacketBuf.of(po.packet, get(flow, K.packet_type) >>> 0), key);
  for (let i = 0; i < key.length; i++) {
    key[i] = (key[i] as number) | (flow[i] as number);
  }
  return key;
}

/** Null if the message may be executed as far as its own contents go. */
export function checkPacketOut(p: Ofproto, po: PacketOut, protocol: Protocols): OfpErr | null {
  if (po.bufferId !== NO_BUFFER) {
    return "OFPBRC_BUFFER_UNKNOWN";
  }
  const match = newMatch();
  match.flow.set(packetOutKey(po));
  match.wc.fill(0xffffffff);
  const { maxPorts, nTables } = p;
  return checkConsistency(po.actions, protocol, { match, maxPorts, tableId: 0, nTables });
}
