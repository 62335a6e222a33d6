// dpctl/*: datapaths and their flows.
//
// Connection tracking has its own file of dpctl commands. ovs: lib/dpctl.c.

import type { Megaflow } from "../../datapath/flow-cache.ts";
import { exactNoVlan } from "../../datapath/datapath.ts";
import { odpFlowKeyToFlow, odpFlowKeyToMask } from "../../datapath/odp-flow.ts";
import {
  ODP_SUPPORT_ALL,
  odpFlowKeyFromFlow,
  odpFlowKeyFromMask,
} from "../../datapath/odp-flow-from.ts";
import type { OdpAction } from "../../datapath/odp-action.ts";
import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import type { PortNames } from "../../datapath/odp-text-fields.ts";
import { formatOdpFlow } from "../../datapath/odp-text.ts";
import { parseOdpFlow } from "../../datapath/odp-text-parse.ts";
import { parseOdpActions } from "../../datapath/odp-text-parse-actions.ts";
import { TNL_F_UDPIF } from "../../flow/extract.ts";
import { type FlowKey, get, getU, K } from "../../flow/flow-key.ts";
import { NameTable } from "../../openflow/messages/names.ts";
import { parseExactFlow } from "../../openflow/match-parse.ts";
import { decodeUtf8, putU32 } from "../../lib/bytes.ts";
import { formatTcpFlags } from "../../packet/l4.ts";
import type { Command } from "../command.ts";
import { formatDeviceConfig } from "../device-config.ts";
import type { DatapathPair } from "../packets.ts";
import { allPortNames, type DpctlRun, dpctlRow, type Errno } from "./dpctl-params.ts";

const ANY = Number.MAX_SAFE_INTEGER;
const ODPP_NONE = 0xffffffff;
const DUMP_TYPES = [
  "ovs",
  "tc",
  "dpdk",
  "offloaded",
  "non-offloaded",
  "partially-offloaded",
  "all",
] as const;

/** Packets, bytes, age and flags of a megaflow (ovs: dpif_flow_stats_format). */
export function formatFlowStats(f: Megaflow, nowMs: number): string {
  const { packets, bytes, usedMs, tcpFlags } = f.stats;
  const used = usedMs === 0 ? "never" : `${((nowMs - usedMs) / 1000).toFixed(3)}s`;
  const flags = tcpFlags === 0 ? "" : `, flags:${formatTcpFlags(tcpFlags)}`;
  return `packets:${packets}, bytes:${bytes}, used:${used}${flags}`;
}

/** Raw Geneve options in the words of a key or mask, as many as the key has; null without any. */
function geneveOf(key: FlowKey, words: FlowKey): Uint8Array | null {
  const bytes = key[K.tun_md_present.word + 1] as number;
  const isMask = key !== words;
  if ((get(key, K.tun_flags) & TNL_F_UDPIF) === 0 || (isMask && bytes === 0)) {
    return null;
  }
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 4) {
    putU32(out, i, words[K.tun_md_opts.word + (i >> 2)] as number);
  }
  return out;
}

/** Key and mask of a megaflow as text. */
export function formatMegaflowKey(
  f: Megaflow,
  vlanLimit: number,
  names: PortNames,
  verbose: boolean,
): string {
  const p = {
    flow: f.key,
    mask: f.mask,
    support: ODP_SUPPORT_ALL,
    vlanLimit,
    geneve: geneveOf(f.key, f.key),
    geneveMask: geneveOf(f.key, f.mask),
  };
  return formatOdpFlow(odpFlowKeyFromFlow(p), odpFlowKeyFromMask(p, f.mask), names, verbose);
}

/** A number that looks like the unique id of a flow. */
export function formatUfid(f: Megaflow): string {
  const hex = (n: number) => (n >>> 0).toString(16).padStart(8, "0");
  const a = hex(Math.imul(f.id, 0x9e3779b1));
  const b = hex(Math.imul(f.id ^ 0x5bd1e995, 0x85ebca6b));
  const c = hex(Math.imul(f.id + 0x27d4eb2f, 0xc2b2ae35));
  return `ufid:${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${hex(f.id)}`;
}

