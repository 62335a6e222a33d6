// The spanning trees of one bridge: which of its ports take part in STP or RSTP, what their states
// mean for OpenFlow, flooding and learned addresses.
//
// The trees themselves know nothing of a switch (openflow/stp.ts, openflow/rstp.ts); they are told
// here of time, links and packets, and asked what changed. A bridge has an STP or an RSTP object
// while the protocol is on. Translation sees a port's state at once, while `floodable` and
// OpenFlow's port state follow in the next turn, as in OVS. ovs: ofproto/ofproto-dpif.c set_stp,
// set_stp_port, stp_run, update_stp_port_state, and the same for RSTP.

import { Counters, counterTable } from "../lib/counters.ts";
import type { Vlog } from "../lib/vlog.ts";
import { PORT_STATE } from "../openflow/messages/types-switch.ts";
import { setPortState } from "../openflow/ofproto-ports.ts";
import { Rstp, type RstpSettings } from "../openflow/rstp.ts";
import type { RstpPort, RstpPortSettings } from "../openflow/rstp-port.ts";
import { type RstpState, rstpForwardInState, rstpLearnInState } from "../openflow/rstp-types.ts";
import { Stp, type StpTimes } from "../openflow/stp.ts";
import {
  type StpPort,
  type StpState,
  stpForwardInState,
  stpLearnInState,
} from "../openflow/stp-port.ts";
import { bpduFrame, bpduOfFrame } from "../packet/bpdu.ts";
import { PacketBuf } from "../packet/packet.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { bundleUpdate } from "./bridge-ports.ts";
import { isUp, macOf } from "./device.ts";
import { sendPacket } from "./send-packet.ts";

export interface StpSettings {
  readonly address: bigint;
  readonly priority: number;
  readonly times: StpTimes;
}

export interface StpPortSettings {
  readonly portNo: number;
  readonly priority: number;
  readonly pathCost: number;
}

/** A second, after which the counters of RSTP go down by one. */
const RSTP_TICK_MS = 1000;
/** Both protocols want a turn this often when nothing else happens. */
const TURN_MS = 1000;
/** BPDUs that may be under way through patch ports, each sent because of the one before. */
export const BPDU_DEPTH_MAX = 64;
/** BPDUs that one BPDU may lead to at the same moment, all together. */
export const BPDU_CASCADE_MAX = 10_000;
export const TREE_COUNTERS = counterTable("spanning trees", {
  bpdu_too_deep: "a BPDU not sent because too many are under way",
});

/** What the trees of all bridges of a switch share. */
export class TreesOfSwitch {
  readonly counters = new Counters(TREE_COUNTERS);
  /** BPDUs that are being sent through patch ports at this moment, one because of the other. */
  underWay = 0;
  /** BPDUs sent since the first of those was. */
  cascade = 0;
}

const SEND_LIMIT = { name: "ofproto_dpif", rate: 1, burst: 5 };

/** What the bridge itself knows of the state of a port. */
class PortTrees {
  stpPort: StpPort<Iface> | null = null;
  stpState: StpState = "disabled";
  stpEnteredMs = 0;
  rstpPort: RstpPort<Iface> | null = null;
  rstpState: RstpState = "Disabled";
}

const STP_BITS: Readonly<Record<StpState, number>> = {
  disabled: 0,
  listening: PORT_STATE.STP_LISTEN,
  learning: PORT_STATE.STP_LEARN,
  forwarding: PORT_STATE.STP_FORWARD,
  blocking: PORT_STATE.STP_BLOCK,
};

const RSTP_BITS: Readonly<Record<RstpState, number>> = {
  Disabled: 0,
  Discarding: PORT_STATE.STP_LISTEN,
  Learning: PORT_STATE.STP_LEARN,
  Forwarding: PORT_STATE.STP_FORWARD,
};

export class SpanningTrees {
  stp: Stp<Iface> | null = null;
  rstp: Rstp<Iface> | null = null;
  /** When the trees were made, among those of all bridges. */
  stpOrder = 0;
  rstpOrder = 0;
  private readonly br: Bridge;
  private readonly ports = new Map<Iface, PortTrees>();
  private stpTickMs = 0;
  private rstpTickMs = 0;
  /** Something happened since the last turn that forwarding depends on. */
  private dirty = false;

  constructor(br: Bridge) {
    this.br = br;
  }

  private get log(): Vlog {
    return this.br.vs.log;
  }

