// The capture file formats as bytes: classic pcap (microseconds and nanoseconds, both byte orders)
// and pcapng. No files here: src/io/pcap-file.ts streams them.
//
// A PcapDecoder is fed chunks of any size and hands out records; it keeps at most one block. A cut
// or wrong file ends with an error that says at which byte.
// References: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; ovs: lib/pcap-file.c.

import { decodeUtf8, encodeUtf8, getU16, getU32, putU16le, putU32le } from "../lib/bytes.ts";
import type { ParseError } from "../lib/errors.ts";

/** Longest packet that a record may hold (libpcap's MAXIMUM_SNAPLEN). */
export const PCAP_PACKET_BYTES_MAX = 262144;
/** Longest pcapng block. */
export const PCAPNG_BLOCK_BYTES_MAX = 16 * 1024 * 1024;
/** Most interfaces of one pcapng section. */
export const PCAPNG_INTERFACES_MAX = 65536;

export const LINKTYPE = { ETHERNET: 1, RAW: 101, LINUX_SLL: 113, IPV4: 228, IPV6: 229 } as const;

export const PCAP_HEADER_BYTES = 24;
export const PCAP_RECORD_BYTES = 16;
const MAGIC_US = 0xa1b2c3d4;
const MAGIC_NS = 0xa1b23c4d;
const NG_SHB = 0x0a0d0d0a;
const NG_MAGIC = 0x1a2b3c4d;
const NG_IDB = 1;
const NG_OPB = 2;
const NG_SPB = 3;
const NG_EPB = 6;
const OPT_IF_NAME = 2;
const OPT_IF_TSRESOL = 9;
const OPT_IF_TSOFFSET = 14;

/** One packet of a capture. The object and its data are reused for the next record. */
export interface PcapRecord {
  /** Seconds since 1970 and nanoseconds within the second. */
  sec: number;
  nsec: number;
  /** A view on the captured bytes, valid until the decoder is called again. */
  data: Uint8Array;
  /** Length on the wire, which may be more than was captured. */
  origBytes: number;
  linkType: number;
  /** Number of the interface within a pcapng section, 0 for classic files. */
  iface: number;
}

interface NgInterface {
  readonly linkType: number;
  readonly name: string;
  readonly snapBytes: number;
  /** Time stamps count units of 1/unitsPerSec; exact for powers of 10 and 2. */
  readonly unitsPerSec: bigint;
  readonly offsetSec: number;
}

type Format = "unknown" | "classic" | "ng" | "failed";

export class PcapDecoder {
  /** What is wrong, once next() has given "error". */
  error: ParseError | null = null;
  readonly record: PcapRecord = {
    sec: 0,
    nsec: 0,
    data: new Uint8Array(0),
    origBytes: 0,
    linkType: LINKTYPE.ETHERNET,
    iface: 0,
  };
  private buf = new Uint8Array(65536);
  private at = 0;
  private end = 0;
  /** Bytes of the file before `buf[0]`. */
  private base = 0;
  private format: Format = "unknown";
  private little = false;
  private nanos = false;
  private linkType = 0;
  private interfaces: NgInterface[] = [];

  /** Adds bytes of the file. Call only after next() has given "more". */
  push(chunk: Uint8Array): void {
    const left = this.end - this.at;
    if (left + chunk.length > this.buf.length) {
      const bigger = new Uint8Array(Math.max(left + chunk.length, 2 * this.buf.length));
      bigger.set(this.buf.subarray(this.at, this.end));
      this.buf = bigger;
    } else {
      this.buf.copyWithin(0, this.at, this.end);
    }
    this.base += this.at;
    this.at = 0;
    this.buf.set(chunk, left);
    this.end = left + chunk.length;
  }

  /** The next record into `record`; "more" asks for push(), or for finish() at the file's end. */
  next(): "record" | "more" | "error" {
    for (;;) {
      if (this.format === "failed") {
        return "error";
      }
      const r = this.format === "unknown" ? this.readMagic() : this.readNext();
      if (r !== "again") {
        return r;
      }
    }
  }

  /** At the end of the file: true if it ended between records. */
  finish(): boolean {
    if (this.format === "failed") {
      return false;
    }
    if (this.format === "unknown") {
      const what = this.end === this.at ? "the capture is empty" : "the capture ends in its header";
      this.fail(what);
      return false;
    }
    if (this.end > this.at) {
      this.fail("the capture ends in the middle of a record");
      return false;
    }
    return true;
  }

