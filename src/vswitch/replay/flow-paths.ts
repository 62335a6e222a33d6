// The ways that packets take through the caches, and the classes that they form.
//
// A packet goes through one megaflow and, by recirculation, through more. Each megaflow belongs to
// a step: tables, flows and datapath actions that were met when it was translated. The steps of a
// packet one after the other are its path; packets of one path are one class. Since the steps are
// kept with the megaflows, a packet that only hits costs a walk down a tree of the paths so far, and
// no translation and no memory.
//
// Limits: PATH_CLASSES_MAX classes, PATH_NODES_MAX nodes of the tree; packets beyond are counted.

import type { Megaflow } from "../../datapath/megaflow.ts";
import type { HitWatcher } from "../../datapath/upcall-handler.ts";
import { SLOW } from "../../datapath/odp-action.ts";
import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { type FlowKey, K } from "../../flow/flow-key.ts";
import { type Recorder, type TraceNode, TreeRecorder } from "../../openflow/trace.ts";
import type { XlateCache } from "../../openflow/xlate-cache.ts";
import { Numbering, neutral, PATH_CLASSES_MAX, tablePath } from "../path-classes.ts";
import type { Udpif, UpcallWatcher, Walk } from "../upcall.ts";

/** Nodes of the tree of paths. */
export const PATH_NODES_MAX = 100_000;
/** Steps of one path that are told apart. */
export const PATH_STEPS_MAX = 64;
/** Protocols that the switch itself speaks: their packets have arrived when they go up. */
const SLOW_PROTOCOLS = SLOW.CFM | SLOW.BFD | SLOW.LACP | SLOW.STP | SLOW.LLDP;

/** One translation that packets have in common. */
export class Step {
  /** Counts from 1. */
  readonly id: number;
  /** Tables and cookies on the way. */
  readonly path: string;
  readonly actions: string;
  readonly slow: number;
  /** What the packet looked like that was first seen to take the step. */
  readonly firstKey: FlowKey;
  /** The first translation; null if the packet belonged nowhere. */
  readonly walk: Walk | null;
  readonly nodes: readonly TraceNode[];

  constructor(init: {
    readonly id: number;
    readonly key: FlowKey;
    readonly slow: number;
    readonly walk: Walk | null;
    readonly nodes: readonly TraceNode[];
  }) {
    const { walk, nodes } = init;
    this.id = init.id;
    this.slow = init.slow;
    this.firstKey = init.key.slice();
    this.walk = walk;
    this.nodes = nodes;
    this.path = walk === null ? "-" : tablePath(nodes);
    this.actions = walk === null ? "lost" : neutral(formatOdpActions(walk.out.odp, null));
  }
}

/** The packets of one path. */
export interface FlowPath {
  readonly id: number;
  readonly steps: readonly Step[];
  /** The first packet: what it looked like at each step, and its number. */
  readonly firstKeys: readonly FlowKey[];
  readonly firstPacket: number;
  /** Where it arrived, and where it left. */
  readonly firstPort: string;
  readonly firstOut: readonly string[];
  packets: number;
  bytes: number;
  /** Packets that went out, to a controller or to the switch; packets that wait for fragments. */
  delivered: number;
  held: number;
}

class PathNode {
  readonly step: Step | null;
  readonly parent: PathNode | null;
  readonly children = new Map<Step, PathNode>();
  lastStep: Step | null = null;
  lastChild: PathNode | null = null;
  path: FlowPath | null = null;

  constructor(step: Step | null, parent: PathNode | null) {
    this.step = step;
    this.parent = parent;
  }
}

export class FlowPaths {
  readonly paths: FlowPath[] = [];
  /** Packets whose path would have been one too many. */
  beyond = 0;
  /** Packets that went up, which may have changed something. */
  upcalls = 0;
  /** Packets for controllers, and packets of protocols, that the current packet caused. */
  taken = 0;
  private readonly root = new PathNode(null, null);
  private nodes = 1;
  private at: PathNode | null = this.root;
  private depth = 0;
  /** The keys of the steps, as the datapath has them: some are overwritten by later steps. */
  private readonly keys: FlowKey[] = [];
  private readonly steps = new Map<string, Step>();
  private readonly rules = new Numbering();
  private recorder = new TreeRecorder();

  /** Watches a datapath with its upcalls. */
  watch(udpif: Udpif, installed: (flow: Megaflow) => void): void {
    udpif.dp.watcher = this.hitWatcher(udpif);
    udpif.watcher = this.upcallWatcher(installed);
  }

  private hitWatcher(udpif: Udpif): HitWatcher {
    return {
      hit: (flow, key) => {
        const { note } = flow;
        this.take(note instanceof Step ? note : this.stepOf(udpif, flow, key), key);
      },
    };
  }

  private upcallWatcher(installed: (flow: Megaflow) => void): UpcallWatcher {
    return {
      recorder: () => this.newRecorder(),
      translated: (key, walk) => {
        this.upcalls++;
        const slow = walk === null ? 0 : walk.out.slow;
        this.take(this.intern(key, walk, slow), key);
      },
      installed: (flow) => {
        installed(flow);
      },
      punted: (toController) => {
        this.upcalls++;
        this.taken += toController ? 1 : 0;
      },
    };
  }

