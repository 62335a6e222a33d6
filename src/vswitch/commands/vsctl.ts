// `ovs-vsctl`: a command line of options and commands, run as one transaction.
//
// Options that belong to commands may stand before the first command; further commands follow
// after "--". After the transaction the switch is reconfigured at once, so there is nothing to
// wait for. References: ovs: utilities/ovs-vsctl.c main, parse_options, do_vsctl; lib/db-ctl-base.c
// parse_command.

import type { Vlog } from "../../lib/vlog.ts";
import { setDatum } from "../../ovsdb/datum.ts";
import { DbError } from "../../ovsdb/db-error.ts";
import { formatJson } from "../../ovsdb/json.ts";
import { DEFAULT_STYLE, formatTable, type TextTable } from "../../ovsdb/text-table.ts";
import { Transaction } from "../../ovsdb/transaction.ts";
import type { Uuid } from "../../ovsdb/uuid.ts";
import { type Command, type CommandContext, fatal, type Reply } from "../command.ts";
import { getoptLong } from "../getopt.ts";
import { areQuiet } from "../quiet-changes.ts";
import { openToolLog, verbosityError } from "../tool-log.ts";
import type { VSwitch } from "../vswitch.ts";
import {
  type CtlCommand,
  type CtlContext,
  die,
  escapeArgs,
  Symbols,
  VsctlFatal,
} from "./vsctl-core.ts";
import { printed } from "./vsctl-help.ts";
import {
  ME,
  CTL_COMMANDS,
  type GlobalOptions,
  applyOption,
  GLOBAL_OPTIONS,
  LOCAL_OPTIONS,
} from "./vsctl-options.ts";

/** One command of the line with its own options. */
interface Call {
  readonly command: CtlCommand;
  readonly argv: readonly string[];
  readonly options: ReadonlyMap<string, string | undefined>;
}

/** Checks that a command knows its options and that values are where they must be. */
function checkOptions(command: CtlCommand, options: ReadonlyMap<string, string | undefined>): void {
  const known = command.options.split(",");
  for (const [option, value] of options) {
    const takesValue = known.includes(`${option}=`);
    if (!takesValue && !known.includes(option)) {
      die(`'${command.name}' command has no '${option}' option`);
    }
    if (takesValue && value === undefined) {
      die(`missing argument to '${option}' option on '${command.name}' command`);
    }
    if (!takesValue && value !== undefined) {
      die(`'${option}' option on '${command.name}' does not accept an argument`);
    }
  }
}

function checkArity(command: CtlCommand, args: readonly string[]): void {
  const [min, max] = command.args;
  if (args.length < min) {
    die(`'${command.name}' command requires at least ${min} arguments`);
  }
  if (args.length > max) {
    const note = args.some((a) => a.startsWith("-"))
      ? ' (note that options must precede command names and follow a "--" argument)'
      : "";
    die(`'${command.name}' command takes at most ${max} arguments${note}`);
  }
}

function parseCall(words: readonly string[], local: ReadonlyMap<string, string | undefined>): Call {
  const options = new Map(local);
  let i = 0;
  for (; words[i]?.startsWith("-"); i++) {
    const word = words[i] ?? "";
    const eq = word.indexOf("=");
    const key = eq < 0 ? word : word.slice(0, eq);
    if (options.has(key)) {
      die(`'${word}' option specified multiple times`);
    }
    options.set(key, eq < 0 ? undefined : word.slice(eq + 1));
  }
  const name = words[i] ?? die("missing command name (use --help for help)");
  const command =
    CTL_COMMANDS.find((c) => c.name === name) ??
    die(`unknown command '${name}'; use --help for help`);
  const argv = words.slice(i);
  checkOptions(command, options);
  checkArity(command, argv.slice(1));
  return { command, argv, options };
}

/** Splits a line at "--" words. */
function parseCalls(
  words: readonly string[],
  local: ReadonlyMap<string, string | undefined>,
): Call[] {
  const calls: Call[] = [];
  let pending = local;
  for (let start = 0, i = 0; i <= words.length; i++) {
    if (i < words.length && words[i] !== "--") {
      continue;
    }
    if (i > start) {
      calls.push(parseCall(words.slice(start, i), pending));
      pending = new Map();
    } else if (pending.size > 0) {
      die("missing command name (use --help for help)");
    }
    start = i + 1;
  }
  return calls.length === 0 ? die("missing command name (use --help for help)") : calls;
}

