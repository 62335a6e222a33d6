// dpif-netdev/*: what the userspace datapath tells of its own inner life.
//
// There is one thread, the main one, which polls nothing on its own. ovs: lib/dpif-netdev.c
// pmd_info_show_stats, dpif_netdev_pmd_info and the *-get and *-set commands.

import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
  appctlRows,
  ANY_ARGS,
} from "../command.ts";
import { formatFixed } from "../../lib/number.ts";
import type { DatapathPair } from "../packets.ts";
import { packetsOf } from "./dpctl-params.ts";

const LOOKUP_PRIORITY_MAX = 255;

/** Datapaths in question: the one that is named, or all. */
function pairs(ctx: CommandContext, argv: readonly string[]): readonly DatapathPair[] {
  const all = packetsOf(ctx.vs)?.all() ?? [];
  const name = argv.slice(1).find((a) => !a.startsWith("-"));
  return name === undefined || all.length === 1 ? all : all.filter((p) => p.dp.name === name);
}

const NO_DATAPATH = "please specify an existing datapath";

/** The datapath of a name, or the only one. */
function oneDatapath(ctx: CommandContext, name: string | undefined): DatapathPair | undefined {
  const all = packetsOf(ctx.vs)?.all() ?? [];
  const found = name === undefined ? all : all.filter((p) => p.dp.name === name);
  return found.length === 1 ? found[0] : undefined;
}

function ratio(a: number, b: number): string {
  return formatFixed(b === 0 ? 0 : a / b, 2);
}

function statsText({ dp }: DatapathPair): string {
  const s = dp.stats;
  const passes = s.hits + s.misses + s.lost;
  const received = passes - s.recirculations;
  const lines: readonly (readonly [string, number | string])[] = [
    ["packets received", received],
    ["packet recirculations", s.recirculations],
    ["avg. datapath passes per packet", ratio(passes, received)],
    ["phwol hits", 0],
    ["mfex opt hits", 0],
    ["simple match hits", s.simpleHits],
    ["emc hits", s.exactHits],
    ["smc hits", 0],
    ["megaflow hits", s.maskedHits],
    ["avg. subtable lookups per megaflow hit", ratio(s.hitLookups, s.maskedHits)],
    ["miss with success upcall", s.misses],
    ["miss with failed upcall", s.lost],
    ["avg. packets per output batch", s.outputs === 0 ? "0.00" : "1.00"],
  ];
  return `main thread:\n${lines.map(([k, v]) => `  ${k}: ${v}\n`).join("")}`;
}

function statsShow(ctx: CommandContext, argv: readonly string[]): Reply {
  return appctlOk(pairs(ctx, argv).map(statsText).join(""));
}

function statsClear(ctx: CommandContext, argv: readonly string[]): Reply {
  for (const { dp } of pairs(ctx, argv)) {
    Object.assign(dp.stats, {
      recirculations: 0,
      exactHits: 0,
      simpleHits: 0,
      maskedHits: 0,
      hitLookups: 0,
      outputs: 0,
      hits: 0,
      misses: 0,
      lost: 0,
    });
  }
  return appctlOk();
}

function lookupShow(ctx: CommandContext): Reply {
  const lines = [...ctx.vs.lookupPriorities].map(
    ([name, priority]) => `  ${name} (Use count: 0, Priority: ${priority})\n`,
  );
  return appctlOk(`Available dpcls implementations:\n${lines.join("")}`);
}

/** No thread polls, so that a priority is remembered and changes nothing. */
function lookupSet(ctx: CommandContext, argv: readonly string[]): Reply {
  const [, name = "", text = ""] = argv;
  const priority = Number.parseInt(text, 10) || 0;
  if (priority < 0 || priority > LOOKUP_PRIORITY_MAX) {
    return appctlError("error converting priority, use integer in range 0-255\n");
  }
  if (!ctx.vs.lookupPriorities.has(name)) {
    return appctlError("error, subtable lookup function not found\n");
  }
  ctx.vs.lookupPriorities.set(name, priority);
  return appctlOk("Lookup priority change affected 0 dpcls ports and 0 subtables.\n");
}