  private get nowMs(): number {
    return this.br.vs.clock.nowMs();
  }

  private of(iface: Iface): PortTrees {
    const there = this.ports.get(iface);
    if (there !== undefined) {
      return there;
    }
    const made = new PortTrees();
    this.ports.set(iface, made);
    return made;
  }

  /** Interfaces in the order of the OpenFlow side's ports. */
  private *ifaces(): Generator<Iface> {
    for (const port of this.br.ofproto.ports.all()) {
      const iface = this.br.ifaces.get(port.name);
      if (iface !== undefined) {
        yield iface;
      }
    }
  }

  /** True if the port floods as far as spanning trees go. */
  allowsFlood(iface: Iface): boolean {
    const { stpState, rstpState } = this.of(iface);
    return (
      (this.stp === null || stpForwardInState(stpState)) &&
      (this.rstp === null || rstpForwardInState(rstpState))
    );
  }

  /** An interface goes away. */
  portGone(iface: Iface): void {
    const t = this.of(iface);
    if (t.stpPort !== null) {
      this.stp?.disablePort(t.stpPort);
    }
    this.setRstpPort(iface, null);
    this.rstp?.reap();
    this.ports.delete(iface);
  }

  // STP.

  setStp(s: StpSettings | null): void {
    const { br } = this;
    if ((s === null) !== (this.stp === null)) {
      br.vs.packets?.needRevalidate();
    }
    if (s === null) {
      if (this.stp !== null) {
        for (const iface of this.ifaces()) {
          this.setStpPort(iface, null);
        }
        this.stp = null;
        br.vs.statusChanged();
      }
    } else {
      if (this.stp === null) {
        this.stp = new Stp({
          name: br.name,
          bridgeId: s.address,
          log: this.log,
          send: (p, bpdu) => this.sendStp(p, bpdu),
          changed: () => br.vs.statusChanged(),
        });
        this.stpTickMs = this.nowMs;
        this.stpOrder = br.vs.nextId();
      }
      this.stp.setAddress(s.address);
      this.stp.setPriority(s.priority);
      this.stp.setTimes(s.times);
    }
    br.xbridge.stp = this.stp !== null;
  }

  setStpPort(iface: Iface, s: StpPortSettings | null): void {
    const { stp } = this;
    const t = this.of(iface);
    const old = t.stpPort;
    if (stp === null || s === null) {
      if (old !== null) {
        t.stpPort = null;
        iface.xport.stp = null;
        stp?.disablePort(old);
        this.updateStpState(iface, t);
      }
      return;
    }
    if (old !== null && old.portNo !== s.portNo && old.owner === iface) {
      stp.disablePort(old);
    }
    const p = stp.ports[s.portNo];
    if (p === undefined) {
      return;
    }
    t.stpPort = p;
    iface.xport.stp = p;
    p.name = iface.name;
    if (isUp(iface.device)) {
      stp.enablePort(p);
    } else {
      stp.disablePort(p);
    }
    p.owner = iface;
    stp.setPortPriority(p, s.priority);
    stp.setPathCost(p, s.pathCost);
    this.updateStpState(iface, t);
  }

  private updateStpState(iface: Iface, t: PortTrees): void {
    const { br } = this;
    const state = t.stpPort?.state ?? "disabled";
    const old = t.stpState;
    if (old === state) {
      return;
    }
    const text = `port ${iface.name}: STP state changed from ${old} to ${state}`;
    this.log.dbg("ofproto_dpif", text);
    if (stpLearnInState(old) !== stpLearnInState(state)) {
      br.xbridge.ml.flush();
      br.xbridge.ms?.flushMdb();
    }
    t.stpState = state;
    t.stpEnteredMs = this.nowMs;
    if (stpForwardInState(old) !== stpForwardInState(state)) {
      bundleUpdate(iface.port, br);
    }
    this.showState(iface, STP_BITS[state]);
  }

  /** Shows a state in the OpenFlow description of a port. */
  private showState({ ofport }: Iface, bits: number): void {
    this.dirty = true;
    setPortState(this.br.ofproto, ofport, (ofport.pp.state & ~PORT_STATE.STP_MASK) | bits);
  }

