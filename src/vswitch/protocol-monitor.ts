// CFM and BFD on the ports of a switch: when which port runs, sending, receiving.
//
// Both watch a link and say whether it works; a port may run both, and carries packets if either of
// them is content. Open vSwitch runs them in a thread of their own that takes port by port in the
// order of the times at which they want to run; a port whose settings were looked at is due at once,
// and so is one that has to answer. References: ovs: ofproto/ofproto-dpif-monitor.c;
// ofproto/ofproto-dpif.c may_enable_port.

import { SLOW } from "../datapath/odp-action.ts";
import { type FlowKey, get, K } from "../flow/flow-key.ts";
import { formatMac } from "../lib/address.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { Heap, type HeapNode } from "../lib/heap.ts";
import { ETH } from "../packet/ethernet.ts";
import { UDP } from "../packet/l4.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { macOf } from "./device.ts";
import type { PortProtocol } from "./port-protocols.ts";
import { sendPacket } from "./send-packet.ts";

/** Runs of ports in one turn, at most. */
export const MONITOR_RUNS_MAX = 100_000;

/** False if CFM and BFD, as far as they run, find that the link does not work. */
export function linkWorks({ cfm, bfd }: Iface): boolean {
  const cfmOk = cfm !== null && cfm.fault === 0 && cfm.remoteOpState !== false;
  return (cfm === null && bfd === null) || cfmOk || bfd?.forwarding() === true;
}

/** When a port wants to run next. */
function wakeOf({ cfm, bfd }: Iface): number {
  return Math.min(
    cfm?.wakeMs() ?? Number.POSITIVE_INFINITY,
    bfd?.wakeMs() ?? Number.POSITIVE_INFINITY,
  );
}

/** Sends what is due on a port and lets time have its effects; true if a status changed. */
function runPort(br: Bridge, iface: Iface, nowMs: number): boolean {
  const { cfm, bfd, xport, device } = iface;
  const ccm = cfm?.transmit(macOf(device), nowMs) ?? null;
  if (ccm !== null) {
    sendPacket(br, xport, ccm);
  }
  if (bfd?.mustSend === true) {
    sendPacket(br, xport, bfd.transmit(macOf(device)), bfd.oam);
  }
  const cfmChanged = cfm?.run(nowMs) ?? false;
  return (bfd?.run() ?? false) || cfmChanged;
}

interface Watched {
  readonly br: Bridge;
  readonly iface: Iface;
}

/** The ports of a switch that run CFM or BFD, in the order in which they are due. */
export class Monitor {
  private readonly nodes = new Map<Iface, HeapNode<Watched>>();
  private readonly heap = new Heap<Watched>();
  /** Ports that have to answer at once. */
  private soon: Iface[] = [];

  /** What runs on an interface, or how, has changed: it is due now. */
  update(br: Bridge, iface: Iface): void {
    const node = this.nodes.get(iface);
    if (iface.cfm === null && iface.bfd === null) {
      if (node !== undefined) {
        this.nodes.delete(iface);
        this.heap.remove(node);
      }
      return;
    }
    const there = node ?? this.heap.insert({ br, iface }, Number.POSITIVE_INFINITY);
    this.nodes.set(iface, there);
    this.heap.change(there, 0);
  }

  answerSoon(iface: Iface): void {
    this.soon.push(iface);
  }

  wakeMs(): number {
    return this.soon.length > 0 ? 0 : (this.heap.first()?.key ?? Number.POSITIVE_INFINITY);
  }

  /** Runs the ports that are due; true if a status changed or an answer went out. */
  run(nowMs: number): boolean {
    let changed = this.runSoon(nowMs);
    for (let i = 0; i < MONITOR_RUNS_MAX; i++) {
      const node = this.heap.first();
      if (node === null || node.key > nowMs) {
        break;
      }
      changed = this.runNode(node, nowMs) || changed;
    }
    // What was sent by patch ports may have to be answered by the other end.
    return this.runSoon(nowMs) || changed;
  }

  private runSoon(nowMs: number): boolean {
    let changed = false;
    for (let i = 0; this.soon.length > 0 && i < MONITOR_RUNS_MAX; i++) {
      const iface = this.soon.shift();
      const node = iface === undefined ? undefined : this.nodes.get(iface);
      if (node !== undefined) {
        this.runNode(node, nowMs);
        changed = true;
      }
    }
    return changed;
  }

  private runNode(node: HeapNode<Watched>, nowMs: number): boolean {
    const { br, iface } = node.value;
    const changed = runPort(br, iface, nowMs);
    this.heap.change(node, wakeOf(iface));
    if (iface.cfm?.statusChanged || iface.bfd?.statusChanged) {
      br.vs.statusChanged();
    }
    return changed;
  }
}

function receive(br: Bridge, iface: Iface, packet: PacketBuf, key: FlowKey, nowMs: number): void {
  const { cfm, bfd } = iface;
  if (cfm?.shouldProcess(key, key.slice()) === true) {
    const at = packet.start + ETH.SRC;
    const src = formatMac(getU16(packet.bytes, at), getU32(packet.bytes, at + 2));
    const from = packet.l3Ofs === NO_OFS ? packet.end : packet.start + packet.l3Ofs;
    cfm.receive(packet.bytes.subarray(from, packet.end), src, nowMs);
  } else if (bfd !== null && packet.l4Ofs !== NO_OFS) {
    const from = packet.start + packet.l4Ofs + UDP.HEADER_BYTES;
    const to = packet.end - packet.l2PadBytes;
    if (from < to) {
      bfd.receive(packet.bytes.subarray(from, packet.end), get(key, K.nw_ttl));
    }
    if (bfd.mustSend) {
      br.vs.monitor.answerSoon(iface);
    }
    if (bfd.statusChanged) {
      br.vs.statusChanged();
    }
  }
}

/** Only for its packets: when ports run is decided for the whole switch. */
export const MONITOR_PROTOCOL: PortProtocol = {
  slow: SLOW.CFM | SLOW.BFD,
  run: () => false,
  wakeMs: () => Number.POSITIVE_INFINITY,
  receive,
};
