// Meters of OpenFlow as meters of a datapath: which the datapath takes, their numbers, what they count.
//
// ovs: ofproto/ofproto-dpif.c meter_set, meter_get, meter_del; lib/dpif.c dpif_meter_set,
// lib/dpif-netdev.c dpif_netdev_meter_set.

import { METER_BANDS_MAX, METERS_MAX } from "../datapath/meter.ts";
import type { Vlog } from "../lib/vlog.ts";
import type { OfpErr } from "../openflow/messages/errors.ts";
import type { MeterConfig, MeterFeatures } from "../openflow/messages/types-group.ts";
import type { ProviderMeterStats } from "../openflow/ofproto-provider.ts";
import type { DatapathPair } from "./packets.ts";

/** OFPMBT13_DROP, and the flags that meters may have (all four of OpenFlow 1.3). */
const BAND_DROP = 1;
const METER_FLAGS = 0x000f;
const METER_KBPS = 0x0001;
const METER_PKTPS = 0x0002;

const DPIF_ERROR_LIMIT = { name: "dpif_error", rate: 60, burst: 5 } as const;

export const METER_FEATURES: MeterFeatures = {
  maxMeters: METERS_MAX,
  bandTypes: 1 << BAND_DROP,
  capabilities: METER_FLAGS,
  maxBands: METER_BANDS_MAX,
  maxColor: 0,
};

/** Sets a meter, a new one for the number -1; answers its number, or why it is refused. */
export function setMeter(
  { backer, dp, meterIds }: DatapathPair,
  meterId: number,
  config: MeterConfig,
  log: Vlog,
): number | OfpErr {
  const id = meterId === -1 ? takeMeterId(meterIds) : meterId;
  if (id < 0) {
    return "OFPMMFC_OUT_OF_METERS";
  }
  const error = meterError(config);
  if (error !== null) {
    if (error === "OFPMMFC_BAD_BAND") {
      const text = `${backer.type}@${backer.name}: failed to set DPIF meter ${id}: No such device`;
      log.logRl("dpif", "warn", DPIF_ERROR_LIMIT, text);
    }
    return error;
  }
  dp.setMeter(id, {
    inPackets: (config.flags & METER_PKTPS) !== 0,
    bands: config.bands.map((b) => ({ rate: b.rate, burst: b.burstSize })),
  });
  return id;
}

/** What a meter and the first of its bands have counted; null if there is none of that number. */
export function meterStats(
  { dp }: DatapathPair,
  meterId: number,
  nBands: number,
): ProviderMeterStats | null {
  const meter = dp.meters.get(meterId);
  if (meter === undefined) {
    return null;
  }
  return {
    packetInCount: BigInt(meter.packets),
    byteInCount: BigInt(meter.bytes),
    bands: meter.bands.slice(0, nBands).map((b) => ({
      packetCount: BigInt(b.packets),
      byteCount: BigInt(b.bytes),
    })),
  };
}

export function deleteMeter({ dp, meterIds }: DatapathPair, meterId: number): void {
  dp.meters.delete(meterId);
  meterIds.delete(meterId);
}

/** What a datapath does not take, in the order in which it looks (ovs: dpif_meter_set). */
function meterError({ flags, bands }: MeterConfig): OfpErr | null {
  const units = flags & (METER_KBPS | METER_PKTPS);
  if (units === 0 || units === (METER_KBPS | METER_PKTPS)) {
    return "OFPMMFC_BAD_FLAGS";
  }
  if (bands.length === 0) {
    return "OFPMMFC_OUT_OF_BANDS";
  }
  if (bands.some((b) => b.rate === 0)) {
    return "OFPMMFC_BAD_RATE";
  }
  if ((flags & ~METER_FLAGS) !== 0) {
    return "OFPMMFC_BAD_FLAGS";
  }
  if (bands.length > METER_BANDS_MAX) {
    return "OFPMMFC_OUT_OF_BANDS";
  }
  return bands.some((b) => b.type !== BAND_DROP) ? "OFPMMFC_BAD_BAND" : null;
}

/** Takes the lowest free number, or answers -1 (ovs: id_pool_alloc_id). */
function takeMeterId(taken: Set<number>): number {
  for (let id = 0; id < METERS_MAX; id++) {
    if (!taken.has(id)) {
      taken.add(id);
      return id;
    }
  }
  return -1;
}
