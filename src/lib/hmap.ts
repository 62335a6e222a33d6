// OvsMap: a hash map whose iteration order is that of Open vSwitch's `struct hmap`.
//
// Users see that order: ports in `ovs-ofctl show`, meters in `dump-meters`, ports of a flood. It
// follows from the hash function, the number of buckets and the history of insertions, so this map
// keeps real buckets: a new element is the first of its bucket, and growing walks the old buckets
// in order (ovs: include/openvswitch/hmap.h, lib/hmap.c resize).
//
// A plain Map beside the buckets answers look-ups; keys are unique.

interface Node<K, V> {
  readonly key: K;
  readonly hash: number;
  value: V;
  next: Node<K, V> | null;
}

export class OvsMap<K, V> {
  readonly #hashOf: (key: K) => number;
  readonly #nodes = new Map<K, Node<K, V>>();
  #buckets: (Node<K, V> | null)[] = [null];

  constructor(hashOf: (key: K) => number) {
    this.#hashOf = hashOf;
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(key: K): V | undefined {
    return this.#nodes.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#nodes.has(key);
  }

  /** Adds an element, or gives the element of that key another value where it stands. */
  set(key: K, value: V): void {
    const old = this.#nodes.get(key);
    if (old !== undefined) {
      old.value = value;
      return;
    }
    const node: Node<K, V> = { key, hash: this.#hashOf(key) >>> 0, value, next: null };
    this.#nodes.set(key, node);
    pushFront(this.#buckets, node);
    if (Math.floor(this.#nodes.size / 2) > this.#buckets.length - 1) {
      this.#resize(bucketCount(this.#nodes.size));
    }
  }

  delete(key: K): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) {
      return false;
    }
    this.#nodes.delete(key);
    const b = node.hash & (this.#buckets.length - 1);
    let at = this.#buckets[b] ?? null;
    if (at === node) {
      this.#buckets[b] = node.next;
      return true;
    }
    while (at !== null && at.next !== node) {
      at = at.next;
    }
    if (at !== null) {
      at.next = node.next;
    }
    return true;
  }

  /** Forgets all elements but keeps the buckets (ovs: hmap_clear). */
  clear(): void {
    this.#nodes.clear();
    this.#buckets.fill(null);
  }

  /** In the order of HMAP_FOR_EACH. The current element may be deleted meanwhile. */
  *values(): Generator<V> {
    for (let b = 0; b < this.#buckets.length; b++) {
      let node = this.#buckets[b] ?? null;
      while (node !== null) {
        const next = node.next;
        yield node.value;
        node = next;
      }
    }
  }

  #resize(count: number): void {
    if (count <= this.#buckets.length) {
      return;
    }
    const buckets: (Node<K, V> | null)[] = new Array(count).fill(null);
    for (const first of this.#buckets) {
      let node = first;
      while (node !== null) {
        const next = node.next;
        pushFront(buckets, node);
        node = next;
      }
    }
    this.#buckets = buckets;
  }
}

function pushFront<K, V>(buckets: (Node<K, V> | null)[], node: Node<K, V>): void {
  const b = node.hash & (buckets.length - 1);
  node.next = buckets[b] ?? null;
  buckets[b] = node;
}

/** Buckets for so many elements: a power of two, at least 4 (ovs: lib/hmap.c calc_mask). */
function bucketCount(elements: number): number {
  let mask = Math.floor(elements / 2);
  for (const shift of [1, 2, 4, 8, 16]) {
    mask |= mask >>> shift;
  }
  mask |= (mask & 1) << 1;
  return mask + 1;
}
