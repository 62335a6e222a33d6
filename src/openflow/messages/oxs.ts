// OXS statistics: counters of a flow as a list of type-length-value entries, OpenFlow 1.5's way.
//
// An entry's header has a class, a field number and the length of its value; an experimenter's
// header is twice as long. Unknown entries are skipped (ovs: lib/ox-stat.c).

import { type Cursor, Cursor as ByteCursor, type Writer } from "../../lib/bytes.ts";
import type { Decoded } from "./errors.ts";
import { U32_MAX, U64_MAX } from "./types-flow.ts";

export interface OxsStats {
  durationS: number;
  durationNs: number;
  /** U32_MAX if unknown. */
  idleAgeS: number;
  packetCount: bigint;
  byteCount: bigint;
  flowCount: number;
}

export const NO_STATS: OxsStats = {
  durationS: U32_MAX,
  durationNs: U32_MAX,
  idleAgeS: U32_MAX,
  packetCount: U64_MAX,
  byteCount: U64_MAX,
  flowCount: U32_MAX,
};

const CLASS = 0x8002;
const EXPERIMENTER_CLASS = 0xffff;
const FIELD = { DURATION: 0, IDLE_TIME: 1, FLOW_COUNT: 3, PACKET_COUNT: 4, BYTE_COUNT: 5 } as const;

function header(field: number, length: number): number {
  return ((CLASS << 16) | (field << 9) | length) >>> 0;
}

export function putOxsStats(w: Writer, s: OxsStats): void {
  const start = w.length;
  w.zeros(4);
  if (s.durationS !== U32_MAX) {
    w.u32(header(FIELD.DURATION, 8)).u32(s.durationS).u32(s.durationNs);
  }
  if (s.idleAgeS !== U32_MAX) {
    w.u32(header(FIELD.IDLE_TIME, 8)).u32(s.idleAgeS).u32(0);
  }
  if (s.packetCount !== U64_MAX) {
    w.u32(header(FIELD.PACKET_COUNT, 8)).u64(s.packetCount);
  }
  if (s.byteCount !== U64_MAX) {
    w.u32(header(FIELD.BYTE_COUNT, 8)).u64(s.byteCount);
  }
  if (s.flowCount !== U32_MAX) {
    w.u32(header(FIELD.FLOW_COUNT, 4)).u32(s.flowCount);
  }
  w.patchU16(start + 2, w.length - start);
  w.pad(8, start);
}

/** The statistics, and how many bytes they took. */
export function pullOxsStats(c: Cursor): Decoded<{ stats: OxsStats; bytes: number }> {
  if (c.left < 4) {
    return "OFPBMC_BAD_LEN";
  }
  const start = c.pos;
  c.skip(2);
  const length = c.u16();
  c.pos = start;
  const bytes = Math.ceil(length / 8) * 8;
  if (length < 4 || !c.skip(bytes)) {
    return "OFPBMC_BAD_LEN";
  }
  const stats = { ...NO_STATS };
  const sub = new ByteCursor(c.bytes, start + 4, start + length);
  while (sub.left > 0) {
    if (!pullEntry(sub, stats)) {
      return "OFPBMC_BAD_LEN";
    }
  }
  return { stats, bytes };
}

function pullEntry(c: Cursor, s: OxsStats): boolean {
  const h = c.u32();
  const exp = h >>> 16 === EXPERIMENTER_CLASS;
  // An experimenter's length counts its id, which belongs to the header.
  const length = (h & 0xff) - (exp ? 4 : 0);
  c.skip(exp ? 4 : 0);
  if (c.failed || length < 0 || length > c.left) {
    return false;
  }
  const value = c.sub(length);
  switch (h) {
    case header(FIELD.DURATION, 8):
      s.durationS = value.u32();
      s.durationNs = value.u32();
      break;
    case header(FIELD.IDLE_TIME, 8):
      s.idleAgeS = value.u32();
      break;
    case header(FIELD.PACKET_COUNT, 8):
      s.packetCount = value.u64();
      break;
    case header(FIELD.BYTE_COUNT, 8):
      s.byteCount = value.u64();
      break;
    case header(FIELD.FLOW_COUNT, 4):
      s.flowCount = value.u32();
      break;
    default:
  }
  return true;
}