function formatFlow(r: DpctlRun, pair: DatapathPair, f: Megaflow): string {
  const names = r.portNames(pair);
  const verbose = r.verbosity > 0;
  const ufid = verbose ? `${formatUfid(f)}, ` : "";
  const key = formatMegaflowKey(f, pair.dp.vlanLimit, names, verbose);
  const stats = formatFlowStats(f, pair.dp.clock.nowMs());
  const layer = verbose ? ", dp:ovs" : "";
  const extra = verbose ? `, dp-extra-info:${extraInfo(f)}` : "";
  return `${ufid}${key}, ${stats}${layer}, actions:${formatOdpActions(f.actions, names)}${extra}`;
}

/** Words of the miniflow by which the flow is looked up (ovs: dp_netdev_flow_add). */
function extraInfo(f: Megaflow): string {
  let words = 0;
  for (const w of f.mask) {
    words += w !== 0 ? 1 : 0;
  }
  return `miniflow_bits(${Math.ceil(words / 2)},0)`;
}

interface DumpArgs {
  readonly filter: { flow: FlowKey; wc: FlowKey } | null;
  readonly shown: boolean;
  readonly pmd: number | null;
}

/** The arguments of dump-flows other than the datapath, which stand last. */
function parseDumpArgs(r: DpctlRun): { filter: string; types: string | null; pmd: number | null } {
  const argv = [...r.argv];
  let filter = "";
  let types: string | null = null;
  let pmd: number | null = null;
  while (argv.length > 1) {
    const last = argv[argv.length - 1] as string;
    if (last.startsWith("filter=") && filter === "") {
      filter = last.slice(7);
    } else if (last.startsWith("type=") && types === null) {
      types = last.slice(5);
    } else if (last.startsWith("pmd=")) {
      pmd = Number.parseInt(last.slice(4), 10);
      if (Number.isNaN(pmd)) {
        r.failed = true;
      }
    } else {
      break;
    }
    argv.pop();
  }
  r.argv = argv;
  return { filter, types, pmd };
}

function parseFilter(r: DpctlRun, pair: DatapathPair, text: string): DumpArgs["filter"] {
  const ports = new NameTable();
  for (const [no, name] of allPortNames(pair)) {
    ports.put(no, name);
  }
  const parsed = parseExactFlow(text, null, { ports, tables: null, log: null });
  if (!parsed.ok) {
    r.error(null, `Failed to parse filter (${parsed.error.message})`);
    return null;
  }
  return parsed.value;
}

function dumpFlows(r: DpctlRun): void {
  const { filter: text, types, pmd } = parseDumpArgs(r);
  if (r.failed) {
    return;
  }
  const pair = r.open(2);
  if (pair === null) {
    return;
  }
  const filter = text === "" ? null : parseFilter(r, pair, text);
  if (r.failed) {
    return;
  }
  const wanted = types === null ? ["all"] : types.split(",").filter((t) => t !== "");
  const bad = wanted.find((t) => !(DUMP_TYPES as readonly string[]).includes(t));
  if (bad !== undefined) {
    r.error("EINVAL", `Failed to parse type (${bad})`);
    return;
  }
  // All flows are in user space and none is offloaded.
  const shown = wanted.some((t) => t === "ovs" || t === "non-offloaded" || t === "all");
  let titled = pmd !== null;
  for (const f of pair.dp.flows.values()) {
    if (filter !== null && !passes(f, filter)) {
      continue;
    }
    if (!titled) {
      r.print("flow-dump from the main thread:\n");
      titled = true;
    }
    if (shown && (pmd === null || pmd === -1)) {
      r.print(`${formatFlow(r, pair, f)}\n`);
    }
  }
}

function passes(f: Megaflow, filter: { flow: FlowKey; wc: FlowKey }): boolean {
  for (let i = 0; i < f.key.length; i++) {
    const m = (f.mask[i] as number) & (filter.wc[i] as number);
    if ((((f.key[i] as number) ^ (filter.flow[i] as number)) & m) !== 0) {
      return false;
    }
  }
  return true;
}

function show(r: DpctlRun): void {
  if (r.argv.length < 2) {
    for (const pair of r.datapaths()) {
      showOne(r, pair);
    }
    return;
  }
  for (const name of r.argv.slice(1)) {
    const pair = r.find(name);
    if (pair === null) {
      r.error("ENODEV", `opening datapath ${name} failed`);
    } else {
      showOne(r, pair);
    }
  }
}

