// OfTable: one flow table of a bridge: its classifier and what OpenFlow and the database set of it.
//
// Invariants
// - `nFlows` counts the flows that are to stay: neither temporary duplicates nor rules that wait
//   for their removal (ovs: ofproto/ofproto-provider.h struct oftable).
// - A name given through the database (level 2) wins over one given through OpenFlow (level 1).

import { Classifier } from "../datapath/classifier.ts";
import type { Subfield } from "../flow/subfield.ts";
import type { Rng } from "../lib/env.ts";
import { Evictor } from "./eviction.ts";
import type { Rule } from "./rule.ts";
import type { TableMiss } from "./xbridge.ts";

/** Bytes of a table's name on the wire, the last one a NUL. */
export const TABLE_NAME_MAX = 32;
/** `maxFlows` of a table without a limit. */
export const NO_FLOW_LIMIT = 0xffffffff;

/** Who switched eviction on. */
export const EVICTION = { CLIENT: 1 << 0, OPENFLOW: 1 << 1 } as const;
/** Vacancy events (OpenFlow 1.4, OFPTR_*); 0 is none. */
export const VACANCY = { NONE: 0, DOWN: 3, UP: 4 } as const;

/** Where a table name comes from; a higher one takes precedence. */
export const NAME_LEVEL = { OPENFLOW: 1, DATABASE: 2 } as const;

export class OfTable {
  readonly id: number;
  readonly cls = new Classifier<Rule>();
  /** Not shown to controllers. */
  hidden = false;
  /** Only the switch itself may change it. */
  readonly = false;
  /** Null without a name. */
  name: string | null = null;
  nameLevel = 0;
  maxFlows = NO_FLOW_LIMIT;
  nFlows = 0;
  missConfig: TableMiss = "default";
  nMatched = 0;
  nMissed = 0;
  /** EVICTION bits; eviction happens if any is set. */
  eviction = 0;
  evictionFields: readonly Subfield[] = [];
  /** Null while eviction is off. */
  evictor: Evictor | null = null;
  vacancyEvent: number = VACANCY.NONE;
  vacancyDown = 0;
  vacancyUp = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** Free space in percent; a table without a limit is empty (ovs: oftable_vacancy). */
  vacancy(): number {
    if (this.maxFlows === 0) {
      return 100;
    }
    if (this.nFlows >= this.maxFlows) {
      return 0;
    }
    return Math.floor(((this.maxFlows - this.nFlows) * 100) / this.maxFlows);
  }

  /** Null takes the level's name away, an empty name too. */
  setName(name: string | null, level: number): void {
    if (level < this.nameLevel) {
      return;
    }
    if (name !== null) {
      this.name = name === "" ? null : cutName(name);
      this.nameLevel = level;
    } else if (this.nameLevel === level) {
      this.name = null;
      this.nameLevel = 0;
    }
  }

  /** True if setName() with these would have an effect, or need none. */
  maySetName(name: string | null, level: number): boolean {
    return (
      level >= this.nameLevel || name === null || this.name === null || cutName(name) === this.name
    );
  }

  /** Switches eviction on or off and tells which fields make up a group. */
  configureEviction(eviction: number, fields: readonly Subfield[], rng: Rng): void {
    const sameFields =
      fields.length === this.evictionFields.length &&
      fields.every((f, i) => sameSubfield(f, this.evictionFields[i]));
    if ((this.eviction !== 0) === (eviction !== 0) && sameFields) {
      this.eviction = eviction;
      return;
    }
    this.evictionFields = fields;
    this.eviction = eviction;
    this.evictor = null;
    if (eviction !== 0) {
      this.evictor = new Evictor(fields, rng);
      for (const rule of this.allRules()) {
        this.evictor.add(rule);
      }
    }
  }

  /** The rules that are to stay, in the classifier's order. */
  *allRules(): Generator<Rule> {
    for (const cr of this.cls.rules(null, Number.MAX_SAFE_INTEGER - 1)) {
      yield cr.data;
    }
  }
}

function cutName(name: string): string {
  return name.slice(0, TABLE_NAME_MAX);
}

function sameSubfield(a: Subfield, b: Subfield | undefined): boolean {
  return b !== undefined && a.field === b.field && a.ofs === b.ofs && a.bits === b.bits;
}