/** What the line prints on standard error, its log included. */
interface Stderr {
  text: string;
  readonly log: Vlog;
}

/** The console gets warnings; syslog, for which messages are counted too, gets more. */
function openStderr(vs: VSwitch, specs: readonly string[]): Stderr {
  const err: Stderr = {
    text: "",
    log: openToolLog(ME, vs.clock, ["console:warn", ...specs], (line) => {
      err.text += line;
    }),
  };
  return err;
}

function warnUnreferenced(symbols: Symbols, err: Stderr): void {
  for (const [name, s] of symbols.entries) {
    if (!s.created) {
      die(
        `row id "${name}" is referenced but never created ` +
          `(e.g. with "-- --id=${name} create ...")`,
      );
    }
    if (!s.strong) {
      const how = s.weak ? "only a weak reference to it was" : "no reference to it was";
      err.log.warn(
        "vsctl",
        `row id "${name}" was created but ${how} inserted, ` +
          "so it will not actually appear in the database",
      );
    }
  }
}

/** Errors of interfaces that this line added, as the switch has recorded them. */
function checkNewIfaces(vs: VSwitch, uuids: readonly Uuid[], err: Stderr): void {
  let failed = false;
  for (const uuid of uuids) {
    const iface = vs.db.row("Interface", uuid);
    const ofport = iface?.int("ofport");
    if (iface === undefined || (ofport !== undefined && ofport !== -1)) {
      continue;
    }
    const why = iface.text("error") ?? "";
    err.text +=
      `${ME}: Error detected while setting up '${iface.name()}'` +
      `${why === "" ? "" : `: ${why}`}.  See ovs-vswitchd log for details.\n`;
    failed = true;
  }
  if (failed) {
    err.text += `${ME}: The default log directory is "${vs.logDir}".\n`;
  }
}

/** One command's answer as a line without line breaks. */
function oneLine(text: string): string {
  const escaped = text.replace(/\n$/, "").replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `${escaped}\n`;
}

interface Answer {
  readonly output: string;
  readonly table: TextTable | undefined;
}

function formatAnswers(answers: readonly Answer[], o: GlobalOptions): string {
  let out = "";
  let first = true;
  for (const { output, table } of answers) {
    if (table !== undefined) {
      out += formatTable(table, o.style, first);
      first = false;
    } else {
      out += o.oneline ? oneLine(output) : output;
    }
  }
  return out;
}

/** A condition did not hold: nothing else runs here that could make it true, so time runs out. */
function timedOut(err: Stderr): Reply {
  err.log.warn("fatal_signal", "terminating with signal 14 (Alarm clock)");
  return { exit: -14, stdout: "", stderr: err.text };
}

/** What a command line says that could not be carried out. */
function failure(e: unknown, err: Stderr): Reply {
  if (e instanceof DbError) {
    const text = `transaction error: ${formatJson(e.toJson(), { sort: true })}`;
    err.log.warn("ovsdb_idl", text);
    return { exit: 1, stdout: "", stderr: `${err.text}${ME}: ${text}\n` };
  }
  if (e instanceof RootIsGone) {
    err.log.warn("ovsdb_idl", '"mutate" reply "count" is 0 instead of 1');
    const text = `${ME}: transaction error: no error details available\n`;
    return { exit: 1, stdout: "", stderr: err.text + text };
  }
  if (e instanceof VsctlFatal) {
    const text = e.message === "" ? "" : `${ME}: ${e.message}\n`;
    return { exit: e.status, stdout: "", stderr: err.text + text };
  }
  throw e;
}

