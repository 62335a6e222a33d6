// LACP on the ports of a bridge, and the bonds that depend on it.
//
// References: ovs: vswitchd/bridge.c port_configure_lacp, iface_configure_lacp;
// ofproto/ofproto-dpif.c bundle_run, send_pdu_cb, bundle_send_learning_packets;
// ovs-vswitchd.conf.db(5) table Port.

import { SLOW } from "../datapath/odp-action.ts";
import { type FlowKey, K, newKey } from "../flow/flow-key.ts";
import { TextScan } from "../lib/scan.ts";
import type { Bond } from "../openflow/bond.ts";
import { Lacp, type LacpMemberSettings, type LacpSettings } from "../openflow/lacp.ts";
import { LACP_DST, LACP_PDU_BYTES, type LacpPdu, putLacpPdu } from "../openflow/lacp-pdu.ts";
import type { XBundle, XPort } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import { composeRarp, ETH_TYPE, ethCompose } from "../packet/ethernet.ts";
import { NO_OFS, PacketBuf } from "../packet/packet.ts";
import { ethPushVlan } from "../packet/vlan.ts";
import type { Bridge, BridgePort, Iface } from "./bridge.ts";
import { isUp, macOf } from "./device.ts";
import type { PortProtocol } from "./port-protocols.ts";
import { protocolLog } from "./protocol-log.ts";
import { sendPacket } from "./send-packet.ts";
import { smapBool, smapInt } from "./smap.ts";

const U16_MAX = 0xffff;

/** A setting of 16 bits, or the default for what is out of range; 0 counts as not set. */
function setting16(config: ReadonlyMap<string, string>, key: string, fallback: number): number {
  const n = smapInt(config, key, 0);
  return n > 0 && n <= U16_MAX ? n : fallback;
}

function isActive(br: Bridge, row: Row): boolean | null {
  const mode = row.text("lacp");
  if (mode === "active" || mode === "passive") {
    return mode === "active";
  }
  if (mode !== undefined && mode !== "off") {
    br.vs.log.warn("bridge", `port ${row.name()}: unknown LACP mode ${mode}`);
  }
  return null;
}

/** The address of the bridge. */
function bridgeMac(br: Bridge): readonly [number, number] {
  const local = br.ifaces.get(br.name);
  return local === undefined ? br.defaultMac : macOf(local.device);
}

function lacpSettings(br: Bridge, port: BridgePort, row: Row): LacpSettings | null {
  const active = isActive(br, row);
  if (active === null) {
    return null;
  }
  const config = row.map("other_config");
  let sysId = bridgeMac(br);
  const text = config.get("lacp-system-id");
  if (text !== undefined) {
    const s = new TextScan(text);
    if (!s.mac()) {
      const why = `LACP system ID (${text}) must be an Ethernet address.`;
      br.vs.log.warn("bridge", `port ${port.name}: ${why}`);
      return null;
    }
    sysId = [s.hi, s.lo];
  }
  if (sysId[0] === 0 && sysId[1] === 0) {
    br.vs.log.warn("bridge", `port ${port.name}: Invalid zero LACP system ID.`);
    return null;
  }
  // Links that can be bonded are preferred.
  const priority = U16_MAX - (port.ifaces.length > 1 ? 1 : 0);
  return {
    name: port.name,
    sysId,
    priority: setting16(config, "lacp-system-priority", priority),
    active,
    fast: config.get("lacp-time")?.toLowerCase() === "fast",
    fallbackAb: smapBool(config, "lacp-fallback-ab", false),
  };
}

function memberSettings(br: Bridge, iface: Iface): LacpMemberSettings {
  const row = br.vs.db.row("Interface", iface.rowUuid);
  const config = row?.map("other_config") ?? new Map<string, string>();
  return {
    name: iface.name,
    portId: setting16(config, "lacp-port-id", iface.ofport.portNo),
    priority: setting16(config, "lacp-port-priority", U16_MAX),
    key: setting16(config, "lacp-aggregation-key", 0),
  };
}

/** Starts, changes or ends LACP on a port as its row says. */
export function configureLacp(br: Bridge, port: BridgePort, b: XBundle, row: Row): void {
  const { vs } = br;
  const settings = lacpSettings(br, port, row);
  if (settings === null) {
    endLacp(br, port);
    b.lacp = false;
    return;
  }
  if (port.lacp === null) {
    port.lacp = new Lacp(settings, protocolLog(vs, "lacp"));
    vs.protocols.lacps.push(port.lacp);
    vs.packets?.needRevalidate();
  }
  b.lacp = true;
  port.lacp.configure(settings);
  for (const iface of port.ifaces) {
    port.lacp.registerMember(iface.xport, memberSettings(br, iface), vs.clock.nowMs());
  }
}

