// The text of ofproto/trace, from the recorder's tree.
//
// ovs: ofproto/ofproto-dpif-trace.c oftrace_node_print_details, ofproto_trace__,
// ofproto_trace_recirc_node, explain_slow_path; the texts of tables are those of
// ofproto-dpif-xlate.c xlate_report_table.

import { formatOdpActions } from "../datapath/odp-text-actions.ts";
import type { PortNames } from "../datapath/odp-text-fields.ts";
import { CT_STATE_NAMES, formatFlags } from "../flow/flag-text.ts";
import { SLOW_PATH_REASONS } from "../datapath/odp-action.ts";
import { type FlowKey, get, getU, K, newKey } from "../flow/flow-key.ts";
import { expandMiniMatch } from "../flow/minimatch.ts";
import { type NameMap, OFPP } from "../flow/ofp-port.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { formatIpv4, formatIpv6 } from "../lib/address.ts";
import { formatActions } from "./actions/actions.ts";
import type { Action } from "./actions/types.ts";
import { formatFlow } from "./flow-format.ts";
import { formatMatch } from "./match-text.ts";
import type { Rule } from "./rule.ts";
import type { TraceNode } from "./trace.ts";
import type { TraceRecirc, TraceResult, TraceStep } from "./trace-run.ts";
import type { XBridge } from "./xbridge.ts";
import { XLATE_ERROR_TEXT } from "./xlate-ctx.ts";

/** Names to show instead of port numbers. */
export interface TraceNames {
  /** OpenFlow ports of a bridge. */
  portsOf(xbridge: XBridge): NameMap;
  readonly odpPorts: PortNames;
}

const INDENT = "    ";
const RULER = "=".repeat(79);

/** Writes a trace; memory of texts that do not change makes the next one faster. */
export class TraceFormatter {
  readonly #names: TraceNames | null;
  /** The packet's bits that a megaflow matches, overwritten by each trace. */
  readonly #masked: FlowKey = newKey();
  readonly #actionTexts = new WeakMap<Action, string>();
  readonly #ruleTexts = new WeakMap<Rule, { readonly tab: TunTable; readonly text: string }>();

  constructor(names: TraceNames | null) {
    this.#names = names;
  }

  /** The whole text of a trace; without an end of line at the end, as unixctl replies have it. */
  format(result: TraceResult): string {
    let text = "";
    for (const step of result.steps) {
      if (step.recirc !== null) {
        text += recircText(step.recirc);
      }
      text += this.#step(step);
    }
    return text;
  }

