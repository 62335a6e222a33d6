// The world of a switch on a real machine: its clocks, randomness of its own, its files.

import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { type Clock, type FileSystem, SeededRng } from "../lib/env.ts";
import type { VSwitchEnv } from "../vswitch/vswitch.ts";

/** The machine's clocks. */
export const MACHINE_CLOCK: Clock = {
  nowMs: () => Math.floor(performance.now()),
  wallMs: () => Date.now(),
};

/** An environment with the machine's clocks and a seed that differs each time. */
export function machineEnv(fs: FileSystem): VSwitchEnv {
  return {
    clock: MACHINE_CLOCK,
    rng: new SeededRng(randomBytes(4).readUInt32LE(0)),
    fs,
  };
}
