// Devices behind datapath ports, behind one small interface.
//
// A device takes packets that the datapath sends and gives those that it has received. Wrappers
// record what passes, or lose some of it (faulty-netdev.ts), so that tests can watch and break any
// device; captures are devices too (io/pcap-netdev.ts).

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

/** Packets of each direction that a recording keeps if nothing else is said. */
export const RECORDED_PACKETS_MAX = 65536;

/** Passes everything on and remembers what passed, up to a limit. */
export class RecordingNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly stats: NetdevStats;
  readonly inner: Netdev;
  readonly sent: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  /** Packets that were not remembered. */
  beyond = 0;
  private readonly limit: number;

  constructor(inner: Netdev, limit = RECORDED_PACKETS_MAX) {
    ({ name: this.name, type: this.type, stats: this.stats } = inner);
    this.inner = inner;
    this.limit = limit;
  }

  private record(list: Uint8Array[], p: PacketBuf): void {
    if (list.length < this.limit) {
      list.push(p.data().slice());
    } else {
      this.beyond++;
    }
  }

  send(p: PacketBuf): SendError | null {
    this.record(this.sent, p);
    return this.inner.send(p);
  }

  receive(): PacketBuf | null {
    const p = this.inner.receive();
    if (p !== null) {
      this.record(this.received, p);
    }
    return p;
  }

  get waiting(): number {
    return this.inner.waiting;
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
