// `tablewalk shell`: command lines of the real tools, answered by one switch in this process.
//
// `--json` speaks a protocol of one JSON object a line: `reset` makes a new switch whose files are
// in `dir`, `run` answers one command line, `start`/`read`/`stop` handle a command that goes on in
// the background. Every request is answered by exactly one line.

import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import type { DatabaseFile } from "../ovsdb/db-file.ts";
import { DbError } from "../ovsdb/db-error.ts";
import { type Background, isReply, type Reply } from "../vswitch/command.ts";
import { runCommandLine, startCommandLine } from "../vswitch/commands.ts";
import { openSwitchDatabase } from "../vswitch/switch-database.ts";
import { Script } from "../vswitch/script.ts";
import { VSwitch } from "../vswitch/vswitch.ts";
import { type DbLock, lockDatabase } from "./db-lock.ts";
import { NodeFiles } from "./node-files.ts";
import { machineEnv } from "./machine.ts";
import { refuse, runSubcommand } from "./subcommand.ts";

/** A background command as the protocol sees it: running, or over with its reply. */
type Job = Background | Reply;

interface Request {
  readonly op: string;
  readonly dir?: string;
  readonly log?: string;
  readonly argv: readonly string[];
  readonly stdin: string;
  readonly name: string;
}

function parseRequest(line: string): Request | string {
  let data: unknown;
  try {
    data = JSON.parse(line);
  } catch (e) {
    return `bad JSON: ${e instanceof Error ? e.message : String(e)}`;
  }
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    return "a request is an object";
  }
  const member = (key: string): unknown => Object.entries(data).find(([k]) => k === key)?.[1];
  const textOf = (key: string): string | undefined => {
    const v = member(key);
    return typeof v === "string" ? v : undefined;
  };
  const argv = member("argv") ?? [];
  if (!Array.isArray(argv) || !argv.every((a) => typeof a === "string")) {
    return '"argv" is an array of strings';
  }
  const dir = textOf("dir");
  const log = textOf("log");
  return {
    op: textOf("op") ?? "",
    argv,
    stdin: textOf("stdin") ?? "",
    name: textOf("name") ?? "",
    ...(dir === undefined ? {} : { dir }),
    ...(log === undefined ? {} : { log }),
  };
}

/** Where a switch has its files. */
interface Places {
  readonly dir: string;
  readonly log?: string | undefined;
  /** File of the database; without one it is in memory. */
  readonly db?: string | undefined;
}

/** A switch with the file that its database is kept in. */
class Host {
  readonly vs: VSwitch;
  private readonly file: DatabaseFile | null;
  private readonly lock: DbLock | null;

  /** Throws DbError if the database cannot be used. */
  constructor({ dir, log, db }: Places) {
    const env = machineEnv(new NodeFiles(dir));
    const places = {
      rundir: resolve(dir),
      ...(log === undefined ? {} : { logFile: resolve(dir, log) }),
      colors: process.env.OVS_COLORS ?? "",
    };
    if (db === undefined) {
      this.vs = new VSwitch({ ...env, ...places });
      this.file = null;
      this.lock = null;
      startAsDaemons(this.vs);
      return;
    }
    const path = resolve(dir, db);
    const lock = lockDatabase(path);
    if (typeof lock === "string") {
      throw new DbError("I/O error", lock);
    }
    this.lock = lock;
    const { file, notes } = openSwitchDatabase(env, path);
    this.file = file;
    for (const note of notes) {
      process.stderr.write(`tablewalk: ${note}\n`);
    }
    this.vs = new VSwitch({ ...env, ...places, db: file.db });
  }

  /** A reply as it is, unless what it acknowledges is not in the file. */
  checked(reply: Reply): Reply {
    const error = this.file?.writeError;
    return error === undefined
      ? reply
      : { ...reply, exit: 1, stderr: `${reply.stderr}tablewalk: ${error}\n` };
  }

  close(): void {
    this.file?.dispose();
    this.lock?.release();
  }
}

/** Whoever starts the daemons waits for them with two changes, which count as configurations. */
function startAsDaemons(vs: VSwitch): void {
  for (const change of [
    ["set", "external_ids:ready=1"],
    ["clear", "external_ids"],
  ] as const) {
    runCommandLine(vs, ["ovs-vsctl", change[0], "Open_vSwitch", ".", change[1]]);
  }
}

/** The state behind the protocol: the switch and what runs in its background. */
class JsonSession {
  private host: Host;
  private readonly db: string | undefined;
  private readonly jobs = new Map<string, Job>();

