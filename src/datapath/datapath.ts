// The userspace datapath: ports, caches, upcalls, recirculation.
//
// A packet is received, its key extracted, a megaflow found in the exact-match cache or the
// megaflow cache, its actions executed. A miss goes up to whoever translates (`UpcallHandler`),
// who answers with actions and perhaps a megaflow to install. Recirculation goes through the same
// door again, at most RECIRC_DEPTH_MAX times. The datapath knows no OpenFlow.
// ovs: lib/dpif-netdev.c dp_netdev_input__, handle_packet_upcall, dp_execute_cb.

import { EXTRACT, extract, extractTracked } from "../flow/extract.ts";
import { IP_PROTO, NW_FRAG } from "../flow/flow-is.ts";
import { flowRss } from "../flow/flow-hash.ts";
import { type FlowKey, get, K, newKey, set } from "../flow/flow-key.ts";
import { KeySlab } from "../flow/key-pool.ts";
import { Counters } from "../lib/counters.ts";
import type { Clock, Rng } from "../lib/env.ts";
import { getU16 } from "../lib/bytes.ts";
import { ETH } from "../packet/ethernet.ts";
import { TCP, TCP_FLAG } from "../packet/l4.ts";
import { PACKET_BYTES_MAX, type PacketBuf } from "../packet/packet.ts";
import { VLAN_CFI, VLAN_VID_MASK } from "../packet/vlan.ts";
import type { CtAction, CtProvider } from "./ct-provider.ts";
import { DP_COUNTERS, DP_LOSSES, type DpCounterName } from "./dp-counters.ts";
import { choosePort, type DpPort } from "./dp-port.ts";
import { newDpStats } from "./dp-stats.ts";
import {
  type ExecuteEnv,
  executeActions,
  packetHash,
  type TnlPushAction,
  type UserspaceAction,
} from "./execute.ts";
import { EMC_NEXT } from "./exact-match-cache.ts";
import { FlowCache } from "./flow-cache.ts";
import type { Megaflow } from "./megaflow.ts";
import { DpMeter, METERS_MAX, type MeterConfig } from "./meter.ts";
import type { OdpAction } from "./odp-action.ts";
import { PacketBatch } from "./packet-batch.ts";
import type { Netdev } from "./port.ts";
import { popTunnelHeader, pushTunnelHeader, type TunnelWarning } from "./tunnel.ts";
import type { HitWatcher, UpcallHandler } from "./upcall-handler.ts";

/** Nested recirculations of one packet (ovs: MAX_RECIRC_DEPTH). */
export const RECIRC_DEPTH_MAX = 6;
/** Packets that one call of run() takes from the ports, so that a loop of devices ends. */
export const RUN_PACKETS_MAX = 100000;
/** ovs: DEFAULT_EM_FLOW_INSERT_INV_PROB. */
export const EMC_INSERT_INV_PROB = 100;
/** ovs: BOND_MASK. */
const BOND_MASK = 0xff;

/** One entry of a bond that the datapath spreads over itself. */
export interface BondEntry {
  member: number;
  packets: number;
  bytes: number;
}

export interface DatapathOptions {
  readonly name: string;
  /** "system" or "netdev". */
  readonly type: string;
  readonly clock: Clock;
  readonly rng: Rng;
}

const EXTRACT_COUNTERS: readonly (DpCounterName | null)[] = [
  null,
  "miniflow_extract_ipv4_pkt_too_short",
  "miniflow_extract_ipv4_pkt_len_error",
  "miniflow_extract_ipv6_pkt_too_short",
  "miniflow_extract_ipv6_pkt_len_error",
];

