// Random matches as text, for golden recordings and laws.
//
// A generator is a function of a small random source, so that a recording can be made again from its
// seed and fast-check can drive it with an integer. Texts are mostly good: prerequisites are usually
// there, values usually fit. `damaged` spoils a text in one place.

import { FIELDS, type Field } from "../../src/flow/fields.ts";
import { PROTOCOL_KEYWORDS } from "../../src/openflow/match-parse.ts";

/** A number from 0 to n - 1. */
export type Pick = (n: number) => number;

/** A linear congruential generator: reproducible, and random enough for texts. */
export function seeded(seed: number): Pick {
  let x = seed >>> 0;
  return (n) => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return Math.floor(((x >>> 8) / 2 ** 24) * n);
  };
}

function one<T>(r: Pick, list: readonly T[]): T {
  const v = list[r(list.length)];
  if (v === undefined) {
    throw new Error("nothing to pick from");
  }
  return v;
}

function hex(r: Pick, bytes: number): string {
  let s = "";
  for (let i = 0; i < bytes; i++) {
    s += r(256).toString(16).padStart(2, "0");
  }
  return s;
}

/** What has to stand in front of a field, one of several ways. */
const PREREQS: Readonly<Record<Field["prereq"], readonly string[]>> = {
  none: [""],
  ethernet: [""],
  arp: ["arp", "rarp"],
  ipv4: ["ip", "tcp", "icmp"],
  ipv6: ["ipv6", "udp6"],
  ip_any: ["ip", "ipv6", "tcp6", "sctp"],
  nsh: ["dl_type=0x894f"],
  ct_valid: ["ct_state=+trk+est", "ip,ct_state=+trk+est"],
  mpls: ["mpls", "mplsm"],
  tcp: ["tcp", "tcp6"],
  udp: ["udp", "udp6"],
  sctp: ["sctp", "sctp6"],
  icmpv4: ["icmp"],
  icmpv6: ["icmp6"],
  nd: ["icmp6,icmp_type=135,icmp_code=0", "icmp6,icmpv6_type=136,icmpv6_code=0"],
  nd_solicit: ["icmp6,icmpv6_type=135,icmp_code=0"],
  nd_advert: ["icmp6,icmpv6_type=136,icmpv6_code=0"],
  vlan_vid: ["dl_vlan=5", "vlan_vid=0x1003"],
};

function integer(r: Pick, f: Field): string {
  if (f.tunMetadata >= 0) {
    return `0x${hex(r, 1 + r(12))}`;
  }
  let v = BigInt(`0x${hex(r, f.bytes)}`) & ((1n << BigInt(f.bits)) - 1n);
  v = r(3) === 0 ? v & 0xffn : v;
  return r(2) === 0 || v >= 1n << 63n ? `0x${v.toString(16)}` : v.toString();
}

function mac(r: Pick): string {
  return hex(r, 6).replace(/(..)(?!$)/g, "$1:");
}

function ipv4(r: Pick): string {
  return [0, 0, 0, 0].map(() => r(256)).join(".");
}

function ipv6(r: Pick): string {
  return r(3) === 0 ? `fe80::${r(100)}` : hex(r, 16).replace(/(....)(?!$)/g, "$1:");
}

/** A value of a field, with a mask half of the time where it may have one. */
export function valueText(r: Pick, f: Field): string {
  const masked = f.maskable && r(2) === 0;
  switch (f.format) {
    case "decimal":
    case "hex": {
      const ones = f.tunMetadata < 0 && r(4) === 0;
      const mask = ones ? `0x${"ff".repeat(f.bytes)}` : integer(r, f);
      return masked ? `${integer(r, f)}/${mask}` : integer(r, f);
    }
    case "ethernet":
      return masked ? `${mac(r)}/${r(2) === 0 ? mac(r) : "01:00:00:00:00:00"}` : mac(r);
    case "ipv4":
      return masked ? `${ipv4(r)}/${r(2) === 0 ? r(33) : ipv4(r)}` : ipv4(r);
    case "ipv6":
      return masked ? `${ipv6(r)}/${r(2) === 0 ? r(129) : ipv6(r)}` : ipv6(r);
    case "port":
    case "port32":
      return one(r, ["1", "2", "65279", "LOCAL", "in_port", "CONTROLLER", "4294967294", "ANY"]);
    case "frag":
      return one(r, ["no", "yes", "first", "later", "not_later"]);
    case "tnl_flags":
      return one(r, ["oam", "+oam", "-oam", "0", "1/1"]);
    case "tcp_flags":
      return one(r, ["syn", "+syn-ack", "0x12/0x3f", "fin|psh", "+ns+[200]", "0", "0xfff"]);
    case "ct_state":
      return one(r, [
        "+trk",
        "+trk-new+est",
        "trk|new",
        "0x20/0x31",
        "-trk",
        "0/0xff",
        "+dnat-snat",
      ]);
    case "packet_type":
      return one(r, ["(0,0)", "(1,0x800)", "(1,0x86dd)", "(1,2048)", "(1,0x894f)", "(2,5)"]);
  }
}

