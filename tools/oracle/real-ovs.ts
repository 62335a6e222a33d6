// A private Open vSwitch in dummy mode: its own database server and daemon in a directory of its
// own, commands run by the real tools, ovs-appctl's over one open unixctl socket.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Answer,
  CLOCK_PHASE_MS,
  packetsOf,
  SETTLE_ROUNDS,
  SETTLE_WARP_MS,
  type Side,
} from "./side.ts";
import { Unixctl } from "./unixctl.ts";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const DAEMON = "/usr/sbin/ovs-vswitchd";
const DAEMON_KBYTES_MAX = 6_000_000;
const START_MS_MAX = 20_000;
const CLOCK_ERROR_MS_MAX = 4;
/** What the monotonic clock of the machine shows when performance.now() is 0, negated. */
const MONOTONIC_ZERO_MS = performance.now() - Number(process.hrtime.bigint()) / 1e6;
/** Time for the end of the daemon to become known after its last answer. */
const CRASH_MS = 100;
const TURN_MS = 2;
/** Ports that are down never count a frame. */
const FRAME_POLLS_MAX = 20;

/** True if the real thing can be started here. */
export function haveRealOvs(): boolean {
  return existsSync(SCHEMA) && existsSync(DAEMON);
}

export class RealOvs implements Side {
  readonly dir = mkdtempSync(join(tmpdir(), "tablewalk-oracle-"));
  private readonly daemons: ChildProcess[] = [];
  private readonly env: NodeJS.ProcessEnv;
  private control: Unixctl | null = null;
  /** A second connection: it moves the clock while the first one waits for the revalidators. */
  private clock: Unixctl | null = null;
  private readonly seen = new Map<string, number>();
  private logRead = 0;
  private monitor: ChildProcess | null = null;
  private monitorText = "";

  constructor() {
    const where = { OVS_RUNDIR: this.dir, OVS_LOGDIR: this.dir, OVS_DBDIR: this.dir };
    this.env = { ...process.env, ...where, OVS_SYSCONFDIR: this.dir, TZ: "UTC", LC_ALL: "C" };
  }

  async start(): Promise<void> {
    await this.must("ovsdb-tool", "create", "conf.db", SCHEMA);
    const quiet = ["--no-chdir", "--pidfile", "--log-file", "-vconsole:off", "-vsyslog:off"];
    this.daemon("ovsdb-server", [...quiet, "--remote=punix:db.sock", "conf.db"]);
    await this.wait(() => existsSync(join(this.dir, "db.sock")));
    await this.must("ovs-vsctl", "--no-wait", "--retry", "init");
    const dummy = ["--enable-dummy=system", "--disable-system", "--disable-system-route"];
    // A limit on memory, so that a table that sends packets round and round ends the daemon alone.
    const limited = `ulimit -v ${DAEMON_KBYTES_MAX}; exec "$0" "$@"`;
    this.daemon("sh", ["-c", limited, DAEMON, ...dummy, ...quiet]);
    await this.wait(() => this.controlPath() !== undefined);
    await this.must("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:ready=1");
  }

  logged(): string {
    const log = readFileSync(join(this.dir, "ovs-vswitchd.log"));
    const text = log.subarray(this.logRead).toString("utf8");
    this.logRead = log.length;
    return text;
  }

  /** True if the daemon has ended by itself: it crashes on some input. */
  async hasCrashed(): Promise<boolean> {
    await new Promise((done) => setTimeout(done, CRASH_MS));
    return this.daemons.some((d) => d.exitCode !== null || d.signalCode !== null);
  }

  async run(argv: readonly string[], stdin = ""): Promise<Answer> {
    const [tool, ...args] = argv;
    if (tool === "ovs-appctl") {
      return this.appctl(args);
    }
    return this.exec(tool as string, args, stdin);
  }

  /**
   * Runs a shell script beside the switch, both outputs as one text. A packet that a port was
   * handed is through when the daemon answers the next request: ovs-pcap asks before it reads.
   */
  script(path: string): Promise<Answer> {
    const patient = `ovs-pcap() { ovs-appctl version > /dev/null; command ovs-pcap "$@"; }`;
    const env = { ...this.env };
    return new Promise((done) => {
      const child = execFile("bash", ["-c", `${patient}; exec 2>&1; . "$0"`, path], { env });
      let stdout = "";
      child.stdout?.on("data", (chunk: string) => {
        stdout += chunk;
      });
      child.on("close", (code) => done({ exit: code ?? 1, stdout, stderr: "" }));
    });
  }

