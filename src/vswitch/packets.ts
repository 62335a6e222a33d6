// The packet path of a switch: a datapath with its upcalls for each backer, and what bridges ask
// of them (packet-outs, meters, statistics).
//
// A datapath is made the first time that its backer is seen and follows the backer's ports.
// ovs: ofproto/ofproto-dpif.c (type_run, packet_execute, meter_set), lib/dpif.c.

import { Conntrack } from "../datapath/conntrack.ts";
import { Datapath } from "../datapath/datapath.ts";
import type { DpPort as DatapathPort } from "../datapath/dp-port.ts";
import type { UserspaceAction } from "../datapath/execute.ts";
import type { OdpAction } from "../datapath/odp-action.ts";
import type { NativeTunnel } from "../datapath/tunnel.ts";
import { extract } from "../flow/extract.ts";
import { type FlowKey, get, getU, K, newKey } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { putU32 } from "../lib/bytes.ts";
import { formatFixed } from "../lib/number.ts";
import type { OfpErr } from "../openflow/messages/errors.ts";
import type { PacketInPrivate, PacketOut } from "../openflow/messages/types-flow.ts";
import type { MeterConfig, MeterFeatures } from "../openflow/messages/types-group.ts";
import type { CtMatch } from "../openflow/messages/types-switch.ts";
import type { ProviderMeterStats } from "../openflow/ofproto-provider.ts";
import type { MacLearning } from "../openflow/mac-learning.ts";
import { type FrozenState, thawMetadata } from "../openflow/recirc.ts";
import { NO_RECORDER } from "../openflow/trace.ts";
import type { KnownConnection } from "../openflow/trace-run.ts";
import type { RecircNode } from "../openflow/xlate-ctx.ts";
import type { XBridge, XPort } from "../openflow/xbridge.ts";
import { cacheEffects } from "../openflow/cache-effects.ts";
import { pushStats, type XlateCache } from "../openflow/xlate-cache.ts";
import { flowClearConntrack } from "../openflow/xlate-receive.ts";
import { xlateActions } from "../openflow/xlate.ts";
import { PacketBuf } from "../packet/packet.ts";
import type { Backer, DpPort, DpType } from "./backer.ts";
import type { Bridge } from "./bridge.ts";
import { closeDevice, type Device } from "./device.ts";
import { flushConnections } from "./ct-flush.ts";
import { knownConnection } from "./ct-trace.ts";
import { setMetadataFromFlow } from "./packet-flow.ts";
import { packetMetadata } from "./packet-metadata.ts";
import { logTooDeep, UPCALL_LIMIT } from "./packet-log.ts";
import { deleteMeter, METER_FEATURES, meterStats, setMeter } from "./datapath-meters.ts";
import { DpifLog } from "./dpif-log.ts";
import type { PacketPath } from "./packet-path.ts";
import { receiveSpecial } from "./port-protocols.ts";
import { resumePacket } from "./resume.ts";
import { Udpif, type UdpifHost } from "./upcall.ts";
import type { VSwitch } from "./vswitch.ts";

/** Rounds of receiving and revalidating after which a turn of the main loop ends anyway. */
export const SETTLE_ROUNDS_MAX = 16;
/** Warnings of conntrack: so many a minute, so many at once. */
const CT_WARNINGS = { rate: 5, burst: 5 } as const;
const TUNNEL_WARNINGS = { name: "native_tnl", rate: 60, burst: 5 } as const;
const TUNNEL_KINDS: Readonly<Record<string, NativeTunnel>> = {
  vxlan: "vxlan",
  geneve: "geneve",
  gre: "gre",
  ip6gre: "gre",
  erspan: "erspan",
  ip6erspan: "erspan",
  gtpu: "gtpu",
};

/** A datapath and who handles its upcalls. */
export interface DatapathPair {
  readonly backer: Backer;
  readonly dp: Datapath;
  readonly udpif: Udpif;
  readonly ct: Conntrack;
  /** Datapath numbers of meters that are taken. A meter that was refused keeps its number. */
  readonly meterIds: Set<number>;
}