  private sendStp(p: StpPort<Iface>, bpdu: Uint8Array): void {
    const { br } = this;
    const iface = p.owner;
    if (iface === null) {
      const text = `${br.name}: cannot send BPDU on unknown port ${p.portNo}`;
      this.log.logRl("ofproto_dpif", "warn", SEND_LIMIT, text);
      return;
    }
    const mac = macOf(iface.device);
    if (mac[0] === 0 && mac[1] === 0) {
      const text = `${br.name}: cannot send BPDU on port ${p.portNo} with unknown MAC`;
      this.log.logRl("ofproto_dpif", "warn", SEND_LIMIT, text);
    } else {
      this.sendBpdu(iface, bpdu, mac);
    }
  }

  /** A loop of bridges that answer each other at once (which ends Open vSwitch) is cut. */
  private sendBpdu(iface: Iface, bpdu: Uint8Array, mac: readonly [hi: number, lo: number]): void {
    const { vs } = this.br;
    vs.trees.cascade = vs.trees.underWay === 0 ? 0 : vs.trees.cascade + 1;
    if (vs.trees.underWay >= BPDU_DEPTH_MAX || vs.trees.cascade >= BPDU_CASCADE_MAX) {
      vs.trees.counters.inc("bpdu_too_deep");
      return;
    }
    vs.trees.underWay++;
    sendPacket(this.br, iface.xport, PacketBuf.of(bpduFrame(bpdu, mac)));
    vs.trees.underWay--;
  }

  /** One turn of STP; true if forwarding may have changed. */
  runStp(nowMs: number): boolean {
    const { stp, br } = this;
    if (stp === null) {
      return this.takeDirty();
    }
    if (nowMs > this.stpTickMs) {
      const elapsed = nowMs - this.stpTickMs;
      this.stpTickMs = nowMs;
      stp.tick(elapsed);
    }
    for (const iface of this.ifaces()) {
      this.followLink(stp, iface);
    }
    for (let p = stp.takeChangedPort(); p !== null; p = stp.takeChangedPort()) {
      if (p.owner !== null) {
        this.updateStpState(p.owner, this.of(p.owner));
      }
    }
    if (stp.takeFdbFlush()) {
      br.xbridge.ml.flush();
      br.xbridge.ms?.flushMdb();
    }
    return this.takeDirty();
  }

  private followLink(stp: Stp<Iface>, iface: Iface): void {
    const t = this.of(iface);
    const up = isUp(iface.device);
    if (t.stpPort === null || up === (t.stpPort.state !== "disabled")) {
      return;
    }
    const what = up ? "up, enabling" : "down, disabling";
    this.log.dbg("ofproto_dpif", `bridge ${this.br.name}, port ${iface.name} is ${what} it.`);
    if (up) {
      stp.enablePort(t.stpPort);
      t.stpPort.owner = iface;
    } else {
      stp.disablePort(t.stpPort);
    }
    this.updateStpState(iface, t);
  }

  private takeDirty(): boolean {
    const { dirty } = this;
    this.dirty = false;
    return dirty;
  }

  wakeStpMs(): number {
    return this.stp === null ? Number.POSITIVE_INFINITY : this.stpTickMs + TURN_MS;
  }

  receiveStp(iface: Iface, frame: Uint8Array): void {
    const p = this.of(iface).stpPort;
    const bpdu = p === null || p.state === "disabled" ? null : bpduOfFrame(frame, false);
    if (p !== null && bpdu !== null) {
      this.stp?.received(p, bpdu);
    }
  }

  /** State, role and seconds in the state; null if the port takes no part. */
  stpStatus(
    iface: Iface,
  ): { readonly port: StpPort<Iface>; readonly secondsInState: number } | null {
    const t = this.of(iface);
    return this.stp === null || t.stpPort === null
      ? null
      : {
          port: t.stpPort,
          secondsInState: Math.trunc((this.nowMs - t.stpEnteredMs) / 1000),
        };
  }

  // RSTP.

  setRstp(s: RstpSettings | null): void {
    const { br } = this;
    if ((s === null) !== (this.rstp === null)) {
      br.vs.packets?.needRevalidate();
    }
    if (s === null) {
      if (this.rstp !== null) {
        for (const iface of this.ifaces()) {
          this.setRstpPort(iface, null);
        }
        this.rstp = null;
        br.vs.statusChanged();
      }
    } else {
      if (this.rstp === null) {
        this.rstp = new Rstp({
          name: br.name,
          address: s.address,
          log: this.log,
          send: (p, bpdu) => this.sendRstp(p, bpdu),
          changed: () => br.vs.statusChanged(),
        });
        this.rstpTickMs = this.nowMs;
        this.rstpOrder = br.vs.nextId();
      }
      this.rstp.configure(s);
    }
    br.xbridge.rstp = this.rstp !== null;
  }

