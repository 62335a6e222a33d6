// PacketBuf: one packet's bytes with room in front, the places of its headers, and its metadata.
//
// The packet is bytes[start, end). Header offsets count from `start`, so that pushing or popping a
// header shifts them (ovs: lib/dp-packet.h, whose names the methods keep). NO_OFS says that a
// header is not there.
//
// Invariants: 0 <= start <= end <= bytes.length; a packet is at most PACKET_BYTES_MAX long.
// Packets are mutable and may be reused; a `PacketBuf` belongs to whoever handles it.

import { assert } from "../lib/errors.ts";

/** A header offset that says "none". */
export const NO_OFS = -1;
/** Default room in front of a packet: VLAN, MPLS and tunnel headers fit. */
export const HEADROOM_BYTES = 128;
/** Room in front that the original makes when it needs some. */
const HEADROOM_MIN_BYTES = 64;
/** Longest packet, as datapaths' 16-bit lengths have it. */
export const PACKET_BYTES_MAX = 65535;
/** Geneve options of one packet: 6 bits of length in units of 4 bytes (RFC 8926 §3.4). */
export const GENEVE_OPTS_BYTES_MAX = 252;
/** Words for a packet's tunnel fields, at least as many as the flow key's tunnel slots. */
export const TUNNEL_MD_WORDS = 24;

/** Packet types: name space in the upper, type in the lower 16 bits (OpenFlow 1.5 §7.2.3.11). */
export const PT = {
  ETH: 0,
  USE_NEXT_PROTO: 0x0000fffe,
  IPV4: 0x00010800,
  IPV6: 0x000186dd,
  MPLS: 0x00018847,
  MPLS_MC: 0x00018848,
  NSH: 0x0001894f,
  UNKNOWN: 0xffffffff,
} as const;
/** The name space of Ethertypes (OFPHTN_ETHERTYPE). */
export const PT_NS_ETHERTYPE = 1;

/** Packet type of an Ethertype. */
export function ptOfEthertype(ethType: number): number {
  return ((PT_NS_ETHERTYPE << 16) | ethType) >>> 0;
}

/** What travels with a packet through the datapath (ovs: struct pkt_metadata). */
export class PacketMetadata {
  recircId = 0;
  dpHash = 0;
  skbPriority = 0;
  pktMark = 0;
  ctState = 0;
  ctZone = 0;
  ctMark = 0;
  /** Most significant word first. */
  readonly ctLabel = new Uint32Array(4);
  /** The original direction's tuple, valid while ctState is not 0. */
  ctOrigIpv6 = false;
  /** Source words 0 to 3, destination 4 to 7; an IPv4 address is in word 0 or 4. */
  readonly ctOrigAddr = new Uint32Array(8);
  ctOrigProto = 0;
  ctOrigTpSrc = 0;
  ctOrigTpDst = 0;
  inPort = 0;
  /** Where a tunnelled packet came in. */
  origInPort = 0;
  /** The connection, cached by conntrack for this packet. */
  conn: object | null = null;
  reply = false;
  icmpRelated = false;
  /** The fields below mean something only if this is true. */
  tunnelled = false;
  /** Values of the flow key's tunnel slots, in their layout. */
  readonly tnl = new Uint32Array(TUNNEL_MD_WORDS);
  /** Geneve options as on the wire. */
  readonly geneve = new Uint8Array(GENEVE_OPTS_BYTES_MAX);
  geneveBytes = 0;

  /** Starts over for a packet received on a port (ovs: pkt_metadata_init). */
  init(port: number): void {
    this.recircId = 0;
    this.dpHash = 0;
    this.skbPriority = 0;
    this.pktMark = 0;
    this.ctState = 0;
    this.ctOrigIpv6 = false;
    this.ctZone = 0;
    this.ctMark = 0;
    const label = this.ctLabel;
    label[0] = 0;
    label[1] = 0;
    label[2] = 0;
    label[3] = 0;
    this.conn = null;
    this.reply = false;
    this.icmpRelated = false;
    this.inPort = port;
    this.origInPort = port;
    this.tunnelled = false;
    this.geneveBytes = 0;
  }