const row = appctlRows("dpif-netdev/");

const text =
  (t: string): Command["run"] =>
  () =>
    appctlOk(t);

export const DPIF_NETDEV_COMMANDS: readonly Command[] = [
  row("pmd-stats-show", "[-pmd core] [dp]", [0, 3], "Shows cache hits and misses.", statsShow),
  row("pmd-stats-clear", "[-pmd core] [dp]", [0, 3], "Starts the counters over.", statsClear),
  row(
    "pmd-rxq-show",
    "[-pmd core] [-secs secs] [dp]",
    [0, 5],
    "Shows which thread polls which queue; there are none.",
    text("Displaying last 60 seconds pmd usage %\n"),
  ),
  row(
    "pmd-perf-show",
    "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]",
    [0, 8],
    "Shows how long polling takes; nothing polls.",
    text(""),
  ),
  row("pmd-rxq-rebalance", "[dp]", [0, 1], "Accepted; there is nothing to balance.", rebalance),
  row(
    "pmd-perf-log-set",
    "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]",
    [0, 10],
    "Accepted; nothing is suspicious enough to be logged.",
    text(""),
  ),
  row("bond-show", "[dp]", [0, 1], "Shows the bonds that the datapath spreads itself.", bondShow),
  row("subtable-lookup-info-get", "", [0, 0], "Names the ways to look flows up.", lookupShow),
  row(
    "subtable-lookup-prio-get",
    undefined,
    [0, 0],
    "Names the ways to look flows up.",
    lookupShow,
  ),
  row(
    "subtable-lookup-prio-set",
    "[lookup_func] [prio]",
    [2, 2],
    "Gives a way to look flows up a priority.",
    lookupSet,
  ),
  row(
    "dpif-impl-get",
    "",
    [0, 0],
    "Names the datapath's input function.",
    text("Available DPIF implementations:\n  dpif_scalar (pmds: none)\n"),
  ),
  row("dpif-impl-set", "dpif_implementation_name", [1, 1], "Chooses the input function.", implSet),
  row(
    "miniflow-parser-get",
    "",
    [0, 0],
    "Names the ways to extract keys.",
    text(
      "Available MFEX implementations:\n" +
        "  autovalidator (available: True pmds: none)\n" +
        "  scalar (available: True pmds: none)\n" +
        "  study (available: True pmds: none)\n",
    ),
  ),
  row(
    "miniflow-parser-set",
    "[-pmd core] miniflow_implementation_name [study_pkt_cnt]",
    [1, ANY_ARGS],
    "Accepted for the one way there is.",
    parserSet,
  ),
];

function rebalance(ctx: CommandContext, argv: readonly string[]): Reply {
  return oneDatapath(ctx, argv[1]) === undefined
    ? appctlError(NO_DATAPATH)
    : appctlOk("pmd rxq rebalance requested.\n");
}

function implSet(_ctx: CommandContext, argv: readonly string[]): Reply {
  return argv[1] === "dpif_scalar"
    ? appctlOk("DPIF implementation set to dpif_scalar.\n")
    : appctlError(`DPIF implementation not available: Unknown DPIF implementation ${argv[1]}.\n`);
}

function parserSet(_ctx: CommandContext, argv: readonly string[]): Reply {
  const name = argv[argv.length - 1] ?? "";
  return name === "scalar"
    ? appctlOk("Miniflow extract implementation set to scalar.\n")
    : appctlError(`Error: unknown miniflow extract implementation ${name}.\n`);
}

function bondShow(ctx: CommandContext, argv: readonly string[]): Reply {
  const pair = oneDatapath(ctx, argv[1]);
  if (pair === undefined) {
    return appctlError(NO_DATAPATH);
  }
  const { bonds } = pair.dp;
  let s = bonds.size > 0 ? "Bonds:\n" : "";
  for (const [id, entries] of bonds) {
    s += `  bond-id ${id}:\n`;
    entries.forEach((e, i) => {
      s += `    bucket ${i} - member ${e.member}\n`;
    });
  }
  return appctlOk(s);
}
