// A connection to a daemon's unixctl socket: JSON-RPC requests, answered in their order.

import { createConnection, type Socket } from "node:net";

export interface UnixctlReply {
  readonly result: string | null;
  readonly error: string | null;
}

export class Unixctl {
  private readonly socket: Socket;
  private received = "";
  private gone = false;
  private readonly waiting: ((reply: UnixctlReply) => void)[] = [];

  constructor(path: string) {
    this.socket = createConnection(path);
    this.socket.setEncoding("utf8");
    this.socket.on("data", (chunk: string) => this.receive(chunk));
    // The end of the daemon is told by the answers; "close" follows an error.
    this.socket.on("error", () => {
      this.gone = true;
    });
    this.socket.on("close", () => this.end());
  }

  ask(method: string, params: readonly string[]): Promise<UnixctlReply> {
    return new Promise((done) => {
      this.waiting.push(done);
      if (this.gone) {
        this.end();
      } else {
        this.socket.write(JSON.stringify({ id: 0, method, params }));
      }
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private end(): void {
    this.gone = true;
    for (const done of this.waiting.splice(0)) {
      done({ result: null, error: "the daemon is gone" });
    }
  }

  /** Replies follow each other without a separator; each is one JSON object. */
  private receive(chunk: string): void {
    this.received += chunk;
    try {
      const reply = JSON.parse(this.received) as UnixctlReply;
      this.received = "";
      this.waiting.shift()?.(reply);
    } catch {
      // Not whole yet: the next chunk completes it.
    }
  }
}
