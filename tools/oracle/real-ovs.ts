// A private Open vSwitch in dummy mode: its own database server and daemon in a directory of its
// own, commands run by the real tools, ovs-appctl's over one open unixctl socket.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Answer, Side } from "./side.ts";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const DAEMON = "/usr/sbin/ovs-vswitchd";
const DAEMON_KBYTES_MAX = 6_000_000;
const START_MS_MAX = 20_000;

/** True if the real thing can be started here. */
export function haveRealOvs(): boolean {
  return existsSync(SCHEMA) && existsSync(DAEMON);
}

export class RealOvs implements Side {
  readonly dir = mkdtempSync(join(tmpdir(), "tablewalk-oracle-"));
  private readonly daemons: ChildProcess[] = [];
  private readonly env: NodeJS.ProcessEnv;
  private socket: Socket | null = null;
  private received = "";
  private readonly waiting: ((reply: { result: string | null; error: string | null }) => void)[] =
    [];

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

  async run(argv: readonly string[], stdin = ""): Promise<Answer> {
    const [tool, ...args] = argv;
    if (tool === "ovs-appctl") {
      return this.appctl(args);
    }
    return this.exec(tool as string, args, stdin);
  }

  stop(): void {
    this.socket?.destroy();
    for (const d of this.daemons) {
      d.kill("SIGKILL");
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** One request on the open socket; the same texts that ovs-appctl prints. */
  private async appctl(args: readonly string[]): Promise<Answer> {
    const [method, ...params] = args;
    this.socket ??= this.connect();
    const reply = await new Promise<{ result: string | null; error: string | null }>((done) => {
      this.waiting.push(done);
      this.socket?.write(JSON.stringify({ id: 0, method, params }));
    });
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

  private connect(): Socket {
    const socket = createConnection(join(this.dir, this.controlPath() ?? ""));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.receive(chunk));
    socket.on("close", () => {
      for (const done of this.waiting.splice(0)) {
        done({ result: null, error: "the daemon is gone" });
      }
      this.socket = null;
    });
    return socket;
  }

  /** Replies follow each other without a separator; each is one JSON object. */
  private receive(chunk: string): void {
    this.received += chunk;
    try {
      const reply = JSON.parse(this.received) as { result: string | null; error: string | null };
      this.received = "";
      this.waiting.shift()?.(reply);
    } catch {
      // Not whole yet: the next chunk completes it.
    }
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
