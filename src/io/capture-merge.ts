// Several captures read as one, by time stamp.
//
// Of the packets at the heads of all captures the earliest comes first; of equally early ones the
// one whose capture was named first. Only the heads are in memory. Within one capture the order of
// the file stands, even where its times go back.

import { PcapReader } from "./pcap-file.ts";
import type { PcapRecord } from "../packet/pcap-format.ts";

/** Captures that are read at a time. */
export const CAPTURES_MAX = 1024;

/** One of the captures. `T` is what its user keeps with it. */
export class MergeInput<T> {
  readonly reader: PcapReader;
  readonly tag: T;
  /** The packet that comes next, or null at the end. */
  head: PcapRecord | null = null;
  /** Packets whose time is before that of their predecessor. */
  backward = 0;
  /** Packets read, the head included. */
  count = 0;
  private lastSec = 0;
  private lastNsec = 0;

  constructor(reader: PcapReader, tag: T) {
    this.reader = reader;
    this.tag = tag;
    this.step();
  }

  /** Reads on. */
  step(): void {
    const r = this.reader.next();
    this.head = r;
    if (r === null) {
      return;
    }
    if (r.sec < this.lastSec || (r.sec === this.lastSec && r.nsec < this.lastNsec)) {
      this.backward++;
    }
    this.lastSec = r.sec;
    this.lastNsec = r.nsec;
    this.count++;
  }
}

export class CaptureMerge<T> {
  readonly inputs: MergeInput<T>[] = [];
  private last: MergeInput<T> | null = null;

  /** Adds a capture and reads its first packet. Throws what node:fs throws. */
  add(path: string, tag: T): MergeInput<T> {
    if (this.inputs.length >= CAPTURES_MAX) {
      throw new Error(`more than ${CAPTURES_MAX} captures`);
    }
    const input = new MergeInput(new PcapReader(path), tag);
    this.inputs.push(input);
    return input;
  }

  /** The capture whose head is the next packet, valid until the call after; null at the end. */
  next(): MergeInput<T> | null {
    this.last?.step();
    let best: MergeInput<T> | null = null;
    for (const input of this.inputs) {
      if (input.head !== null && (best === null || isBefore(input.head, best.head))) {
        best = input;
      }
    }
    this.last = best;
    return best;
  }

  /** Sizes of all files, and how much of them has been read. */
  get fileBytes(): number {
    return this.inputs.reduce((n, i) => n + i.reader.fileBytes, 0);
  }

  get readBytes(): number {
    return this.inputs.reduce((n, i) => n + i.reader.readBytes, 0);
  }

  close(): void {
    for (const { reader } of this.inputs) {
      reader.close();
    }
  }
}

function isBefore(a: PcapRecord, b: PcapRecord | null): boolean {
  return b === null || a.sec < b.sec || (a.sec === b.sec && a.nsec < b.nsec);
}
