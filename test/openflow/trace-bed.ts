// A test bed for translation: bridges with ports made in memory, flows and groups from text, traces
// as text. Ports get datapath numbers in the order in which they are made.

import type { PacketBuf } from "../../src/packet/packet.ts";
import { ManualClock, SeededRng } from "../../src/lib/env.ts";
import { Vlog } from "../../src/lib/vlog.ts";
import { type FlowKey, get, K } from "../../src/flow/flow-key.ts";
import { OFPP } from "../../src/flow/ofp-port.ts";
import { MacLearning } from "../../src/openflow/mac-learning.ts";
import { parseExactFlow } from "../../src/openflow/match-parse.ts";
import { NO_CONTEXT } from "../../src/openflow/match-parse.ts";
import { OFPFC } from "../../src/openflow/messages/types-flow.ts";
import { OFPGC } from "../../src/openflow/messages/types-group.ts";
import { Mbridge } from "../../src/openflow/mirror.ts";
import { Ofproto } from "../../src/openflow/ofproto.ts";
import { parseFlow } from "../../src/openflow/flow-text.ts";
import { parseGroupMod } from "../../src/openflow/messages/group-parse.ts";
import { deleteFlows } from "../../src/openflow/flow-mod.ts";
import { groupMod } from "../../src/openflow/group-mod.ts";
import type { OfprotoProvider } from "../../src/openflow/ofproto-provider.ts";
import { RecircPool } from "../../src/openflow/recirc.ts";
import { REMOVED } from "../../src/openflow/rule.ts";
import { ofprotoTrace, type TraceResult } from "../../src/openflow/trace-run.ts";
import { TraceFormatter } from "../../src/openflow/trace-text.ts";
import {
  newXlateConfig,
  ODPP_NONE,
  userspaceSupport,
  type XBridge,
  type XBundle,
  type XPort,
} from "../../src/openflow/xbridge.ts";

/** Answers what the OpenFlow layer asks of a switch when there is none. */
const PROVIDER: OfprotoProvider = {
  needRevalidate: () => undefined,
  syncStats: () => undefined,
  ruleCheck: () => null,
  portStats: () => {
    throw new Error("the bed has no port counters");
  },
  setPortUp: () => true,
  portReconfigured: () => undefined,
  queueStats: () => [],
  queues: () => [],
  packetOut: () => null,
  setFragHandling: () => true,
  ctFlush: () => undefined,
  meterFeatures: () => {
    throw new Error("the bed has no meters");
  },
  meterSet: () => "OFPMMFC_OUT_OF_METERS",
  meterGet: () => null,
  meterDel: () => undefined,
  dial: () => "Connection refused",
  listen: () => true,
  nextSocket: () => 0,
  localMac: () => 0,
  ipfixStats: () => null,
  resume: () => "NXR_STALE",
};

const isIpv4 = (key: FlowKey): boolean => get(key, K.dl_type) === 0x0800;
const IPV4_DST = { name: "ip_dst", word: K.nw_dst.word, bits: 32, prereqsOk: isIpv4 };
const IPV4_SRC = { name: "ip_src", word: K.nw_src.word, bits: 32, prereqsOk: isIpv4 };

const NO_BUCKET_ID = 0xffffffff;

export interface PortOptions {
  readonly tag?: number;
  readonly trunks?: readonly number[];
}

export class TraceBed {
  readonly clock = new ManualClock();
  readonly xcfg = newXlateConfig();
  readonly recircs = new RecircPool();
  readonly bridges = new Map<string, XBridge & { readonly ofproto: Ofproto }>();
  readonly formatter = new TraceFormatter(null);
  #nextId = 1;
  #nextOdp = 1;

  bridge(name: string, normal = true): void {
    const ofproto = new Ofproto({
      name,
      clock: this.clock,
      rng: new SeededRng(1),
      provider: PROVIDER,
      swVersion: "3.1.0",
      log: new Vlog(this.clock),
    });
    // The prefix tries that ovs-vswitchd keeps by default.
    for (const table of ofproto.tables) {
      table.cls.setPrefixFields([IPV4_DST, IPV4_SRC]);
    }
    const xbridge = {
      id: this.#nextId++,
      name,
      dpType: "system",
      ofproto,
      get tunTable() {
        return ofproto.tunTable;
      },
      controllerMeterId: -1,
      slowpathMeterId: -1,
      meterId: () => -1,
      ctTimeoutPolicy: () => null,
      xports: new Map(),
      xbundles: [],
      ml: new MacLearning(),
      ms: null,
      mbridge: new Mbridge(),
      stp: false,
      rstp: false,
      netflow: false,
      sflow: null,
      ipfix: null,
      hasInBand: false,
      forwardBpdu: false,
      support: userspaceSupport(),
    };
    this.bridges.set(name, xbridge);
    this.xcfg.bridgesById.set(xbridge.id, xbridge);
    this.port(name, name, OFPP.LOCAL);
    if (normal) {
      this.flows(name, "priority=0,actions=NORMAL");
    }
  }

