// The real ovs-vswitchd as a rival: its dummy ports take frames from stream sockets.
//
// A dummy interface with `options:pstream` listens on a Unix socket; a frame is sent as its length
// in two bytes and its bytes (ovs: lib/netdev-dummy.c). The daemon reads such a port piece by piece,
// one in a turn of its main loop, so that a frame costs it far more than its datapath alone would.

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { RealOvs } from "../tools/oracle/real-ovs.ts";

const POLL_MS = 20;
const WAIT_MS_MAX = 120_000;
/** Units of /proc/PID/stat a second. */
const TICKS = 100;
const UTIME_FIELD = 11;
/** Frames under way at a time. */
const WINDOW = 1000;

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

export class RivalDaemon {
  readonly ovs = new RealOvs();
  private readonly sockets = new Map<string, Socket>();

  async start(): Promise<void> {
    await this.ovs.start();
  }

  stop(): void {
    for (const s of this.sockets.values()) {
      s.destroy();
    }
    this.ovs.stop();
  }

  async run(...argv: readonly string[]): Promise<string> {
    const answer = await this.ovs.run(argv);
    if (answer.exit !== 0) {
      throw new Error(`${argv.join(" ")}: ${answer.stderr}`);
    }
    return answer.stdout;
  }

  /** Makes a port listen, and connects to it. */
  async plug(port: string): Promise<void> {
    const path = join(this.ovs.dir, `${port}.sock`);
    await this.run("ovs-vsctl", "set", "interface", port, `options:pstream=punix:${path}`);
    const socket = connect(path);
    socket.on("error", () => {});
    socket.resume();
    this.sockets.set(port, socket);
  }

  /** Sends the frames `times` times over; done when `to` has sent as many more as came in. */
  async send(port: string, to: string, frames: readonly Uint8Array[], times: number) {
    const socket = this.sockets.get(port);
    if (socket === undefined) {
      throw new Error(`${port} is not connected`);
    }
    const burst = streamOf(frames);
    const before = await this.sent(to);
    for (let i = 1; i <= times; i++) {
      socket.write(burst);
      // A window keeps frames from being lost in the device's queue.
      const least = before + i * frames.length - (i < times ? WINDOW : 0);
      for (let waited = 0; (await this.sent(to)) < least; waited += POLL_MS) {
        if (waited > WAIT_MS_MAX) {
          throw new Error("frames were lost");
        }
        await sleep(POLL_MS);
      }
    }
  }

  private async sent(port: string): Promise<number> {
    const text = await this.run("ovs-appctl", "dpctl/show", "-s");
    const at = text.indexOf(`: ${port} (`);
    return Number(/TX packets:(\d+)/.exec(at < 0 ? "" : text.slice(at))?.[1] ?? 0);
  }

  /** Processor time of all the daemon's threads, in seconds. */
  cpuSeconds(): number {
    const pid = readFileSync(join(this.ovs.dir, "ovs-vswitchd.pid"), "utf8").trim();
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[UTIME_FIELD]) + Number(fields[UTIME_FIELD + 1])) / TICKS;
  }
}

function streamOf(frames: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(frames.reduce((n, f) => n + 2 + f.length, 0));
  let at = 0;
  for (const f of frames) {
    out[at] = f.length >> 8;
    out[at + 1] = f.length & 0xff;
    out.set(f, at + 2);
    at += 2 + f.length;
  }
  return out;
}
