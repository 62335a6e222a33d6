// Backer: one datapath with the ports of all bridges of its type, or one made by hand.
//
// Bridges of a type share a datapath; its ports have numbers of their own. A dummy datapath prefers
// the first number in a port's name, so that numbers can be foreseen. References: ovs:
// ofproto/ofproto-dpif.h struct dpif_backer, lib/dpif-netdev.c choose_port.

import { type DpSupport, ODPP_NONE, userspaceSupport } from "../openflow/xbridge.ts";
import type { Device } from "./device.ts";

export const DP_TYPES = ["dummy", "netdev", "system"] as const;
export type DpType = (typeof DP_TYPES)[number];

/** Ports are searched up to here (ovs: UINT16_MAX). */
export const DP_PORTS_MAX = 0xffff;

export interface DpPort {
  readonly odpPort: number;
  /** Name of the device, or of the port that tunnels of a type share. */
  readonly name: string;
  readonly type: string;
  /** Null for the datapath's own port and for tunnels. */
  readonly device: Device | null;
  /** Devices that use the port; more than one only for tunnels. */
  users: number;
}

/** Told of ports that come and go. */
export interface PortListener {
  portAdded(port: DpPort): void;
  portDeleted(port: DpPort): void;
}

export class Backer {
  readonly type: DpType;
  /** "ovs-system" or "ovs-netdev", if it is not made by hand. */
  readonly name: string;
  /** What the datapath can do now; `dpif/set-dp-features` takes features away. */
  readonly support: DpSupport;
  /** What it could do at the start. */
  readonly bootSupport: DpSupport;
  readonly ports = new Map<number, DpPort>();
  readonly listeners: PortListener[] = [];
  private readonly byName = new Map<string, DpPort>();
  /** Numbers that devices shall have, as in the datapath of a dumped host. */
  readonly preset = new Map<string, number>();

  /** VLAN headers are probed when the datapath is made, under the limit (vlan-limit) of then. */
  constructor(type: DpType, vlanLimit: number, name = `ovs-${type}`, own: Device | null = null) {
    this.type = type;
    this.support = { ...userspaceSupport(), max_vlan_headers: vlanLimit };
    this.bootSupport = { ...this.support };
    this.name = name;
    const ownType = type === "netdev" ? "tap" : "dummy-internal";
    this.insert({ odpPort: 0, name, type: ownType, device: own, users: 1 });
  }

  private insert(port: DpPort): void {
    this.ports.set(port.odpPort, port);
    this.byName.set(port.name, port);
    for (const l of this.listeners) {
      l.portAdded(port);
    }
  }

  /** Adds a listener and tells it of the ports that are there. */
  listen(l: PortListener): void {
    this.listeners.push(l);
    for (const port of this.ports.values()) {
      l.portAdded(port);
    }
  }

  portByName(name: string): DpPort | undefined {
    return this.byName.get(name);
  }

  /** A free number: the one in the name if this datapath is a dummy, else the lowest. */
  private choose(name: string, deviceName: string): number {
    const preset = this.preset.get(deviceName);
    if (preset !== undefined && !this.ports.has(preset)) {
      return preset;
    }
    const digits = this.type !== "netdev" ? /\d+/.exec(name)?.[0] : undefined;
    if (digits !== undefined) {
      const wanted = Number(digits) + (name.startsWith("br") ? 100 : 0);
      if (wanted > 0 && wanted < ODPP_NONE && !this.ports.has(wanted)) {
        return wanted;
      }
    }
    for (let n = 1; n <= DP_PORTS_MAX; n++) {
      if (!this.ports.has(n)) {
        return n;
      }
    }
    return ODPP_NONE;
  }

  /** Adds a port, or joins the tunnel port of that name; ODPP_NONE if none is free. */
  addPort(name: string, type: string, device: Device | null, deviceName = name): number {
    const there = this.byName.get(name);
    if (there !== undefined) {
      there.users++;
      return there.odpPort;
    }
    const odpPort = this.choose(name, deviceName);
    if (odpPort !== ODPP_NONE) {
      this.insert({ odpPort, name, type, device, users: 1 });
    }
    return odpPort;
  }

  /** Adds a port with a number that is free, or one that is chosen (ODPP_NONE). */
  addNumbered(name: string, device: Device, wanted: number): number {
    const odpPort = wanted === ODPP_NONE ? this.choose(name, name) : wanted;
    if (odpPort !== ODPP_NONE) {
      this.insert({ odpPort, name, type: device.type, device, users: 1 });
    }
    return odpPort;
  }

  /** Gives a port another number, which is free: the datapath sees one go and one come. */
  renumber(port: DpPort, odpPort: number): void {
    this.remove(port);
    this.insert({ ...port, odpPort });
  }

  /** Gives a port up; it goes with its last user, a tunnel's port when `sweepTunnels` is called. */
  deletePort(odpPort: number): void {
    const port = this.ports.get(odpPort);
    if (port === undefined) {
      return;
    }
    port.users--;
    if (port.users === 0 && port.device !== null) {
      this.remove(port);
    }
  }

  /**
   * Takes away tunnel ports without users; answers their numbers. They outlast the making of new
   * ports in a change of configuration (ovs: ofproto-dpif.c type_run, tnl_backers).
   */
  sweepTunnels(): number[] {
    const idle = [...this.ports.values()].filter((p) => p.users <= 0);
    for (const port of idle) {
      this.remove(port);
    }
    return idle.map((p) => p.odpPort);
  }

  private remove(port: DpPort): void {
    this.ports.delete(port.odpPort);
    this.byName.delete(port.name);
    for (const l of this.listeners) {
      l.portDeleted(port);
    }
  }
}
