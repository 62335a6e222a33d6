// Capture files as bytes, written: headers and records of classic pcap, blocks of pcapng. All is
// little-endian; times of pcapng are nanoseconds.
//
// References: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; ovs: lib/pcap-file.c.

import { encodeUtf8, putU16le, putU32le } from "../lib/bytes.ts";
import {
  LINKTYPE,
  PCAP_HEADER_BYTES,
  PCAP_RECORD_BYTES,
  MAGIC_US,
  MAGIC_NS,
  NG_SHB,
  NG_MAGIC,
  NG_IDB,
  NG_EPB,
  OPT_IF_NAME,
  OPT_IF_TSRESOL,
  NANOS_PER_SEC,
} from "./pcap-format.ts";

/** Header of a classic little-endian file with microseconds, as Open vSwitch writes it. */
export function pcapHeader(snapBytes = 1518, nanos = false): Uint8Array {
  const b = new Uint8Array(PCAP_HEADER_BYTES);
  putU32le(b, 0, nanos ? MAGIC_NS : MAGIC_US);
  putU16le(b, 4, 2);
  putU16le(b, 6, 4);
  putU32le(b, 16, snapBytes);
  putU32le(b, 20, LINKTYPE.ETHERNET);
  return b;
}

/** Header and data of one record for a file begun with pcapHeader(). `subsec` is in its unit. */
export function pcapRecord(data: Uint8Array, sec: number, subsec: number): Uint8Array {
  const b = new Uint8Array(PCAP_RECORD_BYTES + data.length);
  putPcapRecord(new DataView(b.buffer), 0, data.length, sec, subsec);
  b.set(data, PCAP_RECORD_BYTES);
  return b;
}

/** The header of a record of `bytes` bytes, written at a place. */
export function putPcapRecord(
  b: DataView,
  at: number,
  bytes: number,
  sec: number,
  subsec: number,
): void {
  b.setUint32(at, sec, true);
  b.setUint32(at + 4, subsec, true);
  b.setUint32(at + 8, bytes, true);
  b.setUint32(at + 12, bytes, true);
}

function ngBlock(type: number, body: Uint8Array): Uint8Array {
  const bytes = 12 + Math.ceil(body.length / 4) * 4;
  const b = new Uint8Array(bytes);
  putU32le(b, 0, type);
  putU32le(b, 4, bytes);
  b.set(body, 8);
  putU32le(b, bytes - 4, bytes);
  return b;
}

/** Start of a little-endian pcapng section of unknown length. */
export function pcapngSection(): Uint8Array {
  const body = new Uint8Array(16);
  putU32le(body, 0, NG_MAGIC);
  putU16le(body, 4, 1);
  body.fill(0xff, 8);
  return ngBlock(NG_SHB, body);
}

/** Describes the next interface of a section; its packets have nanosecond time stamps. */
export function pcapngInterface(name: string): Uint8Array {
  const text = encodeUtf8(name);
  const padded = Math.ceil(text.length / 4) * 4;
  const body = new Uint8Array(8 + 4 + padded + 8 + 4);
  putU16le(body, 0, LINKTYPE.ETHERNET);
  putU16le(body, 8, OPT_IF_NAME);
  putU16le(body, 10, text.length);
  body.set(text, 12);
  putU16le(body, 12 + padded, OPT_IF_TSRESOL);
  putU16le(body, 14 + padded, 1);
  body[16 + padded] = 9;
  return ngBlock(NG_IDB, body);
}

/** One packet of an interface. */
export function pcapngPacket(
  iface: number,
  data: Uint8Array,
  sec: number,
  nsec: number,
): Uint8Array {
  const b = new Uint8Array(pcapngPacketBytes(data.length));
  putPcapngPacket(b, 0, { iface, bytes: data.length, sec, nsec });
  b.set(data, PCAPNG_DATA_OFS);
  return b;
}

/** Where the data of a packet block begins. */
export const PCAPNG_DATA_OFS = 28;

/** Bytes of the block of a packet. */
export function pcapngPacketBytes(dataBytes: number): number {
  return PCAPNG_DATA_OFS + ((dataBytes + 3) & ~3) + 4;
}

/** The block of a packet without its data, written at a place. */
export function putPcapngPacket(
  b: Uint8Array,
  at: number,
  p: {
    readonly iface: number;
    readonly bytes: number;
    readonly sec: number;
    readonly nsec: number;
  },
): void {
  const total = pcapngPacketBytes(p.bytes);
  putU32le(b, at, NG_EPB);
  putU32le(b, at + 4, total);
  putU32le(b, at + 8, p.iface);
  // Nanoseconds since 1970, 64 bits, from products that a double holds.
  const low = (p.sec & 0xffff) * NANOS_PER_SEC + p.nsec;
  const high = (p.sec >>> 16) * NANOS_PER_SEC;
  const lo = (high % 65536) * 65536 + (low % 2 ** 32);
  const hi = Math.floor(high / 65536) + Math.floor(low / 2 ** 32) + Math.floor(lo / 2 ** 32);
  putU32le(b, at + 12, hi >>> 0);
  putU32le(b, at + 16, lo >>> 0);
  putU32le(b, at + 20, p.bytes);
  putU32le(b, at + 24, p.bytes);
  for (let i = at + PCAPNG_DATA_OFS + p.bytes; i < at + total - 4; i++) {
    b[i] = 0;
  }
  putU32le(b, at + total - 4, total);
}
