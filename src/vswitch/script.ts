// Runs scripts of command lines on a switch: the tools, and the few builtins of a shell that
// scripts for them use. Nothing here prints: texts go to the sinks that are given.

import { decodeUtf8 } from "../lib/bytes.ts";
import { type Background, isReply, type Reply } from "./command.ts";
import { runCommandLine, startCommandLine } from "./commands.ts";
import type { VSwitch } from "./vswitch.ts";
import { readStatements, type Statement } from "./words.ts";

export interface ScriptOutput {
  stdout(text: string, argv: readonly string[]): void;
  stderr(text: string): void;
}

/** Exit status of what cannot be understood, as shells have it. */
const STATUS_SYNTAX = 2;
const STATUS_NO_COMMAND = 127;
/** The switch gets a turn at least this often while time passes. */
const SLEEP_STEP_MS = 1000;
/** How deep scripts may run scripts. */
const SOURCE_DEPTH_MAX = 16;

export const TOOLS = ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] as const;

interface Builtin {
  readonly usage: string;
  readonly doc: string;
  run(script: Script, args: readonly string[]): number;
}

const BUILTINS: Readonly<Record<string, Builtin>> = {
  help: {
    usage: "help",
    doc: "this text; `ovs-appctl list-commands` lists what the switch understands",
    run: (s) => {
      s.out.stdout(`${helpText()}\n`, ["help"]);
      return 0;
    },
  },
  echo: {
    usage: "echo [WORD...]",
    doc: "prints words",
    run: (s, args) => {
      s.out.stdout(`${args.join(" ")}\n`, ["echo"]);
      return 0;
    },
  },
  sleep: {
    usage: "sleep SECONDS",
    doc: "lets time pass for the switch, at once",
    run: (s, [seconds = ""]) => {
      const ms = Math.round(Number(seconds) * 1000);
      if (seconds === "" || !Number.isFinite(ms) || ms < 0) {
        return s.complain(`sleep: invalid time interval "${seconds}"`, 1);
      }
      const warp = ["ovs-appctl", "time/warp", String(ms), String(SLEEP_STEP_MS)];
      return ms === 0 ? 0 : shellStatus(runCommandLine(s.vs, warp));
    },
  },
  set: {
    usage: "set -e | -x | +e | +x",
    doc: "-e ends the script at the first command that fails, -x shows commands before they run",
    run: (s, args) => {
      for (const [, sign, letters = ""] of args.join(" ").matchAll(/([-+])([a-z]+)/g)) {
        s.stopAtFailure = letters.includes("e") ? sign === "-" : s.stopAtFailure;
        s.trace = letters.includes("x") ? sign === "-" : s.trace;
      }
      return 0;
    },
  },
  source: {
    usage: "source FILE",
    doc: "runs the command lines of a file",
    run: (s, [file = ""]) => s.runFile(file),
  },
  jobs: {
    usage: "jobs",
    doc: "lists the commands that were started with & at the end",
    run: (s) => {
      for (const [n, { argv }] of s.jobs) {
        s.out.stdout(`[${n}] ${argv.join(" ")}\n`, ["jobs"]);
      }
      return 0;
    },
  },
  kill: {
    usage: "kill %N",
    doc: "ends a command that was started with &",
    run: (s, [which = ""]) => s.kill(which),
  },
  exit: {
    usage: "exit [STATUS]",
    doc: "ends",
    run: (s, [status = String(s.status)]) => {
      s.ended = true;
      return Number(status) & 0xff;
    },
  },
};

export const BUILTIN_NAMES: readonly string[] = Object.keys(BUILTINS);

function helpText(): string {
  const rows = Object.values(BUILTINS).map((b) => `  ${b.usage.padEnd(20)} ${b.doc}`);
  return [`Command lines of ${TOOLS.join(", ")}, and:`, ...rows].join("\n");
}

/** Status that a shell shows for a reply: a signal counts from 128. */
function shellStatus({ exit }: Reply): number {
  return exit < 0 ? 128 - exit : exit;
}

interface Job {
  readonly argv: readonly string[];
  readonly background: Background;
  /** How much of its output was already shown. */
  shownOut: number;
  shownErr: number;
}

/** A script that is under way: its state from one line to the next. */
export class Script {
  readonly vs: VSwitch;
  readonly out: ScriptOutput;
  readonly jobs = new Map<number, Job>();
  /** Status of the last command. */
  status = 0;
  ended = false;
  stopAtFailure = false;
  trace = false;
  private depth = 0;
  private name: string;

