// How a TCP connection follows its packets: states of both ends, windows, timeouts.
//
// Each end has a state and the range of sequence numbers that it may send. A connection picked up
// in the middle does not know the window scale and is treated liberally. Sequence numbers are
// compared modulo 2^32. (ovs: lib/conntrack-tcp.c, which follows pf's state tracking)

import { getU16, getU32 } from "../lib/bytes.ts";
import { TCP, TCP_FLAG, tcpHeaderBytes } from "../packet/l4.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Conn, TcpPeer } from "./ct-conn.ts";
import type { CtCounters } from "./ct-counters.ts";
import { tcpPayloadBytes } from "./ct-extract.ts";
import type { CtTimeoutName } from "./ct-timeout.ts";

/** States in order: a later one is further on. */
export const TCP_STATES = [
  "CLOSED",
  "LISTEN",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "CLOSE_WAIT",
  "FIN_WAIT_1",
  "CLOSING",
  "LAST_ACK",
  "FIN_WAIT_2",
  "TIME_WAIT",
] as const;
export const TCPS = {
  CLOSED: 0,
  SYN_SENT: 2,
  SYN_RECV: 3,
  ESTABLISHED: 4,
  CLOSING: 7,
  FIN_WAIT_2: 9,
  TIME_WAIT: 10,
} as const;

/** Window scale: the shift, and whether it is known. */
export const WSCALE = { MAX: 14, KNOWN: 0x80, UNKNOWN: 0x40, MASK: 0xf } as const;
/** How far beyond the window an acknowledgement may be. */
const MAX_ACK_WINDOW = 0xffff + 1500;
const OPT = { EOL: 0, NOP: 1, WINDOW: 3 } as const;

/** What a packet means for a connection. */
export type CtUpdate = "invalid" | "valid" | "new" | "valid_new";

/** What an update needs to know of the tracker. */
export interface UpdateEnv {
  readonly counters: CtCounters;
  readonly seqCheck: boolean;
  /** Used again for every packet. */
  readonly segment: Segment;
  /** Gives the connection another timeout, from now on. */
  readonly expire: (conn: Conn, name: CtTimeoutName) => void;
}

function flagsInvalid(flags: number): boolean {
  const { SYN, RST, FIN, ACK, PSH, URG } = TCP_FLAG;
  if ((flags & SYN) !== 0) {
    if ((flags & (RST | FIN)) !== 0) {
      return true;
    }
  } else if ((flags & (ACK | RST)) === 0) {
    return true;
  }
  return (flags & ACK) === 0 && (flags & (FIN | PSH | URG)) !== 0;
}

function windowScale(b: Uint8Array, at: number): number {
  let left = tcpHeaderBytes(getU16(b, at + TCP.CTL)) - TCP.HEADER_BYTES;
  let opt = at + TCP.HEADER_BYTES;
  let scale = 0;
  while (left >= 3) {
    const kind = b[opt];
    if (kind === OPT.EOL) {
      return scale;
    }
    if (kind === OPT.NOP) {
      opt++;
      left--;
      continue;
    }
    if (kind === OPT.WINDOW) {
      scale = Math.min(b[opt + 2] ?? 0, WSCALE.MAX) | WSCALE.KNOWN;
    }
    const bytes = Math.max(b[opt + 1] ?? 0, 2);
    left -= bytes;
    opt += bytes;
  }
  return scale;
}

/** The sign of a - b modulo 2^32, as comparisons of sequence numbers need it. */
function diff(a: number, b: number): number {
  return (a - b) | 0;
}

function flagsOf(p: PacketBuf): number {
  return getU16(p.bytes, p.l4() + TCP.CTL) & TCP_FLAG.MASK;
}

/** True for a packet that may begin a connection, also in its middle. */
export function tcpValidNew(p: PacketBuf, counters: CtCounters): boolean {
  const flags = flagsOf(p);
  if (flagsInvalid(flags)) {
    counters.inc("conntrack_invalid_tcp_flags");
    return false;
  }
  return (flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) !== (TCP_FLAG.SYN | TCP_FLAG.ACK);
}

