// Rconn: a connection to a controller that is tried again and again.
//
// A machine of states over time without sockets: `Dial` opens a line, which later says that it is
// up or why it is not. Attempts pause for 1 s, then twice as long each time up to a maximum; a
// connection that lasted starts over. The time since a controller was last in charge decides when
// a bridge helps itself (fail-open.ts). Reference: ovs: lib/rconn.c.

import type { Vlog } from "../lib/vlog.ts";

/** Pause before the second attempt. */
export const BACKOFF_FIRST_MS = 1000;
/** Pause between attempts, at most, unless the database says otherwise. */
export const BACKOFF_LAST_MS = 8000;

/** What became of an attempt: nothing yet, the version agreed on, or an error. */
export type LineStatus =
  | { readonly kind: "waiting" }
  | { readonly kind: "up"; readonly version: number }
  | { readonly kind: "down"; readonly error: string };

/** One attempt to connect, or the connection. */
export interface Line {
  status(): LineStatus;
  close(): void;
}

/** Opens a line to a target such as "tcp:10.0.0.1:6653"; the text of an error if it cannot. */
export type Dial = (target: string, versions: number) => Line | string;

/** The peer has ended the connection. */
export const EOF = "End of file";

type State = "VOID" | "BACKOFF" | "CONNECTING" | "ACTIVE";

export interface RconnInit {
  readonly name: string;
  readonly target: string;
  readonly versions: number;
  readonly log: Vlog;
  readonly dial: Dial;
}

export class Rconn {
  readonly name: string;
  readonly target: string;
  state: State = "VOID";
  /** Why the last connection ended or did not come about. */
  lastError: string | null = null;
  lastConnectedMs: number | null = null;
  lastDisconnectedMs: number | null = null;
  /** Version of the last connection, -1 before the first. */
  version = -1;
  readonly #versions: number;
  readonly #log: Vlog;
  readonly #dial: Dial;
  #line: Line | null = null;
  #enteredMs: number;
  #backoffMs = 0;
  #backoffMaxMs = BACKOFF_LAST_MS;
  /** A connection that lasts until then makes the next pause short; Infinity: it cannot. */
  #backoffDeadlineMs = Number.NEGATIVE_INFINITY;
  readonly #createdMs: number;

  constructor(init: RconnInit, nowMs: number) {
    this.name = init.name;
    this.target = init.target;
    this.#versions = init.versions;
    this.#log = init.log;
    this.#dial = init.dial;
    this.#createdMs = nowMs;
    this.#enteredMs = nowMs;
    this.#reconnect(nowMs);
  }

  get isConnected(): boolean {
    return this.state === "ACTIVE";
  }

  /**
   * True if the controller is thought to be in charge. It would have to send something that only
   * who is in charge sends, which nobody does here; but a fresh machine counts as in charge, so one
   * that connects within its first millisecond stays so.
   */
  get isAdmitted(): boolean {
    return this.isConnected && this.#createdMs >= (this.lastConnectedMs ?? 0);
  }

  /** Since when the controller has not been in charge; null if it is. */
  get lostSinceMs(): number | null {
    return this.isAdmitted ? null : this.#createdMs;
  }

  /** Changes the longest pause; to be called while connected, as in Open vSwitch. */
  setMaxBackoff(seconds: number): void {
    this.#backoffMaxMs = 1000 * Math.max(1, seconds);
  }

  /** Gives up a connection and makes another. */
  reconnect(nowMs: number): void {
    if (this.isConnected) {
      this.#log.info("rconn", `${this.name}: disconnecting`);
      this.#disconnect(null, nowMs);
    }
  }

  close(): void {
    this.#line?.close();
    this.#line = null;
  }

  /** When `run` has something to do; Infinity if only the peer can change anything. */
  wakeMs(): number {
    if (this.state === "BACKOFF") {
      return this.#enteredMs + this.#backoffMs;
    }
    // A line that waits may have an answer with the next millisecond.
    return this.state === "CONNECTING" ? this.#enteredMs + 1 : Number.POSITIVE_INFINITY;
  }

  run(nowMs: number): void {
    const status = this.#line?.status();
    if (status?.kind === "down") {
      const { error } = status;
      if (error === EOF) {
        this.#log.info("rconn", `${this.name}: connection closed by peer`);
      } else {
        this.#log.warn("rconn", `${this.name}: connection dropped (${error})`);
      }
      this.#disconnect(error, nowMs);
    }
    if (this.state === "BACKOFF" && nowMs >= this.#enteredMs + this.#backoffMs) {
      this.#reconnect(nowMs);
    }
    if (this.state === "CONNECTING") {
      this.#runConnecting(nowMs);
    }
  }

  #runConnecting(nowMs: number): void {
    const status = this.#line?.status();
    if (status?.kind === "up") {
      this.#log.info("rconn", `${this.name}: connected`);
      this.#enter("ACTIVE", nowMs);
      this.version = status.version;
      this.lastConnectedMs = nowMs;
    } else if (nowMs >= this.#enteredMs + Math.max(BACKOFF_FIRST_MS, this.#backoffMs)) {
      if (this.#logsAttempts) {
        this.#log.info("rconn", `${this.name}: connection timed out`);
      }
      this.#backoffDeadlineMs = Number.POSITIVE_INFINITY;
      this.#disconnect("Connection timed out", nowMs);
    }
  }

  /** Attempts are logged until the pauses are as long as they can be. */
  get #logsAttempts(): boolean {
    return this.#backoffMs < this.#backoffMaxMs;
  }

  #reconnect(nowMs: number): void {
    if (this.#logsAttempts) {
      this.#log.info("rconn", `${this.name}: connecting...`);
    }
    const line = this.#dial(this.target, this.#versions);
    if (typeof line === "string") {
      this.#log.warn("rconn", `${this.name}: connection failed (${line})`);
      this.#backoffDeadlineMs = Number.POSITIVE_INFINITY;
      this.#disconnect(line, nowMs);
    } else {
      this.#line = line;
      this.#backoffDeadlineMs = nowMs + this.#backoffMs;
      this.#enter("CONNECTING", nowMs);
    }
  }

  #disconnect(error: string | null, nowMs: number): void {
    this.lastError = error;
    this.close();
    if (this.state === "CONNECTING" || this.state === "ACTIVE") {
      this.lastDisconnectedMs = nowMs;
    }
    if (nowMs >= this.#backoffDeadlineMs) {
      this.#backoffMs = BACKOFF_FIRST_MS;
    } else if (this.#backoffMs < this.#backoffMaxMs / 2) {
      this.#backoffMs = Math.max(BACKOFF_FIRST_MS, 2 * this.#backoffMs);
      const pause = `waiting ${Math.floor(this.#backoffMs / 1000)} seconds before reconnect`;
      this.#log.info("rconn", `${this.name}: ${pause}`);
    } else {
      if (this.#logsAttempts) {
        const text = "continuing to retry connections in the background but suppressing further";
        this.#log.info("rconn", `${this.name}: ${text} logging`);
      }
      this.#backoffMs = this.#backoffMaxMs;
    }
    this.#backoffDeadlineMs = nowMs + this.#backoffMs;
    this.#enter("BACKOFF", nowMs);
  }

  #enter(state: State, nowMs: number): void {
    this.#log.dbg("rconn", `${this.name}: entering ${state}`);
    this.state = state;
    this.#enteredMs = nowMs;
  }
}
