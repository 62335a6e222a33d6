// set(...) and set(.../mask) on the bytes of a packet.
//
// A full set is a masked one whose mask is all ones. A header that the packet does not hold whole
// is left alone: the flow that put the action here has matched it, but a datapath flow put in by
// hand need not. ovs: lib/odp-execute.c odp_execute_set_action, odp_execute_masked_set_action.

import { getU16, getU32, putU16, putU32 } from "../lib/bytes.ts";
import { recalcCsum16 } from "../lib/checksum.ts";
import { ARP, ETH, putMac } from "../packet/ethernet.ts";
import { setIcmp, setNd, setNdExt } from "../packet/icmp.ts";
import { ICMP, ND, ND_OPT } from "../packet/icmp-header.ts";
import { IPV4, IPV6, setIpv4Addr, setIpv6 } from "../packet/ip.ts";
import {
  SCTP,
  setSctpPorts,
  setTcpPorts,
  setUdpPorts,
  TCP,
  UDP,
  wholeTcpHeader,
} from "../packet/l4.ts";
import { MPLS } from "../packet/mpls.ts";
import { NSH, setNsh } from "../packet/nsh.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import {
  NSH_WORDS,
  ODP_KEYS,
  type OdpKeyAttr,
  odpWord,
  type OdpWordsName,
  TNL_WORDS,
} from "./odp-key-table.ts";

const ONES: Readonly<Record<string, Uint32Array>> = Object.fromEntries(
  Object.values(ODP_KEYS).map((d) => [d.attr, new Uint32Array(d.words).fill(0xffffffff)]),
);

const W = {
  ethSrc: odpWord("eth", "src"),
  ethDst: odpWord("eth", "dst"),
  ip4Src: odpWord("ipv4", "src"),
  ip4Dst: odpWord("ipv4", "dst"),
  ip4Tos: odpWord("ipv4", "tos"),
  ip4Ttl: odpWord("ipv4", "ttl"),
  ip6Src: odpWord("ipv6", "src"),
  ip6Dst: odpWord("ipv6", "dst"),
  ip6Label: odpWord("ipv6", "label"),
  ip6Tc: odpWord("ipv6", "tclass"),
  ip6Hlim: odpWord("ipv6", "hlimit"),
  arpSip: odpWord("arp", "sip"),
  arpTip: odpWord("arp", "tip"),
  arpOp: odpWord("arp", "op"),
  arpSha: odpWord("arp", "sha"),
  arpTha: odpWord("arp", "tha"),
  ndTarget: odpWord("nd", "target"),
  ndSll: odpWord("nd", "sll"),
  ndTll: odpWord("nd", "tll"),
} as const;

/** set(KEY) with a whole key. */
export function executeSet(p: PacketBuf, key: OdpKeyAttr): void {
  if (key.attr === "tunnel") {
    const md = p.md;
    md.tnl.fill(0);
    md.tnl.set(key.tunnel.tnl.subarray(0, TNL_WORDS));
    md.geneve.set(key.tunnel.geneve);
    md.geneveBytes = key.tunnel.geneve.length;
    md.tunnelled = true;
    return;
  }
  if (key.attr === "encap") {
    return;
  }
  executeSetMasked(p, key.attr, key.value, ONES[key.attr] ?? new Uint32Array(0));
}

/** Writes the bits of `value` under `mask`; `value` has none outside of it. */
export function executeSetMasked(
  p: PacketBuf,
  attr: OdpWordsName,
  value: Uint32Array,
  mask: Uint32Array,
): void {
  const md = p.md;
  switch (attr) {
    case "skb_priority":
      md.skbPriority = mixed(value, mask, 0, md.skbPriority);
      return;
    case "skb_mark":
      md.pktMark = mixed(value, mask, 0, md.pktMark);
      return;
    case "dp_hash":
      md.dpHash = mixed(value, mask, 0, md.dpHash);
      return;
    case "recirc_id":
      md.recircId = mixed(value, mask, 0, md.recircId);
      return;
    case "eth":
      setEth(p, value, mask);
      return;
    case "mpls":
      if (p.l25Ofs !== NO_OFS && p.size >= p.l25Ofs + MPLS.LSE_BYTES) {
        putU32(p.bytes, p.l25(), mixed(value, mask, 0, getU32(p.bytes, p.l25())));
      }
      return;
    case "arp":
      if (hasL3(p, ARP.BYTES)) {
        setArp(p.bytes, p.l3(), value, mask);
      } else if (p.l3Ofs !== NO_OFS) {
        setCutArp(p, value, mask);
      }
      return;
    case "ipv4":
      if (hasL3(p, IPV4.HEADER_BYTES)) {
        setIpv4Masked(p, value, mask);
      }
      return;
    case "ipv6":
      if (hasL3(p, IPV6.HEADER_BYTES)) {
        setIpv6Masked(p, value, mask);
      }
      return;
    case "nsh":
      if (hasL3(p, NSH.BASE_BYTES)) {
        setNsh(p, nshFields(value), nshFields(mask));
      }
      return;
    default:
      setL4(p, attr, value, mask);
  }
}

