// Meters of the datapath: token buckets of milli-packets or bits.
//
// A packet that exceeds a band is dropped by the exceeded band with the highest rate. The bucket
// fills with the clock, in whole milliseconds. Numbers stay far below 2^53: rates and bursts have
// 32 bits and a bucket holds at most burst * 1000.
// ovs: lib/dpif-netdev.c dp_netdev_run_meter, dpif_netdev_meter_set.

import type { PacketBatch } from "./packet-batch.ts";

/** Meters of one datapath (ovs: MAX_METERS). */
export const METERS_MAX = 1 << 18;
/** Bands of one meter (ovs: MAX_BANDS). */
export const METER_BANDS_MAX = 8;

export interface MeterBandConfig {
  /** Packets or kilobits a second. */
  readonly rate: number;
  /** Packets or kilobits; 0 stands for the rate. */
  readonly burst: number;
}

export interface MeterConfig {
  readonly inPackets: boolean;
  readonly bands: readonly MeterBandConfig[];
}

interface Band {
  readonly rate: number;
  readonly maxTokens: number;
  tokens: number;
  packets: number;
  bytes: number;
}

export class DpMeter {
  readonly inPackets: boolean;
  readonly bands: readonly Band[];
  packets = 0;
  bytes = 0;
  private readonly maxDeltaMs: number;
  private usedMs: number;

  constructor(config: MeterConfig, nowMs: number) {
    this.inPackets = config.inPackets;
    this.usedMs = nowMs;
    this.bands = config.bands.map((b) => {
      const tokens = (b.burst === 0 ? b.rate : b.burst) * 1000;
      return { rate: b.rate, maxTokens: tokens, tokens, packets: 0, bytes: 0 };
    });
    const fill = this.bands.map((b) => (b.rate === 0 ? 0 : Math.floor(b.maxTokens / b.rate)));
    this.maxDeltaMs = Math.max(0, ...fill);
  }

  /** Takes the packets that exceed a band out of the batch; returns how many. */
  run(batch: PacketBatch, nowMs: number): number {
    const n = batch.packets.length;
    const deltaMs = Math.min(Math.max(0, nowMs - this.usedMs), this.maxDeltaMs);
    this.usedMs = nowMs;
    this.packets += n;
    let bytes = 0;
    for (const p of batch.packets) {
      bytes += p.size;
    }
    this.bytes += bytes;
    const volume = this.inPackets ? n * 1000 : bytes * 8;
    const exceeded: (Band | null)[] = new Array(n).fill(null);
    let any = false;
    for (const band of this.bands) {
      band.tokens = Math.min(band.tokens + deltaMs * band.rate, band.maxTokens);
      if (band.tokens >= volume) {
        band.tokens -= volume;
      } else {
        any = true;
        this.exceed(band, batch, exceeded);
      }
    }
    return any ? drop(batch, exceeded) : 0;
  }

  /** The bucket has not enough for all: goes packet by packet. */
  private exceed(band: Band, batch: PacketBatch, exceeded: (Band | null)[]): void {
    const first = this.inPackets ? Math.floor(band.tokens / 1000) : 0;
    if (this.inPackets) {
      band.tokens %= 1000;
    }
    batch.packets.forEach((p, i) => {
      if (this.inPackets) {
        if (i < first) {
          return;
        }
      } else if (band.tokens >= p.size * 8) {
        band.tokens -= p.size * 8;
        return;
      }
      const before = exceeded[i] ?? null;
      if (before === null || band.rate > before.rate) {
        exceeded[i] = band;
      }
    });
  }
}

function drop(batch: PacketBatch, exceeded: readonly (Band | null)[]): number {
  let i = 0;
  return batch.filter((p) => {
    const band = exceeded[i++] ?? null;
    if (band !== null) {
      band.packets++;
      band.bytes += p.size;
    }
    return band === null;
  });
}
