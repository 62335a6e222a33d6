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
import { formatFixed, strToUint } from "../../lib/number.ts";
import type { DatapathPair } from "../packets.ts";
import { packetsOf } from "./dpctl-params.ts";

const LOOKUP_PRIORITY_MAX = 255;

const NO_DATAPATH = "please specify an existing datapath";

/** All datapaths, those made by hand as well. */
function allPairs(ctx: CommandContext): readonly DatapathPair[] {
  const packets = packetsOf(ctx.vs);
  return [...(packets?.all() ?? []), ...(packets?.handmade.values() ?? [])];
}

/** The datapath of a name, or the only one. */
function oneDatapath(ctx: CommandContext, name: string | undefined): DatapathPair | undefined {
  const all = allPairs(ctx);
  const found = name === undefined ? all : all.filter((p) => p.dp.name === name);
  return found.length === 1 ? found[0] : undefined;
}

interface ThreadArgs {
  readonly pair: DatapathPair | undefined;
  /** False if a thread is asked for that is not the main one, which has no number. */
  readonly mainThread: boolean;
  /** What `-secs` asked for; 0 without it. */
  readonly secs: number;
}

/** Arguments of the commands about threads: the last name that is one, else the only datapath. */
function threadArgs(ctx: CommandContext, argv: readonly string[], takesSecs: boolean): ThreadArgs {
  let named: DatapathPair | undefined;
  let mainThread = true;
  let secs = 0;
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i] as string;
    const value = argv[i + 1];
    if (arg === "-pmd" && value !== undefined) {
      mainThread = mainThread && strToUint(value, 10) === undefined;
      i++;
    } else if (takesSecs && arg === "-secs" && value !== undefined) {
      secs = strToUint(value, 10) ?? RXQ_SECS_MAX;
      i++;
    } else {
      named = allPairs(ctx).find((p) => p.dp.name === arg);
    }
  }
  return { pair: named ?? oneDatapath(ctx, undefined), mainThread, secs };
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
  const { pair, mainThread } = threadArgs(ctx, argv, false);
  return pair === undefined
    ? appctlError(NO_DATAPATH)
    : appctlOk(mainThread ? statsText(pair) : "");
}

