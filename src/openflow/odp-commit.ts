// From "what the packet looks like now" to the datapath actions that make it so.
//
// Translation changes a flow and remembers in `base` what the datapath's packet looks like at that
// point. Before the packet leaves (output, recirculation, ...), the difference of the two is turned
// into set, push and pop actions, in one fixed order, and `base` catches up.
//
// Invariants
// - Afterwards `base` equals `flow` in everything that the datapath can see.
// - A field that is changed becomes part of the megaflow mask together with what was masked before;
//   a field whose value stays the same is left alone, in the action and in the mask.
// ovs: lib/odp-util.c commit_odp_actions and the commit_* functions.

import { type OdpAction, SLOW } from "../datapath/odp-action.ts";
import {
  NSH_WORDS,
  ODP_KEY_LIST,
  ODP_KEYS,
  odpWord,
  type OdpWordsName,
} from "../datapath/odp-key-table.ts";
import {
  odpKeyFromFlow,
  odpKeyInto,
  odpMaskIsExact,
  odpKeyToFlow,
  odpTunnelFromFlow,
  type TunnelKind,
} from "../datapath/odp-key.ts";
import {
  IP_PROTO,
  isIcmpv4,
  isIcmpv6,
  isIpAny,
  PT,
  PT_NS_ETHERTYPE,
  tunnelDstIsSet,
} from "../flow/flow-is.ts";
import {
  clear,
  copySlot,
  type FlowKey,
  fill,
  get,
  getU,
  K,
  KEY_WORDS,
  sameSlot,
  set,
} from "../flow/flow-key.ts";
import {
  countCommonMplsLabels,
  countMplsLabels,
  countVlanHeaders,
  ETH_TYPE,
  isEthTypeMpls,
  mplsLse,
  popMpls,
  pushMpls,
  setMplsLse,
  vlanQtag,
} from "../flow/vlan-mpls.ts";

export interface CommitOptions {
  /** The datapath knows masked sets. */
  readonly useMasked: boolean;
  readonly pendingEncap: boolean;
  readonly pendingDecap: boolean;
  /** Metadata of NSH type 2 for a pending encap. */
  readonly encapData: Uint8Array | null;
}

interface Commit {
  readonly flow: FlowKey;
  readonly base: FlowKey;
  readonly out: OdpAction[];
  readonly wc: FlowKey;
  readonly opts: CommitOptions;
}

const IPV6_LABEL_MASK = 0xfffff;
const IP_ECN_MASK = 3;
const NSH_MD_TYPE2 = 2;
const ATTR_WORDS_MAX = Math.max(...ODP_KEY_LIST.map((d) => d.words));

/** Words of the tunnel slots, option metadata included. */
const TUNNEL_WORDS = K.metadata.word;

/** Fields with the same value in both are cleared in `mask`; true if any differs. */
function compareFields(
  attr: OdpWordsName,
  a: Uint32Array,
  b: Uint32Array,
  mask: Uint32Array,
): boolean {
  let differ = false;
  for (const f of ODP_KEYS[attr].fields) {
    const end = f.word + f.words;
    let same = true;
    for (let i = f.word; i < end; i++) {
      same &&= a[i] === b[i];
    }
    for (let i = f.word; same && i < end; i++) {
      mask[i] = 0;
    }
    differ ||= !same;
  }
  return differ;
}

function fillMask(attr: OdpWordsName, mask: Uint32Array): void {
  for (const f of ODP_KEYS[attr].fields) {
    mask[f.word] = f.ones;
    mask.fill(0xffffffff, f.word + 1, f.word + f.words);
  }
}

function setAction(
  c: Commit,
  attr: OdpWordsName,
  key: Uint32Array,
  mask: Uint32Array,
  useMasked: boolean,
): void {
  const exact = odpMaskIsExact(attr, mask);
  if (useMasked && !exact) {
    const { words } = ODP_KEYS[attr];
    const value = new Uint32Array(words);
    const bits = new Uint32Array(words);
    for (let i = 0; i < words; i++) {
      bits[i] = mask[i] as number;
      value[i] = (key[i] as number) & (mask[i] as number);
    }
    c.out.push({ kind: "set_masked", attr, value, mask: bits });
    return;
  }
  if (!exact) {
    fillMask(attr, mask);
  }
  c.out.push({ kind: "set", key: { attr, value: key.slice(0, ODP_KEYS[attr].words) } });
}

/** Nothing of an attribute differs, which is the usual case and costs no allocation. */
function isUnchanged(c: Commit, attr: OdpWordsName): boolean {
  for (const f of ODP_KEYS[attr].fields) {
    if (!sameSlot(c.flow, c.base, f.place ?? K.nw_frag)) {
      return false;
    }
  }
  return true;
}

