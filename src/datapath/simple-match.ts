// Simple matches: megaflows that look at no more than a datapath always looks at.
//
// If all megaflows of a port look only at the port, the Ethernet type, the outer VLAN tag and
// whether the packet is a fragment, packets of the port are found by these alone, and neither the
// exact-match cache nor the subtables are asked.
// ovs: lib/dpif-netdev.c dp_netdev_flow_is_simple_match, dp_netdev_simple_match_lookup.

import { type FlowKey, fill, get, getU, isZero, K, newKey, set } from "../flow/flow-key.ts";
import { NW_FRAG } from "../packet/ip.ts";
import { VLAN_CFI, VLAN_VID_MASK } from "../packet/vlan.ts";
import type { Megaflow } from "./megaflow.ts";

const FRAG_MASK = NW_FRAG.MASK;
const TCI_MASK = VLAN_VID_MASK | VLAN_CFI;

/** The most that a simple megaflow looks at. */
function minimalMask(): FlowKey {
  const mask = newKey();
  for (const slot of [K.recirc_id, K.in_port, K.packet_type, K.dl_type]) {
    fill(mask, slot);
  }
  set(mask, K.vlan_tci, TCI_MASK);
  set(mask, K.nw_frag, FRAG_MASK);
  return mask;
}

const MINIMAL = minimalMask();

/** True if flows of a mask can be simple. */
export function isSimpleMask(mask: FlowKey): boolean {
  for (let i = 0; i < MINIMAL.length; i++) {
    if (((mask[i] as number) & ~(MINIMAL[i] as number)) !== 0) {
      return false;
    }
  }
  return get(mask, K.vlan_tci) === TCI_MASK;
}

function isSimple(f: Megaflow): boolean {
  return f.subtable.simple && isZero(f.key, K.recirc_id) && isZero(f.key, K.packet_type);
}

/** 31 bits that say all that a simple megaflow of one port looks at. */
function markOf(key: FlowKey): number {
  const frag = get(key, K.nw_frag) & FRAG_MASK;
  return (get(key, K.dl_type) << 15) | (frag << 13) | (get(key, K.vlan_tci) & TCI_MASK);
}

interface PortFlows {
  count: number;
  readonly simple: Map<number, Megaflow>;
}

export class SimpleMatches {
  private readonly ports = new Map<number, PortFlows>();

  add(f: Megaflow): void {
    const portNo = getU(f.key, K.in_port);
    let port = this.ports.get(portNo);
    if (port === undefined) {
      port = { count: 0, simple: new Map() };
      this.ports.set(portNo, port);
    }
    port.count++;
    if (isSimple(f)) {
      port.simple.set(markOf(f.key), f);
    }
  }

  remove(f: Megaflow): void {
    const portNo = getU(f.key, K.in_port);
    const port = this.ports.get(portNo);
    if (port === undefined) {
      return;
    }
    port.count--;
    const mark = markOf(f.key);
    if (port.simple.get(mark) === f) {
      port.simple.delete(mark);
    }
    if (port.count === 0) {
      this.ports.delete(portNo);
    }
  }

  /** The megaflow of an Ethernet packet just received, or null also if some are not simple. */
  lookup(key: FlowKey): Megaflow | null {
    const port = this.ports.get(getU(key, K.in_port));
    if (port === undefined || port.count !== port.simple.size) {
      return null;
    }
    return port.simple.get(markOf(key)) ?? null;
  }
}
