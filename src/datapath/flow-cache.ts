// The caches of the datapath: exact matches, simple matches, megaflows.
//
// The masks of megaflows come from translation, so that overlapping megaflows have the same actions
// and any one may be taken. Look-ups allocate nothing.
// ovs: lib/dpif-netdev.c dfc_processing, fast_path_processing.

import type { FlowKey } from "../flow/flow-key.ts";
import { ExactMatchCache } from "./exact-match-cache.ts";
import { Megaflow } from "./megaflow.ts";
import { MegaflowTable } from "./megaflow-table.ts";
import type { OdpAction } from "./odp-action.ts";
import { SimpleMatches } from "./simple-match.ts";

/** Megaflows that a datapath holds (ovs: MAX_FLOWS). */
export const MEGAFLOWS_MAX = 65536;

export class FlowCache {
  private readonly flows = new Map<number, Megaflow>();
  readonly exact = new ExactMatchCache();
  /** Another way to the megaflows of ports that have only simple ones. */
  readonly simple = new SimpleMatches();
  readonly masked = new MegaflowTable();
  private nextId = 1;

  get size(): number {
    return this.flows.size;
  }

  /** How many flows have ever been made. */
  get made(): number {
    return this.nextId - 1;
  }

  get maskCount(): number {
    return this.masked.maskCount;
  }

  /** Flows in the order in which they were made. */
  values(): IterableIterator<Megaflow> {
    return this.flows.values();
  }

  byId(id: number): Megaflow | null {
    return this.flows.get(id) ?? null;
  }

  /** The megaflow of a key. */
  lookup(key: FlowKey): Megaflow | null {
    return this.masked.lookup(key);
  }

  /** Null if there are too many. Key and mask belong to the cache from now on. */
  insert(
    key: FlowKey,
    mask: FlowKey,
    actions: readonly OdpAction[],
    owner: object | null,
  ): Megaflow | null {
    if (this.flows.size >= MEGAFLOWS_MAX) {
      return null;
    }
    const f = new Megaflow(this.nextId++, key, this.masked.subtable(mask), actions, owner);
    this.masked.insert(f);
    this.flows.set(f.id, f);
    this.simple.add(f);
    return f;
  }

  remove(f: Megaflow): void {
    if (!this.flows.delete(f.id)) {
      return;
    }
    f.alive = false;
    this.simple.remove(f);
    this.masked.remove(f);
  }

  clear(): void {
    for (const f of [...this.flows.values()]) {
      this.remove(f);
    }
  }
}
