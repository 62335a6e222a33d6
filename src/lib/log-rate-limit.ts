// Rate limits of log messages: tokens in a bucket, so many a minute and so many at once.
//
// ovs: lib/vlog.c vlog_should_drop, lib/token-bucket.c.

/** Tokens that one message costs in a rate limit; a limit gains RATE tokens a millisecond. */
const MSG_TOKENS = 60_000;

/** At most `rate` messages a minute with bursts of `burst`, for messages of one place. */
export class LogRateLimit {
  readonly rate: number;
  readonly burst: number;
  tokens = 0;
  lastFillMs = Number.NEGATIVE_INFINITY;
  dropped = 0;
  firstDroppedS = 0;
  lastDroppedS = 0;

  constructor(rate: number, burst: number) {
    this.rate = rate;
    this.burst = burst * MSG_TOKENS;
  }

  /** True if a message may pass now. */
  withdraw(nowMs: number): boolean {
    if (this.tokens < MSG_TOKENS && nowMs > this.lastFillMs) {
      const elapsed = nowMs - this.lastFillMs;
      this.tokens = Math.min(this.burst, this.tokens + elapsed * this.rate);
      this.lastFillMs = nowMs;
    }
    if (this.tokens < MSG_TOKENS) {
      return false;
    }
    this.tokens -= MSG_TOKENS;
    return true;
  }
}

/** A limit by its name, with what it is made of when it is first used. */
export interface RateLimit {
  readonly name: string;
  readonly rate: number;
  readonly burst: number;
}
