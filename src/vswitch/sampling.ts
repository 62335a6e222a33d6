// NetFlow, sFlow and IPFIX of a bridge, as its rows say.
//
// What they change is the translation: NetFlow makes flows tell addresses and ports, sFlow and IPFIX
// put `sample(...)` before the packet's actions and before outputs. Collectors are checked and
// complained about, but nothing is sent to them. References: ovs: vswitchd/bridge.c
// bridge_configure_netflow, _sflow, _ipfix; ofproto/collectors.c, ofproto-dpif-sflow.c
// dpif_sflow_set_options, ofproto-dpif-ipfix.c dpif_ipfix_set_options.

import type { UserspaceAction } from "../datapath/execute.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import { get, K } from "../flow/flow-key.ts";
import { IP_PROTO } from "../flow/flow-is.ts";
import { parseIpv4, parseIpv6 } from "../lib/address.ts";
import { hashInt, hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { parseActiveTarget } from "../lib/inet-target.ts";
import { IpfixExporter } from "../openflow/ipfix-exporter.ts";
import type { IpfixStats } from "../openflow/messages/types-switch.ts";
import { type IpfixConfig, ODPP_NONE, type SflowConfig } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Bridge } from "./bridge.ts";
import { controllerRows } from "./bridge-config.ts";
import { dpPortName, logNoIfindex } from "./device.ts";
import { smapBool } from "./smap.ts";
import type { VSwitch } from "./vswitch.ts";

/** One packet of so many is sampled unless a row says otherwise. */
const SAMPLING_DEFAULT = 400;
const SFLOW_PORT = 6343;
const IPFIX_PORT = 4739;
const BFD_PORT = 3784;
const U32_MAX = 0xffffffff;
const VIRTUAL_OBS_ID_MAX = 254;
/** Engines of NetFlow above this, and ports above that, are not told apart by port numbers. */
const NETFLOW_ENGINE_MAX = 0x7f;
const NETFLOW_PORTS_MAX = 508;

const COLLECTORS_LIMIT = { name: "collectors_create", rate: 1, burst: 5 };
const SFLOW_LIMIT = { name: "sflow", rate: 1, burst: 5 };
const IPFIX_LIMIT = { name: "ipfix", rate: 1, burst: 5 };

const TUNNELS_SAMPLED = ["gre", "vxlan", "lisp", "geneve", "stt"];

/** Opens collectors; answers how many there are. */
function openCollectors(vs: VSwitch, targets: readonly string[], defaultPort: number): number {
  let count = 0;
  for (const target of hashOrder(targets)) {
    const parsed = parseActiveTarget(target, defaultPort);
    if (!("error" in parsed)) {
      count++;
      continue;
    }
    if (parsed.error !== "") {
      vs.log.err("socket_util", parsed.error);
    }
    const text = `couldn't open connection to collector ${target}`;
    const why = "Address family not supported by protocol";
    vs.log.logRl("collectors", "warn", COLLECTORS_LIMIT, `${text} (${why})`);
  }
  return count;
}

function hashOrder(targets: readonly string[]): string[] {
  const map = new OvsMap<string, string>((t) => hashString(t));
  for (const t of targets) {
    map.set(t, t);
  }
  return [...map.values()];
}

function probability(oneOf: number): number {
  return Math.max(1, Math.floor(U32_MAX / oneOf));
}

/** What a bridge samples. */
export class Sampling {
  private readonly br: Bridge;
  private hasSflow = false;
  private sflowOptions: string | null = null;
  private sflowCollectors = 0;
  private ipfix: IpfixExporters | null = null;

  constructor(br: Bridge) {
    this.br = br;
  }

  /** `subId` numbers the bridges that have sFlow; true if this one does. */
  configure(row: Row, subId: number): boolean {
    this.configureNetflow(row);
    const hasSflow = this.configureSflow(row, subId);
    this.configureIpfix(row);
    return hasSflow;
  }

