// Native tunnels and the switch around them: devices with their addresses come in, requests for
// neighbours go out through the tables of a bridge.

import { K, set } from "../flow/flow-key.ts";
import { newMatch } from "../flow/match.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { DeviceAddress, TunnelDevice } from "../openflow/route-table.ts";
import { NO_BUFFER } from "../openflow/messages/types-flow.ts";
import { dpifPortName } from "../openflow/tunnel-config.ts";
import type { TunnelPort } from "../openflow/tunnel-ports.ts";
import type { XPort } from "../openflow/xbridge.ts";
import { RESUBMIT_DEPTH_MAX } from "../openflow/xlate-ctx.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { macOf } from "./device.ts";
import type { VSwitch } from "./vswitch.ts";

/** What a tunnel may know of a device; null if there is none. */
function tunnelDevice(vs: VSwitch, name: string): TunnelDevice | null {
  const d = vs.devices.get(name);
  if (d === undefined) {
    return null;
  }
  const [macHi, macLo] = macOf(d);
  const addresses: DeviceAddress[] = [];
  const { netdev } = d;
  if (netdev !== null && netdev.ip4 !== 0) {
    const addr = Uint32Array.of(0, 0, 0xffff, netdev.ip4);
    addresses.push({ addr, mask: Uint32Array.of(0, 0, 0xffff, netdev.ip4Mask) });
  }
  if (netdev !== null && netdev.ip6 !== null && netdev.ip6Mask !== null) {
    addresses.push({ addr: netdev.ip6, mask: netdev.ip6Mask });
  }
  return { macHi, macLo, addresses };
}

/** Gives the packet to the tables of the port's bridge. */
function sendToTable(vs: VSwitch, xport: XPort, packet: PacketBuf): void {
  const br = vs.bridges.get(xport.xbridge.name);
  if (br === undefined || vs.packets === null) {
    return;
  }
  const flowMetadata = newMatch();
  set(flowMetadata.flow, K.in_port, xport.ofpPort);
  const actions = [{ kind: "output", port: OFPP.TABLE, maxLen: 0 }] as const;
  const po = { packet: packet.data().slice(), bufferId: NO_BUFFER, flowMetadata, actions };
  vs.packets.packetOut(br, po, br.ofproto.tablesVersion);
}

/** Connects the native tunnels of a switch to its devices and bridges. */
export function wireNativeTunnels(vs: VSwitch): void {
  const { native } = vs.xcfg;
  let depth = 0;
  native.device = (name) => tunnelDevice(vs, name);
  native.sendToTable = (xport, packet) => {
    // A request may itself need a tunnel whose neighbour is not known.
    if (depth < RESUBMIT_DEPTH_MAX) {
      depth++;
      sendToTable(vs, xport, packet);
      depth--;
    }
  };
}

/** A tunnel port came up: packets for it end here, unless a kernel would take them. */
export function addTunnelEnd(vs: VSwitch, t: TunnelPort, native: boolean): void {
  if (native) {
    vs.xcfg.native.map.addPort(t.odpPort, t.cfg.dstPort, dpifPortName(t.type, t.cfg), t.type);
  }
}

export function deleteTunnelEnd(vs: VSwitch, t: TunnelPort): void {
  vs.xcfg.native.map.deletePort(t.odpPort, t.type);
}