export function endLacp(br: Bridge, port: BridgePort): void {
  if (port.lacp !== null) {
    br.vs.protocols.forgetLacp(port.lacp);
    port.lacp = null;
    br.vs.packets?.needRevalidate();
  }
}

function sendPdu(br: Bridge, port: BridgePort, xport: XPort, pdu: LacpPdu): void {
  const iface = port.ifaces.find((i) => i.xport === xport);
  if (iface !== undefined) {
    const p = new PacketBuf();
    const [dstHi, dstLo] = LACP_DST;
    const [srcHi, srcLo] = macOf(iface.device);
    ethCompose(p, { dstHi, dstLo, srcHi, srcLo }, ETH_TYPE.LACP, LACP_PDU_BYTES);
    putLacpPdu(p.bytes, p.start + p.l3Ofs, pdu);
    sendPacket(br, xport, p);
  }
}

function runPort(br: Bridge, port: BridgePort, nowMs: number): boolean {
  const { lacp, xbundle } = port;
  let changed = false;
  if (lacp?.run((xport, pdu) => sendPdu(br, port, xport, pdu), nowMs) === true) {
    br.vs.statusChanged();
    changed = true;
  }
  const bond = xbundle?.bond ?? null;
  if (bond === null) {
    return changed;
  }
  for (const { xport, device } of port.ifaces) {
    bond.setLink(xport, isUp(device), xport.mayEnable);
  }
  const status = lacp === null ? "off" : lacp.negotiated ? "negotiated" : "configured";
  changed = bond.run(status, nowMs) || changed;
  if (bond.shouldSendLearningPackets()) {
    announceAddresses(br, xbundle, bond);
  }
  if (bond.activeMemberChanged) {
    br.vs.statusChanged();
  }
  return changed;
}

/** Tells the neighbours of a bond by which member the addresses behind this bridge are now. */
function announceAddresses(br: Bridge, xbundle: XBundle | null, bond: Bond): void {
  const elsewhere = [...br.xbridge.ml.entries()].filter((e) => e.bundle !== xbundle);
  const frames = elsewhere.map(({ hi, lo, vlan }) => {
    const key = newKey();
    key.set([hi, lo], K.dl_src.word);
    const frame = new PacketBuf();
    composeRarp(frame, hi, lo);
    if (vlan !== 0) {
      ethPushVlan(frame, ETH_TYPE.VLAN_8021Q, vlan);
    }
    return { frame, xport: bond.chooseOutput(key, null, vlan) };
  });
  for (const { frame, xport } of frames) {
    if (xport !== null) {
      sendPacket(br, xport, frame);
    }
  }
}

function receive(br: Bridge, iface: Iface, packet: PacketBuf, _key: FlowKey, nowMs: number): void {
  const { port, xport } = iface;
  const from = packet.l3Ofs === NO_OFS ? packet.end : packet.start + packet.l3Ofs;
  const payload = packet.bytes.subarray(from, packet.end);
  if (port.lacp?.receive(xport, payload, nowMs) === true) {
    port.xbundle?.bond?.setMayEnable(xport);
  }
  br.vs.statusChanged();
}

/** Whether the partner of a link is known; null without LACP. */
export function lacpCurrent({ port, xport }: Iface): boolean | null {
  return port.lacp?.isCurrent(xport) ?? null;
}

/** False if LACP runs on the port of an interface and has not agreed to the use of its link. */
export function lacpAllows({ port, xport }: Iface): boolean {
  return port.lacp?.mayEnable(xport) ?? true;
}

/** Evens out the load of bonds, whenever the counters of flows have just been read. */
function rebalance(br: Bridge, nowMs: number): void {
  const dumps = br.vs.packets?.dumps(br.backer) ?? 0;
  if (dumps !== br.dumpsSeen) {
    br.dumpsSeen = dumps;
    for (const { xbundle } of br.ports.values()) {
      xbundle?.bond?.rebalance(nowMs);
    }
  }
}

export const LACP_PROTOCOL: PortProtocol = {
  slow: SLOW.LACP,
  run: (br, nowMs) => {
    let changed = false;
    for (const port of br.ports.values()) {
      changed = runPort(br, port, nowMs) || changed;
    }
    rebalance(br, nowMs);
    return changed;
  },
  wakeMs: (br) => {
    let ms = Number.POSITIVE_INFINITY;
    for (const { lacp, xbundle } of br.ports.values()) {
      const bond = xbundle?.bond?.wakeMs() ?? Number.POSITIVE_INFINITY;
      ms = Math.min(ms, bond, lacp?.wakeMs() ?? Number.POSITIVE_INFINITY);
    }
    return ms;
  },
  receive,
};
