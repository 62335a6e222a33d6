// BridgeProvider: answers what the OpenFlow side of a bridge asks of the switch.
//
// Devices and ports are answered here; packets, connections and meters are the business of the
// packet path, without which they are refused. References: ovs: ofproto/ofproto-dpif.c (the part
// of ofproto_class that this interface keeps).

import { unknownCounters } from "../openflow/messages/port-stats.ts";
import { getU, isZero, K, newKey } from "../flow/flow-key.ts";
import { expandMiniMatch } from "../flow/minimatch.ts";
import type { Action } from "../openflow/actions/types.ts";
import type { OfpErr } from "../openflow/messages/errors.ts";
import type { PacketOut } from "../openflow/messages/types-flow.ts";
import type { MeterConfig, MeterFeatures, QueueStats } from "../openflow/messages/types-group.ts";
import type {
  CtMatch,
  IpfixStats,
  PortCounters,
  SwitchConfig,
} from "../openflow/messages/types-switch.ts";
import type { OfPort } from "../openflow/ofport.ts";
import { updatePort } from "../openflow/ofproto-ports.ts";
import type { OfprotoProvider, ProviderMeterStats } from "../openflow/ofproto-provider.ts";
import type { Line } from "../openflow/rconn.ts";
import type { Rule } from "../openflow/rule.ts";
import { type DpSupport, PORT_CONFIG } from "../openflow/xbridge.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { bundleUpdate, isLocal, netdevInfo } from "./bridge-ports.ts";
import { macOf } from "./device.ts";
import type { PacketPath } from "./packet-path.ts";
import { dial, listen } from "./sockets.ts";
import type { VSwitch } from "./vswitch.ts";

const U64_MAX = 0xffffffffffffffffn;
const U32_MAX = 0xffffffff;

/** Fragments are reassembled by no datapath here, so only the other modes can be chosen. */
const FRAG_REASM = 2;

export class BridgeProvider implements OfprotoProvider {
  private readonly vs: VSwitch;
  private readonly br: Bridge;

  constructor(vs: VSwitch, br: Bridge) {
    this.vs = vs;
    this.br = br;
  }

  private get packets(): PacketPath | null {
    return this.vs.packets;
  }

  private iface(port: OfPort): Iface | undefined {
    return this.br.ifaceByOfPort(port.portNo);
  }

  dial(target: string, versions: number): Line | string {
    return dial(this.vs, target, versions);
  }

  listen(target: string): boolean {
    return listen(this.vs, target);
  }

  nextSocket(): number {
    return this.vs.nextSocket();
  }

  ipfixStats(ofBridge: boolean): IpfixStats[] | null {
    return this.br.sampling.ipfixStats(ofBridge);
  }

  localMac(): number {
    const device = this.vs.devices.get(this.br.name);
    const [hi, lo] = device === undefined ? [0, 0] : macOf(device);
    return hi * 2 ** 32 + lo;
  }

  needRevalidate(): void {
    this.packets?.needRevalidate();
  }

  syncStats(): void {
    this.packets?.syncStats();
  }

  ruleCheck(rule: Rule): OfpErr | null {
    const { support } = this.br.backer;
    const all =
      support.ct_state &&
      support.ct_zone &&
      support.ct_mark &&
      support.ct_label &&
      support.ct_state_nat &&
      support.ct_orig_tuple &&
      support.ct_orig_tuple6 &&
      support.nd_ext;
    if (all) {
      return null;
    }
    const wc = newKey();
    expandMiniMatch(rule.match, newKey(), wc);
    return matchUnsupported(wc, support)
      ? "NXBMC_CT_DATAPATH_SUPPORT"
      : this.actionsError(rule.actions.actions, support);
  }

  private actionsError(actions: readonly Action[], support: DpSupport): OfpErr | null {
    for (const a of actions) {
      const what = unsupportedAction(a, support);
      if (what !== null) {
        const text =
          `Rejecting ${what.action} action because datapath does not support ${what.detail} ` +
          "(your kernel module may be out of date)";
        this.vs.log.logRl("ofproto_dpif", "warn", UNSUPPORTED_LIMIT, text);
        return what.error;
      }
    }
    return null;
  }

  portStats(port: OfPort): { stats: PortCounters; custom: { name: string; value: bigint }[] } {
    const iface = this.iface(port);
    if (iface === undefined) {
      return { stats: unknownCounters(), custom: [] };
    }
    const stats = ifaceCounters(iface);
    if (isLocal(iface)) {
      // What the switch itself sends counts as if it came in by the port that stands for the bridge.
      stats.rxPackets += BigInt(this.br.sent.packets);
      stats.rxBytes += BigInt(this.br.sent.bytes);
    }
    return { stats, custom: customCounters(iface) };
  }

  setPortUp(port: OfPort, up: boolean): boolean {
    const iface = this.iface(port);
    const netdev = iface?.device.netdev ?? null;
    if (iface === undefined || netdev === null) {
      // A virtual port is always up.
      return up;
    }
    // What follows from it is taken over in portReconfigured, after the change itself was told.
    netdev.up = up;
    return true;
  }

  portReconfigured(port: OfPort, oldConfig: number): void {
    const iface = this.iface(port);
    if (iface !== undefined) {
      updatePort(this.br.ofproto, port, netdevInfo(iface.device));
      const toggled = oldConfig ^ port.pp.config;
      if ((toggled & PORT_CONFIG.PORT_DOWN) !== 0) {
        this.vs.statusChanged();
      }
      iface.xport.config = port.pp.config;
      if ((toggled & PORT_CONFIG.NO_FLOOD) !== 0) {
        bundleUpdate(iface.port, this.br);
      }
      this.needRevalidate();
    }
  }

