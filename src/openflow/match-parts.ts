// Parts of a match as text: one "name=value" after the other, each in the way that fields of its kind
// show a partial mask.
//
// ovs: lib/match.c format_be16_masked, format_eth_masked and their neighbours.

import { type FlowKey, get, isZero, type Slot } from "../flow/flow-key.ts";
import type { Match } from "../flow/match.ts";
import { formatIpv4Masked, formatIpv6Masked, formatMacMasked } from "../lib/address.ts";
import { formatAltHex, formatAltHex64, formatHexPadded } from "../lib/number.ts";

/** The growing list of "name=value" parts of one match. */
export class Parts {
  readonly out: string[] = [];
  readonly flow: FlowKey;
  readonly wc: FlowKey;

  constructor(m: Pick<Match, "flow" | "wc">) {
    this.flow = m.flow;
    this.wc = m.wc;
  }

  add(text: string): void {
    this.out.push(text);
  }

  /** %#x, masks too. */
  hex32(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    if (mask !== 0) {
      const tail = mask === 0xffffffff ? "" : `/${formatAltHex(mask)}`;
      this.add(`${name}=${formatAltHex(this.flow[slot.word] as number)}${tail}`);
    }
  }

  hex64(name: string, slot: Slot): void {
    const hi = this.wc[slot.word] as number;
    const lo = this.wc[slot.word + 1] as number;
    if ((hi | lo) !== 0) {
      const value = formatAltHex64(
        this.flow[slot.word] as number,
        this.flow[slot.word + 1] as number,
      );
      const exact = hi === 0xffffffff && lo === 0xffffffff;
      this.add(`${name}=${value}${exact ? "" : `/${formatAltHex64(hi, lo)}`}`);
    }
  }

  /** Decimal, or hex with a partial mask. */
  dec16(name: string, slot: Slot): void {
    const mask = get(this.wc, slot);
    if (mask !== 0) {
      const v = get(this.flow, slot);
      const text = mask === 0xffff ? String(v) : `0x${v.toString(16)}/0x${mask.toString(16)}`;
      this.add(`${name}=${text}`);
    }
  }

  dec8(name: string, value: number, mask: number): void {
    if (mask !== 0) {
      const text =
        mask === 0xff ? String(value) : `${formatHexPadded(value, 2)}/${formatHexPadded(mask, 2)}`;
      this.add(`${name}=${text}`);
    }
  }

  /** Decimal, or eight hex digits with a partial mask. */
  dec32(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    const v = this.flow[slot.word] as number;
    if (mask !== 0) {
      const text =
        mask === 0xffffffff ? String(v) : `${formatHexPadded(v, 8)}/${formatHexPadded(mask, 8)}`;
      this.add(`${name}=${text}`);
    }
  }

  /** 0x and hex digits, zero as 0x0. */
  plainHex32(name: string, value: number, mask: number): void {
    if (mask !== 0) {
      const v = formatHexPadded(value, 1);
      const text = mask === 0xffffffff ? v : `${v}/${formatHexPadded(mask, 1)}`;
      this.add(`${name}=${text}`);
    }
  }

  mac(name: string, slot: Slot): void {
    const w = slot.word;
    const hi = this.wc[w] as number;
    const lo = this.wc[w + 1] as number;
    if ((hi | lo) !== 0) {
      const v = formatMacMasked(this.flow[w] as number, this.flow[w + 1] as number, hi, lo);
      this.add(`${name}=${v}`);
    }
  }

  ipv4(name: string, slot: Slot): void {
    const mask = this.wc[slot.word] as number;
    if (mask !== 0) {
      this.add(`${name}=${formatIpv4Masked(this.flow[slot.word] as number, mask)}`);
    }
  }

  ipv6(name: string, slot: Slot): void {
    if (!isZero(this.wc, slot)) {
      this.add(`${name}=${formatIpv6Masked(this.flow, this.wc, slot.word)}`);
    }
  }
}
