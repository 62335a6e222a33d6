// A replay: packets of captures through a whole switch, at the times of the captures.
//
// Whoever reads the captures hands over one packet after the other, in order of time, with the port
// at which it arrives. The switch's clock follows, so that flows, connections and addresses grow old
// as they did; what leaves by a port goes to a sink with the time of its cause. At the end there is
// a report of what came of it.
//
// Invariants
// - A packet that only hits caches costs no translation and no memory.
// - Time never goes back: a packet from the past is handled in the present.
// - The same packets give the same report and the same output.

import { ByteCopier, type ViewedRange } from "../../lib/byte-copier.ts";
import type { ManualClock } from "../../lib/env.ts";
import { newNetdevStats, type Netdev } from "../../datapath/port.ts";
import type { Conn } from "../../datapath/ct-conn.ts";
import type { Megaflow } from "../../datapath/megaflow.ts";
import { PacketBuf, PT } from "../../packet/packet.ts";
import type { FlowLine } from "../host-dump/tables.ts";
import { type DatapathPair, Packets } from "../packets.ts";
import type { VSwitch } from "../vswitch.ts";
import { applyFlowAges } from "./flow-ages.ts";
import { FlowPaths } from "./flow-paths.ts";
import { ReplayClock } from "./replay-clock.ts";
import { type ReplayPort, vportsOf } from "./replay-ports.ts";

/** Megaflows, and connections, that are remembered one by one; more are only counted. */
export const REPLAY_LISTED_MAX = 10_000;
/** Up to so many megaflows a change is followed at once. */
export const REVALIDATE_AT_ONCE_MAX = 512;
/** With more of them it takes ovs-vswitchd's revalidators some time: so many a millisecond. */
export const REVALIDATED_PER_MS = 100;
/** The switch's clock at the first packet: 0 would mean "never" to some. */
export const REPLAY_START_MS = 1000;
const NS_PER_MS = 1_000_000;
const MS_PER_SEC = 1000;

/** Takes what leaves by a port: the packet `bytes[from, to)`. */
export interface ReplaySink {
  write(p: PacketBuf, sec: number, nsec: number): void;
}

/** A megaflow that was made, and the datapath that it is of. */
export interface MadeFlow {
  readonly flow: Megaflow;
  readonly pair: DatapathPair;
}

/** What is behind a port: a sink for what is sent; nothing comes from it by itself. */
class SinkCable implements Netdev {
  readonly name: string;
  readonly type = "sink";
  readonly stats = newNetdevStats();
  readonly waiting = 0;
  sink: ReplaySink | null = null;
  private readonly replay: Replay;

  constructor(replay: Replay, name: string) {
    this.replay = replay;
    this.name = name;
  }

  send(p: PacketBuf): null {
    const { replay } = this;
    this.stats.txPackets++;
    this.stats.txBytes += p.size;
    replay.sent++;
    replay.sentTo.push(this.name);
    this.sink?.write(p, replay.sec, replay.nsec);
    return null;
  }

  receive(): null {
    return null;
  }
}

export class Replay {
  readonly vs: VSwitch;
  readonly clock: ReplayClock;
  readonly paths = new FlowPaths();
  readonly flowLines: readonly FlowLine[];
  packets = 0;
  bytes = 0;
  delivered = 0;
  held = 0;
  /** Packets that left by ports. */
  sent = 0;
  /** The ports by which the packet that is handled now left. */
  readonly sentTo: string[] = [];
  /** Time of the packet, or the turn, that is handled now. */
  sec = 0;
  nsec = 0;
  firstSec = 0;
  firstNsec = 0;
  lastSec = 0;
  lastNsec = 0;
  readonly made: MadeFlow[] = [];
  madeCount = 0;
  readonly conns: Conn[] = [];
  connCount = 0;
  /** Where kernel datapaths send what goes through tunnels. */
  readonly vports: readonly ReplayPort[];
  private readonly packet = new PacketBuf();
  private readonly copier = new ByteCopier();
  private readonly moves: Packets | null;
  private readonly cables = new Map<string, SinkCable>();
  /** Tunnels at which packets have arrived. */
  readonly tunnels = new Set<ReplayPort>();
  /** The second of the first packet, and its milliseconds. */
  private startMs = 0;
  private unsettled: DatapathPair | null = null;
  private settleMs = 0;

  /** `source` is the clock that the switch was made with, at REPLAY_START_MS. */
  constructor(vs: VSwitch, source: ManualClock, flowLines: readonly FlowLine[]) {
    this.vs = vs;
    this.flowLines = flowLines;
    this.moves = vs.packets instanceof Packets ? vs.packets : null;
    for (const pair of this.pairs) {
      this.paths.watch(pair.udpif, (flow) => this.noteFlow(flow, pair));
      pair.ct.onFounded = (conn) => this.noteConn(conn);
    }
    for (const { name, netdev } of vs.devices.values()) {
      if (netdev !== null) {
        netdev.cable = this.newCable(name);
      }
    }
    this.vports = vportsOf(this.pairs);
    for (const { name, odpPort, pair } of this.vports) {
      const port = pair.dp.ports.get(odpPort);
      if (port !== undefined) {
        pair.dp.ports.set(odpPort, { ...port, netdev: this.newCable(name) });
      }
    }
    applyFlowAges(flowLines, vs.clock.nowMs());
    this.clock = new ReplayClock(vs, source);
    this.clock.onTurn = (nowMs) => {
      this.stampTurn(nowMs);
      // A live switch takes up to 20 seconds to forget a connection that has expired; until then it
      // keeps the port that it was translated to. Here that does not depend on when it started.
      for (const { ct } of this.pairs) {
        ct.run(nowMs, true);
      }
    };
  }

