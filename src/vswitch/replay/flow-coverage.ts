// Which flows of a dump packets took, as data and as a tracefile that lcov's tools read.
//
// The mapping: a source file is a dump of flows, a line of code is a line of it that holds a flow,
// and how often it was executed is how many packets took the flow. A table is a function, which
// begins at its first flow and was called as often as packets matched in it. `genhtml` shows the
// dump with the flows that nothing took in red. References: geninfo(1), section "FILES".

import { REMOVED, type Rule } from "../../openflow/rule.ts";
import type { FlowLine } from "../host-dump/tables.ts";

/** Why a flow is there no more. */
export type FlowEnd = "idle_timeout" | "hard_timeout" | "deleted" | "evicted";

export interface FlowCoverage {
  readonly line: number;
  readonly table: number;
  readonly packets: number;
  readonly bytes: number;
  /** Null while the flow is there. */
  readonly ended: FlowEnd | null;
  readonly flow: string;
}

export interface FileCoverage {
  readonly file: string;
  readonly bridge: string;
  readonly flows: number;
  readonly hit: number;
  readonly lines: readonly FlowCoverage[];
}

/** What packets did to the flows of the dumps, file by file in the order of loading. */
export function coverageOf(lines: readonly FlowLine[]): FileCoverage[] {
  const files = new Map<string, FlowLine[]>();
  for (const line of lines) {
    const key = `${line.bridge}\n${line.file}`;
    const there = files.get(key);
    if (there === undefined) {
      files.set(key, [line]);
    } else {
      there.push(line);
    }
  }
  return [...files.values()].map((of) => {
    const flows = of.map(flowCoverage);
    const hit = flows.reduce((n, f) => n + (f.packets > 0 ? 1 : 0), 0);
    const [{ file, bridge } = { file: "", bridge: "" }] = of;
    return { file, bridge, flows: flows.length, hit, lines: flows };
  });
}

function flowCoverage({ line, text, rule }: FlowLine): FlowCoverage {
  const counts = countsOf(rule);
  return {
    line,
    table: rule.tableId,
    packets: counts.nPackets,
    bytes: counts.nBytes,
    ended: endOf(rule),
    flow: text.trim(),
  };
}

/** A flow that was modified goes on counting in the one that took its place. */
function countsOf(rule: Rule): { readonly nPackets: number; readonly nBytes: number } {
  const last = rule.forwardCounts ? rule.statsRule() : rule;
  return last.nPackets > rule.nPackets ? last : rule;
}

function endOf(rule: Rule): FlowEnd | null {
  switch (rule.removedReason) {
    case REMOVED.NONE:
      return null;
    case REMOVED.IDLE_TIMEOUT:
      return "idle_timeout";
    case REMOVED.HARD_TIMEOUT:
      return "hard_timeout";
    case REMOVED.EVICTION:
      return "evicted";
    default:
      return "deleted";
  }
}

/** The tracefile, line by line: one record for each dump. */
export function* lcovText(files: readonly FileCoverage[]): Generator<string> {
  for (const file of files) {
    for (const line of lcovRecord(file)) {
      yield `${line}\n`;
    }
  }
}

function lcovRecord(file: FileCoverage): string[] {
  const out = ["TN:", `SF:${file.file}`];
  const tables = new Map<number, { readonly line: number; packets: number }>();
  for (const f of file.lines) {
    const table = tables.get(f.table) ?? { line: f.line, packets: 0 };
    table.packets += f.packets;
    tables.set(f.table, table);
  }
  const sorted = [...tables].sort(([a], [b]) => a - b);
  for (const [table, { line }] of sorted) {
    out.push(`FN:${line},${file.bridge}/table=${table}`);
  }
  for (const [table, { packets }] of sorted) {
    out.push(`FNDA:${packets},${file.bridge}/table=${table}`);
  }
  out.push(`FNF:${sorted.length}`, `FNH:${sorted.filter(([, t]) => t.packets > 0).length}`);
  for (const f of file.lines) {
    out.push(`DA:${f.line},${f.packets}`);
  }
  out.push(`LF:${file.flows}`, `LH:${file.hit}`, "end_of_record");
  return out;
}
