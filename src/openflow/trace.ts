// The recorder of a translation: what happened, as a tree of data.
//
// The idea: a translation reports what it does to a Recorder. In live mode that is NO_RECORDER,
// which is off; for ofproto/trace it is a TreeRecorder. The translation itself is the same. Rules,
// buckets and actions are recorded as references and rendered later (trace-text.ts); what depends
// on the state of the packet at that moment is recorded as text.
// ovs: ofproto/ofproto-dpif-trace.h struct oftrace_node.
//
// Invariants
// - `nodes` of a TreeRecorder is the list that the next node goes to; whoever nests saves `nodes`
//   before and puts it back after.
// - Callers test `on` before they build a text.

import type { Action } from "./actions/types.ts";
import type { Rule } from "./rule.ts";
import type { XBridge } from "./xbridge.ts";

/** Why a table's rule was taken although nothing matched. */
export type MissKind = "packet-in" | "drop" | "frags";

export type TraceNode =
  | { readonly kind: "bridge"; readonly xbridge: XBridge; readonly subs: TraceNode[] }
  | {
      readonly kind: "table";
      readonly xbridge: XBridge;
      readonly tableId: number;
      readonly rule: Rule;
      /** Null if `rule` is a flow of the table. */
      readonly miss: MissKind | null;
      readonly subs: TraceNode[];
    }
  | { readonly kind: "action_set"; readonly subs: TraceNode[] }
  | { readonly kind: "bucket"; readonly bucketId: number; readonly subs: TraceNode[] }
  /** An action of a list; null stands for the drop that an empty list means. */
  | { readonly kind: "action"; readonly xbridge: XBridge; readonly action: Action | null }
  | { readonly kind: "thaw"; readonly text: string; readonly subs: TraceNode[] }
  | { readonly kind: "detail" | "warn" | "error" | "note"; readonly text: string };

/** The nodes that others may be nested in. */
export type ParentNode = Extract<TraceNode, { readonly subs: TraceNode[] }>;

const NO_NODES: TraceNode[] = [];

/** Receives the nodes of a translation. */
export interface Recorder {
  readonly on: boolean;
  /** Where the next node goes. */
  nodes: TraceNode[];
  add(node: TraceNode): void;
}

/** A class, since V8 keeps an object literal that has accessors as a slow dictionary. */
class NoRecorder implements Recorder {
  readonly on = false;

  get nodes(): TraceNode[] {
    return NO_NODES;
  }

  set nodes(_nodes: TraceNode[]) {
    // There is nothing to nest.
  }

  add(): void {
    // Nobody looks.
  }
}

/** Records nothing: the recorder of live traffic. */
export const NO_RECORDER: Recorder = new NoRecorder();

/** Keeps everything. */
export class TreeRecorder implements Recorder {
  readonly on = true;
  readonly root: TraceNode[] = [];
  nodes: TraceNode[] = this.root;

  add(node: TraceNode): void {
    this.nodes.push(node);
  }
}
