// How many bytes actions take in Open vSwitch's memory.
//
// It bounds a list ("input too big"), so the limit that a user meets depends on it. Every action is
// padded to 8 bytes. (ovs: include/openvswitch/ofp-actions.h, sizeof struct ofpact_* on a 64-bit machine)

import type { Action } from "./types.ts";

const HEADER = 8;

function align(n: number): number {
  return (n + 7) & ~7;
}

function actionBytes(a: Action): number {
  switch (a.kind) {
    case "controller":
      return align(24 + a.userdata.length);
    case "bundle":
      return align(40 + 4 * a.members.length);
    case "set_field":
      return 16 + 2 * align(a.field.bytes);
    case "dec_ttl":
      return align(HEADER + 2 * a.cntIds.length);
    case "encap":
      return (
        16 + a.props.reduce((n, p) => n + 8 + (p.kind === "nsh_tlv" ? align(p.data.length) : 0), 0)
      );
    case "learn":
      return (
        48 +
        a.specs.reduce((n, s) => n + 40 + (s.imm === null ? 0 : align(Math.ceil(s.nBits / 8))), 0)
      );
    case "note":
      return align(16 + a.data.length);
    case "ct":
      return 32 + listBytes(a.actions);
    case "clone":
    case "write_actions":
      return HEADER + listBytes(a.actions);
    case "nat":
      return 48;
    case "reg_move":
    case "multipath":
      return 40;
    case "sample":
    case "check_pkt_larger":
      return 32;
    case "stack_push":
    case "stack_pop":
    case "output_reg":
    case "write_metadata":
      return 24;
    case "output":
    case "output_trunc":
    case "enqueue":
    case "set_eth_src":
    case "set_eth_dst":
    case "set_tunnel":
    case "delete_field":
    case "resubmit":
    case "conjunction":
    case "meter":
    case "unroll_xlate":
      return 16;
    default:
      return HEADER;
  }
}

/** Bytes of the actions from index `from` on. */
export function listBytes(actions: readonly Action[], from = 0): number {
  let n = 0;
  for (let i = from; i < actions.length; i++) {
    n += actionBytes(actions[i] as Action);
  }
  return n;
}