/** Nothing that a datapath sees differs. */
function isCommitted(flow: FlowKey, base: FlowKey): boolean {
  for (let i = K.skb_priority.word; i < KEY_WORDS; i++) {
    if (flow[i] !== base[i]) {
      return false;
    }
  }
  return true;
}

// What commitKey() works with and nobody keeps; it calls nothing that comes back to it.
const KEY = new Uint32Array(ATTR_WORDS_MAX);
const BASE = new Uint32Array(ATTR_WORDS_MAX);
const MASK = new Uint32Array(ATTR_WORDS_MAX);
const BEFORE = new Uint32Array(ATTR_WORDS_MAX);

/** Commits one attribute; `adjust` takes bits out of its mask. True if there was a change. */
function commitKey(
  c: Commit,
  attr: OdpWordsName,
  useMasked: boolean,
  adjust: ((mask: Uint32Array, c: Commit) => void) | null = null,
): boolean {
  if (isUnchanged(c, attr)) {
    return false;
  }
  const key = odpKeyInto(KEY, attr, c.flow, false);
  const base = odpKeyInto(BASE, attr, c.base, false);
  const mask = odpKeyInto(MASK, attr, c.wc, true);
  const { words } = ODP_KEYS[attr];
  for (let i = 0; i < words; i++) {
    BEFORE[i] = mask[i] as number;
  }
  adjust?.(mask, c);
  if (!compareFields(attr, key, base, mask)) {
    return false;
  }
  setAction(c, attr, key, mask, useMasked);
  odpKeyToFlow(attr, key, c.base, false);
  for (let i = 0; i < words; i++) {
    mask[i] = (mask[i] as number) | (BEFORE[i] as number);
  }
  odpKeyToFlow(attr, mask, c.wc, true);
  return true;
}

function commitEther(c: Commit): void {
  if (getU(c.flow, K.packet_type) === PT.ETH && getU(c.base, K.packet_type) === PT.ETH) {
    commitKey(c, "eth", c.opts.useMasked);
  }
}

const V4_PROTO = odpWord("ipv4", "proto");
const V4_FRAG = odpWord("ipv4", "frag");
const V4_TOS = odpWord("ipv4", "tos");
const V6_PROTO = odpWord("ipv6", "proto");
const V6_FRAG = odpWord("ipv6", "frag");
const V6_TCLASS = odpWord("ipv6", "tclass");
const V6_LABEL = odpWord("ipv6", "label");

/** True if a set of the DSCP must leave the ECN bits alone: a tunnel will have decided them. */
function keepsEcn(c: Commit): boolean {
  const changed = get(c.base, K.nw_tos) ^ get(c.flow, K.nw_tos);
  return tunnelDstIsSet(c.base) && (changed & IP_ECN_MASK) === 0;
}

function adjustIpv4(mask: Uint32Array, c: Commit): void {
  mask[V4_PROTO] = 0; // not writable
  mask[V4_FRAG] = 0;
  if (keepsEcn(c)) {
    mask[V4_TOS] = (mask[V4_TOS] as number) & ~IP_ECN_MASK;
  }
}

function adjustIpv6(mask: Uint32Array, c: Commit): void {
  mask[V6_PROTO] = 0; // not writable
  mask[V6_FRAG] = 0;
  mask[V6_LABEL] = (mask[V6_LABEL] as number) & IPV6_LABEL_MASK;
  if (keepsEcn(c)) {
    mask[V6_TCLASS] = (mask[V6_TCLASS] as number) & ~IP_ECN_MASK;
  }
}

/** Returns SLOW bits: the datapath cannot set ARP and neighbour discovery fields itself. */
function commitNetwork(c: Commit): number {
  if (get(c.flow, K.nw_proto) === 0) {
    return 0;
  }
  switch (get(c.base, K.dl_type)) {
    case ETH_TYPE.IP:
      commitKey(c, "ipv4", c.opts.useMasked, adjustIpv4);
      return 0;
    case ETH_TYPE.IPV6: {
      commitKey(c, "ipv6", c.opts.useMasked, adjustIpv6);
      if (get(c.base, K.nw_proto) !== IP_PROTO.ICMPV6) {
        return 0;
      }
      // The extension goes first so that the options are there when they are set.
      const ext = commitKey(c, "nd_ext", c.opts.useMasked);
      const nd = commitKey(c, "nd", c.opts.useMasked);
      return ext || nd ? SLOW.ACTION : 0;
    }
    case ETH_TYPE.ARP:
      return commitKey(c, "arp", true) ? SLOW.ACTION : 0;
    default:
      return 0;
  }
}

