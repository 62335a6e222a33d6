// The capture file formats as bytes: classic pcap (microseconds and nanoseconds, both byte orders)
// and pcapng. No files here: src/io/pcap-file.ts streams them.
//
// A PcapDecoder is fed chunks of any size and hands out records; it keeps at most one block. A cut
// or wrong file ends with an error that says at which byte.
// References: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; ovs: lib/pcap-file.c.

import { decodeUtf8, getU32 } from "../lib/bytes.ts";
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
export const MAGIC_US = 0xa1b2c3d4;
export const MAGIC_NS = 0xa1b23c4d;
export const NG_SHB = 0x0a0d0d0a;
export const NG_MAGIC = 0x1a2b3c4d;
export const NG_IDB = 1;
const NG_OPB = 2;
const NG_SPB = 3;
export const NG_EPB = 6;
export const OPT_IF_NAME = 2;
export const OPT_IF_TSRESOL = 9;
const OPT_IF_TSOFFSET = 14;
const OPT_EPB_FLAGS = 2;
const GZIP_MAGIC = 0x1f8b;
const DIRECTION_MASK = 3;
const MICROS_PER_SEC = 1_000_000;
export const NANOS_PER_SEC = 1_000_000_000;

/** Which way a packet went through the interface, where the file says so. */
export const DIRECTION = { UNKNOWN: 0, INBOUND: 1, OUTBOUND: 2 } as const;

/** One packet of a capture. The object and its bytes are reused for the next record. */
export class PcapRecord {
  /** Seconds since 1970 and nanoseconds within the second. */
  sec = 0;
  nsec = 0;
  /** The captured bytes are `bytes[from, to)`, valid until the decoder is called again. */
  bytes: Uint8Array = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  from = 0;
  to = 0;
  /** Length on the wire, which may be more than was captured. */
  origBytes = 0;
  linkType: number = LINKTYPE.ETHERNET;
  /** Number of the interface within a pcapng section, 0 for classic files. */
  iface = 0;
  direction: number = DIRECTION.UNKNOWN;

  /** A view on the captured bytes. */
  get data(): Uint8Array {
    return this.bytes.subarray(this.from, this.to);
  }
}

interface NgInterface {
  readonly linkType: number;
  readonly name: string;
  readonly snapBytes: number;
  /** Time stamps count units of 1/unitsPerSec; exact for powers of 10 and 2. */
  readonly unitsPerSec: number;
  readonly offsetSec: number;
}

type Format = "unknown" | "classic" | "ng" | "failed";

