// Reports and queries of multicast listeners change the snooping table.
//
// Only a real packet does that, not a trace without one, and only if its checksum is right.
// ovs: ofproto/ofproto-dpif-xlate.c update_mcast_snooping_table4__, update_mcast_snooping_table6__.

import { get, getU, isZero, K } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { formatIpv4 } from "../lib/address.ts";
import { csum, csumContinue, csumFinish, csumAdd32 } from "../lib/checksum.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { IGMP, type McastPlace, type McastSnooping, mappedIpv4 } from "./mcast-snooping.ts";
import { OFPP_NONE_BUNDLE, type XBundle } from "./xbridge.ts";
import { reportDebug, type XlateCtx } from "./xlate-ctx.ts";

const IGMP_BYTES = 8;
const MLD_BYTES = 8;
const MLD_QUERY = 130;
const IP_PROTO_ICMPV6 = 58;
/** Source and destination address of an IPv6 header, from its start. */
const IPV6_ADDRESSES = { START: 8, END: 40 } as const;

function l4Bytes(p: PacketBuf): Uint8Array {
  const start = p.l4();
  return p.bytes.subarray(start, start + p.l4Bytes());
}

function icmpv6ChecksumIsRight(p: PacketBuf): boolean {
  const l3 = p.l3();
  let sum = csumContinue(0, p.bytes, l3 + IPV6_ADDRESSES.START, l3 + IPV6_ADDRESSES.END);
  sum = csumAdd32(sum, p.l4Bytes());
  sum = csumAdd32(sum, IP_PROTO_ICMPV6);
  return csumFinish(csumContinue(sum, p.bytes, p.l4(), p.l4() + p.l4Bytes())) === 0;
}

function updateIgmp(ctx: XlateCtx, ms: McastSnooping, p: PacketBuf, at: McastPlace): void {
  const where = `on port ${at.bundle.name} in VLAN ${at.vlan}`;
  const l4 = l4Bytes(p);
  if (l4.length < IGMP_BYTES || csum(l4) !== 0) {
    reportDebug(ctx, "detail", `multicast snooping received bad IGMP checksum ${where}`);
    return;
  }
  const group = getU(ctx.flow, K.igmp_group_ip4);
  switch (get(ctx.flow, K.tp_src)) {
    case IGMP.REPORT_V1:
    case IGMP.REPORT_V2:
      if (ms.addGroup(mappedIpv4(group), at)) {
        const text = `multicast snooping learned that ${formatIpv4(group)} is ${where}`;
        reportDebug(ctx, "detail", text);
      }
      break;
    case IGMP.LEAVE:
      if (ms.leaveGroup(mappedIpv4(group), at)) {
        reportDebug(ctx, "detail", `multicast snooping leaving ${formatIpv4(group)} is ${where}`);
      }
      break;
    case IGMP.QUERY: {
      const src = getU(ctx.flow, K.nw_src);
      if (src !== 0 && ms.addRouter(at)) {
        reportDebug(ctx, "detail", `multicast snooping query from ${formatIpv4(src)} is ${where}`);
      }
      break;
    }
    case IGMP.REPORT_V3: {
      const count = ms.addReport(l4, at);
      if (count > 0) {
        reportDebug(ctx, "detail", `multicast snooping processed ${count} addresses ${where}`);
      }
      break;
    }
    default:
  }
}

function updateMld(ctx: XlateCtx, ms: McastSnooping, p: PacketBuf, at: McastPlace): void {
  const where = `on port ${at.bundle.name} in VLAN ${at.vlan}`;
  const l4 = l4Bytes(p);
  if (l4.length < MLD_BYTES || !icmpv6ChecksumIsRight(p)) {
    reportDebug(ctx, "detail", `multicast snooping received bad MLD checksum ${where}`);
    return;
  }
  if (get(ctx.flow, K.tp_src) === MLD_QUERY) {
    if (!isZero(ctx.flow, K.ipv6_src) && ms.addRouter(at)) {
      reportDebug(ctx, "detail", `multicast snooping query ${where}`);
    }
    return;
  }
  const count = ms.addMld(l4, at);
  if (count > 0) {
    reportDebug(ctx, "detail", `multicast snooping processed ${count} addresses ${where}`);
  }
}

/** Learns from a report or query, if there are side effects and a packet. */
export function updateMcastSnooping(
  ctx: XlateCtx,
  ms: McastSnooping,
  bundle: XBundle,
  vlan: number,
): void {
  const p = ctx.xin.packet;
  if (
    !ctx.sideEffects ||
    p === null ||
    bundle === OFPP_NONE_BUNDLE ||
    ms.floodBundles.has(bundle)
  ) {
    return;
  }
  const at = { vlan, bundle, nowMs: ctx.xin.nowMs };
  if (get(ctx.flow, K.dl_type) === ETH_TYPE.IP) {
    updateIgmp(ctx, ms, p, at);
  } else {
    updateMld(ctx, ms, p, at);
  }
}
