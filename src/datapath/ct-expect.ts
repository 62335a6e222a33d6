// Expectations: connections that a helper has heard announced on a control connection.
//
// The first packet of an expected connection makes it "related" and inherits mark, label and
// translation of its parent. The source port of an expectation is open, hence 0 in its key.
// (ovs: lib/conntrack.c expectation_create, expectation_lookup, expectation_clean)

import { type Conn, NAT_ACTION } from "./ct-conn.ts";
import { ConnKey, DST, SRC } from "./ct-key.ts";

/** Announced connections at a time; later ones are not expected. */
export const EXPECTATIONS_MAX = 65536;

export interface Expectation {
  readonly key: ConnKey;
  readonly parentKey: ConnKey;
  readonly parentMark: number;
  readonly parentLabel: Uint32Array;
  /** What replaces the destination (or else the source) of replies. */
  readonly replyAddr: Uint32Array;
  readonly replacesReplyDst: boolean;
}

function textOf(key: ConnKey): string {
  const { addr, dstPort, dlType, zone, proto } = key;
  return `${addr.join()} ${key.srcIcmp} ${key.dstIcmp} ${dstPort} ${dlType} ${zone} ${proto}`;
}

/** The four words of an address of a key. */
function address(key: ConnKey, at: number): Uint32Array {
  return key.addr.slice(at, at + 4);
}

/** What the replies of an expected connection must be translated to. */
function replyAddress(parent: Conn, reply: boolean): { addr: Uint32Array; dst: boolean } {
  const byDst = (parent.natAction & NAT_ACTION.DST) !== 0;
  if (reply) {
    return { addr: address(parent.revKey, byDst ? SRC : DST), dst: !byDst };
  }
  return { addr: address(parent.key, byDst ? DST : SRC), dst: byDst };
}

export class Expectations {
  private readonly byKey = new Map<string, Expectation>();
  /** Announcements that were too many. */
  refused = 0;

  get size(): number {
    return this.byKey.size;
  }

  /** Expects a connection to `dstPort`; `reply` says that the announcement was a reply. */
  expect(dstPort: number, parent: Conn, reply: boolean): void {
    const like = reply ? parent.key : parent.revKey;
    const key = new ConnKey();
    key.addr.set(like.addr);
    key.dlType = parent.key.dlType;
    key.proto = parent.key.proto;
    key.zone = parent.key.zone;
    key.dstPort = dstPort;
    const text = textOf(key);
    if (this.byKey.has(text)) {
      return;
    }
    if (this.byKey.size >= EXPECTATIONS_MAX) {
      this.refused++;
      return;
    }
    const to = replyAddress(parent, reply);
    this.byKey.set(text, {
      key,
      parentKey: parent.key.clone(),
      parentMark: parent.mark,
      parentLabel: parent.label.slice(),
      replyAddr: to.addr,
      replacesReplyDst: to.dst,
    });
  }

  /** The expectation that a packet of this key fulfils. */
  find(key: ConnKey): Expectation | null {
    return this.byKey.size === 0 ? null : (this.byKey.get(textOf(key)) ?? null);
  }

  /** Forgets what a connection has announced. */
  forget(parent: ConnKey): void {
    for (const [text, e] of this.byKey) {
      if (e.parentKey.equals(parent)) {
        this.byKey.delete(text);
      }
    }
  }
}