function showOne(r: DpctlRun, { dp, backer }: DatapathPair): void {
  r.print(`${dp.type}@${dp.name}:\n`);
  const { hits, misses, lost } = dp.stats;
  r.print(`  lookups: hit:${hits} missed:${misses} lost:${lost}\n  flows: ${dp.flows.size}\n`);
  const ports = [...backer.ports.values()].toSorted((a, b) => a.odpPort - b.odpPort);
  for (const p of ports) {
    const config = p.device === null ? "" : formatDeviceConfig(p.device);
    const type = p.type === "system" ? "" : ` (${p.type}${config === "" ? "" : `:${config}`})`;
    r.print(`  port ${p.odpPort}: ${p.name}${type}\n`);
    if (r.statistics) {
      const s = p.device?.netdev?.stats;
      const rx = [s?.rxPackets ?? 0, s?.rxBytes ?? 0] as const;
      const tx = [s?.txPackets ?? 0, s?.txBytes ?? 0] as const;
      r.print(`    RX packets:${rx[0]} errors:0 dropped:0 overruns:0 frame:0\n`);
      r.print(`    TX packets:${tx[0]} errors:0 dropped:0 aborted:0 carrier:0\n`);
      r.print("    collisions:0\n");
      r.print(`    RX bytes:${rx[1]}${human(rx[1])}  TX bytes:${tx[1]}${human(tx[1])}\n`);
    }
  }
}

/** " (1.5 KiB)" for sizes from 1024 on. */
function human(bytes: number): string {
  const units = ["TiB", "GiB", "MiB", "KiB"];
  for (const [i, unit] of units.entries()) {
    const size = 1024 ** (4 - i);
    if (bytes >= size) {
      return ` (${(bytes / size).toFixed(1)} ${unit})`;
    }
  }
  return "";
}

type PutMode = "add" | "mod";

interface FlowText {
  readonly flow: FlowKey;
  readonly mask: FlowKey;
}

/** A flow and its mask from text; the mask is exact if the text has none. */
function parseFlowText(r: DpctlRun, pair: DatapathPair, text: string): FlowText | null {
  const names = new Map([...allPortNames(pair)].map(([no, name]) => [name, no]));
  const parsed = parseOdpFlow(text, names, true);
  if (!parsed.ok) {
    r.error("EINVAL", `parsing flow key (${parsed.error.message})`);
    return null;
  }
  const key = odpFlowKeyToFlow(parsed.value.key, pair.dp.vlanLimit);
  if (key.fitness !== "perfect" && key.fitness !== "too_little") {
    r.error("EINVAL", "updating flow table");
    return null;
  }
  const mask = odpFlowKeyToMask(parsed.value.mask, key.flow, pair.dp.vlanLimit);
  if (mask.fitness === "error" || getU(mask.flow, K.in_port) !== ODPP_NONE) {
    r.error("EINVAL", "updating flow table");
    return null;
  }
  exactNoVlan(mask.flow);
  return { flow: key.flow, mask: mask.flow };
}

function putFlow(r: DpctlRun, mode: PutMode): void {
  const pair = r.open(4);
  if (pair === null) {
    return;
  }
  const [flowText = "", actionsText = ""] = r.argv.slice(-2);
  putFlowText(r, pair, mode, {
    flowText: flowText.replace(/^ufid:[0-9a-f-]+,?\s*/, ""),
    actionsText,
  });
}

function putFlowText(
  r: DpctlRun,
  pair: DatapathPair,
  mode: PutMode,
  text: { readonly flowText: string; readonly actionsText: string },
): void {
  const parsed = parseFlowText(r, pair, text.flowText);
  if (parsed === null) {
    return;
  }
  const actions: readonly OdpAction[] | null = parseOdpActions(text.actionsText, new Map());
  if (actions === null) {
    r.error("EINVAL", "parsing actions");
    return;
  }
  const old = pair.dp.flows.lookup(parsed.flow);
  let errno: Errno | null = null;
  if (mode === "add") {
    errno = old === null ? null : "EEXIST";
    if (old === null) {
      pair.dp.flows.insert(parsed.flow, parsed.mask, actions, null);
    }
  } else if (old === null) {
    errno = "ENOENT";
  } else {
    old.actions = actions;
  }
  if (errno !== null) {
    r.error(errno, "updating flow table");
  } else if (r.statistics) {
    r.print("packets:0, bytes:0, used:never\n");
  }
}

