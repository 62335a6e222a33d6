// What connection tracking counts, by the names that `coverage/show` has.
//
// ovs: the COVERAGE_DEFINE lines of lib/conntrack.c, lib/conntrack-tcp.c and lib/ipf.c.

import { type Counters, counterTable } from "../lib/counters.ts";

export const CT_COUNTERS = counterTable("conntrack", {
  conntrack_full: "not committed: as many connections as allowed",
  conntrack_l3csum_err: "wrong IPv4 checksum",
  conntrack_l4csum_err: "wrong transport checksum",
  conntrack_lookup_natted_miss: "translated packet without a connection",
  conntrack_tcp_seq_chk_bypass: "sequence numbers not checked",
  conntrack_tcp_seq_chk_failed: "sequence number out of window",
  conntrack_invalid_tcp_flags: "impossible TCP flags",
  ipf_l3csum_err: "wrong IPv4 checksum in a fragment",
  ipf_stuck_frag_list_purged: "fragments that waited too long",
});

export type CtCounterName = (typeof CT_COUNTERS)["names"][number];
export type CtCounters = Counters<CtCounterName>;
