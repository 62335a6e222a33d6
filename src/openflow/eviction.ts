// Eviction: which flow of a full table has to go.
//
// Rules with a timeout are kept in groups of equal values of the table's eviction fields; the
// largest group gives up a flow, the one of least importance and, among those, the one that would
// expire first. Groups of equal size are chosen among at random, as in Open vSwitch, but with the
// switch's own random source. (ovs: ofproto/ofproto.c "Eviction groups", lib/heap.c)
//
// The heaps are those of lib/heap.c, operation by operation, so that ties break the same way.

import { fieldGet, fieldPrereqsOk } from "../flow/field-value.ts";
import { type FlowKey, newKey } from "../flow/flow-key.ts";
import { expandMiniMatch } from "../flow/minimatch.ts";
import type { Subfield } from "../flow/subfield.ts";
import type { Rng } from "../lib/env.ts";
import type { Rule } from "./rule.ts";

/** Milliseconds between two restorations of the heaps' order. */
export const EVICTION_REBUILD_MS = 1000;

interface HeapNode<T> {
  readonly item: T;
  /** Larger goes first. */
  priority: number;
  idx: number;
}

/** A binary heap with the largest priority on top; index 0 is not used. */
class MaxHeap<T> {
  readonly array: (HeapNode<T> | null)[] = [null];

  get count(): number {
    return this.array.length - 1;
  }

  top(): HeapNode<T> | null {
    return this.array[1] ?? null;
  }

  insert(item: T, priority: number): HeapNode<T> {
    const node = { item, priority, idx: this.array.length };
    this.array.push(node);
    this.#up(node.idx);
    return node;
  }

  remove(node: HeapNode<T>): void {
    const i = node.idx;
    const last = this.array.pop() as HeapNode<T>;
    if (last !== node) {
      this.#put(last, i);
      this.#upOrDown(i);
    }
  }

  change(node: HeapNode<T>, priority: number): void {
    node.priority = priority;
    this.#upOrDown(node.idx);
  }

  rebuild(): void {
    for (let i = Math.floor(this.count / 2); i >= 1; i--) {
      this.#down(i);
    }
  }

  #put(node: HeapNode<T>, i: number): void {
    this.array[i] = node;
    node.idx = i;
  }

  #priority(i: number): number {
    return this.array[i]?.priority ?? Number.NEGATIVE_INFINITY;
  }

  #swap(i: number, j: number): void {
    const a = this.array[i] as HeapNode<T>;
    const b = this.array[j] as HeapNode<T>;
    this.#put(b, i);
    this.#put(a, j);
  }

  #up(from: number): boolean {
    let i = from;
    while (i > 1) {
      const parent = i >> 1;
      if (this.#priority(parent) >= this.#priority(i)) {
        break;
      }
      this.#swap(parent, i);
      i = parent;
    }
    return i !== from;
  }

  #down(from: number): void {
    let i = from;
    for (;;) {
      let max = i;
      for (const child of [2 * i, 2 * i + 1]) {
        if (child <= this.count && this.#priority(child) > this.#priority(max)) {
          max = child;
        }
      }
      if (max === i) {
        return;
      }
      this.#swap(max, i);
      i = max;
    }
  }

  #upOrDown(i: number): void {
    if (!this.#up(i)) {
      this.#down(i);
    }
  }
}

interface EvictionGroup {
  readonly id: string;
  readonly rules: MaxHeap<Rule>;
  readonly nodes: Map<Rule, HeapNode<Rule>>;
  size: HeapNode<EvictionGroup>;
}

/** The eviction groups of one table. */
export class Evictor {
  readonly fields: readonly Subfield[];
  readonly #rng: Rng;
  readonly #byId = new Map<string, EvictionGroup>();
  readonly #bySize = new MaxHeap<EvictionGroup>();
  readonly #groupOf = new Map<Rule, EvictionGroup>();

