// Random transactions and monitors through the live ovsdb-server and through ours:
// `node tools/run.mjs tools/oracle-ovsdb.ts [FIRST-SEED [LAST-SEED]]`.
//
// Replies, errors with all their details, and what two monitors are told after each transaction
// (RFC 7047's form, and monitor_cond's with conditions that change) have to be the same.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRng } from "../src/lib/env.ts";
import { catchDbError } from "../src/ovsdb/db-error.ts";
import { Database } from "../src/ovsdb/database.ts";
import { executeTransaction } from "../src/ovsdb/execute.ts";
import { formatJson, isJsonArray, isJsonObject, type Json } from "../src/ovsdb/json.ts";
import { parseJson } from "../src/ovsdb/json-parse.ts";
import { Monitor } from "../src/ovsdb/monitor.ts";
import { schemaFromJson } from "../src/ovsdb/schema.ts";
import { type ClientSession, clientSession } from "../test/arbitraries/transactions.ts";

const SCHEMA = "test/golden/ovsdb/schema.json";
const START_MS_MAX = 10_000;
/** Differences after which it is enough. */
const DIFFERENCES_MAX = 8;
const EMPTY: Json = [
  "zoo",
  ...["Root", "Loose"].map((table) => ({ op: "delete", table, where: [] })),
];

/** What a server says about a monitor that it did not accept. */
const UNKNOWN_SESSION: Json = {
  error: { details: "unknown monitor session", error: "syntax error", syntax: '"compact"' },
};

/** Members in order, rows in order of their text; what is random by its kind. */
function neutral(json: Json): string {
  const sorted = (j: Json): Json => {
    if (isJsonArray(j)) {
      return j.map(sorted);
    }
    if (!isJsonObject(j)) {
      return j;
    }
    const members = Object.entries(j).map(([k, v]): [string, Json] => {
      const value = sorted(v);
      const rows = k === "rows" && isJsonArray(value);
      return [k, rows ? value.map((r) => formatJson(r, { sort: true })).sort() : value];
    });
    return Object.fromEntries(members);
  };
  const text = formatJson(sorted(json), { sort: true });
  // Which of several rows is complained of depends on a hash of their UUIDs.
  const which = /row \S+ (references|because of) \d*/g;
  return text
    .replace(which, "row $1")
    .replace(
      /\b(?![1-4]0000000-0000-4000-8000)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g,
      (uuid) => (uuid.startsWith("00000000-0000") ? uuid : "UUID"),
    );
}

/** A connection to the real server. */
class Server {
  readonly dir = mkdtempSync(join(tmpdir(), "tablewalk-ovsdb-"));
  private readonly daemon: ChildProcess;
  private socket: Socket | undefined;
  private text = "";
  private readonly messages: Json[] = [];
  private wake: () => void = () => {};
  private id = 0;

  constructor() {
    const db = join(this.dir, "zoo.db");
    execFileSync("ovsdb-tool", ["create", db, SCHEMA]);
    const args = ["--no-chdir", "-vconsole:off", "-vsyslog:off", `--unixctl=${this.dir}/ctl`];
    this.daemon = spawn("ovsdb-server", [...args, `--remote=punix:${this.dir}/s`, db]);
  }

  async open(): Promise<void> {
    const path = join(this.dir, "s");
    for (let ms = 0; !existsSync(path); ms += 20) {
      if (ms > START_MS_MAX) {
        throw new Error("ovsdb-server does not start");
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    this.socket?.destroy();
    this.text = "";
    this.messages.length = 0;
    this.socket = connect(path);
    this.socket.setEncoding("utf8");
    this.socket.on("data", (data) => this.take(String(data)));
  }

  /** Cuts what has come into messages. */
  private take(data: string): void {
    this.text += data;
    for (let end = messageEnd(this.text); end > 0; end = messageEnd(this.text)) {
      this.messages.push(parseJson(this.text.slice(0, end)));
      this.text = this.text.slice(end);
    }
    this.wake();
  }

  private async message(): Promise<Json> {
    while (this.messages.length === 0) {
      await new Promise<void>((done) => {
        this.wake = done;
      });
    }
    return this.messages.shift() ?? null;
  }

  /** The result (or error) of a request, and the parameters of notifications before it. */
  async ask(method: string, params: Json): Promise<{ result: Json; told: Json[] }> {
    const id = BigInt(++this.id);
    this.socket?.write(formatJson({ method, params, id }));
    const told: Json[] = [];
    for (;;) {
      const m = await this.message();
      if (isJsonObject(m) && m.id === id && m.method === undefined) {
        const { error = null, result = null } = m;
        return { result: error === null ? result : { error }, told };
      }
      if (isJsonObject(m) && m.method === "echo") {
        this.socket?.write(formatJson({ id: m.id ?? null, result: m.params ?? [], error: null }));
      } else if (isJsonObject(m)) {
        told.push({ method: m.method ?? null, params: m.params ?? null });
      }
    }
  }

  close(): void {
    this.socket?.destroy();
    this.daemon.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Length of the JSON value at the start of a text, 0 if it is not whole yet. */
function messageEnd(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) {
        i += text[i] === "\\" ? 1 : 0;
      }
    } else if (c === "{" || c === "[") {
      depth++;
    } else if (c === "}" || c === "]") {
      depth--;
      if (depth === 0) {
        return i + 1;
      }
    }
  }
  return 0;
}

/** Our side of a connection. */
class Ours {
  private readonly db: Database;
  private readonly monitors: { name: Json; method: string; monitor: Monitor }[] = [];
  private told: Json[] = [];