  /** Name of a pcapng interface, if the file gives one. */
  interfaceName(iface: number): string {
    return this.interfaces[iface]?.name ?? "";
  }

  private fail(message: string): "error" {
    const offset = this.base + this.at;
    this.error = { message: `${message} (at byte ${offset})`, text: "", offset };
    this.format = "failed";
    return "error";
  }

  private has(n: number): boolean {
    return this.end - this.at >= n;
  }

  private u32(ofs: number): number {
    const b = this.buf;
    const o = this.at + ofs;
    return this.little ? swap32(getU32(b, o)) : getU32(b, o);
  }

  private u16(ofs: number): number {
    const v = getU16(this.buf, this.at + ofs);
    return this.little ? ((v & 0xff) << 8) | (v >>> 8) : v;
  }

  private readNext(): "record" | "more" | "error" | "again" {
    return this.format === "ng" ? this.readBlock() : this.readRecord();
  }

  private readMagic(): "more" | "error" | "again" {
    if (!this.has(4)) {
      return "more";
    }
    const magic = getU32(this.buf, this.at);
    if (magic === NG_SHB) {
      this.format = "ng";
      return "again";
    }
    const swapped = swap32(magic);
    this.little = swapped === MAGIC_US || swapped === MAGIC_NS;
    const m = this.little ? swapped : magic;
    if (m !== MAGIC_US && m !== MAGIC_NS) {
      return this.fail(
        `bad magic 0x${magic.toString(16).padStart(8, "0")}: no pcap or pcapng file`,
      );
    }
    if (!this.has(PCAP_HEADER_BYTES)) {
      return "more";
    }
    this.nanos = m === MAGIC_NS;
    // The upper bits say how a frame check sequence is kept.
    this.linkType = this.u32(20) & 0xffff;
    this.format = "classic";
    this.at += PCAP_HEADER_BYTES;
    return "again";
  }

  private readRecord(): "record" | "more" | "error" {
    if (!this.has(PCAP_RECORD_BYTES)) {
      return "more";
    }
    const bytes = this.u32(8);
    if (bytes > PCAP_PACKET_BYTES_MAX) {
      return this.fail(`bad packet length ${bytes} (more than ${PCAP_PACKET_BYTES_MAX})`);
    }
    if (!this.has(PCAP_RECORD_BYTES + bytes)) {
      return "more";
    }
    const r = this.record;
    const sub = this.u32(4);
    r.sec = this.u32(0);
    r.nsec = this.nanos ? sub : sub * 1000;
    r.origBytes = this.u32(12);
    r.linkType = this.linkType;
    r.iface = 0;
    const from = this.at + PCAP_RECORD_BYTES;
    r.data = this.buf.subarray(from, from + bytes);
    this.at = from + bytes;
    return "record";
  }

  private readBlock(): "record" | "more" | "error" | "again" {
    if (!this.has(12)) {
      return "more";
    }
    if (getU32(this.buf, this.at) === NG_SHB) {
      const magic = getU32(this.buf, this.at + 8);
      if (magic !== NG_MAGIC && swap32(magic) !== NG_MAGIC) {
        return this.fail("bad byte order magic in a section header");
      }
      this.little = magic !== NG_MAGIC;
    }
    const type = this.u32(0);
    const bytes = this.u32(4);
    if (bytes < 12 || bytes % 4 !== 0 || bytes > PCAPNG_BLOCK_BYTES_MAX) {
      return this.fail(`bad block length ${bytes}`);
    }
    if (!this.has(bytes)) {
      return "more";
    }
    if (this.u32(bytes - 4) !== bytes) {
      return this.fail("the two lengths of a block differ");
    }
    const r = this.readBlockBody(type, bytes);
    if (r !== "error") {
      this.at += bytes;
    }
    return r;
  }