  private newRecorder(): Recorder {
    this.recorder = new TreeRecorder();
    return this.recorder;
  }

  /** A new packet comes. */
  begin(): void {
    this.at = this.root;
    this.depth = 0;
    this.taken = 0;
  }

  /**
   * The packet is through, having arrived at `port` and left at `out`; its path, or null if there are
   * too many.
   */
  end(packetNumber: number, port: string, out: readonly string[]): FlowPath | null {
    const { at } = this;
    if (at?.path != null) {
      return at.path;
    }
    if (at === null || this.paths.length >= PATH_CLASSES_MAX) {
      this.beyond++;
      return null;
    }
    const steps: Step[] = [];
    for (let n: PathNode | null = at; n?.step != null; n = n.parent) {
      steps.unshift(n.step);
    }
    at.path = {
      id: this.paths.length + 1,
      steps,
      firstKeys: steps.map((step, i) => this.keyOf(step, i)),
      firstPacket: packetNumber,
      firstPort: port,
      firstOut: [...out],
      packets: 0,
      bytes: 0,
      delivered: 0,
      held: 0,
    };
    this.paths.push(at.path);
    return at.path;
  }

  /**
   * The key that a packet had at a step. Where several copies of a packet are recirculated, hits of
   * the earlier ones have left none, and what first took the step stands for them.
   */
  private keyOf(step: Step, i: number): FlowKey {
    const key = this.keys[i] as FlowKey;
    const isLost = this.keys.indexOf(key, i + 1) >= 0 && this.keys.indexOf(key, i + 1) < this.depth;
    return isLost ? step.firstKey : key.slice();
  }

  /** The packet takes one more step. */
  private take(step: Step, key: FlowKey): void {
    this.taken += (step.slow & SLOW_PROTOCOLS) !== 0 ? 1 : 0;
    const { at } = this;
    if (at === null || this.depth >= PATH_STEPS_MAX) {
      return;
    }
    this.keys[this.depth++] = key;
    if (at.lastStep === step) {
      this.at = at.lastChild;
      return;
    }
    let child = at.children.get(step);
    if (child === undefined) {
      if (this.nodes >= PATH_NODES_MAX) {
        this.at = null;
        return;
      }
      this.nodes++;
      child = new PathNode(step, at);
      at.children.set(step, child);
    }
    at.lastStep = step;
    at.lastChild = child;
    this.at = child;
  }

  /** The step of a megaflow, which is kept with it until it is translated anew. */
  private stepOf(udpif: Udpif, flow: Megaflow, key: FlowKey): Step {
    const known = udpif.walkOf(flow);
    const slow = known?.slow ?? 0;
    const xcache = known?.xcache ?? [];
    const signature = this.signature(slow, xcache, formatOdpActions(flow.actions, null));
    let step = this.steps.get(signature);
    if (step === undefined) {
      const walk = udpif.explain(key, this.newRecorder(), flow.stats.tcpFlags);
      step = this.newStep(signature, { key, slow, walk });
    }
    flow.note = step;
    return step;
  }

  /** The step of a translation that has just been made. */
  private intern(key: FlowKey, walk: Walk | null, slow: number): Step {
    const actions = walk === null ? "lost" : formatOdpActions(walk.out.odp, null);
    const signature = this.signature(slow, walk?.xcache ?? [], actions);
    return this.steps.get(signature) ?? this.newStep(signature, { key, slow, walk: keep(walk) });
  }

  private newStep(
    signature: string,
    of: { readonly key: FlowKey; readonly slow: number; readonly walk: Walk | null },
  ): Step {
    const step = new Step({ id: this.steps.size + 1, nodes: this.recorder.root, ...of });
    this.steps.set(signature, step);
    return step;
  }

  /** What tells steps apart: the flows that were met and the actions, or why packets go up. */
  private signature(slow: number, xcache: XlateCache, actions: string): string {
    let text = slow === 0 ? neutral(actions) : `slow ${slow}`;
    for (const e of xcache) {
      if (e.kind === "rule") {
        text += ` ${this.rules.numberOf(e.rule)}`;
      } else if (e.kind === "table" && !e.matched) {
        text += ` miss${e.tableId}`;
      }
    }
    return text;
  }
}

/** A walk that later packets do not change: masks go on to belong to the datapath. */
function keep(walk: Walk | null): Walk | null {
  return walk === null
    ? null
    : { ...walk, out: { ...walk.out, wc: walk.out.wc.slice(), flow: walk.out.flow.slice() } };
}

/** ct_state and recirculation id of a key, for the head of a step. */
export function recircOf(key: FlowKey): { readonly id: number; readonly ctState: number } {
  const ctState = (key[K.ct_state.word] as number) >>> K.ct_state.shift;
  return { id: key[K.recirc_id.word] as number, ctState: ctState & K.ct_state.max };
}
