// THE COMMAND TABLE: every command of ovs-appctl, ovs-ofctl and ovs-vsctl, and how a command line
// finds its row.
//
// A family of commands lives in its own file under commands/ and exports its rows; this file puts
// them together and answers a whole command line as the real tool would: options, arity, unknown
// commands, exit status. References: ovs: utilities/ovs-appctl.c, lib/unixctl.c process_command,
// lib/command-line.c ovs_cmdl_run_command.

import {
  ANY_ARGS,
  appctlError,
  appctlOk,
  type Background,
  type Command,
  type CommandContext,
  fatal,
  listLine,
  notAvailable,
  ok,
  type Reply,
  type Tool,
} from "./command.ts";
import { DPCTL_COMMANDS } from "./commands/dpctl.ts";
import { DPCTL_CT_COMMANDS } from "./commands/dpctl-ct.ts";
import { DPCTL_IPF_COMMANDS } from "./commands/dpctl-ipf.ts";
import { DPCTL_DP_COMMANDS, dpctlList } from "./commands/dpctl-dps.ts";
import { DPCTL_PORT_COMMANDS } from "./commands/dpctl-ports.ts";
import { DPIF_COMMANDS } from "./commands/dpif.ts";
import { DPIF_NETDEV_COMMANDS } from "./commands/dpif-netdev.ts";
import { BOND_COMMANDS } from "./commands/bond.ts";
import { DPCTL_NORMALIZE } from "./commands/dpctl-normalize.ts";
import { DPCTL_TEXT_COMMANDS } from "./commands/dpctl-text.ts";
import { FDB_COMMANDS } from "./commands/fdb.ts";
import { LINK_COMMANDS } from "./commands/link.ts";
import { MDB_COMMANDS } from "./commands/mdb.ts";
import { ROUTE_COMMANDS } from "./commands/route.ts";
import { AUTO_ATTACH_COMMANDS } from "./commands/auto-attach.ts";
import { TREE_COMMANDS } from "./commands/trees.ts";
import { TNL_COMMANDS } from "./commands/tnl.ts";
import { BRIDGE_COMMANDS } from "./commands/bridge.ts";
import { DAEMON_COMMANDS } from "./commands/daemon.ts";
import { MISC_COMMANDS } from "./commands/misc.ts";
import { NETDEV_DUMMY_COMMANDS } from "./commands/netdev-dummy.ts";
import { UPCALL_COMMANDS } from "./commands/upcall.ts";
import { OFCTL_COMMANDS, ofctlUsage } from "./commands/ofctl.ts";
import { OFCTL_PARSE_COMMANDS } from "./commands/ofctl-parse.ts";
import { OFCTL_PRINT_COMMANDS } from "./commands/ofctl-print.ts";
import { TRACE_COMMANDS } from "./commands/trace.ts";
import { runVsctl, VSCTL_COMMANDS } from "./commands/vsctl.ts";
import { runPcap } from "./commands/pcap.ts";
import { getoptLong, type OptSpec } from "./getopt.ts";
import { verbosityError } from "./tool-log.ts";
import { formatOptionList, parseOfctlOptions, VLOG_OPTIONS } from "./ofctl-options.ts";
import { OVS_VERSION, type VSwitch } from "./vswitch.ts";

/** Columns of a name in a list of commands. */
const LIST_NAME_WIDTH = 23;

const LIST_COMMANDS: Command = {
  tool: "ovs-appctl",
  name: "list-commands",
  usage: "",
  args: [0, 0],
  doc: "Lists the commands that the switch understands.",
  run: () => appctlOk(`The available commands are:\n${formatCommandList("ovs-appctl")}`),
};

const DPCTL_LIST_COMMANDS: Command = {
  tool: "ovs-appctl",
  name: "dpctl/list-commands",
  usage: "",
  args: [0, ANY_ARGS],
  doc: "Lists the commands of datapaths.",
  run: () => appctlOk(dpctlList(COMMANDS)),
};

