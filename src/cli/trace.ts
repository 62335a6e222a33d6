// `tablewalk trace`: a packet through the tables of a host that is only there as files.
//
// What was used and what is missing for a faithful trace goes to standard error, the trace to
// standard output. Exit status: 0 the packet is delivered, 1 it is dropped, 2 something is wrong.

import { parseArgs } from "node:util";
import type { Verdict } from "../openflow/verdict.ts";
import type { Reply } from "../vswitch/command.ts";
import { runCommandLine } from "../vswitch/commands.ts";
import type { VSwitch } from "../vswitch/vswitch.ts";
import { MACHINE_CLOCK } from "./machine.ts";
import { chooseBridge, openHost } from "./open-host.ts";
import { EXIT_ERROR, okOr, refuse, runSubcommand, say } from "./subcommand.ts";
import { renderTrace } from "./trace-style.ts";

export const TRACE_USAGE = `usage: tablewalk trace --from PATH... [--bridge BRIDGE] FLOW
       tablewalk trace --from PATH... [--bridge BRIDGE] --packet HEX [FLOW]
       tablewalk trace --from PATH... [--bridge BRIDGE] --pcap FILE --in-port PORT [--class K]

PATH is a dump-flows text, a directory or tar of an ovs-save or a sosreport, a conf.db, dumps of
groups, meters, TLV maps and ports: one or several, told apart by content.

  --from PATH      a file, directory or archive of the host (may be repeated)
  --bridge BRIDGE  the bridge to trace in; needed if there are several
  --packet HEX     a frame; FLOW then only gives metadata such as in_port
  --pcap FILE      every packet of a capture, grouped by the path that it takes
  --in-port PORT   the port at which the packets of the capture arrive
  --class K        prints the first packet of path class K whole
  --ct-next STATE  state that the next ct() finds (may be repeated)
  --ct-dump FILE   connections of the host, as dpctl/dump-conntrack shows them
  --names          names instead of numbers for ports
  --json           the trace as data (docs/trace.schema.json)
  --quiet          nothing on standard error but errors
`;

/** Exit statuses. */
export const TRACE_EXIT = { delivered: 0, dropped: 1, error: EXIT_ERROR } as const;

const NAME = "trace";

const OPTIONS = {
  from: { type: "string", multiple: true },
  bridge: { type: "string" },
  packet: { type: "string" },
  pcap: { type: "string" },
  "in-port": { type: "string" },
  class: { type: "string" },
  "ct-next": { type: "string", multiple: true },
  "ct-dump": { type: "string" },
  names: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  quiet: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}
export type TraceOptions = ReturnType<typeof parse>["values"];

/** The subcommand; answers an exit status. */
export async function traceMain(args: readonly string[]): Promise<number> {
  return runSubcommand(NAME, async () => {
    const { values, positionals } = parse(args);
    if (values.help) {
      process.stdout.write(TRACE_USAGE);
      return TRACE_EXIT.delivered;
    }
    const from = values.from ?? refuse("--from is needed; `tablewalk trace --help` tells more");
    checkArguments(values, positionals);
    const { vs, bridge } = await openFrom(from, values);
    if (values.pcap !== undefined) {
      const { tracePcap } = await import("./trace-pcap.ts");
      return tracePcap(vs, bridge, values.pcap, values);
    }
    return printTrace(traceOne(vs, bridge, positionals[0] ?? "", values), values);
  });
}

/** What can be said without opening the host, which may be large, is said before. */
function checkArguments(values: TraceOptions, positionals: readonly string[]): void {
  const [flow, beyond] = positionals;
  if (values.pcap !== undefined) {
    if (values["in-port"] === undefined) {
      refuse("--pcap FILE: --in-port PORT is needed, where its packets arrive");
    }
    if (flow !== undefined || values.packet !== undefined) {
      refuse("--pcap FILE: its packets are traced, no FLOW and no --packet");
    }
  } else if (beyond !== undefined) {
    refuse(`one FLOW is needed, not ${positionals.length}; are there blanks in it?`);
  } else if (flow === undefined && values.packet === undefined) {
    refuse("a FLOW is needed, such as in_port=1,tcp; `tablewalk trace --help` tells more");
  }
}

async function openFrom(
  from: readonly string[],
  values: TraceOptions,
): Promise<{ vs: VSwitch; bridge: string }> {
  const { bridge, quiet } = values;
  const options = { from, bridge, ctDump: values["ct-dump"], quiet, clock: MACHINE_CLOCK };
  const vs = okOr(await openHost(options, (text) => say(NAME, text)));
  return { vs, bridge: okOr(chooseBridge(vs, bridge)).name };
}

/** One trace, as `ovs-appctl ofproto/trace` answers it. */
function traceOne(
  vs: VSwitch,
  bridge: string,
  flow: string,
  values: TraceOptions,
  packet: string | undefined = values.packet,
): Reply {
  const argv = ["ovs-appctl", "ofproto/trace", bridge, flow];
  for (const state of values["ct-next"] ?? []) {
    argv.push("--ct-next", state);
  }
  if (values.names) {
    argv.push("--names");
  }
  return runCommandLine(vs, packet === undefined ? argv : [...argv, packet]);
}

/** The verdict of a successful trace. */
function verdictIn(reply: Reply): Verdict {
  const { json } = reply;
  const said = typeof json === "object" && json !== null && "verdict" in json ? json.verdict : null;
  return said === "delivered" ? "delivered" : "dropped";
}

function printTrace(reply: Reply, values: TraceOptions): number {
  if (reply.exit !== 0) {
    // The text is the real tool's; its last line, about a server, says nothing here.
    process.stderr.write(reply.stderr.replace(/^ovs-appctl: .*server returned an error\n/m, ""));
    return TRACE_EXIT.error;
  }
  process.stderr.write(values.quiet ? "" : reply.stderr);
  process.stdout.write(
    values.json ? `${JSON.stringify(reply.json, null, 2)}\n` : renderTrace(reply.stdout),
  );
  return TRACE_EXIT[verdictIn(reply)];
}
