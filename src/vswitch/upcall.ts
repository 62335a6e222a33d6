// Upcalls and revalidation: from a miss in the datapath to a translated, installed megaflow, and
// from the counters of megaflows back to rules.
//
// Each megaflow has a ukey, which remembers what its packets are to be credited to (xcache) and
// how much of that has been credited. A dump of the datapath credits the difference, deletes flows
// that have been idle too long, and, after a change of configuration, translates each flow again:
// changed actions are exchanged in place, a mask that is now too wide deletes the flow.
// ovs: ofproto/ofproto-dpif-upcall.c upcall_cb, revalidate, revalidate_ukey, push_dp_ops.

import type { Datapath } from "../datapath/datapath.ts";
import type { MissResult, UpcallHandler } from "../datapath/upcall-handler.ts";
import type { UserspaceAction } from "../datapath/execute.ts";
import type { Megaflow } from "../datapath/megaflow.ts";
import { type OdpAction, SLOW } from "../datapath/odp-action.ts";
import type { OdpSupport } from "../datapath/odp-flow-from.ts";
import { wildcardsForPacket } from "../flow/flow-wildcards.ts";
import { type FlowKey, fill, get, getU, K } from "../flow/flow-key.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { LogLevel } from "../lib/vlog.ts";
import type { RecircPool } from "../openflow/recirc.ts";
import { NO_RECORDER, type Recorder } from "../openflow/trace.ts";
import type { XBridge, XlateConfig, XPort } from "../openflow/xbridge.ts";
import { type CacheEffects, pushStats, type XlateCache } from "../openflow/xlate-cache.ts";
import type { FlowStats, RecircNode, XlateOut } from "../openflow/xlate-ctx.ts";
import { xlateLookup } from "../openflow/xlate-lookup.ts";
import { xlateActions } from "../openflow/xlate.ts";
import type { DpifLog } from "./dpif-log.ts";
import { sameActions } from "./same-actions.ts";
import { Ukey } from "./ukey.ts";
import { type RememberedKey, rememberedKey } from "./ukey-key.ts";

/** Idle time after which a megaflow goes (`other_config:max-idle`). */
export const MAX_IDLE_MS = 10000;
/** The same when there are more flows than the limit. */
const MAX_IDLE_OVER_LIMIT_MS = 100;
/** Time between two dumps of the datapath (`other_config:max-revalidator`). */
export const DUMP_INTERVAL_MS = 500;
/** Flows that are allowed at first, and most (`other_config:flow-limit`). */
const FLOW_LIMIT_START = 10000;
const FLOW_LIMIT_MAX = 200000;
/** What the limit does not fall below by itself. */
const FLOW_LIMIT_MIN = 1000;
/** A count of flows is good for so long (ovs: udpif_get_n_flows). */
const FLOW_COUNT_MS = 100;
/** A probability that means "always". */
const ALWAYS = 0xffffffff;

/** Flows that revalidation fetches, works on and writes back together (ovs: REVALIDATE_MAX_BATCH). */
export const REVALIDATE_BATCH = 50;

/** A translation on behalf of a packet. */
export interface Walk {
  readonly xbridge: XBridge;
  /** As it entered, in_port in OpenFlow's numbers. */
  readonly flow: FlowKey;
  readonly out: XlateOut;
  readonly xcache: XlateCache;
}

/** Sees what upcalls make, for reports. */
export interface UpcallWatcher {
  /** Whom to tell what a translation does. */
  recorder(): Recorder;
  /** A packet was translated; its actions come next. Null: nobody could translate it. */
  translated(key: FlowKey, walk: Walk | null): void;
  installed(flow: Megaflow): void;
  /** A packet went up to the switch itself or to a controller. */
  punted(toController: boolean): void;
}

