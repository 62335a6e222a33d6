// Runs scripts of command lines on a switch: the tools, the few builtins of a shell that scripts
// for them use, variables, outputs of commands as words, and pipes into filters. Nothing here
// prints: texts go to the sinks that are given.

import { decodeUtf8 } from "../lib/bytes.ts";
import { type Background, isReply, type Reply } from "./command.ts";
import { runCommandLine, startCommandLine } from "./commands.ts";
import { FILTER_NAMES, runFilter } from "./filters.ts";
import type { VSwitch } from "./vswitch.ts";
import { plainText, readStatements, type Statement, type Word } from "./words.ts";

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

export const TOOLS = ["ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-pcap"] as const;

const ASSIGNMENT = /^([A-Za-z_]\w*)=/;

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
  mktemp: {
    usage: "mktemp -d",
    doc: "makes a new directory for captures and the like, and prints its name",
    run: (s, args) => {
      const dir = s.vs.fs.makeTempDir();
      if (!dir.ok || args.join(" ") !== "-d") {
        return s.complain(`mktemp: ${dir.ok ? "only -d is understood" : dir.message}`, 1);
      }
      s.out.stdout(`${dir.value}\n`, ["mktemp"]);
      return 0;
    },
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
  return [
    `Command lines of ${TOOLS.join(", ")}, and:`,
    ...rows,
    `NAME=VALUE, $NAME and $(COMMAND) are understood, and "|" before ${FILTER_NAMES.join(", ")}.`,
  ].join("\n");
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

/** Ends a command line whose words cannot be made; it was already said why. */
class WordsFailed extends Error {}

/** A script that is under way: its state from one line to the next. */
export class Script {
  readonly vs: VSwitch;
  out: ScriptOutput;
  readonly variables = new Map<string, string>();
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
        const asked = statement.guards !== null;
        this.ended ||= this.status !== 0 && this.stopAtFailure && !asked;
      }
      skip = statement.guards === (this.status === 0 ? "||" : "&&");
    }
  }

  /** Runs one command line with its filters. */
  private runStatement(s: Statement): number {
    try {
      const assigned = this.assign(s.words);
      if (assigned !== null && s.filters.length === 0) {
        return assigned;
      }
      if (s.filters.length === 0 && !s.quiet) {
        return this.runCommand(s);
      }
      let { text, status } = this.capture(() => this.runCommand({ ...s, background: false }));
      for (const filter of s.filters) {
        const argv = this.expand(filter);
        const result = runFilter(argv, text);
        if (result === null) {
          return this.complain(`${s.line}: ${argv[0]}: command not found`, STATUS_NO_COMMAND);
        }
        text = result.stdout;
        status = result.exit;
        if (result.stderr !== "") {
          this.out.stderr(result.stderr);
        }
      }
      if (text !== "" && !s.quiet) {
        this.out.stdout(text, []);
      }
      return status;
    } catch (e) {
      if (e instanceof WordsFailed) {
        return STATUS_SYNTAX;
      }
      throw e;
    }
  }

  /** Sets variables if the words do nothing else; null if they are a command. */
  private assign(words: readonly Word[]): number | null {
    const names = words.map(([first]) =>
      first?.kind === "text" ? (ASSIGNMENT.exec(first.text)?.[1] ?? null) : null,
    );
    if (names.includes(null)) {
      return null;
    }
    this.status = 0;
    for (const [i, word] of words.entries()) {
      const name = names[i] ?? "";
      this.variables.set(name, this.textOf(word).slice(name.length + 1));
    }
    return this.status;
  }

  /** What a part of a script prints, without showing it. */
  private capture(run: () => number): { text: string; status: number } {
    const { out } = this;
    let text = "";
    this.out = {
      stdout: (t) => {
        text += t;
      },
      stderr: (t) => out.stderr(t),
    };
    try {
      return { status: run(), text };
    } finally {
      this.out = out;
    }
  }

  /** A word as one text. */
  private textOf(word: Word): string {
    return word.map((p) => (p.kind === "text" ? p.text : this.valueOf(p))).join("");
  }

  private valueOf(part: Exclude<Word[number], { kind: "text" }>): string {
    if (part.kind === "variable") {
      const value = this.variables.get(part.name);
      if (value === undefined) {
        this.complain(`${part.name}: this variable was never set`, STATUS_SYNTAX);
        throw new WordsFailed();
      }
      return value;
    }
    const { text } = this.capture(() => {
      this.runStatements(part.statements);
      return this.status;
    });
    return text.replace(/\n+$/, "");
  }

  /** Words as arguments: what variables and outputs give falls apart at blanks, unless quoted. */
  private expand(words: readonly Word[]): string[] {
    return words.flatMap((word) => {
      const plain = plainText(word);
      if (plain !== null) {
        return [plain];
      }
      let current: string | null = null;
      const done: string[] = [];
      for (const part of word) {
        const value = part.kind === "text" ? part.text : this.valueOf(part);
        if (part.kind === "text" || part.quoted) {
          current = (current ?? "") + value;
          continue;
        }
        for (const [, blanks, piece = ""] of value.matchAll(/([ \t\n]+)|([^ \t\n]+)/g)) {
          if (blanks === undefined) {
            current = (current ?? "") + piece;
          } else if (current !== null) {
            done.push(current);
            current = null;
          }
        }
      }
      return current === null ? done : [...done, current];
    });
  }

  private runCommand(s: Statement): number {
    const argv = this.expand(s.words);
    const [tool = "", ...args] = argv;
    if (this.trace) {
      this.out.stderr(`+ ${argv.join(" ")}\n`);
    }
    const builtin = Object.hasOwn(BUILTINS, tool) ? BUILTINS[tool] : undefined;
    if (builtin !== undefined) {
      return builtin.run(this, args);
    }
    if (!TOOLS.some((t) => t === tool)) {
      return this.complain(`${s.line}: ${tool}: command not found`, STATUS_NO_COMMAND);
    }
    let stdin = s.stdin === null ? "" : this.textOf(s.stdin);
    if (s.stdinFile !== null) {
      const name = this.textOf(s.stdinFile);
      const file = this.vs.fs.readFile(name);
      if (!file.ok) {
        return this.complain(`${s.line}: ${name}: ${file.message}`, 1);
      }
      stdin = decodeUtf8(file.value);
    }
    const status = s.background
      ? this.start(argv, stdin)
      : this.show(runCommandLine(this.vs, argv, stdin), argv);
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
