// The root of one switch: everything that ovs-vswitchd would hold hangs from a VSwitch object.
//
// There is no state outside of it, so that one process can hold many switches. Time, randomness
// and files come in as parameters; `run()` is one turn of the main loop and happens after each
// command and whenever the clock is moved.

import type { Clock, FileSystem, Rng } from "../lib/env.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { Database } from "../ovsdb/database.ts";
import { transact } from "../ovsdb/transaction.ts";
import { vswitchSchema } from "../ovsdb/vswitch-schema.ts";
import { Vlog } from "../lib/vlog.ts";

/** The version that this program re-implements. */
export const OVS_VERSION = "3.1.0";

export interface VSwitchEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly fs: FileSystem;
}

/**
 * Monotonic time that can be stopped and moved (ovs: lib/timeval.c). While it runs it follows its
 * source plus all the warps so far.
 */
export class SwitchClock implements Clock {
  private readonly source: Clock;
  private warpedMs = 0;
  private stoppedAt: number | undefined;

  constructor(source: Clock) {
    this.source = source;
  }

  nowMs(): number {
    return (this.stoppedAt ?? this.source.nowMs()) + this.warpedMs;
  }

  /** `time/stop`: from now on only `warp` moves the clock. */
  stop(): void {
    this.stoppedAt = this.source.nowMs();
  }

  /** Stopping and warping do not touch the time of day, as in OVS. */
  wallMs(): number {
    return this.source.wallMs();
  }

  get isStopped(): boolean {
    return this.stoppedAt !== undefined;
  }

  warp(ms: number): void {
    this.warpedMs += ms;
  }
}

export class VSwitch {
  readonly env: VSwitchEnv;
  readonly clock: SwitchClock;
  readonly rng: Rng;
  readonly fs: FileSystem;
  readonly log: Vlog;
  readonly db: Database;
  /** Where messages say that the log is. */
  logDir = "/var/log/openvswitch";
  /** Brings the bridges in line with the database; set by the layer that makes bridges. */
  private reconfigurer: (() => void) | undefined;
  /** What each turn of the main loop does, in order of registration. */
  private readonly runners: (() => void)[] = [];

  constructor(env: VSwitchEnv) {
    this.env = env;
    this.clock = new SwitchClock(env.clock);
    this.rng = env.rng;
    this.fs = env.fs;
    this.log = new Vlog(this.clock);
    this.db = new Database(vswitchSchema(), env.rng);
    transact(this.db, (txn) => txn.insert("Open_vSwitch"));
  }

  /** Appends log lines to a file from now on. */
  openLog(name: string): void {
    this.log.openFile(name, (line) => {
      this.fs.appendFile(name, encodeUtf8(line));
    });
  }

  /** `vlog/reopen`: starts the log file anew under its name. */
  reopenLog(): string {
    const name = this.log.logFile;
    if (name !== undefined) {
      this.openLog(name);
    }
    return "";
  }

  /** Makes the bridges what the database says. */
  reconfigure(): void {
    this.reconfigurer?.();
  }

  /** Adds something to do in each turn of the main loop. */
  onRun(runner: () => void): void {
    this.runners.push(runner);
  }

  /** One turn of the main loop: timers, expiry, reconfiguration. */
  run(): void {
    for (const runner of this.runners) {
      runner();
    }
  }
}