/** What upcalls need of the switch around them. */
export interface UdpifHost {
  readonly xcfg: XlateConfig;
  readonly recircs: RecircPool;
  readonly effects: CacheEffects;
  nowMs(): number;
  bridgeByName(name: string): XBridge | null;
  /** A packet for controllers. */
  toController(xbridge: XBridge, p: PacketBuf, key: FlowKey, action: UserspaceAction): void;
  /** A packet that sFlow or IPFIX has picked; in_port of its key is the datapath's. */
  sampled(xbridge: XBridge, key: FlowKey, action: UserspaceAction): void;
  /** A packet of a protocol that the switch itself speaks. */
  special(xport: XPort, slow: number, p: PacketBuf, key: FlowKey): void;
  /** A translation failed at a limit: the packet with its key, in_port being an OpenFlow port. */
  tooDeep(xbridge: XBridge, p: PacketBuf, key: FlowKey): void;
  log(level: LogLevel, text: string): void;
  /** Does something as the thread that revalidates. */
  asRevalidator(f: () => void): void;
}

function sameUnder(mask: FlowKey, a: FlowKey, b: FlowKey): boolean {
  return mask.every((m, i) => (((a[i] as number) ^ (b[i] as number)) & m) === 0);
}

export class Udpif implements UpcallHandler {
  readonly dp: Datapath;
  /** What the keys that are remembered for revalidation may hold. */
  private readonly support: OdpSupport;
  /** Turned off by upcall/disable-megaflows. */
  megaflows = true;
  flowLimit = FLOW_LIMIT_START;
  maxFlows = 0;
  avgFlows = 0;
  /** Flows that were not installed, or went, because there were too many. */
  flowLimitHits = 0;
  flowLimitKills = 0;
  maxIdleMs = MAX_IDLE_MS;
  flowLimitMax = FLOW_LIMIT_MAX;
  /** Dumps so far, after each of which the counters of rules are up to date. */
  dumps = 0;
  private countedMs = Number.NEGATIVE_INFINITY;
  private counted = 0;
  watcher: UpcallWatcher | null = null;
  /** Told what becomes of flows. */
  dpifLog: DpifLog | null = null;
  private readonly host: UdpifHost;
  private revalSeq = 1;
  private dumpedSeq = 1;
  private lastDumpMs: number;

  constructor(host: UdpifHost, dp: Datapath, support: OdpSupport) {
    this.host = host;
    this.dp = dp;
    this.support = support;
    this.lastDumpMs = host.nowMs();
  }

  /** Something changed that translations may depend on. */
  needRevalidate(): void {
    this.revalSeq++;
  }

  get revalidateIsNeeded(): boolean {
    return this.dumpedSeq !== this.revalSeq;
  }

  /** The words of a key with in_port in OpenFlow's numbers. */
  private openflowKey(key: FlowKey, ofpInPort: number): FlowKey {
    const k = this.host.xcfg.keys.copyOf(key);
    k[K.in_port.word] = ofpInPort;
    return k;
  }

  // UpcallHandler.

