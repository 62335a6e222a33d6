// TcpReader: the payload of TCP streams, put together from packets (ovs: lib/pcap-file.c
// tcp_reader_run).
//
// One direction of a connection is one stream. Segments must come in order: one that is not the
// next of its stream is passed over, as in Open vSwitch. A stream ends with FIN or RST.

import { getU16, getU32 } from "../lib/bytes.ts";
import { IP_PROTO, IPV4 } from "./ip.ts";
import { TCP, TCP_FLAG, tcpHeaderBytes } from "./l4.ts";
import type { PacketBuf } from "./packet.ts";

/** Streams that are followed at once, and bytes of each that wait to be taken. */
const STREAMS_MAX = 10_000;
const WAITING_BYTES_MAX = 1 << 20;

export interface TcpStream {
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
  /** What came and was not taken yet; who takes bytes puts the rest back. */
  payload: Uint8Array;
}

interface Followed extends TcpStream {
  nextSeq: number;
}

export class TcpReader {
  readonly #streams = new Map<string, Followed>();

  /** Takes a parsed IPv4 packet: the stream that it continues, or null. */
  read(p: PacketBuf): TcpStream | null {
    const bytes = p.l4Bytes();
    if (bytes < TCP.HEADER_BYTES || p.bytes[p.l3() + IPV4.PROTO] !== IP_PROTO.TCP) {
      return null;
    }
    const b = p.bytes;
    const at = p.l4();
    const ctl = getU16(b, at + TCP.CTL);
    const header = tcpHeaderBytes(ctl);
    if (header < TCP.HEADER_BYTES || header > bytes) {
      return null;
    }
    const s = this.#streamOf(p, ctl, bytes - header);
    return s !== null && this.#take(s, ctl, getU32(b, at + TCP.SEQ), at + header, p) ? s : null;
  }

  #streamOf(p: PacketBuf, ctl: number, dataBytes: number): Followed | null {
    const b = p.bytes;
    const src = getU32(b, p.l3() + IPV4.SRC);
    const dst = getU32(b, p.l3() + IPV4.DST);
    const srcPort = getU16(b, p.l4() + TCP.SRC);
    const dstPort = getU16(b, p.l4() + TCP.DST);
    const key = `${src}:${srcPort}>${dst}:${dstPort}`;
    let s = this.#streams.get(key);
    if (s === undefined) {
      const syn = (ctl & TCP_FLAG.SYN) !== 0;
      if ((!syn && dataBytes === 0) || this.#streams.size >= STREAMS_MAX) {
        return null;
      }
      const nextSeq = (getU32(b, p.l4() + TCP.SEQ) + (syn ? 1 : 0)) >>> 0;
      s = { src, dst, srcPort, dstPort, payload: new Uint8Array(0), nextSeq };
      this.#streams.set(key, s);
    }
    if ((ctl & TCP_FLAG.SYN) === 0 && (ctl & (TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0) {
      this.#streams.delete(key);
    }
    return s;
  }

  /** True if the segment was the next one. */
  #take(s: Followed, ctl: number, seq: number, from: number, p: PacketBuf): boolean {
    if ((ctl & TCP_FLAG.SYN) !== 0) {
      s.payload = new Uint8Array(0);
      s.nextSeq = (seq + 1) >>> 0;
      return false;
    }
    if ((ctl & (TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0 || seq !== s.nextSeq) {
      return false;
    }
    const data = p.bytes.subarray(from, p.l4() + p.l4Bytes());
    if (s.payload.length + data.length > WAITING_BYTES_MAX) {
      return false;
    }
    const all = new Uint8Array(s.payload.length + data.length);
    all.set(s.payload);
    all.set(data, s.payload.length);
    s.payload = all;
    s.nextSeq = (seq + data.length) >>> 0;
    return true;
  }
}
