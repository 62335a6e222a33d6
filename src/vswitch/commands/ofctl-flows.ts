// ovs-ofctl: add-flow, add-flows, mod-flows, del-flows, bundle, dump-flows, dump-aggregate.
//
// Reference: ovs: utilities/ovs-ofctl.c ofctl_flow_mod, ofctl_dump_flows, compare_flows,
// ofctl_bundle.

import { type FieldValue, fieldPrereqsOk } from "../../flow/field-value.ts";
import { type Field, fieldByName } from "../../flow/fields.ts";
import { isFieldWild, type Match, matchGetField, tunMdLocOf } from "../../flow/match.ts";
import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { readTunMd } from "../../flow/tun-metadata.ts";
import { Cursor } from "../../lib/bytes.ts";
import { formatFlowStats } from "../../openflow/flow-stats-text.ts";
import {
  COMMAND_IN_TEXT,
  parseFlowFile,
  parseFlowMod,
  parseFlowStatsRequest,
} from "../../openflow/flow-text.ts";
import { parseBundleFile } from "../../openflow/messages/bundle.ts";
import { encodeFlowMod } from "../../openflow/messages/flow-mod.ts";
import { encodeFlowStatsRequest, pullFlowStats } from "../../openflow/messages/flow-stats.ts";
import { hexDump } from "../../openflow/messages/text.ts";
import {
  type FlowMod,
  type FlowStats,
  type FlowStatsRequest,
  OFPFC,
} from "../../openflow/messages/types-flow.ts";
import { encodePacketOut } from "../../openflow/messages/packet-out.ts";
import type { BundleMsg } from "../../openflow/messages/types-switch.ts";
import type { Command } from "../command.ts";
import { encodeGroupModFor } from "./ofctl-group.ts";
import { ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { type OfctlSession, ofctlRow, ofctlWriteRow } from "./ofctl-session.ts";

/** -m this often prints each message that is sent as a hex dump; oftener, as plain hex. */
const HEX_DUMP_VERBOSITY = 5;

function sendFlowMods(
  s: OfctlSession,
  name: string,
  fms: readonly FlowMod[],
  usable: Protocols,
): void {
  if (s.options.bundle) {
    const v = s.openForFlowMod(name, usable & P.OF13_UP);
    s.transactBundle(
      v,
      fms.map((fm) => encodeFlowMod(fm, v.protocol, v.nextXid())),
    );
    v.close();
    return;
  }
  const v = s.openForFlowMod(name, usable);
  const dumped: string[] = [];
  for (const fm of fms) {
    const msg = encodeFlowMod(fm, v.protocol, v.nextXid());
    if (s.options.verbosity === HEX_DUMP_VERBOSITY) {
      dumped.push(hexDump(msg, true));
    } else if (s.options.verbosity > HEX_DUMP_VERBOSITY) {
      dumped.push(`${plainHex(msg)}\n`);
    }
    s.transactNoreply(v, msg);
  }
  s.print(dumped.join(""));
  v.close();
}

/** One number in hex (ovs: ds_put_hex). */
function plainHex(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return `0x${digits.replace(/^0+(?=.)/, "")}`;
}

function flowModFile(s: OfctlSession, name: string, file: string, command: number): void {
  // A file may name the command on each line; without one a line adds.
  const how = command === OFPFC.ADD ? COMMAND_IN_TEXT : command;
  const cx = s.accept(name);
  const text = s.readFile(file, (why) => `${file}: open failed (${why})`);
  const { fms, usable } = s.must(parseFlowFile(file, text, how, cx));
  sendFlowMods(s, name, fms, usable);
}

function flowMod(s: OfctlSession, argv: readonly string[], command: number): void {
  const [, name = "", text = ""] = argv;
  if (text === "-") {
    flowModFile(s, name, text, command);
    return;
  }
  const { fm, usable } = s.must(parseFlowMod(text, command, s.accept(name)));
  sendFlowMods(s, name, [fm], usable);
}

function prepareDump(
  s: OfctlSession,
  argv: readonly string[],
  aggregate: boolean,
): { v: Vconn; request: FlowStatsRequest; protocol: Protocols } {
  const [, name = "", text = ""] = argv;
  const cx = text === "" ? s.acceptNothing : s.accept(name);
  const { request, usable } = s.must(parseFlowStatsRequest(text, aggregate, cx));
  const v = s.open(name);
  return { v, request, protocol: s.setProtocolForDump(v, usable) };
}

function dumpPlain(s: OfctlSession, argv: readonly string[], aggregate: boolean): void {
  const { v, request, protocol } = prepareDump(s, argv, aggregate);
  s.dump(v, encodeFlowStatsRequest(request, protocol, v.nextXid()));
  v.close();
}

/** All flows of a switch that a request selects (ovs: vconn_dump_flows). */
export function fetchFlows(
  s: OfctlSession,
  v: Vconn,
  request: FlowStatsRequest,
  protocol: Protocols,
): FlowStats[] {
  const flows: FlowStats[] = [];
  for (const bytes of v.transact(encodeFlowStatsRequest(request, protocol, v.nextXid()))) {
    const msg = s.pull(bytes);
    if (msg.type !== "FLOW_STATS_REPLY") {
      s.logSink("WARN", "vconn", `received bad reply: ${s.format(bytes, 1)}`);
      v.close();
      return ofctlFatal("dump flows (Protocol error)");
    }
    const c = new Cursor(bytes, msg.bodyOfs);
    for (let fs = pullFlowStats(c, msg); fs !== null; fs = pullFlowStats(c, msg)) {
      if (typeof fs === "string") {
        // What is no OpenFlow error is shown as the system error that it is.
        const why = fs.startsWith("<") ? "Invalid argument" : fs;
        s.logSink("WARN", "vconn", `parse error in reply (${why})`);
        return ofctlFatal("dump flows (Protocol error)");
      }
      // Only OpenFlow 1.5 tells ages here: the real tool does not ask for Nicira's this way.
      const ages = msg.version >= OFP.v15 ? {} : { idleAgeS: -1, hardAgeS: -1 };
      flows.push({ ...fs, ...ages });
    }
  }
  return flows;
}

function dumpFlows(s: OfctlSession, argv: readonly string[]): void {
  const { sort, stats } = s.options;
  if (sort.length === 0 && !s.showNames && stats) {
    dumpPlain(s, argv, false);
    return;
  }
  const criteria = sort.map(({ field, descending }) => ({
    field: field === undefined ? null : sortField(field),
    descending,
  }));
  const { v, request, protocol } = prepareDump(s, argv, false);
  const flows = fetchFlows(s, v, request, protocol);
  if (criteria.length > 0) {
    // Flows that compare equal keep their order, as the real tool's comparison of addresses has it.
    flows.sort((a, b) => compareFlows(a, b, criteria));
  }
  const names = s.shown(argv[1] ?? "");
  s.print(flows.map((fs) => ` ${formatFlowStats(fs, names, stats)}\n`).join(""));
  v.close();
}

interface Criterion {
  /** Null: by priority. */
  readonly field: Field | null;
  readonly descending: boolean;
}

function sortField(name: string): Field {
  return fieldByName(name) ?? ofctlFatal(`${name}: unknown field name`);
}

function compareFlows(a: FlowStats, b: FlowStats, criteria: readonly Criterion[]): number {
  for (const { field, descending } of criteria) {
    let order: number;
    if (field === null) {
      order = a.priority - b.priority;
    } else {
      const inA = isMatched(field, a.match);
      if (inA !== isMatched(field, b.match)) {
        // Flows without the field come last in either direction.
        return inA ? -1 : 1;
      }
      order = compareValues(fieldValue(field, a.match), fieldValue(field, b.match));
    }
    if (order !== 0) {
      return descending ? -order : order;
    }
  }
  return 0;
}

function isMatched(field: Field, m: Match): boolean {
  return fieldPrereqsOk(field, m.flow, null) && !isFieldWild(field, m);
}

/** The value, also of a tunnel option whose place only the match itself knows. */
function fieldValue(field: Field, m: Match): FieldValue {
  const place = field.tunMetadata >= 0 ? tunMdLocOf(m, field.tunMetadata) : null;
  if (place === null) {
    return matchGetField(field, m).value;
  }
  return Uint32Array.from(rightAligned(readTunMd(m.flow, place.loc), field.bytes));
}

function rightAligned(body: Uint8Array, bytes: number): number[] {
  return [...new Array<number>(Math.max(0, bytes - body.length)).fill(0), ...body];
}

function compareValues(a: FieldValue, b: FieldValue): number {
  for (let i = 0; i < a.length; i++) {
    const diff = (a[i] ?? 0) - (b[i] ?? 0);
    if (diff !== 0) {
      return diff;
    }
  }
  return 0;
}

function encodeBundleMsg(m: BundleMsg, v: Vconn): Uint8Array {
  const xid = v.nextXid();
  switch (m.kind) {
    case "flow_mod":
      return encodeFlowMod(m.fm, v.protocol, xid);
    case "packet_out":
      return encodePacketOut(m.po, v.protocol, xid);
    case "group_mod":
      return encodeGroupModFor(v, m.gm, xid);
  }
}

function bundle(s: OfctlSession, name: string, file: string): void {
  const cx = s.accept(name);
  const text = s.readFile(file, (why) => `${file}: open failed (${why})`);
  const { msgs, usable } = s.must(parseBundleFile(file, text, cx));
  s.allowBundles();
  const v = s.openForFlowMod(name, usable & P.OF13_UP);
  s.transactBundle(
    v,
    msgs.map((m) => encodeBundleMsg(m, v)),
  );
  v.close();
}

export const OFCTL_FLOW_COMMANDS: readonly Command[] = [
  ofctlRow(
    "dump-flows",
    "switch",
    [1, 2],
    "Prints the flows of a switch, all or those that a flow description selects.",
    (s, argv) => dumpFlows(s, argv),
  ),
  ofctlRow(
    "dump-aggregate",
    "switch",
    [1, 2],
    "Prints how many flows there are and what they counted together.",
    (s, argv) => dumpPlain(s, argv, true),
  ),
  ofctlWriteRow(
    "add-flow",
    "switch flow",
    [2, 2],
    "Adds a flow, or replaces the one of the same match and priority.",
    (s, argv) => flowMod(s, argv, OFPFC.ADD),
  ),
  ofctlWriteRow(
    "add-flows",
    "switch file",
    [2, 2],
    "Adds the flows of a file, one a line; a line may begin with another command.",
    (s, argv) => flowModFile(s, argv[1] ?? "", argv[2] ?? "", OFPFC.ADD),
  ),
  ofctlWriteRow(
    "mod-flows",
    "switch flow",
    [2, 2],
    "Changes the actions of the flows that match, with --strict of exactly one.",
    (s, argv) => flowMod(s, argv, s.options.strict ? OFPFC.MODIFY_STRICT : OFPFC.MODIFY),
  ),
  ofctlWriteRow(
    "del-flows",
    "switch [flow]",
    [1, 2],
    "Deletes the flows that match, with --strict exactly one; all of them without a match.",
    (s, argv) => flowMod(s, argv, s.options.strict ? OFPFC.DELETE_STRICT : OFPFC.DELETE),
  ),
  ofctlWriteRow(
    "bundle",
    "switch file",
    [2, 2],
    "Sends the flow mods, group mods and packet-outs of a file as one atomic bundle.",
    (s, argv) => bundle(s, argv[1] ?? "", argv[2] ?? ""),
  ),
];