  private configureNetflow(row: Row): void {
    const { vs, name, ports, xbridge } = this.br;
    const cfg = vs.db.row("NetFlow", row.text("netflow") ?? "");
    xbridge.netflow = cfg !== undefined;
    if (cfg === undefined) {
      return;
    }
    if (cfg.bool("add_id_to_interface")) {
      if ((cfg.int("engine_id") ?? 0) > NETFLOW_ENGINE_MAX) {
        const text = `bridge ${name}: NetFlow port mangling may conflict with another vswitch`;
        vs.log.warn("bridge", `${text}, choose an engine id less than 128`);
      }
      if (ports.size > NETFLOW_PORTS_MAX) {
        const text = `bridge ${name}: NetFlow port mangling will conflict with another port`;
        vs.log.warn("bridge", `${text} when more than ${NETFLOW_PORTS_MAX} ports are used`);
      }
    }
    openCollectors(vs, cfg.texts("targets"), -1);
  }

  private configureSflow(row: Row, subId: number): boolean {
    const { vs } = this.br;
    const cfg = vs.db.row("sFlow", row.text("sflow") ?? "");
    const targets = cfg?.texts("targets") ?? [];
    const sampling = cfg?.int("sampling") ?? SAMPLING_DEFAULT;
    if (cfg !== undefined && !this.hasSflow) {
      this.addPorts();
    }
    this.hasSflow = cfg !== undefined;
    if (cfg === undefined || targets.length === 0 || sampling === 0) {
      this.stopSflow();
      return this.hasSflow;
    }
    const controlIp = controllerRows(this.br, row).flatMap((c) => c.text("local_ip") ?? [])[0];
    const agent = cfg.text("agent");
    const rest = [cfg.int("header"), cfg.int("polling"), subId, controlIp];
    const options = JSON.stringify([targets, sampling, agent, rest]);
    const isNew = options !== this.sflowOptions;
    if (isNew || this.sflowCollectors < targets.length) {
      this.sflowCollectors = openCollectors(vs, targets, SFLOW_PORT);
      if (this.sflowCollectors === 0) {
        const text = "no collectors could be initialized, sFlow disabled";
        vs.log.logRl("sflow", "warn", SFLOW_LIMIT, text);
        this.stopSflow();
        return true;
      }
    }
    if (!hasAgentAddress(vs, agent, targets, controlIp)) {
      vs.log.err("sflow", "could not determine IP address for sFlow agent");
      this.stopSflow();
    } else if (isNew) {
      this.sflowOptions = options;
      vs.log.info("sflow", `creating sFlow agent ${subId}`);
      this.br.xbridge.sflow = this.sflowConfig(probability(sampling));
    }
    return true;
  }

  /** Who starts to sample asks each port for the number of its device. */
  private addPorts(): void {
    for (const { device } of this.br.ifaces.values()) {
      if (device.tunnel !== null) {
        logNoIfindex(this.br.vs, dpPortName(device));
      }
    }
  }

  private stopSflow(): void {
    this.sflowOptions = null;
    this.sflowCollectors = 0;
    this.br.xbridge.sflow = null;
  }

  private sflowConfig(p: number): SflowConfig {
    const { backer } = this.br;
    return {
      probability: p,
      ifindexOf: (odpPort) => {
        const ifindex = backer.ports.get(odpPort)?.device?.netdev?.ifindex ?? 0;
        return ifindex > 0 ? ifindex : null;
      },
    };
  }

  private configureIpfix(row: Row): void {
    const { vs, xbridge } = this.br;
    const bridgeRow = validIpfix(vs, row.text("ipfix"));
    const sets = new Map<number, Row>();
    for (const set of vs.db.rows("Flow_Sample_Collector_Set")) {
      const cfg = validIpfix(vs, set.text("ipfix"));
      if (cfg !== undefined && set.text("bridge") === this.br.rowUuid) {
        sets.set(set.int("id") ?? 0, cfg);
      }
    }
    if (bridgeRow === undefined && sets.size === 0) {
      this.ipfix = null;
    } else {
      const isNew = this.ipfix === null;
      this.ipfix ??= new IpfixExporters(this.br);
      this.ipfix.configure(bridgeRow, sets);
      if (isNew) {
        this.addPorts();
      }
    }
    xbridge.ipfix = this.ipfix;
  }

  /** What the exporter of the bridge has counted, or those of flows; null without any. */
  ipfixStats(ofBridge: boolean): IpfixStats[] | null {
    return this.ipfix?.stats(ofBridge) ?? null;
  }

