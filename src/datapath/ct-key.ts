// ConnKey: what tells one direction of a connection from others.
//
// Each end has an address and, by protocol, a port or an ICMP identifier with type and code. The
// hash of a key is that of its reverse, so that one place of a table does for both directions.
// (ovs: lib/conntrack-private.h struct conn_key; lib/conntrack.c conn_key_hash)

import { hashAdd, hashFinishInt } from "../lib/hash.ts";
import { ETH_TYPE } from "../packet/ethernet.ts";

/** Index of the first word of each address; an IPv4 address takes one word, IPv6 four. */
export const SRC = 0;
export const DST = 4;
/** Words that hold all of a key, and all of one of IPv4. */
export const CONN_KEY_WORDS = 12;
export const CONN_KEY4_WORDS = 6;

export class ConnKey {
  /** Source in words 0 to 3, destination in words 4 to 7. */
  readonly addr = new Uint32Array(8);
  /** Port, or identifier of an ICMP query. */
  srcPort = 0;
  dstPort = 0;
  /** ICMP type in the upper, code in the lower 8 bits. */
  srcIcmp = 0;
  dstIcmp = 0;
  dlType = 0;
  zone = 0;
  proto = 0;

  clear(): void {
    this.setIpv4(0, 0);
    this.srcPort = 0;
    this.dstPort = 0;
    this.srcIcmp = 0;
    this.dstIcmp = 0;
    this.dlType = 0;
    this.zone = 0;
    this.proto = 0;
  }

  copyFrom(o: ConnKey): this {
    for (let i = 0; i < 8; i++) {
      this.addr[i] = o.addr[i] as number;
    }
    this.srcPort = o.srcPort;
    this.dstPort = o.dstPort;
    this.srcIcmp = o.srcIcmp;
    this.dstIcmp = o.dstIcmp;
    this.dlType = o.dlType;
    this.zone = o.zone;
    this.proto = o.proto;
    return this;
  }

  clone(): ConnKey {
    return new ConnKey().copyFrom(this);
  }

  /** Swaps the ends. */
  reverse(): this {
    const a = this.addr;
    for (let i = 0; i < 4; i++) {
      const t = a[i] as number;
      a[i] = a[i + DST] as number;
      a[i + DST] = t;
    }
    const port = this.srcPort;
    this.srcPort = this.dstPort;
    this.dstPort = port;
    const icmp = this.srcIcmp;
    this.srcIcmp = this.dstIcmp;
    this.dstIcmp = icmp;
    return this;
  }

  /** Sets both addresses, word by word: fill() costs more than so few stores. */
  setIpv4(src: number, dst: number): void {
    const { addr } = this;
    addr[SRC] = src;
    addr[SRC + 1] = 0;
    addr[SRC + 2] = 0;
    addr[SRC + 3] = 0;
    addr[DST] = dst;
    addr[DST + 1] = 0;
    addr[DST + 2] = 0;
    addr[DST + 3] = 0;
  }

  /** Sets the address at SRC or DST from another key's or any words. */
  setAddr(at: number, words: ArrayLike<number>, from: number): void {
    for (let i = 0; i < 4; i++) {
      this.addr[at + i] = words[from + i] ?? 0;
    }
  }

  equals(o: ConnKey): boolean {
    if (
      this.srcPort !== o.srcPort ||
      this.dstPort !== o.dstPort ||
      this.srcIcmp !== o.srcIcmp ||
      this.dstIcmp !== o.dstIcmp ||
      this.zone !== o.zone ||
      this.proto !== o.proto ||
      this.dlType !== o.dlType
    ) {
      return false;
    }
    for (let i = 0; i < 8; i++) {
      if (this.addr[i] !== o.addr[i]) {
        return false;
      }
    }
    return true;
  }

  /**
   * Writes all of the key as CONN_KEY_WORDS words. Of one of IPv4 only the first CONN_KEY4_WORDS
   * are not 0, and only they are written.
   */
  pack(to: Int32Array, at: number): void {
    const { addr } = this;
    to[at] = (this.dlType << 16) | this.zone;
    to[at + 1] = (this.srcPort << 16) | this.dstPort;
    to[at + 2] = addr[SRC] as number;
    to[at + 3] = addr[DST] as number;
    to[at + 4] = (this.srcIcmp << 16) | this.dstIcmp;
    to[at + 5] = this.proto;
    if (this.dlType !== ETH_TYPE.IP) {
      for (let i = 1; i < 4; i++) {
        to[at + 5 + i] = addr[SRC + i] as number;
        to[at + 8 + i] = addr[DST + i] as number;
      }
    }
  }

  /** A signed number, which V8 keeps without allocating. */
  hash(basis: number): number {
    const { addr } = this;
    // The other words of an IPv4 address are 0.
    const words = this.dlType === ETH_TYPE.IP ? 1 : 4;
    let src = hashAdd(basis, (this.srcPort << 16) | this.srcIcmp);
    let dst = hashAdd(basis, (this.dstPort << 16) | this.dstIcmp);
    for (let i = 0; i < words; i++) {
      src = hashAdd(src, addr[SRC + i] as number);
      dst = hashAdd(dst, addr[DST + i] as number);
    }
    const ends = hashFinishInt(src, 20) ^ hashFinishInt(dst, 20);
    const rest = (this.zone << 16) | (this.dlType & 0xff00) | this.proto;
    return hashFinishInt(hashAdd(ends, rest), 8);
  }
}
