// Frames that hosts of an Ethernet send: any protocol, tagged or not, and group membership messages.

import { perhapsDamaged } from "./damage-frame.ts";
import type { Draw } from "./draw.ts";
import { frame, type Step } from "./step.ts";
import * as w from "./wire.ts";

export const MACS: readonly string[] = [1, 2, 3, 4, 5, 6].map((n) => `50:54:00:00:00:0${n}`);

const OTHER_DESTINATIONS = [
  "ff:ff:ff:ff:ff:ff",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:01:01:01",
  "33:33:00:00:00:01",
  // Reserved ones: spanning tree, slow protocols, LLDP, a provider bridge group, Cisco's.
  "01:80:c2:00:00:00",
  "01:80:c2:00:00:02",
  "01:80:c2:00:00:0e",
  "01:80:c2:00:00:20",
  "01:00:0c:cc:cc:cd",
  "00:00:00:00:00:00",
];
const GROUPS4 = ["239.1.1.1", "239.1.1.2", "224.0.0.5", "224.0.0.22"];
const GROUPS6 = ["ff1e::1", "ff1e::2", "ff02::1"];
const ZERO_MAC = "00:00:00:00:00:00";

export function tags(d: Draw, vlans: readonly number[]): w.Bytes {
  const one = () =>
    w.vlanTag(d.pick(vlans), d.pick([0, 0, 3, 7]), d.pick([0x8100, 0x8100, 0x88a8]));
  return d.one([
    [10, (): w.Bytes => []],
    [8, () => w.vlanTag(d.pick(vlans), d.pick([0, 0, 5]))],
    [2, () => [...one(), ...one()]],
    [1, () => w.vlanTag(0, d.int(7))],
  ]);
}

interface Packet {
  readonly type: number;
  readonly bytes: w.Bytes;
}

function anyPacket(d: Draw, src: string): Packet {
  const host = () => `10.0.0.${d.range(1, 4)}`;
  const v4 = (l4: w.Transport, dst = host()): Packet => ({
    type: 0x0800,
    bytes: w.ipv4({ src: host(), dst, tos: d.pick([0, 0, 4]), ttl: d.pick([64, 1]) }, l4),
  });
  const v6 = (l4: w.Transport, dst: string): Packet => ({
    type: 0x86dd,
    bytes: w.ipv6({ src: `fe80::${d.range(1, 4)}`, dst, hlimit: 255 }, l4),
  });
  const arp = (): Packet => {
    const spa = host();
    const tpa = d.chance(30) ? spa : host();
    return {
      type: 0x0806,
      bytes: w.arp(d.pick([1, 1, 2]), d.chance(95) ? src : d.pick(MACS), spa, ZERO_MAC, tpa),
    };
  };
  return d.one<Packet>([
    [5, arp],
    [3, () => v4(w.icmp(8, 0, 1, w.text("ping")))],
    [4, () => v4(w.udp(d.range(1, 4), 80))],
    [3, () => v4(w.tcp({ sport: d.range(1, 4), dport: 80, flags: w.SYN }))],
    [2, () => v4(w.udp(5, 80), d.pick(GROUPS4))],
    [2, () => v6(w.udp(5, 80), d.pick([...GROUPS6, "fe80::2"]))],
    [1, () => v6(w.nd(135, "fe80::2", src), "ff02::1:ff00:2")],
    [1, () => v6(w.nd(136, "fe80::2", src, 0x60000000), "ff02::1")],
    [1, () => ({ type: 0x1234, bytes: w.zeros(46) })],
    [1, () => ({ type: 0x0026, bytes: [0x42, 0x42, 3, ...w.zeros(43)] })],
    [1, () => ({ type: 0x8847, bytes: [...w.mplsLse(100, 0, 1, 64), ...w.zeros(20)] })],
  ]);
}

export function hostFrame(d: Draw, port: string, vlans: readonly number[]): Step {
  const src = d.chance(96) ? d.pick(MACS) : d.pick(["01:00:00:00:00:01", "aa:66:aa:66:00:00"]);
  const dst = d.chance(65)
    ? d.pick(MACS)
    : d.pick([...OTHER_DESTINATIONS, "aa:66:aa:66:00:00", "aa:66:aa:66:00:01"]);
  const { type, bytes } = anyPacket(d, src);
  return frame(port, perhapsDamaged(d, w.eth(dst, src, type, bytes, tags(d, vlans)), 5));
}

/** Queries, reports and leaves of IGMP and MLD. */
export function groupFrame(d: Draw, port: string, vlans: readonly number[]): Step {
  const src = d.pick(MACS);
  const tag = d.chance(40) ? w.vlanTag(d.pick(vlans)) : [];
  const v4 = (bytes: w.Bytes) => w.eth("01:00:5e:01:01:01", src, 0x0800, bytes, tag);
  const v6 = (bytes: w.Bytes) => w.eth("33:33:00:00:00:16", src, 0x86dd, bytes, tag);
  const from4 = d.chance(5) ? "0.0.0.0" : `10.0.0.${d.range(1, 4)}`;
  const from6 = d.chance(5) ? "::" : `fe80::${d.range(1, 4)}`;
  const group = d.pick(GROUPS4.slice(0, 3));
  const group6 = d.pick(GROUPS6);
  const records = (groups: readonly string[], sources: readonly string[]): w.GroupRecord[] =>
    d.many(0, 3, () => ({
      type: d.range(1, d.chance(5) ? 7 : 6),
      group: d.pick(groups),
      sources: d.some(sources, 30),
    }));
  const bytes = d.one<Uint8Array>([
    [6, () => v4(w.igmp(from4, group, 0x16, group))],
    [1, () => v4(w.igmp(from4, group, 0x12, group))],
    [3, () => v4(w.igmp(from4, "224.0.0.2", 0x17, group))],
    [3, () => v4(w.igmp(from4, "224.0.0.1", 0x11, d.pick(["0.0.0.0", group]), 100))],
    [5, () => v4(w.igmpV3(from4, records(GROUPS4, ["10.0.1.1"])))],
    [3, () => v6(w.mld(from6, group6, 131, group6))],
    [2, () => v6(w.mld(from6, "ff02::2", 132, group6))],
    [2, () => v6(w.mld(from6, "ff02::1", 130, d.pick(["::", group6])))],
    [4, () => v6(w.mldV2(from6, records(GROUPS6, ["fe80::9"])))],
  ]);
  return frame(port, perhapsDamaged(d, bytes, 8));
}