  constructor(vs: VSwitch, out: ScriptOutput, name = "tablewalk shell") {
    this.vs = vs;
    this.out = out;
    this.name = name;
  }

  complain(text: string, status: number): number {
    this.out.stderr(`${this.name}: ${text}\n`);
    return status;
  }

  /** Runs a file; answers the status of its last command. */
  runFile(path: string): number {
    const file = this.vs.fs.readFile(path);
    if (!file.ok) {
      return this.complain(`${path}: ${file.message}`, 1);
    }
    if (this.depth >= SOURCE_DEPTH_MAX) {
      return this.complain(`${path}: scripts run each other too deep`, 1);
    }
    const { name } = this;
    this.name = path;
    this.depth++;
    const status = this.runText(decodeUtf8(file.value));
    this.depth--;
    this.name = name;
    return status;
  }

  /** Runs a whole text; answers the status of its last command. */
  runText(text: string): number {
    let line = 1;
    for (let pos = 0; pos < text.length && !this.ended; ) {
      const r = readStatements(text, pos, line);
      if ("more" in r) {
        this.status = this.complain("unexpected end of file", STATUS_SYNTAX);
        break;
      }
      if ("error" in r) {
        this.status = this.complain(`${r.line}:${r.column}: ${r.error}`, STATUS_SYNTAX);
        break;
      }
      this.runStatements(r.statements);
      pos = r.next;
      line = r.nextLine;
    }
    return this.status;
  }

  runStatements(statements: readonly Statement[]): void {
    let skip = false;
    for (const statement of statements) {
      if (this.ended) {
        return;
      }
      if (!skip) {
        this.status = this.runStatement(statement);
        this.ended ||= this.status !== 0 && this.stopAtFailure && !statement.guards;
      }
      skip = statement.guards && this.status !== 0;
    }
  }

  private runStatement(s: Statement): number {
    const [tool = "", ...args] = s.argv;
    if (this.trace) {
      this.out.stderr(`+ ${s.argv.join(" ")}\n`);
    }
    const builtin = Object.hasOwn(BUILTINS, tool) ? BUILTINS[tool] : undefined;
    if (builtin !== undefined) {
      return builtin.run(this, args);
    }
    if (!TOOLS.some((t) => t === tool)) {
      return this.complain(`${s.line}: ${tool}: command not found`, STATUS_NO_COMMAND);
    }
    let stdin = s.stdin ?? "";
    if (s.stdinFile !== null) {
      const file = this.vs.fs.readFile(s.stdinFile);
      if (!file.ok) {
        return this.complain(`${s.line}: ${s.stdinFile}: ${file.message}`, 1);
      }
      stdin = decodeUtf8(file.value);
    }
    const status = s.background
      ? this.start(s.argv, stdin)
      : this.show(runCommandLine(this.vs, s.argv, stdin), s.argv);
    this.showJobs();
    return status;
  }

  private show(reply: Reply, argv: readonly string[]): number {
    if (reply.stdout !== "") {
      this.out.stdout(reply.stdout, argv);
    }
    if (reply.stderr !== "") {
      this.out.stderr(reply.stderr);
    }
    return shellStatus(reply);
  }

  private start(argv: readonly string[], stdin: string): number {
    const job = startCommandLine(this.vs, argv, stdin);
    if (isReply(job)) {
      return this.show(job, argv);
    }
    const number = Math.max(0, ...this.jobs.keys()) + 1;
    this.jobs.set(number, { argv, background: job, shownOut: 0, shownErr: 0 });
    return 0;
  }

  /** Shows what commands in the background have printed since. */
  private showJobs(): void {
    for (const job of this.jobs.values()) {
      this.showRest(job, job.background.read());
    }
  }

  private showRest(job: Job, { stdout, stderr }: { stdout: string; stderr: string }): void {
    if (stdout.length > job.shownOut) {
      this.out.stdout(stdout.slice(job.shownOut), job.argv);
      job.shownOut = stdout.length;
    }
    if (stderr.length > job.shownErr) {
      this.out.stderr(stderr.slice(job.shownErr));
      job.shownErr = stderr.length;
    }
  }

  kill(which: string): number {
    const number = Number(which.replace(/^%/, ""));
    const job = this.jobs.get(number);
    if (job === undefined) {
      return this.complain(`kill: ${which}: no such job`, 1);
    }
    this.showRest(job, job.background.stop());
    this.jobs.delete(number);
    return 0;
  }
}