function commitPorts(c: Commit): void {
  if (get(c.flow, K.nw_proto) === 0 || !isIpAny(c.base)) {
    return;
  }
  switch (get(c.flow, K.nw_proto)) {
    case IP_PROTO.TCP:
      commitKey(c, "tcp", c.opts.useMasked);
      break;
    case IP_PROTO.UDP:
      commitKey(c, "udp", c.opts.useMasked);
      break;
    case IP_PROTO.SCTP:
      commitKey(c, "sctp", c.opts.useMasked);
      break;
    default:
  }
}

function commitIcmp(c: Commit): number {
  if (isIcmpv4(c.flow, null)) {
    return commitKey(c, "icmp", false) ? SLOW.ACTION : 0;
  }
  if (isIcmpv6(c.flow, null)) {
    return commitKey(c, "icmpv6", false) ? SLOW.ACTION : 0;
  }
  return 0;
}

const NSH_SLOT_WORDS = K.nsh_c4.word + 1 - K.nsh_flags.word;

function commitNsh(c: Commit): void {
  if (get(c.flow, K.dl_type) !== ETH_TYPE.NSH) {
    return;
  }
  let same = true;
  for (let i = 0; i < NSH_SLOT_WORDS; i++) {
    same &&= c.flow[K.nsh_flags.word + i] === c.base[K.nsh_flags.word + i];
  }
  if (same) {
    return;
  }
  const key = odpKeyFromFlow("nsh", c.flow, false);
  const base = odpKeyFromFlow("nsh", c.base, false);
  if (key.every((w, i) => w === base[i])) {
    return;
  }
  const mask = odpKeyFromFlow("nsh", c.wc, true);
  mask[NSH_WORDS.mdtype] = 0; // not writable
  mask[NSH_WORDS.np] = 0;
  if (c.opts.useMasked && !odpMaskIsExact("nsh", mask)) {
    const value = key.map((w, i) => w & (mask[i] as number));
    c.out.push({ kind: "set_masked", attr: "nsh", value, mask: mask.slice() });
  } else {
    fillMask("nsh", mask);
    // Open vSwitch writes the old header here, not the new one; so do we.
    const old = odpKeyFromFlow("nsh", c.base, false);
    c.out.push({ kind: "set", key: { attr: "nsh", value: old } });
  }
  odpKeyToFlow("nsh", key, c.base, false);
  if (mask[NSH_WORDS.mdtype] !== 0) {
    odpKeyToFlow("nsh", mask, c.wc, true);
  }
}

function commitVlan(c: Commit): void {
  let b = countVlanHeaders(c.base) - 1;
  let f = countVlanHeaders(c.flow) - 1;
  while (b >= 0 && f >= 0 && vlanQtag(c.base, b) === vlanQtag(c.flow, f)) {
    b--;
    f--;
  }
  // What is left differs: pop it from the packet, then push the flow's.
  for (; b >= 0; b--) {
    c.out.push({ kind: "pop_vlan" });
    c.wc[K.vlan_tpid.word + b] = 0xffffffff;
  }
  for (; f >= 0; f--) {
    const qtag = vlanQtag(c.flow, f);
    c.out.push({ kind: "push_vlan", tpid: qtag >>> 16, tci: qtag & 0xffff });
  }
  copySlot(c.base, c.flow, K.vlan_tpid);
  copySlot(c.base, c.flow, K.vlan_tci);
  copySlot(c.base, c.flow, K.vlan_tpid1);
  copySlot(c.base, c.flow, K.vlan_tci1);
}

/** The wildcards were taken care of when the stack was changed. */
function commitMpls(c: Commit, pendingEncap: boolean): void {
  let baseN = countMplsLabels(c.base, null);
  const flowN = countMplsLabels(c.flow, null);
  let common = countCommonMplsLabels(c.flow, flowN, c.base, baseN);
  const flowType = get(c.flow, K.dl_type);
  while (baseN > common) {
    if (baseN - 1 === common && flowN > common) {
      // One entry too many on the packet and one that the flow needs: overwrite it.
      const lse = mplsLse(c.flow, flowN - baseN);
      c.out.push({ kind: "set", key: { attr: "mpls", value: Uint32Array.of(lse) } });
      setMplsLse(c.base, 0, lse);
      common++;
    } else {
      // Between two labels only an MPLS Ethertype makes sense.
      const inner = !isEthTypeMpls(flowType) && baseN > 1;
      c.out.push({ kind: "pop_mpls", ethType: inner ? ETH_TYPE.MPLS : flowType });
      popMpls(c.base, baseN, flowType, null);
      baseN--;
    }
  }
  while (baseN < flowN) {
    const lse = mplsLse(c.flow, flowN - baseN - 1);
    c.out.push(
      pendingEncap
        ? { kind: "add_mpls", lse, ethType: flowType, tunFlags: 0 }
        : { kind: "push_mpls", lse, ethType: flowType },
    );
    // The layers above stay known in `base`: a bucket or patch port may restore the flow.
    pushMpls(c.base, baseN, flowType, null, false);
    setMplsLse(c.base, 0, lse);
    baseN++;
  }
}