  #ports(xbridge: XBridge): NameMap | null {
    return this.#names?.portsOf(xbridge) ?? null;
  }

  #step(step: TraceStep): string {
    const { xbridge, out } = step;
    const ports = this.#ports(xbridge);
    const tab = xbridge.tunTable;
    let text = `Flow: ${formatFlow(step.flow, ports, tab)}\n${this.#details(step.nodes, 0)}`;
    const final = isUnchanged(step) ? "unchanged" : formatFlow(out.flow, ports, tab);
    const flow = this.#masked;
    maskInto(flow, step.flow, out.wc);
    const megaflow = formatMatch({ flow, wc: out.wc, tab, tunMd: null }, ports);
    const actions = formatOdpActions(out.odp, this.#names?.odpPorts ?? null);
    text += `\nFinal flow: ${final}\nMegaflow: ${megaflow}\nDatapath actions: ${actions}`;
    if (out.error !== "ok") {
      text += `\nTranslation failed (${XLATE_ERROR_TEXT[out.error]}), packet is dropped.\n`;
    } else {
      text += slowText(out.slow);
      if (step.executeError !== null) {
        text += `\nAction execution failed (${step.executeError})\n.`;
      }
    }
    return text;
  }

  #details(nodes: readonly TraceNode[], level: number): string {
    const last = nodes.length - 1;
    let text = "";
    for (let i = 0; i <= last; i++) {
      const node = nodes[i] as TraceNode;
      const more = i !== last || isTerminal(node) ? 1 : 0;
      const indent = INDENT.repeat(level + more);
      if (node.kind === "bridge") {
        const title = nodeText(node);
        text += `\n${indent}${title}\n${indent}${"-".repeat(title.length)}\n`;
      } else {
        text += `${indent}${this.#line(node)}\n`;
      }
      if ("subs" in node) {
        text += this.#details(node.subs, level + 2 * more);
      }
    }
    return text;
  }

  #line(node: TraceNode): string {
    switch (node.kind) {
      case "action":
        return this.actionText(node.action, node.xbridge);
      case "table":
        return this.tableText(node);
      default:
        return nodeText(node);
    }
  }

  /** An action as a trace shows it. */
  actionText(action: Action | null, xbridge: XBridge): string {
    if (action === null) {
      return "drop";
    }
    if (this.#names !== null) {
      return formatActions([action], { ports: this.#ports(xbridge), tables: null });
    }
    let text = this.#actionTexts.get(action);
    if (text === undefined) {
      text = formatActions([action], { ports: null, tables: null });
      this.#actionTexts.set(action, text);
    }
    return text;
  }

  /** The line of a table. */
  tableText(node: Extract<TraceNode, { kind: "table" }>): string {
    const start = `${String(node.tableId).padStart(2)}. `;
    switch (node.miss) {
      case "packet-in":
        return `${start}No match, and a "packet-in" is called for.`;
      case "drop":
        return `${start}No match.`;
      case "frags":
        return `${start}Packets are IP fragments and the fragment handling mode is "drop".`;
      case null:
        return start + this.ruleText(node.rule, node.xbridge);
    }
  }

  /** Match, priority and cookie of a rule. */
  ruleText(rule: Rule, xbridge: XBridge): string {
    const tab = xbridge.tunTable;
    const ports = this.#ports(xbridge);
    const known = ports === null ? this.#ruleTexts.get(rule) : undefined;
    if (known !== undefined && known.tab === tab) {
      return known.text;
    }
    const flow = newKey();
    const wc = newKey();
    expandMiniMatch(rule.match, flow, wc);
    const match = formatMatch({ flow, wc, tab, tunMd: null }, ports);
    const sep = match === "" || match.endsWith(" ") ? "" : ", ";
    const cookie = rule.cookie === 0n ? "" : `, cookie 0x${rule.cookie.toString(16)}`;
    const text = `${match}${sep}priority ${rule.priority}${cookie}`;
    if (ports === null) {
      this.#ruleTexts.set(rule, { tab, text });
    }
    return text;
  }
}

function maskInto(out: FlowKey, flow: FlowKey, wc: FlowKey): void {
  for (let i = 0; i < out.length; i++) {
    out[i] = (flow[i] as number) & (wc[i] as number);
  }
}

/** Nodes that are indented even at the end of a list, because nothing follows inside them. */
function isTerminal(node: TraceNode): boolean {
  switch (node.kind) {
    case "bridge":
    case "table":
    case "action_set":
    case "thaw":
      return false;
    default:
      return true;
  }
}

function nodeText(node: Exclude<TraceNode, { kind: "table" | "action" }>): string {
  switch (node.kind) {
    case "bridge":
      return `bridge("${node.xbridge.name}")`;
    case "action_set":
      return "--. Executing action set:";
    case "bucket":
      return `bucket ${node.bucketId}`;
    case "thaw":
    case "note":
      return node.text;
    case "detail":
      return ` -> ${node.text}`;
    case "warn":
      return ` >> ${node.text}`;
    case "error":
      return ` >>>> ${node.text} <<<<`;
  }
}

/** The packet left as it came; translation itself starts with no output in the action set. */
export function isUnchanged(step: TraceStep): boolean {
  const before = step.flow;
  const after = step.out.flow;
  for (let i = 0; i < before.length; i++) {
    if (before[i] !== after[i] && i !== K.actset_output.word) {
      return false;
    }
  }
  return after[K.actset_output.word] === OFPP.UNSET;
}

function slowText(slow: number): string {
  if (slow === 0) {
    return "";
  }
  const reasons = SLOW_PATH_REASONS.filter((r) => (slow & r.bit) !== 0);
  const start = "\nThis flow is handled by the userspace slow path because it:";
  return start + reasons.map((r) => `\n  - ${r.text}.`).join("");
}

/** Addresses and ports of a flow (ovs: oftrace_print_ip_flow). */
function ipFlowText(flow: FlowKey, family: 0 | 4 | 6): string {
  const src = `tp_src=${get(flow, K.tp_src)}`;
  const dst = `tp_dst=${get(flow, K.tp_dst)}`;
  if (family === 4) {
    const from = formatIpv4(getU(flow, K.nw_src));
    const to = formatIpv4(getU(flow, K.nw_dst));
    return `nw_src=${from},${src},nw_dst=${to},${dst}\n`;
  }
  if (family === 6) {
    const from = formatIpv6(flow, K.ipv6_src.word);
    const to = formatIpv6(flow, K.ipv6_dst.word);
    return `ipv6_src=[${from}],${src},ipv6_dst=[${to}],${dst}\n`;
  }
  return "\n";
}

/** The head of a pass that a recirculation starts. */
function recircText(r: TraceRecirc): string {
  const state = r.defaulted
    ? "default ct_state=trk|new (use --ct-next to customize)"
    : `ct_state=${formatFlags(CT_STATE_NAMES, r.ctState)}`;
  let text = `\n\n${RULER}\nrecirc(0x${r.recircId.toString(16)}) - resume conntrack with ${state}\n`;
  if (r.nat !== null) {
    text += "Replacing src/dst IP/ports to simulate NAT:\n";
    text += ` Initial flow: ${ipFlowText(r.nat.before, r.nat.family)}`;
    text += ` Modified flow: ${ipFlowText(r.nat.after, r.nat.family)}`;
  }
  return `${text}${RULER}\n\n`;
}
