// What a row of the command table is, and what it answers.
//
// A command is data: the tool it belongs to, its name, usage and arity as the real tool knows
// them, one line of documentation, and a function from arguments to a Reply. Commands never print;
// only the program around them does.

import type { OfctlOptions } from "./ofctl-options.ts";
import type { VSwitch } from "./vswitch.ts";

export type Tool = "ovs-appctl" | "ovs-ofctl" | "ovs-vsctl" | "ovs-pcap" | "ovs-dpctl";

/** What a command line prints and the status that it exits with. */
export interface Reply {
  /** Negative if the real tool would have been ended by that signal. */
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The same answer as data, where a command offers it. */
  readonly json?: unknown;
}

/** A command that goes on until it is stopped, such as `ovs-ofctl monitor`. */
export interface Background {
  /** What it has printed so far. */
  read(): { readonly stdout: string; readonly stderr: string };
  /** Ends it; answers all that it printed. */
  stop(): Reply;
}

/** What a command may use besides its arguments. */
export interface CommandContext {
  readonly vs: VSwitch;
  /** Text given on standard input. */
  readonly stdin: string;
  /** Options that came before the command; only for rows of ovs-ofctl. */
  readonly ofctl?: OfctlOptions;
}

export interface Command {
  readonly tool: Tool;
  readonly name: string;
  /** Arguments as list-commands prints them; undefined hides the command from the list. */
  readonly usage: string | undefined;
  /** Least and greatest number of arguments (after the name). */
  readonly args: readonly [min: number, max: number];
  readonly doc: string;
  /** True for commands that change the switch: refused under `ovs-ofctl --read-only`. */
  readonly writes?: boolean;
  /** `argv[0]` is the name of the command. */
  run(ctx: CommandContext, argv: readonly string[]): Reply;
  /** Only commands that can stay in the background; an error ends at once as a Reply. */
  start?(ctx: CommandContext, argv: readonly string[]): Background | Reply;
}

/** No upper limit to the number of arguments. */
export const ANY_ARGS = Number.POSITIVE_INFINITY;

/** Makes the rows of one family of ovs-appctl, whose names begin alike, such as "dpif/". */
export function appctlRows(family: string) {
  return (
    name: string,
    usage: Command["usage"],
    args: Command["args"],
    doc: string,
    run: Command["run"],
  ): Command => ({ tool: "ovs-appctl", name: `${family}${name}`, usage, args, doc, run });
}

/**
 * Rows in the order of a real tool's list, which names them without `family`; what it does not name
 * stands at the end.
 */
export function inListOrder(
  rows: readonly Command[],
  order: readonly string[],
  family = "",
): Command[] {
  const place = new Map(order.map((name, i) => [`${family}${name}`, i]));
  const placeOf = ({ name }: Command) => place.get(name) ?? order.length;
  return rows.toSorted((a, b) => placeOf(a) - placeOf(b));
}

/** A line of a list of commands. */
export function listLine({ name, usage = "" }: Command, width: number): string {
  return `  ${name.padEnd(width)} ${usage}\n`;
}

/** A reply of a successful command. */
export function ok(stdout = ""): Reply {
  return { exit: 0, stdout, stderr: "" };
}

/** Exit status 1 and one line on standard error, as `ovs_fatal()` of the named program ends. */
export function fatal(program: string, message: string, stdout = ""): Reply {
  return { exit: 1, stdout, stderr: `${program}: ${message}\n` };
}

/** Text of an ovs-appctl reply ends with an end of line, unless it is empty. */
function withEol(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/** A successful ovs-appctl command (ovs: unixctl_command_reply). */
export function appctlOk(text = ""): Reply {
  return ok(withEol(text));
}

/** An ovs-appctl command that the daemon refused (ovs: unixctl_command_reply_error). */
export function appctlError(text: string, target = "ovs-vswitchd"): Reply {
  return {
    exit: 2,
    stdout: "",
    stderr: `${withEol(text)}ovs-appctl: ${target}: server returned an error\n`,
  };
}

/** What a command of the real tools that this program does not offer yet answers. */
export function notAvailable(program: string, what: string): Reply {
  return fatal(program, `${what}: not available yet in tablewalk`);
}

/** True if a started command ended at once. */
export function isReply(x: Background | Reply): x is Reply {
  return "exit" in x;
}