export class Packets implements PacketPath {
  private readonly vs: VSwitch;
  private readonly pairs = new Map<Backer, DatapathPair>();
  /**
   * Datapaths that were made by hand, by name. Nobody takes packets from their devices: in Open
   * vSwitch the bridges do that, and they use none of them.
   */
  readonly handmade = new Map<string, DatapathPair>();

  constructor(vs: VSwitch) {
    this.vs = vs;
    this.countAddresses();
  }

  /** What the bridges' tables of addresses count. */
  private countAddresses(): void {
    const { vs } = this;
    const total = (of: (ml: MacLearning) => number) => () =>
      [...vs.bridges.values()].reduce((n, br) => n + of(br.xbridge.ml), 0);
    vs.coverage.derive(
      "mac_learning_learned",
      total((ml) => ml.totalLearned),
    );
    vs.coverage.derive(
      "mac_learning_expired",
      total((ml) => ml.totalExpired),
    );
    vs.coverage.derive(
      "mac_learning_evicted",
      total((ml) => ml.totalEvicted),
    );
    vs.coverage.derive(
      "mac_learning_moved",
      total((ml) => ml.totalMoved),
    );
  }

  /** The datapath of a backer. */
  pair(backer: Backer): DatapathPair {
    const there = this.pairs.get(backer);
    if (there !== undefined) {
      return there;
    }
    const pair = this.newPair(backer);
    this.pairs.set(backer, pair);
    return pair;
  }

  /** Makes a datapath by hand. */
  addHandmade(backer: Backer): void {
    this.handmade.set(backer.name, this.newPair(backer));
  }

  /** Takes away a datapath that was made by hand, with the devices that only it used. */
  dropHandmadeOne(name: string): void {
    const pair = this.handmade.get(name);
    this.handmade.delete(name);
    for (const { device } of pair?.backer.ports.values() ?? []) {
      if (device !== null && !this.usesDevice(device)) {
        closeDevice(this.vs, device);
      }
    }
  }

  dropHandmade(type: DpType): void {
    for (const { dp } of this.handmade.values()) {
      if (dp.type === type) {
        this.dropHandmadeOne(dp.name);
      }
    }
  }

  /** True if some datapath has a device as a port. */
  usesDevice(device: Device): boolean {
    const pairs = [...this.all(), ...this.handmade.values()];
    return pairs.some(({ backer }) => [...backer.ports.values()].some((p) => p.device === device));
  }

  private newPair(backer: Backer): DatapathPair {
    const { vs } = this;
    const dp = new Datapath({
      name: backer.name,
      type: backer.type,
      clock: vs.clock,
      rng: vs.rng,
    });
    const ct = this.newConntrack(backer.type);
    dp.ct = ct;
    dp.onWarning = (text) => vs.log.warn("dpif_netdev", text);
    dp.onTunnelWarning = (text) => vs.log.logRl("native_tnl", "warn", TUNNEL_WARNINGS, text);
    const udpif = new Udpif(this.host(backer.type), dp, backer.support);
    dp.upcalls = udpif;
    udpif.limitFlows(vs.settings.flowLimit, true);
    udpif.dpifLog = new DpifLog(vs, dp);
    vs.coverage.include(dp.counters);
    vs.coverage.include(ct.counters);
    vs.coverage.derive("netdev_sent", () => dp.stats.outputs - dp.losses.get("device_refused"));
    vs.coverage.derive("netdev_received", () => dp.stats.received);
    vs.coverage.derive("upcall_flow_limit_hit", () => udpif.flowLimitHits);
    vs.coverage.derive("upcall_flow_limit_kill", () => udpif.flowLimitKills);
    backer.listen({
      portAdded: (p) => addDatapathPort(dp, p),
      portDeleted: (p) => dp.removePort(p.odpPort),
    });
    return { backer, dp, udpif, ct, meterIds: new Set<number>() };
  }

  /** All datapaths of bridges, in the order in which they were made. */
  all(): readonly DatapathPair[] {
    for (const backer of this.vs.backers.values()) {
      this.pair(backer);
    }
    return [...this.pairs.values()];
  }

