// What native tunnels need besides ports: routes, neighbours and the addresses where tunnels end.
//
// One object per switch, hanging from XlateConfig. The devices of the switch come in as a function;
// sending a packet of the switch's own (ARP requests) goes out as one.

import type { PacketBuf } from "../packet/packet.ts";
import { type Route, RouteTable, type TunnelDevice } from "./route-table.ts";
import { TunnelMap } from "./tunnel-map.ts";
import { TunnelNeighbours } from "./tunnel-neighbours.ts";
import type { XPort } from "./xbridge.ts";

/** Puts a packet through the tables of a bridge as if it came in by a port. */
export type TableSender = (
  xport: XPort,
  packet: PacketBuf,
  depth: number,
  resubmits: number,
) => void;

export class NativeTunnels {
  /** The device with a name; set by the switch. */
  device: (name: string) => TunnelDevice | null = () => null;
  /** Null while the switch cannot send. */
  sendToTable: TableSender | null = null;
  readonly routes = new RouteTable((name) => this.device(name));
  readonly neighbours = new TunnelNeighbours();
  readonly map = new TunnelMap((name) => this.device(name));
  /** Routes or ends of tunnels changed since it was last cleared. */
  changed = false;

  /** Adds a route by command. False if the device has no suitable address. */
  addRoute(
    mark: number,
    prefix: Uint32Array,
    bits: number,
    dev: string,
    gateway: Uint32Array,
  ): boolean {
    if (!this.routes.add(mark, prefix, bits, dev, gateway)) {
      return false;
    }
    this.map.addDevice(dev);
    this.changed = true;
    return true;
  }

  /** Takes over a route of a host that was dumped. */
  putRoute(route: Route): void {
    this.routes.put(route);
    this.map.addDevice(route.dev);
    this.changed = true;
  }

  deleteRoute(mark: number, prefix: Uint32Array, bits: number): boolean {
    const route = this.routes.delete(mark, prefix, bits);
    if (route === null) {
      return false;
    }
    this.map.deleteDevice(route.dev);
    this.changed = true;
    return true;
  }

  /** Periodic work. True if megaflows need to be revalidated. */
  run(nowMs: number): boolean {
    this.neighbours.run(nowMs);
    this.map.run();
    const need = this.changed || this.neighbours.changed;
    this.changed = false;
    this.neighbours.changed = false;
    return need;
  }
}
