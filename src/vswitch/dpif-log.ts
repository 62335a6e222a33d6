// What the log says at debug level about a datapath: packets that miss, flows that come, change and
// go, dumps, packets that are sent.
//
// Addresses of objects, which the real log mixes in, are left out. References: ovs:
// lib/dpif.c log_flow_message, log_execute_message, log_operation; lib/dpif-netdev.c
// log_netdev_flow_change, dp_netdev_upcall.

import type { Datapath } from "../datapath/datapath.ts";
import type { Megaflow } from "../datapath/megaflow.ts";
import type { OdpAction } from "../datapath/odp-action.ts";
import { formatOdpActions } from "../datapath/odp-text-actions.ts";
import { clear, type FlowKey, getU, K } from "../flow/flow-key.ts";
import type { RateLimit } from "../lib/log-rate-limit.ts";
import { formatMatch } from "../openflow/match-text.ts";
import { formatPacket } from "../openflow/messages/packet-text.ts";
import type { PacketBuf } from "../packet/packet.ts";
import {
  formatFlowStats,
  formatMegaflowKey,
  formatMetadata,
  formatPacketKey,
  formatUfid,
  megaUfid,
} from "./megaflow-text.ts";
import type { VSwitch } from "./vswitch.ts";

const NETDEV_LIMIT: RateLimit = { name: "dpif_netdev_upcall", rate: 600, burst: 600 };
const DPIF_LIMIT: RateLimit = { name: "dpif_message", rate: 600, burst: 600 };

export class DpifLog {
  private readonly vs: VSwitch;
  private readonly dp: Datapath;
  private operations: (() => void)[] = [];

  constructor(vs: VSwitch, dp: Datapath) {
    this.vs = vs;
    this.dp = dp;
  }

  private drops(module: "dpif" | "dpif_netdev"): boolean {
    return this.vs.log.drops(module, "dbg", module === "dpif" ? DPIF_LIMIT : NETDEV_LIMIT);
  }

  private dbg(module: "dpif" | "dpif_netdev", text: string): void {
    const { type, name } = this.dp;
    this.vs.log.dbg(module, module === "dpif" ? `${type}@${name}: ${text}` : text);
  }

  /** A packet that no flow knows, or that an action sends up. */
  upcall(kind: "miss" | "action", p: PacketBuf, key: FlowKey): void {
    if (!this.drops("dpif_netdev")) {
      const packet = formatPacket(p.data(), getU(key, K.packet_type));
      const text = `${formatPacketKey(key, this.dp.vlanLimit)}\n${packet}`;
      this.dbg("dpif_netdev", `${this.dp.name}: ${kind} upcall:\n${text}`);
    }
  }

  /** A flow came, or has other actions than `old`. */
  changed(flow: Megaflow, old: readonly OdpAction[] | null): void {
    if (this.drops("dpif_netdev")) {
      return;
    }
    const what = old === null ? "flow_add" : "flow_mod";
    const ids = `${formatUfid(flow)} mega_${megaUfid(flow)}`;
    const was = old === null ? "" : `, old_actions:${formatOdpActions(old, null)}`;
    const actions = `actions:${formatOdpActions(flow.actions, null)}`;
    const key = formatMegaflowKey(flow, this.dp.vlanLimit, null, false);
    this.dbg("dpif_netdev", `${what}: ${ids} ${key}${was}, ${actions}`);
    const wc = flow.mask.slice();
    clear(wc, K.in_port);
    const masked = flow.key.map((w, i) => w & (wc[i] as number));
    const match = { flow: masked, wc, tab: null, tunMd: null };
    this.dbg("dpif_netdev", `flow match: ${formatMatch(match, null)}`);
  }

  /** True if anything of this may be logged; asked once before a long list. */
  get isOn(): boolean {
    const { log } = this.vs;
    return log.enabled("dpif", "dbg") || log.enabled("dpif_netdev", "dbg");
  }

  /** Revalidation gave a flow other actions; the datapath says so at once, dpif with its batch. */
  modified(flow: Megaflow, old: readonly OdpAction[]): void {
    this.changed(flow, old);
    this.operations.push(() => {
      if (!this.drops("dpif")) {
        const key = formatMegaflowKey(flow, this.dp.vlanLimit, null, true);
        const actions = formatOdpActions(flow.actions, null);
        this.dbg("dpif", `put[modify] ${formatUfid(flow)} ${key}, actions:${actions}`);
      }
    });
  }

  /** A flow was deleted by a command. */
  deleted(flow: Megaflow): void {
    if (!this.drops("dpif")) {
      const stats = formatFlowStats(flow, this.vs.clock.nowMs());
      const key = formatPacketKey(flow.key, this.dp.vlanLimit);
      this.dbg("dpif", `flow_del ${formatUfid(flow)} ${key}, ${stats}`);
    }
  }

  /** Revalidation deleted a flow. */
  expired(flow: Megaflow): void {
    this.operations.push(() => this.deleted(flow));
  }

  /** The revalidator has fetched some flows. */
  fetched(flows: readonly Megaflow[]): void {
    for (const flow of flows) {
      if (!this.drops("dpif")) {
        const stats = formatFlowStats(flow, this.vs.clock.nowMs());
        this.dbg("dpif", `flow_dump ${formatUfid(flow)} <empty>, ${stats}`);
      }
    }
  }

  /** The revalidator has done what it found to do about them. */
  operated(): void {
    const { operations } = this;
    this.operations = [];
    for (const operation of operations) {
      operation();
    }
  }

  /** A dump is through. */
  dumped(): void {
    this.operation("dumped all flows");
    this.operation("flow_dump_destroy success");
  }

  /** A packet was sent from here, not received. */
  executed(p: PacketBuf, flow: FlowKey, actions: readonly OdpAction[]): void {
    if (!this.drops("dpif")) {
      const packet = formatPacket(p.data(), getU(flow, K.packet_type));
      const head = `execute ${formatOdpActions(actions, null)} on packet ${packet}`;
      const md = formatMetadata(flow, p.md.inPort);
      this.dbg("dpif", `${head} with metadata ${md} mtu 0`);
    }
  }

  /** Something that has no details. */
  operation(text: string): void {
    if (!this.drops("dpif")) {
      this.dbg("dpif", text);
    }
  }

  /** A command lists the flows. */
  listed(flows: Iterable<Megaflow>): void {
    for (const flow of flows) {
      if (!this.drops("dpif")) {
        const stats = formatFlowStats(flow, this.vs.clock.nowMs());
        const key = formatMegaflowKey(flow, this.dp.vlanLimit, null, true);
        const actions = formatOdpActions(flow.actions, null);
        this.dbg("dpif", `flow_dump ${formatUfid(flow)} ${key}, ${stats}, actions:${actions}`);
      }
    }
    this.dumped();
  }

  /** A command lists the ports. */
  portsListed(count: number): void {
    this.operation("port_dump_start success");
    for (let i = 0; i < count; i++) {
      this.operation("port_dump_next success");
    }
    this.operation("dumped all ports");
  }
}