/** All rows, family by family. */
export const COMMANDS: readonly Command[] = [
  LIST_COMMANDS,
  DPCTL_LIST_COMMANDS,
  ...MISC_COMMANDS,
  ...DAEMON_COMMANDS,
  ...BRIDGE_COMMANDS,
  ...LINK_COMMANDS,
  ...FDB_COMMANDS,
  ...MDB_COMMANDS,
  ...BOND_COMMANDS,
  ...TNL_COMMANDS,
  ...TREE_COMMANDS,
  ...AUTO_ATTACH_COMMANDS,
  ...ROUTE_COMMANDS,
  ...DPCTL_TEXT_COMMANDS,
  DPCTL_NORMALIZE,
  ...VSCTL_COMMANDS,
  ...OFCTL_COMMANDS,
  ...OFCTL_PARSE_COMMANDS,
  ...OFCTL_PRINT_COMMANDS,
  ...TRACE_COMMANDS,
  ...NETDEV_DUMMY_COMMANDS,
  ...DPCTL_COMMANDS,
  ...DPCTL_DP_COMMANDS,
  ...DPCTL_PORT_COMMANDS,
  ...DPCTL_CT_COMMANDS,
  ...DPCTL_IPF_COMMANDS,
  ...DPIF_COMMANDS,
  ...DPIF_NETDEV_COMMANDS,
  ...UPCALL_COMMANDS,
];

const BY_NAME = new Map<string, Command>();
for (const c of COMMANDS) {
  const name = `${c.tool} ${c.name}`;
  if (!BY_NAME.has(name)) {
    BY_NAME.set(name, c);
  }
}

/** The row of a command, or undefined. */
export function findCommand(tool: Tool, name: string): Command | undefined {
  return BY_NAME.get(`${tool} ${name}`);
}

/** Names and usages of a tool's commands, sorted by name as unixctl prints them. */
export function formatCommandList(tool: Tool): string {
  return COMMANDS.filter((c) => c.tool === tool && c.usage !== undefined)
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map((c) => listLine(c, LIST_NAME_WIDTH))
    .join("");
}

/** A command line once its row is found. */
interface Found {
  readonly command: Command;
  readonly ctx: CommandContext;
  readonly argv: readonly string[];
}

type Lookup = Found | Reply;

function isFound(x: Lookup): x is Found {
  return "command" in x;
}

const APPCTL_OPTIONS: readonly OptSpec[] = [
  { name: "target", arg: "required", short: "t" },
  { name: "execute", arg: "none", short: "e" },
  { name: "help", arg: "none", short: "h" },
  { name: "option", arg: "none", short: "o" },
  { name: "version", arg: "none", short: "V" },
  { name: "timeout", arg: "required", short: "T" },
  ...VLOG_OPTIONS,
];

function lookupAppctl(ctx: CommandContext, args: readonly string[]): Lookup {
  const me = "ovs-appctl";
  const parsed = getoptLong(args, APPCTL_OPTIONS, true, (o) => verbosityError(me, o));
  if ("error" in parsed) {
    return fatal(me, parsed.error);
  }
  let target = "ovs-vswitchd";
  for (const { name, arg } of parsed.opts) {
    switch (name) {
      case "target":
        target = arg ?? target;
        break;
      case "help":
        return ok(APPCTL_HELP);
      case "option":
        return ok(formatOptionList(APPCTL_OPTIONS));
      case "version":
        return ok(`ovs-appctl (Open vSwitch) ${OVS_VERSION}\n`);
      case "timeout":
        if (!/^\d+$/.test(arg ?? "") || Number(arg) === 0) {
          return fatal(me, `value ${arg} on -T or --timeout is invalid`);
        }
        break;
    }
  }
  const [name, ...rest] = parsed.rest;
  if (name === undefined) {
    return fatal(me, "at least one non-option argument is required (use --help for help)");
  }
  if (target !== "ovs-vswitchd" || ctx.vs.stopped) {
    const pidfile = `${ctx.vs.rundir}/${target}.pid`;
    const time = new Date(ctx.vs.clock.wallMs()).toISOString().slice(0, 19);
    const log = `${time}Z|00001|daemon_unix|WARN|${pidfile}: open: No such file or directory\n`;
    const reply = fatal(me, `cannot read pidfile "${pidfile}" (No such file or directory)`);
    return { ...reply, stderr: log + reply.stderr };
  }
  ctx.vs.nextSocket();
  ctx.vs.coverage.inc("unixctl_received");
  ctx.vs.coverage.inc("unixctl_replied");
  const command = findCommand("ovs-appctl", name);
  if (command === undefined) {
    return appctlError(
      `"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`,
    );
  }
  const [min, max] = command.args;
  if (rest.length < min) {
    return appctlError(`"${name}" command requires at least ${min} arguments`);
  }
  if (rest.length > max) {
    return appctlError(`"${name}" command takes at most ${max} arguments`);
  }
  return { command, ctx, argv: parsed.rest };
}

