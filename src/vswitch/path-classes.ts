// Path classes: the packets of a capture, grouped by the path that they take through the tables.
//
// Two packets are of one class if their traces have the same tables, flows and datapath actions. A
// packet is traced only if no earlier one had its bits: each trace tells which bits of the packet it
// depended on (the megaflows of all its steps together), and a packet that agrees in them takes the
// same path. So a million packets cost a few hundred traces.
//
// Bits that a later step looks at are taken as bits of the packet as it came. Where actions have
// written them this only makes the groups finer than need be, never wrong.

import { Classifier } from "../datapath/classifier.ts";
import { newClsRule, VERSION_MIN } from "../datapath/classifier-rule.ts";
import { formatOdpActions } from "../datapath/odp-text-actions.ts";
import { extract } from "../flow/extract.ts";
import { fill, type FlowKey, K, newKey, set } from "../flow/flow-key.ts";
import { miniMatchOf } from "../flow/minimatch.ts";
import type { TraceNode } from "../openflow/trace.ts";
import { ofprotoTrace, type TraceResult } from "../openflow/trace-run.ts";
import { TraceFormatter } from "../openflow/trace-text.ts";
import { type Verdict, verdictOf } from "../openflow/verdict.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Bridge } from "./bridge.ts";

type TableNode = Extract<TraceNode, { readonly kind: "table" }>;

/** Megaflows that are remembered; beyond it every further kind of packet is traced anew. */
export const PATH_MEGAFLOWS_MAX = 200_000;
/** Classes that are kept apart; packets of further ones are counted together. */
export const PATH_CLASSES_MAX = 10_000;

export interface PathClass {
  /** Counts from 1 in the order of the first packets. */
  readonly id: number;
  readonly verdict: Verdict;
  /** Datapath actions of each step, as text. */
  readonly actions: string;
  /** Tables and cookies on the way: `0/0x1 8/0x2a`. */
  readonly path: string;
  /** Number of the first packet, from 1, and its whole trace. */
  readonly firstPacket: number;
  readonly firstTrace: string;
  packets: number;
  bytes: number;
}

/** What tells connections apart. */
const CONNECTION_SLOTS = [
  K.nw_src,
  K.nw_dst,
  K.ipv6_src,
  K.ipv6_dst,
  K.nw_proto,
  K.tp_src,
  K.tp_dst,
] as const;

export class PathClasses {
  readonly classes: PathClass[] = [];
  /** Packets whose class would have been one too many. */
  beyond = 0;
  /** How many packets were traced, not told by an earlier one. */
  traced = 0;
  private readonly br: Bridge;
  private readonly bySignature = new Map<string, PathClass>();
  private readonly megaflows = new Classifier<PathClass>();
  private readonly formatter = new TraceFormatter(null);
  private readonly key: FlowKey = newKey();
  private readonly rules = new Numbering();
  private packets = 0;

  constructor(br: Bridge) {
    this.br = br;
  }

  /** Adds a packet that arrives at an OpenFlow port; null once there are too many classes. */
  add(packet: PacketBuf, inPort: number): PathClass | null {
    this.packets++;
    const { key } = this;
    extract(packet, key, this.br.vs.settings.vlanLimit);
    set(key, K.in_port, inPort);
    const known = this.megaflows.lookup(VERSION_MIN, key, null)?.data;
    const found = known ?? this.trace(key);
    if (found === null) {
      this.beyond++;
      return null;
    }
    found.packets++;
    found.bytes += packet.size;
    return found;
  }

  private trace(key: FlowKey): PathClass | null {
    this.traced++;
    const flow = key.slice();
    const { vs, xbridge } = this.br;
    const result = ofprotoTrace({
      xcfg: vs.xcfg,
      recircs: vs.recircs,
      xbridge,
      flow,
      packet: null,
      actions: null,
      nextCtStates: [],
      nowMs: vs.clock.nowMs(),
      connections: (node) => vs.packets?.knownConnection(this.br, node) ?? null,
    });
    const tables = result.steps.map((s) => [...tablesOf(s.nodes)]);
    const actions = result.steps.map((s) => formatOdpActions(s.out.odp, null)).join(" | ");
    const rules = tables.map((step) =>
      step.map((t) => `${t.tableId}/${this.rules.numberOf(t.rule)}`),
    );
    const signature = `${rules.join("|")}\n${neutral(actions)}`;
    let found = this.bySignature.get(signature);
    if (found === undefined) {
      if (this.classes.length === PATH_CLASSES_MAX) {
        return null;
      }
      found = {
        id: this.classes.length + 1,
        verdict: verdictOf(result),
        actions,
        path: result.steps.map((s) => tablePath(s.nodes)).join(" | "),
        firstPacket: this.packets,
        firstTrace: this.formatter.format(result),
        packets: 0,
        bytes: 0,
      };
      this.classes.push(found);
      this.bySignature.set(signature, found);
    }
    this.remember(key, result, found);
    return found;
  }

  private remember(key: FlowKey, result: TraceResult, found: PathClass): void {
    if (this.megaflows.size === PATH_MEGAFLOWS_MAX) {
      return;
    }
    const wc = newKey();
    for (const step of result.steps) {
      for (let w = 0; w < wc.length; w++) {
        wc[w] = (wc[w] as number) | (step.out.wc[w] as number);
      }
    }
    if (result.steps.length > 1 && this.br.vs.packets?.knowsConnections(this.br) === true) {
      // Which connection a packet belongs to depends on all of these.
      for (const slot of CONNECTION_SLOTS) {
        fill(wc, slot);
      }
    }
    this.megaflows.replace(newClsRule(miniMatchOf(key, wc), 0, found), VERSION_MIN);
  }
}

/** Numbers that stand for flows in signatures, in the order in which they are met. */
export class Numbering {
  private readonly numbers = new WeakMap<object, number>();
  private last = 0;

  numberOf(rule: object): number {
    let n = this.numbers.get(rule);
    if (n === undefined) {
      n = ++this.last;
      this.numbers.set(rule, n);
    }
    return n;
  }
}

/** Recirculation ids count up and say nothing of the path. */
export function neutral(actions: string): string {
  return actions.replace(/recirc\(0x[0-9a-f]+\)/g, "recirc").replace(/recirc_id=\d+/g, "recirc_id");
}

/** Tables and cookies of a walk: `0/0x1 8/0x2a`. */
export function tablePath(nodes: readonly TraceNode[]): string {
  return [...tablesOf(nodes)].map(tableText).join(" ");
}

/** The tables of a walk in order, with what matched in each. */
function* tablesOf(nodes: readonly TraceNode[]): Generator<TableNode> {
  for (const n of nodes) {
    if (n.kind === "table") {
      yield n;
    }
    if ("subs" in n) {
      yield* tablesOf(n.subs);
    }
  }
}

/** `8/0x2a`: table and cookie, or the priority of a flow without a cookie. */
function tableText({ tableId, rule, miss }: TableNode): string {
  if (miss !== null) {
    return `${tableId}/miss`;
  }
  const { cookie, priority } = rule;
  return `${tableId}/${cookie === 0n ? `priority=${priority}` : `0x${cookie.toString(16)}`}`;
}
