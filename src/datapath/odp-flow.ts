// A list of datapath key attributes as a FlowKey.
//
// Every attribute that the packet must have is expected and no other: how well that is so is the
// fitness of the key. The same goes for a mask, whose expectations follow from its key.
//
// Geneve options stay in wire form (see odp-flow-from.ts).
// ovs: lib/odp-util.c odp_flow_key_to_flow__.

import { IP_PROTO, isNd, NW_FRAG, PT, PT_NS_ETHERTYPE } from "../flow/flow-is.ts";
import { type FlowKey, get, getU, K, newKey, set } from "../flow/flow-key.ts";
import { VLAN_HEADER_COUNT } from "../flow/slots.ts";
import { ETH_TYPE, isEthTypeMpls, isEthTypeVlan, VLAN_CFI } from "../flow/vlan-mpls.ts";
import { formatAltHex, formatHexPadded } from "../lib/number.ts";
import type { OdpKeyAttr, OdpKeyName, OdpTunnel, OdpWordsName } from "./odp-key-table.ts";
import { fragFromOdp, odpKeyToFlow } from "./odp-key.ts";
import { formatOdpFlow } from "./odp-text.ts";

const ODPP_NONE = 0xffffffff;
const MPLS_LABELS_MAX = 3;
const ICMP_EXACT = 0xff;

const VLANS = [
  [K.vlan_tpid, K.vlan_tci],
  [K.vlan_tpid1, K.vlan_tci1],
] as const;

/** How well attributes make a flow. */
export type OdpFitness = "perfect" | "too_much" | "too_little" | "error";

export interface OdpToFlow {
  readonly fitness: OdpFitness;
  /** Open vSwitch's text; only for "error". */
  readonly error: string | null;
  /** in_port is a datapath port. */
  readonly flow: FlowKey;
  /** Options of the tunnel in wire form. */
  readonly geneve: Uint8Array | null;
}

/** Thrown inside this file to leave several levels at once; never seen outside. */
class FitnessError extends Error {}

interface To {
  readonly flow: FlowKey;
  /** The key that a mask belongs to; the same as `flow` for a key. */
  readonly src: FlowKey;
  readonly isMask: boolean;
  geneve: Uint8Array | null;
}

type Attrs = ReadonlyMap<OdpKeyName, OdpKeyAttr>;

function index(attrs: readonly OdpKeyAttr[]): Attrs {
  const out = new Map<OdpKeyName, OdpKeyAttr>();
  for (const a of attrs) {
    if (out.has(a.attr)) {
      throw new FitnessError(`duplicate ${a.attr} attribute in flow key`);
    }
    out.set(a.attr, a);
  }
  return out;
}

function wordsOf(attrs: Attrs, attr: OdpWordsName): Uint32Array | null {
  const a = attrs.get(attr);
  return a !== undefined && "value" in a ? a.value : null;
}

function numberOf(attrs: Attrs, attr: OdpWordsName): number | null {
  return wordsOf(attrs, attr)?.[0] ?? null;
}

function check(attrs: Attrs, expected: ReadonlySet<OdpKeyName>): OdpFitness {
  for (const e of expected) {
    if (!attrs.has(e)) {
      return "too_little";
    }
  }
  return attrs.size > expected.size ? "too_much" : "perfect";
}

const PLAIN_METADATA: readonly OdpWordsName[] = [
  "dp_hash",
  "skb_priority",
  "skb_mark",
  "ct_zone",
  "ct_mark",
  "ct_label",
  "ct_tuple4",
  "ct_tuple6",
];

function tunnelToFlow(t: To, tunnel: OdpTunnel): void {
  if (!tunnel.attrs.includes("ttl")) {
    throw new FitnessError("tunnel options missing TTL");
  }
  t.flow.set(tunnel.tnl, 0);
  if (tunnel.attrs.includes("geneve")) {
    t.geneve = tunnel.geneve;
  }
}

function metadataToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): void {
  const { flow, isMask } = t;
  const take = (attr: OdpWordsName): number | null => {
    const v = numberOf(attrs, attr);
    if (v !== null) {
      expected.add(attr);
    }
    return v;
  };
  const recirc = take("recirc_id");
  set(flow, K.recirc_id, recirc ?? (isMask ? 0xffffffff : 0));
  for (const attr of PLAIN_METADATA) {
    const v = wordsOf(attrs, attr);
    if (v !== null) {
      odpKeyToFlow(attr, v, flow, isMask);
      expected.add(attr);
    }
  }
  set(flow, K.ct_state, take("ct_state") ?? 0);
  const tunnel = attrs.get("tunnel");
  if (tunnel?.attr === "tunnel") {
    tunnelToFlow(t, tunnel.tunnel);
    expected.add("tunnel");
  }
  const inPort = take("in_port");
  set(flow, K.in_port, inPort ?? (isMask ? 0 : ODPP_NONE));
  const pt = take("packet_type");
  if (pt !== null) {
    set(flow, K.packet_type, pt);
    if (getU(t.src, K.packet_type) >>> 16 === PT_NS_ETHERTYPE) {
      set(flow, K.dl_type, pt & 0xffff);
    }
  }
  const eth = wordsOf(attrs, "eth");
  const ethType = numberOf(attrs, "eth_type");
  if (eth !== null) {
    odpKeyToFlow("eth", eth, flow, isMask);
    set(flow, K.packet_type, isMask ? getU(flow, K.packet_type) : PT.ETH);
    expected.add("eth");
  } else if (ethType !== null) {
    if (!isMask) {
      set(flow, K.packet_type, ((PT_NS_ETHERTYPE << 16) | ethType) >>> 0);
    }
    expected.add("eth_type");
  }
}

function ethTypeToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): void {
  const { flow, src, isMask } = t;
  const ethType = numberOf(attrs, "eth_type");
  const srcType = get(src, K.dl_type);
  if (ethType !== null) {
    set(flow, K.dl_type, ethType);
    if (!isMask && ethType < ETH_TYPE.MIN) {
      throw new FitnessError(`invalid Ethertype ${ethType} in flow key`);
    }
    if (isMask && srcType < ETH_TYPE.MIN && ethType !== 0xffff) {
      const text = 'can\'t bitwise match non-Ethernet II "Ethertype"';
      throw new FitnessError(
        `${text} ${formatAltHex(srcType)} (with mask ${formatAltHex(ethType)})`,
      );
    }
    expected.add("eth_type");
  } else if (!isMask) {
    let type: number = ETH_TYPE.NONE;
    if (attrs.has("ipv4")) {
      type = ETH_TYPE.IP;
    } else if (attrs.has("ipv6")) {
      type = ETH_TYPE.IPV6;
    } else if (attrs.has("mpls")) {
      type = ETH_TYPE.MPLS;
    }
    set(flow, K.dl_type, type);
  } else if (getU(src, K.packet_type) !== PT.ETH) {
    set(flow, K.dl_type, 0xffff);
  } else if (srcType < ETH_TYPE.MIN) {
    throw new FitnessError("mask expected for non-Ethernet II frame");
  }
}

/** Null if the stack is fine. */
function mplsToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): OdpFitness | null {
  const lses = wordsOf(attrs, "mpls");
  if (!t.isMask || lses !== null) {
    expected.add("mpls");
  }
  if (lses === null) {
    return null;
  }
  const n = lses.length;
  if (n === 0) {
    throw new FitnessError("MPLS LSEs have invalid length 0");
  }
  t.flow.set(lses.subarray(0, MPLS_LABELS_MAX), K.mpls_lse.word);
  if (n > MPLS_LABELS_MAX) {
    return "too_much";
  }
  if (!t.isMask) {
    if (lses.subarray(0, n - 1).some((l) => (l & 0x100) !== 0)) {
      throw new FitnessError("MPLS BOS set in non-innermost label");
    }
    if (n < MPLS_LABELS_MAX && ((lses[n - 1] as number) & 0x100) === 0) {
      return "too_little";
    }
  }
  return null;
}

/** The attribute that a packet of an Ethertype has. */
function networkAttr(dlType: number): "ipv4" | "ipv6" | "arp" | "nsh" | null {
  switch (dlType) {
    case ETH_TYPE.IP:
      return "ipv4";
    case ETH_TYPE.IPV6:
      return "ipv6";
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      return "arp";
    case ETH_TYPE.NSH:
      return "nsh";
    default:
      return null;
  }
}

