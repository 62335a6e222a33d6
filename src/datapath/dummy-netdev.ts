// The dummy device: packets come in by command, what it sends is counted and captured.
//
// It answers ARP requests for its own address, as Open vSwitch's does, and has a MAC from a
// counter that starts at aa:55:aa:55:00:00. ovs: lib/netdev-dummy.c.

import { getU16 } from "../lib/bytes.ts";
import type { Clock } from "../lib/env.ts";
import { ARP, ARP_OP, composeArp, ETH, ETH_TYPE } from "../packet/ethernet.ts";
import { getU32 } from "../lib/bytes.ts";
import { PacketBuf } from "../packet/packet.ts";
import { pcapHeader, pcapRecord } from "../packet/pcap-write.ts";
import { VLAN } from "../packet/vlan.ts";
import { NETDEV_QUEUE_MAX, type Netdev, newNetdevStats, type SendError } from "./port.ts";

/** The first MAC of the counter, its lower 32 bits; the upper are 0xaa55. */
const FIRST_MAC_LO = 0xaa550000;
export const DUMMY_MAC_HI = 0xaa55;

/** Hands out MACs, one counter per switch. */
export class DummyMacs {
  private n = FIRST_MAC_LO;

  next(): number {
    const lo = this.n;
    this.n = (this.n + 1) >>> 0;
    return lo;
  }
}

/** A capture file as a device sees it: something to append to. */
export interface CaptureSink {
  readonly isEmpty: boolean;
  append(bytes: Uint8Array): void;
}

/** A capture in the classic format with the time of day. */
class Capture {
  private readonly sink: CaptureSink;
  private readonly clock: Clock;

  constructor(sink: CaptureSink, clock: Clock) {
    this.sink = sink;
    this.clock = clock;
    if (sink.isEmpty) {
      sink.append(pcapHeader());
    }
  }

  write(data: Uint8Array): void {
    const ms = this.clock.wallMs();
    const sec = Math.floor(ms / 1000);
    this.sink.append(pcapRecord(data, sec, Math.floor((ms - sec * 1000) * 1000)));
  }
}

export interface DummyConfig {
  /** Captures both directions, or either. */
  readonly rx: CaptureSink | null;
  readonly tx: CaptureSink | null;
  readonly ifindex: number | null;
}

export class DummyNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly stats = newNetdevStats();
  /** What is at the other end of the cable: it takes what is sent, and sends what is received. */
  cable: Netdev | null = null;
  /** Devices of the same switch that receive what this one sends. */
  peers: readonly DummyNetdev[] = [];
  macHi = DUMMY_MAC_HI;
  macLo: number;
  mtu = 1500;
  up = true;
  promisc = false;
  ifindex: number | null = null;
  /** IPv4 address and mask, 0 if there is none. */
  ip4 = 0;
  ip4Mask = 0;
  /** IPv6 address and mask, four words each. */
  ip6: Uint32Array | null = null;
  ip6Mask: Uint32Array | null = null;
  private readonly clock: Clock;
  private readonly queue: PacketBuf[] = [];
  private rx: Capture | null = null;
  private tx: Capture | null = null;

  constructor(name: string, type: string, macLo: number, clock: Clock) {
    this.name = name;
    this.type = type;
    this.macLo = macLo;
    this.clock = clock;
  }

  configure(config: DummyConfig): void {
    this.ifindex = config.ifindex;
    this.rx = config.rx === null ? null : new Capture(config.rx, this.clock);
    this.tx = config.tx === null ? null : new Capture(config.tx, this.clock);
  }

  /** Packets that found the queue full; Open vSwitch does not count them. */
  queueFull = 0;

  /** A packet arrives from outside; false if the queue is full. */
  enqueue(p: PacketBuf): boolean {
    this.rx?.write(p.data());
    if (this.queue.length >= NETDEV_QUEUE_MAX) {
      this.queueFull++;
      return false;
    }
    this.queue.push(p);
    return true;
  }

  receive(): PacketBuf | null {
    const p = this.queue.shift() ?? this.fromCable();
    if (p !== null) {
      this.stats.rxPackets++;
      this.stats.rxBytes += p.size;
    }
    return p;
  }

  private fromCable(): PacketBuf | null {
    const p = this.cable?.receive() ?? null;
    if (p !== null) {
      this.rx?.write(p.data());
    }
    return p;
  }

  get waiting(): number {
    return this.queue.length + (this.cable?.waiting ?? 0);
  }

  send(p: PacketBuf): SendError | null {
    if (!p.isEth()) {
      return "not_ethernet";
    }
    const size = p.size;
    if (size < ETH.HEADER_BYTES) {
      return "bad_size";
    }
    const type = getU16(p.bytes, p.start + ETH.TYPE);
    const vlanBytes = type === ETH_TYPE.VLAN_8021Q ? VLAN.HEADER_BYTES : 0;
    if (size > this.mtu + ETH.HEADER_BYTES + vlanBytes) {
      return "bad_size";
    }
    this.stats.txPackets++;
    this.stats.txBytes += size;
    for (const peer of this.peers) {
      peer.enqueue(PacketBuf.of(p.data()));
    }
    if (this.ip4 !== 0 && type === ETH_TYPE.ARP) {
      this.answerArp(p);
    }
    this.tx?.write(p.data());
    this.cable?.send(p);
    return null;
  }

  private answerArp(p: PacketBuf): void {
    const b = p.bytes;
    const arp = p.start + ETH.HEADER_BYTES;
    if (
      p.size < ETH.HEADER_BYTES + ARP.BYTES ||
      getU16(b, arp + ARP.HRD) !== ARP.HRD_ETHERNET ||
      getU16(b, arp + ARP.PRO) !== ETH_TYPE.IP ||
      b[arp + ARP.HLN] !== ETH.ADDR_BYTES ||
      b[arp + ARP.PLN] !== 4 ||
      getU16(b, arp + ARP.OP) !== ARP_OP.REQUEST ||
      getU32(b, arp + ARP.TPA) !== this.ip4
    ) {
      return;
    }
    const reply = new PacketBuf();
    composeArp(
      reply,
      {
        op: ARP_OP.REPLY,
        shaHi: this.macHi,
        shaLo: this.macLo,
        thaHi: getU16(b, p.start + ETH.SRC),
        thaLo: getU32(b, p.start + ETH.SRC + 2),
        spa: this.ip4,
        tpa: getU32(b, arp + ARP.SPA),
      },
      false,
    );
    this.enqueue(reply);
  }
}
