// The program `tablewalk`: finds the subcommand and loads only the code that it needs.

import { OVS_VERSION, TABLEWALK_VERSION } from "../vswitch/version.ts";

const USAGE = `usage: tablewalk COMMAND [ARG...]
  shell [FILE | --json]
                    command lines of ovs-vsctl, ovs-ofctl and ovs-appctl in one process
  trace --from PATH... FLOW
                    a packet through the tables of a host, from its dumps
  replay --from PATH... --in PORT=FILE...
                    captures through the whole switch of a host, with a report of what came of it
  help              this text
  version           which release this is
\`tablewalk COMMAND --help\` tells what a command takes.
`;

/** Subcommands with the code behind them, loaded when asked for. */
const SUBCOMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  shell: async (args) => (await import("./shell.ts")).shellMain(args),
  trace: async (args) => (await import("./trace.ts")).traceMain(args),
  replay: async (args) => (await import("./replay.ts")).replayMain(args),
};

async function main(argv: readonly string[]): Promise<number> {
  const [name = "help", ...args] = argv;
  if (name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  if (name === "version" || name === "--version" || name === "-V") {
    process.stdout.write(`tablewalk ${TABLEWALK_VERSION} (Open vSwitch ${OVS_VERSION})\n`);
    return 0;
  }
  const run = SUBCOMMANDS[name];
  if (run === undefined) {
    process.stderr.write(`tablewalk: unknown command "${name}"\n${USAGE}`);
    return 2;
  }
  return run(args);
}

// A reader that has seen enough, such as `head`, ends the program without a complaint.
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  process.exit(e.code === "EPIPE" ? 0 : 2);
});

// Without a reader of notes and complaints, the work goes on all the same.
process.stderr.on("error", () => {});

// For the case that the work never ends, as the event loop runs out of what could go on with it.
process.exitCode = 2;
void main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
