// What came of a replay, as data: docs/replay.schema.json describes it.
//
// Texts are those that the switch's own commands print: megaflows as dpctl/dump-flows, connections
// as dpctl/dump-conntrack, the first packet of a class as ofproto/trace shows it.

import { DP_COUNTERS, DP_LOSSES } from "../../datapath/dp-counters.ts";
import { formatConn } from "../../datapath/ct-text.ts";
import { sumCounters } from "../../lib/counters.ts";
import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { formatFlow } from "../../openflow/flow-format.ts";
import { OFPP } from "../../flow/ofp-port.ts";
import { getU, K, set } from "../../flow/flow-key.ts";
import type { TraceStep } from "../../openflow/trace-run.ts";
import { TraceFormatter } from "../../openflow/trace-text.ts";
import type { Verdict } from "../../openflow/verdict.ts";
import { xlateLookup } from "../../openflow/xlate-lookup.ts";
import { formatFlowStats, formatMegaflowKey } from "../megaflow-text.ts";
import { type FileCoverage, coverageOf } from "./flow-coverage.ts";
import { flowSummary } from "./flow-summary.ts";
import { type FlowPath, recircOf } from "./flow-paths.ts";
import { type MadeFlow, type Replay, REPLAY_LISTED_MAX } from "./replay.ts";
import { replayPorts } from "./replay-ports.ts";

/** Version of the form of reports; it is raised when readers must know of a change. */
export const REPLAY_REPORT_VERSION = 1;

export interface ReplayClass {
  readonly class: number;
  readonly verdict: Verdict | "held";
  readonly packets: number;
  readonly bytes: number;
  readonly delivered: number;
  readonly held: number;
  readonly first_packet: number;
  readonly first_port: string;
  readonly first_out: readonly string[];
  readonly first_summary: string;
  readonly first_flow: string;
  readonly path: string;
  readonly datapath_actions: string;
  readonly first_trace: string;
}

export interface ReplayDrop {
  readonly counter: string;
  readonly text: string;
  readonly packets: number;
}

export interface ReplayPortReport {
  readonly port: string;
  readonly bridge: string;
  readonly ofp_port: number;
  readonly rx_packets: number;
  readonly rx_bytes: number;
  readonly tx_packets: number;
  readonly tx_bytes: number;
}

/** A list that may have been cut. */
export interface MadeList {
  readonly made: number;
  /** How many are there at the end. */
  readonly now: number;
  readonly list: readonly string[];
}

/** What the switch side of a report says; the reader of captures adds its part. */
export interface SwitchReport {
  readonly packets: number;
  readonly bytes: number;
  readonly delivered: number;
  readonly held: number;
  readonly dropped: number;
  readonly first_time: string | null;
  readonly last_time: string | null;
  readonly ports: readonly ReplayPortReport[];
  readonly classes: readonly ReplayClass[];
  readonly packets_beyond: number;
  readonly drops: readonly ReplayDrop[];
  readonly counters: readonly ReplayDrop[];
  readonly coverage: readonly FileCoverage[];
  readonly megaflows: MadeList;
  readonly connections: MadeList;
}

/** Time as `SECONDS.NANOSECONDS` since 1970. */
function timeText(sec: number, nsec: number): string {
  return `${sec}.${String(nsec).padStart(9, "0")}`;
}

/** The report of a replay that has ended. */
export function reportOf(replay: Replay): SwitchReport {
  const traces = new TraceFormatter(null);
  const none = replay.packets === 0;
  return {
    packets: replay.packets,
    bytes: replay.bytes,
    delivered: replay.delivered,
    held: replay.held,
    dropped: replay.packets - replay.delivered - replay.held,
    first_time: none ? null : timeText(replay.firstSec, replay.firstNsec),
    last_time: none ? null : timeText(replay.lastSec, replay.lastNsec),
    ports: portReports(replay),
    classes: replay.paths.paths.map((p) => classReport(replay, p, traces)),
    packets_beyond: replay.paths.beyond,
    ...countersOf(replay),
    coverage: coverageOf(replay.flowLines),
    megaflows: {
      made: replay.madeCount,
      now: replay.pairs.reduce((n, { dp }) => n + dp.flows.size, 0),
      list: replay.made.map(megaflowText),
    },
    connections: connections(replay),
  };
}

