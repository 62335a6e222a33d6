// Ports of a bridge: adding, changing and removing them, and OpenFlow's port mods.
//
// The switch tells of its netdevs; controllers that listen get a port status for each change
// (ovs: ofproto/ofproto.c ofport_open, update_port, ofproto_port_set_state, port_mod_*).

import { OFPP } from "../flow/ofp-port.ts";
import type { Ofconn } from "./connmgr.ts";
import type { OfpErr } from "./messages/errors.ts";
import {
  OFPPR,
  type PhyPort,
  PORT_CONFIG,
  PORT_STATE,
  type PortMod,
} from "./messages/types-switch.ts";
import { type NetdevInfo, normalizeState, type OfPort, phyPortOf, samePhyPort } from "./ofport.ts";
import type { Ofproto } from "./ofproto.ts";

export interface NewPort {
  readonly name: string;
  /** The netdev's type. */
  readonly type: string;
  /** The number that the user asks for, null for any. */
  readonly request: number | null;
  readonly netdev: NetdevInfo;
}

/** Makes a port; null if no number is left. The port named like the bridge is LOCAL. */
export function addPort(p: Ofproto, np: NewPort): OfPort | null {
  const portNo = np.name === p.name ? OFPP.LOCAL : p.ports.allocate(np.request);
  if (portNo === OFPP.NONE) {
    p.warn(`failed to allocated ofp port number for ${np.name}.`);
    return null;
  }
  const port: OfPort = {
    portNo,
    name: np.name,
    type: np.type,
    createdMs: p.clock.nowMs(),
    pp: phyPortOf(portNo, np.name, np.netdev),
    mayEnable: false,
  };
  p.ports.add(port);
  p.conns.sendPortStatus(null, null, port.pp, OFPPR.ADD);
  p.provider.needRevalidate();
  return port;
}

export function removePort(p: Ofproto, port: OfPort): void {
  p.conns.sendPortStatus(null, null, port.pp, OFPPR.DELETE);
  p.ports.remove(port);
  p.provider.needRevalidate();
}

/** A netdev may have changed: takes over what it says now. */
export function updatePort(p: Ofproto, port: OfPort, info: NetdevInfo): void {
  const fresh = phyPortOf(port.portNo, port.name, info);
  const config = fresh.config | (port.pp.config & ~PORT_CONFIG.PORT_DOWN);
  const kept = fresh.state | (port.pp.state & ~PORT_STATE.LINK_DOWN);
  const pp = { ...fresh, config, state: normalizeState(config, kept, port.mayEnable) };
  if (!samePhyPort(port.pp, pp)) {
    change(p, null, port, pp);
  }
}

/** Changes state bits, as STP, BFD or a bond do. */
export function setPortState(p: Ofproto, port: OfPort, wanted: number): void {
  const state = normalizeState(port.pp.config, wanted, port.mayEnable);
  if (state !== port.pp.state) {
    change(p, null, port, { ...port.pp, state });
  }
}

/** Tells whether the port may be live if its link is up. */
export function setPortEnable(p: Ofproto, port: OfPort, enable: boolean): void {
  if (enable !== port.mayEnable) {
    port.mayEnable = enable;
    setPortState(p, port, port.pp.state);
  }
}

function change(p: Ofproto, source: Ofconn | null, port: OfPort, pp: PhyPort): void {
  const old = port.pp;
  port.pp = pp;
  p.conns.sendPortStatus(source, old, pp, OFPPR.MODIFY);
  p.provider.needRevalidate();
}

/** The checks of a port mod. */
export function portModStart(p: Ofproto, pm: PortMod): OfpErr | null {
  const port = p.ports.get(pm.portNo);
  if (port === null) {
    return "OFPPMFC_BAD_PORT";
  }
  const sameMac = port.pp.hwAddr.every((byte, i) => byte === pm.hwAddr[i]);
  return sameMac ? null : "OFPPMFC_BAD_HW_ADDR";
}

export function portModFinish(p: Ofproto, conn: Ofconn | null, pm: PortMod): void {
  const port = p.ports.get(pm.portNo);
  if (port === null) {
    return;
  }
  let toggle = (pm.config ^ port.pp.config) & pm.mask;
  if ((toggle & PORT_CONFIG.PORT_DOWN) !== 0) {
    const up = (pm.config & PORT_CONFIG.PORT_DOWN) === 0;
    if (!p.provider.setPortUp(port, up)) {
      toggle &= ~PORT_CONFIG.PORT_DOWN;
    }
  }
  if (toggle !== 0) {
    const old = port.pp;
    const config = old.config ^ toggle;
    const state = normalizeState(config, old.state, port.mayEnable);
    port.pp = { ...old, config, state };
    p.conns.sendPortStatus(conn, old, port.pp, OFPPR.MODIFY);
    p.provider.portReconfigured(port, old.config);
    p.provider.needRevalidate();
  }
}
