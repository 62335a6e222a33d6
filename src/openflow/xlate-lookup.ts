// Finds out which bridge a packet from the datapath belongs to.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_lookup_ofproto_.

import { type FlowKey, getU, K } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import type { RecircPool } from "./recirc.ts";
import { tnlPortReceive, tnlPortShouldReceive } from "./tunnel-ports.ts";
import type { XBridge, XlateConfig, XPort } from "./xbridge.ts";

/** Where a packet from the datapath enters. */
export interface XlateEntry {
  readonly xbridge: XBridge;
  /** Null for packets that a controller or a bond sent. */
  readonly xport: XPort | null;
  /** The OpenFlow port that tables see. */
  readonly ofpInPort: number;
}

/**
 * Finds the bridge and the port of a packet whose in_port is a datapath port; the text says why
 * there are none.
 */
export function xlateLookup(
  xcfg: XlateConfig,
  recircs: RecircPool,
  dpType: string,
  key: FlowKey,
): XlateEntry | string {
  const recircId = getU(key, K.recirc_id);
  if (recircId !== 0) {
    const frozen = recircs.find(recircId);
    if (frozen === null) {
      return `no recirculation data for recirc_id 0x${recircId.toString(16)}`;
    }
    const inPort = frozen.metadata.inPort;
    if (inPort !== OFPP.NONE && inPort !== OFPP.CONTROLLER) {
      const xport = xcfg.portsById.get(frozen.xportId);
      if (xport !== undefined) {
        return { xbridge: xport.xbridge, xport, ofpInPort: xport.ofpPort };
      }
    } else {
      const xbridge = xcfg.bridgesById.get(frozen.bridgeId);
      if (xbridge !== undefined) {
        return { xbridge, xport: null, ofpInPort: inPort };
      }
    }
  }
  const odpPort = getU(key, K.in_port);
  const tunnelled = tnlPortShouldReceive(key);
  const xport = tunnelled
    ? tnlPortReceive(xcfg, key)
    : (xcfg.odpPorts.get(dpType)?.get(odpPort) ?? null);
  if (xport === null) {
    return tunnelled
      ? "no OpenFlow tunnel port for this packet"
      : `no OpenFlow port for datapath port ${odpPort}`;
  }
  return { xbridge: xport.xbridge, xport, ofpInPort: xport.ofpPort };
}
