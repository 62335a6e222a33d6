// What OpenFlow can ask about flows, groups, meters and ports, as abstract values
// (ovs: ofproto/ofproto.c handle_flow_stats_request, append_group_stats, meter_request_reply, ...).

import { expandMiniMatch } from "../flow/minimatch.ts";
import { type Match, newMatch } from "../flow/match.ts";
import type { Group } from "./group.ts";
import type { OfpErr } from "./messages/errors.ts";
import type {
  AggregateStats,
  FlowRemoved,
  FlowStats,
  FlowStatsRequest,
} from "./messages/types-flow.ts";
import type { GroupStats, MeterStats } from "./messages/types-group.ts";
import type { PortStats } from "./messages/types-switch.ts";
import type { Meter } from "./meter.ts";
import type { OfPort } from "./ofport.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Rule } from "./rule.ts";
import { collectLoose, VERSION_MAX } from "./rule-criteria.ts";

/** The greatest age that fits into a message, in seconds. */
const AGE_MAX_S = 0xffff;

interface Duration {
  readonly durationS: number;
  readonly durationNs: number;
}

function durationSince(startMs: number, nowMs: number): Duration {
  const ms = nowMs - startMs;
  return { durationS: Math.floor(ms / 1000), durationNs: (ms % 1000) * 1_000_000 };
}

function ageS(ms: number): number {
  return Math.min(AGE_MAX_S, Math.max(0, Math.floor(ms / 1000)));
}

/** A rule's match in full, with the bridge's tunnel options. */
export function expandRule(p: Ofproto, rule: Rule): Match {
  const match = newMatch(p.tunTable);
  expandMiniMatch(rule.match, match.flow, match.wc);
  return match;
}

/** The rules that a request selects, in the order of a dump. */
export function requestedRules(p: Ofproto, r: FlowStatsRequest): Rule[] | OfpErr {
  return collectLoose(p, {
    tableId: r.tableId,
    match: p.masks.pack(r.match),
    priority: 0,
    version: VERSION_MAX,
    cookie: r.cookie,
    cookieMask: r.cookieMask,
    outPort: r.outPort,
    outGroup: r.outGroup,
    includeHidden: false,
    includeReadonly: true,
  });
}

export function flowStatsOf(p: Ofproto, rule: Rule, nowMs: number): FlowStats {
  const stats = rule.statsRule();
  return {
    match: expandRule(p, rule),
    cookie: rule.cookie,
    tableId: rule.tableId,
    priority: rule.priority,
    idleTimeoutS: rule.idleTimeoutS,
    hardTimeoutS: rule.hardTimeoutS,
    ...durationSince(rule.createdMs, nowMs),
    idleAgeS: ageS(nowMs - stats.usedMs),
    hardAgeS: ageS(nowMs - rule.modifiedMs),
    packetCount: BigInt(stats.nPackets),
    byteCount: BigInt(stats.nBytes),
    actions: rule.actions.actions,
    flags: rule.flags,
    importance: rule.importance,
  };
}

export function aggregateOf(rules: readonly Rule[]): AggregateStats {
  let packets = 0;
  let bytes = 0;
  for (const rule of rules) {
    const stats = rule.statsRule();
    packets += stats.nPackets;
    bytes += stats.nBytes;
  }
  return {
    packetCount: BigInt(packets),
    byteCount: BigInt(bytes),
    flowCount: rules.length,
  };
}

export function flowRemovedOf(p: Ofproto, rule: Rule): FlowRemoved {
  const stats = rule.statsRule();
  return {
    match: expandRule(p, rule),
    cookie: rule.cookie,
    priority: rule.priority,
    reason: rule.removedReason,
    tableId: rule.tableId,
    ...durationSince(rule.createdMs, p.clock.nowMs()),
    idleTimeoutS: rule.idleTimeoutS,
    hardTimeoutS: rule.hardTimeoutS,
    packetCount: BigInt(stats.nPackets),
    byteCount: BigInt(stats.nBytes),
  };
}

export function groupStatsOf(p: Ofproto, group: Group): GroupStats {
  return {
    groupId: group.groupId,
    refCount: group.refCount,
    packetCount: BigInt(group.nPackets),
    byteCount: BigInt(group.nBytes),
    ...durationSince(group.createdMs, p.clock.nowMs()),
    bucketStats: group.bucketCounts.map((b) => ({
      packetCount: BigInt(b.nPackets),
      byteCount: BigInt(b.nBytes),
    })),
  };
}

/** Null if the datapath does not know the meter. */
export function meterStatsOf(p: Ofproto, meter: Meter): MeterStats | null {
  const nBands = meter.config.bands.length;
  const stats = p.provider.meterGet(meter.providerMeterId, nBands);
  if (stats === null) {
    return null;
  }
  return {
    meterId: meter.meterId,
    flowCount: meter.rules.size,
    packetInCount: stats.packetInCount,
    byteInCount: stats.byteInCount,
    ...durationSince(meter.createdMs, p.clock.nowMs()),
    bands: stats.bands,
  };
}

export function portStatsOf(p: Ofproto, port: OfPort): PortStats {
  const { stats, custom } = p.provider.portStats(port);
  return {
    portNo: port.portNo,
    stats,
    custom,
    ...durationSince(port.createdMs, p.clock.nowMs()),
  };
}