  miss(p: PacketBuf, key: FlowKey): MissResult | null {
    const { host } = this;
    this.dpifLog?.upcall("miss", p, key);
    const found = xlateLookup(host.xcfg, host.recircs, this.dp.type, key);
    if (typeof found === "string") {
      this.watcher?.translated(key, null);
      return null;
    }
    const recircId = getU(key, K.recirc_id);
    const hasRef = recircId !== 0 && host.recircs.ref(recircId);
    const nowMs = host.nowMs();
    const stats = {
      packets: 1,
      bytes: p.size,
      usedMs: nowMs,
      tcpFlags: get(key, K.tcp_flags),
    };
    const xcache: XlateCache = [];
    // The translation itself may change tables (learn): its own flow is then out of date, too.
    const { revalSeq } = this;
    const flow = this.openflowKey(key, found.ofpInPort);
    const recorder = this.watcher?.recorder() ?? NO_RECORDER;
    const how = { packet: p, stats, xcache, recorder };
    const xout = this.translate(found.xbridge, flow, how);
    if (xout.error === "recursion_too_deep" || xout.error === "too_many_resubmits") {
      host.tooDeep(found.xbridge, p, flow);
    }
    if (this.watcher !== null) {
      this.watcher.translated(key, { xbridge: found.xbridge, flow, out: xout, xcache });
    } else if (xout.slow === 0) {
      // Nobody has kept them.
      host.xcfg.keys.give(flow);
      host.xcfg.keys.give(xout.flow);
    }
    const actions = xout.odp;
    const install = this.shouldInstall(recircId !== 0 && !hasRef);
    if (!install) {
      this.unrefAll(xout.recircIds, hasRef ? recircId : 0);
      return { actions, install: null };
    }
    const put =
      xout.slow === 0 ? actions : this.slowPath(xout.slow, found.xbridge, found.ofpInPort);
    const mask = this.datapathMask(xout.wc, key);
    const owner = new Ukey({
      mask,
      xcache,
      slow: xout.slow,
      createdMs: nowMs,
      revalSeq,
      readsVlan: get(xout.wc, K.vlan_tci) !== 0,
      keyRecircId: hasRef ? recircId : 0,
      recircIds: xout.recircIds,
    });
    return { actions, install: { mask, actions: put, owner } };
  }

  installed(owner: object | null, flow: Megaflow | null): void {
    if (!(owner instanceof Ukey)) {
      return;
    }
    if (owner.mask !== null && owner.mask !== flow?.mask) {
      this.host.xcfg.keys.give(owner.mask); // the flows of a mask share one
    }
    owner.mask = null;
    if (flow === null) {
      this.unrefAll(owner.recircIds, owner.keyRecircId);
    } else {
      owner.flow = flow;
      this.dpifLog?.changed(flow, null);
      this.watcher?.installed(flow);
    }
  }

  userspace(p: PacketBuf, key: FlowKey, action: UserspaceAction): readonly OdpAction[] | null {
    const cookie = action.cookie;
    const xbridge = this.host.bridgeByName(action.bridge);
    this.dpifLog?.upcall("action", p, key);
    if (cookie === null || xbridge === null) {
      this.host.log("info", "upcall could not find ofproto");
      return null;
    }
    this.watcher?.punted(cookie.type === "controller");
    switch (cookie.type) {
      case "slow_path": {
        const flow = this.openflowKey(key, action.ofpInPort);
        const xout = this.translate(xbridge, flow, { packet: p, stats: null, xcache: null });
        this.unrefAll(xout.recircIds, 0);
        return xout.odp;
      }
      case "controller":
        if (!cookie.dontSend) {
          this.host.toController(xbridge, p, key, action);
        }
        return null;
      default:
        this.host.sampled(xbridge, key, action);
        return null;
    }
  }

  private translate(
    xbridge: XBridge,
    flow: FlowKey,
    how: {
      readonly packet: PacketBuf | null;
      readonly stats: FlowStats | null;
      readonly xcache: XlateCache | null;
      readonly sideEffects?: boolean;
      readonly tcpFlags?: number;
      readonly recorder?: Recorder;
    },
  ): XlateOut {
    const { host } = this;
    const recorder = how.recorder ?? NO_RECORDER;
    // A trace only tells of the copies that recirculate: the datapath brings them back itself.
    const queue: RecircNode[] | null = recorder.on ? [] : null;
    const out = xlateActions({
      xcfg: host.xcfg,
      xbridge,
      flow,
      packet: how.packet,
      sideEffects: how.sideEffects ?? how.packet !== null,
      actions: null,
      rule: null,
      tcpFlags: how.tcpFlags ?? get(flow, K.tcp_flags),
      recircs: host.recircs,
      frozen: null,
      stats: how.stats,
      xcache: how.xcache,
      recorder,
      recircQueue: queue,
      depth: 0,
      resubmits: 0,
      inPacketOut: false,
      nowMs: host.nowMs(),
      onSpecial: host.special,
    });
    for (const node of queue ?? []) {
      host.recircs.unref(node.recircId);
    }
    return out;
  }