export class PcapDecoder {
  /** What is wrong, once next() has given "error". */
  error: ParseError | null = null;
  readonly record = new PcapRecord();
  private buf = new Uint8Array(65536);
  private view = new DataView(this.buf.buffer);
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
    this.fill(chunk.length, (to, at) => {
      to.set(chunk, at);
      return chunk.length;
    });
  }

  /**
   * Like push() without an array in between: `read` puts up to so many bytes into `to`, from `at` on,
   * and answers how many they were, which is what this answers.
   */
  fill(bytes: number, read: (to: Uint8Array, at: number) => number): number {
    const left = this.end - this.at;
    if (left + bytes > this.buf.length) {
      const bigger = new Uint8Array(Math.max(left + bytes, 2 * this.buf.length));
      bigger.set(this.buf.subarray(this.at, this.end));
      this.buf = bigger;
      this.view = new DataView(bigger.buffer);
    } else {
      this.buf.copyWithin(0, this.at, this.end);
    }
    this.base += this.at;
    this.at = 0;
    const n = read(this.buf, left);
    this.end = left + n;
    return n;
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

  /** Whether time stamps may be finer than microseconds, as far as the file has been read. */
  get hasNanos(): boolean {
    return this.nanos || this.interfaces.some((i) => i.unitsPerSec > MICROS_PER_SEC);
  }

  /** The file is a pcapng, as far as it has been read. */
  get isNg(): boolean {
    return this.format === "ng";
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
    return this.view.getUint32(this.at + ofs, this.little);
  }

  private u16(ofs: number): number {
    return this.view.getUint16(this.at + ofs, this.little);
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
      const what =
        magic >>> 16 === GZIP_MAGIC
          ? "a gzip file, to be unpacked first"
          : "no pcap or pcapng file";
      return this.fail(`bad magic 0x${magic.toString(16).padStart(8, "0")}: ${what}`);
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
    r.direction = DIRECTION.UNKNOWN;
    r.bytes = this.buf;
    r.view = this.view;
    r.from = this.at + PCAP_RECORD_BYTES;
    r.to = r.from + bytes;
    this.at = r.to;
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
    r.direction = DIRECTION.UNKNOWN;
    if (!simple) {
      readTime(r, this.u32(12), this.u32(16), desc);
      r.direction = this.readDirection(p.dataOfs + p.captured, p.bytes);
    }
    r.origBytes = simple ? this.u32(8) : this.u32(24);
    r.linkType = desc.linkType;
    r.iface = p.iface;
    r.bytes = this.buf;
    r.view = this.view;
    r.from = this.at + p.dataOfs;
    r.to = r.from + p.captured;
    return "record";
  }

  /** The direction among the options of a packet block, which begin behind its data. */
  private readDirection(dataEnd: number, bytes: number): number {
    let o = dataEnd + ((4 - (dataEnd & 3)) & 3);
    while (o + 4 <= bytes - 4) {
      const code = this.u16(o);
      const len = this.u16(o + 2);
      if (code === 0) {
        break;
      }
      if (code === OPT_EPB_FLAGS && len === 4 && o + 8 <= bytes - 4) {
        return this.u32(o + 4) & DIRECTION_MASK;
      }
      o += 4 + len + ((4 - (len & 3)) & 3);
    }
    return DIRECTION.UNKNOWN;
  }

  private readInterface(bytes: number): "error" | "again" {
    if (bytes < 20) {
      return this.fail("an interface block is too short");
    }
    if (this.interfaces.length >= PCAPNG_INTERFACES_MAX) {
      return this.fail(`more than ${PCAPNG_INTERFACES_MAX} interfaces`);
    }
    let name = "";
    let unitsPerSec = MICROS_PER_SEC;
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
        unitsPerSec = ((v & 0x80) !== 0 ? 2 : 10) ** (v & 0x7f);
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

/** Units up to which 16 more bits of a remainder are exact in a double. */
const EXACT_UNITS_MAX = 2 ** 37;

/** Time of 64 bits in units of an interface. */
function readTime(r: PcapRecord, hi: number, lo: number, desc: NgInterface): void {
  const d = desc.unitsPerSec;
  if (d > EXACT_UNITS_MAX || d > NANOS_PER_SEC * 8) {
    const units = (BigInt(hi) << 32n) | BigInt(lo);
    const per = BigInt(d);
    r.sec = Number(units / per) + desc.offsetSec;
    r.nsec = Number(((units % per) * BigInt(NANOS_PER_SEC)) / per);
    return;
  }
  // Long division with digits of 16 bits, without a BigInt for each packet.
  let rest = hi % d;
  let quotient = Math.floor(hi / d);
  for (let shift = 16; shift >= 0; shift -= 16) {
    const part = rest * 65536 + ((lo >>> shift) & 0xffff);
    const q = Math.floor(part / d);
    quotient = quotient * 65536 + q;
    rest = part - q * d;
  }
  r.sec = quotient + desc.offsetSec;
  r.nsec = d === NANOS_PER_SEC ? rest : nanosOf(rest, d);
}

/** `rest / d` seconds in nanoseconds, rounded down. */
function nanosOf(rest: number, d: number): number {
  if (d <= MICROS_PER_SEC) {
    return Math.floor((rest * NANOS_PER_SEC) / d); // less than 2**53, so that it is exact
  }
  return Number((BigInt(rest) * BigInt(NANOS_PER_SEC)) / BigInt(d));
}

function swap32(v: number): number {
  return ((v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
}
