// Fail-open: a bridge that has lost all its controllers for long forwards like a plain switch until
// one is back.
//
// "Long" is three times the longest time after which a silent controller is probed. Then all flows
// go, and one of the highest priority sends every packet to NORMAL; controllers do not see it. The
// packets that Open vSwitch makes up for a controller that is connected but not yet in charge are
// not sent: no such controller would notice here. Reference: ovs: ofproto/fail-open.c.

import { newMatch } from "../flow/match.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { Action } from "./actions/types.ts";
import type { ConnMgr } from "./connmgr.ts";
import type { Ofproto } from "./ofproto.ts";

/** Above the flows of in-band control and whatever OpenFlow can name. */
export const FAIL_OPEN_PRIORITY = 0xf0f0f0;
/** Probe intervals that have to pass: to ask, to be answered, to connect anew. */
const PROBES = 3;
/** Seconds between two reports that it is still so. */
const REPORT_S = 60;

const NORMAL: readonly Action[] = [{ kind: "output", port: OFPP.NORMAL, maxLen: 0 }];

export class FailOpen {
  readonly #ofproto: Ofproto;
  readonly #conns: ConnMgr;
  /** Seconds without controllers when that was last reported; 0: not failing open. */
  #reportedS = 0;
  #hasFlow = false;

  constructor(ofproto: Ofproto, conns: ConnMgr) {
    this.#ofproto = ofproto;
    this.#conns = conns;
  }

  get isActive(): boolean {
    return this.#reportedS !== 0;
  }

  /** Flows that are installed. */
  get nRules(): number {
    return this.#hasFlow ? 1 : 0;
  }

  get #triggerS(): number {
    return this.#conns.services.maxProbeIntervalS() * PROBES;
  }

  /** When `run` has something to do; reports that it is still so can wait for another reason. */
  wakeMs(): number {
    const { services } = this.#conns;
    return this.isActive ? Number.POSITIVE_INFINITY : services.failureMs(this.#triggerS);
  }

  run(nowMs: number): void {
    const { log } = this.#ofproto;
    const lostS = this.#conns.services.failureDurationS(nowMs);
    if (lostS <= 0 || lostS < this.#triggerS) {
      return;
    }
    if (!this.isActive) {
      const why =
        "Could not connect to controller (or switch failed controller's post-connection " +
        "admission control policy)";
      log.warn("fail_open", `${why} for ${lostS} seconds, failing open`);
      this.#reportedS = lostS;
      this.#ofproto.flush();
    } else if (lostS > this.#reportedS + REPORT_S) {
      const since = `${lostS} seconds disconnected from controller`;
      log.info("fail_open", `Still in fail-open mode after ${since}`);
      this.#reportedS = lostS;
    }
  }

  /** After the tables were emptied. */
  flushed(nowMs: number): void {
    this.#hasFlow = this.#conns.services.failureDurationS(nowMs) >= this.#triggerS;
    if (this.#hasFlow) {
      this.#ofproto.addFlow(newMatch(), FAIL_OPEN_PRIORITY, NORMAL);
    }
  }

  /** Ends it, because a controller is in charge or nobody waits for one any more. */
  recover(): void {
    if (this.isActive) {
      this.#ofproto.log.warn("fail_open", "No longer in fail-open mode");
      this.#reportedS = 0;
      this.#ofproto.deleteFlow(newMatch(), FAIL_OPEN_PRIORITY);
    }
  }
}
