// A packet that is given together with a flow: the bytes say what is in the packet, the flow says
// where it came from and what is known about it.
//
// ovs: lib/packets.h pkt_metadata_from_flow, lib/flow.c flow_extract.

import type { PacketBuf, PacketMetadata } from "../packet/packet.ts";
import { extract } from "./extract.ts";
import { ETH_TYPE, isCtValid, tunnelDstIsSet } from "./flow-is.ts";
import { type FlowKey, get, getU, K } from "./flow-key.ts";

/** Tunnel slots are the first words of a key. */
const TUNNEL_WORDS = K.tun_md_opts.word + K.tun_md_opts.words;

/** Takes the metadata of a flow over, but for the tunnel. */
function metadataFromFlow(md: PacketMetadata, flow: FlowKey): void {
  md.recircId = getU(flow, K.recirc_id);
  md.dpHash = getU(flow, K.dp_hash);
  md.skbPriority = getU(flow, K.skb_priority);
  md.pktMark = getU(flow, K.pkt_mark);
  md.inPort = getU(flow, K.in_port);
  md.ctState = get(flow, K.ct_state);
  md.ctZone = get(flow, K.ct_zone);
  md.ctMark = getU(flow, K.ct_mark);
  md.ctLabel.set(flow.subarray(K.ct_label.word, K.ct_label.word + K.ct_label.words));
  md.tunnelled = false;
  md.geneveBytes = 0;
  md.ctOrigIpv6 = false;
  md.ctOrigAddr.fill(0);
  md.ctOrigProto = 0;
  md.ctOrigTpSrc = 0;
  md.ctOrigTpDst = 0;
  const dlType = get(flow, K.dl_type);
  if (!isCtValid(flow, null, null) || (dlType !== ETH_TYPE.IP && dlType !== ETH_TYPE.IPV6)) {
    return;
  }
  md.ctOrigProto = get(flow, K.ct_nw_proto);
  md.ctOrigTpSrc = get(flow, K.ct_tp_src);
  md.ctOrigTpDst = get(flow, K.ct_tp_dst);
  if (dlType === ETH_TYPE.IP) {
    md.ctOrigAddr[0] = getU(flow, K.ct_nw_src);
    md.ctOrigAddr[4] = getU(flow, K.ct_nw_dst);
  } else {
    md.ctOrigIpv6 = true;
    const src = K.ct_ipv6_src.word;
    const dst = K.ct_ipv6_dst.word;
    md.ctOrigAddr.set(flow.subarray(src, src + 4), 0);
    md.ctOrigAddr.set(flow.subarray(dst, dst + 4), 4);
  }
}

/** Makes `flow` what the packet's bytes say, keeping its own metadata. */
export function extractWithFlow(packet: PacketBuf, flow: FlowKey, vlanLimit: number): void {
  metadataFromFlow(packet.md, flow);
  const tunnel = tunnelDstIsSet(flow) ? flow.slice(0, TUNNEL_WORDS) : null;
  extract(packet, flow, vlanLimit);
  if (tunnel !== null) {
    flow.set(tunnel, 0);
  }
}