function checkNetwork(attr: OdpWordsName, v: Uint32Array, isMask: boolean): void {
  if (attr === "arp" && !isMask && ((v[2] as number) & 0xff00) !== 0) {
    throw new FitnessError(`unsupported ARP opcode ${v[2]} in flow key`);
  }
  if (attr === "ipv4" || attr === "ipv6") {
    const frag = fragFromOdp(v[v.length - 1] as number, isMask);
    if (frag > NW_FRAG.MASK) {
      const name = attr === "ipv4" ? "OVS_KEY_ATTR_IPV4" : "OVS_KEY_ATTR_IPV6";
      throw new FitnessError(`${name} has invalid nw_frag ${formatAltHex(frag)}`);
    }
  }
}

/** The attribute of the transport layer of a packet. */
function transportAttr(src: FlowKey): "tcp" | "udp" | "sctp" | "icmp" | "icmpv6" | null {
  const dlType = get(src, K.dl_type);
  const isIp = dlType === ETH_TYPE.IP || dlType === ETH_TYPE.IPV6;
  if (!isIp || (get(src, K.nw_frag) & NW_FRAG.LATER) !== 0) {
    return null;
  }
  switch (get(src, K.nw_proto)) {
    case IP_PROTO.TCP:
      return "tcp";
    case IP_PROTO.UDP:
      return "udp";
    case IP_PROTO.SCTP:
      return "sctp";
    case IP_PROTO.ICMP:
      return dlType === ETH_TYPE.IP ? "icmp" : null;
    case IP_PROTO.ICMPV6:
      return dlType === ETH_TYPE.IPV6 ? "icmpv6" : null;
    default:
      return null;
  }
}

function ndToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): void {
  const { flow, isMask } = t;
  if (!isMask) {
    expected.add("nd");
  }
  for (const attr of ["nd", "nd_ext"] as const) {
    const v = wordsOf(attrs, attr);
    if (v === null) {
      continue;
    }
    odpKeyToFlow(attr, v, flow, isMask);
    const [type, code] = [get(flow, K.tp_src), get(flow, K.tp_dst)];
    const exact = type === ICMP_EXACT && code === ICMP_EXACT;
    if (isMask && !exact && v.some((w) => w !== 0)) {
      throw new FitnessError(
        "ICMP (src,dst) masks should be (0xff,0xff) but are actually " +
          `(${formatAltHex(type)},${formatAltHex(code)})`,
      );
    }
    expected.add(attr);
  }
}

function transportToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): void {
  const { flow, src, isMask } = t;
  const attr = transportAttr(src);
  if (attr === null) {
    return;
  }
  if (!isMask) {
    expected.add(attr);
  }
  const v = wordsOf(attrs, attr);
  if (v !== null) {
    odpKeyToFlow(attr, v, flow, isMask);
    if (attr === "icmpv6" && isNd(src, null)) {
      ndToFlow(t, attrs, expected);
    }
  }
  const flags = attr === "tcp" ? wordsOf(attrs, "tcp_flags") : null;
  if (flags !== null) {
    odpKeyToFlow("tcp_flags", flags, flow, isMask);
    expected.add("tcp_flags");
  }
  if (isMask && v !== null) {
    const ports = get(flow, K.tp_src) !== 0 || get(flow, K.tp_dst) !== 0;
    if (ports && get(flow, K.nw_proto) !== 0xff) {
      throw new FitnessError("flow matches on L4 ports but does not define an L4 protocol");
    }
    expected.add(attr);
  }
}

function networkToFlow(t: To, attrs: Attrs, expected: Set<OdpKeyName>): OdpFitness | null {
  const { flow, src, isMask } = t;
  const srcType = get(src, K.dl_type);
  if (isEthTypeMpls(srcType)) {
    return mplsToFlow(t, attrs, expected);
  }
  const attr = networkAttr(srcType);
  if (attr === null) {
    return null;
  }
  if (!isMask) {
    expected.add(attr);
  }
  const v = wordsOf(attrs, attr);
  if (v !== null) {
    checkNetwork(attr, v, isMask);
    odpKeyToFlow(attr, v, flow, isMask);
    if (isMask) {
      const type = get(flow, K.dl_type);
      if (type !== 0xffff && v.some((w) => w !== 0)) {
        const text = "unexpected L3 matching with masked Ethertype";
        throw new FitnessError(`${text} ${formatAltHex(srcType)}/${formatAltHex(type)}`);
      }
      expected.add(attr);
    }
  }
  transportToFlow(t, attrs, expected);
  return null;
}

