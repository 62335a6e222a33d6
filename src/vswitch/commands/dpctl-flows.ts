// dpctl/add-flow, mod-flow, del-flow and their forms that read files: datapath flows by hand.
//
// A flow put in by hand is found again by the very text of its key, as Open vSwitch finds it by a
// hash of the encoded key. ovs: lib/dpctl.c dpctl_put_flow_dpif, dpctl_del_flow_dpif,
// dpctl_process_flows; lib/dpif-netdev.c dpif_netdev_flow_put.

import { exactNoVlan } from "../../datapath/datapath.ts";
import type { Megaflow } from "../../datapath/megaflow.ts";
import { odpFlowKeyToFlow, odpFlowKeyToMask } from "../../datapath/odp-flow.ts";
import { formatOdpFlow } from "../../datapath/odp-text.ts";
import { parseOdpFlow } from "../../datapath/odp-text-parse.ts";
import { readOdpActions } from "../../datapath/odp-text-parse-actions.ts";
import { type FlowKey, getU, K } from "../../flow/flow-key.ts";
import { decodeUtf8 } from "../../lib/bytes.ts";
import type { Command } from "../command.ts";
import { formatUfid } from "../megaflow-text.ts";
import type { DatapathPair } from "../packets.ts";
import { Ukey, ukeyByHand } from "../ukey.ts";
import { allPortNames, type DpctlRun, dpctlRow, type Errno } from "./dpctl-params.ts";

const ODPP_NONE = 0xffffffff;

type PutMode = "add" | "mod";

export function findUfid(pair: DatapathPair, text: string): Megaflow | null {
  for (const f of pair.dp.flows.values()) {
    if (text.startsWith(formatUfid(f))) {
      return f;
    }
  }
  return null;
}

interface FlowText {
  readonly keyText: string;
  readonly flow: FlowKey;
  readonly mask: FlowKey;
  /** The datapath would take such a key and mask. */
  readonly usable: boolean;
}

function withoutUfid(text: string): string {
  return text.replace(/^ufid:[0-9a-f-]+,?\s*/, "");
}

/** Key and mask of a flow as text, or null after an error; `verb` says how to word it. */
function parseFlowText(
  r: DpctlRun,
  pair: DatapathPair,
  text: string,
  verb: "put" | "del",
): FlowText | null {
  const names = new Map([...allPortNames(pair)].map(([no, name]) => [name, no]));
  const parsed = parseOdpFlow(text, names, true);
  if (!parsed.ok) {
    const { message } = parsed.error;
    r.error("EINVAL", verb === "put" ? `parsing flow key (${message})` : message);
    return null;
  }
  const keyText = formatOdpFlow(parsed.value.key, null, null, true);
  const key = odpFlowKeyToFlow(parsed.value.key, pair.dp.vlanLimit);
  const mask = odpFlowKeyToMask(parsed.value.mask, key.flow, pair.dp.vlanLimit);
  const whole = key.fitness === "perfect" && mask.fitness === "perfect";
  const usable = whole && getU(mask.flow, K.in_port) === ODPP_NONE;
  exactNoVlan(mask.flow);
  return { keyText, flow: key.flow, mask: mask.flow, usable };
}

function putFlow(
  r: DpctlRun,
  pair: DatapathPair,
  mode: PutMode,
  text: { readonly flow: string; readonly actions: string },
): void {
  const parsed = parseFlowText(r, pair, withoutUfid(text.flow), "put");
  if (parsed === null) {
    return;
  }
  const actions = readOdpActions(text.actions, new Map());
  if (typeof actions === "string") {
    r.error(null, `parsing actions (${actions})`);
    return;
  }
  if (!parsed.usable) {
    r.error("EINVAL", "updating flow table");
    return;
  }
  const old = pair.dp.flows.lookup(parsed.flow);
  let errno: Errno | null = null;
  if (old === null && (mode === "add" || r.mayCreate)) {
    const owner = ukeyByHand(parsed.keyText, r.ctx.vs.clock.nowMs());
    owner.flow = pair.dp.flows.insert(parsed.flow, parsed.mask, actions, owner);
  } else if (old === null) {
    errno = "ENOENT";
  } else if (mode === "add") {
    errno = "EEXIST";
  } else {
    old.actions = actions;
  }
  if (errno !== null) {
    r.error(errno, "updating flow table");
  } else if (r.statistics) {
    r.print("packets:0, bytes:0, used:never\n");
  }
}

