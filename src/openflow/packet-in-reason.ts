// Why a packet goes to a controller (ovs: enum ofp_packet_in_reason).
//
// The two last reasons split "no_match" by how the miss came about; they never travel, and have no
// name of their own.

/** Reasons by number; the text is what actions and messages print. */
const REASONS = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out", "", ""];

export const OFPR = {
  NO_MATCH: 0,
  ACTION: 1,
  INVALID_TTL: 2,
  ACTION_SET: 3,
  GROUP: 4,
  PACKET_OUT: 5,
  EXPLICIT_MISS: 6,
  IMPLICIT_MISS: 7,
} as const;

/** The name of a reason, or its number if it has none. */
export function formatPacketInReason(reason: number): string {
  return REASONS[reason] ?? String(reason);
}

/** The reason with a name, in any case; null if there is none. */
export function parsePacketInReason(name: string): number | null {
  const i = REASONS.indexOf(name.toLowerCase());
  return i < 0 ? null : i;
}