  /** Starts over for a packet about to be decapsulated (ovs: pkt_metadata_init_tnl). */
  initTunnel(): void {
    const origInPort = this.inPort;
    this.init(0);
    this.tnl.fill(0);
    this.origInPort = origInPort;
  }

  copyFrom(o: PacketMetadata): void {
    this.recircId = o.recircId;
    this.dpHash = o.dpHash;
    this.skbPriority = o.skbPriority;
    this.pktMark = o.pktMark;
    this.ctState = o.ctState;
    this.ctZone = o.ctZone;
    this.ctMark = o.ctMark;
    this.ctLabel.set(o.ctLabel);
    this.ctOrigIpv6 = o.ctOrigIpv6;
    this.ctOrigAddr.set(o.ctOrigAddr);
    this.ctOrigProto = o.ctOrigProto;
    this.ctOrigTpSrc = o.ctOrigTpSrc;
    this.ctOrigTpDst = o.ctOrigTpDst;
    this.inPort = o.inPort;
    this.origInPort = o.origInPort;
    this.conn = o.conn;
    this.reply = o.reply;
    this.icmpRelated = o.icmpRelated;
    this.tunnelled = o.tunnelled;
    if (o.tunnelled) {
      this.tnl.set(o.tnl);
      this.geneve.set(o.geneve);
    }
    this.geneveBytes = o.geneveBytes;
  }
}

export class PacketBuf {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** Bytes behind the network layer's own length, which are padding. */
  l2PadBytes = 0;
  /** MPLS label stack. */
  l25Ofs = NO_OFS;
  l3Ofs = NO_OFS;
  l4Ofs = NO_OFS;
  /** Bytes to cut off at the next output. */
  cutBytes = 0;
  packetType: number = PT.ETH;
  /** Size of the buffer that the original would use, which only FTP helpers ask about. */
  roomBytes = 0;
  /** The hash of the receive queue, a signed number, if it has been computed. */
  rssHash = 0;
  rssValid = false;
  readonly md = new PacketMetadata();

  /** An empty packet. */
  constructor(capacity = 2048, headroom = HEADROOM_BYTES) {
    this.bytes = new Uint8Array(headroom + capacity);
    this.start = headroom;
    this.end = headroom;
  }

  /** A packet with a copy of the data. */
  static of(data: Uint8Array, packetType: number = PT.ETH, headroom = HEADROOM_BYTES): PacketBuf {
    const p = new PacketBuf(data.length, headroom);
    p.setData(data);
    p.packetType = packetType;
    return p;
  }

  get size(): number {
    return this.end - this.start;
  }

  /** A view on the packet; anything that moves the packet makes it stale. */
  data(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }

  /** Replaces the packet, forgetting where headers were. The metadata stays. */
  setData(data: Uint8Array): void {
    this.clear();
    const at = this.put(data.length);
    this.bytes.set(data, at);
  }

  /** Empties the packet and gives it back its headroom. */
  clear(headroom = HEADROOM_BYTES): void {
    this.start = Math.min(headroom, this.bytes.length);
    this.end = this.start;
    this.resetOffsets();
    this.cutBytes = 0;
    this.rssValid = false;
  }

  resetOffsets(): void {
    this.l2PadBytes = 0;
    this.l25Ofs = NO_OFS;
    this.l3Ofs = NO_OFS;
    this.l4Ofs = NO_OFS;
  }

  /** Drops `offset` bytes in front and forgets where headers were (dp_packet_reset_packet). */
  resetPacket(offset: number): void {
    this.start += offset;
    this.resetOffsets();
  }

  /** Appends room for `n` bytes of any content and returns its index in `bytes`. */
  put(n: number): number {
    if (this.end + n > this.bytes.length) {
      this.grow(this.start, n);
    }
    const at = this.end;
    this.end += n;
    this.roomBytes = Math.max(this.roomBytes, this.size);
    return at;
  }