/** value | (old & ~mask) of one word, unsigned. */
function mixed(value: Uint32Array, mask: Uint32Array, word: number, old: number): number {
  return ((value[word] as number) | (old & ~(mask[word] as number))) >>> 0;
}

function hasL3(p: PacketBuf, bytes: number): boolean {
  return p.l3Ofs !== NO_OFS && p.size >= p.l3Ofs + bytes;
}

function nshFields(w: Uint32Array) {
  return {
    flags: w[NSH_WORDS.flags] as number,
    ttl: w[NSH_WORDS.ttl] as number,
    pathHdr: w[NSH_WORDS.path] as number,
    context: w.subarray(NSH_WORDS.c1, NSH_WORDS.c1 + 4),
  };
}

/** A MAC at an index of the packet's buffer. */
function setMac(
  b: Uint8Array,
  at: number,
  value: Uint32Array,
  mask: Uint32Array,
  word: number,
): void {
  const hi = mixed(value, mask, word, getU16(b, at)) & 0xffff;
  putMac(b, at, hi, mixed(value, mask, word + 1, getU32(b, at + 2)));
}

function setEth(p: PacketBuf, value: Uint32Array, mask: Uint32Array): void {
  if (p.isEth() && p.size >= ETH.HEADER_BYTES) {
    setMac(p.bytes, p.start + ETH.SRC, value, mask, W.ethSrc);
    setMac(p.bytes, p.start + ETH.DST, value, mask, W.ethDst);
  }
}

function setArp(b: Uint8Array, at: number, value: Uint32Array, mask: Uint32Array): void {
  putU16(b, at + ARP.OP, mixed(value, mask, W.arpOp, getU16(b, at + ARP.OP)));
  setMac(b, at + ARP.SHA, value, mask, W.arpSha);
  putU32(b, at + ARP.SPA, mixed(value, mask, W.arpSip, getU32(b, at + ARP.SPA)));
  setMac(b, at + ARP.THA, value, mask, W.arpTha);
  putU32(b, at + ARP.TPA, mixed(value, mask, W.arpTip, getU32(b, at + ARP.TPA)));
}

/** What is there of a header that is cut gets the values all the same, as in Open vSwitch. */
function setCutArp(p: PacketBuf, value: Uint32Array, mask: Uint32Array): void {
  const header = new Uint8Array(ARP.BYTES);
  const there = p.bytes.subarray(Math.min(p.l3(), p.end), p.end);
  header.set(there);
  setArp(header, 0, value, mask);
  there.set(header.subarray(0, there.length));
}

function setIpv4Masked(p: PacketBuf, value: Uint32Array, mask: Uint32Array): void {
  const b = p.bytes;
  const ip = p.l3();
  const src = mixed(value, mask, W.ip4Src, getU32(b, ip + IPV4.SRC));
  if (src !== getU32(b, ip + IPV4.SRC)) {
    setIpv4Addr(p, IPV4.SRC, src);
  }
  const dst = mixed(value, mask, W.ip4Dst, getU32(b, ip + IPV4.DST));
  if (dst !== getU32(b, ip + IPV4.DST)) {
    setIpv4Addr(p, IPV4.DST, dst);
  }
  const csumAt = ip + IPV4.CSUM;
  const oldTos = b[ip + IPV4.TOS] as number;
  const tos = mixed(value, mask, W.ip4Tos, oldTos) & 0xff;
  if (tos !== oldTos) {
    putU16(b, csumAt, recalcCsum16(getU16(b, csumAt), oldTos, tos));
    b[ip + IPV4.TOS] = tos;
  }
  const oldTtl = b[ip + IPV4.TTL] as number;
  const ttl = mixed(value, mask, W.ip4Ttl, oldTtl) & 0xff;
  if (ttl !== oldTtl) {
    putU16(b, csumAt, recalcCsum16(getU16(b, csumAt), oldTtl << 8, ttl << 8));
    b[ip + IPV4.TTL] = ttl;
  }
}

