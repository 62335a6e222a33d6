// What packets that take a datapath flow are to be credited to.
//
// The idea: translation happens once, packets keep coming. While it translates, it notes here every
// rule, group, table and port that it passed and every effect that later packets repeat; when the
// datapath's counters are collected, `pushStats` applies them (ovs: ofproto-dpif-xlate-cache.c).

import type { FlowKey } from "../flow/flow-key.ts";
import type { Bond } from "./bond.ts";
import type { Group } from "./group.ts";
import type { FlowMod } from "./messages/types-flow.ts";
import type { Bucket } from "./messages/types-group.ts";
import type { Mbridge } from "./mirror.ts";
import type { Rule } from "./rule.ts";
import type { XBridge, XlateOfproto, XPort } from "./xbridge.ts";
import type { FlowStats } from "./xlate-ctx.ts";

/** TCP flags that end a connection. */
const TCP_FIN_RST = 0x001 | 0x004;

export type XlateCacheEntry =
  | {
      readonly kind: "table";
      readonly ofproto: XlateOfproto;
      readonly tableId: number;
      readonly matched: boolean;
    }
  | { readonly kind: "rule"; readonly rule: Rule }
  | { readonly kind: "group"; readonly group: Group; readonly bucket: Bucket | null }
  | { readonly kind: "port"; readonly tx: XPort | null; readonly rx: XPort | null }
  | { readonly kind: "mirror"; readonly mbridge: Mbridge; readonly mirrors: number }
  | {
      readonly kind: "bond";
      readonly bond: Bond;
      readonly flow: FlowKey;
      readonly vid: number;
    }
  | {
      readonly kind: "learn";
      readonly ofproto: XlateOfproto;
      readonly flowMod: FlowMod;
      readonly limit: number;
    }
  | {
      readonly kind: "normal";
      readonly xbridge: XBridge;
      readonly inPort: number;
      /** [hi16, lo32]. */
      readonly dlSrc: Uint32Array;
      readonly vlan: number;
      readonly gratuitousArp: boolean;
    }
  | {
      readonly kind: "fin_timeout";
      readonly ofproto: XlateOfproto;
      readonly rule: Rule;
      readonly idleTimeoutS: number;
      readonly hardTimeoutS: number;
    }
  /** What follows is credited for packets that are so much longer. */
  | { readonly kind: "tunnel_header"; readonly bytes: number }
  /** A tunnel neighbour that is in use. */
  | { readonly kind: "tnl_neigh"; readonly bridge: string; readonly ip: Uint32Array };

export type XlateCache = XlateCacheEntry[];

/** The effects that need more than an entry knows; given by the switch. */
export interface CacheEffects {
  accountBond(bond: Bond, flow: FlowKey, vid: number, bytes: number): void;
  updateMirror(mbridge: Mbridge, mirrors: number, packets: number, bytes: number): void;
  learnMac(entry: Extract<XlateCacheEntry, { kind: "normal" }>): void;
  touchNeighbour(bridge: string, ip: Uint32Array): void;
}

/** Adds packets to the counters of a port that no device counts. */
export function creditPorts(tx: XPort | null, rx: XPort | null, stats: FlowStats): void {
  if (tx !== null) {
    tx.counters.txPackets += stats.packets;
    tx.counters.txBytes += stats.bytes;
  }
  if (rx !== null) {
    rx.counters.rxPackets += stats.packets;
    rx.counters.rxBytes += stats.bytes;
    rx.bfd?.accountRx(stats.packets);
  }
}

/** Adds to the counters of a table that packets matched, or missed, in it. */
export function creditTable(
  ofproto: XlateOfproto,
  tableId: number,
  matched: boolean,
  packets: number,
): void {
  const table = ofproto.tables[tableId];
  if (table === undefined) {
    return;
  }
  if (matched) {
    table.nMatched += packets;
  } else {
    table.nMissed += packets;
  }
}

/** Credits `stats` to everything in the cache (ovs: xlate_push_stats). */
export function pushStats(cache: XlateCache, stats: FlowStats, effects: CacheEffects): void {
  let s = stats;
  for (const e of cache) {
    if (e.kind === "tunnel_header") {
      s = { ...s, bytes: s.bytes + s.packets * e.bytes };
    } else {
      pushEntry(e, s, effects);
    }
  }
}

function pushEntry(
  e: Exclude<XlateCacheEntry, { kind: "tunnel_header" }>,
  stats: FlowStats,
  effects: CacheEffects,
): void {
  switch (e.kind) {
    case "table":
      creditTable(e.ofproto, e.tableId, e.matched, stats.packets);
      return;
    case "rule":
      e.rule.credit(stats.packets, stats.bytes, stats.usedMs);
      return;
    case "group":
      e.group.credit(e.bucket, stats.packets, stats.bytes);
      return;
    case "port":
      creditPorts(e.tx, e.rx, stats);
      return;
    case "mirror":
      effects.updateMirror(e.mbridge, e.mirrors, stats.packets, stats.bytes);
      return;
    case "bond":
      effects.accountBond(e.bond, e.flow, e.vid, stats.bytes);
      return;
    case "learn":
      e.ofproto.flowModLearn(e.flowMod, e.limit);
      return;
    case "normal":
      effects.learnMac(e);
      return;
    case "fin_timeout":
      if ((stats.tcpFlags & TCP_FIN_RST) !== 0) {
        e.ofproto.ruleReduceTimeouts(e.rule, e.idleTimeoutS, e.hardTimeoutS);
      }
      return;
    case "tnl_neigh":
      effects.touchNeighbour(e.bridge, e.ip);
      return;
  }
}