/** A VLAN header and what is behind it; `attrs` are those beside the header. */
function vlanToFlow(
  t: To,
  outer: Attrs,
  outerExpected: Set<OdpKeyName>,
  vlanLimit: number,
): OdpFitness {
  const { flow, src, isMask } = t;
  let attrs = outer;
  let expected = outerExpected;
  for (const [tpidSlot, tciSlot] of VLANS.slice(0, vlanLimit)) {
    const more = isMask
      ? (get(src, tciSlot) & VLAN_CFI) !== 0
      : isEthTypeVlan(get(flow, K.dl_type));
    if (!more) {
      break;
    }
    for (const attr of ["vlan", "encap"] as const) {
      if (!isMask || attrs.has(attr)) {
        expected.add(attr);
      }
    }
    const fitness = check(attrs, expected);
    const tci = numberOf(attrs, "vlan");
    const encap = attrs.get("encap");
    set(flow, tpidSlot, get(flow, K.dl_type));
    set(flow, K.dl_type, 0);
    set(flow, tciSlot, tci ?? 0);
    if (!isMask) {
      if (tci === null || encap?.attr !== "encap") {
        return "too_little";
      }
      if (tci === 0) {
        return fitness === "perfect" && encap.encap.length > 0 ? "too_much" : fitness;
      }
      if ((tci & VLAN_CFI) === 0) {
        const hex = formatHexPadded(tci, 4);
        throw new FitnessError(`OVS_KEY_ATTR_VLAN ${hex} is nonzero but CFI bit is not set`);
      }
    }
    if (encap?.attr !== "encap") {
      return fitness;
    }
    attrs = index(encap.encap);
    expected = new Set();
    ethTypeToFlow(t, attrs, expected);
    const inner = networkToFlow(t, attrs, expected);
    if (inner !== null) {
      return inner;
    }
  }
  return check(attrs, expected);
}

function toFlow(t: To, list: readonly OdpKeyAttr[], vlanLimit: number): OdpFitness {
  const { flow, src, isMask } = t;
  const attrs = index(list);
  const expected = new Set<OdpKeyName>();
  metadataToFlow(t, attrs, expected);
  ethTypeToFlow(t, attrs, expected);
  const tagged = isMask
    ? (get(src, K.vlan_tci) & VLAN_CFI) !== 0
    : isEthTypeVlan(get(src, K.dl_type));
  if (tagged) {
    return vlanToFlow(t, attrs, expected, vlanLimit);
  }
  if (isMask) {
    // A mask without VLAN means that there is none, exactly.
    set(flow, K.vlan_tpid, 0xffff);
    const tci = numberOf(attrs, "vlan");
    set(flow, K.vlan_tci, tci ?? 0xffff);
    if (tci !== null) {
      expected.add("vlan");
    }
  }
  return networkToFlow(t, attrs, expected) ?? check(attrs, expected);
}

function convert(attrs: readonly OdpKeyAttr[], src: FlowKey | null, vlanLimit: number): OdpToFlow {
  const flow = newKey();
  const t: To = { flow, src: src ?? flow, isMask: src !== null, geneve: null };
  try {
    const fitness = toFlow(t, attrs, Math.min(vlanLimit, VLAN_HEADER_COUNT));
    return { fitness, error: null, flow, geneve: t.geneve };
  } catch (e) {
    if (!(e instanceof FitnessError)) {
      throw e;
    }
    const what = src === null ? "flow key" : "flow mask";
    const text = formatOdpFlow(attrs, null, null, true);
    const error = `${e.message}; the ${what} in error is: ${text}`;
    return { fitness: "error", error, flow, geneve: null };
  }
}

/** Makes a flow of a key. */
export function odpFlowKeyToFlow(attrs: readonly OdpKeyAttr[], vlanLimit: number): OdpToFlow {
  return convert(attrs, null, vlanLimit);
}

/** Makes a mask; `flow` is what its key became. */
export function odpFlowKeyToMask(
  attrs: readonly OdpKeyAttr[],
  flow: FlowKey,
  vlanLimit: number,
): OdpToFlow {
  return convert(attrs, flow, vlanLimit);
}
