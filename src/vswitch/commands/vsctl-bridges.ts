// The bridges, ports and interfaces of the database as ovs-vsctl sees them: with "fake" bridges,
// which are ports of another bridge that stand for one of its VLANs.
//
// Reference: ovs: utilities/ovs-vsctl.c vsctl_context_populate_cache.

import type { Row } from "../../ovsdb/database.ts";
import { setDatum } from "../../ovsdb/datum.ts";
import { type CtlContext, die, rootRow } from "./vsctl-core.ts";

export interface CtlBridge {
  readonly name: string;
  /** Undefined for a fake bridge. */
  readonly row: Row | undefined;
  readonly parent: CtlBridge | undefined;
  /** 0 for a real bridge. */
  readonly vlan: number;
  readonly ports: CtlPort[];
  /** Fake bridges by VLAN. */
  readonly children: Map<number, CtlBridge>;
}

export interface CtlPort {
  readonly row: Row;
  readonly bridge: CtlBridge;
  readonly ifaces: CtlIface[];
}

export interface CtlIface {
  readonly row: Row;
  readonly port: CtlPort;
}

/** The row behind a bridge, fake or not. */
export function realRow(br: CtlBridge): Row {
  return br.row ?? br.parent?.row ?? die(`no bridge named ${br.name}`);
}

function tagOf(port: Row): number | undefined {
  const tag = port.int("tag");
  return tag !== undefined && tag >= 0 && tag <= 4095 ? tag : undefined;
}

function isFakeBridge(port: Row): boolean {
  return port.bool("fake_bridge") === true && tagOf(port) !== undefined;
}

/** All bridges, ports and interfaces by name, as a transaction sees them now. */
export class Inventory {
  readonly bridges = new Map<string, CtlBridge>();
  readonly ports = new Map<string, CtlPort>();
  readonly ifaces = new Map<string, CtlIface>();
  private readonly ctx: CtlContext;

  constructor(ctx: CtlContext) {
    this.ctx = ctx;
    const rows = this.rowsOf("Bridge", rootRow(ctx), "bridges");
    const ports = new Set<string>();
    for (const row of rows) {
      if (this.bridges.has(row.name())) {
        ctx.warn("vsctl", `${row.name()}: database contains duplicate bridge name`);
        continue;
      }
      const br = this.addBridge(row.name(), row, undefined, 0);
      for (const port of this.rowsOf("Port", row, "ports")) {
        const name = port.name();
        if (!ports.has(name) && isFakeBridge(port) && !this.bridges.has(name)) {
          this.addBridge(name, undefined, br, tagOf(port) ?? 0);
        }
        ports.add(name);
      }
    }
    for (const row of rows) {
      const br = this.bridges.get(row.name());
      if (br?.row === row) {
        this.addPorts(br, row);
      }
    }
  }

  private rowsOf(table: string, row: Row, column: string): Row[] {
    return row.texts(column).flatMap((uuid) => this.ctx.txn.row(table, uuid) ?? []);
  }

  private addBridge(
    name: string,
    row: Row | undefined,
    parent: CtlBridge | undefined,
    vlan: number,
  ): CtlBridge {
    const br: CtlBridge = { name, row, parent, vlan, ports: [], children: new Map() };
    const conflict = parent?.children.get(vlan);
    if (conflict !== undefined) {
      this.ctx.warn(
        "vsctl",
        `${parent?.name}: bridge has multiple VLAN bridges (${name} and ${conflict.name}) ` +
          `for VLAN ${vlan}, but only one is allowed`,
      );
    } else {
      parent?.children.set(vlan, br);
    }
    this.bridges.set(name, br);
    return br;
  }

  private addPorts(br: CtlBridge, row: Row): void {
    for (const port of this.rowsOf("Port", row, "ports")) {
      const name = port.name();
      const there = this.ports.get(name);
      if (there !== undefined) {
        const same = there.row.uuid === port.uuid;
        this.ctx.warn(
          "vsctl",
          same
            ? `${name}: port is in multiple bridges (${br.name} and ${there.bridge.name})`
            : `${name}: database contains duplicate port name`,
        );
        continue;
      }
      const made = this.addPort(br, port);
      for (const iface of this.rowsOf("Interface", port, "interfaces")) {
        const other = this.ifaces.get(iface.name());
        if (other === undefined) {
          this.addIface(made, iface);
        } else {
          const same = other.row.uuid === iface.uuid;
          const ports = `${other.port.row.name()} and ${port.name()}`;
          this.ctx.warn(
            "vsctl",
            same
              ? `${iface.name()}: interface is in multiple ports (${ports})`
              : `${iface.name()}: database contains duplicate interface name`,
          );
        }
      }
    }
  }

  private addPort(bridge: CtlBridge, row: Row): CtlPort {
    const tag = tagOf(row);
    const child = tag === undefined ? undefined : bridge.children.get(tag);
    const port: CtlPort = { row, bridge: child ?? bridge, ifaces: [] };
    port.bridge.ports.push(port);
    this.ports.set(row.name(), port);
    return port;
  }

  private addIface(port: CtlPort, row: Row): void {
    const iface: CtlIface = { row, port };
    port.ifaces.push(iface);
    this.ifaces.set(row.name(), iface);
  }

  /** Ends the line if a name is in use; `what` starts the message. */
  checkConflicts(name: string, what: string): void {
    if (this.bridges.has(name)) {
      die(`${what} because a bridge named ${name} already exists`);
    }
    const port = this.ports.get(name);
    if (port !== undefined) {
      die(`${what} because a port named ${name} already exists on bridge ${port.bridge.name}`);
    }
    const iface = this.ifaces.get(name);
    if (iface !== undefined) {
      const br = iface.port.bridge.name;
      die(`${what} because an interface named ${name} already exists on bridge ${br}`);
    }
  }

  bridge(name: string): CtlBridge {
    return this.bridges.get(name) ?? die(`no bridge named ${name}`);
  }

  /** A bridge that is no fake one. */
  realBridge(name: string): CtlBridge & { readonly row: Row } {
    const br = this.bridge(name);
    return { ...br, row: br.row ?? die(`${name} is a fake bridge`) };
  }

  /** A port that is not the local port of its bridge. */
  findPort(name: string): CtlPort | undefined {
    const port = this.ports.get(name);
    return port?.bridge.name === name ? undefined : port;
  }

  port(name: string): CtlPort {
    return this.findPort(name) ?? die(`no port named ${name}`);
  }

  findIface(name: string): CtlIface | undefined {
    const iface = this.ifaces.get(name);
    return iface?.port.bridge.name === name ? undefined : iface;
  }

  iface(name: string): CtlIface {
    return this.findIface(name) ?? die(`no interface named ${name}`);
  }
}

/** Adds a reference to a set column of a row. */
export function addReference(ctx: CtlContext, row: Row, column: string, uuid: string): void {
  const { keys } = (ctx.txn.row(row.schema.name, row.uuid) ?? row).get(column);
  ctx.txn.set(row.schema.name, row.uuid, column, setDatum([...keys, uuid]));
}

export function removeReference(ctx: CtlContext, row: Row, column: string, uuid: string): void {
  const { keys } = (ctx.txn.row(row.schema.name, row.uuid) ?? row).get(column);
  const kept = keys.filter((k) => k !== uuid);
  ctx.txn.set(row.schema.name, row.uuid, column, setDatum(kept));
}