  setRstpPort(iface: Iface, s: RstpPortSettings | null): void {
    const { rstp } = this;
    const t = this.of(iface);
    if (rstp === null || s === null) {
      if (t.rstpPort !== null) {
        rstp?.retirePort(t.rstpPort);
        t.rstpPort = null;
        iface.xport.rstp = null;
        this.updateRstpState(iface, t);
      }
      return;
    }
    const p = t.rstpPort ?? rstp.addPort();
    t.rstpPort = p;
    iface.xport.rstp = p;
    rstp.configurePort(p, iface, s);
    this.updateRstpState(iface, t);
    rstp.setMacOperational(p, iface.ofport.mayEnable);
  }

  private updateRstpState(iface: Iface, t: PortTrees): void {
    const { br } = this;
    const state = t.rstpPort?.state ?? "Disabled";
    const old = t.rstpState;
    if (old === state) {
      return;
    }
    const text = `port ${iface.name}: RSTP state changed from ${old} to ${state}`;
    this.log.dbg("ofproto_dpif", text);
    if (rstpLearnInState(old) !== rstpLearnInState(state) && this.forgetsAddresses(iface)) {
      this.flushMacs(iface);
    }
    t.rstpState = state;
    if (rstpForwardInState(old) !== rstpForwardInState(state)) {
      bundleUpdate(iface.port, br);
    }
    this.showState(iface, RSTP_BITS[state]);
  }

  /** False for an old root port whose addresses move to the new one. */
  private forgetsAddresses(iface: Iface): boolean {
    return this.rstp?.rootChanged !== true || this.rstp.oldRoot !== iface;
  }

  private flushMacs(iface: Iface): void {
    const b = iface.port.xbundle;
    if (b !== null) {
      this.br.xbridge.ml.flushBundle(b, []);
      this.dirty = true;
    }
  }

  private sendRstp(p: RstpPort<Iface>, bpdu: Uint8Array): void {
    const { br } = this;
    const iface = p.owner;
    if (iface === null) {
      return;
    }
    const mac = macOf(iface.device);
    if (mac[0] === 0 && mac[1] === 0) {
      const text =
        `${br.name} port ${iface.ofport.portNo}: cannot send RSTP BPDU on a port which ` +
        "does not have a configured source MAC address.";
      this.log.logRl("ofproto_dpif", "warn", SEND_LIMIT, text);
    } else {
      this.sendBpdu(iface, bpdu, mac);
    }
  }

  /** One turn of RSTP; true if forwarding may have changed. */
  runRstp(nowMs: number): boolean {
    const { rstp, br } = this;
    if (rstp === null) {
      return this.takeDirty();
    }
    rstp.reap();
    if (nowMs - this.rstpTickMs >= RSTP_TICK_MS) {
      this.rstpTickMs = nowMs;
      rstp.tick();
    }
    for (const { owner } of rstp.takeChangedPorts()) {
      if (owner !== null) {
        this.updateRstpState(owner, this.of(owner));
      }
    }
    for (const { owner } of rstp.takeFdbFlush()) {
      if (owner !== null && this.forgetsAddresses(owner)) {
        this.flushMacs(owner);
      }
    }
    const [from, to] = [rstp.oldRoot?.port.xbundle, rstp.newRoot?.port.xbundle];
    if (rstp.rootChanged && from && to) {
      br.xbridge.ml.moveBundle(from, to);
      rstp.rootChanged = false;
    }
    return this.takeDirty();
  }

  wakeRstpMs(): number {
    return this.rstp === null ? Number.POSITIVE_INFINITY : this.rstpTickMs + TURN_MS;
  }

  receiveRstp(iface: Iface, frame: Uint8Array): void {
    const p = this.of(iface).rstpPort;
    const bpdu = p === null ? null : bpduOfFrame(frame, true);
    if (p !== null && bpdu !== null) {
      this.rstp?.received(p, bpdu);
    }
  }

  /** The port as RSTP has it, or null if it takes no part. */
  rstpStatus(iface: Iface): RstpPort<Iface> | null {
    return this.rstp === null ? null : this.of(iface).rstpPort;
  }

  /** A port may carry packets from now on, or no more. */
  enableChanged(iface: Iface, enable: boolean): void {
    const p = this.of(iface).rstpPort;
    if (p !== null) {
      this.rstp?.setMacOperational(p, enable);
    }
  }
}
