// Our side of a differential run: a switch in this process, its files in memory.

import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import type { Background } from "../../src/vswitch/command.ts";
import { runCommandLine, startCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import {
  type Answer,
  CLOCK_PHASE_MS,
  packetsOf,
  SETTLE_ROUNDS,
  SETTLE_WARP_MS,
  type Side,
} from "./side.ts";

const PCAP_HEADER_BYTES = 24;

export class OurSwitch implements Side {
  private readonly fs = new MemoryFileSystem();
  private readonly vs: VSwitch;
  readonly dir = "/run/openvswitch";
  private log: string[] = [];
  private monitor: Background | null = null;
  private monitorRead = 0;

  constructor() {
    const clock = new ManualClock(1_000_000 + CLOCK_PHASE_MS);
    const env = { clock, rng: new SeededRng(1), fs: this.fs, rundir: this.dir };
    this.vs = new VSwitch(env);
  }

  logged(): string {
    if (!this.vs.log.isOpen) {
      this.vs.log.openFile("ovs-vswitchd.log", (line) => this.log.push(line));
    }
    const text = this.log.join("");
    this.log = [];
    return text;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  run(argv: readonly string[], stdin = ""): Promise<Answer> {
    const { exit, stdout, stderr } = runCommandLine(this.vs, argv, stdin);
    return Promise.resolve({ exit, stdout, stderr });
  }

  async stopClock(): Promise<void> {
    await this.run(["ovs-appctl", "time/stop"]);
  }

  frame(port: string, hex: string): Promise<Answer> {
    return this.run(["ovs-appctl", "netdev-dummy/receive", port, hex]);
  }

  async settle(): Promise<void> {
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      await this.warp(SETTLE_WARP_MS);
    }
  }

  async warp(ms: number): Promise<void> {
    await this.run(["ovs-appctl", "time/warp", `${ms}`]);
    await this.run(["ovs-appctl", "revalidator/wait"]);
  }

  watch(argv: readonly string[]): Promise<void> {
    const started = startCommandLine(this.vs, argv);
    this.monitor = "read" in started ? started : null;
    return Promise.resolve();
  }

  watched(): string {
    const text = this.monitor?.read().stderr ?? "";
    const news = text.slice(this.monitorRead);
    this.monitorRead = text.length;
    return news;
  }

  captured(file: string): string[] {
    const bytes = this.fs.files.get(file) ?? new Uint8Array(0);
    // Only the header of the file stays: what has been asked for is not kept.
    this.fs.files.set(file, bytes.slice(0, PCAP_HEADER_BYTES));
    return packetsOf(bytes, PCAP_HEADER_BYTES).packets;
  }

  stop(): void {
    // Nothing outlives this process.
  }
}
