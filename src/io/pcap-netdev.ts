// Captures as devices: what a capture holds is received, what is sent goes into a capture.
//
// A device has either or both. Several devices can write into one pcapng file, each as an interface.
// Put behind a port (`DummyNetdev.cable`), a capture takes the place of a wire.

import { newNetdevStats, type Netdev } from "../datapath/port.ts";
import { PacketBuf } from "../packet/packet.ts";
import { LINKTYPE } from "../packet/pcap-format.ts";
import type { PcapngWriter, PcapReader, PcapWriter } from "./pcap-file.ts";

/** Takes packets with their times. */
export interface PacketSink {
  write(p: PacketBuf, sec: number, nsec: number): void;
}

/** The bytes of a packet as a range, without an object for each. */
class Range {
  bytes: Uint8Array = new Uint8Array(0);
  from = 0;
  to = 0;

  of(p: PacketBuf): Range {
    this.bytes = p.bytes;
    this.from = p.start;
    this.to = p.end;
    return this;
  }
}

/** A capture of one port. */
export function pcapSink(writer: PcapWriter): PacketSink {
  const range = new Range();
  return { write: (p, sec, nsec) => writer.writeRange(range.of(p), sec, nsec) };
}

/** One more interface of a capture with many. */
export function pcapngSink(writer: PcapngWriter, name: string): PacketSink {
  const range = new Range();
  const iface = writer.addInterface(name);
  return { write: (p, sec, nsec) => writer.writeRange(iface, range.of(p), sec, nsec) };
}

/** Time of day as captures have it. */
export interface CaptureTime {
  readonly sec: number;
  readonly nsec: number;
}

export class PcapNetdev implements Netdev {
  readonly name: string;
  readonly type = "pcap";
  readonly stats = newNetdevStats();
  /** Time of the packet that was received last. */
  receivedAt: CaptureTime = { sec: 0, nsec: 0 };
  /** Packets of the capture that are not Ethernet. */
  passedOver = 0;
  private readonly reader: PcapReader | null;
  private readonly sink: PacketSink | null;
  private readonly now: () => CaptureTime;
  private head: PacketBuf | null = null;
  private headAt: CaptureTime = this.receivedAt;

  /** Without a reader nothing is received, without a sink what is sent is only counted. */
  constructor(
    name: string,
    ends: {
      readonly reader?: PcapReader;
      readonly sink?: PacketSink;
      /** The time that sent packets get; that of the last received one if it is not given. */
      readonly now?: () => CaptureTime;
    },
  ) {
    this.name = name;
    this.reader = ends.reader ?? null;
    this.sink = ends.sink ?? null;
    this.now = ends.now ?? (() => this.receivedAt);
    this.readHead();
  }

  private readHead(): void {
    this.head = null;
    for (let r = this.reader?.next() ?? null; r !== null; r = this.reader?.next() ?? null) {
      if (r.linkType === LINKTYPE.ETHERNET) {
        this.head = PacketBuf.of(r.data);
        this.headAt = { sec: r.sec, nsec: r.nsec };
        return;
      }
      this.passedOver++;
    }
  }

  /** Whether there is another packet; how many there are only the end of the file tells. */
  get waiting(): number {
    return this.head === null ? 0 : 1;
  }

  receive(): PacketBuf | null {
    const p = this.head;
    if (p === null) {
      return null;
    }
    this.receivedAt = this.headAt;
    this.stats.rxPackets++;
    this.stats.rxBytes += p.size;
    this.readHead();
    return p;
  }

  send(p: PacketBuf): null {
    this.stats.txPackets++;
    this.stats.txBytes += p.size;
    const { sec, nsec } = this.now();
    this.sink?.write(p, sec, nsec);
    return null;
  }
}
