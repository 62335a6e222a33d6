// Datapath actions as data: what translation emits, text prints and the datapath executes.
//
// Keys that actions set have the shapes of the key table (odp-key-table.ts). Actions are immutable
// once made; megaflows share them. ovs: include/linux/openvswitch.h, enum ovs_action_attr;
// lib/odp-util.h.

import type { OdpKeyAttr, OdpWordsName } from "./odp-key-table.ts";

/** What a `userspace` action carries back with the packet (ovs: struct user_action_cookie). */
export type UserCookie =
  | { readonly type: "sflow"; readonly vlanTci: number; readonly output: number }
  /** `reason` is a set of SLOW_PATH bits. */
  | { readonly type: "slow_path"; readonly reason: number }
  | {
      readonly type: "flow_sample";
      readonly probability: number;
      readonly collectorSetId: number;
      readonly obsDomainId: number;
      readonly obsPointId: number;
      readonly outputPort: number;
      readonly direction: "default" | "ingress" | "egress";
    }
  | { readonly type: "ipfix"; readonly outputPort: number }
  | {
      readonly type: "controller";
      readonly dontSend: boolean;
      readonly continuation: boolean;
      readonly reason: number;
      readonly recircId: number;
      /** [hi32, lo32]. */
      readonly ruleCookie: readonly [number, number];
      readonly controllerId: number;
      readonly maxLen: number;
    }
  | { readonly type: "raw"; readonly bytes: Uint8Array };

/** Why a flow is handled in user space: a set of bits. */
export const SLOW = {
  CFM: 0x01,
  BFD: 0x02,
  LACP: 0x04,
  STP: 0x08,
  LLDP: 0x10,
  ACTION: 0x20,
  MATCH: 0x40,
} as const;
/** The reasons in the order of their bits (ovs: SLOW_PATH_REASONS). */
export const SLOW_PATH_REASONS = [
  { name: "cfm", bit: SLOW.CFM, text: "Consists of CFM packets" },
  { name: "bfd", bit: SLOW.BFD, text: "Consists of BFD packets" },
  { name: "lacp", bit: SLOW.LACP, text: "Consists of LACP packets" },
  { name: "stp", bit: SLOW.STP, text: "Consists of STP packets" },
  { name: "lldp", bit: SLOW.LLDP, text: "Consists of LLDP packets" },
  { name: "action", bit: SLOW.ACTION, text: "Uses action(s) not supported by datapath" },
  { name: "match", bit: SLOW.MATCH, text: "Datapath can't match specifically enough" },
] as const;

/** Address and port range of a NAT. Addresses are 1 word (IPv4) or 4 (IPv6). */
export interface OdpNat {
  readonly type: "src" | "dst" | null;
  readonly min: Uint32Array | null;
  readonly max: Uint32Array | null;
  readonly portMin: number;
  readonly portMax: number;
  readonly persistent: boolean;
  readonly hash: boolean;
  readonly random: boolean;
}

/** The numbers that `tnl_push(header(...,type=N,...))` shows (enum ovs_vport_type). */
export const VPORT_TYPE = {
  gre: 3,
  vxlan: 4,
  geneve: 5,
  lisp: 105,
  stt: 106,
  erspan: 107,
  ip6erspan: 108,
  ip6gre: 109,
  gtpu: 110,
  bareudp: 111,
} as const;

/** A datapath action. Ports are datapath port numbers, host-order numbers throughout. */
export type OdpAction =
  | { readonly kind: "output"; readonly port: number }
  | {
      readonly kind: "userspace";
      readonly pid: number;
      readonly cookie: UserCookie | null;
      /** OpenFlow port the packet came in by, for `controller`; 0xffff (NONE) if unknown. */
      readonly ofpInPort: number;
      /** Name of the bridge that asked, where the upcall goes back to; "" if unknown. */
      readonly bridge: string;
      readonly includeActions: boolean;
      readonly tunnelOutPort: number | null;
    }
  | { readonly kind: "set"; readonly key: OdpKeyAttr }
  | {
      readonly kind: "set_masked";
      readonly attr: OdpWordsName;
      readonly value: Uint32Array;
      readonly mask: Uint32Array;
    }
  | { readonly kind: "push_vlan"; readonly tpid: number; readonly tci: number }
  | { readonly kind: "pop_vlan" }
  /** `probability` of 2**32 - 1 means always. */
  | {
      readonly kind: "sample";
      readonly probability: number;
      readonly actions: readonly OdpAction[];
    }
  | { readonly kind: "recirc"; readonly recircId: number }
  | { readonly kind: "hash"; readonly alg: "l4" | "sym_l4"; readonly basis: number }
  | { readonly kind: "push_mpls"; readonly lse: number; readonly ethType: number }
  | { readonly kind: "pop_mpls"; readonly ethType: number }
  | {
      readonly kind: "add_mpls";
      readonly lse: number;
      readonly ethType: number;
      /** 1 (L3) puts the label before the network layer, 0 before the Ethernet header. */
      readonly tunFlags: number;
    }
  | {
      readonly kind: "ct";
      /** At most one of `commit` and `force` is true. */
      readonly commit: boolean;
      readonly force: boolean;
      readonly zone: number;
      readonly mark: { readonly value: number; readonly mask: number } | null;
      /** 4 words each. */
      readonly label: { readonly value: Uint32Array; readonly mask: Uint32Array } | null;
      readonly helper: string | null;
      readonly timeout: string | null;
      readonly nat: OdpNat | null;
    }
  | { readonly kind: "ct_clear" }
  | { readonly kind: "trunc"; readonly maxLen: number }
  /** Addresses are [hi16, lo32]. */
  | { readonly kind: "push_eth"; readonly src: Uint32Array; readonly dst: Uint32Array }
  | { readonly kind: "pop_eth" }
  /** `key` has the words of `nsh`; `md2` the raw type 2 metadata if mdtype is 2. */
  | { readonly kind: "push_nsh"; readonly key: Uint32Array; readonly md2: Uint8Array | null }
  | { readonly kind: "pop_nsh" }
  | { readonly kind: "meter"; readonly meterId: number }
  | { readonly kind: "clone"; readonly actions: readonly OdpAction[] }
  | {
      readonly kind: "check_pkt_len";
      readonly size: number;
      readonly greater: readonly OdpAction[];
      readonly lessEqual: readonly OdpAction[];
    }
  | {
      readonly kind: "tnl_push";
      /** The tunnel's own datapath port, and the underlay port to send to. */
      readonly tnlPort: number;
      readonly outPort: number;
      /** VPORT_TYPE number. */
      readonly tnlType: number;
      /** Ethernet, IP and tunnel header as they go in front of the packet. */
      readonly header: Uint8Array;
    }
  | { readonly kind: "tnl_pop"; readonly port: number }
  | { readonly kind: "drop"; readonly error: number }
  | { readonly kind: "lb_output"; readonly bondId: number };
