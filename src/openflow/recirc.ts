// Frozen translations and their recirculation ids.
//
// A translation that needs the datapath to do something first (reassemble headers behind MPLS,
// track a connection, compute a hash) is frozen: what it needs to go on is kept under a number, and
// the datapath brings the packet back with that number (ovs: ofproto/ofproto-dpif-rid.c).
//
// Invariants
// - Equal states share an id as long as somebody holds a reference. A state without references can
//   no longer be shared, but is found by its id until `run` has been called twice.
// - Ids count up from 1 and come around after 2^32 - 1, then leaving the first 1024 out.

import type { FlowKey } from "../flow/flow-key.ts";
import { K } from "../flow/slots.ts";
import type { Action } from "./actions/types.ts";
import { actionsKey } from "./recirc-key.ts";

/** Ids below are not given out again when the counter comes around. */
export const RECIRC_STATIC_IDS = 1024;
/** Milliseconds between two sweeps of states that nobody refers to. */
export const RECIRC_SWEEP_MS = 250;
/** Frozen states that may exist at once; more are refused. */
export const RECIRC_STATES_MAX = 1 << 20;

/** Metadata that survives a recirculation (ovs: struct frozen_metadata). */
export interface FrozenMetadata {
  /** The words of the tunnel slots, of `metadata` and of the registers. */
  readonly words: Uint32Array;
  readonly inPort: number;
}

export interface FrozenState {
  readonly tableId: number;
  /** `id` of the bridge to go on in. */
  readonly bridgeId: number;
  readonly metadata: FrozenMetadata;
  readonly stack: readonly Uint32Array[];
  readonly mirrors: number;
  readonly conntracked: boolean;
  readonly wasMpls: boolean;
  /** `id` of the port that the packet came in by; 0 if none. */
  readonly xportId: number;
  readonly actions: readonly Action[];
  readonly actionSet: readonly Action[];
  readonly userdata: Uint8Array | null;
}

interface Node {
  readonly id: number;
  readonly state: FrozenState;
  readonly key: string;
  refs: number;
}

const METADATA_END = K.reg15.word + 1;

/** Copies what is kept over a recirculation out of a key. */
export function frozenMetadata(key: FlowKey): FrozenMetadata {
  return { words: key.slice(0, METADATA_END), inPort: key[K.in_port.word] as number };
}

/** Puts it back. */
export function thawMetadata(md: FrozenMetadata, key: FlowKey): void {
  key.set(md.words, 0);
  key[K.in_port.word] = md.inPort;
}

/** All frozen states of a switch. */
export class RecircPool {
  readonly #byId = new Map<number, Node>();
  readonly #byKey = new Map<string, Node>();
  #expiring: Node[] = [];
  #expired: Node[] = [];
  #next = 1;
  #lastRunMs = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#byId.size;
  }

  find(id: number): FrozenState | null {
    return this.#byId.get(id)?.state ?? null;
  }

  /** Takes a reference; false if the state is gone or going. */
  ref(id: number): boolean {
    const node = this.#byId.get(id);
    if (node === undefined || node.refs === 0) {
      return false;
    }
    node.refs++;
    return true;
  }

  /** The id of an equal state, or a new one; with a reference. 0 if there are too many. */
  alloc(state: FrozenState): number {
    const key = stateKey(state);
    const old = this.#byKey.get(key);
    if (old !== undefined) {
      old.refs++;
      return old.id;
    }
    return this.#add(state, key);
  }

  /** A new id that is shared with nobody (bonds). */
  allocUnshared(bridgeId: number): number {
    const state: FrozenState = {
      tableId: TBL_INTERNAL,
      bridgeId,
      metadata: { words: new Uint32Array(METADATA_END), inPort: OFPP_NONE },
      stack: [],
      mirrors: 0,
      conntracked: false,
      wasMpls: false,
      xportId: 0,
      actions: [],
      actionSet: [],
      userdata: null,
    };
    return this.#add(state, `unshared ${this.#next}`);
  }

  unref(id: number): void {
    const node = this.#byId.get(id);
    if (node === undefined || node.refs === 0) {
      return;
    }
    node.refs--;
    if (node.refs === 0) {
      this.#byKey.delete(node.key);
      this.#expiring.push(node);
    }
  }

  /** Forgets states that nobody has referred to for at least one sweep. */
  run(nowMs: number): void {
    if (nowMs - this.#lastRunMs <= RECIRC_SWEEP_MS) {
      return;
    }
    this.#lastRunMs = nowMs;
    for (const node of this.#expired) {
      this.#byId.delete(node.id);
    }
    this.#expired = this.#expiring;
    this.#expiring = [];
  }

  #add(state: FrozenState, key: string): number {
    if (this.#byId.size >= RECIRC_STATES_MAX) {
      return 0;
    }
    let id = 0;
    do {
      id = this.#next++;
      if (this.#next > 0xffffffff) {
        this.#next = RECIRC_STATIC_IDS + 1;
      }
    } while (this.#byId.has(id));
    const node: Node = { id, state, key, refs: 1 };
    this.#byId.set(id, node);
    this.#byKey.set(key, node);
    return id;
  }
}

const TBL_INTERNAL = 254;
const OFPP_NONE = 0xffff;

/** A text that is equal exactly for equal states. */
function stateKey(s: FrozenState): string {
  const parts = [
    s.tableId,
    s.bridgeId,
    s.metadata.inPort,
    s.mirrors,
    s.conntracked ? 1 : 0,
    s.wasMpls ? 1 : 0,
    s.xportId,
    sparse(s.metadata.words),
    s.stack.map((v) => v.join(".")).join("|"),
    actionsKey(s.actions),
    actionsKey(s.actionSet),
    s.userdata === null ? "" : s.userdata.join("."),
  ];
  return parts.join(";");
}

/** The words of an array that are not zero, with their places. */
function sparse(words: Uint32Array): string {
  let text = "";
  for (let i = 0; i < words.length; i++) {
    const w = words[i] as number;
    if (w !== 0) {
      text += `${i}=${w} `;
    }
  }
  return text;
}