function statsClear(ctx: CommandContext, argv: readonly string[]): Reply {
  const { pair, mainThread } = threadArgs(ctx, argv, false);
  if (pair === undefined) {
    return appctlError(NO_DATAPATH);
  }
  if (mainThread) {
    Object.assign(pair.dp.stats, {
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

/** Shares of time are told for so long at most, in steps of five seconds. */
const RXQ_SECS_MAX = 60;
const RXQ_SECS_STEP = 5;

function rxqShow(ctx: CommandContext, argv: readonly string[]): Reply {
  const { pair, mainThread, secs } = threadArgs(ctx, argv, true);
  if (pair === undefined) {
    return appctlError(NO_DATAPATH);
  }
  const shown =
    secs === 0 || secs > RXQ_SECS_MAX
      ? RXQ_SECS_MAX
      : Math.ceil(secs / RXQ_SECS_STEP) * RXQ_SECS_STEP;
  return appctlOk(mainThread ? `Displaying last ${shown} seconds pmd usage %\n` : "");
}

function perfShow(ctx: CommandContext, argv: readonly string[]): Reply {
  return threadArgs(ctx, argv, false).pair === undefined ? appctlError(NO_DATAPATH) : appctlOk();
}

const PERF_LOG_USAGE =
  "Usage: ovs-appctl dpif-netdev/pmd-perf-log-set [on|off] [-b before] [-a after] [-e|-ne] " +
  "[-us usec] [-q qlen]";

function perfLogSet(_ctx: CommandContext, argv: readonly string[]): Reply {
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i] as string;
    if (["-a", "-b", "-q", "-us"].includes(arg)) {
      i++;
      if (strToUint(argv[i] ?? "", 10) === undefined) {
        return appctlError(PERF_LOG_USAGE);
      }
    } else if (!["on", "off", "-e", "-ne"].includes(arg)) {
      return appctlError(PERF_LOG_USAGE);
    }
  }
  return appctlOk();
}

/** A text for each datapath. */
const each =
  (t: string): Command["run"] =>
  (ctx) =>
    appctlOk(t.repeat(allPairs(ctx).length));

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

export const DPIF_NETDEV_COMMANDS: readonly Command[] = [
  row("pmd-stats-show", "[-pmd core] [dp]", [0, 3], "Shows cache hits and misses.", statsShow),
  row("pmd-stats-clear", "[-pmd core] [dp]", [0, 3], "Starts the counters over.", statsClear),
  row(
    "pmd-rxq-show",
    "[-pmd core] [-secs secs] [dp]",
    [0, 5],
    "Shows which thread polls which queue; there are none.",
    rxqShow,
  ),
  row(
    "pmd-perf-show",
    "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]",
    [0, 8],
    "Shows how long polling takes; nothing polls.",
    perfShow,
  ),
  row("pmd-rxq-rebalance", "[dp]", [0, 1], "Accepted; there is nothing to balance.", rebalance),
  row(
    "pmd-perf-log-set",
    "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]",
    [0, 10],
    "Accepted; nothing is suspicious enough to be logged.",
    perfLogSet,
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
    each("Available DPIF implementations:\n  dpif_scalar (pmds: none)\n"),
  ),
  row("dpif-impl-set", "dpif_implementation_name", [1, 1], "Chooses the input function.", implSet),
  row(
    "miniflow-parser-get",
    "",
    [0, 0],
    "Names the ways to extract keys.",
    each(
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
    "Accepted; keys are extracted the same way always.",
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

const PARSERS = ["autovalidator", "scalar", "study"];
const STUDY_PACKETS = 128;

interface ParserArgs {
  readonly name: string;
  readonly pmd: number | null;
  readonly count: number;
}

/** "[-pmd core] name [study_pkt_cnt]", or what is wrong with it. */
function parserArgs(argv: readonly string[]): ParserArgs | string {
  let name: string | null = null;
  let pmd: number | null = null;
  let count = STUDY_PACKETS;
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i] as string;
    if (arg === "-pmd" && name === null) {
      const value = argv[i + 1];
      if (value === undefined) {
        return "-pmd option requires a thread id argument.\n";
      }
      i++;
      pmd = strToUint(value, 10) ?? null;
      if (pmd === null) {
        const what = `PMD thread passed is not valid: '${value}'`;
        return `miniflow extract parser not changed, ${what}. Pass a valid pmd thread ID.\n`;
      }
    } else if (name === null) {
      name = arg;
    } else if (name === "study") {
      count = strToUint(arg, 10) ?? 0;
      if (count === 0) {
        return `invalid study_pkt_cnt value: ${arg}.\n`;
      }
    } else {
      return `unknown argument ${arg}.\n`;
    }
  }
  const list = "Output of miniflow-parser-get shows implementation list";
  return name === null ? `no miniflow extract name provided. ${list}.\n` : { name, pmd, count };
}

function parserSet(ctx: CommandContext, argv: readonly string[]): Reply {
  const args = parserArgs(argv);
  if (typeof args === "string") {
    return appctlError(`Error: ${args}`);
  }
  const { name, pmd, count } = args;
  if (!PARSERS.includes(name)) {
    return appctlError(`Error: unknown miniflow extract implementation ${name}.`);
  }
  // What the processor can do is looked up with the first datapath.
  if (allPairs(ctx).length === 0) {
    const why = "miniflow extract not available due to CPU ISA requirements";
    return appctlError(`Error: ${why}: ${name}`);
  }
  if (pmd !== null) {
    const what = "miniflow extract parser not changed";
    const why = `PMD thread ${pmd} not in use, pass a valid pmd thread ID`;
    return appctlError(`Error: ${what}, ${why}.\n`);
  }
  const studying = name === "study" ? `, studying ${count} packets` : "";
  return appctlOk(`Miniflow extract implementation set to ${name}${studying}.\n`);
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
