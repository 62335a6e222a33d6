// A binary heap with the greatest priority first, which of equal ones as Open vSwitch has it.
//
// Nodes remember their place so that their priority can change. The array starts at index 1.
// ovs: lib/heap.c.

export interface HeapNode {
  /** Place in the heap; owned by it. */
  heapIndex: number;
  /** Change it through MaxHeap.change(). */
  priority: number;
}

export class MaxHeap<T extends HeapNode> {
  readonly #nodes: T[] = [];

  get size(): number {
    return this.#nodes.length;
  }

  max(): T | undefined {
    return this.#nodes[0];
  }

  insert(node: T, priority: number): void {
    node.priority = priority;
    this.#put(node, this.#nodes.length + 1);
    this.#floatUp(node.heapIndex);
  }

  change(node: T, priority: number): void {
    node.priority = priority;
    this.#floatUpOrDown(node.heapIndex);
  }

  remove(node: T): void {
    const i = node.heapIndex;
    const last = this.#nodes.pop();
    if (last !== undefined && last !== node) {
      this.#put(last, i);
      this.#floatUpOrDown(i);
    }
  }

  #at(i: number): T {
    return this.#nodes[i - 1] as T;
  }

  #put(node: T, i: number): void {
    this.#nodes[i - 1] = node;
    node.heapIndex = i;
  }

  #swap(i: number, j: number): void {
    const a = this.#at(i);
    this.#put(this.#at(j), i);
    this.#put(a, j);
  }

  #floatUp(start: number): boolean {
    let i = start;
    while (i > 1) {
      const parent = i >> 1;
      if (this.#at(parent).priority >= this.#at(i).priority) {
        break;
      }
      this.#swap(parent, i);
      i = parent;
    }
    return i !== start;
  }

  #floatUpOrDown(start: number): void {
    if (this.#floatUp(start)) {
      return;
    }
    let i = start;
    while (2 * i <= this.#nodes.length) {
      const left = 2 * i;
      const right = left + 1;
      let max = i;
      if (this.#at(left).priority > this.#at(max).priority) {
        max = left;
      }
      if (right <= this.#nodes.length && this.#at(right).priority > this.#at(max).priority) {
        max = right;
      }
      if (max === i) {
        return;
      }
      this.#swap(max, i);
      i = max;
    }
  }
}