  get(name: string): XBridge & { readonly ofproto: Ofproto } {
    const b = this.bridges.get(name);
    if (b === undefined) {
      throw new Error(`no bridge ${name}`);
    }
    return b;
  }

  port(bridge: string, name: string, ofpPort: number, opts: PortOptions = {}): XPort {
    const xbridge = this.get(bridge);
    const xport: XPort = {
      id: this.#nextId++,
      name,
      ofpPort,
      odpPort: this.#nextOdp++,
      xbridge,
      xbundle: null,
      peer: null,
      config: 0,
      mayEnable: true,
      tunnel: null,
      ptMode: "legacy_l2",
      stp: null,
      rstp: null,
      cfm: null,
      bfd: null,
      lldp: false,
      isTunnel: false,
      skbPriorities: new Map(),
      counters: { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 },
      addresses: [],
    };
    const trunks = opts.trunks === undefined ? null : new Uint8Array(4096);
    for (const vlan of opts.trunks ?? []) {
      trunks?.fill(1, vlan, vlan + 1);
    }
    const xbundle: XBundle = {
      name,
      xbridge,
      xports: [xport],
      bond: null,
      lacp: false,
      vlanMode: opts.tag === undefined ? "trunk" : "access",
      qinqEthtype: 0x88a8,
      vlan: opts.tag ?? -1,
      trunks,
      cvlans: null,
      priorityTags: "never",
      floodable: true,
      protected: false,
    };
    xport.xbundle = xbundle;
    xbridge.xports.set(ofpPort, xport);
    xbridge.xbundles.push(xbundle);
    this.xcfg.portsById.set(xport.id, xport);
    return xport;
  }

  /** Joins two ports as patch ports. */
  patch(a: XPort, b: XPort): void {
    a.peer = b;
    b.peer = a;
    a.odpPort = ODPP_NONE;
    b.odpPort = ODPP_NONE;
  }

  /** Adds a flow; answers why it was refused, or null. */
  flow(bridge: string, line: string): string | null {
    const r = parseFlow(line, OFPFC.ADD, NO_CONTEXT);
    return r.ok ? this.get(bridge).ofproto.flowMod(fixTable(r.value.fm)) : r.error.message;
  }

  /** Adds flows, one a line. */
  flows(bridge: string, text: string): void {
    for (const line of text.split("\n").filter((l) => l.trim() !== "")) {
      const error = this.flow(bridge, line);
      if (error !== null) {
        throw new Error(`${line}: ${error}`);
      }
    }
  }

  /** Deletes all flows. */
  clear(bridge: string): void {
    const { ofproto } = this.get(bridge);
    for (const table of ofproto.tables) {
      if (!table.hidden) {
        deleteFlows(ofproto, [...table.allRules()], REMOVED.DELETE);
      }
    }
  }

  groups(bridge: string, text: string): void {
    for (const line of text.split("\n").filter((l) => l.trim() !== "")) {
      const r = parseGroupMod(line, OFPGC.ADD, { ports: null, tables: null });
      if (r.ok) {
        // The wire numbers buckets that have no id.
        r.value.gm.buckets.forEach((b, i) => {
          b.bucketId = b.bucketId === NO_BUCKET_ID ? i : b.bucketId;
        });
      }
      const error = r.ok ? groupMod(this.get(bridge).ofproto, r.value.gm, null) : r.error.message;
      if (error !== null) {
        throw new Error(`${line}: ${error}`);
      }
    }
  }

  run(
    bridge: string,
    flow: string,
    packet: PacketBuf | null = null,
    ct: number[] = [],
  ): TraceResult {
    const xbridge = this.get(bridge);
    const r = parseExactFlow(flow, xbridge.tunTable, NO_CONTEXT);
    if (!r.ok) {
      throw new Error(r.error.message);
    }
    return ofprotoTrace({
      xcfg: this.xcfg,
      recircs: this.recircs,
      xbridge,
      flow: r.value.flow,
      packet,
      actions: null,
      nextCtStates: ct,
      nowMs: this.clock.nowMs(),
    });
  }

  trace(bridge: string, flow: string, ct: number[] = []): string {
    return this.formatter.format(this.run(bridge, flow, null, ct));
  }
}

/** An addition without a table goes to table 0. */
function fixTable<T extends { tableId: number }>(fm: T): T {
  if (fm.tableId === 0xff) {
    fm.tableId = 0;
  }
  return fm;
}
