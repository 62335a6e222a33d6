// What may come next on a command line: commands, bridges, ports, tables and columns of the
// database, fields, actions.

import { FIELDS, fieldNames } from "../flow/fields.ts";
import { ACTION_KINDS } from "../openflow/actions/table.ts";
import type { Tool } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { BUILTIN_NAMES, TOOLS } from "./script.ts";
import type { VSwitch } from "./vswitch.ts";

export interface Completion {
  /** What the part may become, sorted. */
  readonly candidates: readonly string[];
  /** The end of the line that a candidate takes the place of. */
  readonly part: string;
}

/** Words that flows know besides fields; those with "=" take a value. */
const FLOW_WORDS: readonly string[] = (
  "table= priority= cookie= idle_timeout= hard_timeout= importance= actions= " +
  "ip ipv6 icmp icmp6 tcp tcp6 udp udp6 sctp sctp6 arp rarp mpls mplsm eth"
).split(" ");

/** Names of actions that their kinds do not tell. */
const ACTION_WORDS: readonly string[] = (
  "drop NORMAL FLOOD ALL LOCAL IN_PORT CONTROLLER TABLE mod_dl_src: mod_dl_dst: mod_vlan_vid: " +
  "mod_vlan_pcp: mod_nw_src: mod_nw_dst: mod_nw_tos: mod_tp_src: mod_tp_dst: strip_vlan push_vlan:"
).split(" ");

const OPTIONS: Readonly<Partial<Record<Tool, readonly string[]>>> = {
  "ovs-vsctl": (
    "--columns= --db= --dry-run --format= --id=@ --if-exists --inactivity-probe= --may-exist " +
    "--no-headings --no-wait --oneline --timeout= --"
  ).split(" "),
  "ovs-ofctl": "-O --bundle --names --no-names --no-stats --protocols= --sort= --strict".split(" "),
  "ovs-appctl": "--ct-next --names --no-names --target= -generate".split(" "),
};

/** Actions whose arguments are in parentheses. */
const WITH_PARENTHESES = new Set(
  "resubmit ct learn clone check_pkt_larger sample encap decap bundle bundle_load multipath nat ".split(
    " ",
  ),
);

function actionNames(): string[] {
  const kinds = ACTION_KINDS.map((k) => (WITH_PARENTHESES.has(k) ? `${k}(` : k));
  return [...kinds, ...ACTION_WORDS];
}

function commandNames(tool: string): string[] {
  return COMMANDS.filter((c) => c.tool === tool && c.usage !== undefined).map((c) => c.name);
}

function bridgeNames(vs: VSwitch): string[] {
  return [...vs.bridges.values()].map((b) => b.name);
}

function portNames(vs: VSwitch): string[] {
  return [...vs.bridges.values()].flatMap((b) => [...b.ifaces.keys()]);
}

/** Names that the flow of a command may begin with: within it, fields or the value of one. */
function flowWords(vs: VSwitch, before: string): string[] {
  if (/\bactions=/.test(before)) {
    return /->$/.test(before) || /\b(move|load):\S*->$/.test(before)
      ? FIELDS.map((f) => f.name)
      : [...actionNames(), ...portNames(vs)];
  }
  const value = /(\w+)=$/.exec(before)?.[1];
  if (value !== undefined) {
    return value.endsWith("_port") ? [...portNames(vs), "LOCAL"] : [];
  }
  return [...fieldNames().map((f) => `${f}=`), ...FLOW_WORDS];
}

function databaseWords(vs: VSwitch, words: readonly string[]): string[] {
  const tables = [...vs.db.tables.values()];
  const table = tables.find((t) =>
    words.some((w) => w.toLowerCase() === t.schema.name.toLowerCase()),
  );
  return [
    ...tables.map((t) => t.schema.name),
    ...(table?.schema.columnList.map((c) => c.name) ?? []),
  ];
}

/** The candidates behind a tool and its command, which are the first words. */
function argumentWords(vs: VSwitch, tool: string, words: readonly string[], before: string) {
  if (tool === "ovs-vsctl") {
    const commands = before.endsWith("-- ") ? commandNames(tool) : [];
    return [...commands, ...bridgeNames(vs), ...portNames(vs), ...databaseWords(vs, words)];
  }
  const isFirst = words.length === 2;
  return isFirst ? [...bridgeNames(vs), ...portNames(vs)] : flowWords(vs, before);
}

/** What the end of a line may become. */
export function complete(vs: VSwitch, line: string): Completion {
  const statement = line.split(/;|&&/).at(-1) ?? "";
  const part = /[^\s"'=,():]*$/.exec(statement)?.[0] ?? "";
  const before = statement.slice(0, statement.length - part.length).trimStart();
  const words = before.split(/[\s"']+/).filter((w) => w !== "");
  const [tool = ""] = words;
  const named = words.filter((w, i) => i === 0 || !w.startsWith("-"));
  let all: readonly string[];
  if (words.length === 0) {
    all = [...TOOLS, ...BUILTIN_NAMES];
  } else if (part.startsWith("-")) {
    all = OPTIONS[TOOLS.find((t) => t === tool) ?? "ovs-pcap"] ?? [];
  } else if (named.length === 1) {
    all = commandNames(tool);
  } else {
    all = argumentWords(vs, tool, named, before);
  }
  const candidates = [...new Set(all)].filter((c) => c.startsWith(part)).sort();
  return { candidates, part };
}