export function tcpNew(conn: Conn, p: PacketBuf): void {
  const b = p.bytes;
  const at = p.l4();
  const flags = flagsOf(p);
  const syn = (flags & TCP_FLAG.SYN) !== 0;
  const fin = (flags & TCP_FLAG.FIN) !== 0;
  const seqLo = getU32(b, at + TCP.SEQ);
  const wscale = syn ? windowScale(b, at) : WSCALE.UNKNOWN;
  let maxWin = Math.max(getU16(b, at + TCP.WINDOW), 1);
  if ((wscale & WSCALE.MASK) !== 0) {
    maxWin = Math.ceil(maxWin / 2 ** (wscale & WSCALE.MASK));
  }
  const seqHi = (seqLo + tcpPayloadBytes(p) + 1 + (syn ? 1 : 0) + (fin ? 1 : 0)) >>> 0;
  conn.tcp = [
    { seqLo, seqHi, maxWin, wscale, state: TCPS.SYN_SENT },
    { seqLo: 0, seqHi: 1, maxWin: 1, wscale: syn ? 0 : WSCALE.UNKNOWN, state: TCPS.CLOSED },
  ];
}

/** A segment as the update sees it; numbers are 32 bits, unsigned. */
export class Segment {
  flags = 0;
  origSeq = 0;
  seq = 0;
  end = 0;
  ack = 0;
  win = 0;
  /** Window scales of the sender and of the other end, if both are known. */
  sws = 0;
  dws = 0;
  checkAckSkew = true;
}

function readSegment(s: Segment, p: PacketBuf): Segment {
  const at = p.l4();
  const flags = flagsOf(p);
  const seq = getU32(p.bytes, at + TCP.SEQ);
  const extra = ((flags & TCP_FLAG.SYN) !== 0 ? 1 : 0) + ((flags & TCP_FLAG.FIN) !== 0 ? 1 : 0);
  s.flags = flags;
  s.origSeq = seq;
  s.seq = seq;
  s.end = (seq + tcpPayloadBytes(p) + extra) >>> 0;
  s.ack = getU32(p.bytes, at + TCP.ACK);
  s.win = getU16(p.bytes, at + TCP.WINDOW);
  s.sws = 0;
  s.dws = 0;
  s.checkAckSkew = true;
  return s;
}

function useScales(s: Segment, src: TcpPeer, dst: TcpPeer): void {
  if ((s.flags & TCP_FLAG.SYN) !== 0) {
    return;
  }
  const both = src.wscale & dst.wscale;
  if ((both & WSCALE.KNOWN) !== 0) {
    s.sws = src.wscale & WSCALE.MASK;
    s.dws = dst.wscale & WSCALE.MASK;
  } else if ((both & WSCALE.UNKNOWN) !== 0) {
    s.sws = WSCALE.MAX;
    s.dws = WSCALE.MAX;
  }
}

/** The first packet of an end that has sent none yet sets its window. */
function firstOfPeer(s: Segment, src: TcpPeer, dst: TcpPeer, p: PacketBuf): void {
  if ((s.flags & TCP_FLAG.SYN) !== 0 && (dst.wscale & WSCALE.KNOWN) !== 0) {
    src.wscale = windowScale(p.bytes, p.l4());
    if ((src.wscale & WSCALE.KNOWN) !== 0) {
      s.sws = src.wscale & WSCALE.MASK;
      s.win = Math.ceil(s.win / 2 ** s.sws);
      s.dws = dst.wscale & WSCALE.MASK;
    } else {
      // The other end offered scaling, this one does not take it.
      dst.maxWin = (dst.maxWin << (dst.wscale & WSCALE.MASK)) & 0xffff;
      dst.wscale = 0;
    }
  }
  src.seqLo = s.seq;
  src.state = TCPS.SYN_SENT;
  const hi = (s.end + Math.max(1, dst.maxWin << s.dws)) >>> 0;
  if (src.seqHi === 1 || diff(hi, src.seqHi) >= 0) {
    src.seqHi = hi;
    s.checkAckSkew = false;
  }
  if (s.win > src.maxWin) {
    src.maxWin = s.win;
  }
}

/** Moves the windows of both ends along. */
function advance(s: Segment, src: TcpPeer, dst: TcpPeer): void {
  if (src.maxWin < s.win) {
    src.maxWin = s.win;
  }
  if (diff(s.end, src.seqLo) > 0) {
    src.seqLo = s.end;
  }
  const window = s.win << s.sws;
  if (diff((s.ack + window) >>> 0, dst.seqHi) >= 0) {
    dst.seqHi = (s.ack + Math.max(window, 1)) >>> 0;
  }
}

function inWindow(s: Segment, src: TcpPeer, dst: TcpPeer): boolean {
  const ackSkew = s.checkAckSkew ? diff(dst.seqLo, s.ack) : 0;
  const resetOk =
    (s.flags & TCP_FLAG.RST) === 0 ||
    s.origSeq === src.seqLo ||
    s.origSeq === (src.seqLo + 1) >>> 0 ||
    (s.origSeq + 1) >>> 0 === src.seqLo;
  return (
    diff(src.seqHi, s.end) >= 0 &&
    diff(s.seq, (src.seqLo - (dst.maxWin << s.dws)) >>> 0) >= 0 &&
    ackSkew >= -MAX_ACK_WINDOW &&
    ackSkew <= MAX_ACK_WINDOW << s.sws &&
    resetOk
  );
}

