// The lists in which expired connections are looked for.
//
// Connections are spread over lists, and swept list by list, so that no pass takes long however many
// there are. A packet does not move its connection: only its time of expiry, which the sweep looks
// at, changes. (ovs: lib/conntrack.c conntrack_clean, ct_sweep)

import type { Conn } from "./ct-conn.ts";

/** New connections go to each list in turn. */
const SWEEP_LISTS = 128;

export class SweepLists {
  private readonly lists = Array.from({ length: SWEEP_LISTS }, () => new Set<Conn>());
  private nextList = 0;
  private nextSweep = 0;

  add(conn: Conn): void {
    conn.sweepList = this.nextList;
    this.lists[conn.sweepList]?.add(conn);
    this.nextList = (this.nextList + 1) % SWEEP_LISTS;
  }

  delete(conn: Conn): void {
    this.lists[conn.sweepList]?.delete(conn);
  }

  /**
   * Takes expired connections away. A pass ends behind the list with which it has seen `enough`
   * connections, and the next one begins at once with the same list: one that is too long in itself
   * is as far as a sweep comes.
   */
  sweep(nowMs: number, enough: number, clean: (conn: Conn) => void): void {
    let seen = 0;
    let i = this.nextSweep;
    for (; i < SWEEP_LISTS; i++) {
      const list = this.lists[i] as Set<Conn>;
      seen += list.size;
      for (const conn of list) {
        if (nowMs >= conn.expirationMs) {
          clean(conn);
        }
      }
      if (seen > enough) {
        seen = list.size;
        if (seen > enough) {
          break;
        }
      }
    }
    this.nextSweep = i < SWEEP_LISTS ? i : 0;
  }
}