export class Datapath implements ExecuteEnv {
  readonly name: string;
  readonly type: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly counters = new Counters(DP_COUNTERS);
  /** Losses that have no name in Open vSwitch. */
  readonly losses = new Counters(DP_LOSSES);
  readonly ports = new Map<number, DpPort>();
  readonly flows = new FlowCache();
  readonly stats = newDpStats();
  readonly meters = new Map<number, DpMeter>();
  readonly bonds = new Map<number, readonly BondEntry[]>();
  readonly sourcePorts = { min: 32768, max: 61000 };
  /** One in so many packets enters the exact-match cache; 0 turns it off. */
  emcInsertInvProb = EMC_INSERT_INV_PROB;
  /** VLAN headers that are parsed (`other_config:vlan-limit`). */
  vlanLimit = 1;
  upcalls: UpcallHandler | null = null;
  ct: CtProvider | null = null;
  watcher: HitWatcher | null = null;
  /** Called when recirculation goes too deep. */
  onWarning: ((text: string) => void) | null = null;
  /** Told what is wrong with a tunnel's packet. */
  onTunnelWarning: TunnelWarning | null = null;
  private depth = 0;
  /** Counts the packets that came in from outside, or to have actions executed. */
  private turn = 0;
  /** Keys to extract into, one per level of recirculation. */
  private readonly keys: FlowKey[] = [];
  /** Where the keys of megaflows come from. */
  private readonly slab = new KeySlab();
  /** Keys whose flows are installed once their packets are through: a packet may come by again. */
  private readonly missing: FlowKey[] = [];
  /** Batches that nobody has at the moment; hits borrow them. */
  private readonly batches: PacketBatch[] = [];

  constructor(options: DatapathOptions) {
    this.name = options.name;
    this.type = options.type;
    this.clock = options.clock;
    this.rng = options.rng;
    for (let i = 0; i <= RECIRC_DEPTH_MAX; i++) {
      this.keys.push(newKey());
    }
  }

  /** Adds a port under a number asked for, or the next free one. Null: no number is free. */
  addPort(
    name: string,
    netdev: Netdev | null,
    tunnel: DpPort["tunnel"] = null,
    wanted: number | null = null,
  ): DpPort | null {
    const portNo = wanted ?? choosePort(this.ports, name);
    if (portNo < 0 || this.ports.has(portNo)) {
      return null;
    }
    const port: DpPort = { portNo, name, netdev, tunnel, refusedTurn: -1 };
    this.ports.set(portNo, port);
    return port;
  }

  removePort(portNo: number): void {
    this.ports.delete(portNo);
  }

  portByName(name: string): DpPort | null {
    for (const p of this.ports.values()) {
      if (p.name === name) {
        return p;
      }
    }
    return null;
  }

  /**
   * Takes the packets that wait in the devices, port by port in turn, and processes them;
   * `after` runs after each. Returns how many there were.
   */
  run(after: (() => void) | null = null): number {
    let n = 0;
    let more = true;
    while (more && n < RUN_PACKETS_MAX) {
      more = false;
      for (const port of [...this.ports.values()]) {
        const p = port.netdev?.receive() ?? null;
        if (p !== null) {
          n++;
          more = true;
          this.receive(port.portNo, p);
          after?.();
        }
      }
    }
    return n;
  }

  /** A packet arrives on a port; the datapath takes it over. */
  receive(portNo: number, p: PacketBuf): void {
    this.stats.received++;
    this.turn++;
    p.md.init(portNo);
    p.rssValid = false;
    if (p.size < ETH.HEADER_BYTES || p.size > PACKET_BYTES_MAX) {
      this.counters.inc("datapath_drop_rx_invalid_packet");
      return;
    }
    const before = this.fates();
    this.input(p);
    if (this.fates() === before) {
      this.losses.inc("actions_ended");
    }
  }

  /** Takes a packet with its outer headers at a tunnel's port, as the underlay would hand it up. */
  receiveOuter(portNo: number, p: PacketBuf): void {
    this.turn++;
    this.tunnelPop(PacketBatch.of(p), portNo);
  }

  /** What has become of packets so far: sent, lost, handed up or held. */
  private fates(): number {
    const { stats } = this;
    const drops = this.counters.total - stats.badHeaders + this.losses.total;
    return stats.outputs + drops + stats.handedUp + stats.held;
  }

