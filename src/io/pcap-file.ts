// Capture files on disk: a reader that holds one chunk and one record, and a buffering writer.
//
// The formats themselves are in src/packet/pcap-format.ts.

import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import type { ParseError } from "../lib/errors.ts";
import {
  PcapDecoder,
  type PcapRecord,
  pcapHeader,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  pcapRecord,
} from "../packet/pcap-format.ts";

/** Bytes read or collected at a time. */
export const PCAP_CHUNK_BYTES = 256 * 1024;

export class PcapReader {
  /** Size of the file, for progress; 0 for pipes. */
  readonly fileBytes: number;
  readBytes = 0;
  private readonly fd: number;
  private readonly path: string;
  private readonly decoder = new PcapDecoder();
  private readonly chunk = new Uint8Array(PCAP_CHUNK_BYTES);
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
      const n = readSync(this.fd, this.chunk, 0, this.chunk.length, null);
      if (n === 0) {
        return this.decoder.finish() ? null : this.stop();
      }
      this.readBytes += n;
      this.decoder.push(this.chunk.subarray(0, n));
    }
  }

  /** What ended the reading early, with the name of the file. */
  get error(): ParseError | null {
    return this.failure;
  }

  interfaceName(iface: number): string {
    return this.decoder.interfaceName(iface);
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

/** Collects bytes and writes them to a file in big pieces. */
class BufferedFile {
  private readonly fd: number;
  private readonly buf = new Uint8Array(PCAP_CHUNK_BYTES);
  private n = 0;

  constructor(path: string) {
    this.fd = openSync(path, "w");
  }

  write(bytes: Uint8Array): void {
    if (this.n + bytes.length > this.buf.length) {
      this.flush();
    }
    if (bytes.length > this.buf.length) {
      writeAll(this.fd, bytes);
      return;
    }
    this.buf.set(bytes, this.n);
    this.n += bytes.length;
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
    this.file.write(pcapRecord(data, sec, this.nanos ? nsec : Math.floor(nsec / 1000)));
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
    this.file.write(pcapngPacket(iface, data, sec, nsec));
  }

  close(): void {
    this.file.close();
  }
}