  forget(backer: Backer): void {
    this.pairs.delete(backer);
  }

  private newConntrack(dpType: string): Conntrack {
    const { vs } = this;
    return new Conntrack({
      rng: vs.rng,
      policies: (id) => vs.ctTimeouts.policyById(dpType, id)?.timeouts,
      warn: (module, text) => vs.log.logRl(module, "warn", { name: text, ...CT_WARNINGS }, text),
    });
  }

  private host(dpType: DpType): UdpifHost {
    const { vs } = this;
    return {
      xcfg: vs.xcfg,
      recircs: vs.recircs,
      effects: cacheEffects(vs.xcfg, () => vs.clock.nowMs()),
      nowMs: () => vs.clock.nowMs(),
      bridgeByName: (name) => vs.bridgeByName(name),
      toController: (xbridge, p, key, action) => this.toController(xbridge, p, key, action),
      sampled: (xbridge, key, action) =>
        vs.bridges.get(xbridge.name)?.sampling.sampled(key, action),
      special: (xport, slow, p, key) => this.special(xport, slow, p, key),
      tooDeep: (xbridge, p, key) => logTooDeep(vs, xbridge, p, key),
      asRevalidator: (f) => vs.log.inThread(vs.datapathLog.revalidator(dpType), f),
      log: (level, text) => vs.log.logRl("ofproto_dpif_upcall", level, UPCALL_LIMIT, text),
    };
  }

  /** A packet of a protocol that the switch itself speaks. */
  private special(xport: XPort, slow: number, p: PacketBuf, key: FlowKey): void {
    const br = this.vs.bridges.get(xport.xbridge.name);
    const iface = br?.ifaces.get(xport.name);
    if (br !== undefined && iface !== undefined) {
      receiveSpecial(br, iface, slow, p, key);
    }
  }

  private toController(
    xbridge: XBridge,
    p: PacketBuf,
    key: FlowKey,
    action: UserspaceAction,
  ): void {
    const cookie = action.cookie;
    const bridge = this.vs.bridges.get(xbridge.name);
    if (cookie?.type !== "controller" || bridge === undefined) {
      return;
    }
    const state = this.vs.recircs.find(cookie.recircId);
    if (state === null) {
      return;
    }
    const frozen = key.slice();
    if (!state.conntracked) {
      flowClearConntrack(frozen);
    }
    thawMetadata(state.metadata, frozen);
    const [hi, lo] = cookie.ruleCookie;
    const pin: PacketInPrivate = {
      packet: p.data().slice(),
      flowMetadata: packetMetadata(frozen, xbridge.tunTable),
      reason: cookie.reason,
      tableId: state.tableId,
      cookie: (BigInt(hi) << 32n) | BigInt(lo),
      userdata: state.userdata ?? new Uint8Array(0),
      ...continuation(cookie.continuation ? state : null, bridge, getU(key, K.in_port)),
    };
    bridge.ofproto.conns.sendPacketIn(pin, cookie.controllerId);
  }

  // PacketPath.

  needRevalidate(): void {
    for (const { udpif } of this.all()) {
      udpif.needRevalidate();
    }
  }

  threadsRestarted(): void {
    for (const { udpif } of this.all()) {
      udpif.purge();
    }
  }

  /** Rules learn of their packets when the datapath is dumped, not when they are asked. */
  syncStats(): void {}

