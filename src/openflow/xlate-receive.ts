// What happens to a packet when a bridge receives it, before any table: protocols that the switch
// itself speaks, ports that receive nothing.
//
// ovs: ofproto/ofproto-dpif-xlate.c process_special, may_receive, clear_conntrack; lib/flow.c
// flow_clear_conntrack.

import { SLOW } from "../datapath/odp-action.ts";
import { isStp } from "../flow/flow-is.ts";
import { clear, type FlowKey, fill, get, K, set } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import {
  PORT_CONFIG,
  rstpForward,
  rstpLearn,
  stpForward,
  stpLearn,
  type XPort,
} from "./xbridge.ts";
import type { XlateCtx } from "./xlate-ctx.ts";

const ETH_TYPE_LACP = 0x8809;
const ETH_TYPE_LLDP = 0x88cc;

/** Forgets the connection state of a key. */
export function flowClearConntrack(key: FlowKey): void {
  set(key, K.ct_state, 0);
  set(key, K.ct_zone, 0);
  set(key, K.ct_mark, 0);
  clear(key, K.ct_label);
  set(key, K.ct_nw_proto, 0);
  set(key, K.ct_tp_src, 0);
  set(key, K.ct_tp_dst, 0);
  const dlType = get(key, K.dl_type);
  if (dlType === ETH_TYPE.IP) {
    set(key, K.ct_nw_src, 0);
    set(key, K.ct_nw_dst, 0);
  } else if (dlType === ETH_TYPE.IPV6) {
    clear(key, K.ct_ipv6_src);
    clear(key, K.ct_ipv6_dst);
  }
}

export function clearConntrack(ctx: XlateCtx): void {
  ctx.conntracked = false;
  flowClearConntrack(ctx.flow);
}

/** True if the packet belongs to a protocol that the switch speaks on the port. */
export function processSpecial(ctx: XlateCtx, xport: XPort | null): boolean {
  const slow = xport === null ? 0 : specialReason(ctx, xport);
  if (slow === 0) {
    return false;
  }
  ctx.slow |= slow;
  if (xport !== null && ctx.packet !== null) {
    ctx.xin.onSpecial?.(xport, slow, ctx.packet, ctx.flow);
  }
  return true;
}

function specialReason(ctx: XlateCtx, xport: XPort): number {
  const { flow, wc, xbridge } = ctx;
  if (xport.cfm?.shouldProcess(flow, wc) === true) {
    return SLOW.CFM;
  }
  if (xport.bfd?.shouldProcess(flow, wc) === true) {
    return SLOW.BFD;
  }
  if (xport.xbundle?.lacp === true && get(flow, K.dl_type) === ETH_TYPE_LACP) {
    return SLOW.LACP;
  }
  if (xbridge.stp || xbridge.rstp) {
    fill(wc, K.dl_dst);
    if (isStp(flow)) {
      return SLOW.STP;
    }
  }
  if (xport.lldp && get(flow, K.dl_type) === ETH_TYPE_LLDP) {
    return SLOW.LLDP;
  }
  return 0;
}

/** False if the port takes no packets. */
export function mayReceive(xport: XPort, ctx: XlateCtx): boolean {
  const bit = isStp(ctx.flow) ? PORT_CONFIG.NO_RECV_STP : PORT_CONFIG.NO_RECV;
  if ((xport.config & bit) !== 0) {
    return false;
  }
  // A port that only learns must let NORMAL look at the packet.
  return (stpForward(xport) || stpLearn(xport)) && (rstpForward(xport) || rstpLearn(xport));
}
