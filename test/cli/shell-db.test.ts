// `tablewalk shell --db`: killed at any time, it keeps what it has acknowledged.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { lockDatabase } from "../../src/cli/db-lock.ts";

const dir = mkdtempSync(join(tmpdir(), "tablewalk-shell-db-"));
/** The program in one file, which starts faster. */
const PROGRAM = join(dir, "tablewalk.mjs");
const running = new Set<Shell>();

beforeAll(() => {
  execFileSync(process.execPath, ["tools/bundle.mjs", PROGRAM]);
}, 60_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

afterEach(() => {
  for (const shell of running) {
    shell.kill();
  }
});

interface Answer {
  readonly exit?: number;
  readonly stdout?: string;
}

/** A shell in a process of its own. */
class Shell {
  private readonly child;
  private readonly waiting: ((a: Answer) => void)[] = [];
  private received = "";
  readonly over: Promise<number | null>;
  stderr = "";

  constructor(db: string) {
    this.child = spawn(process.execPath, [PROGRAM, "shell", "--json", "--db", db], {
      stdio: "pipe",
    });
    this.over = new Promise((done) => this.child.on("exit", done));
    this.child.stderr.setEncoding("utf8").on("data", (s: string) => {
      this.stderr += s;
    });
    this.child.stdout.setEncoding("utf8").on("data", (s: string) => this.receive(s));
    this.child.stdin.on("error", () => {
      // It was killed.
    });
    running.add(this);
  }

  private receive(s: string): void {
    this.received += s;
    const lines = this.received.split("\n");
    this.received = lines.pop() ?? "";
    for (const line of lines) {
      this.waiting.shift()?.(JSON.parse(line));
    }
  }

  run(line: string): Promise<Answer> {
    const answer = new Promise<Answer>((done) => this.waiting.push(done));
    this.child.stdin.write(`${JSON.stringify({ op: "run", argv: line.split(" ") })}\n`);
    return answer;
  }

  kill(): void {
    running.delete(this);
    this.child.kill("SIGKILL");
  }
}

async function bridges(db: string): Promise<string[]> {
  const shell = new Shell(db);
  const { stdout = "" } = await shell.run("ovs-vsctl list-br");
  shell.kill();
  await shell.over;
  return stdout.split("\n").filter((l) => l !== "");
}

describe("a shell with a database", () => {
  it("killed within a command, has lost nothing that it acknowledged", async () => {
    const db = join(dir, "killed.db");
    const acknowledged: string[] = [];
    for (let round = 0; round < 2; round++) {
      const shell = new Shell(db);
      for (let i = 0; i < 4; i++) {
        const name = `br${round}x${i}`;
        expect((await shell.run(`ovs-vsctl add-br ${name}`)).exit).toBe(0);
        acknowledged.push(name);
      }
      // These may or may not come to pass.
      for (let i = 0; i < 20; i++) {
        void shell.run(`ovs-vsctl add-br maybe${round}x${i}`);
      }
      setTimeout(() => shell.kill(), 5 * round);
      await shell.over;
      const there = await bridges(db);
      expect(there).toEqual(expect.arrayContaining(acknowledged));
      // What was not acknowledged is there in the order in which it was asked for, or not.
      const maybe = there.filter((b) => b.startsWith(`maybe${round}x`));
      const asked = Array.from({ length: maybe.length }, (_, i) => `maybe${round}x${i}`);
      expect(maybe.toSorted()).toEqual(asked.toSorted());
    }
  }, 60_000);

  it("tells of a damaged end and goes on from what is whole", async () => {
    const db = join(dir, "damaged.db");
    const shell = new Shell(db);
    await shell.run("ovs-vsctl add-br br0");
    shell.kill();
    await shell.over;
    writeFileSync(db, Buffer.concat([readFileSync(db), Buffer.from("OVSDB JSON 12")]));
    const again = new Shell(db);
    expect((await again.run("ovs-vsctl list-br")).stdout).toBe("br0\n");
    again.kill();
    await again.over;
    expect(again.stderr).toMatch(/parse error at offset \d+ in header line "OVSDB JSON"/);
  }, 30_000);

  it("refuses what is no database of this kind", async () => {
    for (const [name, content, text] of [
      ["garbage.db", "hello\n", "unexpected file format"],
      ["raft.db", `OVSDB CLUSTER 2 ${"0".repeat(40)}\n{}`, "clustered database"],
    ] as const) {
      const db = join(dir, name);
      writeFileSync(db, content);
      const shell = new Shell(db);
      expect(await shell.over, name).toBe(1);
      expect(shell.stderr).toContain(text);
    }
  }, 30_000);
});

describe("the lock of a database", () => {
  it("is had by one process at a time and outlives none", () => {
    const db = join(dir, "locked.db");
    const lock = lockDatabase(db);
    expect(typeof lock).toBe("object");
    const path = join(dir, ".locked.db.~lock~");
    // Process 1 always runs; a number that no process has is left over from a crash.
    writeFileSync(path, "1");
    expect(lockDatabase(db)).toMatch(/failed to lock lockfile, process 1 has it/);
    writeFileSync(path, "4194999");
    expect(typeof lockDatabase(db)).toBe("object");
  });
});
