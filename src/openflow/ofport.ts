// OfPort and PortTable: the OpenFlow ports of a bridge and how they get their numbers.
//
// A port keeps its number while it exists; a freed number is not given out again soon, so that old
// flows do not catch a new port (ovs: ofproto/ofproto.c alloc_ofp_port, ofport_usage). Ports are
// listed in the order of Open vSwitch's hash map.

import type { Clock } from "../lib/env.ts";
import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { type PhyPort, PORT_CONFIG, PORT_STATE } from "./messages/types-switch.ts";

/** Automatic numbers stay below; the upper half is for numbers that users ask for. */
export const AUTO_PORT_MAX = 32768;
/** A number freed so long ago may be used again. */
export const PORT_REUSE_MS = 60 * 60 * 1000;

export interface OfPort {
  readonly portNo: number;
  readonly name: string;
  /** The netdev's type: "dummy", "internal", "patch", "vxlan", ... */
  readonly type: string;
  readonly createdMs: number;
  /** What OpenFlow shows; replaced, never changed in place. */
  pp: PhyPort;
  /** The port may be live if its link is up (no bond, CFM, BFD keeps it down). */
  mayEnable: boolean;
}

/** What a new or changed netdev tells about itself. */
export interface NetdevInfo {
  readonly hwAddr: Uint8Array;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly curr: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  /** kbit/s. */
  readonly currSpeed: number;
  readonly maxSpeed: number;
}

/** A port can only be live if it is up (ovs: normalize_state). */
export function normalizeState(config: number, state: number, mayEnable: boolean): number {
  const down =
    (config & PORT_CONFIG.PORT_DOWN) !== 0 || (state & PORT_STATE.LINK_DOWN) !== 0 || !mayEnable;
  return down ? state & ~PORT_STATE.LIVE : state | PORT_STATE.LIVE;
}

/** The OpenFlow description of a netdev that just became a port. */
export function phyPortOf(portNo: number, name: string, info: NetdevInfo): PhyPort {
  const { hwAddr, curr, advertised, supported, peer, currSpeed, maxSpeed } = info;
  return {
    portNo,
    hwAddr,
    name,
    config: info.up ? 0 : PORT_CONFIG.PORT_DOWN,
    state: info.carrier ? 0 : PORT_STATE.LINK_DOWN,
    curr,
    advertised,
    supported,
    peer,
    currSpeed,
    maxSpeed,
  };
}

/** True if a controller would see no difference but name and number (ovs: ofport_equal). */
export function samePhyPort(a: PhyPort, b: PhyPort): boolean {
  return (
    a.hwAddr.every((byte, i) => byte === b.hwAddr[i]) &&
    a.state === b.state &&
    a.config === b.config &&
    a.curr === b.curr &&
    a.advertised === b.advertised &&
    a.supported === b.supported &&
    a.peer === b.peer &&
    a.currSpeed === b.currSpeed &&
    a.maxSpeed === b.maxSpeed
  );
}

/** "In use" in the record of when a number was last used. */
const IN_USE = Number.POSITIVE_INFINITY;

export class PortTable {
  readonly #clock: Clock;
  readonly #ports = new OvsMap<number, OfPort>((no) => hashInt(no, 0));
  readonly #byName = new Map<string, OfPort>();
  /** Number -> when it was last used, in milliseconds, or IN_USE. */
  readonly #usage = new Map<number, number>();
  #lastAuto = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(portNo: number): OfPort | null {
    return this.#ports.get(portNo) ?? null;
  }

  byName(name: string): OfPort | null {
    return this.#byName.get(name) ?? null;
  }

  /** In the order in which Open vSwitch lists them. */
  all(): OfPort[] {
    return [...this.#ports.values()];
  }

  /** Gives out a number, the requested one if it is free; OFPP.NONE if there is none left. */
  allocate(request: number | null): number {
    const asked = request !== null && request > 0 ? request : 0xffff;
    const portNo =
      asked >= OFPP.MAX || this.#usage.get(asked) === IN_USE ? this.#nextAuto() : asked;
    if (portNo !== OFPP.NONE) {
      this.#usage.set(portNo, IN_USE);
    }
    return portNo;
  }

  add(port: OfPort): void {
    this.#ports.set(port.portNo, port);
    this.#byName.set(port.name, port);
  }

  remove(port: OfPort): void {
    this.#ports.delete(port.portNo);
    this.#byName.delete(port.name);
    if (port.portNo < OFPP.MAX) {
      this.#usage.set(port.portNo, this.#clock.nowMs());
    }
  }

  /** The next number that was not used within the last hour, else the least recently used one. */
  #nextAuto(): number {
    const end = this.#lastAuto;
    let lru = IN_USE;
    let lruPort = 0;
    for (;;) {
      this.#lastAuto++;
      if (this.#lastAuto >= AUTO_PORT_MAX) {
        this.#lastAuto = 1;
      }
      const used = this.#usage.get(this.#lastAuto);
      if (used === undefined || used < this.#clock.nowMs() - PORT_REUSE_MS) {
        return this.#lastAuto;
      }
      if (used < lru) {
        lru = used;
        lruPort = this.#lastAuto;
      }
      if (this.#lastAuto === end) {
        return lruPort === 0 ? OFPP.NONE : lruPort;
      }
    }
  }
}