function delFlow(r: DpctlRun, pair: DatapathPair, text: string): void {
  let flow = text.startsWith("ufid:") ? findUfid(pair, text) : null;
  if (flow === null) {
    const parsed = parseFlowText(r, pair, withoutUfid(text), "del");
    if (parsed === null) {
      return;
    }
    for (const f of pair.dp.flows.values()) {
      if (f.owner instanceof Ukey && f.owner.keyText === parsed.keyText) {
        flow = f;
      }
    }
  }
  if (flow === null) {
    r.error("ENOENT", "deleting flow");
    r.print("Perhaps you need to specify a UFID?\n");
    return;
  }
  if (r.statistics) {
    const { packets, bytes } = flow.stats;
    r.print(`packets:${packets}, bytes:${bytes}, used:never\n`);
  }
  pair.udpif.deleteFlow(flow);
}

interface FileLine {
  readonly verb: PutMode | "del";
  readonly flow: string;
  readonly actions: string | null;
}

const VERBS: Readonly<Record<string, FileLine["verb"]>> = {
  add: "add",
  modify: "mod",
  delete: "del",
};

/** One line of a file: perhaps a verb, a flow, perhaps actions behind white space. */
function parseLine(line: string, usual: FileLine["verb"]): FileLine | null {
  const words = /^(?:(add|modify|delete)\s+)?(\S+)(?:\s+(\S.*))?$/.exec(line);
  if (words === null) {
    return null;
  }
  const verb = words[1] === undefined ? usual : (VERBS[words[1]] ?? usual);
  const actions = words[3] ?? null;
  const good = verb === "del" ? actions === null : actions !== null;
  return good ? { verb, flow: words[2] as string, actions } : null;
}

/** Errors in a file are printed, but do not make the command fail. */
function processFile(r: DpctlRun, usual: FileLine["verb"]): void {
  const pair = r.open(4);
  if (pair === null) {
    return;
  }
  const name = r.argv[r.argv.length - 1] as string;
  const file = r.ctx.vs.fs.readFile(name);
  if (!file.ok) {
    r.note(`Opening file "${name}" failed (${file.message})`);
    return;
  }
  decodeUtf8(file.value)
    .split("\n")
    .forEach((raw, i) => {
      const line = raw.replace(/#.*/, "").trim();
      if (line === "") {
        return;
      }
      const parsed = parseLine(line, usual);
      if (parsed === null) {
        r.note(`Failed parsing line number ${i + 1}, skipped!`);
      } else if (parsed.verb === "del") {
        delFlow(r, pair, parsed.flow);
      } else {
        putFlow(r, pair, parsed.verb, { flow: parsed.flow, actions: parsed.actions ?? "" });
      }
    });
  r.failed = false;
}

function put(r: DpctlRun, mode: PutMode): void {
  const pair = r.open(4);
  if (pair !== null) {
    const [flow = "", actions = ""] = r.argv.slice(-2);
    putFlow(r, pair, mode, { flow, actions });
  }
}

function delOne(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair !== null) {
    delFlow(r, pair, r.argv[r.argv.length - 1] as string);
  }
}

function delAll(r: DpctlRun): void {
  if ((!r.hasDatapathArg && r.argv.length === 2) || r.argv.length > 2) {
    processFile(r, "del");
    return;
  }
  r.open(2)?.dp.flows.clear();
}

export const DPCTL_FLOW_COMMANDS: readonly Command[] = [
  dpctlRow("add-flow", "[dp] flow actions", [2, 3], "Adds a datapath flow.", (r) => put(r, "add")),
  dpctlRow("mod-flow", "[dp] flow actions", [2, 3], "Changes a datapath flow's actions.", (r) =>
    put(r, "mod"),
  ),
  dpctlRow("del-flow", "[dp] flow", [1, 2], "Deletes a datapath flow.", delOne),
  dpctlRow("add-flows", "[dp] file", [1, 2], "Adds the datapath flows of a file.", (r) =>
    processFile(r, "add"),
  ),
  dpctlRow("mod-flows", "[dp] file", [1, 2], "Changes the datapath flows of a file.", (r) =>
    processFile(r, "mod"),
  ),
  dpctlRow("del-flows", "[dp] [file]", [0, 2], "Deletes all datapath flows, or a file's.", delAll),
];