  private readBlockBody(type: number, bytes: number): "record" | "error" | "again" {
    switch (type) {
      case NG_SHB:
        this.interfaces = [];
        return "again";
      case NG_IDB:
        return this.readInterface(bytes);
      case NG_EPB:
        return bytes < 32
          ? this.fail("a packet block is too short")
          : this.packet({ iface: this.u32(8), dataOfs: 28, captured: this.u32(20), bytes });
      case NG_OPB:
        return bytes < 32
          ? this.fail("a packet block is too short")
          : this.packet({ iface: this.u16(8), dataOfs: 28, captured: this.u32(20), bytes });
      case NG_SPB: {
        const snap = this.interfaces[0]?.snapBytes ?? 0;
        const orig = bytes < 16 ? 0 : this.u32(8);
        const captured = Math.min(orig, snap === 0 ? orig : snap);
        return this.packet({ iface: 0, dataOfs: 12, captured, bytes });
      }
      default:
        return "again";
    }
  }

  private packet(p: {
    readonly iface: number;
    readonly dataOfs: number;
    readonly captured: number;
    readonly bytes: number;
  }): "record" | "error" {
    const desc = this.interfaces[p.iface];
    if (desc === undefined) {
      return this.fail(`a packet of interface ${p.iface}, which is not described`);
    }
    if (p.captured > p.bytes - p.dataOfs - 4 || p.captured > PCAP_PACKET_BYTES_MAX) {
      return this.fail(`bad packet length ${p.captured}`);
    }
    const r = this.record;
    const simple = p.dataOfs === 12;
    r.sec = 0;
    r.nsec = 0;
    if (!simple) {
      const units = (BigInt(this.u32(12)) << 32n) | BigInt(this.u32(16));
      r.sec = Number(units / desc.unitsPerSec) + desc.offsetSec;
      r.nsec = Number(((units % desc.unitsPerSec) * 1000000000n) / desc.unitsPerSec);
    }
    r.origBytes = simple ? this.u32(8) : this.u32(24);
    r.linkType = desc.linkType;
    r.iface = p.iface;
    const from = this.at + p.dataOfs;
    r.data = this.buf.subarray(from, from + p.captured);
    return "record";
  }

  private readInterface(bytes: number): "error" | "again" {
    if (bytes < 20) {
      return this.fail("an interface block is too short");
    }
    if (this.interfaces.length >= PCAPNG_INTERFACES_MAX) {
      return this.fail(`more than ${PCAPNG_INTERFACES_MAX} interfaces`);
    }
    let name = "";
    let unitsPerSec = 1000000n;
    let offsetSec = 0;
    let o = 16;
    while (o + 4 <= bytes - 4) {
      const code = this.u16(o);
      const len = this.u16(o + 2);
      if (code === 0 || o + 4 + len > bytes - 4) {
        break;
      }
      const at = this.at + o + 4;
      if (code === OPT_IF_NAME) {
        name = decodeUtf8(this.buf, at, at + len);
      } else if (code === OPT_IF_TSRESOL && len >= 1) {
        const v = this.buf[at] as number;
        const exp = BigInt(v & 0x7f);
        unitsPerSec = (v & 0x80) !== 0 ? 2n ** exp : 10n ** exp;
      } else if (code === OPT_IF_TSOFFSET && len >= 8) {
        const words = this.little
          ? [this.u32(o + 8), this.u32(o + 4)]
          : [this.u32(o + 4), this.u32(o + 8)];
        const v = (BigInt(words[0] ?? 0) << 32n) | BigInt(words[1] ?? 0);
        offsetSec = Number(BigInt.asIntN(64, v));
      }
      o += 4 + len + ((4 - (len % 4)) % 4);
    }
    const linkType = this.u16(8);
    this.interfaces.push({ linkType, name, snapBytes: this.u32(12), unitsPerSec, offsetSec });
    return "again";
  }
}

function swap32(v: number): number {
  return ((v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
}

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
  putU32le(b, 0, sec);
  putU32le(b, 4, subsec);
  putU32le(b, 8, data.length);
  putU32le(b, 12, data.length);
  b.set(data, PCAP_RECORD_BYTES);
  return b;
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
  const units = BigInt(sec) * 1000000000n + BigInt(nsec);
  const body = new Uint8Array(20 + data.length);
  putU32le(body, 0, iface);
  putU32le(body, 4, Number((units >> 32n) & 0xffffffffn));
  putU32le(body, 8, Number(units & 0xffffffffn));
  putU32le(body, 12, data.length);
  putU32le(body, 16, data.length);
  body.set(data, 20);
  return ngBlock(NG_EPB, body);
}
