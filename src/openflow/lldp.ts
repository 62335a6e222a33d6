// Lldp: one port that speaks LLDP: what it announces, when, and which neighbours it has heard.
//
// Neighbours do not age, as in Open vSwitch. The Auto Attach mappings (I-SID to VLAN) are those of
// the whole switch; a neighbour's answer sets their status when they are shown. ovs: lib/ovs-lldp.c,
// lib/lldp/lldpd.c lldpd_decode.

import { bytesEqual } from "../lib/bytes.ts";
import { hashInt } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import {
  isLldpGroup,
  type LldpNeighbour,
  lldpFrame,
  readLldp,
  withoutVlan,
} from "../packet/lldp.ts";

export const LLDP_INTERVAL_MS = 5000;
/** Neighbours that a port remembers; more are not taken. */
export const LLDP_NEIGHBOURS_MAX = 1024;
const FRAME_BYTES_MIN = 18;
export const AA_STATUS_PENDING = 255;

type Mac = readonly [hi: number, lo: number];

/** An Auto Attach mapping of a port; `owner` tells whose it is. */
export interface AaMapping {
  readonly isid: number;
  readonly vlan: number;
  readonly owner: object;
  status: number;
}

/** A VLAN that a port shall carry from now on, or no more. */
export interface AaVlanChange {
  readonly port: string;
  readonly vlan: number;
  readonly add: boolean;
}

interface Heard extends LldpNeighbour {
  readonly frame: Uint8Array;
}

export class Lldp {
  readonly name: string;
  readonly chassis: Mac;
  enabled = true;
  systemName = "";
  systemDescr = "";
  /** By I-SID, in the order of Open vSwitch's hash map. */
  readonly mappings = new OvsMap<number, AaMapping>((isid) => hashInt(isid, 0));
  /** In the order in which they were made, which is that of the frame. */
  private announced: AaMapping[] = [];
  /** Changes of VLANs that the bridge has not made yet. */
  readonly vlanChanges: AaVlanChange[] = [];
  private heard: Heard[] = [];
  private dueMs = 0;
  readonly counts = { tx: 0, rx: 0, discarded: 0, unrecognised: 0, inserted: 0, dropped: 0 };

  constructor(name: string, chassis: Mac) {
    this.name = name;
    this.chassis = chassis;
  }

  /** The settings were looked at: the interval starts anew. */
  configure(enabled: boolean, nowMs: number): void {
    this.enabled = enabled;
    this.dueMs = nowMs + LLDP_INTERVAL_MS;
  }

  /** Names of the system; neighbours get the description too, as in Open vSwitch. */
  setSystem(name: string | null, descr: string, descrBytes: Uint8Array): void {
    this.systemName = name ?? this.systemName;
    this.systemDescr = descr;
    for (const n of this.heard) {
      n.systemDescr = descrBytes;
    }
  }

  addMapping(m: Omit<AaMapping, "status">): void {
    if (this.mappings.has(m.isid)) {
      return;
    }
    const own = { ...m, status: AA_STATUS_PENDING };
    this.mappings.set(m.isid, own);
    this.announced.push(own);
    this.vlanChanges.push({ port: this.name, vlan: m.vlan, add: true });
  }

  /** True if there was such a mapping. */
  removeMapping(owner: object): boolean {
    const m = this.announced.find((a) => a.owner === owner);
    if (m === undefined) {
      return false;
    }
    this.mappings.delete(m.isid);
    this.announced = this.announced.filter((a) => a !== m);
    this.vlanChanges.push({ port: this.name, vlan: m.vlan, add: false });
    return true;
  }

  wakeMs(): number {
    return this.enabled ? this.dueMs : Number.POSITIVE_INFINITY;
  }

  /** The frame that is due, or null. */
  transmit(src: Mac, nowMs: number): Uint8Array | null {
    if (!this.enabled || nowMs < this.dueMs) {
      return null;
    }
    this.dueMs = nowMs + LLDP_INTERVAL_MS;
    this.counts.tx++;
    const { chassis, name, systemName, systemDescr } = this;
    // The status that is announced is not the one that is shown: it is always 0.
    const mappings = this.announced.map(({ isid, vlan }) => ({ isid, vlan, status: 0 }));
    return lldpFrame({ chassis, port: name, systemName, systemDescr, mappings }, src);
  }

  received(bytes: Uint8Array): void {
    this.counts.rx++;
    if (bytes.length < FRAME_BYTES_MIN) {
      this.counts.discarded++;
      return;
    }
    const frame = withoutVlan(bytes);
    if (this.heard.some((n) => bytesEqual(n.frame, frame)) || !isLldpGroup(frame)) {
      return;
    }
    const { neighbour, unrecognised } = readLldp(frame);
    this.counts.unrecognised += unrecognised;
    if (neighbour === null) {
      this.counts.discarded++;
      return;
    }
    const others = this.heard.filter((n) => !sameSource(n, neighbour));
    if (others.length === this.heard.length) {
      if (others.length >= LLDP_NEIGHBOURS_MAX) {
        this.counts.dropped++;
        return;
      }
      this.counts.inserted++;
    }
    this.heard = [...others, { ...neighbour, frame: frame.slice() }];
  }

  neighbours(): readonly LldpNeighbour[] {
    return this.heard;
  }

  /** Takes over what neighbours say of the mappings. */
  updateStatus(): void {
    for (const { isid, status } of this.heard.flatMap((n) => n.mappings)) {
      const m = this.mappings.get(isid);
      if (m !== undefined) {
        m.status = status;
      }
    }
  }
}

function sameSource(a: LldpNeighbour, b: LldpNeighbour): boolean {
  return (
    a.portSubtype === b.portSubtype &&
    a.chassisSubtype === b.chassisSubtype &&
    bytesEqual(a.portId, b.portId) &&
    bytesEqual(a.chassisId, b.chassisId)
  );
}