/** Enough of the tun_metadata family to meet each of its oddities. */
const SOME_FIELDS = FIELDS.filter((f) => f.tunMetadata < 4);

/** One to four fields with what they need, perhaps a keyword. */
export function matchText(r: Pick, fields: readonly Field[] = SOME_FIELDS): string {
  const parts: string[] = [];
  for (let n = 1 + r(4); n > 0; n--) {
    const f = one(r, fields);
    if (r(10) > 0) {
      parts.push(one(r, PREREQS[f.prereq]));
    }
    const name = f.aka !== "" && r(3) === 0 ? f.aka : f.name;
    const sliced = r(12) === 0 && f.bits > 4 && f.tunMetadata < 0;
    parts.push(sliced ? `${name}[${r(2)}..${2 + r(2)}]=${r(4)}` : `${name}=${valueText(r, f)}`);
  }
  if (r(4) === 0) {
    parts.push(one(r, [...PROTOCOL_KEYWORDS.keys()]));
  }
  return parts.filter((p) => p !== "").join(",");
}

const NOISE = [
  "x",
  "/",
  "[",
  "]",
  "0x",
  "-",
  "+",
  ".",
  ":",
  "g",
  "1",
  "9".repeat(20),
  "=",
  '"',
  "|",
];

/** The text with one place spoiled. */
export function damaged(r: Pick, text: string): string {
  const at = r(text.length);
  switch (r(3)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + one(r, NOISE) + text.slice(at);
    default:
      return text.slice(0, at);
  }
}

/** Entries of an NXM or OXM match as text, with their prerequisites most of the time. */
export function nxMatchText(r: Pick): string {
  const parts: string[] = [];
  for (let n = 1 + r(3); n > 0; n--) {
    if (r(20) === 0) {
      parts.push(one(r, ["NXM_NX_COOKIE(0000000000000001)", "00010401(ff)", "80000404(01020304)"]));
      continue;
    }
    const f = one(
      r,
      SOME_FIELDS.filter((x) => x.oxm.length > 0),
    );
    const header = one(r, f.oxm);
    const bytes = f.tunMetadata >= 0 ? 4 * (1 + r(3)) : f.bytes;
    const digits = (v: bigint) => v.toString(16).padStart(2 * bytes, "0");
    const limit = r(3) === 0 ? 8n * BigInt(bytes) : BigInt(Math.min(f.bits, 8 * bytes));
    const value = BigInt(`0x${hex(r, bytes)}`) & ((1n << limit) - 1n);
    parts.push(...(r(8) > 0 ? NX_PREREQS[f.prereq] : []));
    if (f.maskable && r(2) === 0) {
      const mask = r(5) === 0 ? (1n << BigInt(8 * bytes)) - 1n : BigInt(`0x${hex(r, bytes)}`);
      const v = r(8) === 0 ? value : value & mask;
      parts.push(`${header.name}_W(${digits(v)}/${digits(mask)})`);
    } else {
      parts.push(`${header.name}(${digits(value)})`);
    }
  }
  return parts.join(", ");
}

const IP4 = "NXM_OF_ETH_TYPE(0800)";
const IP6 = "NXM_OF_ETH_TYPE(86dd)";
const ICMP6 = [IP6, "NXM_OF_IP_PROTO(3a)"];
const NX_PREREQS: Readonly<Record<Field["prereq"], readonly string[]>> = {
  none: [],
  ethernet: [],
  arp: ["NXM_OF_ETH_TYPE(0806)"],
  ipv4: [IP4],
  ipv6: [IP6],
  ip_any: [IP6],
  nsh: ["OXM_OF_ETH_TYPE(894f)"],
  ct_valid: ["NXM_NX_CT_STATE(00000021)"],
  mpls: ["NXM_OF_ETH_TYPE(8847)"],
  tcp: [IP4, "NXM_OF_IP_PROTO(06)"],
  udp: [IP6, "NXM_OF_IP_PROTO(11)"],
  sctp: [IP6, "NXM_OF_IP_PROTO(84)"],
  icmpv4: [IP4, "NXM_OF_IP_PROTO(01)"],
  icmpv6: ICMP6,
  nd: [...ICMP6, "NXM_NX_ICMPV6_TYPE(87)", "NXM_NX_ICMPV6_CODE(00)"],
  nd_solicit: [...ICMP6, "NXM_NX_ICMPV6_TYPE(87)", "NXM_NX_ICMPV6_CODE(00)"],
  nd_advert: [...ICMP6, "NXM_NX_ICMPV6_TYPE(88)", "NXM_NX_ICMPV6_CODE(00)"],
  vlan_vid: ["OXM_OF_VLAN_VID(1005)"],
};
