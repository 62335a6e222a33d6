// The metadata of a packet from a flow key, for packets that enter the datapath from above.
//
// ovs: lib/packets.h pkt_metadata_from_flow.

import { TNL_F_UDPIF } from "../flow/extract.ts";
import { tunnelDstIsSet } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K } from "../flow/flow-key.ts";
import { putU32 } from "../lib/bytes.ts";
import { ETH_TYPE } from "../packet/ethernet.ts";
import type { PacketMetadata } from "../packet/packet.ts";

/** in_port is taken as it is. */
export function setMetadataFromFlow(md: PacketMetadata, key: FlowKey): void {
  md.recircId = getU(key, K.recirc_id);
  md.dpHash = getU(key, K.dp_hash);
  md.skbPriority = getU(key, K.skb_priority);
  md.pktMark = getU(key, K.pkt_mark);
  md.inPort = getU(key, K.in_port);
  md.origInPort = md.inPort;
  md.ctState = get(key, K.ct_state);
  md.ctZone = get(key, K.ct_zone);
  md.ctMark = getU(key, K.ct_mark);
  md.ctLabel.set(key.subarray(K.ct_label.word, K.ct_label.word + 4));
  md.ctOrigIpv6 = get(key, K.dl_type) === ETH_TYPE.IPV6;
  md.ctOrigProto = get(key, K.ct_nw_proto);
  md.ctOrigTpSrc = get(key, K.ct_tp_src);
  md.ctOrigTpDst = get(key, K.ct_tp_dst);
  if (md.ctOrigIpv6) {
    md.ctOrigAddr.set(key.subarray(K.ct_ipv6_src.word, K.ct_ipv6_src.word + 4), 0);
    md.ctOrigAddr.set(key.subarray(K.ct_ipv6_dst.word, K.ct_ipv6_dst.word + 4), 4);
  } else {
    md.ctOrigAddr[0] = getU(key, K.ct_nw_src);
    md.ctOrigAddr[4] = getU(key, K.ct_nw_dst);
  }
  md.tunnelled = tunnelDstIsSet(key);
  md.geneveBytes = 0;
  if (!md.tunnelled) {
    return;
  }
  md.tnl.set(key.subarray(0, K.tun_md_present.word));
  if ((get(key, K.tun_flags) & TNL_F_UDPIF) !== 0) {
    md.geneveBytes = key[K.tun_md_present.word + 1] as number;
    for (let i = 0; i < md.geneveBytes; i += 4) {
      putU32(md.geneve, i, key[K.tun_md_opts.word + (i >> 2)] as number);
    }
  }
}