/** The states that flags lead to, and the timeout of the pair of states. */
function changeStates(s: Segment, src: TcpPeer, dst: TcpPeer): CtTimeoutName {
  if ((s.flags & TCP_FLAG.SYN) !== 0 && src.state < TCPS.SYN_SENT) {
    src.state = TCPS.SYN_SENT;
  }
  if ((s.flags & TCP_FLAG.FIN) !== 0 && src.state < TCPS.CLOSING) {
    src.state = TCPS.CLOSING;
  }
  if ((s.flags & TCP_FLAG.ACK) !== 0) {
    if (dst.state === TCPS.SYN_SENT) {
      dst.state = TCPS.ESTABLISHED;
    } else if (dst.state === TCPS.CLOSING) {
      dst.state = TCPS.FIN_WAIT_2;
    }
  }
  if ((s.flags & TCP_FLAG.RST) !== 0) {
    src.state = TCPS.TIME_WAIT;
    dst.state = TCPS.TIME_WAIT;
  }
  const least = Math.min(src.state, dst.state);
  if (least >= TCPS.FIN_WAIT_2) {
    return "tcp_close";
  }
  if (least >= TCPS.CLOSING) {
    return "tcp_time_wait";
  }
  if (least < TCPS.ESTABLISHED) {
    return "tcp_syn_recv";
  }
  return Math.max(src.state, dst.state) >= TCPS.CLOSING ? "tcp_fin_wait" : "tcp_established";
}

export function tcpUpdate(conn: Conn, p: PacketBuf, reply: boolean, env: UpdateEnv): CtUpdate {
  const peers = conn.tcp;
  if (peers === null) {
    return "invalid";
  }
  const src = reply ? peers[1] : peers[0];
  const dst = reply ? peers[0] : peers[1];
  const s = readSegment(env.segment, p);
  if (flagsInvalid(s.flags)) {
    env.counters.inc("conntrack_invalid_tcp_flags");
    return "invalid";
  }
  if ((s.flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) === TCP_FLAG.SYN) {
    if (dst.state >= TCPS.FIN_WAIT_2 && src.state >= TCPS.FIN_WAIT_2) {
      src.state = TCPS.CLOSED;
      dst.state = TCPS.CLOSED;
      return "new";
    }
    if (src.state <= TCPS.SYN_SENT) {
      src.state = TCPS.SYN_SENT;
      env.expire(conn, "tcp_syn_sent");
      return "valid_new";
    }
  }
  useScales(s, src, dst);
  if (src.state < TCPS.SYN_SENT) {
    firstOfPeer(s, src, dst, p);
  }
  const resetAck = TCP_FLAG.ACK | TCP_FLAG.RST;
  if ((s.flags & TCP_FLAG.ACK) === 0 || (s.ack === 0 && (s.flags & resetAck) === resetAck)) {
    s.ack = dst.seqLo;
  }
  if (s.seq === s.end) {
    // Without data there is nothing to check.
    s.seq = src.seqLo;
    s.end = s.seq;
  }
  if (inWindow(s, src, dst) || conn.liberal || bypass(env)) {
    advance(s, src, dst);
    env.expire(conn, changeStates(s, src, dst));
    return "valid";
  }
  const opening = dst.state < TCPS.SYN_SENT;
  const closing = dst.state >= TCPS.FIN_WAIT_2 || src.state >= TCPS.FIN_WAIT_2;
  const near =
    diff((src.seqHi + MAX_ACK_WINDOW) >>> 0, s.end) >= 0 &&
    diff(s.seq, (src.seqLo - MAX_ACK_WINDOW) >>> 0) >= 0;
  if (!(opening || closing) || !near) {
    env.counters.inc("conntrack_tcp_seq_chk_failed");
    return "invalid";
  }
  advance(s, src, dst);
  if ((s.flags & TCP_FLAG.FIN) !== 0 && src.state < TCPS.CLOSING) {
    src.state = TCPS.CLOSING;
  }
  if ((s.flags & TCP_FLAG.RST) !== 0) {
    src.state = TCPS.TIME_WAIT;
    dst.state = TCPS.TIME_WAIT;
  }
  return "valid";
}

function bypass(env: UpdateEnv): boolean {
  if (!env.seqCheck) {
    env.counters.inc("conntrack_tcp_seq_chk_bypass");
  }
  return !env.seqCheck;
}