  /** Throws DbError if there is a database that cannot be used. */
  constructor(db: string | undefined) {
    this.db = db === undefined ? undefined : resolve(db);
    this.host = new Host({ dir: ".", db: this.db });
  }

  private get vs(): VSwitch {
    return this.host.vs;
  }

  close(): void {
    this.host.close();
  }

  answer(line: string): unknown {
    const request = parseRequest(line);
    if (typeof request === "string") {
      return { ok: false, error: request };
    }
    switch (request.op) {
      case "reset":
        return this.reset(request);
      case "run":
        return plain(this.host.checked(runCommandLine(this.vs, request.argv, request.stdin)));
      case "start":
        this.jobs.set(request.name, startCommandLine(this.vs, request.argv, request.stdin));
        return { ok: true };
      case "read":
        return this.read(request.name);
      case "stop":
        return this.stop(request.name);
      default:
        return { ok: false, error: `unknown op "${request.op}"` };
    }
  }

  private reset({ dir = ".", log }: Request): unknown {
    this.jobs.clear();
    this.host.close();
    try {
      this.host = new Host({ dir, log, db: this.db });
    } catch (e) {
      if (e instanceof DbError) {
        return { ok: false, error: e.toString() };
      }
      throw e;
    }
    return { ok: true };
  }

  private read(name: string): unknown {
    const job = this.jobs.get(name);
    if (job === undefined) {
      return { ok: false, error: `no background command "${name}"` };
    }
    const { stdout, stderr } = isReply(job) ? job : job.read();
    return { stdout, stderr };
  }

  private stop(name: string): unknown {
    const job = this.jobs.get(name);
    if (job === undefined) {
      return { ok: false, error: `no background command "${name}"` };
    }
    this.jobs.delete(name);
    return plain(isReply(job) ? job : job.stop());
  }
}

function plain({ exit, stdout, stderr }: Reply): unknown {
  return { exit, stdout, stderr };
}

/** An exception is a defect of this program: it ends the command, not the session. */
function guarded(session: JsonSession, line: string): unknown {
  try {
    return session.answer(line);
  } catch (e) {
    const text = e instanceof Error ? (e.stack ?? e.message) : String(e);
    return { exit: 125, stdout: "", stderr: `tablewalk: internal error: ${text}\n` };
  }
}

/** Answers JSON lines until the input ends. */
async function jsonLoop(db: string | undefined): Promise<number> {
  const session = new JsonSession(db);
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() !== "") {
      process.stdout.write(`${JSON.stringify(guarded(session, line))}\n`);
    }
  }
  session.close();
  return 0;
}

const USAGE = `usage: tablewalk shell [--db FILE] [FILE | --json]
  Answers command lines of ovs-vsctl, ovs-ofctl and ovs-appctl by one switch in this process:
  those of FILE, those typed at the prompt, or those on standard input.
  --db    keeps the database in a file, as ovsdb-server does: what a command has acknowledged is
          there when the next shell opens it
  --json  one JSON object a line: {"op": "reset" | "run" | "start" | "read" | "stop", ...}
`;

const OPTIONS = {
  db: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** The subcommand; answers an exit status. */
export async function shellMain(args: readonly string[]): Promise<number> {
  return runSubcommand("shell", async () => {
    const parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const { values, positionals } = parsed;
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    if (positionals.length > (values.json ? 0 : 1)) {
      const takes = values.json ? "--json takes its requests from standard input" : "one FILE";
      refuse(`${takes}, not ${positionals.join(" ")}`);
    }
    try {
      return await (values.json ? jsonLoop(values.db) : runScript(values.db, positionals[0]));
    } catch (e) {
      if (e instanceof DbError) {
        process.stderr.write(`tablewalk: ${e.toString()}\n`);
        return 1;
      }
      throw e;
    }
  });
}

/** A script, standard input, or the prompt. */
async function runScript(db: string | undefined, file: string | undefined): Promise<number> {
  const { promptLoop, TERMINAL } = await import("./interactive.ts");
  const host = new Host({ dir: ".", db: db === undefined ? undefined : resolve(db) });
  const { vs } = host;
  try {
    if (file === undefined && process.stdin.isTTY) {
      return await promptLoop(vs);
    }
    const script = new Script(vs, TERMINAL);
    const status =
      file === undefined ? script.runText(await text(process.stdin)) : script.runFile(file);
    const checked = host.checked({ exit: status, stdout: "", stderr: "" });
    process.stderr.write(checked.stderr);
    return checked.exit;
  } finally {
    host.close();
  }
}
