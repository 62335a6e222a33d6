// Our side of a differential run: a switch in this process, its files in memory.

import type { FileSystem } from "../../src/lib/env.ts";
import { ManualClock, SeededRng } from "../../src/lib/env.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import type { Answer, Side } from "./side.ts";

export class OurSwitch implements Side {
  private readonly vs: VSwitch;

  constructor(fs: FileSystem) {
    this.vs = new VSwitch({ clock: new ManualClock(1_000_000), rng: new SeededRng(1), fs });
  }

  run(argv: readonly string[], stdin = ""): Promise<Answer> {
    const { exit, stdout, stderr } = runCommandLine(this.vs, argv, stdin);
    return Promise.resolve({ exit, stdout, stderr });
  }

  stop(): void {
    // Nothing outlives this process.
  }
}
