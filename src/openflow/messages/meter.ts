// Messages about meters: modification, configuration, statistics, features (ovs: lib/ofp-meter.c).

import { Cursor, getU32, type Writer } from "../../lib/bytes.ts";
import { type Decoded, isErr } from "./errors.ts";
import type { Multipart } from "./multipart.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import {
  type MeterBand,
  type MeterBandStats,
  type MeterConfig,
  type MeterFeatures,
  type MeterMod,
  type MeterStats,
  OFPMBT,
  OFPMC,
  OFPMF,
} from "./types-group.ts";

const BAND_BYTES = 16;
const STATS_BYTES = 40;
const BAND_STATS_BYTES = 16;

function putBands(w: Writer, bands: readonly MeterBand[]): void {
  for (const b of bands) {
    w.u16(b.type).u16(BAND_BYTES).u32(b.rate).u32(b.burstSize).u8(b.precLevel).zeros(3);
  }
}

function pullBands(c: Cursor, len: number): Decoded<MeterBand[]> {
  if (len < 0 || len > c.left) {
    return "OFPBRC_BAD_LEN";
  }
  const bands: MeterBand[] = [];
  const sub = c.sub(len);
  while (sub.left >= BAND_BYTES) {
    const type = sub.u16();
    if (sub.u16() !== BAND_BYTES) {
      return "OFPBRC_BAD_LEN";
    }
    if (type !== OFPMBT.DROP && type !== OFPMBT.DSCP_REMARK) {
      return "OFPMMFC_BAD_BAND";
    }
    const [rate, burstSize, prec] = [sub.u32(), sub.u32(), sub.u8()];
    sub.skip(3);
    bands.push({ type, rate, burstSize, precLevel: type === OFPMBT.DSCP_REMARK ? prec : 0 });
  }
  return sub.left > 0 ? "OFPBRC_BAD_LEN" : bands;
}

export function encodeMeterMod(mm: MeterMod, version: number, xid: number): Uint8Array {
  const w = startMsg("OFPT13_METER_MOD", version, xid);
  w.u16(mm.command)
    .u16(mm.command === OFPMC.DELETE ? 0 : mm.meter.flags)
    .u32(mm.meter.meterId);
  putBands(w, mm.meter.bands);
  return finishMsg(w);
}

export function decodeMeterMod(msg: Msg): Decoded<MeterMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const [command, flags, meterId] = [c.u16(), c.u16(), c.u32()];
  if (command > OFPMC.DELETE) {
    return "OFPMMFC_BAD_COMMAND";
  }
  if (command === OFPMC.DELETE) {
    return { command, meter: { meterId, flags: 0, bands: [] } };
  }
  if ((flags & OFPMF.KBPS) !== 0 && (flags & OFPMF.PKTPS) !== 0) {
    return "OFPMMFC_BAD_FLAGS";
  }
  const bands = pullBands(c, c.left);
  return isErr(bands) ? bands : { command, meter: { meterId, flags, bands } };
}

const REQUESTS: Readonly<Record<"features" | "config" | "stats", RawName>> = {
  features: "OFPST13_METER_FEATURES_REQUEST",
  config: "OFPST13_METER_CONFIG_REQUEST",
  stats: "OFPST13_METER_REQUEST",
};

export function encodeMeterRequest(
  kind: keyof typeof REQUESTS,
  meterId: number,
  version: number,
  xid: number,
): Uint8Array {
  const w = startMsg(REQUESTS[kind], version, xid);
  return finishMsg(kind === "features" ? w : w.u32(meterId).zeros(4));
}

/** The meter that a request for statistics or configuration is about. */
export function decodeMeterRequest(msg: Msg): number {
  return getU32(msg.bytes, msg.bodyOfs);
}

export function appendMeterConfig(m: Multipart, mc: MeterConfig): void {
  const w = m.writer;
  const start = w.length;
  w.u16(0).u16(mc.flags).u32(mc.meterId);
  putBands(w, mc.bands);
  w.patchU16(start, w.length - start);
  m.postAppend(start);
}

function leftover(msg: Msg, c: Cursor, what: string): void {
  msg.log?.("WARN", "ofp_meter", `${what} reply has ${c.left} leftover bytes at end`);
}

/** Takes one meter's configuration; null at the end. */
export function pullMeterConfig(c: Cursor, msg: Msg): Decoded<MeterConfig> | null {
  if (c.left === 0) {
    return null;
  }
  if (c.left < 8) {
    leftover(msg, c, "OFPMP_METER_CONFIG");
    return "OFPBRC_BAD_LEN";
  }
  const [length, flags, meterId] = [c.u16(), c.u16(), c.u32()];
  const bands = pullBands(c, length - 8);
  return isErr(bands) ? bands : { meterId, flags, bands };
}

export function appendMeterStats(m: Multipart, ms: MeterStats): void {
  const len = STATS_BYTES + ms.bands.length * BAND_STATS_BYTES;
  const w = m.reserve(len);
  w.u32(ms.meterId).u16(len).zeros(6).u32(ms.flowCount);
  w.u64(ms.packetInCount).u64(ms.byteInCount).u32(ms.durationS).u32(ms.durationNs);
  for (const b of ms.bands) {
    w.u64(b.packetCount).u64(b.byteCount);
  }
}

/** Takes one meter's statistics; null at the end. */
export function pullMeterStats(c: Cursor, msg: Msg): Decoded<MeterStats> | null {
  if (c.left === 0) {
    return null;
  }
  if (c.left < STATS_BYTES) {
    leftover(msg, c, "OFPMP_METER");
    return "OFPBRC_BAD_LEN";
  }
  const [meterId, len] = [c.u32(), c.u16()];
  c.skip(6);
  const flowCount = c.u32();
  const [packetInCount, byteInCount] = [c.u64(), c.u64()];
  const [durationS, durationNs] = [c.u32(), c.u32()];
  const rest = len - STATS_BYTES;
  if (rest < 0 || rest > c.left || rest % BAND_STATS_BYTES !== 0) {
    return "OFPBRC_BAD_LEN";
  }
  const bands: MeterBandStats[] = [];
  for (const sub = c.sub(rest); sub.left > 0; ) {
    bands.push({ packetCount: sub.u64(), byteCount: sub.u64() });
  }
  const counts = { packetInCount, byteInCount, durationS, durationNs };
  return { meterId, flowCount, ...counts, bands };
}

export function encodeMeterFeaturesReply(request: Msg, f: MeterFeatures): Uint8Array {
  const w = startMsg("OFPST13_METER_FEATURES_REPLY", request.version, request.xid);
  w.u32(f.maxMeters).u32(f.bandTypes).u32(f.capabilities);
  return finishMsg(w.u8(f.maxBands).u8(f.maxColor).zeros(2));
}

export function decodeMeterFeatures(msg: Msg): MeterFeatures {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  return {
    maxMeters: c.u32(),
    bandTypes: c.u32(),
    capabilities: c.u32(),
    maxBands: c.u8(),
    maxColor: c.u8(),
  };
}
