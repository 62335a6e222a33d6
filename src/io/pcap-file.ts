// Capture files on disk: a reader that holds one chunk and one record, and a buffering writer.
//
// The formats themselves are in src/packet/pcap-format.ts.

import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { ByteCopier } from "../lib/byte-copier.ts";
import type { ParseError } from "../lib/errors.ts";
import { PCAP_RECORD_BYTES, PcapDecoder, type PcapRecord } from "../packet/pcap-format.ts";
import {
  PCAPNG_DATA_OFS,
  pcapHeader,
  pcapngInterface,
  pcapngPacketBytes,
  pcapngSection,
  putPcapngPacket,
  putPcapRecord,
} from "../packet/pcap-write.ts";

/** Bytes read or collected at a time. */
export const PCAP_CHUNK_BYTES = 256 * 1024;

export class PcapReader {
  /** Size of the file, for progress; 0 for pipes. */
  readonly fileBytes: number;
  readBytes = 0;
  private readonly fd: number;
  private readonly path: string;
  private readonly decoder = new PcapDecoder();
  private failure: ParseError | null = null;

  /** Throws what node:fs throws if the file cannot be opened. */
  constructor(path: string) {
    this.path = path;
    this.fd = openSync(path, "r");
    this.fileBytes = fstatSync(this.fd).size;
  }

  /** The next record, which is overwritten by the call after, or null at the end or an error. */
  next(): PcapRecord | null {
    for (;;) {
      const r = this.decoder.next();
      if (r === "record") {
        return this.decoder.record;
      }
      if (r === "error" || this.failure !== null) {
        return this.stop();
      }
      const n = this.decoder.fill(PCAP_CHUNK_BYTES, (to, at) =>
        readSync(this.fd, to, at, PCAP_CHUNK_BYTES, null),
      );
      if (n === 0) {
        return this.decoder.finish() ? null : this.stop();
      }
      this.readBytes += n;
    }
  }

  /** What ended the reading early, with the name of the file. */
  get error(): ParseError | null {
    return this.failure;
  }

  interfaceName(iface: number): string {
    return this.decoder.interfaceName(iface);
  }

  /** Whether time stamps may be finer than microseconds, as far as the file has been read. */
  get hasNanos(): boolean {
    return this.decoder.hasNanos;
  }

  /** The file is a pcapng, as far as it has been read. */
  get isNg(): boolean {
    return this.decoder.isNg;
  }

  close(): void {
    closeSync(this.fd);
  }

  private stop(): null {
    const e = this.decoder.error;
    if (e !== null && this.failure === null) {
      this.failure = { ...e, message: `${this.path}: ${e.message}`, text: this.path };
    }
    return null;
  }
}

/** Bytes that a file without much to write collects. */
const FIRST_BUFFER_BYTES = 4096;

/** Collects bytes and writes them to a file in big pieces. */
class BufferedFile {
  /** What has been collected is `buf[0, n)`. */
  buf = new Uint8Array(FIRST_BUFFER_BYTES);
  private n = 0;
  private readonly fd: number;
  private readonly copier = new ByteCopier();

  constructor(path: string) {
    this.fd = openSync(path, "w");
  }

  /** Makes room for so many bytes, which the caller writes into `buf` from the answer on. */
  room(bytes: number): number {
    if (this.n + bytes > this.buf.length) {
      if (this.buf.length < PCAP_CHUNK_BYTES || bytes > this.buf.length) {
        const wanted = Math.min(PCAP_CHUNK_BYTES, 4 * this.buf.length);
        const bigger = new Uint8Array(Math.max(wanted, this.n + bytes));
        bigger.set(this.buf.subarray(0, this.n));
        this.buf = bigger;
      } else {
        this.flush();
      }
    }
    const at = this.n;
    this.n += bytes;
    return at;
  }

  write(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.buf.set(bytes, at);
  }

  copy(at: number, { bytes, from, to }: ByteRange): void {
    this.copier.copy(this.buf, at, bytes, from, to);
  }

  /** A view on the collected bytes, until there is a call of room(). */
  get view(): DataView {
    return this.copier.viewOn(this.buf);
  }

  flush(): void {
    writeAll(this.fd, this.buf.subarray(0, this.n));
    this.n = 0;
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    at += writeSync(fd, bytes, at);
  }
}

/** Part of an array of bytes. */
export interface ByteRange {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** A classic file with nanosecond or microsecond time stamps. */
export class PcapWriter {
  private readonly file: BufferedFile;
  private readonly nanos: boolean;

  constructor(path: string, nanos = false) {
    this.file = new BufferedFile(path);
    this.nanos = nanos;
    this.file.write(pcapHeader(65535, nanos));
  }

  write(data: Uint8Array, sec: number, nsec: number): void {
    this.writeRange({ bytes: data, from: 0, to: data.length }, sec, nsec);
  }

  /** Writes the packet `bytes[from, to)`. */
  writeRange(p: ByteRange, sec: number, nsec: number): void {
    const { file } = this;
    const n = p.to - p.from;
    const at = file.room(PCAP_RECORD_BYTES + n);
    putPcapRecord(file.view, at, n, sec, this.nanos ? nsec : Math.floor(nsec / 1000));
    file.copy(at + PCAP_RECORD_BYTES, p);
  }

  close(): void {
    this.file.close();
  }
}

/** A pcapng file with many interfaces. */
export class PcapngWriter {
  private readonly file: BufferedFile;
  private interfaces = 0;

  constructor(path: string) {
    this.file = new BufferedFile(path);
    this.file.write(pcapngSection());
  }

  /** Returns the number of the interface. */
  addInterface(name: string): number {
    this.file.write(pcapngInterface(name));
    return this.interfaces++;
  }

  write(iface: number, data: Uint8Array, sec: number, nsec: number): void {
    this.writeRange(iface, { bytes: data, from: 0, to: data.length }, sec, nsec);
  }

  /** Writes the packet `bytes[from, to)`. */
  writeRange(iface: number, p: ByteRange, sec: number, nsec: number): void {
    const { file } = this;
    const n = p.to - p.from;
    const at = file.room(pcapngPacketBytes(n));
    putPcapngPacket(file.buf, at, { iface, bytes: n, sec, nsec });
    file.copy(at + PCAPNG_DATA_OFS, p);
  }

  close(): void {
    this.file.close();
  }
}