  /** Executes actions on a packet that did not come in by a port (packet-out and the like). */
  execute(p: PacketBuf, actions: readonly OdpAction[], flow: FlowKey): void {
    if (p.size < ETH.HEADER_BYTES || p.size > PACKET_BYTES_MAX) {
      this.losses.inc("execute_bad_size");
      return;
    }
    this.turn++;
    if (!p.rssValid) {
      p.rssHash = flowRss(flow, p);
      p.rssValid = true;
    }
    executeActions(this, PacketBatch.of(p), false, actions, flow);
  }

  /** Finds the actions of a packet whose metadata is valid, and executes them. */
  private input(p: PacketBuf): void {
    const key = this.keys[this.depth] as FlowKey;
    this.find(p, key, extract(p, key, this.vlanLimit));
  }

  /** Finds the actions of a packet whose key is that of this depth, and executes them. */
  private find(p: PacketBuf, key: FlowKey, result: number): void {
    const simple = this.depth === 0 ? this.flows.simple.lookup(key) : null;
    if (simple !== null) {
      this.stats.hits++;
      this.stats.simpleHits++;
      this.hit(p, simple, rawTcpFlags(p, key));
      return;
    }
    if (result !== EXTRACT.OK) {
      this.counters.inc(EXTRACT_COUNTERS[result] as DpCounterName);
      this.stats.badHeaders++;
    }
    const hash = this.packetHash(p, key);
    const exact = this.flows.exact.lookup(key, hash);
    if (exact !== null) {
      this.stats.hits++;
      this.stats.exactHits++;
      this.hit(p, exact, get(key, K.tcp_flags));
      return;
    }
    const { masked } = this.flows;
    const flow = masked.lookup(key);
    this.stats.maskedLookups += masked.lookups;
    if (flow !== null) {
      this.stats.hits++;
      this.stats.maskedHits++;
      this.stats.hitLookups += masked.lookups;
      this.emcInsert(key, hash, flow);
      this.hit(p, flow, get(key, K.tcp_flags));
      return;
    }
    this.miss(p, this.slab.copyOf(key), hash);
  }

  /**
   * A hash of the packet's 5-tuple, different at each depth of recirculation; the next depth's place
   * in the cache lies beside that of this one.
   */
  private packetHash(p: PacketBuf, key: FlowKey): number {
    if (!p.rssValid) {
      p.rssHash = flowRss(key, p);
      p.rssValid = true;
    }
    return p.rssHash ^ Math.imul(this.depth, EMC_NEXT);
  }

  private hit(p: PacketBuf, flow: Megaflow, tcpFlags: number): void {
    const s = flow.stats;
    s.packets++;
    s.bytes += p.size;
    s.usedMs = this.clock.nowMs();
    s.tcpFlags |= tcpFlags;
    if (this.watcher !== null) {
      this.watcher.hit(flow, this.keys[this.depth] as FlowKey);
    }
    const batch = this.batches.pop() ?? new PacketBatch();
    batch.packets.push(p);
    const { actions } = flow;
    const ct = actions[0];
    const recirc = actions[1];
    if (ct?.kind === "ct" && ct.nat === null && recirc?.kind === "recirc" && actions.length === 2) {
      this.track(batch, ct, recirc.recircId, flow.key);
    } else {
      executeActions(this, batch, true, actions, flow.key);
    }
    batch.empty();
    this.batches.push(batch);
  }

  /**
   * Tracks the packet of a hit and recirculates it, as most packets of a firewall are. It has the
   * bytes that it had, so that what was read out of it need not be read again.
   */
  private track(batch: PacketBatch, ct: CtAction, recircId: number, flow: FlowKey): void {
    const p = batch.packets[0] as PacketBuf;
    this.conntrack(batch, ct, flow);
    const isAlone = batch.packets.length === 1 && batch.packets[0] === p;
    const key = this.keys[this.depth] as FlowKey;
    const next = this.keys[this.depth + 1];
    p.md.recircId = recircId;
    if (!isAlone || next === undefined || !extractTracked(p, key, next)) {
      this.recirculate(batch, recircId);
      return;
    }
    this.stats.recirculations++;
    this.depth++;
    this.find(p, next, EXTRACT.OK);
    this.depth--;
  }

