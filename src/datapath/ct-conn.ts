// Conn: one connection, and what each protocol remembers of it.
//
// ovs: lib/conntrack-private.h struct conn, struct conn_tcp.

import { ConnKey } from "./ct-key.ts";
import { NO_SLOT } from "./ct-table.ts";

/** What translation is done to a connection (ovs: enum nat_action_e). */
export const NAT_ACTION = { SRC: 1, SRC_PORT: 2, DST: 4, DST_PORT: 8 } as const;

/** A connection that no limit of a zone let in. */
export const INVALID_ZONE = -2;

/** One end of a TCP connection. */
export interface TcpPeer {
  /** Largest sequence number sent, and the largest that the other end allows. */
  seqLo: number;
  seqHi: number;
  maxWin: number;
  wscale: number;
  /** Index in TCP_STATES. */
  state: number;
}

/** The label of connections without one; nobody writes to it. */
const NO_LABEL = new Uint32Array(4);

export class Conn {
  // What every packet looks at comes first, and lies together.
  expirationMs = 0;
  /** Other protocols than TCP: how far they have got (ct-proto.ts). */
  state = 0;
  /** TCP: the initiator, then the other. */
  tcp: readonly [TcpPeer, TcpPeer] | null = null;
  /** Timeout policy; 0 is the default one. */
  tpId = 0;
  algRelated = false;
  natAction = 0;
  /** Where it is in the table, by its own key and by that of its translated replies. */
  slot = NO_SLOT;
  natSlot = NO_SLOT;
  /** The connection that announced this one, if algRelated. */
  parentKey: ConnKey | null = null;
  alg: string | null = null;
  mark = 0;
  private words = NO_LABEL;
  readonly key = new ConnKey();
  readonly revKey = new ConnKey();
  /** Which of the tracker's lists it is swept with. */
  sweepList = 0;
  /** It is no longer in the table. */
  reclaimed = false;
  /** Bytes by which an FTP helper made the stream longer, and in which direction. */
  seqSkew = 0;
  seqSkewReply = false;
  /** The zone, or -1 for the default, whose limit counts this connection. */
  admitZone = INVALID_ZONE;
  zoneLimitSeq = 0;
  /** Sequence numbers are not checked. */
  liberal = false;

  /** Four words, most significant first. */
  get label(): Readonly<Uint32Array> {
    return this.words;
  }

  setLabel(words: ArrayLike<number>): void {
    if (this.words === NO_LABEL) {
      this.words = new Uint32Array(4);
    }
    this.words.set(words);
  }

  /** The reply's key is just the own one the other way round, and the packets' tuple is its own. */
  get isPlain(): boolean {
    return this.natSlot === NO_SLOT && this.parentKey === null;
  }

  /** Takes over what a translation tried out on a copy. */
  setRevKey(key: ConnKey): void {
    this.revKey.copyFrom(key);
  }
}
