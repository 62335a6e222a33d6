// `tablewalk shell`: command lines of the real tools, answered by one switch in this process.
//
// `--json` speaks a protocol of one JSON object a line: `reset` makes a new switch whose files are
// in `dir`, `run` answers one command line, `start`/`read`/`stop` handle a command that goes on in
// the background. Every request is answered by exactly one line.

import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { type Background, isReply, type Reply } from "../vswitch/command.ts";
import { runCommandLine, startCommandLine } from "../vswitch/commands.ts";
import { Script } from "../vswitch/script.ts";
import { VSwitch } from "../vswitch/vswitch.ts";
import { NodeFiles } from "./node-files.ts";
import { machineEnv } from "./machine.ts";

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

/**
 * A switch with its files in a directory, as freshly started there: whoever starts the daemons
 * waits for them with two changes of the database, which count as configurations.
 */
function newSwitch(dir: string, log?: string): VSwitch {
  const vs = new VSwitch({
    ...machineEnv(new NodeFiles(dir)),
    rundir: resolve(dir),
    ...(log === undefined ? {} : { logFile: resolve(dir, log) }),
  });
  for (const change of [
    ["set", "external_ids:ready=1"],
    ["clear", "external_ids"],
  ] as const) {
    runCommandLine(vs, ["ovs-vsctl", change[0], "Open_vSwitch", ".", change[1]]);
  }
  return vs;
}

/** The state behind the protocol: the switch and what runs in its background. */
class JsonSession {
  private vs = newSwitch(".");
  private readonly jobs = new Map<string, Job>();

  answer(line: string): unknown {
    const request = parseRequest(line);
    if (typeof request === "string") {
      return { ok: false, error: request };
    }
    switch (request.op) {
      case "reset":
        this.jobs.clear();
        this.vs = newSwitch(request.dir ?? ".", request.log);
        return { ok: true };
      case "run":
        return plain(runCommandLine(this.vs, request.argv, request.stdin));
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
async function jsonLoop(): Promise<number> {
  const session = new JsonSession();
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() !== "") {
      process.stdout.write(`${JSON.stringify(guarded(session, line))}\n`);
    }
  }
  return 0;
}

const USAGE = `usage: tablewalk shell [FILE | --json]
  Answers command lines of ovs-vsctl, ovs-ofctl and ovs-appctl by one switch in this process:
  those of FILE, those typed at the prompt, or those on standard input.
  --json  one JSON object a line: {"op": "reset" | "run" | "start" | "read" | "stop", ...}
`;

/** The subcommand; answers an exit status. */
export async function shellMain(args: readonly string[]): Promise<number> {
  const [first, ...others] = args;
  if (first === "--help" || first === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  if (others.length > 0 || (first?.startsWith("-") === true && first !== "--json")) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (first === "--json") {
    return jsonLoop();
  }
  const { promptLoop, TERMINAL } = await import("./interactive.ts");
  const vs = newSwitch(".");
  if (first === undefined && process.stdin.isTTY) {
    return promptLoop(vs);
  }
  const script = new Script(vs, TERMINAL);
  return first === undefined ? script.runText(await text(process.stdin)) : script.runFile(first);
}
