// Names that belong to one switch, and the spelling of groups and queues.
//
// Tools print and accept a port or table by number or, where they know the switch's names, by name.
// A NameTable holds those names; one that stands for two numbers (or the reverse) is not used
// (ovs: lib/namemap.c, lib/ofp-group.c). Ports and tables as text are in flow/ofp-port.ts.

import type { FormatContext } from "../actions/types.ts";
import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import { strToUint } from "../../lib/number.ts";

/** Reserved group numbers. */
export const OFPG = { MAX: 0xffffff00, ALL: 0xfffffffc, ANY: 0xffffffff } as const;
/** All queues of a port. */
export const OFPQ_ALL = 0xffffffff;

interface NameNode {
  readonly number: number;
  readonly name: string;
  duplicate: boolean;
}

/** Numbers and names of one switch's ports or tables. */
export class NameTable implements NameMap {
  readonly #byName = new Map<string, NameNode>();
  readonly #byNumber = new Map<number, NameNode>();

  put(number: number, name: string): void {
    const named = this.#byName.get(name);
    if (named !== undefined) {
      named.duplicate ||= named.number !== number;
      return;
    }
    const numbered = this.#byNumber.get(number);
    if (numbered !== undefined) {
      numbered.duplicate = true;
      return;
    }
    const node = { number, name, duplicate: false };
    this.#byName.set(name, node);
    this.#byNumber.set(number, node);
  }

  nameOf(number: number): string | null {
    const node = this.#byNumber.get(number);
    return node === undefined || node.duplicate ? null : node.name;
  }

  numberOf(name: string): number | null {
    const node = this.#byName.get(name);
    return node === undefined || node.duplicate ? null : node.number;
  }
}

/** The names that texts are read and written with; null knows none. */
export type NameMaps = FormatContext;

export const NO_NAMES: NameMaps = { ports: null, tables: null };

/** A group's number, or `any` or `all` in any case; null if it is none of these. */
export function groupFromString(s: string, log: LogSink | null): number | null {
  const lower = s.toLowerCase();
  if (lower === "any" || lower === "all") {
    return lower === "any" ? OFPG.ANY : OFPG.ALL;
  }
  const group = strToUint(s, 10) ?? null;
  if (group === null) {
    const valid = "32-bit nonnegative integers or the keywords ANY or ALL";
    log?.("WARN", "ofp_group", `${s} is not a valid group ID.  (Valid group IDs are ${valid}.)`);
  }
  return group;
}

export function formatGroup(group: number): string {
  return group === OFPG.ANY ? "ANY" : group === OFPG.ALL ? "ALL" : String(group);
}

export function formatQueue(queue: number): string {
  return queue === OFPQ_ALL ? "ALL" : String(queue);
}
