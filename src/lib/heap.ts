// A binary heap that gives equal elements in the order in which Open vSwitch's gives them.
//
// The least key is first. An element knows its place, so that its key can be changed. The order among
// equals follows from the sequence of changes, and shows where two things are due at the same time;
// therefore sifting stops and starts exactly as in ovs: lib/heap.c (whose greatest is first).

export interface HeapNode<T> {
  readonly value: T;
  /** Of the last insertion or change; to be set by the heap only. */
  key: number;
  /** From 1; 0 while it is in no heap. */
  index: number;
}

export class Heap<T> {
  /** The element 0 is not used. */
  private readonly nodes: (HeapNode<T> | null)[] = [null];

  get size(): number {
    return this.nodes.length - 1;
  }

  /** The element with the least key, or null. */
  first(): HeapNode<T> | null {
    return this.nodes[1] ?? null;
  }

  insert(value: T, key: number): HeapNode<T> {
    const node = { value, key, index: this.nodes.length };
    this.nodes.push(node);
    this.up(node);
    return node;
  }

  change(node: HeapNode<T>, key: number): void {
    node.key = key;
    if (!this.up(node)) {
      this.down(node);
    }
  }

  remove(node: HeapNode<T>): void {
    const last = this.nodes.pop();
    if (last !== undefined && last !== null && last !== node) {
      this.put(last, node.index);
      if (!this.up(last)) {
        this.down(last);
      }
    }
    node.index = 0;
  }

  private put(node: HeapNode<T>, index: number): void {
    this.nodes[index] = node;
    node.index = index;
  }

  private swap(a: HeapNode<T>, b: HeapNode<T>): void {
    const at = a.index;
    this.put(a, b.index);
    this.put(b, at);
  }

  private up(node: HeapNode<T>): boolean {
    let moved = false;
    for (;;) {
      const parent = this.nodes[node.index >> 1] ?? null;
      if (parent === null || parent.key <= node.key) {
        return moved;
      }
      this.swap(parent, node);
      moved = true;
    }
  }

  private down(node: HeapNode<T>): void {
    for (;;) {
      let least = node;
      for (const child of [this.nodes[2 * node.index], this.nodes[2 * node.index + 1]]) {
        if (child !== undefined && child !== null && child.key < least.key) {
          least = child;
        }
      }
      if (least === node) {
        return;
      }
      this.swap(least, node);
    }
  }
}