const APPCTL_HELP = `ovs-appctl, for querying and controlling Open vSwitch daemon
usage: ovs-appctl [TARGET] COMMAND [ARG...]
Targets:
  -t, --target=TARGET  pidfile or socket to contact
Common commands:
  list-commands      List commands supported by the target
  version            Print version of the target
  vlog/list          List current logging levels
  vlog/list-pattern  List logging patterns for each destination.
  vlog/set [SPEC]
      Set log levels as detailed in SPEC, which may include:
      A valid module name (all modules, by default)
      'syslog', 'console', 'file' (all destinations, by default))
      'off', 'emer', 'err', 'warn', 'info', or 'dbg' ('dbg', bydefault)
  vlog/reopen        Make the program reopen its log file
Other options:
  --timeout=SECS     wait at most SECS seconds for a response
  -h, --help         Print this helpful information
  -V, --version      Display ovs-appctl version information
`;

function lookupOfctl(ctx: CommandContext, args: readonly string[]): Lookup {
  const me = "ovs-ofctl";
  const parsed = parseOfctlOptions(args);
  if (parsed.kind === "error") {
    return fatal(me, parsed.error);
  }
  if (parsed.kind === "print") {
    switch (parsed.what) {
      case "version":
        return ok(`ovs-ofctl (Open vSwitch) ${OVS_VERSION}\nOpenFlow versions 0x1:0x6\n`);
      case "option":
        return ok(formatOptionList());
      case "help":
        return ok(ofctlUsage());
    }
  }
  const [name, ...rest] = parsed.argv;
  if (name === undefined) {
    return fatal(me, "missing command name; use --help for help");
  }
  const command = findCommand("ovs-ofctl", name);
  if (command === undefined) {
    return fatal(me, `unknown command '${name}'; use --help for help`);
  }
  const [min, max] = command.args;
  if (rest.length < min) {
    return fatal(me, `'${name}' command requires at least ${min} arguments`);
  }
  if (rest.length > max) {
    return fatal(me, `'${name}' command takes at most ${max} arguments`);
  }
  if (parsed.options.readOnly && command.writes === true) {
    return fatal(me, `'${name}' command does not work in read only mode`);
  }
  return { command, ctx: { ...ctx, ofctl: parsed.options }, argv: parsed.argv };
}

function lookup(vs: VSwitch, argv: readonly string[], stdin: string): Lookup {
  const [tool = "", ...args] = argv;
  const ctx: CommandContext = { vs, stdin };
  switch (tool) {
    case "ovs-appctl":
      return lookupAppctl(ctx, args);
    case "ovs-ofctl":
      return lookupOfctl(ctx, args);
    case "ovs-vsctl":
      return runVsctl(ctx, args);
    case "ovs-pcap":
      return runPcap(vs, args);
    default:
      return { ...notAvailable(tool, "this tool"), exit: 127 };
  }
}

/** Runs one command line, `argv[0]` being the tool, and then one turn of the main loop. */
export function runCommandLine(vs: VSwitch, argv: readonly string[], stdin = ""): Reply {
  vs.catchUp();
  const found = lookup(vs, argv, stdin);
  const reply = isFound(found) ? found.command.run(found.ctx, found.argv) : found;
  vs.run();
  return reply;
}

/** Starts a command line in the background; a command that cannot stay runs and is over. */
export function startCommandLine(
  vs: VSwitch,
  argv: readonly string[],
  stdin = "",
): Background | Reply {
  vs.catchUp();
  const found = lookup(vs, argv, stdin);
  if (!isFound(found)) {
    return found;
  }
  const { command, ctx } = found;
  const started = command.start?.(ctx, found.argv) ?? command.run(ctx, found.argv);
  vs.run();
  return started;
}