  packetOut(
    bridge: Bridge,
    po: PacketOut,
    _version: number,
    sent?: { bytes: number },
  ): OfpErr | null {
    const { vs } = this;
    const { dp, udpif } = this.pair(bridge.backer);
    const packet = PacketBuf.of(po.packet, getU(po.flowMetadata.flow, K.packet_type));
    const flow = newKey();
    extract(packet, flow, dp.vlanLimit);
    const md = po.flowMetadata.flow;
    for (let i = 0; i < flow.length; i++) {
      flow[i] = (flow[i] as number) | (md[i] as number);
    }
    const xcache: XlateCache = [];
    const nowMs = vs.clock.nowMs();
    const xout = xlateActions({
      xcfg: vs.xcfg,
      xbridge: bridge.xbridge,
      flow,
      packet,
      sideEffects: false,
      actions: po.actions,
      rule: null,
      tcpFlags: get(flow, K.tcp_flags),
      recircs: vs.recircs,
      frozen: null,
      stats: null,
      xcache,
      recorder: NO_RECORDER,
      recircQueue: null,
      depth: 0,
      resubmits: 0,
      inPacketOut: true,
      nowMs,
      onSpecial: (x, slow, p, key) => this.special(x, slow, p, key),
    });
    if (xout.error !== "ok") {
      return "OFPFMFC_UNKNOWN";
    }
    const stats = {
      packets: 1,
      bytes: packet.size,
      usedMs: nowMs,
      tcpFlags: get(flow, K.tcp_flags),
    };
    pushStats(
      xcache,
      stats,
      cacheEffects(this.vs.xcfg, () => this.vs.clock.nowMs()),
    );
    setMetadataFromFlow(packet.md, flow);
    packet.md.inPort = odpPortOf(bridge.xbridge, get(flow, K.in_port));
    // References are given up first: where the packet comes back, no flow is installed for it
    // (ovs: ofproto-dpif.c packet_execute_prepare).
    for (const id of xout.recircIds) {
      vs.recircs.unref(id);
    }
    udpif.dpifLog?.executed(packet, flow, xout.odp);
    dp.execute(packet, xout.odp, flow);
    if (sent !== undefined) {
      sent.bytes += packet.size;
    }
    return null;
  }

  traceExecute(
    bridge: Bridge,
    packet: PacketBuf,
    entered: FlowKey,
    flow: FlowKey,
    actions: readonly OdpAction[],
  ): string | null {
    const copy = packet.clone();
    setMetadataFromFlow(copy.md, entered);
    copy.md.inPort = odpPortOf(bridge.xbridge, get(entered, K.in_port));
    this.pair(bridge.backer).dp.execute(copy, actions, flow);
    return null;
  }

  resume(bridge: Bridge, message: Uint8Array): OfpErr | null {
    return resumePacket(this.vs, bridge, this.pair(bridge.backer), message);
  }

  ctFlush(bridge: Bridge, zone: number | null, match: CtMatch | null): void {
    flushConnections(this.pair(bridge.backer).ct, zone, match, this.vs.clock.nowMs());
  }

  /** What a dump of the host says about the connection of a traced packet. */
  knownConnection(bridge: Bridge, node: RecircNode): KnownConnection | null {
    return knownConnection(this.pair(bridge.backer).ct, node, this.vs.clock.nowMs());
  }

  knowsConnections(bridge: Bridge): boolean {
    return this.pair(bridge.backer).ct.restored;
  }

  dumps(backer: Backer): number {
    return this.pair(backer).udpif.dumps;
  }

  setBond(backer: Backer, bondId: number, members: readonly number[] | null): void {
    const { bonds } = this.pair(backer).dp;
    const old = bonds.get(bondId);
    if (members === null) {
      bonds.delete(bondId);
    } else {
      bonds.set(
        bondId,
        members.map((member, i) => ({
          member,
          packets: old?.[i]?.packets ?? 0,
          bytes: old?.[i]?.bytes ?? 0,
        })),
      );
    }
  }

  bondBytes(backer: Backer, bondId: number, bucket: number): number | null {
    return this.pair(backer).dp.bonds.get(bondId)?.[bucket]?.bytes ?? null;
  }

  meterFeatures(_backer: Backer): MeterFeatures {
    return METER_FEATURES;
  }

  meterSet(backer: Backer, meterId: number, config: MeterConfig): number | OfpErr {
    return setMeter(this.pair(backer), meterId, config, this.vs.log);
  }

  meterGet(backer: Backer, meterId: number, nBands: number): ProviderMeterStats | null {
    return meterStats(this.pair(backer), meterId, nBands);
  }

  meterDel(backer: Backer, meterId: number): void {
    deleteMeter(this.pair(backer), meterId);
  }

