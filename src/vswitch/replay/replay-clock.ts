// The clock of a replay: time passes as the captures say, and the switch takes its turns on the way.
//
// ovs-vswitchd goes through its megaflows every half second at the latest, and that is when flows
// expire, addresses age and counters reach the tables; so the switch has a turn at each multiple of
// that, and whenever one of its protocols has something to do. A long silence is walked through in
// ever longer steps: nothing happens in it but that things grow old.
// ovs: ofproto/ofproto-dpif-upcall.c udpif_revalidator.

import type { ManualClock } from "../../lib/env.ts";
import { DUMP_INTERVAL_MS } from "../upcall.ts";
import type { VSwitch } from "../vswitch.ts";

/** Turns of the usual length in a row without a packet, and the most in one silence. */
export const SILENT_TURNS_USUAL = 120;
export const SILENT_TURNS_MAX = 160;

export class ReplayClock {
  /** Called before a turn in between packets, with its time. */
  onTurn: (nowMs: number) => void = () => {};
  private readonly vs: VSwitch;
  private readonly source: ManualClock;
  private nextTurnMs: number;
  private nextWakeMs: number;

  /** `source` is the clock that the switch was made with. */
  constructor(vs: VSwitch, source: ManualClock) {
    this.vs = vs;
    this.source = source;
    vs.clock.start();
    this.nextTurnMs = vs.clock.nowMs() + DUMP_INTERVAL_MS;
    this.nextWakeMs = vs.nextWakeMs();
  }

  get nowMs(): number {
    return this.source.nowMs();
  }

  /** Moves on; a time in the past is the present. */
  advanceTo(ms: number): void {
    for (let i = 0; Math.min(this.nextTurnMs, this.nextWakeMs) <= ms; i++) {
      this.turnAt(Math.min(this.nextTurnMs, this.nextWakeMs), ms, i);
    }
    this.source.advanceTo(ms);
  }

  private turnAt(atMs: number, untilMs: number, before: number): void {
    this.source.advanceTo(atMs);
    this.onTurn(atMs);
    this.vs.run();
    if (atMs >= this.nextTurnMs) {
      this.nextTurnMs = atMs + step(before, untilMs - atMs);
    }
    // Who wants to be woken at once has had a turn and waits for the next millisecond.
    const soonestMs = atMs + (before < SILENT_TURNS_USUAL ? 1 : DUMP_INTERVAL_MS);
    this.nextWakeMs = Math.max(this.vs.nextWakeMs(), soonestMs);
  }
}

/** How long until the next turn, after so many in this silence, which lasts so much longer. */
function step(before: number, leftMs: number): number {
  if (before < SILENT_TURNS_USUAL) {
    return DUMP_INTERVAL_MS;
  }
  const rest = Math.max(1, SILENT_TURNS_MAX - before);
  return Math.max(DUMP_INTERVAL_MS, Math.floor(leftMs / rest));
}
