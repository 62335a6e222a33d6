// Families of frames for pipelines: what matches them, and frames with values from small pools.

import type { Draw } from "./draw.ts";
import * as w from "./wire.ts";

export const MACS = [
  "02:00:00:00:00:01",
  "02:00:00:00:00:02",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:00:00:05",
];
const IPS = ["10.0.0.1", "10.0.0.2", "10.1.0.1"];
const IP6S = ["fd00::1", "fd00::2"];
const L4 = [53, 80, 443];

/** What a frame is, and so which fields and actions fit it. */
export type Layer = "any" | "ip" | "l4" | "ip6" | "l46" | "arp" | "mpls" | "nsh";

export interface Family {
  readonly keyword: string;
  readonly layer: Layer;
  readonly matches: (d: Draw) => readonly string[];
  readonly frame: (d: Draw) => readonly [number, w.Bytes];
}

const ip = (d: Draw): string => d.pick(IPS);
const ipMatches = (d: Draw): string[] => [
  `nw_src=${ip(d)}`,
  `nw_dst=${ip(d)}/${d.pick([8, 16, 31])}`,
  `nw_tos=${d.pick([0, 16])}`,
  `nw_ecn=${d.pick([0, 3])}`,
  `nw_ttl=${d.pick([1, 64])}`,
  `nw_frag=${d.pick(["no", "yes", "first", "later", "not_later"])}`,
];
const portMatches = (d: Draw): string[] => [
  `tp_src=${d.pick(["53", "80", "443", "0x40/0xffc0"])}`,
  `tp_dst=${d.pick(["53", "80", "443", "80/0xfff0"])}`,
];
const ip6Matches = (d: Draw): string[] => [
  `ipv6_src=${d.pick(["fd00::1", "fd00::2", "fd00::/127"])}`,
  `ipv6_label=${d.pick(["0", "0x12345"])}`,
  `nw_ttl=${d.pick([1, 64])}`,
];

function header4(d: Draw): w.Ip4 {
  return {
    src: ip(d),
    dst: ip(d),
    tos: d.pick([0, 0, 16, 3]),
    ttl: d.pick([64, 64, 1, 0, 2]),
    frag: d.pick([0, 0, 0, 0, 0x4000, 0x2000, 0x0002]),
    options: d.chance(5) ? [1, 1, 1, 0] : [],
  };
}

function header6(d: Draw): w.Ip6 {
  const extensions = d.pick([
    [],
    [],
    [],
    [{ type: 0, rest: [0, 1, 4, 0, 0, 0, 0] }],
    [{ type: 44, rest: [0, 0, 1, 0, 0, 0, 9] }],
    [{ type: 44, rest: [0, 0, 8, 0, 0, 0, 9] }],
    [
      { type: 0, rest: [0, 1, 4, 0, 0, 0, 0] },
      { type: 60, rest: [0, 1, 4, 0, 0, 0, 0] },
    ],
  ]);
  const label = d.pick([0, 0, 0x12345]);
  const addresses = { src: d.pick(IP6S), dst: d.pick(IP6S) };
  return {
    ...addresses,
    label,
    tclass: d.pick([0, 0x40, 3]),
    hlimit: d.pick([64, 64, 1]),
    extensions,
  };
}

const payload = (d: Draw): w.Bytes => w.text("p".repeat(d.pick([0, 1, 20, 20, 100, 1400])));
const v4 = (d: Draw, t: w.Transport): [number, w.Bytes] => [0x0800, w.ipv4(header4(d), t)];
const v6 = (d: Draw, t: w.Transport): [number, w.Bytes] => [0x86dd, w.ipv6(header6(d), t)];
const tcp = (d: Draw): w.Transport =>
  w.tcp({ sport: d.pick(L4), dport: d.pick(L4), flags: d.pick([2, 16, 18, 17, 4]) }, payload(d));
const udp = (d: Draw): w.Transport => w.udp(d.pick(L4), d.pick(L4), payload(d), d.chance(10));

function innerOf(d: Draw): w.Bytes {
  return w.ipv4(header4(d), udp(d));
}

