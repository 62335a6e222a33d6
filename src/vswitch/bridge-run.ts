// What a bridge does from time to time: looks at the links of its ports, runs its bonds, ages what
// it has learned and flows.
//
// References: ovs: ofproto/ofproto-dpif.c run, port_run, bundle_run.

import { setPortEnable } from "../openflow/ofproto-ports.ts";
import type { Bridge } from "./bridge.ts";
import { isUp } from "./device.ts";
import { lacpAllows } from "./protocol-lacp.ts";
import { linkWorks } from "./protocol-monitor.ts";
import { PORT_PROTOCOLS, portEnableChanged } from "./port-protocols.ts";

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
  revalidate = ml.run(nowMs) || revalidate;
  revalidate = (ms?.run(nowMs) ?? false) || revalidate;
  br.sampling.run();
  ofproto.run();
  if (revalidate) {
    br.vs.packets?.needRevalidate();
  }
  return revalidate;
}

/**
 * Lets ports carry packets as long as their links are up and the protocols on them agree; true if
 * that changed for any.
 */
export function runPorts(br: Bridge): boolean {
  let changed = false;
  for (const iface of br.ifaces.values()) {
    const { ofport, xport, device } = iface;
    const enable = isUp(device) && linkWorks(iface) && lacpAllows(iface);
    if (ofport.mayEnable !== enable || xport.mayEnable !== enable) {
      xport.mayEnable = enable;
      setPortEnable(br.ofproto, ofport, enable);
      portEnableChanged(br, iface, enable);
      changed = true;
    }
  }
  return changed;
}
