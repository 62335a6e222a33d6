// cfm/*, bfd/*, lacp/*: the protocols that watch links.
//
// ovs: lib/cfm.c cfm_unixctl_*, lib/bfd.c bfd_unixctl_*, lib/lacp.c lacp_unixctl_*.

import { bfdDetails } from "../../openflow/bfd-text.ts";
import { cfmText } from "../../openflow/cfm-text.ts";
import type { Lacp } from "../../openflow/lacp.ts";
import { lacpStatsText, lacpText } from "../../openflow/lacp-text.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";

type Run = Command["run"];

/** Shows what has a name, or everything there is. */
function show<T>(
  all: (ctx: CommandContext) => Iterable<T>,
  nameOf: (x: T) => string,
  text: (x: T, ctx: CommandContext, isAll: boolean) => string,
  missing: string,
): Run {
  return (ctx, argv) => {
    const [, name] = argv;
    const found = [...all(ctx)].filter((x) => name === undefined || nameOf(x) === name);
    if (name !== undefined && found.length === 0) {
      return appctlError(missing);
    }
    const shown = name === undefined ? found : found.slice(0, 1);
    return appctlOk(shown.map((x) => text(x, ctx, name === undefined)).join(""));
  };
}

/** `normal`, `false`, `true` in any case; undefined for other words. */
function overrideOf(word: string): boolean | null | undefined {
  const words: Readonly<Record<string, boolean | null>> = {
    true: true,
    false: false,
    normal: null,
  };
  return words[word.toLowerCase()];
}

interface Overridable {
  readonly name: string;
  override(to: boolean | null): void;
}

/** `[interface] normal|false|true`: the last word decides for one interface or for all. */
function override(all: (ctx: CommandContext) => Iterable<Overridable>, missing: string): Run {
  return (ctx, argv): Reply => {
    const to = overrideOf(argv.at(-1) ?? "");
    if (to === undefined) {
      return appctlError("unknown fault string");
    }
    const name = argv.length > 2 ? argv[1] : undefined;
    const found = [...all(ctx)].filter((x) => name === undefined || x.name === name);
    if (name !== undefined && found.length === 0) {
      return appctlError(missing);
    }
    for (const x of found) {
      x.override(to);
    }
    ctx.vs.statusChanged();
    return appctlOk("OK");
  };
}

const cfms = (ctx: CommandContext) => ctx.vs.protocols.cfms.values();
const bfds = (ctx: CommandContext) => ctx.vs.protocols.bfds.values();
const lacps = (ctx: CommandContext) => ctx.vs.protocols.lacps;
const lacpName = (l: Lacp): string => l.settings.name;

type Shape = readonly [name: string, usage: string, args: [number, number], run: Run, doc: string];

const ROWS: readonly Shape[] = [
  [
    "cfm/show",
    "[interface]",
    [0, 1],
    show(
      cfms,
      (c) => c.name,
      (c, ctx) => cfmText(c, ctx.vs.clock.nowMs()),
      "no such CFM object",
    ),
    "Shows connectivity fault management.",
  ],
  [
    "cfm/set-fault",
    "[interface] normal|false|true",
    [1, 2],
    override(cfms, "no such CFM object"),
    "Overrides the fault status of CFM.",
  ],
  [
    "bfd/show",
    "[interface]",
    [0, 1],
    show(
      bfds,
      (b) => b.name,
      (b, _ctx, isAll) => (isAll ? `---- ${b.name} ----\n` : "") + bfdDetails(b),
      "no such bfd object",
    ),
    "Shows bidirectional forwarding detection.",
  ],
  [
    "bfd/set-forwarding",
    "[interface] normal|false|true",
    [1, 2],
    override(bfds, "no such BFD object"),
    "Overrides the forwarding status of BFD.",
  ],
  [
    "lacp/show",
    "[port]",
    [0, 1],
    show(lacps, lacpName, lacpText, "no such lacp object"),
    "Shows link aggregation.",
  ],
  [
    "lacp/show-stats",
    "[port]",
    [0, 1],
    show(lacps, lacpName, lacpStatsText, "no such lacp object"),
    "Shows counters of link aggregation.",
  ],
];

export const LINK_COMMANDS: readonly Command[] = ROWS.map(([name, usage, args, run, doc]) => ({
  tool: "ovs-appctl",
  name,
  usage,
  args,
  doc,
  run,
}));
