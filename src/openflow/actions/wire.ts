// Bytes of actions: how a raw action is begun and ended, and a view of one that was received.
//
// Lengths in OpenFlow have 16 bits; what does not fit is the matter of whoever builds the message.

import type { OfVersion } from "../../flow/of-version.ts";
import { getU16, getU32, type Writer } from "../../lib/bytes.ts";
import { type RawAction, type RawName, rawForVersion, VENDOR } from "./raw-actions.ts";

/** Type of vendor actions. */
export const OFPAT_VENDOR = 0xffff;
/** Actions are a multiple of this long. */
export const OFP_ACTION_ALIGN = 8;

/**
 * Appends a raw action of its least length, zero but for header and argument; returns where it
 * starts. A 64-bit argument is two words, most significant first. (ovs: ofpact_put_raw)
 */
export function putRaw(
  out: Writer,
  name: RawName,
  version: OfVersion,
  arg: number | Uint32Array = 0,
): number {
  const raw = rawForVersion(name, version);
  const start = out.reserve(raw.minLength);
  out.patchU16(start + 2, raw.minLength);
  if (raw.vendor === VENDOR.OF) {
    out.patchU16(start, raw.type);
  } else {
    out.patchU16(start, OFPAT_VENDOR);
    out.patchU32(start + 4, raw.vendor);
    out.patchU16(start + 8, raw.type);
  }
  putArg(out, start + raw.argOfs, raw, arg);
  return start;
}

function putArg(out: Writer, ofs: number, raw: RawAction, arg: number | Uint32Array): void {
  const [hi, lo] = typeof arg === "number" ? [0, arg] : [arg[0] ?? 0, arg[1] ?? 0];
  if (raw.argBytes === 1) {
    out.patchU8(ofs, lo);
  } else if (raw.argBytes === 2) {
    out.patchU16(ofs, lo);
  } else if (raw.argBytes === 4) {
    out.patchU32(ofs, lo);
  } else if (raw.argBytes === 8) {
    out.patchU32(ofs, hi);
    out.patchU32(ofs + 4, lo);
  }
}

/** Pads the action that starts at `start` to a multiple of 8 bytes and sets its length. */
export function padAction(out: Writer, start: number): void {
  out.pad(OFP_ACTION_ALIGN, start);
  setActionLength(out, start);
}

/** Sets the length of the action, or instruction, that reaches from `start` to the end. */
export function setActionLength(out: Writer, start: number): void {
  out.patchU16(start + 2, out.length - start);
}

/** One action on the wire, its header included. Its length has been checked against the table. */
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
    return getU16(this.bytes, ofs);
  }

  u32(ofs: number): number {
    return getU32(this.bytes, ofs);
  }

  /** 64 bits as two words. */
  u64(ofs: number): Uint32Array {
    return Uint32Array.of(this.u32(ofs), this.u32(ofs + 4));
  }

  /** The plain argument of at most 32 bits. */
  get arg(): number {
    const { argOfs, argBytes } = this.raw;
    return argBytes === 1 ? this.u8(argOfs) : argBytes === 2 ? this.u16(argOfs) : this.u32(argOfs);
  }

  /** True if all bytes from `from` up to `to` are 0. */
  zero(from: number, to = this.bytes.length): boolean {
    for (let i = from; i < to; i++) {
      if (this.bytes[i] !== 0) {
        return false;
      }
    }
    return true;
  }
}
