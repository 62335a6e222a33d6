// What a bridge does from time to time: looks at the links of its ports, runs its bonds, ages what
// it has learned and flows.
//
// References: ovs: ofproto/ofproto-dpif.c run, port_run, bundle_run.

import { K, newKey } from "../flow/flow-key.ts";
import type { Bond } from "../openflow/bond.ts";
import { setPortEnable } from "../openflow/ofproto-ports.ts";
import type { XBundle } from "../openflow/xbridge.ts";
import { composeRarp, ETH_TYPE } from "../packet/ethernet.ts";
import { PacketBuf } from "../packet/packet.ts";
import { ethPushVlan } from "../packet/vlan.ts";
import type { Bridge } from "./bridge.ts";
import { isUp } from "./device.ts";
import { PORT_PROTOCOLS, portEnableChanged } from "./port-protocols.ts";
import { sendPacket } from "./send-packet.ts";

/** One turn of a bridge; true if something changed that may let more happen at the same time. */
export function runBridge(br: Bridge, nowMs: number): boolean {
  const { xbridge, ofproto } = br;
  const { mbridge, ml, ms } = xbridge;
  let revalidate = false;
  if (mbridge.needRevalidate) {
    mbridge.needRevalidate = false;
    ml.flush();
    ms?.flushMdb();
    revalidate = true;
  }
  revalidate = runPorts(br) || revalidate;
  for (const p of PORT_PROTOCOLS) {
    revalidate = p.run(br, nowMs) || revalidate;
  }
  revalidate = runBonds(br, nowMs) || revalidate;
  revalidate = ml.run(nowMs) || revalidate;
  revalidate = (ms?.run(nowMs) ?? false) || revalidate;
  ofproto.run();
  if (revalidate) {
    br.vs.packets?.needRevalidate();
  }
  return revalidate;
}

/** Lets ports carry packets as long as their links are up; true if that changed for any. */
function runPorts(br: Bridge): boolean {
  let changed = false;
  for (const iface of br.ifaces.values()) {
    const { ofport, xport, device } = iface;
    const enable = isUp(device);
    if (ofport.mayEnable !== enable || xport.mayEnable !== enable) {
      xport.mayEnable = enable;
      setPortEnable(br.ofproto, ofport, enable);
      portEnableChanged(br, iface, enable);
      changed = true;
    }
  }
  return changed;
}

/** True if packets may have to leave bonds by other members now. */
function runBonds(br: Bridge, nowMs: number): boolean {
  let changed = false;
  for (const { xbundle, ifaces } of br.ports.values()) {
    const bond = xbundle?.bond ?? null;
    if (bond === null) {
      continue;
    }
    for (const { xport, device } of ifaces) {
      bond.setLink(xport, isUp(device), xport.mayEnable);
    }
    changed = bond.run("off", nowMs) || changed;
    if (bond.shouldSendLearningPackets()) {
      announceAddresses(br, xbundle, bond);
    }
    bond.rebalance(nowMs);
    if (bond.activeMemberChanged) {
      br.vs.statusChanged();
    }
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