  constructor(seed: number) {
    const schema = schemaFromJson(parseJson(readFileSync(SCHEMA, "utf8")));
    this.db = new Database(schema, new SeededRng(seed));
    this.db.onCommit((changes) => {
      for (const { name, method, monitor } of this.monitors) {
        const update = monitor.update(changes);
        if (update !== undefined) {
          this.told.push({ method, params: [name, update] });
        }
      }
    });
  }

  watch(name: string, requests: Json, form: "plain" | "compact"): Json {
    const made = catchDbError(() => new Monitor(this.db, requests, form));
    if ("error" in made) {
      return { error: made.error.toJson() };
    }
    const method = form === "plain" ? "update" : "update2";
    this.monitors.push({ name, method, monitor: made.value });
    return made.value.initial();
  }

  change(table: string, request: Json): { result: Json; told: Json[] } {
    const told: Json[] = [];
    const compact = this.monitors.filter((m) => m.method === "update2");
    if (compact.length === 0) {
      return { result: UNKNOWN_SESSION, told };
    }
    for (const { name, method, monitor } of compact) {
      const done = catchDbError(() => monitor.changeCondition(table, request));
      if ("error" in done) {
        return { result: { error: done.error.toJson() }, told };
      }
      if (done.value !== undefined) {
        told.push({ method, params: [name, done.value] });
      }
    }
    return { result: {}, told };
  }

  transact(params: Json): { result: Json; told: Json[] } {
    this.told = [];
    const result = executeTransaction(this.db, params);
    return { result, told: this.told };
  }
}

async function compare(s: ClientSession, seed: number, server: Server): Promise<string | null> {
  await server.open();
  await server.ask("transact", EMPTY);
  const ours = new Ours(seed);
  const check = (what: Json, want: Json, got: Json) => {
    const [a, b] = [neutral(want), neutral(got)];
    return a === b ? null : `${formatJson(what)}\n--- ovsdb-server\n${a}\n--- tablewalk\n${b}`;
  };
  for (const [form, requests] of [
    ["plain", s.monitor],
    ["compact", s.conditional],
  ] as const) {
    const method = form === "plain" ? "monitor" : "monitor_cond";
    const want = await server.ask(method, ["zoo", form, requests]);
    const difference = check(requests, want.result, ours.watch(form, requests, form));
    if (difference !== null) {
      return `${method} ${difference}`;
    }
  }
  for (const { change, params } of s.steps) {
    const want =
      change === null
        ? await server.ask("transact", params)
        : await server.ask("monitor_cond_change", ["compact", "compact", params]);
    // What monitors are told may come behind the reply.
    want.told.push(...(await server.ask("echo", [])).told);
    const got = change === null ? ours.transact(params) : ours.change(change.table, change.request);
    const byText = (told: Json[]) => told.map((t) => neutral(t)).sort();
    const difference = check(
      params,
      [want.result, ...byText(want.told)],
      [got.result, ...byText(got.told)],
    );
    if (difference !== null) {
      return difference;
    }
  }
  return null;
}

const [first = 1, last = 300] = process.argv.slice(2).map(Number);
const server = new Server();
let differences = 0;
try {
  for (let seed = first; seed <= last && differences < DIFFERENCES_MAX; seed++) {
    const difference = await compare(clientSession(seed), seed, server);
    if (difference !== null) {
      differences++;
      console.log(`seed ${seed}: ${difference}\n`);
    }
  }
} finally {
  server.close();
}
console.log(`${differences} differences`);
process.exitCode = differences === 0 ? 0 : 1;