  /** A sample has come up from the datapath. */
  sampled(key: FlowKey, action: UserspaceAction): void {
    this.ipfix?.sampled(key, action);
  }

  /** Flows age in the caches of exporters. */
  run(): void {
    this.ipfix?.run();
  }
}

/** The row of an exporter that has collectors. */
function validIpfix(vs: VSwitch, uuid: string | undefined): Row | undefined {
  const row = vs.db.row("IPFIX", uuid ?? "");
  return row !== undefined && row.texts("targets").length > 0 ? row : undefined;
}

/**
 * True if there is an address for the agent: that of a device, one that is written out, the one
 * from which a collector is reached, or what a controller's row says.
 */
function hasAgentAddress(
  vs: VSwitch,
  agent: string | undefined,
  targets: readonly string[],
  controlIp: string | undefined,
): boolean {
  if (vs.otherHosts === "answer") {
    return true; // The devices of a dumped host have lost their addresses.
  }
  if (agent !== undefined) {
    const netdev = vs.devices.get(agent)?.netdev;
    if (netdev !== undefined && netdev !== null && (netdev.ip4 !== 0 || netdev.ip6 !== null)) {
      return true;
    }
    if (isAddress(agent)) {
      return true;
    }
    vs.log.err("socket_util", `${agent}: bad IP address "${agent}"`);
  }
  for (const target of hashOrder(targets)) {
    const parsed = parseActiveTarget(target, SFLOW_PORT);
    if (!("error" in parsed) && isRouted(vs, parsed.host)) {
      return true;
    }
  }
  return controlIp !== undefined && isAddress(controlIp);
}

function isAddress(text: string): boolean {
  return parseIpv4(text) !== undefined || parseIpv6(text, new Uint32Array(4));
}

function isRouted(vs: VSwitch, host: string): boolean {
  const ip = new Uint32Array(4);
  const ip4 = parseIpv4(host);
  if (ip4 !== undefined) {
    ip.set([0, 0, 0xffff, ip4]);
  } else if (!parseIpv6(host, ip)) {
    return false;
  }
  return vs.xcfg.native.routes.lookup(0, ip, new Uint32Array(4)) !== null;
}

/** An exporter with the options that it was made with. */
interface Configured {
  options: string;
  collectors: number;
  readonly exporter: IpfixExporter;
  row: IpfixOptions | null;
}

/** What a row of IPFIX says. */
interface IpfixOptions {
  readonly targets: readonly string[];
  readonly sampling: number;
  readonly obsDomainId: number;
  readonly obsPointId: number;
  readonly activeTimeoutS: number;
  readonly maxFlows: number;
  readonly tunnelSampling: boolean;
  readonly inputSampling: boolean;
  readonly outputSampling: boolean;
  readonly virtualObsId: string;
}

/** As in Open vSwitch, the two "enable" options of input and output switch them off. */
function optionsOf(row: Row): IpfixOptions {
  const config = row.map("other_config");
  return {
    targets: row.texts("targets"),
    sampling: row.int("sampling") ?? SAMPLING_DEFAULT,
    obsDomainId: row.int("obs_domain_id") ?? 0,
    obsPointId: row.int("obs_point_id") ?? 0,
    activeTimeoutS: row.int("cache_active_timeout") ?? 0,
    maxFlows: row.int("cache_max_flows") ?? 0,
    tunnelSampling: smapBool(config, "enable-tunnel-sampling", true),
    inputSampling: !smapBool(config, "enable-input-sampling", false),
    outputSampling: !smapBool(config, "enable-output-sampling", false),
    virtualObsId: config.get("virtual_obs_id") ?? "",
  };
}

/** The IPFIX exporters of a bridge: one for all its packets, and one for each collector set. */
class IpfixExporters implements IpfixConfig {
  private readonly br: Bridge;
  private bridge: Configured | null = null;
  private readonly flows = new OvsMap<number, Configured>((id) => hashInt(id, 0));

  constructor(br: Bridge) {
    this.br = br;
  }

