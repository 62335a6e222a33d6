// ovs-ofctl: what a switch is, its ports, tables, queues: show and the dump commands.
//
// Reference: ovs: utilities/ovs-ofctl.c ofctl_show, ofctl_dump_*, ofctl_queue_*, ofctl_get_frags.

import { OFPP, portFromString } from "../../flow/ofp-port.ts";
import { OFP } from "../../flow/of-version.ts";
import { getU32 } from "../../lib/bytes.ts";
import { isErr } from "../../openflow/messages/errors.ts";
import { encodeEchoRequest } from "../../openflow/messages/hello.ts";
import { OFPQ_ALL } from "../../openflow/messages/names.ts";
import { encodePortDescRequest } from "../../openflow/messages/port.ts";
import { encodePortStatsRequest } from "../../openflow/messages/port-stats.ts";
import {
  encodeQueueConfigRequest,
  encodeQueueStatsRequest,
} from "../../openflow/messages/queue.ts";
import { OFP_HEADER } from "../../openflow/messages/raw.ts";
import {
  decodeGetConfigReply,
  encodeEmpty,
  featuresHavePorts,
} from "../../openflow/messages/switch.ts";
import { decodeTableFeatures } from "../../openflow/messages/table-features.ts";
import { TablePrinter } from "../../openflow/messages/table-features-text.ts";
import { Text } from "../../openflow/messages/text.ts";
import { FRAG_NAMES, type SwitchConfig } from "../../openflow/messages/types-switch.ts";
import type { Command } from "../command.ts";
import { atoi } from "../../lib/tokens.ts";
import { ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { type OfctlSession, ofctlRow } from "./ofctl-session.ts";

/** The number of a port named in any way, or the end of the command. */
export function portNumber(s: OfctlSession, name: string, port: string): number {
  return (
    portFromString(port, null, s.logSink) ??
    portFromString(port, s.acceptPorts(name), s.logSink) ??
    ofctlFatal(`${name}: unknown port \`${port}'`)
  );
}

export function fetchConfig(s: OfctlSession, v: Vconn): SwitchConfig {
  const replies = v.transact(encodeEmpty("OFPT_GET_CONFIG_REQUEST", v.version, v.nextXid()));
  const msg = s.pull(replies[0] as Uint8Array);
  if (msg.type !== "GET_CONFIG_REPLY") {
    ofctlFatal(`${v.fullName}: bad reply to config request`);
  }
  return decodeGetConfigReply(msg);
}

export function encodeTableFeaturesRequest(v: Vconn): Uint8Array {
  needVersion(v, OFP.v13, "dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')");
  return encodeEmpty("OFPST13_TABLE_FEATURES_REQUEST", v.version, v.nextXid());
}

export function encodeTableDescRequest(v: Vconn): Uint8Array {
  needVersion(v, OFP.v14, "dump-table-desc needs OpenFlow 1.4 or later ('-O OpenFlow14')");
  return encodeEmpty("OFPST14_TABLE_DESC_REQUEST", v.version, v.nextXid());
}

function needVersion(v: Vconn, version: number, text: string): void {
  if (v.version < version) {
    v.close();
    ofctlFatal(text);
  }
}

function show(s: OfctlSession, name: string): void {
  const v = s.open(name);
  const reply = v.transact(encodeEmpty("OFPT_FEATURES_REQUEST", v.version, v.nextXid()))[0];
  if (reply !== undefined) {
    s.print(s.format(reply, 1));
    if (!featuresHavePorts(s.pull(reply))) {
      s.dump(v, encodePortDescRequest(v.version, OFPP.ANY, v.nextXid()));
    }
  }
  s.dumpTrivial(name, "OFPT_GET_CONFIG_REQUEST");
  v.close();
}

/** The features of all tables; what is as in the table before is only mentioned. */
function dumpTableFeatures(s: OfctlSession, name: string): void {
  const v = s.open(name);
  const text = new Text();
  const printer = new TablePrinter(text);
  const request = encodeTableFeaturesRequest(v);
  for (const bytes of v.transact(request)) {
    const msg = s.pull(bytes);
    if (msg.type === "ERROR") {
      s.print(s.format(bytes, 1));
      continue;
    }
    const list = decodeTableFeatures(msg, true);
    if (isErr(list)) {
      ofctlFatal(`decode error: ${list}`);
    }
    for (const tf of list) {
      printer.add(tf, null);
    }
  }
  printer.finish();
  s.print(`${text.s.replace(/^\n/, "")}\n`);
  v.close();
}

function dumpTableDesc(s: OfctlSession, name: string): void {
  const v = s.open(name);
  s.dump(v, encodeTableDescRequest(v));
  v.close();
}

function queueStats(
  s: OfctlSession,
  [, name = "", port = "", queue = ""]: readonly string[],
): void {
  const v = s.open(name);
  const all = (text: string): boolean => text === "" || text.toLowerCase() === "all";
  const rq = {
    port: all(port) ? OFPP.ANY : portNumber(s, name, port),
    queue: all(queue) ? OFPQ_ALL : atoi(queue) >>> 0,
  };
  s.dump(v, encodeQueueStatsRequest(v.version, rq, v.nextXid()));
  v.close();
}

function queueConfig(
  s: OfctlSession,
  [, name = "", p = "any", q = "all"]: readonly string[],
): void {
  const port = portNumber(s, name, p);
  const queue = q.toLowerCase() === "all" ? OFPQ_ALL : atoi(q) >>> 0;
  const v = s.open(name);
  // OpenFlow 1.0 can only ask for the queues of one port.
  const ports =
    port === OFPP.ANY && v.version === OFP.v10
      ? s
          .fetchPorts(v)
          .map((pp) => pp.portNo)
          .filter((no) => no < OFPP.MAX)
      : [port];
  for (const no of ports) {
    s.dump(v, encodeQueueConfigRequest(v.version, { port: no, queue }, v.nextXid()));
  }
  v.close();
}

function probe(s: OfctlSession, name: string): void {
  const v = s.open(name);
  const reply = v.transact(encodeEchoRequest(v.version, new Uint8Array(0), v.nextXid()))[0];
  if (reply === undefined || reply.length !== OFP_HEADER.BYTES) {
    ofctlFatal("reply does not match request");
  }
  v.close();
}

/** Round trips through the codec; time stands still while a command runs. */
function ping(s: OfctlSession, [, name = "", bytes = "64"]: readonly string[]): void {
  const payload = atoi(bytes) >>> 0;
  if (payload > PAYLOAD_MAX) {
    ofctlFatal(`payload must be between 0 and ${PAYLOAD_MAX} bytes`);
  }
  const v = s.open(name);
  for (let i = 0; i < PING_COUNT; i++) {
    const data = Uint8Array.from({ length: payload }, () => s.ctx.vs.rng.u32() & 0xff);
    const startMs = s.ctx.vs.clock.wallMs();
    const reply = v.transact(encodeEchoRequest(v.version, data, v.nextXid()))[0];
    const ms = s.ctx.vs.clock.wallMs() - startMs;
    const got = reply === undefined ? 0 : reply.length - OFP_HEADER.BYTES;
    const xid = getU32(reply ?? new Uint8Array(OFP_HEADER.BYTES), OFP_HEADER.XID);
    const hex = xid.toString(16).padStart(8, "0");
    s.print(`${got} bytes from ${name}: xid=${hex} time=${ms.toFixed(1)} ms\n`);
  }
  v.close();
}

/** Many echo requests; what they take is shown, which is nothing while time stands still. */
function benchmark(s: OfctlSession, [, name = "", bytes, times]: readonly string[]): void {
  const payload = atoi(bytes ?? "") >>> 0;
  if (payload > PAYLOAD_MAX) {
    ofctlFatal(`payload must be between 0 and ${PAYLOAD_MAX} bytes`);
  }
  const size = OFP_HEADER.BYTES + payload;
  const count = Math.min(atoi(times ?? ""), BENCHMARK_COUNT_MAX);
  const total = (count * size) >>> 0;
  s.print(`Sending ${count} packets * ${size} bytes (with header) = ${total} bytes total\n`);
  const v = s.open(name);
  const startMs = s.ctx.vs.clock.wallMs();
  for (let i = 0; i < count; i++) {
    v.transact(encodeEchoRequest(v.version, new Uint8Array(payload), v.nextXid()));
  }
  const ms = s.ctx.vs.clock.wallMs() - startMs;
  v.close();
  const rate = (n: number): string => (ms > 0 ? (n / (ms / 1000)).toFixed(0) : "inf");
  s.print(
    `Finished in ${ms.toFixed(1)} ms (${rate(count)} packets/s) (${rate(count * size)} bytes/s)\n`,
  );
}

/** Echo requests per benchmark: the switch of this process has nothing else to do meanwhile. */
const BENCHMARK_COUNT_MAX = 1_000_000;
/** Echo requests per ping. */
export const PING_COUNT = 10;
const PAYLOAD_MAX = 0xffff - OFP_HEADER.BYTES;

export const OFCTL_DUMP_COMMANDS: readonly Command[] = [
  ofctlRow(
    "show",
    "switch",
    [1, 1],
    "Prints a switch's features, ports and configuration.",
    (s, argv) => show(s, argv[1] ?? ""),
  ),
  ofctlRow("dump-desc", "switch", [1, 1], "Prints who made a switch.", (s, argv) =>
    s.dumpTrivial(argv[1] ?? "", "OFPST_DESC_REQUEST"),
  ),
  ofctlRow("dump-tables", "switch", [1, 1], "Prints what tables hold and counted.", (s, argv) =>
    s.dumpTrivial(argv[1] ?? "", "OFPST_TABLE_REQUEST"),
  ),
  ofctlRow("dump-table-features", "switch", [1, 1], "Prints what tables can do.", (s, argv) =>
    dumpTableFeatures(s, argv[1] ?? ""),
  ),
  ofctlRow(
    "dump-table-desc",
    "switch",
    [1, 1],
    "Prints eviction and vacancy of tables.",
    (s, argv) => dumpTableDesc(s, argv[1] ?? ""),
  ),
  ofctlRow(
    "queue-stats",
    "switch [port [queue]]",
    [1, 3],
    "Prints what queues counted.",
    queueStats,
  ),
  ofctlRow(
    "queue-get-config",
    "switch [port [queue]]",
    [1, 3],
    "Prints the queues of ports.",
    queueConfig,
  ),
  ofctlRow("dump-ports", "switch [port]", [1, 2], "Prints what ports counted.", (s, argv) => {
    const [, name = "", port] = argv;
    const v = s.open(name);
    const no = port === undefined ? OFPP.ANY : portNumber(s, name, port);
    s.dump(v, encodePortStatsRequest(v.version, no, v.nextXid()));
    v.close();
  }),
  ofctlRow(
    "dump-ports-desc",
    "switch [port]",
    [1, 2],
    "Prints the description of ports.",
    (s, argv) => {
      const [, name = "", port] = argv;
      const v = s.open(name);
      const no = port === undefined ? OFPP.ANY : portNumber(s, name, port);
      s.dump(v, encodePortDescRequest(v.version, no, v.nextXid()));
      v.close();
    },
  ),
  ofctlRow("get-frags", "switch", [1, 1], "Prints how IP fragments are handled.", (s, argv) =>
    s.withVconn(argv[1] ?? "", (v) => s.print(`${FRAG_NAMES[fetchConfig(s, v).frag]}\n`)),
  ),
  ofctlRow(
    "dump-ipfix-bridge",
    "switch",
    [1, 1],
    "Prints what IPFIX of a bridge counted.",
    (s, argv) => s.dumpTrivial(argv[1] ?? "", "NXST_IPFIX_BRIDGE_REQUEST"),
  ),
  ofctlRow("dump-ipfix-flow", "switch", [1, 1], "Prints what IPFIX of flows counted.", (s, argv) =>
    s.dumpTrivial(argv[1] ?? "", "NXST_IPFIX_FLOW_REQUEST"),
  ),
  ofctlRow(
    "probe",
    "target",
    [1, 1],
    "Tells by its exit status whether a switch answers.",
    (s, argv) => probe(s, argv[1] ?? ""),
  ),
  ofctlRow("ping", "target [n]", [1, 2], "Sends echo requests.", ping),
  ofctlRow("benchmark", "target n count", [3, 3], "Sends echo requests and measures.", benchmark),
];
