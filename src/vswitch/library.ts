// The switch for programs: a switch of one's own with files in memory, a clock that only moves when
// told, and the same random numbers each time, so that a program does the same whenever it runs.

import { ManualClock, MemoryFileSystem, type Rng, SeededRng } from "../lib/env.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { JsonTrace } from "../openflow/trace-json.ts";
import { CableHost } from "./cable-host.ts";
import type { Reply } from "./command.ts";
import { runCommandLine } from "./commands.ts";
import { VSwitch } from "./vswitch.ts";
import { splitWords } from "./words.ts";

export interface SwitchOptions {
  /** Numbers that the switch takes instead of random ones; by default always the same. */
  readonly rng?: Rng;
  /** Time of day when the clock stands at zero, in milliseconds since 1970. */
  readonly startMs?: number;
}

/** A command line that failed, with all that it said. */
export class CommandError extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(reply.stderr.trim() === "" ? `exit status ${reply.exit}` : reply.stderr.trim());
    this.name = "CommandError";
    this.reply = reply;
  }
}

export interface TraceOptions {
  /** A packet instead of the flow's fields: the trace then has the effects of the packet. */
  readonly packet?: Uint8Array;
  /** Makes a packet with the flow's fields. */
  readonly generate?: boolean;
  /** Connection states to assume at each recirculation, such as "trk,est". */
  readonly ctNext?: readonly string[];
  /** Shows ports by name. */
  readonly names?: boolean;
}

export interface Trace {
  /** What `ovs-appctl ofproto/trace` prints. */
  readonly text: string;
  /** The same as data: the tree of tables and actions of each pass. */
  readonly tree: JsonTrace;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function isTrace(json: unknown): json is JsonTrace {
  return typeof json === "object" && json !== null && "steps" in json;
}

/** One switch. Many can live side by side; they share nothing. */
export class Switch {
  /** All that the switch holds: bridges, database, datapaths. */
  readonly vs: VSwitch;
  /** Files that commands read, such as `ovs-ofctl add-flows br0 flows.txt`. */
  readonly files: MemoryFileSystem;
  private readonly clock: ManualClock;
  private readonly hosts = new Map<string, CableHost>();

  constructor(options: SwitchOptions = {}) {
    this.clock = new ManualClock(0, options.startMs ?? 0);
    this.files = new MemoryFileSystem();
    this.vs = new VSwitch({
      clock: this.clock,
      rng: options.rng ?? new SeededRng(1),
      fs: this.files,
    });
  }

  /** Answers a command line of ovs-vsctl, ovs-ofctl or ovs-appctl, whatever comes of it. */
  reply(command: string | readonly string[], stdin = ""): Reply {
    const argv = typeof command === "string" ? splitWords(command) : command;
    return runCommandLine(this.vs, argv, stdin);
  }

  /** What a command line prints; throws CommandError if it fails. */
  run(command: string | readonly string[], stdin = ""): string {
    const reply = this.reply(command, stdin);
    if (reply.exit !== 0) {
      throw new CommandError(reply);
    }
    return reply.stdout;
  }

  /** Adds flows, one a line, as `ovs-ofctl add-flows` takes them. */
  addFlows(bridge: string, flows: string): void {
    this.run(["ovs-ofctl", "add-flows", bridge, "-"], flows);
  }

  writeFile(name: string, text: string): void {
    this.files.writeFile(name, encodeUtf8(text));
  }

  /** Traces a packet through the tables of a bridge. */
  trace(bridge: string, flow: string, options: TraceOptions = {}): Trace {
    const argv = ["ovs-appctl", "ofproto/trace", bridge, flow];
    for (const state of options.ctNext ?? []) {
      argv.push("--ct-next", state);
    }
    if (options.names === true) {
      argv.push("--names");
    }
    if (options.packet !== undefined) {
      argv.push(hex(options.packet));
    } else if (options.generate === true) {
      argv.push("-generate");
    }
    const reply = this.reply(argv);
    if (reply.exit !== 0 || !isTrace(reply.json)) {
      throw new CommandError(reply);
    }
    return { text: reply.stdout, tree: reply.json };
  }

  /**
   * The host at the cable of a port, the same each time: it sends frames and keeps what it gets.
   * Throws if there is no such port, or one without a cable (patch, tunnel).
   */
  host(port: string): CableHost {
    const netdev = this.vs.devices.get(port)?.netdev;
    if (netdev === undefined || netdev === null) {
      throw new Error(`no device ${port} that carries packets`);
    }
    let host = this.hosts.get(port);
    if (host === undefined) {
      host = new CableHost(port, () => this.turn());
      this.hosts.set(port, host);
    }
    netdev.cable = host.end;
    return host;
  }

  /** Lets time pass: timeouts happen, addresses age. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.turn();
  }

  private turn(): void {
    this.vs.catchUp();
    this.vs.run();
  }
}