  /** The mask as the datapath has it. */
  private datapathMask(wc: FlowKey, key: FlowKey): FlowKey {
    const mask = wc;
    if (!this.megaflows) {
      mask.fill(0);
      wildcardsForPacket(key, mask);
    }
    fill(mask, K.in_port);
    return mask;
  }

  /** Actions that bring the packets of a flow up here, each of them. */
  private slowPath(reason: number, xbridge: XBridge, ofpInPort: number): readonly OdpAction[] {
    const userspace: OdpAction = {
      kind: "userspace",
      pid: 0,
      cookie: { type: "slow_path", reason },
      ofpInPort,
      bridge: xbridge.name,
      includeActions: false,
      tunnelOutPort: null,
    };
    if (xbridge.slowpathMeterId === -1) {
      return [userspace];
    }
    const meter: OdpAction = { kind: "meter", meterId: xbridge.slowpathMeterId };
    return [{ kind: "sample", probability: ALWAYS, actions: [meter, userspace] }];
  }

  /** Flows in the datapath as they were counted last: often enough, not for each upcall. */
  flowCount(): number {
    const nowMs = this.host.nowMs();
    if (this.countedMs < nowMs - FLOW_COUNT_MS) {
      this.countedMs = nowMs;
      this.counted = this.dp.flows.size;
    }
    return this.counted;
  }

  private shouldInstall(recircWithoutRef: boolean): boolean {
    if (recircWithoutRef) {
      this.host.log("dbg", "upcall: no reference for recirc flow");
      return false;
    }
    if (this.flowCount() >= this.flowLimit) {
      this.flowLimitHits++;
      const text = `upcall: datapath reached the dynamic limit of ${this.flowLimit} flows.`;
      this.host.log("warn", text);
      return false;
    }
    return true;
  }

  private unrefAll(ids: readonly number[], keyId: number): void {
    for (const id of ids) {
      this.host.recircs.unref(id);
    }
    if (keyId !== 0) {
      this.host.recircs.unref(keyId);
    }
  }

  // Revalidation.

  /** One turn of the main loop: dumps if something changed or it is time. */
  run(): void {
    const due = this.host.nowMs() - this.lastDumpMs >= DUMP_INTERVAL_MS;
    if (this.revalidateIsNeeded || due) {
      this.dump();
    }
  }

  /** Goes through all megaflows: credits, deletes, revalidates. */
  dump(): void {
    this.host.asRevalidator(() => this.dumpFlows());
  }

  private dumpFlows(): void {
    const nowMs = this.host.nowMs();
    this.lastDumpMs = nowMs;
    this.dumps++;
    this.dumpedSeq = this.revalSeq;
    const n = this.flowCount();
    this.maxFlows = Math.max(this.maxFlows, n);
    this.avgFlows = Math.trunc((this.avgFlows + n) / 2);
    const killAll = n > this.flowLimit * 2;
    this.flowLimitHits += n >= this.flowLimit ? 1 : 0;
    this.flowLimitKills += killAll ? 1 : 0;
    const maxIdle = n > this.flowLimit ? MAX_IDLE_OVER_LIMIT_MS : this.maxIdleMs;
    const seq = this.revalSeq;
    const log = this.dpifLog?.isOn === true ? this.dpifLog : null;
    const all = [...this.dp.flows.values()].filter((f) => f.alive && f.owner instanceof Ukey);
    for (let at = 0; at < all.length; at += REVALIDATE_BATCH) {
      const batch = all.slice(at, at + REVALIDATE_BATCH);
      log?.fetched(batch);
      for (const flow of batch) {
        const ukey = flow.owner;
        if (!flow.alive || !(ukey instanceof Ukey)) {
          continue;
        }
        const usedMs = flow.stats.usedMs !== 0 ? flow.stats.usedMs : this.unusedSince(ukey);
        if (killAll || usedMs < nowMs - maxIdle || !this.revalidate(flow, ukey, seq)) {
          log?.expired(flow);
          this.removeFlow(flow);
        }
      }
      log?.operated();
    }
    log?.dumped();
    // A dump takes no time here, so that the limit only ever grows.
    if (this.flowLimit < n * 1000) {
      this.flowLimit += 1000;
    }
    this.flowLimit = Math.min(this.flowLimitMax, Math.max(this.flowLimit, FLOW_LIMIT_MIN));
  }

