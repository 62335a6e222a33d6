// Every way in which the datapath loses a packet, by the names that `coverage/show` has.
//
// ovs: the COVERAGE_DEFINE lines of lib/dpif-netdev.c, lib/odp-execute.c and lib/flow.c.

import { counterTable, type Counters } from "../lib/counters.ts";

export const DP_COUNTERS = counterTable("datapath", {
  datapath_drop_meter: "over the rate of a meter",
  datapath_drop_upcall_error: "translation failed",
  datapath_drop_lock_error: "upcalls were disabled",
  datapath_drop_userspace_action_error: "a userspace action failed",
  datapath_drop_tunnel_push_error: "no tunnel header could be pushed",
  datapath_drop_tunnel_pop_error: "no valid tunnel header to pop",
  datapath_drop_recirc_error: "recirculated too often",
  datapath_drop_invalid_port: "sent to a port that does not exist",
  datapath_drop_invalid_bond: "sent to a bond that does not exist",
  datapath_drop_invalid_tnl_port: "tunnel port that does not exist",
  datapath_drop_rx_invalid_packet: "received packet too short or too long",
  datapath_drop_sample_error: "not sampled",
  datapath_drop_nsh_decap_error: "network service header of an unknown packet",
  drop_action_of_pipeline: "dropped by the pipeline",
  drop_action_bridge_not_found: "dropped: bridge not found",
  drop_action_recursion_too_deep: "dropped: recursion too deep",
  drop_action_too_many_resubmit: "dropped: too many resubmits",
  drop_action_stack_too_deep: "dropped: stack too deep",
  drop_action_no_recirculation_context: "dropped: no recirculation context",
  drop_action_recirculation_conflict: "dropped: recirculation conflict",
  drop_action_too_many_mpls_labels: "dropped: too many MPLS labels",
  drop_action_invalid_tunnel_metadata: "dropped: invalid tunnel metadata",
  drop_action_unsupported_packet_type: "dropped: unsupported packet type",
  drop_action_congestion: "dropped: congestion",
  drop_action_forwarding_disabled: "dropped: forwarding is disabled",
  miniflow_extract_ipv4_pkt_too_short: "IPv4 header cut",
  miniflow_extract_ipv4_pkt_len_error: "wrong length in an IPv4 header",
  miniflow_extract_ipv6_pkt_too_short: "IPv6 header cut",
  miniflow_extract_ipv6_pkt_len_error: "wrong length in an IPv6 header",
});

export type DpCounterName = (typeof DP_COUNTERS)["names"][number];
export type DpCounters = Counters<DpCounterName>;

/** The counter of each `drop` reason, by the number of the translation's error. */
export const DROP_ACTION_COUNTERS: readonly DpCounterName[] = DP_COUNTERS.names.filter((n) =>
  n.startsWith("drop_action_"),
);

/**
 * Losses that Open vSwitch does not count under any name: they are told apart here, and not shown
 * by `coverage/show`.
 */
export const DP_LOSSES = counterTable("datapath losses", {
  device_refused: "the device did not send the packet",
  actions_ended: "the actions ended without sending the packet anywhere",
  actions_too_deep: "actions nested too deep",
  execute_bad_size: "a packet to execute actions on is too short or too long",
  no_bond_member: "the bond has no member for the packet",
});

export type DpLossName = (typeof DP_LOSSES)["names"][number];
export type DpLosses = Counters<DpLossName>;