  putZeros(n: number): number {
    const at = this.put(n);
    this.bytes.fill(0, at, at + n);
    return at;
  }

  putBytes(b: Uint8Array): number {
    const at = this.put(b.length);
    this.bytes.set(b, at);
    return at;
  }

  /** Makes room for `n` bytes of any content in front and returns the new `start`. */
  push(n: number): number {
    if (n > this.start) {
      this.grow(Math.max(n, HEADROOM_BYTES), 0);
    }
    if (this.size + n > this.roomBytes) {
      this.roomBytes = this.size + Math.max(n, HEADROOM_MIN_BYTES);
    }
    this.start -= n;
    return this.start;
  }

  pushBytes(b: Uint8Array): number {
    const at = this.push(b.length);
    this.bytes.set(b, at);
    return at;
  }

  /** Removes `n` bytes in front. */
  pull(n: number): void {
    assert(n <= this.size, "pull beyond the end");
    this.start += n;
  }

  /** Moves the packet into a bigger buffer. */
  private grow(headroom: number, tailroom: number): void {
    const size = this.size;
    const bigger = new Uint8Array(headroom + size + Math.max(tailroom, 64));
    bigger.set(this.bytes.subarray(this.start, this.end), headroom);
    this.bytes = bigger;
    this.start = headroom;
    this.end = headroom + size;
  }

  /** Grows (or shrinks) the packet in front; the network and transport layers move along. */
  resizeL25(increment: number): void {
    if (increment >= 0) {
      this.push(increment);
    } else {
      this.pull(-increment);
    }
    if (this.l3Ofs !== NO_OFS) {
      this.l3Ofs += increment;
    }
    if (this.l4Ofs !== NO_OFS) {
      this.l4Ofs += increment;
    }
  }

  /** Like resizeL25(); the MPLS label stack moves along too. */
  resizeL2(increment: number): void {
    this.resizeL25(increment);
    if (this.l25Ofs !== NO_OFS) {
      this.l25Ofs += increment;
    }
  }

  isEth(): boolean {
    return this.packetType === PT.ETH;
  }

  /** Bytes of the transport layer without padding, 0 if there is none. */
  l4Bytes(): number {
    return this.l4Ofs === NO_OFS ? 0 : this.size - this.l4Ofs - this.l2PadBytes;
  }

  /** Index in `bytes` of the network header. Only while l3Ofs is set. */
  l3(): number {
    return this.start + this.l3Ofs;
  }

  l4(): number {
    return this.start + this.l4Ofs;
  }

  l25(): number {
    return this.start + this.l25Ofs;
  }

  /** Asks for at most `maxBytes` at the next output (dp_packet_set_cutlen). */
  setCut(maxBytes: number): void {
    this.cutBytes = maxBytes >= this.size ? 0 : this.size - maxBytes;
  }

  /** Bytes that an output would send: without what is to be cut. */
  sendBytes(): number {
    return this.size - this.cutBytes;
  }

  /** Cuts off what setCut() asked for. */
  applyCut(): void {
    this.end -= this.cutBytes;
    this.cutBytes = 0;
  }

  clone(headroom = HEADROOM_BYTES): PacketBuf {
    const p = new PacketBuf(this.size, headroom);
    p.copyFrom(this);
    return p;
  }

  /** Becomes a copy of another packet, reusing the buffer if it is big enough. */
  copyFrom(o: PacketBuf): void {
    this.clear();
    const at = this.put(o.size);
    this.bytes.set(o.bytes.subarray(o.start, o.end), at);
    this.roomBytes = this.size;
    this.l2PadBytes = o.l2PadBytes;
    this.l25Ofs = o.l25Ofs;
    this.l3Ofs = o.l3Ofs;
    this.l4Ofs = o.l4Ofs;
    this.cutBytes = o.cutBytes;
    this.packetType = o.packetType;
    this.rssHash = o.rssHash;
    this.rssValid = o.rssValid;
    this.md.copyFrom(o.md);
  }
}
