// Meters of a bridge as OpenFlow sees them; the token buckets themselves are the datapath's.
//
// Invariants: `providerMeterId` is the number of the datapath's meter, which the rules' actions
// carry; deleting a meter deletes the rules that use it. (ovs: ofproto/ofproto.c "Meters
// implementation")

import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { type MeterConfig, OFPM13 } from "./messages/types-group.ts";
import type { Rule } from "./rule.ts";

export interface Meter {
  readonly meterId: number;
  readonly providerMeterId: number;
  readonly createdMs: number;
  config: MeterConfig;
  /** Rules with an action for this meter, in order of insertion. */
  readonly rules: Set<Rule>;
}

export class MeterTable {
  readonly #meters = new OvsMap<number, Meter>((id) => hashInt(id, 0));
  /** Datapath meters of the two virtual meters, -1 where there is none. */
  slowpathMeterId = -1;
  controllerMeterId = -1;

  get(meterId: number): Meter | null {
    return this.#meters.get(meterId) ?? null;
  }

  add(config: MeterConfig, providerMeterId: number, nowMs: number): void {
    this.#setVirtual(config.meterId, providerMeterId);
    const meterId = config.meterId;
    const rules = new Set<Rule>();
    this.#meters.set(meterId, { meterId, providerMeterId, createdMs: nowMs, config, rules });
  }

  remove(meterId: number): Meter | null {
    const meter = this.get(meterId);
    if (meter !== null) {
      this.#meters.delete(meterId);
      this.#setVirtual(meterId, -1);
    }
    return meter;
  }

  /** In the order in which Open vSwitch lists them. */
  all(): Meter[] {
    return [...this.#meters.values()];
  }

  #setVirtual(meterId: number, providerMeterId: number): void {
    if (meterId === OFPM13.SLOWPATH) {
      this.slowpathMeterId = providerMeterId;
    } else if (meterId === OFPM13.CONTROLLER) {
      this.controllerMeterId = providerMeterId;
    }
  }
}
