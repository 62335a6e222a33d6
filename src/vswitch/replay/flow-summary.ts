// A packet in a few words: protocol and ends, as one would name it to a colleague.

import { ETH_TYPE, IP_PROTO } from "../../flow/flow-is.ts";
import { type FlowKey, get, getU, K } from "../../flow/flow-key.ts";
import { formatIpv4, formatIpv6, formatMac } from "../../lib/address.ts";

const PROTO_NAMES: Readonly<Record<number, string>> = {
  [IP_PROTO.TCP]: "tcp",
  [IP_PROTO.UDP]: "udp",
  [IP_PROTO.SCTP]: "sctp",
  [IP_PROTO.ICMP]: "icmp",
  [IP_PROTO.ICMPV6]: "icmpv6",
};
const ARP_REQUEST = 1;
const LATER_FRAGMENT = 2;

/** `tcp 10.0.0.1:40000 > 10.0.0.2:80`, `arp who-has 10.0.0.2 tell 10.0.0.1`, … */
export function flowSummary(key: FlowKey): string {
  switch (get(key, K.dl_type)) {
    case ETH_TYPE.IP:
      return ipText(key, formatIpv4(getU(key, K.nw_src)), formatIpv4(getU(key, K.nw_dst)));
    case ETH_TYPE.IPV6: {
      const [src, dst] = [K.ipv6_src, K.ipv6_dst].map((s) => `[${formatIpv6(key, s.word)}]`);
      return ipText(key, src as string, dst as string);
    }
    case ETH_TYPE.ARP: {
      const [spa, tpa] = [K.nw_src, K.nw_dst].map((s) => formatIpv4(getU(key, s)));
      return get(key, K.nw_proto) === ARP_REQUEST
        ? `arp who-has ${tpa} tell ${spa}`
        : `arp ${spa} is-at, to ${tpa}`;
    }
    default: {
      const [src, dst] = [K.dl_src, K.dl_dst].map((s) =>
        formatMac(key[s.word] as number, key[s.word + 1] as number),
      );
      return `0x${get(key, K.dl_type).toString(16).padStart(4, "0")} ${src} > ${dst}`;
    }
  }
}

function ipText(key: FlowKey, src: string, dst: string): string {
  const proto = get(key, K.nw_proto);
  const name = PROTO_NAMES[proto] ?? `proto ${proto}`;
  if ((get(key, K.nw_frag) & LATER_FRAGMENT) !== 0) {
    return `${name} fragment ${src} > ${dst}`;
  }
  const [a, b] = [get(key, K.tp_src), get(key, K.tp_dst)];
  switch (proto) {
    case IP_PROTO.TCP:
    case IP_PROTO.UDP:
    case IP_PROTO.SCTP:
      return `${name} ${src}:${a} > ${dst}:${b}`;
    case IP_PROTO.ICMP:
    case IP_PROTO.ICMPV6:
      return `${name} ${src} > ${dst} type ${a}`;
    default:
      return `${name} ${src} > ${dst}`;
  }
}
