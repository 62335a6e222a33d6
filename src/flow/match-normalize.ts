// Dropping from a match what cannot be matched.
//
// A match may name a field whose lower layer it does not fix: a TCP port without a protocol, a type
// of service in an ARP flow. Open vSwitch accepts such a match when it comes over the wire, wildcards
// those fields and logs what it did. (ovs: lib/ofp-match.c ofputil_normalize_match)

import { clear, get, K, type Slot } from "./flow-key.ts";
import { hasDefaultPacketType, type Match, zeroWildcarded } from "./match.ts";

const IP = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;
const RARP = 0x8035;
const MPLS = 0x8847;
const MPLS_MCAST = 0x8848;
const ND_SOLICIT = 135;
const ND_ADVERT = 136;

/** What the lower layers of a match leave room for. */
interface MayMatch {
  ether: boolean;
  nwAddr: boolean;
  tpAddr: boolean;
  nwProto: boolean;
  ipvx: boolean;
  arpSha: boolean;
  arpTha: boolean;
  ipv6: boolean;
  ndTarget: boolean;
  mpls: boolean;
}

function mayMatch(m: Match): MayMatch {
  const type = m.flow[K.packet_type.word] as number;
  const typeMask = m.wc[K.packet_type.word] as number;
  const ether = typeMask === 0 || hasDefaultPacketType(m);
  const ethertype = typeMask === 0xffffffff && type >>> 16 === 1;
  const dlType = ether ? get(m.flow, K.dl_type) : ethertype ? type & 0xffff : 0;
  const proto = get(m.flow, K.nw_proto);
  const l4 = proto === 6 || proto === 17 || proto === 132;
  const icmp6 = dlType === IPV6 && proto === 58;
  const nd = icmp6 ? get(m.flow, K.tp_src) : 0;
  const ip = dlType === IP || dlType === IPV6;
  const arp = dlType === ARP || dlType === RARP;
  return {
    ether,
    nwAddr: dlType === IP || arp,
    tpAddr: (ip && l4) || (dlType === IP && proto === 1) || icmp6,
    nwProto: ip || arp,
    ipvx: ip,
    arpSha: arp || nd === ND_SOLICIT,
    arpTha: arp || nd === ND_ADVERT,
    ipv6: dlType === IPV6,
    ndTarget: nd === ND_SOLICIT || nd === ND_ADVERT,
    mpls: dlType === MPLS || dlType === MPLS_MCAST,
  };
}

/**
 * Wildcards what the matched layers below cannot hold; true if that changed the match, which Open
 * vSwitch then logs with the texts before and after. (ovs: ofputil_normalize_match__)
 */
export function normalizeMatch(m: Match): boolean {
  const may = mayMatch(m);
  const before = m.wc.slice();
  const drop = (allowed: boolean, ...slots: Slot[]) => {
    if (!allowed) {
      for (const s of slots) {
        clear(m.wc, s);
      }
    }
  };
  drop(may.ether, K.dl_src, K.dl_dst);
  drop(may.nwAddr, K.nw_src, K.nw_dst);
  drop(may.tpAddr, K.tp_src, K.tp_dst);
  drop(may.nwProto, K.nw_proto);
  drop(may.ipvx, K.nw_tos, K.nw_ttl);
  drop(may.arpSha, K.arp_sha);
  drop(may.arpTha, K.arp_tha);
  drop(may.ipv6, K.ipv6_src, K.ipv6_dst, K.ipv6_label);
  drop(may.ndTarget, K.nd_target);
  drop(may.mpls, K.mpls_lse, K.mpls_lse1, K.mpls_lse2);
  if (before.every((w, i) => w === m.wc[i])) {
    return false;
  }
  zeroWildcarded(m);
  return true;
}
