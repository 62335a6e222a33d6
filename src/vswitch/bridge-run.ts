// What a bridge does from time to time: looks at the links of its ports, runs its bonds, ages what
// it has learned and flows.
//
// References: ovs: ofproto/ofproto-dpif.c run, port_run, bundle_run.

import { setPortEnable } from "../openflow/ofproto-ports.ts";
import type { Bridge } from "./bridge.ts";
import { isUp } from "./device.ts";

/** One turn of a bridge. */
export function runBridge(br: Bridge, nowMs: number): void {
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
  revalidate = runBonds(br, nowMs) || revalidate;
  revalidate = ml.run(nowMs) || revalidate;
  revalidate = (ms?.run(nowMs) ?? false) || revalidate;
  ofproto.run();
  if (revalidate) {
    br.vs.packets?.needRevalidate();
  }
}

/** Lets ports carry packets as long as their links are up; true if that changed for any. */
function runPorts(br: Bridge): boolean {
  let changed = false;
  for (const { ofport, xport, device } of br.ifaces.values()) {
    const enable = isUp(device);
    if (ofport.mayEnable !== enable || xport.mayEnable !== enable) {
      xport.mayEnable = enable;
      setPortEnable(br.ofproto, ofport, enable);
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
    bond.rebalance(nowMs);
    if (bond.activeMemberChanged) {
      br.vs.statusChanged();
    }
  }
  return changed;
}
