// Bytes of actions: a growing writer and a view of one raw action.
//
// Lengths in OpenFlow are 16 bits; the writer does not check them, the caller of a message does.

import {
  rawForVersion,
  type OfpVersion,
  type RawAction,
  type RawName,
  VENDOR,
} from "./raw-actions.ts";

const INITIAL_BYTES = 256;

/** Appends big-endian numbers; grows by doubling. */
export class ActionWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity = INITIAL_BYTES) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Appends `n` zero bytes and returns their offset. */
  zeros(n: number): number {
    const ofs = this.length;
    if (ofs + n > this.bytes.length) {
      const bigger = new Uint8Array(Math.max(this.bytes.length * 2, ofs + n));
      bigger.set(this.bytes.subarray(0, ofs));
      this.bytes = bigger;
    }
    this.length = ofs + n;
    return ofs;
  }

  u8(value: number): void {
    const at = this.zeros(1);
    this.bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.zeros(2);
    this.setU16(at, value);
  }

  u32(value: number): void {
    const at = this.zeros(4);
    this.setU32(at, value);
  }

  raw(data: Uint8Array): void {
    const at = this.zeros(data.length);
    this.bytes.set(data, at);
  }

  setU16(ofs: number, value: number): void {
    this.bytes[ofs] = value >>> 8;
    this.bytes[ofs + 1] = value;
  }

  setU32(ofs: number, value: number): void {
    this.setU16(ofs, value >>> 16);
    this.setU16(ofs + 2, value & 0xffff);
  }

  /** The bytes so far; a view, valid until the next append. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** Truncates to an earlier length. */
  truncate(length: number): void {
    this.bytes.fill(0, length, this.length);
    this.length = length;
  }
}

/** Appends a raw action of its least length, filled with zeros but for header; returns its start. */
export function putRaw(
  out: ActionWriter,
  name: RawName,
  version: OfpVersion,
  arg: number | Uint32Array = 0,
): number {
  const raw = rawForVersion(name, version);
  if (raw === null) {
    throw new Error(`action ${name} does not exist in OpenFlow version ${version}`);
  }
  const start = out.zeros(raw.minLength);
  out.setU16(start + 2, raw.minLength);
  if (raw.vendor === VENDOR.OF) {
    out.setU16(start, raw.type);
  } else {
    out.setU16(start, OFPAT_VENDOR);
    out.setU32(start + 4, raw.vendor);
    out.setU16(start + 8, raw.type);
  }
  putArg(out, start + raw.argOfs, raw, arg);
  return start;
}

/** Type of vendor actions. */
export const OFPAT_VENDOR = 0xffff;

function putArg(out: ActionWriter, ofs: number, raw: RawAction, arg: number | Uint32Array): void {
  const low = typeof arg === "number" ? arg : (arg[arg.length - 1] ?? 0);
  switch (raw.argBytes) {
    case 1:
      out.bytes[ofs] = low;
      return;
    case 2:
      out.setU16(ofs, low);
      return;
    case 4:
      out.setU32(ofs, low);
      return;
    case 8:
      out.setU32(ofs, typeof arg === "number" ? 0 : (arg[arg.length - 2] ?? 0));
      out.setU32(ofs + 4, low);
      return;
  }
}

/** Pads the action that starts at `start` to a multiple of 8 bytes and sets its length. */
export function padAction(out: ActionWriter, start: number): void {
  const pad = -(out.length - start) & 7;
  out.zeros(pad);
  out.setU16(start + 2, out.length - start);
}

/** One action on the wire, its header included. */
export class RawView {
  readonly raw: RawAction;
  readonly bytes: Uint8Array;

  constructor(raw: RawAction, bytes: Uint8Array) {
    this.raw = raw;
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(ofs: number): number {
    return this.bytes[ofs] ?? 0;
  }

  u16(ofs: number): number {
    return (this.u8(ofs) << 8) | this.u8(ofs + 1);
  }

  u32(ofs: number): number {
    return ((this.u16(ofs) << 16) | this.u16(ofs + 2)) >>> 0;
  }

  /** The plain argument, of at most 32 bits (the low half of 64). */
  get arg(): number {
    const { argOfs, argBytes } = this.raw;
    switch (argBytes) {
      case 1:
        return this.u8(argOfs);
      case 2:
        return this.u16(argOfs);
      case 4:
        return this.u32(argOfs);
      default:
        return this.u32(argOfs + 4);
    }
  }

  /** The 64-bit words at an offset. */
  u64(ofs: number): Uint32Array {
    return Uint32Array.of(this.u32(ofs), this.u32(ofs + 4));
  }

  /** True if all bytes of a range are 0. */
  zero(from: number, to: number): boolean {
    for (let i = from; i < to; i++) {
      if (this.bytes[i] !== 0) {
        return false;
      }
    }
    return true;
  }
}
