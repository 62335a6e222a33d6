// dpctl/*: datapaths and their flows.
//
// Connection tracking has its own file of dpctl commands. ovs: lib/dpctl.c.

import type { Megaflow } from "../../datapath/megaflow.ts";
import { miniflowBits } from "../../datapath/miniflow-bits.ts";
import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { type FlowKey, newKey } from "../../flow/flow-key.ts";
import { formatFixed } from "../../lib/number.ts";
import { NameTable } from "../../openflow/messages/names.ts";
import { parseExactFlow } from "../../openflow/match-parse.ts";
import { isTunnelType } from "../../openflow/tunnel-config.ts";
import type { DpPort } from "../backer.ts";
import type { Command } from "../command.ts";
import { formatDeviceConfig, formatVportConfig } from "../device-config.ts";
import type { DatapathPair } from "../packets.ts";
import { formatFlowStats, formatMegaflowKey, formatUfid } from "../megaflow-text.ts";
import { DPCTL_FLOW_COMMANDS, findUfid } from "./dpctl-flows.ts";
import { allPortNames, type DpctlRun, dpctlRow } from "./dpctl-params.ts";

const ANY = Number.MAX_SAFE_INTEGER;
const DUMP_TYPES = [
  "ovs",
  "tc",
  "dpdk",
  "offloaded",
  "non-offloaded",
  "partially-offloaded",
  "all",
] as const;

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

function extraInfo(f: Megaflow): string {
  return `miniflow_bits(${miniflowBits(f.key, f.mask).join(",")})`;
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
  const wc = newKey();
  const parsed = parseExactFlow(text, null, { ports, tables: null, log: null }, wc);
  if (!parsed.ok) {
    r.error(null, `Failed to parse filter (${parsed.error.message})`);
    return null;
  }
  return { flow: parsed.value.flow, wc };
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
  pair.udpif.dpifLog?.listed(pair.dp.flows.values());
  for (const f of pair.dp.flows.values()) {
    if (filter !== null && !passes(f, filter)) {
      continue;
    }
    // The title comes with the first flow, and is lost with it.
    if (!titled && shown) {
      r.print("flow-dump from the main thread:\n");
    }
    titled = true;
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

/** What the datapath's own device of a port is set to. */
function portConfig(p: DpPort): string {
  if (isTunnelType(p.type)) {
    return formatVportConfig(p.name, p.type);
  }
  return p.device === null ? "" : formatDeviceConfig(p.device);
}

function showOne(r: DpctlRun, { dp, backer }: DatapathPair): void {
  r.print(`${dp.type}@${dp.name}:\n`);
  const { hits, misses, lost } = dp.stats;
  r.print(`  lookups: hit:${hits} missed:${misses} lost:${lost}\n  flows: ${dp.flows.size}\n`);
  const ports = [...backer.ports.values()].toSorted((a, b) => a.odpPort - b.odpPort);
  for (const p of ports) {
    const config = portConfig(p);
    const type = p.type === "system" ? "" : ` (${p.type}${config === "" ? "" : `:${config}`})`;
    r.print(`  port ${p.odpPort}: ${p.name}${type}\n`);
    if (r.statistics) {
      const s = p.device?.netdev?.stats;
      const rx = [s?.rxPackets ?? 0, s?.rxBytes ?? 0] as const;
      const tx = [s?.txPackets ?? 0, s?.txBytes ?? 0] as const;
      r.print(`    RX packets:${rx[0]} errors:? dropped:? overruns:? frame:?\n`);
      r.print(`    TX packets:${tx[0]} errors:? dropped:? aborted:? carrier:?\n`);
      r.print("    collisions:?\n");
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
      return ` (${formatFixed(bytes / size, 1)} ${unit})`;
    }
  }
  return "";
}

const UFID = /^ufid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

function getFlow(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const text = r.argv[r.argv.length - 1] as string;
  if (!UFID.test(text)) {
    // As in OVS, this error does not make the command fail.
    r.note(text.startsWith("ufid:") ? "parsing flow ufid (Invalid argument)" : "parsing flow ufid");
    return;
  }
  const f = findUfid(pair, text);
  if (f === null) {
    r.error("ENOENT", "getting flow");
  } else {
    r.print(`${formatFlow(r, pair, f)}\n`);
  }
}

/** There are no caches whose size could be told or changed. */
function cacheSizes(r: DpctlRun): void {
  const names = r.argv.slice(1);
  const pairs = names.length === 0 ? r.datapaths() : names.map((n) => r.find(n));
  pairs.forEach((pair, i) => {
    if (pair === null) {
      r.error("ENODEV", `Opening datapath ${names[i]} failed`);
    } else {
      r.print(`${pair.dp.type}@${pair.dp.name}:\n`);
    }
  });
}

function setCacheSize(r: DpctlRun): void {
  if (!/^\s*[-+]?\d/.test(r.argv[3] ?? "")) {
    r.error("EINVAL", "size is malformed");
  } else if (r.find(r.argv[1] ?? "") === null) {
    r.error("ENODEV", `Opening datapath ${r.argv[1]} failed`);
  } else {
    r.error("EOPNOTSUPP", "Setting caches not supported");
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
  dpctlRow("get-flow", "[dp] ufid", [1, 2], "Prints one datapath flow.", getFlow),
  dpctlRow("cache-get-size", "[dp]", [0, 1], "Shows the sizes of caches.", cacheSizes),
  dpctlRow("cache-set-size", "dp cache <size>", [3, 3], "Sets a cache's size.", setCacheSize),
  dpctlRow("offload-stats-show", "[dp]", [0, 1], "Shows what hardware does.", (r) => {
    if (r.open(2) !== null) {
      r.error("EINVAL", "retrieving offload statistics");
    }
  }),
  ...DPCTL_FLOW_COMMANDS,
];