  /** Flows that are allowed from now on at most, and, at the start, at first. */
  limitFlows(max: number, atStart: boolean): void {
    this.flowLimitMax = max;
    if (atStart) {
      this.flowLimit = Math.min(max, FLOW_LIMIT_START);
    }
  }

  private unusedSince(ukey: Ukey): number {
    return ukey.pushed.usedMs !== 0 ? ukey.pushed.usedMs : ukey.createdMs;
  }

  /** Credits a flow and checks it; false if it is to be deleted. */
  private revalidate(flow: Megaflow, ukey: Ukey, seq: number): boolean {
    const kept = ukey.revalSeq === seq ? this.checkKey(flow, ukey) : this.retranslate(flow, ukey);
    if (!kept) {
      return false;
    }
    this.push(flow, ukey);
    ukey.revalSeq = seq;
    return true;
  }

  /** The first packets of a flow count for what its remembered key meets, if it can be read. */
  private checkKey(flow: Megaflow, ukey: Ukey): boolean {
    if (ukey.checked || flow.stats.packets === ukey.pushed.packets) {
      return true;
    }
    ukey.checked = true;
    const told = this.remembered(flow, ukey);
    if (told?.key.every((word, i) => word === flow.key[i])) {
      return true;
    }
    const out = this.translateAgain(flow, ukey, told);
    this.unrefAll(out?.xout.recircIds ?? [], 0);
    return out !== null;
  }

  /** What the remembered key of a flow meets now; its packets count for that. */
  private translateAgain(flow: Megaflow, ukey: Ukey, told: RememberedKey | null) {
    const { host } = this;
    const found = xlateLookup(host.xcfg, host.recircs, this.dp.type, told?.key ?? flow.key);
    ukey.checked = true;
    const xcache: XlateCache = [];
    ukey.xcache = xcache;
    if (told === null || typeof found === "string") {
      return null;
    }
    const { tcpFlags } = flow.stats;
    const how = { packet: null, stats: null, xcache, tcpFlags };
    const key = this.openflowKey(told.key, found.ofpInPort);
    return { told, found, xout: this.translate(found.xbridge, key, how) };
  }

  /** Translates a flow anew and takes over what changed; false if it must go. */
  private retranslate(flow: Megaflow, ukey: Ukey): boolean {
    // Packets not credited yet count for what the tables say now, even if the flow has to go.
    const again = this.translateAgain(flow, ukey, this.remembered(flow, ukey));
    if (again === null) {
      return false;
    }
    const { told, found, xout } = again;
    const slow = told.isTooLittle ? xout.slow | SLOW.MATCH : xout.slow;
    const actions = slow === 0 ? xout.odp : this.slowPath(slow, found.xbridge, found.ofpInPort);
    if (xout.avoidCaching || hasExtra(told.mask, xout.wc)) {
      this.unrefAll(xout.recircIds, 0);
      return false;
    }
    if (sameActions(flow.actions, actions)) {
      this.unrefAll(xout.recircIds, 0);
    } else {
      if (this.canModify(flow)) {
        const old = flow.actions;
        flow.actions = actions;
        if (this.dpifLog?.isOn) {
          this.dpifLog.modified(flow, old);
        }
      }
      this.unrefAll(ukey.recircIds, 0);
      ukey.recircIds = xout.recircIds;
    }
    ukey.slow = slow;
    flow.note = null;
    return true;
  }