  stop(): void {
    this.control?.close();
    this.clock?.close();
    this.monitor?.kill("SIGKILL");
    for (const d of this.daemons) {
      d.kill("SIGKILL");
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /**
   * Node's monotonic clock is the one that Open vSwitch stops; asked again, it stops it at that time
   * instead. A quick answer tells the time to a few milliseconds.
   */
  async stopClock(): Promise<void> {
    let [before, after] = [0, CLOCK_ERROR_MS_MAX + 1];
    while (after - before > CLOCK_ERROR_MS_MAX) {
      before = performance.now() - MONOTONIC_ZERO_MS;
      await this.appctl(["time/stop"]);
      after = performance.now() - MONOTONIC_ZERO_MS;
    }
    const ms = 2000 + CLOCK_PHASE_MS - Math.floor(((before + after) / 2) % 1000);
    await this.appctl(["time/warp", `${ms}`]);
    await this.appctl(["version"]);
  }

  /**
   * Open vSwitch answers before it has processed the frame, and it may take several requests in one
   * turn of its main loop; a frame that has been counted has been processed.
   */
  async frame(port: string, hex: string): Promise<Answer> {
    const before = await this.framesReceived(port);
    const answer = await this.appctl(["netdev-dummy/receive", port, hex]);
    for (let i = 0; answer.exit === 0 && i < FRAME_POLLS_MAX; i++) {
      if ((await this.framesReceived(port)) !== before) {
        break;
      }
    }
    return answer;
  }

  private async framesReceived(port: string): Promise<string> {
    const { stdout } = await this.appctl(["dpctl/show", "-s"]);
    const at = stdout.indexOf(`: ${port} (`);
    return /RX packets:(\d+)/.exec(at < 0 ? "" : stdout.slice(at))?.[1] ?? "";
  }

  /** A second round, since the first may end with a dump that had begun before the last change. */
  async settle(): Promise<void> {
    // A turn of the main loop before the clock moves.
    await new Promise((done) => setTimeout(done, TURN_MS));
    await this.appctl(["version"]);
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      await this.warp(SETTLE_WARP_MS);
    }
    await this.appctl(["version"]);
  }

  /**
   * The revalidators wake up when the clock moves, so that one need not wait for their timer; and
   * the answer of the one who waits for them comes a turn of the main loop later, so that no second
   * move of the clock is met by the same turn.
   */
  async warp(ms: number): Promise<void> {
    this.clock ??= this.connect();
    const waited = this.appctl(["revalidator/wait"]);
    await this.clock.ask("time/warp", [`${ms}`]);
    await waited;
  }

  async watch(argv: readonly string[]): Promise<void> {
    const [tool = "", ...args] = argv;
    const stdio = ["ignore", "ignore", "pipe"] as const;
    const child = spawn(tool, args, { cwd: this.dir, env: this.env, stdio: [...stdio] });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.monitorText += chunk.toString("utf8");
    });
    this.monitor = child;
    // It listens to commands when it is connected.
    await this.wait(() => existsSync(join(this.dir, `${tool}.${child.pid}.ctl`)));
  }

  watched(): string {
    const text = this.monitorText;
    this.monitorText = "";
    return text;
  }

  captured(file: string): string[] {
    const path = join(this.dir, file);
    const bytes = existsSync(path) ? readFileSync(path) : new Uint8Array(0);
    const { packets, end } = packetsOf(bytes, this.seen.get(file) ?? 0);
    this.seen.set(file, end);
    return packets;
  }

  /** One request on the open socket; the same texts that ovs-appctl prints. */
  private async appctl(args: readonly string[]): Promise<Answer> {
    const [method = "", ...params] = args;
    this.control ??= this.connect();
    const reply = await this.control.ask(method, params);
    const text = reply.error ?? reply.result ?? "";
    const line = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    return reply.error === null
      ? { exit: 0, stdout: line, stderr: "" }
      : {
          exit: 2,
          stdout: "",
          stderr: `${line}ovs-appctl: ovs-vswitchd: server returned an error\n`,
        };
  }

  private connect(): Unixctl {
    return new Unixctl(join(this.dir, this.controlPath() ?? ""));
  }

  private controlPath(): string | undefined {
    return readdirSync(this.dir).find((n) => /^ovs-vswitchd\.\d+\.ctl$/.test(n));
  }

  private daemon(program: string, args: readonly string[]): void {
    this.daemons.push(spawn(program, args, { cwd: this.dir, env: this.env, stdio: "ignore" }));
  }

  private exec(program: string, args: readonly string[], stdin: string): Promise<Answer> {
    return new Promise((done) => {
      const options = { cwd: this.dir, env: this.env, maxBuffer: 1 << 28 };
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        const exit = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        done({ exit, stdout, stderr });
      });
      child.stdin?.on("error", () => {
        // A tool that ends without reading its input closes the pipe.
      });
      child.stdin?.end(stdin);
    });
  }

  private async must(program: string, ...args: string[]): Promise<void> {
    const answer = await this.exec(program, args, "");
    if (answer.exit !== 0) {
      throw new Error(`${program} ${args.join(" ")}: ${answer.stderr}`);
    }
  }

  private async wait(ready: () => boolean): Promise<void> {
    for (const end = Date.now() + START_MS_MAX; !ready(); ) {
      if (Date.now() > end) {
        throw new Error("Open vSwitch did not start");
      }
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}