export const FAMILIES: readonly Family[] = [
  { keyword: "ip", layer: "ip", matches: ipMatches, frame: (d) => v4(d, d.pick([udp(d), tcp(d)])) },
  {
    keyword: "tcp",
    layer: "l4",
    matches: (d) => [
      ...ipMatches(d),
      ...portMatches(d),
      `tcp_flags=${d.pick(["+syn-ack", "+ack", "0x12/0x17"])}`,
    ],
    frame: (d) => v4(d, tcp(d)),
  },
  {
    keyword: "udp",
    layer: "l4",
    matches: (d) => [...ipMatches(d), ...portMatches(d)],
    frame: (d) => v4(d, udp(d)),
  },
  {
    keyword: "sctp",
    layer: "l4",
    matches: (d) => [...ipMatches(d), ...portMatches(d)],
    frame: (d) => v4(d, w.sctp(d.pick(L4), d.pick(L4), 1, 7)),
  },
  {
    keyword: "icmp",
    layer: "ip",
    matches: (d) => [...ipMatches(d), `icmp_type=${d.pick([0, 8])}`],
    frame: (d) => v4(d, w.icmp(d.pick([0, 8, 3]), 0, 1, payload(d))),
  },
  {
    keyword: "arp",
    layer: "arp",
    matches: (d) => [`arp_op=${d.pick([1, 2])}`, `arp_spa=${ip(d)}`, `arp_tpa=${ip(d)}/24`],
    frame: (d) => [0x0806, w.arp(d.pick([1, 2, 3, 256]), d.pick(MACS), ip(d), d.pick(MACS), ip(d))],
  },
  { keyword: "ipv6", layer: "ip6", matches: ip6Matches, frame: (d) => v6(d, udp(d)) },
  {
    keyword: "tcp6",
    layer: "l46",
    matches: (d) => [...ip6Matches(d), ...portMatches(d)],
    frame: (d) => v6(d, tcp(d)),
  },
  {
    keyword: "udp6",
    layer: "l46",
    matches: (d) => [...ip6Matches(d), ...portMatches(d)],
    frame: (d) => v6(d, udp(d)),
  },
  {
    keyword: "icmp6",
    layer: "ip6",
    matches: (d) => [...ip6Matches(d), `icmp_type=${d.pick([128, 135, 136])}`],
    frame: (d) =>
      v6(
        d,
        d.chance(50)
          ? w.icmp6(128, 0, 1, payload(d))
          : w.nd(d.pick([135, 136] as const), d.pick(IP6S), d.pick([null, MACS[0] as string])),
      ),
  },
  {
    keyword: "mpls",
    layer: "mpls",
    matches: (d) => [
      `mpls_label=${d.pick([3, 100])}`,
      `mpls_tc=${d.pick([0, 5])}`,
      `mpls_bos=${d.pick([0, 1])}`,
    ],
    frame: (d) => [
      d.pick([0x8847, 0x8847, 0x8848]),
      [
        ...(d.chance(40) ? w.mplsLse(d.pick([3, 100]), d.pick([0, 5]), 0, d.pick([64, 1, 0])) : []),
        ...w.mplsLse(d.pick([3, 100]), d.pick([0, 5]), d.chance(90) ? 1 : 0, d.pick([64, 1])),
        ...innerOf(d),
      ],
    ],
  },
  {
    keyword: "dl_type=0x894f",
    layer: "nsh",
    matches: (d) => [`nsh_spi=${d.pick(["0x1234", "5"])}`, `nsh_ttl=${d.pick([1, 63])}`],
    frame: (d) => {
      const inner = d.pick([1, 3]);
      const body =
        inner === 1 ? innerOf(d) : [...w.eth(MACS[0] ?? "", MACS[1] ?? "", 0x0800, innerOf(d))];
      return [0x894f, [...w.nsh(inner, d.pick([0x1234, 5]), 255, d.pick([63, 1, 0]), 7), ...body]];
    },
  },
  {
    keyword: "dl_type=0x1234",
    layer: "any",
    matches: () => [],
    frame: (d) => [0x1234, w.zeros(d.pick([1, 46]))],
  },
];