function delFlow(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const text = r.argv[r.argv.length - 1] as string;
  const byUfid = text.startsWith("ufid:") ? findUfid(pair, text) : null;
  const parsed = byUfid === null ? parseFlowText(r, pair, text) : null;
  if (byUfid === null && parsed === null) {
    return;
  }
  const flow = byUfid ?? (parsed === null ? null : pair.dp.flows.lookup(parsed.flow));
  if (flow === null) {
    r.error("ENOENT", "deleting flow");
    r.print("Perhaps you need to specify a UFID?\n");
    return;
  }
  if (r.statistics) {
    r.print(`${formatFlowStats(flow, pair.dp.clock.nowMs())}\n`);
  }
  pair.udpif.deleteFlow(flow);
}

function findUfid(pair: DatapathPair, text: string): Megaflow | null {
  for (const f of pair.dp.flows.values()) {
    if (text.startsWith(formatUfid(f))) {
      return f;
    }
  }
  return null;
}

function getFlow(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const text = r.argv[r.argv.length - 1] as string;
  if (!text.startsWith("ufid:")) {
    r.error(null, "parsing flow ufid");
    return;
  }
  const f = findUfid(pair, text);
  if (f === null) {
    r.error("ENOENT", "getting flow");
  } else {
    r.print(`${formatFlow(r, pair, f)}\n`);
  }
}

/** Lines `add FLOW ACTIONS` and the like; the first word may be left out. */
function processFlows(r: DpctlRun, mode: PutMode | "del"): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const name = r.argv[r.argv.length - 1] as string;
  const file = r.ctx.vs.fs.readFile(name);
  if (!file.ok) {
    r.error(null, `${name}: open failed (${file.message})`);
    return;
  }
  const lines = decodeUtf8(file.value).split("\n");
  for (const line of lines) {
    const m = /^(?:(add|modify|delete)\s+)?(\S.*)$/.exec(line.replace(/#.*/, "").trim());
    if (m === null) {
      continue;
    }
    const verb =
      m[1] === undefined ? mode : m[1] === "modify" ? "mod" : m[1] === "add" ? "add" : "del";
    const text = m[2] as string;
    if (verb === "del") {
      const parsed = parseFlowText(r, pair, text);
      const flow = parsed === null ? null : pair.dp.flows.lookup(parsed.flow);
      if (flow !== null) {
        pair.udpif.deleteFlow(flow);
      }
    } else {
      const cut = text.search(/\s/);
      const flowText = cut < 0 ? text : text.slice(0, cut);
      putFlowText(r, pair, verb, { flowText, actionsText: cut < 0 ? "" : text.slice(cut + 1) });
    }
    if (r.failed) {
      return;
    }
  }
}

function delFlows(r: DpctlRun): void {
  if ((!r.hasDatapathArg && r.argv.length === 2) || r.argv.length > 2) {
    processFlows(r, "del");
    return;
  }
  const pair = r.open(2);
  if (pair !== null) {
    pair.dp.flows.clear();
  }
}

export const DPCTL_COMMANDS: readonly Command[] = [
  dpctlRow("dump-dps", "", [0, 0], "Lists the datapaths.", (r) => {
    for (const { dp } of r.datapaths()) {
      r.print(`${dp.type}@${dp.name}\n`);
    }
  }),
  dpctlRow("show", "[-s] [dp...]", [0, ANY], "Shows datapaths and their ports.", show),
  dpctlRow(
    "dump-flows",
    "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
    [0, 6],
    "Prints the flows of a datapath.",
    dumpFlows,
  ),
  dpctlRow("add-flow", "[dp] flow actions", [2, 3], "Adds a datapath flow.", (r) =>
    putFlow(r, "add"),
  ),
  dpctlRow(
    "mod-flow",
    "[dp] flow actions",
    [2, 3],
    "Changes the actions of a datapath flow.",
    (r) => putFlow(r, "mod"),
  ),
  dpctlRow("get-flow", "[dp] ufid", [1, 2], "Prints one datapath flow.", getFlow),
  dpctlRow("del-flow", "[dp] flow", [1, 2], "Deletes a datapath flow.", delFlow),
  dpctlRow("add-flows", "[dp] file", [1, 2], "Adds the datapath flows of a file.", (r) =>
    processFlows(r, "add"),
  ),
  dpctlRow("mod-flows", "[dp] file", [1, 2], "Changes the datapath flows of a file.", (r) =>
    processFlows(r, "mod"),
  ),
  dpctlRow(
    "del-flows",
    "[dp] [file]",
    [0, 2],
    "Deletes all datapath flows, or a file's.",
    delFlows,
  ),
];