  constructor(fields: readonly Subfield[], rng: Rng) {
    this.fields = fields;
    this.#rng = rng;
  }

  /** Takes in a rule; one without a timeout can never be evicted. */
  add(rule: Rule): void {
    if (rule.hardTimeoutS === 0 && rule.idleTimeoutS === 0) {
      return;
    }
    const group = this.#find(groupId(this.fields, rule));
    group.nodes.set(rule, group.rules.insert(rule, evictionPriority(rule)));
    this.#groupOf.set(rule, group);
    this.#resized(group);
  }

  remove(rule: Rule): void {
    const group = this.#groupOf.get(rule);
    const node = group?.nodes.get(rule);
    if (group === undefined || node === undefined) {
      return;
    }
    this.#groupOf.delete(rule);
    group.nodes.delete(rule);
    group.rules.remove(node);
    if (group.rules.count === 0) {
      this.#byId.delete(group.id);
      this.#bySize.remove(group.size);
    } else {
      this.#resized(group);
    }
  }

  /** The rule that is to go next, or null if none may. */
  choose(): Rule | null {
    for (const group of this.#bySize.array) {
      const top = group?.item.rules.top();
      if (top !== null && top !== undefined) {
        return top.item;
      }
    }
    return null;
  }

  /** Brings the order up to date with the rules' timeouts and last use. */
  refresh(rules: Iterable<Rule>): void {
    for (const rule of rules) {
      const node = this.#groupOf.get(rule)?.nodes.get(rule);
      if (node === undefined) {
        this.add(rule);
      } else {
        node.priority = evictionPriority(rule);
      }
    }
    for (const group of this.#byId.values()) {
      group.rules.rebuild();
    }
  }

  #find(id: string): EvictionGroup {
    const found = this.#byId.get(id);
    if (found !== undefined) {
      return found;
    }
    const rules = new MaxHeap<Rule>();
    const draft: Omit<EvictionGroup, "size"> = { id, rules, nodes: new Map() };
    const group = draft as EvictionGroup; // The heap node completes it on the next line.
    group.size = this.#bySize.insert(group, this.#sizePriority(0));
    this.#byId.set(id, group);
    return group;
  }

  #resized(group: EvictionGroup): void {
    this.#bySize.change(group.size, this.#sizePriority(group.rules.count));
  }

  /** The size, with random low bits so that groups of equal size take turns. */
  #sizePriority(rules: number): number {
    return Math.min(0xffff, rules) * 0x10000 + (this.#rng.u32() & 0xffff);
  }
}

/** Rules of equal values in the eviction fields have equal ids. */
function groupId(fields: readonly Subfield[], rule: Rule): string {
  if (fields.length === 0) {
    return "";
  }
  const flow: FlowKey = newKey();
  expandMiniMatch(rule.match, flow, newKey());
  return fields
    .map((sf) => {
      if (!fieldPrereqsOk(sf.field, flow, null)) {
        return "-";
      }
      let v = 0n;
      for (const word of fieldGet(sf.field, flow)) {
        v = (v << 32n) | BigInt(word);
      }
      return BigInt.asUintN(sf.bits, v >> BigInt(sf.ofs)).toString(16);
    })
    .join(",");
}

/** Larger for a rule that is to be evicted sooner (ovs: rule_eviction_priority). */
function evictionPriority(rule: Rule): number {
  let expirationMs = Number.POSITIVE_INFINITY;
  if (rule.hardTimeoutS > 0) {
    expirationMs = rule.modifiedMs + rule.hardTimeoutS * 1000;
  }
  if (rule.idleTimeoutS > 0) {
    expirationMs = Math.min(expirationMs, rule.statsRule().usedMs + rule.idleTimeoutS * 1000);
  }
  if (expirationMs === Number.POSITIVE_INFINITY) {
    return Number.NEGATIVE_INFINITY;
  }
  return -(rule.importance * 2 ** 32 + Math.floor(expirationMs / 1024));
}
