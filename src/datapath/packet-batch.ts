// A batch: packets that go through the same actions together.
//
// Each action is applied to all packets of a batch before the next one, which decides the order in
// which a port sees them. Conntrack may take packets out (fragments that wait) or put more in.

import type { PacketBuf } from "../packet/packet.ts";

/** Packets that a port hands over at a time (ovs: NETDEV_MAX_BURST). */
export const BATCH_PACKETS_MAX = 32;

export class PacketBatch {
  readonly packets: PacketBuf[] = [];
  /** A trunc action was met since the last output. */
  trunc = false;

  static of(packet: PacketBuf): PacketBatch {
    const b = new PacketBatch();
    b.packets.push(packet);
    return b;
  }

  get isEmpty(): boolean {
    return this.packets.length === 0;
  }

  /** Makes it as new; the array keeps its memory, which `length = 0` would give back. */
  empty(): void {
    while (this.packets.length > 0) {
      this.packets.pop();
    }
    this.trunc = false;
  }

  clone(): PacketBatch {
    const b = new PacketBatch();
    for (const p of this.packets) {
      b.packets.push(p.clone());
    }
    b.trunc = this.trunc;
    return b;
  }

  /** Cuts off what trunc asked for. */
  applyCut(): void {
    if (this.trunc) {
      for (const p of this.packets) {
        p.applyCut();
      }
      this.trunc = false;
    }
  }

  /** Forgets what trunc asked for. */
  resetCut(): void {
    if (this.trunc) {
      for (const p of this.packets) {
        p.cutBytes = 0;
      }
      this.trunc = false;
    }
  }

  /** Keeps the packets for which the test is true; returns how many went. */
  filter(keep: (p: PacketBuf) => boolean): number {
    let n = 0;
    for (const p of this.packets) {
      if (keep(p)) {
        this.packets[n++] = p;
      }
    }
    const gone = this.packets.length - n;
    if (gone > 0) {
      this.packets.length = n;
    }
    return gone;
  }
}
