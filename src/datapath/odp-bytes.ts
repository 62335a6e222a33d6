// How many bytes a list of datapath actions takes as a Netlink message.
//
// Nothing is sent as Netlink here, but Open vSwitch limits translations by that size, so it can be
// seen: a resubmit beyond 64 kB of actions is refused.
// ovs: lib/netlink.h NLA_HDRLEN, NLA_ALIGN; include/linux/openvswitch.h.

import type { OdpAction } from "./odp-action.ts";
import { ODP_KEYS, type OdpKeyAttr, type OdpTunnel, type TunnelAttr } from "./odp-key-table.ts";

const HDR = 4;
/** Sizes of the structures that actions carry. */
const COOKIE_BYTES = 48;
const COOKIE_BYTES_MIN = 8;
const MPLS_BYTES = 8;
const HASH_BYTES = 8;
const TNL_PUSH_BYTES = 16;
const ETH_BYTES = 12;
const NSH_BASE_BYTES = 8;
const NSH_MD1_BYTES = 16;
const NSH_MD_TYPE1 = 1;
const NSH_MDTYPE_WORD = 2;

function align(n: number): number {
  return (n + 3) & ~3;
}

/** An attribute with so many bytes of payload. */
function attr(bytes: number): number {
  return HDR + align(bytes);
}

/** Bytes of the structure of a key attribute, its padding included. */
function structBytes(bits: readonly number[]): number {
  const bytes = bits.reduce((sum, b) => sum + b / 8, 0);
  return bits.some((b) => b === 32 || b === 128) ? align(bytes) : bytes;
}

const KEY_BYTES = new Map(
  Object.values(ODP_KEYS).map((d) => [d.attr, structBytes(d.fields.map((f) => f.bits))]),
);

const TUNNEL_BYTES: Readonly<Record<TunnelAttr, number>> = {
  id: 8,
  ipv4_src: 4,
  ipv4_dst: 4,
  tos: 1,
  ttl: 1,
  df: 0,
  csum: 0,
  oam: 0,
  geneve: 0,
  tp_src: 2,
  tp_dst: 2,
  vxlan: 8,
  ipv6_src: 16,
  ipv6_dst: 16,
  erspan: 12,
  gtpu: 2,
};

function tunnelBytes(t: OdpTunnel): number {
  return t.attrs.reduce(
    (sum, a) => sum + attr(a === "geneve" ? t.geneve.length : TUNNEL_BYTES[a]),
    0,
  );
}

function nshBytes(key: Uint32Array, factor: number, md2Bytes: number): number {
  let n = attr(NSH_BASE_BYTES * factor);
  if (key[NSH_MDTYPE_WORD] === NSH_MD_TYPE1) {
    n += attr(NSH_MD1_BYTES * factor);
  } else if (md2Bytes > 0) {
    n += attr(md2Bytes);
  }
  return n;
}

function keyBytes(k: OdpKeyAttr): number {
  if (k.attr === "tunnel") {
    return attr(tunnelBytes(k.tunnel));
  }
  if (k.attr === "encap") {
    return attr(k.encap.reduce((sum, x) => sum + keyBytes(x), 0));
  }
  if (k.attr === "nsh") {
    return attr(nshBytes(k.value, 1, 0));
  }
  return attr(k.attr === "mpls" ? k.value.length * 4 : (KEY_BYTES.get(k.attr) ?? 0));
}

function userspaceBytes(a: OdpAction & { kind: "userspace" }): number {
  let n = attr(4);
  if (a.cookie !== null) {
    const bytes = a.cookie.type === "raw" ? a.cookie.bytes.length : COOKIE_BYTES;
    n += attr(Math.max(COOKIE_BYTES_MIN, bytes));
  }
  n += a.tunnelOutPort !== null ? attr(4) : 0;
  return n + (a.includeActions ? attr(0) : 0);
}

function ctBytes(a: OdpAction & { kind: "ct" }): number {
  let n = a.commit || a.force ? attr(0) : 0;
  n += a.zone !== 0 ? attr(2) : 0;
  n += a.mark !== null ? attr(8) : 0;
  n += a.label !== null ? attr(32) : 0;
  n += a.helper !== null ? attr(a.helper.length + 1) : 0;
  n += a.timeout !== null ? attr(a.timeout.length + 1) : 0;
  if (a.nat !== null) {
    const { nat } = a;
    let m = nat.type !== null ? attr(0) : 0;
    m += nat.min !== null ? attr(nat.min.length * 4) : 0;
    m += nat.max !== null ? attr(nat.max.length * 4) : 0;
    m += (nat.portMin !== 0 ? attr(2) : 0) + (nat.portMax !== 0 ? attr(2) : 0);
    m += [nat.persistent, nat.hash, nat.random].filter(Boolean).length * attr(0);
    n += attr(m);
  }
  return n;
}

/** Bytes of the payload of an action. */
function payloadBytes(a: OdpAction): number {
  switch (a.kind) {
    case "pop_vlan":
    case "pop_eth":
    case "pop_nsh":
    case "ct_clear":
      return 0;
    case "output":
    case "lb_output":
    case "trunc":
    case "tnl_pop":
    case "meter":
    case "recirc":
    case "drop":
    case "push_vlan":
    case "pop_mpls":
      return 4;
    case "userspace":
      return userspaceBytes(a);
    case "set":
      return keyBytes(a.key);
    case "set_masked":
      return a.attr === "nsh"
        ? attr(nshBytes(a.value, 2, 0))
        : attr(2 * (KEY_BYTES.get(a.attr) ?? 0));
    case "sample":
      return attr(4) + attr(odpActionsBytes(a.actions));
    case "hash":
      return HASH_BYTES;
    case "push_mpls":
    case "add_mpls":
      return MPLS_BYTES;
    case "ct":
      return ctBytes(a);
    case "push_eth":
      return ETH_BYTES;
    case "push_nsh":
      return attr(nshBytes(a.key, 1, a.md2?.length ?? 0));
    case "clone":
      return odpActionsBytes(a.actions);
    case "check_pkt_len":
      return attr(2) + attr(odpActionsBytes(a.greater)) + attr(odpActionsBytes(a.lessEqual));
    case "tnl_push":
      return TNL_PUSH_BYTES + a.header.length;
  }
}

/** Bytes of a list of actions. */
export function odpActionsBytes(actions: readonly OdpAction[]): number {
  return actions.reduce((sum, a) => sum + attr(payloadBytes(a)), 0);
}
