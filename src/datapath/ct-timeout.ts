// Timeouts of connections: which ones there are, defaults, and policies.
//
// Names are those of the database's CT_Timeout_Policy. (ovs: lib/conntrack-tp.c)

/** Default timeouts in seconds. */
export const CT_TIMEOUT_DEFAULTS_S = {
  tcp_syn_sent: 30,
  tcp_syn_recv: 30,
  tcp_established: 24 * 60 * 60,
  tcp_fin_wait: 15 * 60,
  tcp_time_wait: 45,
  tcp_close: 30,
  udp_first: 60,
  udp_single: 60,
  udp_multiple: 30,
  icmp_first: 60,
  icmp_reply: 30,
} as const;
export type CtTimeoutName = keyof typeof CT_TIMEOUT_DEFAULTS_S;

/** Packets ask for these: a Map finds a name in a fraction of the time that an object takes. */
const DEFAULTS_S = new Map(Object.entries(CT_TIMEOUT_DEFAULTS_S));

/** The timeouts of a policy by number, or undefined if there is no such policy. */
export type CtPolicyLookup = (id: number) => ReadonlyMap<string, number> | undefined;

/** The timeout of that name in a policy; what a policy leaves open is the default. */
export function timeoutMs(name: CtTimeoutName, tpId: number, policies: CtPolicyLookup): number {
  const policy = tpId === 0 ? undefined : policies(tpId);
  return (policy?.get(name) ?? DEFAULTS_S.get(name) ?? 0) * 1000;
}