function portReports(replay: Replay): ReplayPortReport[] {
  const ports = [...replayPorts(replay.vs), ...replay.tunnels, ...replay.vports];
  return ports.map((p) => {
    const { txPackets, txBytes } = replay.sentBy(p.name);
    return {
      port: p.name,
      bridge: p.bridge,
      ofp_port: p.ofpPort === OFPP.LOCAL ? 65534 : p.ofpPort,
      rx_packets: p.stats.rxPackets,
      rx_bytes: p.stats.rxBytes,
      tx_packets: txPackets,
      tx_bytes: txBytes,
    };
  });
}

function classReport(replay: Replay, p: FlowPath, traces: TraceFormatter): ReplayClass {
  const steps = traceSteps(replay, p);
  const [first] = steps;
  return {
    class: p.id,
    verdict: p.delivered > 0 ? "delivered" : p.held > 0 ? "held" : "dropped",
    packets: p.packets,
    bytes: p.bytes,
    delivered: p.delivered,
    held: p.held,
    first_packet: p.firstPacket,
    first_port: p.firstPort,
    first_out: p.firstOut,
    first_summary: first === undefined ? "no whole header" : flowSummary(first.flow),
    first_flow: first === undefined ? "" : formatFlow(first.flow, null, first.xbridge.tunTable),
    path: p.steps.map((s) => s.path).join(" | ") || "-",
    datapath_actions: p.steps.map((s) => s.actions).join(" | ") || "lost",
    first_trace: traceText(steps, traces),
  };
}

const RULER = "=".repeat(79);

/** A pass that no recirculation id leads to begins inside of a tunnel. */
function traceText(steps: readonly TraceStep[], traces: TraceFormatter): string {
  let text = "";
  for (const [i, step] of steps.entries()) {
    const decapsulated = i > 0 && step.recirc === null;
    text += decapsulated ? `\n\n${RULER}\ninside of the tunnel\n${RULER}\n\n` : "";
    text += traces.format({ steps: [step], cut: false });
  }
  return text;
}

/** The first packet of a class as a trace: its own fields, and what its steps met. */
function traceSteps(replay: Replay, p: FlowPath): TraceStep[] {
  const { xcfg, recircs } = replay.vs;
  return p.steps.flatMap((step, i): TraceStep[] => {
    const key = p.firstKeys[i];
    if (step.walk === null || key === undefined) {
      return [];
    }
    const { xbridge, out } = step.walk;
    const flow = key.slice();
    const found = xlateLookup(xcfg, recircs, xbridge.dpType, key);
    const known = typeof found === "string" ? getU(step.walk.flow, K.in_port) : found.ofpInPort;
    set(flow, K.in_port, known);
    const { id, ctState } = recircOf(key);
    const recirc =
      id === 0 ? null : { recircId: id, ctState, defaulted: false, connection: null, nat: null };
    return [{ recirc, xbridge, flow, nodes: step.nodes, out, executeError: null }];
  });
}

/** Counters of packets that were lost, and the others that are not 0. */
function countersOf(replay: Replay): Pick<SwitchReport, "drops" | "counters"> {
  const sets = replay.pairs.flatMap(({ dp, ct }) => [dp.counters, dp.losses, ct.counters]);
  const rows = sumCounters(sets);
  const shown = rows.filter((r) => r.count > 0);
  const plain = (r: { name: string; text: string; count: number }): ReplayDrop => ({
    counter: r.name,
    text: r.text,
    packets: r.count,
  });
  const isDrop = (name: string) =>
    (name in DP_COUNTERS.index && !name.startsWith("miniflow_")) || name in DP_LOSSES.index;
  const drops = shown.filter((r) => isDrop(r.name)).map(plain);
  drops.sort((a, b) => b.packets - a.packets);
  return { drops, counters: shown.filter((r) => !isDrop(r.name)).map(plain) };
}

function megaflowText({ flow, pair }: MadeFlow): string {
  const key = formatMegaflowKey(flow, pair.dp.vlanLimit, null, false);
  const stats = formatFlowStats(flow, pair.dp.clock.nowMs());
  return `${key}, ${stats}, actions:${formatOdpActions(flow.actions, null)}`;
}

function connections(replay: Replay): MadeList {
  const nowMs = replay.vs.clock.nowMs();
  const options = { verbose: false, stats: false, nowMs };
  let now = 0;
  for (const { ct } of replay.pairs) {
    for (const _ of ct.list(null, nowMs)) {
      now++;
    }
  }
  return {
    made: replay.connCount,
    now,
    list: replay.conns.slice(0, REPLAY_LISTED_MAX).map((c) => formatConn(c, options)),
  };
}