  get isPending(): boolean {
    return this.all().some(({ dp, udpif }) => udpif.revalidateIsNeeded || hasPackets(dp));
  }

  /** Moves packets and statistics until nothing is left to do. */
  run(): void {
    this.applySettings();
    for (const { ct } of this.all()) {
      ct.run(this.vs.clock.nowMs(), this.vs.clock.isStopped);
    }
    for (let round = 0; round < SETTLE_ROUNDS_MAX; round++) {
      let work = 0;
      for (const { dp, udpif } of this.all()) {
        udpif.run();
        work += dp.run(() => this.afterPacket(udpif));
        work += udpif.revalidateIsNeeded ? 1 : 0;
      }
      if (work === 0) {
        return;
      }
    }
  }

  private applySettings(): void {
    const { vlanLimit, maxIdleMs, flowLimit, emcInsertInvProb } = this.vs.settings;
    for (const { dp, udpif } of this.all()) {
      dp.vlanLimit = vlanLimit;
      if (emcInsertInvProb !== dp.emcInsertInvProb) {
        dp.emcInsertInvProb = emcInsertInvProb;
        const share = `1/${emcInsertInvProb} (~${formatFixed(100 / emcInsertInvProb, 2)}%)`;
        const to = emcInsertInvProb === 0 ? "zero" : share;
        this.vs.log.log("dpif_netdev", "info", `EMC insertion probability changed to ${to}`);
      }
      udpif.maxIdleMs = maxIdleMs;
      udpif.limitFlows(flowLimit, false);
    }
  }

  /**
   * A packet may have taught the switch something that flows depend on. Flows follow when the
   * port's next packet has been taken: an answer that is already there, such as that of a
   * neighbour, is seen before them (ovs: type_run runs the datapath before it revalidates).
   */
  afterPacket(udpif: Udpif): void {
    if (udpif.revalidateIsNeeded) {
      udpif.dump();
    }
    const nowMs = this.vs.clock.nowMs();
    for (const bridge of this.vs.bridges.values()) {
      const macs = bridge.xbridge.ml.run(nowMs);
      const groups = bridge.xbridge.ms?.run(nowMs) ?? false;
      if (macs || groups) {
        this.needRevalidate();
      }
    }
  }
}

/** True if a device has packets that `dp.run` would take. */
function hasPackets(dp: Datapath): boolean {
  for (const port of dp.ports.values()) {
    if (port.netdev !== null && port.netdev.waiting > 0) {
      return true;
    }
  }
  return false;
}

function addDatapathPort(dp: Datapath, p: DpPort): void {
  const kind = p.device === null || p.device.tunnel !== null ? TUNNEL_KINDS[p.type] : undefined;
  const tunnel: DatapathPort["tunnel"] =
    kind === undefined ? null : { kind, state: { seq: 0, setSeq: false } };
  dp.addPort(p.name, p.device?.netdev ?? null, tunnel, p.odpPort);
}

/** Packets of no port count as the bridge's own. */
function odpPortOf(xbridge: XBridge, ofpPort: number): number {
  const port = ofpPort === OFPP.NONE ? OFPP.LOCAL : ofpPort;
  return xbridge.xports.get(port)?.odpPort ?? 0xffffffff;
}

/** What a controller gets in order to let a packet continue; nothing without a state. */
function continuation(state: FrozenState | null, bridge: Bridge, odpPort: number) {
  return {
    bridge: state === null ? "" : String(bridge.rowUuid),
    stack: state === null ? [] : state.stack.map(wordBytes).toReversed(),
    mirrors: state?.mirrors ?? 0,
    conntracked: state?.conntracked ?? false,
    actions: state?.actions ?? [],
    actionSet: state?.actionSet ?? [],
    odpPort: state === null ? undefined : odpPort,
  };
}

function wordBytes(words: Uint32Array): Uint8Array {
  const b = new Uint8Array(4 * words.length);
  words.forEach((w, i) => {
    putU32(b, 4 * i, w);
  });
  return b;
}
