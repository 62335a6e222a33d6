// Damage for frames of a sequence: cut, padded, bytes changed. About one frame in ten has some.

import type { Draw } from "./draw.ts";

/** A hex packet of fewer bytes than an Ethernet header is not taken by netdev-dummy/receive. */
const FRAME_BYTES_MIN = 14;

export function perhapsDamaged(d: Draw, bytes: Uint8Array, percent = 10): Uint8Array {
  if (!d.chance(percent)) {
    return bytes;
  }
  return d.one([
    [3, () => bytes.slice(0, d.range(FRAME_BYTES_MIN, bytes.length))],
    [2, () => Uint8Array.from([...bytes, ...d.many(1, 30, () => 0)])],
    [
      4,
      () => {
        const out = bytes.slice();
        for (let i = d.range(1, 2); i > 0; i--) {
          // Bytes of headers behind the addresses are the telling ones.
          out[d.range(12, Math.min(out.length - 1, 90))] = d.int(255);
        }
        return out;
      },
    ],
  ]);
}