  /**
   * The datapath looks for a flow to change by the key that is remembered, which may tell less
   * (VLAN headers beyond what the datapath was probed for); then the flow stays as it is.
   */
  canModify(flow: Megaflow): boolean {
    const told = flow.owner instanceof Ukey ? this.remembered(flow, flow.owner) : null;
    return told !== null && !told.isTooLittle && sameUnder(flow.mask, told.key, flow.key);
  }

  /** The remembered key and mask of a flow, which are made once. */
  private remembered(flow: Megaflow, ukey: Ukey): RememberedKey | null {
    const { vlanLimit } = this.dp;
    if (ukey.remembered === undefined || ukey.rememberedVlanLimit !== vlanLimit) {
      const limits = { vlanLimit, support: this.support };
      ukey.remembered = rememberedKey(flow, limits, ukey.readsVlan);
      ukey.rememberedVlanLimit = vlanLimit;
    }
    return ukey.remembered;
  }

  /** The way through the tables behind a megaflow, as it was translated last. */
  walkOf(flow: Megaflow): { readonly xcache: XlateCache; readonly slow: number } | null {
    const ukey = flow.owner;
    return ukey instanceof Ukey && ukey.xcache !== null
      ? { xcache: ukey.xcache, slow: ukey.slow }
      : null;
  }

  /** What a packet with a key would meet, told to a recorder; nothing is changed by it. */
  explain(key: FlowKey, recorder: Recorder, tcpFlags: number): Walk | null {
    const { host } = this;
    const found = xlateLookup(host.xcfg, host.recircs, this.dp.type, key);
    if (typeof found === "string") {
      return null;
    }
    const flow = this.openflowKey(key, found.ofpInPort);
    const xcache: XlateCache = [];
    const how = { packet: null, stats: null, xcache, tcpFlags, recorder };
    const out = this.translate(found.xbridge, flow, how);
    this.unrefAll(out.recircIds, 0);
    return { xbridge: found.xbridge, flow, out, xcache };
  }

  /** Credits what came since the last time. */
  private push(flow: Megaflow, ukey: Ukey): void {
    const { stats } = flow;
    const { pushed } = ukey;
    this.checkKey(flow, ukey);
    const packets = stats.packets - pushed.packets;
    const bytes = stats.bytes - pushed.bytes;
    if (packets > 0 && ukey.xcache !== null) {
      const delta = { packets, bytes, usedMs: stats.usedMs, tcpFlags: stats.tcpFlags };
      pushStats(ukey.xcache, delta, this.host.effects);
    }
    Object.assign(pushed, stats);
  }

  /** Removes a megaflow for a command. */
  deleteFlow(flow: Megaflow): void {
    this.dpifLog?.deleted(flow);
    this.removeFlow(flow);
  }

  /** Removes a megaflow; what it has counted is credited first. */
  private removeFlow(flow: Megaflow): void {
    const ukey = flow.owner;
    this.dp.flows.remove(flow);
    if (ukey instanceof Ukey) {
      this.push(flow, ukey);
      this.unrefAll(ukey.recircIds, ukey.keyRecircId);
    }
  }

  /** Removes all megaflows (revalidator/purge, dpctl/del-flows). */
  purge(): void {
    for (const flow of [...this.dp.flows.values()]) {
      this.deleteFlow(flow);
    }
  }

  /** Removes them in one go, as `purge` does one by one. */
  flush(): void {
    for (const flow of [...this.dp.flows.values()]) {
      this.removeFlow(flow);
    }
    this.dpifLog?.operation("flow_flush success");
  }

  /** Brings all counters up to date. */
  sync(): void {
    for (const flow of this.dp.flows.values()) {
      if (flow.owner instanceof Ukey) {
        this.push(flow, flow.owner);
      }
    }
  }
}

/** True if `wide` leaves a bit open that `now` looks at. */
function hasExtra(wide: FlowKey, now: FlowKey): boolean {
  for (let i = 0; i < now.length; i++) {
    if (((now[i] as number) & ~(wide[i] as number)) !== 0) {
      return true;
    }
  }
  return false;
}