  configure(bridgeRow: Row | undefined, sets: ReadonlyMap<number, Row>): void {
    this.bridge =
      bridgeRow === undefined ? null : this.exporter(this.bridge, 0, optionsOf(bridgeRow));
    for (const [id, row] of sets) {
      const made = this.exporter(this.flows.get(id) ?? null, id, optionsOf(row));
      if (made.row === null || made.collectors === 0) {
        this.flows.delete(id);
      } else {
        this.flows.set(id, made);
      }
    }
    for (const c of this.flows.values()) {
      if (!sets.has(c.exporter.stats.collectorSetId)) {
        this.flows.delete(c.exporter.stats.collectorSetId);
      }
    }
  }

  /** Options take effect only with a collector that can be reached; else the old ones stay. */
  private exporter(old: Configured | null, id: number, o: IpfixOptions): Configured {
    const { vs } = this.br;
    const limits = { activeTimeoutS: o.activeTimeoutS, maxFlows: o.maxFlows };
    const c: Configured = old ?? {
      options: "",
      collectors: 0,
      exporter: new IpfixExporter(id, limits, () => vs.clock.wallMs()),
      row: null,
    };
    const options = JSON.stringify(o);
    if (options !== c.options || c.collectors < o.targets.length) {
      c.collectors = openCollectors(vs, o.targets, IPFIX_PORT);
      if (c.collectors === 0) {
        const text = "no collectors could be initialized, IPFIX exporter disabled";
        vs.log.logRl("ipfix", "warn", IPFIX_LIMIT, text);
        return c;
      }
      if (o.virtualObsId.length > VIRTUAL_OBS_ID_MAX) {
        const text = "Virtual obsevation ID too long (0 bytes)";
        const most = `should not be longer than ${VIRTUAL_OBS_ID_MAX} bytes.`;
        vs.log.logRl("ipfix", "warn", IPFIX_LIMIT, `${text}, ${most}`);
        return c;
      }
      c.options = options;
      c.row = o;
      c.exporter.limits = limits;
      c.exporter.expire();
    }
    return c;
  }

  get bridgeProbability(): number {
    const row = this.bridge?.row ?? null;
    return row === null ? 0 : probability(row.sampling);
  }

  get inputSampling(): boolean {
    return this.bridge?.row?.inputSampling ?? false;
  }

  get outputSampling(): boolean {
    return this.bridge?.row?.outputSampling ?? false;
  }

  get tunnelSampling(): boolean {
    return this.bridge?.row?.tunnelSampling ?? false;
  }

  flowTunnelSampling(collectorSetId: number): boolean {
    return this.flows.get(collectorSetId)?.row?.tunnelSampling ?? false;
  }

  isTunnelPort(odpPort: number): boolean {
    for (const { xport, device } of this.br.ifaces.values()) {
      if (xport.odpPort === odpPort && TUNNELS_SAMPLED.includes(device.type)) {
        return true;
      }
    }
    return false;
  }

  stats(ofBridge: boolean): IpfixStats[] | null {
    if (ofBridge) {
      const c = this.bridge;
      return c === null || c.row === null ? null : [c.exporter.stats];
    }
    return this.flows.size === 0 ? null : [...this.flows.values()].map((c) => c.exporter.stats);
  }

  sampled(key: FlowKey, { cookie }: UserspaceAction): void {
    if (cookie?.type === "ipfix") {
      const row = this.bridge?.row ?? null;
      const isBfd = get(key, K.nw_proto) === IP_PROTO.UDP && get(key, K.tp_dst) === BFD_PORT;
      if (row !== null && !isBfd) {
        const { obsDomainId, obsPointId } = row;
        const { outputPort } = cookie;
        const egress = outputPort !== ODPP_NONE;
        this.bridge?.exporter.sample(key, { obsDomainId, obsPointId, outputPort, egress });
      }
    } else if (cookie?.type === "flow_sample") {
      const { obsDomainId, obsPointId, outputPort, direction } = cookie;
      const egress =
        direction === "egress" || (direction === "default" && outputPort !== ODPP_NONE);
      const sample = { obsDomainId, obsPointId, outputPort, egress };
      this.flows.get(cookie.collectorSetId)?.exporter.sample(key, sample);
    }
  }

  run(): void {
    this.bridge?.exporter.expire();
    for (const c of this.flows.values()) {
      c.exporter.expire();
    }
  }
}