function setIpv6Masked(p: PacketBuf, value: Uint32Array, mask: Uint32Array): void {
  if (p.l4Ofs === NO_OFS) {
    return;
  }
  const b = p.bytes;
  const ip = p.l3();
  const addrs = new Uint32Array(8);
  for (let i = 0; i < 4; i++) {
    addrs[i] = mixed(value, mask, W.ip6Src + i, getU32(b, ip + IPV6.SRC + 4 * i));
    addrs[4 + i] = mixed(value, mask, W.ip6Dst + i, getU32(b, ip + IPV6.DST + 4 * i));
  }
  const flow = getU32(b, ip);
  setIpv6(p, {
    addrs,
    tc: mixed(value, mask, W.ip6Tc, (flow >>> 20) & 0xff) & 0xff,
    label: mixed(value, mask, W.ip6Label, flow & IPV6.LABEL_MASK) & IPV6.LABEL_MASK,
    hlim: mixed(value, mask, W.ip6Hlim, b[ip + IPV6.HLIM] as number) & 0xff,
  });
}

/** Fields of the transport layer, which must be there whole. */
function setL4(p: PacketBuf, attr: OdpWordsName, value: Uint32Array, mask: Uint32Array): void {
  const b = p.bytes;
  const at = p.l4();
  const bytes = p.l4Bytes();
  // The first two words of each of these keys are its two ports, or type and code.
  const src = (old: number) => mixed(value, mask, 0, old) & 0xffff;
  const dst = (old: number) => mixed(value, mask, 1, old) & 0xffff;
  switch (attr) {
    case "tcp":
      if (wholeTcpHeader(b, at, bytes) > 0) {
        setTcpPorts(p, src(getU16(b, at)), dst(getU16(b, at + TCP.DST)));
      }
      return;
    case "udp":
      if (bytes >= UDP.HEADER_BYTES) {
        setUdpPorts(p, src(getU16(b, at)), dst(getU16(b, at + UDP.DST)));
      }
      return;
    case "sctp":
      if (bytes >= SCTP.HEADER_BYTES) {
        setSctpPorts(p, src(getU16(b, at)), dst(getU16(b, at + SCTP.DST)));
      }
      return;
    case "icmp":
    case "icmpv6":
      if (bytes >= ICMP.V4_BYTES) {
        setIcmp(p, src(b[at] as number) & 0xff, dst(b[at + ICMP.CODE] as number) & 0xff);
      }
      return;
    case "nd":
      if (bytes >= ND.MSG_BYTES) {
        setNdMasked(p, value, mask);
      }
      return;
    case "nd_ext":
      if (bytes >= ND.MSG_BYTES) {
        // Each field is set whole as soon as any bit of it is to be set.
        const rso = mask[0] !== 0 ? (value[0] as number) : getU32(b, at + ND.RSO);
        const optAt = at + ND.OPTIONS + ND_OPT.TYPE;
        const oldType = bytes > ND.OPTIONS ? (b[optAt] as number) : 0;
        setNdExt(p, rso, mask[1] !== 0 ? (value[1] as number) : oldType);
      }
      return;
    default:
      return;
  }
}

function setNdMasked(p: PacketBuf, value: Uint32Array, mask: Uint32Array): void {
  const b = p.bytes;
  const at = p.l4();
  const target = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    target[i] = mixed(value, mask, W.ndTarget + i, getU32(b, at + ND.TARGET + 4 * i));
  }
  const old = ndMac(p);
  const sll = W.ndSll;
  const tll = W.ndTll;
  setNd(p, {
    target,
    sllHi: mixed(value, mask, sll, old.hi) & 0xffff,
    sllLo: mixed(value, mask, sll + 1, old.lo),
    tllHi: mixed(value, mask, tll, old.hi) & 0xffff,
    tllLo: mixed(value, mask, tll + 1, old.lo),
  });
}

/** The address in the first link-layer option. */
function ndMac(p: PacketBuf): { readonly hi: number; readonly lo: number } {
  const b = p.bytes;
  let at = p.l4() + ND.OPTIONS;
  let left = p.l4Bytes() - ND.MSG_BYTES;
  while (left >= ND_OPT.LLA_BYTES && b[at + ND_OPT.LEN] !== 0) {
    const units = b[at + ND_OPT.LEN] as number;
    const type = b[at];
    if (units === 1 && (type === ND_OPT.SOURCE_LLA || type === ND_OPT.TARGET_LLA)) {
      return { hi: getU16(b, at + ND_OPT.MAC), lo: getU32(b, at + ND_OPT.MAC + 2) };
    }
    at += units * ND_OPT.UNIT_BYTES;
    left -= units * ND_OPT.UNIT_BYTES;
  }
  return { hi: 0, lo: 0 };
}
