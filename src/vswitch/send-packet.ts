// Packets that the switch itself sends out of one of its ports.
//
// They are translated like a packet-out with a single output, so that patch ports, tunnels and
// mirrors do with them what they do with any packet. The port that stands for the bridge counts
// them as if they had come in by it. ovs: ofproto/ofproto-dpif.c ofproto_dpif_send_packet.

import { F } from "../flow/fields.ts";
import { K, set } from "../flow/flow-key.ts";
import { newMatch } from "../flow/match.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Action } from "../openflow/actions/types.ts";
import { NO_BUFFER } from "../openflow/messages/types-flow.ts";
import type { XPort } from "../openflow/xbridge.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Bridge } from "./bridge.ts";

/** NX_TUN_FLAG_OAM. */
const TUN_FLAG_OAM = 1;

/** Sends a frame; `oam` marks it as operations traffic where the port is a tunnel. */
export function sendPacket(br: Bridge, xport: XPort, frame: PacketBuf, oam = false): void {
  const flowMetadata = newMatch();
  // No port, so that the packet is not taken for one that was received.
  set(flowMetadata.flow, K.in_port, OFPP.NONE);
  const output: Action = { kind: "output", port: xport.ofpPort, maxLen: 0 };
  const actions = oam ? [setOam(), output] : [output];
  const packet = frame.data().slice();
  const po = { packet, bufferId: NO_BUFFER, flowMetadata, actions };
  br.vs.packets?.packetOut(br, po, br.ofproto.tablesVersion, br.sent);
  br.sent.packets++;
}

function setOam(): Action {
  const flag = Uint32Array.of(TUN_FLAG_OAM);
  return { kind: "set_field", field: F.tun_flags, value: flag, mask: flag, flowHasVlan: false };
}
