// UUIDs: the names of rows. Text of 36 characters in lower case everywhere.

import type { Rng } from "../lib/env.ts";

export type Uuid = string;

export const ZERO_UUID: Uuid = "00000000-0000-0000-0000-000000000000";

const WHOLE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The UUID that a text is, or undefined. */
export function parseUuid(text: string): Uuid | undefined {
  return WHOLE.test(text) ? text.toLowerCase() : undefined;
}

/**
 * How many characters of a text are the start of a UUID, or 0 if the text is no such start
 * (ovs: uuid_is_partial_string).
 */
export function partialUuidLength(text: string): number {
  const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.length > form.length) {
    return 0;
  }
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? "";
    if (form[i] === "-" ? c !== "-" : !/[0-9a-fA-F]/.test(c)) {
      return 0;
    }
  }
  return text.length;
}

/**
 * Makes UUIDs of version 4. Their first 32 bits grow with each one made, by a small random step
 * from a random start, so that rows sort in the order in which they were made; the rest is random.
 */
export class UuidMaker {
  private readonly rng: Rng;
  private readonly taken: (uuid: Uuid) => boolean;
  private head: number;

  /** `taken` tells of UUIDs that are in use already, as in a database from a file. */
  constructor(rng: Rng, taken: (uuid: Uuid) => boolean = () => false) {
    this.rng = rng;
    this.taken = taken;
    this.head = rng.u32() >>> 4;
  }

  next(): Uuid {
    for (;;) {
      const uuid = this.make();
      if (!this.taken(uuid)) {
        return uuid;
      }
    }
  }

  /** One that names no row, so that nobody need look whether it is free. */
  version(): Uuid {
    return this.make();
  }

  private make(): Uuid {
    this.head = (this.head + 1 + (this.rng.u32() & 0xfff)) >>> 0;
    const w = [this.head, this.rng.u32(), this.rng.u32(), this.rng.u32()] as const;
    const hex = (x: number) => (x >>> 0).toString(16).padStart(8, "0");
    const b = hex((w[1] & 0xffff0fff) | 0x4000);
    const c = hex((w[2] & 0x3fffffff) | 0x80000000);
    return `${hex(w[0])}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${hex(w[3])}`;
  }
}
