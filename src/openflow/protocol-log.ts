// How a protocol of the switch logs: a level, a text, and for what may come often a limit.

import type { LogLevel } from "../lib/vlog.ts";

export interface LogLimit {
  /** Messages with the same name share the limit. */
  readonly name: string;
  /** So many a minute, so many at once. */
  readonly rate: number;
  readonly burst: number;
}

/** A text that takes time to write may be given as a function, asked only if it is shown. */
export type ProtocolLog = (
  level: LogLevel,
  text: string | (() => string),
  limit?: LogLimit,
) => void;