  private miss(p: PacketBuf, key: FlowKey, hash: number): void {
    const result = this.upcalls?.miss(p, key) ?? null;
    if (result === null) {
      this.stats.lost++;
      const why = this.upcalls === null ? "lock_error" : "upcall_error";
      this.counters.inc(`datapath_drop_${why}`);
      return;
    }
    const install = result.install;
    const pending = this.missing.length > 0 && this.missing.some((k) => sameWords(k, key));
    const { made } = this.flows;
    // A flow that cannot be kept counts as a failed upcall, though its packet goes its way.
    this.stats[install === null || pending ? "lost" : "misses"]++;
    this.missing.push(key);
    executeActions(this, PacketBatch.of(p), true, result.actions, key);
    this.missing.pop();
    if (install === null) {
      return;
    }
    if (pending) {
      this.upcalls?.installed(install.owner, null);
      return;
    }
    exactNoVlan(install.mask);
    // Only if the packet has come by again can there be a flow now.
    const existing = made === this.flows.made ? null : this.flows.lookup(key);
    if (existing !== null) {
      this.emcInsert(key, hash, existing);
      this.upcalls?.installed(install.owner, null);
      return;
    }
    const flow = this.flows.insert(key, install.mask, install.actions, install.owner);
    this.upcalls?.installed(install.owner, flow);
    if (flow !== null) {
      this.emcInsert(key, hash, flow);
    }
  }

  /** Only now and then, so that flows with many packets take the cache (ovs: emc_insert_min). */
  private emcInsert(key: FlowKey, hash: number, flow: Megaflow): void {
    const inv = this.emcInsertInvProb;
    if (inv === 1 || (inv > 1 && this.rng.u32() <= 0xffffffff / inv)) {
      this.flows.exact.insert(key, hash, flow);
    }
  }

  // ExecuteEnv.

  output(batch: PacketBatch, portNo: number): void {
    const port = this.ports.get(portNo);
    // A tunnel takes packets by tunnelPush() alone, unless a cable hangs at it as in a kernel.
    if (port === undefined || (port.tunnel !== null && port.netdev === null)) {
      this.counters.inc("datapath_drop_invalid_port", batch.packets.length);
      return;
    }
    this.stats.outputs += batch.packets.length;
    for (const p of batch.packets) {
      const cut = batch.trunc ? p.cutBytes : 0;
      p.end -= cut;
      // A device takes what one received packet sends it as one batch, which ends at the first
      // packet that it refuses (ovs: netdev_send, dp_netdev_pmd_flush_output_packets).
      if (port.refusedTurn === this.turn) {
        this.losses.inc("device_refused");
      } else if (port.netdev === null || port.netdev.send(p) !== null) {
        port.refusedTurn = this.turn;
        this.losses.inc("device_refused");
      }
      p.end += cut;
    }
  }

  lbOutput(batch: PacketBatch, bondId: number): void {
    const bond = this.bonds.get(bondId);
    if (bond === undefined) {
      this.counters.inc("datapath_drop_invalid_bond", batch.packets.length);
      return;
    }
    for (const p of batch.packets) {
      const entry = bond[p.rssHash & BOND_MASK];
      if (entry === undefined) {
        this.losses.inc("no_bond_member");
        continue;
      }
      const one = PacketBatch.of(p);
      one.trunc = batch.trunc;
      entry.packets++;
      entry.bytes += p.sendBytes();
      this.output(one, entry.member);
    }
  }

  tunnelPush(batch: PacketBatch, a: TnlPushAction): void {
    const tunnel = this.ports.get(a.tnlPort)?.tunnel ?? null;
    if (tunnel === null) {
      this.counters.inc("datapath_drop_tunnel_push_error", batch.packets.length);
      batch.packets.length = 0;
      return;
    }
    const env = { state: tunnel.state, ports: this.sourcePorts, nowMs: this.clock.nowMs() };
    for (const p of batch.packets) {
      if (!p.rssValid) {
        p.rssHash = packetHash(p, "l4", 0); // of a packet that matched without a hash
      }
      pushTunnelHeader(p, a.header, a.tnlType, env);
      p.md.init(a.outPort);
    }
  }