  private newCable(name: string): SinkCable {
    const cable = new SinkCable(this, name);
    this.cables.set(name, cable);
    return cable;
  }

  get pairs(): readonly DatapathPair[] {
    return this.moves?.all() ?? [];
  }

  /** Where what leaves by a device goes. */
  setSink(device: string, sink: ReplaySink): void {
    const cable = this.cables.get(device);
    if (cable !== undefined) {
      cable.sink = sink;
    }
  }

  /** Packets and bytes that left by a device. */
  sentBy(device: string): { readonly txPackets: number; readonly txBytes: number } {
    return this.cables.get(device)?.stats ?? newNetdevStats();
  }

  private noteFlow(flow: Megaflow, pair: DatapathPair): void {
    this.madeCount++;
    if (this.made.length < REPLAY_LISTED_MAX) {
      this.made.push({ flow, pair });
    }
  }

  private noteConn(conn: Conn): void {
    this.connCount++;
    if (this.conns.length < REPLAY_LISTED_MAX) {
      this.conns.push(conn);
    }
  }

  /** Turns of the switch between packets happen at whole milliseconds. */
  private stampTurn(nowMs: number): void {
    const ms = this.startMs + nowMs - REPLAY_START_MS;
    this.sec = this.firstSec + Math.floor(ms / MS_PER_SEC);
    this.nsec = (ms % MS_PER_SEC) * NS_PER_MS;
  }

  /** A packet comes to a port; false if the port, a tunnel, has nothing to do with it. */
  receive(port: ReplayPort, sec: number, nsec: number, p: ViewedRange): boolean {
    this.fill(p);
    if (port.isTunnel) {
      if (!port.takes(this.packet)) {
        return false;
      }
      this.tunnels.add(port);
    }
    this.moveClock(sec, nsec);
    const { paths } = this;
    const size = p.to - p.from;
    this.packets++;
    this.bytes += size;
    const { udpif, ct } = port.pair;
    const sentBefore = this.sent;
    const upcallsBefore = paths.upcalls;
    const fragmentsBefore = fragmentsOf(ct);
    paths.begin();
    while (this.sentTo.length > 0) {
      this.sentTo.pop(); // keeps the memory of the array
    }
    port.receive(this.packet);
    const path = paths.end(this.packets, port.name, this.sentTo);
    if (path !== null) {
      path.packets++;
      path.bytes += size;
    }
    if (this.sent !== sentBefore || paths.taken > 0) {
      this.delivered++;
      if (path !== null) {
        path.delivered++;
      }
    } else if (fragmentsBefore !== fragmentsOf(ct)) {
      this.held++;
      if (path !== null) {
        path.held++;
      }
    }
    if (paths.upcalls !== upcallsBefore) {
      if (udpif.dp.flows.size <= REVALIDATE_AT_ONCE_MAX) {
        this.moves?.afterPacket(udpif);
      } else {
        this.settleLater(port.pair);
      }
    }
    return true;
  }

  /** Makes the packet as if it had just come. */
  private fill(range: ViewedRange): void {
    const { packet } = this;
    packet.packetType = PT.ETH;
    packet.roomBytes = 0;
    packet.clear();
    const at = packet.put(range.to - range.from);
    this.copier.copyFrom(packet.bytes, at, range);
  }

  private settleLater(pair: DatapathPair): void {
    if (this.unsettled === null) {
      this.unsettled = pair;
      this.settleMs = this.clock.nowMs + Math.ceil(pair.dp.flows.size / REVALIDATED_PER_MS);
    }
  }

  private moveClock(sec: number, nsec: number): void {
    if (this.packets === 0) {
      this.firstSec = sec;
      this.firstNsec = nsec;
      this.startMs = Math.floor(nsec / NS_PER_MS);
    }
    const msWithin = Math.floor(nsec / NS_PER_MS) - this.startMs;
    const ms = REPLAY_START_MS + (sec - this.firstSec) * MS_PER_SEC + msWithin;
    if (ms > this.clock.nowMs) {
      if (this.unsettled !== null && ms >= this.settleMs) {
        this.moves?.afterPacket(this.unsettled.udpif);
        this.unsettled = null;
      }
      this.clock.advanceTo(ms);
    }
    this.sec = sec;
    this.nsec = nsec;
    if (sec > this.lastSec || (sec === this.lastSec && nsec > this.lastNsec)) {
      this.lastSec = sec;
      this.lastNsec = nsec;
    }
  }

  /** Lets so much time pass after the last packet. */
  linger(ms: number): void {
    this.clock.advanceTo(this.clock.nowMs + ms);
  }

  /** No more packets come: brings what they counted to the flows. */
  finish(): void {
    for (const { udpif } of this.pairs) {
      udpif.sync();
    }
  }
}

/** Fragments that conntrack has taken in so far. */
function fragmentsOf(ct: DatapathPair["ct"]): number {
  return ct.ipf.v4.counts.accepted + ct.ipf.v6.counts.accepted;
}
