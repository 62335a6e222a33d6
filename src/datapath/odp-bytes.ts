// How many bytes a list of datapath actions takes as Netlink attributes.
//
// Open vSwitch keeps actions in that form and limits its length, which is what a translation that
// produces too many of them runs into. An attribute has a header of 4 bytes and is padded to a
// multiple of 4 (ovs: include/linux/openvswitch.h, lib/netlink.h; lib/odp-util.c odp_put_*).

import { ODP_KEYS, type OdpAction, type OdpKeyAttr, type OdpNat } from "./odp-action.ts";

const NLA_HEADER = 4;
/** An attribute of up to 4 bytes. */
const SMALL = NLA_HEADER + 4;
/** ovs: sizeof(struct user_action_cookie). */
const USER_COOKIE_BYTES = 48;
/** ovs: sizeof(struct ovs_action_push_tnl). */
const TNL_PUSH_BYTES = 528;

function attr(payload: number): number {
  return NLA_HEADER + Math.ceil(payload / 4) * 4;
}

/** The structure of a key attribute without padding. */
function keyBytes(name: Exclude<OdpKeyAttr["attr"], "tunnel" | "encap">): number {
  return ODP_KEYS[name].fields.reduce((n, f) => n + f.bits / 8, 0);
}

const TUNNEL_ATTR_BYTES = new Map<string, number>([
  ["id", 8],
  ["ipv4_src", 4],
  ["ipv4_dst", 4],
  ["tos", 1],
  ["ttl", 1],
  ["tp_src", 2],
  ["tp_dst", 2],
  ["vxlan", SMALL],
  ["ipv6_src", 16],
  ["ipv6_dst", 16],
  ["erspan", 12],
  ["gtpu", 4],
]);

function setBytes(key: OdpKeyAttr): number {
  if (key.attr === "tunnel") {
    const { attrs, geneve } = key.tunnel;
    const inner = attrs.reduce(
      (n, a) => n + attr(a === "geneve" ? geneve.length : (TUNNEL_ATTR_BYTES.get(a) ?? 0)),
      0,
    );
    return attr(inner);
  }
  if (key.attr === "encap") {
    return key.encap.reduce((n, k) => n + setBytes(k), NLA_HEADER);
  }
  return attr(keyBytes(key.attr));
}

function natBytes(nat: OdpNat): number {
  let n = NLA_HEADER;
  for (const flag of [nat.type !== null, nat.persistent, nat.hash, nat.random]) {
    n += flag ? NLA_HEADER : 0;
  }
  for (const addr of [nat.min, nat.max]) {
    n += addr === null ? 0 : attr(addr.length * 4);
  }
  for (const port of [nat.portMin, nat.portMax]) {
    n += port === 0 ? 0 : SMALL;
  }
  return n;
}

function ctBytes(a: Extract<OdpAction, { kind: "ct" }>): number {
  let n = NLA_HEADER + SMALL;
  n += a.commit ? NLA_HEADER + SMALL : 0;
  n += a.mark === null ? 0 : attr(8);
  n += a.label === null ? 0 : attr(32);
  n += a.helper === null ? 0 : attr(a.helper.length + 1);
  n += a.timeout === null ? 0 : attr(a.timeout.length + 1);
  return n + (a.nat === null ? 0 : natBytes(a.nat));
}

function userspaceBytes(a: Extract<OdpAction, { kind: "userspace" }>): number {
  let n = NLA_HEADER + SMALL;
  if (a.cookie !== null) {
    n += attr(a.cookie.type === "raw" ? a.cookie.bytes.length : USER_COOKIE_BYTES);
  }
  n += a.tunnelOutPort === null ? 0 : SMALL;
  return n + (a.includeActions ? NLA_HEADER : 0);
}

/** Netlink bytes of one action. */
function odpActionBytes(a: OdpAction): number {
  switch (a.kind) {
    case "output":
    case "push_vlan":
    case "recirc":
    case "pop_mpls":
    case "trunc":
    case "meter":
    case "tnl_pop":
    case "drop":
    case "lb_output":
      return SMALL;
    case "pop_vlan":
    case "ct_clear":
    case "pop_eth":
    case "pop_nsh":
      return NLA_HEADER;
    case "userspace":
      return userspaceBytes(a);
    case "set":
      return NLA_HEADER + setBytes(a.key);
    case "set_masked":
      return NLA_HEADER + attr(2 * keyBytes(a.attr));
    case "sample":
      return NLA_HEADER + SMALL + NLA_HEADER + odpActionsBytes(a.actions);
    case "clone":
      return NLA_HEADER + odpActionsBytes(a.actions);
    case "check_pkt_len":
      return 3 * NLA_HEADER + SMALL + odpActionsBytes(a.greater) + odpActionsBytes(a.lessEqual);
    case "hash":
    case "push_mpls":
      return attr(8);
    case "add_mpls":
      return attr(12);
    case "ct":
      return ctBytes(a);
    case "push_eth":
      return attr(12);
    case "push_nsh":
      return NLA_HEADER + attr(8) + attr(a.md2 === null ? 16 : a.md2.length);
    case "tnl_push":
      return attr(TNL_PUSH_BYTES);
  }
}

/** Netlink bytes of a list of actions. */
export function odpActionsBytes(actions: readonly OdpAction[]): number {
  let n = 0;
  for (const a of actions) {
    n += odpActionBytes(a);
  }
  return n;
}
