// Loads what OpenFlow knows of a bridge from dumps: TLV map, groups, meters, flows.
//
// A dump with some unreadable lines still opens: they are noted with their place, the rest counts.

import { MaskPool } from "../../flow/mask-pool.ts";
import { DumpReader } from "../../openflow/dump-reader.ts";
import { FlowLoader } from "../../openflow/flow-loader.ts";
import type { Bridge } from "../bridge.ts";
import { runCommandLine } from "../commands.ts";
import { portsOf } from "../port-names.ts";
import type { BridgeDump, DumpText } from "./host-dump.ts";
import { BAD_LINES_SHOWN_MAX, type Notes } from "./note.ts";
import type { Rule } from "../../openflow/rule.ts";

/** A flow of the tables and the line of a dump that it comes from. */
export interface FlowLine {
  readonly bridge: string;
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  readonly text: string;
  readonly rule: Rule;
}

/** Fills a bridge's tables; they are emptied before. */
export function loadTables(
  br: Bridge,
  dump: BridgeDump,
  notes: Notes,
  lines: FlowLine[] | null,
): void {
  clearTables(br);
  loadTlvMap(br, dump["tlv-map"], notes);
  loadGroups(br, dump.groups, notes);
  loadMeters(br, dump.meters, notes);
  loadFlows(br, dump.flows, notes, lines);
}

function ofctl(br: Bridge, stdin: string, ...args: string[]): string | null {
  const reply = runCommandLine(br.vs, ["ovs-ofctl", "-O", "OpenFlow15", ...args], stdin);
  return reply.exit === 0 ? null : reply.stderr.trim();
}

function clearTables(br: Bridge): void {
  ofctl(br, "", "del-flows", br.name);
  ofctl(br, "", "del-groups", br.name);
}

function loadTlvMap(br: Bridge, dump: DumpText | undefined, notes: Notes): void {
  if (dump === undefined) {
    return;
  }
  const rows = [...dump.text.matchAll(/^\s+(0x\w+)\s+(0x\w+)\s+(\d+)\s+(tun_metadata\d+)\s*$/gm)];
  const text = rows.map(([, c, t, len, f]) => `{class=${c},type=${t},len=${len}}->${f}`).join(",");
  const error = text === "" ? null : ofctl(br, "", "add-tlv-map", br.name, text);
  said(notes, dump, error, `${rows.length} TLV mappings of ${br.name}`);
}

function loadGroups(br: Bridge, dump: DumpText | undefined, notes: Notes): void {
  if (dump === undefined) {
    return;
  }
  let groups = 0;
  for (const [i, line] of dump.text.split("\n").entries()) {
    if (/^\s*group_id=/.test(line)) {
      const error = ofctl(br, "", "add-group", br.name, line.trim());
      groups += error === null ? 1 : 0;
      if (error !== null) {
        notes.push({ kind: "error", text: `${dump.name}:${i + 1}: ${plainError(error)}` });
      }
    }
  }
  said(notes, dump, null, `${groups} groups of ${br.name}`);
}

function loadMeters(br: Bridge, dump: DumpText | undefined, notes: Notes): void {
  if (dump === undefined) {
    return;
  }
  // A meter's bands follow it, each on a line of its own.
  const meters = dump.text.split(/^(?=meter=)/m).filter((m) => m.startsWith("meter="));
  let loaded = 0;
  for (const meter of meters) {
    const [head = "", ...bands] = meter.trim().split("\n");
    const flags = head
      .replace(/ bands=.*$/, "")
      .trim()
      .split(/\s+/);
    const text = [...flags, ...bands.map((b) => `band=${b.trim().split(/\s+/).join(",")}`)];
    const error = ofctl(br, "", "add-meter", br.name, text.join(","));
    loaded += error === null ? 1 : 0;
    if (error !== null) {
      notes.push({ kind: "error", text: `${dump.name}: ${plainError(error)}` });
    }
  }
  said(notes, dump, null, `${loaded} meters of ${br.name}`);
}

/** The text of an error without the name of the tool that met it. */
function plainError(error: string): string {
  return error.replace(/^ovs-ofctl: /, "").split("\n")[0] ?? "";
}

function said(notes: Notes, dump: DumpText, error: string | null, what: string): void {
  notes.push(
    error === null
      ? { kind: "used", text: `${dump.name}: ${what}` }
      : { kind: "error", text: `${dump.name}: ${plainError(error)}` },
  );
}

function loadFlows(
  br: Bridge,
  dump: DumpText | undefined,
  notes: Notes,
  lines: FlowLine[] | null,
): void {
  if (dump === undefined) {
    notes.push({ kind: "missing", text: `a flow dump of ${br.name}: its tables are empty` });
    return;
  }
  const { text, name } = dump;
  const reader = new DumpReader(
    { ports: portsOf(br.xbridge), tables: null, log: null },
    br.xbridge.tunTable,
  );
  const loader = new FlowLoader(br.ofproto);
  const masks = new MaskPool();
  let flows = 0;
  let bad = 0;
  let lineNumber = 0;
  for (let at = 0; at < text.length; ) {
    const lf = text.indexOf("\n", at);
    const end = lf < 0 ? text.length : lf;
    lineNumber++;
    const kind = reader.read(text, at, end);
    let error = kind === "error" ? (reader.error?.message ?? "unreadable") : null;
    const column = kind === "error" ? (reader.error?.offset ?? 0) + 1 : 1;
    if (kind === "flow") {
      error = loader.add(reader.fm, reader.pack(masks));
    }
    if (error !== null) {
      bad++;
      if (bad <= BAD_LINES_SHOWN_MAX) {
        notes.push({ kind: "error", text: `${name}:${lineNumber}:${column}: ${error}` });
      }
    } else if (kind === "flow") {
      flows++;
      if (lines !== null && loader.last !== null) {
        const line = text.slice(at, end);
        lines.push({
          bridge: br.name,
          file: name,
          line: lineNumber,
          text: line,
          rule: loader.last,
        });
      }
    }
    at = end + 1;
  }
  loader.finish();
  notes.push({ kind: "used", text: `${name}: ${flows} flows of ${br.name}` });
  if (bad > BAD_LINES_SHOWN_MAX) {
    notes.push({ kind: "error", text: `${name}: ${bad} lines in all could not be read` });
  }
}