  queueStats(port: OfPort, queue: number | null): QueueStats[] | OfpErr {
    const queues = this.queues(port, queue);
    return typeof queues === "string"
      ? queues
      : queues.map((q) => ({
          port: port.portNo,
          queue: q,
          txBytes: U64_MAX,
          txPackets: U64_MAX,
          txErrors: U64_MAX,
          durationS: U32_MAX,
          durationNs: U32_MAX,
        }));
  }

  /** A dummy device has one queue; others have none. */
  queues(port: OfPort, queue: number | null): number[] | OfpErr {
    const has = this.iface(port)?.device.netdev !== null;
    if (queue === null) {
      return has ? [0] : [];
    }
    return has && queue === 0 ? [0] : "OFPQOFC_BAD_QUEUE";
  }

  packetOut(po: PacketOut, version: number): OfpErr | null {
    return this.packets === null ? "OFPBRC_EPERM" : this.packets.packetOut(this.br, po, version);
  }

  setFragHandling(frag: SwitchConfig["frag"]): boolean {
    return frag !== FRAG_REASM;
  }

  ctFlush(zone: number | null, match: CtMatch | null): void {
    this.packets?.ctFlush(this.br, zone, match);
  }

  meterFeatures(): MeterFeatures {
    return (
      this.packets?.meterFeatures(this.br.backer) ?? {
        maxMeters: 0,
        bandTypes: 0,
        capabilities: 0,
        maxBands: 0,
        maxColor: 0,
      }
    );
  }

  meterSet(providerMeterId: number, config: MeterConfig): number | OfpErr {
    return (
      this.packets?.meterSet(this.br.backer, providerMeterId, config) ?? "OFPMMFC_OUT_OF_METERS"
    );
  }

  meterGet(providerMeterId: number, nBands: number): ProviderMeterStats | null {
    return this.packets?.meterGet(this.br.backer, providerMeterId, nBands) ?? null;
  }

  meterDel(providerMeterId: number): void {
    this.packets?.meterDel(this.br.backer, providerMeterId);
  }

  resume(message: Uint8Array): OfpErr | null {
    return this.packets === null ? "OFPBRC_EPERM" : this.packets.resume(this.br, message);
  }
}

const UNSUPPORTED_LIMIT = { name: "report_unsupported_act", rate: 1, burst: 5 };

/** True if a mask has bits of fields that the datapath cannot match (ovs: check_mask). */
function matchUnsupported(wc: Uint32Array, s: DpSupport): boolean {
  const ctState = getU(wc, K.ct_state);
  const nat = (ctState & 0xc0) !== 0;
  return (
    (ctState !== 0 && !s.ct_state) ||
    (nat && !s.ct_state_nat) ||
    (!isZero(wc, K.ct_zone) && !s.ct_zone) ||
    (!isZero(wc, K.ct_mark) && !s.ct_mark) ||
    (!isZero(wc, K.ct_label) && !s.ct_label) ||
    ((!isZero(wc, K.ct_nw_src) || !isZero(wc, K.ct_nw_dst)) && !s.ct_orig_tuple) ||
    ((!isZero(wc, K.ct_ipv6_src) || !isZero(wc, K.ct_ipv6_dst)) && !s.ct_orig_tuple6)
  );
}

interface Unsupported {
  readonly action: string;
  readonly detail: string;
  readonly error: OfpErr;
}

/** What of an action the datapath cannot do (ovs: check_actions). */
function unsupportedAction(a: Action, s: DpSupport): Unsupported | null {
  const ct = (detail: string): Unsupported => ({
    action: "ct",
    detail,
    error: "NXBAC_CT_DATAPATH_SUPPORT",
  });
  if (a.kind !== "ct") {
    return null;
  }
  if (!s.ct_state) {
    return ct("ct action");
  }
  if ((a.zoneImm !== 0 || a.zoneSrc !== null) && !s.ct_zone) {
    return ct("ct zones");
  }
  for (const inner of a.actions) {
    if (inner.kind === "nat" && !s.ct_state_nat) {
      return ct("nat");
    }
    const field = inner.kind === "set_field" ? inner.field.name : "";
    if ((field === "ct_mark" && !s.ct_mark) || (field === "ct_label" && !s.ct_label)) {
      return ct("setting mark and/or label");
    }
  }
  return null;
}

/** What the device of an interface has counted. */
export function ifaceCounters(iface: Iface): PortCounters {
  const c = iface.device.netdev?.stats ?? iface.xport.counters;
  const known = {
    rxPackets: BigInt(c.rxPackets),
    txPackets: BigInt(c.txPackets),
    rxBytes: BigInt(c.rxBytes),
    txBytes: BigInt(c.txBytes),
  };
  return { ...unknownCounters(), ...known };
}

/** The counters that dummy devices make up besides; they have one queue each way. */
export function customCounters(iface: Iface): { name: string; value: bigint }[] {
  const { netdev } = iface.device;
  if (netdev === null) {
    return [];
  }
  const { rxPackets, rxBytes, txPackets, txBytes } = netdev.stats;
  return Object.entries({
    rx_custom_packets_1: rxPackets,
    rx_custom_packets_2: rxPackets,
    rx_q0_bytes: rxBytes,
    rx_q0_packets: rxPackets,
    tx_q0_bytes: txBytes,
    tx_q0_packets: txPackets,
  }).map(([name, value]) => ({ name, value: BigInt(value) }));
}
