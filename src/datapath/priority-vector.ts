// PriorityVector: the subtables of a classifier in the order in which lookups visit them.
//
// Highest priority first. Among equal priorities the order is history, and it shows: it decides which
// subtables a lookup looks into, hence the megaflow, and the order of a dump. So this follows Open
// vSwitch's vector to the letter: an element is appended if that keeps the order; any other change
// makes a draft that is sorted (stably) when it is published. (ovs: lib/pvector.c.)

export class PriorityVector<T> {
  private items: T[] = [];
  private priorities: number[] = [];
  private draftItems: T[] | null = null;
  /** Grows whenever the published elements, their order or priorities change. */
  generation = 0;
  private draftPriorities: number[] = [];

  /** Published elements, highest priority first. */
  get elements(): readonly T[] {
    return this.items;
  }

  get length(): number {
    return this.items.length;
  }

  /** Priority of the published element `index`. */
  priorityAt(index: number): number {
    return this.priorities[index] as number;
  }

  insert(item: T, priority: number): void {
    const last = this.priorities.length - 1;
    const fits = last < 0 || priority <= (this.priorities[last] as number);
    if (this.draftItems === null && fits) {
      this.items.push(item);
      this.priorities.push(priority);
      this.generation++;
    } else {
      const items = this.draft();
      items.push(item);
      this.draftPriorities.push(priority);
    }
  }

  remove(item: T): void {
    const items = this.draft();
    const index = items.indexOf(item);
    const last = items.length - 1;
    items[index] = items[last] as T;
    this.draftPriorities[index] = this.draftPriorities[last] as number;
    items.pop();
    this.draftPriorities.pop();
  }

  changePriority(item: T, priority: number): void {
    let priorities = this.draftItems === null ? this.priorities : this.draftPriorities;
    const index = (this.draftItems ?? this.items).indexOf(item);
    const old = priorities[index] as number;
    const before = priorities[index - 1];
    const after = priorities[index + 1];
    const up = priority > old && before !== undefined && priority > before;
    const down = priority < old && after !== undefined && priority < after;
    if (up || down) {
      this.draft();
      priorities = this.draftPriorities;
    }
    priorities[index] = priority;
    this.generation++;
  }

  /** Makes the changes visible, in order. */
  publish(): void {
    const items = this.draftItems;
    if (items === null) {
      return;
    }
    const priorities = this.draftPriorities;
    const order = items.map((_, i) => i);
    order.sort((a, b) => (priorities[b] as number) - (priorities[a] as number));
    this.items = order.map((i) => items[i] as T);
    this.priorities = order.map((i) => priorities[i] as number);
    this.draftItems = null;
    this.draftPriorities = [];
    this.generation++;
  }

  private draft(): T[] {
    if (this.draftItems === null) {
      this.draftItems = this.items.slice();
      this.draftPriorities = this.priorities.slice();
    }
    return this.draftItems;
  }
}
