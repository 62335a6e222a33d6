// An exact flow as text, the way traces and packet dumps show what is in a packet.
//
// It is the text of a match of everything that the packet has, but fields that describe its context
// (port, marks, connection state, registers) are left out where they are 0. (ovs: lib/flow.c
// flow_format)

import { isCtValid } from "../flow/flow-is.ts";
import { clear, type FlowKey, fill, get, isZero, K, newKey, type Slot } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/flow-is.ts";
import { wildcardsForPacket } from "../flow/flow-wildcards.ts";
import type { NameMap } from "../flow/ofp-port.ts";
import { REG_COUNT } from "../flow/slots.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { formatMatch } from "./match-text.ts";

/** Shown only if they are not 0. */
const CONTEXT: readonly Slot[] = [
  K.in_port,
  K.skb_priority,
  K.pkt_mark,
  K.recirc_id,
  K.dp_hash,
  K.ct_state,
  K.ct_zone,
  K.ct_mark,
  K.ct_label,
  K.metadata,
];

/** The mask of the flow that is being written, overwritten by the next one. */
const shown = newKey();

/** What a flow has that is worth showing (ovs: match_wc_init and what flow_format drops). */
function shownMask(flow: FlowKey): FlowKey {
  const wc = shown;
  wildcardsForPacket(flow, wc);
  fill(wc, K.metadata);
  for (let i = 0; i < REG_COUNT; i++) {
    const w = K.reg0.word + i;
    wc[w] = flow[w] === 0 ? 0 : 0xffffffff;
  }
  for (const slot of CONTEXT) {
    if (isZero(flow, slot)) {
      clear(wc, slot);
    }
  }
  if (!isCtValid(flow, wc, null) || get(flow, K.ct_nw_proto) === 0) {
    clear(wc, K.ct_nw_proto);
    clear(wc, K.ct_tp_src);
    clear(wc, K.ct_tp_dst);
    const v4 = get(flow, K.dl_type) === ETH_TYPE.IP;
    if (v4 || get(flow, K.dl_type) === ETH_TYPE.IPV6) {
      clear(wc, v4 ? K.ct_nw_src : K.ct_ipv6_src);
      clear(wc, v4 ? K.ct_nw_dst : K.ct_ipv6_dst);
    }
  }
  return wc;
}

/** The text of a flow; tunnel options are shown if the bridge's TLV map is given. */
export function formatFlow(
  flow: FlowKey,
  ports: NameMap | null = null,
  tab: TunTable | null = null,
): string {
  return formatMatch({ flow, wc: shownMask(flow), tab, tunMd: null }, ports);
}
