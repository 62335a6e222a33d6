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
export const TRACE_EXIT = { delivered: 0, dropped: 1, error: 2 } as const;

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

function complain(text: string): number {
  process.stderr.write(`tablewalk trace: ${text}\n`);
  return TRACE_EXIT.error;
}

/** The subcommand; answers an exit status. */
export async function traceMain(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (e) {
    return complain(`${e instanceof Error ? e.message : String(e)}\n${TRACE_USAGE}`.trimEnd());
  }
  const { values, positionals } = parsed;
  if (values.help) {
    process.stdout.write(TRACE_USAGE);
    return 0;
  }
  if (values.from === undefined) {
    return complain(`--from is needed\n${TRACE_USAGE}`.trimEnd());
  }
  const opened = await openFrom(values.from, values);
  if (typeof opened === "string") {
    return complain(opened);
  }
  const { vs, bridge } = opened;
  if (values.pcap !== undefined) {
    const { tracePcap } = await import("./trace-pcap.ts");
    return tracePcap(vs, bridge, values.pcap, values);
  }
  if (positionals.length > 1 || (positionals.length === 0 && values.packet === undefined)) {
    return complain(`one FLOW is needed\n${TRACE_USAGE}`.trimEnd());
  }
  const reply = traceOne(vs, bridge, positionals[0] ?? "", values);
  return printTrace(reply, values);
}

async function openFrom(
  from: readonly string[],
  values: TraceOptions,
): Promise<{ vs: VSwitch; bridge: string } | string> {
  const { bridge, quiet } = values;
  const options = { from, bridge, ctDump: values["ct-dump"], quiet, clock: MACHINE_CLOCK };
  const vs = await openHost(options, complain);
  if (typeof vs === "string") {
    return vs;
  }
  const chosen = chooseBridge(vs, bridge);
  return typeof chosen === "string" ? chosen : { vs, bridge: chosen.name };
}

/** One trace, as `ovs-appctl ofproto/trace` answers it. */
export function traceOne(
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
export function verdictIn(reply: Reply): Verdict {
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
