// A trace as data, for programs: the schema is docs/trace.schema.json.
//
// The tree has the same nodes as the text. Flows of tables are given with the keys that ovs-flowviz
// uses: `orig` is the text, `info` what is not part of the match, `match` and `actions` the parts.
// Numbers that do not fit a double (cookies) are texts in hexadecimal.

import { type Verdict, verdictOf } from "./verdict.ts";
import { formatOdpActions, formatOdpAction } from "../datapath/odp-text-actions.ts";
import { SLOW_PATH_REASONS } from "../datapath/odp-action.ts";
import { type FlowKey, newKey } from "../flow/flow-key.ts";
import { matchOf } from "../flow/match.ts";
import { expandMiniMatch } from "../flow/minimatch.ts";
import { CT_STATE_NAMES, formatFlags } from "../flow/flag-text.ts";
import { formatActions } from "./actions/actions.ts";
import { formatFlow } from "./flow-format.ts";
import { formatMatch } from "./match-text.ts";
import type { Rule } from "./rule.ts";
import type { TraceNode } from "./trace.ts";
import type { TraceResult, TraceStep } from "./trace-run.ts";
import { isUnchanged, type TraceFormatter } from "./trace-text.ts";
import type { XBridge } from "./xbridge.ts";
import { XLATE_ERROR_TEXT } from "./xlate-ctx.ts";

/** Version of the form; a change that readers must know of raises it. */
export const TRACE_JSON_VERSION = 1;

type Pairs = Readonly<Record<string, string | boolean>>;

/** A flow with the keys of ovs-flowviz. */
export interface JsonFlow {
  readonly orig: string;
  readonly info: Readonly<Record<string, string | number>>;
  readonly match: Pairs;
  readonly actions: readonly string[];
}

export type JsonNode =
  | {
      readonly kind: "table";
      readonly table: number;
      /** Null if no flow of the table matched. */
      readonly flow: JsonFlow | null;
      readonly text: string;
      readonly nodes: readonly JsonNode[];
    }
  | {
      readonly kind: "bridge" | "bucket" | "action_set" | "thaw";
      readonly text: string;
      readonly nodes: readonly JsonNode[];
    }
  | {
      readonly kind: "action" | "detail" | "warning" | "error";
      readonly text: string;
    };

export interface JsonStep {
  /** Null for the first step. */
  readonly recirc: {
    readonly id: number;
    readonly ct_state: string;
    readonly assumed: boolean;
    /** The connection of a dump that the state comes from. */
    readonly connection?: string;
  } | null;
  readonly bridge: string;
  readonly flow: Pairs;
  readonly final_flow: Pairs | null;
  readonly megaflow: Pairs;
  readonly datapath_actions: readonly string[];
  /** What the translation failed with, or null. */
  readonly error: string | null;
  readonly slow_path: readonly string[];
  readonly nodes: readonly JsonNode[];
}

export interface JsonTrace {
  readonly version: typeof TRACE_JSON_VERSION;
  /** Whether the packet gets anywhere. */
  readonly verdict: Verdict;
  readonly steps: readonly JsonStep[];
  /** Not every recirculation was followed. */
  readonly cut: boolean;
}

/** Splits "a,b=c" at commas that no bracket encloses. */
function pairsOf(text: string): Pairs {
  const pairs: Record<string, string | boolean> = {};
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === "(" || c === "[") {
      depth++;
    } else if (c === ")" || c === "]") {
      depth--;
    } else if (c === undefined || (c === "," && depth === 0)) {
      const part = text.slice(start, i);
      const eq = part.indexOf("=");
      if (part !== "") {
        pairs[eq < 0 ? part : part.slice(0, eq)] = eq < 0 ? true : part.slice(eq + 1);
      }
      start = i + 1;
    }
  }
  return pairs;
}

function jsonFlow(rule: Rule, tableId: number, xbridge: XBridge): JsonFlow {
  const flow = newKey();
  const wc = newKey();
  expandMiniMatch(rule.match, flow, wc);
  const match = formatMatch({ flow, wc, tab: xbridge.tunTable, tunMd: null });
  const actions = rule.actions.actions.map((a) => formatActions([a]));
  const cookie = `0x${rule.cookie.toString(16)}`;
  const head = match === "" ? "" : `,${match}`;
  const list = actions.length === 0 ? "drop" : actions.join(",");
  return {
    orig: `cookie=${cookie}, table=${tableId}, priority=${rule.priority}${head} actions=${list}`,
    info: { cookie, table: tableId, priority: rule.priority },
    match: pairsOf(match),
    actions,
  };
}

function jsonNode(node: TraceNode, f: TraceFormatter): JsonNode {
  switch (node.kind) {
    case "table":
      return {
        kind: "table",
        table: node.tableId,
        flow: node.miss === null ? jsonFlow(node.rule, node.tableId, node.xbridge) : null,
        text: f.tableText(node).slice(4),
        nodes: jsonNodes(node.subs, f),
      };
    case "bridge":
      return { kind: "bridge", text: node.xbridge.name, nodes: jsonNodes(node.subs, f) };
    case "bucket":
      return { kind: "bucket", text: String(node.bucketId), nodes: jsonNodes(node.subs, f) };
    case "action_set":
      return { kind: "action_set", text: "", nodes: jsonNodes(node.subs, f) };
    case "thaw":
      return { kind: "thaw", text: node.text, nodes: jsonNodes(node.subs, f) };
    case "action":
      return { kind: "action", text: f.actionText(node.action, node.xbridge) };
    case "note":
      return { kind: "action", text: node.text };
    case "warn":
      return { kind: "warning", text: node.text };
    case "detail":
    case "error":
      return { kind: node.kind, text: node.text };
  }
}

function jsonNodes(nodes: readonly TraceNode[], f: TraceFormatter): JsonNode[] {
  return nodes.map((n) => jsonNode(n, f));
}

function flowPairs(flow: FlowKey, xbridge: XBridge): Pairs {
  return pairsOf(formatFlow(flow, null, xbridge.tunTable));
}

function jsonStep(step: TraceStep, f: TraceFormatter): JsonStep {
  const { out, recirc, xbridge } = step;
  const names = SLOW_PATH_REASONS.filter((r) => (out.slow & r.bit) !== 0).map((r) => r.name);
  const megaflow = formatMatch(matchOf(step.flow, out.wc, xbridge.tunTable));
  return {
    recirc:
      recirc === null
        ? null
        : {
            id: recirc.recircId,
            ct_state: formatFlags(CT_STATE_NAMES, recirc.ctState),
            assumed: recirc.defaulted,
            ...(recirc.connection === null ? {} : { connection: recirc.connection }),
          },
    bridge: xbridge.name,
    flow: flowPairs(step.flow, xbridge),
    final_flow: isUnchanged(step) ? null : flowPairs(out.flow, xbridge),
    megaflow: pairsOf(megaflow),
    datapath_actions:
      out.odp.length === 0
        ? [formatOdpActions(out.odp, null)]
        : out.odp.map((a) => formatOdpAction(a, null)),
    error: out.error === "ok" ? null : XLATE_ERROR_TEXT[out.error],
    slow_path: out.error === "ok" ? names : [],
    nodes: jsonNodes(step.nodes, f),
  };
}

/** The data of a trace. */
export function traceToJson(result: TraceResult, formatter: TraceFormatter): JsonTrace {
  return {
    version: TRACE_JSON_VERSION,
    verdict: verdictOf(result),
    steps: result.steps.map((s) => jsonStep(s, formatter)),
    cut: result.cut,
  };
}
