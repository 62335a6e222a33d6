// Flow removed messages (ovs: lib/ofp-monitor.c).

import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { formatTable, OFPTT_ALL } from "../../flow/ofp-port.ts";
import { Cursor } from "../../lib/bytes.ts";
import { formatShownMatch } from "../match-text.ts";
import { nxPullMatch } from "../oxm.ts";
import { nxPutMatch } from "../oxm-put.ts";
import { REMOVED } from "../rule.ts";
import { type Decoded, isErr } from "./errors.ts";
import {
  matchFromOfp10,
  pullOfp10Match,
  pullOfp11Match,
  putOfp10Match,
  putOfp11Match,
} from "./match-wire.ts";
import type { NameMaps } from "./names.ts";
import { NO_STATS, pullOxsStats, putOxsStats } from "./oxs.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { formatRemovedReason } from "./reasons.ts";
import { formatDuration, hex } from "./text.ts";
import { type FlowRemoved, U64_MAX } from "./types-flow.ts";
import { protocolToVersion } from "./version.ts";

function known(n: bigint): bigint {
  return n === U64_MAX ? 0n : n;
}

export function encodeFlowRemoved(fr: FlowRemoved, protocol: Protocols): Uint8Array {
  const version = protocolToVersion(protocol);
  // Only OpenFlow 1.4 and later tell a removed meter from other deletions.
  const old = fr.reason === REMOVED.METER_DELETE && version < OFP.v14;
  const reason = old ? REMOVED.DELETE : fr.reason;
  if (version === OFP.v15) {
    const w = startMsg("OFPT15_FLOW_REMOVED", version, 0);
    w.u8(fr.tableId).u8(reason).u16(fr.priority).u16(fr.idleTimeoutS).u16(fr.hardTimeoutS);
    w.u64(fr.cookie);
    putOfp11Match(w, fr.match, version);
    const { durationS, durationNs, packetCount, byteCount } = fr;
    putOxsStats(w, { ...NO_STATS, durationS, durationNs, packetCount, byteCount });
    return finishMsg(w);
  }
  if (version !== OFP.v10) {
    const w = startMsg("OFPT11_FLOW_REMOVED", version, 0);
    w.u64(fr.cookie).u16(fr.priority).u8(reason).u8(fr.tableId);
    w.u32(fr.durationS).u32(fr.durationNs).u16(fr.idleTimeoutS).u16(fr.hardTimeoutS);
    w.u64(fr.packetCount).u64(fr.byteCount);
    putOfp11Match(w, fr.match, version);
    return finishMsg(w);
  }
  if ((protocol & P.OF10_NXM_ANY) === 0) {
    const w = startMsg("OFPT10_FLOW_REMOVED", version, 0);
    putOfp10Match(w, fr.match);
    w.u64(fr.cookie).u16(fr.priority).u8(reason).zeros(1);
    w.u32(fr.durationS).u32(fr.durationNs).u16(fr.idleTimeoutS).zeros(2);
    return finishMsg(w.u64(known(fr.packetCount)).u64(known(fr.byteCount)));
  }
  const w = startMsg("NXT_FLOW_REMOVED", version, 0);
  w.u64(fr.cookie)
    .u16(fr.priority)
    .u8(reason)
    .u8(fr.tableId + 1);
  w.u32(fr.durationS).u32(fr.durationNs).u16(fr.idleTimeoutS);
  const at = w.length;
  w.u16(0).u64(fr.packetCount).u64(fr.byteCount);
  w.patchU16(at, nxPutMatch(w, fr.match));
  return finishMsg(w);
}

export function decodeFlowRemoved(msg: Msg): Decoded<FlowRemoved> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  switch (msg.raw) {
    case "OFPT15_FLOW_REMOVED":
      return decode15(c, msg);
    case "OFPT10_FLOW_REMOVED":
      return decode10(c);
    case "NXT_FLOW_REMOVED":
      return decodeNx(c, msg);
    default:
      return decode11(c, msg);
  }
}

function decode15(c: Cursor, msg: Msg): Decoded<FlowRemoved> {
  const [tableId, reason, priority] = [c.u8(), c.u8(), c.u16()];
  const [idleTimeoutS, hardTimeoutS, cookie] = [c.u16(), c.u16(), c.u64()];
  const match = pullOfp11Match(c, {}, msg.log);
  if (isErr(match)) {
    return match;
  }
  const oxs = pullOxsStats(c);
  if (isErr(oxs)) {
    return oxs;
  }
  const { durationS, durationNs, packetCount, byteCount } = oxs.stats;
  const head = { match, cookie, priority, reason, tableId, idleTimeoutS, hardTimeoutS };
  return { ...head, durationS, durationNs, packetCount, byteCount };
}

function decode11(c: Cursor, msg: Msg): Decoded<FlowRemoved> {
  const [cookie, priority, reason, tableId] = [c.u64(), c.u16(), c.u8(), c.u8()];
  const [durationS, durationNs, idleTimeoutS, hardTimeoutS] = [c.u32(), c.u32(), c.u16(), c.u16()];
  const counts = { packetCount: c.u64(), byteCount: c.u64() };
  const match = pullOfp11Match(c, {}, msg.log);
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS };
  return isErr(match) ? match : { match, cookie, priority, reason, tableId, ...times, ...counts };
}

function decode10(c: Cursor): FlowRemoved {
  const match = matchFromOfp10(pullOfp10Match(c));
  const [cookie, priority, reason] = [c.u64(), c.u16(), c.u8()];
  c.skip(1);
  const [durationS, durationNs, idleTimeoutS] = [c.u32(), c.u32(), c.u16()];
  c.skip(2);
  const counts = { packetCount: c.u64(), byteCount: c.u64() };
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS: 0 };
  return { match, cookie, priority, reason, tableId: OFPTT_ALL, ...times, ...counts };
}

function decodeNx(c: Cursor, msg: Msg): Decoded<FlowRemoved> {
  const [cookie, priority, reason, table] = [c.u64(), c.u16(), c.u8(), c.u8()];
  const [durationS, durationNs, idleTimeoutS] = [c.u32(), c.u32(), c.u16()];
  const matchLen = c.u16();
  const counts = { packetCount: c.u64(), byteCount: c.u64() };
  const m = nxPullMatch(c, matchLen, { log: msg.log });
  if (isErr(m)) {
    return m;
  }
  const tableId = table === 0 ? OFPTT_ALL : table - 1;
  const times = { durationS, durationNs, idleTimeoutS, hardTimeoutS: 0 };
  const fr = { match: m.match, cookie, priority, reason, tableId, ...times, ...counts };
  return c.left > 0 ? "OFPBRC_BAD_LEN" : fr;
}

export function formatFlowRemoved(fr: FlowRemoved, names: NameMaps): string {
  const table =
    fr.tableId === OFPTT_ALL ? "" : ` table_id=${formatTable(fr.tableId, names.tables)}`;
  const cookie = fr.cookie === 0n ? "" : ` cookie:${hex(fr.cookie)}`;
  const hard = fr.hardTimeoutS === 0 ? "" : ` hard${fr.hardTimeoutS}`;
  return (
    ` ${formatShownMatch(fr.match, names, fr.priority)} ` +
    `reason=${formatRemovedReason(fr.reason)}${table}${cookie} ` +
    `duration${formatDuration(fr.durationS, fr.durationNs)} idle${fr.idleTimeoutS}${hard} ` +
    `pkts${fr.packetCount} bytes${fr.byteCount}\n`
  );
}