function runCalls(
  vs: VSwitch,
  calls: readonly Call[],
  o: GlobalOptions,
  words: readonly string[],
): Reply {
  const err = openStderr(vs, o.logSpecs);
  const level = calls.some((c) => c.command.writes) ? "info" : "dbg";
  err.log.log("vsctl", level, `Called as ${escapeArgs(words)}`);
  const txn = new Transaction(vs.db);
  const symbols = new Symbols(vs.db.uuids);
  const [first] = txn.rows("Open_vSwitch");
  const root = (first ?? txn.insert("Open_vSwitch")).uuid;
  const newIfaces: Uuid[] = [];
  const answers: Answer[] = [];
  const context = (call: Call, last: boolean): CtlContext => ({
    vs,
    txn,
    symbols,
    root,
    warn: (module, text) => err.log.warn(module, text),
    newIfaces,
    argv: call.argv,
    options: call.options,
    output: "",
    table: undefined,
    tryAgain: false,
    last,
  });
  try {
    for (const call of calls) {
      call.command.prepare?.(context(call, false));
    }
    for (const [i, call] of calls.entries()) {
      const ctx = context(call, i === calls.length - 1);
      call.command.run?.(ctx);
      if (ctx.tryAgain) {
        return timedOut(err);
      }
      answers.push({ output: ctx.output, table: ctx.table });
    }
    warnUnreferenced(symbols, err);
    txn.addComment(`${ME}: ${escapeArgs(words)}`);
    if (!o.dryRun) {
      commit(vs, txn, root, o.wait);
    } else if (o.wait && o.timeoutS !== undefined && txn.isChanged()) {
      // The real one waits for the switch to take what it was never told.
      return timedOut(err);
    }
  } catch (e) {
    return failure(e, err);
  }
  const stdout = formatAnswers(answers, o);
  if (o.wait && !o.dryRun) {
    checkNewIfaces(vs, newIfaces, err);
  }
  return { exit: 0, stdout, stderr: err.text };
}

/** The row is deleted whose counter shall tell that the configuration was taken. */
class RootIsGone extends Error {}

/** Commits and lets the switch take the new configuration. */
function commit(vs: VSwitch, txn: Transaction, root: Uuid, wait: boolean): void {
  if (wait && txn.isChanged()) {
    if (txn.row("Open_vSwitch", root) === undefined) {
      throw new RootIsGone();
    }
    const next = BigInt(txn.row("Open_vSwitch", root)?.int("next_cfg") ?? 0) + 1n;
    txn.set("Open_vSwitch", root, "next_cfg", setDatum([next]));
  }
  const changes = txn.commit();
  if (changes.length > 0) {
    vs.reconfigure(areQuiet(changes));
  }
}

/** Why there is no database at a place that is not this switch's, or null. */
function databaseError(vs: VSwitch, db: string | undefined): string | null {
  const own = [`unix:${vs.rundir}/db.sock`, "unix:/var/run/openvswitch/db.sock"];
  if (db === undefined || own.includes(db)) {
    return null;
  }
  return db.startsWith("unix:")
    ? "No such file or directory"
    : db.startsWith("tcp:")
      ? "Connection refused"
      : /^p?(?:unix|tcp|ssl):/.test(db)
        ? null
        : "Address family not supported by protocol";
}

/** Answers a command line of ovs-vsctl (without the program's name). */
export function runVsctl(ctx: CommandContext, words: readonly string[]): Reply {
  try {
    const o: GlobalOptions = {
      wait: true,
      dryRun: false,
      oneline: false,
      timeoutS: undefined,
      style: DEFAULT_STYLE,
      print: undefined,
      local: new Map(),
      logSpecs: [],
      db: undefined,
    };
    const specs = [...GLOBAL_OPTIONS, ...LOCAL_OPTIONS];
    const parsed = getoptLong(words, specs, true, (opt) => {
      applyOption(o, opt);
      // What is printed ends the program: the rest of the line is not looked at.
      return o.print === undefined ? verbosityError(ME, opt) : "";
    });
    if (o.print !== undefined) {
      return printed(o.print, ctx.vs);
    }
    if ("error" in parsed) {
      return fatal(ME, parsed.error);
    }
    const calls = parseCalls(parsed.rest, o.local);
    const unreachable = databaseError(ctx.vs, o.db);
    return unreachable === null
      ? runCalls(ctx.vs, calls, o, [ME, ...words])
      : fatal(ME, `${o.db}: database connection failed (${unreachable})`);
  } catch (e) {
    if (e instanceof VsctlFatal) {
      return fatal(ME, e.message);
    }
    throw e;
  }
}

/** Rows of the command table; each runs as a line of its own. */
export const VSCTL_COMMANDS: readonly Command[] = CTL_COMMANDS.map((c) => ({
  tool: ME,
  name: c.name,
  usage: c.usage,
  args: c.args,
  doc: c.doc,
  writes: c.writes,
  run: (ctx, argv) => runVsctl(ctx, argv),
}));