function commitEncap(c: Commit): void {
  const type = getU(c.flow, K.packet_type);
  switch (type) {
    case PT.ETH: {
      const s = K.dl_src.word;
      const d = K.dl_dst.word;
      c.out.push({ kind: "push_eth", src: c.flow.slice(s, s + 2), dst: c.flow.slice(d, d + 2) });
      copySlot(c.base, c.flow, K.packet_type);
      copySlot(c.base, c.flow, K.dl_src);
      copySlot(c.base, c.flow, K.dl_dst);
      break;
    }
    case PT.NSH: {
      const md2 = get(c.flow, K.nsh_mdtype) === NSH_MD_TYPE2 ? c.opts.encapData : null;
      c.out.push({ kind: "push_nsh", key: odpKeyFromFlow("nsh", c.flow, false), md2 });
      copySlot(c.base, c.flow, K.packet_type);
      c.base.set(c.flow.subarray(K.dl_dst.word), K.dl_dst.word);
      break;
    }
    case PT.MPLS:
    case PT.MPLS_MC:
      commitMpls(c, true);
      break;
    default:
    // Translation refuses to encapsulate anything else.
  }
}

function commitDecap(c: Commit): void {
  const base = getU(c.base, K.packet_type);
  if (getU(c.flow, K.packet_type) >>> 16 === PT_NS_ETHERTYPE && base === PT.ETH) {
    c.out.push({ kind: "pop_eth" });
    copySlot(c.base, c.flow, K.packet_type);
    clear(c.base, K.dl_src);
    clear(c.base, K.dl_dst);
    return;
  }
  // All others go on after a recirculation, which parses the packet afresh.
  if (base === PT.NSH) {
    c.out.push({ kind: "pop_nsh" });
  } else if (base === PT.MPLS || base === PT.MPLS_MC) {
    commitMpls(c, false);
  }
}

function commitEncapDecap(c: Commit): void {
  if (c.opts.pendingEncap) {
    commitEncap(c);
  } else if (c.opts.pendingDecap || !sameSlot(c.flow, c.base, K.packet_type)) {
    commitDecap(c);
  }
  fill(c.wc, K.packet_type);
}

function commitMetadata(c: Commit, attr: "skb_priority" | "skb_mark"): void {
  const slot = attr === "skb_priority" ? K.skb_priority : K.pkt_mark;
  const old = get(c.wc, slot);
  if (commitKey(c, attr, c.opts.useMasked)) {
    set(c.wc, slot, get(c.wc, slot) | old);
  }
}

/**
 * Appends to `out` what turns `base` into `flow` and makes `base` equal to it. Returns SLOW bits.
 */
export function commitOdpActions(
  flow: FlowKey,
  base: FlowKey,
  out: OdpAction[],
  wc: FlowKey,
  opts: CommitOptions,
): number {
  if (!opts.pendingEncap && !opts.pendingDecap && isCommitted(flow, base)) {
    return 0;
  }
  const c: Commit = { flow, base, out, wc, opts };
  commitEncapDecap(c);
  commitEther(c);
  // A packet must stop being MPLS before its network layer can be set.
  const mplsFirst = isEthTypeMpls(get(base, K.dl_type)) && !isEthTypeMpls(get(flow, K.dl_type));
  if (mplsFirst) {
    commitMpls(c, false);
  }
  commitNsh(c);
  const slowNetwork = commitNetwork(c);
  commitPorts(c);
  const slowIcmp = commitIcmp(c);
  if (!mplsFirst) {
    commitMpls(c, false);
  }
  commitVlan(c);
  commitMetadata(c, "skb_priority");
  commitMetadata(c, "skb_mark");
  return slowNetwork !== 0 ? slowNetwork : slowIcmp;
}

/**
 * Appends `set(tunnel(...))` if the flow's tunnel differs from the base's. `geneve` makes the
 * options of a key in wire form, or null if there are none.
 */
export function commitOdpTunnelAction(
  flow: FlowKey,
  base: FlowKey,
  out: OdpAction[],
  kind: TunnelKind,
  geneve: (key: FlowKey) => Uint8Array | null,
): void {
  if (!tunnelDstIsSet(flow)) {
    return;
  }
  let same = true;
  for (let i = 0; i < TUNNEL_WORDS && same; i++) {
    same = flow[i] === base[i];
  }
  if (same) {
    return;
  }
  base.set(flow.subarray(0, TUNNEL_WORDS));
  out.push({
    kind: "set",
    key: { attr: "tunnel", tunnel: odpTunnelFromFlow(base, geneve(base), kind) },
  });
}