  tunnelPop(batch: PacketBatch, portNo: number): void {
    if (this.depth >= RECIRC_DEPTH_MAX) {
      this.counters.inc("datapath_drop_recirc_error", batch.packets.length);
      return;
    }
    const tunnel = this.ports.get(portNo)?.tunnel ?? null;
    if (tunnel === null) {
      this.counters.inc("datapath_drop_invalid_tnl_port", batch.packets.length);
      return;
    }
    const lost = batch.filter((p) => popTunnelHeader(p, tunnel.kind, this.onTunnelWarning));
    this.counters.inc("datapath_drop_tunnel_pop_error", lost);
    for (const p of batch.packets) {
      p.md.inPort = portNo;
    }
    this.inputAgain(batch);
  }

  recirculate(batch: PacketBatch, recircId: number): void {
    if (this.depth >= RECIRC_DEPTH_MAX) {
      this.counters.inc("datapath_drop_recirc_error", batch.packets.length);
      this.onWarning?.("Packet dropped. Max recirculation depth exceeded.");
      return;
    }
    for (const p of batch.packets) {
      p.md.recircId = recircId;
    }
    this.inputAgain(batch);
  }

  private inputAgain(batch: PacketBatch): void {
    this.depth++;
    this.stats.recirculations += batch.packets.length;
    for (const p of batch.packets) {
      // Also what is left of a packet whose outer headers have been taken off.
      if (p.size < ETH.HEADER_BYTES) {
        this.counters.inc("datapath_drop_rx_invalid_packet");
      } else {
        this.input(p);
      }
    }
    this.depth--;
  }

  userspace(batch: PacketBatch, action: UserspaceAction, steal: boolean): void {
    this.stats.handedUp += batch.packets.length;
    for (const p of batch.packets) {
      const key = newKey();
      extract(p, key, this.vlanLimit);
      const actions = this.upcalls?.userspace(p, key, action) ?? null;
      if (actions !== null) {
        executeActions(this, PacketBatch.of(p), steal, actions, key);
      } else if (steal) {
        this.counters.inc("datapath_drop_userspace_action_error");
      }
    }
  }

  conntrack(batch: PacketBatch, action: CtAction, flow: FlowKey): void {
    const before = batch.packets.length;
    this.ct?.execute(batch, action, flow, this.clock.nowMs());
    if (batch.packets.length < before) {
      this.stats.held += before - batch.packets.length;
    }
  }

  ctClear(p: PacketBuf): void {
    p.md.ctState = 0;
    p.md.conn = null;
  }

  meter(batch: PacketBatch, meterId: number): void {
    const dropped = this.meters.get(meterId)?.run(batch, this.clock.nowMs()) ?? 0;
    this.counters.inc("datapath_drop_meter", dropped);
  }

  /** False if the number is out of range. */
  setMeter(meterId: number, config: MeterConfig): boolean {
    if (meterId < 0 || meterId >= METERS_MAX) {
      return false;
    }
    this.meters.set(meterId, new DpMeter(config, this.clock.nowMs()));
    return true;
  }
}

/**
 * The flags of a TCP header however long it says that it is: a simple match does not extract a
 * whole key (ovs: lib/flow.c parse_tcp_flags).
 */
function rawTcpFlags(p: PacketBuf, key: FlowKey): number {
  const isTcp =
    get(key, K.nw_proto) === IP_PROTO.TCP &&
    (get(key, K.nw_frag) & NW_FRAG.LATER) === 0 &&
    p.l4Bytes() >= TCP.HEADER_BYTES;
  return isTcp ? getU16(p.bytes, p.l4() + TCP.CTL) & TCP_FLAG.MASK : 0;
}

function sameWords(a: FlowKey, b: FlowKey): boolean {
  return a.every((w, i) => w === b[i]);
}

/**
 * A megaflow cannot leave open whether there is a VLAN header, so no interest in it becomes an
 * exact match on its absence.
 */
export function exactNoVlan(mask: FlowKey): void {
  if (get(mask, K.vlan_tci) === 0) {
    set(mask, K.vlan_tci, VLAN_VID_MASK | VLAN_CFI);
  }
}
