// The metadata of a packet as a match, which is how a controller is told of it.
//
// Only fields that are not zero are named, and the input port always. ovs: lib/flow.c
// flow_get_metadata.

import { CS, getDlType, PT, TNL_F } from "../flow/flow-is.ts";
import {
  copySlot,
  type FlowKey,
  fill,
  get,
  getU,
  isZero,
  K,
  set,
  type Slot,
} from "../flow/flow-key.ts";
import { type Match, newMatch } from "../flow/match.ts";
import { SLOT_LIST, type SlotName } from "../flow/slots.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { ETH_TYPE } from "../packet/ethernet.ts";

const REG_NAME = /^reg\d+$/;
const NONZERO: readonly Slot[] = [
  K.tun_id,
  K.tun_src,
  K.tun_dst,
  K.tun_ipv6_src,
  K.tun_ipv6_dst,
  K.tun_gbp_id,
  K.tun_gbp_flags,
  K.tun_erspan_ver,
  K.tun_erspan_idx,
  K.tun_erspan_dir,
  K.tun_erspan_hwid,
  K.tun_gtpu_flags,
  K.tun_gtpu_msgtype,
  K.metadata,
  ...SLOT_LIST.filter((s) => REG_NAME.test(s.name)),
  K.pkt_mark,
];
const CT_FIELDS: readonly SlotName[] = ["ct_zone", "ct_mark", "ct_label"];

function put(m: Match, key: FlowKey, slot: Slot): void {
  copySlot(m.flow, key, slot);
  fill(m.wc, slot);
}

/** `key` has an OpenFlow port and, if the bridge has a TLV map, mapped tunnel options. */
export function packetMetadata(key: FlowKey, tab: TunTable | null): Match {
  const m = newMatch(tab);
  for (const slot of NONZERO) {
    if (!isZero(key, slot)) {
      put(m, key, slot);
    }
  }
  const flags = get(key, K.tun_flags) & TNL_F.PUBLIC;
  if (flags !== 0) {
    set(m.flow, K.tun_flags, flags);
    set(m.wc, K.tun_flags, TNL_F.PUBLIC);
  }
  if (!isZero(key, K.tun_md_present)) {
    // Options that are there are matched whole, at the places that the map gives them.
    put(m, key, K.tun_md_present);
    m.wc.set(
      m.flow.subarray(K.tun_md_present.word, K.tun_md_present.word + 2),
      K.tun_md_present.word,
    );
    copySlot(m.flow, key, K.tun_md_opts);
    fill(m.wc, K.tun_md_opts);
  }
  put(m, key, K.in_port);
  if (getU(key, K.packet_type) !== PT.ETH) {
    put(m, key, K.packet_type);
  }
  if (get(key, K.ct_state) !== 0) {
    putConntrack(m, key);
  }
  return m;
}

function putConntrack(m: Match, key: FlowKey): void {
  put(m, key, K.ct_state);
  put(m, key, K.dl_type);
  const state = get(key, K.ct_state);
  const valid = (state & CS.trk) !== 0 && (state & CS.inv) === 0;
  if (valid && get(key, K.ct_nw_proto) !== 0) {
    const type = getDlType(key);
    if (type === ETH_TYPE.IP) {
      put(m, key, K.ct_nw_src);
      put(m, key, K.ct_nw_dst);
    } else if (type === ETH_TYPE.IPV6) {
      put(m, key, K.ct_ipv6_src);
      put(m, key, K.ct_ipv6_dst);
    }
    put(m, key, K.ct_nw_proto);
    put(m, key, K.ct_tp_src);
    put(m, key, K.ct_tp_dst);
  }
  for (const name of CT_FIELDS) {
    if (!isZero(key, K[name])) {
      put(m, key, K[name]);
    }
  }
}
