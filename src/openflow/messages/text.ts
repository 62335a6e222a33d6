// Small pieces of text that many messages print.
//
// `Text` is a growing text of which the end can be looked at and cut, as the formatters of
// Open vSwitch do with a dynamic string: whether a blank is needed often depends on what came before
// (ovs: lib/dynamic-string.c, lib/ofp-print.c).

import { hex2 } from "../../lib/bytes.ts";
import { U64_MAX } from "./types-flow.ts";

const HEX_BYTES_PER_LINE = 16;

export class Text {
  s = "";

  put(text: string): this {
    this.s += text;
    return this;
  }

  endsWith(c: string): boolean {
    return this.s.endsWith(c);
  }

  /** Takes one character off the end if it is there. */
  chomp(c: string): this {
    if (this.s.endsWith(c)) {
      this.s = this.s.slice(0, -1);
    }
    return this;
  }
}

/** Names of the bits that are set, lowest first; bits without a name as one number at the end. */
export function formatBits(
  bits: number,
  names: Readonly<Record<string, number>>,
  separator: string,
): string {
  if (bits === 0) {
    return "0";
  }
  const out: string[] = [];
  let rest = bits >>> 0;
  const byValue = Object.entries(names).sort((a, b) => a[1] - b[1]);
  for (const [name, bit] of byValue) {
    if (bit !== 0 && (rest & bit) >>> 0 === bit) {
      out.push(name);
      rest = (rest & ~bit) >>> 0;
    }
  }
  if (rest !== 0) {
    out.push(hex(rest));
  }
  return out.join(separator);
}

/** `1.234s`, as precise as it has to be. */
export function formatDuration(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) {
    return `${seconds}s`;
  }
  if (nanoseconds % 1_000_000 === 0) {
    return `${seconds}.${String(nanoseconds / 1_000_000).padStart(3, "0")}s`;
  }
  return `${seconds}.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}s`;
}

/** 0x and hex digits. */
export function hex(v: number | bigint): string {
  return `0x${v.toString(16)}`;
}

/** C's %#x: no prefix for 0. */
export function altHex(v: number | bigint): string {
  return v.toString(16) === "0" ? "0" : hex(v);
}

/** A counter, or a question mark if it is not known. */
export function counter(v: bigint): string {
  return v === U64_MAX ? "?" : String(v);
}

/** xx:xx:xx:xx:xx:xx */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, hex2).join(":");
}

/** Lines of 16 bytes with offsets and, if wanted, characters. */
export function hexDump(b: Uint8Array, ascii: boolean): string {
  let out = "";
  for (let ofs = 0; ofs < b.length; ofs += HEX_BYTES_PER_LINE) {
    const line = b.subarray(ofs, ofs + HEX_BYTES_PER_LINE);
    let hexes = "";
    let chars = "";
    for (const [i, v] of line.entries()) {
      hexes += hex2(v) + (i === HEX_BYTES_PER_LINE / 2 - 1 ? "-" : " ");
      chars += v >= 32 && v < 127 ? String.fromCharCode(v) : ".";
    }
    out += `${ofs.toString(16).padStart(8, "0")}  `;
    out += ascii
      ? `${hexes.padEnd(3 * HEX_BYTES_PER_LINE)}|${chars.padEnd(HEX_BYTES_PER_LINE)}|\n`
      : `${hexes.endsWith(" ") ? hexes.slice(0, -1) : hexes}\n`;
  }
  return out;
}
