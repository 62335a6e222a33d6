// THE ACTION TABLE: one row per kind of action, from the files of its family.
//
// From it follow the parser's keywords, the printer, the wire codec, the checks, the action set and
// the reference. A kind without a row does not compile. The order is that of Open vSwitch's
// OFPACT_* numbers.

import {
  conjunction,
  debug_recirc,
  debug_slow,
  exit,
  fin_timeout,
  note,
  pop_queue,
  resubmit,
  set_queue,
  set_tunnel,
  unroll_xlate,
} from "./control.ts";
import { controller } from "./controller.ts";
import { ct_clear, ctRow } from "./ct.ts";
import { nat } from "./nat.ts";
import { dec_nsh_ttl, decap, encap } from "./encap.ts";
import { bundle } from "./bundle.ts";
import { multipath } from "./multipath.ts";
import { sample } from "./sample.ts";
import {
  dec_ttl,
  set_eth_dst,
  set_eth_src,
  set_ip_dscp,
  set_ip_ecn,
  set_ip_ttl,
  set_ipv4_dst,
  set_ipv4_src,
  set_l4_dst_port,
  set_l4_src_port,
} from "./headers.ts";
import {
  clear_actions,
  cloneRow,
  goto_table,
  meter,
  write_metadata,
  writeActionsRow,
} from "./instructions.ts";
import { learn } from "./learn.ts";
import { makeListOps } from "./list.ts";
import { check_pkt_larger, delete_field, reg_move, stack_pop, stack_push } from "./move.ts";
import {
  dec_mpls_ttl,
  pop_mpls,
  push_mpls,
  set_mpls_label,
  set_mpls_tc,
  set_mpls_ttl,
} from "./mpls.ts";
import { enqueue, group, output, output_reg, output_trunc } from "./output.ts";
import { set_field } from "./set-field.ts";
import type { ActionKind, ActionTable, ListOps } from "./types.ts";
import { push_vlan, set_vlan_pcp, set_vlan_vid, strip_vlan } from "./vlan.ts";

/** Lists of actions; actions.ts offers them to other layers. */
export const LISTS: ListOps = makeListOps(() => ACTIONS);

export const ACTIONS: ActionTable = Object.freeze({
  output,
  group,
  controller,
  enqueue,
  output_reg,
  bundle,
  set_field,
  set_vlan_vid,
  set_vlan_pcp,
  strip_vlan,
  push_vlan,
  set_eth_src,
  set_eth_dst,
  set_ipv4_src,
  set_ipv4_dst,
  set_ip_dscp,
  set_ip_ecn,
  set_ip_ttl,
  set_l4_src_port,
  set_l4_dst_port,
  reg_move,
  stack_push,
  stack_pop,
  dec_ttl,
  set_mpls_label,
  set_mpls_tc,
  set_mpls_ttl,
  dec_mpls_ttl,
  push_mpls,
  pop_mpls,
  dec_nsh_ttl,
  delete_field,
  encap,
  decap,
  set_tunnel,
  set_queue,
  pop_queue,
  fin_timeout,
  resubmit,
  learn,
  conjunction,
  multipath,
  note,
  exit,
  sample,
  unroll_xlate,
  ct: ctRow(LISTS),
  ct_clear,
  nat,
  output_trunc,
  clone: cloneRow(LISTS),
  check_pkt_larger,
  debug_recirc,
  debug_slow,
  meter,
  clear_actions,
  write_actions: writeActionsRow(LISTS),
  write_metadata,
  goto_table,
});

/** All kinds, in the order of the table. */
export const ACTION_KINDS: readonly ActionKind[] = Object.freeze(
  Object.values(ACTIONS).map((row) => row.kind),
);
