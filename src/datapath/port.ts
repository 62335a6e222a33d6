// Devices behind datapath ports, behind one small interface.
//
// A device takes packets that the datapath sends and gives those that it has received. Wrappers
// record what passes or lose some of it, so that tests can watch and break any device.

import type { Rng } from "../lib/env.ts";
import type { PacketBuf } from "../packet/packet.ts";

/** Why a device did not send a packet. */
export type SendError = "not_ethernet" | "bad_size" | "down" | "dropped";

export interface NetdevStats {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

export function newNetdevStats(): NetdevStats {
  return { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };
}

/** A network device. */
export interface Netdev {
  readonly name: string;
  /** As the datapath names it: "dummy", "dummy-internal", "vxlan", … */
  readonly type: string;
  readonly stats: NetdevStats;
  /** Sends a packet, which the device must not keep or change. Null: sent. */
  send(p: PacketBuf): SendError | null;
  /** The next received packet, or null. The caller owns it. */
  receive(): PacketBuf | null;
  /** Packets that wait to be received. */
  readonly waiting: number;
}

/** Passes everything on and remembers what was sent, up to a limit. */
export class RecordingNetdev implements Netdev {
  readonly inner: Netdev;
  readonly sent: Uint8Array[] = [];
  private readonly limit: number;

  constructor(inner: Netdev, limit = 65536) {
    this.inner = inner;
    this.limit = limit;
  }

  get name(): string {
    return this.inner.name;
  }
  get type(): string {
    return this.inner.type;
  }
  get stats(): NetdevStats {
    return this.inner.stats;
  }

  send(p: PacketBuf): SendError | null {
    if (this.sent.length < this.limit) {
      this.sent.push(p.data().slice());
    }
    return this.inner.send(p);
  }

  receive(): PacketBuf | null {
    return this.inner.receive();
  }

  get waiting(): number {
    return this.inner.waiting;
  }
}

/** Loses, cuts or doubles packets now and then. */
export class FaultyNetdev implements Netdev {
  readonly inner: Netdev;
  private readonly rng: Rng;
  /** One in so many packets is hit. */
  private readonly oneIn: number;
  private again: PacketBuf | null = null;

  constructor(inner: Netdev, rng: Rng, oneIn: number) {
    this.inner = inner;
    this.rng = rng;
    this.oneIn = Math.max(1, oneIn);
  }

  get name(): string {
    return this.inner.name;
  }
  get type(): string {
    return this.inner.type;
  }
  get stats(): NetdevStats {
    return this.inner.stats;
  }

  get waiting(): number {
    return this.inner.waiting + (this.again === null ? 0 : 1);
  }

  private hit(): boolean {
    return this.rng.u32() % this.oneIn === 0;
  }

  send(p: PacketBuf): SendError | null {
    return this.hit() ? "dropped" : this.inner.send(p);
  }

  receive(): PacketBuf | null {
    const p = this.again ?? this.inner.receive();
    this.again = null;
    if (p === null || !this.hit()) {
      return p;
    }
    switch (this.rng.u32() % 3) {
      case 0:
        return this.inner.receive();
      case 1:
        p.end = p.start + (this.rng.u32() % (p.size + 1));
        return p;
      default:
        this.again = p.clone();
        return p;
    }
  }
}

/** Two devices of which each receives what the other sends; nothing else is behind them. */
export class PairNetdev implements Netdev {
  readonly name: string;
  readonly type = "pair";
  readonly stats = newNetdevStats();
  private peer: PairNetdev | null = null;
  private readonly queue: PacketBuf[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get waiting(): number {
    return this.queue.length;
  }

  /** Connects two devices. */
  static connect(a: PairNetdev, b: PairNetdev): void {
    a.peer = b;
    b.peer = a;
  }

  send(p: PacketBuf): SendError | null {
    if (this.peer === null) {
      return "down";
    }
    if (this.peer.queue.length >= NETDEV_QUEUE_MAX) {
      return "dropped";
    }
    this.stats.txPackets++;
    this.stats.txBytes += p.size;
    const copy = p.clone();
    copy.md.init(0);
    this.peer.queue.push(copy);
    return null;
  }

  receive(): PacketBuf | null {
    const p = this.queue.shift() ?? null;
    if (p !== null) {
      this.stats.rxPackets++;
      this.stats.rxBytes += p.size;
    }
    return p;
  }
}

/** Packets that wait in a device to be received (ovs: NETDEV_DUMMY_MAX_QUEUE). */
export const NETDEV_QUEUE_MAX = 100;
